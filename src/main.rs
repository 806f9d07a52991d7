//! The `coscribe` binary: parses the command line and turns the outcome into an exit code.

use std::process::ExitCode;

/// Messages are made on one thread and dropped on another, which glibc's allocator does with locks (`docs/performance.md`).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    coscribe::cli::main()
}
