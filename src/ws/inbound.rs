//! The bytes that arrive at a socket, on their way to actix-ws.
//!
//! actix-ws looks at the size of a frame when it has all of it, so a client that announces gigabytes and sends them would
//! fill the memory. Here the heads of the frames are read as the bytes pass, and a frame that is too large ends the
//! stream when its head has arrived.

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

use crate::protocol::frame_heads::FrameHeads;

/// What a client sends.
pub(super) struct Inbound(RefCell<State>);

struct State {
    payload: dev::Payload,
    heads: FrameHeads,
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
            heads: FrameHeads::new(largest as u64),
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
            while !state.heads.closed() {
                match state.payload.poll_next_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                    Poll::Ready(Some(Ok(bytes))) => state.heads.pass(&bytes),
                }
            }
            Poll::Ready(())
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
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            state.heads.pass(bytes);
            if state.heads.too_large() {
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
        }
        polled
    }
}
