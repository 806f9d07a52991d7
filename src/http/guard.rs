//! Who may ask for what, before any handler sees it: the Host header, the Origin, and the form of what changes things.
//!
//! Three attacks end here. *DNS rebinding*: a foreign page reaches us under a name that its owner pointed at our
//! address; the Host header carries that name. *Cross-site WebSocket hijacking*: browsers let any page open a socket
//! anywhere and only say so in `Origin`. *Cross-site requests*: a form of another site can post, but neither as JSON nor
//! with a header of its own.

use std::net::SocketAddr;

use actix_web::{
    Error, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{RequestHead, ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
        uri::Authority,
    },
    middleware::Next,
};
use url::Host;

use super::{Http, Problem};
use crate::{
    config::{
        Access, Config,
        origin::{Origin, is_loopback},
    },
    metrics::SocketRefusal,
};

/// Longest address of a request, path and query, in bytes.
const MAX_URL_BYTES: usize = 8 << 10;
/// All headers of a request together, in bytes.
const MAX_HEADER_BYTES: usize = 32 << 10;
/// What a request without a body carries to show that no form made it.
const MARK: (HeaderName, &str) = (HeaderName::from_static("x-requested-with"), "coscribe");
/// What proxies add.
const FORWARDED: [HeaderName; 2] = [header::FORWARDED, header::X_FORWARDED_FOR];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The hosts we answer to and the origins that may act.
#[derive(Debug, Clone)]
pub struct Guard {
    listen: SocketAddr,
    public_url: Option<Origin>,
    allow_origin: Vec<Origin>,
    /// Programs that are no browsers send no Origin; with accounts they will have to show a token instead.
    without_origin: bool,
}

/// The host that a request is for, which is one of ours.
struct OwnHost {
    host: Host,
    /// As the request spells it, with its port.
    authority: String,
}

impl Guard {
    pub fn new(config: &Config) -> Self {
        Self {
            listen: config.listen,
            public_url: config.public_url.clone(),
            allow_origin: config.allow_origin.clone(),
            without_origin: config.access == Access::Open,
        }
    }

    /// Whether a request may open a socket: its host is ours and its origin is allowed.
    ///
    /// # Errors
    /// The problem to answer with.
    pub fn check_upgrade(&self, head: &RequestHead) -> Result<(), Problem> {
        let host = self.own_host(head)?;
        self.check_origin(&head.headers, &host).map(drop)
    }

    /// Whether somebody on this machine asks, and not through a proxy on it.
    pub(super) fn is_local(&self, head: &RequestHead) -> bool {
        let forwarded = FORWARDED.iter().any(|name| head.headers.contains_key(name));
        !forwarded
            && self
                .own_host(head)
                .is_ok_and(|host| is_loopback(&host.host))
    }

    /// Every place that names a host (absolute target, Host headers) must name one of ours.
    fn own_host(&self, head: &RequestHead) -> Result<OwnHost, Problem> {
        let mut own = None;
        let target = head
            .uri
            .authority()
            .map(|authority| Some(authority.as_str()));
        let headers = head
            .headers
            .get_all(header::HOST)
            .map(|value| value.to_str().ok());
        for named in target.into_iter().chain(headers) {
            let authority = named.unwrap_or_default();
            let host = host_of(authority)
                .filter(|host| self.is_ours(host))
                .ok_or_else(misdirected)?;
            own.get_or_insert(OwnHost {
                host,
                authority: authority.to_owned(),
            });
        }
        own.ok_or_else(|| {
            Problem::bad_request(
                "no-host",
                "The request names no host; HTTP/1.1 needs a Host header.",
            )
        })
    }

    /// Ports are not compared: tunnels and container mappings change them, and rebinding is about names. For the same
    /// reason an IP address is harmless on a server that the network may reach anyway.
    fn is_ours(&self, host: &Host) -> bool {
        if self
            .public_url
            .as_ref()
            .is_some_and(|url| url.host() == host)
        {
            return true;
        }
        match host {
            _ if is_loopback(host) => {
                self.listen.ip().is_loopback() || self.listen.ip().is_unspecified()
            }
            Host::Domain(_) => false,
            Host::Ipv4(_) | Host::Ipv6(_) => !self.listen.ip().is_loopback(),
        }
    }

    /// Whether the origin may act; answers it when it is one that needs leave to read the answer (CORS).
    fn check_origin(&self, headers: &HeaderMap, host: &OwnHost) -> Result<Option<Origin>, Problem> {
        let mut origins = headers.get_all(header::ORIGIN);
        let Some(first) = origins.next() else {
            return if self.without_origin && !is_cross_site(headers) {
                Ok(None)
            } else {
                Err(refused())
            };
        };
        let origin = first
            .to_str()
            .ok()
            .and_then(Origin::from_header)
            .ok_or_else(refused)?;
        if origins.next().is_some() || !self.is_allowed(&origin, host) {
            return Err(refused());
        }
        Ok((!is_same(&origin, host)).then_some(origin))
    }

    fn is_allowed(&self, origin: &Origin, host: &OwnHost) -> bool {
        if self.public_url.as_ref() == Some(origin) || self.allow_origin.contains(origin) {
            return true;
        }
        // Under a loopback name only this machine asks; its other pages are the developer's own. A request that came
        // through a proxy has the public name, and there a visitor's `http://localhost` page has no business.
        if self.listen.ip().is_loopback() && is_loopback(&host.host) {
            return is_loopback(origin.host());
        }
        // Behind a proxy the public URL alone tells scheme and port.
        !self.is_public(&host.host) && is_same(origin, host)
    }

