//! What is said on the wire, message by message, and that stock clients connect unchanged.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite;

use crate::harness::{
    CANARY,
    database::Database,
    node::{Node, VERSIONS},
    peer::{Connect, Peer},
    server::Server,
    wire,
};

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_of_three_versions_write_together_and_see_each_other() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = Server::start().await;
    let mut ids = Vec::new();
    for version in VERSIONS {
        let user = json!({"version": version, "doc": "a/b", "user": {"name": version}});
        ids.push(node.open(&server, version, user).await);
        node.until(version, json!({"synced": true})).await;
        node.insert(version, &format!("{CANARY} {version};")).await;
        for other in VERSIONS.iter().take(ids.len()) {
            node.until(other, json!({"contains": version})).await;
        }
    }
    for version in VERSIONS {
        for id in &ids {
            node.until(version, json!({"present": id})).await;
        }
    }
    let peer = Peer::join(&server, "a%2Fb").await;
    assert_eq!(peer.text(), node.text("3.1").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_in_a_frame_are_read_and_each_answer_has_its_own() {
    let server = Server::start().await;
    let writer = Peer::join(&server, "elsewhere").await;
    let update = writer.append("x");
    let peer = Connect::to(server.socket("d")).silent().await;
    let frame = [
        wire::step_1(&[0]),
        wire::update(&update),
        wire::awareness(&[(77, 1, r#"{"user":{"name":"x"}}"#)]),
        wire::QUERY_AWARENESS.to_vec(),
    ];
    peer.send(frame.concat());
    // The harness refuses frames that hold more than one message.
    peer.wait("all four answers", |view| {
        view.step_2s == 1 && view.updates + view.step_2s >= 1 && view.state(77).is_some()
    })
    .await;
    Peer::join(&server, "d").await.expect_text("x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_document_is_answered_with_an_empty_step_2() {
    let server = Server::start().await;
    let peer = Connect::to(server.socket("empty"))
        .keep_frames()
        .join()
        .await;
    peer.with(|view| {
        assert!(
            view.raw.iter().any(|frame| frame[..] == [0, 1, 2, 0, 0]),
            "{:?}",
            view.raw
        );
        assert!(
            view.raw.iter().any(|frame| frame[..] == [0, 0, 1, 0]),
            "{:?}",
            view.raw
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_comes_back_to_its_author_once_it_is_stored() {
    let server = Server::start().await;
    let mut database = Database::open(server.dir()).await;
    let peer = Peer::join(&server, "d").await;
    for round in 1..=20 {
        peer.append(CANARY);
        peer.echoed().await;
        assert!(
            database.rows().await >= round,
            "round {round} was echoed before it was stored"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_and_stored_once() {
    let server = Server::start().await;
    let stock = Peer::join(&server, "d").await;
    let update = stock.append("once");
    stock.echoed().await;
    stock.send_update(&update);
    stock
        .wait("the repeat comes back too", |view| view.updates == 2)
        .await;

    let own = Connect::to(server.socket("d")).coscribe().join().await;
    own.send_update(&update);
    own.send_update(&update);
    own.saved().await;
    assert_eq!(own.with(|view| (view.saved, view.updates)), (3, 0));
    assert_eq!(Database::open(server.dir()).await.rows().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_for_awareness_is_answered_even_when_nobody_is_there() {
    let server = Server::start().await;
    let peer = Connect::to(server.socket("d")).keep_frames().join().await;
    peer.send(wire::QUERY_AWARENESS);
    peer.wait("an empty answer", |view| {
        view.raw.iter().any(|frame| frame[..] == [1, 1, 0])
    })
    .await;
    let mut other = Peer::join(&server, "d").await;
    other.announce(r#"{"user":{"name":"Ada"}}"#);
    peer.wait("Ada", |view| view.state(other.client).is_some())
        .await;
    peer.send(wire::QUERY_AWARENESS);
    let frames = peer.with(|view| view.raw.len());
    peer.wait("the answer names Ada", |view| {
        view.raw
            .iter()
            .skip(frames)
            .any(|frame| frame.windows(3).any(|part| part == b"Ada"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offered_subprotocol_comes_back() {
    let server = Server::start().await;
    let peer = Connect::to(server.socket("d"))
        .protocol("token-abc")
        .join()
        .await;
    let echoed = peer.response.headers().get("sec-websocket-protocol");
    assert_eq!(echoed.unwrap(), "token-abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_unknown_types_are_passed_over() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "d").await;
    peer.send(vec![9, 1, 2, 3]);
    peer.send(vec![0xff, 0x01]);
    peer.append("still here");
    peer.echoed().await;
}

/// Stock clients reconnect after 30 s without a message; the default interval is half of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_socket_is_never_silent_for_much_longer_than_the_interval() {
    let interval = Duration::from_secs(2);
    let server = Server::with(&["--ping-interval", "2s"]).await;
    let peer = Peer::join(&server, "d").await;
    for round in 1..=3 {
        peer.wait("a keep-alive", |view| view.keep_alives >= round)
            .await;
        // Something in the middle of an interval must not make the silence after it longer.
        tokio::time::sleep(interval / 5).await;
        peer.round_trip().await;
    }
    peer.wait("another keep-alive", |view| view.keep_alives >= 4)
        .await;
    let silence = peer.with(|view| view.longest_silence);
    assert!(silence < interval * 3 / 2, "silent for {silence:?}");
}

/// A reader who only receives answers no message of ours by itself, and must not be taken for dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_reader_of_a_busy_document_is_not_taken_for_dead() {
    let server = Server::with(&["--ping-interval", "500ms", "--dead-socket-timeout", "2s"]).await;
    let writer = Peer::join(&server, "d").await;
    let reader = Connect::to(server.socket("d")).silent().await;
    let started = tokio::time::Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        writer.append("x");
        writer.echoed().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(reader.with(|view| view.closed.clone()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_and_its_escape_are_one_name_and_other_names_are_their_own() {
    let server = Server::start().await;
    let long = "x".repeat(255);
    let names = [
        ("a/b", "a%2Fb"),
        ("%C3%BC%20%F0%9F%98%80", "%c3%bc%20%f0%9f%98%80"),
        ("%2e%2e%2f%2e%2e%2fetc", "..%2F..%2Fetc"),
        ("%25", "%25"),
        ("%3F%23*%5B", "%3f%23*%5b"),
        ("%EF%BF%BD", "%ef%bf%bd"),
        (long.as_str(), long.as_str()),
        (
            "' OR 1=1 --".replace(' ', "%20").leak(),
            "%27%20OR%201=1%20--",
        ),
    ];
    for (number, (one, other)) in names.iter().enumerate() {
        let text = format!("text {number}");
        let writer = Peer::join(&server, one).await;
        writer.append(&text);
        writer.echoed().await;
        Peer::join(&server, other).await.expect_text(&text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_none_is_refused_with_the_reason() {
    let server = Server::start().await;
    let long = "x".repeat(256);
    let bad = [
        ("", "empty"),
        ("a%00b", "control"),
        ("a%0Ab", "control"),
        ("a%C2%85b", "control"),
        ("%FF", "UTF-8"),
        ("%C3", "UTF-8"),
        (long.as_str(), "longer than 255 bytes"),
    ];
    for (name, reason) in bad {
        let refused = Connect::to(server.socket(name)).try_open(None).await.err();
        let Some(tungstenite::Error::Http(response)) = refused else {
            panic!("{name:?} was not refused: {refused:?}");
        };
        assert_eq!(response.status(), 400, "{name:?}");
        let body =
            String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
        assert!(body.contains(reason), "{name:?}: {body}");
    }
    assert_eq!(
        Database::open(server.dir())
            .await
            .number("SELECT count(*) FROM documents")
            .await,
        0
    );
}
