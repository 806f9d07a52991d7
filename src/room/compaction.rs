//! Compaction: a snapshot in place of the rows that led to it. Runs beside a live room, from what is committed.
//!
//! The snapshot is built from the stored rows only, and the rows are removed only after the snapshot was read back and
//! found equal to an independent replay: state vector, delete set and every value. On a difference the log stays.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    heavy,
    planted::{self, Bug},
};

use crate::{
    document::{
        id::DocId,
        replica::{EMPTY_UPDATE, Replica, ReplicaError},
        scan::ScanLimits,
        tree,
    },
    store::{Compaction, Loaded, Seq, Snapshot, Store, StoreError, Stored},
};

#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the log does not replay: {0}")]
    Replay(#[from] ReplicaError),
    #[error("the snapshot differs from the log it was made of; the log stays")]
    Differs,
    #[error("the compaction was interrupted")]
    Interrupted,
}

/// What a compaction folded.
#[derive(Debug, Clone, Copy)]
pub struct Folded {
    /// The last row that the snapshot covers.
    pub seq: Seq,
    /// Bytes of the state there.
    pub state_bytes: usize,
}

/// Compacts what is committed of a document. Answers nothing when there was nothing to do.
pub async fn compact(
    store: &Arc<dyn Store>,
    doc: &DocId,
    limits: &ScanLimits,
) -> Result<Option<Folded>, CompactionError> {
    let Loaded::Live(stored) = store.load(doc).await? else {
        return Ok(None);
    };
    if stored.tail.is_empty() {
        return Ok(None);
    }
    let (epoch, seq) = (stored.epoch, stored.head_seq);
    let limits = *limits;
    let bytes = heavy::away(move || verified_snapshot(&stored, &limits))
        .await
        .map_err(|_| CompactionError::Interrupted)??;
    let state_bytes = bytes.len();
    let done = store
        .compact(Compaction {
            doc: doc.clone(),
            epoch,
            snapshot: Snapshot { seq, bytes },
        })
        .await?;
    Ok(done.then_some(Folded { seq, state_bytes }))
}

/// A snapshot of everything that is stored, read back and compared.
pub fn verified_snapshot(stored: &Stored, limits: &ScanLimits) -> Result<Bytes, CompactionError> {
    let replay = replay(stored, limits)?;
    let bytes = encoded(&replay, stored, limits)?;
    if planted::is(Bug::TrimUnverified) {
        return Ok(bytes);
    }
    let read_back = Replica::load([&bytes], limits)?;
    let same = read_back.known() == replay.known()
        && read_back.deleted() == replay.deleted()
        && read_back.doc().map(tree::roots) == replay.doc().map(tree::roots);
    if same {
        Ok(bytes)
    } else {
        Err(CompactionError::Differs)
    }
}

fn encoded(replica: &Replica, stored: &Stored, limits: &ScanLimits) -> Result<Bytes, ReplicaError> {
    let state = if planted::forgets_a_row() {
        let mut forgetful = stored.clone();
        forgetful.tail.pop();
        replay(&forgetful, limits)?.full_state()
    } else {
        replica.full_state()
    };
    Ok(state.unwrap_or(Bytes::from_static(EMPTY_UPDATE)))
}

/// The replica that snapshot and tail build.
pub fn replay(stored: &Stored, limits: &ScanLimits) -> Result<Replica, ReplicaError> {
    let snapshot = stored.snapshot.iter().map(|snapshot| &snapshot.bytes);
    Replica::load(
        snapshot.chain(stored.tail.iter().map(|row| &row.row.bytes)),
        limits,
    )
}
