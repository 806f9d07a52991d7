//! Marks on moments: named versions and restores.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::{SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{
    documents::{Found, find, in_state},
    error::{Columns as _, failed},
    row_key::{DocKey, blob_crc, unsigned},
    writer::Writer,
};
use crate::{
    document::id::DocId,
    store::{DocState, Mark, MarkId, MarkKind, NewMark, Seq, StoreError},
};

const SELECT_MARKS: &str = "
    SELECT m.id, m.seq, m.kind, m.label, m.author, m.at, m.source_seq, m.origins, m.crc, m.doc
    FROM marks m JOIN documents d ON d.id = m.doc WHERE d.name = ? ORDER BY m.seq, m.id";
const SELECT_MARK: &str = "
    SELECT id, seq, kind, label, author, at, source_seq, origins, crc, doc FROM marks WHERE id = ? AND doc = ?";
const SELECT_RESTORES: &str = "
    SELECT id, seq, kind, label, author, at, source_seq, origins, crc, doc FROM marks
    WHERE doc = ? AND kind IN ('restore', 'restore-part') AND label <> '' AND source_seq BETWEEN ? AND ?";
const INSERT_MARK: &str = "
    INSERT INTO marks (doc, seq, kind, label, author, at, source_seq, origins, crc)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";
const UPDATE_LABEL: &str = "UPDATE marks SET label = ?, crc = ? WHERE id = ? AND doc = ?";
const DELETE_NAMES: &str =
    "DELETE FROM marks WHERE doc = ? AND kind = 'named' AND seq BETWEEN ? AND ?";
const DELETE_MARK: &str = "DELETE FROM marks WHERE id = ? AND doc = ?";

/// See `Store::marks`.
pub(super) async fn marks(readers: &SqlitePool, doc: &DocId) -> Result<Vec<Mark>, StoreError> {
    let mut conn = readers.acquire().await.map_err(failed)?;
    of_document(&mut conn, doc).await
}

/// The marks of a document, verified.
pub(super) async fn of_document(
    conn: &mut SqliteConnection,
    doc: &DocId,
) -> Result<Vec<Mark>, StoreError> {
    let rows = sqlx::query(SELECT_MARKS)
        .bind(doc.as_str().to_owned())
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    rows.iter().map(of_row).collect()
}

fn of_row(row: &SqliteRow) -> Result<Mark, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("a mark on a version: {what}"));
    let source: Option<i64> = row.column(6)?;
    let origins: Option<Vec<u8>> = row.column(7)?;
    let kind = match row.column(2)? {
        "named" => MarkKind::Named,
        "restore" => MarkKind::Restore,
        "restore-part" => MarkKind::RestorePart,
        "purge" => MarkKind::Purge,
        other => return Err(damaged(&format!("its kind is {other}"))),
    };
    let mark = Mark {
        id: unsigned(row.column(0)?)?,
        seq: unsigned(row.column(1)?)?,
        mark: NewMark {
            kind,
            label: row.column(3)?,
            author: row.column::<&str>(4)?.into(),
            at: row.column(5)?,
            source_seq: source.map(unsigned).transpose()?,
            origins: origins.map(Bytes::from).unwrap_or_default(),
        },
    };
    if crc(row.column(9)?, mark.seq, &mark.mark) == row.column::<i64>(8)? {
        Ok(mark)
    } else {
        Err(damaged("it does not match its checksum"))
    }
}

fn kind_of(mark: &NewMark) -> &'static str {
    match mark.kind {
        MarkKind::Named => "named",
        MarkKind::Restore => "restore",
        MarkKind::RestorePart => "restore-part",
        MarkKind::Purge => "purge",
    }
}

fn crc(key: DocKey, seq: Seq, mark: &NewMark) -> i64 {
    let source = mark.source_seq.map_or(-1, u64::cast_signed);
    let text = [kind_of(mark), &mark.label, &mark.author].join("\0");
    blob_crc(
        key,
        0,
        &[seq.cast_signed(), mark.at, source],
        &text,
        &mark.origins,
    )
}

