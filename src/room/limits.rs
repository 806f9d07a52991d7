//! What a room accepts and when it tidies up. The defaults are ones that a team never meets.

use crate::document::scan::ScanLimits;

#[derive(Debug, Clone)]
pub struct RoomLimits {
    pub scan: ScanLimits,
    /// Bytes of one document message.
    pub message_bytes: usize,
    /// Bytes that a document may hold; deletions are accepted beyond it.
    pub document_bytes: usize,
    /// Bytes of one awareness state.
    pub awareness_bytes: usize,
    /// Bytes of accepted but not yet durable updates, while storing fails.
    pub uncommitted_bytes: usize,
    /// The same for all documents together.
    pub uncommitted_bytes_in_all: usize,
    /// How deep shared types may nest.
    pub type_depth: u32,
    /// Bytes that wait for one peer before its document frames are replaced by one diff.
    pub outbox_bytes: usize,
    /// Bytes of one peer's updates that wait for something unknown.
    pub parked_bytes: usize,
    /// Peers in one room.
    pub peers: usize,
    /// Refused messages after which a peer is closed.
    pub refusals: u32,
    /// Log rows after the snapshot that start a compaction.
    pub compact_rows: u64,
    /// Bytes of log after the snapshot that start a compaction.
    pub compact_bytes: u64,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            scan: ScanLimits::default(),
            message_bytes: 16 << 20,
            document_bytes: 64 << 20,
            awareness_bytes: 64 << 10,
            uncommitted_bytes: 16 << 20,
            uncommitted_bytes_in_all: 256 << 20,
            type_depth: 128,
            outbox_bytes: 1 << 20,
            parked_bytes: 4 << 20,
            peers: 5_000,
            refusals: 1_000,
            compact_rows: 500,
            compact_bytes: 1 << 20,
        }
    }
}
