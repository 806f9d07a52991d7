//! `coscribe converge --seeds N`: many short sessions, each with a seed, a workload and, where we start it, a server of its
//! own. What they find is a list of seeds that fail, each with the command that runs it again.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anyhow::bail;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    Verdict,
    converge::{ConvergeArgs, OPS_OF_MANY, write},
    interrupt::Interrupt,
};
use crate::converge::{
    plan::Workload,
    session::{self, Conduct},
};

/// What all sessions of one workload came to.
#[derive(Debug, Default, Serialize)]
struct Class {
    sessions: u32,
    failed: u32,
    edits: usize,
    /// Connections that were cut, servers that were killed and the like.
    faults: usize,
}

/// A session that did not converge, or lost something.
#[derive(Debug, Serialize)]
struct Failed {
    seed: u64,
    workload: String,
    findings: Vec<String>,
    again: String,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    classes: BTreeMap<String, Class>,
    failed: Vec<Failed>,
    seconds: f64,
}

/// One session's end.
struct Session {
    args: ConvergeArgs,
    workload: String,
    findings: Vec<String>,
    edits: usize,
    faults: usize,
}

/// Runs sessions until all seeds are done.
pub(super) async fn run(args: &ConvergeArgs, seeds: u32) -> anyhow::Result<Verdict> {
    if let Some(file) = &args.json {
        // One that can not be written is no reason to work for minutes first.
        write(file, "")?;
    }
    let interrupt = Interrupt::listen()?;
    let first = args.seed.unwrap_or(1);
    let mut coming = (0..u64::from(seeds)).map(|number| args.for_seed(first + number));
    let mut running = JoinSet::new();
    let mut summary = Summary::default();
    let started = Instant::now();
    let bar = std::io::stderr().is_terminal();
    let mut done = 0;
    loop {
        while running.len() < usize::from(args.sessions_at_once()) && !interrupt.stop.is_cancelled()
        {
            let Some(args) = coming.next() else { break };
            // Awaited below, and ended with the set.
            running.spawn(one(args, interrupt.clone()));
        }
        let session = tokio::select! {
            session = running.join_next() => session,
            () = interrupt.at_once.cancelled() => bail!("interrupted twice; nothing is reported"),
        };
        let Some(session) = session else { break };
        done += 1;
        if let Some(session) = session?? {
            summary.add(session);
        }
        if bar {
            let left = started
                .elapsed()
                .mul_f64(f64::from(seeds - done) / f64::from(done));
            eprint!(
                "\rcoscribe: {done} of {seeds} seeds, {} failed, about {} s left ",
                summary.failed.len(),
                left.as_secs()
            );
        }
    }
    if bar {
        eprintln!();
    }
    summary.seconds = started.elapsed().as_secs_f64();
    print!("{}", summary.text());
    if let Some(file) = &args.json {
        write(file, &serde_json::to_string_pretty(&summary)?)?;
    }
    if interrupt.stop.is_cancelled() {
        bail!("interrupted; what is printed is only what was done of {seeds} seeds");
    }
    Ok(if summary.failed.is_empty() {
        Verdict::Fine
    } else {
        Verdict::Wrong
    })
}

/// Runs one session; none is told of one that was interrupted, as it has not come to a verdict.
async fn one(args: ConvergeArgs, interrupt: Interrupt) -> anyhow::Result<Option<Session>> {
    let (plan, _) = args.plan()?;
    let target = args.target().await?;
    let conduct = Conduct {
        settle: Duration::from_secs_f64(args.settle),
        verify: args.verify(),
        recording: None,
        stop: interrupt.stop,
        progress: &|_, _| {},
    };
    let outcome = session::run(&target, &plan, &conduct).await?;
    if outcome.interrupted {
        return Ok(None);
    }
    let edits = plan.steps.iter().filter(|step| step.is_edit()).count();
    let findings = outcome.findings.iter();
    Ok(Some(Session {
        workload: args.workload_name(),
        findings: findings.map(|finding| finding.what.clone()).collect(),
        edits,
        faults: plan.steps.len() - edits,
        args,
    }))
}

