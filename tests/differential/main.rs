//! Yjs itself beside our server: random sessions of real Yjs clients, whose every frame goes to our rooms (on the real
//! SQLite store, compacted, unloaded, restarted at random points) and to a plain Yjs document, in the same order. Our
//! replica, a fresh load from the store and everybody must hold what Yjs holds: values, state vector, delete set.
//!
//! `COSCRIBE_SEEDS` says how many sessions, `COSCRIBE_FIRST_SEED` where to begin. A session that fails is shrunk and its
//! acts are printed.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

#[path = "../yjs/blocking.rs"]
mod blocking;
#[path = "../yjs/driver.rs"]
mod driver;
mod plan;
mod server;
mod session;
mod view;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use plan::Plan;
use session::{Bench, Seen};

/// Sessions whose seeds found something once.
const FOUND: [u64; 0] = [];
const SEEDS: u64 = 150;
/// How long a failing session is tried again to make it smaller.
const SHRINKING: Duration = Duration::from_secs(60);

#[test]
fn sessions_on_our_server_end_as_they_do_in_yjs() {
    let Some(mut bench) = Bench::start() else {
        return;
    };
    let first = number("COSCRIBE_FIRST_SEED", 1);
    let seeds = first..first + number("COSCRIBE_SEEDS", SEEDS);
    let started = Instant::now();
    let mut seen = Seen::default();
    for seed in FOUND.into_iter().chain(seeds) {
        match live(&mut bench, &Plan::of(seed)) {
            Ok(of_this) => seen.add(&of_this),
            Err(what) => panic!("{}", smallest(&mut bench, Plan::of(seed), &what)),
        }
    }
    println!("{seen:?} in {:?}", started.elapsed());
    let enough = seen.sessions >= 100;
    assert!(
        !enough
            || (seen.checks > 0 && seen.compactions > 0 && seen.restarts > 0 && seen.clean_ups > 0),
        "the sessions do not reach what they are for: {seen:?}"
    );
}

/// A panic is a failure like others. After a failure everything begins anew: people would still be connected.
fn live(bench: &mut Bench, plan: &Plan) -> Result<Seen, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| bench.live(plan))).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", what.unwrap_or_default()))
    });
    if outcome.is_err() {
        bench.recover();
    }
    outcome
}

fn smallest(bench: &mut Bench, plan: Plan, what: &str) -> String {
    let mut last = what.to_owned();
    let small = plan::shrink(plan, Instant::now() + SHRINKING, |plan| {
        match live(bench, plan) {
            Ok(_) => false,
            Err(what) => {
                last = what;
                true
            }
        }
    });
    let acts: Vec<String> = small.ops.iter().map(|op| format!("  {op:?}")).collect();
    format!(
        "seed {}: {what}\nsmallest session found: {:?}, lossy {}, marks {}\n{}\n{last}",
        small.seed,
        small.people,
        small.lossy,
        small.marks,
        acts.join("\n")
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own settings are no configuration of the server"
)]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}
