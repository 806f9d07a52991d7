//! The server under test, where the tool may start and kill it: our own binary, or a command that the caller names.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::child_server::{self, Directory};

/// A server that does not listen by then is given up.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How it is started.
#[derive(Debug)]
enum Launch {
    /// This very program, with a data directory that is removed in the end. The port is 0 until it is known.
    Own { directory: Directory, port: u16 },
    /// A shell command, and the address where it will listen.
    Command { line: String, address: String },
}

/// A server process. It ends with this value.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    process: Option<Child>,
}

impl Server {
    /// Starts our own server on a free port of the loopback address.
    pub async fn own() -> anyhow::Result<Self> {
        let directory = Directory::make("converge")?;
        let mut server = Self {
            launch: Launch::Own { directory, port: 0 },
            process: None,
        };
        server.start().await?;
        Ok(server)
    }

    /// Starts a shell command and waits until something listens at the address (`host:port`).
    pub async fn command(line: &str, address: &str) -> anyhow::Result<Self> {
        if TcpStream::connect(address).await.is_ok() {
            bail!(
                "something listens at {address} already; stop it, as --server-cmd starts the server itself"
            );
        }
        let mut server = Self {
            launch: Launch::Command {
                line: line.to_owned(),
                address: address.to_owned(),
            },
            process: None,
        };
        server.start().await?;
        Ok(server)
    }

    /// Where our own server listens.
    pub fn own_address(&self) -> Option<String> {
        match &self.launch {
            Launch::Own { port, .. } => Some(format!("127.0.0.1:{port}")),
            Launch::Command { .. } => None,
        }
    }

    /// Ends the process and its children at once, without a word to them.
    pub async fn kill(&mut self) {
        self.signal();
        if let Some(mut process) = self.process.take() {
            // It was killed; how it took that does not matter.
            let _status = process.wait().await;
        }
    }

    fn signal(&self) {
        let id = self.process.as_ref().and_then(Child::id);
        if let Some(group) = id.and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended by itself.
            let _sent = kill_process_group(group, Signal::KILL);
        }
    }

    /// Until then it may still write to its directory. A killed process is not long in ending.
    fn wait_for_end(&self) {
        let id = self.process.as_ref().and_then(Child::id);
        if let Some(id) = id.and_then(|id| Pid::from_raw(id.cast_signed())) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // It may have been waited for already.
            let _ended = waitid(WaitId::Pid(id), options);
        }
    }

    /// Starts the process; with the data and at the address that it had before.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        match &mut self.launch {
            Launch::Own { directory, port } => {
                let (process, actual) = start_own(directory, *port).await?;
                *port = actual;
                self.process = Some(process);
            }
            Launch::Command { line, address } => {
                let process = self.process.insert(start_command(line)?);
                wait_for_listener(address, process)
                    .await
                    .with_context(|| format!("the server `{line}` did not start"))?;
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal();
        self.wait_for_end();
    }
}

async fn start_own(directory: &Directory, port: u16) -> anyhow::Result<(Child, u16)> {
    let log = directory.path().join("log");
    let mut process = Command::from(child_server::command(&log)?)
        .args([
            "serve",
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--data-dir",
        ])
        .arg(directory.path().join("data"))
        .kill_on_drop(true)
        .spawn()
        .context("our own server can not be started")?;
    let output = process.stdout.take().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(address) = child_server::address_in(&line) {
                return Some(address.port());
            }
        }
        None
    };
    match timeout(START_PATIENCE, ready).await.ok().flatten() {
        Some(port) => Ok((process, port)),
        None => Err(child_server::did_not_start(&log)),
    }
}

fn start_command(line: &str) -> anyhow::Result<Child> {
    Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("`{line}` can not be started"))
}

async fn wait_for_listener(address: &str, process: &mut Child) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = process.try_wait()? {
            bail!("it ended ({status}) before it listened at {address}");
        }
        if Instant::now() > deadline {
            bail!(
                "nothing listens at {address} after {} s",
                START_PATIENCE.as_secs()
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
