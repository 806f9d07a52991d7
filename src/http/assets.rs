//! The web app's files, embedded in the binary (a debug build reads them from `static/`).
//!
//! Names are stable, so a browser asks each time whether its copy is current: `no-cache` with a strong ETag, and 304.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::Write,
    sync::{LazyLock, Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap},
    },
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::{Http, Problem, error};
use crate::auth::actor::Actor;

#[derive(rust_embed::Embed)]
#[folder = "static/"]
struct Static;

/// Below this a compressed answer is no smaller in packets.
const MIN_GZIP_BYTES: usize = 1_000;

/// Compressed once per content, at first use. Bounded by the number of files.
static COMPRESSED: LazyLock<Mutex<HashMap<String, (Tag, Bytes)>>> = LazyLock::new(Mutex::default);

/// SHA-256 of a file's content.
type Tag = [u8; 32];

struct Asset {
    bytes: Bytes,
    tag: Tag,
    content_type: String,
}

/// The home page, the document page and the lab are one application; its router reads the address.
pub(super) async fn page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut response = serve(&request, "index.html").await?;
    if Actor::from_headers(request.headers()).is_none() {
        let https = request
            .app_data::<Http>()
            .expect("application() sets it")
            .0
            .https;
        response
            .headers_mut()
            .append(header::SET_COOKIE, Actor::random().set_cookie(https));
    }
    Ok(response)
}

/// Any other address: a file, or nothing.
pub(super) async fn file(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let response = serve(&request, &path).await?;
    match *request.method() {
        Method::GET | Method::HEAD => Ok(response),
        _ => Ok(error::method_not_allowed(&["GET", "HEAD"])),
    }
}

async fn serve(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let asset = find(path).ok_or_else(error::no_such_route)?;
    Ok(answer(request.headers(), path, asset).await)
}

async fn answer(request: &HeaderMap, path: &str, asset: Asset) -> HttpResponse {
    let compressed = match is_compressible(&asset) && accepts_gzip(request) {
        true => gzip(path, &asset).await,
        false => None,
    };
    let etag = etag(&asset.tag, compressed.is_some());
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::ETAG, etag.as_str()))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if is_compressible(&asset) {
        response.insert_header((header::VARY, "Accept-Encoding"));
    }
    if is_current(request, &etag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.insert_header((header::CONTENT_TYPE, asset.content_type));
    if compressed.is_some() {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    response.body(compressed.unwrap_or(asset.bytes))
}

/// Names are taken as they are, without decoding: ours need none, and so none can lead elsewhere.
fn find(path: &str) -> Option<Asset> {
    if path
        .split('/')
        .any(|segment| segment.is_empty() || segment.starts_with('.'))
    {
        return None;
    }
    let file = Static::get(path)?;
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(Asset {
        bytes,
        tag: file.metadata.sha256_hash(),
        content_type: content_type(path),
    })
}

fn content_type(path: &str) -> String {
    if path.ends_with(".webmanifest") {
        return "application/manifest+json".into();
    }
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    match (mime.type_(), mime.subtype()) {
        (mime_guess::mime::TEXT, _)
        | (_, mime_guess::mime::JAVASCRIPT | mime_guess::mime::JSON) => {
            format!("{}; charset=utf-8", mime.essence_str())
        }
        _ => mime.essence_str().to_owned(),
    }
}

fn is_compressible(asset: &Asset) -> bool {
    let kind = asset.content_type.as_str();
    asset.bytes.len() >= MIN_GZIP_BYTES
        && (kind.contains("charset=utf-8")
            || kind.contains("+xml")
            || kind.contains("+json")
            || kind.contains("wasm"))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|choice| {
            let mut parts = choice.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let refused = parts
                .any(|part| part.strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0_f32));
            is_gzip && !refused
        })
}

/// The compressed content, off the worker's thread when it is not made yet. `None` when that fails.
async fn gzip(path: &str, asset: &Asset) -> Option<Bytes> {
    let cache = || COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((tag, bytes)) = cache().get(path)
        && *tag == asset.tag
    {
        return Some(bytes.clone());
    }
    let content = asset.bytes.clone();
    let compressed = actix_web::web::block(move || {
        let mut encoder =
            GzEncoder::new(Vec::with_capacity(content.len() / 3), Compression::best());
        encoder.write_all(&content)?;
        encoder.finish()
    });
    let bytes = Bytes::from(compressed.await.ok()?.ok()?);
    cache().insert(path.to_owned(), (asset.tag, bytes.clone()));
    Some(bytes)
}

/// Strong, and so another one for the compressed bytes.
fn etag(tag: &Tag, compressed: bool) -> String {
    let hash: String = tag[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    if compressed {
        format!("\"{hash}-gzip\"")
    } else {
        format!("\"{hash}\"")
    }
}

/// Weak comparison, as RFC 9110, section 13.1.2 wants for `If-None-Match`: proxies weaken tags.
fn is_current(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| {
            let known = known.trim();
            known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
        })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn no_name_leads_out_of_the_files_or_to_hidden_ones() {
        for path in [
            "../Cargo.toml",
            "..",
            ".gitkeep",
            "a//b",
            "",
            "/etc/passwd",
            "..%2fCargo.toml",
            "%2e%2e/Cargo.toml",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
        assert!(find("index.html").is_some());
    }

    #[actix_web::test]
    async fn a_compressed_answer_has_a_tag_of_its_own_and_follows_the_content() {
        let gunzip = |bytes: &[u8]| {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes), &mut text)
                .unwrap();
            text
        };
        let asset = |text: &str, tag| Asset {
            bytes: Bytes::from(text.repeat(500)),
            tag: [tag; 32],
            content_type: content_type("app.js"),
        };
        for (text, tag) in [("let a;", 1), ("let b;", 2)] {
            let plain = answer(&HeaderMap::new(), "gzip-test.js", asset(text, tag)).await;
            let gzip = with(header::ACCEPT_ENCODING, "gzip");
            let packed = answer(&gzip, "gzip-test.js", asset(text, tag)).await;
            assert_eq!(
                packed.headers().get(header::CONTENT_ENCODING).unwrap(),
                "gzip"
            );
            for response in [&plain, &packed] {
                assert_eq!(
                    response.headers().get(header::VARY).unwrap(),
                    "Accept-Encoding"
                );
            }
            assert_ne!(
                plain.headers().get(header::ETAG),
                packed.headers().get(header::ETAG)
            );
            let body = actix_web::body::to_bytes(packed.into_body()).await.unwrap();
            assert_eq!(gunzip(&body), text.repeat(500));
        }
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (value, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
        ] {
            assert_eq!(
                accepts_gzip(&with(header::ACCEPT_ENCODING, value)),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn a_known_tag_is_found_in_a_list_and_when_weakened() {
        for value in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(
                is_current(&with(header::IF_NONE_MATCH, value), "\"a\""),
                "{value}"
            );
        }
        assert!(!is_current(
            &with(header::IF_NONE_MATCH, "\"a-gzip\""),
            "\"a\""
        ));
    }

    #[test]
    fn types_are_what_browsers_need_under_nosniff() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.css", "text/css; charset=utf-8"),
            ("logo.svg", "image/svg+xml"),
            ("inter.woff2", "font/woff2"),
            ("app.webmanifest", "application/manifest+json"),
            ("data.json", "application/json; charset=utf-8"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
