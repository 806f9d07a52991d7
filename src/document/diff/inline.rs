//! Text side by side: runs with their marks, and what stands between letters.
//!
//! The unit is the grapheme, so no difference goes through a surrogate pair or between a letter and its accents, unless formatting
//! already does. Units with the same id stayed: that is exact, as the ids of text keep their order for ever. What lies
//! between those is compared by its words, and where one word stands for another, by how the two begin and end.

use std::collections::HashMap;

use unicode_segmentation::UnicodeSegmentation as _;

use super::{
    Change, Content, Entry, Marks,
    compare::Compare,
    print::{Print, marks_of, string_of},
    sequence::{Pairs, common, rising},
};
use crate::document::{
    Clock,
    ids::Id,
    tree::{self, Chunk, Node},
};

/// A line of text of one side.
#[derive(Default)]
pub(super) struct Inline<'t> {
    text: String,
    pieces: Vec<Piece<'t>>,
}

struct Piece<'t> {
    what: What<'t>,
    marks: Marks,
    id: Option<Id>,
}

#[derive(Clone, Copy)]
enum What<'t> {
    /// Up to this byte of the text.
    Text(usize),
    Embed(&'t Node),
    Node(&'t Node),
}

impl<'t> Inline<'t> {
    pub fn of_chunks(chunks: &'t [Chunk]) -> Self {
        let mut line = Self::default();
        line.push_chunks(chunks);
        line
    }

    pub fn of_children(children: &'t [Node]) -> Self {
        let mut line = Self::default();
        for child in children {
            match child {
                Node::XmlText(chunks) => line.push_chunks(chunks),
                node => line.pieces.push(Piece {
                    what: What::Node(node),
                    marks: Marks::new(),
                    id: match node {
                        Node::Element { id, .. } => *id,
                        _ => None,
                    },
                }),
            }
        }
        line
    }

    fn push_chunks(&mut self, chunks: &'t [Chunk]) {
        for chunk in chunks {
            let what = match string_of(chunk) {
                Some(text) => {
                    self.text.push_str(text);
                    What::Text(self.text.len())
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

    /// The pieces of text, and from where to where they go.
    fn texts(&self) -> impl Iterator<Item = (&Piece<'t>, usize, usize)> {
        let mut from = 0;
        self.pieces.iter().filter_map(move |piece| {
            let What::Text(end) = piece.what else {
                return None;
            };
            let start = std::mem::replace(&mut from, end);
            Some((piece, start, end))
        })
    }

    /// The pieces as text that has ids; nothing where one is something else.
    fn runs(&self) -> impl DoubleEndedIterator<Item = Option<Run<'_>>> {
        let start = |at: usize| {
            let before = self.pieces[..at].iter().rev();
            let mut ends = before.filter_map(|piece| match piece.what {
                What::Text(end) => Some(end),
                _ => None,
            });
            ends.next().unwrap_or(0)
        };
        self.pieces.iter().enumerate().map(move |(at, piece)| {
            let (What::Text(end), Some(id)) = (piece.what, piece.id) else {
                return None;
            };
            Some(Run {
                text: &self.text[start(at)..end],
                marks: &piece.marks,
                id,
            })
        })
    }

    /// The line from one byte to another, with what is embedded there.
    fn slice(&self, from: usize, to: usize) -> Self {
        let mut slice = Self::default();
        let mut start = 0;
        for piece in &self.pieces {
            let (mut what, mut id) = (piece.what, piece.id);
            if let What::Text(end) = piece.what {
                let part = start.max(from)..end.min(to);
                let before = start..part.start;
                start = end;
                if part.is_empty() {
                    continue;
                }
                id = id.map(|id| id_after(id, units_of(&self.text[before])));
                slice.text.push_str(&self.text[part]);
                what = What::Text(slice.text.len());
            }
            let marks = piece.marks.clone();
            slice.pieces.push(Piece { what, marks, id });
        }
        slice
    }

    fn units(&self, compare: &Compare, depth: u32) -> Vec<Unit<'_>> {
        let mut units = Vec::new();
        let mut from = 0;
        let mut pieces = self.pieces.iter().peekable();
        while let Some(first) = pieces.next() {
            let mut unit = Unit {
                key: Key::Text(""),
                node: None,
                marks: &first.marks,
                id: first.id,
                start: from,
            };
            let What::Text(mut end) = first.what else {
                let (What::Node(node) | What::Embed(node)) = first.what else {
                    continue;
                };
                unit.key = Key::Node(compare.prints.of(node, depth + 1));
                unit.node = Some(first.what);
                units.push(unit);
                continue;
            };
            // A grapheme may go over the ends of runs that were typed at different times.
            let mut runs = vec![(from, first.id)];
            while let Some(next) = pieces
                .next_if(|next| matches!(next.what, What::Text(_)) && next.marks == first.marks)
            {
                if let What::Text(next_end) = next.what {
                    runs.push((end, next.id));
                    end = next_end;
                }
            }
            let mut run = 0;
            let mut clock = 0;
            for (at, grapheme) in self.text[from..end].grapheme_indices(true) {
                unit.start = from + at;
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
            from = end;
        }
        units
    }
}

/// What is compared: one grapheme, embedded value or element.
#[derive(Clone, Copy)]
struct Unit<'l> {
    key: Key<'l>,
    /// Where it is no grapheme.
    node: Option<What<'l>>,
    marks: &'l Marks,
    id: Option<Id>,
    /// Byte of the line's text at which it stands.
    start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'l> {
    Text(&'l str),
    Node(Print),
}

/// The line as one state has it.
pub(super) fn all(compare: &Compare, line: &Inline<'_>, change: Change, depth: u32) -> Vec<Entry> {
    let mut out = Out::new(compare, depth);
    let mut from = 0;
    for piece in &line.pieces {
        match piece.what {
            What::Text(end) => {
                let text = &line.text[from..end];
                out.text(text, change, &piece.marks, None, piece.id);
                from = end;
            }
            what => out.node(what, change, &piece.marks, None),
        }
    }
    out.entries
}

/// What became of a line.
pub(super) fn compare(
    compare: &Compare,
    before: &Inline<'_>,
    after: &Inline<'_>,
    depth: u32,
) -> Vec<Entry> {
    // Most of a long line is what it was, and needs no look at each grapheme.
    let (head, tail) = common_ends(before, after);
    let end = after.text.len() - tail;
    let mut out = Out::new(compare, depth);
    out.same(after, 0, head);
    let before = before.slice(head, before.text.len() - tail);
    out.changes(&before, &after.slice(head, end));
    out.same(after, end, after.text.len());
    out.entries
}

/// How many bytes at the beginning, and at the end, are the same text with the same ids and marks. Both are cut where a grapheme
/// surely ends, and inside of text: what is embedded stays in the middle.
fn common_ends(before: &Inline<'_>, after: &Inline<'_>) -> (usize, usize) {
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

/// Where a gap starts on either side, and where it ends.
type Gap = (usize, usize, usize, usize);

/// Goes over the gaps between pairs, each with the pair that ends it, and the last with none.
fn between(
    pairs: &[(usize, usize)],
    ends: (usize, usize),
    mut each: impl FnMut(Gap, Option<(usize, usize)>),
) {
    let (mut x, mut y) = (0, 0);
    for pair in pairs {
        each((x, y, pair.0, pair.1), Some(*pair));
        (x, y) = (pair.0 + 1, pair.1 + 1);
    }
    each((x, y, ends.0, ends.1), None);
}

fn same_ids(before: &[Unit<'_>], after: &[Unit<'_>]) -> Pairs {
    let ids = after.iter().enumerate();
    let places: HashMap<Id, usize> = ids.filter_map(|(at, unit)| Some((unit.id?, at))).collect();
    let stays = |(x, unit): (usize, &Unit<'_>)| {
        let y = *places.get(&unit.id?)?;
        let same = match (unit.node, after[y].node) {
            // One that has changed inside is the same still.
            (Some(What::Node(_)), Some(What::Node(_))) => true,
            _ => unit.key == after[y].key,
        };
        same.then_some((x, y))
    };
    let pairs: Pairs = before.iter().enumerate().filter_map(stays).collect();
    rising(&pairs)
}

/// A word, or a unit that is part of none.
struct Token<'l> {
    key: Key<'l>,
    is_word: bool,
    /// Its first unit.
    start: usize,
    units: usize,
}

type Side<'a, 'l> = (&'a Inline<'l>, &'a [Unit<'a>]);

/// Adds the pairs of a gap that have the same text.
fn by_words(before: Side<'_, '_>, after: Side<'_, '_>, gap: Gap, pairs: &mut Pairs) {
    if gap.0 == gap.2 || gap.1 == gap.3 {
        return;
    }
    let b = tokens(before, gap.0, gap.2);
    let a = tokens(after, gap.1, gap.3);
    let same = worthwhile(&b, &a, common(&keys_of(&b), &keys_of(&a)));
    let start = |tokens: &[Token<'_>], at: usize, end: usize| {
        tokens.get(at).map_or(end, |token| token.start)
    };
    between(&same, (b.len(), a.len()), |part, pair| {
        let units = (
            start(&b, part.0, gap.2),
            start(&a, part.1, gap.3),
            start(&b, part.2, gap.2),
            start(&a, part.3, gap.3),
        );
        ends(before.1, after.1, units, pairs);
        if let Some((x, y)) = pair {
            let (x, y) = (&b[x], &a[y]);
            let (b, a) = (
                &before.1[x.start..][..x.units],
                &after.1[y.start..][..y.units],
            );
            // Marks that begin inside a grapheme cut it, so that the same word may have other units.
            if b.iter()
                .map(|unit| unit.key)
                .eq(a.iter().map(|unit| unit.key))
            {
                pairs.extend((0..x.units).map(|at| (x.start + at, y.start + at)));
            }
        }
    });
}

fn keys_of<'l>(tokens: &[Token<'l>]) -> Vec<Key<'l>> {
    tokens.iter().map(|token| token.key).collect()
}

