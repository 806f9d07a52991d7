//! When the disk is asked to confirm, as `strace` sees it: before anybody is told.

use std::path::Path;

use crate::harness::{peer::Peer, server::Server, skip, tokens::token};

const EDITS: usize = 60;
const CALLS: &str = "trace=pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync";

/// Runs a server under strace, writes tokens one by one, and returns what it did.
async fn traced(durability: &str) -> Option<Vec<String>> {
    let available = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    if !available.is_ok_and(|status| status.success()) {
        skip("there is no `strace` that may trace processes");
        return None;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let data = tempfile::tempdir().unwrap();
    let path = trace.path().to_str().unwrap();
    // With -D the server, and not strace, is our child and gets our signals.
    let prefix = [
        "strace", "-D", "-f", "-y", "-s", "65536", "-e", CALLS, "-o", path,
    ];
    let mut server = Server::in_dir(data.path(), &["--durability", durability], &prefix).await;
    let (writer, reader) = (
        Peer::join(&server, "d").await,
        Peer::join(&server, "d").await,
    );
    for number in 0..EDITS {
        let token = token(&format!("t{number}"));
        writer.append(&token);
        reader
            .wait(&token, |view| view.text().contains(&token))
            .await;
        writer.echoed().await;
    }
    assert_eq!(server.stop().await, 0);
    Some(complete(trace.path()).await)
}

/// The trace, once strace has written its last line.
async fn complete(path: &Path) -> Vec<String> {
    crate::harness::eventually("the end of the trace", async || {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        text.trim_end()
            .ends_with("+++ exited with 0 +++")
            .then(|| text.lines().map(ToOwned::to_owned).collect())
    })
    .await
}

fn is_send(line: &str) -> bool {
    ["sendto(", "sendmsg(", "write(", "writev("]
        .iter()
        .any(|call| line.contains(call))
        && line.contains("TCP:[")
        || line.contains("sendto(") && line.contains("socket:[")
}

fn is_confirmed(line: &str) -> bool {
    let sync = line.contains("fdatasync") || line.contains("fsync");
    sync && line.trim_end().ends_with("= 0")
}

#[tokio::test(flavor = "multi_thread")]
async fn with_full_durability_the_disk_has_confirmed_an_edit_before_its_first_byte_is_sent() {
    let Some(trace) = traced("full").await else {
        return;
    };
    for number in 0..EDITS {
        let token = token(&format!("t{number}"));
        let written = trace
            .iter()
            .position(|line| line.contains("pwrite64(") && line.contains(&token));
        let sent = trace
            .iter()
            .position(|line| is_send(line) && line.contains(&token));
        let (Some(written), Some(sent)) = (written, sent) else {
            panic!("{token}: written at {written:?}, sent at {sent:?}");
        };
        let confirmed = trace[written..]
            .iter()
            .position(|line| is_confirmed(line))
            .map(|at| written + at);
        assert!(
            confirmed.is_some_and(|confirmed| confirmed < sent),
            "{token}: written at {written}, confirmed at {confirmed:?}, sent at {sent}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_process_durability_commits_do_not_wait_for_the_disk() {
    let Some(trace) = traced("process").await else {
        return;
    };
    let confirmed = trace.iter().filter(|line| is_confirmed(line)).count();
    assert!(
        confirmed < EDITS / 3,
        "{confirmed} confirmations for {EDITS} edits"
    );
}
