//! The CPU that the server, the generator and everything else on the machine use over a stretch of time.

use std::time::Instant;

use anyhow::Result;

use crate::{
    figures::Figures,
    server::Server,
    usage::{Cpu, machine_busy_nanos},
};

pub struct Meter {
    pid: u32,
    began: Instant,
    server: Cpu,
    generator: Cpu,
    machine: u64,
}

/// What a stretch took.
pub struct Used {
    pub seconds: f64,
    pub server_nanos: f64,
    generator_nanos: f64,
    machine_nanos: f64,
}

impl Meter {
    pub fn start(server: &Server) -> Result<Self> {
        Ok(Self {
            pid: server.pid,
            server: Cpu::of(server.pid)?,
            generator: Cpu::of_this_process()?,
            machine: machine_busy_nanos()?,
            began: Instant::now(),
        })
    }

    pub fn stop(self) -> Result<Used> {
        Ok(Used {
            seconds: self.began.elapsed().as_secs_f64(),
            server_nanos: Cpu::of(self.pid)?.since(&self.server),
            generator_nanos: Cpu::of_this_process()?.since(&self.generator),
            machine_nanos: (machine_busy_nanos()? - self.machine) as f64,
        })
    }
}

impl Used {
    /// How much of one core each side used: near 100 % the generator's single thread would be the bottleneck, and a
    /// machine that others keep busy makes every figure doubtful.
    pub fn add_to(&self, figures: &mut Figures) {
        let others = (self.machine_nanos - self.server_nanos - self.generator_nanos).max(0.0);
        for (name, nanos) in [
            ("server CPU", self.server_nanos),
            ("generator CPU", self.generator_nanos),
            ("CPU of others", others),
        ] {
            figures.add(name, "% of a core", nanos / 1e7 / self.seconds);
        }
    }
}
