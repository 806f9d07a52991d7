//! Random histories: people who edit roots of every kind in documents of yrs, late to hear of each other.

use std::{collections::HashMap, sync::Arc};

use coscribe::{
    converge::random::Random,
    document::{provenance::Provenance, replica::doc_with},
};
use yrs::{
    Any, Array, ArrayPrelim, Doc, GetString, In, Map, MapPrelim, Out, ReadTxn as _, Text,
    TextPrelim, Transact, TransactionMut, Update, WriteTxn, Xml, XmlElementPrelim, XmlFragment,
    XmlOut, XmlTextPrelim,
    types::{Attrs, text::YChange},
    updates::decoder::Decode,
};

/// Somebody's document, and how much of the log they have heard of.
pub struct Person {
    pub doc: Doc,
    pub heard: usize,
}

/// A log and those who write it.
pub struct History {
    pub rows: Vec<Vec<u8>>,
    /// Who wrote each row.
    pub authors: Vec<usize>,
    pub people: Vec<Person>,
    pub provenance: Provenance,
    pub random: Random,
}

/// What became of letters in a row.
pub enum Letters {
    Written(Vec<char>),
    Deleted(Vec<char>),
}

pub fn apply(doc: &Doc, update: &[u8]) {
    let update = Update::decode_v1(update).unwrap();
    doc.transact_mut().apply_update(update).unwrap();
    assert!(!doc.transact().has_missing_updates());
}

impl History {
    pub fn new(seed: u64, people: usize) -> Self {
        let people = (0..people as u64).map(|number| Person {
            doc: doc_with(1_000 + number),
            heard: 0,
        });
        Self {
            rows: Vec::new(),
            authors: Vec::new(),
            people: people.collect(),
            provenance: Provenance::default(),
            random: Random::new(seed),
        }
    }

    pub fn write(&mut self, edits: usize) {
        for _ in 0..edits {
            let author = self.hear_some();
            let update = edit(&self.people[author].doc, &mut self.random);
            self.push(update, author);
        }
    }

    /// Somebody who may be late writes three new letters into the text, or deletes up to four (one time of `deletes`).
    pub fn write_letters(
        &mut self,
        new: &mut impl Iterator<Item = char>,
        deletes: usize,
    ) -> (usize, Letters) {
        let author = self.hear_some();
        let doc = &self.people[author].doc;
        let text = doc.get_or_insert_text("text");
        let mut txn = doc.transact_mut();
        let now: Vec<char> = text.get_string(&txn).chars().collect();
        let at = self.random.index(now.len() + 1);
        let change = if self.random.index(deletes) == 0 && at < now.len() {
            let len = (1 + self.random.index(4)).min(now.len() - at);
            text.remove_range(&mut txn, at as u32, len as u32);
            Letters::Deleted(now[at..at + len].to_vec())
        } else {
            let word: String = new.take(3).collect();
            text.insert(&mut txn, at as u32, &word);
            Letters::Written(word.chars().collect())
        };
        let update = txn.encode_update_v1();
        drop(txn);
        self.push(update, author);
        (author, change)
    }

