//! Our work on bytes against the real Yjs: random sessions of several people, made by Yjs in a Node process.
//!
//! `COSCRIBE_SEEDS` sets how many sessions each test takes, `COSCRIBE_FIRST_SEED` where it begins.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "yjs/blocking.rs"]
mod blocking;
#[path = "yjs/driver.rs"]
mod driver;

use std::collections::BTreeMap;

use blocking::{BlockingDriver, Print};
use coscribe::{
    converge::random::Random,
    document::{
        id_set::IdSet,
        ready::{Ready, split},
        scan::{Scan, ScanLimits, scan},
        splice::splice,
        state_vector::StateVector,
        strip::{strip, strip_with},
    },
};
use driver::{hexes, unhex};
use serde::Deserialize;
use serde_json::{Value, json};
use yrs::{
    Doc, OffsetKind, Options, ReadTxn as _, Transact as _, Update,
    updates::{decoder::Decode as _, encoder::Encode as _},
};

type Bytes = Vec<u8>;

struct Yjs(BlockingDriver);

#[derive(Debug, Deserialize)]
struct Session {
    updates: Vec<String>,
    /// How many updates were made before the late ones.
    early: usize,
    canaries: Vec<String>,
    /// The state after the early updates, by a document that collects nothing.
    kept: String,
}

impl Yjs {
    /// `None`, with a message, where there is no Node.
    fn start() -> Option<Self> {
        BlockingDriver::start("peer.mjs").map(Self)
    }

    fn session(&mut self, seed: u32, lossy: bool) -> (Session, Vec<Bytes>) {
        let edits = 10 + seed % 60;
        let session: Session = self.0.ask(
            &json!({ "ask": "session", "seed": seed, "edits": edits, "lossy": lossy, "late": 4 }),
        );
        let updates = session.updates.iter().map(|update| unhex(update)).collect();
        (session, updates)
    }

    fn load<B: AsRef<[u8]>>(&mut self, updates: &[B], gc: bool) -> Print {
        self.0.load(updates, gc)
    }

    fn merge<B: AsRef<[u8]>>(&mut self, updates: &[B]) -> Bytes {
        self.update(&json!({ "ask": "merge", "updates": hexes(updates) }))
    }

    fn diff<B: AsRef<[u8]>>(&mut self, updates: &[B], have: &[B]) -> Bytes {
        self.update(&json!({ "ask": "diff", "updates": hexes(updates), "have": hexes(have) }))
    }

    fn update(&mut self, request: &Value) -> Bytes {
        let answer: BTreeMap<String, String> = self.0.ask(request);
        unhex(&answer["update"])
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own settings are no configuration of the server"
)]
fn seeds(default: u32) -> std::ops::Range<u32> {
    let number = |name, default| {
        std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
    };
    let first = number("COSCRIBE_FIRST_SEED", 0);
    first..first + number("COSCRIBE_SEEDS", default)
}

fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for at in (1..items.len()).rev() {
        items.swap(at, random.index(at + 1));
    }
}

fn scanned(bytes: &[u8]) -> Scan {
    scan(bytes, &ScanLimits::default()).unwrap_or_else(|error| panic!("refused: {error}"))
}

/// A server's side of one document: applies what is ready, parks the rest.
struct Replica {
    doc: Doc,
    known: StateVector,
    deleted: IdSet,
    log: Vec<Bytes>,
    parked: Vec<Bytes>,
}

impl Replica {
    fn new() -> Self {
        let options = Options {
            skip_gc: true,
            offset_kind: OffsetKind::Utf16,
            ..Options::default()
        };
        let (known, deleted) = (StateVector::new(), IdSet::new());
        Self {
            doc: Doc::with_options(options),
            known,
            deleted,
            log: Vec::new(),
            parked: Vec::new(),
        }
    }

    fn receive(&mut self, update: Bytes) {
        let mut try_again = self.apply(update);
        while try_again {
            let parked = std::mem::take(&mut self.parked);
            try_again = parked
                .into_iter()
                .fold(false, |progress, update| self.apply(update) | progress);
        }
    }

    /// Returns whether anything was new.
    fn apply(&mut self, update: Bytes) -> bool {
        let split = split(&scanned(&update), &update, &self.known, &self.deleted);
        if split.rest {
            assert!(!split.missing.is_empty());
            self.parked.push(update.clone());
        }
        let ready = match split.ready {
            Ready::Nothing => return false,
            Ready::All => update,
            Ready::Part(part) => part,
        };
        scanned(&ready);
        let mut txn = self.doc.transact_mut();
        txn.apply_update(Update::decode_v1(&ready).unwrap())
            .unwrap();
        drop(txn);
        assert!(
            !self.doc.transact().has_missing_updates(),
            "yrs keeps something pending"
        );
        self.known.advance_all(
            split
                .runs_added
                .iter()
                .map(|added| (added.client, added.end)),
        );
        for range in &split.deletes_added {
            assert!(
                self.deleted.missing_from(*range).eq([*range]),
                "deleted twice"
            );
            self.deleted.extend([*range]);
        }
        let vector = self.doc.transact().state_vector().encode_v1();
        assert_eq!(
            StateVector::decode(&vector, usize::MAX).unwrap(),
            self.known
        );
        self.log.push(ready);
        true
    }

    fn state(&self) -> Bytes {
        self.doc
            .transact()
            .encode_diff_v1(&yrs::StateVector::default())
    }
}

fn slices(updates: &[Bytes]) -> Vec<&[u8]> {
    updates.iter().map(Vec::as_slice).collect()
}

