//! Finds a small history that still fails, by leaving out ever smaller parts of the plan (delta debugging).
//!
//! Each attempt is a whole run on a document of its own; attempts of one round run side by side. What is left fails
//! twice in a row before it is believed, because a network is not the same twice.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    check::{Kind, Verify},
    plan::{Plan, Step, What},
    session::{self, Conduct, Outcome, Target},
};

/// Attempts that run at the same time.
const SIDE_BY_SIDE: usize = 6;
/// The longest pause between two steps of an attempt, in milliseconds.
const LONGEST_PAUSE_MS: u32 = 40;
/// How often the last candidate is run again.
const CONFIRMATIONS: u32 = 5;

/// What shrinking arrived at.
#[derive(Debug, Clone)]
pub struct Shrunk {
    pub plan: Plan,
    /// The run in which it failed last.
    pub outcome: Outcome,
    /// Runs that it took.
    pub attempts: u32,
    /// In how many of how many further runs it failed.
    pub confirmed: (u32, u32),
}

struct Shrinker<'a> {
    target: &'a Target,
    conduct: &'a Conduct<'a>,
    deadline: Instant,
    attempts: u32,
    /// What was wrong with the whole plan; something else is another failure.
    wanted: Vec<Kind>,
    found: Option<(Plan, Outcome)>,
}

/// Shrinks a plan that failed in these ways. `None` when it does not fail again, or no attempt fitted into `budget`.
pub async fn shrink(
    target: &Target,
    plan: &Plan,
    failed: &Outcome,
    conduct: &Conduct<'_>,
    budget: Duration,
) -> Option<Shrunk> {
    let mut shrinker = Shrinker {
        target,
        conduct,
        deadline: Instant::now() + budget,
        attempts: 0,
        wanted: failed.findings.iter().map(|finding| finding.kind).collect(),
        found: None,
    };
    let whole = [plan.clone()];
    shrinker.first_failing(&whole).await?;
    let mut steps = plan.steps.clone();
    let mut parts = 2;
    while steps.len() > 1 && shrinker.has_time() {
        let candidates = candidates(plan, &steps, parts);
        match shrinker.first_failing(&candidates).await {
            Some(index) => {
                let smaller = candidates.get(index)?.steps.clone();
                parts = if index < parts { 2 } else { (parts - 1).max(2) };
                steps = smaller;
            }
            None if parts >= steps.len() => break,
            None => parts = (parts * 2).min(steps.len()),
        }
    }
    let (plan, outcome) = shrinker.found.take()?;
    let confirmed = shrinker.confirm(&plan).await;
    Some(Shrunk {
        plan,
        outcome,
        attempts: shrinker.attempts,
        confirmed,
    })
}

/// Each part alone, then all but each part.
fn candidates(plan: &Plan, steps: &[Step], parts: usize) -> Vec<Plan> {
    let length = steps.len().div_ceil(parts).max(1);
    let alone = steps.chunks(length).map(<[Step]>::to_vec);
    let without = (0..steps.len()).step_by(length).map(|from| {
        let mut rest = steps.to_vec();
        rest.drain(from..(from + length).min(steps.len()));
        rest
    });
    // Of two parts, each is all but the other.
    let without = without.take(if parts > 2 { usize::MAX } else { 0 });
    let all = alone.chain(without).filter(|rest| !rest.is_empty());
    all.map(|steps| plan.with(steps)).collect()
}

/// The same order with shorter pauses.
fn hurried(plan: &Plan) -> Plan {
    let (mut before, mut at) = (None, 0_u32);
    let steps = plan.steps.iter().map(|step| {
        at += before.map_or(0, |before: u32| (step.at - before).min(LONGEST_PAUSE_MS));
        before = Some(step.at);
        Step { at, ..*step }
    });
    plan.with(steps.collect())
}

impl Shrinker<'_> {
    fn has_time(&self) -> bool {
        Instant::now() < self.deadline && !self.conduct.stop.is_cancelled()
    }

    /// The first of these plans that fails, twice.
    async fn first_failing(&mut self, plans: &[Plan]) -> Option<usize> {
        let mut from = 0;
        while from < plans.len() && self.has_time() {
            // A plan that kills the server would disturb the others.
            let alone = self.conduct.verify == Verify::Durable || plans.iter().any(kills);
            let until = plans.len().min(from + if alone { 1 } else { SIDE_BY_SIDE });
            let round = plans.get(from..until)?;
            for (place, failed) in self.failing(round).await.into_iter().enumerate() {
                let Some(plan) = failed else { continue };
                let again = self.failing(std::slice::from_ref(&plan.0)).await;
                if let Some((plan, outcome)) = again.into_iter().flatten().next() {
                    self.found = Some((plan, outcome));
                    return Some(from + place);
                }
            }
            from = until;
        }
        None
    }

    /// Runs these plans side by side; those that failed, with what was found.
    async fn failing(&mut self, plans: &[Plan]) -> Vec<Option<(Plan, Outcome)>> {
        self.attempts += plans.len() as u32;
        let (target, conduct, wanted) = (self.target, self.conduct, &self.wanted);
        let runs = plans.iter().map(async |plan| {
            let plan = hurried(plan);
            let outcome = session::run(target, &plan, conduct).await.ok()?;
            let mut kinds = outcome.findings.iter().map(|finding| finding.kind);
            kinds
                .any(|kind| wanted.contains(&kind))
                .then_some((plan, outcome))
        });
        let runs: Vec<_> = runs.collect();
        stream::iter(runs).buffered(SIDE_BY_SIDE).collect().await
    }

    async fn confirm(&mut self, plan: &Plan) -> (u32, u32) {
        let (mut failed, mut runs) = (0, 0);
        while runs < CONFIRMATIONS && !self.conduct.stop.is_cancelled() {
            let again = self.failing(std::slice::from_ref(plan)).await;
            failed += u32::from(again.into_iter().flatten().next().is_some());
            runs += 1;
        }
        (failed, runs)
    }
}

fn kills(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| step.what == What::KillServer)
}
