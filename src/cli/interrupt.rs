//! Ctrl-C (and SIGTERM) for commands that have something to put away.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first signal cancels; the second ends the process. It hears from the moment of the call on, on the
/// current runtime.
///
/// # Errors
/// When signals can not be watched.
pub(super) fn interrupted() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind).context("signals can not be watched")?;
        let stopped = stop.clone();
        let waiting = async move {
            signals.recv().await;
            if stopped.is_cancelled() {
                std::process::exit(2);
            }
            stopped.cancel();
            signals.recv().await;
            std::process::exit(2);
        };
        // It ends with the process.
        drop(tokio::runtime::Handle::current().spawn(waiting));
    }
    Ok(stop)
}
