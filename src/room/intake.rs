//! Updates on their way in: scanned, checked against who may write what, applied as far as they are ready, parked where
//! they are not.
//!
//! yrs is never given anything that refers to something unknown: it would integrate over holes where Yjs waits, and
//! lose content that comes out of order. What is not ready waits here, outside yrs, and is neither logged nor
//! acknowledged. One request for all that we miss makes a well-behaved client send it.

use bytes::Bytes;

use super::{
    event::{Now, PeerId},
    peer::Parked,
    state::State,
};
use crate::{
    document::{
        ClientId,
        ready::{Split, split_with},
        replica::{Applied, ReplicaError},
        scan::{Kind, Scan, ScanError, scan},
    },
    protocol::{ClientMessage, Refusal, ServerMessage, close::Close, close::CloseCode},
};

/// An id without a live owner may be extended by less than this at once: more is no person's offline edit but a way to
/// swallow what the id's owner will write.
const MAX_FOREIGN_JUMP: u32 = 1 << 20;

/// What became of a document message.
pub(super) enum Intake {
    /// All of it is in the replica: acknowledged with the batch that covers it.
    Whole,
    /// Nothing in it was new.
    Repeat,
    /// Some of it, or all, waits for something unknown.
    Waits,
    /// Never to be accepted.
    Refused {
        code: &'static str,
        reason: String,
        limit: Option<u64>,
    },
    /// Not accepted while storing fails.
    NotNow { reason: String },
}

impl State {
    pub(super) fn messages(&mut self, id: PeerId, messages: Vec<ClientMessage>, now: Now) {
        for message in messages {
            if self.is_ending() {
                // Everybody is being closed; the sender holds what is not acknowledged and sends it again.
                return;
            }
            if self.broken {
                // What follows would go to a replica that is half changed. The sender has to come back, as it would
                // wait for ever for an answer to what is passed over here.
                if let Some(peer) = self.peers.get(id) {
                    peer.outbox.close(Close::new(
                        CloseCode::Internal,
                        "the document had to be read again; please reconnect",
                    ));
                }
                return;
            }
            match message {
                ClientMessage::SyncStep1(vector) => self.sync_step_1(id, &vector),
                ClientMessage::SyncStep2(update) => {
                    if let Some(peer) = self.peers.get(id) {
                        peer.answered = true;
                        peer.asked = false;
                    }
                    self.document_message(id, &update, false, now);
                }
                ClientMessage::Update(update) => self.document_message(id, &update, true, now),
                ClientMessage::Awareness(update) => self.awareness_update(id, &update, now),
                ClientMessage::QueryAwareness => self.query_awareness(id),
            }
        }
    }

    fn document_message(&mut self, id: PeerId, update: &Bytes, live: bool, now: Now) {
        self.metrics.updates_received.inc();
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        let index = peer.messages;
        peer.messages += 1;
        match self.take_in(id, update, live, now) {
            Intake::Whole => self.acknowledge_later(id),
            Intake::Repeat => {
                self.metrics.updates_duplicate.inc();
                if live {
                    self.echo_later(id, update);
                }
                self.acknowledge_later(id);
            }
            Intake::Waits => self.park(id, update, index, live),
            Intake::Refused {
                code,
                reason,
                limit,
            } => {
                if let Some(peer) = self.peers.get(id) {
                    peer.refused_for_good = true;
                }
                self.refuse(
                    id,
                    &Refusal {
                        code,
                        reason,
                        limit,
                        message: index,
                    },
                );
            }
            Intake::NotNow { reason } => {
                if let Some(peer) = self.peers.get(id) {
                    peer.refused_for_now = true;
                }
                self.refuse(
                    id,
                    &Refusal {
                        code: "not-stored",
                        reason,
                        limit: None,
                        message: index,
                    },
                );
            }
        }
    }

    fn take_in(&mut self, id: PeerId, update: &Bytes, live: bool, now: Now) -> Intake {
        if update.len() > self.limits.message_bytes {
            return Intake::Refused {
                code: "message-too-large",
                reason: format!(
                    "the edit is larger than {} bytes",
                    self.limits.message_bytes
                ),
                limit: Some(self.limits.message_bytes as u64),
            };
        }
        let scan = match scan(update, &self.limits.scan) {
            Ok(scan) => scan,
            Err(error) => return refused_by_scan(&error),
        };
        if let Some(refused) = self.over_a_limit(&scan, update) {
            return refused;
        }
        if self.foreign_jump(&scan, update).is_some() {
            return Intake::Refused {
                code: "foreign-client",
                reason: "the update extends another client's edits by too much at once".into(),
                limit: Some(u64::from(MAX_FOREIGN_JUMP)),
            };
        }
        let split = self.split(&scan, update, id);
        let applied = match self.apply(&scan, update, &split) {
            Ok(applied) => applied,
            Err(intake) => return intake,
        };
        if split.rest {
            self.question_owners(&scan, id);
        }
        let brought = applied.is_some();
        if let Some(applied) = applied {
            self.accept(id, &scan, applied, live, now);
        }
        match (split.rest, brought) {
            (true, _) => Intake::Waits,
            (false, true) => Intake::Whole,
            (false, false) => Intake::Repeat,
        }
    }

