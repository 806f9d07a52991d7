//! The loop of one room: the only place that waits for the room's sake, and the only one that reads a clock for it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    compaction,
    elsewhere::Seen,
    event::{Effect, Event, Now},
    heavy,
    mailbox::Mailbox,
    outbox::Outbox,
    registry::Registry,
    state::State,
};
use crate::{
    document::{id::DocId, replica::Replica},
    metrics::as_seconds,
    protocol::close::{Close, CloseCode},
    store::{Append, Loaded, NotWritable, Seq, StoreError, Stored},
};

/// Stored bytes above which building a replica leaves the async threads.
const LARGE: usize = 64 << 10;

/// How often a room looks for commits of other nodes that nobody told it of.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes of messages above which a step may take long: some dozens of small edits take longer than a commit, and a few hundred
/// kilobytes of legal but awkward ones take seconds.
const HEAVY: usize = 4 << 10;

pub(super) struct Room {
    doc: DocId,
    mailbox: Arc<Mailbox>,
    registry: Arc<Registry>,
}

/// What one step of a room is about, kept apart from the state: it outlives a panic of the step.
#[derive(Default)]
struct Work {
    events: VecDeque<Event>,
    effects: Vec<Effect>,
    /// A batch is with the writer, or its answer is among the events.
    awaits_answer: bool,
    /// Of the peer whose join is being handled.
    joining: Option<Arc<Outbox>>,
}

impl Work {
    fn step(&mut self, state: &mut State, now: Now) {
        while let Some(event) = self.next() {
            if let Event::Join(join) = &event {
                self.joining = Some(join.outbox.clone());
            }
            state.handle(event, now, &mut self.effects);
            self.joining = None;
            state.flush(now, &mut self.effects);
        }
        state.flush(now, &mut self.effects);
    }

    fn next(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if matches!(event, Event::Committed(_)) {
            self.awaits_answer = false;
        }
        Some(event)
    }
}

impl Room {
    pub fn new(doc: DocId, mailbox: Arc<Mailbox>, registry: Arc<Registry>) -> Self {
        Self {
            doc,
            mailbox,
            registry,
        }
    }

    pub async fn run(self) {
        let metrics = &self.registry.services().metrics;
        metrics.rooms.inc();
        match self.load().await {
            Ok(state) => self.live(state).await,
            Err(close) => self.refuse_everyone(&close),
        }
        metrics.rooms.dec();
    }

    /// Whether other nodes serve this store, too.
    fn is_one_of_many(&self) -> bool {
        self.registry.services().bus.is_some()
    }

