//! While storing fails nothing false is acknowledged, people are told, and it goes on by itself.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    PATIENCE,
    database::Database,
    load::check_docs,
    peer::{Connect, Peer},
    server::{Server, run},
    shim, skip,
    tokens::{Ledger, token},
};

const DOCS: [&str; 3] = ["a", "b", "c"];
/// What stands in them before the trouble.
const SAVED: &str = "<saved>";

/// A small file system of its own, or nothing where that is not allowed.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .stderr(std::process::Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            skip("only root may mount a small disk");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read_only(&self) {
        let remounted = std::process::Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.path())
            .status();
        assert!(remounted.unwrap().success());
    }

    /// Leaves no free byte.
    fn fill(&self) {
        use std::io::Write as _;
        let mut filler = std::fs::File::create(self.path().join("filler")).unwrap();
        let mut chunk = 1 << 20;
        while chunk > 0 {
            if filler.write_all(&vec![0; chunk]).is_err() {
                chunk /= 2;
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The directory itself is removed afterwards; a mount that stays would be reported by that.
        std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status()
            .ok();
    }
}

/// Edits of two documents while storing fails: nobody is told that they are saved, until they are. Then they are entered.
async fn trouble_and_recovery(
    server: &Server,
    reason: &str,
    ledger: &mut Ledger,
    recover: impl AsyncFnOnce(),
) {
    let unsaved = token("unsaved");
    let own = Connect::to(server.socket("a")).coscribe().join().await;
    let stock = Peer::join(server, "b").await;
    let known = own.with(|view| view.sent);
    own.append(&unsaved);
    own.wait("the trouble", |view| {
        view.storing.last().is_some_and(|told| told["ok"] == false)
    })
    .await;
    stock.append(&unsaved);
    stock
        .wait("the trouble", |view| !view.denied.is_empty())
        .await;
    let (status, body) = server.readiness().await;
    assert_eq!(status, 503);
    assert!(body.contains(reason), "{body}");
    // Whoever comes now sees what is committed, and is told as well.
    let late = Connect::to(server.socket("a")).coscribe().join().await;
    assert_eq!(late.text(), SAVED);
    late.wait("the trouble", |view| {
        view.storing.last().is_some_and(|told| told["ok"] == false)
    })
    .await;
    Peer::join(server, "b").await.expect_text(SAVED).await;
    Peer::join(server, "c").await.expect_text(SAVED).await;
    assert_eq!(
        own.with(|view| view.saved),
        known,
        "nothing new was acknowledged"
    );
    assert_eq!(stock.with(|view| view.echoed), 0);

    recover().await;
    for peer in [&own, &late] {
        peer.wait("the recovery", |view| {
            view.storing.last().is_some_and(|told| told["ok"] == true)
        })
        .await;
    }
    own.saved().await;
    stock.echoed().await;
    late.expect_text(&format!("{SAVED}{unsaved}")).await;
    enter(ledger, &["a", "b"], &unsaved);
    assert_eq!(server.readiness().await.0, 200);
    // Nobody is still taken for somebody in trouble: what comes next is saved at once.
    for doc in DOCS {
        let next = Connect::to(server.socket(doc)).coscribe().join().await;
        next.append(&token("next"));
        next.saved().await;
        assert!(
            next.with(|view| view.storing.is_empty()),
            "{doc} is told of trouble that is over"
        );
    }
    enter(ledger, &DOCS, &token("next"));
}

/// Enters that a token of these documents was acknowledged.
fn enter(ledger: &mut Ledger, docs: &[&str], token: &str) {
    for doc in docs {
        ledger.wrote(doc, token);
        ledger.promise(doc, token);
    }
}

async fn with_saved_documents(server: &Server) -> Ledger {
    let mut ledger = Ledger::default();
    for doc in DOCS {
        let peer = Peer::join(server, doc).await;
        peer.append(SAVED);
        peer.echoed().await;
    }
    enter(&mut ledger, &DOCS, SAVED);
    ledger
}

/// How many promised tokens of these documents are lost when the process ends at once and another one starts, which finds
/// no trouble.
async fn lost_after_a_kill(server: &mut Server, docs: &[&str], ledger: &Ledger) -> usize {
    server.kill_9().await;
    server.set_prefix(&[]);
    server.restart().await;
    check_docs(server, docs, ledger).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_locked_by_another_process_only_delays_edits() {
    let mut server = Server::start().await;
    let mut ledger = with_saved_documents(&server).await;
    let mut other = Database::open(server.dir()).await;
    other.execute("BEGIN IMMEDIATE").await;
    trouble_and_recovery(&server, "lock", &mut ledger, async || {
        other.execute("ROLLBACK").await;
    })
    .await;
    assert_eq!(lost_after_a_kill(&mut server, &DOCS, &ledger).await, 0);
    assert_eq!(server.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_only_delays_edits() {
    let Some(disk) = SmallDisk::mount(8) else {
        return;
    };
    let mut server = Server::in_dir(disk.path(), &[], &[]).await;
    let mut ledger = with_saved_documents(&server).await;
    disk.fill();
    // The log has room for some more; these are saved or not, but never falsely.
    let filling = Connect::to(server.socket("filling"))
        .coscribe()
        .join()
        .await;
    let mut written = 0;
    while filling.with(|view| view.storing.is_empty()) {
        let token = token(&format!("{written}{}", "x".repeat(16 << 10)));
        written += 1;
        filling.append(&token);
        enter(&mut ledger, &["filling"], &token);
        let sent = filling.with(|view| view.sent);
        filling
            .wait("an answer", |view| {
                view.saved >= sent || !view.storing.is_empty()
            })
            .await;
    }
    trouble_and_recovery(&server, "full", &mut ledger, async || disk.free()).await;
    filling.saved().await;
    let docs = ["a", "b", "c", "filling"];
    assert_eq!(lost_after_a_kill(&mut server, &docs, &ledger).await, 0);
    assert_eq!(server.stop().await, 0);
    let (code, said) = run(&["check", "--data-dir", disk.path().to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
}

/// A server that can not write while the file is there, or nothing where that can not be arranged.
async fn on_a_disk_with_a_switch(folder: &Path) -> Option<(Server, PathBuf)> {
    let file = folder.join("read-only");
    let setting = format!("SHIM_READ_ONLY={}", file.display());
    let prefix = shim::prefix(&[&setting])?;
    let server = Server::in_dir(&folder.join("data"), &[], &shim::words(&prefix)).await;
    Some((server, file))
}

/// As the kernel does on its own after an error of the disk, under a server that runs. SQLite calls that an I/O error.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_becomes_read_only_only_delays_edits() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut server, file)) = on_a_disk_with_a_switch(folder.path()).await else {
        return;
    };
    let mut ledger = with_saved_documents(&server).await;
    std::fs::write(&file, "").unwrap();
    trouble_and_recovery(&server, "the store failed", &mut ledger, async || {
        std::fs::remove_file(&file).unwrap();
    })
    .await;
    assert_eq!(lost_after_a_kill(&mut server, &DOCS, &ledger).await, 0);
}

/// A restore is in the batch that meets the trouble first, so it is taken in before anybody knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_can_not_be_stored_yet_says_so_and_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some((server, file)) = on_a_disk_with_a_switch(folder.path()).await else {
        return;
    };
    let peer = Connect::to(server.socket("plan")).coscribe().join().await;
    peer.append("one two");
    peer.saved().await;
    peer.delete(0, 7);
    peer.saved().await;
    let restore = async || {
        let path = "/api/docs/plan/versions/1/restore";
        let response = server.request(Method::POST, path, Some(json!({}))).await;
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    std::fs::write(&file, "").unwrap();
    let (status, body) = restore().await;
    assert_eq!(
        (status, &body["code"]),
        (503, &json!("not-stored-yet")),
        "{body}"
    );
    // Nobody may bring back what is already on its way.
    let (status, body) = restore().await;
    assert_eq!((status, &body["code"]), (409, &json!("restoring")));
    peer.expect_text("").await;
    std::fs::remove_file(&file).unwrap();
    peer.expect_text("one two").await;
    assert_eq!(server.head("plan").await, 3);
    // The turn is given back at some time after everybody was told.
    let (status, body) = loop {
        match restore().await {
            (409, _) => tokio::task::yield_now().await,
            answer => break answer,
        }
    };
    assert_eq!((status, &body["changed"]), (200, &json!(false)), "{body}");
}

/// The control of trouble with the disk: from a moment on it keeps nothing, as a full or a read-only one, and says that
/// all is well. What was stored before is there, all the rest is reported.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_keeps_nothing_and_says_that_all_is_well_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("armed");
    let Some(prefix) = shim::prefix(&["SHIM_SYNC=lose:1", &shim::armed_by(&file)]) else {
        return;
    };
    let data = folder.path().join("data");
    let mut server = Server::in_dir(&data, &[], &shim::words(&prefix)).await;
    let mut ledger = with_saved_documents(&server).await;
    std::fs::write(&file, "").unwrap();
    for doc in DOCS {
        let own = Connect::to(server.socket(doc)).coscribe().join().await;
        own.append(&token("unsaved"));
        own.saved().await;
    }
    enter(&mut ledger, &DOCS, &token("unsaved"));
    assert_eq!(
        lost_after_a_kill(&mut server, &DOCS, &ledger).await,
        DOCS.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_must_stop_while_it_can_not_store_says_so_with_its_exit_code() {
    let mut server = Server::start().await;
    with_saved_documents(&server).await;
    let mut other = Database::open(server.dir()).await;
    other.execute("BEGIN IMMEDIATE").await;
    let own = Connect::to(server.socket("a")).coscribe().join().await;
    own.append("unsaved");
    own.wait("the trouble", |view| !view.storing.is_empty())
        .await;
    let stopped = tokio::time::timeout(PATIENCE, server.stop()).await.unwrap();
    assert_eq!(stopped, 1);
    assert_eq!(own.with(|view| view.saved), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_closes_its_document_with_4423_and_no_other() {
    let mut server = Server::start().await;
    with_saved_documents(&server).await;
    assert_eq!(server.stop().await, 0);
    let dir = server.dir().to_str().unwrap().to_owned();
    let (code, said) = run(&["check", "--data-dir", &dir]).await;
    assert_eq!(code, 0, "{said}");
    let mut database = Database::open(server.dir()).await;
    database.flip_a_bit("b").await;
    database.close().await;
    let (code, said) = run(&["check", "--data-dir", &dir]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("\"b\""), "{said}");
    server.restart().await;
    for _ in 0..2 {
        let refused = Connect::to(server.socket("b")).silent().await;
        assert_eq!(refused.expect_close().await.0, 4423);
    }
    for doc in ["a", "c"] {
        let peer = Peer::join(&server, doc).await;
        assert_eq!(peer.text(), SAVED);
        peer.append("!");
        peer.echoed().await;
    }
    let (code, said) = run(&["check", "--data-dir", &dir]).await;
    assert_eq!(code, 1, "{said}");
    assert_eq!(server.readiness().await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_started_says_what_to_do_and_exits_with_2() {
    let server = Server::start().await;
    let address = server.address().to_string();
    let dir = server.dir().to_str().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--listen", &address, "--data-dir", other], "--listen"),
        (
            &["--listen", "127.0.0.1:0", "--data-dir", dir],
            "--data-dir",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                other,
                "--max-sockets",
                "many",
            ],
            "max_sockets",
        ),
        (
            &["--listen", "127.0.0.1:0", "--data-dir", "/dev/null/x"],
            "/dev/null/x",
        ),
    ];
    for (arguments, named) in cases {
        let (code, said) = run(arguments).await;
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    let config = elsewhere.path().join("coscribe.toml");
    std::fs::write(&config, "listen = \"127.0.0.1:0\"\nmax_sokets = 3\n").unwrap();
    let (code, said) = run(&["--config", config.to_str().unwrap()]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("max_sokets"), "{said}");
    // The server that holds the directory did not notice.
    let peer = Peer::join(&server, "d").await;
    peer.append("x");
    peer.echoed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_data_directory_is_named_at_the_start() {
    let Some(disk) = SmallDisk::mount(8) else {
        return;
    };
    let mut server = Server::in_dir(disk.path(), &[], &[]).await;
    with_saved_documents(&server).await;
    assert_eq!(server.stop().await, 0);
    disk.read_only();
    let dir = disk.path().to_str().unwrap();
    let (code, said) = run(&["--listen", "127.0.0.1:0", "--data-dir", dir]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(dir), "{said}");
}
