//! Everything that Coscribe is built from may be used and passed on freely: the crates of the lock file, and the
//! packages of the web app that reach a browser.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

/// Permissive licences, by their SPDX names. MPL-2.0 as an unmodified dependency; OFL-1.1 is that of the fonts.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OFL-1.1",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression leaves a choice that is allowed. Only `AND`, `OR`, the old `/` and one level of
/// parentheses occur; anything else is not allowed.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for word in expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .split_whitespace()
    {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "AND" if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        let part = parts.last_mut().unwrap();
        if !matches!(word, "(" | ")") {
            part.push_str(word);
            part.push(' ');
        }
    }
    parts.iter().all(|part| {
        part.split(" OR ")
            .any(|name| ALLOWED.contains(&name.trim()))
    })
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    assert!(is_allowed("MIT OR GPL-3.0"));
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR MIT"));
    assert!(!is_allowed("GPL-3.0"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
    assert!(!is_allowed("(MIT OR Apache-2.0) AND AGPL-3.0"));
    assert!(!is_allowed(""));
}

#[test]
fn every_crate_is_permissive() {
    // Only what this platform needs: the rest of the lock file was never downloaded here.
    let about = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let about = String::from_utf8(about.stdout).unwrap();
    let host = about
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", host, "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "only {} crates", packages.len());
    let wrong = packages
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default()));
    let wrong: Vec<_> = wrong
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_package_that_reaches_a_browser_is_permissive() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/package-lock.json");
    let lock: Value = serde_json::from_slice(&std::fs::read(lock).unwrap()).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    let shipped: BTreeSet<_> = packages
        .iter()
        .filter(|(path, package)| !path.is_empty() && package["dev"] != true)
        .map(|(path, package)| (path, package["license"].as_str().unwrap_or_default()))
        .collect();
    assert!(shipped.len() > 10, "only {} packages", shipped.len());
    let wrong: Vec<_> = shipped
        .iter()
        .filter(|(_, licence)| !is_allowed(licence))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
