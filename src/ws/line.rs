//! One peer's outbox on its way into the socket.
//!
//! Frames leave in two ways. The connection takes them when it polls its body. Where it has nothing left that comes before,
//! they are written past it, by whoever wakes the socket: the pump of the worker, in whose thread the line is found.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

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
    /// With which the outbox calls for this line.
    waker: Option<Waker>,
}

impl Line {
    pub(super) fn new(frames: Frames, tap: Option<Tap>) -> Self {
        Self {
            frames,
            tap,
            rest: Bytes::new(),
            waker: None,
        }
    }

    /// The connection is there, and has the head of the response to write first. From now on [`send`] finds this line.
    pub(super) fn open(this: &Rc<RefCell<Self>>, waker: Waker) {
        let mut line = this.borrow_mut();
        line.waker = Some(waker);
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

    /// The frames that wait, up to a bound, and whether there may be more.
    pub(super) fn chunk(&self, cx: &Context<'_>) -> (Bytes, bool) {
        let (chunk, more) = self.frames.take(cx);
        if !chunk.is_empty() {
            self.frames.signals.sent.set(Instant::now());
        }
        (chunk.freeze(), more)
    }

    /// See [`send`].
    fn send(&mut self) -> bool {
        let (Some(tap), Some(waker)) = (&self.tap, &self.waker) else {
            return false;
        };
        if !tap.is_free() {
            return false;
        }
        let (mut chunk, more) = self.chunk(&Context::from_waker(waker));
        if !chunk.is_empty() {
            chunk.advance(tap.write(&chunk));
        }
        if !chunk.is_empty() {
            tap.give_way();
            self.rest = chunk;
            return false;
        }
        !more
    }
}

/// Writes what waits for a peer past its connection. False where that did not do it: the connection is to go on.
pub(super) fn send(peer: PeerId) -> bool {
    let line = LINES.try_with(|lines| lines.borrow().get(&peer).cloned());
    let Ok(Some(line)) = line else {
        return false;
    };
    line.try_borrow_mut().is_ok_and(|mut line| line.send())
}

impl Frames {
    fn take(&self, cx: &Context<'_>) -> (BytesMut, bool) {
        let mut chunk = BytesMut::new();
        while chunk.len() < MAX_CHUNK {
            let frame = match self.outbox.poll_next(cx) {
                Poll::Pending => return (chunk, false),
                Poll::Ready(Next::Frame(frame)) => frame,
                Poll::Ready(Next::Saved(count)) => {
                    match self.dialect.encode(ServerMessage::Saved(count)) {
                        Some(frame) => frame,
                        None => continue,
                    }
                }
                Poll::Ready(Next::Question) => {
                    self.signals.questioned.notify_one();
                    continue;
                }
                Poll::Ready(Next::Empty) => {
                    if self.mailbox.post(Event::Drained(self.peer)).is_err() {
                        self.signals.close(None);
                    }
                    continue;
                }
                Poll::Ready(Next::Close(close)) => {
                    self.signals.close(Some(close));
                    return (chunk, false);
                }
            };
            Parser::write_message(&mut chunk, frame, OpCode::Binary, true, false);
        }
        (chunk, true)
    }
}
