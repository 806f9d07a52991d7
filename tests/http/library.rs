//! A library in memory, with the rules of the port and a switch for each of its failures.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use coscribe::{
    auth::actor::Actor,
    clock::{Clock, ManualClock},
    document::{export::Form, id::DocId},
    http::{
        Document, Library, LibraryError, Person,
        library::{Edit, Turn},
    },
    store::{DocRecord, DocState, ListQuery, Seq},
};

pub struct MemoryLibrary {
    clock: Arc<ManualClock>,
    documents: Mutex<BTreeMap<DocId, DocRecord>>,
    /// The next call fails with this.
    failure: Mutex<Option<LibraryError>>,
    /// Who the last title came from.
    pub author: Mutex<Option<Actor>>,
}

impl MemoryLibrary {
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            documents: Mutex::default(),
            failure: Mutex::default(),
            author: Mutex::default(),
        }
    }

    pub fn fail_next(&self, error: LibraryError) {
        *self.failure.lock().unwrap() = Some(error);
    }

    fn check(&self) -> Result<(), LibraryError> {
        self.failure.lock().unwrap().take().map_or(Ok(()), Err)
    }

    fn change(
        &self,
        doc: &DocId,
        change: impl FnOnce(&mut DocRecord) -> Result<(), LibraryError>,
    ) -> Result<Document, LibraryError> {
        self.check()?;
        let mut documents = self.documents.lock().unwrap();
        let record = documents.get_mut(doc).ok_or(LibraryError::NotFound)?;
        if record.state == DocState::Deleted {
            return Err(LibraryError::Deleted);
        }
        change(record)?;
        Ok(shown(record))
    }
}

fn shown(record: &DocRecord) -> Document {
    let people = match record.title.as_str() {
        "busy" => vec![Person {
            name: "Ada".into(),
            color: "#0a7".into(),
        }],
        _ => Vec::new(),
    };
    Document {
        record: record.clone(),
        people,
    }
}

#[async_trait]
impl Library for MemoryLibrary {
    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, LibraryError> {
        self.check()?;
        let documents = self.documents.lock().unwrap();
        let mut found: Vec<&DocRecord> = documents
            .values()
            .filter(|record| record.state == query.state)
            .filter(|record| {
                query
                    .search
                    .as_ref()
                    .is_none_or(|text| record.title.contains(text.as_str()))
            })
            .collect();
        found.sort_by_key(|record| std::cmp::Reverse((record.edited_at, record.doc.clone())));
        let after = query.after.clone();
        Ok(found
            .into_iter()
            .filter(|record| {
                after
                    .as_ref()
                    .is_none_or(|after| (record.edited_at, record.doc.clone()) < *after)
            })
            .take(query.limit as usize)
            .map(shown)
            .collect())
    }

    async fn get(&self, doc: &DocId) -> Result<Document, LibraryError> {
        self.change(doc, |_| Ok(()))
    }

    async fn create(
        &self,
        doc: &DocId,
        title: Option<&str>,
        by: Option<&Actor>,
    ) -> Result<Document, LibraryError> {
        self.check()?;
        let now = self.clock.now();
        let mut documents = self.documents.lock().unwrap();
        let epoch = match documents.get(doc) {
            None => 1,
            Some(record) if record.state == DocState::Deleted => record.epoch + 1,
            Some(_) => return Err(LibraryError::Exists),
        };
        let record = DocRecord {
            doc: doc.clone(),
            epoch,
            title: title.unwrap_or_default().to_owned(),
            state: DocState::Live,
            head_seq: 0,
            size: 0,
            created_at: now,
            edited_at: now,
            trashed_at: None,
        };
        *self.author.lock().unwrap() = by.cloned();
        documents.insert(doc.clone(), record.clone());
        Ok(shown(&record))
    }

    async fn rename(
        &self,
        doc: &DocId,
        title: &str,
        by: Option<&Actor>,
    ) -> Result<Document, LibraryError> {
        self.change(doc, |record| {
            if record.state == DocState::Trashed {
                return Err(LibraryError::InTrash);
            }
            record.title = title.to_owned();
            *self.author.lock().unwrap() = by.cloned();
            Ok(())
        })
    }

    async fn edit(&self, doc: &DocId, _edit: Edit, _turn: Turn) -> Result<Seq, LibraryError> {
        self.get(doc).await?;
        Err(LibraryError::Refused("this library has no rooms".into()))
    }

    async fn trash(&self, doc: &DocId) -> Result<Document, LibraryError> {
        self.change(doc, |record| {
            if record.state == DocState::Trashed {
                return Err(LibraryError::InTrash);
            }
            record.state = DocState::Trashed;
            record.trashed_at = Some(self.clock.now());
            Ok(())
        })
    }

    async fn restore(&self, doc: &DocId) -> Result<Document, LibraryError> {
        self.change(doc, |record| {
            if record.state != DocState::Trashed {
                return Err(LibraryError::NotInTrash);
            }
            record.state = DocState::Live;
            record.trashed_at = None;
            Ok(())
        })
    }

    async fn delete(&self, doc: &DocId) -> Result<(), LibraryError> {
        let deleted = self.change(doc, |record| {
            if record.state != DocState::Trashed {
                return Err(LibraryError::NotInTrash);
            }
            record.state = DocState::Deleted;
            Ok(())
        });
        deleted.map(drop)
    }

    async fn fold(&self, doc: &DocId) -> Result<(), LibraryError> {
        self.change(doc, |_| Ok(())).map(drop)
    }

    async fn content(&self, doc: &DocId, form: Form) -> Result<Bytes, LibraryError> {
        self.get(doc).await?;
        Ok(match form {
            Form::Yjs => Bytes::from_static(&[0, 0]),
            Form::Json => Bytes::from_static(b"{\"default\":\"\"}"),
            Form::Text => Bytes::from_static("naïve <script>".as_bytes()),
            Form::Html => Bytes::from_static(b"<!doctype html>"),
            Form::Markdown => Bytes::from_static(b"# Title"),
        })
    }
}
