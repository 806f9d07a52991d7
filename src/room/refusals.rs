//! Telling a peer that something of it was refused, and ending a connection on which too much is.

use super::{event::PeerId, state::State};
use crate::protocol::{Refusal, ServerMessage, close::Close, close::CloseCode};

impl State {
    pub(super) fn refuse(&mut self, id: PeerId, refusal: &Refusal) {
        self.metrics
            .refusals
            .inc(crate::metrics::Refusal::of_code(refusal.code));
        if let Some(peer) = self.peers.get(id) {
            peer.tell(ServerMessage::Refused(refusal));
        }
        self.count_refusal(id);
    }

    /// A message that carries no edit was not understood. Stock clients are told, our own page never makes one.
    pub(super) fn refuse_frame(&mut self, id: PeerId, reason: &str) {
        self.metrics
            .refusals
            .inc(crate::metrics::Refusal::Malformed);
        if let Some(peer) = self.peers.get(id)
            && !peer.dialect.is_told_what_is_saved()
        {
            peer.tell(ServerMessage::Refused(&Refusal {
                code: "malformed",
                reason: reason.to_owned(),
                limit: None,
                message: 0,
            }));
        }
        self.count_refusal(id);
    }

    fn count_refusal(&mut self, id: PeerId) {
        let limit = self.limits.refusals;
        if let Some(peer) = self.peers.get(id) {
            peer.refusals += 1;
            if peer.refusals > limit {
                peer.outbox.close(Close::new(
                    CloseCode::Policy,
                    "too many messages were refused",
                ));
            }
        }
    }
}
