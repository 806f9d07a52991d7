//! A document as it would be without some rows of its log.
//!
//! What these rows inserted is deleted, what they deleted is not, and everything else stays where it is. Values under
//! a key need more: the last one hides those before it, whatever is deleted. So the values that these rows put under
//! keys are moved out of the way, and what came after one of them follows the value before it.
//!
//! What was deleted and brought back is one thing, although the log has two items for it: who takes the deletion back wants it
//! once, and who takes back that it was written does not want the copy. So of each thing that [`Provenance::lives`] tells of
//! only the original is left, which keeps its place among what was deleted beside it, and whatever refers to a copy refers to
//! it. Under a key only the original of what stands there in the end is left, as it would give way to what came between.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rustc_hash::FxHashMap;

use crate::document::{
    Clock,
    id_set::{IdRange, IdSet},
    ids::Id,
    keys::Holder,
    provenance::{Life, Provenance, Row},
    scan::{
        CONTENT_BITS, GC, HAS_ORIGIN, HAS_PARENT_SUB, HAS_RIGHT_ORIGIN, Kind, Parent, Run,
        ScanError, StructView, outline,
    },
    varint::{write_bytes, write_var},
};

/// The root that values are moved to. All of them are deleted, so it shows nothing, even if the document has this root.
const ASIDE: &[u8] = b"undone";

/// Updates that together make the document without the rows in `undone`, which are ascending.
pub(super) fn without(
    rows: &[&[u8]],
    undone: &[Row],
    provenance: &Provenance,
) -> Result<Vec<Vec<u8>>, ScanError> {
    let is_undone = |row: Row| undone.binary_search(&row).is_ok();
    let lives = provenance.lives();
    let mut writer = Writer {
        provenance,
        standing: provenance.standing_where_brought_back(|row| !is_undone(row)),
        brought_back: lives.iter().map(Life::originals).collect(),
        next: FxHashMap::default(),
        previous: FxHashMap::default(),
        joined: IdSet::new(),
        homes: Homes::default(),
        places: FxHashMap::default(),
        aside: IdSet::new(),
    };
    let mut updates = Vec::with_capacity(rows.len() + 1);
    let (mut inserted, mut deleted) = (IdSet::new(), IdSet::new());
    for (&bytes, row) in rows.iter().zip(1..) {
        let scan = outline(bytes)?;
        let mut out = Vec::with_capacity(bytes.len());
        write_var(&mut out, scan.runs.len() as u64);
        for run in &scan.runs {
            write_var(&mut out, u64::from(run.structs));
            write_var(&mut out, run.client);
            write_var(&mut out, u64::from(run.start));
            for (view, before) in marked(provenance, run, scan.structs_of(bytes, run)) {
                let id = Id::new(run.client, view.clock);
                writer.write(&mut out, bytes, id, &view, (row, is_undone(row)), before);
            }
            if is_undone(row) {
                inserted.insert(run.client, run.start, run.end - run.start);
            }
        }
        if !is_undone(row) {
            deleted.extend(scan.delete_ranges(bytes));
        }
        out.push(0);
        updates.push(out);
    }
    let (alive, dead) = fates(&lives, &deleted, is_undone);
    let lost = writer.homes.of(|home, row| {
        let was_deleted = provenance.deleted(home).is_some_and(|by| by.row < row);
        was_deleted && deleted.holds(home).0
    });
    deleted.union(&inserted);
    deleted.union(&lost);
    // What was not brought back but written again is still what these rows wrote.
    let again = provenance.written_again();
    deleted.extend(again.filter_map(|(range, row)| is_undone(row).then_some(range)));
    deleted = deleted.without(&alive);
    deleted.union(&dead);
    deleted.union(&writer.aside);
    let mut deletes = vec![0];
    deletes.extend(deleted.encode());
    updates.push(deletes);
    Ok(updates)
}

