//! The port to the documents: what the JSON API can ask for. Rooms and the store stand behind it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use crate::{
    auth::actor::Actor,
    document::{ClientId, export::Form, id::DocId},
    store::{BoxError, DocRecord, ListQuery, NewMark, Seq},
};

/// All documents, open or not.
#[async_trait]
pub trait Library: Send + Sync + 'static {
    /// The documents that match, newest edit first, at most `query.limit`.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Document>, LibraryError>;

    /// One document, live or in the trash.
    async fn get(&self, doc: &DocId) -> Result<Document, LibraryError>;

    /// Makes a document; with a title, that is its first edit. A deleted name is made anew, with the next epoch.
    /// `Exists` when it is live or in the trash.
    async fn create(
        &self,
        doc: &DocId,
        title: Option<&str>,
        by: Option<&Actor>,
    ) -> Result<Document, LibraryError>;

    /// Changes the title by an edit of the document, which merges with what others do; answers when it is committed.
    async fn rename(
        &self,
        doc: &DocId,
        title: &str,
        by: Option<&Actor>,
    ) -> Result<Document, LibraryError>;

    /// Makes an edit of the server's own, which merges with what others do; answers the number of its row when it is
    /// committed. `NotReady` when it was made for another document of this name. `turn` is dropped when it is known what
    /// became of the edit, also when that is after `NotStoredYet` or nobody waits any more.
    async fn edit(&self, doc: &DocId, edit: Edit, turn: Turn) -> Result<Seq, LibraryError>;

    /// Live → trash: sockets are closed, nothing is lost. `InTrash` when it is there already.
    async fn trash(&self, doc: &DocId) -> Result<Document, LibraryError>;

    /// Trash → live. `NotInTrash` when it is live.
    async fn restore(&self, doc: &DocId) -> Result<Document, LibraryError>;

    /// Trash → deleted for good. `NotInTrash` when it is live.
    async fn delete(&self, doc: &DocId) -> Result<(), LibraryError>;

    /// Folds all that is committed of a live document into history.
    async fn fold(&self, doc: &DocId) -> Result<(), LibraryError>;

    /// The committed state of a live document in one form.
    async fn content(&self, doc: &DocId, form: Form) -> Result<Bytes, LibraryError>;
}

/// An edit that the server makes for somebody.
#[derive(Debug, Clone)]
pub struct Edit {
    /// A v1 update.
    pub update: Bytes,
    /// As in the log.
    pub author: Arc<str>,
    /// The client that the update's structs are of: a fresh one.
    pub client: ClientId,
    pub mark: Option<NewMark>,
}

/// Whatever nobody else may have while an edit is being made.
pub type Turn = Box<dyn std::any::Any + Send>;

/// A document and who is in it right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub record: DocRecord,
    pub people: Vec<Person>,
}

/// Somebody as their awareness state names them. What clients say is not to be trusted with more than being shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    pub name: String,
    pub color: String,
}

/// Why a request could not be done; the words go to the client.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error(
        "There is no document of this name. Opening it in the editor or creating it makes one."
    )]
    NotFound,
    #[error("This document was deleted for good. Creating it again makes a new, empty one.")]
    Deleted,
    #[error("A document of this name exists already, perhaps in the trash.")]
    Exists,
    #[error("This document is in the trash. Restore it first.")]
    InTrash,
    #[error("This document is not in the trash. Move it there first.")]
    NotInTrash,
    #[error(
        "The stored data of this document is damaged. `coscribe check` tells more; a backup can be restored."
    )]
    Quarantined,
    /// The document itself may be whole.
    #[error(
        "The history of this document is damaged. `coscribe check` tells more; a backup can be restored. Nothing was changed."
    )]
    DamagedHistory,
    /// Storing fails for now, for this reason.
    #[error("Nothing can be saved at the moment: {0}. Try again later; nothing was changed.")]
    NotStoring(Arc<str>),
    /// Not a failure: what was asked for may still happen.
    #[error(
        "The change was taken in and waits to be stored, which takes long or fails at the moment. It will be there once storing works; look before you try again."
    )]
    NotStoredYet,
    #[error(
        "The document was deleted and created again meanwhile. Load it again; nothing was changed."
    )]
    NotReady,
    #[error("The document does not take this change: {0}. Nothing was changed.")]
    Refused(String),
    #[error("The server is stopping. Try again in a moment.")]
    Draining,
    /// Anything else; logged, and told without details.
    #[error("The server failed at this request.")]
    Internal(#[source] BoxError),
}
