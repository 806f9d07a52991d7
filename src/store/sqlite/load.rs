//! Reading a document: its snapshot and tail, or the rows of its log and history.
//!
//! Whatever is read is checked: checksums, and numbers without gaps up to the head. Where the snapshot is damaged or
//! missing, the whole history takes its place, as every row is still there.

use bytes::Bytes;
use sqlx::{SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    error::{Columns as _, failed},
    heads::state_of,
    row_key::{DocKey, blob_crc, row_crc, row_key, seq_of, unsigned},
};
use crate::{
    document::id::DocId,
    store::{
        DocState, Epoch, Loaded, LogRow, NewRow, Salvaged, Seq, Snapshot, StoreError, Stored,
        history_segment::{self, Segment},
    },
};

/// Largest state that may be unpacked, against a damaged length.
const MAX_SNAPSHOT: u64 = 1 << 30;
/// Unpacking more than this (about half a millisecond of work) leaves the thread that serves sockets.
const OFF_THREAD: usize = 1 << 18;

/// The record of a document, as reading it needs it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub key: DocKey,
    pub epoch: Epoch,
    pub head_seq: Seq,
    pub title: String,
    pub state: DocState,
    pub reason: Option<String>,
}

const SELECT_RECORD: &str = "
    SELECT d.id, d.epoch, h.head_seq, d.title, d.state, d.quarantine_reason
    FROM documents d JOIN heads h ON h.doc = d.id WHERE d.name = ?";

const SELECT_SNAPSHOT: &str = "SELECT seq, size, crc, bytes FROM snapshots WHERE doc = ?";

const SELECT_ROWS: &str = "
    SELECT key, author, client_id, at, crc, bytes FROM updates WHERE key BETWEEN ? AND ? ORDER BY key";

const SELECT_SEGMENTS: &str = "
    SELECT key, to_seq, from_at, to_at, authors, size, crc, bytes FROM history
    WHERE key BETWEEN ? AND ? AND to_seq >= ? ORDER BY key";

/// See `Store::load`.
pub(super) async fn load(readers: &SqlitePool, doc: &DocId) -> Result<Loaded, StoreError> {
    let mut read = readers.begin().await.map_err(failed)?;
    let Some(record) = record(&mut read, doc).await? else {
        return Ok(Loaded::Absent);
    };
    let loaded = match record.state {
        DocState::Live => Loaded::Live(stored(&mut read, record).await?),
        DocState::Trashed => Loaded::Trashed,
        DocState::Deleted => Loaded::Deleted,
        DocState::Quarantined => Loaded::Quarantined {
            reason: record.reason.unwrap_or_default(),
        },
    };
    read.commit().await.map_err(failed)?;
    Ok(loaded)
}

/// See `Store::rows`.
pub(super) async fn rows(
    readers: &SqlitePool,
    doc: &DocId,
    from: Seq,
    to: Seq,
) -> Result<Vec<LogRow>, StoreError> {
    let mut read = readers.begin().await.map_err(failed)?;
    let record = record(&mut read, doc).await?.ok_or(StoreError::NotFound)?;
    if record.state == DocState::Deleted {
        return Err(StoreError::NotFound);
    }
    let rows = all_rows(&mut read, &record, from, to).await?;
    read.commit().await.map_err(failed)?;
    Ok(rows)
}

pub(super) async fn record(
    conn: &mut SqliteConnection,
    doc: &DocId,
) -> Result<Option<Record>, StoreError> {
    let row = sqlx::query(SELECT_RECORD)
        .bind(doc.as_str().to_owned())
        .fetch_optional(conn)
        .await
        .map_err(failed)?;
    row.map(|row| {
        Ok(Record {
            key: row.column(0)?,
            epoch: row.column(1)?,
            head_seq: unsigned(row.column(2)?)?,
            title: row.column(3)?,
            state: state_of(row.column(4)?),
            reason: row.column(5)?,
        })
    })
    .transpose()
}

/// Snapshot and tail, or else all rows.
async fn stored(conn: &mut SqliteConnection, record: Record) -> Result<Stored, StoreError> {
    let damage = match snapshot_and_tail(conn, &record).await {
        Ok((snapshot, tail)) => return Ok(answer(record, snapshot, tail)),
        Err(StoreError::Damaged(reason)) => reason,
        Err(error) => return Err(error),
    };
    let rows = match all_rows(conn, &record, 1, record.head_seq).await {
        Ok(rows) => rows,
        Err(StoreError::Damaged(_)) => return Err(StoreError::Damaged(damage)),
        Err(error) => return Err(error),
    };
    tracing::error!(doc_key = record.key, %damage, "A document is read from its whole history, as its snapshot is damaged");
    Ok(answer(record, None, rows))
}

fn answer(record: Record, snapshot: Option<Snapshot>, tail: Vec<LogRow>) -> Stored {
    Stored {
        epoch: record.epoch,
        head_seq: record.head_seq,
        snapshot,
        tail,
        title: record.title,
    }
}

