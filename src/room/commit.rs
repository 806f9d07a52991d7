//! From the pending batch to everybody: what goes to the store, who learns of it once it is durable, and when the log
//! has grown enough to be compacted.
//!
//! Nothing in here is sent before `committed` was called with the store's answer.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    answers::lower_by_frame,
    batch::{Ask, Sealed},
    compaction::Folded,
    event::{Effect, Now, PeerId, RenameError},
    outbox::Pushed,
    planted::{self, Bug},
    state::State,
};
use crate::{
    document::{ClientId, Clock},
    protocol::ServerMessage,
    store::{Append, Appended, Seq},
};

/// Bytes of deleted content that may stay in memory besides twice the state. Every keystroke counts with its own
/// update here, of some 30 bytes, so a document is read again at most once in hundreds of thousands of them.
const MAY_HOLD: usize = 8 << 20;

/// The batch that is with the store, and what is to be said when it is durable.
pub(super) struct InFlight {
    sealed: Sealed,
    row_count: u64,
    pub(super) bytes: usize,
    acks: Vec<(PeerId, u64)>,
    echoes: Vec<(PeerId, Bytes)>,
    pub(super) answers: Vec<(Ask, Bytes)>,
    renames: Vec<oneshot::Sender<Result<(), RenameError>>>,
}

impl InFlight {
    pub(super) fn ack(&mut self, peer: PeerId) {
        self.acks.push((peer, 1));
    }

    pub(super) fn echo(&mut self, peer: PeerId, frame: Bytes) {
        self.echoes.push((peer, frame));
    }
}

impl State {
    /// Turns the pending batch into the one in flight, with the answers that show it.
    pub(super) fn submit(&mut self, effects: &mut Vec<Effect>) {
        let mut batch = std::mem::take(&mut self.pending);
        self.batch += 1;
        let asks = std::mem::take(&mut batch.asks);
        let bytes = batch.bytes;
        let mut sealed = batch.seal();
        let answers = self.encode_answers(asks, &sealed.floor);
        let title = self.replica.title();
        let changed = (title != self.title).then(|| title.clone());
        self.title = title;
        effects.push(Effect::Append(Box::new(Append {
            doc: self.doc.clone(),
            epoch: self.epoch,
            rows: sealed.rows.clone(),
            title: changed,
            marks: std::mem::take(&mut sealed.marks),
            people: batch.people,
        })));
        self.in_flight = Some(InFlight {
            row_count: sealed.rows.len() as u64,
            bytes,
            sealed,
            acks: batch.acks,
            echoes: batch.echoes,
            answers,
            renames: batch.renames,
        });
        self.leak_planted(effects);
        planted::place_for_a_panic();
    }

    /// What the planted bugs do too early.
    fn leak_planted(&mut self, effects: &mut Vec<Effect>) {
        let leaks = [
            Bug::PublishBeforeCommit,
            Bug::FanOutBeforeCommit,
            Bug::AckBeforeCommit,
            Bug::AnswerBeforeCommit,
        ];
        if !leaks.into_iter().any(planted::is) {
            return;
        }
        let Some(mut batch) = self.in_flight.take() else {
            return;
        };
        if planted::is(Bug::PublishBeforeCommit) {
            let rows = (self.head_seq + 1, self.head_seq + batch.row_count);
            self.publish(rows, &batch.sealed.updates, effects);
        }
        if planted::is(Bug::FanOutBeforeCommit) {
            for update in &batch.sealed.updates {
                self.fan_out(update, &batch.sealed.floor, &batch.acks);
            }
        }
        if planted::is(Bug::AckBeforeCommit) {
            for (id, count) in std::mem::take(&mut batch.acks) {
                self.acknowledge(id, count);
            }
        }
        if planted::is(Bug::AnswerBeforeCommit) {
            for (ask, bytes) in std::mem::take(&mut batch.answers) {
                self.deliver(ask, bytes);
            }
        }
        self.in_flight = Some(batch);
    }

    pub(super) fn committed(&mut self, appended: &Appended, now: Now, effects: &mut Vec<Effect>) {
        let Some(batch) = self.in_flight.take() else {
            return;
        };
        self.metrics.uncommitted_bytes.dec_by(batch.bytes as i64);
        match appended {
            Appended::Committed { epoch, head_seq } => {
                self.epoch = Some(*epoch);
                let rows = (*head_seq + 1 - batch.row_count, *head_seq);
                self.publish(rows, &batch.sealed.updates, effects);
                self.announce(batch, rows.0);
                self.number(rows);
                self.take_held();
                self.retry_parked(now);
                self.compact_if_due(effects);
            }
            Appended::Refused(why) => self.end(why.close()),
        }
    }

