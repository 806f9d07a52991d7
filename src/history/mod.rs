//! The past of documents: any moment of one, its versions, and who wrote what.
//!
//! Everything follows from the log (rows that are not folded yet, then history segments) and from the marks beside it, so
//! nothing here has to be kept in step with a room: it reads the store. What is brought back goes through the room, as an
//! edit like any other.

mod answers;
mod difference;
mod plan;
mod reel;
mod retention;
mod salvage;
mod shelf;
mod versions;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use self::shelf::Shelf;
pub use self::{
    answers::Answers,
    difference::{Changes, Difference},
    plan::{Part, Plan, PlannedEdit, Turn},
    reel::Reel,
    salvage::{Whole, salvage},
    versions::{Cursor, Kind, Page, Version, VersionId},
};
use crate::{
    clock::UnixMillis,
    document::{
        html::{self, Blocks},
        id::DocId,
        replica::{Replica, ReplicaError},
        restore::RestoreError,
        scan::ScanLimits,
        thin::ThinError,
    },
    store::{DocRecord, DocState, Mark, MarkKind, NewRow, Seq, Store, StoreError, sessions::Grain},
};

/// Why something of the past could not be had; the words go to the client.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("There is no document of this name.")]
    NoDocument,
    #[error("This document was deleted for good, and its history with it.")]
    Deleted,
    #[error("This document has no such version.")]
    NoVersion,
    #[error("This document has {head} edits, so there is no moment {seq}.")]
    NoMoment { seq: Seq, head: Seq },
    #[error(
        "Moment {seq} is not kept any more; the one before it that is kept is {kept}. Bring that one back instead."
    )]
    Thinned { seq: Seq, kept: Seq },
    #[error("What is taken back comes after the version: `to_seq` must be greater than {seq}.")]
    NotSince { seq: Seq },
    /// Undoing the rows would not undo what the restore brought of them.
    #[error(
        "An older version of Coscribe brought something back at edit {seq}, and part of what is to be taken back may have come with it. Take back what was done since edit {seq}, or bring a whole version back."
    )]
    RestoredSince { seq: Seq },
    #[error("Only a version that somebody named has a name to change or take away.")]
    NotNamed,
    #[error("This document is not live, so nothing of it can be changed.")]
    NotLive(DocState),
    #[error("This can not be brought back: {0}")]
    Restore(#[source] RestoreError),
    #[error(
        "Somebody is bringing something back or removing something in this document right now. Look at what it becomes, then try again."
    )]
    Restoring,
    #[error(
        "This document has {limit} named versions. Take the name from one that nobody needs first."
    )]
    TooManyNames { limit: usize },
    #[error("This part of the history was removed for good.")]
    Purged,
    #[error("The document changed meanwhile. Try again; nothing was removed.")]
    Changed,
    /// Nothing was changed.
    #[error("The history can not be thinned: {0}")]
    Thinning(#[source] ThinError),
    #[error("This document had no edit yet at that time.")]
    NothingYet,
    #[error(
        "The history of this document is damaged. `coscribe check` tells more; a backup can be restored."
    )]
    Damaged(#[source] StoreError),
    /// Rows that were stored do not make a document.
    #[error("This moment of the document can not be built.")]
    Broken(#[source] ReplicaError),
    #[error("The history can not be read now.")]
    Store(#[source] StoreError),
    #[error("The server failed at this request.")]
    Ended(#[source] tokio::task::JoinError),
}

impl From<StoreError> for HistoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NoVersion,
            StoreError::WrongState(state) => Self::NotLive(state),
            StoreError::Damaged(_) => Self::Damaged(error),
            error => Self::Store(error),
        }
    }
}

/// A moment as HTML.
#[derive(Debug)]
pub struct Moment {
    /// The one that stands for what was asked for.
    pub seq: Seq,
    pub blocks: Blocks,
    /// Those that were given last of the same rows.
    pub answers: Answers,
}

