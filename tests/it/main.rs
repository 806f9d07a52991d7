//! The real binary, spoken to over the wire by peers of our own and by the stock npm clients.
//!
//! `COSCRIBE_SEEDS`, `COSCRIBE_KILLS`, `COSCRIBE_FRAMES` and `COSCRIBE_DOCUMENTS` raise how much is tried;
//! `COSCRIBE_BIN` names another binary. What needs root, `strace` or Node is skipped with a message where it is missing.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "tasks and queues of a test end with it; settings of a run come from the environment"
)]

mod harness;

/// Replicas that edit at random on bad networks end equal.
mod convergence;
/// Bytes that broke servers.
mod corpus;
/// The life of a document, from its first edit to its deletion.
mod documents;
/// What was acknowledged or seen survives `kill -9`.
mod durability;
/// When the disk is asked to confirm, seen from outside.
mod durability_order;
/// The end at a chosen system call, syncs that fail or lie, clocks that jump.
mod fail_points;
/// Many malformed frames at once.
mod flood;
/// The past of a document.
mod history;
/// What no honest client sends.
mod hostile;
/// Documents that nobody has open.
mod idle_unload;
/// What exceeds a limit.
mod limits;
/// What was acknowledged or seen survives a power cut.
mod power_cut;
/// Who is here.
mod presence;
/// Deleted text stays deleted.
mod privacy;
/// Stopping, and copies of the data.
mod retention;
mod shutdown;
/// Somebody who does not read.
mod slow_peer;
/// Disks that are full, locked, read-only or damaged.
mod storing;
/// Everybody comes back at once.
mod storm;
/// What is said on the wire.
mod sync;
/// Data directories of earlier versions.
mod upgrade;
/// Values that must not change on the way.
mod values;
/// Edits that can not be integrated yet, or never.
mod waiting;
