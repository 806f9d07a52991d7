//! The documents as the JSON API sees them: through their room where they are open, from the store where they are not.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    auth::actor::Actor,
    document::{
        export::{Form, export},
        id::DocId,
        replica::{EMPTY_UPDATE, Replica},
    },
    http::library::{Document, Edit, Library, LibraryError, Person, Turn},
    protocol::close::{Close, CloseCode},
    room::{
        compaction::{CompactionError, compact, replay},
        event::{Command, EditError, Event, RenameError},
        registry::{Draining, Registry},
    },
    store::{DocRecord, DocState, ListQuery, Loaded, Seq, StoreError},
};

/// How long a request waits for an edit to be stored. What is not stored by then still will be.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct RoomLibrary {
    registry: Arc<Registry>,
}

impl RoomLibrary {
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    async fn people(&self, doc: &DocId) -> Vec<Person> {
        let (reply, answer) = oneshot::channel();
        self.tell_if_open(doc, Command::People(reply));
        // Where no room took the question, nobody is there.
        let people = answer.await.unwrap_or_default();
        people
            .into_iter()
            .map(|person| Person {
                name: person.name,
                color: person.color,
            })
            .collect()
    }

    async fn with_people(&self, record: DocRecord) -> Document {
        let people = self.people(&record.doc).await;
        Document { record, people }
    }

    /// Ends the document's room, if it is open: nobody edits what is in the trash.
    fn evict(&self, doc: &DocId, reason: &str) {
        self.tell_if_open(doc, Command::Evict(Close::new(CloseCode::Gone, reason)));
    }

    /// Posts a command to the document's room, where there is one. A room that is just ending has nobody in it.
    fn tell_if_open(&self, doc: &DocId, command: Command) {
        if let Some(room) = self.registry.open(doc) {
            room.post(Event::Command(Box::new(command))).ok();
        }
    }

    /// Waits until the document's room is gone, so that the next one reads the store as it is now.
    async fn until_closed(&self, doc: &DocId) {
        while self.registry.open(doc).is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn record(&self, doc: &DocId) -> Result<DocRecord, LibraryError> {
        let record = self
            .registry
            .services()
            .store
            .get(doc)
            .await
            .map_err(failed)?;
        let record = record.ok_or(LibraryError::NotFound)?;
        match record.state {
            DocState::Deleted => Err(LibraryError::Deleted),
            _ => Ok(record),
        }
    }

    /// There is a live document of this name.
    async fn writable(&self, doc: &DocId) -> Result<(), LibraryError> {
        match self.record(doc).await?.state {
            DocState::Trashed => Err(LibraryError::InTrash),
            DocState::Quarantined => Err(LibraryError::Quarantined),
            _ => Ok(()),
        }
    }

    fn now(&self) -> i64 {
        self.registry.services().clock.now()
    }

    /// The committed state of a document that may or may not be open.
    async fn state(&self, doc: &DocId) -> Result<Bytes, LibraryError> {
        if self.registry.open(doc).is_some() {
            let (reply, answer) = oneshot::channel();
            self.registry
                .command(doc, Command::Export(reply))
                .map_err(|Draining| LibraryError::Draining)?;
            if let Ok(state) = answer.await {
                return Ok(state);
            }
        }
        let services = self.registry.services();
        let stored = match services.store.load(doc).await.map_err(failed)? {
            Loaded::Live(stored) => stored,
            Loaded::Absent => return Err(LibraryError::NotFound),
            Loaded::Trashed => return Err(LibraryError::InTrash),
            Loaded::Deleted => return Err(LibraryError::Deleted),
            Loaded::Quarantined { .. } => return Err(LibraryError::Quarantined),
        };
        let limits = services.limits.scan;
        heavy(move || {
            let replica =
                replay(&stored, &limits).map_err(|error| LibraryError::Internal(error.into()))?;
            Ok(replica
                .full_state()
                .unwrap_or(Bytes::from_static(EMPTY_UPDATE)))
        })
        .await
    }

    async fn set_title(
        &self,
        doc: &DocId,
        title: &str,
        by: Option<&Actor>,
    ) -> Result<(), LibraryError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Rename {
            title: title.to_owned(),
            author: by.map_or("api", Actor::as_str).into(),
            // Any 32-bit id but 0, as Yjs clients draw theirs.
            client: rand::random::<u32>().max(1),
            reply,
        };
        self.registry
            .command(doc, command)
            .map_err(|Draining| LibraryError::Draining)?;
        // A document that can not be stored now answers when it can; nobody waits that long for a title.
        let waited = tokio::time::timeout(PATIENCE, answer).await;
        match waited {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(RenameError::NotWritable))) | Ok(Err(_)) => Err(LibraryError::Draining),
            Ok(Ok(Err(error))) => Err(LibraryError::Internal(error.into())),
            Err(_) => Err(LibraryError::NotStoredYet),
        }
    }
}

#[async_trait]
impl Library for RoomLibrary {
    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, LibraryError> {
        let records = self
            .registry
            .services()
            .store
            .list(query)
            .await
            .map_err(failed)?;
        let mut documents = Vec::with_capacity(records.len());
        for record in records {
            documents.push(self.with_people(record).await);
        }
        Ok(documents)
    }

    async fn get(&self, doc: &DocId) -> Result<Document, LibraryError> {
        Ok(self.with_people(self.record(doc).await?).await)
    }

