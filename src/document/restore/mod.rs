//! Restoring: an update that makes a document what it was.
//!
//! The update is an ordinary edit. It refers only to ids that the log holds, leaves alone what need not change, and so
//! merges with what others type meanwhile. Two documents are built from the log, the present one and the wanted one.
//! They share the ids of everything that is in both, so their difference is found without guessing
//! ([`align`]), and [`patch`] writes it into the present one. What is wanted may be a state that never was, without the
//! rows that are to be taken back ([`undone`]).
//!
//! Bounds: a subdocument inside a text does not come back.

mod align;
mod cells;
mod exact;
mod merge;
mod past;
mod patch;
mod read;
mod shared;
mod undone;

use bytes::Bytes;
use yrs::{Doc, ReadTxn as _, Transact as _, Update, updates::decoder::Decode as _};

use self::{
    align::Part,
    exact::{Values, as_written, is_value},
    merge::Merge,
    past::Past,
    patch::{Brought, Patch, Way},
    read::Reader,
    shared::{List, Roots, Shared, Value},
};
use super::{
    Clock,
    id_set::{IdRange, IdSet},
    ids::Id,
    moment::replay,
    origins::Origins,
    provenance::{Provenance, Row},
    ready::{Split, split},
    replica::{EMPTY_UPDATE, ReplicaError, doc_with},
    scan::{Kind, ScanError, ScanLimits, StructView, outline, scan_accepted},
    splice::splice,
    state_vector::StateVector,
    strip::strip,
};

/// What the document shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// As it was after this row; after row 0 it was empty.
    Version(Row),
    /// As it is, without what these rows did. Ascending.
    Undo(&'a [Row]),
    /// As it is, but one shared type (an element, a text) as it was after a row.
    Block { version: Row, id: Id },
}

/// An edit that restores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// A v1 update by the given client. Without structs and deletions when there is nothing to change.
    pub update: Bytes,
    /// What the update brings back: of what its ids are copies, or who wrote the same first.
    pub origins: Origins,
    /// Whether the document becomes exactly what is wanted when nobody edits meanwhile. Only a subdocument in a text is
    /// known to stand in the way.
    pub exact: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("There is no row {row}: the log has {rows}.")]
    NoRow { row: Row, rows: Row },
    #[error("The rows to be taken back are not in ascending order.")]
    Order,
    #[error("The version has no block of this id.")]
    NoBlock,
    #[error("What the block lay in was deleted since; restore that, or the whole version.")]
    NoPlace,
    #[error("The document nests too deep to be restored.")]
    TooDeep,
    #[error("The rows can not be read: {0}")]
    Rows(#[from] ReplicaError),
}

impl From<ScanError> for RestoreError {
    fn from(error: ScanError) -> Self {
        Self::Rows(error.into())
    }
}

