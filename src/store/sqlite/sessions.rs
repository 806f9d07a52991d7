//! Sessions as they are stored: written when their rows are folded, continued over the rows that are not.

use std::{collections::HashMap, sync::Arc};

use sqlx::{SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    error::{Columns as _, failed},
    load::{self, Record},
    row_key::{DocKey, blob_crc, doc_of, row_key, seq_of, unsigned},
};
use crate::{
    document::id::DocId,
    store::{
        DocState, LogRow, Seq, StoreError,
        sessions::{Grain, Session, sessions_of},
    },
};

const SELECT_PAGE: &str = "
    SELECT key, to_seq, from_at, to_at, authors, crc, grain FROM sessions
    WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT ?";
/// Rows that no session covers yet, without their bytes.
const SELECT_TAIL: &str = "
    SELECT key, author, at FROM updates WHERE key BETWEEN ? AND ? ORDER BY key";
const REPLACE_SESSION: &str = "REPLACE INTO sessions (key, to_seq, from_at, to_at, authors, crc, grain) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// See `Store::sessions`.
pub(super) async fn sessions(
    readers: &SqlitePool,
    doc: &DocId,
    before: Seq,
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let mut read = readers.begin().await.map_err(failed)?;
    let record = load::record(&mut read, doc).await?;
    let record = record.filter(|record| record.state != DocState::Deleted);
    let record = record.ok_or(StoreError::NotFound)?;
    let last = page(&mut read, record.key, Seq::MAX, 1).await?.pop();
    let mut newest = unfolded(&mut read, &record, last).await?;
    newest.reverse();
    newest.retain(|session| session.from_seq < before);
    let from = newest.last().map_or(before, |session| session.from_seq);
    newest.truncate(limit as usize);
    let missing = limit - newest.len() as u32;
    newest.extend(page(&mut read, record.key, from, missing).await?);
    read.commit().await.map_err(failed)?;
    Ok(newest)
}

/// The last stored session and all that come after it.
async fn unfolded(
    conn: &mut SqliteConnection,
    record: &Record,
    last: Option<Session>,
) -> Result<Vec<Session>, StoreError> {
    let from = last.as_ref().map_or(1, |session| session.to_seq + 1);
    let rows = sqlx::query(SELECT_TAIL)
        .bind(row_key(record.key, from))
        .bind(row_key(record.key, record.head_seq))
        .fetch_all(&mut *conn)
        .await
        .map_err(failed)?;
    let edit = |row: &SqliteRow| {
        let author: &str = row.column(1)?;
        Ok((seq_of(row.column(0)?), author.into(), row.column(2)?))
    };
    let tail: Vec<(Seq, Arc<str>, i64)> =
        rows.iter().map(edit).collect::<Result<_, StoreError>>()?;
    if from <= record.head_seq && tail.first().is_none_or(|(seq, ..)| *seq != from) {
        // Folded by a version that wrote no sessions: they follow from the rows.
        let rows = load::all_rows(conn, record, from, record.head_seq).await?;
        return Ok(sessions_of(last, rows.iter().map(moment)));
    }
    let tail = tail.iter().map(|(seq, author, at)| (*seq, author, *at));
    Ok(sessions_of(last, tail))
}

fn moment(LogRow { seq, row, .. }: &LogRow) -> (Seq, &Arc<str>, i64) {
    (*seq, &row.author, row.at)
}

/// The sessions of rows that are being folded, from the last stored one on. `history` is how far history reaches, `rows`
/// what is added to it.
pub(super) async fn continued(
    conn: &mut SqliteConnection,
    record: &Record,
    history: Seq,
    rows: &[LogRow],
) -> Result<Vec<Session>, StoreError> {
    let last = page(conn, record.key, Seq::MAX, 1).await?.pop();
    let reach = last.as_ref().map_or(0, |session| session.to_seq);
    let older = load::all_rows(conn, record, reach + 1, history).await?;
    Ok(sessions_of(last, older.iter().chain(rows).map(moment)))
}

