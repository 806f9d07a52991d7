//! Many documents with two people each, who take turns.

use std::{rc::Rc, time::Duration};

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{
    delivery::{Author, Readers, Tally, Writer, follow, fresh_name, join_all},
    figures::{Figures, Latencies},
    meter::Meter,
    server::{Launch, Server},
    usage::resident_bytes,
    wire::{Alone, Peer},
};

/// How often the generator sends a handful of operations.
const TICK: Duration = Duration::from_millis(1);
/// Operations per person before the measurement.
const WARM_UP: u64 = 2;
/// Buffers that only the burst needed are given back before memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// `rate` operations a second in all, spread evenly: CPU per operation, latency at the other person, and what an open
/// document with its two connections takes in memory afterwards.
pub async fn run(launch: &Launch, documents: usize, rate: f64, seconds: f64) -> Result<Figures> {
    let server = launch.start().await?;
    drop(Peer::join(&server, &fresh_name("first"), Alone::Yes).await?);
    let empty = resident_bytes(server.pid)?;
    let mut crowd = Crowd::gather(&server, documents).await?;

    crowd
        .take_turns(rate, crowd.writers.len() as u64 * WARM_UP)
        .await?;
    *crowd.tally.latencies.borrow_mut() = Some(Latencies::default());
    let meter = Meter::start(&server)?;
    let operations = (rate * seconds) as u64;
    crowd.take_turns(rate, operations).await?;
    let used = meter.stop()?;
    sleep(SETTLE).await;
    let full = resident_bytes(server.pid)?;

    let mut figures = Figures::default();
    figures.add_measured(
        "CPU per operation",
        "µs",
        used.micros_per(operations as f64),
    );
    figures.add_latencies(crowd.tally.latencies.take().unwrap_or_default());
    let grown = full.zip(empty).map(|(full, empty)| full - empty);
    figures.add_measured(
        "memory per document",
        "kB",
        grown.map(|bytes| bytes / 1e3 / documents as f64),
    );
    used.add_to(&mut figures);
    Ok(figures)
}

/// Everyone: the first person of each document, then the second of each.
struct Crowd {
    writers: Vec<Writer>,
    turn: usize,
    tally: Rc<Tally>,
    readers: Readers,
}

impl Crowd {
    async fn gather(server: &Server, documents: usize) -> Result<Self> {
        let name = fresh_name("room");
        let names = (0..2 * documents).map(|person| format!("{name}-{}", person % documents));
        let peers = join_all(server, names, Alone::No).await?;
        let authors: Vec<_> = peers.iter().map(|_| Author::new()).collect();
        let (tally, mut readers, mut writers) =
            (Rc::new(Tally::default()), Readers::new(), Vec::new());
        for (person, peer) in peers.into_iter().enumerate() {
            let partner = Rc::clone(&authors[(person + documents) % authors.len()]);
            readers.spawn_local(follow(
                peer.receiver,
                peer.wire.clone(),
                partner,
                Rc::clone(&tally),
            ));
            writers.push(Writer::new(
                Rc::clone(&authors[person]),
                peer.sender,
                peer.wire,
            ));
        }
        Ok(Self {
            writers,
            turn: 0,
            tally,
            readers,
        })
    }

    /// Sends that many operations and waits until each has reached the partner.
    async fn take_turns(&mut self, rate: f64, operations: u64) -> Result<()> {
        let goal = self.tally.delivered() + operations;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut sent, mut due) = (0, 0.0);
        while sent < operations {
            ticks.tick().await;
            due += rate * TICK.as_secs_f64();
            while sent < operations.min(due as u64) {
                self.writers[self.turn].write(1).await?;
                self.turn = (self.turn + 1) % self.writers.len();
                sent += 1;
            }
        }
        self.tally.reach(goal, &mut self.readers).await
    }
}
