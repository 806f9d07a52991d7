//! What of an update can be applied now.
//!
//! Yjs parks a struct whose references are unknown; yrs applies structs across a gap and keeps others pending, and the
//! two then disagree for good. So a document is only ever given what is *ready*: structs that continue their client
//! without a gap and refer to nothing but what is known, or becomes known before them, and deletions of what is known.
//! What the document has already is trimmed off, so that what is applied can be relayed and joined as it is.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use smallvec::SmallVec;

use super::{
    ClientId, Clock,
    cut::Parts,
    id_set::{IdRange, IdSet, write_ranges},
    ids::Id,
    scan::{Kind, Run, RunIndex, Scan, StructView, Structs},
    state_vector::StateVector,
    varint::write_var,
};

/// How many missing ids are reported; they serve diagnostics only.
const REPORTED: usize = 8;

/// The part that can be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// Nothing that the document does not know.
    Nothing,
    /// The update as it is.
    All,
    /// An update with what is new and ready, nothing twice, clients in descending order.
    Part(Vec<u8>),
}

/// An update, split at what a document knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub ready: Ready,
    /// Something has to wait for what the document does not know.
    pub rest: bool,
    /// Some of the ids that the rest waits for.
    pub missing: SmallVec<[Id; 2]>,
    /// What the ready part adds, at most one range per client, clients descending.
    pub runs_added: SmallVec<[IdRange; 1]>,
    /// What the ready part deletes that was not deleted before, structs that arrive without content included; clients
    /// descending, ranges ascending.
    pub deletes_added: SmallVec<[IdRange; 1]>,
}

impl Split {
    /// What splitting an update for an empty document comes to when all of it is ready, without a look at each struct.
    /// `None` where the runs alone show that not all can be. Whoever applies it sees whether something was missing.
    pub fn into_empty(scan: &Scan) -> Option<Self> {
        let whole = |run: &Run| run.start == 0 && !run.has_skip;
        if scan.is_empty()
            || !scan.descending
            || !scan.deletes_normal
            || !scan.runs.iter().all(whole)
        {
            return None;
        }
        let run_added = |run: &Run| IdRange {
            client: run.client,
            start: run.start,
            end: run.end,
        };
        Some(Self {
            ready: Ready::All,
            rest: false,
            missing: SmallVec::new(),
            runs_added: scan.runs.iter().map(run_added).collect(),
            deletes_added: SmallVec::new(),
        })
    }
}

/// Splits a scanned update for a document that knows exactly `known`, of which `deleted` is deleted.
pub fn split(scan: &Scan, bytes: &[u8], known: &StateVector, deleted: &IdSet) -> Split {
    split_with(scan, bytes, known, deleted, &|_| true)
}

/// [`split`], with a say in whose edits may be added: the structs of a client that `may_extend` denies are not ready,
/// nor is what refers to them.
pub fn split_with(
    scan: &Scan,
    bytes: &[u8],
    known: &StateVector,
    deleted: &IdSet,
    may_extend: &dyn Fn(ClientId) -> bool,
) -> Split {
    let barred = |run: &Run| run.end > known.get(run.client) && !may_extend(run.client);
    if !scan.runs.iter().any(barred)
        && let Some(whole) = whole(scan, bytes, known, deleted)
    {
        return whole;
    }
    let mut placing = Placing::new(scan, bytes, known, may_extend);
    placing.place_all();
    let deletes = placing.split_deletes(deleted);
    let runs_added: SmallVec<[IdRange; 1]> = placing
        .index
        .descending(scan.runs.len())
        .filter_map(|number| placing.cursors.get(number))
        .filter_map(Cursor::added)
        .collect();
    let rest = deletes.rest || placing.cursors.iter().any(|cursor| cursor.next.is_some());
    let ready = if runs_added.is_empty() && deletes.added.is_empty() {
        Ready::Nothing
    } else if !rest
        && scan.descending
        && scan.deletes_normal
        && placing.cursors.iter().all(Cursor::is_untouched)
    {
        Ready::All
    } else {
        Ready::Part(placing.write_part(runs_added.len(), &deletes.added))
    };
    Split {
        ready,
        rest,
        missing: placing.missing,
        runs_added,
        deletes_added: deletes.added,
    }
}