/// The structs of a run; those that begin marks of what a restore brought back, with the original of that.
fn marked<'a>(
    provenance: &Provenance,
    run: &Run,
    structs: impl Iterator<Item = StructView<'a>>,
) -> Vec<(StructView<'a>, Option<Id>)> {
    let mut structs: Vec<_> = structs.map(|view| (view, None)).collect();
    if !provenance.copies().are_of(run.client) {
        return structs;
    }
    let mut next: Option<(Id, Id)> = None;
    for (view, before) in structs.iter_mut().rev() {
        let id = Id::new(run.client, view.clock);
        let last = Id::new(run.client, view.end() - 1);
        *before = next
            .filter(|(origin, _)| view.kind == Kind::Format && *origin == last)
            .map(|(_, of)| of);
        let original = provenance.original(id);
        let of = before.or((original != id && !has_key(view)).then_some(original));
        next = view.origin.zip(of);
    }
    structs
}

/// What of the things that were brought back is there in the end, and what is not: the former by their originals.
///
/// A thing is there if its original was written by a row that stays, and if no such row deleted the last item that such a
/// row made, nor one that came after it.
fn fates(lives: &[Life], deleted: &IdSet, is_undone: impl Fn(Row) -> bool) -> (IdSet, IdSet) {
    let (mut alive, mut dead) = (IdSet::new(), IdSet::new());
    for life in lives {
        let last = life.last(|row| !is_undone(row));
        let mut done = 0;
        while done < life.len {
            let mut until = life.len;
            let mut is_dead = last.is_none();
            for (_, first) in life.items.get(last.unwrap_or(0)..).unwrap_or_default() {
                let id = Id::new(first.client, first.clock + done);
                let (is_deleted, same) = deleted.holds(id);
                is_dead |= is_deleted;
                until = until.min(same - first.clock);
            }
            let range = |first: &Id| IdRange {
                client: first.client,
                start: first.clock + done,
                end: first.clock + until,
            };
            let mut items = life.items.iter().map(|(_, first)| range(first));
            if is_dead {
                dead.extend(items);
            } else {
                alive.extend(items.next());
            }
            done = until;
        }
    }
    (alive, dead)
}

/// Whether a struct is a value under a key.
fn has_key(view: &StructView<'_>) -> bool {
    let place = view.origin.is_some() || view.right_origin.is_some() || view.parent.is_some();
    place && view.info & HAS_PARENT_SUB != 0
}

fn content<'a>(bytes: &'a [u8], view: &StructView<'_>) -> &'a [u8] {
    bytes
        .get(view.content_at..view.bytes.end)
        .unwrap_or_default()
}

/// Writes the structs of rows as they are without the undone ones.
struct Writer<'p> {
    provenance: &'p Provenance,
    /// What stands under keys that have to do with what was brought back. No other value there is left.
    standing: HashMap<(Holder, Arc<str>), Option<Id>>,
    /// The originals.
    brought_back: IdSet,
    /// What comes next after originals in lists.
    next: FxHashMap<Id, Id>,
    /// What they come after.
    previous: FxHashMap<Id, Option<Id>>,
    /// Originals that came in one struct with what is before them.
    joined: IdSet,
    homes: Homes,
    /// Where values stood that were moved away, by their last id.
    places: FxHashMap<Id, Place>,
    /// Values that were moved away.
    aside: IdSet,
}

/// What lies in types that were brought back. Whoever did not know that such a type was deleted may write into it afterwards, and
/// not into the copy in which the others go on; that shows only where the deletion is taken back.
#[derive(Default)]
struct Homes {
    /// Runs of ids by the first: their end, the item that made the type that they lie in, and the row that wrote them.
    runs: BTreeMap<Id, (Clock, Id, Row)>,
}

impl Homes {
    /// Adds an item that lies in a type that `was_brought_back`.
    fn add(
        &mut self,
        (id, row): (Id, Row),
        view: &StructView<'_>,
        was_brought_back: impl Fn(Id) -> bool,
    ) {
        let home = match view.parent {
            Some(Parent::Item(parent)) => was_brought_back(parent).then_some(parent),
            Some(Parent::Root(_)) => None,
            None => view
                .origin
                .or(view.right_origin)
                .and_then(|beside| self.home_of(beside)),
        };
        if let Some(home) = home {
            self.runs.insert(id, (view.end(), home, row));
        }
    }

