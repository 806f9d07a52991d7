//! A simulated person: a real replica, its steps of the plan, and a connection that comes and goes.
//!
//! Does as stock clients do: asks on every connection, answers what it is asked, sends each edit as it is made, and never
//! asks again while the connection lasts.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use yrs::{
    Doc, ReadTxn as _, Transact as _, Update,
    updates::{decoder::Decode as _, encoder::Encode as _},
};

use super::{
    edit::Roots,
    ledger::{Before, Ledger},
    link::{Link, LinkError, Weather},
    plan::{Action, Edit, Step, What},
    script::words,
    token::{self, Contents},
    undo::Undo,
    wire::{Heard, Wire},
};
use crate::document::replica::doc_with;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(50);

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
    /// All steps are done, and nothing is under way in the tool itself.
    pub idle: bool,
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
    /// What was sent on this connection and the server has not spoken of yet, the oldest first.
    unanswered: VecDeque<Contents>,
}

/// A frame of ours, and what a status of the server will be about.
struct Sent {
    frame: Bytes,
    contents: Option<Contents>,
}

/// The state, shared between the person and those who watch.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub fn new(number: u16, client: u64) -> Self {
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
            activity: 0,
            connections: 0,
            refused: Vec::new(),
            broken: Vec::new(),
            happenings: Vec::new(),
            last_error: None,
            begun: None,
            unanswered: VecDeque::new(),
        })))
    }

    /// A panic elsewhere does not make what was seen untrue.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now(&self) -> u32 {
        self.begun
            .map_or(0, |begun| begun.elapsed().as_millis() as u32)
    }

    fn happened(&mut self, what: String, lasts: u32, is_edit: bool) {
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
    fn change(&mut self, action: Action, step: u32, wire: &Wire) -> Vec<Sent> {
        let known = self.ledger.written.len();
        let updates = match action {
            Action::Edit(edit) => {
                self.undo.begin_edit();
                self.roots.apply(edit, self.number, step)
            }
            Action::Undo => self.undo.undo(),
            Action::Redo => self.undo.redo(),
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
    fn take(&mut self, frame: &Bytes, wire: &Wire) -> Result<Vec<Sent>, LinkError> {
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
            Ok(contents) => self.ledger.received(&contents),
            Err(error) => return self.broken.push(error),
        }
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

    fn vector(&self) -> Vec<u8> {
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

/// The one who acts.
pub struct Person {
    state: Shared,
    url: String,
    wire: Wire,
    steps: VecDeque<Step>,
    link: Option<Link>,
    weather: Weather,
    /// No connection before.
    retry_at: Instant,
}

impl Person {
    /// `server` is the address that documents are found at.
    pub fn new(state: Shared, server: &str, wire: Wire, steps: VecDeque<Step>) -> Self {
        Self {
            state,
            url: wire.url(server),
            wire,
            steps,
            link: None,
            weather: Weather::default(),
            retry_at: Instant::now(),
        }
    }

    /// Connects at once, waits for the start, does the steps, and stays until it is told to stop or dies.
    pub async fn live(
        mut self,
        mut start: watch::Receiver<Option<Instant>>,
        stop: CancellationToken,
    ) {
        loop {
            let begun = *start.borrow_and_update();
            self.state.lock().begun = begun;
            self.tell_idle(begun);
            let wake = self.next_wake(begun);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = start.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                received = receive(&mut self.link, &self.weather) => {
                    if let Err(error) = received {
                        self.disconnect(error, Instant::now() + RETRY);
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    self.carry_out(begun).await;
                    if self.state.lock().dead {
                        return;
                    }
                }
            }
        }
        if let Some(link) = self.link {
            link.close().await;
        }
    }

    fn tell_idle(&self, begun: Option<Instant>) {
        let link_idle = self
            .link
            .as_ref()
            .is_some_and(|link| link.next_due().is_none());
        self.state.lock().idle = begun.is_some() && self.steps.is_empty() && link_idle;
    }

    fn next_wake(&self, begun: Option<Instant>) -> Instant {
        let step = begun.zip(self.steps.front());
        let step = step.map(|(begun, step)| begun + milliseconds(step.at));
        let link = match &self.link {
            Some(link) => link.next_due(),
            None => Some(self.retry_at),
        };
        let far = Instant::now() + Duration::from_secs(3600);
        [step, link].into_iter().flatten().min().unwrap_or(far)
    }

    /// Everything that is due.
    async fn carry_out(&mut self, begun: Option<Instant>) {
        let now = Instant::now();
        if self.link.is_none() && self.retry_at <= now {
            self.connect().await;
        }
        let due = |step: &mut Step| begun.is_some_and(|begun| begun + milliseconds(step.at) <= now);
        if let Some(step) = self.steps.pop_front_if(due)
            && let What::Client(_, action) = step.what
        {
            self.step(step.id, action);
        }
        self.exchange().await;
    }

    /// Hands over what has arrived at either end.
    async fn exchange(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        let mut ended = Ok(());
        while let Some(frame) = link.arrived() {
            let mut state = self.state.lock();
            match state.take(&frame, &self.wire) {
                Ok(answers) => send(link, &self.weather, &mut state, answers),
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        if ended.is_ok() {
            ended = link.flush().await;
        }
        if let Err(error) = ended {
            self.disconnect(error, Instant::now() + RETRY);
        }
    }

    async fn connect(&mut self) {
        match Link::open(&self.url).await {
            Ok(mut link) => {
                let mut state = self.state.lock();
                state.connections += 1;
                state.activity += 1;
                state.last_error = None;
                state.unanswered.clear();
                for frame in self.wire.hello(&state.vector()) {
                    link.send(&frame, &self.weather);
                }
                self.link = Some(link);
            }
            Err(error) => {
                self.retry_at = Instant::now() + RETRY;
                self.state.lock().last_error = Some(error.to_string());
            }
        }
    }

    fn disconnect(&mut self, reason: LinkError, retry_at: Instant) {
        self.link = None;
        self.retry_at = retry_at;
        let mut state = self.state.lock();
        state.synced = false;
        state.happened(format!("lost its connection: {reason}"), 0, false);
        state.last_error = Some(reason.0);
    }

    fn step(&mut self, id: u32, action: Action) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let at = state.now();
        state.ledger.done.insert(id, at);
        let lasts = match action {
            Action::Offline { ms }
            | Action::Lag { ms, .. }
            | Action::Hold { ms }
            | Action::Twice { ms } => u32::from(ms),
            _ => 0,
        };
        let until = now + milliseconds(lasts);
        state.happened(words(action), lasts, action.is_edit());
        match action {
            Action::Edit(_) | Action::Undo | Action::Redo => {
                let frames = state.change(action, id, &self.wire);
                if let Some(link) = &mut self.link {
                    send(link, &self.weather, &mut state, frames);
                }
            }
            Action::Cut | Action::Offline { .. } => {
                self.link = None;
                self.retry_at = until;
                state.synced = false;
            }
            Action::Lag { by, .. } => self.weather.lag(milliseconds(u32::from(by)), until),
            Action::Hold { .. } => self.weather.hold(until),
            Action::Twice { .. } => self.weather.twice(until),
            Action::Die => {
                self.link = None;
                state.synced = false;
                state.dead = true;
            }
        }
    }
}

/// Puts frames under way, and notes what is to be answered for.
fn send(link: &mut Link, weather: &Weather, state: &mut State, frames: Vec<Sent>) {
    for Sent { frame, contents } in frames {
        let copies = link.send(&frame, weather);
        let contents = contents.into_iter().flat_map(|one| vec![one; copies]);
        state.unanswered.extend(contents);
    }
}

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

/// Waits for ever where there is no connection.
async fn receive(link: &mut Option<Link>, weather: &Weather) -> Result<(), LinkError> {
    match link {
        Some(link) => link.receive(weather).await,
        None => std::future::pending().await,
    }
}
