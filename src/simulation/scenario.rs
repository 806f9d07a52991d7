//! What a seed draws: how many people, how bad the network and the disk are, and when something crashes.

use std::time::Duration;

use crate::{
    converge::{plan::Workload, random::Random},
    room::limits::RoomLimits,
    store::Durability,
};

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed; what it wrote stays, synced or not.
    Kill,
    /// What was not synced is lost or torn.
    PowerCut,
    /// The server is told to stop, and commits what it has.
    Stop,
}

/// One history.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub seed: u64,
    pub people: u16,
    pub documents: u16,
    /// Processes that serve the one store.
    pub nodes: u16,
    /// Of a hundred notices between them, so many are lost.
    pub bus_loses: u64,
    pub edits: u32,
    pub workloads: Vec<Workload>,
    pub durability: Durability,
    /// Opening the store syncs what the last process wrote.
    pub opening_syncs: bool,
    /// After so many edits; `true` when it happens inside of the store.
    pub crashes: Vec<(u32, Crash, bool)>,
    pub limits: RoomLimits,
    pub idle_unload: Duration,
    /// Of a hundred connections, so many read slowly.
    pub slow: u64,
    /// Of a hundred steps, so many cut a connection.
    pub cuts: u64,
    /// The longest delay of a frame, in milliseconds.
    pub latency: u64,
    /// The disk may be full for a while, and an fsync may fail.
    pub disk_trouble: bool,
    /// The encoder of snapshots forgets a row.
    pub forgets_a_row: bool,
    /// Now and then a step of a room panics.
    pub panics: bool,
    /// Of a hundred loads, so many fail.
    pub failing_loads: u64,
}

impl Scenario {
    /// At least 3 people, 30 edits and one crash.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut chance = |percent: u64| random.below(100) < percent;
        let (slow, cuts) = (
            if chance(30) { 50 } else { 0 },
            if chance(60) { 8 } else { 1 },
        );
        let (disk_trouble, forgets_a_row) = (chance(20), chance(15));
        let panics = chance(15);
        let failing_loads = if chance(15) { 20 } else { 0 };
        let small_outbox = chance(50);
        let little_uncommitted = chance(10);
        let compacts_often = chance(70);
        let unloads_soon = chance(50);
        let people = 3 + random.below(3) as u16;
        let edits = 30 + random.below(30) as u32;
        let workloads = match random.below(7) {
            0 => vec![Workload::Text],
            1 => vec![Workload::Rich],
            2 => vec![Workload::Map],
            3 => vec![Workload::Array],
            4 => vec![Workload::Nested],
            5 => vec![Workload::Tree],
            _ => vec![
                Workload::Text,
                Workload::Map,
                Workload::Tree,
                Workload::Nested,
            ],
        };
        let crashes = (0..1 + random.below(3))
            .map(|_| {
                let kind = match random.below(7) {
                    0..3 => Crash::PowerCut,
                    3..6 => Crash::Kill,
                    _ => Crash::Stop,
                };
                let at = 1 + random.below(u64::from(edits)) as u32;
                (at, kind, kind != Crash::Stop && random.below(3) > 0)
            })
            .collect();
        // Drawn apart, so that what a seed was without them it still is.
        let mut between = Random::new(seed ^ 0xb05);
        let nodes = [1, 1, 2, 3][between.below(4) as usize];
        let bus_loses = [0, 20, 100][between.below(3) as usize];
        Self {
            seed,
            nodes,
            bus_loses,
            people,
            documents: 1 + random.below(2) as u16,
            edits,
            workloads,
            durability: Durability::Full,
            opening_syncs: true,
            crashes,
            limits: RoomLimits {
                outbox_bytes: if small_outbox {
                    100 + random.below(200) as usize
                } else {
                    1 << 20
                },
                compact_rows: if compacts_often {
                    3 + random.below(15)
                } else {
                    500
                },
                uncommitted_bytes: if little_uncommitted { 300 } else { 16 << 20 },
                ..RoomLimits::default()
            },
            idle_unload: Duration::from_millis(if unloads_soon { 20 } else { 2_000 }),
            slow,
            cuts,
            latency: [2, 20, 200][random.below(3) as usize],
            disk_trouble,
            forgets_a_row,
            panics,
            failing_loads,
        }
    }
}