/// Makes the edit that turns the document into what is wanted.
///
/// `rows` is the whole log, row n at place n − 1, and `provenance` tells of all of it. `client` must be a fresh random id:
/// the update's structs are of it, from clock 0 on.
///
/// # Errors
/// When the wanted state can not be built, or the rows are no log of one document.
pub fn restore(
    rows: &[&[u8]],
    provenance: &Provenance,
    wanted: Wanted<'_>,
    client: u32,
    limits: &ScanLimits,
) -> Result<Restored, RestoreError> {
    let mut wanted = wanted;
    if let Wanted::Undo(undone) = wanted {
        refuse_unknown(rows, undone)?;
        // Without all that came after a row it is as it was after that row.
        if let Some(first) = undone.first()
            && undone.iter().copied().eq(*first..=rows.len() as Row)
        {
            wanted = Wanted::Version(first - 1);
        }
    }
    let past = match wanted {
        Wanted::Version(row) | Wanted::Block { version: row, .. } => {
            document(up_to(rows, row)?, 0, limits)?
        }
        Wanted::Undo(undone) => without(rows, undone, provenance, limits)?,
    };
    let mut past = Past::new(past.transact_mut());
    let past_roots = Reader::with_ids(past.txn(), provenance).roots()?;
    let present = document(rows, u64::from(client), limits)?;
    let mut txn = present.transact_mut();
    let now = Reader::with_ids(&mut txn, provenance).roots()?;
    let mut patch = Patch::new(&mut txn, &past, provenance, Way::Least, Vec::new());
    let target = match wanted {
        Wanted::Block { id, .. } => {
            let id = provenance.original(id);
            Target::Block(block(&mut patch, &now, &past_roots, id)?)
        }
        Wanted::Undo(_) if !provenance.copies().is_empty() => {
            let with = without(rows, &[], provenance, limits)?;
            let with = Reader::with_ids(&mut with.transact_mut(), provenance).roots()?;
            let merged = Merge { provenance }.roots(&now, &with, &past_roots);
            patch.roots(&now, &merged);
            Target::All(merged)
        }
        Wanted::Version(_) | Wanted::Undo(_) => {
            patch.roots(&now, &past_roots);
            Target::All(past_roots)
        }
    };
    let mut brought = patch.brought;
    let mut is_reached = target.is_reached(&Reader::without_ids(&mut txn, provenance).roots()?);
    // yrs' formatting is at times off the mark, so what came out is looked at and mended.
    for way in [Way::Least, Way::Anew] {
        if is_reached {
            break;
        }
        let mut known = provenance.clone();
        let update = txn.encode_update_v1();
        known.add(rows.len() as Row + 1, (&"".into(), 0), &update)?;
        known.add_origins(&origins(&update, &brought, provenance, client)?.0);
        let now = Reader::with_ids(&mut txn, &known).roots()?;
        let mut patch = Patch::new(&mut txn, &past, &known, way, brought);
        match &target {
            Target::All(wanted) => patch.roots(&now, wanted),
            Target::Block((id, wanted)) => {
                if let Some(present) = find(&now, *id) {
                    patch.shared(present, wanted);
                }
            }
        }
        brought = patch.brought;
        is_reached = target.is_reached(&Reader::without_ids(&mut txn, provenance).roots()?);
    }
    let update = txn.encode_update_v1();
    if outline(&update)?.is_empty() {
        return Ok(Restored {
            update: Bytes::from_static(EMPTY_UPDATE),
            origins: Origins::default(),
            exact: is_reached,
        });
    }
    let (origins, values) = origins(&update, &brought, provenance, client)?;
    let update = as_written(&update, u64::from(client), &values, rows, provenance)?;
    Ok(Restored {
        origins,
        // What was put in and taken out again on the way is nobody's business.
        update: strip(&update)?.into(),
        exact: is_reached,
    })
}

/// What the document shall hold in the end.
enum Target {
    All(Roots),
    /// The type with this id shall be like that.
    Block((Id, Shared)),
}

impl Target {
    fn is_reached(&self, now: &Roots) -> bool {
        match self {
            Self::Block((id, wanted)) => find(now, *id).is_some_and(|block| block.same(wanted)),
            Self::All(wanted) => {
                let names = now.keys().chain(wanted.keys());
                names
                    .into_iter()
                    .all(|name| match (now.get(name), wanted.get(name)) {
                        (Some(root), Some(other)) => root.same(other),
                        (Some(root), None) | (None, Some(root)) => root.is_empty(),
                        (None, None) => true,
                    })
            }
        }
    }
}

fn find(roots: &Roots, id: Id) -> Option<&Shared> {
    let is_it = |shared: &Shared| shared.id == Some(id);
    roots.values().find_map(|root| root.find(&is_it))
}

/// The same by what it is a copy of.
fn find_original(roots: &Roots, id: Id) -> Option<&Shared> {
    let is_it = |shared: &Shared| shared.original == Some(id);
    roots.values().find_map(|root| root.find(&is_it))
}

