//! Looking after a database from outside the server: checking it, copying it, bringing a copy back.
//!
//! None of these takes the server's place: they read beside a running server as well as at rest, and change nothing in
//! the data directory, but for `restore_backup`, which needs one without a database.

mod backup;
mod check;

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions, SqliteConnection};

pub use self::{
    backup::{backup, restore_backup},
    check::{Finding, Report, check},
};
use super::{
    OpenError,
    error::failed,
    open::{at, base, recognise},
};
use crate::store::StoreError;

/// How far a long operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub step: Step,
    /// Documents done and in all; 0 of 0 where a step cannot tell.
    pub done: u64,
    pub total: u64,
}

/// What a long operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Copying,
    /// Looking at the pages of the database file.
    Verifying,
    /// Replaying each document.
    Replaying,
}

impl Step {
    fn begins(self) -> Progress {
        Progress {
            step: self,
            done: 0,
            total: 0,
        }
    }
}

/// Why a database could not be inspected, copied or brought back.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} exists already; choose another name, or allow overwriting it")]
    Exists { path: PathBuf },
    #[error("{path} holds a database already; restore into an empty data directory")]
    DataDirInUse { path: PathBuf },
    #[error("{path} is damaged: {}", problems.join("; "))]
    Damaged {
        path: PathBuf,
        problems: Vec<String>,
    },
    #[error("reading the database failed")]
    Store(#[from] StoreError),
}

/// Opens a database for reading only.
async fn open_read_only(path: &Path) -> Result<SqliteConnection, InspectError> {
    if !path.is_file() {
        return Err(OpenError::Missing {
            path: path.to_path_buf(),
        }
        .into());
    }
    let options = base(path)
        .read_only(true)
        .immutable(at_rest_where_nothing_can_be_written(path));
    let mut conn = options.connect().await.map_err(|error| at(path, error))?;
    recognise(&mut conn, path).await?;
    Ok(conn)
}

/// On a read-only medium SQLite cannot make the companions of a WAL database, and needs to be told that nobody else
/// writes. That holds where no log is left behind.
fn at_rest_where_nothing_can_be_written(path: &Path) -> bool {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let writable = OpenOptions::new().append(true).open(path).is_ok();
    !writable && !beside("-wal").exists() && !beside("-shm").exists()
}

/// What SQLite finds wrong with the file; nothing in a sound one.
async fn file_problems(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let lines: Vec<String> = match sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(conn)
        .await
        .map_err(failed)
    {
        Ok(lines) => lines,
        // Damage so bad that the check itself cannot go on.
        Err(StoreError::Corrupt(error)) => vec![error.to_string()],
        Err(error) => return Err(error),
    };
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
