//! Compaction: a snapshot in, the rows it covers into history, in one transaction.
//!
//! Reading and packing happen before the writer is taken: rows never change and only a compaction removes them, so what
//! was read is still true when it is written, but for the record, which is looked at again.
//!
//! Small segments are packed again together with the new rows, as in a binary counter: each row is packed about log₂
//! times, a document keeps few segments, and keystrokes compress well because many are packed together.

use std::sync::Arc;

use sqlx::SqliteConnection;

use super::{
    SqliteStore,
    error::{Columns as _, failed},
    load::{self, Packed, Record},
    row_key::{blob_crc, row_key},
    sessions,
};
use crate::store::{
    Compaction, DocState, LogRow, Seq, StoreError,
    history_segment::{self, Segment},
    sessions::Session,
};

/// Raw bytes in a segment, at most (but for a single larger row). Reading one moment of a document unpacks one segment.
const MAX_SEGMENT: usize = 2 << 20;
/// What a row adds to a segment beside its bytes, about.
const ROW_OVERHEAD: usize = 4;
/// Level of zstd for snapshots: they are written again and again, and read at each opening.
const SNAPSHOT_LEVEL: i32 = 3;

const SELECT_FOLDED: &str = "
    SELECT max(to_seq), (SELECT seq FROM snapshots WHERE doc = ?1) FROM history WHERE key BETWEEN ?2 AND ?3";
/// The newest segments with the length of each, newest first.
const SELECT_NEWEST: &str = "
    SELECT key & 0xffffffff, size FROM history WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 24";
const REPLACE_SNAPSHOT: &str =
    "REPLACE INTO snapshots (doc, seq, size, crc, bytes) VALUES (?, ?, ?, ?, ?)";
