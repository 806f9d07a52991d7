//! One run of a plan against a server: everybody lives, the dust settles, a newcomer looks, and the end is checked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use yrs::{Doc, GetString as _, Transact as _, Update};

use super::{
    check::{Evidence, Finding, Kept, Kind, Verify, check},
    crowd::{Crowd, killed, settle, settle_newcomer},
    export,
    fate::{Fate, fates},
    history::Recording,
    measure::Measures,
    plan::{Plan, Step, Workload},
    print::Print,
    server::Server,
    state::{Happening, Shared, State},
    wire::{Acknowledgement, Protocol},
};
use crate::document::replica::doc_with;

/// Where the documents are.
pub struct Target {
    /// The WebSocket address, without the document's name.
    pub url: String,
    pub protocol: Protocol,
    pub acknowledges: Acknowledgement,
    /// Where the server gives the state of a document as a Yjs update; `{document}` stands for its name.
    pub export: Option<String>,
    /// Present when the tool may kill and start it.
    pub server: Option<Mutex<Server>>,
}

impl Target {
    /// Ends the server without a word. `why` names who wants that.
    pub async fn kill(&self, why: &str) -> Result<(), CannotRun> {
        let Some(server) = &self.server else {
            return Err(CannotRun(format!(
                "{why} kills the server, which needs --server-cmd, or no --url"
            )));
        };
        server.lock().await.kill().await;
        Ok(())
    }

    /// Starts the server again, where it was.
    pub async fn start(&self) -> Result<(), CannotRun> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let mut server = server.lock().await;
        server
            .start()
            .await
            .map_err(|error| CannotRun(format!("the server did not start again: {error:#}")))
    }
}

/// How a run is carried out.
pub struct Conduct<'a> {
    /// Without any message for so long, what has not come will not come.
    pub settle: Duration,
    pub verify: Verify,
    /// What replayed steps are taken from.
    pub recording: Option<Arc<Recording>>,
    /// Ends the run early.
    pub stop: CancellationToken,
    /// Told how many milliseconds of how many have passed.
    pub progress: &'a (dyn Fn(u32, u32) + Sync),
}

/// The run did not take place; nothing can be said about convergence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotRun(pub String);

