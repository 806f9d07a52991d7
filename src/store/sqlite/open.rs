//! Opening: the data directory and its lock, what kind of file the database is, and its tables.
//!
//! Nothing of an existing file is changed before it is known to be ours and not from a newer version.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex as SyncMutex, atomic::AtomicBool},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Executor, SqlSafeStr as _, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

use super::{
    Shared, SqliteOptions, SqliteStore,
    error::failed,
    keeper::Keeper,
    names::Names,
    watch::{FileWatch, wal_of},
    writer::Writer,
};
use crate::store::{Durability, StoreError};

pub const DATABASE_FILE: &str = "coscribe.db";
pub const LOCK_FILE: &str = "coscribe.lock";

/// "Cosc", in the header of the file.
const APPLICATION_ID: i64 = 0x436f_7363;
/// The newest format that this version reads; `user_version` of the file.
const FORMAT_VERSION: i64 = 1;

/// Before 3.51.3 a checkpoint beside a writer could corrupt a WAL database.
const MIN_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// How long a statement waits for another process's lock before it answers "busy". Short, because people should read
/// "not saved" within two seconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// Loads that run at once; each connection is a thread and a page cache.
const READERS: u32 = 4;
/// Page cache of a connection that reads or checkpoints, in KiB: a load walks each page once.
const SMALL_CACHE: &str = "-512";
/// Page cache of the writer in KiB: the hot pages of some thousand open documents. Given back when nobody writes.
const WRITER_CACHE: &str = "-16384";

/// Number, name and text of each file in `migrations/sqlite`. Listed by hand: the macro that reads the folder would have
/// SQLite compiled a second time, for the compiler's own use.
const MIGRATIONS: [(i64, &str, &str); 3] = [
    (
        1,
        "initial",
        include_str!("../../../migrations/sqlite/0001_initial.sql"),
    ),
    (
        2,
        "versions",
        include_str!("../../../migrations/sqlite/0002_versions.sql"),
    ),
    (
        3,
        "retention",
        include_str!("../../../migrations/sqlite/0003_retention.sql"),
    ),
];

/// Why the store cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "cannot use the data directory {path}: {source}; check that it exists and that this user may write to it"
    )]
    DataDir { path: PathBuf, source: io::Error },
    #[error(
        "another coscribe server uses the data directory {path}; stop it, or choose another --data-dir"
    )]
    InUse { path: PathBuf },
    #[error(
        "SQLite {found} is too old: versions before 3.51.3 can corrupt a database; build with the bundled SQLite"
    )]
    OldSqlite { found: String },
    #[error(
        "{path} was written by a newer version of coscribe; start that version, or restore the backup from before the \
         update"
    )]
    Newer { path: PathBuf },
    #[error("there is no database at {path}; check --data-dir")]
    Missing { path: PathBuf },
    #[error("{path} is not a coscribe database; move it away, or choose another --data-dir")]
    Foreign { path: PathBuf },
    #[error("{path} is damaged: {source}; run `coscribe check`, then restore a backup")]
    Corrupt { path: PathBuf, source: StoreError },
    #[error("the tables of {path} cannot be brought up to date: {source}")]
    Migration { path: PathBuf, source: MigrateError },
    #[error("cannot open {path}: {}", with_sources(source))]
    Store { path: PathBuf, source: StoreError },
}

