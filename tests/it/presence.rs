//! Who is here: cursors travel, nobody speaks for anybody else, and nobody stays who is gone.

use std::time::Duration;

use serde_json::json;

use crate::harness::{
    node::Node,
    peer::{Connect, Peer},
    proxy::Proxy,
    server::Server,
    wire,
};

const ADA: &str = r#"{"user":{"name":"Ada"},"cursor":{"anchor":1}}"#;
const BOB: &str = r#"{"user":{"name":"Bob"}}"#;

async fn sees(peer: &Peer, client: u64, state: Option<&str>) {
    peer.wait(&format!("{client} as {state:?}"), |view| {
        view.awareness.contains_key(&client) && view.state(client) == state
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_are_seen_by_others_and_by_those_who_come_later_and_end_with_the_socket() {
    let server = Server::start().await;
    let mut ada = Peer::join(&server, "d").await;
    let bob = Peer::join(&server, "d").await;
    ada.announce(r#"{"user":{"name":"Ada"}}"#);
    ada.announce(ADA);
    sees(&bob, ada.client, Some(ADA)).await;
    let carol = Peer::join(&server, "d").await;
    sees(&carol, ada.client, Some(ADA)).await;
    let id = ada.client;
    drop(ada);
    sees(&bob, id, None).await;
    sees(&carol, id, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_says_about_others_is_dropped_without_a_word() {
    let server = Server::start().await;
    let (mut ada, mut mallory) = (
        Peer::join(&server, "d").await,
        Peer::join(&server, "d").await,
    );
    ada.announce(ADA);
    sees(&mallory, ada.client, Some(ADA)).await;
    mallory.announce(BOB);
    let watcher = Peer::join(&server, "d").await;
    let nonsense = r#"{"user":{"name":"not Ada"}}"#;
    for frame in [
        wire::awareness(&[(ada.client, 50, nonsense)]),
        wire::awareness(&[(ada.client, 60, "null")]),
        wire::awareness(&[(4_711, 1, nonsense)]),
        wire::awareness(&[
            (mallory.client, 2, BOB),
            (ada.client, 70, nonsense),
            (4_712, 1, nonsense),
        ]),
    ] {
        mallory.send(frame);
    }
    mallory.round_trip().await;
    ada.announce(r#"{"user":{"name":"Ada"},"cursor":{"anchor":2}}"#);
    sees(
        &watcher,
        ada.client,
        Some(r#"{"user":{"name":"Ada"},"cursor":{"anchor":2}}"#),
    )
    .await;
    watcher.with(|view| {
        let mut clients: Vec<_> = view.awareness.keys().copied().collect();
        clients.sort_unstable();
        let mut expected = vec![ada.client, mallory.client];
        expected.sort_unstable();
        assert_eq!(clients, expected);
    });
    assert_eq!(
        mallory.with(|view| (view.denied.clone(), view.closed.clone())),
        (vec![], None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_socket_of_a_client_speaks_for_it_and_the_end_of_the_old_one_changes_nothing() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let watcher = Peer::join(&server, "d").await;
    let mut old = Connect::to(proxy.socket("d")).client(77).join().await;
    old.announce(BOB);
    sees(&watcher, 77, Some(BOB)).await;
    // The network of the old socket is gone, and the server does not know.
    proxy.hold();
    let doc = old.with(|view| view.doc.clone());
    let new = Connect::to(server.socket("d"))
        .client(77)
        .announcing(2, ADA);
    let new = new.join_with(Some(doc)).await;
    sees(&watcher, 77, Some(ADA)).await;
    proxy.cut();
    old.expect_close().await;
    server
        .until_metric("coscribe_sockets", |open| open == 2.0)
        .await;
    let late = Peer::join(&server, "d").await;
    sees(&late, 77, Some(ADA)).await;
    assert_eq!(
        watcher
            .with(|view| view.state(77).map(ToOwned::to_owned))
            .as_deref(),
        Some(ADA)
    );
    drop(new);
    sees(&watcher, 77, None).await;
    sees(&late, 77, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_that_comes_back_with_its_old_clock_is_seen_again() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = Server::start().await;
    let ada = node
        .open(&server, "ada", json!({"doc": "d", "user": {"name": "Ada"}}))
        .await;
    let bob = node
        .open(
            &server,
            "bob",
            json!({"doc": "d", "version": "2.1", "user": {"name": "Bob"}}),
        )
        .await;
    node.until("bob", json!({"present": ada})).await;
    for _ in 0..3 {
        node.ask(json!({"ask": "terminate", "name": "ada"})).await;
        node.until("bob", json!({"absent": ada})).await;
        node.until("bob", json!({"present": ada})).await;
        node.until("ada", json!({"present": bob})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_without_a_word_is_gone_within_45_seconds() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let watcher = Peer::join(&server, "d").await;
    let options = json!({"doc": "d", "user": {"name": "Ada"}, "url": proxy.url()});
    let ada = node.open(&server, "ada", options).await;
    watcher.wait("Ada", |view| view.state(ada).is_some()).await;
    let started = tokio::time::Instant::now();
    proxy.hold();
    sees(&watcher, ada, None).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(45), "she was seen for {took:?}");
    let late = Peer::join(&server, "d").await;
    assert_eq!(
        late.with(|view| view.state(ada).map(ToOwned::to_owned)),
        None
    );
    // The laptop is opened again: same tab, same client id.
    proxy.release();
    watcher
        .wait("Ada again", |view| view.state(ada).is_some())
        .await;
    node.ask(json!({"ask": "close", "name": "ada"})).await;
    sees(&watcher, ada, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_awareness_is_refused_and_reaches_nobody() {
    let server = Server::start().await;
    let watcher = Peer::join(&server, "d").await;
    let mallory = Connect::to(server.socket("d")).client(66).join().await;
    let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(70 << 10));
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    let bad = [
        wire::awareness(&[(66, 1, "{bad")]),
        wire::awareness(&[(66, 1, "")]),
        wire::awareness(&[(66, 1, &large)]),
        wire::awareness(&[(66, 1, &deep)]),
        wire::awareness(&[(66, (1 << 53) - 1, "{}")]),
        wire::awareness(&[(66, u64::MAX, "{}")]),
        // More entries than there are bytes.
        vec![1, 4, 0x80, 0x80, 0x80, 0x40],
        vec![1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f],
        // An entry that ends too early, one of invalid UTF-8, and bytes after the last one.
        vec![1, 3, 1, 66, 1],
        vec![1, 5, 1, 66, 1, 1, 0xff],
        vec![1, 2, 0, 0],
    ];
    let count = bad.len();
    for frame in bad {
        mallory.send(frame);
    }
    mallory
        .wait("each is refused", |view| view.denied.len() >= count)
        .await;
    // The clock near 2^53 must not have frozen the id.
    mallory.send(wire::awareness(&[(66, 2, ADA)]));
    sees(&watcher, 66, Some(ADA)).await;
    assert_eq!(watcher.with(|view| view.awareness.len()), 1);
    assert_eq!(mallory.with(|view| view.closed.clone()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_entries_in_a_frame_make_no_ghosts() {
    let server = Server::start().await;
    let watcher = Peer::join(&server, "d").await;
    let mut mallory = Peer::join(&server, "d").await;
    let before = server.rss();
    let entries: Vec<_> = (1..=50_000).map(|client| (client, 1, BOB)).collect();
    for _ in 0..5 {
        mallory.send(wire::awareness(&entries));
    }
    mallory.announce(ADA);
    sees(&watcher, mallory.client, Some(ADA)).await;
    assert_eq!(watcher.with(|view| view.awareness.len()), 1);
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 32 << 20, "grown by {grown} bytes");
}
