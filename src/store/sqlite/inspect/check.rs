//! Checking that a database is sound, and that each document in it can be built.

use std::{panic, path::Path, thread};

use sqlx::{Connection, SqliteConnection};
use yrs::{Doc, Options, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode};

use super::{InspectError, Progress, Step, file_problems, open_read_only};
use crate::{
    document::{id::DocId, replica::STACK_BYTES},
    store::{
        DocState, LogRow, StoreError,
        sqlite::{
            DATABASE_FILE,
            error::failed,
            heads::doc_id,
            load::{self, Record},
            marks, sessions,
        },
    },
};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub documents: u64,
    /// Rows of log and history that were replayed.
    pub rows: u64,
    /// What is wrong with the file as such.
    pub file: Vec<String>,
    pub findings: Vec<Finding>,
}

/// One thing that is wrong with one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub doc: DocId,
    pub problem: String,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.file.is_empty() && self.findings.is_empty()
    }
}

const SELECT_NAMES: &str = "SELECT CAST(name AS BLOB) FROM documents ORDER BY id";

/// What belongs to no document, or lies where its document does not reach.
const ORPHANS: [(&str, &str); 4] = [
    (
        "log rows without a document",
        "SELECT count(*) FROM updates u WHERE NOT EXISTS
            (SELECT 1 FROM heads h WHERE h.doc = u.key >> 32 AND u.key & 0xffffffff BETWEEN 1 AND h.head_seq)",
    ),
    (
        "history without a document",
        "SELECT count(*) FROM history s WHERE NOT EXISTS
            (SELECT 1 FROM heads h WHERE h.doc = s.key >> 32 AND s.to_seq <= h.head_seq)",
    ),
    (
        "snapshots without a document",
        "SELECT count(*) FROM snapshots s WHERE NOT EXISTS
            (SELECT 1 FROM heads h WHERE h.doc = s.doc AND s.seq <= h.head_seq)",
    ),
    (
        "documents without a head",
        "SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM heads h WHERE h.doc = d.id)",
    ),
];

/// The same of tables that came with later migrations.
const ORPHANED_VERSIONS: [(&str, &str); 2] = [
    (
        "sessions without a document",
        "SELECT count(*) FROM sessions s WHERE NOT EXISTS
            (SELECT 1 FROM heads h WHERE h.doc = s.key >> 32 AND s.to_seq <= h.head_seq)",
    ),
    (
        "marks without a document",
        "SELECT count(*) FROM marks m WHERE NOT EXISTS
            (SELECT 1 FROM heads h WHERE h.doc = m.doc AND m.seq <= h.head_seq)",
    ),
];

/// Whether the database has versions: a directory that an older server left is checked as it is.
async fn has_versions(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    // What the last migration brought.
    const COLUMN: &str = "SELECT count(*) FROM pragma_table_info('sessions') WHERE name = 'grain'";
    let columns: i64 = sqlx::query_scalar(COLUMN)
        .fetch_one(conn)
        .await
        .map_err(failed)?;
    Ok(columns == 1)
}

/// Checks the database of a data directory: its pages, and for each document that the rows are complete, match their
/// checksums, decode and apply in order, and that snapshot and history tell the same. Changes nothing.
pub async fn check(
    data_dir: &Path,
    mut progress: impl FnMut(Progress),
) -> Result<Report, InspectError> {
    let mut conn = open_read_only(&data_dir.join(DATABASE_FILE)).await?;
    progress(Step::Verifying.begins());
    let mut report = Report {
        file: file_problems(&mut conn).await?,
        ..Report::default()
    };
    let outcome = check_documents(&mut conn, &mut report, &mut progress).await;
    match outcome {
        // Pages that are damaged were reported above already; what can still be read was read.
        Err(StoreError::Corrupt(_)) if !report.file.is_empty() => {}
        Err(StoreError::Corrupt(error)) => report.file.push(error.to_string()),
        other => other?,
    }
    conn.close().await.map_err(failed)?;
    Ok(report)
}