fn up_to<'a, 'b>(rows: &'b [&'a [u8]], row: Row) -> Result<&'b [&'a [u8]], RestoreError> {
    let to = usize::try_from(row).ok();
    to.and_then(|to| rows.get(..to)).ok_or(RestoreError::NoRow {
        row,
        rows: rows.len() as Row,
    })
}

fn refuse_unknown(rows: &[&[u8]], undone: &[Row]) -> Result<(), RestoreError> {
    if !undone.is_sorted() {
        return Err(RestoreError::Order);
    }
    let ends = [undone.first(), undone.last()];
    for row in ends.into_iter().flatten().copied() {
        if row == 0 || row > rows.len() as Row {
            let rows = rows.len() as Row;
            return Err(RestoreError::NoRow { row, rows });
        }
    }
    Ok(())
}

fn without(
    rows: &[&[u8]],
    undone: &[Row],
    provenance: &Provenance,
    limits: &ScanLimits,
) -> Result<Doc, RestoreError> {
    let updates = undone::without(rows, undone, provenance)?;
    let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
    document(&updates, 0, limits)
}

/// The document that updates make, without the content of what is deleted: reading it relies on that.
fn document(updates: &[&[u8]], client: u64, limits: &ScanLimits) -> Result<Doc, RestoreError> {
    let doc = doc_with(client);
    let whole = match splice(updates) {
        Ok(joined) => Some(strip(&joined)?),
        // Rows that can not be joined can be replayed.
        Err(_) => replay(updates, limits)?.full_state().map(Vec::from),
    };
    if let Some(whole) = whole {
        // What yrs could not decode is refused, as with every stored row, and what has gaps.
        let scan = scan_accepted(&whole, limits.max_any_depth)?;
        let all = Split::into_empty(&scan);
        let none = (StateVector::new(), IdSet::new());
        if all.is_none() && split(&scan, &whole, &none.0, &none.1).rest {
            return Err(ReplicaError::NotReady.into());
        }
        let update = Update::decode_v1(&whole).map_err(|_| ReplicaError::Broken)?;
        let mut txn = doc.transact_mut();
        txn.apply_update(update).map_err(|_| ReplicaError::Broken)?;
        txn.commit();
        if txn.has_missing_updates() {
            return Err(ReplicaError::NotReady.into());
        }
    }
    Ok(doc)
}

/// Changes one block that is still there, perhaps as a copy, or puts it back after what it came after, unless the same is there
/// already. Tells the id that it has now, and what it is to be like. `id` is that of the original.
fn block(
    patch: &mut Patch<'_, '_, '_>,
    now: &Roots,
    past: &Roots,
    id: Id,
) -> Result<(Id, Shared), RestoreError> {
    let wanted = find_original(past, id)
        .ok_or(RestoreError::NoBlock)?
        .clone();
    if let Some(present) = find_original(now, id)
        && let Some(present_id) = present.id
    {
        patch.shared(present, &wanted);
        return Ok((present_id, wanted));
    }
    let (name, parent) = past
        .iter()
        .find_map(|(name, root)| Some((name, parent_of(root, id)?)))
        .ok_or(RestoreError::NoBlock)?;
    let place = match parent.original {
        Some(id) => find_original(now, id),
        None => now.get(name),
    };
    let place = place.ok_or(RestoreError::NoPlace)?;
    let (List::Items(siblings), List::Items(present)) = (&parent.list, &place.list) else {
        return Err(RestoreError::NoPlace);
    };
    let is_block =
        |value: &Value| matches!(value, Value::Shared(shared) if shared.original == Some(id));
    let at = siblings
        .iter()
        .position(is_block)
        .ok_or(RestoreError::NoPlace)?;
    let mut pairs = align::pairs(present, siblings);
    // Neighbours that only look alike are no anchors: one of them may be the block itself, brought back before.
    pairs.retain(|(at, of)| {
        let id = present.get(*at).and_then(Part::id);
        id.is_none() || id == siblings.get(*of).and_then(Part::id)
    });
    let before = pairs.iter().take_while(|(_, of)| *of < at).last();
    let after = pairs.iter().find(|(_, of)| *of > at);
    let gap = before.map_or(0, |(at, _)| at + 1)..after.map_or(present.len(), |(at, _)| *at);
    // An earlier restore brought it back already, under another id.
    for value in present.get(gap.clone()).unwrap_or_default() {
        if let Value::Shared(back) = value
            && let Some(back_id) = back.id
            && back.same(&wanted)
        {
            return Ok((back_id, wanted));
        }
    }
    let at = gap.start;
    let made = patch.insert(place, u32::try_from(at).unwrap_or(u32::MAX), &wanted);
    Ok((made.ok_or(RestoreError::NoPlace)?, wanted))
}

