//! Edits on a replica: what a step of the plan means on what is there when it comes.
//!
//! Every edit is one or more transactions, as an editor would make them. Texts are edited at the borders of tokens and
//! characters only, see [`super::token`].

use yrs::{
    Any, Array, ArrayPrelim, ArrayRef, Doc, Map, MapPrelim, MapRef, Out, ReadTxn, Text, TextPrelim,
    TextRef, Transact, TransactionMut, Xml, XmlElementPrelim, XmlElementRef, XmlFragment,
    XmlFragmentRef, XmlOut, XmlTextPrelim, XmlTextRef,
    branch::{Branch, BranchPtr},
    types::{Attrs, text::YChange, xml::XmlIn},
};

use super::{
    plan::{Edit, Verb, Workload},
    token::{Token, find},
    undo::OWN,
};

/// Words between the tokens: one and two bytes, an emoji of two UTF-16 units, and nothing.
const WORDS: [&str; 5] = [" ", "ab ", "é", "😀 ", "漢字"];
const MARKS: [&str; 3] = ["bold", "italic", "code"];
const KEYS: u16 = 8;
const NESTED_KEYS: u16 = 4;

/// The root types of one replica, one for each workload.
pub struct Roots {
    doc: Doc,
    text: TextRef,
    rich: TextRef,
    map: MapRef,
    array: ArrayRef,
    nested: MapRef,
    tree: XmlFragmentRef,
}

/// Where an edit takes place and what it writes.
#[derive(Clone, Copy)]
struct Stroke {
    edit: Edit,
    client: u16,
    step: u32,
}

impl Roots {
    pub fn of(doc: &Doc) -> Self {
        Self {
            doc: doc.clone(),
            text: doc.get_or_insert_text(Workload::Text.name()),
            rich: doc.get_or_insert_text(Workload::Rich.name()),
            map: doc.get_or_insert_map(Workload::Map.name()),
            array: doc.get_or_insert_array(Workload::Array.name()),
            nested: doc.get_or_insert_map(Workload::Nested.name()),
            tree: doc.get_or_insert_xml_fragment(Workload::Tree.name()),
        }
    }

    /// The branches of all of them.
    pub fn branches(&self) -> [BranchPtr; 6] {
        [
            branch(&self.text),
            branch(&self.rich),
            branch(&self.map),
            branch(&self.array),
            branch(&self.nested),
            branch(&self.tree),
        ]
    }

    /// Does the edit and returns its updates, one for each transaction. None when there was nothing to do it to.
    pub fn apply(&self, edit: Edit, client: u16, step: u32) -> Vec<Vec<u8>> {
        let stroke = Stroke { edit, client, step };
        let parts = match edit.verb {
            Verb::Insert | Verb::Type => edit.span.max(1),
            _ => 1,
        };
        let mut updates = Vec::new();
        let mut at = None;
        for part in 0..parts {
            let mut txn = self.doc.transact_mut_with(OWN);
            match edit.on {
                Workload::Text => on_text(&self.text, &mut txn, &stroke, part, &mut at),
                Workload::Rich => on_text(&self.rich, &mut txn, &stroke, part, &mut at),
                Workload::Map => on_map(&self.map, &mut txn, &stroke, part),
                Workload::Array => on_array(&self.array, &mut txn, &stroke, part),
                Workload::Nested => on_nested(&self.nested, &mut txn, &stroke, part),
                Workload::Tree => on_tree(&self.tree, &mut txn, &stroke, part, &mut at),
            }
            let update = txn.encode_update_v1();
            drop(txn);
            if update != crate::document::replica::EMPTY_UPDATE {
                updates.push(update);
            }
        }
        updates
    }