const DELETE_SEGMENTS: &str = "DELETE FROM history WHERE key BETWEEN ? AND ?";
const INSERT_SEGMENT: &str = "
    INSERT INTO history (key, to_seq, from_at, to_at, authors, size, crc, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
const DELETE_ROWS: &str = "DELETE FROM updates WHERE key BETWEEN ? AND ?";
const UPDATE_SIZE: &str = "
    UPDATE heads SET size = ?3 + (SELECT coalesce(sum(length(bytes)), 0) FROM updates WHERE key BETWEEN ?1 AND ?2)
    WHERE doc = ?4";

/// See `Store::compact`.
pub(super) async fn compact(
    store: &SqliteStore,
    compaction: Compaction,
) -> Result<bool, StoreError> {
    let _alone = store.compacting.lock().await;
    let Some(work) = read(store, &compaction).await? else {
        return Ok(false);
    };
    let packed = tokio::task::spawn_blocking(move || work.pack(compaction))
        .await
        .map_err(|error| StoreError::Other(error.into()))??;

    let mut writer = store.writer().await?;
    writer.begin().await?;
    let outcome = packed.write(&mut writer.conn).await;
    let stored = writer.end(outcome).await?;
    writer.heads.forget(&packed.compaction.doc);
    drop(writer);
    if stored {
        store.keeper.wrote(packed.pages());
    }
    Ok(stored)
}

/// What is folded: the rows, and the segments that are packed again with them.
struct Fold {
    record: Record,
    /// The sessions of the rows that are folded, from the last that was written on.
    sessions: Vec<Session>,
    segments: Vec<Packed>,
    rows: Vec<LogRow>,
}

/// The same, packed.
struct PackedFold {
    compaction: Compaction,
    record: Record,
    /// First row of the segments that replace what is there from this row on.
    from: Seq,
    /// Last row that was in history before.
    folded: Seq,
    snapshot: Vec<u8>,
    segments: Vec<Segment>,
    sessions: Vec<Session>,
}

/// How far history and snapshot reach; 0 where there is none.
pub(super) struct Reach {
    pub history: Seq,
    snapshot: Seq,
}

/// `None` when the compaction does not fit what is stored.
async fn read(store: &SqliteStore, compaction: &Compaction) -> Result<Option<Fold>, StoreError> {
    let mut read = store.readers.begin().await.map_err(failed)?;
    let seq = compaction.snapshot.seq;
    let Some(record) = load::record(&mut read, &compaction.doc).await? else {
        return Ok(None);
    };
    if !fits(&record, compaction) {
        return Ok(None);
    }
    if seq > record.head_seq {
        return Err(StoreError::Other(
            "a snapshot cannot be ahead of the log".into(),
        ));
    }
    let reach = reach(&mut read, &record).await?;
    if reach.snapshot > seq {
        return Ok(None);
    }
    let rows = load::log_rows(&mut read, &record, reach.history + 1, seq).await?;
    load::gapless(&rows, reach.history + 1, seq.max(reach.history))?;
    let from = first_to_merge(&mut read, &record, reach.history, &rows).await?;
    let segments = match from {
        Some(from) => load::segments(&mut read, &record, from, reach.history).await?,
        None => Vec::new(),
    };
    let sessions = sessions::continued(&mut read, &record, reach.history, &rows).await?;
    read.commit().await.map_err(failed)?;
    Ok(Some(Fold {
        record,
        sessions,
        segments,
        rows,
    }))
}

fn fits(record: &Record, compaction: &Compaction) -> bool {
    record.epoch == compaction.epoch
        && matches!(record.state, DocState::Live | DocState::Trashed)
        && compaction.snapshot.seq > 0
}

pub(super) async fn reach(
    conn: &mut SqliteConnection,
    record: &Record,
) -> Result<Reach, StoreError> {
    let row = sqlx::query(SELECT_FOLDED)
        .bind(record.key)
        .bind(row_key(record.key, 0))
        .bind(row_key(record.key, Seq::MAX))
        .fetch_one(conn)
        .await
        .map_err(failed)?;
    let seq = |column: usize| {
        let seq: Option<i64> = row.column(column)?;
        Ok::<_, StoreError>(seq.map_or(0, i64::cast_unsigned))
    };
    Ok(Reach {
        history: seq(0)?,
        snapshot: seq(1)?,
    })
}

/// First row of the oldest segment that is not much larger than all that comes after it.
async fn first_to_merge(
    conn: &mut SqliteConnection,
    record: &Record,
    history: Seq,
    rows: &[LogRow],
) -> Result<Option<Seq>, StoreError> {
    let mut size: usize = rows.iter().map(raw_size).sum();
    if rows.is_empty() || history == 0 {
        return Ok(None);
    }
    let newest = sqlx::query(SELECT_NEWEST)
        .bind(row_key(record.key, 0))
        .bind(row_key(record.key, history))
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    let mut from = None;
    for segment in newest {
        let raw = segment.column::<i64>(1)?.cast_unsigned() as usize;
        if raw > 2 * size || raw + size > MAX_SEGMENT {
            break;
        }
        size += raw;
        from = Some(segment.column::<i64>(0)?.cast_unsigned());
    }
    Ok(from)
}

fn raw_size(row: &LogRow) -> usize {
    row.row.bytes.len() + ROW_OVERHEAD
}

impl Fold {
    fn pack(self, compaction: Compaction) -> Result<PackedFold, StoreError> {
        let folded = self.segments.last().map(|segment| segment.to_seq);
        let mut rows = unpacked(&self.segments)?;
        rows.extend(self.rows);
        let from = rows
            .first()
            .map_or(compaction.snapshot.seq + 1, |row| row.seq);
        load::gapless(&rows, from, from + rows.len() as u64 - 1)?;
        let segments = packed(&rows)?;
        let snapshot = zstd::bulk::compress(&compaction.snapshot.bytes, SNAPSHOT_LEVEL)
            .map_err(|error| StoreError::Other(error.into()))?;
        Ok(PackedFold {
            folded: folded.unwrap_or(from - 1),
            compaction,
            record: self.record,
            from,
            snapshot,
            segments,
            sessions: self.sessions,
        })
    }
}

/// Rows as segments.
pub(super) fn packed(rows: &[LogRow]) -> Result<Vec<Segment>, StoreError> {
    in_parts(rows)
        .filter_map(history_segment::pack)
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::Damaged(error.to_string()))
}

