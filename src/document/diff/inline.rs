//! Text side by side.
//!
//! The unit is the grapheme, so no difference goes through a surrogate pair or between a letter and its accents, unless formatting
//! already does. Units with the same id stayed: that is exact, as the ids of text keep their order for ever. What lies
//! between those is compared by its words, and where one word stands for another, by how the two begin and end.

use std::{collections::HashMap, ops::Range};

use super::{
    Change, Content, Entry, Marks,
    compare::Compare,
    line::{Inline, Key, Unit, What, common_ends, id_after, units_of},
    sequence::{Pairs, common, rising},
};
use crate::document::{ids::Id, tree};

/// The line as one state has it.
pub(super) fn all(compare: &Compare, line: &Inline<'_>, change: Change, depth: u32) -> Vec<Entry> {
    let mut out = Out::new(compare, depth);
    for piece in &line.pieces {
        match piece.what {
            What::Text(from, to) => {
                let text = &line.text[from..to];
                out.text(text, change, &piece.marks, None, piece.id);
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
    let ends = [before, after].map(|line| line.text.len() - tail);
    let mut out = Out::new(compare, depth);
    out.same(after, 0..head);
    out.changes((before, head..ends[0]), (after, head..ends[1]));
    out.same(after, ends[1]..after.text.len());
    out.entries
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

    /// Text that did not change, from one byte of a line to another.
    fn same(&mut self, line: &Inline<'_>, within: Range<usize>) {
        for piece in &line.pieces {
            if let What::Text(from, to) = piece.what
                && from < within.end
                && within.start < to
            {
                let text = &line.text[from.max(within.start)..to.min(within.end)];
                self.text(text, Change::Same, &piece.marks, None, None);
            }
        }
    }

    /// What became of a part of a line, from one byte to another.
    fn changes(
        &mut self,
        (before, was): (&Inline<'_>, Range<usize>),
        (after, is): (&Inline<'_>, Range<usize>),
    ) {
        let b = before.units(was, self.depth);
        let a = after.units(is, self.depth);
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
                let entry = self.compare.part(before, after, self.depth + 1);
                self.entries.push(entry);
            }
            (_, Some(node), _) => self.node(node, change, after.marks, was),
            (_, None, Key::Text(text)) => self.text(text, change, after.marks, was, after.id),
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
        // What was formatted is one run, whoever wrote the text.
        let own = id.filter(|_| matches!(change, Change::Added | Change::Removed));
        let next = own.map(|id| id_after(id, units_of(text)));
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
            && self.next == own
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
        entry.id = own.or(id.filter(|_| change == Change::Formatted));
        self.entries.push(entry);
    }

    fn node(&mut self, what: What<'_>, change: Change, marks: &Marks, was: Option<&Marks>) {
        let entry = match what {
            What::Node(part) => self.compare.whole(part, change, self.depth + 1),
            What::Embed(node) => Entry::new(
                change,
                Content::Embed {
                    value: tree::to_json(node),
                    marks: marks.clone(),
                    before: was.cloned(),
                },
            ),
            What::Text(..) => return,
        };
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use yrs::Any;

    use super::*;
    use crate::document::{
        print::string_of,
        tree::{Chunk, Node},
    };

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
            out.changes((&before, 0..before.text.len()), (&after, 0..after.text.len()));
            prop_assert_eq!(compare(&context, &before, &after, 0), out.entries);
        }
    }
}
