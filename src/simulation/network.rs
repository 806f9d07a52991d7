//! Lines between people and the server: slow, and cut without a word; but within a line nothing is lost or overtaken.
//!
//! What leaves a room is checked before it goes on its way.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{person::Person, server::Server, world::World};
use crate::{
    converge::token::contents,
    document::id_set::IdRange,
    protocol::{ClientMessage, Dialect, ServerMessage, y_websocket},
    room::{
        event::{Event, Join, PeerId},
        mailbox::Mailbox,
        outbox::{Next, Outbox},
    },
};

/// Frames on their way to a person who reads slowly, and to others.
const SLOW_WINDOW: usize = 1;
const WINDOW: usize = 64;
/// Frames that a person may have on the way to the server.
const MOST_SAID: usize = 10_000;
/// How long a socket whose room is gone waits to hear why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The longest that a slow person takes for a frame, in milliseconds.
const SLOW_READ: u64 = 400;

/// A person's side of a connection.
pub struct Line {
    up: mpsc::Sender<(Instant, Bytes)>,
    arrives: Instant,
    tasks: [AbortHandle; 3],
    peer: PeerId,
    /// Where it ends.
    pub node: usize,
    outbox: Arc<Outbox>,
    mailbox: Arc<Mailbox>,
}

/// What comes down a line.
enum Down {
    Frame(Bytes),
    Closed,
}

impl Line {
    /// Connects a person to a node. `None` when it takes nobody.
    pub fn open(
        world: &Arc<World>,
        (node, server): (usize, &Server),
        person: usize,
    ) -> Option<Self> {
        let (doc, dialect) = {
            let person = world.person(person);
            (person.doc.clone(), person.dialect)
        };
        let outbox = Arc::new(Outbox::default());
        let peer = world.next_peer();
        let join = Join {
            peer,
            outbox: outbox.clone(),
            dialect,
            author: None,
            epoch: None,
        };
        let mailbox = server.registry.join(&doc, join).ok()?;
        let slow = world.chance(world.scenario.slow);
        let (up, sent) = mpsc::channel(MOST_SAID);
        let (leaves, comes) = mpsc::channel(if slow { SLOW_WINDOW } else { WINDOW });
        world.note(|| {
            format!(
                "{person} connects as {peer} to {node}{}",
                if slow { ", slow" } else { "" }
            )
        });
        let wire = Wire {
            world: world.clone(),
            person,
            peer,
            dialect,
            outbox: outbox.clone(),
            mailbox: mailbox.clone(),
        };
        let tasks = [
            server.spawn(wire.clone().up(sent)),
            server.spawn(wire.clone().leave(leaves)),
            server.spawn(wire.arrive(comes, slow)),
        ];
        Some(Self {
            up,
            arrives: Instant::now(),
            tasks,
            peer,
            node,
            outbox,
            mailbox,
        })
    }

    /// Sends a frame, behind everything that is on its way.
    pub fn send(&mut self, world: &World, frame: Bytes) {
        self.arrives = self.arrives.max(Instant::now() + world.latency());
        if let Err(TrySendError::Full(_)) = self.up.try_send((self.arrives, frame)) {
            world.fail("a person says more than a line holds".into());
        }
    }

    /// Breaks the line: what is on its way is lost. The server hears of it after a while.
    pub fn cut(self, server: &Server, heard_after: Duration) {
        for task in &self.tasks {
            task.abort();
        }
        server.spawn(async move {
            sleep(heard_after).await;
            leave(&self.outbox, &self.mailbox, self.peer);
        });
    }
}

/// Both directions of one line.
#[derive(Clone)]
struct Wire {
    world: Arc<World>,
    person: usize,
    peer: PeerId,
    dialect: Dialect,
    outbox: Arc<Outbox>,
    mailbox: Arc<Mailbox>,
}

impl Wire {
    async fn up(self, mut sent: mpsc::Receiver<(Instant, Bytes)>) {
        while let Some((arrives, frame)) = sent.recv().await {
            sleep_until(arrives).await;
            let mut messages = Vec::new();
            y_websocket::decode(&frame, |message| messages.push(message)).expect("a frame");
            self.world
                .note(|| format!("{} says {}", self.person, in_words(&messages)));
            let event = Event::Messages {
                peer: self.peer,
                messages,
            };
            if self.mailbox.send(event, frame.len()).await.is_err() {
                // The room has ended. Sockets wait so long for its last words.
                sleep(LAST_WORDS).await;
                return self.hang_up(&mut self.world.person(self.person));
            }
        }
    }

