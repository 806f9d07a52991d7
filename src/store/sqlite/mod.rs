//! The store in one SQLite file: what a server on one machine uses.
//!
//! One connection writes, a few read, one keeps house (checkpoints, giving space back). The data directory is held by
//! a lock file as long as the store lives, so nobody else writes. WAL mode; SQL only with bound parameters, each
//! statement a constant beside the function that runs it.

mod append;
mod compact;
mod documents;
mod error;
mod heads;
pub mod inspect;
mod keeper;
mod load;
mod marks;
mod names;
mod open;
mod people;
mod rewrite;
mod row_key;
mod sessions;
mod watch;
mod writer;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex as SyncMutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use sqlx::SqlitePool;
use tokio::sync::{Mutex, MutexGuard};

pub use self::open::{DATABASE_FILE, LOCK_FILE, OpenError};
use self::{keeper::Keeper, names::Names, writer::Writer};
use super::{
    Append, Appended, Compaction, DocRecord, Durability, ListQuery, Loaded, LogRow, Mark, MarkId,
    NewMark, Person, Rewrite, Salvaged, Seq, Store, StoreError,
    sessions::{Grain, Session},
};
use crate::{clock::UnixMillis, document::id::DocId};

/// Where the store lives and what its commits survive.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub data_dir: PathBuf,
    pub durability: Durability,
}

/// The SQLite adapter of [`Store`].
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    readers: SqlitePool,
    keeper: Keeper,
    names: Names,
    /// Held while a compaction reads, packs and writes, so that no two fold the same rows.
    compacting: Mutex<()>,
}

/// What the store and its housekeeping task both hold.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Gone once the store is closed.
    writer: Mutex<Option<Writer>>,
    /// A sync failed: nothing is trusted any more.
    sync_failed: AtomicBool,
    /// The held lock file; the lock ends with it.
    lock: SyncMutex<Option<File>>,
}

impl SqliteStore {
    /// Opens the database in the data directory, making either when missing, and brings its tables up to date.
    pub async fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        open::open(&options).await
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    async fn writer(&self) -> Result<WriterGuard<'_>, StoreError> {
        self.shared.writer().await
    }

    /// Remembers a failed sync, after which nothing is acknowledged any more.
    fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.shared.noted(outcome)
    }
}

impl Shared {
    /// The writer, ready for an operation.
    async fn writer(&self) -> Result<WriterGuard<'_>, StoreError> {
        let guard = self.writer.lock().await;
        if self.sync_failed.load(Ordering::Relaxed) {
            return Err(StoreError::SyncFailed(
                "an earlier sync failed; the process must restart".into(),
            ));
        }
        let mut guard = WriterGuard::of(guard)?;
        guard.settle().await?;
        Ok(guard)
    }

    fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::SyncFailed(_))) {
            self.sync_failed.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

/// The locked writer of a store that is not closed.
struct WriterGuard<'a>(tokio::sync::MappedMutexGuard<'a, Writer>);

impl<'a> WriterGuard<'a> {
    fn of(guard: MutexGuard<'a, Option<Writer>>) -> Result<Self, StoreError> {
        MutexGuard::try_map(guard, Option::as_mut)
            .map(Self)
            .map_err(|_| StoreError::Other("the store is closed".into()))
    }
}

impl std::ops::Deref for WriterGuard<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.0
    }
}

