//! What other nodes commit to the log of this document.
//!
//! A notice that goes on where the replica ends is applied and fanned out as it is. Where one is missing, whether a
//! notice or our own commit shows it, the rows are read from the store, and each peer gets one difference. `head_seq` is
//! always the last row up to which the replica holds all.

use bytes::Bytes;

use super::{
    answers::{floor_of, lower_by_frame},
    batch::Ask,
    event::{Effect, Now},
    planted::{self, Bug},
    state::State,
};
use crate::{
    bus::Notice,
    document::{ClientId, Clock, replica::ReplicaError, state_vector::StateVector},
    protocol::close::{Close, CloseCode},
    store::{DocRecord, DocState, Epoch, FIRST_EPOCH, LogRow, NotWritable, Seq, StoreError},
};

/// Notices, and their bytes, that wait for the answer to the batch in flight. What more come are read from the store.
const MOST_HELD: usize = 16;
const MOST_HELD_BYTES: usize = 4 << 20;

/// What is known of the log beyond what the replica holds.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Other nodes are told what this one commits.
    shares: bool,
    /// A row that is known to be in the log.
    told: Seq,
    /// The store is being asked.
    looks: bool,
    /// The store has not given all that is in the log: it is not asked again before the next [`Event::Look`].
    ///
    /// [`Event::Look`]: super::event::Event::Look
    rests: bool,
    held: Vec<Notice>,
}

/// The log beyond some row, as the store has it.
#[derive(Debug)]
pub struct Seen {
    /// Read after the rows: they are of this epoch or an earlier one.
    pub record: Option<DocRecord>,
    pub rows: Vec<LogRow>,
}

