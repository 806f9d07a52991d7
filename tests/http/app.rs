//! One running server per test, and a client that speaks to it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use coscribe::{
    clock::ManualClock,
    config::{Config, Environment, Flags},
    document::scan::ScanLimits,
    health::Health,
    history::History,
    http::{self, Http},
    lifecycle::Lifecycle,
    metrics::Metrics,
    store::memory::MemoryStore,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::library::MemoryLibrary;

/// 2026-11-21T00:00:00Z.
const NOW: i64 = 1_795_219_200_000;

pub struct TestApp {
    pub address: SocketAddr,
    pub health: Health,
    pub metrics: Metrics,
    pub library: Arc<MemoryLibrary>,
    /// Where the past is read from; the library knows nothing of it.
    pub store: Arc<MemoryStore>,
    pub clock: Arc<ManualClock>,
    http: Http,
    client: Client,
    server: ServerHandle,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with these settings. A `listen` that is no loopback only decides the policies: the socket is always on
    /// the loopback.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let config = Config::load(
            &Flags::of(settings.iter().copied()),
            &Environment::default(),
        )
        .unwrap();
        let health = Health::default();
        let metrics = Metrics::new(health.clone());
        let clock = Arc::new(ManualClock::at(NOW));
        let library = Arc::new(MemoryLibrary::new(clock.clone()));
        let store = Arc::new(MemoryStore::new());
        let history = Arc::new(History::new(store.clone(), ScanLimits::default()));
        let http = Http::new(
            &config,
            library.clone(),
            history,
            clock.clone(),
            health.clone(),
            metrics.clone(),
        );
        let shared = http.clone();
        let server = HttpServer::new(move || http::application(&shared, more))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        let lifecycle = Lifecycle::new(tokio::runtime::Handle::current());
        drop(lifecycle.tasks().spawn(server));
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            address,
            health,
            metrics,
            library,
            store,
            clock,
            http,
            client,
            server: handle,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.request(Method::POST, path)
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    /// A change without a body, marked as ours.
    pub async fn act(&self, method: Method, path: &str) -> Response {
        self.request(method, path)
            .header("X-Requested-With", "coscribe")
            .send()
            .await
            .unwrap()
    }

    /// A WebSocket upgrade with these headers; answers the status.
    pub async fn upgrade(&self, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = self
            .request(Method::GET, "/ws/doc")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status()
    }

    /// Bytes as they are, for what no client would send; answers everything until the server closes.
    pub async fn raw(&self, bytes: &str) -> String {
        let (address, bytes) = (self.address, bytes.to_owned());
        let exchange = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    /// Starts what would answer on `metrics_listen`.
    pub fn start_metrics(&self) -> (SocketAddr, ServerHandle) {
        let http = self.http.clone();
        let server = HttpServer::new(move || http::metrics_application(&http))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        drop(
            Lifecycle::new(tokio::runtime::Handle::current())
                .tasks()
                .spawn(server),
        );
        (address, handle)
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

/// Routes as the other transport adds them, and one that fails.
fn more(cfg: &mut web::ServiceConfig) {
    cfg.route("/ws/{doc:.*}", web::get().to(socket))
        .route("/boom", web::get().to(boom))
        .route("/raw", web::get().to(raw));
}

async fn socket(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (response, _session, _messages) = actix_ws::handle(&request, body)?;
    Ok(response)
}

async fn boom() -> HttpResponse {
    panic!("canary text of a document")
}

async fn raw() -> actix_web::Result<HttpResponse> {
    Err(actix_web::error::ErrorImATeapot("plain words of a library"))
}

/// The answer is a problem document with this status and code, whatever else; answers the document.
pub async fn problem(response: Response, status: u16, code: &str) -> Value {
    let place = response.url().path().to_owned();
    assert_eq!(response.status().as_u16(), status, "status of {place}");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json",
        "{place}"
    );
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], code, "{place}: {body}");
    assert_eq!(body["status"], status, "{place}: {body}");
    for field in ["type", "title", "detail"] {
        assert!(
            body[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field} of {place}: {body}"
        );
    }
    body
}

pub async fn json(response: Response, status: u16) -> Value {
    let place = response.url().path().to_owned();
    let found = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{place}: {text}");
    serde_json::from_str(&text).unwrap()
}
