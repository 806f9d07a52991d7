//! WebSocket frames of y-websocket clients.

use bytes::Bytes;
use coscribe::protocol::{ClientMessage, ServerMessage, y_websocket};

/// What can be read can be written, and says the same again; payloads lie in the frame.
pub fn frame(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let mut messages = Vec::new();
    let outcome = y_websocket::decode(&frame, |message| messages.push(message));
    let payload: usize = messages.iter().map(ClientMessage::len).sum();
    assert!(payload <= frame.len(), "messages overlap");
    for message in &messages {
        let encoded = match message {
            ClientMessage::SyncStep1(bytes) => ServerMessage::SyncStep1(bytes),
            ClientMessage::SyncStep2(bytes) => ServerMessage::SyncStep2(bytes),
            ClientMessage::Update(bytes) => ServerMessage::Update(bytes),
            ClientMessage::Awareness(bytes) => ServerMessage::Awareness(bytes),
            ClientMessage::QueryAwareness => continue,
        };
        let encoded = y_websocket::encode(encoded, false).expect("every client has words for it");
        let mut again = Vec::new();
        y_websocket::decode(&encoded, |message| again.push(message)).expect("a frame of ours");
        assert_eq!(again.as_slice(), std::slice::from_ref(message));
    }
    let last = messages.iter().rev().find_map(|message| match message {
        ClientMessage::SyncStep2(update) | ClientMessage::Update(update) => Some(update.clone()),
        _ => None,
    });
    assert_eq!(y_websocket::update_of(&frame), outcome.ok().and(last));
}
