//! When the disk is asked to confirm, as `strace` sees it: before anybody is told.

use std::path::Path;

use crate::harness::{peer::Peer, server::Server, skip, tokens::token};

const EDITS: usize = 60;
const CALLS: &str = "trace=pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync";

/// Runs a server under strace, writes tokens one by one, and returns what it did.
async fn traced(durability: &str) -> Option<Vec<String>> {
    let data = tempfile::tempdir().unwrap();
    let write = async |server: &Server| {
        let (writer, reader) = (Peer::join(server, "d").await, Peer::join(server, "d").await);
        for number in 0..EDITS {
            let token = token(&format!("t{number}"));
            writer.append(&token);
            reader
                .wait(&token, |view| view.text().contains(&token))
                .await;
            writer.echoed().await;
        }
    };
    traced_in(data.path(), durability, write).await
}

/// Runs a server under strace while something is done with it, and returns what it did.
async fn traced_in(
    data: &Path,
    durability: &str,
    work: impl AsyncFnOnce(&Server),
) -> Option<Vec<String>> {
    let available = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    if !available.is_ok_and(|status| status.success()) {
        skip("there is no `strace` that may trace processes");
        return None;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let path = trace.path().to_str().unwrap();
    // With -D the server, and not strace, is our child and gets our signals.
    let prefix = [
        "strace", "-D", "-f", "-y", "-s", "65536", "-e", CALLS, "-o", path,
    ];
    let mut server = Server::in_dir(data, &["--durability", durability], &prefix).await;
    work(&server).await;
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

/// What a killed process had written and not synced is still in the operating system's cache; the next one shows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_syncs_what_it_shows_before_it_takes_anybody() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::in_dir(data.path(), &[], &[]).await;
    let writer = Peer::join(&server, "d").await;
    writer.append(&token("before"));
    writer.echoed().await;
    server.kill_9().await;
    let Some(trace) = traced_in(data.path(), "full", async |_| {}).await else {
        return;
    };
    let wal = |line: &&String| is_confirmed(line) && line.contains("coscribe.db-wal");
    let synced = trace.iter().position(|line| wal(&line));
    // It says where it listens once it takes people.
    let listens = trace
        .iter()
        .position(|line| line.contains("write(") && line.contains("http://"));
    assert!(
        synced.is_some() && synced < listens,
        "synced at {synced:?}, listening at {listens:?}"
    );
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
