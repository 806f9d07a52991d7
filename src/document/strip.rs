//! Takes deleted content out of an update.
//!
//! A replica keeps the text of deleted items, as collecting it safely is beyond what yrs can do with hostile input.
//! So the content is taken out where bytes leave: one linear pass turns every unit that a delete set covers into a
//! deleted item of the same id, origins and length. Readers place it exactly as they would have placed the original;
//! they only never learn what it was. What lies in a deleted type stays readable unless the delete set covers it, too,
//! as that of every Yjs state does.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use super::{
    ClientId, Clock,
    cut::Parts,
    id_set::{IdRange, IdSet, merge_touching},
    ids::Id,
    scan::{Kind, Run, Scan, ScanError, StructView, outline},
    varint::write_var,
};

/// Strips what the update's own delete set covers. The update must have been scanned before, or come from yrs.
pub fn strip(update: &[u8]) -> Result<Vec<u8>, ScanError> {
    let scan = outline(update)?;
    if scan.deletes == 0 {
        return Ok(update.to_vec());
    }
    let mut deleted: Vec<IdRange> = scan.delete_ranges(update).collect();
    deleted.sort_unstable();
    merge_touching(&mut deleted);
    let of_run = |run: &Run| {
        let first =
            deleted.partition_point(|range| (range.client, range.end) <= (run.client, run.start));
        let rest = deleted.get(first..).unwrap_or_default().iter().copied();
        let client = run.client;
        rest.take_while(move |range| range.client == client)
    };
    Ok(strip_scanned(&scan, update, of_run))
}

/// Strips what `deleted` covers; the update's own delete set stays as it is.
pub fn strip_with(update: &[u8], deleted: &IdSet) -> Result<Vec<u8>, ScanError> {
    let of_run = |run: &Run| deleted.overlapping(run.client, run.start, run.end);
    Ok(strip_scanned(&outline(update)?, update, of_run))
}

/// `deleted_of` tells what is deleted of a run: ascending disjoint ranges, which may reach beyond the run.
fn strip_scanned<D: Iterator<Item = IdRange>>(
    scan: &Scan,
    update: &[u8],
    deleted_of: impl Fn(&Run) -> D,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(update.len());
    write_var(&mut out, scan.runs.len() as u64);
    let mut body = Stripped::default();
    for run in &scan.runs {
        body.strip_run(scan, update, run, deleted_of(run));
        write_var(&mut out, u64::from(body.structs));
        write_var(&mut out, run.client);
        write_var(&mut out, u64::from(run.start));
        out.extend_from_slice(&body.bytes);
    }
    out.extend_from_slice(scan.delete_set_bytes(update));
    out
}

/// The structs of one run as they are written.
#[derive(Default)]
struct Stripped {
    bytes: Vec<u8>,
    structs: u32,
    /// A deleted item whose length is not written yet, as the next one may continue it.
    open: Option<OpenItem>,
}

struct OpenItem {
    len: Clock,
    last: Id,
    right_origin: Option<Id>,
}

impl Stripped {
    fn strip_run(
        &mut self,
        scan: &Scan,
        update: &[u8],
        run: &Run,
        mut ranges: impl Iterator<Item = IdRange>,
    ) {
        self.bytes.clear();
        self.structs = 0;
        let mut range = ranges.next();
        for view in scan.structs_of(update, run) {
            while range.is_some_and(|range| range.end <= view.clock) {
                range = ranges.next();
            }
            let untouched = range.is_none_or(|range| range.start >= view.end());
            if untouched && view.kind != Kind::Deleted || matches!(view.kind, Kind::Gc | Kind::Skip)
            {
                self.copy(update, &view);
                continue;
            }
            let mut parts = Parts::new(update, run.client, &view);
            let mut at = view.clock;
            while at < view.end() {
                let (end, is_deleted) = next_part(at, view.end(), &mut range, &mut ranges);
                if is_deleted || view.kind == Kind::Deleted {
                    self.delete(run.client, &view, &mut parts, end);
                } else {
                    self.close();
                    self.structs += 1;
                    parts.keep(&mut self.bytes, end);
                }
                at = end;
            }
        }
        self.close();
    }

