//! What a run found, for people, for programs and as a page.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    check::{Finding, Kept, Kind},
    fate::Fate,
    page,
    plan::{Plan, Step, What},
    script,
    session::Outcome,
    shrink::Shrunk,
};

/// Of the findings, so many are shown to people; programs get all.
const SHOWN: usize = 8;
/// Faults before an edit that are shown as what led to it, in milliseconds.
const LEAD_MS: u32 = 1500;
/// Lines of what led to a divergence.
const LEAD_LINES: usize = 12;
/// Lines of the time line for people; the page has all.
const TIME_LINE: usize = 24;

/// Everything about a run.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub url: &'a str,
    pub seed: u64,
    pub clients: u16,
    /// Whether all ended equal and nothing was lost.
    pub converged: bool,
    #[serde(flatten)]
    pub outcome: &'a Outcome,
    /// The steps that the first finding is about, with the faults before them.
    pub led_to_it: Vec<String>,
    pub shrunk: Option<Small>,
    /// The whole plan.
    pub script: String,
}

/// The smallest history that was found to fail.
#[derive(Debug, Serialize)]
pub struct Small {
    pub steps: usize,
    pub script: String,
    /// What is wrong after it.
    pub findings: Vec<Finding>,
    /// Runs that it took.
    pub attempts: u32,
    /// In how many of `confirmed_of` further runs it failed.
    pub confirmed: u32,
    pub confirmed_of: u32,
}

impl<'a> Report<'a> {
    pub fn new(url: &'a str, plan: &Plan, outcome: &'a Outcome, shrunk: Option<&Shrunk>) -> Self {
        Self {
            url,
            seed: plan.seed,
            clients: plan.clients,
            converged: outcome.converged(),
            led_to_it: outcome
                .findings
                .iter()
                .find(|finding| !finding.steps.is_empty())
                .map(|finding| lead(plan, &finding.steps))
                .unwrap_or_default(),
            shrunk: shrunk.map(|shrunk| Small {
                steps: shrunk.plan.steps.len(),
                script: script::print(&shrunk.plan),
                findings: shrunk.outcome.findings.clone(),
                attempts: shrunk.attempts,
                confirmed: shrunk.confirmed.0,
                confirmed_of: shrunk.confirmed.1,
            }),
            outcome,
            script: script::print(plan),
        }
    }

