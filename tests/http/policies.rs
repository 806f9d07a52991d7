//! What holds for every request: headers, methods, sizes, errors, health.

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

#[actix_web::test]
async fn a_body_that_trickles_is_not_waited_for() {
    let app = TestApp::start().await;
    let head = "POST /api/docs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    // `raw` reads until the server closes, which it must do by itself.
    let answer = app.raw(head).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"timeout\""),
        "{answer}"
    );
    app.stop().await;
}

/// How many answers the bytes get.
async fn answers(app: &TestApp, bytes: &str) -> usize {
    app.raw(bytes).await.matches("HTTP/1.1 ").count()
}

#[actix_web::test]
async fn no_part_of_one_request_is_taken_for_the_next() {
    let app = TestApp::start().await;
    let inner = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let head =
        |headers: &str| format!("POST /api/docs HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n");
    let length = inner.len();
    // Refused before its body is read: the body is not a request.
    let refused = head(&format!(
        "Content-Type: text/plain\r\nContent-Length: {length}"
    )) + inner;
    let follow = format!("{refused}{inner}");
    let count = answers(&app, &follow).await;
    assert!(
        count <= 2,
        "{count} answers to a refused request with a body and one more"
    );
    for headers in [
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Content-Type: application/json\r\nContent-Length: 0\r\nContent-Length: {length}"),
        "Content-Type: application/json\r\nTransfer-Encoding: xchunked".to_owned(),
        format!("Content-Type: application/json\r\nContent-Length: +{length}"),
        format!("Content-Type: application/json\r\nContent-Length : {length}"),
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity".to_owned(),
    ] {
        let answer = app.raw(&(head(&headers) + inner)).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 4"), "{headers}: {answer}");
    }
    app.stop().await;
}