/// The usual case without the machinery: at most one client, who goes on where the document knows them, referring to
/// what is known. `None` when it is another case.
fn whole(scan: &Scan, bytes: &[u8], known: &StateVector, deleted: &IdSet) -> Option<Split> {
    let run = scan.runs.first();
    if scan.runs.len() > 1 || !scan.deletes_normal {
        return None;
    }
    if let Some(run) = run {
        let is_known = |id: Id| id.client == run.client || id.clock < known.get(id.client);
        let can_be_placed =
            |view: StructView<'_>| !view.is_deleted() && view.references().all(is_known);
        if run.has_skip
            || run.start != known.get(run.client)
            || !scan.structs_of(bytes, run).all(can_be_placed)
        {
            return None;
        }
    }
    let mut deletes_added = SmallVec::new();
    for range in scan.delete_ranges(bytes) {
        let available = match run {
            Some(run) if run.client == range.client => run.end,
            _ => known.get(range.client),
        };
        if range.end > available {
            return None;
        }
        deletes_added.extend(deleted.missing_from(range));
    }
    let runs_added: SmallVec<[IdRange; 1]> = run
        .map(|run| IdRange {
            client: run.client,
            start: run.start,
            end: run.end,
        })
        .into_iter()
        .collect();
    let nothing = runs_added.is_empty() && deletes_added.is_empty();
    let ready = if nothing { Ready::Nothing } else { Ready::All };
    Some(Split {
        ready,
        rest: false,
        missing: SmallVec::new(),
        runs_added,
        deletes_added,
    })
}

/// One client's structs on their way into the document.
struct Cursor<'a> {
    run: &'a Run,
    structs: Structs<'a>,
    /// The first struct that is not placed; `None` when all are.
    next: Option<StructView<'a>>,
    known: Clock,
    /// What is known once the structs up to `next` are placed.
    placed: Clock,
    /// The first struct that was placed.
    first: Option<StructView<'a>>,
    count: u32,
    body_end: usize,
    /// Nothing in this update can help: a gap.
    stuck: bool,
    /// Nobody but its owner may add to this client.
    barred: bool,
}

impl<'a> Cursor<'a> {
    fn new(scan: &Scan, bytes: &'a [u8], run: &'a Run, known: Clock) -> Self {
        let mut structs = scan.structs_of(bytes, run);
        let next = if run.end > known {
            structs.find(|view| view.end() > known)
        } else {
            None
        };
        Self {
            run,
            structs,
            next,
            known,
            placed: known,
            first: None,
            count: 0,
            body_end: 0,
            stuck: false,
            barred: false,
        }
    }

    fn added(&self) -> Option<IdRange> {
        (self.placed > self.known).then_some(IdRange {
            client: self.run.client,
            start: self.known,
            end: self.placed,
        })
    }

    /// Every struct of the run was placed, none trimmed.
    fn is_untouched(&self) -> bool {
        self.count == self.run.structs && self.known == self.run.start
    }

    fn place(&mut self, view: StructView<'a>) {
        self.placed = view.end();
        self.count += 1;
        self.body_end = view.bytes.end;
        if self.first.is_none() {
            self.first = Some(view);
        }
        self.next = self.structs.next();
    }
}

struct Placing<'a> {
    bytes: &'a [u8],
    scan: &'a Scan,
    index: RunIndex,
    known: &'a StateVector,
    cursors: SmallVec<[Cursor<'a>; 1]>,
    /// Per run: who waits for which clock of it. Empty until somebody has to.
    waiting: Vec<BinaryHeap<Reverse<(Clock, usize)>>>,
    brings_deleted: bool,
    missing: SmallVec<[Id; 2]>,
}

struct SplitDeletes {
    added: SmallVec<[IdRange; 1]>,
    rest: bool,
}