    fn home_of(&self, id: Id) -> Option<Id> {
        let (first, (end, home, _)) = self.runs.range(..=id).next_back()?;
        (first.client == id.client && id.clock < *end).then_some(*home)
    }

    /// What was written by rows into homes of which `is_lost` says so.
    fn of(&self, is_lost: impl Fn(Id, Row) -> bool) -> IdSet {
        let runs = self.runs.iter();
        let runs = runs.filter(|(_, (_, home, row))| is_lost(*home, *row));
        let ranges = runs.map(|(first, (end, ..))| IdRange {
            client: first.client,
            start: first.clock,
            end: *end,
        });
        ranges.collect()
    }
}

/// Where something stands.
#[derive(Clone)]
enum Place {
    /// After the item with this id.
    After(Id),
    /// First in a type, perhaps under a key: both as they are written.
    First(Vec<u8>),
    /// What it stands before tells type and key.
    Before,
}

impl Writer<'_> {
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        bytes: &[u8],
        id: Id,
        view: &StructView<'_>,
        (row, is_undone): (Row, bool),
        before: Option<Id>,
    ) {
        if matches!(view.kind, Kind::Gc | Kind::Skip) {
            out.extend_from_slice(bytes.get(view.bytes.clone()).unwrap_or_default());
            return;
        }
        self.homes.add((id, row), view, |parent| {
            self.brought_back.holds(self.provenance.original(parent)).0
        });
        if self.provenance.original(id) != id {
            // The original is there in its stead.
            out.push(GC);
            write_var(out, u64::from(view.len));
        } else if has_key(view) {
            self.write_value(out, bytes, id, view, is_undone);
        } else {
            self.write_entry(out, bytes, id, view, row, before);
        }
    }

    /// Writes what is in a list.
    ///
    /// Between a copy and its original there may be what was put there meanwhile, so a place that refers to one side of it is not
    /// always beside the other: then the side that was there is what counts, and not what was deleted.
    fn write_entry(
        &mut self,
        out: &mut Vec<u8>,
        bytes: &[u8],
        id: Id,
        view: &StructView<'_>,
        row: Row,
        before: Option<Id>,
    ) {
        let mut place = self.place(view);
        let right = view.right_origin.map(|right| self.original(right));
        let mut right = before.or(right);
        let was_deleted = |id| self.provenance.deleted(id).is_some_and(|by| by.row < row);
        let is_before = before.is_some() || view.origin.is_some_and(was_deleted);
        if let Some(next) = right.filter(|_| is_before)
            && self.brought_back.holds(next).0
        {
            place = match self.left_of(next) {
                Some(left) => Place::After(left),
                None => Place::Before,
            };
        } else if let Place::After(left) = place
            && view.origin != Some(left)
        {
            right = self.right_of(left).or(right);
        }
        let end = Id::new(id.client, view.end() - 1);
        let left = match place {
            Place::After(left) => Some(left),
            Place::First(_) | Place::Before => None,
        };
        if let Some(left) = left.filter(|left| self.brought_back.holds(*left).0) {
            // Of two that were put there at the same time, the client with the lower number comes first (Yjs, `Item.integrate`).
            let next = self.right_of(left);
            if next.is_none_or(|next| right == Some(next) || id < next) {
                self.next.insert(left, id);
            }
        }
        if let Some(right) = right.filter(|right| self.brought_back.holds(*right).0)
            && self.left_of(right) == left
        {
            self.previous.insert(right, Some(end));
        }
        if self
            .brought_back
            .overlapping(id.client, id.clock, view.end())
            .next()
            .is_some()
        {
            self.joined.insert(id.client, id.clock + 1, view.len - 1);
            self.previous.entry(id).or_insert(left);
        }
        write_at(out, bytes, view, &place, right);
    }

    /// What comes next after an original, as far as it is known.
    fn right_of(&self, id: Id) -> Option<Id> {
        let next = Id::new(id.client, id.clock + 1);
        let next = self.joined.holds(next).0.then_some(next);
        self.next.get(&id).copied().or(next)
    }

    /// What an original comes after.
    fn left_of(&self, id: Id) -> Option<Id> {
        match self.previous.get(&id) {
            Some(left) => *left,
            None => self
                .joined
                .holds(id)
                .0
                .then(|| Id::new(id.client, id.clock - 1)),
        }
    }

    fn write_value(
        &mut self,
        out: &mut Vec<u8>,
        bytes: &[u8],
        id: Id,
        view: &StructView<'_>,
        is_undone: bool,
    ) {
        let key = self.provenance.key_of(id);
        let key = key.map(|(holder, key)| (holder, key.clone()));
        let standing = key.and_then(|key| self.standing.get_key_value(&key));
        if let Some(((holder, key), standing)) = standing {
            if *standing != Some(id) && standing.map(|id| self.original(id)) != Some(id) {
                self.move_aside(out, bytes, id, view);
                return;
            }
            let parent = match holder {
                Holder::Root(name) => Parent::Root(name.as_bytes()),
                Holder::Item(id) => Parent::Item(*id),
            };
            let place = Place::First(self.first_place(parent, Some(key.as_bytes())));
            write_at(out, bytes, view, &place, None);
            return;
        }
        // What it stood after was seen before it, so a place never leads to a value that was moved away, too.
        let moved = view.origin.and_then(|origin| self.places.get(&origin));
        let place = moved.cloned().unwrap_or_else(|| self.place(view));
        if is_undone {
            self.places
                .insert(Id::new(id.client, view.end() - 1), place);
            self.move_aside(out, bytes, id, view);
        } else {
            write_at(out, bytes, view, &place, view.right_origin);
        }
    }

    /// Writes a value as one of a list that nobody looks at, with its id and content: others may lie in it.
    fn move_aside(&mut self, out: &mut Vec<u8>, bytes: &[u8], id: Id, view: &StructView<'_>) {
        self.aside.insert(id.client, id.clock, view.len);
        out.push(view.info & CONTENT_BITS);
        write_var(out, 1);
        write_bytes(out, ASIDE);
        out.extend_from_slice(content(bytes, view));
    }

    fn original(&self, id: Id) -> Id {
        self.provenance.original(id)
    }

    fn place(&self, view: &StructView<'_>) -> Place {
        match (view.origin, view.parent) {
            (Some(origin), _) => Place::After(self.original(origin)),
            (None, Some(parent)) => Place::First(self.first_place(parent, view.parent_sub)),
            (None, None) => Place::Before,
        }
    }

    fn first_place(&self, parent: Parent<'_>, key: Option<&[u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        match parent {
            Parent::Root(name) => {
                write_var(&mut out, 1);
                write_bytes(&mut out, name);
            }
            Parent::Item(id) => {
                write_var(&mut out, 0);
                self.original(id).write(&mut out);
            }
        }
        if let Some(key) = key {
            write_bytes(&mut out, key);
        }
        out
    }
}

/// Writes a struct at another place than its own.
fn write_at(
    out: &mut Vec<u8>,
    bytes: &[u8],
    view: &StructView<'_>,
    place: &Place,
    right: Option<Id>,
) {
    let mut info = view.info & !(HAS_ORIGIN | HAS_RIGHT_ORIGIN);
    if right.is_some() {
        info |= HAS_RIGHT_ORIGIN;
    }
    match place {
        Place::After(id) => {
            out.push(info | HAS_ORIGIN);
            id.write(out);
        }
        Place::First(_) | Place::Before => out.push(info),
    }
    // Only where neither neighbour is told, type and key are.
    match (right, place) {
        (Some(right), _) => right.write(out),
        (None, Place::First(first)) => out.extend_from_slice(first),
        (None, _) => {}
    }
    out.extend_from_slice(content(bytes, view));
}
