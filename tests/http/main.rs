//! The HTTP interface from outside: a real server on a port of its own, over a library in memory.

mod app;
mod assets;
mod documents;
mod library;
mod policies;
