//! The JSON API for keeping less of a document's past.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};

use super::{
    Problem,
    documents::{json, named, parsed, whole},
    versions::{Answer, history, http, query, valid_time, version_of},
};
use crate::{
    auth::{
        access::{Right, may},
        actor::Actor,
    },
    document::id::DocId,
    history::Kind,
    store::{Seq, sessions::Grain},
};

/// The moments that were removed for good; none where there was only the present one.
#[derive(Serialize)]
struct Purged {
    purged: Option<Span>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    from_seq: Seq,
    to_seq: Seq,
}

/// Removes what a version stands for: all moments of a session, or else the one moment; and its name, also where the moment is
/// the present one and stays.
pub(super) async fn purge(request: HttpRequest) -> Answer {
    let (doc, id) = version_of(&request)?;
    let version = history(&request)?.version(&doc, id).await?;
    let from_seq = match version.is_session {
        true => version.from_seq,
        false => version.seq,
    };
    let to_seq = version.seq;
    let purged = purge_moments(&request, &doc, Span { from_seq, to_seq }).await?;
    if purged.purged.is_none() && version.kind == Kind::Named {
        history(&request)?.unname(&doc, id).await?;
    }
    Ok(json(HttpResponse::Ok(), &purged))
}

pub(super) async fn purge_range(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    let span: Span = query(&request)?;
    if span.from_seq > span.to_seq {
        let detail = "`from_seq` is the first edit of the range and `to_seq` the last.";
        return Err(Problem::bad_request("bad-query", detail));
    }
    let purged = purge_moments(&request, &doc, span).await?;
    Ok(json(HttpResponse::Ok(), &purged))
}

async fn purge_moments(request: &HttpRequest, doc: &DocId, span: Span) -> Result<Purged, Problem> {
    let (history, author) = (history(request)?, forgetter(request)?);
    let turn = history.turn(doc)?;
    // What is removed must be in history, where it can be rewritten.
    http(request).0.library.fold(doc).await?;
    let now = http(request).0.clock.now();
    let moments = span.from_seq..=span.to_seq;
    let purged = history.purge(&turn, moments, author, now).await?;
    let purged = purged.map(|moments| Span {
        from_seq: *moments.start(),
        to_seq: *moments.end(),
    });
    Ok(Purged { purged })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thin {
    to: Grain,
    /// Only sessions that ended before this time; all without it.
    before: Option<String>,
}

#[derive(Serialize)]
struct Thinned {
    /// Moments that are not kept any more.
    hidden: usize,
}

pub(super) async fn thin(request: HttpRequest, payload: web::Payload) -> Answer {
    let doc = named(&request)?;
    let wanted: Thin = parsed(&whole(payload).await?)?;
    let before = match wanted.before.as_deref() {
        None => i64::MAX,
        Some(time) => valid_time("before", time)?,
    };
    let history = history(&request)?;
    forgetter(&request)?;
    let turn = history.turn(&doc)?;
    http(&request).0.library.fold(&doc).await?;
    let hidden = history.thin(&turn, wanted.to, before).await?;
    Ok(json(HttpResponse::Ok(), &Thinned { hidden }))
}

/// The author of a removal, for those who may remove something.
fn forgetter(request: &HttpRequest) -> Result<Arc<str>, Problem> {
    let caller = Actor::from_headers(request.headers());
    if may(caller.as_ref(), Right::ForgetPast) {
        return Ok(caller.as_ref().map_or("api", Actor::as_str).into());
    }
    let detail = "Only those who may edit this document remove something of its history.";
    Err(Problem::new(StatusCode::FORBIDDEN, "no-purge", detail))
}
