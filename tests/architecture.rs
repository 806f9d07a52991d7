//! Keeps the shape of `src/` true: who may import whom, what a file says of itself, and how large it may grow.
//!
//! A single crate does not stop a cycle between modules; this test does. To add an edge, change `LAYERS` and say why in
//! the commit.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::{fs, path::Path};

/// A module, then every module that it may import. A module may only name those above it, so the list itself can not
/// hold a cycle.
const LAYERS: &[(&str, &str)] = &[
    ("clock", ""),
    ("timestamp", "clock"),
    ("config", ""),
    ("lifecycle", ""),
    ("health", ""),
    ("telemetry", "config"),
    ("metrics", "health"),
    // The clock's unit, and how a time is written; a document asks no clock.
    ("document", "clock timestamp"),
    ("protocol", "document"),
    ("auth", ""),
    // Connections to other servers, for the clients below.
    ("dial", ""),
    ("fetch", "dial"),
    ("page", ""),
    ("child_server", ""),
    // A client of any server: it speaks the wire and knows nothing of what is behind ours.
    ("converge", "dial fetch document protocol page child_server"),
    // Likewise; it writes its messages by itself, so that what is measured is not what measures.
    ("bench", "dial document page child_server"),
    ("store", "clock document"),
    ("history", "clock document store"),
    ("bus", "document store"),
    (
        "room",
        "clock lifecycle health metrics document protocol store bus",
    ),
    ("ws", "lifecycle metrics document protocol store room"),
    // The transports do not know each other, and HTTP knows no room: it asks through its `Library` port.
    (
        "http",
        "clock timestamp config health metrics document auth store history",
    ),
    (
        "app",
        "clock config lifecycle health metrics document protocol auth store history room ws http",
    ),
    // Only in tests: the rooms on a disk, a clock and a network of its own.
    (
        "simulation",
        "clock lifecycle health metrics document protocol converge store bus room",
    ),
    (
        "cli",
        "bench clock timestamp config converge dial fetch lifecycle telemetry store history document app",
    ),
    ("main", ""),
    ("lib", ""),
];

/// Pure: what the names in here are built on must not be reachable from these layers.
const PURE: &[&str] = &["document", "protocol"];
const IMPURE: &[&str] = &[
    ".await",
    "async fn",
    "tokio::",
    "std::fs",
    "std::net",
    "std::env",
    "SystemTime",
    "Instant::now",
    "rand::",
    "tracing::",
    "println!",
];

/// Lines of a file before its tests.
const MAX_LINES: usize = 500;
const BANNED_NAMES: &[&str] = &["utils", "util", "helpers", "common", "misc", "types"];

#[test]
fn modules_import_only_the_layers_below() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == source.module) else {
            wrong.push(format!(
                "{}: give {} a line in LAYERS",
                source.path, source.module
            ));
            continue;
        };
        for target in imports(&source.code()) {
            let known = LAYERS.iter().any(|(name, _)| *name == target);
            if known && target != source.module && !allowed.split(' ').any(|name| name == target) {
                wrong.push(format!(
                    "{}: {} must not import {target}",
                    source.path, source.module
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_point_down() {
    for (place, (module, allowed)) in LAYERS.iter().enumerate() {
        for target in allowed.split_whitespace() {
            assert!(
                LAYERS[..place].iter().any(|(name, _)| *name == target),
                "{module} -> {target}"
            );
        }
    }
}

#[test]
fn every_permitted_import_is_still_used() {
    let mut unused = Vec::new();
    for (module, allowed) in LAYERS {
        for target in allowed.split_whitespace() {
            let used = sources().iter().any(|source| {
                source.module == *module && imports(&source.code()).contains(&target.to_owned())
            });
            if !used {
                unused.push(format!("{module} -> {target}"));
            }
        }
    }
    assert!(
        unused.is_empty(),
        "take out of LAYERS: {}",
        unused.join(", ")
    );
}

#[test]
fn document_and_protocol_stay_pure() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !PURE.contains(&source.module.as_str()) || source.is_tests() {
            continue;
        }
        for word in IMPURE {
            if source.without_tests().contains(word) {
                wrong.push(format!("{}: {word}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_stays_in_the_store() {
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.module != "store" && source.code().contains("sqlx::"))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.is_tests() {
            continue;
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!("{}: no module doc on line 1", source.path));
        }
        let lines = source
            .text
            .split("#[cfg(test)]\nmod ")
            .next()
            .unwrap()
            .lines()
            .count();
        if lines > MAX_LINES {
            wrong.push(format!(
                "{}: {lines} lines, at most {MAX_LINES}",
                source.path
            ));
        }
        let stem = Path::new(&source.path)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap();
        if BANNED_NAMES.contains(&stem) {
            wrong.push(format!("{}: name the file after what it owns", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let text = "use crate::{\n    clock,\n    store::{A, b::C},\n};\nfn f() { crate::room::x() }";
    assert_eq!(imports(text), ["clock", "store", "room"]);
}

struct Source {
    /// The layer: the first part of the path.
    module: String,
    /// Below `src/`.
    path: String,
    text: String,
}

impl Source {
    /// Without comments: docs may point anywhere, only code makes an edge.
    fn code(&self) -> String {
        without_comments(&self.text)
    }

    fn without_tests(&self) -> String {
        without_comments(self.text.split("#[cfg(test)]").next().unwrap())
    }

    /// A file that holds the tests of its folder.
    fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs")
    }
}

fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Top-level modules named by `crate::x` or inside `use crate::{x, y::Z}`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for after in text.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            found.push(ident(after));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (place, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    found.push(ident(group[start..place].trim()));
                    start = place + 1;
                    if letter == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn ident(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.push(Source {
                    module: below.split(['/', '\\', '.']).next().unwrap().to_owned(),
                    path: below.to_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    found
}
