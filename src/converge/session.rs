//! One run of a plan against a server: everybody lives, the dust settles, a newcomer looks, and the end is checked.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use yrs::Update;

use super::{
    check::{Finding, Kind, Print, check, reach},
    export,
    ledger::contains,
    person::{Happening, Person, Shared, State},
    plan::{Plan, Step, What},
    server::Server,
};
use crate::document::replica::doc_with;

/// Everybody has to be connected by then, before anything else happens.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
/// Whoever lost the connection gets at least this long to come back.
const RETURN_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(15);
/// Nothing has happened for so long: worth a look whether all are equal.
const CALM: Duration = Duration::from_millis(45);

/// Where the documents are.
pub struct Target {
    /// The WebSocket address that the document's name is appended to.
    pub url: String,
    /// Where the server gives the state of a document as a Yjs update; `{document}` stands for its name.
    pub export: Option<String>,
    /// Present when the tool may kill and start it.
    pub server: Option<Mutex<Server>>,
}

/// How a run is carried out.
pub struct Conduct<'a> {
    /// Without any message for so long, what has not come will not come.
    pub settle: Duration,
    /// Ends the run early.
    pub stop: CancellationToken,
    /// Told how many milliseconds of how many have passed.
    pub progress: &'a (dyn Fn(u32, u32) + Sync),
}

/// The run did not take place; nothing can be said about convergence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotRun(pub String);

/// What became of one person.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Fate {
    pub client: u16,
    pub steps: usize,
    /// Tokens that it wrote.
    pub written: usize,
    /// Of these, how many came back from the server.
    pub acknowledged: usize,
    /// Of these, how many reached somebody else.
    pub seen: usize,
    pub connections: u32,
    pub dead: bool,
}

impl Fate {
    /// What the columns of a table of people are called.
    pub const COLUMNS: [&str; 6] = [
        "client",
        "steps",
        "tokens",
        "acknowledged",
        "seen by others",
        "connections",
    ];

    /// The numbers in these columns.
    pub fn cells(&self) -> [usize; 6] {
        [
            usize::from(self.client),
            self.steps,
            self.written,
            self.acknowledged,
            self.seen,
            self.connections as usize,
        ]
    }

    /// What is said behind them.
    pub fn remark(&self) -> &'static str {
        if self.dead { "died" } else { "" }
    }
}

/// The end of a run.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    pub document: String,
    /// Empty: everybody converged and nothing was lost.
    pub findings: Vec<Finding>,
    pub fates: Vec<Fate>,
    pub happenings: Vec<Happening>,
    /// Milliseconds from the last step until all were equal or nothing moved any more.
    pub settled_after: u32,
    pub duration: u32,
    /// The run was ended early: what is missing may have been on its way.
    pub interrupted: bool,
    /// Tokens that are there in the end.
    pub visible: usize,
    /// Whose replicas were compared.
    pub compared: Vec<String>,
    #[serde(skip)]
    pub done: BTreeMap<u32, u32>,
}

impl Outcome {
    pub fn converged(&self) -> bool {
        self.findings.is_empty() && !self.interrupted
    }
}