/// The past of all documents.
pub struct History {
    store: Arc<dyn Store>,
    limits: ScanLimits,
    shelf: Shelf,
    /// Documents in which something is being brought back.
    restoring: Arc<Mutex<HashSet<DocId>>>,
}

impl History {
    /// `limits` as they hold for what is stored.
    pub fn new(store: Arc<dyn Store>, limits: ScanLimits) -> Self {
        Self {
            store,
            limits,
            shelf: Shelf::default(),
            restoring: Arc::default(),
        }
    }

    /// The document's record, be it live, in the trash or under quarantine.
    ///
    /// # Errors
    /// When there is none, or it is deleted.
    pub async fn record(&self, doc: &DocId) -> Result<DocRecord, HistoryError> {
        let record = self.store.get(doc).await?;
        let record = record.ok_or(HistoryError::NoDocument)?;
        match record.state {
            DocState::Deleted => Err(HistoryError::Deleted),
            _ => Ok(record),
        }
    }

    /// The document can be changed.
    async fn live(&self, doc: &DocId) -> Result<(), HistoryError> {
        match self.record(doc).await?.state {
            DocState::Live => Ok(()),
            other => Err(HistoryError::NotLive(other)),
        }
    }

    /// All rows of the document, as they are now.
    ///
    /// # Errors
    /// When there is no such document, or its rows can not be read.
    pub async fn reel(&self, doc: &DocId) -> Result<Arc<Reel>, HistoryError> {
        let record = self.record(doc).await?;
        let (known, rewrites) = self.shelf.get(doc, record.epoch);
        let known = known.unwrap_or_else(|| Arc::new(Reel::new(record.epoch)));
        if known.head() >= record.head_seq {
            return Ok(known);
        }
        let rows = self.store.rows(doc, known.head() + 1, record.head_seq);
        let reel = Arc::new(known.grown(rows.await?));
        self.shelf.keep(doc, &reel, rewrites);
        Ok(reel)
    }

    /// The rows of the document up to one, all that its moment needs: what is damaged after it does no harm. All rows where none is.
    async fn reel_to(&self, doc: &DocId, seq: Seq) -> Result<Arc<Reel>, HistoryError> {
        let damaged = match self.reel(doc).await {
            Err(HistoryError::Damaged(error)) => error,
            reel => return reel,
        };
        let rows = self.store.rows(doc, 1, seq).await;
        // What is wrong with all of it tells more.
        let rows = rows.map_err(|_| HistoryError::Damaged(damaged))?;
        let epoch = self.record(doc).await?.epoch;
        Ok(Arc::new(Reel::new(epoch).grown(rows)))
    }

    /// One row; of the reel where that is known, as the store unpacks many to read it.
    async fn row(&self, record: &DocRecord, seq: Seq) -> Result<Option<NewRow>, HistoryError> {
        let (known, _) = self.shelf.get(&record.doc, record.epoch);
        if let Some(row) = known.as_ref().and_then(|reel| reel.row(seq)) {
            return Ok(Some(row.row.clone()));
        }
        let rows = self.store.rows(&record.doc, seq, seq).await?;
        Ok(rows.into_iter().next().map(|row| row.row))
    }

    /// The moment that stands for the one after row `seq`: itself, or, where it was thinned away, the newest before it that is
    /// kept.
    ///
    /// # Errors
    /// When there is no such document or moment, it was removed for good, or it can not be read.
    pub async fn kept(&self, doc: &DocId, seq: Seq) -> Result<Seq, HistoryError> {
        let record = self.record(doc).await?;
        let marks = self.store.marks(doc).await?;
        self.kept_of(&record, &marks, seq).await
    }