    /// What of the update may go in now. While a socket that writes with an id is here, nobody else extends that id.
    fn split(&self, scan: &Scan, update: &Bytes, id: PeerId) -> Split {
        let owners = &self.owners;
        let may_extend = |client: ClientId| owners.get(&client).is_none_or(|owner| *owner == id);
        split_with(
            scan,
            update,
            self.replica.known(),
            self.replica.deleted(),
            &may_extend,
        )
    }

    /// Another socket speaks for a client that this update extends. It may be dead without our knowing: when the network
    /// of a laptop changes, its client comes back on a new socket and the old one stays silent. So it is asked.
    fn question_owners(&mut self, scan: &Scan, id: PeerId) {
        let known = self.replica.known();
        let extended = scan
            .runs
            .iter()
            .filter(|run| run.end > known.get(run.client))
            .filter_map(|run| self.owners.get(&run.client).copied());
        for owner in extended.filter(|owner| *owner != id) {
            if let Some(peer) = self.peers.get(owner) {
                peer.outbox.question();
            }
        }
    }

    pub(super) fn apply(
        &mut self,
        scan: &Scan,
        update: &Bytes,
        split: &Split,
    ) -> Result<Option<Applied>, Intake> {
        match self.replica.apply(scan, update, split) {
            Ok(applied) => {
                self.changes += u64::from(applied.is_some());
                Ok(applied)
            }
            Err(error @ ReplicaError::TooDeep { limit }) => Err(Intake::Refused {
                code: "too-deep",
                reason: error.to_string(),
                limit: Some(u64::from(limit)),
            }),
            Err(error) => {
                self.broken = !error.is_harmless();
                Err(Intake::Refused {
                    code: "unacceptable",
                    reason: error.to_string(),
                    limit: None,
                })
            }
        }
    }

    fn accept(&mut self, id: PeerId, scan: &Scan, applied: Applied, live: bool, now: Now) {
        let single = match applied.runs.as_slice() {
            [run] => Some(run.client),
            _ => None,
        };
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if let (Some(client), true) = (single, live && peer.own.is_none())
            && !self.owners.contains_key(&client)
        {
            // A client without awareness: the id it writes with is its own while it is here.
            peer.owns.push(client);
            self.owners.insert(client, id);
        }
        let client = single.or(peer.own).unwrap_or(0);
        let author = peer.log_author(client);
        // Without an author of its own a peer may as well bring what another client wrote.
        let is_own = peer.author.is_some() || peer.own == Some(client);
        if is_own && peer.may_be_renamed(now.monotonic) {
            peer.looked_at = Some(now.monotonic);
            let person = peer.own.and_then(|own| self.presence.person(own));
            if person.is_some() && person != peer.introduced {
                peer.introduced.clone_from(&person);
                self.pending.introduce(&author, person);
            }
        }
        self.metrics
            .uncommitted_bytes
            .inc_by(applied.bytes.len() as i64);
        self.pending.add(&author, client, now.wall, scan, applied);
    }

    fn over_a_limit(&mut self, scan: &Scan, update: &Bytes) -> Option<Intake> {
        // Deletions are always accepted: they are how a document gets smaller.
        let adds = !scan.runs.is_empty();
        let limit = self.limits.document_bytes;
        if adds
            && self.replica.size() + update.len() > limit
            && self.replica.measured_size(limit) + update.len() > limit
        {
            return Some(Intake::Refused {
                code: "document-full",
                reason: format!(
                    "the document would be larger than {} bytes",
                    self.limits.document_bytes
                ),
                limit: Some(self.limits.document_bytes as u64),
            });
        }
        let reason = self.storing.as_ref()?;
        let all = usize::try_from(self.metrics.uncommitted_bytes.get()).unwrap_or(0);
        let full = self.pending.bytes + update.len() > self.limits.uncommitted_bytes
            || all + update.len() > self.limits.uncommitted_bytes_in_all;
        full.then(|| Intake::NotNow {
            reason: format!("not saved: {reason}"),
        })
    }

