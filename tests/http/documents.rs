//! The JSON API of documents: each route, each error.

use coscribe::http::LibraryError;
use reqwest::Method;
use serde_json::{Value, json as value};

use crate::app::{TestApp, json, problem};

#[actix_web::test]
async fn a_document_is_created_read_renamed_trashed_restored_and_deleted() {
    let app = TestApp::start().await;
    let response = app.post("/api/docs", value!({"title": " Plan "})).await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let created = json(response, 201).await;
    let id = created["id"].as_str().unwrap();
    assert_eq!(id.len(), 16);
    assert_eq!(location, format!("/api/docs/{id}"));
    let expected = value!({
        "id": id, "title": "Plan", "state": "live", "epoch": 1, "created_at": "2026-11-21T00:00:00Z",
        "edited_at": "2026-11-21T00:00:00Z", "trashed_at": null, "people": [],
    });
    assert_eq!(created, expected);
    assert_eq!(json(app.get(&location).await, 200).await, created);

    let renamed = app
        .request(Method::PATCH, &location)
        .json(&value!({"title": "busy"}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        json(renamed, 200).await["people"],
        value!([{"name": "Ada", "color": "#0a7"}])
    );

    problem(
        app.act(Method::DELETE, &location).await,
        409,
        "not-in-trash",
    )
    .await;
    problem(
        app.act(Method::POST, &format!("{location}/restore")).await,
        409,
        "not-in-trash",
    )
    .await;
    let trashed = json(
        app.act(Method::POST, &format!("{location}/trash")).await,
        200,
    )
    .await;
    assert_eq!(
        (&trashed["state"], &trashed["trashed_at"]),
        (&value!("trashed"), &value!("2026-11-21T00:00:00Z"))
    );
    problem(
        app.act(Method::POST, &format!("{location}/trash")).await,
        409,
        "in-trash",
    )
    .await;
    let rename = app
        .request(Method::PATCH, &location)
        .json(&value!({"title": "x"}));
    problem(rename.send().await.unwrap(), 409, "in-trash").await;
    assert_eq!(
        json(
            app.act(Method::POST, &format!("{location}/restore")).await,
            200
        )
        .await["state"],
        "live"
    );
    json(
        app.act(Method::POST, &format!("{location}/trash")).await,
        200,
    )
    .await;

    let deleted = app.act(Method::DELETE, &location).await;
    assert_eq!(deleted.status(), 204);
    problem(app.get(&location).await, 410, "deleted").await;
    problem(
        app.get(&format!("{location}/content?as=text")).await,
        410,
        "deleted",
    )
    .await;
    let again = json(app.post("/api/docs", value!({"id": id})).await, 201).await;
    assert_eq!(again["epoch"], 2);
    app.stop().await;
}

#[actix_web::test]
async fn a_name_is_one_segment_decoded_once() {
    let app = TestApp::start().await;
    let created = app.post("/api/docs", value!({"id": "a/b ü%2F"})).await;
    assert_eq!(
        created.headers()["location"],
        "/api/docs/a%2Fb%20%C3%BC%252F"
    );
    json(app.get("/api/docs/a%2Fb%20%C3%BC%252F").await, 200).await;
    problem(
        app.get("/api/docs/a%2Fb%20%C3%BC%2F").await,
        404,
        "not-found",
    )
    .await;
    assert_eq!(
        app.get("/api/docs/a%2Fb%20%C3%BC%252F/content?as=text")
            .await
            .status(),
        200
    );
    problem(app.get("/api/docs/a/b").await, 404, "no-such-route").await;
    let long = "x".repeat(256);
    for bad in ["%FF", "%00", "a%0Ab", &long, ""] {
        let body = problem(app.get(&format!("/api/docs/{bad}")).await, 400, "bad-name").await;
        assert_eq!(body["limit"] == 255, bad.len() == 256, "{bad}");
        problem(
            app.act(Method::POST, &format!("/api/docs/{bad}/trash"))
                .await,
            400,
            "bad-name",
        )
        .await;
    }
    for bad in ["", "a\nb", &long] {
        problem(
            app.post("/api/docs", value!({"id": bad})).await,
            400,
            "bad-name",
        )
        .await;
    }
    problem(
        app.post("/api/docs", value!({"id": "a/b ü%2F"})).await,
        409,
        "exists",
    )
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn the_list_pages_by_last_edit_and_filters() {
    let app = TestApp::start().await;
    for index in 0..5 {
        app.clock.advance(if index == 3 { 0 } else { 1_000 });
        json(
            app.post(
                "/api/docs",
                value!({"id": format!("d{index}"), "title": format!("t{}", index % 2)}),
            )
            .await,
            201,
        )
        .await;
    }
    let ids = |page: &Value| {
        let documents = page["documents"].as_array().unwrap();
        documents
            .iter()
            .map(|doc| doc["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    let mut path = "/api/docs?limit=2".to_owned();
    loop {
        let page = json(app.get(&path).await, 200).await;
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/docs?limit=2&cursor={}", next.replace('%', "%25"));
    }
    assert_eq!(seen, ["d4", "d3", "d2", "d1", "d0"]);
    assert_eq!(
        ids(&json(app.get("/api/docs?q=t1").await, 200).await),
        ["d3", "d1"]
    );
    assert_eq!(
        ids(&json(app.get("/api/docs?q=").await, 200).await).len(),
        5
    );
    json(app.act(Method::POST, "/api/docs/d1/trash").await, 200).await;
    assert_eq!(
        ids(&json(app.get("/api/docs?state=trashed").await, 200).await),
        ["d1"]
    );
    assert_eq!(
        ids(&json(app.get("/api/docs?state=live").await, 200).await).len(),
        4
    );
    for bad in [
        "state=deleted",
        "limit=0",
        "limit=201",
        "limit=x",
        "nonsense=1",
        &format!("q={}", "x".repeat(501)),
    ] {
        problem(app.get(&format!("/api/docs?{bad}")).await, 400, "bad-query").await;
    }
    problem(app.get("/api/docs?cursor=rubbish").await, 400, "bad-cursor").await;
    app.stop().await;
}

#[actix_web::test]
async fn content_comes_in_every_form() {
    let app = TestApp::start().await;
    json(app.post("/api/docs", value!({"id": "doc"})).await, 201).await;
    for (form, content_type, body) in [
        ("yjs", "application/octet-stream", &[0, 0][..]),
        ("json", "application/json", b"{\"default\":\"\"}"),
        (
            "text",
            "text/plain; charset=utf-8",
            "naïve <script>".as_bytes(),
        ),
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("markdown", "text/markdown; charset=utf-8", b"# Title"),
    ] {
        let response = app.get(&format!("/api/docs/doc/content?as={form}")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], content_type);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(&response.bytes().await.unwrap()[..], body);
    }
    for bad in ["", "?as=", "?as=docx", "?as=yjs&x=1"] {
        let body = problem(
            app.get(&format!("/api/docs/doc/content{bad}")).await,
            400,
            "bad-form",
        )
        .await;
        assert!(
            body["detail"]
                .as_str()
                .unwrap()
                .contains("`html` or `markdown`"),
            "{body}"
        );
    }
    app.stop().await;
}

#[actix_web::test]
async fn bodies_that_can_not_be_used_are_refused_by_name() {
    let app = TestApp::start().await;
    json(app.post("/api/docs", value!({"id": "doc"})).await, 201).await;
    let patch = |body: &str| {
        app.request(Method::PATCH, "/api/docs/doc")
            .header("Content-Type", "application/json")
            .body(body.to_owned())
            .send()
    };
    for bad in [
        "",
        "{",
        "[]",
        "{\"title\":1}",
        "{\"title\":\"x\",\"more\":1}",
        "{}",
        "null",
    ] {
        let response = patch(bad).await.unwrap();
        problem(response, 400, "bad-json").await;
    }
    let long = problem(
        patch(&format!("{{\"title\":\"{}\"}}", "ü".repeat(501)))
            .await
            .unwrap(),
        400,
        "title-too-long",
    )
    .await;
    assert_eq!(long["limit"], 500);
    problem(
        patch("{\"title\":\"a\\nb\"}").await.unwrap(),
        400,
        "bad-title",
    )
    .await;
    json(
        patch(&format!("{{\"title\":\"{}\"}}", "ü".repeat(500)))
            .await
            .unwrap(),
        200,
    )
    .await;
    let huge = format!("{{\"title\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(
        problem(patch(&huge).await.unwrap(), 413, "body-too-large").await["limit"],
        65_536
    );
    json(app.act(Method::POST, "/api/docs").await, 201).await;
    app.stop().await;
}

#[actix_web::test]
async fn failures_of_the_library_say_what_to_do_and_reveal_nothing() {
    let app = TestApp::start().await;
    app.library
        .fail_next(LibraryError::NotStoring("the disk is full".into()));
    let response = app.post("/api/docs", value!({})).await;
    assert_eq!(response.headers()["retry-after"], "5");
    let body = problem(response, 503, "not-storing").await;
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("the disk is full")
    );
    app.library
        .fail_next(LibraryError::Internal("canary: /secret/path".into()));
    let body = problem(app.get("/api/docs").await, 500, "internal").await;
    assert!(!body.to_string().contains("canary"), "{body}");
    app.library.fail_next(LibraryError::Quarantined);
    problem(app.get("/api/docs/x").await, 409, "quarantined").await;
    app.library.fail_next(LibraryError::Draining);
    problem(app.get("/api/docs/x").await, 503, "draining").await;
    problem(app.get("/api/docs/x").await, 404, "not-found").await;
    app.stop().await;
}

#[actix_web::test]
async fn the_actor_of_a_change_is_the_one_of_the_cookie() {
    let app = TestApp::start().await;
    let actor = "0123456789abcdef0123456789abcdef";
    let create = app
        .request(Method::POST, "/api/docs")
        .header("Cookie", format!("coscribe_actor={actor}"));
    json(
        create.json(&value!({"title": "t"})).send().await.unwrap(),
        201,
    )
    .await;
    assert_eq!(
        app.library
            .author
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .as_str(),
        actor
    );
    json(app.post("/api/docs", value!({"title": "t"})).await, 201).await;
    assert!(app.library.author.lock().unwrap().is_none());
    app.stop().await;
}
