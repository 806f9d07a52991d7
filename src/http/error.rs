//! The one place that makes error responses: problem documents (RFC 9457) that say what is wrong and what to do.

use std::{fmt, panic::AssertUnwindSafe};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use futures_util::FutureExt;
use serde::Serialize;

use super::{MAX_BODY_BYTES, library::LibraryError};
use crate::{history::HistoryError, store::DocState};

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error as a client sees it.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    limit: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
    close: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

impl Problem {
    /// `code` is for programs and stable; `detail` is for people and says what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            limit: None,
            headers: Vec::new(),
            close: false,
        }
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The bound that was exceeded, in the unit that `detail` names.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// It may work later: tells when to try again.
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Ends the connection after the answer.
    pub(super) fn and_close(mut self) -> Self {
        self.close = true;
        self
    }

    /// What is said when nothing better is known than a status.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => return no_such_route(),
            StatusCode::INTERNAL_SERVER_ERROR => return internal(),
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("The body is larger than {MAX_BODY_BYTES} bytes.");
                return Self::new(status, "body-too-large", detail).limit(MAX_BODY_BYTES as u64);
            }
            StatusCode::METHOD_NOT_ALLOWED => (
                "method-not-allowed",
                "This address does not take this method.",
            ),
            StatusCode::REQUEST_TIMEOUT => ("timeout", "The request took too long to arrive."),
            StatusCode::UPGRADE_REQUIRED => (
                "upgrade-required",
                "This address takes WebSocket connections only.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => (
                "unavailable",
                "The server can not take this now; try again soon.",
            ),
            status if status.is_client_error() => (
                "bad-request",
                "The request is not one that this address takes.",
            ),
            _ => ("failed", "The server could not answer this request."),
        };
        Self::new(status, code, detail)
    }

    fn body(&self) -> String {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            limit: self.limit,
        };
        serde_json::to_string(&document).expect("a struct of strings and numbers serialises")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, CONTENT_TYPE));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        for header in &self.headers {
            response.insert_header(header.clone());
        }
        if self.close {
            response.force_close();
        }
        response.body(self.body())
    }
}

impl From<Problem> for HttpResponse {
    fn from(problem: Problem) -> Self {
        problem.error_response()
    }
}