    async fn create(
        &self,
        doc: &DocId,
        title: Option<&str>,
        by: Option<&Actor>,
    ) -> Result<Document, LibraryError> {
        match self.registry.services().store.create(doc, self.now()).await {
            Ok(_) => {}
            Err(StoreError::WrongState(_)) => return Err(LibraryError::Exists),
            Err(error) => return Err(failed(error)),
        }
        if let Some(title) = title.filter(|title| !title.is_empty()) {
            self.set_title(doc, title, by).await?;
        }
        self.get(doc).await
    }

    async fn rename(
        &self,
        doc: &DocId,
        title: &str,
        by: Option<&Actor>,
    ) -> Result<Document, LibraryError> {
        self.writable(doc).await?;
        self.set_title(doc, title, by).await?;
        self.get(doc).await
    }

    async fn edit(&self, doc: &DocId, edit: Edit, turn: Turn) -> Result<Seq, LibraryError> {
        self.writable(doc).await?;
        let (reply, answer) = oneshot::channel();
        let command = Command::Edit {
            update: edit.update,
            author: edit.author,
            client: edit.client,
            mark: edit.mark,
            reply,
        };
        self.registry
            .command(doc, command)
            .map_err(|Draining| LibraryError::Draining)?;
        // Apart from the request, which may end before: the turn ends when it is known what became of the edit.
        let settled = self.registry.services().tasks.spawn(async move {
            let answer = answer.await;
            drop(turn);
            answer.unwrap_or(Err(EditError::NotWritable))
        });
        let waited = tokio::time::timeout(PATIENCE, settled).await;
        match waited {
            Ok(Ok(Ok(seq))) => Ok(seq),
            Ok(Ok(Err(EditError::NotReady))) => Err(LibraryError::NotReady),
            Ok(Ok(Err(EditError::Refused(reason)))) => Err(LibraryError::Refused(reason)),
            Ok(Ok(Err(EditError::NotStoring(reason)))) => Err(LibraryError::NotStoring(reason)),
            Ok(Ok(Err(EditError::NotWritable))) | Ok(Err(_)) => Err(LibraryError::Draining),
            Err(_) => Err(LibraryError::NotStoredYet),
        }
    }

    async fn trash(&self, doc: &DocId) -> Result<Document, LibraryError> {
        self.record(doc).await?;
        let record = match self.registry.services().store.trash(doc, self.now()).await {
            Err(StoreError::WrongState(_)) => return Err(LibraryError::InTrash),
            other => other.map_err(failed)?,
        };
        self.evict(doc, "the document was moved to the trash");
        Ok(Document {
            record,
            people: Vec::new(),
        })
    }

    async fn restore(&self, doc: &DocId) -> Result<Document, LibraryError> {
        if self.record(doc).await?.state != DocState::Trashed {
            return Err(LibraryError::NotInTrash);
        }
        self.until_closed(doc).await;
        match self
            .registry
            .services()
            .store
            .restore(doc, self.now())
            .await
        {
            Err(StoreError::WrongState(_)) => Err(LibraryError::NotInTrash),
            other => Ok(self.with_people(other.map_err(failed)?).await),
        }
    }

    async fn delete(&self, doc: &DocId) -> Result<(), LibraryError> {
        self.record(doc).await?;
        match self.registry.services().store.delete(doc, self.now()).await {
            Err(StoreError::WrongState(_)) => return Err(LibraryError::NotInTrash),
            other => other.map_err(failed)?,
        }
        self.evict(doc, "the document was deleted");
        Ok(())
    }

    async fn fold(&self, doc: &DocId) -> Result<(), LibraryError> {
        self.writable(doc).await?;
        let services = self.registry.services();
        let folded = compact(&services.store, doc, &services.limits.scan).await;
        match folded {
            Ok(_) => Ok(()),
            // What a document is loaded from would have put it under quarantine.
            Err(CompactionError::Store(StoreError::Damaged(_))) => {
                Err(LibraryError::DamagedHistory)
            }
            Err(CompactionError::Store(error)) => Err(failed(error)),
            Err(error) => Err(LibraryError::Internal(error.into())),
        }
    }

    async fn content(&self, doc: &DocId, form: Form) -> Result<Bytes, LibraryError> {
        let state = self.state(doc).await?;
        if form == Form::Yjs {
            return Ok(state);
        }
        let limits = self.registry.services().limits.scan;
        heavy(move || {
            let replica = Replica::load([&state], &limits)
                .map_err(|error| LibraryError::Internal(error.into()))?;
            Ok(export(&replica, form))
        })
        .await
    }
}

/// Runs what walks a whole document away from the threads that serve sockets.
async fn heavy<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LibraryError> + Send + 'static,
) -> Result<T, LibraryError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LibraryError::Internal(error.into()))?
}

fn failed(error: StoreError) -> LibraryError {
    match error {
        StoreError::NotFound => LibraryError::NotFound,
        StoreError::WrongState(DocState::Trashed) => LibraryError::InTrash,
        StoreError::WrongState(DocState::Deleted) => LibraryError::Deleted,
        StoreError::WrongState(DocState::Quarantined) | StoreError::Damaged(_) => {
            LibraryError::Quarantined
        }
        error if error.is_transient() => LibraryError::NotStoring(error.to_string().into()),
        error => LibraryError::Internal(error.into()),
    }
}
