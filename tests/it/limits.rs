//! What exceeds a limit is refused by name, and nothing else suffers.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite;

use crate::harness::{
    peer::{Connect, Peer},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_above_the_limit_is_refused_by_name_and_the_socket_stays() {
    let server = Server::with(&["--max-message-bytes", "4KiB"]).await;
    let large = "x".repeat(5 << 10);
    let own = Connect::to(server.socket("d")).coscribe().join().await;
    own.saved().await;
    own.append(&large);
    own.wait("a refusal", |view| !view.refused.is_empty()).await;
    own.with(|view| {
        let refusal = &view.refused[0];
        assert_eq!(
            (&refusal["code"], &refusal["limit"], &refusal["message"]),
            (
                &"message-too-large".into(),
                &4096.into(),
                &(view.sent - 1).into(),
            )
        );
        assert_eq!((view.saved, &view.closed), (1, &None));
    });
    let stock = Peer::join(&server, "d").await;
    stock.append(&large);
    stock
        .wait("a warning", |view| !view.denied.is_empty())
        .await;
    assert!(stock.with(|view| view.denied[0].contains("4096")));
    let other = Peer::join(&server, "d").await;
    other.append("small");
    other.echoed().await;
    assert_eq!(other.text(), "small");
    assert_eq!(stock.with(|view| view.closed.clone()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_document_takes_deletions_and_then_additions_again() {
    let server = Server::with(&["--max-document-bytes", "64KiB", "--idle-unload", "0s"]).await;
    let writer = Connect::to(server.socket("d")).coscribe().join().await;
    for _ in 0..7 {
        writer.append(&"x".repeat(8 << 10));
    }
    writer.saved().await;
    let extra = Connect::to(server.socket("d")).coscribe().join().await;
    extra.append(&"y".repeat(16 << 10));
    extra
        .wait("a refusal", |view| !view.refused.is_empty())
        .await;
    extra.with(|view| assert_eq!(view.refused[0]["code"], "document-full"));
    drop(extra);
    writer.delete(0, 50 << 10);
    writer.saved().await;
    assert!(writer.with(|view| view.refused.is_empty()));
    let left = writer.text();
    drop(writer);
    // Deleted text is gone from a document that was opened again.
    server
        .until_metric("coscribe_rooms", |rooms| rooms == 0.0)
        .await;
    let again = Connect::to(server.socket("d")).coscribe().join().await;
    assert_eq!(again.text(), left);
    again.append(&"z".repeat(16 << 10));
    again.saved().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_beyond_the_limits_are_turned_away_with_the_reason() {
    for (flag, reason) in [
        ("--max-sockets", "max_sockets"),
        ("--max-sockets-per-address", "max_sockets_per_address"),
    ] {
        let server = Server::with(&[flag, "2"]).await;
        let (first, _second) = (
            Peer::join(&server, "a").await,
            Peer::join(&server, "b").await,
        );
        let Some(tungstenite::Error::Http(answer)) =
            Connect::to(server.socket("c")).try_open(None).await.err()
        else {
            panic!("{flag}: the third was let in");
        };
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        let body = String::from_utf8_lossy(answer.body().as_deref().unwrap()).into_owned();
        assert!(body.contains(reason), "{body}");
        drop(first);
        server
            .until_metric("coscribe_sockets", |sockets| sockets == 1.0)
            .await;
        Peer::join(&server, "c").await;
    }
    let server = Server::with(&["--max-sockets-per-document", "2"]).await;
    let _inside = (
        Peer::join(&server, "d").await,
        Peer::join(&server, "d").await,
    );
    let third = Connect::to(server.socket("d")).silent().await;
    assert_eq!(third.expect_close().await.0, 1013);
    Peer::join(&server, "another").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_messages_slow_their_sender_down_and_nobody_else() {
    let server = Server::with(&["--max-messages-per-second", "500"]).await;
    let (hasty, calm) = (
        Peer::join(&server, "d").await,
        Peer::join(&server, "d").await,
    );
    let started = Instant::now();
    for _ in 0..4_000 {
        hasty.append("x");
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let written = Instant::now();
        calm.append("y");
        calm.echoed().await;
        slowest = slowest.max(written.elapsed());
    }
    hasty.echoed().await;
    let took = started.elapsed();
    assert!(
        took > Duration::from_secs(2),
        "4000 messages at 500 a second took {took:?}"
    );
    assert!(
        slowest < Duration::from_secs(2),
        "somebody else waited {slowest:?}"
    );
    assert_eq!(hasty.with(|view| view.closed.clone()), None);
    calm.wait("all of it", |view| {
        view.text().matches('x').count() == 4_000
    })
    .await;
}