/// Cuts a list into random neighbourhoods.
fn batches<'a>(random: &mut Random, mut updates: &'a [Bytes]) -> Vec<&'a [Bytes]> {
    let mut batches = Vec::new();
    while !updates.is_empty() {
        let (batch, rest) = updates.split_at((1 + random.index(9)).min(updates.len()));
        batches.push(batch);
        updates = rest;
    }
    batches
}

#[test]
fn updates_in_any_order_twice_and_overlapping_end_in_the_same_document() {
    let Some(mut yjs) = Yjs::start() else { return };
    for seed in seeds(150) {
        println!("seed {seed}");
        let (_, updates) = yjs.session(seed, false);
        let random = &mut Random::new(seed.into());
        let expected = yjs.load(&updates, true);

        let mut deliveries = updates.clone();
        for _ in 0..updates.len() / 3 {
            deliveries.push(updates[random.index(updates.len())].clone());
        }
        for _ in 0..3 {
            // A few updates merged by Yjs, with gaps between them, and what a client sends that knows more than we.
            let some: Vec<&Bytes> = updates.iter().filter(|_| random.index(3) == 0).collect();
            if !some.is_empty() {
                deliveries.push(yjs.merge(&some));
            }
            let (from, to) = (random.index(updates.len()), random.index(updates.len()) + 1);
            if from < to {
                deliveries.push(yjs.diff(&updates[..to], &updates[..from]));
            }
        }
        shuffle(random, &mut deliveries);
        let mut replica = Replica::new();
        for update in deliveries {
            replica.receive(update);
        }
        assert!(
            replica.parked.is_empty(),
            "{} updates still wait",
            replica.parked.len()
        );
        assert_eq!(yjs.load(&replica.log, true), expected, "the log");
        assert_eq!(
            yjs.load(&[replica.state()], true),
            expected,
            "the state of yrs"
        );
    }
}

#[test]
fn spliced_batches_are_the_updates_one_by_one() {
    let Some(mut yjs) = Yjs::start() else { return };
    for seed in seeds(150) {
        println!("seed {seed}");
        let (_, updates) = yjs.session(seed, seed % 2 == 0);
        let random = &mut Random::new(seed.into());
        let expected = yjs.load(&updates, true);
        let mut deliveries = updates.clone();
        shuffle(random, &mut deliveries[updates.len() / 2..]);
        let mut replica = Replica::new();
        for update in deliveries {
            replica.receive(update);
        }
        let frames: Vec<Bytes> = batches(random, &replica.log)
            .into_iter()
            .map(|batch| splice(&slices(batch)).unwrap())
            .collect();
        assert!(frames.iter().all(|frame| scanned(frame).descending));
        assert_eq!(yjs.load(&frames, true), expected, "frames");
        let merged = yjs.merge(&frames);
        assert_eq!(yjs.load(&[merged], true), expected, "frames merged by Yjs");
        let whole = splice(&slices(&replica.log)).unwrap();
        assert_eq!(yjs.load(&[&whole], false), expected, "one frame");
        let pieces = [
            splice(&slices(&frames)).unwrap(),
            updates[random.index(updates.len())].clone(),
        ];
        let merged = yjs.merge(&pieces);
        assert_eq!(
            yjs.load(&[merged], false),
            expected,
            "one frame merged with an update that it holds"
        );
    }
}

#[test]
fn stripped_states_converge_and_hold_no_deleted_text() {
    let Some(mut yjs) = Yjs::start() else { return };
    let (mut before, mut after) = (0, 0);
    for seed in seeds(150) {
        println!("seed {seed}");
        let (session, updates) = yjs.session(seed, seed % 3 == 0);
        let (early, late) = updates.split_at(session.early);
        let expected = yjs.load(early, true);
        let expected_late = yjs.load(&updates, true);
        let mut replica = Replica::new();
        for update in early {
            replica.receive(update.clone());
        }
        let whole = splice(&slices(&replica.log)).unwrap();
        let mut states = vec![("bytes", whole), ("Yjs", unhex(&session.kept))];
        if !scanned(&states[0].1).lossy {
            states.push(("yrs", replica.state()));
        }
        for (of, state) in states {
            let stripped = strip(&state).unwrap();
            scanned(&stripped);
            before += state.len();
            after += stripped.len();
            assert!(stripped.len() <= state.len() + 4 * scanned(&stripped).structs as usize);
            for gc in [true, false] {
                assert_eq!(
                    yjs.load(&[&stripped], gc),
                    expected,
                    "stripped state of {of}, gc {gc}"
                );
            }
            for canary in &session.canaries {
                assert!(
                    !contains(&stripped, canary.as_bytes()),
                    "{canary} in the stripped state of {of}"
                );
            }
            assert_eq!(strip(&stripped).unwrap(), stripped, "stripping again");

            let with_late = [vec![stripped.clone()], late.to_vec()].concat();
            assert_eq!(
                yjs.load(&with_late, true),
                expected_late,
                "late edits over the stripped state of {of}"
            );
            if !scanned(&stripped).lossy {
                let mut reader = Replica::new();
                with_late
                    .into_iter()
                    .for_each(|update| reader.receive(update));
                assert!(reader.parked.is_empty());
                assert_eq!(
                    yjs.load(&[reader.state()], true),
                    expected_late,
                    "yrs over the stripped state of {of}"
                );
            }
        }
        // What somebody still lacks, stripped by the delete set of the whole.
        let half = &early[..early.len() / 2];
        let diff = yjs.diff(early, half);
        let diff = strip_with(&diff, &replica.deleted).unwrap();
        let joined = [half.to_vec(), vec![diff]].concat();
        assert_eq!(yjs.load(&joined, true), expected, "a stripped difference");
    }
    println!("{before} bytes became {after}");
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
