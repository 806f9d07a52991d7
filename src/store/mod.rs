//! The port to what is durable: the update log, snapshots, history and the list of documents.
//!
//! Nothing outside this module speaks SQL. Every adapter passes the contract suite in `tests/store_contract`:
//!
//! 1. `append` is one transaction over all its documents: all rows of all entries that were answered `Committed` are
//!    durable when it returns `Ok`, and none is when it returns `Err`.
//! 2. Sequence numbers of a document are gapless, start at 1, and grow by one per row.
//! 3. A document's record is made by its first row, not by a look.
//! 4. A trashed or deleted document, or another epoch, takes no rows: that entry is answered `Refused`, the others are
//!    not affected.
//! 5. `load` sees snapshot and tail of one moment.
//! 6. `compact` either replaces rows up to `seq` by the snapshot and a history segment, or changes nothing.
//! 7. What `load` shows after a start is as durable as a commit, also when the last process was killed inside of one.
//! 8. A mark of an `append` is there when, and only when, the row that it belongs to is.
//! 9. Sessions cover every row of the log once, and follow from its rows alone, but for what was thinned of them.
//! 10. Bytes come back as they went in, or the load fails with `Damaged`; never silently different.
//! 11. `rewrite` replaces all of its rows, or changes nothing; what it replaced is in no file afterwards.

pub mod history_segment;
pub mod memory;
pub mod sessions;
pub mod sqlite;

use std::{str::FromStr, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use self::sessions::{Grain, Session};
use crate::{
    clock::UnixMillis,
    document::{ClientId, id::DocId},
};

/// Position of a row in a document's log: 1 for the first, without gaps.
pub type Seq = u64;
/// Grows when a deleted document is created again: an old copy with another epoch does not belong to it.
pub type Epoch = u32;
/// The epoch of a name that was never deleted.
pub const FIRST_EPOCH: Epoch = 1;

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut: every commit is fsynced before it is acknowledged.
    #[default]
    Full,
    /// The end of the process (`kill -9`), but not a power cut: the operating system writes when it likes.
    Process,
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "full" => Ok(Self::Full),
            "process" => Ok(Self::Process),
            other => Err(format!("durability is `full` or `process`, not `{other}`")),
        }
    }
}

/// One row for the log: what one author did in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// Yjs v1 update, made of the clients' own bytes.
    pub bytes: Bytes,
    /// Account, else the actor cookie, else `client:<id>`.
    pub author: Arc<str>,
    /// The Yjs client id that the author's socket writes with, 0 when unknown.
    pub client_id: ClientId,
    pub at: UnixMillis,
}

/// A row as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    pub seq: Seq,
    pub row: NewRow,
    /// The state after this row is not kept: its bytes, and those of its neighbours, are only true together with all rows up
    /// to the next one that is not hidden.
    pub hidden: bool,
}

/// What one room adds in one transaction.
#[derive(Debug, Clone)]
pub struct Append {
    pub doc: DocId,
    /// The epoch the room was loaded with; `None` when the document had no record yet, which fits a record that was
    /// made since, unless the name was deleted and created again meanwhile.
    pub epoch: Option<Epoch>,
    pub rows: Vec<NewRow>,
    /// The new title, when these rows change it: a projection for lists and search.
    pub title: Option<String>,
    /// Marks on some of these rows, each with the place of its row in `rows`.
    pub marks: Vec<(usize, NewMark)>,
    /// What authors of these rows call themselves, where it is news.
    pub people: Vec<Person>,
}

/// An author, as they call themselves. What clients say is not to be trusted with more than being shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// As in [`NewRow::author`].
    pub author: Arc<str>,
    pub name: String,
    /// A CSS colour, or empty.
    pub color: String,
}

/// Number of a mark; never given twice.
pub type MarkId = u64;

/// What a mark says of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// Somebody named this state.
    Named,
    /// This row brought an earlier state back.
    Restore,
    /// This row brought a part of one back: a block, or what it was before somebody's changes.
    RestorePart,
    /// The moments from `source_seq` up to this one were removed for good.
    Purge,
}

impl MarkKind {
    /// Whether the row of the mark brought something back.
    pub fn is_restore(self) -> bool {
        matches!(self, Self::Restore | Self::RestorePart)
    }
}

/// A mark that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMark {
    pub kind: MarkKind,
    /// What somebody called it; for a restore, what was restored, in words.
    pub label: String,
    pub author: Arc<str>,
    pub at: UnixMillis,
    /// For a restore, the moment that was brought back; for a purge, the first that was removed.
    pub source_seq: Option<Seq>,
    /// For a restore, what it brought back (`document::origins`); else empty.
    pub origins: Bytes,
}

