//! The command line from outside: exit codes, and messages that say what to do.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::process::{Command, Output};

fn coscribe(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coscribe"));
    let inherited =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COSCRIBE_"));
    for (name, _) in inherited {
        command.env_remove(name);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_wrong_setting_stops_the_start_with_2_and_names_key_and_source() {
    let (code, _, message) = coscribe(&["--max-sockets", "many"], &[]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("max_sockets (flag --max-sockets): `many` is not a whole number"),
        "{message}"
    );
    let (code, _, message) = coscribe(&["serve"], &[("COSCRIBE_ACESS", "open")]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("did you mean `COSCRIBE_ACCESS`"),
        "{message}"
    );
    let (code, _, message) = coscribe(&["serve", "--listen", "0.0.0.0:0"], &[]);
    assert_eq!(code, Some(2));
    assert!(message.contains("--access open"), "{message}");
    assert_eq!(coscribe(&["--nonsense"], &[]).0, Some(2));
    assert_eq!(coscribe(&["nonsense"], &[]).0, Some(2));
}

#[test]
fn the_settings_in_force_are_printed_even_when_they_contradict() {
    let (code, page, _) = coscribe(&["config"], &[("COSCRIBE_WORKERS", "3")]);
    assert_eq!(code, Some(0));
    assert!(
        page.contains("workers = \"3\"  # environment variable COSCRIBE_WORKERS"),
        "{page}"
    );
    let (code, page, message) = coscribe(&["config", "--listen", "0.0.0.0:80"], &[]);
    assert_eq!(code, Some(1));
    assert!(
        page.contains("listen = \"0.0.0.0:80\"  # flag --listen"),
        "{page}"
    );
    assert!(message.contains("--access open"), "{message}");
}

#[test]
fn a_backup_does_not_replace_a_file_unasked_and_a_restore_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("copy"), "mine").unwrap();
    std::fs::write(path("coscribe.db"), "mine").unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let (code, _, message) = coscribe(&["backup", &path("copy"), "--data-dir", data_dir], &[]);
    assert_eq!(code, Some(2));
    assert!(message.contains("--force"), "{message}");
    let (code, _, message) = coscribe(&["restore", &path("copy"), "--data-dir", data_dir], &[]);
    assert_eq!(code, Some(2));
    assert!(message.contains("would be lost"), "{message}");
    let (code, _, message) = coscribe(&["restore", &path("missing"), "--data-dir", data_dir], &[]);
    assert_eq!(code, Some(2));
    assert!(message.contains("missing can not be read"), "{message}");
    assert_eq!(std::fs::read_to_string(path("copy")).unwrap(), "mine");
    assert_eq!(
        std::fs::read_to_string(path("coscribe.db")).unwrap(),
        "mine"
    );
}
