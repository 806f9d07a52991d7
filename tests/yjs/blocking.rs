//! The Node process for tests that do nothing while it answers.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::driver::Driver;

pub struct BlockingDriver {
    runtime: Runtime,
    driver: Driver,
}

/// What replicas must agree on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Print {
    pub content: String,
    pub vector: String,
    pub deletes: String,
    pub pending: bool,
}

impl BlockingDriver {
    /// As [`Driver::start`], with a runtime of its own.
    pub fn start(script: &str) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let driver = runtime.block_on(async { Driver::start(script) })?;
        Some(Self { runtime, driver })
    }

    pub fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> T {
        self.runtime.block_on(self.driver.ask(request))
    }

    pub fn load<B: AsRef<[u8]>>(&mut self, updates: &[B], gc: bool) -> Print {
        self.runtime.block_on(self.driver.load(updates, gc))
    }
}
