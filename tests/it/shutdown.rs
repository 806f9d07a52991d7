//! Stopping in order, and copies of the data beside a running server.

use crate::harness::{
    peer::{Connect, Peer},
    server::{Server, run},
    tokens::{Ledger, token},
};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_commits_what_was_received_closes_with_1012_and_exits_with_0() {
    let mut server = Server::start().await;
    let mut ledger = Ledger::default();
    let mut peers = Vec::new();
    for number in 0..6 {
        let doc = format!("doc-{}", number % 3);
        peers.push((
            doc.clone(),
            Connect::to(server.socket(&doc)).coscribe().join().await,
        ));
    }
    let mut tokens = Vec::new();
    for round in 0..30 {
        for (number, (_, peer)) in peers.iter().enumerate() {
            let token = token(&format!("{number}.{round}"));
            peer.append(&token);
            tokens.push((number, token, peer.with(|view| view.sent - 1)));
        }
    }
    assert_eq!(server.stop().await, 0);
    for (_, peer) in &peers {
        let (code, reason) = peer.expect_close().await;
        assert_eq!(code, 1012, "{reason}");
    }
    for (number, token, message) in &tokens {
        let (doc, peer) = &peers[*number];
        ledger.wrote(doc, token);
        if *message < peer.with(|view| view.saved) {
            ledger.promise(doc, token);
        }
    }
    server.restart().await;
    for number in 0..3 {
        let doc = format!("doc-{number}");
        let found = ledger.check(&doc, &Peer::join(&server, &doc).await.text());
        assert!(found.is_clean(), "{doc}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_stops_nobody_new_is_let_in_and_a_second_signal_ends_it_at_once() {
    let mut server = Server::start().await;
    let peer = Peer::join(&server, "d").await;
    server.signal(libc::SIGTERM);
    assert_eq!(peer.expect_close().await.0, 1012);
    assert_eq!(server.ended().await, 0);
    assert!(
        Connect::to(server.socket("d"))
            .try_open(None)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_running_server_holds_every_acknowledged_edit_and_comes_back_whole() {
    let server = Server::with(&[
        "--compact-after-rows",
        "20",
        "--max-messages-per-second",
        "100000",
    ])
    .await;
    let outside = tempfile::tempdir().unwrap();
    let path = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    let dir = server.dir().to_str().unwrap().to_owned();
    let peer = Connect::to(server.socket("d")).coscribe().join().await;
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        for number in 0..20 {
            let token = token(&format!("{round}.{number}"));
            peer.append(&token);
            acknowledged.push(token);
        }
        peer.saved().await;
        let file = path(&format!("copy-{round}"));
        // Somebody writes while the copy is made.
        let writing = async {
            for _ in 0..50 {
                peer.append("x");
                tokio::task::yield_now().await;
            }
        };
        let arguments = ["backup", &file, "--data-dir", &dir];
        let ((code, said), ()) = tokio::join!(run(&arguments), writing);
        assert_eq!(code, 0, "{said}");
        let restored = path(&format!("data-{round}"));
        let (code, said) = run(&["restore", &file, "--data-dir", &restored]).await;
        assert_eq!(code, 0, "{said}");
        let (code, said) = run(&["check", "--data-dir", &restored]).await;
        assert_eq!(code, 0, "{said}");
        let mut copy = Server::in_dir(restored.as_ref(), &[], &[]).await;
        let text = Peer::join(&copy, "d").await.text();
        for token in &acknowledged {
            assert!(
                text.contains(token.as_str()),
                "round {round}: {token} is not in the backup"
            );
        }
        assert_eq!(copy.stop().await, 0);
    }
    peer.saved().await;
    // A newer client meets the restored server and loses nothing.
    let copy = Server::in_dir(path("data-0").as_ref(), &[], &[]).await;
    let again = peer.reconnect(&copy.socket("d"), false).await.unwrap();
    let text = peer.text();
    again.expect_text(&text).await;
    Peer::join(&copy, "d").await.expect_text(&text).await;
}
