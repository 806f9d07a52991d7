//! `coscribe backup FILE`: a consistent copy, beside a running server or at rest.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Verdict, runtime};
use crate::config::Config;

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
    let bytes = runtime()?.block_on(write_copy(config, file))?;
    eprintln!(
        "coscribe: {} holds a complete copy ({bytes} bytes)",
        file.display()
    );
    Ok(Verdict::Fine)
}

/// Writes, syncs and renames; answers the size. The store takes this over.
async fn write_copy(_config: &Config, _file: &Path) -> anyhow::Result<u64> {
    anyhow::bail!("this build can not back up yet")
}
