//! `coscribe restore FILE`: the way back from a backup.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Verdict, runtime};
use crate::config::Config;

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
    let documents = runtime()?.block_on(make_from_copy(config, file))?;
    eprintln!(
        "coscribe: {} now holds {documents} documents",
        directory.display()
    );
    Ok(Verdict::Fine)
}

/// Verifies the copy and puts it in place; answers how many documents it holds. The store takes this over.
async fn make_from_copy(_config: &Config, _file: &Path) -> anyhow::Result<u64> {
    anyhow::bail!("this build can not restore yet")
}
