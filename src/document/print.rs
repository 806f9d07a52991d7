//! Fingerprints of nodes: two nodes with the same one have the same content, whatever their ids are and however their text
//! is cut into runs.

use std::borrow::Cow;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::{
    diff::Marks,
    tree::{self, Chunk, Node, Part},
};

/// Below it a node is taken as a whole. No editor nests so deep; a hostile document may.
pub(super) const MAX_DEPTH: u32 = 64;

/// What a node holds. A cryptographic hash, as a document's writers could make others collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Print {
    digest: [u8; 16],
    /// Letters and digits in it.
    pub letters: u32,
    /// Nodes with attributes, itself included.
    pub attributed: u32,
    /// Nodes, itself included.
    pub nodes: u32,
}

impl Print {
    /// Whether it is worth being recognised at another place: not every empty paragraph is one.
    pub fn is_remarkable(&self) -> bool {
        self.letters > 0 || self.attributed > 0
    }

    /// Larger for a node than for any that is in it.
    pub fn weight(&self) -> u64 {
        u64::from(self.letters) + u64::from(self.nodes)
    }

    /// The fingerprint of a node. `depth` is how deep it is.
    pub(super) fn of(node: &Node, depth: u32) -> Self {
        let mut ink = Ink::new();
        if depth >= MAX_DEPTH {
            ink.word(b"json", &tree::to_json(node).to_string());
            return ink.dry();
        }
        match node {
            Node::Text(chunks) => {
                ink.word(b"kind", "text");
                ink.text(chunks);
            }
            Node::XmlText(chunks) => {
                ink.word(b"kind", "xml-text");
                ink.text(chunks);
            }
            Node::Map(entries) => {
                ink.word(b"kind", "map");
                for (key, value) in entries {
                    ink.word(b"key ", key);
                    ink.part(&Self::of_part(value, depth + 1));
                }
            }
            Node::Array(items) => {
                ink.word(b"kind", "array");
                items
                    .iter()
                    .for_each(|item| ink.part(&Self::of_part(item, depth + 1)));
            }
            Node::Fragment(children) => {
                ink.word(b"kind", "fragment");
                ink.children(children, depth);
            }
            Node::Element {
                name,
                attrs,
                children,
                ..
            } => {
                ink.word(b"kind", "element");
                ink.word(b"name", name);
                for (key, value) in attrs {
                    ink.word(b"key ", key);
                    ink.word(b"attr", &tree::to_json(value).to_string());
                }
                ink.print.attributed += u32::from(!attrs.is_empty());
                ink.children(children, depth);
            }
            Node::Value(_) | Node::Subdocument(_) | Node::TooDeep => {
                let json = tree::to_json(node);
                ink.print.letters += letters(json.as_str().unwrap_or_default());
                ink.word(b"json", &json.to_string());
            }
        }
        ink.dry()
    }

    /// The same of a part, which keeps it: it always stands as deep.
    pub(super) fn of_part(part: &Part, depth: u32) -> Self {
        part.print(|node| Self::of(node, depth))
    }
}

/// The marks of plain text as JSON: most text is plain.
const NO_MARKS: &str = "{}";

/// One fingerprint that is being made.
struct Ink {
    hash: Sha256,
    print: Print,
    /// The marks of the text that it ends with.
    marks: Option<Cow<'static, str>>,
}

impl Ink {
    fn new() -> Self {
        Self {
            hash: Sha256::new(),
            print: Print {
                digest: [0; 16],
                letters: 0,
                attributed: 0,
                nodes: 1,
            },
            marks: None,
        }
    }

    fn word(&mut self, label: &[u8; 4], word: &str) {
        self.marks = None;
        // A byte that no text has: where the text before it ends can not be mistaken.
        self.hash.update([0xff]);
        self.hash.update(label);
        self.hash.update((word.len() as u64).to_le_bytes());
        self.hash.update(word);
    }

    fn children(&mut self, children: &[Part], depth: u32) {
        for child in children {
            match &**child {
                Node::XmlText(chunks) => self.text(chunks),
                _ => self.part(&Print::of_part(child, depth + 1)),
            }
        }
    }

    fn part(&mut self, part: &Print) {
        self.marks = None;
        self.hash.update([0xfe]);
        self.hash.update(part.digest);
        self.print.letters += part.letters;
        self.print.attributed += part.attributed;
        self.print.nodes += part.nodes;
    }

    /// Runs of the same marks count as one.
    fn text(&mut self, chunks: &[Chunk]) {
        for chunk in chunks {
            let marks = match chunk.marks.is_empty() {
                true => Cow::Borrowed(NO_MARKS),
                false => Cow::Owned(Json::from_iter(marks_of(chunk)).to_string()),
            };
            if self.marks.as_ref() != Some(&marks) {
                self.word(b"mark", &marks);
            }
            match string_of(chunk) {
                Some(text) => {
                    self.hash.update(text);
                    self.print.letters += letters(text);
                    self.marks = Some(marks);
                }
                None => self.word(b"json", &tree::to_json(&chunk.insert).to_string()),
            }
        }
    }

    fn dry(mut self) -> Print {
        for (to, from) in self.print.digest.iter_mut().zip(self.hash.finalize()) {
            *to = from;
        }
        self.print
    }
}

fn letters(text: &str) -> u32 {
    if text.is_ascii() {
        return text.bytes().filter(u8::is_ascii_alphanumeric).count() as u32;
    }
    text.chars().filter(|c| c.is_alphanumeric()).count() as u32
}

/// The text of a chunk that is one.
pub(super) fn string_of(chunk: &Chunk) -> Option<&str> {
    match &chunk.insert {
        Node::Value(yrs::Any::String(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn marks_of(chunk: &Chunk) -> Marks {
    let marks = chunk.marks.iter();
    marks
        .map(|(name, value)| (name.clone(), tree::to_json(&Node::Value(value.clone()))))
        .collect()
}
