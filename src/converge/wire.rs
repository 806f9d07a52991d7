//! What a person and a server say to each other, whatever the protocol frames it in. The client's side only.

use bytes::Bytes;

use super::hocuspocus;
use crate::protocol::{ClientMessage, FrameError, ServerMessage, y_websocket};

/// The y-websocket message by which a server refuses something.
const DENIED: u8 = 2;

/// Which protocol a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    YWebsocket,
    Hocuspocus,
}

impl Protocol {
    /// The names on the command line.
    pub const NAMES: [&'static str; 2] = ["y-websocket", "hocuspocus"];

    /// The protocol of this name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "y-websocket" => Some(Self::YWebsocket),
            "hocuspocus" => Some(Self::Hocuspocus),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::YWebsocket => "y-websocket",
            Self::Hocuspocus => "hocuspocus",
        }
    }
}

/// By what a server says that it keeps an edit from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledgement {
    /// It sends an update back to its sender when it is stored, as Coscribe does.
    Echo,
    /// It answers each message that changes the document with a status, in their order (Hocuspocus).
    Status,
    /// It says nothing of the kind; stock y-websocket servers send an update back before they store anything.
    Nothing,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Its state vector: it asks for what it lacks.
    Question(Bytes),
    /// The answer to our question: an update.
    Answer(Bytes),
    /// A change: an update.
    Change(Bytes),
    /// Whether it took the oldest of our answers and changes that it has not spoken of yet.
    Status(bool),
    /// It refuses something, in its words.
    Denied(String),
    /// It closes this document, in its words.
    Closed(String),
    /// It wants to hear this at once.
    Reply(Bytes),
}

/// The wording for one document on one server.
#[derive(Debug, Clone)]
pub struct Wire {
    protocol: Protocol,
    document: String,
}

impl Wire {
    pub fn new(protocol: Protocol, document: &str) -> Self {
        Self {
            protocol,
            document: document.to_owned(),
        }
    }

    /// Whether the server answers each message that changes the document with a status.
    pub fn has_status(&self) -> bool {
        self.protocol == Protocol::Hocuspocus
    }

    /// Where to connect to: y-websocket has the document's name in the address, Hocuspocus in each frame.
    pub fn url(&self, server: &str) -> String {
        match self.protocol {
            Protocol::YWebsocket => format!("{}/{}", server.trim_end_matches('/'), self.document),
            Protocol::Hocuspocus => server.to_owned(),
        }
    }

    /// What a client says first on each connection: who it is, where the protocol asks for it, and what it has.
    pub fn hello(&self, vector: &[u8]) -> Vec<Bytes> {
        let question = self.frame(ServerMessage::SyncStep1(vector));
        match self.protocol {
            Protocol::YWebsocket => vec![question],
            Protocol::Hocuspocus => vec![hocuspocus::auth(&self.document), question],
        }
    }

    /// The answer to the server's question.
    pub fn answer(&self, update: &[u8]) -> Bytes {
        self.frame(ServerMessage::SyncStep2(update))
    }

    /// A change of our own.
    pub fn change(&self, update: &[u8]) -> Bytes {
        self.frame(ServerMessage::Update(update))
    }

    fn frame(&self, message: ServerMessage<'_>) -> Bytes {
        // These messages have words in both protocols.
        let frame = y_websocket::encode(message, false).unwrap_or_default();
        match self.protocol {
            Protocol::YWebsocket => frame,
            Protocol::Hocuspocus => hocuspocus::address(&self.document, &frame),
        }
    }

    /// Reads a frame of the server. What is of no concern here, such as cursors, is passed over.
    pub fn read(&self, frame: &Bytes) -> Result<Vec<Heard>, FrameError> {
        match self.protocol {
            Protocol::YWebsocket if frame.first() == Some(&DENIED) => {
                let reason = frame.get(3..).unwrap_or_default();
                Ok(vec![Heard::Denied(
                    String::from_utf8_lossy(reason).into_owned(),
                )])
            }
            Protocol::YWebsocket => sync(frame),
            Protocol::Hocuspocus => hocuspocus::read(&self.document, frame),
        }
    }
}

/// Reads the messages that both protocols word alike.
pub(super) fn sync(frame: &Bytes) -> Result<Vec<Heard>, FrameError> {
    let mut heard = Vec::new();
    y_websocket::decode(frame, |message| match message {
        ClientMessage::SyncStep1(vector) => heard.push(Heard::Question(vector)),
        ClientMessage::SyncStep2(update) => heard.push(Heard::Answer(update)),
        ClientMessage::Update(update) => heard.push(Heard::Change(update)),
        ClientMessage::Awareness(_) | ClientMessage::QueryAwareness => {}
    })?;
    Ok(heard)
}
