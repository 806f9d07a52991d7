//! `/healthz`, `/readyz` and `/metrics`: what machines ask.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};

use super::{Http, Problem, error};
use crate::{health::NotReady, metrics};

/// The process answers; a restart would not help anything.
pub(super) async fn live() -> HttpResponse {
    text("ok\n")
}

/// Whether new sockets are welcome here: 503 while edits can not be saved and while stopping.
pub(super) async fn ready(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let http = request.app_data::<Http>().expect("application() sets it");
    let problem = |error: &NotReady, code, seconds| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string()).retry_after(seconds)
    };
    match http.0.health.ready() {
        Ok(()) => Ok(text("ready\n")),
        Err(error @ NotReady::NotStoring(_)) => Err(problem(&error, "not-storing", 5)),
        Err(error @ NotReady::Draining) => Err(problem(&error, "draining", 2)),
    }
}

/// On the main address only for this machine: a proxy in front must not publish it.
pub(super) async fn local_metrics(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let http = request.app_data::<Http>().expect("application() sets it");
    if !http.0.guard.is_local(request.head()) {
        return Err(error::no_such_route());
    }
    Ok(metrics(request).await)
}

pub(super) async fn metrics(request: HttpRequest) -> HttpResponse {
    let http = request.app_data::<Http>().expect("application() sets it");
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, metrics::CONTENT_TYPE))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(http.0.metrics.render())
}

fn text(body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}
