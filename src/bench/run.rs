//! Two servers in turns: the relay, the other, the relay, the other… in one run, so that what the machine does
//! meanwhile meets both. What can not be run is said and never counted as zero.

use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{
    figures::Figures,
    scenario::{Scenario, Size, Sizes},
    server::{Launch, Remote},
};

/// What is to be measured.
#[derive(Debug)]
pub struct Plan {
    pub scenarios: Vec<Scenario>,
    pub pairs: usize,
    pub sizes: Sizes,
    pub subject: Subject,
}

/// Whom the relay is compared with.
#[derive(Debug)]
pub enum Subject {
    /// Our own server, a fresh one for each run.
    Coscribe,
    /// One that runs already and goes on running.
    Running(Remote),
}

/// All runs of one scenario.
#[derive(Debug)]
pub struct Series {
    pub scenario: Scenario,
    pub size: Size,
    /// The relay's runs, then the other's.
    pub runs: [Vec<Figures>; 2],
    /// Why it was not run at all.
    pub left_out: Option<String>,
    /// Why it ended before its time.
    pub failed: Option<String>,
}

/// Where the work is.
#[derive(Debug)]
pub struct Progress<'a> {
    pub scenario: Scenario,
    pub pair: usize,
    pub pairs: usize,
    /// Name of the server that is loaded.
    pub server: &'static str,
    /// What is left of this scenario, once a pair of it is done.
    pub seconds_left: Option<f64>,
    /// What the run found, once it is over.
    pub done: Option<&'a Figures>,
}

/// Runs everything. One scenario that fails does not take the others' results with it.
pub async fn run(plan: &Plan, progress: &dyn Fn(&Progress<'_>)) -> Vec<Series> {
    let mut all = Vec::new();
    for &scenario in &plan.scenarios {
        let mut series = Series {
            scenario,
            size: plan.sizes.of(scenario),
            runs: [Vec::new(), Vec::new()],
            left_out: None,
            failed: None,
        };
        let subject = plan.subject.launch(scenario);
        if let Some(reason) = scenario.unsuited(&subject) {
            series.left_out = Some(reason.to_owned());
        } else if let Err(error) = series
            .measure(plan, &[Launch::Relay, subject], progress)
            .await
        {
            series.failed = Some(format!("{error:#}"));
        }
        all.push(series);
    }
    all
}

impl Subject {
    /// What it is called in a report.
    pub fn name(&self) -> &'static str {
        self.launch(Scenario::FanOut).name()
    }

    /// Where it is, if it is not ours.
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Coscribe => None,
            Self::Running(remote) => Some(remote.url()),
        }
    }

    fn launch(&self, scenario: Scenario) -> Launch {
        match self {
            Self::Coscribe => Launch::Coscribe {
                settings: scenario.settings(),
            },
            Self::Running(remote) => Launch::Running(remote.clone()),
        }
    }
}

impl Series {
    async fn measure(
        &mut self,
        plan: &Plan,
        sides: &[Launch; 2],
        progress: &dyn Fn(&Progress<'_>),
    ) -> Result<()> {
        let began = Instant::now();
        for pair in 1..=plan.pairs {
            let done = pair - 1;
            let each = (done > 0).then(|| began.elapsed().as_secs_f64() / done as f64);
            for (side, launch) in sides.iter().enumerate() {
                if self.scenario.unsuited(launch).is_some() {
                    continue;
                }
                let mut now = Progress {
                    scenario: self.scenario,
                    pair,
                    pairs: plan.pairs,
                    server: launch.name(),
                    seconds_left: each
                        .map(|each| each * ((plan.pairs - done) as f64 - 0.5 * side as f64)),
                    done: None,
                };
                progress(&now);
                let figures = self.scenario.run(launch, &plan.sizes).await;
                let figures = figures.with_context(|| launch.name())?;
                now.done = Some(&figures);
                progress(&now);
                self.runs[side].push(figures);
            }
        }
        Ok(())
    }
}
