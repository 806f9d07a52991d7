//! Text that was deleted is in no byte that somebody who comes later receives.

use serde_json::json;

use crate::harness::{
    CANARY,
    node::Node,
    peer::{Connect, Peer},
    server::Server,
};

/// Joins and returns every byte that was received until all is there.
async fn later(server: &Server, text: &str) -> Vec<u8> {
    let peer = Connect::to(server.socket("d")).keep_frames().join().await;
    peer.expect_text(text).await;
    peer.round_trip().await;
    peer.with(|view| view.raw.concat())
}

fn assert_clean(bytes: &[u8], when: &str) {
    for part in [CANARY, "tweety", "sylvester"] {
        let found = bytes
            .windows(part.len())
            .any(|window| window == part.as_bytes());
        assert!(!found, "{part} was sent {when}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_text_is_sent_to_nobody_who_comes_later_and_they_converge_with_who_saw_it() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let mut server = Server::with(&["--compact-after-rows", "10", "--idle-unload", "0s"]).await;
    node.join(&server, "saw it", "3.1", "d").await;
    node.insert("saw it", "before  after").await;
    node.ask(json!({"ask": "insert", "name": "saw it", "at": 7, "text": CANARY}))
        .await;
    let peer = Peer::join(&server, "d").await;
    peer.wait("the canary", |view| view.text().contains(CANARY))
        .await;
    // In the middle of a run, typed by one and deleted by another, in two steps.
    peer.type_at(9, "tweety sylvester");
    peer.echoed().await;
    let length = CANARY.len() as u32 + 16;
    peer.delete(10, length - 3);
    peer.delete(7, 3);
    peer.echoed().await;
    node.until("saw it", json!({"text": "before  after"})).await;

    assert_clean(&later(&server, "before  after").await, "by the live room");
    assert_clean(&server.export("d").await, "in the export");
    node.join(&server, "came later", "1.5", "d").await;
    assert_eq!(node.print("came later").await, node.print("saw it").await);

    for _ in 0..15 {
        node.insert("came later", "!").await;
    }
    let text = format!("before  after{}", "!".repeat(15));
    peer.expect_text(&text).await;
    assert_clean(&later(&server, &text).await, "after more edits");
    drop(peer);
    for name in ["saw it", "came later"] {
        node.ask(json!({"ask": "disconnect", "name": name})).await;
    }
    server
        .until_metric("coscribe_rooms", |rooms| rooms == 0.0)
        .await;
    assert_clean(
        &later(&server, &text).await,
        "after the document was unloaded",
    );
    server
        .until_metric("coscribe_rooms", |rooms| rooms == 0.0)
        .await;
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    assert_clean(&later(&server, &text).await, "after a restart");
    assert_clean(&server.export("d").await, "in the export after a restart");
    for name in ["saw it", "came later"] {
        node.ask(json!({"ask": "connect", "name": name})).await;
        node.until(name, json!({"synced": true, "text": text}))
            .await;
    }
    node.join(&server, "fresh", "2.1", "d").await;
    let fresh = node.print("fresh").await;
    assert_eq!(node.print("saw it").await, fresh);
    assert_eq!(node.print("came later").await, fresh);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_text_nor_names_are_in_the_log_however_much_is_logged() {
    let mut server = Server::with(&["--log-level", "trace"]).await;
    let mut peer = Connect::to(server.socket(CANARY)).coscribe().join().await;
    peer.append(CANARY);
    peer.announce(&format!(r#"{{"user":{{"name":"{CANARY}"}}}}"#));
    peer.send_update(format!("not an update {CANARY}").as_bytes());
    peer.wait("a refusal", |view| {
        view.saved == 2 && view.refused.len() == 1
    })
    .await;
    let denied = Connect::to(server.socket(&format!("{CANARY}%00")))
        .try_open(None)
        .await;
    assert!(denied.is_err());
    assert_eq!(
        server
            .get(&format!("/api/docs/{CANARY}/content?as=text"))
            .await
            .text()
            .await
            .unwrap(),
        CANARY
    );
    assert_eq!(server.stop().await, 0);
    // The harness looks for the canary in the log.
}
