//! The JSON API of a document's versions, and of what changed between two.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{self, ServiceConfig},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Http, Problem,
    documents::{content_of, encoded, json, named, parsed, whole},
    forget,
    library::Edit,
    moment, resource, step,
};
use crate::{
    auth::{
        access::{Right, may},
        actor::Actor,
    },
    clock::UnixMillis,
    document::{ClientId, Clock, diff::Diff, export::Form, html, id::DocId, ids::Id},
    history::{Cursor, History, Kind, Part, Version, VersionId, apart},
    store::{Person, Seq, sessions::Grain},
    timestamp::{from_rfc3339, rfc3339},
};

/// Longest name of a version, in characters.
const MAX_LABEL_CHARS: usize = 200;
/// Versions per page when nothing is said, and at most.
const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 200;
/// Bytes of the hash that names an author.
const AUTHOR_BYTES: usize = 8;

pub(super) fn configure(cfg: &mut ServiceConfig) {
    cfg.service(
        resource("/api/docs/{doc:[^/]*}/versions")
            .route(web::get().to(list))
            .route(web::head().to(list))
            .route(web::post().to(name))
            .route(web::delete().to(forget::purge_range)),
    )
    .service(resource("/api/docs/{doc:[^/]*}/versions/thin").route(web::post().to(forget::thin)))
    .service(
        resource("/api/docs/{doc:[^/]*}/versions/{version:[^/]*}")
            .route(web::get().to(get))
            .route(web::head().to(get))
            .route(web::patch().to(relabel))
            .route(web::delete().to(forget::purge)),
    )
    .service(
        resource("/api/docs/{doc:[^/]*}/versions/{version:[^/]*}/restore")
            .route(web::post().to(restore)),
    )
    .service(
        resource("/api/docs/{doc:[^/]*}/versions/{version:[^/]*}/diff/{other:[^/]*}")
            .route(web::get().to(difference))
            .route(web::head().to(difference)),
    )
    .service(
        resource("/api/docs/{doc:[^/]*}/at")
            .route(web::get().to(moment::at))
            .route(web::head().to(moment::at)),
    );
}

pub(super) type Answer = Result<HttpResponse, Problem>;

/// A version as the API writes it.
#[derive(Serialize)]
struct Written {
    id: String,
    seq: Seq,
    at: String,
    kind: Kind,
    label: String,
    authors: Vec<Author>,
    from_seq: Seq,
    from_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_seq: Option<Seq>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    part: bool,
    kept: Grain,
}

/// Somebody who wrote. The log knows them by a secret of their browser, so what is shown is a hash of it.
#[derive(Serialize)]
struct Author {
    id: String,
    name: String,
    color: String,
}

impl From<Person> for Author {
    fn from(person: Person) -> Self {
        Self {
            id: author_id(&person.author),
            name: person.name,
            color: person.color,
        }
    }
}

