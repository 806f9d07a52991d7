//! The store in memory: the same contract without durability, for tests and simulations.

mod document;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use self::document::Document;
use super::{
    Append, Appended, Compaction, DocRecord, DocState, FIRST_EPOCH, ListQuery, Loaded, LogRow,
    Mark, MarkId, NewMark, NotWritable, Person, Rewrite, Salvaged, Seq, Store, StoreError, Stored,
    sessions::{Grain, Session},
};
use crate::{clock::UnixMillis, document::id::DocId};

/// Makes the error that writes answer with while storing is to fail.
pub type Failure = fn() -> StoreError;

/// Documents in a map.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    docs: BTreeMap<DocId, Document>,
    /// The number of the last mark.
    last_mark: MarkId,
    people: BTreeMap<Arc<str>, Person>,
    failure: Option<Failure>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every write fails in this way, having stored nothing, until it is called with `None`.
    pub fn fail_writes(&self, failure: Option<Failure>) {
        self.contents().failure = failure;
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> Result<MutexGuard<'_, Contents>, StoreError> {
        let contents = self.contents();
        match contents.failure {
            Some(failure) => Err(failure()),
            None => Ok(contents),
        }
    }

    /// Changes the document when it is in this state.
    fn change(
        &self,
        doc: &DocId,
        from: DocState,
        change: impl FnOnce(&mut Document),
    ) -> Result<DocRecord, StoreError> {
        let mut contents = self.writable()?;
        let document = contents.docs.get_mut(doc).ok_or(StoreError::NotFound)?;
        if document.state() != from {
            return Err(StoreError::WrongState(document.state()));
        }
        change(document);
        Ok(document.record(doc))
    }
}

