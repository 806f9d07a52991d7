//! `coscribe bench` from outside: it measures what it says, fails a server that loses something, and puts everything
//! away. That it notices losses is shown on a server of the test's own, which forwards frames and loses some on demand.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "tasks and queues of a test end with it"
)]

use std::{
    collections::HashMap,
    path::Path,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use coscribe::{
    bench::{
        machine::Machine,
        markdown,
        report::Report,
        run::{Plan, Subject},
        scenario::{Scenario, Sizes},
        wanted::WANTED,
    },
    protocol::{ClientMessage, ServerMessage, y_websocket},
};
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
};

const COSCRIBE: &str = env!("CARGO_BIN_EXE_coscribe");

/// Runs the command to its end: exit code, standard output, standard error.
async fn bench(arguments: &[&str]) -> (i32, String, String) {
    end_of(Command::new(COSCRIBE).arg("bench").args(arguments)).await
}

async fn end_of(command: &mut Command) -> (i32, String, String) {
    let running = command.kill_on_drop(true).output();
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(Duration::from_secs(180), running)
        .await
        .expect("it ends by itself")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_run_measures_every_figure_that_has_a_limit_and_leaves_nothing_behind() {
    let (reports, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |name| reports.path().join(name).to_str().unwrap().to_owned();
    let [json, html, table] = ["a.json", "a.html", "a.md"].map(file);
    let (code, out, err) = end_of(
        Command::new(COSCRIBE)
            .env("TMPDIR", temporary.path())
            // What the caller's own server is set to must not reach the one under test.
            .env("COSCRIBE_MAX_SOCKETS", "1")
            .args(["bench", "--all", "--quick", "--json", &json])
            .args(["--html", &html, "--markdown", &table]),
    )
    .await;
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(out.contains("A quick run"), "{out}");
    assert!(!out.contains("MISSED"), "a quick run is not judged: {out}");
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);

    let report = read_json(&json);
    assert_eq!(
        (&report["quick"], &report["judged"]),
        (&true.into(), &false.into())
    );
    let measured = cfg!(target_os = "linux");
    for wanted in WANTED {
        let row = row(&report, wanted.scenario.name(), wanted.figure);
        let value = row["cells"][1]["value"].as_f64();
        let inside = wanted.figure.contains("CPU") || wanted.figure.contains("memory");
        if measured || !inside {
            assert!(value.is_some_and(f64::is_finite), "{wanted:?}: {row}");
        }
        assert_eq!(row["unit"], wanted.unit, "{wanted:?}");
        assert_eq!(row["wanted"], wanted.words(), "{wanted:?}");
    }
    // 10 people, each of whom sees 9 others move.
    let relayed = row(&report, "presence", "frames out")["cells"][0]["value"].as_f64();
    let sent = row(&report, "presence", "frames in")["cells"][0]["value"].as_f64();
    let copies = relayed.unwrap() / sent.unwrap();
    assert!(
        (9.5..10.5).contains(&copies),
        "the relay makes 10 copies, not {copies}"
    );

    let page = std::fs::read_to_string(&html).unwrap();
    for scenario in Scenario::ALL {
        assert!(page.contains(&format!("<h2>{}</h2>", scenario.name())));
    }
    assert!(page.contains("<svg") && page.contains("A quick run"));
    assert!(!page.contains("NaN") && !page.contains("inf,"));
    let table = std::fs::read_to_string(&table).unwrap();
    assert!(table.contains("**A quick run"), "{table}");
    assert!(table.contains("| `start` | start to first served client, ms | – |"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_one_update_of_one_reader_fails() {
    let (code, out, err) = bench(&quick("fan-out", &Lossy::start(Loss::Nothing).await)).await;
    assert_eq!(code, 0, "{out}\n{err}");
    let (code, out, err) = bench(&quick("fan-out", &Lossy::start(Loss::OneUpdate).await)).await;
    assert_eq!(code, 2, "{out}\n{err}");
    assert!(
        out.contains("updates 15..16 of an author never arrived"),
        "{out}"
    );
    assert!(err.contains("failed: fan-out"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_the_end_fails_although_there_is_no_gap() {
    let url = Lossy::start(Loss::UpdatesFrom(15)).await;
    let (code, out, err) = bench(&quick("saturation", &url)).await;
    assert_eq!(code, 2, "{out}\n{err}");
    assert!(out.contains("updates were delivered"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loses_cursors_fails() {
    let (code, out, err) = bench(&quick("presence", &Lossy::start(Loss::Nothing).await)).await;
    assert_eq!(code, 0, "{out}\n{err}");
    let (code, out, err) = bench(&quick("presence", &Lossy::start(Loss::Cursors).await)).await;
    assert_eq!(code, 2, "{out}\n{err}");
    assert!(out.contains("never reached somebody else"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_figure_that_is_divided_by_nothing_is_not_measured() {
    // One person alone sees nobody's cursor.
    let (code, out, err) = bench(&["presence", "--quick", "--count", "1"]).await;
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(
        out.contains("not measured") && !out.contains("NaN") && !out.contains("inf"),
        "{out}"
    );
}

fn quick<'a>(scenario: &'a str, url: &'a str) -> [&'a str; 4] {
    [scenario, "--quick", "--url", url]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_known_inside_a_server_is_not_measured_and_not_zero() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("a.json");
    let (server, url) = serve(directory.path()).await;
    let pid = server.id().unwrap().to_string();
    let mut arguments = vec![
        "idle", "open", "start", "visits", "--quick", "--url", &url, "--json",
    ];
    arguments.push(json.to_str().unwrap());
    let (code, out, err) = bench(&arguments).await;
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(
        out.contains("left out: it needs a server that we can start again"),
        "{out}"
    );
    assert!(out.contains("left out: it needs our own server"), "{out}");
    assert!(out.contains(&format!("server at {url}")), "{out}");
    assert!(
        !out.contains("ratio ≥ 0.7"),
        "limits are for our own: {out}"
    );
    let cpu = |report: &Value| row(report, "idle", "CPU per connection")["cells"][1].clone();
    let report = read_json(&json);
    assert_eq!(cpu(&report), "not-measured");
    assert_eq!(
        row(&report, "open", "cold: with connecting")["cells"][1],
        "not-measured"
    );
    let rate = &row(&report, "idle", "connections per second")["cells"][1]["value"];
    assert!(rate.as_f64() > Some(0.0), "{rate}");

    if cfg!(target_os = "linux") {
        arguments.extend(["--pid", &pid]);
        let (code, out, err) = bench(&arguments).await;
        assert_eq!(code, 0, "{out}\n{err}");
        assert!(
            cpu(&read_json(&json))["value"].as_f64() > Some(0.0),
            "{out}"
        );
    }
}

/// A server of ours that somebody else started.
async fn serve(directory: &Path) -> (Child, String) {
    let mut server = Command::new(COSCRIBE)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.join("data"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let (_, address) = line.split_once("http://").unwrap();
    (server, format!("ws://{}/ws", address.trim()))
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_what_was_started_and_removes_its_directory() {
    let temporary = tempfile::tempdir().unwrap();
    let running = Command::new(COSCRIBE)
        .args(["bench", "fan-out", "--seconds", "600"])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(running.id().unwrap().cast_signed()).unwrap();
    let begun = async {
        loop {
            if let Some(relay) = child_of(pid) {
                return relay;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let relay = timeout(Duration::from_secs(30), begun)
        .await
        .expect("it begins");
    kill_process(pid, Signal::INT).unwrap();
    let ending = timeout(Duration::from_secs(10), running.wait_with_output());
    let output = ending.await.expect("it ends at once").unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("interrupted"), "{err}");
    assert!(test_kill_process(relay).is_err(), "the relay lives on");
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
}

/// A process that this one has started and that is a relay by now.
fn child_of(parent: Pid) -> Option<Pid> {
    let parent = format!("PPid:\t{}\n", parent.as_raw_nonzero());
    let mut processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.find_map(|process| {
        let status = std::fs::read_to_string(process.path().join("status")).ok()?;
        let line = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
        let found = status.contains(&parent) && line.contains("bench-relay");
        let name = process.file_name().into_string().ok()?;
        found.then(|| Pid::from_raw(name.parse().ok()?)).flatten()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_run_ends_with_2_and_says_what_to_do() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes.md");
    std::fs::write(&text, "no markers\n").unwrap();
    let text = text.to_str().unwrap();
    let me = std::process::id().to_string();
    for (arguments, words) in [
        (&["fan-out", "--url", &url][..], &url[..]),
        (&["fan-out", "--url", "wss://localhost:1"], "refused"),
        (&["fan-out", "--url", "nonsense"], "ws://localhost:1234"),
        (&["fan-out", "--url", "ws://localhost:1/?room="], "appended"),
        (&["fan-out", "--pid", "1"], "--url"),
        (
            &["fan-out", "--url", &url, "--pid", "999999999"],
            "999999999",
        ),
        // An address for documentation, which no machine has.
        (
            &["fan-out", "--url", "ws://192.0.2.1:1", "--pid", &me],
            "not on this machine",
        ),
        (&["ingest", "--trace", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["ingest", "--quick", "--trace", text], "editing-traces"),
        (&["fan-out", "--json", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["fan-out", "--markdown", text], "begin -->"),
        (&["fan-out", "--pairs", "0"], "whole number"),
        (&["sunshine"], "sunshine"),
        (&[], "SCENARIO"),
        (&["fan-out", "--data-dir", "/nowhere"], "TMPDIR"),
    ] {
        let (code, out, err) = bench(arguments).await;
        assert_eq!(code, 2, "{arguments:?}: {err}");
        let said = out + &err;
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(text).unwrap(), "no markers\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_open_files_are_known_before_anything_starts() {
    let script = format!("ulimit -n 500; exec {COSCRIBE} bench fan-out idle");
    let (code, out, err) = end_of(Command::new("sh").args(["-c", &script])).await;
    assert_eq!(code, 2, "{out}\n{err}");
    assert!(err.contains("idle needs 5100 open files"), "{err}");
    assert!(err.contains("ulimit -n 5100"), "{err}");
}

#[test]
fn the_committed_table_has_the_shape_that_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(markdown::BEGIN).expect("its beginning");
    let (committed, _) = rest.split_once(markdown::END).expect("its end");
    for caveat in ["quick run", "not judged", "busy with other work"] {
        assert!(!committed.contains(caveat), "the run was: {caveat}");
    }
    let plan = Plan {
        scenarios: Vec::new(),
        pairs: 5,
        sizes: Sizes::default(),
        subject: Subject::Coscribe,
    };
    let made = markdown::table(&Report::new(&plan, Machine::here(), Vec::new()));
    assert_eq!(
        shape(committed),
        shape(&made),
        "run `coscribe bench --all --markdown docs/performance.md`, or put in the lines by hand"
    );
    let figures = |text: &str| text.matches(char::is_numeric).count();
    assert!(figures(committed) > figures(&made), "it has figures");
}

/// The lines without what a run puts into them: figures, verdicts, and the machine's own words.
fn shape(table: &str) -> Vec<String> {
    let is_figure = |cell: &str| {
        let cell = cell.replace(" to ", " ");
        !cell.trim().is_empty() && cell.chars().all(|one| "0123456789.,()– -".contains(one))
    };
    let lines = table
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("**"));
    lines
        .map(|line| {
            if !line.starts_with('|') {
                return match line.contains(" cores, ") && line.ends_with("of each scenario.") {
                    true => "the machine".to_owned(),
                    false => line.to_owned(),
                };
            }
            let cells = line.split('|').map(|cell| match is_figure(cell) {
                true if !cell.contains("--") => "#".to_owned(),
                _ => cell.replace("**missed**", "").trim().to_owned(),
            });
            cells.collect::<Vec<_>>().join("|")
        })
        .collect()
}

fn row(report: &Value, scenario: &str, figure: &str) -> Value {
    let named = |list: &Value, name: &str| -> Value {
        let mut entries = list.as_array().unwrap().iter();
        let found = entries.find(|entry| entry["name"] == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {list}"))
            .clone()
    };
    named(&named(&report["scenarios"], scenario)["rows"], figure)
}

fn read_json(file: impl AsRef<Path>) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A server that speaks y-websocket, keeps nothing and copies every frame to everybody on the same document; one that
/// loses does so for the first socket of each document only.
struct Lossy {
    loss: Loss,
    rooms: Mutex<HashMap<String, Room>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Nothing,
    /// The 16th.
    OneUpdate,
    UpdatesFrom(usize),
    /// Every awareness frame from the 50th on.
    Cursors,
}

#[derive(Default)]
struct Room {
    sockets: Vec<mpsc::UnboundedSender<Bytes>>,
    updates: usize,
    cursors: usize,
}

impl Lossy {
    /// Starts it and returns its address.
    async fn start(loss: Loss) -> String {
        let server = Arc::new(Self {
            loss,
            rooms: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        url
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
        let mine = sender.clone();
        self.rooms
            .lock()
            .unwrap()
            .entry(path.clone())
            .or_default()
            .sockets
            .push(sender);
        tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                if sink.send(Message::Binary(frame)).await.is_err() {
                    return;
                }
            }
        });
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Binary(frame) = message {
                y_websocket::decode(&frame, |message| self.take(&path, &mine, &frame, &message))
                    .unwrap();
            }
        }
    }

    fn take(
        &self,
        path: &str,
        mine: &mpsc::UnboundedSender<Bytes>,
        frame: &Bytes,
        message: &ClientMessage,
    ) {
        let mut rooms = self.rooms.lock().unwrap();
        let room = rooms.get_mut(path).unwrap();
        let lost = match message {
            ClientMessage::SyncStep1(_) => {
                let empty = ServerMessage::SyncStep2(&[0, 0]);
                mine.send(y_websocket::encode(empty, false).unwrap()).ok();
                return;
            }
            ClientMessage::Update(_) => {
                room.updates += 1;
                match self.loss {
                    Loss::OneUpdate => room.updates == 16,
                    Loss::UpdatesFrom(first) => room.updates >= first,
                    Loss::Nothing | Loss::Cursors => false,
                }
            }
            ClientMessage::Awareness(_) => {
                room.cursors += 1;
                self.loss == Loss::Cursors && room.cursors >= 50
            }
            _ => return,
        };
        for socket in room.sockets.iter().skip(usize::from(lost)) {
            socket.send(frame.clone()).ok();
        }
    }
}