    async fn live(&self, mut state: Box<State>) {
        if self.is_one_of_many() {
            state.share();
        }
        let mut work = Work::default();
        let mut idle_since = Some(Instant::now());
        let mut look_at = None;
        let alarm = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(alarm);
        loop {
            if look_at.is_none() && (self.is_one_of_many() || state.is_behind()) {
                look_at = Some(Instant::now() + LOOK);
            }
            let deadline = self.deadline(&state, idle_since, look_at);
            // Setting the alarm costs a lock of the runtime's timers: one that rings too early does no harm.
            if let Some(deadline) = deadline
                && (alarm.is_elapsed() || deadline < alarm.deadline())
            {
                alarm.as_mut().reset(deadline);
            }
            tokio::select! {
                biased;
                () = self.mailbox.receive(&mut work.events) => {}
                () = &mut alarm, if deadline.is_some() => {}
            }
            if look_at.is_some_and(|at| at <= Instant::now()) {
                look_at = None;
                work.events.push_back(Event::Look);
            }
            let now = self.now();
            let heavy = work.events.iter().map(Event::bytes).sum::<usize>() > HEAVY;
            let mut step = || catch_unwind(AssertUnwindSafe(|| work.step(&mut state, now)));
            // What may take long must not keep the other rooms of this thread waiting.
            let stepped = if heavy { heavy::in_place(step) } else { step() };
            // Before the effects, as reading a document again takes its time, and after it.
            self.registry.services().bells.ring();
            if stepped.is_err() || !self.perform(&mut state, &mut work).await {
                return self.panicked(state, work).await;
            }
            self.registry.services().bells.ring();
            if self.may_end(&mut state, &mut idle_since).await {
                return;
            }
            // A room that always has something to do must let others run. After a heavy step they do already, on another
            // thread, and to follow them there costs a flood of edits in one room a seventh of its speed.
            if heavy {
                tokio::task::coop::consume_budget().await;
            } else if self.mailbox.has_mail() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does what the state asked for. Answers false when the state panicked meanwhile.
    async fn perform(&self, state: &mut State, work: &mut Work) -> bool {
        while let Some(effect) = work.effects.pop() {
            match effect {
                Effect::Append(append) => self.append(*append, work),
                Effect::LoadCommitted => self.load_committed(),
                Effect::Compact => self.compact(),
                Effect::Publish(notice) => {
                    if let Some(bus) = &self.registry.services().bus {
                        bus.publish(*notice);
                    }
                }
                Effect::Look(after) => self.look(after),
                Effect::Rebuild => {
                    if !self.rebuild(state, &mut work.effects).await {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn append(&self, append: Append, work: &mut Work) {
        work.awaits_answer = true;
        let writer = &self.registry.services().writer;
        writer.submit(append, self.mailbox.clone());
    }

    /// Whether the room is over: nobody in it for long enough, or told to end, and nothing left to save.
    async fn may_end(&self, state: &mut State, idle_since: &mut Option<Instant>) -> bool {
        if state.has_peers() && !state.is_ending() || state.has_uncommitted() {
            *idle_since = None;
            return false;
        }
        let services = self.registry.services();
        let since = *idle_since.get_or_insert_with(Instant::now);
        if !state.is_ending() && since.elapsed() < services.idle_unload {
            return false;
        }
        if state.is_worth_compacting() && self.registry.has_time_to_tidy() {
            let covered = compacted(&self.registry, &self.doc).await;
            state.compacted(covered);
        }
        if self.registry.retire(&self.doc, &self.mailbox) {
            services.metrics.unloads.inc();
            return true;
        }
        false
    }

    fn deadline(
        &self,
        state: &State,
        idle_since: Option<Instant>,
        look_at: Option<Instant>,
    ) -> Option<Instant> {
        let services = self.registry.services();
        let idle = idle_since.map(|since| since + services.idle_unload);
        let due = state
            .deadline()
            .map(|at| services.started + Duration::from_millis(at));
        [idle, due, look_at].into_iter().flatten().min()
    }

    fn now(&self) -> Now {
        let services = self.registry.services();
        Now {
            monotonic: u64::try_from(services.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall: services.clock.now(),
        }
    }

    /// The state is boxed: a future that holds it in several of its steps would hold room for several of it.
    async fn load(&self) -> Result<Box<State>, Close> {
        let services = self.registry.services();
        let started = Instant::now();
        let loaded = services.store.load(&self.doc).await;
        let (limits, metrics) = (services.limits.clone(), services.metrics.clone());
        let state = match loaded {
            Ok(Loaded::Absent) => State::empty(self.doc.clone(), limits, metrics),
            Ok(Loaded::Live(stored)) => {
                let (stored, replica) = self.replica(stored).await?;
                State::loaded(self.doc.clone(), limits, metrics, &stored, replica)
            }
            Ok(Loaded::Trashed) => return Err(NotWritable::Trashed.close()),
            Ok(Loaded::Deleted) => return Err(NotWritable::Deleted.close()),
            Ok(Loaded::Quarantined { .. }) => return Err(quarantined()),
            Err(StoreError::Damaged(reason)) => return Err(self.quarantine(&reason).await),
            Err(error) => {
                services.metrics.loads_failed.inc();
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a document could not be loaded"
                );
                return Err(Close::new(
                    CloseCode::TryLater,
                    "the document can not be read at the moment",
                ));
            }
        };
        services.metrics.loads.inc();
        services
            .metrics
            .load_seconds
            .observe(as_seconds(started.elapsed()));
        Ok(Box::new(state))
    }

    /// Builds the replica; what does not replay puts the document under quarantine, and no other is affected.
    async fn replica(&self, stored: Stored) -> Result<(Stored, Replica), Close> {
        let limits = self.registry.services().limits.scan;
        let snapshot = stored
            .snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.bytes.len());
        let bytes = snapshot
            + stored
                .tail
                .iter()
                .map(|row| row.row.bytes.len())
                .sum::<usize>();
        let build = move || {
            let replica = catch_unwind(AssertUnwindSafe(|| compaction::replay(&stored, &limits)));
            (stored, replica)
        };
        let built = if bytes < LARGE {
            Ok(build())
        } else {
            heavy::away(build).await
        };
        match built {
            Ok((stored, Ok(Ok(replica)))) => Ok((stored, replica)),
            Ok((_, Ok(Err(error)))) => Err(self.quarantine(&error.to_string()).await),
            _ => Err(self.quarantine("reading it ended in a panic").await),
        }
    }

    async fn quarantine(&self, reason: &str) -> Close {
        let metrics = &self.registry.services().metrics;
        metrics.loads_failed.inc();
        metrics.documents_quarantined.inc();
        tracing::error!(reason, "a document is damaged and was put under quarantine");
        if let Err(error) = self
            .registry
            .services()
            .store
            .quarantine(&self.doc, reason)
            .await
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the quarantine could not be recorded"
            );
        }
        quarantined()
    }

    /// Answers everyone who waits for a room that can not be opened.
    fn refuse_everyone(&self, close: &Close) {
        for event in self.registry.abandon(&self.doc, &self.mailbox) {
            if let Event::Join(join) = event {
                join.outbox.close(close.clone());
            }
        }
    }

    /// A fault in the room's own code: everybody reconnects to a fresh room. A batch that is with the writer is waited
    /// for, as the next room must read a log that does not change behind its back.
    async fn panicked(&self, mut state: Box<State>, mut work: Work) {
        self.registry.services().metrics.room_restarts.inc();
        tracing::error!("a room ended by a panic; its document is read again");
        let close = Close::new(
            CloseCode::Internal,
            "the document had to be read again; please reconnect",
        );
        state.close_all(&close);
        if let Some(outbox) = work.joining.take() {
            outbox.close(close.clone());
        }
        for effect in std::mem::take(&mut work.effects) {
            // It was accepted before the panic, and its answer is waited for below.
            if let Effect::Append(append) = effect {
                self.append(*append, &mut work);
            }
        }
        loop {
            while let Some(event) = work.next() {
                if let Event::Join(join) = event {
                    join.outbox.close(close.clone());
                }
            }
            if !work.awaits_answer {
                break;
            }
            self.mailbox.receive(&mut work.events).await;
        }
        state.give_up();
        self.refuse_everyone(&close);
    }

    /// Reads the log again, as the replica broke or holds too much. Answers false when the state panicked over it.
    async fn rebuild(&self, state: &mut State, effects: &mut Vec<Effect>) -> bool {
        let now = self.now();
        let loaded = match self.registry.services().store.load(&self.doc).await {
            Ok(Loaded::Live(stored)) => self.replica(stored).await.map(Some).ok(),
            Ok(Loaded::Absent) => Some(None),
            _ => None,
        };
        let step = || match loaded {
            Some(Some((stored, replica))) => state.rebuilt(Some((&stored, replica)), now, effects),
            Some(None) => state.rebuilt(None, now, effects),
            None => state.not_rebuilt(now, effects),
        };
        catch_unwind(AssertUnwindSafe(step)).is_ok()
    }

    fn load_committed(&self) {
        let (store, doc, mailbox) = (
            self.registry.services().store.clone(),
            self.doc.clone(),
            self.mailbox.clone(),
        );
        self.spawn(async move {
            let loaded = store.load(&doc).await;
            // Nobody waits any more when the room is gone.
            mailbox.post(Event::CommittedState(Box::new(loaded))).ok();
        });
    }

    /// Reads what was committed after this row. The record is read last, so that the rows are not of a later epoch.
    fn look(&self, after: Seq) {
        let (store, doc, mailbox) = (
            self.registry.services().store.clone(),
            self.doc.clone(),
            self.mailbox.clone(),
        );
        self.spawn(async move {
            let seen = async {
                let rows = match store.rows(&doc, after + 1, Seq::MAX).await {
                    Err(StoreError::NotFound) => Vec::new(),
                    rows => rows?,
                };
                let record = store.get(&doc).await?;
                Ok(Seen { record, rows })
            };
            let seen = Box::new(seen.await);
            // Nobody waits any more when the room is gone.
            mailbox.post(Event::Looked(seen)).ok();
        });
    }

    fn compact(&self) {
        let (registry, doc, mailbox) = (
            self.registry.clone(),
            self.doc.clone(),
            self.mailbox.clone(),
        );
        self.spawn(async move {
            let covered = compacted(&registry, &doc).await;
            // The room may have ended meanwhile; the compaction stands.
            mailbox.post(Event::Compacted(covered)).ok();
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.registry.services().tasks.spawn(work));
    }
}

async fn compacted(registry: &Registry, doc: &DocId) -> Option<compaction::Folded> {
    let services = registry.services();
    match compaction::compact(&services.store, doc, &services.limits.scan).await {
        Ok(covered) => {
            services.metrics.compactions.inc();
            covered
        }
        Err(error) => {
            services.metrics.compactions_failed.inc();
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a compaction failed; the log stays"
            );
            None
        }
    }
}

fn quarantined() -> Close {
    Close::new(
        CloseCode::Quarantined,
        "the stored document is damaged; ask the operator to run coscribe check",
    )
}
