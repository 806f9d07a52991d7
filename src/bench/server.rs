//! The servers under test: our own and the relay as processes of this very program, restarted and ended; or one that
//! runs already. Whatever was started ends with its [`Server`], and its directory is removed.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, ChildStdout, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::oneshot,
    time::timeout,
};

use super::{
    usage,
    wire::{Alone, Dialect, Peer, sync_step_2},
};
use crate::{
    child_server::{self, Directory},
    dial::{self, Tls},
};

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The subcommand that runs the relay; it is not shown in the help.
pub const RELAY_COMMAND: &str = "bench-relay";

/// How to get a server.
#[derive(Debug, Clone)]
pub enum Launch {
    /// The bare relay.
    Relay,
    /// Our own server, on a fresh data directory.
    Coscribe {
        /// Further flags of `coscribe serve`.
        settings: &'static [&'static str],
    },
    /// A server that runs already.
    Running(Remote),
}

/// A server that somebody else started.
#[derive(Debug, Clone)]
pub struct Remote {
    pub address: SocketAddr,
    /// Present where it speaks TLS.
    pub tls: Option<Tls>,
    /// Host and port as the client names them in its request.
    pub host: String,
    /// The path before the document's name, without a slash at its end.
    pub base: String,
    pub dialect: Dialect,
    /// Its process, where it runs on this machine and the caller knows it.
    pub pid: Option<u32>,
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub tls: Option<Tls>,
    pub host: String,
    pub dialect: Dialect,
    /// Whose CPU and memory are measured; `None` where that is not possible.
    pub pid: Option<u32>,
    /// The relay sends a state to each newcomer by itself.
    pub greets: bool,
    base: String,
    launch: Launch,
    // Dropped in this order: nobody writes into a directory that is being removed.
    process: Option<Process>,
    directory: Option<Directory>,
}

impl Launch {
    /// What the side is called in a report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relay => "bare relay",
            Self::Coscribe { .. } => "coscribe",
            Self::Running(_) => "server",
        }
    }

    /// Starts the server, or takes the one that runs.
    ///
    /// # Errors
    /// When it does not start; the error has what it printed.
    pub async fn start(&self) -> Result<Server> {
        self.start_with(&[]).await
    }

    /// Starts the server; a relay sends this state to each newcomer, unless it is empty. A real server is not told of it.
    ///
    /// # Errors
    /// When it does not start; the error has what it printed.
    pub async fn start_with(&self, state: &[u8]) -> Result<Server> {
        let mut server = match self {
            Self::Running(remote) => return Ok(Server::running(remote, self.clone())),
            Self::Relay | Self::Coscribe { .. } => Server {
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                tls: None,
                host: String::new(),
                dialect: match self {
                    Self::Relay => Dialect::Relay,
                    _ => Dialect::YWebsocket,
                },
                pid: None,
                greets: false,
                base: "/ws".to_owned(),
                launch: self.clone(),
                process: None,
                directory: Some(Directory::make("bench")?),
            },
        };
        if matches!(self, Self::Relay) && !state.is_empty() {
            fs::write(server.directory()?.join("greeting"), sync_step_2(state))?;
            server.greets = true;
        }
        server.spawn().await?;
        Ok(server)
    }

    /// Whether it can be stopped and started again with what it has stored.
    pub fn restarts(&self) -> bool {
        matches!(self, Self::Coscribe { .. })
    }
}

impl Remote {
    /// Its address as `--url` has it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.host, self.base)
    }

    /// Whether the server runs on this machine, so that its process can be looked at.
    pub fn is_local(&self) -> bool {
        // Only an address of this machine can be listened on.
        TcpListener::bind((self.address.ip(), 0)).is_ok()
    }

    /// Connects as a client does and waits for a document's state.
    ///
    /// # Errors
    /// When nothing answers there, or something that is no such server.
    pub async fn probe(&self) -> Result<()> {
        let server = Server::running(self, Launch::Running(self.clone()));
        let name = super::delivery::fresh_name("probe");
        Peer::join(&server, &name, Alone::Yes).await?;
        Ok(())
    }
}

impl Server {
    fn running(remote: &Remote, launch: Launch) -> Self {
        Self {
            address: remote.address,
            tls: remote.tls.clone(),
            host: remote.host.clone(),
            dialect: remote.dialect,
            pid: remote.pid,
            greets: false,
            base: remote.base.clone(),
            launch,
            process: None,
            directory: None,
        }
    }