impl Summary {
    fn add(&mut self, session: Session) {
        let class = self.classes.entry(session.workload.clone()).or_default();
        class.sessions += 1;
        class.edits += session.edits;
        class.faults += session.faults;
        if session.findings.is_empty() {
            return;
        }
        class.failed += 1;
        let failed = Failed {
            seed: session.args.seed.unwrap_or_default(),
            again: session.args.again(),
            workload: session.workload,
            findings: session.findings,
        };
        println!(
            "seed {} failed: {}",
            failed.seed,
            failed.findings.join("; ")
        );
        println!("  again: {}", failed.again);
        self.failed.push(failed);
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{:<10} {:>8} {:>8} {:>8} {:>7}\n",
            "workload", "sessions", "edits", "faults", "failed"
        );
        let mut total = Class::default();
        for (name, class) in &self.classes {
            text += &class.line(name);
            total.sessions += class.sessions;
            total.edits += class.edits;
            total.faults += class.faults;
            total.failed += class.failed;
        }
        text += &total.line("in all");
        let verdict = match total.failed {
            0 => "every session converged".to_owned(),
            failed => format!("{failed} of {} sessions failed", total.sessions),
        };
        text + &format!("{verdict}; {:.0} s\n", self.seconds)
    }
}

impl Class {
    fn line(&self, name: &str) -> String {
        format!(
            "{name:<10} {:>8} {:>8} {:>8} {:>7}\n",
            self.sessions, self.edits, self.faults, self.failed
        )
    }
}

impl ConvergeArgs {
    /// The session of one seed: its workload is one of all, or all together.
    fn for_seed(&self, seed: u64) -> Self {
        let mut args = self.clone();
        args.seed = Some(seed);
        args.seeds = None;
        args.jobs = None;
        args.json = None;
        args.ops = self.ops.or(Some(OPS_OF_MANY));
        if self.workload.is_empty() {
            let kinds = Workload::ALL.len() as u64 + 1;
            let drawn = Workload::ALL.get((seed % kinds) as usize);
            args.workload = drawn.iter().map(|kind| kind.name().to_owned()).collect();
        }
        args
    }

    fn workload_name(&self) -> String {
        match self.workload.is_empty() {
            true => "all".to_owned(),
            false => self.workload.join(","),
        }
    }

    /// The command that runs this session alone.
    fn again(&self) -> String {
        let mut words = vec!["coscribe converge".to_owned()];
        let mut give = |name: &str, value: String| words.push(format!("--{name} {value}"));
        give("seed", self.seed.unwrap_or_default().to_string());
        give("clients", self.clients.to_string());
        give("ops", self.ops.unwrap_or_default().to_string());
        if !self.workload.is_empty() {
            give("workload", self.workload_name());
        }
        if let Some(kills) = self.kills {
            give("kills", kills.to_string());
        }
        give("settle", self.settle.to_string());
        give("verify", self.verify.clone());
        if let Some(url) = &self.url {
            give("url", quoted(url));
            give("protocol", self.protocol.clone());
        }
        if let Some(export) = &self.export {
            give("export", quoted(export));
        }
        for (name, given) in [
            ("no-faults", self.no_faults),
            ("echo-acknowledges", self.echo_acknowledges),
        ] {
            if given {
                words.push(format!("--{name}"));
            }
        }
        words.join(" ")
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ConvergeArgs,
    }

    fn parse(words: &str) -> ConvergeArgs {
        let words = words.split(' ').map(|word| word.trim_matches('\''));
        Line::parse_from(words).args
    }

    #[test]
    fn a_session_that_failed_is_run_again_as_it_was() {
        for flags in [
            "--seeds 9 --jobs 2 --json file",
            "--seeds 9 --workload map,text --no-faults --settle 0.5",
            "--seeds 9 --kills 3 --ops 7 --clients 2 --verify durable",
            "--seeds 9 --url ws://host:1/a --echo-acknowledges --export http://host:1/{document}",
            "--seeds 9 --url ws://host:1 --protocol hocuspocus",
        ] {
            let session = parse(&format!("converge {flags}")).for_seed(8);
            let again = session.again();
            let alone = again.strip_prefix("coscribe ").unwrap();
            assert_eq!(format!("{session:?}"), format!("{:?}", parse(alone)));
        }
    }
}
