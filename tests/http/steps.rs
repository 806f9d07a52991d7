//! From moment to moment, told by the answer that is held.

use coscribe::{
    document::id::DocId,
    store::{Append, NewRow, Store},
};
use reqwest::{Method, Response, header::HeaderMap};
use serde_json::Value;
use yrs::{Doc, Transact, XmlElementPrelim, XmlFragment, XmlTextPrelim};

use crate::app::TestApp;

const PARAGRAPHS: u32 = 20;
/// What is typed at the end of each paragraph in turn: characters of one, two, three and four bytes, some with a first or last
/// ones in common.
const TYPED: [&str; 9] = ["a", "é", "è", "ũ", "日", "旦", "😀", "😁", "\""];

/// A row with paragraphs, then one for each character that is typed.
async fn written(app: &TestApp) -> u64 {
    let doc = Doc::with_client_id(7);
    let body = doc.get_or_insert_xml_fragment("default");
    let mut rows = Vec::new();
    let mut txn = doc.transact_mut();
    for number in 0..PARAGRAPHS {
        let paragraph = XmlElementPrelim::new(
            "paragraph",
            [XmlTextPrelim::new("😀 <é>".to_owned()).into()],
        );
        body.insert(&mut txn, number, paragraph);
    }
    rows.push(txn.encode_update_v1());
    drop(txn);
    for (at, typed) in TYPED.iter().cycle().take(60).enumerate() {
        let mut txn = doc.transact_mut();
        let paragraph = XmlElementPrelim::new(
            "paragraph",
            [XmlTextPrelim::new((*typed).to_owned()).into()],
        );
        body.insert(&mut txn, (at as u32 * 7) % PARAGRAPHS, paragraph);
        if at % 3 == 0 {
            body.remove(&mut txn, (at as u32 * 5) % PARAGRAPHS);
        }
        rows.push(txn.encode_update_v1());
    }
    let head = rows.len() as u64;
    let rows = rows.into_iter().map(|bytes| NewRow {
        bytes: bytes.into(),
        author: "ada".into(),
        client_id: 7,
        at: 1_795_219_200_000,
    });
    let entry = Append {
        doc: DocId::parse("plan").unwrap(),
        epoch: None,
        rows: rows.collect(),
        title: None,
        marks: Vec::new(),
        people: Vec::new(),
    };
    app.store.append(&[entry], 0).await.unwrap();
    head
}

/// An answer, and whether some of it was told by the one that was held.
struct Told {
    blocks: Vec<String>,
    tag: String,
    is_by_held: bool,
    headers: HeaderMap,
}

async fn told(response: Response, held: &[String]) -> Told {
    let headers = response.headers().clone();
    let tag = headers["coscribe-tag"].to_str().unwrap().to_owned();
    assert_eq!(
        headers["content-type"],
        "application/vnd.coscribe.blocks+json"
    );
    let told: Vec<Value> = response.json().await.unwrap();
    Told {
        blocks: told.iter().flat_map(|told| blocks(held, told)).collect(),
        tag,
        is_by_held: told.iter().any(Value::is_object),
        headers,
    }
}

/// As the page does it.
fn blocks(held: &[String], told: &Value) -> Vec<String> {
    let number = |name: &str| told[name].as_u64().map(|number| number as usize);
    if let Some(html) = told.as_str() {
        return vec![html.to_owned()];
    }
    if let (Some(from), Some(count)) = (number("from"), number("count")) {
        return held[from..from + count].to_vec();
    }
    let held: Vec<u16> = held[number("of").unwrap()].encode_utf16().collect();
    let start = String::from_utf16(&held[..number("start").unwrap()]).unwrap();
    let end = String::from_utf16(&held[held.len() - number("end").unwrap()..]).unwrap();
    vec![start + told["middle"].as_str().unwrap() + &end]
}

#[actix_web::test]
async fn a_step_tells_what_differs_from_the_answer_that_is_held() {
    let app = TestApp::start().await;
    let head = written(&app).await;
    let (mut held, mut tag, mut by_held) = (Vec::new(), String::new(), 0);
    for seq in (1..=head).chain((1..head).rev()) {
        for path in [
            format!("/api/docs/plan/at?seq={seq}&as=html"),
            format!("/api/docs/plan/versions/1/diff/{seq}?as=html"),
            format!("/api/docs/plan/versions/{seq}?as=html"),
        ] {
            let whole = app.get(&path).await;
            assert!(!whole.headers().contains_key("coscribe-tag"), "{path}");
            assert_eq!(whole.headers()["content-type"], "text/html; charset=utf-8");
            let seq_header = whole.headers().get("coscribe-seq").cloned();
            let whole = whole.text().await.unwrap();
            let answer = app.get(&format!("{path}&holds={tag}")).await;
            let next = told(answer, &held).await;
            assert_eq!(next.blocks.concat(), whole, "{path}");
            assert_eq!(next.headers["cache-control"], "no-store");
            assert_eq!(next.headers.get("coscribe-seq"), seq_header.as_ref());
            assert_ne!(next.tag, tag);
            by_held += usize::from(next.is_by_held);
            (held, tag) = (next.blocks, next.tag);
        }
    }
    assert!(by_held as u64 > head, "{by_held}");
}

#[actix_web::test]
async fn a_tag_that_is_not_known_here_gets_the_whole_answer() {
    let app = TestApp::start().await;
    written(&app).await;
    let path = "/api/docs/plan/at?seq=30&as=html";
    let whole = app.get(path).await.text().await.unwrap();
    for holds in [
        "",
        "x",
        "0",
        "0123456789abcdef0123456789abcdef",
        "%F0%9F%98%80",
    ] {
        let answer = told(app.get(&format!("{path}&holds={holds}")).await, &[]).await;
        assert!(!answer.is_by_held, "{holds}");
        assert_eq!(answer.blocks.concat(), whole);
    }
    let first = told(app.get(&format!("{path}&holds=")).await, &[]).await;
    let again = async || {
        let path = format!("{path}&holds={}", first.tag);
        told(app.get(&path).await, &first.blocks).await
    };
    assert!(again().await.is_by_held);
    // Others ask as well, until it is not kept any more.
    for _ in 0..8 {
        told(app.get(&format!("{path}&holds=")).await, &[]).await;
    }
    let answer = again().await;
    assert!(!answer.is_by_held);
    assert_eq!(answer.blocks.concat(), whole);
    let answer = app.request(Method::HEAD, path).send().await.unwrap();
    assert!(!answer.headers().contains_key("coscribe-tag"));
}
