//! The life of a document: opening writes nothing; trash, restore, delete; what is deleted stays deleted.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    database::Database,
    node::{Node, VERSIONS},
    peer::{Connect, Peer},
    server::Server,
};

async fn epoch(server: &Server, doc: &str) -> u64 {
    let answer: Value = server
        .get(&format!("/api/docs/{doc}"))
        .await
        .json()
        .await
        .unwrap();
    answer["epoch"].as_u64().unwrap()
}

async fn expect(server: &Server, method: Method, path: &str, status: u16) {
    let answer = server.request(method, path, None).await;
    let got = answer.status().as_u16();
    assert_eq!(got, status, "{path}: {}", answer.text().await.unwrap());
}

async fn trash_and_delete(server: &Server, doc: &str) {
    expect(server, Method::POST, &format!("/api/docs/{doc}/trash"), 200).await;
    expect(server, Method::DELETE, &format!("/api/docs/{doc}"), 204).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_document_writes_nothing() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = Server::start().await;
    let author = Peer::join(&server, "full").await;
    author.append("some text");
    author.echoed().await;
    let mut database = Database::open(server.dir()).await;
    let heads = "SELECT coalesce(sum(head_seq), 0) FROM heads";
    let before = (database.rows().await, database.number(heads).await);
    for doc in ["full", "new"] {
        for version in VERSIONS {
            node.join(&server, doc, version, doc).await;
            node.ask(json!({"ask": "close", "name": doc})).await;
        }
        Peer::join(&server, doc).await.round_trip().await;
    }
    assert_eq!(
        (database.rows().await, database.number(heads).await),
        before
    );
    assert_eq!(database.number("SELECT count(*) FROM documents").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trashed_document_closes_its_sockets_and_comes_back_as_it_was() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "d").await;
    peer.append("kept");
    peer.echoed().await;
    expect(&server, Method::POST, "/api/docs/d/trash", 200).await;
    assert_eq!(peer.expect_close().await.0, 4404);
    let knocking = Connect::to(server.socket("d")).silent().await;
    assert_eq!(knocking.expect_close().await.0, 4404);
    expect(&server, Method::POST, "/api/docs/d/restore", 200).await;
    Peer::join(&server, "d").await.expect_text("kept").await;
    // What the closed tab wrote meanwhile merges.
    peer.append(" and more");
    let again = peer.reconnect(&server.socket("d"), false).await.unwrap();
    again.echoed().await;
    Peer::join(&server, "d")
        .await
        .expect_text("kept and more")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restoring_a_document_that_is_open_and_not_in_the_trash_is_refused_at_once() {
    let server = Server::start().await;
    let author = Peer::join(&server, "live").await;
    author.append("here to stay");
    author.echoed().await;
    let restore = expect(&server, Method::POST, "/api/docs/live/restore", 409);
    let limit = std::time::Duration::from_secs(5);
    tokio::time::timeout(limit, restore)
        .await
        .expect("an answer");
    author.round_trip().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_does_not_come_back_from_a_tab_that_was_offline() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let mut server = Server::start().await;
    node.join(&server, "offline", "3.1", "d").await;
    node.join(&server, "online", "2.1", "d").await;
    node.insert("offline", "the old text").await;
    node.until("online", json!({"text": "the old text"})).await;
    node.ask(json!({"ask": "disconnect", "name": "offline"}))
        .await;
    node.insert("offline", " and what was written offline")
        .await;
    trash_and_delete(&server, "d").await;
    node.until("online", json!({"closes": 4404})).await;
    node.ask(json!({"ask": "connect", "name": "offline"})).await;
    node.until("offline", json!({"closes": 4404})).await;
    let mut database = Database::open(server.dir()).await;
    assert_eq!(database.rows().await, 0);
    expect(&server, Method::GET, "/api/docs/d/content?as=text", 410).await;
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    let knocking = Connect::to(server.socket("d")).silent().await;
    assert_eq!(knocking.expect_close().await.0, 4404);
    assert_eq!(database.rows().await, 0);
    let list: Value = server.get("/api/docs").await.json().await.unwrap();
    assert_eq!(list["documents"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_created_again_has_the_next_epoch_and_refuses_copies_of_the_old_one() {
    let server = Server::start().await;
    let old = Peer::join(&server, "d").await;
    old.append("the old text");
    old.echoed().await;
    let first = epoch(&server, "d").await;
    trash_and_delete(&server, "d").await;
    old.expect_close().await;
    let created = server
        .request(Method::POST, "/api/docs", Some(json!({"id": "d"})))
        .await;
    assert_eq!(created.status(), 201);
    let second = epoch(&server, "d").await;
    assert!(second > first, "epochs {first} and {second}");
    let stale = format!("{}?epoch={first}", server.socket("d"));
    let refused = Connect::to(stale).silent().await;
    assert_eq!(refused.expect_close().await.0, 4409);
    for known in [
        format!("?epoch={second}"),
        "?epoch=0".to_owned(),
        String::new(),
    ] {
        let peer = Connect::to(server.socket("d") + &known).join().await;
        assert_eq!(peer.text(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_created_while_people_look_at_its_empty_name_takes_their_edits() {
    let server = Server::start().await;
    let early = Peer::join(&server, "d").await;
    let request = json!({"id": "d", "title": "Plan"});
    let created = server
        .request(Method::POST, "/api/docs", Some(request))
        .await;
    assert_eq!(created.status(), 201);
    early.append("text");
    early.echoed().await;
    let answer: Value = server.get("/api/docs/d").await.json().await.unwrap();
    assert_eq!(answer["title"], "Plan");
    Peer::join(&server, "d").await.expect_text("text").await;
    expect(&server, Method::POST, "/api/docs/d/trash", 200).await;
    assert_eq!(early.expect_close().await.0, 4404);
}
