//! Stock clients in a Node process: `tests/yjs/clients.mjs` answers one request per line.

use std::{path::Path, process::Stdio, sync::Once};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{server::Server, skip};

/// The stock clients that connect unchanged.
pub const VERSIONS: [&str; 3] = ["1.5", "2.1", "3.1"];

pub struct Node {
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// Where sockets are opened, as stock clients take it: the document's name comes apart.
pub fn sockets(server: &Server) -> String {
    format!("ws://{}/ws", server.address())
}

impl Node {
    /// `None`, with a message, where there is no Node.
    pub fn start() -> Option<Self> {
        static INSTALL: Once = Once::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/yjs");
        let version = std::process::Command::new("node")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if version.is_err() {
            skip("there is no `node` to run the stock clients in");
            return None;
        }
        INSTALL.call_once(|| {
            if !folder.join("node_modules/y-websocket-1").exists() {
                let installed = std::process::Command::new("npm")
                    .args(["ci"])
                    .current_dir(&folder)
                    .status();
                assert!(
                    installed.is_ok_and(|status| status.success()),
                    "`npm ci` failed in tests/yjs"
                );
            }
        });
        let mut process = Command::new("node")
            .arg(folder.join("clients.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Some(Self {
            requests: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
        })
    }

    /// Sends a request; an answer that is an error is returned as it is.
    pub async fn try_ask(&mut self, request: Value) -> Value {
        self.requests
            .write_all(format!("{request}\n").as_bytes())
            .await
            .unwrap();
        let answer = self.answers.next_line().await.unwrap();
        serde_json::from_str(&answer.expect("Node must answer")).unwrap()
    }

    /// Sends a request that must succeed.
    pub async fn ask(&mut self, request: Value) -> Value {
        let answer = self.try_ask(request.clone()).await;
        assert!(answer.get("error").is_none(), "{request}: {answer}");
        answer
    }

    /// Opens a document with a client of this version and waits until it is synced. Returns its Yjs client id.
    pub async fn join(&mut self, server: &Server, name: &str, version: &str, doc: &str) -> u64 {
        let id = self
            .open(server, name, json!({"version": version, "doc": doc}))
            .await;
        self.until(name, json!({"synced": true})).await;
        id
    }

    /// Opens a document with these options and does not wait.
    pub async fn open(&mut self, server: &Server, name: &str, options: Value) -> u64 {
        let mut request = json!({"ask": "open", "name": name, "url": sockets(server)});
        merge(&mut request, options);
        self.ask(request).await["id"].as_u64().unwrap()
    }

    /// Waits until the client fulfils a condition.
    pub async fn until(&mut self, name: &str, condition: Value) {
        let mut request = json!({"ask": "until", "name": name});
        merge(&mut request, condition);
        self.ask(request).await;
    }

    pub async fn insert(&mut self, name: &str, text: &str) {
        self.ask(json!({"ask": "insert", "name": name, "text": text}))
            .await;
    }

    pub async fn text(&mut self, name: &str) -> String {
        let answer = self.ask(json!({"ask": "text", "name": name})).await;
        answer["text"].as_str().unwrap().to_owned()
    }

    /// What the client's replica holds, to compare with others.
    pub async fn print(&mut self, name: &str) -> Value {
        self.ask(json!({"ask": "print", "name": name})).await
    }

    /// What a fresh document shows after these updates.
    pub async fn load(&mut self, updates: &[Vec<u8>]) -> Value {
        let hex: Vec<String> = updates.iter().map(|update| hex(update)).collect();
        self.ask(json!({"ask": "load", "updates": hex})).await
    }
}

fn merge(request: &mut Value, more: Value) {
    let (Value::Object(request), Value::Object(more)) = (request, more) else {
        panic!("requests are objects");
    };
    request.extend(more);
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}