fn tokens<'a>(side: Side<'a, '_>, from: usize, to: usize) -> Vec<Token<'a>> {
    let (line, units) = side;
    let mut tokens = Vec::<Token<'_>>::new();
    for (at, unit) in units.iter().enumerate().take(to).skip(from) {
        let is_word = is_of_word(unit.key);
        match tokens.last_mut() {
            Some(last) if is_word && last.is_word => {
                last.units += 1;
                if let Key::Text(text) = unit.key {
                    let start = units[last.start].start;
                    last.key = Key::Text(&line.text[start..unit.start + text.len()]);
                }
            }
            _ => tokens.push(Token {
                key: unit.key,
                is_word,
                start: at,
                units: 1,
            }),
        }
    }
    tokens
}

/// Letters and digits make words, but not in scripts that write no spaces between them.
fn is_of_word(key: Key<'_>) -> bool {
    match key {
        Key::Text(text) => text
            .chars()
            .next()
            .is_some_and(|c| c.is_alphanumeric() && c < '\u{2e80}'),
        Key::Node(_) => false,
    }
}

/// Leaves out the lone space or comma between two words of which each stands for another: nobody reads a sentence that was
/// written anew as one that kept its spaces.
fn worthwhile(before: &[Token<'_>], after: &[Token<'_>], pairs: Pairs) -> Pairs {
    let rewritten = |from: (usize, usize), to: (usize, usize)| from.0 < to.0 && from.1 < to.1;
    let mut kept = Pairs::new();
    let (mut at, mut from) = (0, (0, 0));
    while let Some(first) = pairs.get(at) {
        let follows = |n: &usize| pairs.get(at + n) == Some(&(first.0 + n, first.1 + n));
        let len = (1..).take_while(follows).count() + 1;
        let next = (first.0 + len, first.1 + len);
        let end = pairs.get(at + len).copied();
        let end = end.unwrap_or((before.len(), after.len()));
        let is_lone = len <= 2
            && before[first.0..next.0].iter().all(|token| !token.is_word)
            && !matches!(before[first.0].key, Key::Node(_));
        if !(is_lone && rewritten(from, *first) && rewritten(next, end)) {
            kept.extend(&pairs[at..at + len]);
            from = next;
        }
        at += len;
    }
    kept
}