/// The short way to build a replica.
pub(super) async fn snapshot_and_tail(
    conn: &mut SqliteConnection,
    record: &Record,
) -> Result<(Option<Snapshot>, Vec<LogRow>), StoreError> {
    let snapshot = snapshot(conn, record).await?;
    let from = snapshot.as_ref().map_or(1, |snapshot| snapshot.seq + 1);
    let tail = log_rows(conn, record, from, record.head_seq).await?;
    gapless(&tail, from, record.head_seq)?;
    Ok((snapshot, tail))
}

async fn snapshot(
    conn: &mut SqliteConnection,
    record: &Record,
) -> Result<Option<Snapshot>, StoreError> {
    let row = sqlx::query(SELECT_SNAPSHOT)
        .bind(record.key)
        .fetch_optional(conn)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let (seq, size): (i64, i64) = (row.column(0)?, row.column(1)?);
    let packed: &[u8] = row.column(3)?;
    if row.column::<i64>(2)? != blob_crc(record.key, record.epoch, &[seq, size], "", packed) {
        return Err(StoreError::Damaged(
            "the snapshot does not match its checksum".into(),
        ));
    }
    let (seq, size) = (unsigned(seq)?, unsigned(size)?.min(MAX_SNAPSHOT) as usize);
    let packed = packed.to_vec();
    let bytes = off_thread(size, move || zstd::bulk::decompress(&packed, size))
        .await?
        .map_err(|error| {
            StoreError::Damaged(format!("the snapshot does not decompress: {error}"))
        })?;
    if bytes.len() != size || seq > record.head_seq {
        return Err(StoreError::Damaged(
            "the snapshot has another length or place than its record says".into(),
        ));
    }
    Ok(Some(Snapshot {
        seq,
        bytes: bytes.into(),
    }))
}

