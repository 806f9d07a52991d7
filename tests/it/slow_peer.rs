//! Somebody who stops reading costs a few megabytes, disturbs nobody, and converges when they read again.
//!
//! `COSCRIBE_SLOW_SECONDS` says for how long nothing is read.

use std::time::{Duration, Instant};

use crate::harness::{count, peer::Peer, server::Server, tokens::token};

const SLEEPERS: usize = 5;
/// Memory for all sleepers: a queue of 1 MiB and what the transport holds, for each; and the document itself.
const MAY_GROW: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_reading_costs_little_and_converges_on_the_same_connection() {
    let seconds = count("COSCRIBE_SLOW_SECONDS", 15);
    let server = Server::with(&[
        "--max-messages-per-second",
        "100000",
        "--max-bytes-per-second",
        "1GiB",
    ])
    .await;
    let (writer, reader) = (
        Peer::join(&server, "d").await,
        Peer::join(&server, "d").await,
    );
    let mut sleepers = Vec::new();
    for _ in 0..SLEEPERS {
        let sleeper = Peer::join(&server, "d").await;
        sleeper.read(false);
        sleepers.push(sleeper);
    }
    // 8 KiB that come and go: much is sent, and the document stays small.
    let filler = "x".repeat(8 << 10);
    let (before, started, mut sent, mut slowest) =
        (server.rss(), Instant::now(), 0, Duration::ZERO);
    let mut highest = before;
    while started.elapsed() < Duration::from_secs(seconds) {
        let written = Instant::now();
        let token = token(&sent.to_string());
        writer.type_at(0, &token);
        writer.type_at(0, &filler);
        writer.delete(0, filler.len() as u32);
        reader
            .wait(&token, |view| view.text().starts_with(&token))
            .await;
        slowest = slowest.max(written.elapsed());
        sent += 1;
        highest = highest.max(server.rss());
    }
    let megabytes = (sent * filler.len()) >> 20;
    let grown = highest - before;
    eprintln!(
        "{megabytes} MiB written past {SLEEPERS} sleepers, grown by {} MiB, slowest edit {slowest:?}",
        grown >> 20
    );
    assert!(
        grown < MAY_GROW + (megabytes as u64) * (2 << 20),
        "grown by {grown} bytes"
    );
    assert!(
        server.metric("coscribe_outbox_replaced_total").await > 0.0,
        "nobody was slow enough"
    );
    let text = writer.text();
    for sleeper in &sleepers {
        let received = sleeper.with(|view| view.bytes);
        sleeper.read(true);
        sleeper.expect_text(&text).await;
        let more = sleeper.with(|view| view.bytes) - received;
        assert!(
            more < 16 << 20,
            "{more} bytes to catch up with {megabytes} MiB"
        );
        assert_eq!(sleeper.with(|view| view.closed.clone()), None);
    }
    // They take part again.
    sleepers[0].append("awake");
    reader
        .wait("awake", |view| view.text().ends_with("awake"))
        .await;
    sleepers[1]
        .wait("awake", |view| view.text().ends_with("awake"))
        .await;
}
