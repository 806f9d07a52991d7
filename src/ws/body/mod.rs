//! The bytes that leave through a connection: the peer's outbox, framed as it is sent.
//!
//! actix-ws sends through a channel, from a task of ours to the task of the connection; each frame then wakes two tasks.
//! Nearly everything that leaves is in the outbox already, so the connection takes it from there itself, as many frames
//! at once as there are, and the session's channel carries only pings, pongs and the close. Most frames do not even come
//! here: `line` writes them while the connection is at rest.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};

use super::{
    line::{Frames, Line},
    wire::Tap,
};
use crate::protocol::close::Close;

/// What the body tells the socket's task.
pub(super) struct Signals {
    /// When a frame left last.
    pub sent: Cell<Instant>,
    /// The peer is to be asked for a sign of life.
    pub questioned: Notify,
    close: Cell<Option<Close>>,
    closing: Notify,
    /// The connection is to stay after the last frame, until the client has read it.
    held: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Signals {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            sent: Cell::new(Instant::now()),
            questioned: Notify::new(),
            close: Cell::new(None),
            closing: Notify::new(),
            held: Cell::new(false),
            waiting: Cell::new(None),
        })
    }

    /// Waits until the room wants the socket closed, and everything that comes before has left.
    pub(super) async fn closed(&self) -> Option<Close> {
        self.closing.notified().await;
        self.close.take()
    }

    /// Keeps the connection open although nothing more will be sent, until [`Self::release`].
    pub(super) fn hold(&self) {
        self.held.set(true);
    }

    pub(super) fn release(&self) {
        self.held.set(false);
        if let Some(connection) = self.waiting.take() {
            connection.wake();
        }
    }

    /// What the connection gets for its end.
    fn end<T>(&self, connection: &Waker) -> Poll<Option<T>> {
        if self.held.get() {
            self.waiting.set(Some(connection.clone()));
            return Poll::Pending;
        }
        Poll::Ready(None)
    }

    pub(super) fn close(&self, close: Option<Close>) {
        self.close.set(close);
        self.closing.notify_one();
    }
}

/// The response body of a WebSocket.
pub(super) struct SocketBody {
    line: Rc<RefCell<Line>>,
    /// What actix-ws sends: control frames.
    control: BoxBody,
    gate: Option<Gate>,
}

impl SocketBody {
    pub(super) fn new(frames: Frames, control: BoxBody, tap: Option<Tap>) -> Self {
        Self {
            line: Rc::new(RefCell::new(Line::new(frames, tap))),
            control,
            gate: None,
        }
    }
}

/// A waker that remembers that it was called. The connection polls its body for many reasons and again after each chunk;
/// asking for control frames every time would cost more than what it costs to send a short frame.
struct Gate {
    waker: Waker,
    opened: Arc<Opened>,
}

struct Opened {
    open: AtomicBool,
    connection: Waker,
}

impl Wake for Opened {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.open.store(true, Ordering::Release);
        self.connection.wake_by_ref();
    }
}

impl Gate {
    /// Open, as nobody has asked the source yet.
    fn new(connection: &Waker) -> Self {
        let opened = Arc::new(Opened {
            open: AtomicBool::new(true),
            connection: connection.clone(),
        });
        Self {
            waker: opened.clone().into(),
            opened,
        }
    }

    /// Closes an open gate: its source is to be asked now, with this waker. What comes meanwhile opens it again.
    fn pass(&self) -> Option<Context<'_>> {
        let open = self.opened.open.load(Ordering::Acquire);
        if open {
            self.opened.open.store(false, Ordering::Release);
        }
        open.then(|| Context::from_waker(&self.waker))
    }

    /// The source has more.
    fn reopen(&self) {
        self.opened.open.store(true, Ordering::Release);
    }
}

type BodyError = <BoxBody as MessageBody>::Error;

impl SocketBody {
    fn poll_bytes(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        // The task that polls is always the same one.
        let known = |gate: &&Gate| gate.opened.connection.will_wake(cx.waker());
        if self.gate.as_ref().filter(known).is_none() {
            Line::open(&self.line, cx.waker());
            self.gate = Some(Gate::new(cx.waker()));
        }
        let mut line = self.line.borrow_mut();
        if let Some(rest) = line.rest() {
            return Poll::Ready(Some(Ok(rest)));
        }
        if let Some(gate) = &self.gate
            && let Some(mut cx) = gate.pass()
            && let Poll::Ready(control) = Pin::new(&mut self.control).poll_next(&mut cx)
        {
            gate.reopen();
            if control.is_none() {
                return line.frames.signals.end(cx.waker());
            }
            return Poll::Ready(control);
        }
        match line.chunk() {
            Some(chunk) => Poll::Ready(Some(Ok(chunk))),
            None => Poll::Pending,
        }
    }
}

impl MessageBody for SocketBody {
    type Error = BodyError;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let bytes = this.poll_bytes(cx);
        if matches!(bytes, Poll::Ready(Some(_))) {
            this.line.borrow().give_way();
        }
        bytes
    }
}

impl Drop for SocketBody {
    fn drop(&mut self) {
        self.line.borrow().shut();
    }
}

#[cfg(test)]
mod tests;
