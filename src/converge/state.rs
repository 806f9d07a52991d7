//! What is known of one person while it lives: its replica, what it wrote and heard, and what befell it.
//!
//! Does as stock clients do: answers what it is asked, sends each edit as it is made, and never asks again while the
//! connection lasts.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::time::Instant;
use yrs::{
    Doc, ReadTxn as _, Transact as _, Update,
    updates::{decoder::Decode as _, encoder::Encode as _},
};

use super::{
    edit::Roots,
    history::Recording,
    ledger::{Before, Ledger},
    link::LinkError,
    plan::{Action, Edit},
    proxy::Line,
    token::{self, Contents},
    undo::Undo,
    wire::{Heard, Wire},
};
use crate::document::replica::doc_with;

/// Something on the time line, in milliseconds after the start.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Happening {
    pub at: u32,
    /// Absent for the server.
    pub client: Option<u16>,
    pub what: String,
    /// How long it lasts, in milliseconds.
    pub lasts: u32,
    /// An edit, or something that goes wrong.
    pub is_edit: bool,
}

/// What others may look at while the person lives.
pub struct State {
    pub number: u16,
    /// Before the document, which it watches.
    undo: Undo,
    pub doc: Doc,
    roots: Roots,
    pub ledger: Ledger,
    /// The connection is open and the server has answered the first question.
    pub synced: bool,
    pub dead: bool,
    /// All steps are done, and nothing waits for the connection.
    pub idle: bool,
    /// The step that waits for what its writer had seen.
    pub waiting: Option<u32>,
    /// Grows with every frame and edit.
    pub activity: u64,
    pub connections: u32,
    /// What the server refused, in its words.
    pub refused: Vec<String>,
    /// What the server sent and nobody can apply.
    pub broken: Vec<String>,
    pub happenings: Vec<Happening>,
    pub last_error: Option<String>,
    begun: Option<Instant>,
    recording: Option<Arc<Recording>>,
    /// The network to the server.
    pub line: Line,
    /// What was sent on this connection and the server has not spoken of yet, the oldest first.
    unanswered: VecDeque<Contents>,
}

/// A frame of ours, and what a status of the server will be about.
pub(super) struct Sent {
    pub frame: Bytes,
    contents: Option<Contents>,
}

/// The state, shared between the person and those who watch.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<State>>);

impl Shared {
    /// `recording` is what replayed steps are taken from.
    pub fn new(number: u16, client: u64, recording: Option<Arc<Recording>>) -> Self {
        let doc = doc_with(client);
        let roots = Roots::of(&doc);
        Self(Arc::new(Mutex::new(State {
            number,
            undo: Undo::of(&doc, &roots.branches()),
            roots,
            doc,
            ledger: Ledger::default(),
            synced: false,
            dead: false,
            idle: false,
            waiting: None,
            activity: 0,
            connections: 0,
            refused: Vec::new(),
            broken: Vec::new(),
            happenings: Vec::new(),
            last_error: None,
            begun: None,
            line: Line::default(),
            recording,
            unanswered: VecDeque::new(),
        })))
    }

    /// A panic elsewhere does not make what was seen untrue.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The plan's time begins, or begins anew.
    pub(super) fn begin(&mut self, at: Option<Instant>) {
        self.begun = at;
        self.line.begin(at);
    }

    /// A connection is made: nothing was sent on it yet.
    pub(super) fn connected(&mut self) {
        self.connections += 1;
        self.activity += 1;
        self.last_error = None;
        self.unanswered.clear();
    }

    /// Notes what the server has to answer for, once for each copy of the frame.
    pub(super) fn sent(&mut self, sent: &Sent, copies: usize) {
        if let Some(contents) = &sent.contents {
            let contents = std::iter::repeat_n(contents, copies).cloned();
            self.unanswered.extend(contents);
        }
    }

    /// Milliseconds after the start.
    pub(super) fn now(&self) -> u32 {
        self.begun
            .map_or(0, |begun| begun.elapsed().as_millis() as u32)
    }

    /// Notes something for the time line.
    pub(super) fn happened(&mut self, what: String, lasts: u32, is_edit: bool) {
        let (at, client) = (self.now(), Some(self.number));
        self.happenings.push(Happening {
            at,
            client,
            what,
            lasts,
            is_edit,
        });
    }