impl Seen {
    /// Bytes of its rows.
    pub fn len(&self) -> usize {
        self.rows.iter().map(|row| row.row.bytes.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl State {
    /// Other nodes serve this store: they are told what is committed here.
    pub fn share(&mut self) {
        self.elsewhere.shares = true;
    }

    /// For the other nodes: what this one has committed.
    pub(super) fn publish(&self, rows: (Seq, Seq), updates: &[Bytes], effects: &mut Vec<Effect>) {
        if self.elsewhere.shares {
            let notice = self.notice(rows, updates.to_vec());
            effects.push(Effect::Publish(Box::new(notice)));
        }
    }

    fn notice(&self, (from, to): (Seq, Seq), updates: Vec<Bytes>) -> Notice {
        Notice {
            doc: self.doc.clone(),
            epoch: self.epoch.unwrap_or(FIRST_EPOCH),
            from,
            to,
            updates,
        }
    }

    /// Another node says what it has committed.
    pub(super) fn heard(&mut self, notice: Notice, now: Now, effects: &mut Vec<Effect>) {
        if self.is_ending() || !self.is_of(notice.epoch) || notice.to <= self.head_seq {
            return;
        }
        self.knows_of(notice.to);
        if planted::is(Bug::TrustTheBus) {
            self.head_seq = notice.from - 1;
        }
        self.hold(notice);
        if self.take_held() {
            self.retry_parked(now);
            self.compact_if_due(effects);
        }
    }

    /// Our own rows got these numbers.
    pub(super) fn number(&mut self, (from, to): (Seq, Seq)) {
        self.knows_of(to);
        if from <= self.head_seq + 1 || planted::is(Bug::TrustTheBus) {
            self.head_seq = self.head_seq.max(to);
        } else {
            // What is missing before them may be among what is held.
            self.hold(self.notice((from, to), Vec::new()));
        }
    }

    fn hold(&mut self, notice: Notice) {
        let held = &mut self.elsewhere.held;
        let bytes = held.iter().map(Notice::len).sum::<usize>() + notice.len();
        if held.len() < MOST_HELD && bytes <= MOST_HELD_BYTES {
            held.push(notice);
        }
    }

    /// Takes in what follows on what the replica holds. Not while a batch is in flight: its answers were encoded without it
    /// and leave first. Answers whether there was something.
    pub(super) fn take_held(&mut self) -> bool {
        let mut took = false;
        while self.in_flight.is_none() {
            let head = self.head_seq;
            self.elsewhere.held.retain(|notice| notice.to > head);
            let mut held = self.elsewhere.held.iter();
            let Some(next) = held.position(|notice| notice.from <= head + 1) else {
                break;
            };
            let notice = self.elsewhere.held.swap_remove(next);
            if let Err(error) = self.take_notice(&notice) {
                self.does_not_fit(&error);
                break;
            }
            took = true;
        }
        took
    }

    fn take_notice(&mut self, notice: &Notice) -> Result<(), ReplicaError> {
        let renames = self.renames();
        for update in &notice.updates {
            // What is known may only wait here to be committed, and what follows may refer to it.
            if self.apply_elsewhere(update)? || self.pending.has_rows() {
                self.show_elsewhere(update)?;
            }
        }
        if !notice.is_empty() {
            self.tail_rows += notice.to - self.head_seq;
            self.tail_bytes += notice.len() as u64;
        }
        self.epoch = Some(notice.epoch);
        self.head_seq = notice.to;
        self.take_title(renames);
        Ok(())
    }

    fn show_elsewhere(&mut self, update: &Bytes) -> Result<(), ReplicaError> {
        let floor = floor_of(update)?;
        self.batch += 1;
        // Whose answer has yet to be encoded gets that first.
        for ask in &self.pending.asks {
            if let Ask::Step2(id, _) = ask
                && let Some(peer) = self.peers.get(*id)
            {
                peer.lower_floor(&floor);
                peer.outbox.tell_when_empty();
            }
        }
        self.fan_out(update, &floor, &[]);
        Ok(())
    }

    /// Whether an edit that waits here changes the title.
    fn renames(&self) -> bool {
        self.replica.title() != self.title
    }

    /// Others' titles are in the list already; `renames` is what [`Self::renames`] said before.
    fn take_title(&mut self, renames: bool) {
        if !renames {
            self.title = self.replica.title();
        }
    }

    /// Whether it is known that rows are missing.
    pub fn is_behind(&self) -> bool {
        self.elsewhere.told > self.head_seq
    }

    /// Asks the store for the rows that are missing.
    pub(super) fn look_if_behind(&mut self, effects: &mut Vec<Effect>) {
        let rests = self.elsewhere.rests || self.in_flight.is_some() || self.is_ending();
        if self.is_behind() && !rests {
            self.look(effects);
        }
    }

    /// Asks the store whether there is more than the replica holds: a bus may lose what it is given.
    pub(super) fn look(&mut self, effects: &mut Vec<Effect>) {
        if !self.elsewhere.looks && !planted::is(Bug::NeverLook) {
            self.elsewhere.looks = true;
            self.elsewhere.rests = false;
            effects.push(Effect::Look(self.head_seq));
        }
    }

    /// The store has answered.
    pub(super) fn looked(
        &mut self,
        seen: Result<Seen, StoreError>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.elsewhere.looks = false;
        self.elsewhere.rests = true;
        // Nobody has written yet, or nothing can be read now.
        let Ok(Seen {
            record: Some(record),
            rows,
        }) = seen
        else {
            return;
        };
        if self.is_ending() {
            return;
        }
        let why = match record.state {
            DocState::Live => None,
            DocState::Trashed => Some(NotWritable::Trashed),
            DocState::Deleted => Some(NotWritable::Deleted),
            DocState::Quarantined => Some(NotWritable::Quarantined),
        };
        if let Some(why) = why {
            return self.end(why.close());
        }
        if !self.is_of(record.epoch) {
            return;
        }
        let last = rows.last().map_or(0, |row| row.seq);
        if last > self.head_seq {
            self.epoch = Some(record.epoch);
            match self.take_rows(&rows, last) {
                Ok(()) => {}
                // The document is read again, and others wait for that: not while a batch may be in flight for long.
                Err(_) if self.in_flight.is_some() => {}
                Err(error) => return self.does_not_fit(&error),
            }
            self.take_held();
            self.retry_parked(now);
            self.compact_if_due(effects);
        }
        self.elsewhere.rests = self.is_behind();
    }

    /// Whether rows of this epoch are of this document. Where the name was given anew, nobody may stay here.
    pub(super) fn is_of(&mut self, epoch: Epoch) -> bool {
        let own = self.epoch.unwrap_or(FIRST_EPOCH);
        if own < epoch {
            self.end(NotWritable::OtherEpoch.close());
        }
        own == epoch
    }

    fn take_rows(&mut self, rows: &[LogRow], last: Seq) -> Result<(), ReplicaError> {
        let (before, changes, renames) =
            (self.replica.known().clone(), self.changes, self.renames());
        let taken = self.apply_rows(rows);
        // Also what went in before a row that did not.
        if self.changes > changes {
            self.show_since(&before);
        }
        taken?;
        self.take_title(renames);
        self.head_seq = last;
        self.knows_of(last);
        Ok(())
    }

    fn apply_rows(&mut self, rows: &[LogRow]) -> Result<(), ReplicaError> {
        for LogRow { row, .. } in rows {
            if self.apply_elsewhere(&row.bytes)? {
                self.tail_rows += 1;
                self.tail_bytes += row.bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Brings stored bytes into the replica. Answers whether they brought anything new.
    fn apply_elsewhere(&mut self, update: &Bytes) -> Result<bool, ReplicaError> {
        let is_new = self.replica.append(update, &self.limits.scan)?;
        self.changes += u64::from(is_new);
        Ok(is_new)
    }

    fn does_not_fit(&mut self, error: &ReplicaError) {
        tracing::warn!(%error, "what another node committed does not fit; the document is read again");
        self.broken = true;
    }

    /// The replica holds more than at `before`, and no frame says what: each peer gets one difference, like one that was too
    /// slow. What waits in its outbox goes into that, too: it could not be left out later from behind the difference.
    pub(super) fn show_since(&mut self, before: &StateVector) {
        let known = self.replica.known().iter();
        let floor: Vec<(ClientId, Clock)> = known
            .map(|(client, clock)| (client, clock, before.get(client)))
            .filter(|(_, clock, from)| from < clock)
            .map(|(client, _, from)| (client, from))
            .collect();
        for (_, peer) in self.peers.iter_mut() {
            peer.lower_floor(&floor);
            for frame in peer.outbox.take_documents() {
                lower_by_frame(peer, &frame);
            }
        }
    }

    fn knows_of(&mut self, seq: Seq) {
        self.elsewhere.told = self.elsewhere.told.max(seq);
    }
}

impl NotWritable {
    /// What peers are told of a document that takes no rows.
    pub(super) fn close(self) -> Close {
        let (code, reason) = match self {
            Self::Trashed => (CloseCode::Gone, "the document is in the trash"),
            Self::Deleted => (CloseCode::Gone, "the document was deleted"),
            Self::OtherEpoch => (
                CloseCode::OtherEpoch,
                "the document was deleted and created again",
            ),
            Self::Quarantined => (CloseCode::Quarantined, "the document is under quarantine"),
        };
        Close::new(code, reason)
    }
}
