//! The TCP stream of a connection, to which a socket may write past the connection.
//!
//! For one short frame actix polls the whole stack of a connection, from the worker's service down to the response body,
//! which outside the kernel costs more than all else that a fan-out does for a reader. Between frames that stack holds
//! nothing that belongs before the next one, and then the frame can go to the kernel at once (ADR 16).

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream as the connection has it.
pub struct Wire(Rc<Shared>);

/// The same stream for what writes past the connection.
#[derive(Clone)]
pub struct Tap(Rc<Shared>);

struct Shared {
    stream: RefCell<TcpStream>,
    /// All that the connection was given is with the kernel.
    at_rest: Cell<bool>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self(Rc::new(Shared {
            stream: RefCell::new(stream),
            at_rest: Cell::new(false),
        }))
    }

    pub fn tap(&self) -> Tap {
        Tap(self.0.clone())
    }
}

impl Tap {
    /// All that the connection was given is with the kernel, so what is written now comes after it.
    pub(super) fn is_free(&self) -> bool {
        self.0.at_rest.get()
    }

    /// The connection gets bytes: until it has flushed them, nothing is to be written past it.
    pub(super) fn give_way(&self) {
        self.0.at_rest.set(false);
    }

    /// Writes as much as goes without waiting, and answers how much. An error is left for the connection, which meets it
    /// with its next write.
    pub(super) fn write(&self, bytes: &[u8]) -> usize {
        let stream = self.0.stream.try_borrow();
        stream.map_or(0, |stream| stream.try_write(bytes).unwrap_or(0))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes)
    }

    /// actix flushes when its buffer is empty, never with bytes in it.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.at_rest.set(true);
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.at_rest.set(false);
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

impl ActixStream for Wire {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&*self.0.stream.borrow(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&*self.0.stream.borrow(), cx)
    }
}
