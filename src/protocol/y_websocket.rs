//! The y-websocket protocol, version 1, as the stock clients 1.5 to 3.1 speak it.
//!
//! A frame is binary and holds messages of the form `varUint type, payload`:
//!
//! | type | message | payload |
//! |---|---|---|
//! | 0 | sync | `varUint 0` step 1, `1` step 2, `2` update; then `varBytes` |
//! | 1 | awareness | `varBytes` |
//! | 2 | auth | `varUint 0`, `varString reason`: permission denied (server to client only) |
//! | 3 | query awareness | – |
//! | 100, 101, 103 | saved, refused, storing | private, only to clients that asked for them |
//!
//! Clients up to 3.x read one message a frame, so we send one; they may send several.

use bytes::Bytes;

use super::{ClientMessage, FrameError, ServerMessage};
use crate::document::varint::{ReadError, Reader, write_bytes, write_var};

const SYNC: u64 = 0;
const AWARENESS: u64 = 1;
const AUTH: u64 = 2;
const QUERY_AWARENESS: u64 = 3;
const SAVED: u64 = 100;
const REFUSED: u64 = 101;
const STORING: u64 = 103;

const STEP_1: u64 = 0;
const STEP_2: u64 = 1;
const UPDATE: u64 = 2;

/// An awareness message without entries: what a silent connection is kept alive with, as stock browser clients
/// reconnect after 30 s without an application message.
pub const KEEP_ALIVE: &[u8] = &[1, 1, 0];

/// Reads all messages of one frame. Types that we do not know end the frame without an error, as stock clients and
/// servers do: where their payload ends is not known.
pub fn decode(frame: &Bytes, mut each: impl FnMut(ClientMessage)) -> Result<(), FrameError> {
    let mut reader = Reader::new(frame);
    if reader.is_empty() {
        return Err(FrameError::Empty);
    }
    while !reader.is_empty() {
        match number(&mut reader)? {
            SYNC => {
                let step = number(&mut reader)?;
                if step > UPDATE {
                    return Err(FrameError::UnknownSync(step));
                }
                let payload = payload(frame, &mut reader)?;
                each(match step {
                    STEP_1 => ClientMessage::SyncStep1(payload),
                    STEP_2 => ClientMessage::SyncStep2(payload),
                    _ => ClientMessage::Update(payload),
                });
            }
            AWARENESS => each(ClientMessage::Awareness(payload(frame, &mut reader)?)),
            QUERY_AWARENESS => each(ClientMessage::QueryAwareness),
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn number(reader: &mut Reader<'_>) -> Result<u64, FrameError> {
    reader.var_u64().map_err(error)
}

/// The payload as a slice of the frame's own buffer: nothing is copied.
fn payload(frame: &Bytes, reader: &mut Reader<'_>) -> Result<Bytes, FrameError> {
    reader
        .var_bytes()
        .map(|slice| frame.slice_ref(slice))
        .map_err(error)
}

fn error(error: ReadError) -> FrameError {
    match error {
        ReadError::Integer { .. } => FrameError::Number,
        ReadError::End { .. } | ReadError::Utf8 { .. } => FrameError::Truncated,
    }
}

/// One frame with one message. `private` says whether the client understands our own message types; one that does not
/// is told of a refusal by the auth message, which stock clients print as a warning.
pub fn encode(message: ServerMessage<'_>, private: bool) -> Option<Bytes> {
    let frame = match message {
        ServerMessage::SyncStep1(vector) => sync(STEP_1, vector),
        ServerMessage::SyncStep2(update) => sync(STEP_2, update),
        ServerMessage::Update(update) => sync(UPDATE, update),
        ServerMessage::Awareness(update) => typed(AWARENESS, None, update),
        ServerMessage::Refused(refusal) if private => json(REFUSED, refusal)?,
        ServerMessage::Refused(refusal) => denied(&refusal.reason),
        ServerMessage::Saved(count) if private => {
            let mut out = Vec::with_capacity(4);
            write_var(&mut out, SAVED);
            write_var(&mut out, count);
            out
        }
        ServerMessage::Saved(_) => return None,
        ServerMessage::Storing(storing) if private => json(STORING, storing)?,
        ServerMessage::Storing(storing) => denied(storing.reason.as_deref()?),
    };
    Some(frame.into())
}

/// The update inside a frame that [`encode`] made of `ServerMessage::Update` or `SyncStep2`.
pub fn update_of(frame: &Bytes) -> Option<Bytes> {
    let mut found = None;
    decode(frame, |message| {
        if let ClientMessage::Update(update) | ClientMessage::SyncStep2(update) = message {
            found = Some(update);
        }
    })
    .ok()?;
    found
}

fn sync(step: u64, payload: &[u8]) -> Vec<u8> {
    typed(SYNC, Some(step), payload)
}

fn typed(kind: u64, step: Option<u64>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 8);
    write_var(&mut out, kind);
    if let Some(step) = step {
        write_var(&mut out, step);
    }
    write_bytes(&mut out, payload);
    out
}

fn denied(reason: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(reason.len() + 4);
    write_var(&mut out, AUTH);
    write_var(&mut out, 0);
    write_bytes(&mut out, reason.as_bytes());
    out
}

fn json(kind: u64, value: &impl serde::Serialize) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(value).ok()?;
    Some(typed(kind, None, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(frame: &[u8]) -> Result<Vec<ClientMessage>, FrameError> {
        let mut found = Vec::new();
        decode(&Bytes::copy_from_slice(frame), |message| {
            found.push(message);
        })?;
        Ok(found)
    }

    #[test]
    fn a_frame_may_hold_several_messages_and_non_minimal_numbers() {
        let found = messages(&[0, 0, 1, 0, 0x80, 0, 0x82, 0, 2, 0, 0, 3]).unwrap();
        assert_eq!(
            found,
            [
                ClientMessage::SyncStep1(Bytes::from_static(&[0])),
                ClientMessage::Update(Bytes::from_static(&[0, 0])),
                ClientMessage::QueryAwareness,
            ]
        );
    }

    #[test]
    fn broken_frames_are_named() {
        assert_eq!(messages(&[]), Err(FrameError::Empty));
        assert_eq!(messages(&[0]), Err(FrameError::Truncated));
        assert_eq!(messages(&[0, 2, 5, 1]), Err(FrameError::Truncated));
        assert_eq!(messages(&[0, 7, 0]), Err(FrameError::UnknownSync(7)));
        assert_eq!(
            messages(&[0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]),
            Err(FrameError::Truncated)
        );
        assert_eq!(messages(&[9, 1, 2, 3]), Ok(vec![]));
    }

    #[test]
    fn what_we_encode_is_what_stock_clients_read() {
        let frame = encode(ServerMessage::SyncStep2(&[0, 0]), false).unwrap();
        assert_eq!(&frame[..], &[0, 1, 2, 0, 0]);
        let frame = encode(ServerMessage::Awareness(&[0]), false).unwrap();
        assert_eq!(&frame[..], KEEP_ALIVE);
        assert!(encode(ServerMessage::Saved(3), false).is_none());
        assert_eq!(
            &encode(ServerMessage::Saved(3), true).unwrap()[..],
            &[100, 3]
        );
    }

    #[test]
    fn the_update_can_be_taken_out_of_its_frame() {
        let frame = encode(ServerMessage::Update(&[1, 2, 3]), false).unwrap();
        assert_eq!(update_of(&frame).unwrap(), Bytes::from_static(&[1, 2, 3]));
    }
}
