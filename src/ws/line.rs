//! One peer's outbox on its way into the socket.
//!
//! Frames leave in two ways. The connection takes them when it polls its body. Where it has nothing left that comes before,
//! they are written past it, by the pump of the worker, in whose thread the line is found.

use std::{cell::RefCell, rc::Rc, sync::Arc, task::Waker};

use actix_http::ws::{OpCode, Parser};
use bytes::{Buf as _, Bytes, BytesMut};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{body::Signals, wire::Tap};
use crate::{
    protocol::{Dialect, ServerMessage},
    room::{
        event::{Event, PeerId},
        mailbox::Mailbox,
        outbox::{Next, Outbox},
    },
};

/// Frames are put together up to this size, in bytes, which is what the connection buffers.
const MAX_CHUNK: usize = 32 << 10;

thread_local! {
    /// The lines of this worker's sockets.
    static LINES: RefCell<FxHashMap<PeerId, Rc<RefCell<Line>>>> = RefCell::default();
}

/// Where a peer's frames come from.
pub(super) struct Frames {
    pub peer: PeerId,
    pub mailbox: Arc<Mailbox>,
    pub outbox: Arc<Outbox>,
    pub dialect: Dialect,
    pub signals: Rc<Signals>,
}

/// Where they go.
pub(super) struct Line {
    pub frames: Frames,
    tap: Option<Tap>,
    /// What the kernel did not take of a chunk that was written past the connection. It comes before everything else.
    rest: Bytes,
    /// Once it has polled its body.
    connection: Option<Waker>,
    /// The connection is to look what the outbox has.
    called: bool,
}

impl Line {
    pub(super) fn new(frames: Frames, tap: Option<Tap>) -> Self {
        Self {
            frames,
            tap,
            rest: Bytes::new(),
            connection: None,
            called: false,
        }
    }

    /// The connection is there, and has the head of the response to write first. From now on [`call`] finds this line.
    pub(super) fn open(this: &Rc<RefCell<Self>>, connection: &Waker) {
        let mut line = this.borrow_mut();
        line.connection = Some(connection.clone());
        line.called = true;
        line.give_way();
        LINES.with_borrow_mut(|lines| lines.insert(line.frames.peer, this.clone()));
    }

    /// The connection has ended.
    pub(super) fn shut(&self) {
        // At the end of the thread all lines go at once.
        LINES
            .try_with(|lines| lines.borrow_mut().remove(&self.frames.peer))
            .ok();
    }

    /// The connection gets bytes that are to leave before everything that is still here.
    pub(super) fn give_way(&self) {
        if let Some(tap) = &self.tap {
            tap.give_way();
        }
    }

    /// What is to leave before everything else.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        (!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest))
    }

    /// The frames that wait, up to a bound, if the connection was called for some.
    pub(super) fn chunk(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.called) {
            return None;
        }
        let mut chunk = BytesMut::new();
        self.called = self.frames.take(&mut chunk);
        if chunk.is_empty() {
            return None;
        }
        self.frames.signals.sent.set(Instant::now());
        Some(chunk.freeze())
    }

    /// The outbox has something: it is written past the connection if that is at rest, otherwise the connection is woken.
    fn call(&mut self, now: Instant, chunk: &mut BytesMut) {
        if !self.send(now, chunk)
            && let Some(connection) = &self.connection
        {
            self.called = true;
            connection.wake_by_ref();
        }
    }

    /// False where something is left for the connection.
    fn send(&mut self, now: Instant, chunk: &mut BytesMut) -> bool {
        let Some(tap) = self.tap.as_ref().filter(|tap| tap.is_free()) else {
            return false;
        };
        chunk.clear();
        let more = self.frames.take(chunk);
        if chunk.is_empty() {
            return !more;
        }
        self.frames.signals.sent.set(now);
        let written = tap.write(chunk);
        if written < chunk.len() {
            tap.give_way();
            chunk.advance(written);
            self.rest = chunk.split().freeze();
            return false;
        }
        !more
    }
}

/// The outboxes of these peers have something. Peers without a line in this thread are gone.
pub(super) fn call(peers: &[PeerId]) {
    let now = Instant::now();
    let mut chunk = BytesMut::new();
    for peer in peers {
        let line = LINES.try_with(|lines| lines.borrow().get(peer).cloned());
        if let Ok(Some(line)) = line {
            line.borrow_mut().call(now, &mut chunk);
        }
    }
}

impl Frames {
    /// Frames what is next, up to a bound, and says whether there may be more.
    fn take(&self, chunk: &mut BytesMut) -> bool {
        while chunk.len() < MAX_CHUNK {
            let Some(next) = self.outbox.next_or_call() else {
                return false;
            };
            let frame = match next {
                Next::Frame(frame) => frame,
                Next::Saved(count) => match self.dialect.encode(ServerMessage::Saved(count)) {
                    Some(frame) => frame,
                    None => continue,
                },
                Next::Question => {
                    self.signals.questioned.notify_one();
                    continue;
                }
                Next::Empty => {
                    if self.mailbox.post(Event::Drained(self.peer)).is_err() {
                        self.signals.close(None);
                    }
                    continue;
                }
                Next::Close(close) => {
                    self.signals.close(Some(close));
                    return false;
                }
            };
            Parser::write_message(chunk, frame, OpCode::Binary, true, false);
        }
        true
    }
}
