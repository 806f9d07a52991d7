//! A recorded editing history as the updates that one Yjs client would have sent, one per edit, and what yrs alone
//! needs for the same work.

use std::{
    fs::File,
    io::BufReader,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use flate2::bufread::GzDecoder;
use serde::Deserialize;
use yrs::{Doc, GetString, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode};

use super::{
    figures::median,
    update::{push_delete, push_insert},
};

/// The author of the whole trace.
const CLIENT: u64 = 1_234_567_890;
/// As many edits as in `automerge-paper`, and three deletions among ten as there.
pub const SYNTHETIC_EDITS: usize = 259_778;

/// One edit: a place in the visible text and the character typed there, or none where one is deleted.
type Edit = (usize, Option<char>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recording {
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    patches: Vec<(usize, usize, String)>,
}

/// The updates of a history in order, and what they end in.
#[derive(Debug)]
pub struct Trace {
    /// All updates in a row.
    bytes: Vec<u8>,
    /// Where each update ends in `bytes`.
    ends: Vec<usize>,
    pub client: u64,
    /// Characters ever typed, and those of them that were deleted.
    pub inserted: u64,
    pub deleted: u64,
    /// What a newcomer gets once all is applied.
    pub state: Vec<u8>,
    pub yrs: YrsAlone,
}

/// Medians, in seconds, of what yrs needs for the trace without any server around it.
#[derive(Debug)]
pub struct YrsAlone {
    /// Each update decoded and applied in a transaction of its own.
    pub apply_seconds: f64,
    pub encode_seconds: f64,
    pub load_seconds: f64,
}

impl Trace {
    /// Reads a trace in the format of josephg's `editing-traces` (sequential).
    ///
    /// # Errors
    /// When the file can not be read or is no such trace.
    pub fn load(path: &Path) -> Result<Self> {
        let (edits, end) = recorded(path).with_context(|| {
            format!(
                "the trace {} can not be read; it is a JSON file of editing-traces, packed with gzip",
                path.display()
            )
        })?;
        Self::of(edits, Some(&end))
    }

    /// A trace with so many made-up edits.
    ///
    /// # Errors
    /// When yrs refuses it.
    pub fn synthetic(edits: usize) -> Result<Self> {
        Self::of(synthetic(edits), None)
    }

    fn of(edits: Vec<Edit>, end: Option<&str>) -> Result<Self> {
        let mut author = Typist::default();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (place, typed) in edits {
            author.edit(place, typed, &mut bytes);
            ends.push(bytes.len());
        }
        let updates = || {
            ends.iter().scan(0, |start, &end| {
                Some(&bytes[std::mem::replace(start, end)..end])
            })
        };
        let (doc, apply_seconds) = timed(3, || apply_all(updates()))?;
        if let Some(end) = end {
            let text = doc.get_or_insert_text("t").get_string(&doc.transact());
            ensure!(
                text == end,
                "the updates made from the trace do not end in its text"
            );
        }
        let (state, encode_seconds) = timed(21, || {
            Ok(doc
                .transact()
                .encode_state_as_update_v1(&StateVector::default()))
        })?;
        let (_, load_seconds) = timed(11, || apply_all(std::iter::once(&state[..])))?;
        let yrs = YrsAlone {
            apply_seconds,
            encode_seconds,
            load_seconds,
        };
        let deleted = ends.len() as u64 - author.clock;
        Ok(Self {
            bytes,
            ends,
            client: CLIENT,
            inserted: author.clock,
            deleted,
            state,
            yrs,
        })
    }

    /// Each update by itself.
    pub fn updates(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, &end| {
            Some(&self.bytes[std::mem::replace(start, end)..end])
        })
    }

    /// The state after as much of the trace as makes one of about this size, or of all of it.
    ///
    /// # Errors
    /// When yrs refuses an update.
    pub fn state_of(&self, bytes: usize) -> Result<Vec<u8>> {
        let (doc, mut updates) = (Doc::new(), self.updates());
        loop {
            let state = doc
                .transact()
                .encode_state_as_update_v1(&StateVector::default());
            let step: Vec<_> = updates.by_ref().take(STEP).collect();
            if state.len() >= bytes || step.is_empty() {
                return Ok(state);
            }
            apply_to(&doc, step.into_iter())?;
        }
    }
}

/// Edits between two looks at the size of the state.
const STEP: usize = 1000;

fn recorded(path: &Path) -> Result<(Vec<Edit>, String)> {
    let file = BufReader::new(File::open(path)?);
    let recording: Recording = serde_json::from_reader(BufReader::new(GzDecoder::new(file)))?;
    let mut edits = Vec::new();
    for (place, deleted, inserted) in recording
        .txns
        .into_iter()
        .flat_map(|transaction| transaction.patches)
    {
        edits.extend(std::iter::repeat_n((place, None), deleted));
        edits.extend(
            inserted
                .chars()
                .enumerate()
                .map(|(offset, typed)| (place + offset, Some(typed))),
        );
    }
    Ok((edits, recording.end_content))
}

/// Typing in runs at wandering places, with three characters in ten taken back.
fn synthetic(wanted: usize) -> Vec<Edit> {
    let (mut edits, mut len, mut cursor, mut state) =
        (Vec::new(), 0_usize, 0_usize, 0x9E37_79B9_u64);
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    while edits.len() < wanted {
        if random(40) == 0 {
            cursor = random(len + 1);
        }
        if random(10) < 3 && cursor > 0 {
            cursor -= 1;
            len -= 1;
            edits.push((cursor, None));
        } else {
            edits.push((cursor, Some(char::from(b'a' + random(26) as u8))));
            cursor += 1;
            len += 1;
        }
    }
    edits
}

fn apply_all<'a>(updates: impl Iterator<Item = &'a [u8]>) -> Result<Doc> {
    let doc = Doc::new();
    apply_to(&doc, updates)?;
    Ok(doc)
}

