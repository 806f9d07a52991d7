//! The client's side of the Hocuspocus protocol, as its provider speaks it since version 2.
//!
//! A frame is `varString document, varUint type, payload`. Types 0 (sync), 1 (awareness) and 3 (query awareness) have the
//! payload that y-websocket gives them. Beside them:
//!
//! | type | message | payload |
//! |---|---|---|
//! | 2 | auth | to the server `varUint 0, varString token`; from it `varUint 0` (asks for the token again), `1, varString reason` (denied), `2, varString scope` (granted) |
//! | 4 | sync reply | as type 0 |
//! | 5, 6 | stateless | the application's own |
//! | 7 | close | `varString reason`: the document is closed, the socket stays |
//! | 8 | sync status | `varUint 1`: one of our steps 2 or updates was taken; `0`: it was not |
//! | 9, 10 | ping, pong | the frame is this one byte |
//!
//! The server holds back what it is told until it has seen the auth message, and sends one status for each step 2 and
//! each update, in their order.

use bytes::Bytes;

use super::wire::{Heard, sync};
use crate::{
    document::varint::{ReadError, Reader, write_bytes, write_var},
    protocol::FrameError,
};

const AUTH: u64 = 2;
const SYNC_REPLY: u64 = 4;
const LAST_OF_Y_WEBSOCKET: u64 = 3;
const CLOSE: u64 = 7;
const SYNC_STATUS: u64 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const TOKEN: u64 = 0;
const DENIED: u64 = 1;

/// The first message about a document. Servers that ask for no token take the empty one.
pub fn auth(document: &str) -> Bytes {
    let mut message = Vec::new();
    write_var(&mut message, AUTH);
    write_var(&mut message, TOKEN);
    write_bytes(&mut message, b"");
    address(document, &message)
}

/// A message with the document's name in front of it.
pub fn address(document: &str, message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(document.len() + message.len() + 3);
    write_bytes(&mut frame, document.as_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

/// Reads a frame of the server. What is about another document, or of no concern here, is passed over.
pub fn read(document: &str, frame: &Bytes) -> Result<Vec<Heard>, FrameError> {
    match &frame[..] {
        [] => return Err(FrameError::Empty),
        [PING] => return Ok(vec![Heard::Reply(Bytes::from_static(&[PONG]))]),
        [PONG] => return Ok(Vec::new()),
        _ => {}
    }
    let mut reader = Reader::new(frame);
    if reader.var_str().map_err(broken)? != document {
        return Ok(Vec::new());
    }
    let message = frame.slice(reader.position()..);
    Ok(match reader.var_u64().map_err(broken)? {
        ..=LAST_OF_Y_WEBSOCKET if message.first() != Some(&(AUTH as u8)) => return sync(&message),
        AUTH => match reader.var_u64().map_err(broken)? {
            TOKEN => vec![Heard::Reply(auth(document))],
            DENIED => vec![Heard::Denied(text(&mut reader)?)],
            _ => Vec::new(),
        },
        SYNC_REPLY => {
            // One byte of type, then what a sync message has.
            let mut plain = vec![0];
            plain.extend_from_slice(message.get(1..).unwrap_or_default());
            return sync(&plain.into());
        }
        CLOSE => vec![Heard::Closed(text(&mut reader)?)],
        SYNC_STATUS => vec![Heard::Status(reader.var_u64().map_err(broken)? == 1)],
        _ => Vec::new(),
    })
}

fn text(reader: &mut Reader<'_>) -> Result<String, FrameError> {
    Ok(reader.var_str().map_err(broken)?.to_owned())
}

fn broken(error: ReadError) -> FrameError {
    match error {
        ReadError::Integer { .. } => FrameError::Number,
        ReadError::End { .. } | ReadError::Utf8 { .. } => FrameError::Truncated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::converge::wire::{Protocol, Wire};

    fn frame(message: &[u8]) -> Bytes {
        address("doc", message)
    }

    #[test]
    fn a_client_names_the_document_and_authenticates_before_it_asks() {
        let wire = Wire::new(Protocol::Hocuspocus, "doc");
        let hello = wire.hello(&[0]);
        assert_eq!(hello[0], Bytes::from_static(b"\x03doc\x02\x00\x00"));
        assert_eq!(hello[1], Bytes::from_static(b"\x03doc\x00\x00\x01\x00"));
        assert_eq!(wire.url("ws://host:1/"), "ws://host:1/");
    }

    #[test]
    fn each_message_of_the_server_is_understood_or_passed_over() {
        let heard = |bytes: &[u8]| read("doc", &Bytes::copy_from_slice(bytes));
        let change = Heard::Change(Bytes::from_static(&[0, 0]));
        assert_eq!(heard(&frame(&[0, 2, 2, 0, 0])), Ok(vec![change.clone()]));
        assert_eq!(heard(&frame(&[4, 2, 2, 0, 0])), Ok(vec![change]));
        assert_eq!(heard(&frame(&[8, 1])), Ok(vec![Heard::Status(true)]));
        assert_eq!(heard(&frame(&[8, 0])), Ok(vec![Heard::Status(false)]));
        assert_eq!(
            heard(&frame(&[2, 1, 2, b'n', b'o'])),
            Ok(vec![Heard::Denied("no".to_owned())])
        );
        assert_eq!(
            heard(&frame(&[7, 3, b'b', b'y', b'e'])),
            Ok(vec![Heard::Closed("bye".to_owned())])
        );
        assert_eq!(
            heard(&[PING]),
            Ok(vec![Heard::Reply(Bytes::from_static(&[PONG]))])
        );
        for passed_over in [
            &frame(&[2, 2, 4, b'f', b'u', b'l', b'l'])[..],
            &frame(&[1, 1, 0]),
            &frame(&[5, 1, b'x']),
            &address("another", &[8, 1]),
            &[PONG],
        ] {
            assert_eq!(heard(passed_over), Ok(vec![]), "{passed_over:?}");
        }
    }

    #[test]
    fn broken_frames_are_named() {
        let heard = |bytes: &[u8]| read("doc", &Bytes::copy_from_slice(bytes));
        assert_eq!(heard(&[]), Err(FrameError::Empty));
        assert_eq!(heard(&[3, b'd']), Err(FrameError::Truncated));
        assert_eq!(heard(&frame(&[0, 2, 9])), Err(FrameError::Truncated));
        assert_eq!(heard(&frame(&[8])), Err(FrameError::Truncated));
    }
}
