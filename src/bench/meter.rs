//! The CPU that the server, the generator and everything else on the machine use over a stretch of time.

use std::time::Instant;

use anyhow::Result;

use super::{
    figures::Figures,
    server::Server,
    usage::{Cpu, machine_busy_nanos},
};

/// The figure that tells how busy the machine was with something else.
pub const OTHERS: &str = "CPU of others";

/// A stretch that is being measured.
pub struct Meter {
    began: Instant,
    clocks: Option<Clocks>,
}

/// Readings of the three, where the server's process is known and the system tells.
struct Clocks {
    pid: u32,
    server: Cpu,
    generator: Cpu,
    machine: u64,
}

/// What a stretch took.
pub struct Used {
    pub seconds: f64,
    nanos: Option<Nanos>,
}

/// CPU time of each.
struct Nanos {
    server: f64,
    generator: f64,
    machine: f64,
}

impl Meter {
    /// Begins a stretch.
    ///
    /// # Errors
    /// When the server's process is gone.
    pub fn start(server: &Server) -> Result<Self> {
        let clocks = server.pid.map(Clocks::read).transpose()?;
        Ok(Self {
            began: Instant::now(),
            clocks,
        })
    }

    /// Ends the stretch.
    ///
    /// # Errors
    /// When the server's process is gone.
    pub fn stop(self) -> Result<Used> {
        let seconds = self.began.elapsed().as_secs_f64();
        let nanos = self.clocks.map(|before| {
            let after = Clocks::read(before.pid)?;
            anyhow::Ok(Nanos {
                server: after.server.since(&before.server),
                generator: after.generator.since(&before.generator),
                machine: (after.machine - before.machine) as f64,
            })
        });
        Ok(Used {
            seconds,
            nanos: nanos.transpose()?,
        })
    }
}

impl Clocks {
    fn read(pid: u32) -> Result<Self> {
        Ok(Self {
            pid,
            server: Cpu::of(pid)?,
            generator: Cpu::of(std::process::id())?,
            machine: machine_busy_nanos()?,
        })
    }
}

impl Used {
    /// Microseconds of the server's CPU for each of `count` things, where its CPU is known.
    pub fn micros_per(&self, count: f64) -> Option<f64> {
        self.nanos.as_ref().map(|nanos| nanos.server / 1e3 / count)
    }

    /// How much of one core each side used: near 100 % the generator's single thread would be the bottleneck, and a
    /// machine that others keep busy makes every figure doubtful.
    pub fn add_to(&self, figures: &mut Figures) {
        let share = |of: fn(&Nanos) -> f64| {
            let nanos = self.nanos.as_ref().map(of);
            nanos.map(|nanos| nanos / 1e7 / self.seconds)
        };
        let unit = "% of a core";
        figures.add_measured("server CPU", unit, share(|nanos| nanos.server));
        figures.add_measured("generator CPU", unit, share(|nanos| nanos.generator));
        let others = share(|nanos| (nanos.machine - nanos.server - nanos.generator).max(0.0));
        figures.add_measured(OTHERS, unit, others);
    }
}