    /// By how much the update moves the clock of a known client without a live owner, with structs that hold nothing.
    /// A few bytes can claim any length so, and would swallow all that the client writes later.
    fn foreign_jump(&self, scan: &Scan, update: &[u8]) -> Option<u32> {
        let known = self.replica.known();
        scan.runs
            .iter()
            .filter(|run| {
                let before = known.get(run.client);
                before > 0
                    && run.end.saturating_sub(before) >= MAX_FOREIGN_JUMP
                    && !self.owners.contains_key(&run.client)
            })
            .map(|run| {
                let empty = scan
                    .structs_of(update, run)
                    .filter(|view| view.is_deleted() || view.kind == Kind::Skip);
                empty.fold(0_u32, |sum, view| sum.saturating_add(view.len))
            })
            .find(|jump| *jump >= MAX_FOREIGN_JUMP)
    }

    /// The message is acknowledged with the newest batch that is not durable yet; at once when there is none.
    fn acknowledge_later(&mut self, id: PeerId) {
        if self.pending.has_rows() {
            self.pending.ack(id);
        } else if let Some(batch) = &mut self.in_flight {
            batch.ack(id);
        } else {
            self.acknowledge(id, 1);
        }
    }

    /// A stock client takes its own update, when it comes back, for the acknowledgement; so it does with a repeat.
    fn echo_later(&mut self, id: PeerId, update: &Bytes) {
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if peer.dialect.is_told_what_is_saved() {
            return;
        }
        let Some(frame) = peer.dialect.encode(ServerMessage::Update(update)) else {
            return;
        };
        if self.pending.has_rows() {
            self.pending.echoes.push((id, frame));
        } else if let Some(batch) = &mut self.in_flight {
            batch.echo(id, frame);
        } else {
            peer.outbox.push_control(frame);
        }
    }

    fn park(&mut self, id: PeerId, update: &Bytes, index: u64, live: bool) {
        self.metrics.updates_parked.inc();
        let limit = self.limits.parked_bytes;
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if peer.parked_bytes + update.len() > limit {
            // Nothing is lost: the sender holds all of it, and offers it again when it reconnects.
            peer.outbox.close(Close::new(
                CloseCode::TryLater,
                "too many edits wait for edits that are not here; please reconnect",
            ));
            return;
        }
        peer.parked_bytes += update.len();
        // A copy, so that a few waiting bytes do not keep a whole read buffer.
        peer.parked.push_back(Parked {
            update: Bytes::copy_from_slice(update),
            index,
        });
        self.ask_again(id, live);
    }

    /// Tries what waits again, if the document has changed since the last time.
    pub(super) fn retry_parked(&mut self, now: Now) {
        while self.retried_at != self.changes && !self.broken {
            self.retried_at = self.changes;
            for id in self.peers.ids() {
                let Some(peer) = self.peers.get(id) else {
                    continue;
                };
                if peer.parked.is_empty() {
                    continue;
                }
                peer.parked_bytes = 0;
                for Parked { update, index } in std::mem::take(&mut peer.parked) {
                    match self.take_in(id, &update, false, now) {
                        Intake::Whole | Intake::Repeat => self.acknowledge_later(id),
                        Intake::Waits | Intake::NotNow { .. } => {
                            let Some(peer) = self.peers.get(id) else {
                                continue;
                            };
                            peer.parked_bytes += update.len();
                            peer.parked.push_back(Parked { update, index });
                        }
                        Intake::Refused {
                            code,
                            reason,
                            limit,
                        } => {
                            self.refuse(
                                id,
                                &Refusal {
                                    code,
                                    reason,
                                    limit,
                                    message: index,
                                },
                            );
                        }
                    }
                }
            }
        }
    }

    /// Applies what was accepted and not committed to a replica that was read again.
    pub(super) fn reapply_pending(&mut self) -> Result<(), ReplicaError> {
        for update in self.pending.parts() {
            let scan = scan(&update, &self.limits.scan)?;
            let split = split_with(
                &scan,
                &update,
                self.replica.known(),
                self.replica.deleted(),
                &|_| true,
            );
            if split.rest {
                return Err(ReplicaError::NotReady);
            }
            self.replica.apply(&scan, &update, &split)?;
            self.changes += 1;
        }
        Ok(())
    }
}

fn refused_by_scan(error: &ScanError) -> Intake {
    let (code, limit) = match error {
        ScanError::TooManyStructs { max } | ScanError::TooManyDeletes { max } => {
            ("too-many-structs", Some(*max))
        }
        ScanError::TooDeep { max, .. } => ("too-deep", Some(*max)),
        ScanError::Unsupported { .. } => ("unsupported", None),
        _ => ("malformed", None),
    };
    Intake::Refused {
        code,
        reason: error.to_string(),
        limit: limit.map(|limit| limit as u64),
    }
}
