//! What can still be had of a document whose stored bytes are damaged.

use bytes::Bytes;

use super::HistoryError;
use crate::{
    document::{
        id::DocId,
        replica::{Replica, ReplicaError},
        scan::ScanLimits,
    },
    store::{DocState, Salvaged, Seq, Store},
};

/// The newest version that is whole.
#[derive(Debug)]
pub struct Whole {
    /// The state is the one after this row.
    pub seq: Seq,
    /// Rows that the document had.
    pub head: Seq,
    pub replica: Replica,
}

/// Builds the newest version of a document whose bytes are whole, be it damaged or under quarantine.
///
/// # Errors
/// When there is no such document, or not even an empty one can be built.
pub async fn salvage(
    store: &dyn Store,
    doc: &DocId,
    limits: &ScanLimits,
) -> Result<Whole, HistoryError> {
    let record = store.get(doc).await?;
    let record = record.ok_or(HistoryError::NoDocument)?;
    if record.state == DocState::Deleted {
        return Err(HistoryError::Deleted);
    }
    let mut best: Option<(Seq, Replica)> = None;
    for Salvaged { seq, updates } in store.salvage(doc).await? {
        let (built, replica) = longest(&updates, seq, limits).map_err(HistoryError::Broken)?;
        if best.as_ref().is_none_or(|(seq, _)| *seq < built) {
            best = Some((built, replica));
        }
    }
    let (seq, replica) = best.unwrap_or_default();
    Ok(Whole {
        seq,
        head: record.head_seq,
        replica,
    })
}

/// Applies the updates up to the first that does not fit; `seq` is the moment after the last of them.
fn longest(
    updates: &[Bytes],
    seq: Seq,
    limits: &ScanLimits,
) -> Result<(Seq, Replica), ReplicaError> {
    let mut replica = Replica::default();
    for (place, update) in updates.iter().enumerate() {
        if replica.append(update, limits).is_ok() {
            continue;
        }
        if place == 0 {
            return Ok((0, Replica::default()));
        }
        // A replica that failed is of no use; what came before is known to fit.
        let whole = Replica::load(&updates[..place], limits)?;
        return Ok((seq - (updates.len() - place) as Seq, whole));
    }
    Ok((seq, replica))
}
