//! `kill -9` at random moments under load. What was acknowledged, or seen by anybody else, is found by fresh clients.
//!
//! `COSCRIBE_KILLS` says how often. The checks must be able to fail: the last tests show that they do.

use std::{path::Path, time::Duration};

use rand::{SeedableRng as _, rngs::StdRng};

use crate::harness::{
    count,
    load::{self, ROUNDS_PER_DOC, Writer, check},
    server::Server,
    tokens::{Ledger, token},
};

/// Kills the process while these people write, and enters what they were promised until then.
async fn kill(server: &mut Server, writers: &[Writer], ledger: &mut Ledger) {
    server.kill_9().await;
    for writer in writers {
        writer.peer.expect_close().await;
    }
    load::settle(writers, ledger);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_or_seen_is_lost_by_kill_9() {
    let seed = count("COSCRIBE_FIRST_SEED", 1);
    let kills = count("COSCRIBE_KILLS", 15);
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Server::with(&[
        "--compact-after-rows",
        "30",
        "--max-messages-per-second",
        "10000",
    ])
    .await;
    let mut ledger = Ledger::default();
    let mut starts = Vec::new();
    for round in 0..kills {
        let writers = load::write(&server, round, &mut random).await;
        kill(&mut server, &writers, &mut ledger).await;
        server.restart().await;
        starts.push(server.ready_after);
        let lost = check(&server, round, &ledger).await;
        assert_eq!(lost, 0, "round {round} of seed {seed}");
    }
    for round in (0..kills).step_by(ROUNDS_PER_DOC as usize) {
        assert_eq!(
            check(&server, round, &ledger).await,
            0,
            "documents of round {round}"
        );
    }
    starts.sort_unstable();
    let (median, longest) = (starts[starts.len() / 2], starts[starts.len() - 1]);
    eprintln!(
        "{kills} kills, {} promised tokens, 0 lost; ready after {median:?} (median), {longest:?} (longest)",
        ledger.promises()
    );
    assert!(
        ledger.promises() > 0,
        "nothing was promised, so nothing was tested"
    );
    assert!(
        median < Duration::from_secs(1),
        "the median start took {median:?}"
    );
    assert_eq!(server.stop().await, 0);
    let dir = server.dir().to_str().unwrap().to_owned();
    let (code, said) = crate::harness::server::run(&["check", "--data-dir", &dir]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_notices_a_database_that_was_rolled_back() {
    let mut random = StdRng::seed_from_u64(7);
    let mut ledger = Ledger::default();
    let mut server = Server::start().await;
    let writers = load::write(&server, 0, &mut random).await;
    kill(&mut server, &writers, &mut ledger).await;
    let old = tempfile::tempdir().unwrap();
    copy(server.dir(), old.path());
    server.restart().await;
    assert_eq!(check(&server, 0, &ledger).await, 0);
    // In the same documents, but tokens that the old database has none of.
    let mut writers = load::write(&server, 1, &mut random).await;
    load::write_on(&mut writers).await;
    kill(&mut server, &writers, &mut ledger).await;
    let present = server.dir().to_path_buf();
    for entry in std::fs::read_dir(&present).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    copy(old.path(), &present);
    server.restart().await;
    assert!(
        check(&server, 0, &ledger).await > 0,
        "a rolled back database went unnoticed"
    );
}

#[test]
fn the_check_notices_a_token_that_is_missing_doubled_or_invented() {
    let mut ledger = Ledger::default();
    for name in ["a", "b"] {
        ledger.wrote("d", &token(name));
        ledger.promise("d", &token(name));
    }
    assert!(ledger.check("d", "x<a>y<b>").is_clean());
    assert_eq!(ledger.check("d", "<a>").lost, ["<b>"]);
    assert_eq!(ledger.check("d", "<a><b><a>").doubled, ["<a>"]);
    assert_eq!(ledger.check("d", "<a><b><c>").invented, ["<c>"]);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
