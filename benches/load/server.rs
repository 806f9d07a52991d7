//! The servers under test: started as processes of their own, restarted and ended, or given by address and pid.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wire::Dialect;

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Debug, Clone)]
pub enum Launch {
    /// The bare relay, which is this executable under another command.
    Relay,
    /// Coscribe, on a fresh data directory.
    Coscribe {
        binary: PathBuf,
        durability: &'static str,
    },
    /// Any other server, by a shell command that listens where `url` says.
    Command {
        command: String,
        url: String,
        dialect: Dialect,
    },
    /// A server that runs already.
    Running {
        url: String,
        pid: u32,
        dialect: Dialect,
    },
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub dialect: Dialect,
    pub pid: u32,
    /// The relay sends a state to each newcomer by itself.
    pub greets: bool,
    base: String,
    launch: Launch,
    child: Option<Child>,
    data: Option<TempDir>,
}

impl Launch {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relay => "bare relay",
            Self::Coscribe { .. } => "coscribe",
            Self::Command { .. } => "other",
            Self::Running { .. } => "running server",
        }
    }

    pub fn start(&self) -> Result<Server> {
        self.start_with(None)
    }

    /// Starts the server; a relay sends `greeting` to each newcomer, a real server is not told of it.
    pub fn start_with(&self, greeting: Option<&Path>) -> Result<Server> {
        match self {
            Self::Relay => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("relay");
                if let Some(file) = greeting {
                    command.arg("--greeting").arg(file);
                }
                let (child, address) = spawn_printing(&mut command)?;
                Ok(self.server(
                    address,
                    "/ws",
                    Dialect::Relay,
                    Some(child),
                    None,
                    greeting.is_some(),
                ))
            }
            Self::Coscribe { .. } => {
                let data = tempfile::Builder::new()
                    .prefix("coscribe-load-")
                    .tempdir()?;
                let (child, address) = self.spawn_coscribe(data.path())?;
                Ok(self.server(
                    address,
                    "/ws",
                    Dialect::YWebsocket,
                    Some(child),
                    Some(data),
                    false,
                ))
            }
            Self::Command {
                command,
                url,
                dialect,
            } => {
                let (address, base) = parse_url(url)?;
                let child = spawn_shell(command, address)?;
                Ok(self.server(address, &base, *dialect, Some(child), None, false))
            }
            Self::Running { url, dialect, .. } => {
                let (address, base) = parse_url(url)?;
                Ok(self.server(address, &base, *dialect, None, None, false))
            }
        }
    }

    fn spawn_coscribe(&self, data: &Path) -> Result<(Child, SocketAddr)> {
        let Self::Coscribe { binary, durability } = self else {
            bail!("{} is not coscribe", self.name())
        };
        let mut command = Command::new(binary);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--durability",
                durability,
                "--data-dir",
            ])
            .arg(data);
        spawn_printing(&mut command).with_context(|| binary.display().to_string())
    }

    fn server(
        &self,
        address: SocketAddr,
        base: &str,
        dialect: Dialect,
        child: Option<Child>,
        data: Option<TempDir>,
        greets: bool,
    ) -> Server {
        let pid = match (self, &child) {
            (Self::Running { pid, .. }, _) => *pid,
            (_, Some(child)) => child.id(),
            _ => 0,
        };
        Server {
            address,
            dialect,
            pid,
            greets,
            base: base.to_owned(),
            launch: self.clone(),
            child,
            data,
        }
    }
}

impl Server {
    pub fn path(&self, document: &str) -> String {
        match self.dialect {
            Dialect::Hocuspocus => format!("{}/", self.base),
            Dialect::Relay | Dialect::YWebsocket => format!("{}/{document}", self.base),
        }
    }

    /// Ends the server and starts it again on the same data. Returns the moment just before the new process began.
    pub fn restart(&mut self) -> Result<Instant> {
        self.stop()?;
        let began = Instant::now();
        match (&self.launch, &self.data) {
            (Launch::Coscribe { .. }, Some(data)) => {
                let (child, address) = self.launch.spawn_coscribe(data.path())?;
                self.child = Some(child);
                self.address = address;
            }
            (Launch::Command { command, .. }, _) => {
                self.child = Some(spawn_shell(command, self.address)?);
            }
            (Launch::Relay, _) => bail!("the relay keeps nothing over a restart"),
            _ => bail!("a server that was not started here can not be restarted"),
        }
        self.pid = self.child.as_ref().map_or(0, Child::id);
        Ok(began)
    }

    /// Asks the server to end, as a deployment would, and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("a child without a pid")?;
        kill_process(pid, Signal::TERM)?;
        let began = Instant::now();
        while child.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                bail!("the server did not end within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Bytes on disk in the data directory, where it is known.
    pub fn disk_bytes(&self) -> Option<u64> {
        let entries = std::fs::read_dir(self.data.as_ref()?.path()).ok()?;
        Some(
            entries
                .flatten()
                .filter_map(|entry| entry.metadata().ok())
                .map(|file| file.len())
                .sum(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already ended is as good as killed.
            if child.kill().is_ok() {
                drop(child.wait());
            }
        }
    }
}

/// Starts a server that prints a line with its http address once it accepts connections.
fn spawn_printing(command: &mut Command) -> Result<(Child, SocketAddr)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut lines =
        BufReader::new(child.stdout.take().context("the server has no output")?).lines();
    for line in &mut lines {
        let line = line?;
        let Some((_, rest)) = line.split_once("http://") else {
            continue;
        };
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !".:[]-".contains(c))
            .unwrap_or(rest.len());
        let address = resolve(&rest[..end])?;
        // The rest of the output is read away, or a talkative server would block on a full pipe.
        thread::spawn(move || lines.for_each(drop));
        return Ok((child, address));
    }
    let status = child.wait()?;
    bail!("the server ended ({status}) before it printed its address")
}

/// Starts a server by a shell command and waits until it accepts connections.
fn spawn_shell(command: &str, address: SocketAddr) -> Result<Child> {
    ensure!(
        TcpListener::bind(address).is_ok(),
        "something listens on {address} already"
    );
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| command.to_owned())?;
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("`{command}` ended ({status}) before it listened on {address}");
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "`{command}` does not listen on {address}"
        );
        thread::sleep(Duration::from_millis(2));
    }
    Ok(child)
}

/// Splits `ws://host:port/base` into where to connect and the path before the document's name.
fn parse_url(url: &str) -> Result<(SocketAddr, String)> {
    let rest = url
        .strip_prefix("ws://")
        .context("the url must begin with ws://")?;
    let (host, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Ok((resolve(host)?, base.trim_end_matches('/').to_owned()))
}

fn resolve(host: &str) -> Result<SocketAddr> {
    host.to_socket_addrs()
        .with_context(|| format!("the address {host}"))?
        .next()
        .context("no address")
}
