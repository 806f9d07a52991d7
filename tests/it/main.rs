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
/// What was acknowledged or seen survives `kill -9`.
mod durability;
/// When the disk is asked to confirm, seen from outside.
mod durability_order;
/// What no honest client sends.
mod hostile;
/// Who is here.
mod presence;
/// What is said on the wire.
mod sync;