    /// One JSON object, indented.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// One HTML page without any other resource.
    pub fn html(&self) -> String {
        page::render(self)
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _written = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let outcome = self.outcome;
        writeln!(out, "{}", self.headline())?;
        writeln!(out, "\n{}", row(Fate::COLUMNS))?;
        for fate in &outcome.fates {
            let line = format!("{}  {}", row(fate.cells()), fate.remark());
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(
            out,
            "\n{} tokens are there in the end; compared: {}; settled {} ms after the last step",
            outcome.visible,
            outcome.compared.join(", "),
            outcome.settled_after
        )?;
        if let Some(words) = self.seen_words() {
            writeln!(out, "{words}")?;
        }
        if let Some(kept) = &outcome.kept {
            writeln!(out, "\n{}", kept.sentence())?;
        }
        self.write_time_line(out)?;
        self.write_findings(out)?;
        match &self.shrunk {
            Some(small) => small.write(out),
            None => Ok(()),
        }
    }

    /// How long edits took to reach everybody.
    pub fn seen_words(&self) -> Option<String> {
        let measures = &self.outcome.measures;
        let (half, most) = (measures.seen_within(0.5)?, measures.seen_within(0.99)?);
        Some(format!(
            "Until all survivors had an edit: half within {half} ms, 99 of 100 within {most} ms."
        ))
    }

    /// The verdict in one line.
    pub fn headline(&self) -> String {
        let verdict = match (self.converged, self.outcome.interrupted) {
            (true, _) => "CONVERGED",
            (false, true) => "INTERRUPTED, no verdict",
            (false, false) => "FAILED",
        };
        format!(
            "{verdict}: {} clients, {} steps, seed {}, {} ms, {}",
            self.clients,
            self.script.lines().count().saturating_sub(2),
            self.seed,
            self.outcome.duration,
            self.url
        )
    }

    fn write_time_line(&self, out: &mut String) -> std::fmt::Result {
        let faults = self.outcome.happenings.iter().filter(|one| !one.is_edit);
        let count = faults.clone().count();
        if count > 0 {
            writeln!(out, "\nfaults:")?;
        }
        for fault in faults.take(TIME_LINE) {
            let who = fault
                .client
                .map_or_else(|| "server".to_owned(), |client| format!("client {client}"));
            writeln!(out, "{:>7} ms  {who}: {}", fault.at, fault.what)?;
        }
        if count > TIME_LINE {
            writeln!(out, "            … and {} more", count - TIME_LINE)?;
        }
        Ok(())
    }

    fn write_findings(&self, out: &mut String) -> std::fmt::Result {
        let findings = &self.outcome.findings;
        if findings.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nwhat is wrong ({}):", findings.len())?;
        for finding in findings.iter().take(SHOWN) {
            writeln!(out, "  {}: {}", finding.kind.name(), finding.what)?;
        }
        if findings.len() > SHOWN {
            writeln!(out, "  … and {} more", findings.len() - SHOWN)?;
        }
        if !self.led_to_it.is_empty() {
            writeln!(out, "\nwhat led to the first of them:")?;
            for line in &self.led_to_it {
                writeln!(out, "  {line}")?;
            }
        }
        Ok(())
    }
}

impl Kept {
    /// One sentence for people.
    pub fn sentence(&self) -> String {
        if self.lost == 0 {
            return format!(
                "After the last kill nobody came back: of {} edits that were acknowledged or seen by another, the \
                 server kept all.",
                self.promised
            );
        }
        let first = self.first.iter().map(u32::to_string);
        format!(
            "After the last kill nobody came back: of {} edits that were acknowledged or seen by another, {} are LOST, \
             {:.1} s of work. The first are steps {}.",
            self.promised,
            self.lost,
            f64::from(self.work_lost) / 1000.0,
            first.collect::<Vec<_>>().join(", ")
        )
    }
}

impl Small {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "\nthe smallest history that still fails: {} steps, after {} runs; it failed in {} of {} more. \
             Run it again with --script FILE:\n",
            self.steps, self.attempts, self.confirmed, self.confirmed_of
        )?;
        write!(out, "{}", self.script)
    }
}

impl Kind {
    /// As it stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Different => "different",
            Self::Pending => "pending",
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Resurrected => "resurrected",
            Self::Disordered => "disordered",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Unreachable => "unreachable",
        }
    }
}

/// These steps, and the faults shortly before them of the people who made them and of the server.
fn lead(plan: &Plan, about: &[u32]) -> Vec<String> {
    let chosen: Vec<&Step> = plan
        .steps
        .iter()
        .filter(|step| about.contains(&step.id))
        .collect();
    let leads = |step: &&Step| {
        chosen.iter().any(|edit| {
            let in_time = step.at <= edit.at + LEAD_MS && step.at + LEAD_MS >= edit.at;
            match (step.what, edit.what) {
                _ if step.id == edit.id => true,
                (What::KillServer, _) => in_time,
                (What::Client(_, action), _) if action.is_edit() => false,
                (What::Client(who, _), What::Client(writer, _)) => who == writer && in_time,
                (What::Client(..), What::KillServer) => false,
            }
        })
    };
    let lines = plan.steps.iter().filter(leads).map(script::line);
    lines.take(LEAD_LINES).collect()
}

/// The cells of one row of the table of people, right-aligned below their headings.
fn row<T: std::fmt::Display>(cells: [T; Fate::COLUMNS.len()]) -> String {
    let cells = Fate::COLUMNS.iter().zip(cells).map(|(column, cell)| {
        let width = column.len().max(6);
        format!("{cell:>width$}")
    });
    cells.collect::<Vec<_>>().join("  ")
}