/// Notes how finely these sessions, by their first rows, are kept.
pub(super) async fn thinned(
    conn: &mut SqliteConnection,
    key: DocKey,
    grains: &[(Seq, Grain)],
) -> Result<(), StoreError> {
    if grains.is_empty() {
        return Ok(());
    }
    let grains: HashMap<Seq, Grain> = grains.iter().copied().collect();
    let mut sessions = page(conn, key, Seq::MAX, u32::MAX).await?;
    sessions.retain_mut(|session| {
        let grain = grains.get(&session.from_seq);
        let coarser = grain.is_some_and(|grain| session.grain < *grain);
        session.grain = session.grain.max(grain.copied().unwrap_or_default());
        coarser
    });
    write(conn, key, &sessions).await
}

/// Writes sessions, in the place of those that begin with the same row.
pub(super) async fn write(
    conn: &mut SqliteConnection,
    key: DocKey,
    sessions: &[Session],
) -> Result<(), StoreError> {
    for session in sessions {
        let authors: Vec<&str> = session.authors.iter().map(Arc::as_ref).collect();
        let authors =
            serde_json::to_string(&authors).map_err(|error| StoreError::Other(error.into()))?;
        sqlx::query(REPLACE_SESSION)
            .bind(row_key(key, session.from_seq))
            .bind(session.to_seq.cast_signed())
            .bind(session.from_at)
            .bind(session.to_at)
            .bind(&authors)
            .bind(crc(key, session, &authors))
            .bind(session.grain as i64)
            .execute(&mut *conn)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// All stored sessions, verified: they cover the rows from the first on without gaps.
pub(super) async fn stored(
    conn: &mut SqliteConnection,
    record: &Record,
) -> Result<Vec<Session>, StoreError> {
    let mut sessions = page(conn, record.key, Seq::MAX, u32::MAX).await?;
    sessions.reverse();
    let mut next = 1;
    for session in &sessions {
        if session.from_seq != next || session.to_seq < next {
            return Err(StoreError::Damaged(format!(
                "the session of row {next} is missing"
            )));
        }
        next = session.to_seq + 1;
    }
    Ok(sessions)
}

/// Stored sessions that begin before a row, newest first.
async fn page(
    conn: &mut SqliteConnection,
    key: DocKey,
    before: Seq,
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let rows = sqlx::query(SELECT_PAGE)
        .bind(row_key(key, 0))
        .bind(row_key(key, before) - 1)
        .bind(limit)
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    rows.iter().map(of_row).collect()
}

fn of_row(row: &SqliteRow) -> Result<Session, StoreError> {
    let damaged = |what: String| StoreError::Damaged(format!("a session: {what}"));
    let (key, authors): (i64, &str) = (row.column(0)?, row.column(4)?);
    let names: Vec<String> =
        serde_json::from_str(authors).map_err(|error| damaged(error.to_string()))?;
    let session = Session {
        from_seq: seq_of(key),
        to_seq: unsigned(row.column(1)?)?,
        from_at: row.column(2)?,
        to_at: row.column(3)?,
        authors: names.into_iter().map(Arc::from).collect(),
        grain: usize::try_from(row.column::<i64>(6)?)
            .ok()
            .and_then(|grain| Grain::EACH.get(grain).copied())
            .ok_or_else(|| damaged("how it is kept is not known".to_owned()))?,
    };
    if crc(doc_of(key), &session, authors) == row.column::<i64>(5)? {
        Ok(session)
    } else {
        Err(damaged("it does not match its checksum".to_owned()))
    }
}

fn crc(key: DocKey, session: &Session, authors: &str) -> i64 {
    let mut columns = vec![
        session.from_seq.cast_signed(),
        session.to_seq.cast_signed(),
        session.from_at,
        session.to_at,
    ];
    // As it was before there was this column.
    if session.grain != Grain::All {
        columns.push(session.grain as i64);
    }
    blob_crc(key, 0, &columns, authors, &[])
}