    /// What leaves the room, and the check of it.
    async fn leave(self, line: mpsc::Sender<(Instant, Down)>) {
        let mut arrives = Instant::now();
        loop {
            let down = match self.outbox.next().await {
                Next::Frame(frame) => {
                    self.check(&frame);
                    Down::Frame(frame)
                }
                Next::Saved(count) => {
                    self.check_promise(count);
                    match self.dialect.encode(ServerMessage::Saved(count)) {
                        Some(frame) => Down::Frame(frame),
                        None => continue,
                    }
                }
                // Everybody answers pings here.
                Next::Question => continue,
                Next::Empty => {
                    // A room that is gone has closed this line, too.
                    self.mailbox.post(Event::Drained(self.peer)).ok();
                    continue;
                }
                Next::Close(close) => {
                    self.world
                        .note(|| format!("{} is closed: {}", self.peer, close.reason));
                    Down::Closed
                }
            };
            let closed = matches!(down, Down::Closed);
            arrives = arrives.max(Instant::now() + self.world.latency());
            if line.send((arrives, down)).await.is_err() || closed {
                leave(&self.outbox, &self.mailbox, self.peer);
                return;
            }
        }
    }

    async fn arrive(self, mut line: mpsc::Receiver<(Instant, Down)>, slow: bool) {
        while let Some((arrives, down)) = line.recv().await {
            sleep_until(arrives).await;
            if slow {
                sleep(Duration::from_millis(self.world.below(SLOW_READ))).await;
            }
            let mut person = self.world.person(self.person);
            let Down::Frame(frame) = down else {
                return self.hang_up(&mut person);
            };
            // Nobody listens to a line that was given up, and what it still says is not about the next one.
            if !self.is_line_of(&person) {
                return;
            }
            self.world
                .note(|| format!("{} hears {}", self.person, heard(&frame)));
            let answers = person.take(&frame);
            if person.has_gap() {
                self.world.fail(format!(
                    "{} was sent something before what it refers to",
                    self.person
                ));
            }
            if let Some(line) = &mut person.line {
                for answer in answers {
                    line.send(&self.world, answer);
                }
            }
        }
    }

    /// The person sees that this line is closed.
    fn hang_up(&self, person: &mut Person) {
        if self.is_line_of(person) {
            person.line = None;
        }
    }

    fn is_line_of(&self, person: &Person) -> bool {
        let line = person.line.as_ref();
        line.is_some_and(|line| line.peer == self.peer)
    }

    /// What is said to be saved must be durable.
    fn check_promise(&self, count: u64) {
        let (doc, (promised, sent)) = {
            let mut person = self.world.person(self.person);
            (person.doc.clone(), person.promise(count))
        };
        if !sent {
            self.world
                .fail(format!("{} was told of more than it sent", self.person));
        }
        for message in &promised {
            if let Some(lost) = self.world.disk.would_lose(&doc, message) {
                self.world.fail(format!(
                    "{} was told that {lost} is saved, and it is not durable",
                    self.person
                ));
            }
        }
    }

    /// All that a frame shows must be durable when it leaves the room.
    fn check(&self, frame: &Bytes) {
        self.world.count_frame();
        let Some(update) = y_websocket::update_of(frame) else {
            return;
        };
        let shown = match contents(&update, false) {
            Ok(shown) => shown,
            Err(error) => return self.world.fail(format!("a frame holds no update: {error}")),
        };
        let doc = self.world.person(self.person).doc.clone();
        if let Some(lost) = self.world.disk.would_lose(&doc, &shown) {
            self.world.fail(format!(
                "{} was shown {lost}, which is not durable",
                self.person
            ));
        }
    }
}

/// The server has found out that a peer is gone.
fn leave(outbox: &Outbox, mailbox: &Mailbox, peer: PeerId) {
    outbox.abandon();
    // A room that is gone needs not hear it.
    mailbox.post(Event::Left(peer)).ok();
}

/// Messages as the trace shows them.
fn in_words(messages: &[ClientMessage]) -> String {
    let words = messages.iter().map(|message| match message {
        ClientMessage::SyncStep1(vector) => format!("step 1 of {} bytes", vector.len()),
        ClientMessage::SyncStep2(update) => format!("step 2 {}", shown(update)),
        ClientMessage::Update(update) => format!("update {}", shown(update)),
        ClientMessage::Awareness(_) | ClientMessage::QueryAwareness => "presence".into(),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn heard(frame: &Bytes) -> String {
    let mut messages = Vec::new();
    y_websocket::decode(frame, |message| messages.push(message)).ok();
    match messages.is_empty() {
        true => format!("{:?}", frame.slice(..frame.len().min(3))),
        false => in_words(&messages),
    }
}

fn shown(update: &Bytes) -> String {
    let Ok(contents) = contents(update, false) else {
        return "that is none".into();
    };
    // A hash map of Yjs' library decides on the order in which an update names its deletions.
    let words = |ranges: &[IdRange]| {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable();
        let words = ranges
            .iter()
            .map(|range| format!(" {}:{}..{}", range.client, range.start, range.end));
        words.collect::<String>()
    };
    format!(
        "+{} -{}",
        words(&contents.structs),
        words(&contents.deletes)
    )
}