/// Writes a mark on a row of the same transaction, or on one that is there.
pub(super) async fn insert(
    conn: &mut SqliteConnection,
    key: DocKey,
    seq: Seq,
    mark: &NewMark,
) -> Result<MarkId, StoreError> {
    let origins = (!mark.origins.is_empty()).then(|| mark.origins.to_vec());
    let id = sqlx::query_scalar(INSERT_MARK)
        .bind(key)
        .bind(seq.cast_signed())
        .bind(kind_of(mark))
        .bind(mark.label.clone())
        .bind(Arc::clone(&mark.author))
        .bind(mark.at)
        .bind(mark.source_seq.map(u64::cast_signed))
        .bind(origins)
        .bind(crc(key, seq, mark))
        .fetch_one(conn)
        .await
        .map_err(failed)?;
    unsigned(id)
}

/// Takes the names of these moments away, also from the restores that brought them back.
pub(super) async fn unname(
    conn: &mut SqliteConnection,
    key: DocKey,
    from: Seq,
    to: Seq,
) -> Result<(), StoreError> {
    sqlx::query(DELETE_NAMES)
        .bind(key)
        .bind(from.cast_signed())
        .bind(to.cast_signed())
        .execute(&mut *conn)
        .await
        .map_err(failed)?;
    let restores = sqlx::query(SELECT_RESTORES)
        .bind(key)
        .bind(from.cast_signed())
        .bind(to.cast_signed())
        .fetch_all(&mut *conn)
        .await
        .map_err(failed)?;
    for row in &restores {
        set_label(conn, key, &mut of_row(row)?, "").await?;
    }
    Ok(())
}

async fn set_label(
    conn: &mut SqliteConnection,
    key: DocKey,
    mark: &mut Mark,
    label: &str,
) -> Result<(), StoreError> {
    label.clone_into(&mut mark.mark.label);
    sqlx::query(UPDATE_LABEL)
        .bind(label.to_owned())
        .bind(crc(key, mark.seq, &mark.mark))
        .bind(mark.id.cast_signed())
        .bind(key)
        .execute(conn)
        .await
        .map(drop)
        .map_err(failed)
}

/// See `Store::mark`.
pub(super) async fn mark(
    writer: &mut Writer,
    doc: &DocId,
    seq: Option<Seq>,
    mark: NewMark,
) -> Result<Mark, StoreError> {
    writer.begin().await?;
    let outcome = async {
        let found = find(&mut writer.conn, doc).await?;
        let head = found.as_ref().map_or(0, |found| found.record.head_seq);
        let key = in_state(found, &[DocState::Live])?;
        let seq = seq.unwrap_or(head).min(head);
        let id = insert(&mut writer.conn, key, seq, &mark).await?;
        Ok(Mark { id, seq, mark })
    }
    .await;
    writer.end(outcome).await
}

/// See `Store::relabel`.
pub(super) async fn relabel(
    writer: &mut Writer,
    doc: &DocId,
    id: MarkId,
    label: &str,
) -> Result<Mark, StoreError> {
    writer.begin().await?;
    let outcome = async {
        let key = key_of(&mut writer.conn, doc).await?;
        let row = sqlx::query(SELECT_MARK)
            .bind(id.cast_signed())
            .bind(key)
            .fetch_optional(&mut writer.conn)
            .await
            .map_err(failed)?;
        let mut mark = of_row(&row.ok_or(StoreError::NotFound)?)?;
        set_label(&mut writer.conn, key, &mut mark, label).await?;
        Ok(mark)
    }
    .await;
    writer.end(outcome).await
}

/// See `Store::unmark`.
pub(super) async fn unmark(writer: &mut Writer, doc: &DocId, id: MarkId) -> Result<(), StoreError> {
    writer.begin().await?;
    let outcome = async {
        let key = key_of(&mut writer.conn, doc).await?;
        let done = sqlx::query(DELETE_MARK)
            .bind(id.cast_signed())
            .bind(key)
            .execute(&mut writer.conn)
            .await
            .map_err(failed)?;
        match done.rows_affected() {
            0 => Err(StoreError::NotFound),
            _ => Ok(()),
        }
    }
    .await;
    writer.end(outcome).await
}

async fn key_of(conn: &mut SqliteConnection, doc: &DocId) -> Result<DocKey, StoreError> {
    let found = find(conn, doc).await?;
    found
        .map(|Found { key, .. }| key)
        .ok_or(StoreError::NotFound)
}