/// The rows of segments.
pub(super) fn unpacked(segments: &[Packed]) -> Result<Vec<LogRow>, StoreError> {
    let mut rows = Vec::new();
    for segment in segments {
        let unpacked = history_segment::unpack(segment.from_seq, segment.size, &segment.bytes);
        rows.extend(unpacked.map_err(|error| StoreError::Damaged(error.to_string()))?);
    }
    Ok(rows)
}

/// Cuts rows into parts of about `MAX_SEGMENT`.
fn in_parts(rows: &[LogRow]) -> impl Iterator<Item = &[LogRow]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut size = 0;
        let fitting = rest.iter().take_while(|row| {
            size += raw_size(row);
            size <= MAX_SEGMENT
        });
        let (part, after) = rest.split_at(fitting.count().max(1));
        rest = after;
        Some(part)
    })
}

impl PackedFold {
    async fn write(&self, conn: &mut SqliteConnection) -> Result<bool, StoreError> {
        let Self { compaction, .. } = self;
        let Some(record) = load::record(conn, &compaction.doc).await? else {
            return Ok(false);
        };
        if !fits(&record, compaction) {
            return Ok(false);
        }
        let seq = compaction.snapshot.seq;
        self.write_snapshot(conn).await?;
        if !self.segments.is_empty() {
            replace_segments(conn, &record, self.from, Seq::MAX, &self.segments).await?;
            delete(conn, DELETE_ROWS, &record, self.folded + 1, seq).await?;
            sessions::write(conn, record.key, &self.sessions).await?;
        }
        sqlx::query(UPDATE_SIZE)
            .bind(row_key(record.key, seq + 1))
            .bind(row_key(record.key, Seq::MAX))
            .bind(compaction.snapshot.bytes.len() as i64)
            .bind(record.key)
            .execute(conn)
            .await
            .map_err(failed)?;
        Ok(true)
    }

    async fn write_snapshot(&self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        let (key, snapshot) = (self.record.key, &self.compaction.snapshot);
        let (seq, size) = (snapshot.seq.cast_signed(), snapshot.bytes.len() as i64);
        sqlx::query(REPLACE_SNAPSHOT)
            .bind(key)
            .bind(seq)
            .bind(size)
            .bind(blob_crc(
                key,
                self.record.epoch,
                &[seq, size],
                "",
                &self.snapshot,
            ))
            .bind(self.snapshot.clone())
            .execute(conn)
            .await
            .map(drop)
            .map_err(failed)
    }

    /// About how many pages the transaction puts into the WAL.
    fn pages(&self) -> u64 {
        pages_of(&self.segments) + (self.snapshot.len() / 4096) as u64
    }
}

/// About how many pages it puts into the WAL to write these segments, and to delete what they hold.
pub(super) fn pages_of(segments: &[Segment]) -> u64 {
    let bytes = segments
        .iter()
        .map(|segment| segment.bytes.len() + segment.raw_len);
    (bytes.sum::<usize>() / 4096 + 4) as u64
}

/// Puts these segments in the place of those that begin with a row from `from` to `to`.
pub(super) async fn replace_segments(
    conn: &mut SqliteConnection,
    record: &Record,
    from: Seq,
    to: Seq,
    segments: &[Segment],
) -> Result<(), StoreError> {
    delete(conn, DELETE_SEGMENTS, record, from, to).await?;
    for segment in segments {
        let authors: Vec<&str> = segment.authors.iter().map(Arc::as_ref).collect();
        let authors =
            serde_json::to_string(&authors).map_err(|error| StoreError::Other(error.into()))?;
        let crc = load::segment_crc(record, segment, &authors);
        sqlx::query(INSERT_SEGMENT)
            .bind(row_key(record.key, segment.from_seq))
            .bind(segment.to_seq.cast_signed())
            .bind(segment.from_at)
            .bind(segment.to_at)
            .bind(authors)
            .bind(segment.raw_len as i64)
            .bind(crc)
            .bind(segment.bytes.clone())
            .execute(&mut *conn)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

async fn delete(
    conn: &mut SqliteConnection,
    sql: &'static str,
    record: &Record,
    from: Seq,
    to: Seq,
) -> Result<(), StoreError> {
    sqlx::query(sql)
        .bind(row_key(record.key, from))
        .bind(row_key(record.key, to))
        .execute(conn)
        .await
        .map(drop)
        .map_err(failed)
}
