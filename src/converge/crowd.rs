//! The people of one run: they come, live through the plan, come to rest, and leave.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    check::{Finding, Kind},
    history::Recording,
    person::Person,
    plan::{Plan, Step, What},
    print::{Print, reach},
    session::{CannotRun, Conduct, Target, milliseconds},
    state::{Happening, Shared},
    wire::Wire,
};

/// Everybody has to be connected by then, before anything else happens.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
/// Whoever lost the connection gets at least this long to come back.
const RETURN_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(15);
/// Nothing has happened for so long: worth a look whether all are equal.
const CALM: Duration = Duration::from_millis(45);

/// The people of one run and their tasks.
pub struct Crowd {
    pub people: Vec<Shared>,
    recording: Option<Arc<Recording>>,
    tasks: JoinSet<()>,
    start: watch::Sender<Option<Instant>>,
    stop: CancellationToken,
}

impl Crowd {
    /// Everybody of the plan, on their way to the document.
    pub fn gather(
        target: &Target,
        plan: &Plan,
        document: &str,
        recording: Option<Arc<Recording>>,
    ) -> Self {
        let replays = plan.steps.iter().filter_map(Step::replays);
        let closed = recording.as_ref().map(|all| all.closed(replays));
        let possible = |step: &&Step| {
            let number = step.replays().map(|number| number as usize);
            number.is_none_or(|number| {
                closed.as_ref().and_then(|closed| closed.get(number)) == Some(&true)
            })
        };
        let mut crowd = Self {
            recording,
            people: Vec::new(),
            tasks: JoinSet::new(),
            start: watch::channel(None).0,
            stop: CancellationToken::new(),
        };
        for number in 0..plan.clients {
            let mine = |step: &&Step| matches!(step.what, What::Client(who, _) if who == number);
            let steps = plan.steps.iter().filter(mine).filter(possible);
            let steps = steps.copied().collect();
            let shared = crowd.add(target, plan, document, number, steps);
            crowd.people.push(shared);
        }
        crowd
    }

    /// One more person, who only looks.
    pub fn newcomer(&mut self, target: &Target, plan: &Plan, document: &str) -> Shared {
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
        let wire = Wire::new(target.protocol, document);
        let shared = Shared::new(number, plan.client_id(number), self.recording.clone());
        let person = Person::new(shared.clone(), &target.url, wire, steps);
        self.tasks
            .spawn(person.live(self.start.subscribe(), self.stop.clone()));
        shared
    }

    /// Nothing begins before all have what the document holds.
    pub async fn wait_until_joined(
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
                let why = error.or_else(|| one.lock().refused.first().cloned());
                let why = why.unwrap_or_else(|| {
                    format!(
                        "it accepts connections but does not answer sync step 1; does it speak {} at this path?",
                        target.protocol.name()
                    )
                });
                return Err(CannotRun(format!(
                    "no session at {}: {why}; start the server there, or give another --url",
                    target.url
                )));
            }
            sleep(POLL).await;
        }
    }

    /// The plan's time begins now.
    pub fn begin(&self) -> Instant {
        let now = Instant::now();
        self.start.send_replace(Some(now));
        now
    }

    /// Lets the plan's time pass, and kills the server where the plan says so.
    pub async fn live(
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
                let at = milliseconds(begun.elapsed());
                target.kill(&format!("step {}", kill.id)).await?;
                target.start().await?;
                done.push(killed(at, milliseconds(begun.elapsed()) - at));
                continue;
            }
            if (now > plan.length() && kills.is_empty()) || conduct.stop.is_cancelled() {
                return Ok(done);
            }
            sleep(POLL).await;
        }
    }

    /// Ends everybody who is here; a panic of one of them is a finding. Others may come afterwards.
    pub async fn disperse(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.stop).cancel();
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

/// The server was killed at this time and was away for so long, both in milliseconds.
pub fn killed(at: u32, lasts: u32) -> Happening {
    Happening {
        at,
        client: None,
        what: "killed and started again".to_owned(),
        lasts,
        is_edit: false,
    }
}

/// Waits until all survivors are connected, have nothing under way and are equal, or until nothing moves any more.
pub async fn settle(people: &[Shared], conduct: &Conduct<'_>) {
    let mut activity = u64::MAX;
    let mut moved = Instant::now();
    while !conduct.stop.is_cancelled() {
        let (mut now, mut home) = (0, true);
        for person in people {
            let state = person.lock();
            now += state.activity;
            home &= state.dead || (state.synced && state.idle && state.line.is_idle());
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

/// Waits until a newcomer holds all this, or has been connected for `settle` without hearing anything more.
pub async fn settle_newcomer(newcomer: &Shared, all: &Print, conduct: &Conduct<'_>) {
    let (mut activity, mut moved) = (u64::MAX, Instant::now());
    while !conduct.stop.is_cancelled() {
        let (now, synced, (vector, deletes)) = {
            let state = newcomer.lock();
            (state.activity, state.synced, reach(&state.doc))
        };
        if now != activity {
            (activity, moved) = (now, Instant::now());
        }
        let patience = if synced {
            conduct.settle
        } else {
            conduct.settle.max(RETURN_PATIENCE)
        };
        let complete = synced && vector == all.vector && deletes == all.deletes;
        if complete || moved.elapsed() >= patience {
            return;
        }
        sleep(POLL).await;
    }
}
