//! The JSON API of documents: list, create, read, rename, trash, restore, delete, content.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    body::MessageBody,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::{self, ServiceConfig},
};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Http, MAX_BODY_BYTES, Problem,
    library::{Document, Library, Person},
    resource,
    versions::query,
};
use crate::{
    auth::actor::Actor,
    clock::UnixMillis,
    document::{
        export::{FORMS, Form},
        id::{DocId, DocIdError, MAX_NAME_BYTES},
    },
    store::{DocState, ListQuery},
    timestamp::rfc3339,
};

/// Longest title, in characters.
const MAX_TITLE_CHARS: usize = 500;
/// How long a body may take; a slow sender must not hold a connection for long.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Documents per page when nothing is said, and at most.
const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 200;
/// Characters of a made-up name: 16 of 32 letters are 80 random bits, so that a name can not be guessed.
const NAME_CHARS: usize = 16;
const NAME_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Everything but the unreserved characters of RFC 3986.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn configure(cfg: &mut ServiceConfig) {
    cfg.service(
        resource("/api/docs")
            .route(web::get().to(list))
            .route(web::head().to(list))
            .route(web::post().to(create)),
    )
    .service(
        resource("/api/docs/{doc:[^/]*}")
            .route(web::get().to(get))
            .route(web::head().to(get))
            .route(web::patch().to(rename))
            .route(web::delete().to(delete)),
    )
    .service(
        resource("/api/docs/{doc:[^/]*}/content")
            .route(web::get().to(content))
            .route(web::head().to(content)),
    )
    .service(resource("/api/docs/{doc:[^/]*}/trash").route(web::post().to(trash)))
    .service(resource("/api/docs/{doc:[^/]*}/restore").route(web::post().to(restore)));
}

type Answer = Result<HttpResponse, Problem>;

/// A document as the API writes it.
#[derive(Serialize)]
struct Doc {
    id: String,
    title: String,
    state: DocState,
    epoch: u32,
    created_at: String,
    edited_at: String,
    trashed_at: Option<String>,
    people: Vec<Person>,
}

impl From<Document> for Doc {
    fn from(Document { record, people }: Document) -> Self {
        Self {
            id: record.doc.as_str().to_owned(),
            title: record.title,
            state: record.state,
            epoch: record.epoch,
            created_at: rfc3339(record.created_at),
            edited_at: rfc3339(record.edited_at),
            trashed_at: record.trashed_at.map(rfc3339),
            people,
        }
    }
}

