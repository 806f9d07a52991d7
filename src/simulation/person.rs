//! One person: a Yjs replica that speaks y-websocket, and what it wrote and was told.

use bytes::Bytes;
use yrs::{
    Doc, ReadTxn, StateVector, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

use super::{network::Line, reach::Reach};
use crate::{
    converge::{
        edit::Roots,
        plan::Edit,
        token::{Contents, Token, contents},
    },
    document::{
        id::DocId,
        id_set::IdRange,
        replica::{EMPTY_UPDATE, doc_with},
        varint::Reader,
    },
    protocol::{ClientMessage, Dialect, ServerMessage, y_websocket},
};

/// The private message that counts what is durable; see [`y_websocket`].
const SAVED: u64 = 100;

pub struct Person {
    pub number: u16,
    pub doc: DocId,
    pub dialect: Dialect,
    pub replica: Doc,
    roots: Roots,
    /// The marks that this person wrote, and the ids that they are made of.
    pub written: Vec<(Token, IdRange)>,
    /// Everything of its own: what it made and deleted.
    pub own: Reach,
    /// What came from the server: seen when others made it, acknowledged when it is its own.
    pub arrived: Reach,
    /// What this person was told is saved.
    pub saved: Reach,
    pub line: Option<Line>,
    /// What was sent on this line.
    sent: Vec<Contents>,
    /// How many of these messages the server has said to be saved, and of how many of them this person has heard. A count
    /// says nothing of a single message: one that waits for something is saved after later ones.
    promised: usize,
    heard: usize,
    /// The answer to the greeting has come on this line.
    synced: bool,
    /// Updates that came before it. Yjs would keep them itself; yrs 0.28 can keep them for ever, see `docs/testing.md`.
    early: Vec<Bytes>,
}

impl Person {
    pub fn new(number: u16, client: u64, doc: DocId, dialect: Dialect) -> Self {
        let replica = doc_with(client);
        Self {
            number,
            doc,
            dialect,
            roots: Roots::of(&replica),
            replica,
            written: Vec::new(),
            own: Reach::default(),
            arrived: Reach::default(),
            saved: Reach::default(),
            line: None,
            sent: Vec::new(),
            promised: 0,
            heard: 0,
            synced: false,
            early: Vec::new(),
        }
    }

    /// Does an edit; answers the frames that tell the server of it.
    pub fn edit(&mut self, edit: Edit, step: u32) -> Vec<Bytes> {
        let updates = self.roots.apply(edit, self.number, step);
        updates
            .into_iter()
            .filter_map(|update| {
                let written = contents(&update, true).expect("yrs encodes updates");
                self.own.add(&written);
                self.written.extend(written.tokens);
                self.says(ServerMessage::Update(&update), &update)
            })
            .collect()
    }

    /// The first words on a new line.
    pub fn greet(&mut self) -> Bytes {
        self.sent.clear();
        self.promised = 0;
        self.heard = 0;
        self.synced = false;
        self.early.clear();
        let vector = self.replica.transact().state_vector().encode_v1();
        encoded(ServerMessage::SyncStep1(&vector))
    }

    /// Takes a frame of the server; answers what is said in return.
    pub fn take(&mut self, frame: &Bytes) -> Vec<Bytes> {
        let mut reader = Reader::new(frame);
        if reader.var_u64() == Ok(SAVED) {
            self.heard += reader.var_u64().expect("a count") as usize;
            if self.heard == self.sent.len() {
                self.sent.iter().for_each(|message| self.saved.add(message));
            }
            return Vec::new();
        }
        let mut messages = Vec::new();
        y_websocket::decode(frame, |message| messages.push(message)).expect("a frame");
        let mut answers = Vec::new();
        for message in messages {
            match message {
                ClientMessage::SyncStep1(vector) => {
                    let vector = StateVector::decode_v1(&vector).expect("a state vector");
                    let update = self.replica.transact().encode_diff_v1(&vector);
                    answers.extend(self.says(ServerMessage::SyncStep2(&update), &update));
                }
                ClientMessage::SyncStep2(update) => {
                    self.learn(&update);
                    self.synced = true;
                    for update in std::mem::take(&mut self.early) {
                        self.learn(&update);
                    }
                }
                ClientMessage::Update(update) if !self.synced => self.early.push(update),
                ClientMessage::Update(update) => self.learn(&update),
                ClientMessage::Awareness(_) | ClientMessage::QueryAwareness => {}
            }
        }
        answers
    }

    fn learn(&mut self, update: &Bytes) {
        let brought = contents(update, false).expect("an update");
        self.arrived.add(&brought);
        if *update != EMPTY_UPDATE {
            let update = Update::decode_v1(update).expect("an update");
            let mut txn = self.replica.transact_mut();
            txn.apply_update(update).expect("yrs applies it");
        }
    }

    /// Whether something that came can not be used, as what it refers to is missing. On one line that never happens.
    pub fn has_gap(&self) -> bool {
        self.replica.transact().has_missing_updates()
    }

    /// Everything that this person is sure of: what came from the server, and what it said is saved.
    pub fn certain(&self) -> Reach {
        let mut reach = self.arrived.clone();
        reach.union(&self.saved);
        reach
    }

    /// The server says that so many more messages are saved. Answers those that are known to be among them, and whether
    /// there were so many at all.
    pub fn promise(&mut self, count: u64) -> (Vec<Contents>, bool) {
        self.promised += count as usize;
        if self.promised < self.sent.len() {
            return (Vec::new(), true);
        }
        (self.sent.clone(), self.promised == self.sent.len())
    }

    fn says(&mut self, message: ServerMessage<'_>, update: &[u8]) -> Option<Bytes> {
        self.line.as_ref()?;
        self.sent
            .push(contents(update, false).expect("yrs encodes updates"));
        Some(encoded(message))
    }
}

fn encoded(message: ServerMessage<'_>) -> Bytes {
    y_websocket::encode(message, false).expect("every client has words for it")
}
