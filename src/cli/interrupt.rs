//! Ctrl-C (and SIGTERM) for commands that have something to put away.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the signals ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt {
    /// The first signal: come to an end, and report what there is.
    pub(super) stop: CancellationToken,
    /// The second signal: end at once. What was started ends with what is dropped then.
    pub(super) at_once: CancellationToken,
}

impl Interrupt {
    /// Hears signals from the moment of the call on, on the current runtime.
    ///
    /// # Errors
    /// When signals can not be watched.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let mut signals = signal(kind).context("signals can not be watched")?;
            let told = interrupt.clone();
            let waiting = async move {
                while signals.recv().await.is_some() {
                    if told.stop.is_cancelled() {
                        told.at_once.cancel();
                    }
                    told.stop.cancel();
                }
            };
            // It ends with the process.
            drop(tokio::runtime::Handle::current().spawn(waiting));
        }
        Ok(interrupt)
    }
}