#[derive(Serialize)]
struct Page {
    documents: Vec<Doc>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    state: Option<String>,
    q: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

async fn list(request: HttpRequest) -> Answer {
    let mut query = list_query(&request)?;
    let limit = query.limit as usize;
    // One more than asked for tells whether there is a next page.
    query.limit += 1;
    let mut documents = library(&request).list(&query).await?;
    let more = documents.len() > limit;
    documents.truncate(limit);
    let next = documents
        .last()
        .filter(|_| more)
        .map(|last| cursor(last.record.edited_at, &last.record.doc));
    let page = Page {
        documents: documents.into_iter().map(Doc::from).collect(),
        next,
    };
    Ok(json(HttpResponse::Ok(), &page))
}

fn list_query(request: &HttpRequest) -> Result<ListQuery, Problem> {
    let parameters: ListParameters = query(request)?;
    let state = match parameters.state.as_deref() {
        None | Some("live") => DocState::Live,
        Some("trashed") => DocState::Trashed,
        Some(_) => {
            return Err(Problem::bad_request(
                "bad-query",
                "`state` is `live` or `trashed`.",
            ));
        }
    };
    let limit = match parameters.limit.as_deref().map(str::parse) {
        None => DEFAULT_PAGE,
        Some(Ok(limit @ 1..=MAX_PAGE)) => limit,
        Some(_) => {
            let detail = format!("`limit` is a number from 1 to {MAX_PAGE}.");
            return Err(Problem::bad_request("bad-query", detail).limit(u64::from(MAX_PAGE)));
        }
    };
    let after = parameters.cursor.as_deref().map(|text| {
        let detail = "`cursor` is not one that this server gave; start again without it.";
        from_cursor(text).ok_or_else(|| Problem::bad_request("bad-cursor", detail))
    });
    let search = parameters
        .q
        .as_deref()
        .map(str::trim)
        .filter(|search| !search.is_empty());
    if search.is_some_and(|search| search.chars().count() > MAX_TITLE_CHARS) {
        let detail = format!("`q` is longer than {MAX_TITLE_CHARS} characters.");
        return Err(Problem::bad_request("bad-query", detail).limit(MAX_TITLE_CHARS as u64));
    }
    Ok(ListQuery {
        state,
        search: search.map(ToOwned::to_owned),
        after: after.transpose()?,
        limit,
    })
}

/// Where the next page starts. Clients hand it back as it is.
fn cursor(edited_at: UnixMillis, doc: &DocId) -> String {
    format!("{edited_at}~{}", encoded(doc))
}

fn from_cursor(text: &str) -> Option<(UnixMillis, DocId)> {
    let (edited_at, doc) = text.split_once('~')?;
    Some((edited_at.parse().ok()?, DocId::from_raw_path(doc).ok()?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDocument {
    title: Option<String>,
    id: Option<String>,
}

async fn create(request: HttpRequest, payload: web::Payload) -> Answer {
    let body = whole(payload).await?;
    let new: NewDocument = if body.is_empty() {
        NewDocument::default()
    } else {
        parsed(&body)?
    };
    let doc = match new.id {
        Some(id) => DocId::parse(&id).map_err(bad_name)?,
        None => random_name(),
    };
    let title = new
        .title
        .as_deref()
        .map(valid_title)
        .transpose()?
        .filter(|title| !title.is_empty());
    let actor = Actor::from_headers(request.headers());
    let document = library(&request)
        .create(&doc, title, actor.as_ref())
        .await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, format!("/api/docs/{}", encoded(&doc))));
    Ok(json(response, &Doc::from(document)))
}

async fn get(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    Ok(one(library(&request).get(&doc).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    title: String,
}

async fn rename(request: HttpRequest, payload: web::Payload) -> Answer {
    let doc = named(&request)?;
    let body = whole(payload).await?;
    let rename: Rename = parsed(&body)?;
    let title = valid_title(&rename.title)?;
    let actor = Actor::from_headers(request.headers());
    Ok(one(library(&request)
        .rename(&doc, title, actor.as_ref())
        .await?))
}

async fn trash(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    Ok(one(library(&request).trash(&doc).await?))
}

async fn restore(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    Ok(one(library(&request).restore(&doc).await?))
}

async fn delete(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    library(&request).delete(&doc).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentParameters {
    r#as: Option<String>,
}

async fn content(request: HttpRequest) -> Answer {
    let doc = named(&request)?;
    let parameters = web::Query::<ContentParameters>::from_query(request.query_string())
        .map_err(|_| unknown_form())?;
    let form = parameters.r#as.as_deref().and_then(Form::named);
    let form = form.ok_or_else(unknown_form)?;
    let bytes = library(&request).content(&doc, form).await?;
    Ok(content_of(form, bytes))
}

fn library(request: &HttpRequest) -> &dyn Library {
    request
        .app_data::<Http>()
        .expect("application() sets it")
        .0
        .library
        .as_ref()
}

/// The name in the raw path. The framework's own decoding would make `%FF` and `%FE` one name and keep `%2F`.
pub(super) fn named(request: &HttpRequest) -> Result<DocId, Problem> {
    let segment = request.uri().path().split('/').nth(3).unwrap_or_default();
    DocId::from_raw_path(segment).map_err(bad_name)
}

fn bad_name(error: DocIdError) -> Problem {
    let detail = format!(
        "A document name is 1 to {MAX_NAME_BYTES} bytes of UTF-8 without control characters (in an address, a slash \
         is written %2F): {error}."
    );
    let problem = Problem::bad_request("bad-name", detail);
    if error == DocIdError::TooLong {
        problem.limit(MAX_NAME_BYTES as u64)
    } else {
        problem
    }
}

fn valid_title(title: &str) -> Result<&str, Problem> {
    let title = title.trim();
    if title.chars().count() > MAX_TITLE_CHARS {
        let detail = format!("The title is longer than {MAX_TITLE_CHARS} characters.");
        return Err(Problem::bad_request("title-too-long", detail).limit(MAX_TITLE_CHARS as u64));
    }
    if title.chars().any(char::is_control) {
        return Err(Problem::bad_request(
            "bad-title",
            "The title has a line break or another control character.",
        ));
    }
    Ok(title)
}

/// The whole body. One that is too large or too slow ends the connection, as what is left of it is nobody's.
pub(super) async fn whole(payload: web::Payload) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, payload.to_bytes_limited(MAX_BODY_BYTES)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => {
            Err(Problem::bad_request("bad-body", "The body did not arrive whole.").and_close())
        }
        Ok(Err(_)) => Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE).and_close()),
        Err(_) => Err(Problem::of_status(StatusCode::REQUEST_TIMEOUT).and_close()),
    }
}

pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request("bad-json", format!("The body can not be read: {error}."))
    })
}

fn random_name() -> DocId {
    let random: [u8; NAME_CHARS] = rand::random();
    let name: String = random
        .iter()
        .map(|byte| char::from(NAME_ALPHABET[usize::from(byte % 32)]))
        .collect();
    DocId::parse(&name).expect("16 letters are a name")
}

pub(super) fn encoded(doc: &DocId) -> String {
    utf8_percent_encode(doc.as_str(), IN_SEGMENT).to_string()
}

fn one(document: Document) -> HttpResponse {
    json(HttpResponse::Ok(), &Doc::from(document))
}

pub(super) fn unknown_form() -> Problem {
    Problem::bad_request("bad-form", format!("`as` names the form: {FORMS}."))
}

/// A document's content in a form.
pub(super) fn content_of(form: Form, body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, form.content_type()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}

pub(super) fn json(
    mut response: actix_web::HttpResponseBuilder,
    body: &impl Serialize,
) -> HttpResponse {
    response
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .json(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_out() {
        let doc = DocId::parse("a/b~c ü").unwrap();
        assert_eq!(from_cursor(&cursor(17, &doc)), Some((17, doc)));
        assert_eq!(from_cursor("17"), None);
        assert_eq!(from_cursor("x~y"), None);
    }

    #[test]
    fn a_made_up_name_is_short_and_new() {
        let name = random_name();
        assert_eq!(name.as_str().len(), NAME_CHARS);
        assert_ne!(name, random_name());
        assert_eq!(encoded(&name), name.as_str());
    }
}
