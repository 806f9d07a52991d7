//! What a figure was measured on: a ratio without its machine says little.

use std::{env, fs, path::Path};

use serde::Serialize;
use time::{OffsetDateTime, UtcDateTime};

/// The machine, the day and the program.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub cores: usize,
    /// GiB, where the system tells.
    pub memory_gib: Option<f64>,
    /// Name and version of the system's kernel, without what a distributor added to it.
    pub kernel: String,
    /// Kind of the file system that holds the data directories, where the system tells; a durable write costs nothing
    /// on one in memory.
    pub file_system: Option<String>,
    /// Day of the run in UTC, as 2026-11-21.
    pub date: String,
    /// Version of Coscribe, and whether it was built without optimisation.
    pub version: String,
}

impl Machine {
    /// The machine that this runs on, now.
    pub fn here() -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_gib(),
            kernel: format!(
                "{} {}",
                env::consts::OS,
                release.split('-').next().unwrap_or_default()
            )
            .trim()
            .to_owned(),
            file_system: file_system_of(&env::temp_dir()),
            date: UtcDateTime::from(OffsetDateTime::now_utc())
                .date()
                .to_string(),
            version: match cfg!(debug_assertions) {
                true => concat!(env!("CARGO_PKG_VERSION"), " (debug build)").to_owned(),
                false => env!("CARGO_PKG_VERSION").to_owned(),
            },
        }
    }

    /// One sentence's worth, for people.
    pub fn describe(&self) -> String {
        let mut parts = vec![format!("{} cores", self.cores)];
        parts.extend(self.memory_gib.map(|gib| format!("{gib:.0} GiB")));
        parts.extend(self.file_system.clone());
        parts.push(self.kernel.clone());
        parts.push(self.date.clone());
        parts.push(format!("Coscribe {}", self.version));
        parts.join(", ")
    }
}

fn memory_gib() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / f64::from(1 << 20))
}

/// The file system with the longest mount point above the path.
fn file_system_of(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let over = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (mounted_at, kind) = (fields.next()?, fields.next()?);
        path.starts_with(mounted_at).then_some((mounted_at, kind))
    });
    // The last one of the same place hides those before it.
    let nearest = over.max_by_key(|(mounted_at, _)| mounted_at.len())?;
    Some(nearest.1.to_owned())
}
