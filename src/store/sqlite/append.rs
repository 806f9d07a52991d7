//! The write path: rows of many documents in one transaction and a handful of statements.
//!
//! What costs is not the rows but the statements (each is a trip to the connection's thread) and the pages they dirty.
//! So heads are remembered instead of asked for, rows go in by chunks of fixed sizes whose statements stay prepared,
//! and the commonest batch, one row of one document, is a single trip.

use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::{
    error::failed,
    heads::{Head, Heads},
    row_key::{DocKey, MAX_SEQ, row_crc, row_key},
    writer::Writer,
};
use crate::{
    clock::UnixMillis,
    document::id::DocId,
    store::{Append, Appended, DocState, Epoch, FIRST_EPOCH, NewRow, NotWritable, Seq, StoreError},
};

/// Rows per statement: powers of two, so that any number of rows is a few statements of few different texts.
const CHUNKS: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// One statement text per chunk size.
struct ChunkedSql([Arc<str>; CHUNKS.len()]);

static INSERT_ROWS: LazyLock<ChunkedSql> = LazyLock::new(|| {
    ChunkedSql::new(
        "INSERT INTO updates (key, author, client_id, at, crc, bytes) VALUES ",
        "(?,?,?,?,?,?)",
        "",
    )
});

static INSERT_DOCUMENTS: LazyLock<ChunkedSql> = LazyLock::new(|| {
    ChunkedSql::new(
        "INSERT INTO documents (id, name, epoch, title, search_key, created_at) VALUES ",
        "(?,?,?,?,?,?)",
        "",
    )
});

const HEADS: &str = "INSERT INTO heads (doc, head_seq, size, edited_at) VALUES ";
/// A head only moves forward; where it would not, the number of changed rows tells.
const HEADS_MOVE: &str = " ON CONFLICT (doc) DO UPDATE
    SET head_seq = excluded.head_seq, size = excluded.size, edited_at = excluded.edited_at
    WHERE excluded.head_seq >= heads.head_seq";
static UPSERT_HEADS: LazyLock<ChunkedSql> =
    LazyLock::new(|| ChunkedSql::new(HEADS, "(?,?,?,?)", HEADS_MOVE));

/// A whole transaction for one row of one document.
static APPEND_ONE: LazyLock<Arc<str>> = LazyLock::new(|| {
    format!(
        "BEGIN IMMEDIATE;
         INSERT INTO updates (key, author, client_id, at, crc, bytes) VALUES (?,?,?,?,?,?);
         {HEADS} (?,?,?,?) {HEADS_MOVE};
         COMMIT"
    )
    .into()
});

const UPDATE_TITLE: &str = "UPDATE documents SET title = ?, search_key = ? WHERE id = ?";

/// See `Store::append`. Answers, too, about how many pages the commit put into the WAL.
pub(super) async fn append(
    writer: &mut Writer,
    batch: &[Append],
    now: UnixMillis,
) -> Result<(Vec<Appended>, u64), StoreError> {
    writer.heads.learn(&mut writer.conn, batch).await?;
    writer.batch += 1;
    let plan = match Plan::of(batch, &mut writer.heads, writer.batch) {
        Ok(plan) => plan,
        Err(error) => {
            writer.heads.forget_all();
            return Err(error);
        }
    };
    if plan.heads.is_empty() {
        return Ok((plan.answers, 0));
    }
    if let Some((row, head)) = plan.single() {
        let statement = sqlx::query(AssertSqlSafe(Arc::clone(&APPEND_ONE)));
        let statement = bind_head(bind_row(statement, row), head, now);
        writer.begin_alone();
        let done = statement
            .execute(&mut writer.conn)
            .await
            .map(drop)
            .map_err(failed);
        writer.end_alone(done).await?;
    } else {
        writer.begin().await?;
        let done = plan.write(&mut writer.conn, now).await;
        writer.end(done).await?;
    }
    let pages = plan.pages();
    Ok((plan.answers, pages))
}

/// What a batch will do to the tables. Making it moves the remembered heads, so a failure afterwards forgets them.
struct Plan<'a> {
    answers: Vec<Appended>,
    documents: Vec<PlannedDocument<'a>>,
    rows: Vec<PlannedRow<'a>>,
    heads: Vec<PlannedHead>,
    titles: Vec<(DocKey, &'a DocId, &'a str)>,
}

