//! The list of documents, and what happens to a document as a whole.

use sqlx::{SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    append::search_key,
    error::{Columns as _, failed},
    heads::{doc_id, state_of},
    row_key::{row_key, unsigned},
    writer::Writer,
};
use crate::{
    clock::UnixMillis,
    document::id::DocId,
    store::{DocRecord, DocState, FIRST_EPOCH, ListQuery, Seq, StoreError},
};

/// Most records that one page of the list holds, whatever was asked for.
const MAX_PAGE: u32 = 1000;

const SELECT_ONE: &str = "
    SELECT d.name, d.epoch, d.title, d.state, h.head_seq, h.size, d.created_at, h.edited_at, d.trashed_at, d.id
    FROM documents d JOIN heads h ON h.doc = d.id WHERE d.name = ?";

/// `?2` is what the search key contains: compared as text, so that nothing in it is a pattern.
const SELECT_PAGE: &str = "
    SELECT d.name, d.epoch, d.title, d.state, h.head_seq, h.size, d.created_at, h.edited_at, d.trashed_at, d.id
    FROM heads h JOIN documents d ON d.id = h.doc
    WHERE d.state = ?1
      AND (?2 IS NULL OR instr(d.search_key, ?2) > 0)
      AND (?3 IS NULL OR h.edited_at < ?3 OR (h.edited_at = ?3 AND d.name > ?4))
    ORDER BY h.edited_at DESC, d.name
    LIMIT ?5";

pub(super) async fn get(
    readers: &SqlitePool,
    doc: &DocId,
) -> Result<Option<DocRecord>, StoreError> {
    let mut conn = readers.acquire().await.map_err(failed)?;
    Ok(find(&mut conn, doc).await?.map(|found| found.record))
}

pub(super) async fn list(
    readers: &SqlitePool,
    query: &ListQuery,
) -> Result<Vec<DocRecord>, StoreError> {
    let state = match query.state {
        DocState::Live => "live",
        DocState::Trashed => "trashed",
        DocState::Deleted => "deleted",
        DocState::Quarantined => "quarantined",
    };
    let (edited_at, name) = query.after.clone().unzip();
    let rows = sqlx::query(SELECT_PAGE)
        .bind(state)
        .bind(query.search.as_deref().map(str::to_lowercase))
        .bind(edited_at)
        .bind(name.map(|name| name.as_str().to_owned()))
        .bind(query.limit.min(MAX_PAGE))
        .fetch_all(readers)
        .await
        .map_err(failed)?;
    let records = rows.iter().filter_map(|row| match found(row) {
        // The list is more than one damaged line of it; `coscribe check` names the damage.
        Err(StoreError::Damaged(problem)) => {
            tracing::error!(problem, "A document can not be listed");
            None
        }
        found => Some(found.map(|found| found.record)),
    });
    records.collect()
}

/// A record and its key in the tables.
pub(super) struct Found {
    pub(super) key: i64,
    pub(super) record: DocRecord,
}

pub(super) async fn find(
    conn: &mut SqliteConnection,
    doc: &DocId,
) -> Result<Option<Found>, StoreError> {
    let row = sqlx::query(SELECT_ONE)
        .bind(doc.as_str().to_owned())
        .fetch_optional(conn)
        .await
        .map_err(failed)?;
    row.as_ref().map(found).transpose()
}

fn found(row: &SqliteRow) -> Result<Found, StoreError> {
    Ok(Found {
        key: row.column(9)?,
        record: DocRecord {
            doc: doc_id(row.column(0)?)?,
            epoch: row.column(1)?,
            title: row.column(2)?,
            state: state_of(row.column(3)?),
            head_seq: unsigned(row.column(4)?)?,
            size: unsigned(row.column(5)?)?,
            created_at: row.column(6)?,
            edited_at: row.column(7)?,
            trashed_at: row.column(8)?,
        },
    })
}

const INSERT_DOCUMENT: &str = "
    INSERT INTO documents (id, name, epoch, title, search_key, created_at)
    SELECT coalesce(max(id), 0) + 1, ?, ?, '', ?, ? FROM documents RETURNING id";
const REVIVE_DOCUMENT: &str = "
    UPDATE documents
    SET epoch = epoch + 1, title = '', search_key = ?, created_at = ?, trashed_at = NULL, deleted_at = NULL,
        quarantine_reason = NULL
    WHERE id = ?";
const RESET_HEAD: &str = "REPLACE INTO heads (doc, head_seq, size, edited_at) VALUES (?, 0, 0, ?)";

pub(super) async fn create(
    writer: &mut Writer,
    doc: &DocId,
    now: UnixMillis,
) -> Result<DocRecord, StoreError> {
    changed(writer, doc, async |conn, found| {
        let key = match found {
            None => sqlx::query_scalar(INSERT_DOCUMENT)
                .bind(doc.as_str().to_owned())
                .bind(FIRST_EPOCH)
                .bind(search_key(doc, ""))
                .bind(now)
                .fetch_one(&mut *conn)
                .await
                .map_err(failed)?,
            Some(Found { key, record }) if record.state == DocState::Deleted => {
                run(
                    conn,
                    sqlx::query(REVIVE_DOCUMENT)
                        .bind(search_key(doc, ""))
                        .bind(now)
                        .bind(key),
                )
                .await?;
                key
            }
            Some(Found { record, .. }) => return Err(StoreError::WrongState(record.state)),
        };
        run(conn, sqlx::query(RESET_HEAD).bind(key).bind(now)).await
    })
    .await
}

