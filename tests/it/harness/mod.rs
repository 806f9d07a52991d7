//! What every test here stands on: the real binary as a process, peers that speak the wire protocol, stock clients in
//! Node, a proxy that breaks connections, a relay that forgets messages, and the database file seen from outside.

pub mod database;
#[path = "../../yjs/driver.rs"]
pub mod driver;
pub mod forgetful;
pub mod load;
pub mod node;
pub mod peer;
pub mod proxy;
pub mod server;
pub mod shim;
pub mod tokens;
pub mod view;
pub mod wire;

use std::time::Duration;

/// How long anything may take to become true. Far above what it takes, as tests share a machine with compilers.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a control waits for what can not come.
pub const IN_VAIN: Duration = Duration::from_secs(2);

/// Stands in texts that must never be in a log. The harness looks for it in every server's log.
pub const CANARY: &str = "kanarienvogel";

/// A count that can be raised by hand: `COSCRIBE_KILLS=200 cargo test`.
pub fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Says why a test did not run, in words that stand out in the output.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Asks again and again until the answer is there. For conditions outside this process, which nobody announces.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
