//! Updates: what the scan lets through, what becomes of it in a replica, and what splicing and stripping leave of it.

use bytes::Bytes;
use coscribe::document::{
    id_set::IdSet,
    ready::{Ready, split},
    replica::{EMPTY_UPDATE, Replica},
    scan::{Kind, Scan, ScanLimits, scan, scan_accepted},
    splice::splice,
    state_vector::StateVector,
    strip::{strip, strip_with},
    tree,
};
use yrs::{
    ReadTxn, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

use super::inputs::{Choices, Inputs, inputs};

/// What the scan accepts, yrs decodes, and every later walk over it finds what the scan has counted.
pub fn scan_bytes(data: &[u8]) {
    let Ok(found) = scan(data, &ScanLimits::default()) else {
        return;
    };
    assert!(
        Update::decode_v1(data).is_ok(),
        "yrs can not decode what was accepted"
    );
    let mut structs = 0;
    for run in &found.runs {
        let mut clock = run.start;
        for view in found.structs_of(data, run) {
            assert_eq!(view.clock, clock, "structs of a run follow each other");
            assert!(view.len > 0);
            clock = view.end();
            structs += 1;
        }
        assert_eq!(clock, run.end);
    }
    assert_eq!(structs, found.structs);
    assert_eq!(found.delete_ranges(data).count(), found.deletes as usize);
    for limit in [
        found.structs as usize,
        found.structs.saturating_sub(1) as usize,
    ] {
        let limits = ScanLimits {
            max_structs: limit,
            ..ScanLimits::default()
        };
        let accepted = scan(data, &limits).is_ok();
        assert_eq!(accepted, limit >= found.structs as usize);
    }
}

/// The way of every update into a document, as rooms go it: scan, split, apply, and another try for what waits.
#[derive(Default)]
pub struct Receiver {
    replica: Replica,
    pub log: Vec<Bytes>,
    parked: Vec<Bytes>,
    /// yrs refused what was let through: the replica is of no use any more.
    broken: bool,
}

impl Receiver {
    fn receive(&mut self, update: &Bytes) {
        let mut progress = self.take(update);
        while progress && !self.broken {
            progress = false;
            for parked in std::mem::take(&mut self.parked) {
                progress |= self.take(&parked);
            }
        }
    }

    /// Answers whether anything was new.
    fn take(&mut self, update: &Bytes) -> bool {
        let Ok(found) = scan(update, &ScanLimits::default()) else {
            return false;
        };
        if self.broken {
            return false;
        }
        let before = self.replica.known().clone();
        let split = split(&found, update, self.replica.known(), self.replica.deleted());
        if split.rest {
            self.parked.push(update.clone());
        }
        if let Ready::Part(part) = &split.ready {
            assert!(
                scan(part, &ScanLimits::default()).is_ok(),
                "a part is an update"
            );
        }
        let applied = match self.replica.apply(&found, update, &split) {
            Ok(applied) => applied,
            Err(error) => {
                self.broken = !error.is_harmless();
                if !self.broken {
                    assert_eq!(*self.replica.known(), before, "harmless, and yet changed");
                }
                return false;
            }
        };
        for added in &split.runs_added {
            assert_eq!(
                before.get(added.client),
                added.start,
                "a gap was let through"
            );
            assert_eq!(self.replica.known().get(added.client), added.end);
        }
        for range in &split.deletes_added {
            let left = self.replica.deleted().missing_from(*range).count();
            assert_eq!(left, 0, "{range:?} was to be deleted");
        }
        self.as_yrs_has_it();
        let Some(applied) = applied else { return false };
        self.log.push(applied.bytes);
        true
    }

    fn as_yrs_has_it(&self) {
        let Some(doc) = self.replica.doc() else {
            assert!(self.replica.known().is_empty());
            return;
        };
        let txn = doc.transact();
        assert!(!txn.has_missing_updates(), "yrs holds something back");
        let vector = txn.state_vector().encode_v1();
        let vector = StateVector::decode(&vector, usize::MAX).expect("a state vector");
        assert_eq!(vector, *self.replica.known());
    }
}

pub fn received(updates: &[Bytes]) -> Receiver {
    let mut receiver = Receiver::default();
    updates.iter().for_each(|update| receiver.receive(update));
    receiver
}

/// Updates in any order, some twice: never anything pending, a state that can be read again, and for honest ones the
/// same document whichever way it came.
pub fn apply(data: &[u8]) {
    let Inputs {
        updates,
        honest,
        mut rest,
    } = inputs(data);
    let in_any_order = shuffled(&updates, &mut rest);
    let receiver = received(&in_any_order);
    if receiver.broken {
        assert!(!honest, "yrs refused an honest update");
        return;
    }
    let replica = &receiver.replica;
    let limits = ScanLimits::default();
    let state = replica
        .full_state()
        .unwrap_or(Bytes::from_static(EMPTY_UPDATE));
    // Whoever wrote them: what was accepted can be stored in any pieces, and be loaded.
    let slices: Vec<&[u8]> = receiver.log.iter().map(AsRef::as_ref).collect();
    let whole = Bytes::from(splice(&slices).expect("a log has no gaps"));
    let load = |what: &str, rows: &[Bytes]| match Replica::load(rows, &limits) {
        Ok(again) => {
            assert_eq!(again.known(), replica.known(), "{what}: state vectors");
            again
        }
        Err(error) => panic!("{what} does not load: {error}"),
    };
    let state = load("the state", &[state]);
    let whole = load("the log in one piece", &[whole]);
    let log = load("the log", &receiver.log);
    if !honest {
        return;
    }
    same(&state, replica, "the state");
    same(&whole, replica, "the log in one piece");
    same(&log, replica, "the log");
    assert!(receiver.parked.is_empty(), "an honest update still waits");
    same(&received(&updates).replica, replica, "the updates in order");
    // Somebody who has the first part of the log is brought up to date by one difference.
    let (early, _) = receiver.log.split_at(rest.below(receiver.log.len() + 1));
    let mut early = Replica::load(early, &limits).expect("a part of the log");
    let difference = Bytes::from(replica.diff(early.known()));
    early
        .append(&difference, &limits)
        .expect("a difference has no gap");
    same(&early, replica, "a difference");
}

fn shuffled(updates: &[Bytes], choices: &mut Choices) -> Vec<Bytes> {
    let mut order = updates.to_vec();
    for _ in 0..choices.below(4) {
        if let Some(again) = updates.get(choices.below(updates.len())) {
            order.push(again.clone());
        }
    }
    if choices.byte() % 2 == 1 {
        for at in (1..order.len()).rev() {
            order.swap(at, choices.below(at + 1));
        }
    }
    order
}

fn same(one: &Replica, other: &Replica, what: &str) {
    assert_eq!(one.known(), other.known(), "{what}: state vectors");
    assert_eq!(one.deleted(), other.deleted(), "{what}: delete sets");
    assert_eq!(
        one.doc().map(tree::roots).unwrap_or_default(),
        other.doc().map(tree::roots).unwrap_or_default(),
        "{what}: values"
    );
}

/// Whatever is spliced is an update again that holds what its parts hold.
pub fn splice_updates(data: &[u8]) {
    let Inputs {
        updates, mut rest, ..
    } = inputs(data);
    let limits = ScanLimits::default();
    let readable: Vec<&[u8]> = updates
        .iter()
        .map(AsRef::as_ref)
        .filter(|update| scan(update, &limits).is_ok())
        .collect();
    if let Ok(spliced) = splice(&readable) {
        holds_all(&spliced, &readable);
    }
    let receiver = received(&updates);
    let (first, second) = receiver.log.split_at(rest.below(receiver.log.len() + 1));
    let slices =
        |parts: &[Bytes]| -> Vec<Vec<u8>> { parts.iter().map(|part| part.to_vec()).collect() };
    let (first, second) = (slices(first), slices(second));
    let joined = |parts: &[Vec<u8>]| {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        splice(&parts).expect("what was applied has neither gaps nor overlaps")
    };
    let whole = joined(&[first.clone(), second.clone()].concat());
    let all: Vec<&[u8]> = receiver.log.iter().map(AsRef::as_ref).collect();
    holds_all(&whole, &all);
    if all.len() > 1 && !first.is_empty() && !second.is_empty() {
        let in_two = joined(&[joined(&first), joined(&second)]);
        let (one, other) = (outline(&whole), outline(&in_two));
        assert_eq!(summary(&one), summary(&other), "splicing in two steps");
    }
}

fn holds_all(spliced: &[u8], parts: &[&[u8]]) {
    let whole = outline(spliced);
    let structs: u32 = parts.iter().map(|part| outline(part).structs).sum();
    assert_eq!(whole.structs, structs);
    let mut deletes = IdSet::new();
    for part in parts {
        for range in outline(part).delete_ranges(part) {
            deletes.insert(range.client, range.start, range.end - range.start);
        }
    }
    assert_eq!(deletes_of(&whole, spliced), deletes);
    assert!(
        parts.len() < 2 || whole.descending,
        "clients in descending order"
    );
}

fn outline(update: &[u8]) -> Scan {
    match scan_accepted(update, ScanLimits::default().max_any_depth) {
        Ok(found) => found,
        Err(error) => panic!("no update any more: {error}"),
    }
}

fn summary(found: &Scan) -> Vec<(u64, u32, u32, u32)> {
    let of_run =
        |run: &coscribe::document::scan::Run| (run.client, run.start, run.end, run.structs);
    found.runs.iter().map(of_run).collect()
}

fn deletes_of(found: &Scan, bytes: &[u8]) -> IdSet {
    found.delete_ranges(bytes).collect()
}

/// Stripping takes the content of what is deleted, all of it, and nothing else.
pub fn strip_updates(data: &[u8]) {
    let Inputs {
        updates, mut rest, ..
    } = inputs(data);
    for update in &updates {
        if let Ok(found) = scan(update, &ScanLimits::default()) {
            let stripped = strip(update).expect("what was scanned can be stripped");
            stripped_of(update, &found, &stripped, &deletes_of(&found, update));
            assert_eq!(strip(&stripped).as_ref(), Ok(&stripped), "stripping again");
            let mut some = IdSet::new();
            for run in &found.runs {
                let from = run.start + rest.below((run.end - run.start) as usize) as u32;
                some.insert(run.client, from, 1 + rest.below(9) as u32);
            }
            let stripped = strip_with(update, &some).expect("what was scanned can be stripped");
            stripped_of(update, &found, &stripped, &some);
        }
    }
}

fn stripped_of(update: &[u8], before: &Scan, stripped: &[u8], deleted: &IdSet) {
    let after = outline(stripped);
    let ends = |found: &Scan| -> Vec<_> {
        found
            .runs
            .iter()
            .map(|run| (run.client, run.start, run.end))
            .collect()
    };
    assert_eq!(ends(before), ends(&after));
    assert_eq!(
        before.delete_set_bytes(update),
        after.delete_set_bytes(stripped)
    );
    for run in &after.runs {
        for view in after.structs_of(stripped, run) {
            let empty = view.is_deleted() || view.kind == Kind::Skip;
            let covered = deleted
                .overlapping(run.client, view.clock, view.end())
                .next()
                .is_some();
            assert!(
                empty || !covered,
                "deleted content is left at {}",
                view.clock
            );
        }
    }
    // References may lead elsewhere only if the pieces were cut: what is kept keeps its neighbours.
    if before.structs == after.structs {
        for (run, run_after) in before.runs.iter().zip(&after.runs) {
            let pairs = before
                .structs_of(update, run)
                .zip(after.structs_of(stripped, run_after));
            for (one, other) in pairs.filter(|(one, other)| one.clock == other.clock) {
                assert_eq!(
                    (one.origin, one.right_origin),
                    (other.origin, other.right_origin)
                );
            }
        }
    }
}