    fn is_public(&self, host: &Host) -> bool {
        self.public_url
            .as_ref()
            .is_some_and(|url| url.host() == host)
    }
}

/// `http://` and the host and port that the request names: without a proxy we speak no https.
fn is_same(origin: &Origin, host: &OwnHost) -> bool {
    Origin::from_setting(&format!("http://{}", host.authority)).is_ok_and(|own| own == *origin)
}

fn host_of(authority: &str) -> Option<Host> {
    let authority: Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    Host::parse(authority.host()).ok()
}

/// Browsers say where a request comes from even where they send no Origin.
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get(SEC_FETCH_SITE)
        .is_some_and(|site| site != "same-origin" && site != "none")
}

fn misdirected() -> Problem {
    let detail = "The server does not answer to this host name. Reach it by its listen address, or start it with \
                  --public-url set to the address that people use.";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown-host", detail)
}

fn refused() -> Problem {
    let detail = "Pages of this origin may not do this. If they should, start the server with --allow-origin set to \
                  that origin (scheme, host and port), or --public-url if it is the server's own address.";
    Problem::new(StatusCode::FORBIDDEN, "origin-refused", detail)
}

/// The middleware: nothing that fails a check reaches a handler.
pub(super) async fn enforce<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http = request
        .app_data::<Http>()
        .expect("application() sets it")
        .clone();
    match http.0.guard.check(request.head()) {
        Ok(Pass::Handle(None)) => Ok(next.call(request).await?.map_into_boxed_body()),
        Ok(Pass::Handle(Some(origin))) => {
            let mut response = next.call(request).await?.map_into_boxed_body();
            allow_reading(response.headers_mut(), &origin);
            Ok(response)
        }
        Ok(Pass::Preflight(origin)) => Ok(request.into_response(preflight(&origin))),
        Err(problem) => {
            if is_upgrade(request.headers()) {
                http.0.metrics.sockets_refused.inc(SocketRefusal::Origin);
            }
            Ok(request.into_response(HttpResponse::from(problem)))
        }
    }
}

/// What becomes of a request that passed.
enum Pass {
    /// A handler sees it; a page of this other origin may read the answer.
    Handle(Option<Origin>),
    /// A browser asks whether a page of this origin may do what it wants to.
    Preflight(Origin),
}

impl Guard {
    fn check(&self, head: &RequestHead) -> Result<Pass, Problem> {
        check_size(head)?;
        // Probes of containers use any name, and there is nothing in these answers.
        if matches!(head.uri.path(), "/healthz" | "/readyz") && is_reading(&head.method) {
            return Ok(Pass::Handle(None));
        }
        let host = self.own_host(head)?;
        if is_upgrade(&head.headers) {
            self.check_origin(&head.headers, &host)?;
            return Ok(Pass::Handle(None));
        }
        if head.method == Method::OPTIONS
            && head
                .headers
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            return self
                .check_origin(&head.headers, &host)?
                .map(Pass::Preflight)
                .ok_or_else(refused);
        }
        if is_reading(&head.method) {
            // Reading is free; only whether a foreign page gets to see the answer depends on its origin.
            return Ok(Pass::Handle(
                self.check_origin(&head.headers, &host).ok().flatten(),
            ));
        }
        let origin = self.check_origin(&head.headers, &host)?;
        check_form(&head.headers)?;
        Ok(Pass::Handle(origin))
    }
}

fn check_size(head: &RequestHead) -> Result<(), Problem> {
    let url = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if url > MAX_URL_BYTES {
        let detail = format!("The address is longer than {MAX_URL_BYTES} bytes.");
        return Err(
            Problem::new(StatusCode::URI_TOO_LONG, "url-too-long", detail)
                .limit(MAX_URL_BYTES as u64),
        );
    }
    let headers: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers > MAX_HEADER_BYTES {
        let detail = format!(
            "The headers are longer than {MAX_HEADER_BYTES} bytes; clearing the cookies may help."
        );
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(
            Problem::new(status, "headers-too-large", detail).limit(MAX_HEADER_BYTES as u64)
        );
    }
    Ok(())
}

/// What changes something must be JSON, or carry our mark when it has no body: a form of another site can do neither.
fn check_form(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    if has_body {
        let detail = "The body must be JSON, sent with `Content-Type: application/json`.";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            detail,
        ));
    }
    let (name, value) = MARK;
    if headers.get(&name).is_some_and(|given| given == value) {
        return Ok(());
    }
    let detail = "A request without a body must carry `X-Requested-With: coscribe`.";
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "unmarked-request",
        detail,
    ))
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

fn allow_reading(headers: &mut HeaderMap, origin: &Origin) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin_value(origin));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

fn preflight(origin: &Origin) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin_value(origin)))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PATCH, DELETE",
        ))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "content-type, x-requested-with",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"))
        .insert_header((header::VARY, "Origin"))
        .finish()
}

fn origin_value(origin: &Origin) -> HeaderValue {
    HeaderValue::from_str(origin.as_str()).expect("a serialised origin is ASCII")
}
