//! Group commit: one transaction for the batches of all rooms that are ready at the same time.
//!
//! While one transaction runs, what arrives becomes the next one, so the number of transactions falls as the load
//! rises. A batch that could not be committed is kept and tried again: nothing is acknowledged, the rooms and the
//! health state are told, and editing goes on by itself when the cause is gone. Only a disk that failed to confirm a
//! write ends the process: what it holds is then unknown, and the next fsync may return success although the data is
//! lost.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{bell::Bells, event::Event, mailbox::Mailbox};
use crate::{
    clock::Clock,
    health::Health,
    metrics::{Metrics, as_seconds},
    store::{Append, Store, StoreError},
};

/// Rows and bytes in one transaction: above this the commit itself takes long enough to be felt.
const MAX_ROWS: usize = 4_096;
const MAX_BYTES: usize = 16 << 20;

/// With many rooms writing, the pause between the starts of two transactions: each then serves more of them, and an
/// edit still commits well below what a person notices. The runtime's timers count whole milliseconds, so it becomes up to
/// twice as long. A lone room never waits.
const BUSY_INTERVAL: Duration = Duration::from_millis(1);
/// From this many documents in a transaction on, the server counts as busy.
const BUSY_DOCUMENTS: usize = 4;
/// So many documents are worth a transaction before the pause is over.
const ENOUGH_DOCUMENTS: usize = 12;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

struct Submission {
    append: Append,
    room: Arc<Mailbox>,
}

/// Where rooms hand in their batches. A room has at most one here, so their number bounds the queue.
pub struct Writer {
    queue: Mutex<Vec<Submission>>,
    arrived: Notify,
    /// The queue has come to [`ENOUGH_DOCUMENTS`].
    filled: Notify,
    bells: Arc<Bells>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    health: Health,
    metrics: Arc<Metrics>,
    /// Called when the disk failed to confirm a write; must not return to normal operation.
    fatal: Box<dyn Fn(&StoreError) + Send + Sync>,
}

impl Writer {
    pub fn new(
        bells: Arc<Bells>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        health: Health,
        metrics: Arc<Metrics>,
        fatal: Box<dyn Fn(&StoreError) + Send + Sync>,
    ) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Notify::new(),
            filled: Notify::new(),
            bells,
            store,
            clock,
            health,
            metrics,
            fatal,
        }
    }

    /// Takes a batch; `Event::Committed` goes to the room once it is answered.
    pub fn submit(&self, append: Append, room: Arc<Mailbox>) {
        let waiting = {
            let mut queue = self.lock();
            queue.push(Submission { append, room });
            queue.len()
        };
        self.metrics.writer_queue.inc();
        self.arrived.notify_one();
        if waiting == ENOUGH_DOCUMENTS {
            self.filled.notify_one();
        }
    }

    /// Commits for ever, and rings for the rooms of a busy server; to be ended by dropping it when every room is gone.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.commit_all(), self.bells.ring_for_crowd());
    }

    async fn commit_all(&self) {
        let mut last = Instant::now();
        let mut busy = false;
        loop {
            if self.lock().is_empty() {
                self.arrived.notified().await;
            }
            if busy {
                // Over at the latest then.
                timeout_at(last + BUSY_INTERVAL, self.enough()).await.ok();
            }
            last = Instant::now();
            let batch = self.take();
            busy = batch.len() >= BUSY_DOCUMENTS;
            self.bells.crowd(busy);
            if !batch.is_empty() {
                self.commit(batch).await;
            }
        }
    }

    /// Waits until the batches of enough documents are there.
    async fn enough(&self) {
        while self.lock().len() < ENOUGH_DOCUMENTS {
            self.filled.notified().await;
        }
    }

    /// The oldest submissions that fit one transaction.
    fn take(&self) -> Vec<Submission> {
        let mut queue = self.lock();
        let (mut rows, mut bytes) = (0, 0);
        let count = queue
            .iter()
            .take_while(|submission| {
                let fits = rows == 0 || (rows < MAX_ROWS && bytes < MAX_BYTES);
                rows += submission.append.rows.len();
                bytes += submission
                    .append
                    .rows
                    .iter()
                    .map(|row| row.bytes.len())
                    .sum::<usize>();
                fits
            })
            .count();
        let taken: Vec<_> = queue.drain(..count).collect();
        self.metrics
            .writer_queue
            .dec_by(i64::try_from(taken.len()).unwrap_or(i64::MAX));
        taken
    }

    async fn commit(&self, batch: Vec<Submission>) {
        let (appends, rooms): (Vec<Append>, Vec<Arc<Mailbox>>) = batch
            .into_iter()
            .map(|submission| (submission.append, submission.room))
            .unzip();
        let mut pause = FIRST_RETRY;
        // Rooms that know that storing fails: each is told when it works again.
        let mut told: Vec<Arc<Mailbox>> = Vec::new();
        let answers = loop {
            let started = Instant::now();
            match self.store.append(&appends, self.clock.now()).await {
                Ok(answers) => {
                    self.measure(started.elapsed(), &appends);
                    break answers;
                }
                Err(error) => self.failed(&error, &rooms, &mut told),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        };
        if self.health.recover() {
            tracing::info!("storing works again");
        }
        for (room, appended) in rooms.iter().zip(answers) {
            post(room, Event::Committed(appended));
        }
        for room in &told {
            post(room, Event::Storing(Ok(())));
        }
    }

    fn failed(&self, error: &StoreError, rooms: &[Arc<Mailbox>], told: &mut Vec<Arc<Mailbox>>) {
        self.metrics.commits_failed.inc();
        if matches!(error, StoreError::SyncFailed(_)) {
            (self.fatal)(error);
        }
        let reason: Arc<str> = error.to_string().into();
        if self.health.fail(&reason) {
            tracing::error!(
                error = error as &dyn std::error::Error,
                documents = rooms.len(),
                "edits can not be stored; trying again"
            );
        }
        let queued: Vec<_> = self
            .lock()
            .iter()
            .map(|submission| submission.room.clone())
            .collect();
        for room in rooms.iter().chain(&queued) {
            if !told.iter().any(|of| Arc::ptr_eq(of, room)) {
                told.push(room.clone());
            }
        }
        // Told again each time: the reason may have changed.
        for room in told.iter() {
            post(room, Event::Storing(Err(reason.clone())));
        }
    }

    fn measure(&self, took: Duration, batch: &[Append]) {
        let rows: usize = batch.iter().map(|append| append.rows.len()).sum();
        self.metrics.commit_seconds.observe(as_seconds(took));
        self.metrics.batch_documents.observe(batch.len() as f64);
        self.metrics.batch_rows.observe(rows as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Submission>> {
        // No code below the lock can leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A room lives until its batch is answered, so the mailbox is there unless the room's task was ended by force.
fn post(room: &Mailbox, event: Event) {
    let answer = matches!(event, Event::Committed(_));
    if room.post_first(event).is_err() && answer {
        tracing::warn!("a room ended before its batch was answered");
    }
}
