//! A store on a disk that can stop at any step.
//!
//! The disk keeps whole transactions. What is behind the last sync is in the operating system's cache: it survives the
//! end of the process, and a power cut loses it sector by sector. As every log with checksums, the store then keeps what
//! comes before the first transaction that is not whole. What the documents look like follows from the transactions, by
//! way of the store in memory, which passes the same contract as SQLite's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::{runtime::Handle, sync::Notify};

use super::{
    reach::Reach,
    scenario::{Crash, Scenario},
};
use crate::{
    clock::UnixMillis,
    converge::{random::Random, token::Contents},
    document::{id::DocId, replica::Replica, scan::ScanLimits},
    store::{
        Append, Appended, Compaction, DocRecord, Durability, ListQuery, Loaded, LogRow, Mark,
        MarkId, NewMark, Person, Rewrite, Salvaged, Seq, Store, StoreError,
        memory::MemoryStore,
        sessions::{Grain, Session},
    },
};

const SECTOR: usize = 64;
/// Milliseconds that a step of the store takes at most.
const WRITE: u64 = 4;
const SYNC: u64 = 15;
const READ: u64 = 10;
/// Within this time a living process has ended itself after a failed sync.
const NOTICED: Duration = Duration::from_millis(50);

pub struct Disk {
    inner: Mutex<Inner>,
    /// One transaction at a time.
    turn: tokio::sync::Mutex<()>,
    pub halted: Notify,
    /// A sync failed, a while ago: also where the process that waited for it is gone.
    pub failed: Notify,
    opening_syncs: bool,
}

struct Inner {
    random: Random,
    durability: Durability,
    transactions: Vec<Transaction>,
    view: Arc<MemoryStore>,
    /// What the rows say that would survive. A replica, as Yjs deletes more than updates name: what a map entry replaces,
    /// and what is written into something deleted.
    durable: BTreeMap<DocId, Replica>,
    full: bool,
    /// Of a hundred loads, so many fail.
    failing_loads: u64,
    /// The next sync fails.
    sync_fails: bool,
    /// Steps of the store until the machine stops.
    halt_in: Option<u64>,
}

struct Transaction {
    what: What,
    bytes: usize,
    synced: bool,
}

enum What {
    Append(Vec<Append>, UnixMillis),
    Compact(Compaction),
    Quarantine(DocId, String),
}

