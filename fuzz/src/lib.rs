//! What the fuzz targets do with their bytes. The bodies stand apart from the fuzzer, so that `tests/fuzz_targets.rs`
//! runs them, too: over the corpus that real clients made, and over mutations of it.
//!
//! Each body asserts properties; that it comes back at all, in time and with little memory, is the runner's to see.

pub mod awareness;
pub mod frame;
pub mod heads;
pub mod inputs;
pub mod log;
pub mod restore;
pub mod sets;
pub mod updates;

/// A body: any bytes go in, and it panics when a property does not hold.
pub type Body = fn(&[u8]);

/// All targets by name; `fuzz_targets` has a file for each.
pub const TARGETS: [(&str, Body); 11] = [
    ("heads", heads::heads),
    ("frame", frame::frame),
    ("scan", updates::scan_bytes),
    ("apply", updates::apply),
    ("splice", updates::splice_updates),
    ("strip", updates::strip_updates),
    ("log", log::log),
    ("restore", restore::restores),
    ("awareness", awareness::awareness),
    ("state_vector", sets::state_vector),
    ("id_set", sets::id_set),
];
