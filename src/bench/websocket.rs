//! The client's half of a WebSocket, reduced to what a load generator needs, so that the generator is not what is
//! measured: frames are parsed in place in one buffer that all sockets of the thread share, and many frames leave in
//! one write. It does not join fragments, as no server of this field makes any.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
    task::{Poll, ready},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::ReadBuf;

use super::stream::{ReadHalf, WriteHalf, split};
use crate::dial::{self, Tls, wants_tls};

/// One read takes at most this much. Large enough that a saturated socket is emptied with few system calls.
const SCRATCH_BYTES: usize = 256 * 1024;
/// What is kept of a frame that is only skimmed: enough for the message's type and length.
const HEAD_BYTES: usize = 16;
/// A buffer that grew beyond this gives its memory back after use, as thousands of sockets are open at once.
const KEEP_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// A binary message as it arrived: the whole payload, or only its first bytes where the reader skims large ones.
pub struct Message<'a> {
    pub bytes: &'a [u8],
    pub len: usize,
}

/// Opens a socket and asks for the upgrade; returns when the server has agreed. `host` is what the request names.
///
/// # Errors
/// When nobody listens at the address, the TLS handshake fails where there is one, or the upgrade is refused.
pub async fn connect(
    address: SocketAddr,
    tls: Option<&Tls>,
    host: &str,
    path: &str,
) -> Result<(Receiver, Sender)> {
    let stream = dial::connect(address, tls)
        .await
        .with_context(|| format!("no connection to {address}"))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZCBnZW5lcmF0b3IuLg==\r\n\r\n"
    );
    let (read, mut write) = split(stream);
    write.write_all(request.as_bytes()).await?;
    let writing = Rc::new(Cell::new(false));
    let mut receiver = Receiver {
        writing: Rc::clone(&writing),
        read,
        frames: Frames::default(),
        early: false,
    };
    receiver.upgraded().await?;
    let mask = rand::random::<u32>().to_le_bytes();
    Ok((
        receiver,
        Sender {
            writing,
            write,
            mask,
            out: Vec::new(),
        },
    ))
}

/// The reading half.
pub struct Receiver {
    read: ReadHalf,
    frames: Frames,
    /// Frames came in the same read as the upgrade's answer and wait in `frames`.
    early: bool,
    /// The sender is in the middle of a write, which a pong must not interrupt.
    writing: Rc<Cell<bool>>,
}

impl Receiver {
    /// Of messages larger than this only the first bytes are kept and shown.
    pub fn skim_over(&mut self, bytes: usize) {
        self.frames.skim_over(bytes);
    }

    /// Waits for bytes from the server and hands every binary message that they complete to `each`.
    ///
    /// # Errors
    /// When the connection ends, what comes is no frame of a server, or `each` fails.
    pub async fn receive(&mut self, mut each: impl FnMut(Message<'_>) -> Result<()>) -> Result<()> {
        if std::mem::take(&mut self.early) {
            self.frames.feed(&[], &mut each)?;
        } else {
            self.read_into(|frames, bytes| frames.feed(bytes, &mut each))
                .await?;
        }
        if std::mem::take(&mut self.frames.pinged) && !self.writing.get() {
            self.pong()?;
        }
        Ok(())
    }

    /// Tells a server that asked that we live. One that hears from a busy writer knows that anyway.
    fn pong(&self) -> Result<()> {
        // An empty pong, masked with zeros.
        let written = self.read.try_write(&[0x8A, 0x80, 0, 0, 0, 0])?;
        ensure!(written == 6, "a pong went out by halves");
        Ok(())
    }

    async fn upgraded(&mut self) -> Result<()> {
        loop {
            self.read_into(|frames, bytes| {
                frames.kept.extend_from_slice(bytes);
                Ok(())
            })
            .await
            .context("no answer to the upgrade; a server that speaks TLS at this port needs wss:// in the address")?;
            let kept = &mut self.frames.kept;
            ensure!(
                kept.starts_with(b"HTTP/1.1 101") || !wants_tls(kept),
                "the server wants TLS at this port; write wss:// in the address"
            );
            let Some(end) = kept.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            ensure!(
                kept.starts_with(b"HTTP/1.1 101"),
                "the upgrade was refused: {}",
                String::from_utf8_lossy(kept)
                    .lines()
                    .next()
                    .unwrap_or_default()
            );
            kept.drain(..end + 4);
            self.early = !kept.is_empty();
            return Ok(());
        }
    }

    async fn read_into(
        &mut self,
        mut taken: impl FnMut(&mut Frames, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Self { read, frames, .. } = self;
        poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(read.poll_read(context, &mut buffer)).context("reading")?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Err(anyhow::anyhow!("the server closed the connection")));
                }
                Poll::Ready(taken(frames, buffer.filled()))
            })
        })
        .await
    }
}

/// The writing half. Frames are queued and leave together.
pub struct Sender {
    write: WriteHalf,
    mask: [u8; 4],
    out: Vec<u8>,
    writing: Rc<Cell<bool>>,
}