impl<'a> Placing<'a> {
    fn new(
        scan: &'a Scan,
        bytes: &'a [u8],
        known: &'a StateVector,
        may_extend: &dyn Fn(ClientId) -> bool,
    ) -> Self {
        let cursors = scan
            .runs
            .iter()
            .map(|run| {
                let mut cursor = Cursor::new(scan, bytes, run, known.get(run.client));
                cursor.barred = cursor.next.is_some() && !may_extend(run.client);
                cursor
            })
            .collect();
        Self {
            bytes,
            scan,
            index: scan.index(),
            known,
            cursors,
            waiting: Vec::new(),
            brings_deleted: false,
            missing: SmallVec::new(),
        }
    }

    /// Places every struct that an order exists for. Each struct waits at most once for each of its references, so
    /// clients that wait for each other in turn cost no more than a sorting.
    fn place_all(&mut self) {
        let mut to_try: SmallVec<[usize; 4]> = (0..self.cursors.len()).rev().collect();
        while let Some(number) = to_try.pop() {
            if let Some(missing) = self.advance(number) {
                self.wait(number, missing);
            }
            let placed = self.cursors.get(number).map_or(0, |cursor| cursor.placed);
            let Some(waiting) = self.waiting.get_mut(number) else {
                continue;
            };
            while waiting
                .peek()
                .is_some_and(|Reverse((needed, _))| *needed < placed)
            {
                to_try.extend(waiting.pop().map(|Reverse((_, waiter))| waiter));
            }
        }
        for cursor in self.cursors.iter().filter(|cursor| cursor.next.is_some()) {
            if self.missing.len() == REPORTED {
                break;
            }
            self.missing.push(
                match &cursor.next {
                    Some(view) if !cursor.stuck => self.unknown_reference(cursor, view),
                    _ => None,
                }
                .unwrap_or(Id::new(cursor.run.client, cursor.placed)),
            );
        }
    }

    /// Places structs of one run until one has to wait, and tells for what.
    fn advance(&mut self, number: usize) -> Option<Id> {
        loop {
            let cursor = self.cursors.get(number)?;
            let view = cursor.next.as_ref()?;
            let gap = cursor.barred || view.kind == Kind::Skip || view.clock > cursor.placed;
            let missing = if gap {
                None
            } else {
                self.unknown_reference(cursor, view)
            };
            self.brings_deleted |= !gap && missing.is_none() && view.is_deleted();
            let cursor = self.cursors.get_mut(number)?;
            if gap {
                cursor.stuck = true;
                return None;
            }
            if missing.is_some() {
                return missing;
            }
            let view = cursor.next.take()?;
            cursor.place(view);
        }
    }

    /// A reference of a struct to what is not yet known. References to its own client are to earlier units, which are
    /// known where the struct itself is next.
    fn unknown_reference(&self, cursor: &Cursor<'_>, view: &StructView<'_>) -> Option<Id> {
        // Of a struct whose beginning is known only the right origin is still asked for.
        let cut = view.clock < cursor.known;
        let is_unknown =
            |id: &Id| id.client != cursor.run.client && id.clock >= self.available(id.client);
        if cut {
            view.right_origin.filter(is_unknown)
        } else {
            view.references().find(is_unknown)
        }
    }

    /// The first clock of a client that is not known now.
    fn available(&self, client: ClientId) -> Clock {
        let cursor = self
            .index
            .find(&self.scan.runs, client)
            .and_then(|number| self.cursors.get(number));
        cursor.map_or_else(|| self.known.get(client), |cursor| cursor.placed)
    }

    fn wait(&mut self, number: usize, id: Id) {
        let Some(other) = self.index.find(&self.scan.runs, id.client) else {
            return;
        };
        if self.waiting.is_empty() {
            self.waiting
                .resize_with(self.cursors.len(), BinaryHeap::new);
        }
        if let Some(waiting) = self.waiting.get_mut(other) {
            waiting.push(Reverse((id.clock, number)));
        }
    }

