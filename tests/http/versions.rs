//! The JSON API of the past: versions, names, moments.

use coscribe::{
    document::id::DocId,
    store::{Append, MarkKind, NewMark, NewRow, Person, Store, StoreError, sessions::PAUSE},
};
use reqwest::Method;
use serde_json::{Value, json as value};
use yrs::{Doc, Text, Transact};

use crate::app::{TestApp, json, problem};

const TEXT: &str = "one two three";
const START: i64 = 1_795_219_200_000;

/// Every letter of `TEXT` is a row; Ada and Ben take turns by words, with a pause after each.
async fn written(app: &TestApp) {
    let doc = Doc::with_client_id(7);
    let text = doc.get_or_insert_text("body");
    let mut word = 0;
    for (at, letter) in TEXT.chars().enumerate() {
        let mut txn = doc.transact_mut();
        text.insert(&mut txn, at as u32, &letter.to_string());
        let author = ["ada", "ben"][word % 2];
        let row = NewRow {
            bytes: txn.encode_update_v1().into(),
            author: author.into(),
            client_id: 7,
            at: START + at as i64 * 1_000 + word as i64 * 2 * PAUSE,
        };
        word += usize::from(letter == ' ');
        let entry = Append {
            doc: DocId::parse("plan").unwrap(),
            epoch: None,
            rows: vec![row],
            title: None,
            marks: Vec::new(),
            people: vec![Person {
                author: author.into(),
                name: author.to_uppercase(),
                color: "#0a7".into(),
            }],
        };
        app.store.append(&[entry], START).await.unwrap();
    }
}

async fn list(app: &TestApp, query: &str) -> Value {
    let path = format!("/api/docs/plan/versions{query}");
    json(app.get(&path).await, 200).await
}

fn ids(page: &Value) -> Vec<&str> {
    let versions = page["versions"].as_array().unwrap();
    versions
        .iter()
        .map(|version| version["id"].as_str().unwrap())
        .collect()
}

async fn text(app: &TestApp, path: &str) -> String {
    let response = app.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

#[actix_web::test]
async fn sessions_and_names_are_listed_newest_first_in_pages() {
    let app = TestApp::start().await;
    written(&app).await;
    let page = list(&app, "").await;
    assert_eq!(ids(&page), ["13", "8", "4"]);
    let oldest = &page["versions"][2];
    assert_eq!(
        (&oldest["kind"], &oldest["from_seq"], &oldest["at"]),
        (&value!("auto"), &value!(1), &value!("2026-11-21T00:00:03Z"))
    );
    let authors = oldest["authors"].as_array().unwrap();
    assert_eq!(authors.len(), 1);
    assert_eq!(
        (&authors[0]["name"], &authors[0]["color"]),
        (&value!("ADA"), &value!("#0a7"))
    );
    // The log knows authors by their cookie, which is nobody else's to see.
    assert_ne!(authors[0]["id"], "ada");

    let response = app
        .post("/api/docs/plan/versions", value!({"label": " Draft 1 "}))
        .await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let named = json(response, 201).await;
    assert_eq!(
        (&named["label"], &named["seq"], &named["kind"]),
        (&value!("Draft 1"), &value!(13), &value!("named"))
    );
    assert_eq!(json(app.get(&location).await, 200).await, named);
    let early = app
        .post(
            "/api/docs/plan/versions",
            value!({"label": "Early", "seq": 6}),
        )
        .await;
    let early = json(early, 201).await;
    let (draft, early) = (named["id"].as_str().unwrap(), early["id"].as_str().unwrap());
    let all = list(&app, "").await;
    assert_eq!(ids(&all), [draft, "13", "8", early, "4"]);

    for limit in 1..=5 {
        let mut collected: Vec<String> = Vec::new();
        let mut query = format!("?limit={limit}");
        loop {
            let page = list(&app, &query).await;
            collected.extend(ids(&page).into_iter().map(ToOwned::to_owned));
            let Some(next) = page["next"].as_str() else {
                break;
            };
            query = format!("?limit={limit}&cursor={next}");
        }
        assert_eq!(collected, ids(&all), "{limit}");
    }

    let path = format!("/api/docs/plan/versions/{early}");
    let patch = app.request(Method::PATCH, &path);
    let patch = patch.json(&value!({"label": "Earlier"})).send().await;
    assert_eq!(json(patch.unwrap(), 200).await["label"], "Earlier");
    let unnamed = app.request(Method::PATCH, &path);
    let unnamed = unnamed.json(&value!({"label": null})).send().await;
    let unnamed = json(unnamed.unwrap(), 200).await;
    assert_eq!(
        (&unnamed["id"], &unnamed["label"]),
        (&value!("6"), &value!(""))
    );
    problem(app.get(&path).await, 404, "no-such-version").await;
    assert_eq!(ids(&list(&app, "").await), [draft, "13", "8", "4"]);
}

#[actix_web::test]
async fn a_restore_shows_what_was_before_it_and_after_it() {
    let app = TestApp::start().await;
    written(&app).await;
    let mark = NewMark {
        kind: MarkKind::Restore,
        label: "Draft 1".into(),
        author: "ben".into(),
        at: START,
        source_seq: Some(4),
        origins: Vec::new().into(),
    };
    let doc = DocId::parse("plan").unwrap();
    app.store.mark(&doc, Some(9), mark).await.unwrap();
    let page = list(&app, "").await;
    let kinds: Vec<_> = page["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["kind"].as_str().unwrap(), version["seq"].as_u64()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("auto", Some(13)),
            ("restored", Some(9)),
            ("before-restore", Some(8)),
            ("auto", Some(8)),
            ("auto", Some(4)),
        ]
    );
    assert_eq!(page["versions"][1]["source_seq"], 4);
}

