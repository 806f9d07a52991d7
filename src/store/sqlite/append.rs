//! The write path: rows of many documents in one transaction, mostly in one statement.
//!
//! What costs is not the rows but the statements (each is a trip to the connection's thread, and wakes somebody at each
//! end) and the pages they dirty. So heads are remembered instead of asked for, the trigger `append` (see the migration)
//! writes to both tables, and rows go in by chunks of fixed sizes whose statements stay prepared; places that are left over
//! hold nulls, so that a batch that only adds rows is a single statement, which begins and commits by itself.

use std::sync::{Arc, LazyLock};

use futures_util::StreamExt as _;
use sqlx::{
    AssertSqlSafe, Executor as _, Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments,
};

use super::{
    error::failed,
    heads::{Head, Heads},
    marks, people,
    row_key::{DocKey, MAX_SEQ, row_crc, row_key},
    writer::Writer,
};
use crate::{
    clock::UnixMillis,
    document::id::DocId,
    store::{
        Append, Appended, DocState, Epoch, FIRST_EPOCH, NewMark, NewRow, NotWritable, Person, Seq,
        StoreError,
    },
};

/// Rows per statement. A prepared statement for each; the rest of a batch takes the smallest into which it fits.
const CHUNKS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// One statement text per chunk size.
static INSERT_ROWS: LazyLock<[Arc<str>; CHUNKS.len()]> = LazyLock::new(|| {
    CHUNKS.map(|size| {
        let rows = vec!["(?,?,?,?,?,?,?,?)"; size].join(",");
        format!("INSERT INTO appends VALUES {rows}").into()
    })
});

const INSERT_DOCUMENT: &str =
    "INSERT INTO documents (id, name, epoch, title, search_key, created_at)
    VALUES (?,?,?,?,?,?)";
const UPDATE_TITLE: &str = "UPDATE documents SET title = ?, search_key = ? WHERE id = ?";

