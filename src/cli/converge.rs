//! `coscribe converge`: do all replicas end equal, whatever the network does?

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Verdict, converge_many, interrupt::Interrupt, runtime, ws_address::WsAddress};
use crate::config::Flags;
use crate::converge::{
    check::Verify,
    history::Recording,
    plan::{Plan, Shape, What, Workload, client_id},
    report::Report,
    script,
    server::Server,
    session::{self, Conduct, Outcome, Target},
    shrink::{self, Shrunk},
    wire::{Acknowledgement, Protocol},
};
use crate::dial::Endpoint;

const RECORDED: &str = "recorded";
const WORKLOADS: [&str; 7] = ["text", "rich", "map", "array", "nested", "tree", RECORDED];
/// Edits without --ops, where people make them up.
const OPS: u32 = 400;
/// Edits of each session of --seeds.
pub(super) const OPS_OF_MANY: u32 = 120;
const BAR: usize = 30;

#[derive(Debug, Clone, Args)]
pub(super) struct ConvergeArgs {
    /// Where documents are, without their name, such as ws://localhost:1234 or wss://sync.example.com (SSL_CERT_FILE names
    /// an authority that the system does not know); a server of our own is started without it
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// What the server at --url speaks
    #[arg(long, value_name = "NAME", default_value = Protocol::YWebsocket.name(), value_parser = Protocol::NAMES, requires = "url")]
    pub(super) protocol: String,
    /// The server at --url sends an update back to its sender only when it is stored, as Coscribe does; without this
    /// flag such an echo acknowledges nothing
    #[arg(long, requires = "url")]
    pub(super) echo_acknowledges: bool,
    /// What has to hold in the end. equal: all replicas, a fresh client and the export are equal. durable: the server is
    /// killed in the end, nobody comes back, and a fresh client finds all that was acknowledged or seen by another
    #[arg(long, value_name = "WHAT", default_value = "equal", value_parser = ["equal", "durable"])]
    pub(super) verify: String,
    /// Shell command that starts the server at --url, so that it can be killed and started again
    #[arg(long, value_name = "COMMAND", requires = "url")]
    server_cmd: Option<String>,
    /// Where the server at --url gives a document as a Yjs update over HTTP; {document} stands for its name
    #[arg(long, value_name = "URL", requires = "url")]
    pub(super) export: Option<String>,
    /// How many people
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) clients: u16,
    /// How many edits, of all people together; without it 400, 120 in each session of --seeds, or the whole history
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) ops: Option<u32>,
    /// The plan's seed; a random one is chosen and printed without it
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Runs so many short sessions instead of one, with the seeds from --seed (or 1) on, each with a workload that its
    /// seed chooses unless --workload says which, and a server of its own unless --url names one
    #[arg(long, value_name = "N", conflicts_with_all = ["script", "history", "html", "server_cmd"], value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) seeds: Option<u32>,
    /// How many sessions of --seeds run at the same time
    #[arg(long, value_name = "N", requires = "seeds", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(super) jobs: Option<u8>,
    /// What is edited, comma-separated; all but `recorded` without it
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = WORKLOADS)]
    pub(super) workload: Vec<String>,
    /// The concurrent history that `--workload recorded` replays, with a person for each of its agents: a file as in
    /// github.com/josephg/editing-traces, gzipped or not
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Leave the network alone: nobody is cut off, delayed, repeated or dies
    #[arg(long)]
    pub(super) no_faults: bool,
    /// How often the server is killed and started again; 1 where we start it, unless --no-faults
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(super) kills: Option<u32>,
    /// Run this script instead of a plan made from a seed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["clients", "ops", "seed", "workload", "no_faults", "kills"])]
    script: Option<PathBuf>,
    /// Seconds without any message after which what has not come is missing
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    pub(super) settle: f64,
    /// Seconds that looking for a smaller history that fails may take; 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    shrink: u64,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
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
    if let Some(seeds) = args.seeds {
        return runtime()?.block_on(converge_many::run(args, seeds));
    }
    let (plan, recording) = args.plan()?;
    // A report that can not be written is no reason to work for minutes first.
    for file in [&args.json, &args.html].into_iter().flatten() {
        write(file, "")?;
    }
    runtime()?.block_on(args.carry_out(&plan, recording))
}