/// A mark on a moment of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub id: MarkId,
    /// The moment: the state after this row.
    pub seq: Seq,
    pub mark: NewMark,
}

/// What became of one [`Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Durable; `head_seq` is the number of the last row.
    Committed { epoch: Epoch, head_seq: Seq },
    /// Nothing of this entry was stored.
    Refused(NotWritable),
}

/// Why a document takes no rows now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWritable {
    Trashed,
    Deleted,
    /// Deleted and created again since the room was loaded.
    OtherEpoch,
    Quarantined,
}

/// A state from which the rows up to `seq` need not be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub seq: Seq,
    /// Yjs v1 update, without the content of what was deleted.
    pub bytes: Bytes,
}

/// Everything that is needed to build a document's replica, read in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub epoch: Epoch,
    pub head_seq: Seq,
    pub snapshot: Option<Snapshot>,
    /// Rows after the snapshot, in order.
    pub tail: Vec<LogRow>,
    pub title: String,
}

/// Stored bytes that are whole, and make a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// The state is the one after this row.
    pub seq: Seq,
    /// A snapshot and the rows after it, or rows from the first on; each row's number is one more than that of the one
    /// before, and the last is `seq`.
    pub updates: Vec<Bytes>,
}

/// What `load` found under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// No record: an empty document that its first row will create.
    Absent,
    Live(Stored),
    Trashed,
    Deleted,
    /// Its stored bytes are damaged; the reason is for the operator.
    Quarantined {
        reason: String,
    },
}

/// Where a document stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DocState {
    Live,
    Trashed,
    Deleted,
    Quarantined,
}

/// One line of the document list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocRecord {
    pub doc: DocId,
    pub epoch: Epoch,
    pub title: String,
    pub state: DocState,
    pub head_seq: Seq,
    /// Bytes of the newest snapshot and of the rows after it.
    pub size: u64,
    pub created_at: UnixMillis,
    /// When the last row was stored, or the document was created.
    pub edited_at: UnixMillis,
    pub trashed_at: Option<UnixMillis>,
}

/// Which part of the list is wanted.
#[derive(Debug, Clone)]
pub struct ListQuery {
    pub state: DocState,
    /// Only titles (or, without a title, names) that contain this text, ignoring case. Never a pattern.
    pub search: Option<String>,
    /// Continue after this (edited_at, doc), newest first; equal times are ordered by name.
    pub after: Option<(UnixMillis, DocId)>,
    /// At most this many.
    pub limit: u32,
}

/// A finished, verified compaction, to be stored in one transaction.
#[derive(Debug, Clone)]
pub struct Compaction {
    pub doc: DocId,
    pub epoch: Epoch,
    /// The state after row `snapshot.seq`.
    pub snapshot: Snapshot,
}