struct PlannedDocument<'a> {
    key: DocKey,
    doc: &'a DocId,
    title: &'a str,
}

#[derive(Clone, Copy)]
struct PlannedRow<'a> {
    key: i64,
    crc: i64,
    row: &'a NewRow,
}

#[derive(Clone, Copy)]
struct PlannedHead {
    key: DocKey,
    seq: Seq,
    size: u64,
}

impl<'a> Plan<'a> {
    fn of(batch: &'a [Append], heads: &mut Heads, number: u64) -> Result<Self, StoreError> {
        let rows = batch.iter().map(|entry| entry.rows.len()).sum();
        let mut plan = Self {
            answers: Vec::with_capacity(batch.len()),
            documents: Vec::new(),
            rows: Vec::with_capacity(rows),
            heads: Vec::with_capacity(batch.len()),
            titles: Vec::new(),
        };
        for entry in batch {
            let answer = plan.entry(entry, heads, number)?;
            plan.answers.push(answer);
        }
        Ok(plan)
    }

    fn entry(
        &mut self,
        entry: &'a Append,
        heads: &mut Heads,
        number: u64,
    ) -> Result<Appended, StoreError> {
        if heads.get_mut(&entry.doc).is_none() {
            if entry.epoch.is_some_and(|epoch| epoch != FIRST_EPOCH) {
                return Ok(Appended::Refused(NotWritable::OtherEpoch));
            }
            if entry.rows.is_empty() {
                return Ok(Appended::Committed {
                    epoch: FIRST_EPOCH,
                    head_seq: 0,
                });
            }
            self.document(entry, heads)?;
        } else if let Some(title) = &entry.title {
            self.title(entry, title, heads);
        }
        let Some(head) = heads.get_mut(&entry.doc) else {
            return Err(StoreError::Other(
                "a document was forgotten while it was written".into(),
            ));
        };
        if let Some(refusal) = refusal(head.state, head.epoch, entry.epoch) {
            return Ok(Appended::Refused(refusal));
        }
        self.rows(entry, head, number)?;
        Ok(Appended::Committed {
            epoch: head.epoch,
            head_seq: head.seq,
        })
    }

    fn document(&mut self, entry: &'a Append, heads: &mut Heads) -> Result<(), StoreError> {
        let key = heads.take_key()?;
        let title = entry.title.as_deref().unwrap_or_default();
        self.documents.push(PlannedDocument {
            key,
            doc: &entry.doc,
            title,
        });
        let state = DocState::Live;
        heads.insert(
            entry.doc.clone(),
            Head {
                key,
                epoch: FIRST_EPOCH,
                seq: 0,
                size: 0,
                state,
                slot: (0, 0),
            },
        );
        Ok(())
    }

    fn title(&mut self, entry: &'a Append, title: &'a str, heads: &mut Heads) {
        if let Some(head) = heads.get_mut(&entry.doc)
            && refusal(head.state, head.epoch, entry.epoch).is_none()
        {
            self.titles.push((head.key, &entry.doc, title));
        }
    }

    fn rows(&mut self, entry: &'a Append, head: &mut Head, number: u64) -> Result<(), StoreError> {
        for row in &entry.rows {
            head.seq += 1;
            if head.seq > MAX_SEQ {
                return Err(StoreError::Other(
                    "the document has no number left for another row".into(),
                ));
            }
            head.size += row.bytes.len() as u64;
            let crc = row_crc(head.key, head.epoch, head.seq, row);
            self.rows.push(PlannedRow {
                key: row_key(head.key, head.seq),
                crc,
                row,
            });
        }
        let planned = PlannedHead {
            key: head.key,
            seq: head.seq,
            size: head.size,
        };
        match head.slot {
            (batch, place) if batch == number => self.heads[place] = planned,
            _ => {
                head.slot = (number, self.heads.len());
                self.heads.push(planned);
            }
        }
        Ok(())
    }

