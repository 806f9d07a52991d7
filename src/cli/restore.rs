//! `coscribe restore FILE`: the way back from a backup.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{Verdict, progress, runtime};
use crate::{config::Config, store::sqlite::inspect};

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A file that `coscribe backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &RestoreArgs, config: &Config) -> anyhow::Result<Verdict> {
    let (file, directory) = (&args.file, &config.data_dir);
    std::fs::metadata(file).with_context(|| format!("{} can not be read", file.display()))?;
    let database = directory.join("coscribe.db");
    if database
        .try_exists()
        .with_context(|| format!("{} can not be looked at", database.display()))?
    {
        anyhow::bail!(
            "{} exists already and would be lost; move it away, or give another --data-dir",
            database.display()
        );
    }
    runtime()?.block_on(inspect::restore_backup(file, directory, progress))?;
    eprintln!(
        "\ncoscribe: {} now holds what the backup held; `coscribe check` looks at every document",
        directory.display()
    );
    Ok(Verdict::Fine)
}