/// Adds how the two sides of a gap begin and end alike, if that is more than half of either.
fn ends(before: &[Unit<'_>], after: &[Unit<'_>], gap: Gap, pairs: &mut Pairs) {
    let (b, a) = (&before[gap.0..gap.2], &after[gap.1..gap.3]);
    let alike = |(b, a): &(&Unit<'_>, &Unit<'_>)| b.key == a.key;
    let head = b.iter().zip(a).take_while(alike).count();
    let (rest_b, rest_a) = (&b[head..], &a[head..]);
    let rests = rest_b.iter().rev().zip(rest_a.iter().rev());
    let tail = rests.take_while(alike).count();
    if (head + tail) * 2 <= b.len().max(a.len()) {
        return;
    }
    pairs.extend((0..head).map(|at| (gap.0 + at, gap.1 + at)));
    let (x, y) = (gap.2 - tail, gap.3 - tail);
    pairs.extend((0..tail).map(|at| (x + at, y + at)));
}

/// The entries of a line, in which what follows each other with the same fate is one run.
struct Out<'c> {
    compare: &'c Compare,
    depth: u32,
    entries: Vec<Entry>,
    /// The id that the next unit of the last run has.
    next: Option<Id>,
}

impl<'c> Out<'c> {
    fn new(compare: &'c Compare, depth: u32) -> Self {
        Self {
            compare,
            depth,
            entries: Vec::new(),
            next: None,
        }
    }