    fn split_deletes(&mut self, deleted: &IdSet) -> SplitDeletes {
        let mut split = SplitDeletes {
            added: SmallVec::new(),
            rest: false,
        };
        let mut unordered = IdSet::new();
        let in_order = self.scan.deletes_normal && !self.brings_deleted;
        for range in self.scan.delete_ranges(self.bytes) {
            let available = self.available(range.client);
            if range.end > available {
                split.rest = true;
                if self.missing.len() < REPORTED {
                    self.missing
                        .push(Id::new(range.client, range.start.max(available)));
                }
            }
            let ready = IdRange {
                end: range.end.min(available),
                ..range
            };
            if in_order {
                split.added.extend(deleted.missing_from(ready));
            } else {
                unordered.insert(
                    ready.client,
                    ready.start,
                    ready.end.saturating_sub(ready.start),
                );
            }
        }
        if !in_order {
            self.insert_arriving_deleted(&mut unordered);
            split.added.extend(
                unordered
                    .iter()
                    .flat_map(|range| deleted.missing_from(range)),
            );
            split.added.sort_by_key(|range| Reverse(range.client));
        }
        split
    }

    /// Adds the ids of placed structs that come without content.
    fn insert_arriving_deleted(&self, set: &mut IdSet) {
        if !self.brings_deleted {
            return;
        }
        for cursor in &self.cursors {
            let structs = self.scan.structs_of(self.bytes, cursor.run);
            for view in structs
                .take_while(|view| view.end() <= cursor.placed)
                .filter(StructView::is_deleted)
            {
                let start = view.clock.max(cursor.known);
                set.insert(cursor.run.client, start, view.end().saturating_sub(start));
            }
        }
    }

    fn write_part(&self, runs: usize, deletes: &[IdRange]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 16);
        write_var(&mut out, runs as u64);
        for number in self.index.descending(self.cursors.len()) {
            let Some(cursor) = self.cursors.get(number) else {
                continue;
            };
            let Some(first) = &cursor.first else { continue };
            write_var(&mut out, u64::from(cursor.count));
            write_var(&mut out, cursor.run.client);
            write_var(&mut out, u64::from(cursor.known));
            let mut whole: Range<usize> = first.bytes.start..cursor.body_end;
            if first.clock < cursor.known {
                let mut parts = Parts::new(self.bytes, cursor.run.client, first);
                parts.skip(cursor.known);
                parts.keep(&mut out, first.end());
                whole.start = first.bytes.end;
            }
            out.extend_from_slice(self.bytes.get(whole).unwrap_or_default());
        }
        write_ranges(&mut out, deletes);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::document::scan::{ScanLimits, scan};

    fn known(ends: &[(ClientId, Clock)]) -> StateVector {
        ends.iter().copied().collect()
    }

    fn try_split(bytes: &[u8], known: &StateVector, deleted: &IdSet) -> Split {
        let scan = scan(bytes, &ScanLimits::default()).unwrap();
        let split = split(&scan, bytes, known, deleted);
        if let Ready::Part(part) = &split.ready {
            // A part is an update that is ready in full.
            let scan = super::super::scan::scan(part, &ScanLimits::default()).unwrap();
            let again = super::split(&scan, part, known, deleted);
            assert_eq!((again.ready, again.rest), (Ready::All, false));
            assert_eq!(
                (&again.runs_added, &again.deletes_added),
                (&split.runs_added, &split.deletes_added)
            );
        }
        split
    }

    fn ranges(ranges: &[IdRange]) -> Vec<(ClientId, Clock, Clock)> {
        ranges
            .iter()
            .map(|range| (range.client, range.start, range.end))
            .collect()
    }

    /// "abc" of client 5 after 5:6, from clock 7 on.
    const ABC: [u8; 12] = [1, 1, 5, 7, 0x84, 5, 6, 3, b'a', b'b', b'c', 0];

    #[test]
    fn what_continues_its_client_is_applied_as_it_is() {
        let split = try_split(&ABC, &known(&[(5, 7)]), &IdSet::new());
        assert_eq!((split.ready, split.rest), (Ready::All, false));
        assert_eq!(ranges(&split.runs_added), [(5, 7, 10)]);
    }

