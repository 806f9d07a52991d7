//! `coscribe converge` from outside: it passes our own server, fails one that loses updates, and says what it can not do.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "tasks and queues of a test end with it"
)]

use std::{
    collections::HashMap,
    hash::Hasher as _,
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use coscribe::{
    document::{
        replica::doc_with,
        varint::{Reader, write_bytes},
    },
    protocol::{ClientMessage, ServerMessage, y_websocket},
};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
};
use yrs::{
    Doc, ReadTxn as _, StateVector, Transact as _, Update,
    updates::{decoder::Decode as _, encoder::Encode as _},
};

/// Runs the command to its end: exit code, standard output, standard error.
async fn converge(arguments: &[&str]) -> (i32, String, String) {
    let running = Command::new(env!("CARGO_BIN_EXE_coscribe"))
        .arg("converge")
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(Duration::from_secs(120), running)
        .await
        .expect("it ends by itself")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_server_converges_with_every_workload_fault_and_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    for seed in ["1", "2"] {
        let (json, html) = (
            directory.path().join("a.json"),
            directory.path().join("a.html"),
        );
        let files = [json.to_str().unwrap(), html.to_str().unwrap()];
        let arguments = [
            "--seed", seed, "--ops", "300", "--json", files[0], "--html", files[1],
        ];
        let (code, out, err) = converge(&arguments).await;
        assert_eq!(code, 0, "seed {seed}:\n{out}\n{err}");
        assert!(out.starts_with("CONVERGED"), "{out}");
        let report = read_json(&json);
        assert_eq!(report["converged"], true);
        assert!(report["visible"].as_u64().unwrap() > 50, "{out}");
        let compared = report["compared"].as_array().unwrap();
        assert!(
            compared.contains(&"the server's export".into()),
            "{compared:?}"
        );
        let reconnected = |fate: &serde_json::Value| fate["connections"].as_u64() > Some(1);
        assert!(
            report["fates"].as_array().unwrap().iter().any(reconnected),
            "{out}"
        );
        let killed = |one: &serde_json::Value| one["what"] == "killed and started again";
        assert!(
            report["happenings"].as_array().unwrap().iter().any(killed),
            "{out}"
        );
        let page = std::fs::read_to_string(&html).unwrap();
        assert!(page.contains("<svg") && !page.contains("http://") && !page.contains("src="));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_loses_updates_is_found_out_by_a_short_script_that_fails_again() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("report.json");
    let url = Relay::start(true).await;
    let arguments = [
        "--url",
        &url,
        "--seed",
        "7",
        "--clients",
        "4",
        "--ops",
        "80",
        "--no-faults",
        "--settle",
        "1",
        "--json",
        json.to_str().unwrap(),
    ];
    let (code, out, err) = converge(&arguments).await;
    assert_eq!(code, 1, "{out}\n{err}");
    assert!(out.starts_with("FAILED"), "{out}");
    eprintln!("{out}");
    let report = read_json(&json);
    let small = &report["shrunk"];
    assert!(small["steps"].as_u64().unwrap() < 20, "{out}");
    let script = directory.path().join("script");
    std::fs::write(&script, small["script"].as_str().unwrap()).unwrap();
    let again = [
        "--url",
        &url,
        "--script",
        script.to_str().unwrap(),
        "--shrink",
        "0",
        "--settle",
        "0.5",
    ];
    let runs = join_all((0..10).map(|_| converge(&again))).await;
    let failed = runs.iter().filter(|(code, _, _)| *code == 1).count();
    assert!(failed >= 9, "{failed} of 10: {runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_seeds_draw_their_workloads_and_one_that_fails_is_named_with_its_command() {
    let (code, said, errors) = converge(&["--seeds", "7", "--jobs", "4", "--ops", "40"]).await;
    assert_eq!(code, 0, "{said}{errors}");
    for workload in ["text", "rich", "map", "array", "nested", "tree", "all"] {
        let line = said.lines().find(|line| line.starts_with(workload));
        let sessions = line.and_then(|line| line.split_whitespace().nth(1));
        assert_eq!(sessions, Some("1"), "{said}");
    }
    let url = Relay::start(true).await;
    let arguments = [
        "--seeds",
        "2",
        "--url",
        &url,
        "--settle",
        "1",
        "--workload",
        "text",
    ];
    let (code, said, errors) = converge(&arguments).await;
    assert_eq!(code, 1, "{said}{errors}");
    assert!(said.contains("again: coscribe converge --seed "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_loses_nothing_converges() {
    let url = Relay::start(false).await;
    let (code, out, err) = converge(&["--url", &url, "--seed", "7", "--ops", "150"]).await;
    assert_eq!(code, 0, "{out}\n{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_forgets_is_found_by_a_newcomer_alone() {
    let directory = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let url = format!("ws://{address}/ws");
    let data = directory.path().join("data");
    let serve = format!(
        "exec {} serve --listen {address} --data-dir {}",
        env!("CARGO_BIN_EXE_coscribe"),
        data.display()
    );
    // The same server, but its disk is empty whenever it starts.
    let forgetful = format!("rm -rf {}; {serve}", data.display());
    let common = [
        "--url",
        &url,
        "--echo-acknowledges",
        "--seed",
        "5",
        "--ops",
        "150",
        "--settle",
        "1",
    ];
    let with = |more: &[&'static str], command: &str| {
        let mut all: Vec<String> = common.iter().map(|one| (*one).to_owned()).collect();
        all.extend(more.iter().map(|one| (*one).to_owned()));
        all.extend(["--server-cmd".to_owned(), command.to_owned()]);
        all
    };
    let run = async |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        converge(&arguments).await
    };
    let durable = ["--verify", "durable", "--kills", "0", "--shrink", "5"];
    let (code, out, err) = run(with(&durable, &forgetful)).await;
    assert_eq!(code, 1, "{out}\n{err}");
    assert!(out.contains("are LOST"), "{out}");
    assert!(out.contains("it was acknowledged"), "{out}");
    assert!(out.contains("the smallest history"), "{out}");
    // Whoever comes back brings what the server forgot.
    let (code, out, err) = run(with(&["--kills", "1", "--no-faults"], &forgetful)).await;
    assert_eq!(code, 0, "{out}\n{err}");
    let (code, out, err) = run(with(&durable, &serve)).await;
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(out.contains("the server kept all"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_history_ends_in_its_text_whatever_the_network_does() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("history.json");
    let (rounds, mut transactions) = (200, Vec::new());
    for round in 0..rounds {
        // Both write at the same time, and have seen all of the round before.
        let parents: Vec<usize> = match round {
            0 => vec![],
            round => vec![2 * round - 2, 2 * round - 1],
        };
        for (agent, place) in [(0, 0), (1, 2 * round)] {
            let text = if agent == 0 { "<" } else { ">" };
            transactions.push(serde_json::json!({
                "parents": parents, "agent": agent, "patches": [[place, 0, text]],
            }));
        }
    }
    let mut history = serde_json::json!({
        "kind": "concurrent",
        "numAgents": 2,
        "endContent": "<".repeat(rounds) + &">".repeat(rounds),
        "txns": transactions,
    });
    std::fs::write(&file, history.to_string()).unwrap();
    let history_file = file.to_str().unwrap().to_owned();
    let replay = [
        "--workload",
        "recorded",
        "--history",
        &history_file,
        "--seed",
        "3",
    ];
    let (code, out, err) = converge(&replay).await;
    assert_eq!(code, 0, "{out}\n{err}");
    // A text that it does not end in is noticed.
    history["endContent"] = "something else".into();
    std::fs::write(&file, history.to_string()).unwrap();
    let (code, out, err) = converge(&[&replay[..], &["--shrink", "0"]].concat()).await;
    assert_eq!(code, 1, "{out}\n{err}");
    assert!(out.contains("the recorded text has"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hocuspocus_server_is_held_to_its_statuses() {
    let url = Relay::start_as(Speaks::Hocuspocus, false).await;
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("report.json");
    let arguments = [
        "--url",
        &url,
        "--protocol",
        "hocuspocus",
        "--seed",
        "8",
        "--ops",
        "150",
        "--json",
        json.to_str().unwrap(),
    ];
    let (code, out, err) = converge(&arguments).await;
    assert_eq!(code, 0, "{out}\n{err}");
    let report = read_json(&json);
    assert_eq!(report["acknowledged_by"], "status");
    let fates = report["fates"].as_array().unwrap();
    assert!(fates.iter().any(|fate| fate["dead"] == true), "{out}");
    for fate in fates {
        // Whoever died may have been offline until then.
        let least = u64::from(fate["dead"] == false);
        let acknowledged = fate["acknowledged"].as_u64();
        assert!(acknowledged.is_some_and(|count| count >= least), "{out}");
    }
    // This one says that it took what it drops.
    let url = Relay::start_as(Speaks::Hocuspocus, true).await;
    let (code, out, err) = converge(&[
        "--url",
        &url,
        "--protocol",
        "hocuspocus",
        "--seed",
        "8",
        "--ops",
        "80",
        "--no-faults",
        "--settle",
        "1",
        "--shrink",
        "0",
        "--json",
        json.to_str().unwrap(),
    ])
    .await;
    assert_eq!(code, 1, "{out}\n{err}");
    let report = read_json(&json);
    let findings = report["findings"].as_array().unwrap();
    let broken_promise = |finding: &serde_json::Value| {
        let what = finding["what"].as_str().unwrap();
        finding["kind"] == "lost" && what.contains("it was acknowledged")
    };
    assert!(findings.iter().any(broken_promise), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_run_ends_with_2_and_says_what_to_do() {
    let started = Instant::now();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let (code, _, err) = converge(&["--url", &url]).await;
    assert_eq!(code, 2);
    assert!(err.contains(&url), "{err}");
    assert!(started.elapsed() < Duration::from_secs(8));
    for (arguments, word) in [
        (&["--url", "http://localhost:1"][..], "ws://"),
        (&["--url", "nonsense"], "ws://localhost:1234"),
        (&["--workload", "poems"], "nested"),
        (&["--clients", "0"], "1..=200"),
        (&["--server-cmd", "true"], "--url"),
        (&["--protocol", "hocuspocus"], "--url"),
        (&["--url", &url, "--protocol", "nonsense"], "hocuspocus"),
        (&["--url", &url, "--verify", "durable"], "--server-cmd"),
        (&["--url", "wss://localhost:1"], "refused"),
        (&["--workload", "recorded"], "--history"),
        (&["--history", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["--url", &url, "--kills", "1"], "--server-cmd"),
        (&["--script", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["--json", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["--url", &url, "--server-cmd", "exit 3"], "exit 3"),
        (&["--nonsense"], "--nonsense"),
        (&["--url", "ws://localhost:1/?room="], "appended"),
        (&["--data-dir", "/nowhere"], "--server-cmd"),
    ] {
        let (code, _, err) = converge(arguments).await;
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(word), "{arguments:?}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_reports_what_it_has_and_gives_no_verdict() {
    let temporary = tempfile::tempdir().unwrap();
    let running = Command::new(env!("CARGO_BIN_EXE_coscribe"))
        .args(["converge", "--ops", "20000", "--seed", "3"])
        .env("TMPDIR", temporary.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Edits are being stored, and the plan takes two minutes.
    let begun = async {
        while stored_bytes(temporary.path()) < STORED {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun)
        .await
        .expect("it begins");
    let pid = rustix::process::Pid::from_raw(running.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ending = tokio::time::timeout(Duration::from_secs(20), running.wait_with_output());
    let output = ending.await.expect("it ends at once").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.starts_with("INTERRUPTED"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_interrupts_again_and_again_leaves_no_server_and_no_directory_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = Command::new(env!("CARGO_BIN_EXE_coscribe"))
        .args(["converge", "--ops", "20000", "--seed", "3"])
        .env("TMPDIR", temporary.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(running.id().unwrap().cast_signed()).unwrap();
    let ended = async {
        while stored_bytes(temporary.path()) < STORED {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        loop {
            // Until it has been waited for, the number is its own.
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            let pause = tokio::time::sleep(Duration::from_millis(5));
            tokio::select! {
                status = running.wait() => return status.unwrap(),
                () = pause => {}
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
    assert_eq!(status.code(), Some(2));
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    #[cfg(target_os = "linux")]
    for process in std::fs::read_dir("/proc").unwrap() {
        // What ends meanwhile has no command line any more.
        let command = std::fs::read(process.unwrap().path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        assert!(
            !command.contains(temporary.path().to_str().unwrap()),
            "{command}"
        );
    }
}

/// Bytes in the log of a server that edits were written to; that of a new database has a quarter of it.
const STORED: u64 = 500_000;

/// Bytes in the log of the server that was started in this directory.
fn stored_bytes(temporary: &Path) -> u64 {
    let servers = std::fs::read_dir(temporary).unwrap();
    servers
        .filter_map(|server| {
            let log = server.unwrap().path().join("data/coscribe.db-wal");
            Some(std::fs::metadata(log).ok()?.len())
        })
        .sum()
}

fn read_json(file: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A small server in memory. One that loses drops one update in six, chosen by its bytes so that it does
/// the same to the same update again.
struct Relay {
    speaks: Speaks,
    loses: bool,
    rooms: Mutex<HashMap<String, Arc<Mutex<Room>>>>,
}

/// In whose words.
#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    YWebsocket,
    /// One document for each name within the frames; every socket names only one.
    Hocuspocus,
}

struct Room {
    doc: Doc,
    people: Vec<mpsc::UnboundedSender<Bytes>>,
}

impl Relay {
    /// Starts it and returns its address.
    async fn start(loses: bool) -> String {
        Self::start_as(Speaks::YWebsocket, loses).await
    }

    async fn start_as(speaks: Speaks, loses: bool) -> String {
        let relay = Arc::new(Self {
            speaks,
            loses,
            rooms: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay.clone().serve(stream));
            }
        });
        url
    }

    fn drops(&self, update: &[u8]) -> bool {
        let mut hash = rustc_hash::FxHasher::default();
        hash.write(update);
        self.loses && hash.finish().is_multiple_of(6)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut path = String::new();
        #[allow(clippy::result_large_err, reason = "the type is tungstenite's")]
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            path = request.uri().path().to_owned();
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, look).await;
        let Ok((mut sink, mut stream)) = socket.map(|socket| socket.split()) else {
            return;
        };
        let (sender, mut queue) = mpsc::unbounded_channel::<Bytes>();
        let name = Arc::new(std::sync::OnceLock::<String>::new());
        let (speaks, addressed) = (self.speaks, name.clone());
        tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                let frame = match (speaks, addressed.get()) {
                    (Speaks::Hocuspocus, Some(name)) => with_name(name, &frame),
                    _ => frame,
                };
                if sink.send(Message::Binary(frame)).await.is_err() {
                    return;
                }
            }
        });
        if self.speaks == Speaks::YWebsocket {
            name.set(path).unwrap();
            self.room(name.get().unwrap())
                .lock()
                .unwrap()
                .greet(&sender);
        }
        while let Some(Ok(message)) = stream.next().await {
            let Message::Binary(frame) = message else {
                continue;
            };
            let frame = match self.speaks {
                Speaks::YWebsocket => frame,
                Speaks::Hocuspocus => {
                    let mut reader = Reader::new(&frame);
                    let document = reader.var_str().unwrap();
                    let message = frame.slice(reader.position()..);
                    if message.starts_with(&[HOCUSPOCUS_AUTH]) {
                        name.set(document.to_owned()).unwrap();
                        let granted = b"\x02\x02\x0aread-write";
                        sender.send(Bytes::from_static(granted)).ok();
                        self.room(document).lock().unwrap().greet(&sender);
                        continue;
                    }
                    message
                }
            };
            let room = self.room(name.get().expect("it is said before anything else"));
            let mut room = room.lock().unwrap();
            y_websocket::decode(&frame, |message| self.take(&mut room, &sender, message)).unwrap();
        }
    }

    fn room(&self, name: &str) -> Arc<Mutex<Room>> {
        let mut rooms = self.rooms.lock().unwrap();
        let room = rooms.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Mutex::new(Room {
                doc: doc_with(1),
                people: Vec::new(),
            }))
        });
        room.clone()
    }

    fn take(&self, room: &mut Room, sender: &mpsc::UnboundedSender<Bytes>, message: ClientMessage) {
        let changes = matches!(
            message,
            ClientMessage::SyncStep2(_) | ClientMessage::Update(_)
        );
        match message {
            ClientMessage::SyncStep1(vector) => {
                let vector = StateVector::decode_v1(&vector).unwrap();
                let update = room.doc.transact().encode_diff_v1(&vector);
                sender.send(frame(ServerMessage::SyncStep2(&update))).ok();
            }
            ClientMessage::Update(update) if self.drops(&update) => {}
            ClientMessage::SyncStep2(update) | ClientMessage::Update(update) => {
                room.spread(&update);
            }
            _ => {}
        }
        if changes && self.speaks == Speaks::Hocuspocus {
            let taken = [HOCUSPOCUS_STATUS, 1];
            sender.send(Bytes::copy_from_slice(&taken)).ok();
        }
    }
}

impl Room {
    fn greet(&mut self, sender: &mpsc::UnboundedSender<Bytes>) {
        let vector = self.doc.transact().state_vector().encode_v1();
        sender.send(frame(ServerMessage::SyncStep1(&vector))).ok();
        self.people.push(sender.clone());
    }

    fn spread(&mut self, update: &[u8]) {
        let decoded = Update::decode_v1(update).unwrap();
        self.doc.transact_mut().apply_update(decoded).unwrap();
        let frame = frame(ServerMessage::Update(update));
        self.people
            .retain(|person| person.send(frame.clone()).is_ok());
    }
}

const HOCUSPOCUS_AUTH: u8 = 2;
const HOCUSPOCUS_STATUS: u8 = 8;

fn with_name(name: &str, message: &[u8]) -> Bytes {
    let mut frame = Vec::new();
    write_bytes(&mut frame, name.as_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn frame(message: ServerMessage<'_>) -> Bytes {
    y_websocket::encode(message, false).unwrap()
}