async fn check_documents(
    conn: &mut SqliteConnection,
    report: &mut Report,
    progress: &mut impl FnMut(Progress),
) -> Result<(), StoreError> {
    let versions = has_versions(conn).await?;
    let orphans = ORPHANS
        .iter()
        .chain(versions.then_some(&ORPHANED_VERSIONS).into_iter().flatten());
    for (what, sql) in orphans {
        let count: i64 = sqlx::query_scalar(*sql)
            .fetch_one(&mut *conn)
            .await
            .map_err(failed)?;
        if count > 0 {
            report.file.push(format!("{count} {what}"));
        }
    }
    let names: Vec<Vec<u8>> = sqlx::query_scalar(SELECT_NAMES)
        .fetch_all(&mut *conn)
        .await
        .map_err(failed)?;
    let total = names.len() as u64;
    for (done, name) in (0..).zip(names) {
        progress(Progress {
            step: Step::Replaying,
            done,
            total,
        });
        let doc = std::str::from_utf8(&name)
            .ok()
            .and_then(|name| doc_id(name).ok());
        let Some(doc) = doc else {
            let name = name.escape_ascii();
            report.file.push(format!("a document has the name {name}"));
            continue;
        };
        let problem = match document(conn, &doc).await {
            Ok(rows) => {
                report.rows += rows;
                None
            }
            Err(StoreError::Damaged(problem)) => Some(problem),
            // The other documents may lie on sound pages.
            Err(StoreError::Corrupt(error)) => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        report.documents += 1;
        report
            .findings
            .extend(problem.map(|problem| Finding { doc, problem }));
    }
    progress(Progress {
        step: Step::Replaying,
        done: total,
        total,
    });
    Ok(())
}

/// Checks one document in one read transaction; answers how many rows it has.
async fn document(conn: &mut SqliteConnection, doc: &DocId) -> Result<u64, StoreError> {
    let mut read = conn.begin().await.map_err(failed)?;
    let Some(record) = load::record(&mut read, doc).await? else {
        // Nothing removes a record, so this one has no head, which was counted.
        return Ok(0);
    };
    match record.state {
        DocState::Live | DocState::Trashed => {}
        DocState::Deleted => return deleted(&mut read, &record).await.map(|()| 0),
        DocState::Quarantined => {
            let reason = record.reason.unwrap_or_default();
            return Err(StoreError::Damaged(format!("under quarantine: {reason}")));
        }
    }
    if has_versions(&mut read).await? {
        marks::of_document(&mut read, doc).await?;
        sessions::stored(&mut read, &record).await?;
    }
    let (snapshot, tail) = load::snapshot_and_tail(&mut read, &record).await?;
    let rows = load::all_rows(&mut read, &record, 1, record.head_seq).await?;
    read.commit().await.map_err(failed)?;

    let count = rows.len() as u64;
    let snapshot = snapshot.map(|snapshot| snapshot.bytes);
    let replay = move || {
        let from_history = replay(rows.iter().map(row_bytes))?;
        let Some(snapshot) = snapshot else {
            return Ok(());
        };
        let from_snapshot = replay(
            std::iter::once(("the snapshot".to_owned(), &snapshot[..]))
                .chain(tail.iter().map(row_bytes)),
        )?;
        if from_history == from_snapshot {
            Ok(())
        } else {
            Err("snapshot and history tell of different states".to_owned())
        }
    };
    on_deep_stack(replay).await?.map_err(StoreError::Damaged)?;
    Ok(count)
}

async fn deleted(conn: &mut SqliteConnection, record: &Record) -> Result<(), StoreError> {
    if record.head_seq == 0 {
        return Ok(());
    }
    // Whatever it still has is counted among the orphans only when the head says that it has nothing.
    load::all_rows(conn, record, 1, record.head_seq).await?;
    Err(StoreError::Damaged(
        "it was deleted, but not all of it is gone".into(),
    ))
}

fn row_bytes(row: &LogRow) -> (String, &[u8]) {
    (format!("row {}", row.seq), &row.row.bytes)
}

/// Builds a replica from updates, each of which must decode and be ready when its turn comes. Answers how far it got.
/// Never collects garbage: a hostile update can crash the collector of yrs, and damaged bytes may be one.
fn replay<'a>(updates: impl Iterator<Item = (String, &'a [u8])>) -> Result<StateVector, String> {
    let doc = Doc::with_options(Options {
        skip_gc: true,
        ..Options::default()
    });
    for (name, bytes) in updates {
        let update =
            Update::decode_v1(bytes).map_err(|error| format!("{name} does not decode: {error}"))?;
        let mut txn = doc.transact_mut();
        txn.apply_update(update)
            .map_err(|error| format!("{name} does not apply: {error}"))?;
        if txn.has_missing_updates() {
            return Err(format!("{name} refers to something that is not there"));
        }
    }
    let txn = doc.transact();
    Ok(txn.state_vector())
}

/// Runs work that may panic or nest deeply, as bytes that pass their checksum may still be hostile.
async fn on_deep_stack(
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<Result<(), String>, StoreError> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    let guarded = move || {
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(work));
        let outcome = outcome.unwrap_or_else(|_| Err("replaying it panics".to_owned()));
        drop(done.send(outcome));
    };
    thread::Builder::new()
        .name("check".into())
        .stack_size(STACK_BYTES)
        .spawn(guarded)
        .map_err(|error| StoreError::Other(error.into()))?;
    outcome
        .await
        .map_err(|error| StoreError::Other(error.into()))
}
