//! Restores: whatever rows there are, an edit that makes the document what it was, or an error.

use std::sync::Arc;

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

/// No client of an input, so that the edit's structs are new.
const CLIENT: u32 = 0xffff_fff0;

/// A version is restored, what came later is taken back, or some rows: what comes is an update that applies, and where it
/// says so, the version is back.
pub fn restores(data: &[u8]) {
    let Inputs {
        updates,
        honest,
        mut rest,
    } = inputs(data);
    let receiver = received(&updates);
    let limits = ScanLimits::default();
    let rows: Vec<&[u8]> = receiver.log.iter().map(AsRef::as_ref).collect();
    let author: Arc<str> = "ada".into();
    let mut provenance = Provenance::default();
    for (row, update) in (1..).zip(&rows) {
        provenance
            .add(row, (&author, 0), update)
            .expect("a row was read before");
    }
    let version = rest.below(rows.len() + 1);
    let some: Vec<Row> = (1..=rows.len() as Row)
        .filter(|_| rest.byte() % 3 == 0)
        .collect();
    let past = Replica::load(&receiver.log[..version], &limits).expect("a part of the log");
    let past = values(&past);
    let later: Vec<Row> = (1 + version as Row..=rows.len() as Row).collect();
    for wanted in [
        Wanted::Version(version as Row),
        Wanted::Undo(&later),
        Wanted::Undo(&some),
    ] {
        let restored = match restore(&rows, &provenance, wanted, CLIENT, &limits) {
            Ok(restored) => restored,
            Err(RestoreError::Rows(_) | RestoreError::TooDeep) if !honest => continue,
            Err(error) => panic!("{wanted:?}: {error}"),
        };
        scan(&restored.update, &limits).expect("a restore is an update");
        let mut replica = Replica::load(&receiver.log, &limits).expect("the log");
        replica
            .append(&restored.update, &limits)
            .expect("a restore has no gap");
        // Without all that came later it is as it was.
        if restored.exact && wanted != Wanted::Undo(&some) {
            assert_eq!(values(&replica), past, "after {version} rows");
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
