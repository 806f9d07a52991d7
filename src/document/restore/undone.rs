//! A document as it would be without some rows of its log.
//!
//! What these rows inserted is deleted, what they deleted is not, and everything else stays where it is. Values under
//! a key need more: the last one hides those before it, whatever is deleted. So the values that these rows put under
//! keys are moved out of the way, and what came after one of them follows the value before it.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use rustc_hash::FxHashMap;

use crate::document::{
    id_set::IdSet,
    ids::Id,
    provenance::Row,
    scan::{
        CONTENT_BITS, HAS_ORIGIN, HAS_PARENT_SUB, HAS_RIGHT_ORIGIN, Parent, ScanError, StructView,
        outline,
    },
    varint::{write_bytes, write_var},
};

/// The root that values are moved to. All of them are deleted, so it shows nothing, even if the document has this root.
const ASIDE: &[u8] = b"undone";

/// Updates that together make the document without the rows in `undone`, which are ascending.
pub(super) fn without(rows: &[&[u8]], undone: &[Row]) -> Result<Vec<Vec<u8>>, ScanError> {
    let is_undone = |row: Row| undone.binary_search(&row).is_ok();
    let mut updates = Vec::with_capacity(rows.len() + 1);
    let mut places = Places::default();
    let mut deleted = IdSet::new();
    for (&bytes, row) in rows.iter().zip(1..) {
        let scan = outline(bytes)?;
        let mut out = Vec::with_capacity(bytes.len());
        write_var(&mut out, scan.runs.len() as u64);
        for run in &scan.runs {
            write_var(&mut out, u64::from(run.structs));
            write_var(&mut out, run.client);
            write_var(&mut out, u64::from(run.start));
            for view in scan.structs_of(bytes, run) {
                let whole = bytes.get(view.bytes.clone()).unwrap_or_default();
                if is_undone(row) && has_key(&view) {
                    places.forget(Id::new(run.client, view.end() - 1), &view);
                    move_aside(&mut out, bytes, &view);
                } else if !places.write_moved(&mut out, bytes, &view) {
                    out.extend_from_slice(whole);
                }
            }
            if is_undone(row) {
                deleted.insert(run.client, run.start, run.end - run.start);
            }
        }
        if !is_undone(row) {
            deleted.extend(scan.delete_ranges(bytes));
        }
        out.push(0);
        updates.push(out);
    }
    let mut deletes = vec![0];
    deletes.extend(deleted.encode());
    updates.push(deletes);
    Ok(updates)
}

fn has_key(view: &StructView<'_>) -> bool {
    let place = view.origin.is_some() || view.right_origin.is_some() || view.parent.is_some();
    place && view.info & HAS_PARENT_SUB != 0
}

/// Writes a value as one of a list that nobody looks at, with its id and content: others may lie in it.
fn move_aside(out: &mut Vec<u8>, bytes: &[u8], view: &StructView<'_>) {
    out.push(view.info & CONTENT_BITS);
    write_var(out, 1);
    write_bytes(out, ASIDE);
    out.extend_from_slice(content(bytes, view));
}

fn content<'a>(bytes: &'a [u8], view: &StructView<'_>) -> &'a [u8] {
    bytes
        .get(view.content_at..view.bytes.end)
        .unwrap_or_default()
}

/// Where values stood that were moved away, by their last id.
#[derive(Default)]
struct Places(FxHashMap<Id, Place>);

#[derive(Clone)]
enum Place {
    /// After the value with this id.
    After(Id),
    /// First under a key: type and key as they are written.
    First(Vec<u8>),
}

impl Places {
    /// Remembers where a value stood. What it stood after was seen before it, so a place never leads to one that is
    /// forgotten, too.
    fn forget(&mut self, id: Id, view: &StructView<'_>) {
        let place = match (view.origin, view.parent_sub) {
            (Some(origin), _) => {
                let moved = self.0.get(&origin).cloned();
                moved.unwrap_or(Place::After(origin))
            }
            (None, Some(key)) => Place::First(first_place(view, key)),
            (None, None) => return,
        };
        self.0.insert(id, place);
    }

    /// Writes a value that stood after one that was moved away. False when it did not.
    fn write_moved(&self, out: &mut Vec<u8>, bytes: &[u8], view: &StructView<'_>) -> bool {
        let moved = view.origin.filter(|_| has_key(view));
        let Some(place) = moved.and_then(|origin| self.0.get(&origin)) else {
            return false;
        };
        let info = view.info & !HAS_ORIGIN;
        match (place, view.right_origin) {
            (Place::After(id), right) => {
                out.push(info | HAS_ORIGIN);
                id.write(out);
                if let Some(right) = right {
                    right.write(out);
                }
            }
            // What is left of its place tells type and key.
            (Place::First(_), Some(right)) => {
                out.push(info | HAS_RIGHT_ORIGIN);
                right.write(out);
            }
            (Place::First(first), None) => {
                out.push(info);
                out.extend_from_slice(first);
            }
        }
        out.extend_from_slice(content(bytes, view));
        true
    }
}

fn first_place(view: &StructView<'_>, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match view.parent {
        Some(Parent::Root(name)) => {
            write_var(&mut out, 1);
            write_bytes(&mut out, name);
        }
        Some(Parent::Item(id)) => {
            write_var(&mut out, 0);
            id.write(&mut out);
        }
        None => {}
    }
    write_bytes(&mut out, key);
    out
}