    /// The tokens of a workload in their order; nothing for maps, which have none.
    pub fn sequence(&self, on: Workload) -> Vec<Token> {
        let txn = self.doc.transact();
        let text = match on {
            Workload::Text => plain(&self.text, &txn),
            Workload::Rich => plain(&self.rich, &txn),
            Workload::Array => self
                .array
                .iter(&txn)
                .map(|item| item.to_string(&txn))
                .collect(),
            Workload::Tree => self
                .tree
                .children(&txn)
                .filter_map(XmlOut::into_xml_element)
                .filter_map(|block| text_of(&block, &txn))
                .map(|text| plain(&text, &txn))
                .collect(),
            Workload::Map | Workload::Nested => String::new(),
        };
        find(&text).into_iter().map(|(_, _, token)| token).collect()
    }
}

impl Stroke {
    fn token(&self, part: u8) -> String {
        let token = Token {
            client: self.client,
            step: self.step,
            part,
        };
        token.to_string()
    }

    /// A token and a word.
    fn words(&self, part: u8) -> String {
        let word = WORDS[(self.step as usize + usize::from(part)) % WORDS.len()];
        self.token(part) + word
    }

    /// The place among `count` things; 0 when there is none.
    fn index(&self, count: u32) -> u32 {
        ((u64::from(count) * u64::from(self.edit.place)) >> 16) as u32
    }

    fn marks(&self) -> Attrs {
        let mark = MARKS[usize::from(self.edit.place) % MARKS.len()];
        let value = match self.edit.span {
            3 => Any::Null,
            _ => Any::Bool(true),
        };
        Attrs::from([(mark.into(), value)])
    }
}

fn branch(shared: &impl AsRef<Branch>) -> BranchPtr {
    BranchPtr::from(shared.as_ref())
}

/// Tokens and characters with their place and length in UTF-16 units.
fn segments(text: &str) -> Vec<(u32, u32)> {
    let mut tokens = find(text).into_iter().peekable();
    let (mut segments, mut at, mut byte) = (Vec::new(), 0, 0);
    while let Some(letter) = text.get(byte..).and_then(|rest| rest.chars().next()) {
        let (bytes, units) = match tokens.next_if(|(start, _, _)| *start == byte) {
            Some((_, length, _)) => (length, length as u32),
            None => (letter.len_utf8(), letter.len_utf16() as u32),
        };
        segments.push((at, units));
        at += units;
        byte += bytes;
    }
    segments
}

fn plain(text: &impl Text, txn: &impl ReadTxn) -> String {
    let chunks = text.diff(txn, YChange::identity);
    chunks
        .into_iter()
        .filter_map(|chunk| match chunk.insert {
            Out::Any(Any::String(part)) => Some(part),
            _ => None,
        })
        .fold(String::new(), |text, part| text + &part)
}

/// `at` is where the next part of the same edit goes on.
fn on_text(
    text: &impl Text,
    txn: &mut TransactionMut<'_>,
    stroke: &Stroke,
    part: u8,
    at: &mut Option<u32>,
) {
    let segments = segments(&plain(text, txn));
    let end = segments.last().map_or(0, |(at, units)| at + units);
    let count = segments.len() as u32;
    match stroke.edit.verb {
        Verb::Insert | Verb::Type => {
            let place = stroke.index(count + 1) as usize;
            let start = segments.get(place).map_or(end, |segment| segment.0);
            let place = at.unwrap_or(start).min(end);
            let words = stroke.words(part);
            text.insert(txn, place, &words);
            *at = Some(place + words.encode_utf16().count() as u32);
        }
        Verb::Delete | Verb::Format | Verb::Move => {
            let first = stroke.index(count) as usize;
            let last = (first + usize::from(stroke.edit.span)).min(segments.len());
            let Some(chosen) = segments
                .get(first..last)
                .filter(|chosen| !chosen.is_empty())
            else {
                return;
            };
            let start = chosen.first().map_or(0, |segment| segment.0);
            let units = chosen.iter().map(|segment| segment.1).sum();
            if stroke.edit.verb == Verb::Format {
                text.format(txn, start, units, stroke.marks());
            } else {
                text.remove_range(txn, start, units);
            }
        }
    }
}