    /// The batch is durable: everybody learns of it.
    fn announce(&mut self, batch: InFlight, first: Seq) {
        self.tail_rows += batch.row_count;
        self.tail_bytes += batch.bytes as u64;
        self.metrics.updates_committed.inc_by(batch.row_count);
        self.metrics.bytes_committed.inc_by(batch.bytes as u64);
        // First the answers: the difference that a slow peer gets fills the gap before which it could not use the batch, and
        // clients on yrs 0.28 may not survive an update that comes too early (docs/testing.md).
        for (ask, bytes) in batch.answers {
            self.deliver(ask, bytes);
        }
        for (id, frame) in batch.echoes {
            if let Some(peer) = self.peers.get(id) {
                peer.outbox.push_control(frame);
            }
        }
        for update in &batch.sealed.updates {
            self.fan_out(update, &batch.sealed.floor, &batch.acks);
        }
        for (id, count) in batch.acks {
            self.acknowledge(id, count);
        }
        for (row, reply) in batch.sealed.edited {
            // Whoever asked may have gone away meanwhile.
            reply.send(Ok(first + row as u64)).ok();
        }
        for reply in batch.renames {
            // Whoever asked may have gone away meanwhile.
            reply.send(Ok(())).ok();
        }
    }

    /// One frame for everybody, the authors included: for stock clients the frame is the acknowledgement, so an author
    /// gets it even where an answer has shown everything new to it.
    pub(super) fn fan_out(
        &mut self,
        update: &Bytes,
        floor: &[(ClientId, Clock)],
        authors: &[(PeerId, u64)],
    ) {
        let mut frame: Option<Bytes> = None;
        let batch = self.batch;
        let limit = self.limits.outbox_bytes;
        for (id, peer) in self.peers.iter_mut() {
            let waits_for_it =
                || !peer.dialect.is_told_what_is_saved() && authors.iter().any(|(of, _)| *of == id);
            if peer.covered >= batch && !waits_for_it() {
                continue;
            }
            if peer.lag.is_some() {
                peer.lower_floor(floor);
                continue;
            }
            let frame = match &frame {
                Some(frame) => frame,
                None => match peer.dialect.encode(ServerMessage::Update(update)) {
                    Some(encoded) => frame.insert(encoded),
                    None => continue,
                },
            };
            if let Pushed::Overflow(dropped) = peer.outbox.push_document(frame, limit) {
                self.metrics.outbox_replaced.inc();
                self.metrics
                    .outbox_dropped_bytes
                    .inc_by(dropped.iter().map(|frame| frame.len() as u64).sum());
                if planted::is(Bug::DropForSlowPeer) {
                    continue;
                }
                peer.lower_floor(floor);
                for dropped in &dropped {
                    lower_by_frame(peer, dropped);
                }
            }
        }
    }

    /// So many messages of this peer are durable. Stock clients see it by the echo.
    pub(super) fn acknowledge(&mut self, id: PeerId, count: u64) {
        if let Some(peer) = self.peers.get(id)
            && peer.dialect.is_told_what_is_saved()
        {
            peer.outbox.saved(count);
        }
    }

    pub(super) fn compact_if_due(&mut self, effects: &mut Vec<Effect>) {
        let due = self.tail_rows >= self.limits.compact_rows
            || self.tail_bytes >= self.limits.compact_bytes;
        if due && !self.compacting && self.storing.is_none() {
            self.compacting = true;
            effects.push(Effect::Compact);
        }
    }

    pub(super) fn compacted(&mut self, folded: Option<Folded>) {
        self.compacting = false;
        if let Some(Folded { seq, state_bytes }) = folded {
            self.stale |= self.replica.held() > state_bytes * 2 + MAY_HOLD;
            // Bytes are estimated by rows: the exact number is known again after the next load.
            let left = self.head_seq.saturating_sub(seq);
            self.tail_bytes = self.tail_bytes.checked_div(self.tail_rows).unwrap_or(0) * left;
            self.tail_rows = left;
        } else {
            // It failed; wait for as much again before the next try.
            self.tail_rows = 0;
            self.tail_bytes = 0;
        }
    }
}