impl From<LibraryError> for Problem {
    fn from(error: LibraryError) -> Self {
        let detail = error.to_string();
        match error {
            LibraryError::NotFound => Self::new(StatusCode::NOT_FOUND, "not-found", detail),
            LibraryError::Deleted => Self::new(StatusCode::GONE, "deleted", detail),
            LibraryError::Exists => Self::new(StatusCode::CONFLICT, "exists", detail),
            LibraryError::InTrash => Self::new(StatusCode::CONFLICT, "in-trash", detail),
            LibraryError::NotInTrash => Self::new(StatusCode::CONFLICT, "not-in-trash", detail),
            LibraryError::Quarantined => Self::new(StatusCode::CONFLICT, "quarantined", detail),
            LibraryError::DamagedHistory => Self::new(StatusCode::CONFLICT, "damaged", detail),
            LibraryError::NotReady => Self::new(StatusCode::CONFLICT, "not-ready", detail),
            LibraryError::Refused(_) => Self::new(StatusCode::CONFLICT, "refused", detail),
            LibraryError::NotStoring(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-storing", detail).retry_after(5)
            }
            // No word of when to try again: the edit would be made twice.
            LibraryError::NotStoredYet => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-stored-yet", detail)
            }
            LibraryError::Draining => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail).retry_after(2)
            }
            LibraryError::Internal(source) => {
                tracing::error!(error = %chain(source.as_ref()), "a request failed");
                internal()
            }
        }
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let detail = error.to_string();
        match error {
            HistoryError::NoDocument => Self::new(StatusCode::NOT_FOUND, "not-found", detail),
            HistoryError::Deleted => Self::new(StatusCode::GONE, "deleted", detail),
            HistoryError::NoVersion => Self::new(StatusCode::NOT_FOUND, "no-such-version", detail),
            HistoryError::NoMoment { head, .. } => {
                Self::new(StatusCode::NOT_FOUND, "no-such-moment", detail).limit(head)
            }
            HistoryError::Thinned { kept, .. } => {
                Self::new(StatusCode::CONFLICT, "thinned", detail).limit(kept)
            }
            HistoryError::NotSince { .. } => Self::bad_request("bad-part", detail),
            HistoryError::RestoredSince { .. } => {
                Self::new(StatusCode::CONFLICT, "restored-since", detail)
            }
            HistoryError::NothingYet => Self::new(StatusCode::NOT_FOUND, "nothing-yet", detail),
            HistoryError::Restore(_) => Self::new(StatusCode::CONFLICT, "not-restorable", detail),
            HistoryError::Restoring => {
                Self::new(StatusCode::CONFLICT, "restoring", detail).retry_after(1)
            }
            HistoryError::TooManyNames { limit } => {
                Self::new(StatusCode::CONFLICT, "too-many-names", detail).limit(limit as u64)
            }
            HistoryError::Purged => Self::new(StatusCode::GONE, "purged", detail),
            HistoryError::Changed => {
                Self::new(StatusCode::CONFLICT, "changed", detail).retry_after(1)
            }
            HistoryError::NotNamed => Self::new(StatusCode::CONFLICT, "not-named", detail),
            HistoryError::NotLive(DocState::Trashed) => LibraryError::InTrash.into(),
            HistoryError::NotLive(_) => LibraryError::Quarantined.into(),
            HistoryError::Store(source) if source.is_transient() => {
                LibraryError::NotStoring(source.to_string().into()).into()
            }
            error @ HistoryError::Damaged(_) => {
                tracing::error!(error = %chain(&error), "a history can not be read");
                Self::new(StatusCode::CONFLICT, "damaged", detail)
            }
            error => {
                tracing::error!(error = %chain(&error), "a request failed");
                internal()
            }
        }
    }
}

/// An error with all its causes on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn internal() -> Problem {
    let detail = "The server failed at this request. Try it again; when it fails again, the server's log says why.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

pub(super) fn no_such_route() -> Problem {
    let detail = "There is nothing at this address. /api/openapi.json lists what the API has.";
    Problem::new(StatusCode::NOT_FOUND, "no-such-route", detail)
}

pub(super) fn method_not_allowed(methods: &[&str]) -> HttpResponse {
    let allow = methods.join(", ");
    let value = HeaderValue::from_str(&allow).expect("method names are ASCII");
    let detail = format!("This address takes {allow}.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        .header(header::ALLOW, value)
        .into()
}

/// Makes a problem document of an error response that is none: those of the framework and of other transports.
/// Headers such as `Allow` and `Retry-After` stay.
pub(super) fn normalise(response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
    let is_problem = |headers: &HeaderMap| headers.get(header::CONTENT_TYPE) == Some(&CONTENT_TYPE);
    if response.status().as_u16() < 400 || is_problem(response.headers()) {
        return response;
    }
    let problem = Problem::of_status(response.status());
    let mut response = response.set_body(BoxBody::new(problem.body()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// A panic in a handler ends that request only, with an answer. The panic hook has logged the place.
pub(super) async fn catch_panics<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answer) => answer.map(ServiceResponse::map_into_boxed_body),
        Err(_panic) => Err(internal().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_fields_of_the_rfc_and_ours() {
        let problem = Problem::bad_request("bad-name", "The name is too long.").limit(255);
        let body: serde_json::Value = serde_json::from_str(&problem.body()).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Bad Request", "status": 400,
            "detail": "The name is too long.", "code": "bad-name", "limit": 255,
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn an_error_of_the_framework_becomes_a_problem_and_keeps_its_headers() {
        let response = HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, 7))
            .body("plain");
        let response = normalise(response);
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE),
            Some(&CONTENT_TYPE)
        );
        assert_eq!(
            response.headers().get(header::RETRY_AFTER),
            Some(&HeaderValue::from(7))
        );
        let untouched = normalise(HttpResponse::Ok().body("plain"));
        assert_eq!(untouched.headers().get(header::CONTENT_TYPE), None);
    }
}