    #[test]
    fn what_is_known_adds_nothing() {
        let split = try_split(&ABC, &known(&[(5, 10)]), &IdSet::new());
        assert_eq!((split.ready, split.rest), (Ready::Nothing, false));
        assert!(split.runs_added.is_empty());
    }

    #[test]
    fn a_gap_waits() {
        let split = try_split(&ABC, &known(&[(5, 6)]), &IdSet::new());
        assert_eq!((split.ready, split.rest), (Ready::Nothing, true));
        assert_eq!(split.missing[..], [Id::new(5, 6)]);
    }

    #[test]
    fn a_half_known_struct_is_cut() {
        let split = try_split(&ABC, &known(&[(5, 8)]), &IdSet::new());
        assert_eq!(
            split.ready,
            Ready::Part(vec![1, 1, 5, 8, 0x84, 5, 7, 2, b'b', b'c', 0])
        );
        assert_eq!(ranges(&split.runs_added), [(5, 8, 10)]);
    }

    #[test]
    fn a_cut_keeps_the_right_origin_and_drops_the_parent() {
        let bytes = [
            &[
                2, 1, 9, 0, 0x48, 5, 0, 2, 127, 126, 1, 5, 0, 4, 1, 1, b't', 2, b'h', b'i',
            ][..],
            &[0],
        ]
        .concat();
        let split = try_split(&bytes, &known(&[(9, 1), (5, 1)]), &IdSet::new());
        let expected = vec![
            2, 1, 9, 1, 0xc8, 9, 0, 5, 0, 1, 126, 1, 5, 1, 0x84, 5, 0, 1, b'i', 0,
        ];
        assert_eq!(split.ready, Ready::Part(expected));
    }

    #[test]
    fn structs_after_a_skip_wait() {
        let bytes = [1, 3, 5, 0, 0, 2, 10, 3, 0, 1, 0];
        let split = try_split(&bytes, &known(&[]), &IdSet::new());
        assert_eq!(
            split.ready,
            Ready::Part(vec![1, 1, 5, 0, 0, 2, 1, 5, 1, 0, 2])
        );
        assert!(split.rest && split.missing[..] == [Id::new(5, 2)]);
        let split = try_split(&bytes, &known(&[(5, 4)]), &IdSet::new());
        assert_eq!(
            (split.ready, split.missing[..].to_vec()),
            (Ready::Nothing, vec![Id::new(5, 4)])
        );
        let split = try_split(&bytes, &known(&[(5, 5)]), &IdSet::new());
        assert_eq!(
            (split.ready, split.rest),
            (Ready::Part(vec![1, 1, 5, 5, 0, 1, 1, 5, 1, 5, 1]), false)
        );
    }

    #[test]
    fn references_must_be_known_or_come_along() {
        // Client 9 stands right of 5:1, which the second run brings.
        let bytes = [
            2, 1, 9, 0, 0x84, 5, 1, 1, b'x', 1, 5, 0, 4, 1, 1, b't', 2, b'h', b'i', 0,
        ];
        assert_eq!(
            try_split(&bytes, &known(&[]), &IdSet::new()).ready,
            Ready::All
        );
        let alone = [1, 1, 9, 0, 0x84, 5, 1, 1, b'x', 0];
        let split = try_split(&alone, &known(&[(5, 1)]), &IdSet::new());
        assert_eq!(
            (split.ready, split.rest, &split.missing[..]),
            (Ready::Nothing, true, &[Id::new(5, 1)][..])
        );
        assert_eq!(
            try_split(&alone, &known(&[(5, 2)]), &IdSet::new()).ready,
            Ready::All
        );
    }

    #[test]
    fn structs_that_wait_for_each_other_are_not_ready() {
        let bytes = [
            2, 1, 9, 0, 0x84, 5, 0, 1, b'x', 2, 5, 0, 0x84, 9, 0, 1, b'y', 0, 1, 0,
        ];
        let split = try_split(&bytes, &known(&[]), &IdSet::new());
        assert_eq!((split.ready, split.rest), (Ready::Nothing, true));
    }

