//! Our own server as a process of this very program, for what measures and checks servers: on a directory of its own, and
//! untouched by what the caller has set for another server.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow};

/// This program, yet without arguments. It leaves its input alone, has a pipe for its output, complains to the log file
/// and is a process group of its own: Ctrl-C is for the caller alone, who then ends it.
///
/// # Errors
/// When the program can not be found or the log can not be made.
pub fn command(log: &Path) -> Result<Command> {
    let mut command = Command::new(program()?);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log)?)
        .process_group(0);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COSCRIBE_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// On Linux by the file that runs and not by its name, under which a build may put another one in the meantime.
fn program() -> Result<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Ok(PathBuf::from("/proc/self/exe")),
        false => std::env::current_exe().context("this program can not be found"),
    }
}

/// Where the server accepts connections, if this line of its output says so.
pub fn address_in(line: &str) -> Option<SocketAddr> {
    line.split_once("http://")?.1.trim().parse().ok()
}

/// What to say of a server that never told its address.
pub fn did_not_start(log: &Path) -> anyhow::Error {
    let said = fs::read_to_string(log).unwrap_or_default();
    anyhow!("our own server did not start: {}", said.trim())
}

/// A temporary directory. It is removed with this value.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// # Errors
    /// When it can not be made.
    pub fn make(purpose: &str) -> Result<Self> {
        let name = format!("coscribe-{purpose}-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| {
            format!(
                "{} can not be made; TMPDIR names another place",
                path.display()
            )
        })?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left in the temporary directory harms nobody.
        let _removed = fs::remove_dir_all(&self.0);
    }
}
