//! Values as they were, to the byte.
//!
//! yrs has no BigInt, no −0, and of a subdocument's options only those that it knows, so what it writes for a restored value may
//! be another one. What comes back has been in the log, so the bytes are taken from there.

use rustc_hash::FxHashMap;

use crate::document::{
    Clock,
    ids::Id,
    provenance::{Provenance, Row},
    scan::{HAS_PARENT_SUB, Kind, Scan, ScanError, StructView, outline},
};

/// Where values of a restore come from: the clocks that they have in it, and the ids that they had.
pub(super) type Values = Vec<(Clock, Id)>;

/// The update, with the values that `client` brings back in the bytes in which they were written.
pub(super) fn as_written(
    update: &[u8],
    client: u64,
    values: &Values,
    rows: &[&[u8]],
    provenance: &Provenance,
) -> Result<Vec<u8>, ScanError> {
    let written = contents(values, rows, provenance)?;
    let mut out = Vec::with_capacity(update.len());
    let mut done = 0;
    let scan = outline(update)?;
    let runs = scan.runs.iter().filter(|run| run.client == client);
    for view in runs.flat_map(|run| scan.structs_of(update, run)) {
        if let Some((kind, bytes)) = written.get(&view.clock)
            && *kind == view.kind
            && view.len == 1
        {
            out.extend_from_slice(update.get(done..view.content_at).unwrap_or_default());
            out.extend_from_slice(bytes);
            done = view.bytes.end;
        }
    }
    out.extend_from_slice(update.get(done..).unwrap_or_default());
    Ok(out)
}

/// The contents by the clocks of the restore.
fn contents(
    values: &Values,
    rows: &[&[u8]],
    provenance: &Provenance,
) -> Result<FxHashMap<Clock, (Kind, Vec<u8>)>, ScanError> {
    let mut by_row: FxHashMap<Row, FxHashMap<Id, Clock>> = FxHashMap::default();
    for (clock, id) in values {
        if let Some(source) = provenance.brought(*id) {
            by_row.entry(source.row).or_default().insert(*id, *clock);
        }
    }
    let mut found = FxHashMap::default();
    for (row, wanted) in by_row {
        let place = usize::try_from(row - 1).ok();
        let Some(bytes) = place.and_then(|place| rows.get(place)) else {
            continue;
        };
        let scan: Scan = outline(bytes)?;
        for run in &scan.runs {
            let structs = scan.structs_of(bytes, run);
            for view in structs.filter(|view| is_value(view.kind)) {
                for clock in view.clock..view.end() {
                    if let Some(to) = wanted.get(&Id::new(run.client, clock))
                        && let Some(content) = content(bytes, &view, clock - view.clock)
                    {
                        found.insert(*to, (view.kind, content));
                    }
                }
            }
        }
    }
    Ok(found)
}

/// Whether yrs may write another value than the one that it read.
pub(super) fn is_value(kind: Kind) -> bool {
    matches!(kind, Kind::Any | Kind::Doc)
}

/// The content that a struct with one of these values only would have.
fn content(bytes: &[u8], view: &StructView<'_>, at: Clock) -> Option<Vec<u8>> {
    match view.kind {
        // Under a key the last of several would count; only a crafted update has them there.
        Kind::Any if view.len > 1 && view.info & HAS_PARENT_SUB != 0 => None,
        Kind::Any => {
            let value = view.value(bytes, at)?;
            Some([&[1], value].concat())
        }
        Kind::Doc => bytes
            .get(view.content_at..view.bytes.end)
            .map(<[u8]>::to_vec),
        _ => None,
    }
}
