//! The pages: caching, compression, the actor cookie.

use reqwest::Method;

use crate::app::{TestApp, problem};

#[actix_web::test]
async fn home_documents_and_the_lab_are_the_same_page_with_a_strong_tag() {
    let app = TestApp::start().await;
    let home = app.get("/").await;
    assert_eq!(home.status(), 200);
    assert_eq!(home.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(home.headers()["cache-control"], "no-cache");
    let etag = home.headers()["etag"].to_str().unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.len() > 20, "{etag}");
    let body = home.text().await.unwrap();
    for path in [
        "/d/doc",
        "/d/a/b",
        "/d/a%2Fb",
        "/index.html",
        "/d/",
        "/lab",
        "/lab?doc=lab-1",
    ] {
        assert_eq!(app.get(path).await.text().await.unwrap(), body, "{path}");
    }
    for known in [etag.clone(), format!("\"other\", W/{etag}"), "*".into()] {
        let current = app
            .request(Method::GET, "/")
            .header("If-None-Match", known)
            .send()
            .await
            .unwrap();
        assert_eq!(current.status(), 304);
        assert_eq!(current.headers()["etag"].to_str().unwrap(), etag);
        assert!(current.bytes().await.unwrap().is_empty());
    }
    let changed = app
        .request(Method::GET, "/")
        .header("If-None-Match", "\"other\"")
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    app.stop().await;
}

#[actix_web::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    for path in [
        "/",
        "/d/doc",
        "/lab",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
        "/api/docs",
        "/index.html",
    ] {
        let get = app.get(path).await;
        let head = app.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(
            head.headers()["content-type"],
            get.headers()["content-type"],
            "{path}"
        );
        if path != "/metrics" {
            assert_eq!(
                head.headers()["content-length"],
                get.headers()["content-length"],
                "{path}"
            );
        }
        assert!(head.bytes().await.unwrap().is_empty());
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_page_gives_a_browser_its_actor_once() {
    let app = TestApp::start().await;
    let cookie = app.get("/").await.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        cookie.starts_with("coscribe_actor=") && cookie.contains("HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    assert!(
        !cookie.contains("Secure"),
        "on plain http a secure cookie would not be kept: {cookie}"
    );
    let pair = cookie.split(';').next().unwrap().to_owned();
    let again = app
        .request(Method::GET, "/d/doc")
        .header("Cookie", pair)
        .send()
        .await
        .unwrap();
    assert!(!again.headers().contains_key("set-cookie"));
    let forged = app
        .request(Method::GET, "/d/doc")
        .header("Cookie", "coscribe_actor=alice")
        .send()
        .await
        .unwrap();
    assert!(forged.headers().contains_key("set-cookie"));
    app.stop().await;

    let app = TestApp::with(&[("public_url", "https://docs.example.org")]).await;
    let page = app
        .request(Method::GET, "/")
        .header("Host", "docs.example.org")
        .send()
        .await
        .unwrap();
    assert!(
        page.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .ends_with("; Secure")
    );
    assert_eq!(
        page.headers()["strict-transport-security"],
        "max-age=31536000"
    );
    app.stop().await;
}

#[actix_web::test]
async fn what_is_no_file_is_nothing() {
    let app = TestApp::start().await;
    for path in [
        "/nothing.js",
        "/api",
        "/api/",
        "/api/unknown",
        "/.git/config",
        "/%2e%2e/Cargo.toml",
        "//etc/passwd",
    ] {
        problem(app.get(path).await, 404, "no-such-route").await;
    }
    let raw = app
        .raw("GET /../Cargo.toml HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert!(raw.starts_with("HTTP/1.1 404"), "{raw}");
    app.stop().await;
}
