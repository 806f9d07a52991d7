//! The process ends at a chosen system call, a sync fails, the clock jumps. `COSCRIBE_POINTS` says how many calls are tried.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::harness::{
    IN_VAIN, PATIENCE, count,
    load::{self, Writer, check},
    peer::{Connect, Peer},
    server::{Server, run},
    shim::{self, words},
    tokens::{Ledger, token, tokens},
};

/// The calls by which the store changes what is on disk, and both sides of the one that makes it durable: before and
/// after an append, between its sync and the acknowledgement, inside of a compaction or a checkpoint.
const CALLS: [&str; 3] = ["pwrite64", "fdatasync", "ftruncate"];
const FLAGS: [&str; 4] = [
    "--compact-after-rows",
    "10",
    "--max-messages-per-second",
    "10000",
];

/// Which call the process ends at.
fn point(random: &mut StdRng) -> String {
    let call = CALLS[random.random_range(0..CALLS.len())];
    let number = match call {
        "ftruncate" => 1,
        _ => random.random_range(1..80),
    };
    let side = if random.random_bool(0.5) { "+" } else { "" };
    format!("SHIM_KILL={call}:{number}{side}")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_call_the_process_ends_at() {
    let seed = count("COSCRIBE_FIRST_SEED", 1);
    let points = count("COSCRIBE_POINTS", 12);
    let mut random = StdRng::seed_from_u64(seed);
    let mut ledger = Ledger::default();
    let mut ended = 0;
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("armed"));
    let armed = shim::armed_by(&file);
    let mut server = Server::in_dir(&data, &FLAGS, &[]).await;
    for round in 0..points {
        assert_eq!(server.stop().await, 0);
        let point = point(&mut random);
        let Some(prefix) = shim::prefix(&[&point, &armed]) else {
            return;
        };
        server.set_prefix(&words(&prefix));
        server.restart().await;
        std::fs::write(&file, "").unwrap();
        let writers = load::write(&server, round, &mut random).await;
        // It may not have come to the chosen call.
        if server.is_running() {
            server.kill_9().await;
        } else {
            ended += 1;
            assert_eq!(
                server.ended().await,
                -1,
                "{point} of seed {seed}: {}",
                server.log()
            );
        }
        for writer in &writers {
            writer.peer.expect_close().await;
        }
        load::settle(&writers, &mut ledger);
        std::fs::remove_file(&file).unwrap();
        server.set_prefix(&[]);
        server.restart().await;
        assert_eq!(
            check(&server, round, &ledger).await,
            0,
            "{point} of seed {seed}"
        );
    }
    eprintln!(
        "{ended} of {points} lives ended at their call, {} promised tokens, 0 lost",
        ledger.promises()
    );
    assert!(ended > 0 && ledger.promises() > 0, "nothing was tested");
    assert_eq!(server.stop().await, 0);
    let (code, said) = run(&["check", "--data-dir", data.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
}

/// Killed in the middle of starting, again and again, on what an earlier kill left.
#[tokio::test(flavor = "multi_thread")]
async fn being_killed_while_it_starts_loses_nothing() {
    let mut random = StdRng::seed_from_u64(5);
    let mut ledger = Ledger::default();
    let mut server = Server::with(&FLAGS).await;
    for round in 0..count("COSCRIBE_POINTS", 12) / 4 {
        let writers = load::write(&server, round, &mut random).await;
        server.kill_9().await;
        for writer in &writers {
            writer.peer.expect_close().await;
        }
        load::settle(&writers, &mut ledger);
        for _ in 0..3 {
            let point = format!("SHIM_KILL=pwrite64:{}", random.random_range(1..14));
            let Some(prefix) = shim::prefix(&[&point]) else {
                return;
            };
            server.set_prefix(&words(&prefix));
            if server.try_restart().await {
                server.kill_9().await;
            }
        }
        server.set_prefix(&[]);
        server.restart().await;
        assert_eq!(check(&server, round, &ledger).await, 0, "round {round}");
    }
    assert!(ledger.promises() > 0, "nothing was tested");
}

/// A database that was made by halves is finished, or made again, by the next start.
#[tokio::test(flavor = "multi_thread")]
async fn being_killed_in_the_first_start_is_no_harm() {
    for number in 1..count("COSCRIBE_POINTS", 12) * 2 {
        let folder = tempfile::tempdir().unwrap();
        let point = format!("SHIM_KILL=pwrite64:{number}");
        let Some(prefix) = shim::prefix(&[&point]) else {
            return;
        };
        let mut server = Server::in_dir(folder.path(), &[], &[]).await;
        server.kill_9().await;
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        server.set_prefix(&words(&prefix));
        if server.try_restart().await {
            server.kill_9().await;
        }
        server.set_prefix(&[]);
        server.restart().await;
        let peer = Peer::join(&server, "d").await;
        peer.append("words");
        peer.echoed().await;
    }
}

/// People write while this fault of the disk waits for them, until `end`. Returns how many promised tokens the next
/// start does not find; `None` where the fault can not be had.
async fn lost_by(fault: &str, end: impl AsyncFnOnce(&mut Server, &mut [Writer])) -> Option<usize> {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("armed"));
    let prefix = shim::prefix(&[fault, &shim::armed_by(&file)])?;
    let mut ledger = Ledger::default();
    let mut server = Server::in_dir(&data, &FLAGS, &words(&prefix)).await;
    std::fs::write(&file, "").unwrap();
    let mut writers = load::write(&server, 0, &mut StdRng::seed_from_u64(9)).await;
    end(&mut server, &mut writers).await;
    for writer in &writers {
        writer.peer.expect_close().await;
    }
    load::settle(&writers, &mut ledger);
    server.set_prefix(&[]);
    server.restart().await;
    Some(check(&server, 0, &ledger).await)
}

/// After a sync that failed nobody knows what is on the disk, and the next one may say that all is well.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_ends_the_process_before_anything_false_is_said() {
    for number in [1, 2, 7] {
        let fault = format!("SHIM_SYNC=fail:{number}");
        let lost = lost_by(&fault, async |server: &mut Server, _: &mut [Writer]| {
            assert!(server.ended().await > 0, "{}", server.log());
            assert!(
                server.log().contains("confirm"),
                "it did not say why:\n{}",
                server.log()
            );
        });
        let Some(lost) = lost.await else { return };
        assert_eq!(lost, 0, "sync {number}");
    }
}

