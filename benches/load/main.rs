//! The load generator: real clients' messages over real sockets, against coscribe, against the bare relay that is built
//! in, and against any other server that speaks y-websocket or Hocuspocus.
//!
//! ```text
//! cargo bench --bench load -- pairs --scenario fan-out
//! cargo bench --bench load -- pairs --all --trace automerge-paper.json.gz --markdown tables.md
//! cargo bench --bench load -- run saturation --relay
//! cargo bench --bench load -- run fan-out --url ws://127.0.0.1:8080/ws --pid 4711
//! ```

mod connections;
mod delivery;
mod fan_out;
mod figures;
mod ingest;
mod meter;
mod open;
mod pairs;
mod relay;
mod rooms;
mod scenario;
mod server;
mod trace;
mod update;
mod usage;
mod websocket;
mod wire;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    pairs::PairOptions,
    relay::RelayOptions,
    scenario::{Scenario, Sizes},
    server::Launch,
    wire::Dialect,
};

#[derive(Parser)]
#[command(
    name = "load",
    about = "Measures a server with real clients' messages",
    version
)]
struct Command {
    #[command(subcommand)]
    task: Option<Task>,
    /// `cargo bench` adds this to every benchmark's arguments.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Task {
    /// One scenario, once, against one server.
    Run {
        scenario: Scenario,
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        sizes: Sizes,
    },
    /// Two servers in turns: the bare relay and coscribe, or what `--against` names and coscribe.
    Pairs {
        #[command(flatten)]
        options: PairOptions,
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        sizes: Sizes,
    },
    /// The bare relay.
    Relay(RelayOptions),
}

#[derive(Args, Debug)]
struct Target {
    /// The coscribe binary.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_coscribe"))]
    server: PathBuf,
    /// Coscribe's durability; by default `full`, and `process` for the rooms.
    #[arg(long, value_parser = ["full", "process"])]
    durability: Option<String>,
    /// Run against the bare relay alone.
    #[arg(long)]
    relay: bool,
    /// A shell command that starts another server, which listens at `--against-url`.
    #[arg(long, requires = "against_url")]
    against: Option<String>,
    /// Where it listens: `ws://host:port/path-before-the-document's-name`.
    #[arg(long)]
    against_url: Option<String>,
    /// Run against this server, which runs already.
    #[arg(long, requires = "pid")]
    url: Option<String>,
    #[arg(long)]
    pid: Option<u32>,
    /// What the other server speaks.
    #[arg(long, value_enum, default_value_t = Dialect::YWebsocket)]
    protocol: Dialect,
}

fn main() -> Result<()> {
    let Command { task, .. } = Command::parse();
    usage::raise_file_limit()?;
    match task {
        // `cargo bench` without arguments runs every benchmark; this one has to be told what to measure.
        None => Ok(Command::command().print_help()?),
        Some(Task::Relay(options)) => relay::run(&options),
        Some(Task::Run {
            scenario,
            target,
            sizes,
        }) => {
            let figures = scenario.run(&target.alone(scenario), &sizes)?;
            println!("{}", serde_json::to_string_pretty(&figures)?);
            Ok(())
        }
        Some(Task::Pairs {
            options,
            target,
            sizes,
        }) => {
            if target.url.is_some() {
                bail!("pairs start both servers themselves; use --against and --against-url");
            }
            let baseline = target.other().unwrap_or(Launch::Relay);
            pairs::run(&options, &sizes, |scenario| {
                (baseline.clone(), target.coscribe(scenario))
            })
        }
    }
}

impl Target {
    /// The one server of a single run.
    fn alone(&self, scenario: Scenario) -> Launch {
        if self.relay {
            return Launch::Relay;
        }
        match (&self.url, self.pid) {
            (Some(url), Some(pid)) => Launch::Running {
                url: url.clone(),
                pid,
                dialect: self.protocol,
            },
            _ => self.other().unwrap_or_else(|| self.coscribe(scenario)),
        }
    }

    fn other(&self) -> Option<Launch> {
        let (command, url) = (self.against.clone()?, self.against_url.clone()?);
        Some(Launch::Command {
            command,
            url,
            dialect: self.protocol,
        })
    }

    fn coscribe(&self, scenario: Scenario) -> Launch {
        let durability = match self.durability.as_deref() {
            Some("full") => "full",
            Some("process") => "process",
            _ => scenario.durability(),
        };
        Launch::Coscribe {
            binary: self.server.clone(),
            durability,
        }
    }
}
