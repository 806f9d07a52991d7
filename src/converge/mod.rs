//! Simulated people with real replicas on any Yjs server, a network that misbehaves, and a verdict whether all of them
//! ended equal with nothing lost. `coscribe converge` is its command line.
//!
//! A seed becomes a [`plan`]; [`session`] runs it with one [`person`] for each client, over a [`link`] through
//! a [`proxy`] each, in the words of a [`wire`] protocol; what was written and what arrived is kept in [`ledger`]s and [`check`]ed in the end; a failure is [`shrink`]ed to a short
//! [`script`]. It knows nothing of this server's inside: it speaks the wire, and compares what clients hold.

pub mod check;
mod crowd;
pub mod edit;
mod export;
mod fate;
pub mod history;
mod hocuspocus;
pub mod ledger;
mod link;
mod measure;
mod page;
mod person;
pub mod plan;
mod plot;
pub mod print;
mod proxy;
pub mod random;
pub mod report;
pub mod script;
pub mod server;
pub mod session;
pub mod shrink;
pub mod state;
pub mod token;
mod undo;
pub mod wire;
