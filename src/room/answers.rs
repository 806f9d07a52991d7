//! Sync answers: what a peer lacks, shown only once it is durable, and encoded once however many ask.
//!
//! An answer to an empty state vector costs one encode for each state of the document, so a thousand people who open
//! the same document at nine o'clock cost one. A slow peer whose frames were dropped gets one diff in their place.

use bytes::Bytes;

use super::{
    batch::Ask,
    event::PeerId,
    peer::{MAX_OPEN_ASKS, MAX_WAITING_ASKS, Peer},
    state::State,
};
use crate::{
    document::{
        ClientId, Clock,
        replica::EMPTY_UPDATE,
        scan::{ScanError, outline},
        state_vector::StateVector,
    },
    protocol::{Dialect, ServerMessage, close::Close, close::CloseCode, y_websocket},
    store::{Loaded, StoreError},
};

/// Answers kept for one state of the document: enough for a reconnect storm, in which everybody asks the same.
const CACHED_ANSWERS: usize = 4;

/// Encoded answers for one state of the document.
#[derive(Debug, Default)]
pub struct AnswerCache {
    at: u64,
    entries: Vec<(Bytes, Bytes)>,
}

impl AnswerCache {
    fn get(&mut self, changes: u64, vector: &[u8]) -> Option<Bytes> {
        if self.at != changes {
            self.entries = Vec::new();
            return None;
        }
        self.entries
            .iter()
            .find(|(of, _)| of == vector)
            .map(|(_, frame)| frame.clone())
    }

    /// Keeps the frame of an answer and returns it.
    pub fn put(&mut self, changes: u64, vector: &[u8], answer: ServerMessage<'_>) -> Bytes {
        let frame = Dialect::YWebsocket.encode(answer).unwrap_or_default();
        if self.at != changes {
            self.entries = Vec::new();
        }
        self.at = changes;
        if self.entries.len() < CACHED_ANSWERS {
            self.entries
                .push((Bytes::copy_from_slice(vector), frame.clone()));
        }
        frame
    }
}

impl State {
    /// A client's `SyncStep1`.
    pub(super) fn sync_step_1(&mut self, id: PeerId, vector: &Bytes) {
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if peer.open_asks >= MAX_OPEN_ASKS || peer.outbox.bytes() > self.limits.outbox_bytes {
            if peer.waiting_asks.len() >= MAX_WAITING_ASKS {
                peer.outbox.close(Close::new(
                    CloseCode::Policy,
                    "too many sync requests without reading the answers",
                ));
                return;
            }
            peer.waiting_asks.push_back(Bytes::copy_from_slice(vector));
            if peer.open_asks < MAX_OPEN_ASKS {
                peer.outbox.tell_when_empty();
            }
            return;
        }
        match StateVector::decode(vector, self.limits.scan.max_structs) {
            Ok(vector) => {
                peer.open_asks += 1;
                self.pending.asks.push(Ask::Step2(id, vector));
            }
            Err(error) => self.refuse_frame(id, &format!("the state vector is malformed: {error}")),
        }
    }

    /// Asks a peer that has just come for all that we miss.
    pub(super) fn ask_for_missing(&mut self, id: PeerId) {
        let changes = self.changes;
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if peer.asked || peer.refused_for_good {
            return;
        }
        peer.asked = true;
        peer.asked_at = changes;
        peer.asked_again = false;
        self.pending.asks.push(Ask::Step1(id));
    }

    /// Asks a peer for what one of its messages refers to and we do not have. Not while it is being asked; and for one
    /// state of the document only once more than when it came, and only for something that is not itself the answer: a
    /// client that holds something which nobody can integrate would otherwise be asked for it for ever.
    pub(super) fn ask_again(&mut self, id: PeerId, for_live_update: bool) {
        let changes = self.changes;
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        let progress = peer.asked_at != changes;
        if progress || (for_live_update && !peer.asked_again && !peer.asked) {
            self.ask_for_missing(id);
            if let (Some(peer), false) = (self.peers.get(id), progress) {
                peer.asked_again = true;
            }
        }
    }

    /// The peer has read everything it was sent.
    pub(super) fn drained(&mut self, id: PeerId) {
        let everyone = self.presence.everyone();
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if std::mem::take(&mut peer.awareness_stale)
            && let Some(update) = everyone
        {
            peer.tell(ServerMessage::Awareness(&update));
        }
        let waiting = std::mem::take(&mut peer.waiting_asks);
        let asks = &mut self.pending.asks;
        if peer.lag.is_some()
            && !asks
                .iter()
                .any(|ask| matches!(ask, Ask::CatchUp(of) if *of == id))
        {
            asks.push(Ask::CatchUp(id));
        }
        for vector in waiting {
            self.sync_step_1(id, &vector);
        }
    }

