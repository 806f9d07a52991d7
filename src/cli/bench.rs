//! `coscribe bench`: what does a server cost, beside a relay that stores and merges nothing?

use std::{
    io::IsTerminal as _,
    net::ToSocketAddrs as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, builder::PossibleValuesParser};
use tokio::{runtime, task::LocalSet};

use super::{Verdict, interrupt::Interrupt, ws_address::WsAddress};
use crate::{
    bench::{
        machine::Machine,
        markdown, relay,
        report::{Report, significant},
        run::{self, Plan, Progress, Subject},
        scenario::{Scenario, Sizes},
        server::Remote,
        usage::{self, Cpu},
        wire::Dialect,
    },
    config::Flags,
};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// What to measure; --list says what each one is
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["all", "list"],
        value_parser = PossibleValuesParser::new(Scenario::ALL.map(Scenario::name)), hide_possible_values = true)]
    scenarios: Vec<String>,
    /// Every scenario, one after the other
    #[arg(long, conflicts_with = "scenarios")]
    all: bool,
    /// Print what there is to measure, and what is wanted of our own server
    #[arg(long)]
    list: bool,
    /// How often each of the two servers is measured, in turns; 1 with --quick
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count, default_value_if("quick", "true", "1"))]
    pairs: usize,
    /// Short and small: shows in seconds that everything works, measures nothing
    #[arg(long)]
    quick: bool,
    /// Measure this server instead of our own; where documents are, without their name, such as ws://localhost:1234
    /// or wss://sync.example.com; SSL_CERT_FILE names an authority that the system does not know
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Process of the server at --url, if it runs on this machine; without it CPU and memory are not measured
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// What the server at --url speaks
    #[arg(long, value_name = "NAME", requires = "url", default_value = "y-websocket", value_parser = ["y-websocket", "hocuspocus"])]
    protocol: String,
    /// An editing trace, packed with gzip, such as automerge-paper.json.gz of josephg/editing-traces; else one is made up
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How many readers, documents, clients or connections, instead of each scenario's own
    #[arg(long, value_name = "N", value_parser = count)]
    count: Option<usize>,
    /// How many updates, operations or moves per second, instead of each scenario's own
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// How long each scenario with a rate lasts
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    seconds: Option<f64>,
    /// Write every value of every run as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the table of limits into FILE, between the two marker lines it has; a new file gets them
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// The bare relay, which `coscribe bench` starts by itself.
#[derive(Debug, Args)]
pub(super) struct RelayArgs {
    /// What each new socket gets as its first frame
    #[arg(long, value_name = "FILE")]
    greeting: Option<PathBuf>,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=1_000_000).contains(&count) => Ok(count),
        _ => Err("a whole number from 1 to 1000000".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.01..=1_000_000.0).contains(&number) => Ok(number),
        _ => Err("a number from 0.01 to 1000000".to_owned()),
    }
}

pub(super) fn run_relay(args: &RelayArgs) -> anyhow::Result<Verdict> {
    relay::run(args.greeting.as_deref())?;
    Ok(Verdict::Fine)
}

pub(super) fn run(args: &BenchArgs, flags: &Flags) -> anyhow::Result<Verdict> {
    if args.list {
        print!("{}", list());
        return Ok(Verdict::Fine);
    }
    if !flags.is_empty() {
        bail!(
            "settings of the server mean nothing to bench; start the server with them yourself and give --url. \
             Temporary data is kept where TMPDIR says"
        );
    }
    let plan = args.plan()?;
    enough_open_files(&plan)?;
    // A report that can not be written is no reason to measure for minutes first.
    for file in [&args.json, &args.html].into_iter().flatten() {
        write(file, "")?;
    }
    let page = args.markdown.as_deref().map(marked).transpose()?;
    // One thread, so that the generator takes at most one core from the server.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = LocalSet::new().block_on(&runtime, args.measure(&plan));
    // A trace that is being read must not keep the process alive.
    runtime.shutdown_background();
    let report = report?;
    print!("{}", report.text());
    if let Some(file) = &args.json {
        write(file, &report.json()?)?;
    }
    if let Some(file) = &args.html {
        write(file, &report.html())?;
    }
    if let (Some(file), Some(page)) = (&args.markdown, page) {
        write(file, &markdown::insert(&page, &markdown::table(&report))?)?;
    }
    let failed = report.failed();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(Verdict::Fine)
}

impl BenchArgs {
    fn plan(&self) -> anyhow::Result<Plan> {
        if let Some(trace) = &self.trace {
            std::fs::File::open(trace)
                .with_context(|| format!("the trace {} can not be read", trace.display()))?;
        }
        let mut scenarios = Scenario::ALL.to_vec();
        if !self.all {
            let named = self.scenarios.iter().filter_map(|name| Scenario::of(name));
            scenarios = named.collect();
        }
        Ok(Plan {
            scenarios,
            pairs: self.pairs,
            sizes: Sizes {
                quick: self.quick,
                count: self.count,
                rate: self.rate,
                seconds: self.seconds,
                trace: self.trace.clone(),
                ..Sizes::default()
            },
            subject: match &self.url {
                Some(url) => Subject::Running(self.remote(url)?),
                None => Subject::Coscribe,
            },
        })
    }