/// The end of a run.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    pub document: String,
    /// Empty: everybody converged and nothing was lost.
    pub findings: Vec<Finding>,
    pub verify: Verify,
    /// How the server says that it keeps something.
    pub acknowledged_by: Acknowledgement,
    /// Present when the server was killed in the end and nobody came back.
    pub kept: Option<Kept>,
    pub fates: Vec<Fate>,
    pub measures: Measures,
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
    let mut crowd = Crowd::gather(target, plan, &document, conduct.recording.clone());
    crowd.wait_until_joined(target, conduct).await?;
    let begun = crowd.begin();
    let mut kills = crowd.live(target, plan, conduct, begun).await?;
    let ended = Instant::now();
    if !conduct.stop.is_cancelled() {
        settle(&crowd.people, conduct).await;
    }
    let people = crowd.people.clone();
    let mut findings = Vec::new();
    let mut prints = Vec::new();
    let mut killed_at = None;
    if !conduct.stop.is_cancelled() {
        let fresh = if conduct.verify == Verify::Durable {
            killed_at = Some(milliseconds(begun.elapsed()));
            kills.push(last_kill(target, &mut crowd, begun, &mut findings).await?);
            let fresh = crowd.newcomer(target, plan, &document);
            settle_newcomer(&fresh, &most(&people), conduct).await;
            fresh
        } else {
            let fresh = crowd.newcomer(target, plan, &document);
            let mut all = people.clone();
            all.push(fresh.clone());
            settle(&all, conduct).await;
            fresh
        };
        let fresh = fresh.lock();
        if !fresh.synced {
            let why = fresh.last_error.as_deref().unwrap_or("no answer");
            let what = format!("a fresh client got no document: {why}");
            findings.push(Finding::new(Kind::Unreachable, what));
        }
        prints.push(Print::of("a fresh client", &fresh.doc));
        findings.extend(unlike_the_recording(conduct, plan, &fresh.doc));
    }
    let interrupted = conduct.stop.is_cancelled();
    let settled_after = milliseconds(ended.elapsed());
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
    findings.extend(crowd.disperse().await);
    let states: Vec<_> = people.iter().map(Shared::lock).collect();
    let states: Vec<&State> = states.iter().map(|state| &**state).collect();
    let evidence = Evidence::of(&states, target.acknowledges, conduct.verify);
    if !interrupted {
        if conduct.verify == Verify::Equal {
            findings.extend(unreachable(&states));
            let survivors = states.iter().filter(|state| !state.dead);
            prints.extend(survivors.map(|state| print_of(state)));
        }
        findings.extend(states.iter().filter_map(|state| stuck(state)));
        findings.extend(check(&prints, &states, &evidence));
    }
    let kept = prints.first().zip(killed_at);
    Ok(Outcome {
        document,
        findings,
        kept: kept.map(|(print, at)| evidence.kept(print, at)),
        verify: conduct.verify,
        acknowledged_by: target.acknowledges,
        fates: fates(plan, &states, target.acknowledges),
        measures: Measures::of(&states),
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

/// Milliseconds, for plans and reports.
pub fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// The server dies while everybody is there, so that nothing is stored because they leave; they do not come back.
async fn last_kill(
    target: &Target,
    crowd: &mut Crowd,
    begun: Instant,
    findings: &mut Vec<Finding>,
) -> Result<Happening, CannotRun> {
    let at = milliseconds(begun.elapsed());
    target.kill("--verify durable").await?;
    findings.extend(crowd.disperse().await);
    target.start().await?;
    Ok(killed(at, milliseconds(begun.elapsed()) - at))
}

fn print_of(state: &State) -> Print {
    Print::of(format!("client {}", state.number), &state.doc)
}

/// What the first survivor has: after a calm end, all that there is.
fn most(people: &[Shared]) -> Print {
    let states: Vec<_> = people.iter().map(Shared::lock).collect();
    let survivor = states.iter().find(|state| !state.dead);
    survivor.map_or_else(
        || Print::of("nobody", &doc_with(1)),
        |state| print_of(state),
    )
}

/// Whether a history that was replayed to its end did not end in its text.
fn unlike_the_recording(conduct: &Conduct<'_>, plan: &Plan, doc: &Doc) -> Option<Finding> {
    let recording = conduct.recording.as_ref()?;
    let end = recording.end.as_ref()?;
    let replayed = plan.steps.iter().filter_map(Step::replays);
    let whole = replayed.count() == recording.transactions.len();
    let text = doc.get_or_insert_text(Workload::Text.name());
    let text = text.get_string(&doc.transact());
    (whole && text != *end).then(|| {
        let mut letters = text.chars().zip(end.chars());
        let same = letters.by_ref().take_while(|(a, b)| a == b).count();
        let what = format!(
            "the recorded text has {} characters, a fresh client's {}; they differ from character {same} on",
            end.chars().count(),
            text.chars().count()
        );
        Finding::new(Kind::Different, what)
    })
}

/// A recorded edit that could not be made, because what it follows never came.
fn stuck(state: &State) -> Option<Finding> {
    let step = state.waiting?;
    let what = format!(
        "client {} can not go on with step {step}: what its writer had seen never came",
        state.number
    );
    let mut finding = Finding::new(Kind::Lost, what);
    finding.steps.push(step);
    Some(finding)
}

fn unreachable(states: &[&State]) -> Vec<Finding> {
    let away = states.iter().filter(|state| !state.dead && !state.synced);
    away.map(|state| {
        let why = state.last_error.as_deref().unwrap_or("it was not answered");
        let what = format!("client {} could not come back: {why}", state.number);
        Finding::new(Kind::Unreachable, what)
    })
    .collect()
}

/// The server's own view. It is asked again until it equals what the newcomer has, or for as long as things settle.
async fn exported(
    address: &str,
    wanted: Option<&Print>,
    settle: Duration,
) -> Result<Print, String> {
    use yrs::updates::decoder::Decode as _;
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

fn happenings(states: &[&State], kills: Vec<Happening>) -> Vec<Happening> {
    let mut all: Vec<_> = states
        .iter()
        .flat_map(|state| state.happenings.iter().cloned())
        .chain(kills)
        .collect();
    all.sort_by_key(|happening| happening.at);
    all
}
