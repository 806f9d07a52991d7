//! Housekeeping beside the commits: moving the WAL into the database file, and giving free pages back.
//!
//! SQLite would checkpoint inside the commit that fills the WAL, and people would wait for it. Here a task with a
//! connection of its own does it: first beside the writer, which copies and syncs nearly all of it; then, only when the
//! WAL did not get empty because commits went on meanwhile, once more while the writer waits, which is short because
//! little is left. The next commit then starts the WAL from its beginning.
//!
//! When nothing was written for a moment the file shrinks to what it holds, the WAL to nothing, and the writer gives
//! its page cache back.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

#[cfg(target_os = "linux")]
use rustix::fs::FallocateFlags;
use sqlx::{Connection, Executor, Row, SqliteConnection};
use tokio::{
    sync::{Mutex, Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};

use super::{Shared, error::failed, watch::wal_of};
use crate::store::StoreError;

/// Pages in the WAL (of 4 KiB) that call for a checkpoint. Higher is less work, as a page that many commits changed is
/// copied once; lower is a smaller file and a quicker start after a crash.
const CHECKPOINT_PAGES: u64 = 8192;
/// Pages in the WAL that call for a checkpoint while the writer waits.
const STOP_PAGES: u64 = 12288;
/// Pages of WAL (128 MiB) that are given back even under load.
const TRUNCATE_PAGES: u64 = 32768;
/// Pages written since a checkpoint began (96 MiB) from which on appends wait for it to end, because the disk is slower
/// than they are; and how long, at most, should it fail to end.
const FULL_PAGES: u64 = 24576;
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Pages in the WAL at a checkpoint from which on its file gets room for all that follow at once. Where the file system
/// has to find the room page by page, a commit waits while a checkpoint syncs what came before it.
const RESERVE_FROM: u64 = 2048;
/// Pages for which there is room then: a WAL rarely gets beyond them.
const RESERVED_PAGES: u64 = FULL_PAGES;
/// A page of the WAL with its head, in bytes.
const FRAME: u64 = 4096 + 24;
/// What is reserved is at most this part of what is free on the disk.
const PART_OF_FREE: u64 = 8;
/// Without a commit for this long it is time to tidy up.
const QUIET: Duration = Duration::from_secs(1);
/// Longest time that closing spends on giving space back.
const LAST_TIDYING: Duration = Duration::from_secs(2);
/// Free pages that are kept for reuse under load; and how many are given back in one go (about a millisecond).
const SPARE_PAGES: i64 = 4096;
const VACUUM_STEP: i64 = 256;

/// Copies what it can without anybody waiting.
const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Copies all and cuts the WAL file to nothing; nobody may write meanwhile.
const TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Handle of the housekeeping task.
#[derive(Debug)]
pub(super) struct Keeper {
    signs: Arc<Signs>,
    /// Its end ends the task. Taken on stop.
    wake: Mutex<Option<mpsc::Sender<()>>>,
    wake_now: mpsc::WeakSender<()>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What commits tell the keeper without waking it.
#[derive(Debug, Default)]
struct Signs {
    /// Pages written to the WAL since the last checkpoint, estimated.
    pages: AtomicU64,
    /// Something was written since the last tidying up.
    dirty: AtomicBool,
    /// Something was removed for good: the files are to be rid of it, however busy it is.
    scrub: AtomicBool,
    /// A checkpoint ended.
    relieved: Notify,
}

impl Signs {
    fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }
}

impl Keeper {
    #[expect(
        clippy::disallowed_methods,
        reason = "the store owns this task: it ends with the sender, and close waits for it"
    )]
    pub(super) fn start(conn: SqliteConnection, shared: &Arc<Shared>) -> Self {
        let signs = Arc::new(Signs::default());
        // One place: a wake that finds it taken is not needed.
        let (wake, woken) = mpsc::channel(1);
        let house = House {
            conn,
            shared: Arc::downgrade(shared),
            signs: Arc::clone(&signs),
            reserved: false,
        };
        Self {
            signs,
            wake_now: wake.downgrade(),
            wake: Mutex::new(Some(wake)),
            task: Mutex::new(Some(tokio::spawn(house.keep(woken)))),
        }
    }

    /// Takes note of a commit of about this many pages.
    pub(super) fn wrote(&self, pages: u64) {
        let before = self.signs.pages.fetch_add(pages, Ordering::Relaxed);
        let full = before < CHECKPOINT_PAGES && before + pages >= CHECKPOINT_PAGES;
        if full || !self.signs.dirty.swap(true, Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Rids the files of what a transaction removed, as soon as it can be.
    pub(super) fn scrub(&self) {
        self.signs.dirty.store(true, Ordering::Relaxed);
        self.signs.scrub.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Waits while the WAL has no room for more.
    pub(super) async fn room_in_wal(&self) {
        if self.signs.pages() < FULL_PAGES {
            return;
        }
        let relieved = async {
            loop {
                let relieved = self.signs.relieved.notified();
                if self.signs.pages() < FULL_PAGES {
                    break;
                }
                relieved.await;
            }
        };
        if timeout(MAX_WAIT, relieved).await.is_err() {
            tracing::warn!("The disk is too slow: a checkpoint did not end in time");
        }
    }

    fn wake(&self) {
        if let Some(wake) = self.wake_now.upgrade()
            && wake.try_send(()).is_err()
        {
            // It is about to wake anyway, or it has ended.
        }
    }

    /// Ends the task and waits for what it is doing.
    pub(super) async fn stop(&self) {
        drop(self.wake.lock().await.take());
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "The store's housekeeping ended unexpectedly");
        }
    }
}

