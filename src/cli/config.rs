//! `coscribe config`: the settings in force, or the reference of all settings.

use clap::Args;

use super::Verdict;
use crate::config::{Config, Environment, Flags, effective, markdown};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Print docs/configuration.md instead: every setting, its flag, variable, default and meaning
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(
    args: &ConfigArgs,
    flags: &Flags,
    environment: &Environment,
) -> anyhow::Result<Verdict> {
    if args.markdown {
        print!("{}", markdown());
        return Ok(Verdict::Fine);
    }
    print!("{}", effective(flags, environment)?);
    // The values are printed first, so that one sees what a contradiction is made of.
    match Config::load(flags, environment) {
        Ok(_) => Ok(Verdict::Fine),
        Err(error) => {
            eprintln!("coscribe: {error}");
            Ok(Verdict::Wrong)
        }
    }
}
