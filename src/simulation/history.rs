//! A history from its seed to its verdict, and what is noted of it.

use std::{
    fmt::Write as _,
    hash::Hasher as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rustc_hash::FxHasher;
use tokio::time::Instant;

use super::{
    scenario::Scenario,
    world::{Ended, World},
};
use crate::room::planted::forget_a_row;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
}

/// What a history was made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Of everything that happened, in order: equal for equal histories.
    pub fingerprint: u64,
    pub edits: u64,
    pub crashes: u64,
    /// Transactions that power cuts took.
    pub lost: u64,
    /// Frames that left a room, each checked.
    pub frames: u64,
}

impl Outcome {
    /// Adds up the counts of many histories.
    pub fn add(&mut self, other: &Self) {
        self.edits += other.edits;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.frames += other.frames;
    }
}

/// Lives one history.
///
/// # Errors
/// The first promise that was broken.
pub fn run(scenario: &Scenario) -> Result<Outcome, Failure> {
    live(scenario, false).0
}

/// The same, with everything that happened, in order.
pub fn traced(scenario: &Scenario) -> (Result<Outcome, Failure>, Vec<String>) {
    live(scenario, true)
}

fn live(scenario: &Scenario, verbose: bool) -> (Result<Outcome, Failure>, Vec<String>) {
    let world = Arc::new(World::new(scenario.clone(), verbose));
    forget_a_row(scenario.forgets_a_row);
    // A panic is a failure like others, but one that would not name its seed.
    let ended = catch_unwind(AssertUnwindSafe(|| world.live_on())).unwrap_or_else(|panic| {
        world.fail(format!("panicked: {:?}", panic.downcast_ref::<String>()));
        Ended::Failed
    });
    forget_a_row(false);
    let failure = world.failure().clone();
    let mut log = world.log();
    let result = match (ended, failure) {
        (Ended::Settled, None) => Ok(log.outcome()),
        (_, what) => Err(Failure {
            seed: scenario.seed,
            what: what.unwrap_or_default(),
        }),
    };
    (result, log.take_lines())
}

/// Everything that happens, as a fingerprint or in words.
#[derive(Default)]
pub struct Log {
    hasher: FxHasher,
    line: String,
    lines: Vec<String>,
    verbose: bool,
    counts: Outcome,
    started: Option<Instant>,
}

impl Log {
    pub fn new(verbose: bool) -> Self {
        Self {
            verbose,
            ..Self::default()
        }
    }

    /// A process of the server begins or, with `None`, ends: without one there is no virtual time.
    pub fn set_start(&mut self, started: Option<Instant>) {
        self.started = started;
    }

    pub fn note(&mut self, what: &str) {
        let now = self
            .started
            .map_or(0, |started| started.elapsed().as_millis());
        self.line.clear();
        // Writing to a string does not fail.
        write!(self.line, "{now:>6} {what}").ok();
        self.hasher.write(self.line.as_bytes());
        if self.verbose {
            self.lines.push(self.line.clone());
        }
    }

    pub fn count(&mut self) -> &mut Outcome {
        &mut self.counts
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            fingerprint: self.hasher.finish(),
            ..self.counts
        }
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}