/// The name under which an author is shown: the same for the same author, and of no use to anybody else.
fn author_id(author: &str) -> String {
    let hash = Sha256::digest(author.as_bytes());
    hash[..AUTHOR_BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl From<Version> for Written {
    fn from(version: Version) -> Self {
        Self {
            id: version.id.to_string(),
            seq: version.seq,
            at: rfc3339(version.at),
            kind: version.kind,
            label: version.label,
            authors: version.authors.into_iter().map(Author::from).collect(),
            from_seq: version.from_seq,
            from_at: rfc3339(version.from_at),
            source_seq: version.source_seq,
            part: version.is_part,
            kept: version.kept,
        }
    }
}

#[derive(Serialize)]
struct Page {
    versions: Vec<Written>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn list(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    let parameters: ListParameters = query(&request)?;
    let limit = parameters.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let detail = format!("`limit` is a number from 1 to {MAX_PAGE}.");
        return Err(Problem::bad_request("bad-query", detail).limit(u64::from(MAX_PAGE)));
    }
    let cursor = parameters.cursor.as_deref().map(str::parse::<Cursor>);
    let cursor = cursor.transpose().map_err(|_| {
        let detail = "`cursor` is not one that this server gave; start again without it.";
        Problem::bad_request("bad-cursor", detail)
    })?;
    let page = history(&request)?.versions(&doc, cursor, limit).await?;
    let page = Page {
        versions: page.versions.into_iter().map(Written::from).collect(),
        next: page.next.map(|next| next.to_string()),
    };
    Ok(json(HttpResponse::Ok(), &page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewName {
    label: String,
    /// The moment that gets the name; the present one without it.
    seq: Option<Seq>,
}

async fn name(request: HttpRequest, payload: web::Payload) -> Answer {
    let doc = named(&request)?;
    let new: NewName = parsed(&whole(payload).await?)?;
    let label = valid_label(&new.label)?;
    let actor = Actor::from_headers(request.headers());
    let author = actor.as_ref().map_or("api", Actor::as_str).into();
    let now = http(&request).0.clock.now();
    let version = history(&request)?
        .name(&doc, new.seq, label, author, now)
        .await?;
    let mut response = HttpResponse::Created();
    let at = format!("/api/docs/{}/versions/{}", encoded(&doc), version.id);
    response.insert_header((header::LOCATION, at));
    Ok(json(response, &Written::from(version)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetParameters {
    r#as: Option<String>,
    /// See [`step::html`].
    holds: Option<String>,
}

/// Describes a version, or gives its content where a form is asked for.
async fn get(request: HttpRequest) -> Answer {
    let (doc, id) = version_of(&request)?;
    let parameters: GetParameters = query(&request)?;
    let version = history(&request)?.version(&doc, id).await?;
    match parameters.r#as {
        None => Ok(json(HttpResponse::Ok(), &Written::from(version))),
        Some(form) => moment::content(&request, &doc, version.seq, &form, parameters.holds).await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relabel {
    /// Null takes the name away.
    label: Option<String>,
}

async fn relabel(request: HttpRequest, payload: web::Payload) -> Answer {
    let (doc, id) = version_of(&request)?;
    let change: Relabel = parsed(&whole(payload).await?)?;
    let history = history(&request)?;
    let version = match &change.label {
        Some(label) => history.relabel(&doc, id, valid_label(label)?).await?,
        None => history.unname(&doc, id).await?,
    };
    Ok(json(HttpResponse::Ok(), &Written::from(version)))
}

/// What of the version is brought back; all of it when nothing is said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    /// Takes back what this author did since the version.
    author: Option<String>,
    /// Takes back what was done since the version, up to this edit.
    to_seq: Option<Seq>,
    /// Brings one element or text back: client and clock of its id.
    block: Option<(ClientId, Clock)>,
}

#[derive(Serialize)]
struct Restored {
    changed: bool,
    version: Option<Written>,
    /// The moment before: restoring it takes the restore back.
    before: Option<Written>,
}

async fn restore(request: HttpRequest, payload: web::Payload) -> Answer {
    let (doc, id) = version_of(&request)?;
    let body = whole(payload).await?;
    let wanted: Restore = match body.is_empty() {
        true => Restore::default(),
        false => parsed(&body)?,
    };
    let history = history(&request)?;
    let part = match wanted {
        Restore {
            block: Some((client, clock)),
            author: None,
            to_seq: None,
        } => Part::Block(Id::new(client, clock)),
        Restore { block: Some(_), .. } => {
            let detail = "A block is brought back as it was, whoever changed it; leave `author` and `to_seq` out.";
            return Err(Problem::bad_request("bad-part", detail));
        }
        Restore {
            author: None,
            to_seq: None,
            ..
        } => Part::All,
        Restore { author, to_seq, .. } => Part::Since {
            author: match author {
                None => None,
                Some(shown) => Some(author_of(history, &doc, &shown).await?),
            },
            to: to_seq,
        },
    };
    let actor = Actor::from_headers(request.headers());
    let author: Arc<str> = actor.as_ref().map_or("api", Actor::as_str).into();
    let now = http(&request).0.clock.now();
    let turn = history.turn(&doc)?;
    let plan = history.plan(&turn, id, part, author.clone(), now).await?;
    let Some(edit) = plan.edit else {
        let nothing = Restored {
            changed: false,
            version: None,
            before: None,
        };
        return Ok(json(HttpResponse::Ok(), &nothing));
    };
    let edit = Edit {
        update: edit.update,
        author,
        client: edit.client.into(),
        mark: Some(edit.mark),
    };
    let library = &http(&request).0.library;
    let seq = library.edit(&doc, edit, Box::new(turn)).await?;
    let version = history.restored(&doc, seq).await?;
    let before = VersionId::Moment(seq.saturating_sub(1));
    let before = history.version(&doc, before).await?;
    let restored = Restored {
        changed: true,
        version: Some(version.into()),
        before: Some(before.into()),
    };
    Ok(json(HttpResponse::Ok(), &restored))
}

/// The author who is shown under this name.
async fn author_of(history: &History, doc: &DocId, shown: &str) -> Result<Arc<str>, Problem> {
    let authors = history.authors(doc).await?;
    let author = authors
        .into_iter()
        .find(|author| author_id(author) == shown);
    author.ok_or_else(|| {
        let detail =
            "Nobody of this id wrote in the document; the list of versions names its authors.";
        Problem::new(StatusCode::NOT_FOUND, "no-such-author", detail)
    })
}

/// What changed, and whom the numbers of authors mean.
#[derive(Serialize)]
struct Changes<'a> {
    before: Written,
    after: Written,
    authors: Vec<Author>,
    #[serde(flatten)]
    diff: &'a Diff,
}

async fn difference(request: HttpRequest) -> Answer {
    let (doc, before) = version_of(&request)?;
    let after = match request.uri().path().split('/').nth(7) {
        Some("now") | None => None,
        Some(other) => Some(version_id(other)?),
    };
    let parameters: GetParameters = query(&request)?;
    let is_html = match parameters.r#as.as_deref() {
        None | Some("json") => false,
        Some("html") => true,
        Some(_) => {
            let detail = "`as` names the form: `json` or `html`.";
            return Err(Problem::bad_request("bad-form", detail));
        }
    };
    let history = history(&request)?;
    if is_html {
        let found = history.changes_to_write(&doc, before, after).await?;
        let answers = found.answers.clone();
        let write = move || {
            let authors = found.authors.iter();
            let authors: Vec<String> = authors.map(|person| author_id(&person.author)).collect();
            html::difference_in_blocks(&found.diff, &authors)
        };
        let answer = step::html(parameters.holds, write, answers).await;
        history.prepare(&doc);
        return answer;
    }
    let found = history.difference(&doc, before, after).await?;
    let written = apart(move || {
        let authors = found.changes.authors.into_iter();
        serde_json::to_string(&Changes {
            before: found.before.into(),
            after: found.after.into(),
            authors: authors.map(Author::from).collect(),
            diff: &found.changes.diff,
        })
    });
    let written = written.await?.expect("a difference serialises");
    Ok(content_of(Form::Json, written))
}

pub(super) fn http(request: &HttpRequest) -> &Http {
    request.app_data::<Http>().expect("application() sets it")
}

/// The past of documents, for those who may see it.
pub(super) fn history(request: &HttpRequest) -> Result<&History, Problem> {
    let caller = Actor::from_headers(request.headers());
    if may(caller.as_ref(), Right::SeePast) {
        return Ok(&http(request).0.history);
    }
    let detail = "Only those who may edit this document see its history.";
    Err(Problem::new(StatusCode::FORBIDDEN, "no-history", detail))
}

pub(super) fn valid_time(name: &str, time: &str) -> Result<UnixMillis, Problem> {
    from_rfc3339(time).ok_or_else(|| {
        let detail = format!("`{name}` is a time such as 2026-11-21T09:30:00Z.");
        Problem::bad_request("bad-query", detail)
    })
}

pub(super) fn version_of(request: &HttpRequest) -> Result<(DocId, VersionId), Problem> {
    let doc = named(request)?;
    let segment = request.uri().path().split('/').nth(5).unwrap_or_default();
    Ok((doc, version_id(segment)?))
}

fn version_id(text: &str) -> Result<VersionId, Problem> {
    text.parse().map_err(|_| {
        let detail = "A version is `v` and a number, or the number of an edit.";
        Problem::new(StatusCode::NOT_FOUND, "no-such-version", detail)
    })
}

pub(super) fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let read = |query: &str| web::Query::<T>::from_query(query).map_err(|error| error.to_string());
    let parameters = read(request.query_string()).map_err(|error| {
        // The error does not say of which parameter it is.
        let mut pairs = request.query_string().split('&');
        let bad = pairs.find(|pair| read(pair).is_err_and(|other| other == error));
        let name = bad
            .and_then(|pair| pair.split_once('='))
            .map(|(name, _)| format!(" `{name}`:"));
        let detail = format!(
            "The query can not be read:{} {error}.",
            name.unwrap_or_default()
        );
        Problem::bad_request("bad-query", detail)
    })?;
    Ok(parameters.into_inner())
}

/// Characters that are not drawn (Unicode, `Default_Ignorable_Code_Point`), and spaces.
fn is_invisible(c: char) -> bool {
    let is_ignorable = matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    is_ignorable || c.is_whitespace()
}

/// Characters that give what follows another direction, even where it should have its own (Unicode, UAX 9).
fn turns_around(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn valid_label(label: &str) -> Result<&str, Problem> {
    let label = label.trim();
    if label.chars().all(is_invisible) {
        let detail = "A version needs a name of at least one letter.";
        return Err(Problem::bad_request("bad-label", detail));
    }
    if label.chars().count() > MAX_LABEL_CHARS {
        let detail = format!("The name is longer than {MAX_LABEL_CHARS} characters.");
        return Err(Problem::bad_request("label-too-long", detail).limit(MAX_LABEL_CHARS as u64));
    }
    if label.chars().any(|c| c.is_control() || turns_around(c)) {
        let detail = "The name has a line break or another control character.";
        return Err(Problem::bad_request("bad-label", detail));
    }
    Ok(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_shown_by_a_name_that_is_not_their_secret() {
        let actor = Actor::random();
        let shown = author_id(actor.as_str());
        assert_eq!(shown, author_id(actor.as_str()));
        assert_eq!(shown.len(), 2 * AUTHOR_BYTES);
        assert!(!actor.as_str().contains(&shown));
        assert_ne!(shown, author_id(Actor::random().as_str()));
    }

    #[test]
    fn a_label_is_one_line_of_some_letters() {
        assert_eq!(valid_label("  Draft 1 ").unwrap(), "Draft 1");
        let unseen = ["\u{200b}", "\u{feff}\u{2060} \u{ad}", "\u{fe0f}"];
        let turned = ["\u{202e}Draft", "a\u{2067}b"];
        for label in [&["", "  ", "a\nb", "a\0b"][..], &unseen, &turned].concat() {
            assert!(valid_label(label).is_err(), "{label:?}");
        }
        // Joiners and marks of direction belong to some scripts and emoji.
        for label in [
            "👩\u{200d}🚀",
            "❤\u{fe0f}",
            "טיוטה\u{200f} 1",
            "می\u{200c}خواهم",
        ] {
            assert_eq!(valid_label(label).unwrap(), label);
        }
        assert!(valid_label(&"é".repeat(MAX_LABEL_CHARS)).is_ok());
        assert!(valid_label(&"é".repeat(MAX_LABEL_CHARS + 1)).is_err());
    }
}