pub(super) async fn open(options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
    let path = options.data_dir.join(DATABASE_FILE);
    let in_dir = |source| OpenError::DataDir {
        path: options.data_dir.clone(),
        source,
    };
    create_private_dir(&options.data_dir).map_err(in_dir)?;
    let lock = lock_data_dir(&options.data_dir)?;
    require_sqlite().await?;
    create_private_file(&path).map_err(in_dir)?;

    let mut conn = connect_writer(&path, options.durability)
        .await
        .map_err(|error| at(&path, error))?;
    recognise(&mut conn, &path).await?;
    prepare(&mut conn, &path).await?;
    if options.durability == Durability::Full {
        sync_wal(&path).map_err(in_dir)?;
    }
    let names = Names::read(&mut conn)
        .await
        .map_err(|error| at(&path, error))?;
    let watch = FileWatch::new(&path).map_err(in_dir)?;

    let shared = Arc::new(Shared {
        path: path.clone(),
        writer: Mutex::new(Some(Writer::new(conn, watch))),
        sync_failed: AtomicBool::new(false),
        lock: SyncMutex::new(Some(lock)),
    });
    let house = connect_keeper(&path, options.durability)
        .await
        .map_err(|error| at(&path, error))?;
    Ok(SqliteStore {
        keeper: Keeper::start(house, &shared),
        names,
        shared,
        readers: readers(&path).await?,
        compacting: Mutex::new(()),
    })
}

/// Names the cause for the person who starts the server.
pub(super) fn at(path: &Path, error: sqlx::Error) -> OpenError {
    let path = path.to_path_buf();
    match failed(error) {
        StoreError::Corrupt(source) if not_a_database(&source) => OpenError::Foreign { path },
        source @ StoreError::Corrupt(_) => OpenError::Corrupt { path, source },
        source => OpenError::Store { path, source },
    }
}

fn not_a_database(source: &crate::store::BoxError) -> bool {
    source
        .downcast_ref::<sqlx::Error>()
        .and_then(sqlx::Error::as_database_error)
        .and_then(|database| database.code())
        .is_some_and(|code| code == "26")
}

fn with_sources(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    }
}

/// Makes a directory that only this user may enter; an existing one keeps its rights.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes the directory's entries durable.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// An empty file that only this user may read; SQLite gives its companions the same rights.
fn create_private_file(path: &Path) -> io::Result<()> {
    match private_file().create_new(true).write(true).open(path) {
        Ok(_) => path.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes the lock that a second server finds taken. It ends with the file handle, also after `kill -9`.
pub(super) fn lock_data_dir(data_dir: &Path) -> Result<File, OpenError> {
    let in_dir = |source| OpenError::DataDir {
        path: data_dir.to_path_buf(),
        source,
    };
    let file = private_file()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data_dir.join(LOCK_FILE))
        .map_err(in_dir)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: data_dir.to_path_buf(),
        }),
        Err(TryLockError::Error(source)) => Err(in_dir(source)),
    }
}

async fn require_sqlite() -> Result<(), OpenError> {
    let memory = || PathBuf::from(":memory:");
    let mut conn = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await
        .map_err(|error| at(&memory(), error))?;
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut conn)
        .await
        .map_err(|error| at(&memory(), error))?;
    conn.close().await.map_err(|error| at(&memory(), error))?;
    if is_recent(&found) {
        Ok(())
    } else {
        Err(OpenError::OldSqlite { found })
    }
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) >= MIN_SQLITE
}

pub(super) fn base(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        // A tail of some hundred rows then crosses to us without a stop for each fifty.
        .row_buffer_size(512)
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", SMALL_CACHE)
}

fn writing(path: &Path, durability: Durability) -> SqliteConnectOptions {
    base(path)
        .foreign_keys(true)
        .synchronous(match durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Process => SqliteSynchronous::Normal,
        })
        // Deleted content is overwritten where that costs no extra page.
        .pragma("secure_delete", "FAST")
        // Checkpoints are the keeper's, off the path of a commit.
        .pragma("wal_autocheckpoint", "0")
}

async fn connect_writer(
    path: &Path,
    durability: Durability,
) -> Result<SqliteConnection, sqlx::Error> {
    let mut options = writing(path, durability).pragma("cache_size", WRITER_CACHE);
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        // Takes effect only before the first table, and would write to the header of an existing file.
        options = options.auto_vacuum(SqliteAutoVacuum::Incremental);
    }
    options.connect().await
}