    /// The only row and head, when there is nothing else to write.
    fn single(&self) -> Option<(PlannedRow<'a>, PlannedHead)> {
        match (&self.rows[..], &self.heads[..]) {
            ([row], [head]) if self.documents.is_empty() && self.titles.is_empty() => {
                Some((*row, *head))
            }
            _ => None,
        }
    }

    async fn write(&self, conn: &mut SqliteConnection, now: UnixMillis) -> Result<(), StoreError> {
        INSERT_DOCUMENTS
            .run(conn, &self.documents, |statement, document| {
                statement
                    .bind(document.key)
                    .bind(document.doc.as_str().to_owned())
                    .bind(FIRST_EPOCH)
                    .bind(document.title.to_owned())
                    .bind(search_key(document.doc, document.title))
                    .bind(now)
            })
            .await?;
        let moved = UPSERT_HEADS
            .run(conn, &self.heads, |statement, head| {
                bind_head(statement, *head, now)
            })
            .await?;
        if moved != self.heads.len() as u64 {
            return Err(StoreError::Other(
                "another process wrote to the database".into(),
            ));
        }
        INSERT_ROWS
            .run(conn, &self.rows, |statement, row| bind_row(statement, *row))
            .await?;
        for (key, doc, title) in &self.titles {
            sqlx::query(UPDATE_TITLE)
                .bind((*title).to_owned())
                .bind(search_key(doc, title))
                .bind(key)
                .execute(&mut *conn)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    /// About how many pages the commit puts into the WAL: the last page of each document's log, the heads, and content.
    fn pages(&self) -> u64 {
        let content: usize = self.rows.iter().map(|row| row.row.bytes.len() + 64).sum();
        (self.heads.len() + self.documents.len() + content / 4096 + 2) as u64
    }
}

/// Why a document in this state takes no rows from a room of this epoch.
fn refusal(state: DocState, epoch: Epoch, wanted: Option<Epoch>) -> Option<NotWritable> {
    match state {
        DocState::Deleted => Some(NotWritable::Deleted),
        DocState::Live | DocState::Trashed | DocState::Quarantined
            if wanted.unwrap_or(FIRST_EPOCH) != epoch =>
        {
            Some(NotWritable::OtherEpoch)
        }
        DocState::Trashed => Some(NotWritable::Trashed),
        DocState::Quarantined => Some(NotWritable::Quarantined),
        DocState::Live => None,
    }
}

/// What the search compares with.
pub(super) fn search_key(doc: &DocId, title: &str) -> String {
    let shown = if title.is_empty() {
        doc.as_str()
    } else {
        title
    };
    shown.to_lowercase()
}

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind_row<'q>(statement: Statement<'q>, planned: PlannedRow<'_>) -> Statement<'q> {
    let PlannedRow { key, crc, row } = planned;
    statement
        .bind(key)
        .bind(Arc::clone(&row.author))
        .bind(row.client_id.cast_signed())
        .bind(row.at)
        .bind(crc)
        .bind(row.bytes.to_vec())
}

fn bind_head(statement: Statement<'_>, head: PlannedHead, now: UnixMillis) -> Statement<'_> {
    statement
        .bind(head.key)
        .bind(head.seq.cast_signed())
        .bind(head.size.cast_signed())
        .bind(now)
}

impl ChunkedSql {
    fn new(before: &str, row: &str, after: &str) -> Self {
        Self(CHUNKS.map(|size| format!("{before}{}{after}", vec![row; size].join(",")).into()))
    }

    /// Runs the statements over all items and answers how many table rows they changed.
    async fn run<T>(
        &self,
        conn: &mut SqliteConnection,
        items: &[T],
        bind: impl for<'q> Fn(Statement<'q>, &T) -> Statement<'q>,
    ) -> Result<u64, StoreError> {
        let (mut rest, mut changed) = (items, 0);
        for (&size, sql) in CHUNKS.iter().zip(&self.0) {
            while rest.len() >= size {
                let (chunk, after) = rest.split_at(size);
                let mut statement = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
                for item in chunk {
                    statement = bind(statement, item);
                }
                changed += statement
                    .execute(&mut *conn)
                    .await
                    .map_err(failed)?
                    .rows_affected();
                rest = after;
            }
        }
        Ok(changed)
    }
}
