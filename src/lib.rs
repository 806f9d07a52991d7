//! Coscribe: a collaborative editor and Yjs-compatible sync server in one binary.
//!
//! The module list reads as the path of one keystroke: `ws` takes the frame, `protocol` decodes it, `room` applies it
//! to the `document`, `store` makes it durable, and the room fans it out again. `docs/architecture.md` walks it.

pub mod app;
pub mod auth;
pub mod bench;
pub mod bus;
mod child_server;
pub mod cli;
pub mod clock;
pub mod config;
pub mod converge;
pub mod dial;
pub mod document;
pub mod fetch;
pub mod health;
pub mod history;
pub mod http;
pub mod lifecycle;
pub mod metrics;
mod page;
pub mod protocol;
pub mod room;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod telemetry;
pub mod timestamp;
pub mod ws;