#[actix_web::test]
async fn any_moment_is_read_by_number_by_time_and_by_version() {
    let app = TestApp::start().await;
    written(&app).await;
    for seq in 0..=TEXT.len() {
        let at = format!("/api/docs/plan/at?seq={seq}&as=text");
        assert_eq!(text(&app, &at).await, TEXT[..seq]);
        let version = format!("/api/docs/plan/versions/{seq}?as=text");
        assert_eq!(text(&app, &version).await, TEXT[..seq]);
    }
    let at = "/api/docs/plan/at?time=2026-11-21T00:00:02.500Z&as=text";
    assert_eq!(text(&app, at).await, "one");
    let json = text(&app, "/api/docs/plan/versions/3?as=json").await;
    assert_eq!(json, r#"{"body":"one"}"#);
    let state = app.get("/api/docs/plan/versions/3?as=yjs").await;
    assert_eq!(state.headers()["content-type"], "application/octet-stream");
    assert!(!state.bytes().await.unwrap().is_empty());
    // Between two sessions a moment says who wrote its last edit.
    let moment = app.get("/api/docs/plan/versions/6").await;
    let moment = crate::app::json(moment, 200).await;
    assert_eq!(
        (&moment["from_seq"], &moment["authors"][0]["name"]),
        (&value!(5), &value!("BEN"))
    );
}

#[actix_web::test]
async fn what_is_wrong_is_said_and_changes_nothing() {
    let app = TestApp::start().await;
    written(&app).await;
    for (path, status, code) in [
        ("/api/docs/nobody/versions", 404, "not-found"),
        ("/api/docs/plan/versions?limit=0", 400, "bad-query"),
        ("/api/docs/plan/versions?cursor=x", 400, "bad-cursor"),
        ("/api/docs/plan/versions?page=1", 400, "bad-query"),
        ("/api/docs/plan/versions/v77", 404, "no-such-version"),
        ("/api/docs/plan/versions/x", 404, "no-such-version"),
        ("/api/docs/plan/versions/99", 404, "no-such-moment"),
        ("/api/docs/plan/versions/4?as=docx", 400, "bad-form"),
        ("/api/docs/plan/at?as=text", 400, "bad-query"),
        ("/api/docs/plan/at?seq=4", 400, "bad-query"),
        ("/api/docs/plan/at?seq=-1&as=text", 400, "bad-query"),
        ("/api/docs/plan/at?seq=14&as=text", 404, "no-such-moment"),
        ("/api/docs/plan/at?time=soon&as=text", 400, "bad-query"),
        (
            "/api/docs/plan/at?time=2020-01-01T00:00:00Z&as=text",
            404,
            "nothing-yet",
        ),
    ] {
        problem(app.get(path).await, status, code).await;
    }
    for (query, parameter) in [
        ("at?as=text&seq=-1", "`seq`"),
        ("versions?limit=x&cursor=v1", "`limit`"),
        ("at?as=text&seq=99999999999999999999", "`seq`"),
    ] {
        let bad = app.get(&format!("/api/docs/plan/{query}")).await;
        let bad = problem(bad, 400, "bad-query").await;
        assert!(bad["detail"].as_str().unwrap().contains(parameter), "{bad}");
    }
    // Before the first edit there was the document.
    let beginning = app.get("/api/docs/plan/versions/0").await;
    let beginning = crate::app::json(beginning, 200).await;
    let first = app.get("/api/docs/plan/versions/1").await;
    let first = crate::app::json(first, 200).await;
    let [created, written] = [&beginning, &first].map(|version| version["at"].as_str().unwrap());
    assert!(
        created > "2020" && created <= written,
        "{created} {written}"
    );
    let long = "x".repeat(201);
    for (body, status, code) in [
        (value!({"label": ""}), 400, "bad-label"),
        (value!({"label": "a\nb"}), 400, "bad-label"),
        (value!({"label": long}), 400, "label-too-long"),
        (value!({}), 400, "bad-json"),
        (value!({"label": "x", "seq": 14}), 404, "no-such-moment"),
    ] {
        let answer = app.post("/api/docs/plan/versions", body).await;
        problem(answer, status, code).await;
    }
    let unnamed = app.request(Method::PATCH, "/api/docs/plan/versions/4");
    let unnamed = unnamed.json(&value!({"label": "x"})).send().await.unwrap();
    problem(unnamed, 409, "not-named").await;
    let unnamed = app.request(Method::PATCH, "/api/docs/plan/versions/4");
    let unnamed = unnamed.json(&value!({"label": null})).send().await.unwrap();
    problem(unnamed, 409, "not-named").await;
    for (body, code) in [
        (value!({}), "bad-json"),
        (value!({"to": "weeks"}), "bad-json"),
        (value!({"to": "named", "before": "monday"}), "bad-query"),
    ] {
        let answer = app.post("/api/docs/plan/versions/thin", body).await;
        problem(answer, 400, code).await;
    }

    app.store
        .fail_writes(Some(|| StoreError::Full("no space".into())));
    let full = app
        .post("/api/docs/plan/versions", value!({"label": "x"}))
        .await;
    problem(full, 503, "not-storing").await;
    app.store.fail_writes(None);
    let doc = DocId::parse("plan").unwrap();
    app.store.trash(&doc, START).await.unwrap();
    let trashed = app
        .post("/api/docs/plan/versions", value!({"label": "x"}))
        .await;
    problem(trashed, 409, "in-trash").await;
    // What is in the trash can still be read.
    assert_eq!(ids(&list(&app, "").await), ["13", "8", "4"]);
    app.store.delete(&doc, START).await.unwrap();
    problem(app.get("/api/docs/plan/versions").await, 410, "deleted").await;
}

#[actix_web::test]
async fn a_difference_names_what_changed_and_who_did_it() {
    let app = TestApp::start().await;
    written(&app).await;
    let path = "/api/docs/plan/versions/4/diff/now";
    let found = json(app.get(path).await, 200).await;
    assert_eq!(
        (&found["before"]["seq"], &found["after"]["seq"]),
        (&value!(4), &value!(13))
    );
    let runs: Vec<_> = found["roots"]["body"]["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            let author = run["author"].as_u64();
            let author = author.map(|number| &found["authors"][number as usize]["name"]);
            (
                run["text"].as_str().unwrap().to_owned(),
                run["change"].as_str().unwrap().to_owned(),
                author.cloned().unwrap_or_default(),
            )
        })
        .collect();
    let wanted = [
        ("one ", "same", Value::Null),
        ("two ", "added", value!("BEN")),
        ("three", "added", value!("ADA")),
    ];
    let wanted = wanted.map(|(text, change, by)| (text.to_owned(), change.to_owned(), by));
    assert_eq!(runs, wanted, "{found}");
    // The other way round the same is taken away.
    let back = json(app.get("/api/docs/plan/versions/13/diff/4").await, 200).await;
    assert_eq!(back["roots"]["body"]["children"][1]["change"], "removed");
    for (path, status, code) in [
        ("4/diff/99", 404, "no-such-moment"),
        ("4/diff/x", 404, "no-such-version"),
        ("v1/diff/now", 404, "no-such-version"),
        ("4/diff/now?as=docx", 400, "bad-form"),
    ] {
        let path = format!("/api/docs/plan/versions/{path}");
        problem(app.get(&path).await, status, code).await;
    }
}

#[actix_web::test]
async fn a_document_has_a_thousand_names_at_most() {
    let app = TestApp::start().await;
    written(&app).await;
    let doc = DocId::parse("plan").unwrap();
    for _ in 0..1_000 {
        let mark = NewMark {
            kind: MarkKind::Named,
            label: "again".into(),
            author: "ben".into(),
            at: START,
            source_seq: None,
            origins: Vec::new().into(),
        };
        app.store.mark(&doc, Some(4), mark).await.unwrap();
    }
    let one_more = value!({"label": "x"});
    let answer = app.post("/api/docs/plan/versions", one_more).await;
    problem(answer, 409, "too-many-names").await;
}