    /// The path that a client asks for.
    pub fn path(&self, document: &str) -> String {
        match self.dialect {
            Dialect::Hocuspocus => format!("{}/", self.base),
            Dialect::Relay | Dialect::YWebsocket => format!("{}/{document}", self.base),
        }
    }

    /// Whether it can be stopped and started again with what it has stored.
    pub fn restarts(&self) -> bool {
        self.launch.restarts()
    }

    /// Ends the server and starts it again on the same data. Returns the moment just before the new process began.
    ///
    /// # Errors
    /// When it can not be restarted, does not end in time or does not start again.
    pub async fn restart(&mut self) -> Result<Instant> {
        ensure!(self.restarts(), "only our own server is restarted");
        self.stop().await?;
        let began = Instant::now();
        self.spawn().await?;
        Ok(began)
    }

    /// Asks the server to end, as a deployment would, and waits for it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.end().await,
            None => Ok(()),
        }
    }

    /// How many documents our own server has in memory, as its `/metrics` say.
    ///
    /// # Errors
    /// When it does not answer, or is not ours.
    pub async fn open_documents(&self) -> Result<u64> {
        let mut stream = dial::connect(self.address, self.tls.as_ref()).await?;
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.host
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("coscribe_rooms "));
        let count = line.context("the server's /metrics do not name coscribe_rooms")?;
        Ok(count.trim().parse()?)
    }

    /// Bytes on disk in the data directory, where it is ours.
    ///
    /// # Errors
    /// When the directory can not be read.
    pub fn disk_bytes(&self) -> Result<Option<u64>> {
        if !matches!(self.launch, Launch::Coscribe { .. }) {
            return Ok(None);
        }
        let mut bytes = 0;
        for entry in fs::read_dir(self.directory()?.join("data"))? {
            bytes += entry?.metadata()?.len();
        }
        Ok(Some(bytes))
    }

    fn directory(&self) -> Result<&Path> {
        let directory = self.directory.as_ref();
        Ok(directory.context("the server is not ours")?.path())
    }

    async fn spawn(&mut self) -> Result<()> {
        let directory = self.directory()?;
        let log = directory.join("log");
        let mut command = child_server::command(&log)?;
        match &self.launch {
            Launch::Relay => {
                command.arg(RELAY_COMMAND);
                if self.greets {
                    command.arg("--greeting").arg(directory.join("greeting"));
                }
            }
            Launch::Coscribe { settings } => {
                command
                    .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
                    .arg(directory.join("data"))
                    .args(*settings);
            }
            Launch::Running(_) => bail!("a server that runs already is not started"),
        }
        let (process, address) = Process::start(&mut command, &log).await?;
        self.pid = usage::AVAILABLE.then(|| process.child.id());
        self.process = Some(process);
        self.address = address;
        self.host = address.to_string();
        Ok(())
    }
}

/// A process that was started here. It is killed with this value.
struct Process {
    child: Child,
    /// Hears of it when the process has closed its output, which it does by ending.
    ended: oneshot::Receiver<()>,
}

impl Process {
    /// Starts a server that prints a line with its http address once it accepts connections.
    async fn start(command: &mut Command, log: &Path) -> Result<(Self, SocketAddr)> {
        let mut child = command.spawn().context("the server can not be started")?;
        let output = child.stdout.take();
        let (says, said) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        let process = Self { child, ended };
        let output = output.context("the server has no output")?;
        thread::spawn(move || {
            read_away(output, says);
            // Nobody may be waiting for the end.
            let _heard = ends.send(());
        });
        match timeout(PATIENCE, said).await {
            Ok(Ok(address)) => Ok((process, address)),
            _ => Err(child_server::did_not_start(log)),
        }
    }

    async fn end(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process without an id")?, Signal::TERM)?;
        ensure!(
            timeout(PATIENCE, &mut self.ended).await.is_ok(),
            "the server did not end within {} s",
            PATIENCE.as_secs()
        );
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is as good as killed, and waiting for what was killed takes no time.
        if self.child.kill().is_ok() {
            let _status = self.child.wait();
        }
    }
}

/// Tells the address that the first lines of output name, and reads the rest away, or a talkative server would block
/// on a full pipe. Returns when the output ends.
fn read_away(output: ChildStdout, says: oneshot::Sender<SocketAddr>) {
    let mut says = Some(says);
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { return };
        if let Some(address) = child_server::address_in(&line)
            && let Some(says) = says.take()
        {
            // Nobody listens any more when the start took too long.
            let _heard = says.send(address);
        }
    }
}
