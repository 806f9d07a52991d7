//! How the nodes that serve one store hear of each other's commits.
//!
//! The store is the truth; a bus holds nothing durable. After each commit a node publishes what the rows say, and others
//! that have the document open show it at once. A bus may lose, delay, repeat and reorder notices, or be gone
//! altogether: rows are numbered without gaps, so a node sees what it lacks and reads it from the store, and it looks
//! there now and then by itself. Without a bus edits of others come later; none is lost.

use bytes::Bytes;

use crate::{
    document::id::DocId,
    store::{Epoch, Seq},
};

/// What a node has committed to the log of one document.
#[derive(Debug, Clone)]
pub struct Notice {
    pub doc: DocId,
    pub epoch: Epoch,
    /// The first and the last of its rows.
    pub from: Seq,
    pub to: Seq,
    /// Yjs v1 updates that together say what these rows say.
    pub updates: Vec<Bytes>,
}

impl Notice {
    /// Bytes of its updates.
    pub fn len(&self) -> usize {
        self.updates.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The port, as one node sees it. What others publish goes to its rooms' registry.
pub trait Bus: Send + Sync + 'static {
    /// Tells the other nodes. Never waits and never fails: see what a bus may do.
    fn publish(&self, notice: Notice);
}
