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
    document::replica::doc_with,
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
async fn a_relay_that_loses_nothing_converges() {
    let url = Relay::start(false).await;
    let (code, out, err) = converge(&["--url", &url, "--seed", "7", "--ops", "150"]).await;
    assert_eq!(code, 0, "{out}\n{err}");
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
        while stored_bytes(temporary.path()) < 100_000 {
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

/// A small y-websocket server in memory. One that loses drops one update in six, chosen by its bytes so that it does
/// the same to the same update again.
struct Relay {
    loses: bool,
    rooms: Mutex<HashMap<String, Arc<Mutex<Room>>>>,
}

struct Room {
    doc: Doc,
    people: Vec<mpsc::UnboundedSender<Bytes>>,
}

impl Relay {
    /// Starts it and returns its address.
    async fn start(loses: bool) -> String {
        let relay = Arc::new(Self {
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
        let (sender, mut queue) = mpsc::unbounded_channel();
        let room = {
            let mut rooms = self.rooms.lock().unwrap();
            let room = rooms.entry(path).or_insert_with(|| {
                Arc::new(Mutex::new(Room {
                    doc: doc_with(1),
                    people: Vec::new(),
                }))
            });
            room.clone()
        };
        room.lock().unwrap().greet(&sender);
        tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                if sink.send(Message::Binary(frame)).await.is_err() {
                    return;
                }
            }
        });
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Binary(frame) = message {
                let mut room = room.lock().unwrap();
                y_websocket::decode(&frame, |message| self.take(&mut room, &sender, message))
                    .unwrap();
            }
        }
    }

    fn take(&self, room: &mut Room, sender: &mpsc::UnboundedSender<Bytes>, message: ClientMessage) {
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

fn frame(message: ServerMessage<'_>) -> Bytes {
    y_websocket::encode(message, false).unwrap()
}
