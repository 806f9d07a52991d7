//! Which hosts are answered, and which origins may open sockets, change things and read answers.

use reqwest::Method;
use serde_json::json as value;

use crate::app::{TestApp, json, problem};

async fn status_for_host(app: &TestApp, host: &str) -> u16 {
    let answer = app
        .raw(&format!(
            "GET /api/docs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[actix_web::test]
async fn only_our_own_host_names_are_answered() {
    let loopback = TestApp::with(&[("public_url", "https://docs.example.org")]).await;
    let network = TestApp::with(&[("listen", "0.0.0.0:8080"), ("access", "open")]).await;
    for (host, on_loopback, on_network) in [
        ("localhost", 200, 200),
        ("localhost:9999", 200, 200),
        ("127.0.0.1:8080", 200, 200),
        ("[::1]:8080", 200, 200),
        ("LOCALHOST", 200, 200),
        ("docs.example.org", 200, 421),
        ("docs.example.org:443", 200, 421),
        ("10.0.0.5:8080", 421, 200),
        ("[2001:db8::1]", 421, 200),
        ("evil.example", 421, 421),
        ("localhost.evil.example", 421, 421),
        ("docs.example.org.evil.example", 421, 421),
        ("127.0.0.1.evil.example", 421, 421),
        ("user@localhost", 421, 421),
        ("", 421, 421),
    ] {
        assert_eq!(
            status_for_host(&loopback, host).await,
            on_loopback,
            "{host:?} on loopback"
        );
        assert_eq!(
            status_for_host(&network, host).await,
            on_network,
            "{host:?} on the network"
        );
    }
    let twice = loopback.raw("GET /api/docs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(twice.starts_with("HTTP/1.1 4"), "{twice}");
    let absolute =
        loopback.raw("GET http://evil.example/api/docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(absolute.starts_with("HTTP/1.1 421"), "{absolute}");
    let none = loopback
        .raw("GET /api/docs HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    assert!(none.starts_with("HTTP/1.1 400"), "{none}");
    let probe = loopback
        .raw("GET /healthz HTTP/1.1\r\nHost: pod-7\r\nConnection: close\r\n\r\n")
        .await;
    assert!(probe.starts_with("HTTP/1.1 200"), "{probe}");
    loopback.stop().await;
    network.stop().await;
}

/// Each origin with the verdict on a server that people reach at https://docs.example.org, through a proxy.
const ORIGINS: [(&str, bool); 22] = [
    ("https://docs.example.org", true),
    ("https://app.example.org:8443", true),
    ("null", false),
    ("", false),
    ("http://docs.example.org", false),
    ("https://docs.example.org:8443", false),
    ("https://docs.example.org:443", false),
    ("https://docs.example.org.evil.example", false),
    ("https://evildocs.example.org", false),
    ("https://sub.docs.example.org", false),
    ("https://example.org", false),
    ("https://DOCS.example.org", false),
    ("https://docs.example.org/", false),
    ("https://docs.example.org@evil.example", false),
    ("https://docs.example.org%2eevil.example", false),
    ("https://döcs.example.org", false),
    ("https://xn--dcs-sna.example.org", false),
    ("https://docs.example.org evil.example", false),
    ("https://app.example.org", false),
    ("http://localhost:3000", false),
    ("file://", false),
    ("https://docs.example.org, https://evil.example", false),
];

#[actix_web::test]
async fn only_allowed_origins_open_sockets_and_change_things() {
    let settings = [
        ("public_url", "https://docs.example.org"),
        ("allow_origin", "https://app.example.org:8443"),
    ];
    let app = TestApp::with(&settings).await;
    let host = ("Host", "docs.example.org");
    for (origin, allowed) in ORIGINS {
        let expected = if allowed { 101 } else { 403 };
        assert_eq!(
            app.upgrade(&[host, ("Origin", origin)]).await,
            expected,
            "socket from {origin:?}"
        );
        let change = app
            .request(Method::POST, "/api/docs")
            .header(host.0, host.1)
            .header("Origin", origin);
        let status = change.json(&value!({})).send().await.unwrap().status();
        assert_eq!(
            status,
            if allowed { 201 } else { 403 },
            "change from {origin:?}"
        );
    }
    assert_eq!(app.upgrade(&[host]).await, 101, "no browser, open access");
    let twice = [
        host,
        ("Origin", "https://docs.example.org"),
        ("Origin", "https://evil.example"),
    ];
    assert_eq!(app.upgrade(&twice).await, 403);
    assert_eq!(
        app.upgrade(&[("Host", "evil.example"), ("Origin", "http://evil.example")])
            .await,
        421
    );
    let refused = app
        .metrics
        .sockets_refused
        .get(coscribe::metrics::SocketRefusal::Origin);
    assert_eq!(
        refused,
        ORIGINS.iter().filter(|(_, allowed)| !allowed).count() as u64 + 2
    );
    app.stop().await;
}

#[actix_web::test]
async fn on_loopback_other_loopback_pages_are_the_developers_own() {
    let app = TestApp::start().await;
    for origin in [
        "http://localhost:5173",
        "http://127.0.0.1:3000",
        "http://[::1]:9",
        "https://localhost",
    ] {
        assert_eq!(app.upgrade(&[("Origin", origin)]).await, 101, "{origin}");
    }
    for origin in [
        "null",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://evil.localhost:80",
        "http://10.0.0.1",
    ] {
        assert_eq!(app.upgrade(&[("Origin", origin)]).await, 403, "{origin}");
    }
    app.stop().await;
    let app = TestApp::with(&[("listen", "0.0.0.0:8080"), ("access", "open")]).await;
    let host = ("Host", "10.0.0.5:8080");
    for (origin, expected) in [
        ("http://10.0.0.5:8080", 101),
        ("http://10.0.0.5", 403),
        ("https://10.0.0.5:8080", 403),
        ("http://localhost:8080", 403),
        ("http://10.0.0.6:8080", 403),
    ] {
        assert_eq!(
            app.upgrade(&[host, ("Origin", origin)]).await,
            expected,
            "{origin}"
        );
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_form_of_another_site_changes_nothing() {
    let app = TestApp::start().await;
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/jsonx",
    ] {
        let form = app
            .request(Method::POST, "/api/docs")
            .header("Content-Type", content_type)
            .body("{\"id\":\"x\"}");
        problem(form.send().await.unwrap(), 415, "not-json").await;
    }
    let bare = app.request(Method::POST, "/api/docs").send().await.unwrap();
    problem(bare, 403, "unmarked-request").await;
    let other = app
        .request(Method::POST, "/api/docs")
        .header("X-Requested-With", "XMLHttpRequest")
        .send()
        .await
        .unwrap();
    problem(other, 403, "unmarked-request").await;
    let cross = app
        .request(Method::POST, "/api/docs")
        .header("Sec-Fetch-Site", "cross-site")
        .json(&value!({}));
    problem(cross.send().await.unwrap(), 403, "origin-refused").await;
    let list = json(app.get("/api/docs").await, 200).await;
    assert_eq!(list["documents"], value!([]), "nothing was made");
    let json_with_charset = app
        .request(Method::POST, "/api/docs")
        .header("Content-Type", "Application/JSON; charset=utf-8");
    json(json_with_charset.body("{}").send().await.unwrap(), 201).await;
    app.stop().await;
}

#[actix_web::test]
async fn a_page_of_an_allowed_origin_may_read_answers_and_no_other() {
    let app = TestApp::with(&[("allow_origin", "https://app.example.org")]).await;
    let preflight = |origin: &'static str| {
        app.request(Method::OPTIONS, "/api/docs")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .send()
    };
    let allowed = preflight("https://app.example.org").await.unwrap();
    assert_eq!(allowed.status(), 204);
    assert_eq!(
        allowed.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
    assert!(
        !allowed
            .headers()
            .contains_key("access-control-allow-credentials")
    );
    problem(
        preflight("https://evil.example").await.unwrap(),
        403,
        "origin-refused",
    )
    .await;
    let read = app
        .request(Method::GET, "/api/docs")
        .header("Origin", "https://app.example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(
        read.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
    assert_eq!(read.headers()["vary"], "Origin");
    let foreign = app
        .request(Method::GET, "/api/docs")
        .header("Origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 200);
    assert!(
        !foreign
            .headers()
            .contains_key("access-control-allow-origin")
    );
    app.stop().await;
}
