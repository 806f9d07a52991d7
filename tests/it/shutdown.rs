//! Stopping in order, and copies of the data beside a running server.

use crate::harness::{
    database::Database,
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

/// What is wrong with a backup: why it can not be restored, or the promised tokens that a server on it does not show.
/// `restored` is where it is restored to.
async fn wrong_with(file: &str, restored: &str, ledger: &Ledger) -> Vec<String> {
    let steps = [
        vec!["restore", file, "--data-dir", restored],
        vec!["check", "--data-dir", restored],
    ];
    for step in steps {
        let (code, said) = run(&step).await;
        if code != 0 {
            return vec![said];
        }
    }
    let mut copy = Server::in_dir(restored.as_ref(), &[], &[]).await;
    let text = Peer::join(&copy, "d").await.text();
    assert_eq!(copy.stop().await, 0);
    ledger.check("d", &text).lost
}

/// Writes twenty tokens that are acknowledged.
async fn write_acknowledged(peer: &Peer, round: usize, ledger: &mut Ledger) {
    for number in 0..20 {
        let token = token(&format!("{round}.{number}"));
        peer.append(&token);
        ledger.wrote("d", &token);
        ledger.promise("d", &token);
    }
    peer.saved().await;
}

/// Somebody writes while a copy is made.
async fn write_meanwhile(peer: &Peer) {
    for _ in 0..50 {
        peer.append("x");
        tokio::task::yield_now().await;
    }
}

const COPIED: [&str; 4] = [
    "--compact-after-rows",
    "20",
    "--max-messages-per-second",
    "100000",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_running_server_holds_every_acknowledged_edit_and_comes_back_whole() {
    let server = Server::with(&COPIED).await;
    let outside = tempfile::tempdir().unwrap();
    let path = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    let dir = server.dir().to_str().unwrap().to_owned();
    let peer = Connect::to(server.socket("d")).coscribe().join().await;
    let mut ledger = Ledger::default();
    for round in 0..5 {
        write_acknowledged(&peer, round, &mut ledger).await;
        let file = path(&format!("copy-{round}"));
        let arguments = ["backup", &file, "--data-dir", &dir];
        let ((code, said), ()) = tokio::join!(run(&arguments), write_meanwhile(&peer));
        assert_eq!(code, 0, "{said}");
        let wrong = wrong_with(&file, &path(&format!("data-{round}")), &ledger).await;
        assert!(wrong.is_empty(), "round {round}: {wrong:?}");
    }
    peer.saved().await;
    // A newer client meets the restored server and loses nothing.
    let copy = Server::in_dir(path("data-0").as_ref(), &[], &[]).await;
    let again = peer.reconnect(&copy.socket("d"), false).await.unwrap();
    let text = peer.text();
    again.expect_text(&text).await;
    Peer::join(&copy, "d").await.expect_text(&text).await;
}

/// The control: somebody copies the main file and leaves its log behind. The copy is sound, and old: all that was
/// acknowledged since is reported.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_the_log_is_noticed() {
    let mut server = Server::with(&COPIED).await;
    let outside = tempfile::tempdir().unwrap();
    let path = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    let mut ledger = Ledger::default();
    let peer = Connect::to(server.socket("d")).coscribe().join().await;
    write_acknowledged(&peer, 0, &mut ledger).await;
    // A stop leaves no log behind.
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    // While somebody reads, the log is not moved into the main file.
    let mut reading = Database::open(server.dir()).await;
    reading.execute("BEGIN").await;
    assert!(reading.number("SELECT count(*) FROM documents").await > 0);
    let peer = peer.reconnect(&server.socket("d"), true).await.unwrap();
    write_acknowledged(&peer, 1, &mut ledger).await;
    let copy = async { std::fs::copy(server.dir().join("coscribe.db"), path("copy")) };
    let (copied, ()) = tokio::join!(copy, write_meanwhile(&peer));
    copied.unwrap();
    let wrong = wrong_with(&path("copy"), &path("data"), &ledger).await;
    let newer = |token: &String| token.starts_with("<1.");
    assert!(wrong.len() == 20 && wrong.iter().all(newer), "{wrong:?}");
}
