//! The two halves of a client's connection. A plain one is split by tokio, without a lock; with TLS both halves share
//! the state of the session, which one thread holds.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::dial::Stream;

/// The reading half.
pub enum ReadHalf {
    Plain(OwnedReadHalf),
    /// Both halves borrow it only while they are polled.
    Shared(Rc<RefCell<Stream>>),
}

/// The writing half.
pub enum WriteHalf {
    Plain(OwnedWriteHalf),
    Shared(Rc<RefCell<Stream>>),
}

/// Splits a connection.
pub fn split(stream: Stream) -> (ReadHalf, WriteHalf) {
    match stream {
        Stream::Plain(stream) => {
            let (read, write) = stream.into_split();
            (ReadHalf::Plain(read), WriteHalf::Plain(write))
        }
        secured @ Stream::Tls(_) => {
            let shared = Rc::new(RefCell::new(secured));
            (
                ReadHalf::Shared(Rc::clone(&shared)),
                WriteHalf::Shared(shared),
            )
        }
    }
}

impl ReadHalf {
    /// Reads what is there, or waits for more.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(read) => Pin::new(read).poll_read(context, buffer),
            Self::Shared(shared) => Pin::new(&mut *shared.borrow_mut()).poll_read(context, buffer),
        }
    }

    /// Writes a few bytes at once and returns how many the connection took. Only while no write of the other half is
    /// under way.
    ///
    /// # Errors
    /// When the connection has ended or is full.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(read) => {
                let stream: &TcpStream = read.as_ref();
                stream.try_write(bytes)
            }
            Self::Shared(shared) => {
                // Nobody is woken: what does not go now has failed.
                let context = &mut Context::from_waker(Waker::noop());
                let mut stream = shared.borrow_mut();
                let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(context, bytes) else {
                    return Err(io::ErrorKind::WouldBlock.into());
                };
                match Pin::new(&mut *stream).poll_flush(context) {
                    Poll::Ready(flushed) => flushed.and(written),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }
}

impl WriteHalf {
    /// Writes all of it, and sends it off.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let shared = match self {
            Self::Plain(write) => return write.write_all(bytes).await,
            Self::Shared(shared) => shared,
        };
        poll_fn(|context| {
            let mut stream = shared.borrow_mut();
            while !bytes.is_empty() {
                let written = ready!(Pin::new(&mut *stream).poll_write(context, bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Pin::new(&mut *stream).poll_flush(context)
        })
        .await
    }
}
