//! The CPU that the server and the generator use over a stretch of time.

use std::time::Instant;

use anyhow::Result;

use crate::{figures::Figures, server::Server, usage::Cpu};

pub struct Meter {
    pid: u32,
    began: Instant,
    server: Cpu,
    generator: Cpu,
}

/// What a stretch took.
pub struct Used {
    pub seconds: f64,
    pub server_nanos: f64,
    pub generator_nanos: f64,
}

impl Meter {
    pub fn start(server: &Server) -> Result<Self> {
        Ok(Self {
            pid: server.pid,
            server: Cpu::of(server.pid)?,
            generator: Cpu::of_this_process()?,
            began: Instant::now(),
        })
    }

    pub fn stop(self) -> Result<Used> {
        Ok(Used {
            seconds: self.began.elapsed().as_secs_f64(),
            server_nanos: Cpu::of(self.pid)?.since(&self.server),
            generator_nanos: Cpu::of_this_process()?.since(&self.generator),
        })
    }
}

impl Used {
    /// How much of one core each side used: near 100 % the generator's single thread would be the bottleneck.
    pub fn add_to(&self, figures: &mut Figures) {
        for (name, nanos) in [
            ("server CPU", self.server_nanos),
            ("generator CPU", self.generator_nanos),
        ] {
            figures.add(name, "% of a core", nanos / 1e7 / self.seconds);
        }
    }
}
