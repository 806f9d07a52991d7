//! The WebSocket transport: one actix-ws session for each client and document.
//!
//! [`upgrade`] decides whether a socket is let in, [`session`] carries frames between it and its room. What the frames
//! mean is `protocol`'s and `room`'s business.

mod body;
mod inbound;
mod line;
pub mod rate;
mod session;
pub mod upgrade;
pub mod wire;