impl ConvergeArgs {
    pub(super) fn plan(&self) -> anyhow::Result<(Plan, Option<Arc<Recording>>)> {
        if let Some(file) = &self.script {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} can not be read", file.display()))?;
            let plan = script::parse(&text).with_context(|| file.display().to_string())?;
            if self.history.is_none() && plan.steps.iter().any(|step| step.replays().is_some()) {
                bail!(
                    "{} replays a history; give it with --history",
                    file.display()
                );
            }
            let recording = self.recording(plan.seed, None)?;
            return Ok((plan, recording));
        }
        let may_kill = self.url.is_none() || self.server_cmd.is_some();
        let mut workloads: Vec<_> = self
            .workload
            .iter()
            .filter_map(|name| Workload::of(name))
            .collect();
        if workloads.is_empty() {
            workloads = Workload::ALL.to_vec();
        }
        let mut shape = Shape {
            seed: self
                .seed
                .unwrap_or_else(|| u64::from(rand::random::<u32>())),
            clients: self.clients,
            ops: self.ops.unwrap_or(OPS),
            workloads,
            faults: !self.no_faults,
            kills: self
                .kills
                .unwrap_or_else(|| u32::from(may_kill && !self.no_faults)),
        };
        let replay = self.workload.iter().any(|name| name == RECORDED);
        match self.recording(shape.seed, self.ops)? {
            Some(recording) if replay && self.workload.len() == 1 => {
                shape.clients = recording.agents;
                let agents = recording.transactions.iter().map(|one| one.agent);
                Ok((Plan::recorded(&shape, agents), Some(recording)))
            }
            None if !replay => Ok((Plan::new(&shape), None)),
            _ => bail!(
                "a history is replayed by `--workload recorded --history FILE`, and nothing else beside it"
            ),
        }
    }

    /// Sessions mostly wait for their people.
    pub(super) fn sessions_at_once(&self) -> u8 {
        self.jobs.unwrap_or(4)
    }

    fn recording(&self, seed: u64, limit: Option<u32>) -> anyhow::Result<Option<Arc<Recording>>> {
        let Some(file) = &self.history else {
            return Ok(None);
        };
        let bytes =
            std::fs::read(file).with_context(|| format!("{} can not be read", file.display()))?;
        let limit = limit.map(|limit| limit as usize);
        let recording = Recording::read(&bytes, limit, |number| client_id(seed, number))
            .with_context(|| file.display().to_string())?;
        Ok(Some(Arc::new(recording)))
    }

    async fn carry_out(
        &self,
        plan: &Plan,
        recording: Option<Arc<Recording>>,
    ) -> anyhow::Result<Verdict> {
        // Before a server is started, which would outlive us.
        let interrupt = Interrupt::listen()?;
        tokio::select! {
            verdict = self.work(plan, recording, &interrupt.stop) => verdict,
            // What was started ends with what is dropped here.
            () = interrupt.at_once.cancelled() => bail!("interrupted twice; nothing is reported"),
        }
    }

    async fn work(
        &self,
        plan: &Plan,
        recording: Option<Arc<Recording>>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Verdict> {
        let target = self.target().await?;
        let kills = plan.steps.iter().any(|step| step.what == What::KillServer);
        let kills = kills || self.verify() == Verify::Durable;
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
            verify: self.verify(),
            recording,
            stop: stop.clone(),
            progress: &progress,
        };
        let outcome = session::run(&target, plan, &conduct).await?;
        if bar {
            eprintln!();
        }
        let mut shrunk = None;
        if !outcome.findings.is_empty() && self.shrink > 0 && !outcome.interrupted {
            shrunk = self.smaller(&target, plan, &outcome, &conduct).await;
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
        conduct: &Conduct<'_>,
    ) -> Option<Shrunk> {
        eprintln!(
            "coscribe: it failed; looking for a smaller history that fails, for at most {} s",
            self.shrink
        );
        let conduct = Conduct {
            settle: Duration::from_secs_f64((self.settle / 3.0).max(0.3)),
            verify: conduct.verify,
            recording: conduct.recording.clone(),
            stop: conduct.stop.clone(),
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

    pub(super) fn verify(&self) -> Verify {
        match self.verify.as_str() {
            "durable" => Verify::Durable,
            _ => Verify::Equal,
        }
    }

    pub(super) async fn target(&self) -> anyhow::Result<Target> {
        let Some(url) = &self.url else {
            let server = Server::own().await?;
            let address = server.own_address().unwrap_or_default();
            return Ok(Target {
                url: format!("ws://{address}/ws"),
                protocol: Protocol::YWebsocket,
                acknowledges: Acknowledgement::Echo,
                export: Some(format!(
                    "http://{address}/api/docs/{{document}}/content?as=yjs"
                )),
                server: Some(Mutex::new(server)),
            });
        };
        let endpoint = WsAddress::parse(url)?.endpoint;
        let protocol = Protocol::of(&self.protocol).unwrap_or(Protocol::YWebsocket);
        let acknowledges = match protocol {
            Protocol::Hocuspocus => Acknowledgement::Status,
            Protocol::YWebsocket if self.echo_acknowledges => Acknowledgement::Echo,
            Protocol::YWebsocket => Acknowledgement::Nothing,
        };
        let export = self.export.as_deref().map(export_endpoint).transpose()?;
        let server = match &self.server_cmd {
            Some(command) => {
                let address = endpoint.socket_address();
                Some(Mutex::new(Server::command(command, &address).await?))
            }
            None => None,
        };
        // What is wrong with a certificate is no verdict about what the server does, so it is found out before.
        for endpoint in export.iter().chain([&endpoint]) {
            if endpoint.tls().is_some() {
                let answer = endpoint.dial().await;
                answer.with_context(|| format!("no TLS with {}", endpoint.socket_address()))?;
            }
        }
        Ok(Target {
            url: url.clone(),
            protocol,
            acknowledges,
            export: self.export.clone(),
            server,
        })
    }
}

/// Where `--export` points.
fn export_endpoint(export: &str) -> anyhow::Result<Endpoint> {
    let wrong = || {
        format!(
            "--export {export}: it must begin with http:// or https:// and contain {{document}}"
        )
    };
    let url = url::Url::parse(export).with_context(wrong)?;
    if !matches!(url.scheme(), "http" | "https") || !export.contains("{document}") {
        bail!(wrong());
    }
    Endpoint::of(&url).with_context(|| format!("--export {export}"))
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

pub(super) fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} can not be written", file.display()))
}
