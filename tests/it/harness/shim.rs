//! A library that is loaded in front of the server's C library: see `shim.c`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The words in front of the server that load the library with these settings. `None`, having said why, where there is
/// no C compiler.
pub fn prefix(settings: &[&str]) -> Option<Vec<String>> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(library) = LIBRARY.get_or_init(build) else {
        super::skip("there is no C compiler that builds shared libraries");
        return None;
    };
    let mut words = vec![
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.display()),
    ];
    words.extend(settings.iter().map(ToString::to_string));
    Some(words)
}

/// The setting that lets faults wait until this file is there.
pub fn armed_by(file: &Path) -> String {
    format!("SHIM_ARMED={}", file.display())
}

/// A prefix as the arguments of a process are given.
pub fn words(prefix: &[String]) -> Vec<&str> {
    prefix.iter().map(String::as_str).collect()
}

/// The library lies beside the test's own binary, one for each process, and is built in a second.
fn build() -> Option<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/shim.c");
    let library =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("shim-{}.so", std::process::id()));
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .args([source, "-ldl"])
        .status();
    built
        .is_ok_and(|status| status.success())
        .then_some(library)
}
