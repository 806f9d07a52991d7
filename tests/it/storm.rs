//! Everybody comes back at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::{count, peer::Connect, server::Server, tokens::token};

const DOCS: u64 = 20;

/// The server is killed under everybody, and all reconnect in the same moment, with what they wrote meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_everybody_comes_back_at_once_and_nothing_is_lost() {
    let people = count("COSCRIBE_PEOPLE", 300);
    let mut server = Server::with(&["--max-messages-per-second", "10000"]).await;
    let urls: Vec<_> = (0..people)
        .map(|person| server.socket(&format!("d{}", person % DOCS)))
        .collect();
    let peers = join_all(
        urls.iter()
            .map(|url| Connect::to(url.clone()).coscribe().join()),
    )
    .await;
    for (number, peer) in peers.iter().enumerate() {
        peer.append(&token(&format!("{number}.before")));
    }
    join_all(peers.iter().map(|peer| peer.saved())).await;
    server.kill_9().await;
    join_all(peers.iter().map(|peer| peer.expect_close())).await;
    for (number, peer) in peers.iter().enumerate() {
        peer.append(&token(&format!("{number}.offline")));
    }
    server.restart().await;
    let started = Instant::now();
    let back = join_all(
        peers
            .iter()
            .zip(&urls)
            .map(|(peer, url)| peer.reconnect(url, true)),
    )
    .await;
    let back: Vec<_> = back.into_iter().map(Result::unwrap).collect();
    for (number, peer) in back.iter().enumerate() {
        let same = (0..people).filter(|other| other % DOCS == number as u64 % DOCS);
        let wanted: Vec<_> = same
            .flat_map(|other| ["before", "offline"].map(|when| token(&format!("{other}.{when}"))))
            .collect();
        peer.wait("what everybody wrote", |view| {
            let text = view.text();
            wanted
                .iter()
                .all(|token| text.matches(token.as_str()).count() == 1)
        })
        .await;
    }
    eprintln!(
        "{people} people were whole again after {:.1?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}
