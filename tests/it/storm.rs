//! Everybody comes back at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::{
    IN_VAIN, PATIENCE, count,
    forgetful::{Forgetful, Way},
    peer::{Connect, Peer},
    server::Server,
    tokens::token,
    wire,
};

const DOCS: u64 = 20;
const FLAGS: [&str; 2] = ["--max-messages-per-second", "10000"];

/// The server is killed under everybody, and all reconnect in the same moment, with what they wrote meanwhile. The first
/// one goes to the address that `first` answers. Returns all of them when they are connected, and since when the server runs.
async fn storm(
    server: &mut Server,
    people: u64,
    first: impl AsyncFnOnce(&Server) -> String,
) -> (Vec<Peer>, Instant) {
    let mut urls: Vec<_> = (0..people)
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
    urls[0] = first(server).await;
    let started = Instant::now();
    let back = join_all(
        peers
            .iter()
            .zip(&urls)
            .map(|(peer, url)| peer.reconnect(url, true)),
    );
    let back = back.await.into_iter().map(Result::unwrap).collect();
    (back, started)
}

/// What each of them does not show exactly once before `limit`, of what everybody in their document wrote. Each entry is
/// a person's number and a token.
async fn missing(back: &[Peer], limit: Duration) -> Vec<(usize, String)> {
    let end = Instant::now() + limit;
    let mut missing = Vec::new();
    for (number, peer) in back.iter().enumerate() {
        let same = (number % DOCS as usize..back.len()).step_by(DOCS as usize);
        let wanted: Vec<_> = same
            .flat_map(|other| ["before", "offline"].map(|when| token(&format!("{other}.{when}"))))
            .collect();
        let not_once = |text: &str| -> Vec<_> {
            let not_once = |token: &&String| text.matches(token.as_str()).count() != 1;
            wanted.iter().filter(not_once).cloned().collect()
        };
        if !peer
            .within(end.saturating_duration_since(Instant::now()), |view| {
                not_once(&view.text()).is_empty()
            })
            .await
        {
            missing.extend(
                not_once(&peer.text())
                    .into_iter()
                    .map(|token| (number, token)),
            );
        }
    }
    missing
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_everybody_comes_back_at_once_and_nothing_is_lost() {
    let people = count("COSCRIBE_PEOPLE", 300);
    let mut server = Server::with(&FLAGS).await;
    let (back, started) = storm(&mut server, people, async |server| server.socket("d0")).await;
    let missing = missing(&back, PATIENCE).await;
    assert!(missing.is_empty(), "{missing:?}");
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

/// The control: what one person brings back never arrives. All others in that document lack exactly this.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_lost_on_the_way_back_is_noticed() {
    let mut server = Server::with(&FLAGS).await;
    let (back, _) = storm(&mut server, 3 * DOCS, async |server| {
        let deaf = Forgetful::to(server.address(), Way::ToServer, wire::STEP_2, |_| true).await;
        deaf.socket("d0")
    })
    .await;
    let lost = token("0.offline");
    let expected = [1, 2].map(|other| (other * DOCS as usize, lost.clone()));
    assert_eq!(missing(&back, IN_VAIN).await, expected);
}