async fn connect_keeper(
    path: &Path,
    durability: Durability,
) -> Result<SqliteConnection, sqlx::Error> {
    // It checkpoints while the writer waits: better to give up on a busy reader than to make people wait.
    writing(path, durability)
        .busy_timeout(Duration::from_millis(20))
        .connect()
        .await
}

/// One of them is connected at once: the first person to open a document after a start should not wait for it.
async fn readers(path: &Path) -> Result<SqlitePool, OpenError> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .connect_with(base(path).read_only(true).pragma("query_only", "ON"))
        .await
        .map_err(|error| at(path, error))
}

/// Refuses a file that is not ours or that is from the future, before anything is written to it.
pub(super) async fn recognise(conn: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let number = async |conn: &mut SqliteConnection, sql: &'static str| {
        sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(conn)
            .await
            .map_err(|error| at(path, error))
    };
    let application = number(conn, "PRAGMA application_id").await?;
    let version = number(conn, "PRAGMA user_version").await?;
    let tables = number(conn, "SELECT count(*) FROM sqlite_schema").await?;
    match (application, tables) {
        (APPLICATION_ID, _) if version <= FORMAT_VERSION => Ok(()),
        (APPLICATION_ID, _) => Err(OpenError::Newer {
            path: path.to_path_buf(),
        }),
        (0, 0) => Ok(()),
        // The first migration never finished: only the table of migrations is there.
        (0, _)
            if only_migrations(conn)
                .await
                .map_err(|error| at(path, error))? =>
        {
            Ok(())
        }
        _ => Err(OpenError::Foreign {
            path: path.to_path_buf(),
        }),
    }
}

async fn only_migrations(conn: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    const OTHERS: &str = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'";
    Ok(sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(conn).await? == 0)
}

/// A process that was killed between writing and syncing a commit leaves it to the operating system, and what this one
/// shows of it must be durable (found by the simulation). Not by a write: on a full disk people can still read. Only the
/// WAL: closing a second handle of the database file itself would give up SQLite's locks on it.
fn sync_wal(path: &Path) -> io::Result<()> {
    fs::File::open(wal_of(path))?.sync_data()
}

fn migrator() -> Migrator {
    let migration = |(number, name, sql): (i64, &'static str, &'static str)| {
        let sql = sql.into_sql_str();
        Migration::new(number, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(MIGRATIONS.map(migration).into())
}

/// Switches to WAL, runs the migrations that are missing and gives a new database its id.
async fn prepare(conn: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    conn.execute("PRAGMA journal_mode = WAL")
        .await
        .map_err(|error| at(path, error))?;
    migrator()
        .run_direct(None, &mut *conn, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(_) => OpenError::Newer {
                path: path.to_path_buf(),
            },
            MigrateError::Execute(error) => at(path, error),
            source => OpenError::Migration {
                path: path.to_path_buf(),
                source,
            },
        })?;
    // The write also makes sure that the WAL file exists, which the watch wants to know.
    sqlx::query("INSERT INTO meta (key, value) VALUES ('database_id', ?), ('probe', '') ON CONFLICT (key) DO UPDATE SET value = value")
        .bind(format!("{:032x}", rand::random::<u128>()))
        .execute(&mut *conn)
        .await
        .map_err(|error| at(path, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_recent("3.51.3"));
        assert!(is_recent("3.60.0"));
        assert!(is_recent("4.0"));
        assert!(!is_recent("3.51.2"));
        assert!(!is_recent("3.9.99"));
        assert!(!is_recent(""));
    }
    #[test]
    fn every_migration_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let files = fs::read_dir(folder).unwrap();
        let mut files: Vec<OsString> = files.map(|file| file.unwrap().file_name()).collect();
        files.sort();
        let name = |(number, name, _)| OsString::from(format!("{number:04}_{name}.sql"));
        let listed = MIGRATIONS.map(name);
        assert_eq!(files, listed);
    }
}