    #[test]
    fn clients_in_ascending_order_are_turned() {
        let bytes = [2, 1, 5, 0, 0, 1, 1, 9, 0, 0, 1, 2, 5, 1, 0, 1, 9, 1, 0, 1];
        let split = try_split(&bytes, &known(&[]), &IdSet::new());
        assert_eq!(
            split.ready,
            Ready::Part(vec![
                2, 1, 9, 0, 0, 1, 1, 5, 0, 0, 1, 2, 9, 1, 0, 1, 5, 1, 0, 1
            ])
        );
    }

    #[test]
    fn deletes_are_cut_at_what_is_known_and_told_once() {
        let bytes = [0, 1, 5, 2, 2, 4, 8, 6];
        let deleted: IdSet = [IdRange {
            client: 5,
            start: 3,
            end: 5,
        }]
        .into_iter()
        .collect();
        let split = try_split(&bytes, &known(&[(5, 10)]), &deleted);
        assert_eq!(split.ready, Ready::Part(vec![0, 1, 5, 3, 2, 1, 5, 1, 8, 2]));
        assert!(split.rest && split.missing[..] == [Id::new(5, 10)]);
        let split = try_split(&bytes, &known(&[(5, 14)]), &deleted);
        assert_eq!((split.ready, split.rest), (Ready::All, false));
        assert_eq!(
            ranges(&split.deletes_added),
            [(5, 2, 3), (5, 5, 6), (5, 8, 14)]
        );
        let all: IdSet = [IdRange {
            client: 5,
            start: 0,
            end: 20,
        }]
        .into_iter()
        .collect();
        assert_eq!(
            try_split(&bytes, &known(&[(5, 14)]), &all).ready,
            Ready::Nothing
        );
    }

    #[test]
    fn unordered_deletes_are_put_in_order() {
        // yrs takes ranges to be sorted and disjoint.
        let bytes = [0, 2, 5, 2, 8, 2, 2, 7, 9, 1, 0, 1];
        let split = try_split(&bytes, &known(&[(5, 20), (9, 1)]), &IdSet::new());
        assert_eq!(split.ready, Ready::Part(vec![0, 2, 9, 1, 0, 1, 5, 1, 2, 8]));
    }

    #[test]
    fn structs_that_come_deleted_are_told() {
        let bytes = [1, 2, 5, 0, 0, 3, 0x81, 5, 2, 2, 0];
        let split = try_split(&bytes, &known(&[(5, 1)]), &IdSet::new());
        assert_eq!(ranges(&split.deletes_added), [(5, 1, 5)]);
    }

    #[test]
    fn clients_that_wait_for_each_other_in_turn_take_no_square() {
        // Every struct refers to the one with the next number; clients take turns by thousands, so that whichever
        // client is tried first has to wait.
        const CLIENTS: u32 = 2_000;
        const ROUNDS: u32 = 40;
        let mut bytes = Vec::new();
        write_var(&mut bytes, u64::from(CLIENTS));
        for client in (1..=CLIENTS).rev() {
            write_var(&mut bytes, u64::from(ROUNDS));
            write_var(&mut bytes, u64::from(client));
            bytes.push(0);
            for round in 0..ROUNDS {
                // After client c in a round comes c - 1, and after the last the first of the next round.
                let before = if client < CLIENTS {
                    Some((client + 1, round))
                } else {
                    round.checked_sub(1).map(|r| (1, r))
                };
                match before {
                    Some((client, clock)) => {
                        bytes.push(0x84);
                        Id::new(u64::from(client), clock).write(&mut bytes);
                    }
                    None => bytes.extend([4, 1, 1, b't']),
                }
                bytes.extend([1, b'x']);
            }
        }
        bytes.push(0);
        let started = Instant::now();
        let split = try_split(&bytes, &StateVector::new(), &IdSet::new());
        assert_eq!((split.ready, split.rest), (Ready::All, false));
        assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
    }
}
