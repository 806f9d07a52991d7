//! `coscribe check`: is everything that is stored readable and whole?

use super::{Verdict, runtime};
use crate::config::Config;

/// What a check found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    documents: u64,
    /// What is wrong, one line each.
    problems: Vec<String>,
}

pub(super) fn run(config: &Config) -> anyhow::Result<Verdict> {
    let report = runtime()?.block_on(examine(config, |done, all| {
        eprint!("\rcoscribe: {done} of {all} documents checked");
    }))?;
    for problem in &report.problems {
        println!("{problem}");
    }
    match report.problems.len() {
        0 => {
            eprintln!("\ncoscribe: {} documents are whole", report.documents);
            Ok(Verdict::Fine)
        }
        damaged => {
            eprintln!(
                "\ncoscribe: {damaged} problems in {} documents; keep the data directory as it is, and restore a \
                 backup elsewhere (`coscribe restore FILE --data-dir DIR`) to compare",
                report.documents
            );
            Ok(Verdict::Wrong)
        }
    }
}

/// Verifies the database and replays every document. The store takes this over.
async fn examine(_config: &Config, _progress: impl FnMut(u64, u64)) -> anyhow::Result<Report> {
    anyhow::bail!("this build can not check yet")
}
