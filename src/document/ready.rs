//! What of an update can be applied now.
//!
//! Yjs parks a struct whose references are unknown; yrs applies structs across a gap and keeps others pending, and the
//! two then disagree for good. So a document is only ever given what is *ready*: structs that continue their client
//! without a gap and refer to nothing but what is known, or becomes known before them, and deletions of what is known.
//! What the document has already is trimmed off, so that what is applied can be relayed and joined as it is.

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

/// Splits a scanned update for a document that knows exactly `known`, of which `deleted` is deleted.
pub fn split(scan: &Scan, bytes: &[u8], known: &StateVector, deleted: &IdSet) -> Split {
    let mut placing = Placing::new(scan, bytes, known);
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
    fn new(scan: &'a Scan, bytes: &'a [u8], known: &'a StateVector) -> Self {
        let cursors = scan
            .runs
            .iter()
            .map(|run| Cursor::new(scan, bytes, run, known.get(run.client)))
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
            let gap = view.kind == Kind::Skip || view.clock > cursor.placed;
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