fn apply_to<'a>(doc: &Doc, updates: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    for update in updates {
        doc.transact_mut()
            .apply_update(Update::decode_v1(update)?)?;
    }
    Ok(())
}

/// Runs the work that often; the last result and the median time.
fn timed<T>(times: usize, mut work: impl FnMut() -> Result<T>) -> Result<(T, f64)> {
    let mut run = || {
        let began = Instant::now();
        let result = work()?;
        Ok::<(T, Duration), anyhow::Error>((result, began.elapsed()))
    };
    let (mut last, first) = run()?;
    let mut seconds = vec![first.as_secs_f64()];
    for _ in 1..times {
        let (result, took) = run()?;
        (last, _) = (result, seconds.push(took.as_secs_f64()));
    }
    Ok((last, median(&seconds)))
}

/// One client's text with all it ever held, so that an edit's neighbours are those that Yjs takes: the right one is the
/// visible character at the place, the left one whatever stands before that, deleted or not.
struct Typist {
    clock: u64,
    chunks: Vec<Chunk>,
}

#[derive(Default)]
struct Chunk {
    visible: usize,
    characters: Vec<Character>,
}

#[derive(Clone, Copy)]
struct Character {
    clock: u64,
    deleted: bool,
}

/// Characters in a chunk before it is split in two.
const CHUNK: usize = 512;

impl Default for Typist {
    fn default() -> Self {
        Self {
            clock: 0,
            chunks: vec![Chunk::default()],
        }
    }
}

impl Typist {
    fn edit(&mut self, place: usize, typed: Option<char>, out: &mut Vec<u8>) {
        match typed {
            Some(character) => self.insert(place, character, out),
            None => self.delete(place, out),
        }
    }

    fn insert(&mut self, place: usize, character: char, out: &mut Vec<u8>) {
        let (chunk, at) = self.find(place).unwrap_or_else(|| {
            let last = self.chunks.len() - 1;
            (last, self.chunks[last].characters.len())
        });
        let right = self.chunks[chunk]
            .characters
            .get(at)
            .map(|character| character.clock);
        let (before, here) = self.chunks.split_at_mut(chunk);
        let here = &mut here[0];
        let left = here.characters[..at]
            .last()
            .or_else(|| before.last()?.characters.last());
        push_insert(
            out,
            CLIENT,
            self.clock,
            left.map(|character| character.clock),
            right,
            character,
        );
        here.characters.insert(
            at,
            Character {
                clock: self.clock,
                deleted: false,
            },
        );
        here.visible += 1;
        self.clock += 1;
        if here.characters.len() >= CHUNK {
            let tail = here.characters.split_off(CHUNK / 2);
            let visible = tail.iter().filter(|character| !character.deleted).count();
            here.visible -= visible;
            self.chunks.insert(
                chunk + 1,
                Chunk {
                    visible,
                    characters: tail,
                },
            );
        }
    }

    fn delete(&mut self, place: usize, out: &mut Vec<u8>) {
        let (chunk, at) = self
            .find(place)
            .expect("a trace deletes only what is there");
        let here = &mut self.chunks[chunk];
        here.characters[at].deleted = true;
        here.visible -= 1;
        push_delete(out, CLIENT, here.characters[at].clock, 1);
    }

    /// Chunk and index of the visible character at a place, or none at the text's end.
    fn find(&self, mut place: usize) -> Option<(usize, usize)> {
        for (index, chunk) in self.chunks.iter().enumerate() {
            if place < chunk.visible {
                let mut visible = chunk
                    .characters
                    .iter()
                    .enumerate()
                    .filter(|(_, character)| !character.deleted);
                return visible.nth(place).map(|(at, _)| (index, at));
            }
            place -= chunk.visible;
        }
        None
    }
}