    /// Somebody, be it one of the people or not, edits in the document of the first of them. All have heard of everything.
    pub fn write_as(&mut self, author: usize, edit: impl FnOnce(&mut TransactionMut<'_>)) {
        self.meet();
        let mut txn = self.people[0].doc.transact_mut();
        edit(&mut txn);
        let update = txn.encode_update_v1();
        drop(txn);
        self.push(update, author);
        self.meet();
    }

    /// The first person writes at the beginning of a text that nobody else writes in.
    pub fn write_aside(&mut self, text: &str) {
        self.write_as(0, |txn| {
            txn.get_or_insert_text("zz").insert(txn, 0, text);
        });
    }

    /// Somebody, who may have heard of a few more rows.
    pub fn hear_some(&mut self) -> usize {
        let person = self.random.index(self.people.len());
        if self.random.index(3) > 0 {
            let upto = self.people[person].heard;
            let upto = upto + self.random.index(self.rows.len() - upto + 1);
            self.hear(person, upto);
        }
        person
    }

    pub fn rows_of(&self, author: usize) -> Vec<u64> {
        let rows = self.authors.iter().zip(1..);
        rows.filter(|(of, _)| **of == author)
            .map(|(_, row)| row)
            .collect()
    }

    /// Everybody hears everything.
    pub fn meet(&mut self) {
        for person in 0..self.people.len() {
            self.hear(person, self.rows.len());
        }
    }

    fn hear(&mut self, person: usize, upto: usize) {
        let person = &mut self.people[person];
        for row in &self.rows[person.heard.min(upto)..upto] {
            apply(&person.doc, row);
        }
        person.heard = person.heard.max(upto);
    }

    pub fn push(&mut self, update: Vec<u8>, author: usize) {
        if update == [0, 0] {
            return;
        }
        self.rows.push(update);
        self.authors.push(author);
        let row = self.rows.len() as u64;
        self.provenance
            .add(
                row,
                (&author.to_string().into(), 0),
                &self.rows[self.rows.len() - 1],
            )
            .unwrap();
    }

    pub fn log(&self) -> Vec<&[u8]> {
        self.rows.iter().map(Vec::as_slice).collect()
    }
}

const WORDS: [&str; 8] = [
    "alpha ",
    "🦀",
    "be",
    "gamma ",
    "d",
    "é🙂 ",
    "zeta zeta ",
    "eta",
];

fn word(random: &mut Random) -> &'static str {
    WORDS[random.index(WORDS.len())]
}

/// One transaction of one or a few edits.
pub fn edit(doc: &Doc, random: &mut Random) -> Vec<u8> {
    let mut txn = doc.transact_mut();
    for _ in 0..=random.index(2) {
        match random.index(8) {
            0 | 1 => edit_text(&txn.get_or_insert_text("text"), &mut txn, random),
            2 => edit_map(&txn.get_or_insert_map("map"), &mut txn, random, 0),
            3 => edit_array(&txn.get_or_insert_array("array"), &mut txn, random, 0),
            _ => edit_blocks(
                &txn.get_or_insert_xml_fragment("prosemirror"),
                &mut txn,
                random,
                0,
            ),
        }
    }
    txn.encode_update_v1()
}

/// A place in UTF-16 units, never inside a pair: what that shows depends on the order of the updates in Yjs, too.
pub fn place(text: &str, random: &mut Random) -> u32 {
    let units = text.encode_utf16().count();
    let at = random.index(units + 1);
    let before = text.chars().scan(0, |sum, letter| {
        *sum += letter.len_utf16();
        Some(*sum)
    });
    before.take_while(|sum| *sum <= at).last().unwrap_or(0) as u32
}

/// A text with a letter in the place of each embedded value.
pub fn letters<T: Text>(text: &T, txn: &TransactionMut<'_>) -> String {
    let diff = text.diff(txn, YChange::identity);
    diff.iter()
        .map(|diff| match &diff.insert {
            Out::Any(Any::String(text)) => text.to_string(),
            _ => "o".into(),
        })
        .collect()
}

pub fn edit_text<T: Text + GetString>(text: &T, txn: &mut TransactionMut<'_>, random: &mut Random) {
    let now = letters(text, txn);
    let (a, b) = (place(&now, random), place(&now, random));
    let (from, len) = (a.min(b), a.abs_diff(b).min(12));
    let pair_begins = |at: u32| {
        let unit = now.encode_utf16().nth(at as usize);
        unit.is_none_or(|unit| !(0xdc00..0xe000).contains(&unit))
    };
    match random.index(7) {
        0 | 1 if len > 0 && pair_begins(from + len) => text.remove_range(txn, from, len),
        2 if len > 0 && pair_begins(from + len) => {
            let value = [Any::Bool(true), Any::Null][random.index(2)].clone();
            let key = ["bold", "link"][random.index(2)];
            text.format(txn, from, len, Attrs::from([(key.into(), value)]));
        }
        3 if random.index(3) == 0 => {
            let picture = HashMap::from([("image".to_owned(), Any::from(word(random)))]);
            text.insert_embed(txn, from, Any::from(picture));
        }
        4 => {
            let attrs = Attrs::from([("bold".into(), true.into())]);
            text.insert_with_attributes(txn, from, word(random), attrs);
        }
        _ => text.insert(txn, from, word(random)),
    }
}