impl Disk {
    pub fn new(scenario: &Scenario) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                random: Random::new(scenario.seed ^ 0xd15c),
                durability: scenario.durability,
                transactions: Vec::new(),
                view: Arc::default(),
                durable: BTreeMap::new(),
                full: false,
                failing_loads: scenario.failing_loads,
                sync_fails: false,
                halt_in: None,
            }),
            turn: tokio::sync::Mutex::new(()),
            halted: Notify::new(),
            failed: Notify::new(),
            opening_syncs: scenario.opening_syncs,
        })
    }

    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    pub fn fail_next_sync(&self) {
        self.lock().sync_fails = true;
    }

    /// Stops the machine in one of its next steps.
    pub fn halt_soon(&self) {
        let mut inner = self.lock();
        inner.halt_in = Some(inner.random.below(6));
    }

    /// No more trouble at all.
    pub fn settle(&self) {
        let mut inner = self.lock();
        inner.heal();
        inner.failing_loads = 0;
    }

    /// A process that stops has no trouble.
    pub fn heal(&self) {
        self.lock().heal();
    }

    /// What a power cut would leave of a document.
    pub fn durable(&self, doc: &DocId) -> Reach {
        self.lock()
            .durable
            .get(doc)
            .map(Reach::of)
            .unwrap_or_default()
    }

    /// The first of these ids that a power cut would lose, in words.
    pub fn would_lose(&self, doc: &DocId, contents: &Contents) -> Option<String> {
        let mut shown = Reach::default();
        shown.add(contents);
        self.durable(doc).lacks(&shown)
    }

    /// The next process opens the store after this end of the last. Answers how many transactions were lost.
    pub fn reopen_after(&self, crash: Crash) -> usize {
        let mut inner = self.lock();
        let before = inner.transactions.len();
        if crash == Crash::PowerCut {
            inner.lose_unsynced();
        }
        // Opening syncs: what it shows from then on is as durable as what it will write.
        if self.opening_syncs {
            inner.sync();
        }
        inner.rebuild();
        inner.heal();
        before - inner.transactions.len()
    }

    /// The documents as the next process would find them.
    pub fn view(&self) -> Arc<MemoryStore> {
        self.lock().view.clone()
    }

    /// The documents as a process that is running finds them, unless that fails just now.
    async fn readable(&self) -> Result<Arc<MemoryStore>, StoreError> {
        self.step(READ).await;
        let mut inner = self.lock();
        let failing = inner.failing_loads;
        match inner.random.below(100) < failing {
            true => Err(StoreError::Busy("somebody else reads".into())),
            false => Ok(inner.view.clone()),
        }
    }

    /// Lets time pass; the machine may stop here.
    async fn step(&self, most: u64) {
        let pause = {
            let mut inner = self.lock();
            let halts = inner.halt_in == Some(0);
            inner.halt_in = inner.halt_in.map(|steps| steps.saturating_sub(1));
            (!halts).then(|| inner.random.below(most))
        };
        match pause {
            Some(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
            None => {
                self.halted.notify_one();
                std::future::pending::<()>().await;
            }
        }
    }

    /// One transaction after the other. Whoever asked may be killed meanwhile: what was begun is done.
    async fn transact(
        self: &Arc<Self>,
        what: What,
        bytes: usize,
    ) -> Result<Vec<Appended>, StoreError> {
        let disk = self.clone();
        let done = Handle::current().spawn(async move {
            let _turn = disk.turn.lock().await;
            let done = disk.write(what, bytes).await;
            if matches!(done, Err(StoreError::SyncFailed(_))) {
                let disk = disk.clone();
                Handle::current().spawn(async move {
                    tokio::time::sleep(NOTICED).await;
                    disk.failed.notify_one();
                });
            }
            done
        });
        done.await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Writes a transaction and makes it as durable as is asked for.
    async fn write(&self, what: What, bytes: usize) -> Result<Vec<Appended>, StoreError> {
        self.step(WRITE).await;
        let durability = {
            let mut inner = self.lock();
            if inner.full {
                return Err(StoreError::Full("no space left".into()));
            }
            inner.transactions.push(Transaction {
                what,
                bytes,
                synced: false,
            });
            inner.durability
        };
        if durability == Durability::Full {
            self.step(SYNC).await;
            let mut inner = self.lock();
            if std::mem::take(&mut inner.sync_fails) {
                return Err(StoreError::SyncFailed("input/output error".into()));
            }
            inner.sync();
        }
        let mut inner = self.lock();
        let at = inner.transactions.len() - 1;
        Ok(inner.apply(at))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn heal(&mut self) {
        self.full = false;
        self.sync_fails = false;
        self.halt_in = None;
    }

    fn sync(&mut self) {
        for transaction in self.transactions.iter_mut().rev() {
            if std::mem::replace(&mut transaction.synced, true) {
                break;
            }
        }
    }

    /// Each sector of what was not synced is kept or lost by itself.
    fn lose_unsynced(&mut self) {
        let kept = self.random.below(101);
        let random = &mut self.random;
        let torn = self.transactions.iter().position(|transaction| {
            let sectors = transaction.bytes / SECTOR + 1;
            !transaction.synced && (0..sectors).any(|_| random.below(100) >= kept)
        });
        if let Some(torn) = torn {
            self.transactions.truncate(torn);
        }
    }

    fn rebuild(&mut self) {
        self.view = Arc::default();
        self.durable = BTreeMap::new();
        for at in 0..self.transactions.len() {
            self.apply(at);
        }
    }

    /// Brings a transaction into what `load` shows. Answers what became of its entries, if it has some.
    fn apply(&mut self, at: usize) -> Vec<Appended> {
        let Some(transaction) = self.transactions.get(at) else {
            return Vec::new();
        };
        let view = &self.view;
        match &transaction.what {
            What::Append(batch, now) => {
                let answers = view.append(batch, *now).now_or_never();
                let answers = answers.and_then(Result::ok).unwrap_or_default();
                for (entry, answer) in batch.iter().zip(&answers) {
                    if matches!(answer, Appended::Committed { .. }) {
                        let durable = self.durable.entry(entry.doc.clone()).or_default();
                        for row in &entry.rows {
                            durable
                                .append(&row.bytes, &ScanLimits::default())
                                .expect("a row that replays");
                        }
                    }
                }
                answers
            }
            What::Compact(compaction) => {
                let done = view.compact(compaction.clone()).now_or_never();
                assert!(matches!(done, Some(Ok(_))), "{done:?}");
                Vec::new()
            }
            What::Quarantine(doc, reason) => {
                let done = view.quarantine(doc, reason).now_or_never();
                assert!(matches!(done, Some(Ok(()))), "{done:?}");
                Vec::new()
            }
        }
    }
}

/// The port, as the rooms see it.
pub struct DiskStore(pub Arc<Disk>);

#[async_trait]
impl Store for DiskStore {
    async fn append(&self, batch: &[Append], now: UnixMillis) -> Result<Vec<Appended>, StoreError> {
        let rows = batch.iter().flat_map(|entry| &entry.rows);
        let bytes = rows.map(|row| row.bytes.len() + 40).sum();
        self.0
            .transact(What::Append(batch.to_vec(), now), bytes)
            .await
    }

    async fn load(&self, doc: &DocId) -> Result<Loaded, StoreError> {
        let loaded = self.0.readable().await?.load(doc).await;
        self.0.step(READ).await;
        loaded
    }

    async fn compact(&self, compaction: Compaction) -> Result<bool, StoreError> {
        let bytes = compaction.snapshot.bytes.len();
        self.0.transact(What::Compact(compaction), bytes).await?;
        Ok(true)
    }

    async fn rewrite(&self, _: Rewrite) -> Result<bool, StoreError> {
        Err(not_simulated())
    }

    async fn thinnable(
        &self,
        _: Grain,
        _: UnixMillis,
        _: Option<&DocId>,
        _: u32,
    ) -> Result<Vec<DocId>, StoreError> {
        Err(not_simulated())
    }

    async fn rows(&self, doc: &DocId, from: Seq, to: Seq) -> Result<Vec<LogRow>, StoreError> {
        let rows = self.0.readable().await?.rows(doc, from, to).await;
        self.0.step(READ).await;
        rows
    }

    async fn sessions(&self, _: &DocId, _: Seq, _: u32) -> Result<Vec<Session>, StoreError> {
        Err(not_simulated())
    }

    async fn marks(&self, _: &DocId) -> Result<Vec<Mark>, StoreError> {
        Err(not_simulated())
    }

    async fn mark(&self, _: &DocId, _: Option<Seq>, _: NewMark) -> Result<Mark, StoreError> {
        Err(not_simulated())
    }

    async fn relabel(&self, _: &DocId, _: MarkId, _: &str) -> Result<Mark, StoreError> {
        Err(not_simulated())
    }

    async fn unmark(&self, _: &DocId, _: MarkId) -> Result<(), StoreError> {
        Err(not_simulated())
    }

    async fn salvage(&self, _: &DocId) -> Result<Vec<Salvaged>, StoreError> {
        Err(not_simulated())
    }

    async fn people(&self, _: &[Arc<str>]) -> Result<Vec<Person>, StoreError> {
        Err(not_simulated())
    }

    async fn quarantine(&self, doc: &DocId, reason: &str) -> Result<(), StoreError> {
        let what = What::Quarantine(doc.clone(), reason.to_owned());
        self.0.transact(what, reason.len()).await.map(drop)
    }

    async fn get(&self, doc: &DocId) -> Result<Option<DocRecord>, StoreError> {
        self.0.step(READ).await;
        self.0.view().get(doc).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<DocRecord>, StoreError> {
        self.0.view().list(query).await
    }

    async fn create(&self, _: &DocId, _: UnixMillis) -> Result<DocRecord, StoreError> {
        Err(not_simulated())
    }

    async fn trash(&self, _: &DocId, _: UnixMillis) -> Result<DocRecord, StoreError> {
        Err(not_simulated())
    }

    async fn restore(&self, _: &DocId, _: UnixMillis) -> Result<DocRecord, StoreError> {
        Err(not_simulated())
    }

    async fn delete(&self, _: &DocId, _: UnixMillis) -> Result<(), StoreError> {
        Err(not_simulated())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn not_simulated() -> StoreError {
    StoreError::Other("the simulation does not do this".into())
}
