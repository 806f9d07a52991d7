//! Reads what a handler left of a request's body before the answer goes out.
//!
//! A connection that is closed with unread bytes in its receive buffer is reset, and the reset may reach the client
//! before the answer that says what was wrong. The server does not linger after closing, as every WebSocket that ends
//! would (`app`), so what is left is read here, up to a bound.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header,
    middleware::Next,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::poll_fn};

/// Enough for what people send by mistake.
const MAX_BYTES: usize = 16 << 20;
const MAX_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn drain<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let headers = request.headers();
    // What follows an upgrade is no body, whatever the headers say.
    let has_body = !headers.contains_key(header::UPGRADE)
        && (headers.contains_key(header::CONTENT_LENGTH)
            || headers.contains_key(header::TRANSFER_ENCODING));
    if !has_body {
        return next.call(request).await;
    }
    let body = Rc::new(Body {
        payload: RefCell::new(request.take_payload()),
        ended: Cell::new(false),
    });
    let shared = Rc::clone(&body);
    let payload: Pin<Box<dyn Stream<Item = _>>> = Box::pin(poll_fn(move |cx| shared.poll_next(cx)));
    request.set_payload(Payload::Stream { payload });
    let response = next.call(request).await;
    if tokio::time::timeout(MAX_WAIT, body.discard())
        .await
        .is_err()
    {
        tracing::debug!("a request's body did not end in time");
    }
    response
}

/// A request's body, which the handler reads first and we read to its end.
struct Body {
    payload: RefCell<Payload>,
    ended: Cell<bool>,
}

impl Body {
    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let chunk = self.payload.borrow_mut().poll_next_unpin(cx);
        if let Poll::Ready(None | Some(Err(_))) = chunk {
            self.ended.set(true);
        }
        chunk
    }

    async fn discard(&self) {
        let mut left = MAX_BYTES;
        while !self.ended.get() && left > 0 {
            if let Some(Ok(chunk)) = std::future::poll_fn(|cx| self.poll_next(cx)).await {
                left = left.saturating_sub(chunk.len());
            }
        }
    }
}
