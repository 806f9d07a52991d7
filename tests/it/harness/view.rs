//! What a peer was sent and what it makes of that.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::Value;
use yrs::{
    Doc, GetString as _, ReadTxn as _, StateVector, Text as _, Transact as _, Update,
    block::ClientID, updates::decoder::Decode as _,
};

use super::wire::{self, Message};

/// What a peer has seen so far.
pub struct View {
    pub doc: Doc,
    pub synced: bool,
    /// Every binary frame, where the peer keeps them.
    pub raw: Vec<Bytes>,
    /// How many messages of each kind came.
    pub updates: usize,
    pub step_1s: usize,
    pub step_2s: usize,
    pub keep_alives: usize,
    pub bytes: usize,
    /// Document messages sent.
    pub sent: u64,
    /// Document messages that the server called durable.
    pub saved: u64,
    /// The end of this client's own edits, as the server has sent it back.
    pub echoed: u32,
    pub refused: Vec<Value>,
    pub storing: Vec<Value>,
    pub denied: Vec<String>,
    pub awareness: HashMap<u64, (u64, Option<String>)>,
    pub closed: Option<(u16, String)>,
    pub last_frame: Instant,
    pub longest_silence: Duration,
    /// Answers nothing and applies nothing.
    silent: bool,
    keep_frames: bool,
    client: u64,
}

impl View {
    pub fn new(doc: Doc, client: u64, silent: bool, keep_frames: bool) -> Self {
        Self {
            doc,
            synced: false,
            raw: Vec::new(),
            updates: 0,
            step_1s: 0,
            step_2s: 0,
            keep_alives: 0,
            bytes: 0,
            sent: 0,
            saved: 0,
            echoed: 0,
            refused: Vec::new(),
            storing: Vec::new(),
            denied: Vec::new(),
            awareness: HashMap::new(),
            closed: None,
            last_frame: Instant::now(),
            longest_silence: Duration::ZERO,
            silent,
            keep_frames,
            client,
        }
    }

    pub fn text(&self) -> String {
        let text = self.doc.get_or_insert_text("text");
        text.get_string(&self.doc.transact())
    }

    /// UTF-16 units of the text.
    pub fn length(&self) -> u32 {
        let text = self.doc.get_or_insert_text("text");
        text.len(&self.doc.transact())
    }

    /// The JSON of this client's awareness state.
    pub fn state(&self, client: u64) -> Option<&str> {
        self.awareness.get(&client)?.1.as_deref()
    }

    /// Takes note of a frame. Returns the frame that answers it.
    pub fn take(&mut self, frame: &Bytes) -> Option<Vec<u8>> {
        self.longest_silence = self.longest_silence.max(self.last_frame.elapsed());
        self.last_frame = Instant::now();
        self.bytes += frame.len();
        if self.keep_frames {
            self.raw.push(frame.clone());
        }
        match wire::read(frame) {
            Message::Step1(vector) => {
                self.step_1s += 1;
                if self.silent {
                    return None;
                }
                let vector = StateVector::decode_v1(&vector).unwrap();
                let update = self.doc.transact().encode_diff_v1(&vector);
                self.sent += 1;
                return Some(wire::step_2(&update));
            }
            Message::Step2(update) => {
                self.synced = true;
                self.step_2s += 1;
                self.apply(&update);
            }
            Message::Update(update) => {
                self.updates += 1;
                self.apply(&update);
            }
            Message::Awareness(entries) => {
                self.keep_alives += usize::from(entries.is_empty());
                for (client, clock, state) in entries {
                    let known = self.awareness.entry(client).or_insert((clock, None));
                    if clock > known.0
                        || (clock == known.0 && (known.1.is_none() || state.is_none()))
                    {
                        *known = (clock, state);
                    }
                }
            }
            Message::Denied(reason) => self.denied.push(reason),
            Message::Saved(count) => self.saved += count,
            Message::Refused(refusal) => self.refused.push(refusal),
            Message::Storing(storing) => self.storing.push(storing),
        }
        None
    }

    fn apply(&mut self, update: &[u8]) {
        if self.silent {
            return;
        }
        let update = Update::decode_v1(update).unwrap();
        if let Some(own) = update.insertions(true).get(&ClientID::new(self.client)) {
            let end = own.iter().map(|(range, ())| range.end).max();
            self.echoed = self.echoed.max(end.unwrap_or(0));
        }
        self.doc.transact_mut().apply_update(update).unwrap();
    }
}
