//! The closed set of things that can wake a room, and the closed set of things a room can ask for.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{compaction::Folded, elsewhere::Seen, outbox::Outbox};
use crate::{
    bus::Notice,
    clock::UnixMillis,
    document::{ClientId, awareness::Millis},
    protocol::{ClientMessage, Dialect, close::Close},
    store::{Append, Appended, Epoch, Loaded, NewMark, Seq, StoreError},
};

/// One connection of one client to one document. Never used twice while the process lives.
pub type PeerId = u64;

/// The time, as told to the room: it has no clock of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// Goes only forward; for intervals.
    pub monotonic: Millis,
    /// For what is written to the log; never for order.
    pub wall: UnixMillis,
}

#[derive(Debug)]
pub struct Join {
    pub peer: PeerId,
    /// The queue that this peer's socket task empties.
    pub outbox: Arc<Outbox>,
    pub dialect: Dialect,
    /// Who is written into the log: account, actor cookie, or nothing yet known but the client id.
    pub author: Option<Arc<str>>,
    /// The epoch that the client believes the document to have.
    pub epoch: Option<Epoch>,
}

/// What wakes a room. Adding a cause means adding a variant.
#[derive(Debug)]
pub enum Event {
    Join(Box<Join>),
    Messages {
        peer: PeerId,
        messages: Vec<ClientMessage>,
    },
    /// The peer's outbox has run empty after it had been full.
    Drained(PeerId),
    Left(PeerId),
    /// The batch in flight was answered by the store.
    Committed(Appended),
    /// Storing fails, or works again. The batch in flight is kept by the writer and tried again.
    Storing(Result<(), Arc<str>>),
    /// What the store holds, read because storing fails and somebody waits for an answer.
    CommittedState(Box<Result<Loaded, StoreError>>),
    /// A compaction has ended; it covered the log up to here.
    Compacted(Option<Folded>),
    /// Another node has committed to this document.
    Elsewhere(Box<Notice>),
    /// It is time to see whether one has that nobody told of.
    Look,
    /// What the store holds behind what the room holds.
    Looked(Box<Result<Seen, StoreError>>),
    Command(Box<Command>),
}

impl Event {
    /// Bytes of updates and messages in it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Messages { messages, .. } => messages.iter().map(ClientMessage::len).sum(),
            Self::Elsewhere(notice) => notice.len(),
            Self::Looked(seen) => seen.as_ref().as_ref().map_or(0, Seen::len),
            _ => 0,
        }
    }
}

/// What the HTTP API and the server itself ask of a room.
#[derive(Debug)]
pub enum Command {
    /// The committed state as a v1 update without deleted content.
    Export(oneshot::Sender<Bytes>),
    /// Edit `meta.title`; answered when it is durable.
    Rename {
        title: String,
        author: Arc<str>,
        client: u32,
        reply: oneshot::Sender<Result<(), RenameError>>,
    },
    /// Apply an update that the server made, as its own row of the log; answered with the number of that row when it is
    /// durable. An update that brings nothing new is answered with the number of the last row.
    Edit {
        update: Bytes,
        author: Arc<str>,
        /// The client that the update's structs are of: a fresh one.
        client: ClientId,
        mark: Option<NewMark>,
        reply: oneshot::Sender<Result<Seq, EditError>>,
    },
    /// Who is here, by their awareness states.
    People(oneshot::Sender<Vec<Person>>),
    /// Close every peer; the document was trashed or deleted.
    Evict(Close),
    /// Commit what is pending, close every peer, end.
    Drain(Close),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    #[error("the document can not be written to")]
    NotWritable,
    #[error("the title could not be changed")]
    Failed,
}

/// Why an edit of the server's own was not made. Nothing of it was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the document can not be written to")]
    NotWritable,
    /// The update refers to what the document does not hold.
    #[error("the edit was made for another state of the document")]
    NotReady,
    #[error("the edit was not accepted: {0}")]
    Refused(String),
    #[error("storing fails: {0}")]
    NotStoring(Arc<str>),
}

/// Somebody in a document, as they call themselves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Person {
    pub name: String,
    pub color: String,
}

/// What a room asks of its task.
#[derive(Debug)]
pub enum Effect {
    /// Commit this batch; `Event::Committed` follows, once. At most one is under way.
    Append(Box<Append>),
    /// Read what is committed; `Event::CommittedState` follows.
    LoadCommitted,
    /// The replica can not stay: read the log again, then call `State::rebuilt`. Nothing else is handled before that.
    Rebuild,
    /// Compact the log; `Event::Compacted` follows.
    Compact,
    /// Tell the other nodes what was committed here.
    Publish(Box<Notice>),
    /// Read the rows after this one; `Event::Looked` follows.
    Look(Seq),
}
