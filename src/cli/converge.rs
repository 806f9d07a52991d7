//! `coscribe converge`: do all replicas end equal, whatever the network does?

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Verdict, interrupt::interrupted, runtime, ws_address::WsAddress};
use crate::config::Flags;
use crate::converge::{
    plan::{Plan, Shape, What, Workload},
    report::Report,
    script,
    server::Server,
    session::{self, Conduct, Outcome, Target},
    shrink::{self, Shrunk},
};

const WORKLOADS: [&str; 6] = ["text", "rich", "map", "array", "nested", "tree"];
const BAR: usize = 30;

#[derive(Debug, Args)]
pub(super) struct ConvergeArgs {
    /// Where documents are, without their name, such as ws://localhost:1234; a server of our own is started without it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Shell command that starts the server at --url, so that it can be killed and started again
    #[arg(long, value_name = "COMMAND", requires = "url")]
    server_cmd: Option<String>,
    /// Where the server at --url gives a document as a Yjs update over HTTP; {document} stands for its name
    #[arg(long, value_name = "URL", requires = "url")]
    export: Option<String>,
    /// How many people
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=200))]
    clients: u16,
    /// How many edits, of all people together
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ops: u32,
    /// The plan's seed; a random one is chosen and printed without it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What is edited, comma-separated; all of them without it
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = WORKLOADS)]
    workload: Vec<String>,
    /// Leave the network alone: nobody is cut off, delayed, repeated or dies
    #[arg(long)]
    no_faults: bool,
    /// How often the server is killed and started again; 1 where we start it, unless --no-faults
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    kills: Option<u32>,
    /// Run this script instead of a plan made from a seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["clients", "ops", "seed", "workload", "no_faults", "kills"])]
    script: Option<PathBuf>,
    /// Seconds without any message after which what has not come is missing
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    settle: f64,
    /// Seconds that looking for a smaller history that fails may take; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    shrink: u64,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0.1 to 600".to_owned()),
    }
}

pub(super) fn run(args: &ConvergeArgs, flags: &Flags) -> anyhow::Result<Verdict> {
    if !flags.is_empty() {
        bail!(
            "settings of the server mean nothing to converge; give them in --server-cmd, together with --url"
        );
    }
    let plan = args.plan()?;
    // A report that can not be written is no reason to work for minutes first.
    for file in [&args.json, &args.html].into_iter().flatten() {
        write(file, "")?;
    }
    runtime()?.block_on(args.carry_out(&plan))
}

impl ConvergeArgs {
    fn plan(&self) -> anyhow::Result<Plan> {
        if let Some(file) = &self.script {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} can not be read", file.display()))?;
            return script::parse(&text).with_context(|| file.display().to_string());
        }
        let may_kill = self.url.is_none() || self.server_cmd.is_some();
        let kills = self
            .kills
            .unwrap_or_else(|| u32::from(may_kill && !self.no_faults));
        let mut workloads: Vec<_> = self
            .workload
            .iter()
            .filter_map(|name| Workload::of(name))
            .collect();
        if workloads.is_empty() {
            workloads = Workload::ALL.to_vec();
        }
        Ok(Plan::new(&Shape {
            seed: self
                .seed
                .unwrap_or_else(|| u64::from(rand::random::<u32>())),
            clients: self.clients,
            ops: self.ops,
            workloads,
            faults: !self.no_faults,
            kills,
        }))
    }

    async fn carry_out(&self, plan: &Plan) -> anyhow::Result<Verdict> {
        // Before a server is started, which would outlive us.
        let stop = interrupted()?;
        let target = self.target().await?;
        let kills = plan.steps.iter().any(|step| step.what == What::KillServer);
        if kills && target.server.is_none() {
            bail!("to kill the server it has to be started by us: give --server-cmd, or no --url");
        }
        let bar = std::io::stderr().is_terminal();
        let progress = |done: u32, of: u32| {
            if bar {
                draw(done, of);
            }
        };
        let conduct = Conduct {
            settle: Duration::from_secs_f64(self.settle),
            stop: stop.clone(),
            progress: &progress,
        };
        let outcome = session::run(&target, plan, &conduct).await?;
        if bar {
            eprintln!();
        }
        let mut shrunk = None;
        if !outcome.findings.is_empty() && self.shrink > 0 && !outcome.interrupted {
            shrunk = self.smaller(&target, plan, &outcome, stop.clone()).await;
        }
        let report = Report::new(&target.url, plan, &outcome, shrunk.as_ref());
        print!("{}", report.text());
        if let Some(file) = &self.json {
            write(file, &report.json()?)?;
        }
        if let Some(file) = &self.html {
            write(file, &report.html())?;
        }
        if outcome.interrupted {
            bail!("interrupted before the end; what is printed is not a verdict");
        }
        Ok(if outcome.converged() {
            Verdict::Fine
        } else {
            Verdict::Wrong
        })
    }

    async fn smaller(
        &self,
        target: &Target,
        plan: &Plan,
        failed: &Outcome,
        stop: CancellationToken,
    ) -> Option<Shrunk> {
        eprintln!(
            "coscribe: it failed; looking for a smaller history that fails, for at most {} s",
            self.shrink
        );
        let conduct = Conduct {
            settle: Duration::from_secs_f64((self.settle / 3.0).max(0.3)),
            stop,
            progress: &|_, _| {},
        };
        let shrunk = shrink::shrink(
            target,
            plan,
            failed,
            &conduct,
            Duration::from_secs(self.shrink),
        )
        .await;
        if shrunk.is_none() {
            eprintln!(
                "coscribe: it did not fail again with the same plan; the interleaving matters"
            );
        }
        shrunk
    }

    async fn target(&self) -> anyhow::Result<Target> {
        let Some(url) = &self.url else {
            let server = Server::own().await?;
            let address = server.own_address().unwrap_or_default();
            return Ok(Target {
                url: format!("ws://{address}/ws"),
                export: Some(format!(
                    "http://{address}/api/docs/{{document}}/content?as=yjs"
                )),
                server: Some(Mutex::new(server)),
            });
        };
        let address = WsAddress::parse(url)?.host;
        if let Some(export) = &self.export
            && !(export.starts_with("http://") && export.contains("{document}"))
        {
            bail!("--export {export}: it must begin with http:// and contain {{document}}");
        }
        let server = match &self.server_cmd {
            Some(command) => Some(Mutex::new(Server::command(command, &address).await?)),
            None => None,
        };
        Ok(Target {
            url: url.clone(),
            export: self.export.clone(),
            server,
        })
    }
}

fn draw(done: u32, of: u32) {
    let full = (done as usize * BAR)
        .checked_div(of as usize)
        .unwrap_or(BAR);
    eprint!(
        "\rcoscribe: [{}{}] {:.1} of {:.1} s ",
        "#".repeat(full),
        ".".repeat(BAR - full.min(BAR)),
        f64::from(done) / 1000.0,
        f64::from(of) / 1000.0
    );
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} can not be written", file.display()))
}
