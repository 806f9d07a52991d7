//! The runs: many seeds, each planted bug, and a seed again.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{Failure, Outcome, Scenario, run, scenario::Crash, traced};
use crate::{
    room::planted::{Bug, plant},
    store::Durability,
};

/// Histories in a test run, unless `COSCRIBE_HISTORIES` says otherwise.
const HISTORIES: u64 = 1_000;
/// Seeds within which each planted bug has to be found.
const BUDGET: u64 = 300;

#[expect(
    clippy::disallowed_methods,
    reason = "how thorough a test is, not how the server behaves"
)]
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    }
}

/// Prints what led to a failure, which a second run of the same seed finds again.
fn explain(failure: &Failure, scenario: &Scenario) -> String {
    let (again, trace) = traced(scenario);
    if again.as_ref() != Err(failure) {
        return format!("{failure:?}, and when it ran again: {again:?}");
    }
    format!(
        "{}\nseed {}: {}",
        trace.join("\n"),
        failure.seed,
        failure.what
    )
}

/// COSCRIBE_HISTORIES=100000 is the long version, COSCRIBE_FIRST_SEED=n with COSCRIBE_HISTORIES=1 runs one again.
#[test]
fn no_history_breaks_a_promise() {
    let first = setting("COSCRIBE_FIRST_SEED", 1);
    let histories = setting("COSCRIBE_HISTORIES", HISTORIES);
    let next = AtomicU64::new(first);
    let total = Mutex::new(Outcome::default());
    let failures = Mutex::new(Vec::new());
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + histories || failures.lock().unwrap().len() >= 3 {
                        break;
                    }
                    let scenario = Scenario::draw(seed);
                    match run(&scenario) {
                        Ok(outcome) => total.lock().unwrap().add(&outcome),
                        Err(failure) => {
                            let told = explain(&failure, &scenario);
                            failures.lock().unwrap().push(told);
                        }
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!(
        "{histories} histories from seed {first}: {} edits, {} crashes, {} transactions lost in power cuts, \
         {} frames checked, {:.1?}",
        total.edits,
        total.crashes,
        total.lost,
        total.frames,
        started.elapsed()
    );
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(total.frames > histories * 30, "hardly anything happened");
}

#[test]
fn a_seed_is_a_history() {
    for seed in 1..100 {
        let scenario = Scenario::draw(seed);
        let one = run(&scenario).expect("no promise is broken");
        let again = run(&scenario).expect("nor now");
        if again != one {
            let (_, first) = traced(&scenario);
            // What is left to chance may take a few attempts to show.
            let differs = (0..100).find_map(|_| {
                let (_, second) = traced(&scenario);
                let at = first
                    .iter()
                    .zip(&second)
                    .position(|(one, other)| one != other)?;
                Some((first[at].clone(), second[at].clone()))
            });
            panic!("seed {seed} is not one history: {differs:#?}");
        }
    }
}

fn found_within_budget(bug: Bug) -> (u64, Failure) {
    plant(Some(bug));
    let found = (1..=BUDGET).find_map(|seed| {
        run(&Scenario::draw(seed))
            .err()
            .map(|failure| (seed, failure))
    });
    plant(None);
    let (seed, failure) =
        found.unwrap_or_else(|| panic!("{bug:?} was not found in {BUDGET} histories"));
    println!("{bug:?} found in history {seed}: {}", failure.what);
    (seed, failure)
}

#[test]
fn a_fan_out_before_the_commit_is_found() {
    let (_, failure) = found_within_budget(Bug::FanOutBeforeCommit);
    assert!(failure.what.contains("not durable"), "{}", failure.what);
}

#[test]
fn an_acknowledgement_before_the_commit_is_found() {
    let (_, failure) = found_within_budget(Bug::AckBeforeCommit);
    assert!(failure.what.contains("was told that"), "{}", failure.what);
}

#[test]
fn an_answer_before_the_commit_is_found() {
    let (_, failure) = found_within_budget(Bug::AnswerBeforeCommit);
    assert!(failure.what.contains("not durable"), "{}", failure.what);
}

#[test]
fn a_log_trimmed_for_an_unverified_snapshot_is_found() {
    let (_, failure) = found_within_budget(Bug::TrimUnverified);
    assert!(
        ["lost", "not its log", "does not load"]
            .iter()
            .any(|what| failure.what.contains(what)),
        "{}",
        failure.what
    );
}

#[test]
fn a_document_that_is_loaded_twice_is_found() {
    found_within_budget(Bug::LoadTwice);
}

#[test]
fn what_a_slow_peer_is_not_sent_is_found() {
    let (_, failure) = found_within_budget(Bug::DropForSlowPeer);
    assert!(failure.what.contains("apart"), "{}", failure.what);
}

#[test]
fn a_notice_to_other_nodes_before_the_commit_is_found() {
    let (_, failure) = found_within_budget(Bug::PublishBeforeCommit);
    assert!(failure.what.contains("not durable"), "{}", failure.what);
}

#[test]
fn a_node_that_believes_the_bus_is_found() {
    let (_, failure) = found_within_budget(Bug::TrustTheBus);
    assert!(failure.what.contains("apart"), "{}", failure.what);
}

#[test]
fn a_node_that_never_looks_is_found() {
    let (_, failure) = found_within_budget(Bug::NeverLook);
    assert!(failure.what.contains("apart"), "{}", failure.what);
}

/// The control for the bus: without one, only looking shows a node what others wrote.
#[test]
fn nodes_without_a_bus_converge_all_the_same() {
    for seed in 1..=100 {
        let scenario = Scenario {
            nodes: 3,
            bus_loses: 100,
            ..Scenario::draw(seed)
        };
        if let Err(failure) = run(&scenario) {
            panic!("{}", explain(&failure, &scenario));
        }
    }
}

/// The control: durability that does not promise to survive a power cut must be caught losing something in one.
#[test]
fn process_durability_loses_in_a_power_cut() {
    let lost = (1..=BUDGET).find_map(|seed| {
        let scenario = Scenario {
            durability: Durability::Process,
            ..Scenario::draw(seed)
        };
        run(&scenario).err()
    });
    let failure = lost.expect("a power cut lost nothing that somebody was sure of");
    assert!(failure.what.contains("is lost"), "{}", failure.what);
}

/// The control for the store's promise at its opening: a commit that a killed process had written and not synced is shown
/// by the next one, and must be as durable as anything else.
#[test]
fn an_opening_that_does_not_sync_is_found() {
    let found = (1..=BUDGET).find_map(|seed| {
        let scenario = Scenario {
            opening_syncs: false,
            crashes: vec![(10, Crash::Kill, true), (14, Crash::PowerCut, false)],
            ..Scenario::draw(seed)
        };
        run(&scenario).err()
    });
    let failure = found.expect("nobody saw what was not synced");
    assert!(failure.what.contains("is lost"), "{}", failure.what);
}
