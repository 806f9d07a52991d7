//! One connection of a person: a WebSocket through the person's proxy.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::DuplexStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, error::ProtocolError, protocol::WebSocketConfig},
};

use super::proxy::Tap;
use crate::dial::{Endpoint, Stream, wants_tls};

/// A connection that is not made by then counts as refused.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// A frame that is not taken by then ends the connection.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// The server may take so long to say goodbye.
const CLOSE_PATIENCE: Duration = Duration::from_millis(200);

/// An open connection.
pub struct Link {
    socket: WebSocketStream<DuplexStream>,
    /// Frames that the socket has not been given. Bounded by what one person sends in a plan.
    outgoing: VecDeque<Bytes>,
    tap: Tap,
}

/// Why a connection ended or was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

impl Link {
    /// Connects to the host and port of `url`, with TLS where it asks for it.
    pub async fn dial(url: &str) -> Result<Stream, LinkError> {
        let address = url::Url::parse(url).map_err(|error| LinkError(error.to_string()))?;
        let endpoint = Endpoint::of(&address).map_err(|error| LinkError(error.to_string()))?;
        match timeout(CONNECT_PATIENCE, endpoint.dial()).await {
            Ok(stream) => stream.map_err(|error| LinkError(error.to_string())),
            Err(_) => Err(too_slow()),
        }
    }

    /// Opens a WebSocket on a connection of the proxy.
    pub async fn open(url: &str, (stream, tap): (DuplexStream, Tap)) -> Result<Self, LinkError> {
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let opening = client_async_with_config(url, stream, Some(config));
        match timeout(CONNECT_PATIENCE, opening).await {
            Ok(Ok((socket, _))) => Ok(Self {
                socket,
                outgoing: VecDeque::new(),
                tap,
            }),
            Ok(Err(error)) => Err(LinkError(refused(&error))),
            Err(_) => Err(too_slow()),
        }
    }

    /// Waits for a frame; none when something else came. Loses nothing when it is dropped before its end.
    pub async fn receive(&mut self) -> Result<Option<Bytes>, LinkError> {
        match self.socket.next().await {
            Some(Ok(Message::Binary(frame))) => Ok(Some(frame)),
            Some(Ok(Message::Close(close))) => Err(LinkError(match close {
                Some(close) => format!("closed with {} {}", u16::from(close.code), close.reason),
                None => "closed".to_owned(),
            })),
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(LinkError(error.to_string())),
            None => Err(LinkError("the connection ended".to_owned())),
        }
    }

    /// Keeps a frame for the next [`flush`](Self::flush).
    pub fn send(&mut self, frame: Bytes) {
        self.outgoing.push_back(frame);
    }

    /// Gives the socket all that was kept for it.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        while let Some(frame) = self.outgoing.pop_front() {
            match timeout(SEND_PATIENCE, self.socket.send(Message::Binary(frame))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(LinkError(error.to_string())),
                Err(_) => return Err(LinkError("the server does not read".to_owned())),
            }
        }
        Ok(())
    }

    /// Whether something is kept for the socket.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// What is sent from now on reaches the server no earlier than then, even when the link is let go before.
    pub fn late(&self, until: Instant) {
        self.tap.late(until);
    }

    /// Leaves the connection without a word; what is under way arrives all the same.
    pub fn let_go(self) {
        self.tap.let_go();
    }

    /// Says goodbye as a client does that ends in order.
    pub async fn close(mut self) {
        let goodbye = async {
            // Whether the server hears it is its affair.
            let _closed = self.socket.close(None).await;
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        let _ended = timeout(CLOSE_PATIENCE, goodbye).await;
    }
}

/// Why a server did not open a WebSocket.
fn refused(error: &Error) -> String {
    match error {
        Error::Http(answer) if answer.body().as_deref().is_some_and(wants_tls) => {
            "the server wants TLS at this port; write wss:// in the address".to_owned()
        }
        Error::Protocol(ProtocolError::HttparseError(_)) => {
            "what listens there answers, but not in HTTP; if it speaks TLS, write wss:// in the address".to_owned()
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            "the server ended the connection without an answer; if it speaks TLS, write wss:// in the address".to_owned()
        }
        other => other.to_string(),
    }
}

fn too_slow() -> LinkError {
    LinkError(format!("no answer within {} s", CONNECT_PATIENCE.as_secs()))
}
