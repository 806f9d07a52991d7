//! One task for each socket: reads frames into the room's mailbox and watches over the connection, whose other
//! direction is in `body`.
//!
//! Reading goes on while a write waits for a peer that does not read, so that a client which sends a long history
//! before it reads any acknowledgement can not lock itself out. A full mailbox stops the reading of this socket only.

use std::{cell::Cell, io::ErrorKind, pin::Pin, rc::Rc, sync::Arc, task::Poll, time::Duration};

use actix_web::error::PayloadError;
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode as WireCode, CloseReason, ProtocolError,
    Session,
};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Instant;

use super::{
    body::Signals,
    inbound::Inbound,
    rate::{Rate, RateLimit},
};
use crate::{
    protocol::{
        ClientMessage,
        close::{Close, CloseCode},
        y_websocket::{self, KEEP_ALIVE},
    },
    room::{
        event::{Event, PeerId},
        mailbox::{MESSAGE_OVERHEAD, Mailbox},
        outbox::Outbox,
    },
};

/// Messages handed to the room at once. More wait in the socket's buffer.
const MAX_MESSAGES: usize = 1_024;
/// Bytes of messages handed to the room at once.
const MAX_BYTES: usize = 256 << 10;

/// How long a peer may take to answer when its client seems to have come back on another socket.
const PROOF_OF_LIFE: Duration = Duration::from_secs(5);

/// How long a socket whose room is gone waits for its outbox to say why, and how long a client may take to answer a
/// close.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a socket task needs to know.
pub struct Connection {
    pub peer: PeerId,
    pub mailbox: Arc<Mailbox>,
    pub outbox: Arc<Outbox>,
    pub rate: RateLimit,
    /// The longest silence in either direction before something is sent. Stock clients give up after 30 s.
    pub ping_interval: Duration,
    /// Without a sign of life for so long the socket counts as dead.
    pub dead_after: Duration,
}

/// When the socket last showed life, shared by the halves of the task.
struct Pulse {
    received: Cell<Instant>,
    /// What was received is not handed on yet, and nothing is read meanwhile: the silence is ours.
    busy: Cell<bool>,
    signals: Rc<Signals>,
}

impl Connection {
    /// Carries frames until either side ends the connection. The halves borrow what they use: a copy of each in each
    /// future would be kilobytes for every idle connection.
    pub(super) async fn run<S>(
        self,
        signals: Rc<Signals>,
        session: Session,
        inbound: Rc<Inbound>,
        mut stream: AggregatedMessageStream,
        slot: S,
    ) {
        let pulse = Pulse {
            received: Cell::new(signals.sent.get()),
            busy: Cell::new(false),
            signals,
        };
        let (mut answering, mut watching) = (session.clone(), session.clone());
        let close = tokio::select! {
            biased;
            close = pulse.signals.closed() => close,
            close = self.read(&mut answering, &mut stream, &pulse) => close,
            close = self.watch(&mut watching, &pulse) => close,
        };
        self.outbox.abandon();
        // The room is gone when it has closed this very socket.
        self.mailbox.post(Event::Left(self.peer)).ok();
        drop(slot);
        if let Some(close) = close {
            // Boxed, as it is needed once and its room would be kept all the time.
            Box::pin(say_goodbye(session, close, &pulse.signals, &inbound)).await;
        }
    }

    async fn read(
        &self,
        session: &mut Session,
        stream: &mut AggregatedMessageStream,
        pulse: &Pulse,
    ) -> Option<Close> {
        let mut rate = Rate::new(self.rate, Instant::now());
        loop {
            let mut messages = Vec::new();
            let batch = Batch::receive(stream, &mut messages).await;
            let now = Instant::now();
            pulse.received.set(now);
            if !messages.is_empty() {
                let cost = batch.bytes + messages.len() * MESSAGE_OVERHEAD;
                let wait = rate.spend(messages.len(), batch.bytes, now);
                let event = Event::Messages {
                    peer: self.peer,
                    messages,
                };
                pulse.busy.set(true);
                if self.mailbox.send(event, cost).await.is_err() {
                    // The room has ended; the reason is on its way out.
                    let reason = tokio::time::timeout(LAST_WORDS, pulse.signals.closed());
                    return reason.await.unwrap_or_else(|_| {
                        Some(Close::new(
                            CloseCode::Internal,
                            "the document was closed; please reconnect",
                        ))
                    });
                }
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                pulse.busy.set(false);
            }
            match batch.then {
                Then::GoOn => {}
                Then::Pong(payload) => {
                    if session.pong(&payload).await.is_err() {
                        return None;
                    }
                }
                Then::End(close) => return close,
            }
        }
    }