    /// Text of a line that did not change, from one byte to another.
    fn same(&mut self, line: &Inline<'_>, from: usize, to: usize) {
        for (piece, start, end) in line.texts() {
            if start < to && from < end {
                let text = &line.text[start.max(from)..end.min(to)];
                self.text(text, Change::Same, &piece.marks, None, None);
            }
        }
    }

    fn changes(&mut self, before: &Inline<'_>, after: &Inline<'_>) {
        let (b, a) = (
            before.units(self.compare, self.depth),
            after.units(self.compare, self.depth),
        );
        let mut pairs = Vec::new();
        between(&same_ids(&b, &a), (b.len(), a.len()), |gap, pair| {
            by_words((before, &b), (after, &a), gap, &mut pairs);
            pairs.extend(pair);
        });
        between(&pairs, (b.len(), a.len()), |gap, pair| {
            b[gap.0..gap.2]
                .iter()
                .for_each(|unit| self.unit(unit, Change::Removed));
            a[gap.1..gap.3]
                .iter()
                .for_each(|unit| self.unit(unit, Change::Added));
            if let Some((x, y)) = pair {
                self.both(&b[x], &a[y]);
            }
        });
    }

    fn unit(&mut self, unit: &Unit<'_>, change: Change) {
        match (unit.key, unit.node) {
            (_, Some(node)) => self.node(node, change, unit.marks, None),
            (Key::Text(text), None) => self.text(text, change, unit.marks, None, unit.id),
            (Key::Node(_), None) => {}
        }
    }

    fn both(&mut self, before: &Unit<'_>, after: &Unit<'_>) {
        let was = Some(before.marks).filter(|marks| *marks != after.marks);
        let change = match was {
            Some(_) => Change::Formatted,
            None => Change::Same,
        };
        match (before.node, after.node, after.key) {
            (Some(What::Node(before)), Some(What::Node(after)), _) => {
                let entry = self.compare.entry(before, after, self.depth + 1);
                self.entries.push(entry);
            }
            (_, Some(node), _) => self.node(node, change, after.marks, was),
            (_, None, Key::Text(text)) => self.text(text, change, after.marks, was, None),
            (_, None, Key::Node(_)) => {}
        }
    }