const TRASH: &str = "UPDATE documents SET trashed_at = ? WHERE id = ?";
const UNTRASH: &str = "UPDATE documents SET trashed_at = NULL WHERE id = ?";

pub(super) async fn trash(
    writer: &mut Writer,
    doc: &DocId,
    now: UnixMillis,
) -> Result<DocRecord, StoreError> {
    changed(writer, doc, async |conn, found| {
        let key = in_state(found, &[DocState::Live])?;
        run(conn, sqlx::query(TRASH).bind(now).bind(key)).await
    })
    .await
}

pub(super) async fn restore(writer: &mut Writer, doc: &DocId) -> Result<DocRecord, StoreError> {
    changed(writer, doc, async |conn, found| {
        let key = in_state(found, &[DocState::Trashed])?;
        run(conn, sqlx::query(UNTRASH).bind(key)).await
    })
    .await
}

const QUARANTINE: &str = "UPDATE documents SET quarantine_reason = ? WHERE id = ?";

pub(super) async fn quarantine(
    writer: &mut Writer,
    doc: &DocId,
    reason: &str,
) -> Result<(), StoreError> {
    changed(writer, doc, async |conn, found| {
        let key = in_state(
            found,
            &[DocState::Live, DocState::Trashed, DocState::Quarantined],
        )?;
        run(
            conn,
            sqlx::query(QUARANTINE).bind(reason.to_owned()).bind(key),
        )
        .await
    })
    .await
    .map(drop)
}

const BURY: &str = "
    UPDATE documents SET deleted_at = ?, title = '', search_key = '', quarantine_reason = NULL WHERE id = ?";
const DELETE_ROWS: &str = "DELETE FROM updates WHERE key BETWEEN ? AND ?";
const DELETE_HISTORY: &str = "DELETE FROM history WHERE key BETWEEN ? AND ?";
const DELETE_SESSIONS: &str = "DELETE FROM sessions WHERE key BETWEEN ? AND ?";
const DELETE_SNAPSHOT: &str = "DELETE FROM snapshots WHERE doc = ?";
const DELETE_MARKS: &str = "DELETE FROM marks WHERE doc = ?";

/// Removes the bytes and answers about how many pages that were. What is freed is overwritten with zeros.
pub(super) async fn delete(
    writer: &mut Writer,
    doc: &DocId,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    writer.overwrites(true).await?;
    let deleted = changed(writer, doc, async |conn, found| {
        let key = in_state(found, &[DocState::Trashed])?;
        let (first, last) = (row_key(key, 0), row_key(key, Seq::MAX));
        run(conn, sqlx::query(DELETE_ROWS).bind(first).bind(last)).await?;
        run(conn, sqlx::query(DELETE_HISTORY).bind(first).bind(last)).await?;
        run(conn, sqlx::query(DELETE_SESSIONS).bind(first).bind(last)).await?;
        run(conn, sqlx::query(DELETE_SNAPSHOT).bind(key)).await?;
        run(conn, sqlx::query(DELETE_MARKS).bind(key)).await?;
        run(conn, sqlx::query(RESET_HEAD).bind(key).bind(now)).await?;
        run(conn, sqlx::query(BURY).bind(now).bind(key)).await
    })
    .await;
    writer.overwrites(false).await?;
    deleted.map(|record| record.size / 4096 + 4)
}

const PROBE_WRITE: &str = "UPDATE meta SET value = ? WHERE key = 'probe'";
const PROBE_READ: &str = "SELECT value FROM meta WHERE key = 'probe'";

/// Writes something new and reads it back through another connection.
pub(super) async fn probe(writer: &mut Writer, readers: &SqlitePool) -> Result<(), StoreError> {
    let mark = format!("{:016x}", rand::random::<u64>());
    writer.begin().await?;
    let written = run(
        &mut writer.conn,
        sqlx::query(PROBE_WRITE).bind(mark.clone()),
    )
    .await;
    writer.end(written).await?;
    let read: String = sqlx::query_scalar(PROBE_READ)
        .fetch_one(readers)
        .await
        .map_err(failed)?;
    if read == mark {
        Ok(())
    } else {
        Err(StoreError::Other(
            "what was written is not what is read".into(),
        ))
    }
}

/// One transaction around a change of one document's record; answers the record as it is afterwards.
async fn changed(
    writer: &mut Writer,
    doc: &DocId,
    change: impl AsyncFnOnce(&mut SqliteConnection, Option<Found>) -> Result<(), StoreError>,
) -> Result<DocRecord, StoreError> {
    writer.begin().await?;
    let outcome = async {
        let found = find(&mut writer.conn, doc).await?;
        change(&mut writer.conn, found).await?;
        let after = find(&mut writer.conn, doc).await?;
        after.map(|found| found.record).ok_or(StoreError::NotFound)
    }
    .await;
    let outcome = writer.end(outcome).await;
    writer.heads.forget_all();
    outcome
}

pub(super) fn in_state(found: Option<Found>, allowed: &[DocState]) -> Result<i64, StoreError> {
    match found {
        None => Err(StoreError::NotFound),
        Some(Found { key, record }) if allowed.contains(&record.state) => Ok(key),
        Some(Found { record, .. }) => Err(StoreError::WrongState(record.state)),
    }
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

async fn run(conn: &mut SqliteConnection, statement: Statement<'_>) -> Result<(), StoreError> {
    statement.execute(conn).await.map(drop).map_err(failed)
}