/// Runs the plan on a fresh document.
pub async fn run(
    target: &Target,
    plan: &Plan,
    conduct: &Conduct<'_>,
) -> Result<Outcome, CannotRun> {
    let document = format!("converge-{}-{:016x}", plan.seed, rand::random::<u64>());
    let mut crowd = Crowd::gather(target, plan, &document);
    crowd.wait_until_joined(target, conduct).await?;
    let begun = crowd.begin();
    let kills = crowd.live(target, plan, conduct, begun).await?;
    let ended = Instant::now();
    let interrupted = conduct.stop.is_cancelled();
    if !interrupted {
        settle(&crowd.people, conduct).await;
    }
    let mut prints = Vec::new();
    if !interrupted {
        let fresh = crowd.newcomer(target, plan, &document);
        let mut all = crowd.people.clone();
        all.push(fresh.clone());
        settle(&all, conduct).await;
        prints.push(Print::of("a fresh client", &fresh.lock().doc));
    }
    let settled_after = milliseconds(ended.elapsed());
    let mut findings = Vec::new();
    if let Some(address) = target.export.as_deref().filter(|_| !interrupted) {
        let address = address.replace("{document}", &document);
        match exported(&address, prints.first(), conduct.settle).await {
            Ok(print) => prints.push(print),
            Err(error) => findings.push(Finding::new(
                Kind::Broken,
                format!("the export {address}: {error}"),
            )),
        }
    }
    let people = crowd.people.clone();
    findings.extend(crowd.disperse().await);
    let states: Vec<_> = people.iter().map(Shared::lock).collect();
    let states: Vec<&State> = states.iter().map(|state| &**state).collect();
    findings.extend(judge(&mut prints, &states, interrupted));
    Ok(Outcome {
        document,
        findings,
        fates: fates(plan, &states),
        happenings: happenings(&states, kills),
        settled_after,
        duration: milliseconds(begun.elapsed()),
        interrupted,
        visible: prints
            .first()
            .map_or(0, |print| print.tokens.values().map(Vec::len).sum()),
        compared: prints.into_iter().map(|print| print.who).collect(),
        done: states
            .iter()
            .flat_map(|state| state.ledger.done.clone())
            .collect(),
    })
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// The people of one run and their tasks.
struct Crowd {
    people: Vec<Shared>,
    tasks: JoinSet<()>,
    start: watch::Sender<Option<Instant>>,
    stop: CancellationToken,
}

impl Crowd {
    fn gather(target: &Target, plan: &Plan, document: &str) -> Self {
        let mut crowd = Self {
            people: Vec::new(),
            tasks: JoinSet::new(),
            start: watch::channel(None).0,
            stop: CancellationToken::new(),
        };
        for number in 0..plan.clients {
            let mine = |step: &&Step| matches!(step.what, What::Client(who, _) if who == number);
            let steps = plan.steps.iter().filter(mine).copied().collect();
            let shared = crowd.add(target, plan, document, number, steps);
            crowd.people.push(shared);
        }
        crowd
    }

    fn newcomer(&mut self, target: &Target, plan: &Plan, document: &str) -> Shared {
        self.add(target, plan, document, plan.clients, VecDeque::new())
    }

    fn add(
        &mut self,
        target: &Target,
        plan: &Plan,
        document: &str,
        number: u16,
        steps: VecDeque<Step>,
    ) -> Shared {
        let url = format!("{}/{document}", target.url.trim_end_matches('/'));
        let shared = Shared::new(number, plan.client_id(number));
        let person = Person::new(shared.clone(), url, steps);
        self.tasks
            .spawn(person.live(self.start.subscribe(), self.stop.clone()));
        shared
    }

    async fn wait_until_joined(
        &self,
        target: &Target,
        conduct: &Conduct<'_>,
    ) -> Result<(), CannotRun> {
        let deadline = Instant::now() + JOIN_PATIENCE;
        let mut refused_since = None;
        loop {
            let mut missing = self.people.iter().filter(|person| !person.lock().synced);
            let Some(one) = missing.next() else {
                return Ok(());
            };
            let error = one.lock().last_error.clone();
            if error.is_none() {
                refused_since = None;
            } else {
                refused_since.get_or_insert_with(Instant::now);
            }
            let refused =
                refused_since.is_some_and(|since| since.elapsed() > Duration::from_secs(2));
            if refused || Instant::now() > deadline || conduct.stop.is_cancelled() {
                let why = error.unwrap_or_else(|| {
                    "it accepts connections but does not answer sync step 1; does it speak y-websocket at this path?".to_owned()
                });
                return Err(CannotRun(format!(
                    "no session at {}: {why}; start the server there, or give another --url",
                    target.url
                )));
            }
            sleep(POLL).await;
        }
    }

    fn begin(&self) -> Instant {
        let now = Instant::now();
        self.start.send_replace(Some(now));
        now
    }

    /// Lets the plan's time pass, and kills the server where the plan says so.
    async fn live(
        &self,
        target: &Target,
        plan: &Plan,
        conduct: &Conduct<'_>,
        begun: Instant,
    ) -> Result<Vec<Happening>, CannotRun> {
        let mut kills: VecDeque<&Step> = plan
            .steps
            .iter()
            .filter(|step| step.what == What::KillServer)
            .collect();
        let mut done = Vec::new();
        loop {
            let now = milliseconds(begun.elapsed());
            (conduct.progress)(now.min(plan.length()), plan.length());
            if let Some(kill) = kills.pop_front_if(|kill| kill.at <= now) {
                done.push(restart(target, kill, begun).await?);
                continue;
            }
            if (now > plan.length() && kills.is_empty()) || conduct.stop.is_cancelled() {
                return Ok(done);
            }
            sleep(POLL).await;
        }
    }

    /// Ends everybody; a panic of one of them is a finding.
    async fn disperse(mut self) -> Vec<Finding> {
        self.stop.cancel();
        let mut findings = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                findings.push(Finding::new(
                    Kind::Broken,
                    format!("a replica could not go on: {error}"),
                ));
            }
        }
        findings
    }
}

