//! The bodies of the fuzz targets over the corpus that real clients made, and over random mutations of it: the short
//! version of `fuzz/run.sh`, without a fuzzer.
//!
//! `COSCRIBE_FRAMES` says how many mutations each target takes.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

#[path = "../fuzz/src/lib.rs"]
mod bodies;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bodies::{Body, TARGETS};
use coscribe::converge::random::Random;

const MUTATIONS: u64 = 10_000;
/// No input may take longer; the usual one takes less than a thousandth of it.
const TIME: Duration = Duration::from_secs(10);
/// Longer inputs are for the fuzzer.
const MAX_BYTES: usize = 4_096;

fn byte(random: &mut Random) -> u8 {
    const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0x81, 0xc4, 0xfe, 0xff];
    match random.below(2) {
        0 => EDGES[random.index(EDGES.len())],
        _ => random.below(256) as u8,
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut paths: Vec<PathBuf> = ["corpus-seed", "found"]
        .iter()
        .map(|folder| fuzz.join(folder).join(target))
        .filter(|folder| folder.exists())
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.index(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.index(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = byte(random),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.insert(at, byte(random)),
            4 => bytes.truncate(at),
            _ => {
                let other = &seeds[random.index(seeds.len())];
                let from = random.index(other.len() + 1);
                let to = (from + random.index(40)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn runs(name: &str, body: Body, input: &[u8]) {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| body(input)));
    let took = started.elapsed();
    if outcome.is_err() || took > TIME {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{name} failed, or took {took:?}: {hex}");
    }
}

fn target(name: &str) {
    let (_, body) = TARGETS.iter().find(|(of, _)| *of == name).unwrap();
    let seeds = seeds(name);
    assert!(seeds.len() > 3, "{name} has no corpus");
    for seed in &seeds {
        runs(name, *body, seed);
    }
    let random = &mut Random::new(name.len() as u64);
    let started = Instant::now();
    let count = mutations();
    for _ in 0..count {
        runs(name, *body, &mutated(&seeds, random));
    }
    println!(
        "{name}: {} seeds, {count} mutations in {:?}",
        seeds.len(),
        started.elapsed()
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own settings are no configuration of the server"
)]
fn mutations() -> u64 {
    std::env::var("COSCRIBE_FRAMES").map_or(MUTATIONS, |value| value.parse().expect("a number"))
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test] fn $name() { target(stringify!($name)); })*

        #[test]
        fn every_target_is_run_here_and_by_the_fuzzer() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            for name in names {
                let file = format!("{}/fuzz/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
                assert!(fs::read_to_string(file).unwrap().contains("fuzz_target!"));
            }
        }
    };
}

targets!(
    heads,
    frame,
    scan,
    apply,
    splice,
    strip,
    log,
    restore,
    awareness,
    state_vector,
    id_set
);