impl Sender {
    /// Queues one masked binary frame whose payload is `parts` in a row.
    pub fn queue(&mut self, parts: &[&[u8]]) {
        push_frame(&mut self.out, self.mask, parts);
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn flush(&mut self) -> Result<()> {
        self.writing.set(true);
        self.write.write_all(&self.out).await.context("writing")?;
        self.writing.set(false);
        self.out.clear();
        self.out.shrink_to(KEEP_BYTES);
        Ok(())
    }

    /// Writes what is queued and one more frame.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn send(&mut self, parts: &[&[u8]]) -> Result<()> {
        self.queue(parts);
        self.flush().await
    }

    /// Writes frames that were made beforehand with [`push_frame`].
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn write_frames(&mut self, frames: &[u8]) -> Result<()> {
        self.writing.set(true);
        self.write.write_all(frames).await.context("writing")?;
        self.writing.set(false);
        Ok(())
    }
}

/// Appends a final, masked, binary frame.
pub fn push_frame(out: &mut Vec<u8>, mask: [u8; 4], parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    out.push(0x82);
    match len {
        0..126 => out.push(0x80 | len as u8),
        126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let payload = parts.iter().flat_map(|part| part.iter());
    out.extend(
        payload
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
}

/// Cuts a stream of bytes into messages.
pub struct Frames {
    /// The beginning of a frame that has not arrived in full.
    kept: Vec<u8>,
    skimmed: Option<Skimmed>,
    skim_over: usize,
    pinged: bool,
}

/// A large message of which only the head is kept.
struct Skimmed {
    head: Vec<u8>,
    len: usize,
    missing: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            skimmed: None,
            skim_over: usize::MAX,
            pinged: false,
        }
    }
}

impl Frames {
    /// Of messages larger than this only the first bytes are kept and shown.
    pub fn skim_over(&mut self, bytes: usize) {
        self.skim_over = bytes;
    }

    /// Takes bytes as they arrive and hands out every message that they complete.
    ///
    /// # Errors
    /// When the bytes are no frames of a server, the server closes, or `each` fails.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Message<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.kept.is_empty() {
            let used = self.cut(bytes, each)?;
            self.kept.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(bytes);
        let used = self.cut(&kept, each)?;
        kept.drain(..used);
        if kept.is_empty() {
            kept.shrink_to(KEEP_BYTES);
        }
        self.kept = kept;
        Ok(())
    }

    /// Hands out what is complete and returns how many bytes that used.
    fn cut(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Message<'_>) -> Result<()>,
    ) -> Result<usize> {
        let mut at = 0;
        loop {
            if let Some(skimmed) = &mut self.skimmed {
                let here = skimmed.missing.min(bytes.len() - at);
                let head = HEAD_BYTES.saturating_sub(skimmed.head.len()).min(here);
                skimmed.head.extend_from_slice(&bytes[at..at + head]);
                skimmed.missing -= here;
                at += here;
                if skimmed.missing > 0 {
                    return Ok(at);
                }
                each(Message {
                    bytes: &skimmed.head,
                    len: skimmed.len,
                })?;
                self.skimmed = None;
            }
            let Some((opcode, header, len)) = frame_header(&bytes[at..])? else {
                return Ok(at);
            };
            if len > self.skim_over {
                self.skimmed = Some(Skimmed {
                    head: Vec::new(),
                    len,
                    missing: len,
                });
                at += header;
                continue;
            }
            let Some(payload) = bytes.get(at + header..at + header + len) else {
                return Ok(at);
            };
            at += header + len;
            match opcode {
                0x2 => each(Message {
                    bytes: payload,
                    len,
                })?,
                0x8 => bail!("the server closed the socket: {}", close_reason(payload)),
                0x9 => self.pinged = true,
                0xA => {}
                other => bail!("a frame with opcode {other:#x}"),
            }
        }
    }
}

/// Opcode, length of the header and of the payload, once the header is there.
fn frame_header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    ensure!(
        first & 0xF0 == 0x80,
        "a fragmented or extended frame ({first:#04x})"
    );
    ensure!(second & 0x80 == 0, "a masked frame from a server");
    let opcode = first & 0x0F;
    Ok(match (second, rest) {
        (0..126, _) => Some((opcode, 2, usize::from(second))),
        (126, &[a, b, ..]) => Some((opcode, 4, usize::from(u16::from_be_bytes([a, b])))),
        (127, &[a, b, c, d, e, f, g, h, ..]) => Some((
            opcode,
            10,
            usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h]))?,
        )),
        _ => None,
    })
}

fn close_reason(payload: &[u8]) -> String {
    match payload {
        [a, b, reason @ ..] => format!(
            "{} {}",
            u16::from_be_bytes([*a, *b]),
            String::from_utf8_lossy(reason)
        ),
        _ => "no code".into(),
    }
}