    /// Keeps a silent connection alive and finds one that is dead.
    ///
    /// Each direction has its own clock: a client that hears nothing for long reconnects, and one that only reads never
    /// says anything unless it is asked, however much it is sent.
    async fn watch(&self, session: &mut Session, pulse: &Pulse) -> Option<Close> {
        let (mut kept, mut asked) = (Instant::now(), Instant::now());
        loop {
            let keep_at = pulse.signals.sent.get().max(kept) + self.ping_interval;
            let ask_at = pulse.received.get().max(asked) + self.ping_interval;
            tokio::select! {
                () = tokio::time::sleep_until(keep_at.min(ask_at)) => {}
                () = pulse.signals.questioned.notified() => {
                    if let Some(close) = prove_life(session, pulse).await {
                        return Some(close);
                    }
                }
            }
            let now = Instant::now();
            if now.duration_since(pulse.received.get()) > self.dead_after {
                return Some(Close::new(CloseCode::TryLater, "no sign of life"));
            }
            if now >= pulse.signals.sent.get().max(kept) + self.ping_interval {
                kept = now;
                if self.outbox.bytes() == 0 {
                    self.outbox.push_control(Bytes::from_static(KEEP_ALIVE));
                    self.outbox.ring();
                }
            }
            if now >= pulse.received.get().max(asked) + self.ping_interval {
                asked = now;
                // The question waits behind what a slow peer has not read yet; it is looked after meanwhile.
                let ping = tokio::time::timeout(self.ping_interval, session.ping(b""));
                if let Ok(Err(_)) = ping.await {
                    return None;
                }
            }
        }
    }
}

/// Asks the peer for a sign of life and gives it a short time to answer.
async fn prove_life(session: &mut Session, pulse: &Pulse) -> Option<Close> {
    let asked = Instant::now();
    // A ping that can not even be handed over is a question as well.
    if let Ok(Err(_)) = tokio::time::timeout(PROOF_OF_LIFE, session.ping(b"")).await {
        return Some(Close::new(CloseCode::Normal, ""));
    }
    tokio::time::sleep_until(asked + PROOF_OF_LIFE).await;
    let silent = pulse.received.get() < asked && !pulse.busy.get();
    silent.then(|| Close::new(CloseCode::TryLater, "no sign of life"))
}

/// Closes the socket with a code. A peer that does not read can not be told; the socket's own timeout ends it.
///
/// A connection that is closed while something unread arrives is reset, and the client may never see the code. So what
/// it still sends is thrown away until it answers the close, for a short time.
async fn say_goodbye(
    session: Session,
    Close { code, reason }: Close,
    signals: &Signals,
    inbound: &Inbound,
) {
    let reason = CloseReason {
        code: WireCode::from(code.code()),
        description: Some(reason),
    };
    let ours = code != CloseCode::Normal;
    if ours {
        signals.hold();
    }
    tokio::time::timeout(Duration::from_secs(5), session.close(Some(reason)))
        .await
        .ok();
    if ours {
        tokio::time::timeout(LAST_WORDS, inbound.discard())
            .await
            .ok();
        signals.release();
    }
}

/// What one look at the socket brought beside messages.
struct Batch {
    bytes: usize,
    then: Then,
}

enum Then {
    GoOn,
    Pong(Bytes),
    End(Option<Close>),
}

impl Batch {
    /// Waits for a frame and takes all that are there with it, up to a bound.
    async fn receive(
        stream: &mut AggregatedMessageStream,
        messages: &mut Vec<ClientMessage>,
    ) -> Self {
        let mut bytes = 0;
        std::future::poll_fn(|cx| {
            let mut got_any = false;
            while messages.len() < MAX_MESSAGES && bytes < MAX_BYTES {
                let then = match Pin::new(&mut *stream).poll_next(cx) {
                    Poll::Pending if got_any => Then::GoOn,
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(AggregatedMessage::Binary(frame)))) => {
                        got_any = true;
                        bytes += frame.len();
                        match y_websocket::decode(&frame, |message| messages.push(message)) {
                            Ok(()) => continue,
                            Err(error) => {
                                Then::End(Some(Close::new(CloseCode::Malformed, error.to_string())))
                            }
                        }
                    }
                    Poll::Ready(Some(Ok(other))) => match other {
                        AggregatedMessage::Ping(payload) => Then::Pong(payload),
                        AggregatedMessage::Pong(_) => Then::GoOn,
                        AggregatedMessage::Close(_) => {
                            Then::End(Some(Close::new(CloseCode::Normal, "")))
                        }
                        _ => Then::End(Some(Close::new(
                            CloseCode::TextFrame,
                            "only binary frames have a meaning here",
                        ))),
                    },
                    Poll::Ready(Some(Err(error))) => Then::End(broken(&error)),
                    Poll::Ready(None) => Then::End(None),
                };
                return Poll::Ready(then);
            }
            Poll::Ready(Then::GoOn)
        })
        .await
        .with(bytes)
    }
}

impl Then {
    fn with(self, bytes: usize) -> Batch {
        Batch { bytes, then: self }
    }
}

/// The close for a frame that breaks the WebSocket protocol or a limit of it. `None` when the connection itself ended.
fn broken(error: &ProtocolError) -> Option<Close> {
    let too_big = || Close::new(CloseCode::TooBig, "the message is larger than the limit");
    match error {
        ProtocolError::Overflow => Some(too_big()),
        ProtocolError::Io(error) => match error.kind() {
            // Reserved bits are set, or a text is not UTF-8.
            ErrorKind::InvalidData => Some(Close::new(CloseCode::Protocol, error.to_string())),
            ErrorKind::Other => match error.get_ref().map(|cause| cause.downcast_ref()) {
                Some(Some(PayloadError::Overflow)) => Some(too_big()),
                Some(Some(_)) => None,
                // Fragments that together exceed the limit come as an error without a type of its own.
                _ => Some(too_big()),
            },
            _ => None,
        },
        other => Some(Close::new(CloseCode::Protocol, other.to_string())),
    }
}
