//! What every response carries, whatever it answers: the headers that keep a page of ours from being turned against
//! its reader.

use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
};

use super::{Http, error};

/// Scripts and styles from our own files only, nothing inline. Images may come from anywhere by https, as documents
/// link to them. `'self'` of `connect-src` covers our WebSockets in every current browser.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob: data: https:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";

const PERMISSIONS_POLICY: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), midi=(), \
     display-capture=(), browsing-topics=()";

/// A year; sub-domains are somebody else's business.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// The headers, parsed once.
#[derive(Debug)]
pub(super) struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    pub(super) fn new(https: bool) -> Self {
        let mut headers = vec![
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
            (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
            (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
            (header::PERMISSIONS_POLICY, PERMISSIONS_POLICY),
        ];
        if https {
            headers.push((header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY));
        }
        Self(
            headers
                .into_iter()
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .collect(),
        )
    }

    fn add_to(&self, response: &mut HeaderMap) {
        for (name, value) in &self.0 {
            response.insert(name.clone(), value.clone());
        }
    }
}

/// The outermost middleware: also turns every error into a problem document.
pub(super) async fn add<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http = request
        .app_data::<Http>()
        .expect("application() sets it")
        .clone();
    let headers = &http.0.headers;
    match next.call(request).await {
        Ok(response) => {
            let (request, response) = response.map_into_boxed_body().into_parts();
            let mut response = error::normalise(response);
            headers.add_to(response.headers_mut());
            Ok(ServiceResponse::new(request, response))
        }
        Err(error) => {
            let mut response = error::normalise(error.error_response());
            headers.add_to(response.headers_mut());
            Err(InternalError::from_response(error, response).into())
        }
    }
}