    /// Encodes what is asked for, as of the replica now. `floor` is where the batch begins that goes to the store with it:
    /// the replica holds that already, and who is shown it here is not sent it again.
    pub(super) fn encode_answers(
        &mut self,
        asks: Vec<Ask>,
        floor: &[(ClientId, Clock)],
    ) -> Vec<(Ask, Bytes)> {
        let mut answers = Vec::with_capacity(asks.len());
        for ask in asks {
            let bytes = match &ask {
                Ask::Step1(_) => {
                    let vector = self.replica.known().encode();
                    Dialect::YWebsocket
                        .encode(ServerMessage::SyncStep1(&vector))
                        .unwrap_or_default()
                }
                Ask::Step2(id, vector) => {
                    let frame = self.step_2(vector);
                    self.cover(*id);
                    frame
                }
                Ask::CatchUp(id) => match self.catch_up(*id, floor) {
                    Some(frame) => frame,
                    None => continue,
                },
                Ask::Export(_) => self.step_2(&StateVector::default()),
            };
            answers.push((ask, bytes));
        }
        answers
    }

    /// The frame that answers this state vector.
    fn step_2(&mut self, vector: &StateVector) -> Bytes {
        self.metrics.sync_answers.inc();
        let key = vector.encode();
        if let Some(frame) = self.cache.get(self.changes, &key) {
            return frame;
        }
        self.metrics.sync_encodes.inc();
        let update = self.replica.diff(vector);
        self.cache
            .put(self.changes, &key, ServerMessage::SyncStep2(&update))
    }

    /// The peer's next answer shows all batches so far.
    fn cover(&mut self, id: PeerId) {
        let batch = self.batch;
        if let Some(peer) = self.peers.get(id) {
            peer.covered = batch;
            peer.lag = None;
        }
    }

    /// One diff in place of the frames that a slow peer did not get.
    fn catch_up(&mut self, id: PeerId, floor: &[(ClientId, Clock)]) -> Option<Bytes> {
        let lag = self.peers.get(id)?.lag.take()?;
        let mut vector = self.replica.known().clone();
        for (client, clock) in lag.iter().chain(floor) {
            vector.lower(*client, *clock);
        }
        self.metrics.sync_encodes.inc();
        let update = self.replica.diff(&vector);
        self.cover(id);
        Dialect::YWebsocket.encode(ServerMessage::Update(&update))
    }

    /// What the answer shows is durable: it leaves.
    pub(super) fn deliver(&mut self, ask: Ask, bytes: Bytes) {
        match ask {
            Ask::Step2(id, _) => {
                if let Some(peer) = self.peers.get(id) {
                    peer.open_asks = peer.open_asks.saturating_sub(1);
                    peer.outbox.push_control(bytes);
                    if !peer.waiting_asks.is_empty() {
                        peer.outbox.tell_when_empty();
                    }
                }
            }
            Ask::Step1(id) | Ask::CatchUp(id) => {
                if let Some(peer) = self.peers.get(id) {
                    peer.outbox.push_control(bytes);
                }
            }
            Ask::Export(reply) => {
                let update =
                    y_websocket::update_of(&bytes).unwrap_or(Bytes::from_static(EMPTY_UPDATE));
                // Whoever asked may have gone away meanwhile.
                reply.send(update).ok();
            }
        }
    }

    /// Storing fails, but reading works: answers come from what is committed.
    pub(super) fn answer_from_committed(&mut self, loaded: Result<Loaded, StoreError>) {
        self.reading_committed = false;
        if self.storing.is_none() {
            return;
        }
        let Some(replica) = loaded
            .ok()
            .and_then(|loaded| self.committed_replica(&loaded))
        else {
            return;
        };
        let uncovered = self
            .batch
            .saturating_sub(u64::from(self.in_flight.is_some()));
        for ask in self.take_asks() {
            let frame = match &ask {
                Ask::Step1(_) => ServerMessage::SyncStep1(&replica.known().encode()).frame(),
                Ask::Step2(id, vector) => {
                    if let Some(peer) = self.peers.get(*id) {
                        peer.covered = uncovered;
                    }
                    ServerMessage::SyncStep2(&replica.diff(vector)).frame()
                }
                Ask::Export(_) => {
                    ServerMessage::SyncStep2(&replica.diff(&StateVector::default())).frame()
                }
                Ask::CatchUp(_) => continue,
            };
            self.deliver(ask, frame);
        }
    }
}

impl ServerMessage<'_> {
    fn frame(self) -> Bytes {
        Dialect::YWebsocket.encode(self).unwrap_or_default()
    }
}

/// A document frame was taken out of the peer's queue: the peer may lack all that it brought.
pub(super) fn lower_by_frame(peer: &mut Peer, frame: &Bytes) {
    let Some(update) = y_websocket::update_of(frame) else {
        return;
    };
    let Ok(floor) = floor_of(&update) else {
        peer.outbox.close(Close::new(
            CloseCode::Internal,
            "an update could not be read again; please reconnect",
        ));
        return;
    };
    peer.lower_floor(&floor);
}

/// Per client the first clock that an update brings.
pub(super) fn floor_of(update: &Bytes) -> Result<Vec<(ClientId, Clock)>, ScanError> {
    let scan = outline(update)?;
    let runs = scan.runs.iter();
    Ok(runs.map(|run| (run.client, run.start)).collect())
}