fn value(random: &mut Random) -> In {
    match random.index(7) {
        0 => In::Map(MapPrelim::from_iter([("a", "one"), ("b", "two")])),
        1 => In::Text(TextPrelim::new(word(random)).into()),
        2 => In::Array(ArrayPrelim::from_iter([1, 2, 3])),
        3 => In::Any(Any::from(HashMap::from([("k".to_owned(), Any::from(7))]))),
        4 => In::Any(Any::from(random.index(9) as f64)),
        _ => In::Any(Any::from(word(random))),
    }
}

fn edit_map(map: &yrs::MapRef, txn: &mut TransactionMut<'_>, random: &mut Random, depth: u32) {
    let key = ["k1", "k2", "k3"][random.index(3)];
    match (random.index(4), map.get(txn, key)) {
        (0, Some(_)) => drop(map.remove(txn, key)),
        (1 | 2, Some(inner)) if depth < 3 => edit_inner(inner, txn, random, depth + 1),
        _ => drop(map.insert(txn, key, value(random))),
    }
}

fn edit_array(list: &yrs::ArrayRef, txn: &mut TransactionMut<'_>, random: &mut Random, depth: u32) {
    let len = list.len(txn);
    let at = random.index(len as usize + 1) as u32;
    match random.index(5) {
        0 | 1 if at < len => list.remove_range(
            txn,
            at,
            1 + random.index(2).min((len - at - 1) as usize) as u32,
        ),
        2 if at < len && depth < 3 => {
            if let Some(inner) = list.get(txn, at) {
                edit_inner(inner, txn, random, depth + 1);
            }
        }
        _ => drop(list.insert(txn, at, value(random))),
    }
}

fn edit_inner(inner: Out, txn: &mut TransactionMut<'_>, random: &mut Random, depth: u32) {
    match inner {
        Out::YText(text) => edit_text(&text, txn, random),
        Out::YMap(map) => edit_map(&map, txn, random, depth),
        Out::YArray(list) => edit_array(&list, txn, random, depth),
        _ => {}
    }
}

pub fn edit_blocks<F: XmlFragment>(
    blocks: &F,
    txn: &mut TransactionMut<'_>,
    random: &mut Random,
    depth: u32,
) {
    let len = blocks.len(txn);
    let at = random.index(len as usize + 1) as u32;
    let child = blocks.get(txn, at.min(len.saturating_sub(1)));
    match (random.index(10), child) {
        (0, Some(_)) if at < len => blocks.remove_range(txn, at, 1),
        (1, Some(XmlOut::Element(element))) => {
            let key = ["level", "align"][random.index(2)];
            match random.index(3) {
                0 => element.remove_attribute(txn, &key),
                _ => drop(element.insert_attribute(txn, key, word(random))),
            }
        }
        (2, Some(XmlOut::Element(element))) if depth < 3 => {
            edit_blocks(&element, txn, random, depth + 1);
        }
        (3..=7, Some(XmlOut::Element(element))) => match element.get(txn, 0) {
            Some(XmlOut::Text(text)) => edit_text(&text, txn, random),
            _ => drop(element.insert(txn, 0, XmlTextPrelim::new(word(random)))),
        },
        (_, Some(XmlOut::Text(text))) => edit_text(&text, txn, random),
        _ => {
            let name: Arc<str> = ["paragraph", "heading"][random.index(2)].into();
            let block = blocks.insert(txn, at, XmlElementPrelim::empty(name));
            if random.index(4) > 0 {
                block.insert(txn, 0, XmlTextPrelim::new(word(random)));
            }
        }
    }
}
