//! Reads what a handler left of a request's body before the answer goes out.
//!
//! A connection that is closed with unread bytes in its receive buffer is reset, and the reset may reach the client
//! before the answer that says what was wrong. The server does not linger after closing, as every WebSocket that ends
//! would (`app`), so what is left is read here, up to a bound.

use std::{cell::RefCell, pin::Pin, rc::Rc, time::Duration};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
};
use futures_util::{Stream, StreamExt, stream::poll_fn};

/// Enough for what people send by mistake.
const MAX_BYTES: usize = 1 << 20;
const MAX_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn drain<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let headers = request.headers();
    if !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
    {
        return next.call(request).await;
    }
    let body = Rc::new(RefCell::new(request.take_payload()));
    let shared = Rc::clone(&body);
    let payload: Pin<Box<dyn Stream<Item = _>>> =
        Box::pin(poll_fn(move |cx| shared.borrow_mut().poll_next_unpin(cx)));
    request.set_payload(Payload::Stream { payload });
    let response = next.call(request).await;
    let mut left = MAX_BYTES;
    let rest = poll_fn(|cx| body.borrow_mut().poll_next_unpin(cx));
    let read = rest.take_while(|chunk| {
        let bytes = chunk.as_ref().map_or(left, |chunk| chunk.len().max(1));
        left = left.saturating_sub(bytes);
        std::future::ready(left > 0)
    });
    if tokio::time::timeout(MAX_WAIT, read.for_each(|_| std::future::ready(())))
        .await
        .is_err()
    {
        tracing::debug!("a request's body did not end in time");
    }
    response
}
