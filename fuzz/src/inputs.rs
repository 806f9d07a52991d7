//! Updates made of a fuzzer's bytes: those of an honest session, the same with some bytes changed, or any bytes at all.

use std::collections::VecDeque;

use bytes::Bytes;
use coscribe::document::replica::doc_with;
use yrs::{
    Any, Array, Doc, Map, MapPrelim, OffsetKind, Options, ReadTxn, StateVector, Text, TextPrelim,
    Transact, TransactionMut, Update, XmlElementPrelim, XmlFragment, XmlTextPrelim, types::Attrs,
    updates::decoder::Decode,
};

/// What comes first in the bytes of a list of updates: see [`inputs`].
pub const LIST: u8 = 2;

/// What a target is given.
pub struct Inputs {
    pub updates: Vec<Bytes>,
    /// The updates are as yrs made them, all that they depend on is among them, and no two writers share an id.
    pub honest: bool,
    /// What of the bytes is left, for choices of the target's own.
    pub rest: Choices,
}

/// The fuzzer's bytes as choices; without end, as zeros follow.
pub struct Choices(VecDeque<u8>);

impl Choices {
    pub fn of(data: &[u8]) -> Self {
        Self(data.iter().copied().collect())
    }

    pub fn byte(&mut self) -> u8 {
        self.0.pop_front().unwrap_or(0)
    }

    pub fn below(&mut self, end: usize) -> usize {
        let wide = usize::from(self.byte()) << 8 | usize::from(self.byte());
        wide % end.max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The first byte says which: 0 an honest session, 1 one with changed bytes, 2 a list of updates, each after its length
/// (two bytes, the lower first).
pub fn inputs(data: &[u8]) -> Inputs {
    let (kind, rest) = data.split_first().unwrap_or((&0, &[]));
    if kind % 3 == LIST {
        return Inputs {
            updates: list(rest),
            honest: false,
            rest: Choices::of(rest),
        };
    }
    let mut choices = Choices::of(rest);
    let mut updates = session(&mut choices);
    let honest = kind % 3 == 0;
    if !honest {
        for _ in 0..1 + choices.below(6) {
            change(&mut updates, &mut choices);
        }
    }
    Inputs {
        updates: updates.into_iter().map(Bytes::from).collect(),
        honest,
        rest: choices,
    }
}

fn list(mut data: &[u8]) -> Vec<Bytes> {
    let mut updates = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (update, rest) = rest.split_at(length);
        updates.push(Bytes::copy_from_slice(update));
        data = rest;
    }
    updates
}

fn change(updates: &mut [Vec<u8>], choices: &mut Choices) {
    let number = choices.below(updates.len());
    let Some(update) = updates.get_mut(number) else {
        return;
    };
    let at = choices.below(update.len());
    match (choices.byte() % 4, update.get_mut(at)) {
        (0, Some(byte)) => *byte ^= 1 << choices.below(8),
        (1, Some(byte)) => *byte = choices.byte(),
        (2, Some(_)) => drop(update.remove(at)),
        _ => update.insert(at, choices.byte()),
    }
}

/// A few writers, who edit at once and hear of each other now and then.
fn session(choices: &mut Choices) -> Vec<Vec<u8>> {
    let ids = [5, 300, (1 << 32) - 2];
    let writers: Vec<Doc> = ids
        .iter()
        .map(|id| match choices.byte() % 3 {
            0 => collecting(*id),
            _ => doc_with(*id),
        })
        .collect();
    let mut made = Vec::new();
    for _ in 0..2 + choices.below(30) {
        let who = choices.below(writers.len());
        match choices.byte() % 12 {
            10 => {
                let from = choices.below(writers.len());
                let update = {
                    let vector = writers[who].transact().state_vector();
                    writers[from].transact().encode_diff_v1(&vector)
                };
                if from != who {
                    let update = Update::decode_v1(&update).expect("yrs reads what it wrote");
                    let mut txn = writers[who].transact_mut();
                    txn.apply_update(update).expect("an honest update");
                }
            }
            11 => made.push(
                writers[who]
                    .transact()
                    .encode_diff_v1(&StateVector::default()),
            ),
            verb => {
                let mut txn = writers[who].transact_mut();
                edit(&mut txn, verb, choices);
                made.push(txn.encode_update_v1());
            }
        }
    }
    made
}

fn collecting(client: u64) -> Doc {
    let mut options =
        Options::with_guid_and_client_id("".into(), yrs::block::ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

fn edit(txn: &mut TransactionMut<'_>, verb: u8, choices: &mut Choices) {
    const WORDS: [&str; 4] = ["a", "be", "文書", "Größe "];
    let word = WORDS[choices.below(WORDS.len())];
    let key = ["k", "l"][choices.below(2)];
    use yrs::WriteTxn;
    let text = txn.get_or_insert_text("text");
    let map = txn.get_or_insert_map("map");
    let array = txn.get_or_insert_array("array");
    let xml = txn.get_or_insert_xml_fragment("xml");
    let place = |choices: &mut Choices, len: u32| choices.below(len as usize + 1) as u32;
    let span = |choices: &mut Choices, len: u32| {
        let at = choices.below(len as usize) as u32;
        (len > 0).then(|| (at, 1 + choices.below(4).min((len - at - 1) as usize) as u32))
    };
    let bold = || Attrs::from([("bold".into(), Any::Bool(true))]);
    match verb {
        0 | 1 => {
            let at = place(choices, text.len(txn));
            text.insert(txn, at, word);
        }
        2 => {
            if let Some((at, len)) = span(choices, text.len(txn)) {
                text.remove_range(txn, at, len);
            }
        }
        3 => {
            if let Some((at, len)) = span(choices, text.len(txn)) {
                text.format(txn, at, len, bold());
            }
        }
        4 => {
            let at = place(choices, text.len(txn));
            text.insert_embed(txn, at, Any::from(7));
        }
        5 => match choices.byte() % 4 {
            0 => drop(map.insert(txn, key, MapPrelim::from([("x", 1)]))),
            1 => drop(map.insert(txn, key, TextPrelim::new(word))),
            2 => drop(map.remove(txn, key)),
            _ => drop(map.insert(txn, key, word)),
        },
        6 => {
            let at = place(choices, array.len(txn));
            array.insert_range(txn, at, [Any::from(1), Any::from(word), Any::Null]);
        }
        7 => {
            if let Some((at, len)) = span(choices, array.len(txn)) {
                array.remove_range(txn, at, len);
            }
        }
        8 => {
            let at = place(choices, xml.len(txn));
            let block = xml.insert(txn, at, XmlElementPrelim::empty("p"));
            block.insert(txn, 0, XmlTextPrelim::new(word));
        }
        _ => {
            if let Some((at, len)) = span(choices, xml.len(txn)) {
                xml.remove_range(txn, at, len);
            }
        }
    }
}