    fn remote(&self, url: &str) -> anyhow::Result<Remote> {
        let WsAddress { endpoint, base } = WsAddress::parse(url)?;
        let mut addresses = endpoint
            .socket_address()
            .to_socket_addrs()
            .with_context(|| format!("--url {url}: the host can not be found"))?;
        let remote = Remote {
            address: addresses
                .next()
                .with_context(|| format!("--url {url}: the host has no address"))?,
            tls: endpoint.tls().cloned(),
            host: endpoint.authority(),
            base,
            dialect: match self.protocol.as_str() {
                "hocuspocus" => Dialect::Hocuspocus,
                _ => Dialect::YWebsocket,
            },
            pid: self.pid,
        };
        if let Some(pid) = self.pid {
            ensure!(
                usage::AVAILABLE,
                "--pid: this system does not tell what a process uses; leave it out"
            );
            ensure!(
                remote.is_local(),
                "--pid {pid}: the server at {url} is not on this machine; leave it out"
            );
            Cpu::of(pid).with_context(|| format!("--pid {pid}"))?;
        }
        Ok(remote)
    }

    /// Runs everything, unless a signal ends it; then what was started ends too.
    async fn measure(&self, plan: &Plan) -> anyhow::Result<Report> {
        // Before a server is started, which would outlive us.
        let stop = Interrupt::listen()?.stop;
        let working = async {
            if let (Subject::Running(remote), Some(url)) = (&plan.subject, &self.url) {
                let answer = remote.probe().await;
                answer.with_context(|| format!("no server to measure at {url}"))?;
            }
            let machine = Machine::here();
            let terminal = std::io::stderr().is_terminal();
            let series = run::run(plan, &|progress| draw(progress, terminal)).await;
            if terminal {
                eprint!("\r\x1b[K");
            }
            Ok(Report::new(plan, machine, series))
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => bail!("interrupted; nothing is reported"),
            report = working => report,
        }
    }
}

/// One line for each scenario and each limit.
fn list() -> String {
    let mut out = String::new();
    for scenario in Scenario::ALL {
        out += &format!("{:<17} {}\n", scenario.name(), scenario.about());
        let limits = crate::bench::wanted::WANTED.iter();
        for wanted in limits.filter(|wanted| wanted.scenario == scenario) {
            out += &format!("{:<17}   {}: {}\n", "", wanted.figure, wanted.words());
        }
    }
    out
}

/// Each socket is a file, here and in the servers that are started.
fn enough_open_files(plan: &Plan) -> anyhow::Result<()> {
    let may = usage::raise_file_limit()?;
    for &scenario in &plan.scenarios {
        let needs = scenario.open_files(plan.sizes.of(scenario)) as u64;
        ensure!(
            needs <= may,
            "{} needs {needs} open files and this user may have {may}: raise the limit with `ulimit -n {needs}`, \
             or take a smaller --count",
            scenario.name()
        );
    }
    Ok(())
}

/// The file that will get the table, as it is now.
fn marked(file: &Path) -> anyhow::Result<String> {
    let text = match file.exists() {
        true => std::fs::read_to_string(file)
            .with_context(|| format!("{} can not be read", file.display()))?,
        false => markdown::empty(),
    };
    markdown::insert(&text, "").with_context(|| file.display().to_string())?;
    // Whether it can be written is better known before.
    write(file, &text)?;
    Ok(text)
}

/// On a terminal one line that changes; elsewhere a line for each run that is over.
fn draw(progress: &Progress<'_>, terminal: bool) {
    let Progress {
        scenario,
        pair,
        pairs,
        server,
        ..
    } = progress;
    let place = format!("{} {pair}/{pairs}, {server}", scenario.name());
    match (progress.done, terminal) {
        (None, true) => {
            let left = progress.seconds_left;
            let left = left.map_or(String::new(), |left| {
                format!(", about {left:.0} s left of this scenario")
            });
            eprint!("\r\x1b[Kcoscribe: {place}{left} …");
        }
        (None, false) => {}
        (Some(figures), _) => {
            let measured = figures.values.iter().find_map(|figure| {
                let value = significant(figure.value?);
                Some(format!("{} {value} {}", figure.name, figure.unit))
            });
            let start = if terminal { "\r\x1b[K" } else { "" };
            eprintln!("{start}coscribe: {place}: {}", measured.unwrap_or_default());
        }
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} can not be written", file.display()))
}