/// Why the keeper is up.
enum Event {
    /// Something was written; nothing to do yet.
    Woken,
    /// The WAL is full.
    Pressure,
    /// Nothing was written for a while, or something is to be scrubbed.
    Quiet,
    /// The store closes, or is gone.
    Stop,
}

/// The task.
struct House {
    conn: SqliteConnection,
    /// Weak, so that a store that is dropped without being closed ends.
    shared: Weak<Shared>,
    signs: Arc<Signs>,
    /// The file of the WAL has room, or can not be given any, until it is cut to nothing.
    reserved: bool,
}

impl House {
    async fn keep(mut self, mut woken: mpsc::Receiver<()>) {
        let mut failed = false;
        loop {
            let seen = self.signs.pages();
            let event = if self.signs.scrub.load(Ordering::Relaxed) && !failed {
                Event::Quiet
            } else if seen >= CHECKPOINT_PAGES && !failed {
                Event::Pressure
            } else if self.signs.dirty.load(Ordering::Relaxed) {
                match timeout(QUIET, woken.recv()).await {
                    Ok(Some(())) => Event::Woken,
                    Ok(None) => Event::Stop,
                    Err(_) if self.signs.pages() >= CHECKPOINT_PAGES => Event::Pressure,
                    Err(_) if self.signs.pages() != seen => Event::Woken,
                    Err(_) => Event::Quiet,
                }
            } else {
                woken.recv().await.map_or(Event::Stop, |()| Event::Woken)
            };
            let Some(shared) = self.shared.upgrade() else {
                break;
            };
            let done = match event {
                Event::Woken => continue,
                Event::Pressure => self.relieve(&shared).await,
                Event::Quiet => self.tidy_up(&shared).await,
                Event::Stop => {
                    self.last_tidying(&shared).await;
                    break;
                }
            };
            self.signs.relieved.notify_waiters();
            failed = done.is_err();
            match shared.noted(done) {
                Ok(()) => {}
                Err(StoreError::Busy(_)) => tracing::debug!("Housekeeping waits for a reader"),
                Err(error) => {
                    tracing::warn!(%error, "Housekeeping of the store failed; it is tried again");
                }
            }
        }
        if let Err(error) = self.conn.close().await {
            tracing::warn!(%error, "The housekeeping connection did not close");
        }
    }

    /// Leaves small files behind when the store closes, but does not keep the process for long.
    async fn last_tidying(&mut self, shared: &Shared) {
        let dirty = self.signs.dirty.load(Ordering::Relaxed);
        if dirty && let Ok(Err(error)) = timeout(LAST_TIDYING, self.tidy_up(shared)).await {
            tracing::debug!(%error, "The store closes without tidying up");
        }
    }

    /// Gives the file of the WAL room for what a busy server writes. It works without as well.
    async fn reserve(&mut self, shared: &Shared) {
        self.reserved = true;
        let wal = wal_of(&shared.path);
        let reserved = tokio::task::spawn_blocking(move || reserve(&wal)).await;
        if let Ok(Err(error)) = reserved {
            tracing::debug!(%error, "The WAL grows page by page");
        }
    }

