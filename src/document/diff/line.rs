//! A line of text: its runs with their marks and ids, what stands between letters, and which ends two lines share.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::Marks;
use crate::document::{
    Clock,
    ids::Id,
    print::{Print, marks_of, string_of},
    tree::{Chunk, Node, Part},
};

/// A line of text of one side.
#[derive(Default)]
pub(super) struct Inline<'t> {
    pub text: String,
    pub pieces: Vec<Piece<'t>>,
}

pub(super) struct Piece<'t> {
    pub what: What<'t>,
    pub marks: Marks,
    pub id: Option<Id>,
}

#[derive(Clone, Copy)]
pub(super) enum What<'t> {
    /// From one byte of the text to another.
    Text(usize, usize),
    Embed(&'t Node),
    Node(&'t Part),
}

impl<'t> Inline<'t> {
    pub fn of_chunks(chunks: &'t [Chunk]) -> Self {
        let mut line = Self::default();
        line.push_chunks(chunks);
        line
    }

    pub fn of_children(children: &'t [Part]) -> Self {
        let mut line = Self::default();
        for child in children {
            match &**child {
                Node::XmlText(chunks) => line.push_chunks(chunks),
                node => line.pieces.push(Piece {
                    what: What::Node(child),
                    marks: Marks::new(),
                    id: node.id(),
                }),
            }
        }
        line
    }

    fn push_chunks(&mut self, chunks: &'t [Chunk]) {
        for chunk in chunks {
            let what = match string_of(chunk) {
                Some(text) => {
                    let from = self.text.len();
                    self.text.push_str(text);
                    What::Text(from, self.text.len())
                }
                None => What::Embed(&chunk.insert),
            };
            self.pieces.push(Piece {
                what,
                marks: marks_of(chunk),
                id: chunk.id,
            });
        }
    }

    /// The pieces as text that has ids; nothing where one is something else.
    fn runs(&self) -> impl DoubleEndedIterator<Item = Option<Run<'_>>> {
        self.pieces
            .iter()
            .map(|piece| match (piece.what, piece.id) {
                (What::Text(from, to), Some(id)) => Some(Run {
                    text: &self.text[from..to],
                    marks: &piece.marks,
                    id,
                }),
                _ => None,
            })
    }

    /// What is compared: the graphemes from one byte to another, which is where graphemes end, and all that is embedded.
    pub fn units(&self, within: Range<usize>, depth: u32) -> Vec<Unit<'_>> {
        let mut units = Vec::new();
        let mut pieces = self.pieces.iter().peekable();
        while let Some(first) = pieces.next() {
            let mut unit = Unit {
                key: Key::Text(""),
                node: None,
                marks: &first.marks,
                id: first.id,
                start: 0,
            };
            let (from, mut to) = match first.what {
                What::Text(from, to) => (from, to),
                What::Node(part) => {
                    unit.key = Key::Node(Print::of_part(part, depth + 1));
                    unit.node = Some(first.what);
                    units.push(unit);
                    continue;
                }
                What::Embed(value) => {
                    unit.key = Key::Node(Print::of(value, depth + 1));
                    unit.node = Some(first.what);
                    units.push(unit);
                    continue;
                }
            };
            if to <= within.start || within.end <= from {
                continue;
            }
            // A grapheme may go over the ends of runs that were typed at different times.
            let mut runs = vec![(from, first.id)];
            while let Some(next) = pieces.peek()
                && let What::Text(next_from, next_to) = next.what
                && next.marks == first.marks
            {
                runs.push((next_from, next.id));
                to = next_to;
                pieces.next();
            }
            let start = from.max(within.start);
            let mut run = 0;
            let mut clock = units_of(&self.text[from..start]);
            for (at, grapheme) in self.text[start..to.min(within.end)].grapheme_indices(true) {
                unit.start = start + at;
                while runs
                    .get(run + 1)
                    .is_some_and(|(start, _)| *start <= unit.start)
                {
                    run += 1;
                    clock = units_of(&self.text[runs[run].0..unit.start]);
                }
                unit.key = Key::Text(grapheme);
                unit.id = runs[run].1.map(|id| id_after(id, clock));
                clock += units_of(grapheme);
                units.push(unit);
            }
        }
        units
    }
}

