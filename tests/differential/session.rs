//! One session: people in Node, our server here, and what goes between them.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use coscribe::{
    document::{
        id::DocId,
        id_set::IdSet,
        scan::{ScanLimits, scan},
        state_vector::StateVector,
    },
    protocol::{ClientMessage, Dialect, y_websocket},
    room::{event::Event, outbox::Next},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    blocking::{BlockingDriver, Print},
    driver::{hex, unhex},
    plan::{Delivery, Op, Plan},
    server::{Connection, Kept, Server},
    view,
};

/// The party that is told everything and hears nothing.
const MODEL: usize = 0;
/// Rounds after which people who still have something to say to each other never end.
const ROUNDS: usize = 60;

/// What was reached, to see that the sessions are worth their time.
#[derive(Debug, Default)]
pub struct Seen {
    pub sessions: u64,
    pub frames: u64,
    pub checks: u64,
    pub compactions: u64,
    pub restarts: u64,
    pub unloads: u64,
    /// Updates that the model made by itself, cleaning up marks.
    pub clean_ups: u64,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.frames += other.frames;
        self.checks += other.checks;
        self.compactions += other.compactions;
        self.restarts += other.restarts;
        self.unloads += other.unloads;
        self.clean_ups += other.clean_ups;
    }
}

/// What every session uses.
pub struct Bench {
    node: BlockingDriver,
    folder: TempDir,
    server: Option<Server>,
    sessions: u64,
}

impl Bench {
    /// `None`, with a message, where there is no Node.
    pub fn start() -> Option<Self> {
        let node = BlockingDriver::start("differential.mjs")?;
        let folder = tempfile::tempdir().unwrap();
        Some(Self {
            server: Some(Server::start(folder.path())),
            node,
            folder,
            sessions: 0,
        })
    }

    /// Lives one session, each time in a new document.
    pub fn live(&mut self, plan: &Plan) -> Result<Seen, String> {
        self.sessions += 1;
        let doc = DocId::parse(&format!("session-{}", self.sessions)).unwrap();
        let compactions = self.server().compactions();
        let mut session = Session::begin(self, plan, doc)?;
        for op in &plan.ops {
            session.perform(*op)?;
        }
        session.settle()?;
        let mut seen = session.seen;
        seen.sessions = 1;
        seen.compactions += self.server().compactions().saturating_sub(compactions);
        Ok(seen)
    }

    /// After a failure in the middle of a session: another server and another Node.
    pub fn recover(&mut self) {
        self.node = BlockingDriver::start("differential.mjs").expect("Node, as before");
        self.folder = tempfile::tempdir().unwrap();
        self.server = Some(Server::start(self.folder.path()));
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn restart(&mut self, drained: bool) {
        if let Some(server) = self.server.take() {
            server.stop(drained);
        }
        self.server = Some(Server::start(self.folder.path()));
    }

    fn act(&mut self, acts: &[Value]) -> Vec<Vec<String>> {
        #[derive(Deserialize)]
        struct Answer {
            said: Vec<Vec<String>>,
        }
        let answer: Answer = self.node.ask(&json!({ "ask": "act", "acts": acts }));
        answer.said
    }

    fn prints(&mut self) -> Vec<Print> {
        self.node.ask(&json!({ "ask": "prints" }))
    }

    fn load<B: AsRef<[u8]>>(&mut self, updates: &[B]) -> Print {
        self.node.load(updates, true)
    }
}

struct Party {
    dialect: Dialect,
    connection: Option<Connection>,
    /// Said, and not yet with the server.
    under_way: VecDeque<Bytes>,
    /// Document messages on this connection, and how many of them the server says are saved.
    sent: u64,
    saved: u64,
}

struct Session<'a> {
    bench: &'a mut Bench,
    doc: DocId,
    lossy: bool,
    marks: bool,
    parties: Vec<Party>,
    /// What the model said of its own accord: a new server is told again.
    clean_ups: Vec<Bytes>,
    /// Frames that the server was told and the model was not yet.
    to_tell: Vec<String>,
    /// The server was told all that the model knows, and by those who may.
    exact: bool,
    seen: Seen,
}