fn on_map(map: &MapRef, txn: &mut TransactionMut<'_>, stroke: &Stroke, part: u8) {
    let key = format!(
        "k{}",
        stroke.edit.place.wrapping_add(u16::from(part)) % KEYS
    );
    if stroke.edit.verb == Verb::Delete {
        map.remove(txn, &key);
    } else {
        map.insert(txn, key, stroke.token(part));
    }
}

fn on_array(array: &ArrayRef, txn: &mut TransactionMut<'_>, stroke: &Stroke, part: u8) {
    let length = array.len(txn);
    if stroke.edit.verb == Verb::Delete {
        let start = stroke.index(length);
        let count = u32::from(stroke.edit.span).min(length - start);
        if count > 0 {
            array.remove_range(txn, start, count);
        }
    } else {
        array.insert(txn, stroke.index(length + 1), stroke.token(part));
    }
}

fn on_nested(nested: &MapRef, txn: &mut TransactionMut<'_>, stroke: &Stroke, part: u8) {
    let key = format!("n{}", stroke.edit.place % NESTED_KEYS);
    let whole = stroke.edit.verb == Verb::Delete && stroke.edit.span == 3;
    match nested.get(txn, &key) {
        Some(_) if whole => {
            nested.remove(txn, &key);
        }
        Some(Out::YText(text)) => on_text(&text, txn, stroke, part, &mut None),
        Some(Out::YMap(map)) => on_map(&map, txn, stroke, part),
        Some(Out::YArray(array)) if stroke.edit.verb == Verb::Insert && stroke.edit.span == 2 => {
            let at = stroke.index(array.len(txn) + 1);
            array.insert(txn, at, MapPrelim::from([("w", stroke.token(part))]));
        }
        Some(Out::YArray(array)) => on_array(&array, txn, stroke, part),
        _ if stroke.edit.verb == Verb::Delete => {}
        _ => match stroke.edit.place / NESTED_KEYS % 3 {
            0 => {
                nested.insert(txn, key, TextPrelim::new(stroke.words(part)));
            }
            1 => {
                nested.insert(txn, key, MapPrelim::from([("w", stroke.token(part))]));
            }
            _ => {
                nested.insert(txn, key, ArrayPrelim::from([stroke.token(part)]));
            }
        },
    }
}

fn on_tree(
    tree: &XmlFragmentRef,
    txn: &mut TransactionMut<'_>,
    stroke: &Stroke,
    part: u8,
    at: &mut Option<u32>,
) {
    let count = tree.len(txn);
    let index = stroke.index(count);
    let block = tree.get(txn, index).and_then(XmlOut::into_xml_element);
    match (stroke.edit.verb, block) {
        (Verb::Insert, _) | (Verb::Type, None) => {
            let place = stroke.index(count + 1);
            tree.insert(txn, place, paragraph(stroke.words(part)));
        }
        (_, None) => {}
        (Verb::Delete, Some(_)) if stroke.edit.span == 3 => tree.remove(txn, index),
        (Verb::Format, Some(block)) if stroke.edit.span == 1 => {
            let level = i64::from(stroke.edit.place % 7);
            block.insert_attribute(txn, "level", level);
        }
        (Verb::Move, Some(block)) => {
            let text = text_of(&block, txn).map(|text| plain(&text, txn));
            tree.remove(txn, index);
            // Away from where it was: the place is read backwards.
            let place = (count - 1) - index.min(count - 1);
            tree.insert(txn, place, paragraph(text.unwrap_or_default()));
        }
        (Verb::Type | Verb::Delete | Verb::Format, Some(block)) => {
            if let Some(text) = text_of(&block, txn) {
                on_text(&text, txn, stroke, part, at);
            }
        }
    }
}

fn paragraph(text: String) -> XmlElementPrelim {
    XmlElementPrelim::new("paragraph", [XmlIn::from(XmlTextPrelim::new(text))])
}

fn text_of(block: &XmlElementRef, txn: &impl ReadTxn) -> Option<XmlTextRef> {
    block.get(txn, 0).and_then(XmlOut::into_xml_text)
}