fn append_entry(contents: &mut Contents, entry: &Append, now: UnixMillis) -> Appended {
    if !contents.docs.contains_key(&entry.doc) {
        if entry.epoch.is_some_and(|epoch| epoch != FIRST_EPOCH) {
            return Appended::Refused(NotWritable::OtherEpoch);
        }
        if entry.rows.is_empty() {
            return Appended::Committed {
                epoch: FIRST_EPOCH,
                head_seq: 0,
            };
        }
    }
    let document = contents
        .docs
        .entry(entry.doc.clone())
        .or_insert_with(|| Document::new(FIRST_EPOCH, now));
    if let Some(refusal) = document.refusal(entry.epoch) {
        return Appended::Refused(refusal);
    }
    let first = document.head_seq() + 1;
    for (row, mark) in &entry.marks {
        contents.last_mark += 1;
        document.marked(contents.last_mark, first + *row as Seq, mark.clone());
    }
    document.rows.extend(entry.rows.iter().cloned());
    document.edited_at = now;
    if let Some(title) = &entry.title {
        document.title.clone_from(title);
    }
    for person in &entry.people {
        contents
            .people
            .insert(person.author.clone(), person.clone());
    }
    Appended::Committed {
        epoch: document.epoch,
        head_seq: document.head_seq(),
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, batch: &[Append], now: UnixMillis) -> Result<Vec<Appended>, StoreError> {
        let mut contents = self.writable()?;
        Ok(batch
            .iter()
            .map(|entry| append_entry(&mut contents, entry, now))
            .collect())
    }

    async fn load(&self, doc: &DocId) -> Result<Loaded, StoreError> {
        let contents = self.contents();
        let Some(document) = contents.docs.get(doc) else {
            return Ok(Loaded::Absent);
        };
        Ok(match document.state() {
            DocState::Trashed => Loaded::Trashed,
            DocState::Deleted => Loaded::Deleted,
            DocState::Quarantined => Loaded::Quarantined {
                reason: document.quarantine.clone().unwrap_or_default(),
            },
            DocState::Live => Loaded::Live(Stored {
                epoch: document.epoch,
                head_seq: document.head_seq(),
                snapshot: document.snapshot.clone(),
                tail: document.tail(),
                title: document.title.clone(),
            }),
        })
    }

    async fn compact(&self, compaction: Compaction) -> Result<bool, StoreError> {
        let mut contents = self.writable()?;
        let Some(document) = contents.docs.get_mut(&compaction.doc) else {
            return Ok(false);
        };
        let Compaction {
            epoch, snapshot, ..
        } = compaction;
        let newer = document
            .snapshot
            .as_ref()
            .is_some_and(|stored| stored.seq > snapshot.seq);
        let state = document.state();
        if newer || document.epoch != epoch || snapshot.seq == 0 {
            return Ok(false);
        }
        if !matches!(state, DocState::Live | DocState::Trashed) {
            return Ok(false);
        }
        if snapshot.seq > document.head_seq() {
            return Err(StoreError::Other(
                "a snapshot cannot be ahead of the log".into(),
            ));
        }
        document.snapshot = Some(snapshot);
        Ok(true)
    }

    async fn rewrite(&self, new: Rewrite) -> Result<bool, StoreError> {
        let mut contents = self.writable()?;
        let id = contents.last_mark + 1;
        let Some(document) = contents.docs.get_mut(&new.doc) else {
            return Ok(false);
        };
        let done = document.rewrite(new, id)?;
        if done {
            contents.last_mark = id;
        }
        Ok(done)
    }

    async fn thinnable(
        &self,
        grain: Grain,
        before: UnixMillis,
        after: Option<&DocId>,
        limit: u32,
    ) -> Result<Vec<DocId>, StoreError> {
        let contents = self.contents();
        let live = contents.docs.iter().filter(|(doc, document)| {
            document.state() == DocState::Live && after.is_none_or(|after| *doc > after)
        });
        let thinnable = live.filter(|(_, document)| {
            let old = |session: &Session| session.to_at < before && session.grain < grain;
            let unfolded = document.edited_at < before && !document.tail().is_empty();
            unfolded || document.sessions().iter().any(old)
        });
        Ok(thinnable
            .map(|(doc, _)| doc.clone())
            .take(limit as usize)
            .collect())
    }

    async fn rows(&self, doc: &DocId, from: Seq, to: Seq) -> Result<Vec<LogRow>, StoreError> {
        let contents = self.contents();
        match contents.docs.get(doc) {
            Some(document) if !document.deleted => Ok(document.rows_between(from, to)),
            _ => Err(StoreError::NotFound),
        }
    }

    async fn sessions(
        &self,
        doc: &DocId,
        before: Seq,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let contents = self.contents();
        let document = contents.docs.get(doc).filter(|document| !document.deleted);
        let document = document.ok_or(StoreError::NotFound)?;
        let newest = document.sessions().into_iter().rev();
        Ok(newest
            .filter(|session| session.from_seq < before)
            .take(limit as usize)
            .collect())
    }

    async fn marks(&self, doc: &DocId) -> Result<Vec<Mark>, StoreError> {
        let contents = self.contents();
        let document = contents.docs.get(doc);
        Ok(document
            .map(|found| found.marks.clone())
            .unwrap_or_default())
    }

    async fn mark(&self, doc: &DocId, seq: Option<Seq>, mark: NewMark) -> Result<Mark, StoreError> {
        let mut contents = self.writable()?;
        contents.last_mark += 1;
        let id = contents.last_mark;
        let document = contents.docs.get_mut(doc).ok_or(StoreError::NotFound)?;
        match document.state() {
            DocState::Live => {
                let head = document.head_seq();
                Ok(document.marked(id, seq.unwrap_or(head).min(head), mark))
            }
            other => Err(StoreError::WrongState(other)),
        }
    }

    async fn relabel(&self, doc: &DocId, id: MarkId, label: &str) -> Result<Mark, StoreError> {
        let mut contents = self.writable()?;
        let document = contents.docs.get_mut(doc).ok_or(StoreError::NotFound)?;
        let mark = document.marks.iter_mut().find(|mark| mark.id == id);
        let mark = mark.ok_or(StoreError::NotFound)?;
        label.clone_into(&mut mark.mark.label);
        Ok(mark.clone())
    }

    async fn unmark(&self, doc: &DocId, id: MarkId) -> Result<(), StoreError> {
        let mut contents = self.writable()?;
        let document = contents.docs.get_mut(doc).ok_or(StoreError::NotFound)?;
        let place = document.marks.iter().position(|mark| mark.id == id);
        document.marks.remove(place.ok_or(StoreError::NotFound)?);
        Ok(())
    }

    async fn salvage(&self, doc: &DocId) -> Result<Vec<Salvaged>, StoreError> {
        let rows = self.rows(doc, 1, Seq::MAX).await?;
        Ok(vec![Salvaged {
            seq: rows.len() as Seq,
            updates: rows.into_iter().map(|row| row.row.bytes).collect(),
        }])
    }

    async fn people(&self, authors: &[Arc<str>]) -> Result<Vec<Person>, StoreError> {
        let contents = self.contents();
        let known = authors
            .iter()
            .filter_map(|author| contents.people.get(author));
        Ok(known.cloned().collect())
    }

    async fn quarantine(&self, doc: &DocId, reason: &str) -> Result<(), StoreError> {
        let mut contents = self.writable()?;
        let document = contents.docs.get_mut(doc).ok_or(StoreError::NotFound)?;
        if document.deleted {
            return Err(StoreError::WrongState(DocState::Deleted));
        }
        document.quarantine = Some(reason.to_owned());
        Ok(())
    }

    async fn get(&self, doc: &DocId) -> Result<Option<DocRecord>, StoreError> {
        Ok(self
            .contents()
            .docs
            .get(doc)
            .map(|document| document.record(doc)))
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<DocRecord>, StoreError> {
        let search = query.search.as_deref().map(str::to_lowercase);
        let contents = self.contents();
        let mut records: Vec<DocRecord> = contents
            .docs
            .iter()
            .map(|(doc, document)| document.record(doc))
            .filter(|record| {
                record.state == query.state && matches_search(record, search.as_deref())
            })
            .filter(|record| {
                query
                    .after
                    .as_ref()
                    .is_none_or(|after| is_after(record, after))
            })
            .collect();
        records.sort_by(|a, b| {
            b.edited_at
                .cmp(&a.edited_at)
                .then_with(|| a.doc.cmp(&b.doc))
        });
        records.truncate(query.limit as usize);
        Ok(records)
    }

    async fn create(&self, doc: &DocId, now: UnixMillis) -> Result<DocRecord, StoreError> {
        let mut contents = self.writable()?;
        let epoch = match contents.docs.get(doc) {
            None => FIRST_EPOCH,
            Some(document) if document.deleted => document.epoch + 1,
            Some(document) => return Err(StoreError::WrongState(document.state())),
        };
        let document = Document::new(epoch, now);
        let record = document.record(doc);
        contents.docs.insert(doc.clone(), document);
        Ok(record)
    }

    async fn trash(&self, doc: &DocId, now: UnixMillis) -> Result<DocRecord, StoreError> {
        self.change(doc, DocState::Live, |document| {
            document.trashed_at = Some(now);
        })
    }

    async fn restore(&self, doc: &DocId, _now: UnixMillis) -> Result<DocRecord, StoreError> {
        self.change(doc, DocState::Trashed, |document| {
            document.trashed_at = None;
        })
    }

    async fn delete(&self, doc: &DocId, now: UnixMillis) -> Result<(), StoreError> {
        self.change(doc, DocState::Trashed, |document| {
            *document = Document {
                trashed_at: document.trashed_at,
                created_at: document.created_at,
                deleted: true,
                ..Document::new(document.epoch, now)
            };
        })
        .map(drop)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writable().map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn matches_search(record: &DocRecord, search: Option<&str>) -> bool {
    let shown = if record.title.is_empty() {
        record.doc.as_str()
    } else {
        &record.title
    };
    search.is_none_or(|text| shown.to_lowercase().contains(text))
}

fn is_after(record: &DocRecord, (edited_at, doc): &(UnixMillis, DocId)) -> bool {
    record.edited_at < *edited_at || (record.edited_at == *edited_at && record.doc > *doc)
}
