//! Documents that nobody has open cost nothing.
//!
//! `COSCRIBE_DOCUMENTS` says how many are opened, edited and left.

use crate::harness::{count, peer::Peer, server::Server};

const FIRST: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_were_left_are_unloaded_and_give_their_memory_back() {
    let documents = count("COSCRIBE_DOCUMENTS", 500);
    let server = Server::with(&["--idle-unload", "200ms"]).await;
    open_and_leave(&server, 0..FIRST).await;
    let first = server.rss();
    open_and_leave(&server, FIRST..documents).await;
    let last = server.rss();
    eprintln!(
        "{} KiB after {FIRST} documents, {} KiB after {documents}",
        first >> 10,
        last >> 10
    );
    assert!(
        last < first * 13 / 10 + (16 << 20),
        "{first} bytes grew to {last}"
    );
    Peer::join(&server, "doc-7")
        .await
        .expect_text("edited 7")
        .await;
}

async fn open_and_leave(server: &Server, numbers: std::ops::Range<u64>) {
    let numbers: Vec<_> = numbers.collect();
    for some in numbers.chunks(20) {
        let mut peers = Vec::new();
        for number in some {
            let peer = Peer::join(server, &format!("doc-{number}")).await;
            peer.append(&format!("edited {number}"));
            peers.push(peer);
        }
        for peer in &peers {
            peer.echoed().await;
        }
    }
    server
        .until_metric("coscribe_rooms", |rooms| rooms == 0.0)
        .await;
    server
        .until_metric("coscribe_sockets", |sockets| sockets == 0.0)
        .await;
}
