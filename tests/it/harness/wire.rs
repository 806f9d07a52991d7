//! The y-websocket protocol, written down a second time: a mistake in the server's own framing must not cancel out.

/// Variable-length unsigned integer: seven bits a byte, least significant first.
pub fn var(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn bytes(payload: &[u8], out: &mut Vec<u8>) {
    var(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// How sync step 2 and updates begin.
pub const STEP_2: [u8; 2] = [0, 1];
pub const UPDATE: [u8; 2] = [0, 2];

fn sync(step: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0, step];
    bytes(payload, &mut out);
    out
}

pub fn step_1(vector: &[u8]) -> Vec<u8> {
    sync(0, vector)
}

pub fn step_2(update: &[u8]) -> Vec<u8> {
    sync(1, update)
}

pub fn update(update: &[u8]) -> Vec<u8> {
    sync(2, update)
}

pub const QUERY_AWARENESS: &[u8] = &[3];

/// An awareness message of these entries; the state is JSON or `null`.
pub fn awareness(entries: &[(u64, u64, &str)]) -> Vec<u8> {
    let mut payload = Vec::new();
    var(entries.len() as u64, &mut payload);
    for (client, clock, state) in entries {
        var(*client, &mut payload);
        var(*clock, &mut payload);
        bytes(state.as_bytes(), &mut payload);
    }
    let mut out = vec![1];
    bytes(&payload, &mut out);
    out
}

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Step1(Vec<u8>),
    Step2(Vec<u8>),
    Update(Vec<u8>),
    Awareness(Vec<(u64, u64, Option<String>)>),
    Denied(String),
    Saved(u64),
    Refused(serde_json::Value),
    Storing(serde_json::Value),
}

/// Reads a frame, which must hold exactly one message, as clients up to 3.x read only one.
pub fn read(frame: &[u8]) -> Message {
    let mut reader = Reader(frame);
    let message = match reader.var() {
        0 => match (reader.var(), reader.bytes()) {
            (0, vector) => Message::Step1(vector.to_vec()),
            (1, update) => Message::Step2(update.to_vec()),
            (2, update) => Message::Update(update.to_vec()),
            (other, _) => panic!("the server sent sync message {other}"),
        },
        1 => Message::Awareness(entries(reader.bytes())),
        2 => {
            assert_eq!(reader.var(), 0, "the only auth message is a denial");
            Message::Denied(String::from_utf8(reader.bytes().to_vec()).unwrap())
        }
        100 => Message::Saved(reader.var()),
        101 => Message::Refused(serde_json::from_slice(reader.bytes()).unwrap()),
        103 => Message::Storing(serde_json::from_slice(reader.bytes()).unwrap()),
        other => panic!("the server sent a message of type {other}"),
    };
    assert!(reader.0.is_empty(), "more than one message in a frame");
    message
}

fn entries(payload: &[u8]) -> Vec<(u64, u64, Option<String>)> {
    let mut reader = Reader(payload);
    let count = reader.var();
    let entries = (0..count)
        .map(|_| {
            let (client, clock) = (reader.var(), reader.var());
            let state = String::from_utf8(reader.bytes().to_vec()).unwrap();
            (client, clock, (state != "null").then_some(state))
        })
        .collect();
    assert!(reader.0.is_empty(), "bytes after the last awareness entry");
    entries
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn var(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.0[0];
            self.0 = &self.0[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.var() as usize;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}
