//! What happens in a history: people edit, come and go, and the server crashes and comes back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep},
};

use super::{
    disk::Disk,
    history::Log,
    network::Line,
    nodes::Nodes,
    person::Person,
    scenario::{Crash, Scenario},
    server::SimulatedClock,
    verdict,
};
use crate::{
    converge::{
        plan::{Edit, Verb},
        random::Random,
        token::contents,
    },
    document::id::DocId,
    protocol::Dialect,
    room::{
        event::{Command, PeerId},
        planted,
    },
};

/// The longest pause between two things that people do, in milliseconds.
const PAUSE: u64 = 20;
/// Virtual time in which everybody must be equal once nothing breaks any more.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest that a server does not notice that a line was cut, in milliseconds.
const UNNOTICED: u64 = 3_000;
const DAY: i64 = 24 * 60 * 60 * 1_000;

pub struct World {
    pub scenario: Scenario,
    pub disk: Arc<Disk>,
    random: Mutex<Random>,
    people: Vec<Mutex<Person>>,
    progress: Mutex<Progress>,
    failure: Mutex<Option<String>>,
    failed: Notify,
    log: Mutex<Log>,
    pub clock: Arc<SimulatedClock>,
}

#[derive(Default)]
struct Progress {
    edits: u32,
    step: u32,
    peers: PeerId,
    /// How many of the scenario's crashes are over.
    crashes: usize,
}

/// Why one process of the server ended.
pub enum Ended {
    Crashed(Crash),
    Settled,
    Failed,
}

impl World {
    pub fn new(scenario: Scenario, verbose: bool) -> Self {
        let mut random = Random::new(scenario.seed ^ 0x5eed);
        let people = (0..scenario.people)
            .map(|number| {
                let doc = DocId::parse(&format!("doc{}", number % scenario.documents));
                // Refused messages are not counted as saved, which the count of a person could not tell apart.
                let counts = random.below(2) == 0 && scenario.limits.uncommitted_bytes > 1_000;
                let dialect = if counts {
                    Dialect::Coscribe
                } else {
                    Dialect::YWebsocket
                };
                let client = 1 + random.below(1 << 32);
                Mutex::new(Person::new(number, client, doc.expect("a name"), dialect))
            })
            .collect();
        Self {
            disk: Disk::new(&scenario),
            random: Mutex::new(random),
            people,
            progress: Mutex::default(),
            failure: Mutex::default(),
            failed: Notify::new(),
            log: Mutex::new(Log::new(verbose)),
            clock: Arc::default(),
            scenario,
        }
    }

    /// One process of the server after the other.
    pub fn live_on(self: &Arc<Self>) -> Ended {
        loop {
            let ended = self.serve();
            let Ended::Crashed(crash) = ended else {
                return ended;
            };
            self.crashed(crash);
            if self.failure().is_some() {
                return Ended::Failed;
            }
        }
    }

