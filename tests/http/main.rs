//! The HTTP interface from outside: a real server on a port of its own, over a library in memory.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod app;
mod assets;
mod documents;
mod library;
mod origins;
mod policies;
mod steps;
mod versions;