/// See `Store::append`. Answers, too, about how many pages the commit put into the WAL.
pub(super) async fn append(
    writer: &mut Writer,
    batch: &[Append],
    now: UnixMillis,
) -> Result<(Vec<Appended>, u64), StoreError> {
    writer.heads.learn(&mut writer.conn, batch).await?;
    let plan = match Plan::of(batch, &mut writer.heads) {
        Ok(plan) => plan,
        Err(error) => {
            writer.heads.forget_all();
            return Err(error);
        }
    };
    if plan.is_one_statement() {
        writer.begin_alone();
        let done = plan.write_rows(&mut writer.conn, now).await;
        writer.end_alone(done).await?;
    } else if !plan.is_empty() {
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
    titles: Vec<(DocKey, &'a DocId, &'a str)>,
    marks: Vec<(DocKey, Seq, &'a NewMark)>,
    people: Vec<&'a Person>,
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
    /// The size of the document, with the last of its rows.
    size: Option<u64>,
}

impl<'a> Plan<'a> {
    fn of(batch: &'a [Append], heads: &mut Heads) -> Result<Self, StoreError> {
        let rows = batch.iter().map(|entry| entry.rows.len()).sum();
        let mut plan = Self {
            answers: Vec::with_capacity(batch.len()),
            documents: Vec::new(),
            rows: Vec::with_capacity(rows),
            titles: Vec::new(),
            marks: Vec::new(),
            people: Vec::new(),
        };
        for entry in batch {
            let answer = plan.entry(entry, heads)?;
            plan.answers.push(answer);
        }
        Ok(plan)
    }

    fn entry(&mut self, entry: &'a Append, heads: &mut Heads) -> Result<Appended, StoreError> {
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
        self.rows(entry, head)?;
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

    fn rows(&mut self, entry: &'a Append, head: &mut Head) -> Result<(), StoreError> {
        let last = entry.rows.len().saturating_sub(1);
        let first = head.seq + 1;
        let marks = entry.marks.iter();
        self.marks
            .extend(marks.map(|(row, mark)| (head.key, first + *row as Seq, mark)));
        self.people.extend(&entry.people);
        for (place, row) in entry.rows.iter().enumerate() {
            head.seq += 1;
            if head.seq > MAX_SEQ {
                return Err(StoreError::Other(
                    "the document has no number left for another row".into(),
                ));
            }
            head.size += row.bytes.len() as u64;
            self.rows.push(PlannedRow {
                key: row_key(head.key, head.seq),
                crc: row_crc(head.key, head.epoch, head.seq, row),
                row,
                size: (place == last).then_some(head.size),
            });
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.documents.is_empty() && self.titles.is_empty()
    }

    /// Whether everything there is to write goes into a single statement.
    fn is_one_statement(&self) -> bool {
        let largest = CHUNKS[CHUNKS.len() - 1];
        (1..=largest).contains(&self.rows.len())
            && self.documents.is_empty()
            && self.titles.is_empty()
            && self.marks.is_empty()
            && self.people.is_empty()
    }

    async fn write(&self, conn: &mut SqliteConnection, now: UnixMillis) -> Result<(), StoreError> {
        for document in &self.documents {
            sqlx::query(INSERT_DOCUMENT)
                .bind(document.key)
                .bind(document.doc.as_str())
                .bind(FIRST_EPOCH)
                .bind(document.title)
                .bind(search_key(document.doc, document.title))
                .bind(now)
                .execute(&mut *conn)
                .await
                .map_err(failed)?;
        }
        self.write_rows(conn, now).await?;
        for (key, doc, title) in &self.titles {
            sqlx::query(UPDATE_TITLE)
                .bind(*title)
                .bind(search_key(doc, title))
                .bind(key)
                .execute(&mut *conn)
                .await
                .map_err(failed)?;
        }
        for (key, seq, mark) in &self.marks {
            marks::insert(conn, *key, *seq, mark).await?;
        }
        for person in &self.people {
            people::upsert(conn, person).await?;
        }
        Ok(())
    }

    async fn write_rows(
        &self,
        conn: &mut SqliteConnection,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut rest = &self.rows[..];
        while !rest.is_empty() {
            let fits = CHUNKS.iter().position(|size| *size >= rest.len());
            let chunk = fits.unwrap_or(CHUNKS.len() - 1);
            let (rows, after) = rest.split_at(rest.len().min(CHUNKS[chunk]));
            let mut statement = sqlx::query(AssertSqlSafe(Arc::clone(&INSERT_ROWS[chunk])));
            for row in rows {
                statement = bind(statement, *row, now);
            }
            // What is not bound is null, and a null key is passed over. With the first answer SQLite is done, as no rows come
            // back; to wait for the end of the answers would be a second wake-up from another thread.
            let answer = conn.fetch_many(statement).next().await;
            answer
                .unwrap_or(Err(sqlx::Error::WorkerCrashed))
                .map_err(failed)?;
            rest = after;
        }
        Ok(())
    }

    /// About how many pages the commit puts into the WAL: the last page of each document's log, the heads, and content.
    fn pages(&self) -> u64 {
        let documents = self.rows.iter().filter(|row| row.size.is_some()).count();
        let content: usize = self.rows.iter().map(|row| row.row.bytes.len() + 64).sum();
        (documents + self.documents.len() + content / 4096 + 2) as u64
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

fn bind<'q>(statement: Statement<'q>, planned: PlannedRow<'_>, now: UnixMillis) -> Statement<'q> {
    let PlannedRow {
        key,
        crc,
        row,
        size,
    } = planned;
    statement
        .bind(key)
        .bind(Arc::clone(&row.author))
        .bind(row.client_id.cast_signed())
        .bind(row.at)
        .bind(crc)
        .bind(row.bytes.to_vec())
        .bind(size.map(u64::cast_signed))
        .bind(now)
}
