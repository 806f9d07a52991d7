//! The room as a synchronous state machine: events and the time go in, effects come out. No `.await`, no clock and no
//! randomness in here, so the same code runs under a simulator.
//!
//! ```text
//! frame ── intake ──▶ pending batch ── submit ──▶ batch in flight ── committed ──▶ everybody
//!              │            ▲                            │
//!              └─▶ parked ──┘ (retried on progress)      └─▶ acknowledgements, answers, echoes
//! ```
//!
//! Invariants:
//! - Nothing that shows an update leaves the room before the store has committed it. That holds for frames and for
//!   every answer: an answer is encoded when the batch that it shows is submitted, and sent when it is committed.
//! - At most one batch is in flight. While it is, everything that arrives becomes the next one.
//! - The replica is exactly: what is committed up to `head_seq`, the batch in flight, the pending batch.
//!
//! Parts of the machine in files of their own: `intake` (updates), `commit` (to the store and to everybody), `answers`
//! (sync answers, slow peers), `presence` (awareness), `elsewhere` (what other nodes commit).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    answers::AnswerCache,
    batch::{Ask, Batch, OwnEdit},
    commit::InFlight,
    elsewhere::Elsewhere,
    event::{Command, Effect, Event, Join, Now, PeerId},
    limits::RoomLimits,
    peer::{Peer, Peers},
    planted,
    presence::Presence,
};
use crate::{
    document::{ClientId, id::DocId, replica::Replica},
    metrics::Metrics,
    protocol::{ServerMessage, Storing, close::Close, close::CloseCode},
    store::{Epoch, Loaded, NotWritable, Seq, Stored},
};

/// A room that ends compacts its log when at least so much is in it.
const COMPACT_ON_UNLOAD_ROWS: u64 = 32;
const COMPACT_ON_UNLOAD_BYTES: u64 = 64 << 10;

/// A number of changes that no document reaches.
pub(super) const NEVER: u64 = u64::MAX;

pub struct State {
    pub(super) doc: DocId,
    pub(super) limits: Arc<RoomLimits>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) epoch: Option<Epoch>,
    /// Last committed row.
    pub(super) head_seq: Seq,
    pub(super) replica: Replica,
    pub(super) peers: Peers,
    /// Which peer speaks for which client id.
    pub(super) owners: FxHashMap<ClientId, PeerId>,
    pub(super) presence: Presence,
    pub(super) pending: Batch,
    pub(super) in_flight: Option<InFlight>,
    /// Number of the batch in flight, or of the last one; what another node committed counts as one.
    pub(super) batch: u64,
    /// Counts what was applied to the replica.
    pub(super) changes: u64,
    /// `changes` when parked updates were last tried; [`NEVER`] when they have to be tried again in any case.
    pub(super) retried_at: u64,
    pub(super) cache: AnswerCache,
    /// Why storing fails at the moment.
    pub(super) storing: Option<Arc<str>>,
    pub(super) reading_committed: bool,
    pub(super) title: String,
    pub(super) tail_rows: u64,
    pub(super) tail_bytes: u64,
    pub(super) compacting: bool,
    /// The replica is half changed and has to be read again before anything else.
    pub(super) broken: bool,
    /// The replica holds much that was deleted; reading it again frees that.
    pub(super) stale: bool,
    pub(super) elsewhere: Elsewhere,
    /// What came while the replica was to be read again.
    deferred: Vec<Event>,
    /// No peer may stay or come; the room ends when nothing is left to commit.
    ending: Option<Close>,
}

impl State {
    /// A room for a document that has no record yet.
    pub fn empty(doc: DocId, limits: Arc<RoomLimits>, metrics: Arc<Metrics>) -> Self {
        let mut replica = Replica::default();
        replica.limit_depth(limits.type_depth);
        Self {
            doc,
            limits,
            metrics,
            epoch: None,
            head_seq: 0,
            replica,
            peers: Peers::default(),
            owners: FxHashMap::default(),
            presence: Presence::default(),
            pending: Batch::default(),
            in_flight: None,
            batch: 0,
            changes: 0,
            retried_at: 0,
            cache: AnswerCache::default(),
            storing: None,
            reading_committed: false,
            title: String::new(),
            tail_rows: 0,
            tail_bytes: 0,
            compacting: false,
            broken: false,
            stale: false,
            elsewhere: Elsewhere::default(),
            deferred: Vec::new(),
            ending: None,
        }
    }

    /// A room for what the store holds, with the replica built from it.
    pub fn loaded(
        doc: DocId,
        limits: Arc<RoomLimits>,
        metrics: Arc<Metrics>,
        stored: &Stored,
        replica: Replica,
    ) -> Self {
        let mut state = Self::empty(doc, limits, metrics);
        state.take_stored(stored, replica);
        state
    }