impl std::ops::DerefMut for WriterGuard<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.0
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, batch: &[Append], now: UnixMillis) -> Result<Vec<Appended>, StoreError> {
        self.keeper.room_in_wal().await;
        for new in batch.iter().filter(|append| append.epoch.is_none()) {
            self.names.add(&new.doc);
        }
        let mut writer = self.writer().await?;
        let outcome = append::append(&mut writer, batch, now).await;
        drop(writer);
        let (answers, pages) = self.noted(outcome)?;
        self.keeper.wrote(pages);
        Ok(answers)
    }

    async fn load(&self, doc: &DocId) -> Result<Loaded, StoreError> {
        if !self.names.may_exist(doc) {
            return Ok(Loaded::Absent);
        }
        self.noted(load::load(&self.readers, doc).await)
    }

    async fn compact(&self, compaction: Compaction) -> Result<bool, StoreError> {
        let outcome = compact::compact(self, compaction).await;
        self.noted(outcome)
    }

    async fn rewrite(&self, rewrite: Rewrite) -> Result<bool, StoreError> {
        let outcome = rewrite::rewrite(self, rewrite).await;
        self.noted(outcome)
    }

    async fn thinnable(
        &self,
        grain: Grain,
        before: UnixMillis,
        after: Option<&DocId>,
        limit: u32,
    ) -> Result<Vec<DocId>, StoreError> {
        self.noted(rewrite::thinnable(&self.readers, grain, before, after, limit).await)
    }

    async fn rows(&self, doc: &DocId, from: Seq, to: Seq) -> Result<Vec<LogRow>, StoreError> {
        self.noted(load::rows(&self.readers, doc, from, to).await)
    }

    async fn sessions(
        &self,
        doc: &DocId,
        before: Seq,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.noted(sessions::sessions(&self.readers, doc, before, limit).await)
    }

    async fn marks(&self, doc: &DocId) -> Result<Vec<Mark>, StoreError> {
        self.noted(marks::marks(&self.readers, doc).await)
    }

    async fn mark(&self, doc: &DocId, seq: Option<Seq>, mark: NewMark) -> Result<Mark, StoreError> {
        let mut writer = self.writer().await?;
        let outcome = marks::mark(&mut writer, doc, seq, mark).await;
        self.noted(outcome)
    }

    async fn relabel(&self, doc: &DocId, id: MarkId, label: &str) -> Result<Mark, StoreError> {
        let mut writer = self.writer().await?;
        let outcome = marks::relabel(&mut writer, doc, id, label).await;
        self.noted(outcome)
    }

    async fn unmark(&self, doc: &DocId, id: MarkId) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let outcome = marks::unmark(&mut writer, doc, id).await;
        self.noted(outcome)
    }

    async fn salvage(&self, doc: &DocId) -> Result<Vec<Salvaged>, StoreError> {
        self.noted(load::salvage(&self.readers, doc).await)
    }

    async fn people(&self, authors: &[Arc<str>]) -> Result<Vec<Person>, StoreError> {
        self.noted(people::people(&self.readers, authors).await)
    }

    async fn quarantine(&self, doc: &DocId, reason: &str) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let outcome = documents::quarantine(&mut writer, doc, reason).await;
        self.noted(outcome)
    }

    async fn get(&self, doc: &DocId) -> Result<Option<DocRecord>, StoreError> {
        self.noted(documents::get(&self.readers, doc).await)
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<DocRecord>, StoreError> {
        self.noted(documents::list(&self.readers, query).await)
    }

    async fn create(&self, doc: &DocId, now: UnixMillis) -> Result<DocRecord, StoreError> {
        self.names.add(doc);
        let mut writer = self.writer().await?;
        let outcome = documents::create(&mut writer, doc, now).await;
        self.noted(outcome)
    }

    async fn trash(&self, doc: &DocId, now: UnixMillis) -> Result<DocRecord, StoreError> {
        let mut writer = self.writer().await?;
        let outcome = documents::trash(&mut writer, doc, now).await;
        self.noted(outcome)
    }

    async fn restore(&self, doc: &DocId, _now: UnixMillis) -> Result<DocRecord, StoreError> {
        let mut writer = self.writer().await?;
        let outcome = documents::restore(&mut writer, doc).await;
        self.noted(outcome)
    }

    async fn delete(&self, doc: &DocId, now: UnixMillis) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let outcome = documents::delete(&mut writer, doc, now).await;
        drop(writer);
        let pages = self.noted(outcome)?;
        self.keeper.wrote(pages);
        self.keeper.scrub();
        Ok(())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let outcome = documents::probe(&mut writer, &self.readers).await;
        self.noted(outcome)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.keeper.stop().await;
        self.readers.close().await;
        let writer = self.shared.writer.lock().await.take();
        let closed = match writer {
            Some(writer) => writer.close().await,
            None => Ok(()),
        };
        drop(
            self.shared
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        self.noted(closed)
    }
}
