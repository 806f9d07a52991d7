//! The bytes that arrive at a socket, on their way to actix-ws.
//!
//! actix-ws looks at the size of a frame when it has all of it, so a client that announces gigabytes and sends them would
//! fill the memory. Here the heads of the frames (RFC 6455 §5.2) are read as the bytes pass, and a frame that is too
//! large ends the stream when its head has arrived.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    FromRequest as _, HttpRequest, dev,
    error::{ErrorInternalServerError, PayloadError},
    web,
};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use smallvec::SmallVec;

const OPCODE: u8 = 0x0f;
const OPCODE_CLOSE: u8 = 8;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// What a client sends.
pub(super) struct Inbound(RefCell<State>);

struct State {
    payload: dev::Payload,
    heads: Heads,
}

/// Follows the frames in a stream of bytes.
struct Heads {
    /// Largest payload of a frame, in bytes.
    largest: u64,
    /// The part of the current frame's head that has arrived: 14 bytes at most.
    head: SmallVec<[u8; 14]>,
    /// Bytes of the current frame that are still to come.
    left: u64,
    /// The current frame is a close.
    closes: bool,
}

/// What a chunk of bytes had in it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Frames,
    /// The head of a frame above the limit.
    TooLarge,
    /// The end of a close frame.
    Close,
}

impl Inbound {
    /// Takes over the body of a handshake. Answers, too, the body that is to be given to actix-ws instead.
    pub(super) fn take(
        request: &HttpRequest,
        body: web::Payload,
        largest: usize,
    ) -> actix_web::Result<(Rc<Self>, web::Payload)> {
        let inbound = Rc::new(Self(RefCell::new(State {
            payload: body.into_inner(),
            heads: Heads {
                largest: largest as u64,
                head: SmallVec::new(),
                left: 0,
                closes: false,
            },
        })));
        let payload: Pin<Box<dyn Stream<Item = _>>> = Box::pin(Limited(inbound.clone()));
        let body = web::Payload::from_request(request, &mut dev::Payload::Stream { payload });
        let body = body
            .now_or_never()
            .unwrap_or_else(|| Err(ErrorInternalServerError("the body is not there")))?;
        Ok((inbound, body))
    }

    /// Throws away what arrives, until the client has closed.
    pub(super) async fn discard(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            loop {
                match state.payload.poll_next_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                    Poll::Ready(Some(Ok(bytes))) => {
                        if state.heads.pass(&bytes, true) == Seen::Close {
                            return Poll::Ready(());
                        }
                    }
                }
            }
        })
        .await;
    }
}

/// The frames up to the first that is too large.
struct Limited(Rc<Inbound>);

impl Stream for Limited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.0.borrow_mut();
        let polled = state.payload.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &polled
            && state.heads.pass(bytes, false) == Seen::TooLarge
        {
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        polled
    }
}

impl Heads {
    /// Goes over the next bytes. With `any_size` a large frame is followed like every other.
    fn pass(&mut self, mut bytes: &[u8], any_size: bool) -> Seen {
        let mut seen = Seen::Frames;
        loop {
            let skipped =
                usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            bytes = &bytes[skipped..];
            self.left -= skipped as u64;
            if self.left == 0 && std::mem::take(&mut self.closes) {
                seen = Seen::Close;
            }
            let Some((first, rest)) = bytes.split_first() else {
                return seen;
            };
            bytes = rest;
            self.head.push(*first);
            if let Some(length) = self.whole_head() {
                self.closes = self.head[0] & OPCODE == OPCODE_CLOSE;
                self.left = length;
                self.head.clear();
                if length > self.largest && !any_size {
                    // The rest is followed by `discard`.
                    self.skip(bytes);
                    return Seen::TooLarge;
                }
            }
        }
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len() as u64);
    }

    /// The length that the head gives, once all of it is there.
    fn whole_head(&self) -> Option<u64> {
        let second = *self.head.get(1)?;
        let mask = if second & MASKED == 0 { 0 } else { 4 };
        let (extended, length) = match second & LENGTH {
            126 => (2, None),
            127 => (8, None),
            short => (0, Some(u64::from(short))),
        };
        if self.head.len() < 2 + extended + mask {
            return None;
        }
        Some(length.unwrap_or_else(|| {
            self.head[2..2 + extended]
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Heads {
        Heads {
            largest: 200,
            head: SmallVec::new(),
            left: 0,
            closes: false,
        }
    }

    /// A masked frame.
    fn frame(opcode: u8, length: u64) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(MASKED | length as u8),
            126..65_536 => {
                frame.push(MASKED | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame
    }

    fn whole(opcode: u8, length: usize) -> Vec<u8> {
        let mut bytes = frame(opcode, length as u64);
        bytes.resize(bytes.len() + length, 0xff);
        bytes
    }

    #[test]
    fn frames_are_followed_however_the_bytes_are_cut() {
        let bytes = [
            whole(2, 0),
            whole(2, 125),
            whole(9, 3),
            whole(2, 200),
            whole(8, 2),
        ]
        .concat();
        for size in [1, 2, 3, 7, 64, bytes.len()] {
            let mut heads = heads();
            let seen: Vec<_> = bytes
                .chunks(size)
                .map(|chunk| heads.pass(chunk, false))
                .collect();
            let (last, before) = seen.split_last().unwrap();
            assert_eq!(*last, Seen::Close, "{size}");
            assert!(before.iter().all(|seen| *seen == Seen::Frames), "{size}");
        }
    }

    #[test]
    fn a_large_frame_is_seen_by_its_head_and_passed_over_afterwards() {
        for length in [201, 70_000, u64::MAX] {
            assert_eq!(heads().pass(&frame(2, length), false), Seen::TooLarge);
        }
        let mut heads = heads();
        let mut bytes = whole(2, 70_000);
        let rest = bytes.split_off(1_000);
        assert_eq!(heads.pass(&bytes, false), Seen::TooLarge);
        assert_eq!(heads.pass(&rest, true), Seen::Frames);
        assert_eq!(heads.pass(&whole(8, 0), true), Seen::Close);
    }
}
