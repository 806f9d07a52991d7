//! What holds for every request: hosts, origins, headers, methods, sizes, errors.

use coscribe::http::ROUTES;
use reqwest::{Method, Response};
use serde_json::json as value;

use crate::app::{TestApp, json, problem};

/// The headers that keep a page from being turned against its reader.
fn assert_safe(response: &Response) {
    let place = format!("{} {}", response.status(), response.url().path());
    let csp = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "object-src 'none'",
    ] {
        assert!(csp.contains(part), "{place}: {csp}");
    }
    assert!(!csp.contains("unsafe"), "{place}: {csp}");
    for (name, expected) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(response.headers()[name], expected, "{place}");
    }
    assert!(
        response.headers().contains_key("permissions-policy"),
        "{place}"
    );
}

#[actix_web::test]
async fn every_response_of_every_route_and_status_is_safe() {
    let app = TestApp::start().await;
    json(app.post("/api/docs", value!({"id": "doc"})).await, 201).await;
    let mut seen = std::collections::BTreeSet::new();
    for (route, _) in ROUTES {
        let path = route.replace("{doc}", "doc");
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let response = app.request(method, &path).send().await.unwrap();
            assert_safe(&response);
            seen.insert(response.status().as_u16());
        }
    }
    let not_modified = app
        .request(Method::GET, "/")
        .header("If-None-Match", "*")
        .send()
        .await
        .unwrap();
    let long = format!("/{}", "x".repeat(9_000));
    for response in [
        not_modified,
        app.get("/boom").await,
        app.get("/raw").await,
        app.get("/nothing").await,
        app.get(&long).await,
    ] {
        assert_safe(&response);
        seen.insert(response.status().as_u16());
    }
    for status in [200, 304, 403, 404, 405, 414, 418, 500] {
        assert!(seen.contains(&status), "{status} was not among {seen:?}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_method_that_a_route_has_not_is_answered_with_those_it_has() {
    let app = TestApp::start().await;
    for (route, methods) in ROUTES {
        let path = route.replace("{doc}", "doc");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .iter()
            .filter(|method| !methods.contains(method))
        {
            let response = app
                .act(Method::from_bytes(method.as_bytes()).unwrap(), &path)
                .await;
            assert_eq!(
                response.headers()["allow"],
                methods.join(", "),
                "{method} {path}"
            );
            problem(response, 405, "method-not-allowed").await;
        }
        for method in *methods {
            let response = app
                .act(Method::from_bytes(method.as_bytes()).unwrap(), &path)
                .await;
            assert_ne!(response.status(), 405, "{method} {path}");
        }
    }
    let options = app
        .request(Method::OPTIONS, "/api/docs")
        .send()
        .await
        .unwrap();
    assert_eq!(options.headers()["allow"], "GET, HEAD, POST");
    app.stop().await;
}

#[actix_web::test]
async fn a_panic_ends_one_request_with_an_answer() {
    let app = TestApp::start().await;
    let body = problem(app.get("/boom").await, 500, "internal").await;
    assert!(!body.to_string().contains("canary"));
    assert_eq!(app.get("/healthz").await.status(), 200);
    let body = problem(app.get("/raw").await, 418, "bad-request").await;
    assert!(!body.to_string().contains("plain words"));
    app.stop().await;
}

#[actix_web::test]
async fn health_and_metrics_tell_the_truth() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/readyz").await.status(), 200);
    app.health.fail("the disk is full");
    let body = problem(app.get("/readyz").await, 503, "not-storing").await;
    assert_eq!(body["detail"], "edits can not be saved: the disk is full");
    assert_eq!(
        app.get("/healthz").await.status(),
        200,
        "a restart would not help"
    );
    app.health.recover();
    assert_eq!(app.get("/readyz").await.text().await.unwrap(), "ready\n");
    app.health.drain();
    problem(app.get("/readyz").await, 503, "draining").await;
    app.metrics.updates_committed.inc_by(3);
    let page = app.get("/metrics").await;
    assert!(
        page.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let page = page.text().await.unwrap();
    assert!(
        page.contains("coscribe_updates_committed_total 3") && page.contains("coscribe_draining 1"),
        "{page}"
    );
    app.stop().await;
}

#[actix_web::test]
async fn metrics_are_not_for_everybody() {
    for settings in [
        &[("listen", "0.0.0.0:0"), ("access", "open")][..],
        &[("metrics_listen", "127.0.0.1:0")],
    ] {
        let app = TestApp::with(settings).await;
        problem(app.get("/metrics").await, 404, "no-such-route").await;
        app.stop().await;
    }
    let app = TestApp::with(&[("public_url", "https://docs.example.org")]).await;
    let through_proxy = app
        .request(Method::GET, "/metrics")
        .header("Host", "docs.example.org")
        .send()
        .await
        .unwrap();
    problem(through_proxy, 404, "no-such-route").await;
    let rewritten = app
        .request(Method::GET, "/metrics")
        .header("X-Forwarded-For", "10.0.0.9")
        .send()
        .await
        .unwrap();
    problem(rewritten, 404, "no-such-route").await;
    assert_eq!(app.get("/metrics").await.status(), 200);
    let (address, handle) = app.start_metrics();
    let scraper = reqwest::Client::builder().no_proxy().build().unwrap();
    let scrape = |path: &str| {
        scraper
            .get(format!("http://{address}{path}"))
            .header("Host", "any.name:9090")
            .send()
    };
    let page = scrape("/metrics").await.unwrap();
    assert_safe(&page);
    assert!(page.text().await.unwrap().ends_with("# EOF\n"));
    problem(scrape("/api/docs").await.unwrap(), 404, "no-such-route").await;
    handle.stop(false).await;
    app.stop().await;
}

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

#[actix_web::test]
async fn addresses_and_headers_have_bounds() {
    let app = TestApp::start().await;
    let long = app.get(&format!("/api/docs?q={}", "x".repeat(8_200))).await;
    assert_eq!(problem(long, 414, "url-too-long").await["limit"], 8_192);
    let heavy = app
        .request(Method::GET, "/")
        .header("X-Heavy", "x".repeat(33_000))
        .send()
        .await
        .unwrap();
    assert_eq!(
        problem(heavy, 431, "headers-too-large").await["limit"],
        32_768
    );
    app.stop().await;
}