/// What is compared: one grapheme, embedded value or element.
#[derive(Clone, Copy)]
pub(super) struct Unit<'l> {
    pub key: Key<'l>,
    /// Where it is no grapheme.
    pub node: Option<What<'l>>,
    pub marks: &'l Marks,
    pub id: Option<Id>,
    /// Byte of the line's text at which a grapheme stands.
    pub start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'l> {
    Text(&'l str),
    Node(Print),
}

/// How many bytes at the beginning, and at the end, are the same text with the same ids and marks. Both are cut where a grapheme
/// surely ends, and inside of text: what is embedded stays in the middle.
pub(super) fn common_ends(before: &Inline<'_>, after: &Inline<'_>) -> (usize, usize) {
    let bytes = before.text.as_bytes();
    let head = alike(
        before.runs(),
        after.runs(),
        Run::shares_head,
        Run::without_head,
    );
    let mut cuts = (1..head).rev();
    let head = cuts.find(|cut| is_boundary(bytes, *cut)).unwrap_or(0);
    let tail = alike(
        before.runs().rev(),
        after.runs().rev(),
        Run::shares_tail,
        Run::without_tail,
    );
    // The same letters are not at both ends.
    let tail = tail.min(bytes.len().min(after.text.len()) - head);
    let mut cuts = (1..tail).rev();
    let tail = cuts.find(|cut| is_boundary(bytes, bytes.len() - cut));
    (head, tail.unwrap_or(0))
}

/// Whether a grapheme ends here, whatever stands around: between two ASCII characters, but for a line break of two.
fn is_boundary(text: &[u8], at: usize) -> bool {
    text[at - 1].is_ascii() && text[at].is_ascii() && text[at - 1] != b'\r'
}

/// Bytes that two lines share, run by run.
fn alike<'r>(
    mut before: impl Iterator<Item = Option<Run<'r>>>,
    mut after: impl Iterator<Item = Option<Run<'r>>>,
    shares: fn(&Run<'r>, &Run<'r>, usize) -> bool,
    without: fn(Run<'r>, usize) -> Option<Run<'r>>,
) -> usize {
    let mut shared = 0;
    let (mut b, mut a) = (before.next().flatten(), after.next().flatten());
    while let (Some(one), Some(other)) = (b, a) {
        let len = one.text.len().min(other.text.len());
        if one.marks != other.marks || !shares(&one, &other, len) {
            break;
        }
        shared += len;
        b = without(one, len).or_else(|| before.next().flatten());
        a = without(other, len).or_else(|| after.next().flatten());
    }
    shared
}

/// Text that was written in one go.
#[derive(Clone, Copy)]
struct Run<'r> {
    text: &'r str,
    marks: &'r Marks,
    id: Id,
}

impl Run<'_> {
    fn shares_head(&self, other: &Self, len: usize) -> bool {
        let [one, other_text] = [self, other].map(|run| &run.text.as_bytes()[..len]);
        self.id == other.id && one == other_text
    }

    fn shares_tail(&self, other: &Self, len: usize) -> bool {
        let [one, other_text] =
            [self, other].map(|run| &run.text.as_bytes()[run.text.len() - len..]);
        self.end() == other.end() && one == other_text
    }

    /// The id that would follow.
    fn end(&self) -> Id {
        id_after(self.id, units_of(self.text))
    }

    fn without_head(self, len: usize) -> Option<Self> {
        let (head, text) = self.text.split_at(len);
        let id = id_after(self.id, units_of(head));
        (!text.is_empty()).then_some(Self { text, id, ..self })
    }

    fn without_tail(self, len: usize) -> Option<Self> {
        let text = &self.text[..self.text.len() - len];
        (!text.is_empty()).then_some(Self { text, ..self })
    }
}

/// UTF-16 units, in which ids count.
pub(super) fn units_of(text: &str) -> Clock {
    match text.is_ascii() {
        true => text.len() as Clock,
        false => text.encode_utf16().count() as Clock,
    }
}

/// The id of the unit that comes `units` after this one.
pub(super) fn id_after(id: Id, units: Clock) -> Id {
    Id::new(id.client, id.clock.saturating_add(units))
}
