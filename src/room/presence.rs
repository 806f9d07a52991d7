//! Awareness in a room: whose state is whose, one merged frame per tick instead of one per cursor move, and the end of
//! states that nobody renews.

use rustc_hash::FxHashMap;

use super::{
    event::{Now, PeerId, Person},
    limits::RoomLimits,
    peer::{Peer, Peers},
    state::{NEVER, State},
};
use crate::{
    document::{
        ClientId,
        awareness::{Awareness, Entry, Millis, Outcome, entries},
    },
    metrics::Metrics,
    protocol::{Dialect, ServerMessage},
};

/// Between two awareness frames of a room: N moving cursors cost N frames a tick, not N². Below what an eye notices.
const TICK: Millis = 40;
/// How often states are looked through for ones that were not renewed.
const EXPIRY_CHECK: Millis = 5_000;

#[derive(Debug, Default)]
pub struct Presence {
    awareness: Awareness,
    /// Whom the others have to be told about.
    changed: Vec<ClientId>,
    sent_at: Millis,
    checked_at: Millis,
}

impl Presence {
    /// An awareness update about everyone present.
    pub fn everyone(&self) -> Option<Vec<u8>> {
        self.awareness.encode_all()
    }

    /// The client's socket is gone.
    pub fn left(&mut self, client: ClientId, now: Now) {
        if self.awareness.remove(client, now.monotonic) {
            self.changed.push(client);
        }
    }

    /// Sends what has changed, if it is time, and ends what was not renewed.
    pub fn flush(&mut self, peers: &mut Peers, limits: &RoomLimits, metrics: &Metrics, now: Now) {
        if !self.awareness.is_empty() && now.monotonic >= self.checked_at + EXPIRY_CHECK {
            self.checked_at = now.monotonic;
            self.changed.extend(self.awareness.expire(now.monotonic));
        }
        if self.changed.is_empty() || now.monotonic < self.sent_at + TICK {
            return;
        }
        self.sent_at = now.monotonic;
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let Some(update) = self.awareness.encode(changed) else {
            return;
        };
        let Some(frame) = Dialect::YWebsocket.encode(ServerMessage::Awareness(&update)) else {
            return;
        };
        metrics.awareness_frames.inc();
        for (_, peer) in peers.iter_mut() {
            if !peer.awareness_stale && !peer.outbox.push_awareness(&frame, limits.outbox_bytes) {
                peer.awareness_stale = true;
            }
        }
    }

    /// When `flush` has something to do.
    pub fn deadline(&self) -> Option<Millis> {
        if !self.changed.is_empty() {
            return Some(self.sent_at + TICK);
        }
        (!self.awareness.is_empty()).then(|| self.checked_at + EXPIRY_CHECK)
    }

    /// Everyone present, by the `user.name` and `user.color` of their states; each name and colour once.
    pub fn people(&self) -> Vec<Person> {
        let states = self.awareness.states();
        let mut people: Vec<Person> = states.filter_map(|(_, state)| shown(state)).collect();
        people.sort_by(|a, b| (&a.name, &a.color).cmp(&(&b.name, &b.color)));
        people.dedup();
        people
    }

    /// What this client calls itself.
    pub fn person(&self, client: ClientId) -> Option<Person> {
        let mut states = self.awareness.states();
        let (_, state) = states.find(|(of, _)| *of == client)?;
        shown(state)
    }
}

/// The name and colour in an awareness state, where bindings of all editors put them.
fn shown(state: &[u8]) -> Option<Person> {
    #[derive(serde::Deserialize)]
    struct Shown {
        user: User,
    }
    #[derive(serde::Deserialize)]
    struct User {
        name: String,
        #[serde(default)]
        color: serde_json::Value,
    }
    let Shown { user } = serde_json::from_slice(state).ok()?;
    Some(Person {
        name: user.name.chars().take(80).collect(),
        color: match user.color {
            serde_json::Value::String(color) => color.chars().take(32).collect(),
            serde_json::Value::Number(hue) => hue.to_string(),
            _ => String::new(),
        },
    })
}

impl State {
    pub(super) fn awareness_update(&mut self, id: PeerId, update: &[u8], now: Now) {
        self.metrics.awareness_received.inc();
        let entries = match entries(update) {
            Ok(entries) => entries,
            Err(error) => return self.refuse_frame(id, &error.to_string()),
        };
        let Some(peer) = self.peers.get(id) else {
            return;
        };
        if peer.own.is_none()
            && let [only] = entries.as_slice()
            && only.state.is_some()
            && may_claim(peer, only, &self.owners, id)
        {
            peer.own = Some(only.client);
            self.own(id, only.client);
            // What this peer sent before it said who it is may have waited for that.
            self.retried_at = NEVER;
            self.retry_parked(now);
        }
        let Some(own) = self.peers.get(id).and_then(|peer| peer.own) else {
            return;
        };
        // What a peer says about others is dropped without a word: stock clients echo everybody's states.
        for entry in entries.iter().filter(|entry| entry.client == own) {
            match self
                .presence
                .awareness
                .apply(entry, self.limits.awareness_bytes, now.monotonic)
            {
                Ok(Outcome::Changed) => self.presence.changed.push(own),
                Ok(Outcome::Nothing) => {}
                Ok(Outcome::TellGone) => {
                    let gone = self.presence.awareness.encode([own]);
                    if let (Some(peer), Some(update)) = (self.peers.get(id), gone) {
                        peer.tell(ServerMessage::Awareness(&update));
                    }
                }
                Err(error) => self.refuse_frame(id, &error.to_string()),
            }
        }
    }

    pub(super) fn query_awareness(&mut self, id: PeerId) {
        let update = self.presence.everyone();
        if let Some(peer) = self.peers.get(id) {
            peer.tell(ServerMessage::Awareness(update.as_deref().unwrap_or(&[0])));
        }
    }

    /// From now on this peer speaks for the client id; whoever did before does not.
    fn own(&mut self, id: PeerId, client: ClientId) {
        let before = self.owners.insert(client, id);
        if let Some(before) = before.filter(|before| *before != id)
            && let Some(displaced) = self.peers.get(before)
        {
            displaced.owns.retain(|of| *of != client);
            if displaced.own == Some(client) {
                displaced.own = None;
            }
        }
        if let Some(peer) = self.peers.get(id)
            && !peer.owns.contains(&client)
        {
            peer.owns.push(client);
        }
    }
}

/// A client announces itself before it has read anything of ours. What comes after its first answer may be an echo of
/// somebody else's state, so an id that has a live owner can only be taken over before that: by the same client on a
/// new connection.
fn may_claim(
    peer: &Peer,
    entry: &Entry<'_>,
    owners: &FxHashMap<ClientId, PeerId>,
    id: PeerId,
) -> bool {
    !peer.answered || owners.get(&entry.client).is_none_or(|owner| *owner == id)
}
