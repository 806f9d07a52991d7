//! Restores: whatever rows there are, an edit that makes the document what it was, or an error.

use std::sync::Arc;

use bytes::Bytes;

use coscribe::document::{
    provenance::{Provenance, Row},
    replica::Replica,
    restore::{RestoreError, Wanted, restore},
    scan::{ScanLimits, scan},
    tree,
};

use super::{
    inputs::{Inputs, inputs},
    updates::received,
};

/// The first of those that no input has, so that the edits' structs are new.
const CLIENT: u32 = 0xffff_fff0;

/// A version is restored, what came later is taken back, or some rows, each on top of the one before: what comes is an update
/// that applies, and where it says so, the version is back.
pub fn restores(data: &[u8]) {
    let Inputs {
        updates,
        honest,
        mut rest,
    } = inputs(data);
    let receiver = received(&updates);
    let limits = ScanLimits::default();
    let mut rows: Vec<Bytes> = receiver.log;
    let author: Arc<str> = "ada".into();
    let mut provenance = Provenance::default();
    for (row, update) in (1..).zip(&rows) {
        provenance
            .add(row, (&author, 0), update)
            .expect("a row was read before");
    }
    let version = rest.below(rows.len() + 1);
    let past = Replica::load(&rows[..version], &limits).expect("a part of the log");
    let past = values(&past);
    for client in CLIENT..CLIENT + 4 {
        let all = 1..=rows.len() as Row;
        let later: Vec<Row> = all.clone().skip(version).collect();
        let some: Vec<Row> = all.filter(|_| rest.byte() % 3 == 0).collect();
        let wanted = match client - CLIENT {
            0 => Wanted::Version(version as Row),
            1 | 3 => Wanted::Undo(&some),
            _ => Wanted::Undo(&later),
        };
        let log: Vec<&[u8]> = rows.iter().map(AsRef::as_ref).collect();
        let restored = match restore(&log, &provenance, wanted, client, &limits) {
            Ok(restored) => restored,
            Err(RestoreError::Rows(_) | RestoreError::TooDeep) if !honest => continue,
            Err(error) => panic!("{wanted:?}: {error}"),
        };
        scan(&restored.update, &limits).expect("a restore is an update");
        let mut replica = Replica::load(&rows, &limits).expect("the log");
        replica
            .append(&restored.update, &limits)
            .expect("a restore has no gap");
        // Without all that came later it is as it was.
        if restored.exact && wanted != Wanted::Undo(&some) {
            assert_eq!(values(&replica), past, "after {version} rows");
        }
        if restored.update[..] != [0, 0] {
            rows.push(restored.update.clone());
            let row = rows.len() as Row;
            provenance
                .add(row, (&author, 0), &restored.update)
                .expect("a restore is an update");
            provenance.add_origins(&restored.origins);
        }
    }
}

/// What the document shows. A root that holds nothing is as none.
fn values(replica: &Replica) -> Vec<(String, String)> {
    let roots = replica.doc().map(tree::roots).unwrap_or_default();
    roots
        .iter()
        .map(|(name, root)| (name.clone(), tree::to_json(root).to_string()))
        .filter(|(_, root)| !["{}", "[]", "\"\""].contains(&root.as_str()))
        .collect()
}