    /// Makes room in the WAL under load.
    async fn relieve(&mut self, shared: &Shared) -> Result<(), StoreError> {
        // What is written from here on is for the next checkpoint, unless the writer waits below.
        let before = self.signs.pages();
        let beside = self.checkpoint(PASSIVE).await?;
        if beside >= RESERVE_FROM && !self.reserved {
            self.reserve(shared).await;
        }
        // It cannot tell whether more was written meanwhile. When it was, the WAL goes on growing, and this time nobody
        // may write until it is empty.
        if beside > STOP_PAGES {
            // Once more beside them, so that little is left for then.
            self.checkpoint(PASSIVE).await?;
            let _writer_waits = shared.writer().await?;
            if beside > TRUNCATE_PAGES {
                self.truncate().await?;
            } else {
                self.checkpoint(PASSIVE).await?;
            }
            self.signs.pages.store(0, Ordering::Relaxed);
        } else {
            self.signs.pages.fetch_sub(before, Ordering::Relaxed);
        }
        if self.free_pages().await? > SPARE_PAGES {
            self.vacuum(shared, SPARE_PAGES / 2).await?;
        }
        Ok(())
    }

    /// Gives all free space back. What fails is tried again at the next quiet moment.
    async fn tidy_up(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.signs.dirty.store(false, Ordering::Relaxed);
        let scrub = self.signs.scrub.swap(false, Ordering::Relaxed);
        let done = self.shrink(shared).await;
        if done.is_err() {
            self.signs.dirty.store(true, Ordering::Relaxed);
            self.signs.scrub.fetch_or(scrub, Ordering::Relaxed);
        }
        done
    }

    async fn shrink(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.checkpoint(PASSIVE).await?;
        self.vacuum(shared, 0).await?;
        let mut writer = shared.writer().await?;
        self.truncate().await?;
        self.signs.pages.store(0, Ordering::Relaxed);
        writer
            .conn
            .execute("PRAGMA shrink_memory")
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Gives free pages back in small steps, between which others write, until only `spare` are left.
    async fn vacuum(&mut self, shared: &Shared, spare: i64) -> Result<(), StoreError> {
        loop {
            let free = self.free_pages().await?;
            if free <= spare {
                return Ok(());
            }
            let mut writer = shared.writer().await?;
            // A number of ours, not of anybody outside.
            let sql = sqlx::AssertSqlSafe(format!(
                "PRAGMA incremental_vacuum({})",
                (free - spare).min(VACUUM_STEP)
            ));
            writer.conn.execute(sql).await.map_err(failed)?;
            drop(writer);
            if self.free_pages().await? >= free {
                return Ok(());
            }
        }
    }

    async fn free_pages(&mut self) -> Result<i64, StoreError> {
        sqlx::query_scalar("PRAGMA freelist_count")
            .fetch_one(&mut self.conn)
            .await
            .map_err(failed)
    }

    /// Cuts the WAL to nothing.
    async fn truncate(&mut self) -> Result<(), StoreError> {
        self.checkpoint(TRUNCATE).await?;
        self.reserved = false;
        Ok(())
    }

    /// Runs a checkpoint and answers how many pages the WAL held.
    async fn checkpoint(&mut self, sql: &'static str) -> Result<u64, StoreError> {
        let row = sqlx::query(sql)
            .fetch_one(&mut self.conn)
            .await
            .map_err(failed)?;
        // −1 where there is no WAL.
        Ok(u64::try_from(row.get::<i64, _>(1)).unwrap_or(0))
    }
}

/// Has the file system find room behind what is written, which it leaves as it is, and which reads as zeros: to SQLite, the
/// end of the log.
#[cfg(target_os = "linux")]
fn reserve(wal: &Path) -> io::Result<()> {
    let length = RESERVED_PAGES * FRAME;
    let wal = File::options().write(true).open(wal)?;
    let free = rustix::fs::fstatvfs(&wal)?;
    if free.f_bavail.saturating_mul(free.f_frsize) / PART_OF_FREE < length {
        return Err(io::ErrorKind::StorageFull.into());
    }
    rustix::fs::fallocate(&wal, FallocateFlags::empty(), 0, length)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn reserve(_wal: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