impl<'a> Session<'a> {
    fn begin(bench: &'a mut Bench, plan: &Plan, doc: DocId) -> Result<Self, String> {
        let _: Value = bench.node.ask(&json!({ "ask": "begin" }));
        let come: Vec<Value> = plan
            .people
            .iter()
            .map(|person| json!(["come", person.client, person.collects]))
            .collect();
        bench.act(&come);
        let party = |counts: bool| Party {
            dialect: if counts {
                Dialect::Coscribe
            } else {
                Dialect::YWebsocket
            },
            connection: None,
            under_way: VecDeque::new(),
            sent: 0,
            saved: 0,
        };
        let mut session = Self {
            bench,
            doc,
            lossy: plan.lossy,
            marks: plan.marks,
            parties: plan
                .people
                .iter()
                .map(|person| party(person.counts))
                .collect(),
            clean_ups: Vec::new(),
            to_tell: Vec::new(),
            exact: true,
            seen: Seen::default(),
        };
        let everybody: Vec<usize> = (0..session.parties.len()).collect();
        session.join_all(&everybody)?;
        Ok(session)
    }

    fn perform(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Edit { who, seed } => {
                let options = json!({ "lossy": self.lossy, "marks": self.marks });
                self.act(json!(["edit", who, seed, options]))?;
            }
            Op::Send { who, how } => self.send(who, how)?,
            Op::Hear { who } => {
                self.hear(who)?;
            }
            Op::Whisper { from, to } => {
                self.exact = false;
                self.act(json!(["whisper", from, to]))?;
            }
            Op::Leave { who } => self.leave(who),
            Op::Join { who } => self.join(who)?,
            Op::Unload => {
                let present = self.present();
                for who in &present {
                    self.leave(*who);
                }
                self.bench.server().until_unloaded();
                self.seen.unloads += 1;
                self.join_all(&present)?;
            }
            Op::Restart { drained } => {
                let present = self.present();
                for who in &present {
                    self.forget(*who);
                }
                self.seen.compactions += self.bench.server().compactions();
                self.bench.restart(drained);
                self.seen.restarts += 1;
                self.join_all(&present)?;
            }
            Op::Check => self.check()?,
        }
        Ok(())
    }

    /// Something happens in Node; what is said because of it is under way then.
    fn act(&mut self, act: Value) -> Result<(), String> {
        let mut acts = Vec::new();
        if !self.to_tell.is_empty() {
            acts.push(json!(["tell", std::mem::take(&mut self.to_tell)]));
        }
        acts.push(act);
        let said = self.bench.act(&acts);
        for (who, frames) in said.into_iter().enumerate() {
            let frames = frames.iter().map(|frame| Bytes::from(unhex(frame)));
            self.parties[who].under_way.extend(frames);
        }
        self.tell_clean_ups()
    }

    /// What Yjs cleans up in the model is told to the server at once: both have to do the same.
    fn tell_clean_ups(&mut self) -> Result<(), String> {
        while let Some(frame) = self.parties[MODEL].under_way.pop_front() {
            let update = y_websocket::update_of(&frame).ok_or("the model said no update")?;
            let scan = scan(&update, &ScanLimits::default()).map_err(|error| error.to_string())?;
            if !scan.runs.is_empty() {
                return Err("the model wrote something".into());
            }
            self.seen.clean_ups += 1;
            self.clean_ups.push(frame.clone());
            self.deliver(MODEL, &frame)?;
        }
        Ok(())
    }

    fn send(&mut self, who: usize, how: Delivery) -> Result<(), String> {
        if self.parties[who].connection.is_none() {
            return Ok(());
        }
        let under_way = &mut self.parties[who].under_way;
        let keep = match how {
            Delivery::LaterHalf => under_way.len() / 2,
            _ => 0,
        };
        let mut frames: Vec<Bytes> = under_way.drain(keep..).collect();
        match how {
            Delivery::InOrder | Delivery::LaterHalf => {}
            Delivery::Backwards => frames.reverse(),
            Delivery::Twice => frames = frames.iter().chain(&frames).cloned().collect(),
        }
        for frame in frames {
            self.deliver(who, &frame)?;
        }
        Ok(())
    }

    /// A frame reaches the server, and the model.
    fn deliver(&mut self, who: usize, frame: &Bytes) -> Result<(), String> {
        let mut messages = Vec::new();
        y_websocket::decode(frame, |message| messages.push(message))
            .map_err(|error| format!("a frame of Yjs can not be read: {error}"))?;
        self.seen.frames += 1;
        let party = &mut self.parties[who];
        let Some(connection) = &party.connection else {
            return Ok(());
        };
        let is_update = |message: &&ClientMessage| {
            matches!(
                message,
                ClientMessage::Update(_) | ClientMessage::SyncStep2(_)
            )
        };
        party.sent += messages.iter().filter(is_update).count() as u64;
        let event = Event::Messages {
            peer: connection.peer,
            messages,
        };
        self.bench.server().send(connection, event)?;
        if who != MODEL {
            self.to_tell.push(hex(frame));
        }
        Ok(())
    }

    /// Answers whether there was anything to hear.
    fn hear(&mut self, who: usize) -> Result<bool, String> {
        if self.parties[who].connection.is_none() {
            return Ok(false);
        }
        self.bench.server().export(&self.doc)?;
        let party = &mut self.parties[who];
        let Some(connection) = &party.connection else {
            return Ok(false);
        };
        let mut frames = Vec::new();
        let context = Context::from_waker(Waker::noop());
        while let Poll::Ready(next) = connection.outbox.poll_next(&context) {
            match next {
                Next::Frame(frame) if frame.first() == Some(&0) => frames.push(hex(&frame)),
                Next::Frame(frame) if frame.first() == Some(&1) => {}
                Next::Frame(frame) => {
                    return Err(format!(
                        "{who} was told {}",
                        String::from_utf8_lossy(&frame)
                    ));
                }
                Next::Saved(count) => party.saved += count,
                Next::Question => {}
                Next::Empty => {
                    let drained = Event::Drained(connection.peer);
                    self.bench.server().send(connection, drained)?;
                }
                Next::Close(close) => return Err(format!("{who} was closed: {close:?}")),
            }
        }
        if party.saved > party.sent {
            return Err(format!(
                "{} messages of {who} are called saved, {} were sent",
                party.saved, party.sent
            ));
        }
        let heard = !frames.is_empty();
        if heard && who != MODEL {
            self.act(json!(["hear", who, frames]))?;
        }
        Ok(heard && who != MODEL)
    }

    /// Who is connected.
    fn present(&self) -> Vec<usize> {
        let is_connected = |who: &usize| self.parties[*who].connection.is_some();
        (0..self.parties.len()).filter(is_connected).collect()
    }

    fn join_all(&mut self, people: &[usize]) -> Result<(), String> {
        people.iter().try_for_each(|who| self.join(*who))
    }

    fn join(&mut self, who: usize) -> Result<(), String> {
        if self.parties[who].connection.is_some() {
            return Ok(());
        }
        let connection = self
            .bench
            .server()
            .join(&self.doc, self.parties[who].dialect);
        let party = &mut self.parties[who];
        party.connection = Some(connection);
        (party.sent, party.saved) = (0, 0);
        party.under_way.clear();
        if who != MODEL {
            return self.act(json!(["greet", who]));
        }
        for frame in self.clean_ups.clone() {
            self.deliver(MODEL, &frame)?;
        }
        Ok(())
    }

    fn leave(&mut self, who: usize) {
        if let Some(connection) = &self.parties[who].connection {
            // A room that has ended has let its peers go.
            self.bench
                .server()
                .send(connection, Event::Left(connection.peer))
                .ok();
        }
        self.forget(who);
    }

    /// The connection is gone with what was under way on it.
    fn forget(&mut self, who: usize) {
        let party = &mut self.parties[who];
        party.connection = None;
        party.under_way.clear();
        self.exact = false;
    }

    /// Compares what the server holds and what it has stored with the model.
    fn check(&mut self) -> Result<(), String> {
        self.act(json!(["tell", []]))?;
        let export = self.bench.server().export(&self.doc)?;
        let kept = self.bench.server().kept(&self.doc)?;
        let model = self.bench.prints().swap_remove(MODEL);
        let same_ids = vector_of(&kept) == model.vector && deletes_of(&kept) == model.deletes;
        if !same_ids && !self.exact {
            return Ok(());
        }
        self.seen.checks += 1;
        self.compare(&model, &export, &kept)
    }

    fn compare(&mut self, model: &Print, export: &Bytes, kept: &Kept) -> Result<(), String> {
        let mut model = model.clone();
        // What waits in the model waits in the room, outside the replica.
        model.pending = false;
        differ("vector of the store", &model.vector, &vector_of(kept))?;
        differ("delete set of the store", &model.deletes, &deletes_of(kept))?;
        let exported = self.bench.load(&[export]);
        apart("the export", &model, &exported)?;
        let loaded = self.bench.load(&kept.updates);
        let what = if kept.has_snapshot {
            "snapshot and rows"
        } else {
            "the rows"
        };
        apart(what, &model, &loaded)?;
        if let (Some(doc), false) = (kept.replica.doc(), self.lossy) {
            let content: Value = serde_json::from_str(&model.content).unwrap();
            let (of_yjs, of_yrs) = (view::normal(content), view::normal(view::content(doc)));
            if of_yjs != of_yrs {
                return Err(format!("yrs shows something else:\n  {of_yjs}\n  {of_yrs}"));
            }
        }
        Ok(())
    }

    /// Everybody is there, and everything said is heard: then all must be equal.
    fn settle(&mut self) -> Result<(), String> {
        let everybody: Vec<usize> = (0..self.parties.len()).collect();
        self.join_all(&everybody)?;
        self.until_silent()?;
        // Somebody new, who may clean up what nobody has yet.
        self.parties.push(Party {
            dialect: Dialect::YWebsocket,
            connection: None,
            under_way: VecDeque::new(),
            sent: 0,
            saved: 0,
        });
        self.act(json!(["come", 0x7fff_fff0_u32, true]))?;
        self.join(self.parties.len() - 1)?;
        self.until_silent()?;
        let export = self.bench.server().export(&self.doc)?;
        let kept = self.bench.server().kept(&self.doc)?;
        let prints = self.bench.prints();
        if let Some(waits) = prints.iter().position(|print| print.pending) {
            return Err(format!("{waits} still waits for something"));
        }
        self.compare(&prints[MODEL], &export, &kept)?;
        for (who, print) in prints.iter().enumerate() {
            apart(&format!("person {who}"), &prints[MODEL], print)?;
        }
        for (who, party) in self.parties.iter().enumerate().skip(1) {
            if party.dialect == Dialect::Coscribe && party.saved != party.sent {
                return Err(format!(
                    "of {} messages of {who}, {} are saved",
                    party.sent, party.saved
                ));
            }
        }
        for who in 0..self.parties.len() {
            self.leave(who);
        }
        self.bench.server().until_unloaded();
        // The room has tidied up behind itself.
        let kept = self.bench.server().kept(&self.doc)?;
        let loaded = self.bench.load(&kept.updates);
        apart("what the room left", &prints[MODEL], &loaded)?;
        self.bench.server().compact(&self.doc)?;
        let kept = self.bench.server().kept(&self.doc)?;
        self.compare(&prints[MODEL], &export, &kept)
    }

    fn until_silent(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            let mut silent = true;
            for who in 0..self.parties.len() {
                silent &= self.parties[who].under_way.is_empty();
                self.send(who, Delivery::InOrder)?;
                silent &= !self.hear(who)?;
            }
            silent &= self.to_tell.is_empty();
            self.act(json!(["tell", []]))?;
            if silent {
                return Ok(());
            }
        }
        Err(format!("people still talk after {ROUNDS} rounds"))
    }
}

