//! The load generator: real clients' messages over real sockets, against our own server, against a bare relay that
//! stores and merges nothing, and against any other server that speaks y-websocket or Hocuspocus. `coscribe bench` is
//! its command line.
//!
//! A [`scenario`] starts a [`server`], loads it and returns [`figures`]; [`run`] lets the two sides take turns and
//! gathers a [`report`], which becomes text, JSON, the table of `docs/performance.md` ([`markdown`]) and a web page.
//! What is [`wanted`] of our own server stands in one list. It knows nothing of any server's inside: it speaks the wire,
//! and reads what a process uses from `/proc`.

mod connections;
mod delivery;
mod fan_out;
pub mod figures;
mod ingest;
pub mod machine;
pub mod markdown;
mod meter;
mod open;
mod page;
mod plot;
mod presence;
pub mod relay;
pub mod report;
mod rooms;
pub mod run;
pub mod scenario;
pub mod server;
mod stream;
pub mod trace;
pub mod update;
pub mod usage;
pub mod wanted;
pub mod websocket;
pub mod wire;