/// Rows that take the place of folded ones, to be stored in one transaction.
#[derive(Debug, Clone)]
pub struct Rewrite {
    pub doc: DocId,
    pub epoch: Epoch,
    /// Without gaps; each has the number, author and client of the one that it replaces.
    pub rows: Vec<LogRow>,
    /// Sessions, by their first rows, that are kept no more finely than this from now on.
    pub grains: Vec<(Seq, Grain)>,
    /// A mark of [`MarkKind::Purge`] and its moment: the names in its range go, too, also those that restores tell of what they
    /// brought back.
    pub purge: Option<(Seq, NewMark)>,
}

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or quota is full. Nothing was stored; it may be tried again.
    #[error("the disk is full")]
    Full(#[source] BoxError),
    /// The file system is read-only. Nothing was stored; it may be tried again.
    #[error("the data directory is read-only")]
    ReadOnly(#[source] BoxError),
    /// Another process holds a lock. Nothing was stored; it may be tried again.
    #[error("the database is locked by another process")]
    Busy(#[source] BoxError),
    /// fsync (or a like call) failed: what the disk holds is unknown, the process must end. After the first failure
    /// a further fsync may answer "fine" although the data is gone; so every later call fails with this, too.
    #[error("the disk failed to confirm a write")]
    SyncFailed(#[source] BoxError),
    /// Stored bytes of this document do not match their checksum or do not decode.
    #[error("document data is damaged: {0}")]
    Damaged(String),
    /// The database file itself is malformed.
    #[error("the database is damaged")]
    Corrupt(#[source] BoxError),
    #[error("no such document")]
    NotFound,
    /// The document exists already, or is not in the state that the operation needs.
    #[error("the document is not in a state that allows this: {0:?}")]
    WrongState(DocState),
    #[error("the store failed")]
    Other(#[source] BoxError),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody losing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Full(_) | Self::ReadOnly(_) | Self::Busy(_) | Self::Other(_)
        )
    }
}

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The port. One implementation runs the server, another (`memory`) the tests.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes all rows durable in one transaction, in the order given; answers entry by entry. An entry without rows (a
    /// new title only) does not create a document.
    /// Only one call runs at a time (the room writer is the only caller).
    async fn append(&self, batch: &[Append], now: UnixMillis) -> Result<Vec<Appended>, StoreError>;

    /// Reads what builds a replica, in one read transaction.
    async fn load(&self, doc: &DocId) -> Result<Loaded, StoreError>;

    /// Stores a snapshot and moves the rows up to its `seq` to a compressed history segment. Answers `false`, having
    /// changed nothing, when the epoch is another one or a newer snapshot is there already.
    async fn compact(&self, compaction: Compaction) -> Result<bool, StoreError>;

    /// Puts other bytes in the place of rows that are folded, and overwrites what was there. Answers `false`, having changed
    /// nothing, when the epoch is another one, the document is not live, or a row is not folded.
    async fn rewrite(&self, rewrite: Rewrite) -> Result<bool, StoreError>;

    /// Live documents that have a session which ended before `before` and is kept more finely than `grain`, or rows from before
    /// then that are not folded; at most `limit`, after the document `after` by the order of their creation.
    async fn thinnable(
        &self,
        grain: Grain,
        before: UnixMillis,
        after: Option<&DocId>,
        limit: u32,
    ) -> Result<Vec<DocId>, StoreError>;

    /// All rows of the log and of history from `from` up to and including `to` (or the head, when that is less), in order.
    /// Also of a trashed or quarantined document; `NotFound` when there is no record or it is deleted.
    async fn rows(&self, doc: &DocId, from: Seq, to: Seq) -> Result<Vec<LogRow>, StoreError>;

    /// The sessions that begin before row `before`, newest first, at most `limit`. Costs no more for a longer log. `NotFound`
    /// when there is no record or it is deleted.
    async fn sessions(
        &self,
        doc: &DocId,
        before: Seq,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;
    /// All marks of a document, by moment. Nothing where there is no document.
    async fn marks(&self, doc: &DocId) -> Result<Vec<Mark>, StoreError>;
    /// Marks a moment of a live document, the present one when none is given.
    async fn mark(&self, doc: &DocId, seq: Option<Seq>, mark: NewMark) -> Result<Mark, StoreError>;
    /// Gives a mark another label. `NotFound` when the document has no such mark.
    async fn relabel(&self, doc: &DocId, id: MarkId, label: &str) -> Result<Mark, StoreError>;
    /// Takes a mark away; its moment stays. `NotFound` when the document has no such mark.
    async fn unmark(&self, doc: &DocId, id: MarkId) -> Result<(), StoreError>;

    /// What is whole of a document that may be damaged: each way in which it can be built, with the moment that it leads to.
    /// `NotFound` when there is no record or it is deleted.
    async fn salvage(&self, doc: &DocId) -> Result<Vec<Salvaged>, StoreError>;

    /// What these authors call themselves, as far as it is known.
    async fn people(&self, authors: &[Arc<str>]) -> Result<Vec<Person>, StoreError>;

    /// Puts a live or trashed document under quarantine: it is not loaded any more, and nothing of it is lost.
    async fn quarantine(&self, doc: &DocId, reason: &str) -> Result<(), StoreError>;

    async fn get(&self, doc: &DocId) -> Result<Option<DocRecord>, StoreError>;
    async fn list(&self, query: &ListQuery) -> Result<Vec<DocRecord>, StoreError>;

    /// Creates a record without title and rows. A deleted name is created anew with the next epoch; a live or
    /// trashed one is `WrongState`.
    async fn create(&self, doc: &DocId, now: UnixMillis) -> Result<DocRecord, StoreError>;
    /// Live → trashed.
    async fn trash(&self, doc: &DocId, now: UnixMillis) -> Result<DocRecord, StoreError>;
    /// Trashed → live.
    async fn restore(&self, doc: &DocId, now: UnixMillis) -> Result<DocRecord, StoreError>;
    /// Trashed → deleted for good: its bytes are removed; a tombstone with the epoch keeps the name from coming back.
    async fn delete(&self, doc: &DocId, now: UnixMillis) -> Result<(), StoreError>;

    /// A small write and a small read that show whether storing works now; for `/readyz` and for recovery.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Flushes and closes. Nothing may be called afterwards.
    async fn close(&self) -> Result<(), StoreError>;
}