    /// Lives until this process of the server ends.
    fn serve(self: &Arc<Self>) -> Ended {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            self.log().set_start(Some(Instant::now()));
            self.note(|| "the server starts".into());
            let mut nodes = Nodes::start(self);
            let fatal = nodes.fatal.clone();
            tokio::select! {
                biased;
                () = self.failed.notified() => Ended::Failed,
                () = self.disk.halted.notified() => {
                    let crashes = self.progress().crashes;
                    Ended::Crashed(self.scenario.crashes.get(crashes).map_or(Crash::Kill, |crash| crash.1))
                }
                // What a failed sync left is unknown, as after a power cut.
                () = fatal.notified() => Ended::Crashed(Crash::PowerCut),
                () = self.disk.failed.notified() => Ended::Crashed(Crash::PowerCut),
                ended = self.live(&mut nodes) => ended,
            }
        })
    }

    /// People do things until the next crash, or until all is done.
    async fn live(self: &Arc<Self>, nodes: &mut Nodes) -> Ended {
        loop {
            sleep(Duration::from_millis(self.below(PAUSE))).await;
            let (edits, crashes) = {
                let progress = self.progress();
                (progress.edits, progress.crashes)
            };
            match self.scenario.crashes.get(crashes) {
                Some((at, Crash::Stop, _)) if *at <= edits => {
                    self.note(|| "the server is told to stop".into());
                    self.disk.heal();
                    for server in nodes.all() {
                        let left = server.registry.drain(Duration::from_secs(60)).await;
                        if left > 0 {
                            self.fail(format!("{left} rooms did not end"));
                        }
                    }
                    return Ended::Crashed(Crash::Stop);
                }
                Some((at, _, true)) if *at <= edits => self.disk.halt_soon(),
                Some((at, crash, false)) if *at <= edits => return Ended::Crashed(*crash),
                None if edits >= self.scenario.edits => return self.settle(nodes).await,
                _ => {}
            }
            self.act(nodes);
        }
    }

    /// One thing happens.
    fn act(self: &Arc<Self>, nodes: &mut Nodes) {
        let who = self.below(self.people.len() as u64) as usize;
        let scenario = &self.scenario;
        match self.below(100) {
            dice if dice < scenario.cuts => self.cut(nodes, who),
            10..46 => self.connect(nodes, who),
            46 => self.export(nodes, who),
            47 => self.rename(nodes, who),
            48 => self.clock.jump(self.below(2 * DAY as u64) as i64 - DAY),
            49 if scenario.disk_trouble => self.fill_disk(),
            50 if scenario.disk_trouble && self.chance(30) => {
                self.note(|| "the next sync fails".into());
                self.disk.fail_next_sync();
            }
            51 if scenario.panics => {
                let steps = self.below(10) as u32;
                self.note(|| format!("a step panics after {steps}"));
                planted::panic_in(Some(steps));
            }
            52 if nodes.all().len() > 1 => self.kill(nodes),
            _ => self.edit(who),
        }
    }

    /// The process of one node is killed, and the others go on.
    fn kill(self: &Arc<Self>, nodes: &mut Nodes) {
        let node = self.some_node();
        self.note(|| format!("node {node} is killed"));
        nodes.replace(self, node);
        for person in self.everybody() {
            let mut person = lock(person);
            if person.line.as_ref().is_some_and(|line| line.node == node) {
                person.line = None;
            }
        }
    }

    fn cut(&self, nodes: &Nodes, who: usize) {
        let Some(line) = self.person(who).line.take() else {
            return;
        };
        let heard_after = if self.chance(50) {
            0
        } else {
            self.below(UNNOTICED)
        };
        self.note(|| format!("{who} is cut off, heard of after {heard_after} ms"));
        let server = nodes.get(line.node);
        line.cut(server, Duration::from_millis(heard_after));
    }

    fn fill_disk(&self) {
        let full = self.chance(60);
        self.note(|| format!("the disk is full: {full}"));
        self.disk.set_full(full);
    }

    fn connect(self: &Arc<Self>, nodes: &Nodes, who: usize) {
        if self.person(who).line.is_some() {
            return;
        }
        let node = self.some_node();
        if let Some(line) = Line::open(self, (node, nodes.get(node)), who) {
            let mut person = self.person(who);
            let greeting = person.greet();
            let line = person.line.insert(line);
            line.send(self, greeting);
        }
    }

    fn edit(&self, who: usize) {
        let edit = Edit {
            on: *self.of(&self.scenario.workloads),
            verb: *self.of(&[
                Verb::Insert,
                Verb::Insert,
                Verb::Type,
                Verb::Delete,
                Verb::Format,
            ]),
            place: self.below(1 << 16) as u16,
            span: 1 + self.below(3) as u8,
        };
        let step = {
            let mut progress = self.progress();
            progress.edits += 1;
            progress.step += 1;
            progress.step
        };
        self.log().count().edits += 1;
        let mut person = self.person(who);
        let frames = person.edit(edit, step);
        self.note(|| format!("{who} does {step}: {edit:?}, {} frames", frames.len()));
        if let Some(line) = &mut person.line {
            for frame in frames {
                line.send(self, frame);
            }
        }
    }

    /// What the server exports must be durable, too.
    fn export(self: &Arc<Self>, nodes: &Nodes, who: usize) {
        let server = nodes.get(self.some_node());
        let doc = self.person(who).doc.clone();
        let (reply, answer) = oneshot::channel::<Bytes>();
        if server
            .registry
            .command(&doc, Command::Export(reply))
            .is_err()
        {
            return;
        }
        let world = self.clone();
        server.spawn(async move {
            // The room may end before it answers.
            let Ok(update) = answer.await else { return };
            match contents(&update, false) {
                Ok(shown) => {
                    if let Some(lost) = world.disk.would_lose(&doc, &shown) {
                        world.fail(format!("an export showed {lost}, which is not durable"));
                    }
                }
                Err(error) => world.fail(format!("an export is no update: {error}")),
            }
        });
    }

    fn rename(&self, nodes: &Nodes, who: usize) {
        let server = nodes.get(self.some_node());
        let doc = self.person(who).doc.clone();
        let (reply, _) = oneshot::channel();
        let rename = Command::Rename {
            title: format!("title {}", self.below(1_000)),
            author: "somebody".into(),
            client: 1 + self.below(1 << 31) as u32,
            reply,
        };
        // Refused while the server stops.
        server.registry.command(&doc, rename).ok();
    }

    /// Nothing breaks any more, and nobody who is connected connects again: all must become equal.
    async fn settle(self: &Arc<Self>, nodes: &Nodes) -> Ended {
        self.note(|| "all is done".into());
        planted::panic_in(None);
        self.disk.settle();
        let started = Instant::now();
        let difference = loop {
            for who in 0..self.people.len() {
                self.connect(nodes, who);
            }
            match verdict::apart(self) {
                Some(apart) if started.elapsed() > PATIENCE => break Some(apart),
                Some(_) => sleep(Duration::from_millis(50)).await,
                None => break None,
            }
        };
        if let Some(apart) = difference {
            self.fail(format!("still apart: {apart}"));
            return Ended::Failed;
        }
        // What is on its way may still be said twice.
        sleep(Duration::from_secs(5)).await;
        verdict::at_the_end(self);
        for server in nodes.all() {
            let uncommitted = server.metrics.uncommitted_bytes.get();
            if uncommitted != 0 {
                self.fail(format!("{uncommitted} bytes are still on the books"));
            }
        }
        if self.failure().is_some() {
            return Ended::Failed;
        }
        Ended::Settled
    }

    /// The process has ended: the next one must find everything that anybody is sure of.
    fn crashed(&self, crash: Crash) {
        planted::panic_in(None);
        // Without a runtime there is no virtual time.
        self.log().set_start(None);
        let lost = self.disk.reopen_after(crash);
        self.note(|| format!("{crash:?}, {lost} transactions lost"));
        self.progress().crashes += 1;
        let mut log = self.log();
        log.count().crashes += 1;
        log.count().lost += lost as u64;
        drop(log);
        for person in self.everybody() {
            lock(person).line = None;
        }
        verdict::after_a_crash(self);
    }

    pub fn person(&self, number: usize) -> MutexGuard<'_, Person> {
        lock(&self.people[number])
    }

    pub fn everybody(&self) -> &[Mutex<Person>] {
        &self.people
    }

    pub fn below(&self, end: u64) -> u64 {
        lock(&self.random).below(end)
    }

    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An id for a connection, whichever node it ends at.
    pub fn next_peer(&self) -> PeerId {
        let mut progress = self.progress();
        progress.peers += 1;
        progress.peers
    }

    /// With one there is nothing to draw.
    fn some_node(&self) -> usize {
        match self.scenario.nodes {
            1 => 0,
            nodes => self.below(u64::from(nodes)) as usize,
        }
    }

    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.below(self.scenario.latency + 1))
    }

    /// Notes a broken promise; the first one counts.
    pub fn fail(&self, what: String) {
        lock(&self.failure).get_or_insert(what);
        self.failed.notify_one();
    }

    /// Notes what happens.
    pub fn note(&self, what: impl FnOnce() -> String) {
        self.log().note(&what());
    }

    pub fn count_frame(&self) {
        self.log().count().frames += 1;
    }

    fn of<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    pub fn failure(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.failure)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
