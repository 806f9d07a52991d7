//! The content of a document at any moment.

use actix_web::{HttpRequest, http::header::HeaderName};
use serde::Deserialize;

use super::{
    Problem,
    documents::{content_of, named, unknown_form},
    step,
    versions::{Answer, history, query, valid_time},
};
use crate::{
    document::{
        export::{Form, export},
        id::DocId,
    },
    store::Seq,
};

/// The moment that an answer shows: another one than was asked for, where that one was thinned away.
const SEQ_HEADER: HeaderName = HeaderName::from_static("coscribe-seq");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtParameters {
    seq: Option<Seq>,
    time: Option<String>,
    r#as: String,
    holds: Option<String>,
}

/// The document after a row of its log, or as it was at a time.
pub(super) async fn at(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    let parameters: AtParameters = query(&request)?;
    let seq = match (parameters.seq, parameters.time.as_deref()) {
        (Some(seq), None) => seq,
        (None, Some(time)) => {
            let time = valid_time("time", time)?;
            history(&request)?.seq_at(&doc, time).await?
        }
        _ => {
            let detail = "Give either `seq`, the number of an edit, or `time`.";
            return Err(Problem::bad_request("bad-query", detail));
        }
    };
    content(&request, &doc, seq, &parameters.r#as, parameters.holds).await
}

pub(super) async fn content(
    request: &HttpRequest,
    doc: &DocId,
    seq: Seq,
    form: &str,
    holds: Option<String>,
) -> Answer {
    let form = Form::named(form).ok_or_else(unknown_form)?;
    let history = history(request)?;
    let (seq, mut response) = match form {
        Form::Html => {
            let found = history.html(doc, seq).await?;
            let html = step::html(holds, move || found.blocks, found.answers).await;
            history.prepare(doc);
            (found.seq, html?)
        }
        form => {
            let read = history.content(doc, seq, move |replica| export(replica, form));
            let (seq, bytes) = read.await?;
            (seq, content_of(form, bytes))
        }
    };
    response.headers_mut().insert(SEQ_HEADER, seq.into());
    Ok(response)
}