async fn restart(target: &Target, kill: &Step, begun: Instant) -> Result<Happening, CannotRun> {
    let at = milliseconds(begun.elapsed());
    let Some(server) = &target.server else {
        return Err(CannotRun(format!(
            "step {} kills the server, which needs --server-cmd, or no --url",
            kill.id
        )));
    };
    let mut server = server.lock().await;
    server.kill().await;
    server
        .start()
        .await
        .map_err(|error| CannotRun(format!("the server did not start again: {error:#}")))?;
    Ok(Happening {
        at,
        client: None,
        what: "killed and started again".to_owned(),
        lasts: milliseconds(begun.elapsed()) - at,
        is_edit: false,
    })
}

/// Waits until all survivors are connected, have nothing under way and are equal, or until nothing moves any more.
async fn settle(people: &[Shared], conduct: &Conduct<'_>) {
    let mut activity = u64::MAX;
    let mut moved = Instant::now();
    while !conduct.stop.is_cancelled() {
        let (mut now, mut home) = (0, true);
        for person in people {
            let state = person.lock();
            now += state.activity;
            home &= state.dead || (state.synced && state.idle);
        }
        if now != activity {
            (activity, moved) = (now, Instant::now());
        }
        let still = moved.elapsed();
        if home && still >= CALM && all_equal(people) {
            return;
        }
        let patience = if home {
            conduct.settle
        } else {
            conduct.settle.max(RETURN_PATIENCE)
        };
        if still >= patience {
            return;
        }
        sleep(POLL).await;
    }
}

fn all_equal(people: &[Shared]) -> bool {
    let mut reaches = people.iter().filter_map(|person| {
        let state = person.lock();
        (!state.dead).then(|| reach(&state.doc))
    });
    let first = reaches.next();
    reaches.all(|reach| Some(reach) == first)
}

/// The server's own view. It is asked again until it equals what the newcomer has, or for as long as things settle.
async fn exported(
    address: &str,
    wanted: Option<&Print>,
    settle: Duration,
) -> Result<Print, String> {
    use yrs::{Transact as _, updates::decoder::Decode as _};
    let deadline = Instant::now() + settle;
    loop {
        let update = export::get(address).await?;
        let doc = doc_with(1);
        let update = Update::decode_v1(&update).map_err(|error| error.to_string())?;
        doc.transact_mut()
            .apply_update(update)
            .map_err(|error| error.to_string())?;
        let print = Print::of("the server's export", &doc);
        let equal = wanted
            .is_none_or(|wanted| wanted.vector == print.vector && wanted.deletes == print.deletes);
        if equal || Instant::now() > deadline {
            return Ok(print);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Takes the survivors' prints and applies the end conditions. An early end leaves only what can not be excused by it.
fn judge(prints: &mut Vec<Print>, states: &[&State], interrupted: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for state in states.iter().filter(|state| !state.dead) {
        if !state.synced && !interrupted {
            let why = state.last_error.as_deref().unwrap_or("it was not answered");
            let what = format!("client {} could not come back: {why}", state.number);
            findings.push(Finding::new(Kind::Unreachable, what));
        }
        prints.push(Print::of(format!("client {}", state.number), &state.doc));
    }
    if !interrupted {
        findings.extend(check(prints, states));
    }
    findings
}

fn fates(plan: &Plan, states: &[&State]) -> Vec<Fate> {
    let fate = |state: &&State| {
        let seen = state.ledger.written.iter().filter(|written| {
            states.iter().any(|other| {
                other.number != state.number && contains(&other.ledger.arrived, written.ids)
            })
        });
        Fate {
            client: state.number,
            steps: plan
                .steps
                .iter()
                .filter(|step| matches!(step.what, What::Client(who, _) if who == state.number))
                .count(),
            written: state.ledger.written.len(),
            acknowledged: state.ledger.acknowledged(),
            seen: seen.count(),
            connections: state.connections,
            dead: state.dead,
        }
    };
    states.iter().map(fate).collect()
}

fn happenings(states: &[&State], kills: Vec<Happening>) -> Vec<Happening> {
    let mut all: Vec<_> = states
        .iter()
        .flat_map(|state| state.happenings.iter().cloned())
        .chain(kills)
        .collect();
    all.sort_by_key(|happening| happening.at);
    all
}
