//! What a room knows about one peer.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    event::{PeerId, Person},
    outbox::Outbox,
};
use crate::{
    document::{ClientId, Clock, awareness::Millis},
    protocol::{Dialect, ServerMessage},
};

/// Sync requests of one peer that are answered at once. Stock clients send one a connection.
pub const MAX_OPEN_ASKS: usize = 4;
/// Sync requests of one peer that may wait until it has read the answers to earlier ones.
pub const MAX_WAITING_ASKS: usize = 16;

/// How often the name of somebody who writes is looked at, and how often while they have none.
const NAME_CHECK: Millis = 60_000;
const NAME_WAIT: Millis = 1_000;

#[derive(Debug)]
pub struct Peer {
    pub outbox: Arc<Outbox>,
    pub dialect: Dialect,
    pub author: Option<Arc<str>>,
    /// The client id whose awareness this peer speaks for.
    pub own: Option<ClientId>,
    /// Client ids that nobody else may extend while this peer is here.
    pub owns: SmallVec<[ClientId; 1]>,
    /// Batches up to this number need not be sent: an answer has shown them.
    pub covered: u64,
    /// Document messages received so far.
    pub messages: u64,
    pub refusals: u32,
    /// Has answered a `SyncStep1` of ours: what follows may be an echo of what we sent.
    pub answered: bool,
    /// A `SyncStep1` of ours is not answered yet.
    pub asked: bool,
    /// Changes of the document (`State::changes`) at our last `SyncStep1`, and how often we asked since.
    pub asked_at: u64,
    pub asked_again: bool,
    /// Sync requests that are not answered yet.
    pub open_asks: usize,
    /// Something of this peer was refused for good; it would only send it again.
    pub refused_for_good: bool,
    /// Something of this peer was refused because storing fails; it is asked for once storing works again.
    pub refused_for_now: bool,
    /// Updates that wait for something the document does not hold yet.
    pub parked: VecDeque<Parked>,
    pub parked_bytes: usize,
    /// Set while frames are not queued: per client the clock from which the peer may lack something.
    pub lag: Option<Vec<(ClientId, Clock)>>,
    /// Missed awareness frames; gets everybody's state when it has drained.
    pub awareness_stale: bool,
    /// What the log knows this author by, and when it was last compared with the peer's awareness.
    pub introduced: Option<Person>,
    pub looked_at: Option<Millis>,
    /// State vectors that wait for the outbox to drain.
    pub waiting_asks: VecDeque<Bytes>,
}

#[derive(Debug)]
pub struct Parked {
    pub update: Bytes,
    /// A part of it was applied already.
    pub index: u64,
}

impl Peer {
    pub fn new(
        outbox: Arc<Outbox>,
        dialect: Dialect,
        author: Option<Arc<str>>,
        covered: u64,
    ) -> Self {
        Self {
            outbox,
            dialect,
            author,
            own: None,
            owns: SmallVec::new(),
            covered,
            messages: 0,
            refusals: 0,
            answered: false,
            asked: false,
            asked_at: u64::MAX,
            asked_again: false,
            open_asks: 0,
            refused_for_good: false,
            refused_for_now: false,
            parked: VecDeque::new(),
            parked_bytes: 0,
            lag: None,
            awareness_stale: false,
            introduced: None,
            looked_at: None,
            waiting_asks: VecDeque::new(),
        }
    }

    /// Sends an answer or a refusal.
    pub fn tell(&self, message: ServerMessage<'_>) {
        if let Some(frame) = self.dialect.encode(message) {
            self.outbox.push_control(frame);
        }
    }

    /// Whether it is time to see whether this author has another name than the log knows.
    pub fn may_be_renamed(&self, now: Millis) -> bool {
        let wait = match self.introduced {
            Some(_) => NAME_CHECK,
            None => NAME_WAIT,
        };
        self.looked_at.is_none_or(|at| now >= at + wait)
    }

    /// Who is written into the log for what this peer does.
    pub fn log_author(&self, client: ClientId) -> Arc<str> {
        match &self.author {
            Some(author) => author.clone(),
            None => format!("client:{client}").into(),
        }
    }

    /// From these clocks on the peer may lack something.
    pub fn lower_floor(&mut self, floor: &[(ClientId, Clock)]) {
        let lag = self.lag.get_or_insert_default();
        for (client, clock) in floor {
            match lag.iter_mut().find(|(of, _)| of == client) {
                Some((_, lowest)) => *lowest = (*lowest).min(*clock),
                None => lag.push((*client, *clock)),
            }
        }
    }
}

/// Peers in the order in which they came: ids only grow, so the list is sorted by id.
#[derive(Debug, Default)]
pub struct Peers(Vec<(PeerId, Peer)>);

impl Peers {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn insert(&mut self, id: PeerId, peer: Peer) {
        if self.0.len() == self.0.capacity() {
            // Most rooms have one or two peers; a vector's own growth would begin with four.
            self.0.reserve_exact((self.0.len() / 2).max(1));
        }
        let at = self.0.partition_point(|(of, _)| *of < id);
        self.0.insert(at, (id, peer));
    }

    pub fn get(&mut self, id: PeerId) -> Option<&mut Peer> {
        let at = self.0.binary_search_by_key(&id, |(of, _)| *of).ok()?;
        self.0.get_mut(at).map(|(_, peer)| peer)
    }

    pub fn remove(&mut self, id: PeerId) -> Option<Peer> {
        let at = self.0.binary_search_by_key(&id, |(of, _)| *of).ok()?;
        let (_, peer) = self.0.remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(peer)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Peer)> {
        self.0.iter_mut().map(|(id, peer)| (*id, peer))
    }

    pub fn ids(&self) -> Vec<PeerId> {
        self.0.iter().map(|(id, _)| *id).collect()
    }
}