/// The control: from the second sync on the disk keeps nothing and says that all is well, as for a server that goes on
/// after a sync that failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_and_is_called_a_success_is_noticed() {
    let lost = lost_by(
        "SHIM_SYNC=lose:2",
        async |server: &mut Server, writers: &mut [Writer]| {
            load::write_on(writers).await;
            server.kill_9().await;
        },
    );
    let Some(lost) = lost.await else { return };
    assert!(lost > 0, "a disk that kept nothing went unnoticed");
}

/// A clock that jumps, and two people.
struct Jumps {
    folder: tempfile::TempDir,
    server: Server,
    writer: Peer,
    reader: Peer,
    written: Vec<String>,
}

impl Jumps {
    /// `None` where clocks can not be moved. `clocks` is the setting that says which.
    async fn of(clocks: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let setting = format!("{clocks}={}", folder.path().join("offset").display());
        let prefix = shim::prefix(&[&setting])?;
        let data = folder.path().join("data");
        let server = Server::in_dir(&data, &FLAGS, &words(&prefix)).await;
        let writer = Connect::to(server.socket("d")).coscribe().join().await;
        let reader = Peer::join(&server, "d").await;
        let written = Vec::new();
        Some(Self {
            folder,
            server,
            writer,
            reader,
            written,
        })
    }

    /// Moves the clock by so many seconds. Returns what does not work then, which must take no longer than `limit`.
    async fn to(&mut self, offset: i64, limit: Duration) -> Vec<String> {
        let file = self.folder.path().join("offset");
        std::fs::write(file, offset.to_string()).unwrap();
        for number in 0..15 {
            let token = token(&format!("{}.{number}", self.written.len()));
            self.writer.append(&token);
            self.written.push(token);
        }
        let sent = self.writer.with(|view| view.sent);
        let saved = self.writer.within(limit, |view| view.saved >= sent).await;
        let last = self.written.last().unwrap();
        let seen = self
            .reader
            .within(limit, |view| view.text().contains(last))
            .await;
        let closed = |peer: &Peer| peer.with(|view| view.closed.is_some());
        [
            ("edits are not saved", !saved),
            ("edits are not seen", !seen),
            ("the writer is thrown out", closed(&self.writer)),
            ("the reader is thrown out", closed(&self.reader)),
            ("it is not ready", self.server.readiness().await.0 != 200),
        ]
        .into_iter()
        .filter(|(_, wrong)| *wrong)
        .map(|(what, _)| format!("{what} after {offset} s"))
        .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_disturbs_nobody() {
    let Some(mut jumps) = Jumps::of("SHIM_CLOCK").await else {
        return;
    };
    let day = 24 * 60 * 60;
    // An hour and a day to and fro, five minutes back, 1970 and 2040 as seen from the year 2026.
    for offset in [
        0,
        3_600,
        -3_600,
        day,
        -day,
        -300,
        -1_780_000_000,
        420_000_000,
        0,
    ] {
        let disturbed = jumps.to(offset, PATIENCE).await;
        assert!(disturbed.is_empty(), "{disturbed:?}");
    }
    let Jumps {
        folder: _folder,
        mut server,
        written,
        ..
    } = jumps;
    let before = server.cpu();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let busy = server.cpu() - before;
    assert!(
        busy < Duration::from_millis(250),
        "it keeps the processor busy: {busy:?}"
    );
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    let text = Peer::join(&server, "d").await.text();
    assert!(
        tokens(&text).eq(written.iter().map(String::as_str)),
        "{text}"
    );
    let (code, said) = run(&["check", "--data-dir", server.dir().to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
}

/// The control: the clock that waits are measured with jumps as well.
#[tokio::test(flavor = "multi_thread")]
async fn waits_that_are_measured_in_wall_time_are_noticed() {
    let Some(mut jumps) = Jumps::of("SHIM_CLOCKS").await else {
        return;
    };
    assert!(jumps.to(0, PATIENCE).await.is_empty());
    let disturbed = jumps.to(3_600, IN_VAIN).await;
    assert!(
        !disturbed.is_empty(),
        "a server without a steady clock went unnoticed"
    );
}
