//! Somebody who stops reading costs a few megabytes, disturbs nobody, and converges when they read again.
//!
//! `COSCRIBE_SLOW_EDITS` says how much is written meanwhile, 8 KiB each.

use std::time::{Duration, Instant};

use crate::harness::{
    IN_VAIN, PATIENCE, count,
    forgetful::{Forgetful, Way},
    peer::{Connect, Peer},
    server::Server,
    tokens::token,
    wire,
};

const SLEEPERS: usize = 5;
const FILLER: usize = 8 << 10;
/// What a sleeper may cost: a queue of 1 MiB, the frames handed to its socket, and the buffers of both.
const MAY_COST: u64 = 4 << 20;

struct Written {
    server: Server,
    writer: Peer,
    reader: Peer,
    sleepers: Vec<Peer>,
    grown: u64,
    slowest: Duration,
}

async fn start() -> Server {
    let flags = [
        "--max-messages-per-second",
        "100000",
        "--max-bytes-per-second",
        "1GiB",
    ];
    Server::with(&flags).await
}

/// Writes so many edits past so many people who do not read, and who are connected to this address.
async fn write_past(server: Server, sleepers: usize, url: &str, edits: u64) -> Written {
    let (writer, reader) = (
        Peer::join(&server, "d").await,
        Peer::join(&server, "d").await,
    );
    let mut asleep = Vec::new();
    for _ in 0..sleepers {
        let sleeper = Connect::to(url).join().await;
        sleeper.read(false);
        asleep.push(sleeper);
    }
    // Text that comes and goes: much is sent, and the document that all must hold in the end stays small.
    let filler = "x".repeat(FILLER);
    let (before, mut highest, mut slowest) = (server.rss(), 0, Duration::ZERO);
    for number in 0..edits {
        let started = Instant::now();
        let token = token(&number.to_string());
        writer.type_at(0, &filler);
        writer.delete(0, FILLER as u32);
        writer.type_at(0, &token);
        reader
            .wait(&token, |view| view.text().starts_with(&token))
            .await;
        slowest = slowest.max(started.elapsed());
        highest = highest.max(server.rss());
    }
    Written {
        server,
        writer,
        reader,
        sleepers: asleep,
        grown: highest.saturating_sub(before),
        slowest,
    }
}

/// Somebody reads again. Returns whether they have this text before `limit`.
async fn catches_up(sleeper: &Peer, text: &str, limit: Duration) -> bool {
    sleeper.read(true);
    sleeper.within(limit, |view| view.text() == text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_stop_reading_cost_little_and_converge_on_the_same_connection() {
    let edits = count("COSCRIBE_SLOW_EDITS", 3_000);
    let server = start().await;
    let alone = write_past(server, 0, "", edits).await;
    let (grown_alone, slowest_alone) = (alone.grown, alone.slowest);
    drop(alone);
    let server = start().await;
    let url = server.socket("d");
    let Written {
        server,
        writer,
        reader,
        sleepers,
        grown,
        slowest,
    } = write_past(server, SLEEPERS, &url, edits).await;
    let text = writer.text();
    eprintln!(
        "grown by {} MiB alone and {} MiB with {SLEEPERS} who do not read; slowest edit {slowest_alone:?} and {slowest:?}",
        grown_alone >> 20,
        grown >> 20
    );
    assert!(
        grown < grown_alone + SLEEPERS as u64 * MAY_COST,
        "grown by {grown_alone} and {grown}"
    );
    assert!(
        slowest < Duration::from_secs(5),
        "somebody waited {slowest:?}"
    );
    let replaced = server.metric("coscribe_outbox_replaced_total").await;
    assert!(replaced >= SLEEPERS as f64, "nobody was slow enough");
    for sleeper in &sleepers {
        let received = sleeper.with(|view| view.bytes);
        assert!(catches_up(sleeper, &text, PATIENCE).await);
        let more = sleeper.with(|view| view.bytes) - received;
        assert!(more < 8 << 20, "{more} bytes to catch up");
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

/// The control: one of the messages to somebody slow is thrown away, and what comes later can not make up for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_who_misses_something_is_noticed() {
    let server = start().await;
    let relay = Forgetful::to(server.address(), Way::ToClient, wire::UPDATE, |number| {
        number == 3
    });
    let relay = relay.await;
    let written = write_past(server, 1, &relay.socket("d"), 20).await;
    let (sleeper, text) = (&written.sleepers[0], written.writer.text());
    assert!(!catches_up(sleeper, &text, IN_VAIN).await);
    assert_eq!(relay.forgotten(), 1);
    // Nothing else is wrong: who asks is told.
    sleeper.ask();
    assert!(catches_up(sleeper, &text, PATIENCE).await);
}