    /// Edits, undoes or redoes; notes it, and returns its frames.
    pub(super) fn change(&mut self, action: Action, step: u32, wire: &Wire) -> Vec<Sent> {
        let known = self.ledger.written.len();
        let updates = match action {
            Action::Edit(edit) => {
                self.undo.begin_edit();
                self.roots.apply(edit, self.number, step)
            }
            Action::Undo => self.undo.undo(),
            Action::Redo => self.undo.redo(),
            Action::Replay { number } => self.replay(number),
            _ => Vec::new(),
        };
        let at = self.now();
        for update in &updates {
            match token::contents(update, true) {
                Ok(contents) => self.ledger.wrote(contents, step, at),
                Err(error) => self.broken.push(format!("an edit of its own: {error}")),
            }
        }
        if let Action::Edit(edit) = action {
            self.note_order(edit, known);
        }
        self.activity += 1;
        let sent = |update: &Vec<u8>| Sent::new(wire.change(update), update, wire);
        updates.iter().map(sent).collect()
    }

    /// Makes a recorded edit.
    fn replay(&mut self, number: u32) -> Vec<Vec<u8>> {
        let recording = self.recording.clone();
        let recorded = recording.and_then(|all| {
            let recorded = all.transactions.get(number as usize)?;
            Some(recorded.update.clone())
        });
        if let Some(update) = &recorded {
            self.integrate(update);
        }
        recorded.into_iter().collect()
    }

    /// Whether all is here that a recorded edit follows.
    pub(super) fn has_seen(&self, number: u32) -> bool {
        let Some(recorded) = self
            .recording
            .as_ref()
            .and_then(|all| all.transactions.get(number as usize))
        else {
            return true;
        };
        let vector = self.doc.transact().state_vector();
        let mut needs = recorded.needs.iter();
        needs.all(|(client, clock)| vector.get(&yrs::block::ClientID::new(client)) >= clock)
    }

    /// Remembers between which tokens the new ones were written.
    fn note_order(&mut self, edit: Edit, known: usize) {
        let new: Vec<_> = self.ledger.written.iter().skip(known).collect();
        let sequence = self.roots.sequence(edit.on);
        for pair in sequence.windows(2) {
            if let &[left, right] = pair
                && new
                    .iter()
                    .any(|new| new.token == left || new.token == right)
            {
                self.ledger.order.push(Before(left, right));
            }
        }
    }

    /// Takes a frame from the server; returns what is to be answered.
    pub(super) fn take(&mut self, frame: &Bytes, wire: &Wire) -> Result<Vec<Sent>, LinkError> {
        self.activity += 1;
        let heard = match wire.read(frame) {
            Ok(heard) => heard,
            Err(error) => {
                self.broken.push(error.to_string());
                return Ok(Vec::new());
            }
        };
        let mut answers = Vec::new();
        for heard in heard {
            match heard {
                Heard::Question(vector) => answers.extend(self.answer(&vector, wire)),
                Heard::Answer(update) => {
                    self.apply(&update);
                    self.synced = true;
                }
                Heard::Change(update) => self.apply(&update),
                Heard::Status(taken) => self.settle_oldest(taken),
                Heard::Denied(reason) => self.refused.push(reason),
                // Nothing more would come on this connection.
                Heard::Closed(reason) => {
                    return Err(LinkError(format!("the document was closed: {reason}")));
                }
                Heard::Reply(frame) => answers.push(Sent {
                    frame,
                    contents: None,
                }),
            }
        }
        Ok(answers)
    }

    fn settle_oldest(&mut self, taken: bool) {
        match (self.unanswered.pop_front(), taken) {
            (Some(contents), true) => self.ledger.confirm(&contents),
            (Some(_), false) => self.refused.push("it did not take an edit".to_owned()),
            (None, _) => {
                let what = "it speaks of more edits than it was sent";
                self.broken.push(what.to_owned());
            }
        }
    }

    fn answer(&mut self, vector: &[u8], wire: &Wire) -> Option<Sent> {
        let vector = match yrs::StateVector::decode_v1(vector) {
            Ok(vector) => vector,
            Err(error) => {
                self.broken.push(error.to_string());
                return None;
            }
        };
        let update = self.doc.transact().encode_diff_v1(&vector);
        Some(Sent::new(wire.answer(&update), &update, wire))
    }

    fn apply(&mut self, update: &[u8]) {
        match token::contents(update, false) {
            Ok(contents) => {
                let at = self.now();
                self.ledger.received(&contents, at);
            }
            Err(error) => return self.broken.push(error),
        }
        self.integrate(update);
    }

    fn integrate(&mut self, update: &[u8]) {
        let applied = Update::decode_v1(update)
            .map_err(|error| error.to_string())
            .and_then(|update| {
                let mut txn = self.doc.transact_mut();
                txn.apply_update(update).map_err(|error| error.to_string())
            });
        if let Err(error) = applied {
            self.broken.push(error);
        }
    }

    /// The state vector, as it is asked with.
    pub(super) fn vector(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }
}

impl Sent {
    fn new(frame: Bytes, update: &[u8], wire: &Wire) -> Self {
        // The update was made here, so it can be read.
        let contents = wire
            .has_status()
            .then(|| token::contents(update, false).unwrap_or_default());
        Self { frame, contents }
    }
}