/// Rows of history and of the log, without gaps.
pub(super) async fn all_rows(
    conn: &mut SqliteConnection,
    record: &Record,
    from: Seq,
    to: Seq,
) -> Result<Vec<LogRow>, StoreError> {
    let (from, to) = (from.max(1), to.min(record.head_seq));
    if from > to {
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for packed in segments(conn, record, from, to).await? {
        let Packed {
            from_seq,
            size,
            bytes,
            ..
        } = packed;
        let segment = off_thread(size, move || {
            history_segment::unpack(from_seq, size, &bytes)
        })
        .await?
        .map_err(|error| StoreError::Damaged(format!("history from row {from_seq}: {error}")))?;
        rows.extend(
            segment
                .into_iter()
                .filter(|row| row.seq >= from && row.seq <= to),
        );
    }
    let next = rows.last().map_or(from, |row: &LogRow| row.seq + 1);
    rows.extend(log_rows(conn, record, next, to).await?);
    gapless(&rows, from, to)?;
    Ok(rows)
}

/// See `Store::salvage`.
pub(super) async fn salvage(
    readers: &SqlitePool,
    doc: &DocId,
) -> Result<Vec<Salvaged>, StoreError> {
    let mut read = readers.begin().await.map_err(failed)?;
    let record = record(&mut read, doc).await?;
    let record = record.filter(|record| record.state != DocState::Deleted);
    let record = record.ok_or(StoreError::NotFound)?;
    let mut ways = Vec::new();
    // A damaged snapshot is no way.
    if let Ok(Some(snapshot)) = snapshot(&mut read, &record).await {
        let tail = whole_rows(&mut read, &record, snapshot.seq + 1).await?;
        let mut updates = vec![snapshot.bytes];
        let seq = snapshot.seq + tail.len() as u64;
        updates.extend(tail);
        ways.push(Salvaged { seq, updates });
    }
    let mut updates = Vec::new();
    for packed in whole_segments(&mut read, &record).await? {
        let Packed {
            from_seq,
            size,
            bytes,
            ..
        } = packed;
        if from_seq != updates.len() as u64 + 1 {
            break;
        }
        let Ok(rows) = history_segment::unpack(from_seq, size, &bytes) else {
            break;
        };
        updates.extend(rows.into_iter().map(|row| row.row.bytes));
    }
    let next = updates.len() as u64 + 1;
    updates.extend(whole_rows(&mut read, &record, next).await?);
    let seq = updates.len() as u64;
    ways.push(Salvaged { seq, updates });
    Ok(ways)
}

/// The segments up to the first that is damaged.
async fn whole_segments(
    conn: &mut SqliteConnection,
    record: &Record,
) -> Result<Vec<Packed>, StoreError> {
    let rows = sqlx::query(SELECT_SEGMENTS)
        .bind(row_key(record.key, 0))
        .bind(row_key(record.key, Seq::MAX))
        .bind(0)
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    let segments = rows.iter().map_while(|row| segment(record, row).ok());
    Ok(segments.collect())
}

/// The updates of rows from one on, up to the first that is damaged or missing.
async fn whole_rows(
    conn: &mut SqliteConnection,
    record: &Record,
    from: Seq,
) -> Result<Vec<Bytes>, StoreError> {
    let rows = sqlx::query(SELECT_ROWS)
        .bind(row_key(record.key, from))
        .bind(row_key(record.key, record.head_seq))
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    let mut authors = Authors::default();
    let whole = rows.iter().zip(from..).map_while(|(row, seq)| {
        let row = log_row(record, row, &mut authors).ok()?;
        (row.seq == seq).then_some(row.row.bytes)
    });
    Ok(whole.collect())
}

/// A verified segment that is still packed.
#[derive(Debug)]
pub(super) struct Packed {
    pub from_seq: Seq,
    pub to_seq: Seq,
    pub size: usize,
    pub bytes: Vec<u8>,
}

/// The segments that hold rows from `from` to `to`.
pub(super) async fn segments(
    conn: &mut SqliteConnection,
    record: &Record,
    from: Seq,
    to: Seq,
) -> Result<Vec<Packed>, StoreError> {
    let rows = sqlx::query(SELECT_SEGMENTS)
        .bind(row_key(record.key, 0))
        .bind(row_key(record.key, to))
        .bind(from.cast_signed())
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    rows.iter().map(|row| segment(record, row)).collect()
}

fn segment(record: &Record, row: &SqliteRow) -> Result<Packed, StoreError> {
    let from_seq = seq_of(row.column(0)?);
    let (to_seq, from_at, to_at): (i64, i64, i64) =
        (row.column(1)?, row.column(2)?, row.column(3)?);
    let (authors, size): (&str, i64) = (row.column(4)?, row.column(5)?);
    let bytes: Vec<u8> = row.column(7)?;
    let columns = [from_seq.cast_signed(), to_seq, from_at, to_at, size];
    if row.column::<i64>(6)? != blob_crc(record.key, record.epoch, &columns, authors, &bytes) {
        return Err(StoreError::Damaged(format!(
            "history from row {from_seq} does not match its checksum"
        )));
    }
    Ok(Packed {
        from_seq,
        to_seq: unsigned(to_seq)?,
        size: unsigned(size)? as usize,
        bytes,
    })
}

/// The checksum of a segment that is to be stored.
pub(super) fn segment_crc(record: &Record, segment: &Segment, authors: &str) -> i64 {
    let columns = [
        segment.from_seq.cast_signed(),
        segment.to_seq.cast_signed(),
        segment.from_at,
        segment.to_at,
        segment.raw_len as i64,
    ];
    blob_crc(record.key, record.epoch, &columns, authors, &segment.bytes)
}

/// Verified rows that are still in the log; gaps are not looked for.
pub(super) async fn log_rows(
    conn: &mut SqliteConnection,
    record: &Record,
    from: Seq,
    to: Seq,
) -> Result<Vec<LogRow>, StoreError> {
    if from > to {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(SELECT_ROWS)
        .bind(row_key(record.key, from))
        .bind(row_key(record.key, to))
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    let mut authors = Authors::default();
    rows.iter()
        .map(|row| log_row(record, row, &mut authors))
        .collect()
}

fn log_row(record: &Record, row: &SqliteRow, authors: &mut Authors) -> Result<LogRow, StoreError> {
    let seq = seq_of(row.column(0)?);
    let new = NewRow {
        bytes: Bytes::copy_from_slice(row.column(5)?),
        author: authors.shared(row.column(1)?),
        client_id: row.column::<i64>(2)?.cast_unsigned(),
        at: row.column(3)?,
    };
    if row.column::<i64>(4)? != row_crc(record.key, record.epoch, seq, &new) {
        return Err(StoreError::Damaged(format!(
            "row {seq} does not match its checksum"
        )));
    }
    Ok(LogRow {
        seq,
        row: new,
        hidden: false,
    })
}

/// One allocation for an author who wrote many rows in a row.
#[derive(Default)]
struct Authors(Option<std::sync::Arc<str>>);

impl Authors {
    fn shared(&mut self, author: &str) -> std::sync::Arc<str> {
        match &self.0 {
            Some(last) if **last == *author => last.clone(),
            _ => self.0.insert(author.into()).clone(),
        }
    }
}

/// Every number from `from` to `to` is there once.
pub(super) fn gapless(rows: &[LogRow], from: Seq, to: Seq) -> Result<(), StoreError> {
    let wanted = from..=to;
    let whole = rows.len() as u64 == (to + 1).saturating_sub(from)
        && rows.iter().zip(wanted).all(|(row, seq)| row.seq == seq);
    if whole {
        return Ok(());
    }
    let missing = rows.iter().zip(from..).find(|(row, seq)| row.seq != *seq);
    let seq = missing.map_or(from + rows.len() as u64, |(_, seq)| seq);
    Err(StoreError::Damaged(format!("row {seq} is missing")))
}

/// Runs `work` where it blocks nobody when it handles more than a little.
pub(super) async fn off_thread<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    if size < OFF_THREAD {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Other(error.into()))
}
