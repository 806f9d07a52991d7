//! `coscribe backup FILE`: a consistent copy, beside a running server or at rest.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{Verdict, progress, runtime};
use crate::{config::Config, store::sqlite::inspect};

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where the copy goes; it appears under this name only when it is whole
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace FILE when it exists
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &BackupArgs, config: &Config) -> anyhow::Result<Verdict> {
    let file = &args.file;
    if !args.force
        && file
            .try_exists()
            .with_context(|| format!("{} can not be looked at", file.display()))?
    {
        anyhow::bail!(
            "{} exists already; choose another name, or say --force to replace it",
            file.display()
        );
    }
    runtime()?.block_on(inspect::backup(
        &config.data_dir,
        file,
        args.force,
        progress,
    ))?;
    let bytes = std::fs::metadata(file)?.len();
    eprintln!(
        "\ncoscribe: {} holds a complete copy ({bytes} bytes)",
        file.display()
    );
    Ok(Verdict::Fine)
}
