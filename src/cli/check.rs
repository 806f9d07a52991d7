//! `coscribe check`: is everything that is stored readable and whole?

use super::{Verdict, progress, runtime};
use crate::{config::Config, store::sqlite::inspect};

pub(super) fn run(config: &Config) -> anyhow::Result<Verdict> {
    let report = runtime()?.block_on(inspect::check(&config.data_dir, progress))?;
    eprintln!();
    for problem in &report.file {
        println!("database: {problem}");
    }
    for finding in &report.findings {
        println!("document {:?}: {}", finding.doc, finding.problem);
    }
    if report.is_sound() {
        eprintln!(
            "coscribe: {} documents with {} edits are whole",
            report.documents, report.rows
        );
        return Ok(Verdict::Fine);
    }
    eprintln!(
        "coscribe: {} problems; keep the data directory as it is, and restore a backup elsewhere \
         (`coscribe restore FILE --data-dir DIR`) to compare",
        report.file.len() + report.findings.len()
    );
    Ok(Verdict::Wrong)
}