    fn take_stored(&mut self, stored: &Stored, replica: Replica) {
        self.epoch = Some(stored.epoch);
        self.head_seq = stored.head_seq;
        self.title = stored.title.clone();
        self.tail_rows = stored.tail.len() as u64;
        self.tail_bytes = stored
            .tail
            .iter()
            .map(|row| row.row.bytes.len() as u64)
            .sum();
        self.cache = AnswerCache::default();
        if let (Some(snapshot), true) = (&stored.snapshot, stored.tail.is_empty()) {
            // The snapshot is the answer to an empty state vector already.
            self.cache.put(
                self.changes,
                &[0],
                ServerMessage::SyncStep2(&snapshot.bytes),
            );
        }
        self.replica = replica;
        self.replica.limit_depth(self.limits.type_depth);
    }

    /// The log was read again. What was accepted before that and is not committed yet goes on top of it, and what came
    /// meanwhile is handled now.
    pub fn rebuilt(
        &mut self,
        loaded: Option<(&Stored, Replica)>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.broken = false;
        self.stale = false;
        self.changes += 1;
        let (head, before) = (self.head_seq, self.replica.known().clone());
        match loaded {
            Some((stored, _)) if !self.is_of(stored.epoch) => {}
            Some((stored, replica)) => self.take_stored(stored, replica),
            None => self.replica = Replica::default(),
        }
        if self.head_seq > head {
            self.show_since(&before);
        }
        if self.reapply_pending().is_err() {
            self.fault();
        }
        self.go_on(now, effects);
    }

    /// The log could not be read again.
    pub fn not_rebuilt(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.broken {
            self.fault();
        }
        self.broken = false;
        self.stale = false;
        self.go_on(now, effects);
    }

    /// Handles what came while the replica was read.
    fn go_on(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for event in std::mem::take(&mut self.deferred) {
            self.handle(event, now, effects);
        }
        self.flush(now, effects);
    }

    /// The room can not go on: everybody reconnects to a fresh one, and sends again what was not acknowledged.
    pub fn fault(&mut self) {
        self.end(Close::new(
            CloseCode::Internal,
            "the document had to be read again; please reconnect",
        ));
    }

    pub fn handle(&mut self, event: Event, now: Now, effects: &mut Vec<Effect>) {
        if (self.broken || self.stale) && !matches!(event, Event::Committed(_) | Event::Storing(_))
        {
            // What another node committed is in the log that is read.
            if !matches!(event, Event::Elsewhere(_)) {
                self.deferred.push(event);
            }
            return;
        }
        planted::place_for_a_panic();
        match event {
            Event::Join(join) => self.join(*join),
            Event::Messages { peer, messages } => self.messages(peer, messages, now),
            Event::Left(peer) => self.left(peer, now),
            Event::Drained(peer) => self.drained(peer),
            Event::Committed(appended) => self.committed(&appended, now, effects),
            Event::Storing(health) => self.set_storing(health, effects),
            Event::CommittedState(loaded) => self.answer_from_committed(*loaded),
            Event::Compacted(covered) => self.compacted(covered),
            Event::Elsewhere(notice) => self.heard(*notice, now, effects),
            Event::Look => self.look(effects),
            Event::Looked(seen) => self.looked(*seen, now, effects),
            Event::Command(command) => self.command(*command, now),
        }
    }

    /// To be called after a run of events: what they left to do is done once for all of them.
    pub fn flush(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.broken || self.stale {
            let asked = effects
                .iter()
                .any(|effect| matches!(effect, Effect::Rebuild));
            if self.in_flight.is_none() && !asked {
                if self.broken {
                    self.metrics.room_restarts.inc();
                    tracing::warn!("a replica broke and is read again");
                }
                effects.push(Effect::Rebuild);
            }
            return;
        }
        self.look_if_behind(effects);
        self.presence
            .flush(&mut self.peers, &self.limits, &self.metrics, now);
        if self.in_flight.is_none() {
            if self.pending.has_rows() {
                self.submit(effects);
            } else {
                let asks = std::mem::take(&mut self.pending.asks);
                for (ask, bytes) in self.encode_answers(asks, &[]) {
                    self.deliver(ask, bytes);
                }
            }
        }
        if self.storing.is_some() && !self.reading_committed && self.somebody_waits() {
            self.reading_committed = true;
            effects.push(Effect::LoadCommitted);
        }
        if let (Some(close), false) = (self.ending.clone(), self.has_uncommitted()) {
            self.close_all(&close);
        }
    }

    /// When `flush` is to be called next although nothing has happened.
    pub fn deadline(&self) -> Option<u64> {
        self.presence.deadline()
    }

    pub fn has_uncommitted(&self) -> bool {
        self.in_flight.is_some() || self.pending.has_rows()
    }

    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether the log after the snapshot is long enough that the next load would feel it.
    pub fn is_worth_compacting(&self) -> bool {
        self.tail_rows >= COMPACT_ON_UNLOAD_ROWS || self.tail_bytes >= COMPACT_ON_UNLOAD_BYTES
    }

