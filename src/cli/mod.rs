//! The command line: what may be said, and what the process answers with its exit code.
//!
//! 0 means fine, 1 that the thing looked at is wrong (damage found, something unsaved), 2 that the command could not
//! run (usage, a port in use, data that is locked or can not be read). Results go to standard output, everything meant
//! for a person to standard error.

mod backup;
mod bench;
mod check;
mod config;
mod converge;
mod converge_many;
mod diff_words;
mod interrupt;
mod restore;
mod serve;
mod versions;
mod ws_address;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, Environment, Flags},
    document::replica::STACK_BYTES,
    store::sqlite::inspect::{Progress, Step},
};

/// A collaborative editor and Yjs-compatible sync server in one binary.
///
/// Without a command it serves. Settings can be flags, COSCRIBE_… environment variables or keys of the file that
/// --config names; --help lists all of them, -h the usual ones.
#[derive(Debug, Parser)]
#[command(name = "coscribe", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Verify the database and every document; works beside a running server
    Check,
    /// Write a consistent copy of the database to FILE; works beside a running server
    Backup(backup::BackupArgs),
    /// Make the data directory from a backup; the server must not run
    Restore(restore::RestoreArgs),
    /// Look into the past of a document, name a version, bring one back
    Versions(versions::VersionsArgs),
    /// Print the settings in force and where each came from, or the reference of all settings
    Config(config::ConfigArgs),
    /// Prove that all replicas end equal: simulated people edit on a bad network, on our server or any other
    Converge(Box<converge::ConvergeArgs>),
    /// Measure our server or any other under load, side by side with a bare relay
    Bench(Box<bench::BenchArgs>),
    #[command(name = crate::bench::server::RELAY_COMMAND, hide = true)]
    BenchRelay(bench::RelayArgs),
}

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// The thing that was looked at is wrong; the reason has been printed.
    Wrong,
}

/// Parses the arguments of this process, runs the command and answers its exit code.
pub fn main() -> ExitCode {
    // A usage error prints itself and exits with 2, which is our code for "could not run".
    let cli = Cli::parse();
    match run(cli) {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::from(1),
        Err(error) => {
            eprintln!("coscribe: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Verdict> {
    let Cli { command, flags } = cli;
    let environment = Environment::of_process();
    let settings = || Config::load(&flags, &environment);
    match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(settings()?),
        Command::Check => check::run(&settings()?),
        Command::Backup(args) => backup::run(&args, &settings()?),
        Command::Restore(args) => restore::run(&args, &settings()?),
        Command::Versions(args) => versions::run(&args, &settings()?),
        Command::Config(args) => config::run(&args, &flags, &environment),
        Command::Converge(args) => converge::run(&args, &flags),
        Command::Bench(args) => bench::run(&args, &flags),
        Command::BenchRelay(args) => bench::run_relay(&args),
    }
}

/// Tells how far a long operation is, on one line of standard error.
fn progress(progress: Progress) {
    let step = match progress.step {
        Step::Copying => "copying",
        Step::Verifying => "verifying the file",
        Step::Replaying => "replaying documents",
    };
    match progress.total {
        0 => eprint!("\rcoscribe: {step} …"),
        total => eprint!("\rcoscribe: {step} {} of {total} ", progress.done),
    }
}

/// The runtime that rooms, the writer and the store live on; actix workers have small ones of their own.
///
/// Half the cores: an update passes from a socket to its room to the writer and back, and each further thread it could
/// run on costs a wake-up and a context switch on the way. What takes long in a room makes room for the others by
/// itself (`room::task`).
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .thread_name("coscribe")
        .thread_stack_size(STACK_BYTES)
        .build()?;
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_before_and_after_the_command() {
        for line in [
            &["coscribe", "--listen", "127.0.0.1:0"][..],
            &["coscribe", "serve", "--listen", "127.0.0.1:0"],
            &["coscribe", "--listen", "127.0.0.1:0", "serve"],
            &["coscribe", "check", "--listen=127.0.0.1:0"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            let config = Config::load(&cli.flags, &Environment::default()).unwrap();
            assert_eq!(config.listen.port(), 0, "{line:?}");
        }
    }

    #[test]
    fn a_backup_needs_its_file() {
        let error = Cli::try_parse_from(["coscribe", "backup"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("<FILE>"), "{error}");
    }
}
