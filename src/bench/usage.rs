//! What a process uses, read from `/proc`: CPU time of all its threads, and memory. Where there is no `/proc` (not
//! Linux) nobody may ask; see [`AVAILABLE`].

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Whether this system tells what a process uses.
pub const AVAILABLE: bool = cfg!(target_os = "linux");

/// `/proc/<pid>/stat` counts in hundredths of a second on every Linux that matters.
const NANOS_PER_TICK: u64 = 10_000_000;

/// Idle and waiting for disks, among the columns of `/proc/stat`.
const IDLE_FIELDS: [usize; 2] = [3, 4];

/// A reading of a process's CPU clock; only the difference of two says anything.
pub struct Cpu {
    /// User and system time of all threads, also of those that ended; coarse.
    ticks: u64,
    /// Nanoseconds of each living thread; fine, but a thread that ends takes its share with it.
    threads: HashMap<String, u64>,
}

impl Cpu {
    /// Reads the clock.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("there is no process {pid}"))?;
        // The second field is the name in parentheses and may hold spaces.
        let (_, fields) = stat.rsplit_once(')').context("/proc/<pid>/stat")?;
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let nanos = text
                .split_whitespace()
                .next()
                .and_then(|field| field.parse().ok())
                .unwrap_or(0);
            threads.insert(entry.file_name().to_string_lossy().into_owned(), nanos);
        }
        Ok(Self { ticks, threads })
    }

    /// Nanoseconds of CPU since `earlier`.
    pub fn since(&self, earlier: &Self) -> f64 {
        let whole = |cpu: &Self| cpu.threads.values().sum::<u64>();
        let all_live = earlier
            .threads
            .keys()
            .all(|thread| self.threads.contains_key(thread));
        if all_live && whole(self) > 0 {
            (whole(self) - whole(earlier)) as f64
        } else {
            ((self.ticks - earlier.ticks) * NANOS_PER_TICK) as f64
        }
    }
}

/// Nanoseconds that all processors of the machine together have been busy since it started.
///
/// # Errors
/// When `/proc/stat` can not be read.
pub fn machine_busy_nanos() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("an empty /proc/stat")?;
    let fields = line.split_whitespace().skip(1).take(8);
    let ticks = fields
        .enumerate()
        .filter(|(index, _)| !IDLE_FIELDS.contains(index));
    let busy: u64 = ticks
        .filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum();
    Ok(busy * NANOS_PER_TICK)
}

/// Resident memory of a process, in bytes; `None` where the process is not known.
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub fn resident_bytes(pid: Option<u32>) -> Result<Option<f64>> {
    let Some(pid) = pid else { return Ok(None) };
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("the memory of process {pid} can not be read"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .context("no Rss in smaps_rollup")?;
    let kilobytes: f64 = line
        .split_whitespace()
        .next()
        .context("an empty Rss")?
        .parse()?;
    Ok(Some(kilobytes * 1024.0))
}

/// Thousands of sockets are files: takes as many as this user may have, which children inherit. Returns how many.
///
/// # Errors
/// When the system refuses its own maximum.
pub fn raise_file_limit() -> Result<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, all).context("the limit of open files can not be raised")?;
    Ok(most.unwrap_or(u64::MAX))
}
