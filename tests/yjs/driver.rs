//! A Node process with the real Yjs, for every test that needs one: a script of this folder answers one request per line.

use std::{path::Path, process::Stdio, sync::Once};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

pub struct Driver {
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Driver {
    /// Starts a script of this folder. `None`, with a message, where there is no Node.
    pub fn start(script: &str) -> Option<Self> {
        static INSTALL: Once = Once::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/yjs");
        let version = std::process::Command::new("node")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if version.is_err() {
            eprintln!("SKIPPED: there is no `node` to run the real Yjs in");
            return None;
        }
        INSTALL.call_once(|| {
            if !folder.join("node_modules/y-websocket-1").exists() {
                let installed = std::process::Command::new("npm")
                    .args(["ci", "--no-audit", "--no-fund"])
                    .current_dir(&folder)
                    .status();
                assert!(
                    installed.is_ok_and(|status| status.success()),
                    "`npm ci` failed in tests/yjs"
                );
            }
        });
        let mut process = Command::new("node")
            .arg(folder.join(script))
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
    pub async fn try_ask(&mut self, request: &Value) -> Value {
        self.requests
            .write_all(format!("{request}\n").as_bytes())
            .await
            .unwrap();
        let answer = self.answers.next_line().await.unwrap();
        serde_json::from_str(&answer.expect("Node must answer")).unwrap()
    }

    /// Sends a request that must succeed.
    pub async fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> T {
        let answer = self.try_ask(request).await;
        if let Some(error) = answer.get("error") {
            let mut request = request.to_string();
            request.truncate(request.floor_char_boundary(2_000));
            panic!("{request}: {error}");
        }
        serde_json::from_value(answer).unwrap()
    }

    /// What a fresh document shows after these updates.
    pub async fn load<T: DeserializeOwned, B: AsRef<[u8]>>(
        &mut self,
        updates: &[B],
        gc: bool,
    ) -> T {
        let request = json!({ "ask": "load", "updates": hexes(updates), "gc": gc });
        self.ask(&request).await
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn hexes<B: AsRef<[u8]>>(updates: &[B]) -> Vec<String> {
    updates.iter().map(|update| hex(update.as_ref())).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}