    /// [`Self::kept`] of a document whose record and marks are known.
    async fn kept_of(
        &self,
        record: &DocRecord,
        marks: &[Mark],
        seq: Seq,
    ) -> Result<Seq, HistoryError> {
        let (doc, head) = (&record.doc, record.head_seq);
        if seq > head {
            return Err(HistoryError::NoMoment { seq, head });
        }
        if is_purged(marks, seq) {
            return Err(HistoryError::Purged);
        }
        let (known, _) = self.shelf.get(doc, record.epoch);
        let row = known.as_ref().and_then(|reel| reel.row(seq));
        if row.is_some_and(|row| !row.hidden) {
            return Ok(seq);
        }
        let before = seq.saturating_add(1);
        let session = self.store.sessions(doc, before, 1).await?.pop();
        // Only what was thinned or purged is hidden.
        if session.is_none_or(|session| session.grain == Grain::All) {
            return Ok(seq);
        }
        Ok(self.reel(doc).await?.shown(seq))
    }

    /// What `read` makes of the state after row `seq`, and the moment that stands for it.
    ///
    /// # Errors
    /// As [`Self::kept`]; and when the rows make no document.
    pub async fn content<T: Send + 'static>(
        &self,
        doc: &DocId,
        seq: Seq,
        read: impl FnOnce(&Replica) -> T + Send + 'static,
    ) -> Result<(Seq, T), HistoryError> {
        let read = move |reel: &Reel, seq, limits: &ScanLimits| reel.read(seq, limits, read);
        self.look(doc, seq, read).await
    }

    /// The state after row `seq` as HTML, and the moment that stands for it: as [`Self::content`], but what did not change
    /// since somebody looked last is not written anew.
    ///
    /// # Errors
    /// As [`Self::content`].
    pub async fn html(&self, doc: &DocId, seq: Seq) -> Result<Moment, HistoryError> {
        let write = |reel: &Reel, seq, limits: &ScanLimits| {
            let tree = reel.tree(seq, limits)?;
            Ok((html::state_in_blocks(&tree), reel.answers.clone()))
        };
        let (seq, (blocks, answers)) = self.look(doc, seq, write).await?;
        Ok(Moment {
            seq,
            blocks,
            answers,
        })
    }

    async fn look<T: Send + 'static>(
        &self,
        doc: &DocId,
        seq: Seq,
        look: impl FnOnce(&Reel, Seq, &ScanLimits) -> Result<T, ReplicaError> + Send + 'static,
    ) -> Result<(Seq, T), HistoryError> {
        let seq = self.kept(doc, seq).await?;
        let (reel, limits) = (self.reel_to(doc, seq).await?, self.limits);
        let made = apart(move || look(&reel, seq, &limits)).await?;
        Ok((seq, made.map_err(HistoryError::Broken)?))
    }

    /// Gets ready, in the background, for a step back of whoever goes through a document.
    pub fn prepare(&self, doc: &DocId) {
        let Some(reel) = self.shelf.known(doc) else {
            return;
        };
        let limits = self.limits;
        tokio::task::spawn_blocking(move || {
            if let Err(error) = reel.prepare(&limits) {
                tracing::warn!(%error, "a moment before one that was shown can not be built");
            }
        });
    }

    /// The last row that was stored at this time or before it.
    ///
    /// # Errors
    /// As [`Self::reel`]; and when there was no row yet.
    pub async fn seq_at(&self, doc: &DocId, time: UnixMillis) -> Result<Seq, HistoryError> {
        let reel = self.reel(doc).await?;
        reel.seq_at(time).ok_or(HistoryError::NothingYet)
    }
}

/// Whether this moment was removed for good.
fn is_purged(marks: &[Mark], seq: Seq) -> bool {
    marks.iter().any(|mark| {
        let from = mark.mark.source_seq.unwrap_or(mark.seq);
        mark.mark.kind == MarkKind::Purge && (from..=mark.seq).contains(&seq)
    })
}

/// Runs what walks a whole document away from the threads that serve sockets.
///
/// # Errors
/// When it panicked, or the process ends.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HistoryError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(HistoryError::Ended)
}
