//! The real binary as a process, with a data directory of its own.
//!
//! `COSCRIBE_BIN` names another binary to test. When a server is dropped, its log is searched for content.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, Response};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
};

use super::{CANARY, PATIENCE, eventually};

pub struct Server {
    process: Option<Child>,
    address: SocketAddr,
    flags: Vec<String>,
    prefix: Vec<String>,
    /// From the start of the process to the line that says it is ready.
    pub ready_after: Duration,
    log: Arc<Mutex<String>>,
    http: Client,
    dir: PathBuf,
    _own_dir: Option<TempDir>,
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("COSCRIBE_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_coscribe").into(), Into::into)
}

/// Runs a command of the binary to its end.
pub async fn run(arguments: &[&str]) -> (i32, String) {
    let output = command(&[]).args(arguments).output();
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(PATIENCE, output)
        .await
        .expect("the command must end by itself")
        .unwrap();
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text.into_owned())
}

fn command(prefix: &[String]) -> Command {
    let mut words: Vec<std::ffi::OsString> = prefix.iter().map(Into::into).collect();
    words.push(binary().into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    // Settings of the machine must not reach the server under test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COSCRIBE_") {
            command.env_remove(name);
        }
    }
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

impl Server {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with these flags.
    pub async fn with(flags: &[&str]) -> Self {
        let own = tempfile::tempdir().unwrap();
        let dir = own.path().to_path_buf();
        let mut server = Self::in_dir(&dir, flags, &[]).await;
        server._own_dir = Some(own);
        server
    }

    /// Starts on a data directory that belongs to the test. `prefix` is a command that the binary is an argument of.
    pub async fn in_dir(dir: &Path, flags: &[&str], prefix: &[&str]) -> Self {
        let mut server = Self {
            process: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            flags: flags.iter().map(ToString::to_string).collect(),
            prefix: prefix.iter().map(ToString::to_string).collect(),
            ready_after: Duration::ZERO,
            log: Arc::default(),
            http: Client::builder().no_proxy().build().unwrap(),
            dir: dir.to_path_buf(),
            _own_dir: None,
        };
        server.restart().await;
        server
    }

    /// Starts the process again, on the same address and directory. It must not be running.
    pub async fn restart(&mut self) {
        let started = self.try_restart().await;
        assert!(started, "it did not start:\n{}", self.log());
    }

    /// The same for a process that may die before it is ready. Answers whether it became ready.
    pub async fn try_restart(&mut self) -> bool {
        assert!(self.process.is_none(), "it still runs");
        let started = Instant::now();
        let mut process = command(&self.prefix)
            .args(["--listen", &self.address.to_string()])
            .arg("--data-dir")
            .arg(&self.dir)
            .args(&self.flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.collect_log(&mut process);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("Coscribe is ready: http://") {
                    return Some(address.trim().parse().unwrap());
                }
            }
            None
        };
        let address = tokio::time::timeout(PATIENCE, ready).await.ok().flatten();
        self.ready_after = started.elapsed();
        let Some(address) = address else {
            return false;
        };
        self.address = address;
        self.process = Some(process);
        true
    }

    /// Starts from now on with another command in front.
    pub fn set_prefix(&mut self, prefix: &[&str]) {
        self.prefix = prefix.iter().map(ToString::to_string).collect();
    }

    fn collect_log(&self, process: &mut Child) {
        let (log, mut errors) = (self.log.clone(), process.stderr.take().unwrap());
        tokio::spawn(async move {
            let mut chunk = vec![0; 64 << 10];
            while let Ok(count @ 1..) = errors.read(&mut chunk).await {
                log.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        });
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).expect("it runs")
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Ends the process at once, as a crash or the kernel would.
    pub async fn kill_9(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().await.unwrap();
    }

    /// SIGTERM, and the exit code.
    pub async fn stop(&mut self) -> i32 {
        self.signal(libc::SIGTERM);
        self.ended().await
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: i32) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).unwrap();
        let signal = match signal {
            libc::SIGTERM => rustix::process::Signal::TERM,
            libc::SIGINT => rustix::process::Signal::INT,
            other => panic!("no signal {other} is sent here"),
        };
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> i32 {
        let mut process = self.process.take().expect("it runs");
        let status = tokio::time::timeout(PATIENCE, process.wait())
            .await
            .expect("it must end")
            .unwrap();
        status.code().unwrap_or(-1)
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        let process = self.process.as_mut().expect("it was started");
        matches!(process.try_wait(), Ok(None))
    }

    /// Processor time that the process has used.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in parentheses may hold anything.
        let fields: Vec<_> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let ticks: u64 = fields[11..13]
            .iter()
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Memory that the process occupies, in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() << 10
    }

    /// Where sockets of a document are opened. The name is sent as it stands here.
    pub fn socket(&self, doc: &str) -> String {
        format!("ws://{}/ws/{doc}", self.address)
    }

    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Response {
        let request = self
            .http
            .request(method, format!("http://{}{path}", self.address))
            .header("X-Requested-With", "coscribe")
            .timeout(PATIENCE);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
        .send()
        .await
        .unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path, None).await
    }

    /// The committed state of a document as one Yjs update.
    pub async fn export(&self, doc: &str) -> Vec<u8> {
        let response = self.get(&format!("/api/docs/{doc}/content?as=yjs")).await;
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap().to_vec()
    }

    /// How many rows the log of a document has.
    pub async fn head(&self, doc: &str) -> u64 {
        let path = format!("/api/docs/{doc}/versions?limit=1");
        let page: serde_json::Value = self.get(&path).await.json().await.unwrap();
        page["versions"][0]["seq"].as_u64().unwrap()
    }

    /// Status and text of `/readyz`.
    pub async fn readiness(&self) -> (u16, String) {
        let response = self.get("/readyz").await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a metric without labels, or the sum over all its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").await.text().await.unwrap();
        let values = page.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            (rest.starts_with(' ') || rest.starts_with('{'))
                .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        values.sum()
    }

    /// Waits until a metric fulfils a condition, and returns it.
    pub async fn until_metric(&self, name: &str, holds: impl Fn(f64) -> bool) -> f64 {
        eventually(name, async || {
            Some(self.metric(name).await).filter(|value| holds(*value))
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let log = self.log();
        if std::thread::panicking() {
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("the end of the server's log:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        } else {
            assert!(!log.contains(CANARY), "content in the log:\n{log}");
            assert!(!log.contains("panicked"), "a panic in the server:\n{log}");
        }
    }
}
