//! The messages that pass between a client and a room, free of any one protocol's framing.
//!
//! Sync, as y-protocols has it: each side sends `SyncStep1` (its state vector); the other answers with `SyncStep2` (an
//! update with all that this state vector lacks, and the whole delete set); from then on every change travels as
//! `Update`. A client counts as synced from the first `SyncStep2` on. Awareness (who is here, where is their cursor)
//! travels beside it and is never stored.
//!
//! [`y_websocket`] frames these messages for y-websocket clients. Another protocol is another module beside it, and
//! [`Dialect`] tells a room which one a peer speaks. Nothing here panics, whatever the bytes.

pub mod close;
pub mod frame_heads;
pub mod y_websocket;

use bytes::Bytes;

/// What a client says to a room. The byte fields are slices of the frame they came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// The client's state vector: it asks for what it lacks.
    SyncStep1(Bytes),
    /// The answer to our `SyncStep1`: a v1 update.
    SyncStep2(Bytes),
    /// A change: a v1 update.
    Update(Bytes),
    /// An awareness update.
    Awareness(Bytes),
    /// Asks for the awareness states of everyone.
    QueryAwareness,
}

impl ClientMessage {
    /// Bytes of payload that the message carries.
    pub fn len(&self) -> usize {
        match self {
            Self::SyncStep1(bytes)
            | Self::SyncStep2(bytes)
            | Self::Update(bytes)
            | Self::Awareness(bytes) => bytes.len(),
            Self::QueryAwareness => 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a room says to a client.
#[derive(Debug, Clone, Copy)]
pub enum ServerMessage<'a> {
    SyncStep1(&'a [u8]),
    SyncStep2(&'a [u8]),
    Update(&'a [u8]),
    Awareness(&'a [u8]),
    /// A message of this client was refused for good.
    Refused(&'a Refusal),
    /// So many more of the client's document messages are durable.
    Saved(u64),
    /// Whether the server can store at the moment.
    Storing(&'a Storing),
}

/// Why one document message was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// Stable name of the reason, such as `too-large`.
    pub code: &'static str,
    /// One sentence that says what was wrong and what can be done.
    pub reason: String,
    /// The limit that was exceeded, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Which of the client's document messages on this connection: 0 for its first.
    pub message: u64,
}

/// Whether storing works, as told to our own page.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Storing {
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a peer's messages are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The y-websocket protocol as stock clients speak it.
    YWebsocket,
    /// The same with the private messages that our own page understands.
    Coscribe,
}

impl Dialect {
    /// One frame for one message, or nothing where the dialect has no words for it.
    pub fn encode(self, message: ServerMessage<'_>) -> Option<Bytes> {
        y_websocket::encode(message, self == Self::Coscribe)
    }

    /// Whether the peer counts `Saved` messages. Stock clients see their own update come back instead.
    pub fn is_told_what_is_saved(self) -> bool {
        self == Self::Coscribe
    }
}

/// Why a frame could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame ends inside a message")]
    Truncated,
    #[error("a number in the frame is too large")]
    Number,
    #[error("unknown sync message {0}")]
    UnknownSync(u64),
    #[error("the frame is empty")]
    Empty,
}