fn parent_of(shared: &Shared, id: Id) -> Option<&Shared> {
    if shared.below().any(|below| below.original == Some(id)) {
        return Some(shared);
    }
    shared.below().find_map(|below| parent_of(below, id))
}

/// Where what `client` wrote in an update comes from, and above all its values.
fn origins(
    update: &[u8],
    brought: &[Brought],
    provenance: &Provenance,
    client: u32,
) -> Result<(Origins, Values), ScanError> {
    let scan = outline(update)?;
    let own = u64::from(client);
    let runs = scan.runs.iter().filter(|run| run.client == own);
    let structs = runs.flat_map(|run| scan.structs_of(update, run));
    let mut sources = Sources {
        rest: brought,
        at: 0,
        provenance,
        origins: Origins {
            has_copies: true,
            ..Origins::default()
        },
        values: Values::new(),
    };
    for view in structs.filter(|view| view.kind != Kind::Format) {
        sources.tell(&view, own);
    }
    // Less than was brought: nobody knows what is a copy of what.
    sources.origins.has_copies &= sources.rest.is_empty();
    Ok((sources.origins, sources.values))
}

/// What was brought, consumed in the order in which it was inserted, which is that of the clocks.
struct Sources<'a> {
    rest: &'a [Brought],
    /// Units of the first that are consumed.
    at: Clock,
    provenance: &'a Provenance,
    origins: Origins,
    values: Values,
}

impl Sources<'_> {
    /// Says where a struct comes from: all of it is copies, or nothing.
    fn tell(&mut self, view: &StructView<'_>, client: u64) {
        let mut found: Vec<(IdRange, Option<Id>, bool)> = Vec::new();
        let mut start = view.clock;
        while start < view.end() {
            let Some(first) = self.rest.first() else {
                // More than was brought.
                self.origins.has_copies = false;
                return;
            };
            let units = (first.units - self.at).min(view.end() - start);
            let end = start + units;
            let id = first.id.map(|id| Id::new(id.client, id.clock + self.at));
            let range = IdRange { client, start, end };
            found.push((range, id, first.is_home));
            start = end;
            self.at += units;
            if self.at >= first.units {
                self.at = 0;
                self.rest = self.rest.get(1..).unwrap_or_default();
            }
        }
        // What came home from nobody knows where may be a copy.
        let unknown = |(_, id, is_home): &(_, Option<Id>, _)| *is_home && id.is_none();
        self.origins.has_copies &= !found.iter().any(unknown);
        let are_copies = found
            .iter()
            .all(|(_, id, is_home)| *is_home && id.is_some());
        for (range, id, _) in found {
            if is_value(view.kind) {
                self.values.extend(id.map(|id| (range.start, id)));
            }
            match id {
                Some(id) if are_copies => self.origins.copied(range, id),
                Some(id) => self.wrote(range, id),
                None => {}
            }
        }
    }

    fn wrote(&mut self, range: IdRange, mut id: Id) {
        let IdRange {
            client, mut start, ..
        } = range;
        while start < range.end
            && let Some(source) = self.provenance.written(id)
        {
            let units = source.end.saturating_sub(id.clock).max(1);
            let end = start.saturating_add(units).min(range.end);
            self.origins
                .wrote(IdRange { client, start, end }, source.row);
            id.clock += end - start;
            start = end;
        }
    }
}