    fn copy(&mut self, update: &[u8], view: &StructView<'_>) {
        self.close();
        self.structs += 1;
        self.bytes
            .extend_from_slice(update.get(view.bytes.clone()).unwrap_or_default());
    }

    /// Writes the next part as deleted, or lets the deleted item before it grow if that says the same: the part was
    /// inserted right after it, and before the same right neighbour.
    fn delete(
        &mut self,
        client: ClientId,
        view: &StructView<'_>,
        parts: &mut Parts<'_, '_>,
        end: Clock,
    ) {
        let last = Id::new(client, end - 1);
        if let Some(open) = &mut self.open
            && parts.origin() == Some(open.last)
            && view.right_origin == open.right_origin
        {
            open.len += end - open.last.clock - 1;
            open.last = last;
            parts.skip(end);
            return;
        }
        self.close();
        self.structs += 1;
        let len = parts.delete(&mut self.bytes, end);
        self.open = Some(OpenItem {
            len,
            last,
            right_origin: view.right_origin,
        });
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            write_var(&mut self.bytes, u64::from(open.len));
        }
    }
}

/// Where the part that begins at `at` ends, and whether it is deleted.
fn next_part(
    at: Clock,
    end: Clock,
    range: &mut Option<IdRange>,
    ranges: &mut impl Iterator<Item = IdRange>,
) -> (Clock, bool) {
    while range.is_some_and(|range| range.end <= at) {
        *range = ranges.next();
    }
    match range {
        Some(range) if range.start <= at => (range.end.min(end), true),
        Some(range) => (range.start.min(end), false),
        None => (end, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_text_is_in_no_byte_and_parts_around_it_stay() {
        // Client 5: "hello" in the root "t"; deleted: "ell".
        let update = [
            &[1, 1, 5, 0, 4, 1, 1, b't', 5][..],
            b"hello",
            &[1, 5, 1, 1, 3],
        ]
        .concat();
        let expected = [
            &[1, 3, 5, 0, 4, 1, 1, b't', 1, b'h'][..],
            &[0x81, 5, 0, 3],
            &[0x84, 5, 3, 1, b'o'],
            &[1, 5, 1, 1, 3],
        ]
        .concat();
        assert_eq!(strip(&update).unwrap(), expected);
    }

    #[test]
    fn deleted_neighbours_become_one_item() {
        // "a" in "t", then "b" after it, then "c" after that but before another unit: it must stay apart.
        let update = [
            &[1, 3, 5, 0][..],
            &[4, 1, 1, b't', 1, b'a'],
            &[0x84, 5, 0, 1, b'b'],
            &[0xc4, 5, 1, 9, 0, 1, b'c'],
            &[1, 5, 1, 0, 3],
        ]
        .concat();
        let expected = [
            &[1, 2, 5, 0][..],
            &[1, 1, 1, b't', 2],
            &[0xc1, 5, 1, 9, 0, 1],
            &[1, 5, 1, 0, 3],
        ]
        .concat();
        assert_eq!(strip(&update).unwrap(), expected);
    }

    #[test]
    fn collected_structs_and_gaps_stay() {
        let update = [
            &[1, 3, 5, 0][..],
            &[0, 4],
            &[10, 2],
            &[0x81, 5, 0, 3],
            &[1, 5, 1, 0, 9],
        ]
        .concat();
        assert_eq!(strip(&update).unwrap(), update);
    }

    #[test]
    fn a_given_delete_set_strips_without_being_written() {
        let update = [&[1, 1, 5, 0, 4, 1, 1, b't', 2][..], b"hi", &[0]].concat();
        let mut deleted = IdSet::new();
        deleted.insert(5, 0, 2);
        assert_eq!(
            strip_with(&update, &deleted).unwrap(),
            [1, 1, 5, 0, 1, 1, 1, b't', 2, 0]
        );
        assert_eq!(strip_with(&update, &IdSet::new()).unwrap(), update);
    }
}
