//! Deterministic simulation: the real rooms, registry, writer and compaction, on a disk, a clock, a network, a bus and a
//! scheduler that belong to the test.
//!
//! People with real Yjs replicas edit documents over slow and breaking connections, while the disk is full, fails to
//! confirm, or loses and tears what was not synced, and the process is killed, the power cut or the server stopped at any
//! step. In half of the histories two or three nodes serve the one store, over a bus that loses, delays, repeats and
//! reorders, and each may be killed by itself. Time is virtual, so nothing waits, and everything is drawn from one seed: a seed that fails does so again,
//! step by step ([`run`]).
//!
//! What is checked, and when:
//! - with every frame that leaves a room: all that it shows or acknowledges is durable ([`network`]);
//! - after every crash: what anybody had seen, or had been told is saved, is in what the next start loads, and the
//!   snapshot with its tail equals the whole log ([`verdict`]);
//! - at the end, without a reconnect that could heal anything: all replicas, a fresh one and the store are equal in
//!   values, state vector and delete set, every edit is there exactly once, and nothing is left on the books.
//!
//! [`crate::room::planted`] holds mistakes that the simulation must find.

mod disk;
mod history;
mod network;
mod nodes;
mod person;
mod reach;
mod scenario;
mod server;
mod tests;
mod verdict;
mod world;

pub use history::{Failure, Outcome, run, traced};
pub use scenario::Scenario;
