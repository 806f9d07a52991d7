//! HTTP: the pages, the JSON API, health and metrics, and the policies that hold for every request.
//!
//! A request passes, from the outside in: `headers` (what every response carries), `guard` (is this host ours, may this
//! origin do that), `error::catch_panics`, and then a handler. Every error of every layer leaves as one problem
//! document, made in `error`. Documents are reached through the [`Library`] port only.

mod assets;
mod documents;
mod error;
mod forget;
pub mod guard;
mod headers;
mod health;
pub mod library;
mod moment;
mod openapi;
mod step;
mod unread;
mod versions;

use std::sync::Arc;

use actix_web::{
    App, Error, HttpResponse, Resource,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web::{self, ServiceConfig},
};

pub use error::Problem;
pub use library::{Document, Library, LibraryError, Person};

use crate::{clock::Clock, config::Config, health::Health, history::History, metrics::Metrics};
use guard::Guard;

/// Longest body of an API request, in bytes: a title and a name are far below.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// Every route with its methods; `Allow` is made from it, and a test compares it with the OpenAPI document.
pub const ROUTES: &[(&str, &[&str])] = &[
    ("/", &["GET", "HEAD"]),
    ("/d/{doc}", &["GET", "HEAD"]),
    ("/lab", &["GET", "HEAD"]),
    ("/healthz", &["GET", "HEAD"]),
    ("/readyz", &["GET", "HEAD"]),
    ("/metrics", &["GET", "HEAD"]),
    ("/api/openapi.json", &["GET", "HEAD"]),
    ("/api/docs", &["GET", "HEAD", "POST"]),
    ("/api/docs/{doc}", &["GET", "HEAD", "PATCH", "DELETE"]),
    ("/api/docs/{doc}/content", &["GET", "HEAD"]),
    (
        "/api/docs/{doc}/versions",
        &["GET", "HEAD", "POST", "DELETE"],
    ),
    ("/api/docs/{doc}/versions/thin", &["POST"]),
    (
        "/api/docs/{doc}/versions/{version}",
        &["GET", "HEAD", "PATCH", "DELETE"],
    ),
    ("/api/docs/{doc}/versions/{version}/restore", &["POST"]),
    (
        "/api/docs/{doc}/versions/{version}/diff/{other}",
        &["GET", "HEAD"],
    ),
    ("/api/docs/{doc}/at", &["GET", "HEAD"]),
    ("/api/docs/{doc}/trash", &["POST"]),
    ("/api/docs/{doc}/restore", &["POST"]),
];

/// What the handlers need; one per server, cheap to clone.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

struct Shared {
    guard: Guard,
    headers: headers::Headers,
    library: Arc<dyn Library>,
    history: Arc<History>,
    clock: Arc<dyn Clock>,
    health: Health,
    metrics: Metrics,
    /// Whether cookies must only travel by https.
    https: bool,
    metrics_on_main: bool,
}

impl Http {
    pub fn new(
        config: &Config,
        library: Arc<dyn Library>,
        history: Arc<History>,
        clock: Arc<dyn Clock>,
        health: Health,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Shared {
            guard: Guard::new(config),
            headers: headers::Headers::new(config.is_https()),
            library,
            history,
            clock,
            health,
            metrics,
            https: config.is_https(),
            metrics_on_main: config.is_loopback() && config.metrics_listen.is_none(),
        }))
    }

    /// The policy of hosts and origins, for what else takes connections.
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }
}

/// The whole application; `more` adds routes of other transports, which stand under the same policies.
///
/// A WebSocket upgrade that reaches a handler has passed the host and origin checks.
pub fn application<F: FnOnce(&mut ServiceConfig)>(
    http: &Http,
    more: F,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    > + use<F>,
> {
    App::new()
        .app_data(http.clone())
        .configure(more)
        .configure(|cfg| configure(cfg, http.0.metrics_on_main))
        .wrap(from_fn(error::catch_panics))
        .wrap(from_fn(guard::enforce))
        .wrap(from_fn(headers::add))
        .wrap(from_fn(unread::drain))
}

/// What answers on `metrics_listen`: `/metrics` and nothing else. Its host is not checked, as scrapers use any name;
/// there is nothing to change and nothing of a document to read.
pub fn metrics_application(
    http: &Http,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(http.clone())
        .service(reading("/metrics", health::metrics))
        .default_service(web::to(nothing_here))
        .wrap(from_fn(headers::add))
}

fn configure(cfg: &mut ServiceConfig, metrics: bool) {
    if metrics {
        cfg.service(reading("/metrics", health::local_metrics));
    }
    cfg.service(reading("/", assets::page))
        .service(reading("/d/{doc:.*}", assets::page))
        .service(reading("/lab", assets::page))
        .service(reading("/healthz", health::live))
        .service(reading("/readyz", health::ready))
        .service(reading("/api/openapi.json", openapi::document))
        .configure(documents::configure)
        .configure(versions::configure)
        .default_service(web::to(assets::file));
}

/// A resource that is only read.
fn reading<Args, H>(path: &str, handler: H) -> Resource
where
    H: actix_web::Handler<Args, Output: actix_web::Responder + 'static>,
    Args: actix_web::FromRequest + 'static,
{
    resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}

/// A resource that answers 405 with `Allow` for the methods it does not have. A path may carry patterns (`{doc:.*}`).
fn resource(path: &str) -> Resource {
    let mut name = String::new();
    for (place, part) in path.split(':').enumerate() {
        let end = part.find('}').filter(|_| place > 0);
        name += &part[end.unwrap_or(0)..];
    }
    let (_, methods) = ROUTES
        .iter()
        .find(|(route, _)| *route == name)
        .expect("every resource is in ROUTES");
    web::resource(path).default_service(web::to(move || async move {
        error::method_not_allowed(methods)
    }))
}

async fn nothing_here() -> HttpResponse {
    error::no_such_route().into()
}
