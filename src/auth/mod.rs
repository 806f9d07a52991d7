//! Who is calling. There are no accounts yet: a browser is told apart by a random cookie.

pub mod access;
pub mod actor;