fn vector_of(kept: &Kept) -> String {
    let known: &StateVector = kept.replica.known();
    let mut entries: Vec<_> = known.iter().collect();
    entries.sort_unstable();
    json!(entries).to_string()
}

fn deletes_of(kept: &Kept) -> String {
    let deleted: &IdSet = kept.replica.deleted();
    let mut clients: Vec<(u64, Vec<(u32, u32)>)> = Vec::new();
    let mut ranges: Vec<_> = deleted.iter().collect();
    ranges.sort_unstable_by_key(|range| (range.client, range.start));
    for range in ranges {
        let piece = (range.start, range.end - range.start);
        match clients.last_mut() {
            Some((client, pieces)) if *client == range.client => pieces.push(piece),
            _ => clients.push((range.client, vec![piece])),
        }
    }
    json!(clients).to_string()
}

fn apart(what: &str, model: &Print, other: &Print) -> Result<(), String> {
    differ(&format!("vector of {what}"), &model.vector, &other.vector)?;
    differ(
        &format!("delete set of {what}"),
        &model.deletes,
        &other.deletes,
    )?;
    differ(
        &format!("content of {what}"),
        &model.content,
        &other.content,
    )
}

fn differ(what: &str, model: &str, other: &str) -> Result<(), String> {
    if model == other {
        return Ok(());
    }
    let same = model
        .bytes()
        .zip(other.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let around = |text: &str| {
        let from = text.floor_char_boundary(same.saturating_sub(150));
        let to = text.floor_char_boundary((same + 150).min(text.len()));
        text[from..to].to_owned()
    };
    Err(format!(
        "{what} differs at {same}:\n  Yjs:  {}\n  ours: {}",
        around(model),
        around(other)
    ))
}