    fn text(
        &mut self,
        text: &str,
        change: Change,
        marks: &Marks,
        was: Option<&Marks>,
        id: Option<Id>,
    ) {
        let id = id.filter(|_| matches!(change, Change::Added | Change::Removed));
        let next = id.map(|id| id_after(id, units_of(text)));
        if let Some(Entry {
            change: last_change,
            content:
                Content::Run {
                    text: last,
                    marks: last_marks,
                    before,
                },
            ..
        }) = self.entries.last_mut()
            && *last_change == change
            && last_marks == marks
            && before.as_ref() == was
            && self.next == id
        {
            last.push_str(text);
            self.next = next;
            return;
        }
        let run = Content::Run {
            text: text.to_owned(),
            marks: marks.clone(),
            before: was.cloned(),
        };
        self.next = next;
        let mut entry = Entry::new(change, run);
        entry.id = id;
        self.entries.push(entry);
    }

    fn node(&mut self, what: What<'_>, change: Change, marks: &Marks, was: Option<&Marks>) {
        let entry = match what {
            What::Node(node) => self.compare.all(node, change, self.depth + 1),
            What::Embed(node) => Entry::new(
                change,
                Content::Embed {
                    value: tree::to_json(node),
                    marks: marks.clone(),
                    before: was.cloned(),
                },
            ),
            What::Text(_) => return,
        };
        self.entries.push(entry);
    }
}

/// UTF-16 units, in which ids count.
fn units_of(text: &str) -> Clock {
    match text.is_ascii() {
        true => text.len() as Clock,
        false => text.encode_utf16().count() as Clock,
    }
}

/// The id of the unit that comes `units` after this one.
fn id_after(id: Id, units: Clock) -> Id {
    Id::new(id.client, id.clock.saturating_add(units))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use yrs::Any;

    use super::*;

    const LETTERS: [&str; 14] = [
        "a", "b", "1", " ", "\r", "\n", "é", "e", "\u{301}", "🦀", "👩", "\u{200d}", "\u{600}",
        "한",
    ];

    /// What one person wrote at one place: a letter, or a value where there is none.
    type Written = (Option<usize>, bool);

    /// A line in runs of following ids and equal marks. `shown` says which parts are there, and which are bold in this state.
    fn line(written: &[Written], shown: &[(bool, bool)]) -> Vec<Chunk> {
        let mut chunks = Vec::<Chunk>::new();
        let mut clocks = [0; 2];
        for ((letter, other), (is_there, is_bold)) in written.iter().zip(shown) {
            let client = u64::from(*other);
            let text = letter.map(|letter| LETTERS[letter]);
            let id = Id::new(client, clocks[usize::from(*other)]);
            clocks[usize::from(*other)] += text.map_or(1, units_of);
            if !is_there {
                continue;
            }
            let bold = is_bold.then(|| ("bold".to_owned(), Any::from(true)));
            let marks: BTreeMap<String, Any> = bold.into_iter().collect();
            let last = chunks.last_mut().and_then(|last| {
                let before = string_of(last)?.to_owned();
                let follows = last.id.map(|id| id_after(id, units_of(&before))) == Some(id);
                (follows && last.marks == marks).then_some((last, before))
            });
            match (text, last) {
                (Some(text), Some((last, before))) => {
                    last.insert = Node::Value(Any::from(before + text));
                }
                (Some(text), None) => chunks.push(Chunk {
                    insert: Node::Value(Any::from(text)),
                    marks,
                    id: Some(id),
                }),
                (None, _) => chunks.push(Chunk {
                    insert: Node::Value(Any::from(7)),
                    marks,
                    id: None,
                }),
            }
        }
        chunks
    }

    fn state() -> impl Strategy<Value = Vec<(bool, bool)>> {
        let part = (prop::bool::weighted(0.93), prop::bool::weighted(0.05));
        prop::collection::vec(part, 40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn ends_that_are_left_out_change_nothing(
            written in prop::collection::vec(
                (prop::option::weighted(0.97, 0..LETTERS.len()), prop::bool::weighted(0.2)), 0..40),
            states in (state(), state()),
        ) {
            let (before, after) = (line(&written, &states.0), line(&written, &states.1));
            let (before, after) = (Inline::of_chunks(&before), Inline::of_chunks(&after));
            let context = Compare::default();
            let mut out = Out::new(&context, 0);
            out.changes(&before, &after);
            prop_assert_eq!(compare(&context, &before, &after, 0), out.entries);
        }
    }
}
