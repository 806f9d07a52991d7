//! Work that may take long makes room for the others on its thread.
//!
//! On a runtime with a single thread, which only tests and simulations have, it is done on the spot: there nothing may
//! depend on the operating system's scheduler.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{JoinError, block_in_place, spawn_blocking},
};

/// Does the work on a thread of its own.
///
/// # Errors
/// When the work panicked, or the runtime ended before it began.
pub(super) async fn away<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if is_alone() {
        tokio::task::yield_now().await;
        return Ok(work());
    }
    spawn_blocking(work).await
}

/// Does the work here, while other threads take over what else waits for this one.
pub(super) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    if is_alone() {
        return work();
    }
    block_in_place(work)
}

fn is_alone() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}