    fn join(&mut self, join: Join) {
        if let Some(close) = &self.ending {
            join.outbox.close(close.clone());
            return;
        }
        if self.peers.len() >= self.limits.peers {
            join.outbox.close(Close::new(
                CloseCode::TryLater,
                "too many people are in this document; try again later",
            ));
            return;
        }
        // 0 stands for a client that has not seen a record yet.
        let other_epoch = join
            .epoch
            .filter(|epoch| *epoch != 0 && self.epoch.is_some_and(|own| own != *epoch));
        if other_epoch.is_some() {
            join.outbox.close(NotWritable::OtherEpoch.close());
            return;
        }
        let peer = Peer::new(join.outbox, join.dialect, join.author, self.batch);
        if let Some(update) = self.presence.everyone() {
            peer.tell(ServerMessage::Awareness(&update));
        }
        if let Some(reason) = &self.storing {
            peer.tell(ServerMessage::Storing(&Storing {
                ok: false,
                reason: Some(reason.to_string()),
            }));
        }
        self.peers.insert(join.peer, peer);
        self.ask_for_missing(join.peer);
    }

    fn left(&mut self, id: PeerId, now: Now) {
        let Some(peer) = self.peers.remove(id) else {
            return;
        };
        for client in peer.owns.iter().chain(&peer.own) {
            if self.owners.get(client) == Some(&id) {
                self.owners.remove(client);
            }
        }
        if let Some(own) = peer.own {
            self.presence.left(own, now);
        }
        if self.peers.is_empty() {
            self.owners = FxHashMap::default();
        }
        // What others relayed for this peer's ids may go in now, although the document has not changed.
        self.retried_at = NEVER;
        self.retry_parked(now);
    }

    fn set_storing(&mut self, health: Result<(), Arc<str>>, effects: &mut Vec<Effect>) {
        let reason = health.err();
        if reason == self.storing {
            return;
        }
        let told = Storing {
            ok: reason.is_none(),
            reason: reason.as_ref().map(ToString::to_string),
        };
        self.storing = reason;
        for (_, peer) in self.peers.iter_mut() {
            peer.tell(ServerMessage::Storing(&told));
        }
        if told.ok {
            for id in self.peers.ids() {
                if self
                    .peers
                    .get(id)
                    .is_some_and(|peer| std::mem::take(&mut peer.refused_for_now))
                {
                    self.ask_for_missing(id);
                }
            }
        }
        self.compact_if_due(effects);
    }

    fn command(&mut self, command: Command, now: Now) {
        match command {
            Command::Export(reply) => self.pending.asks.push(Ask::Export(reply)),
            Command::People(reply) => {
                // Whoever asked may have gone away meanwhile.
                reply.send(self.presence.people()).ok();
            }
            Command::Rename {
                title,
                author,
                client,
                reply,
            } => self.rename(&title, &author, client, reply, now),
            Command::Edit {
                update,
                author,
                client,
                mark,
                reply,
            } => {
                let edit = OwnEdit {
                    client_id: client,
                    mark,
                    reply,
                };
                self.edit(&update, &author, edit, now);
            }
            Command::Evict(close) => self.end(close),
            Command::Drain(close) => self.ending = Some(close),
        }
    }

    pub(super) fn end(&mut self, close: Close) {
        self.drop_pending();
        self.close_all(&close);
        self.ending = Some(close);
    }

    /// What was accepted and is not on its way to the store is given up: its authors hold it.
    fn drop_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.metrics.uncommitted_bytes.dec_by(pending.bytes as i64);
    }

    /// Takes what is not committed off the books: the room is over.
    pub fn give_up(&mut self) {
        self.drop_pending();
        if let Some(batch) = self.in_flight.take() {
            self.metrics.uncommitted_bytes.dec_by(batch.bytes as i64);
        }
    }

    pub fn close_all(&mut self, close: &Close) {
        for (_, peer) in self.peers.iter_mut() {
            peer.outbox.close(close.clone());
        }
    }

    fn somebody_waits(&self) -> bool {
        let in_flight = self
            .in_flight
            .iter()
            .flat_map(|batch| batch.answers.iter().map(|(ask, _)| ask));
        in_flight
            .chain(&self.pending.asks)
            .any(|ask| !matches!(ask, Ask::CatchUp(_)))
    }

    /// Takes the asks out of both batches, to be answered from what is committed. Diffs for slow peers wait.
    pub(super) fn take_asks(&mut self) -> Vec<Ask> {
        let later = |ask: &Ask| matches!(ask, Ask::CatchUp(_));
        let (keep, mut asks): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending.asks)
            .into_iter()
            .partition(later);
        self.pending.asks = keep;
        if let Some(batch) = &mut self.in_flight {
            let (keep, now) = std::mem::take(&mut batch.answers)
                .into_iter()
                .partition(|(ask, _)| later(ask));
            batch.answers = keep;
            asks.extend(now.into_iter().map(|(ask, _)| ask));
        }
        asks
    }

    /// What was read may be stale or absent; see `answers`.
    pub(super) fn committed_replica(&self, loaded: &Loaded) -> Option<Replica> {
        match loaded {
            Loaded::Live(stored) => super::compaction::replay(stored, &self.limits.scan).ok(),
            Loaded::Absent => Some(Replica::default()),
            _ => None,
        }
    }
}
