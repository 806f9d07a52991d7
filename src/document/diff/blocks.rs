//! Which blocks of one list are which of another.
//!
//! In order of how sure it is: the same id with the same content; the same id with half of the words; the same content; the same
//! id; half of the words; and what is left alone opposite one of its kind. An id alone goes after content, as the editor's
//! binding may write one block's text into another's element when blocks are moved. A block whose content stands unclaimed on the other side, out of order, is not
//! paired by less: it was moved, see [`super::moves`].

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
};

use super::sequence::{Pairs, common, rising};
use crate::document::{
    copies::Copies,
    ids::Id,
    print::Print,
    tree::{self, Node, Part, is_inline},
};

/// A word that stands in more blocks of a list than this says little, and is not looked for.
const MAX_PLACES: usize = 16;
/// Blocks that are compared with one for their rare words.
const MAX_CANDIDATES: usize = 3;
/// Words of a block that are looked at.
const MAX_WORDS: usize = 1_000;

/// One row of the two lists side by side, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Both(usize, usize),
    Removed(usize),
    Added(usize),
}

/// Every block of both lists once, in order; between two pairs what was removed comes first.
pub(super) fn align(before: &[Part], after: &[Part], depth: u32, copies: &Copies) -> Vec<Step> {
    let side = |parts: &[Part]| -> Vec<Print> {
        let prints = parts.iter().map(|part| Print::of_part(part, depth));
        prints.collect()
    };
    let lists = Lists {
        before,
        after,
        before_prints: side(before),
        after_prints: side(after),
        copies,
    };
    let mut pairs = lists.same_ids(0..before.len(), 0..after.len(), |b, a| {
        lists.before_prints[b] == lists.after_prints[a]
    });
    let alike = |b: usize, a: usize| {
        shared_half(&words_of(&lists.before[b]), &words_of(&lists.after[a])).is_some()
    };
    pairs = lists.refined(pairs, |b, a| lists.same_ids(b, a, alike));
    pairs = lists.refined(pairs, |b, a| lists.same_content(b, a));
    let moved = lists.elsewhere(&pairs);
    let stays = |b: usize, a: usize| {
        let prints = (&lists.before_prints[b], &lists.after_prints[a]);
        !moved.contains(prints.0) && !moved.contains(prints.1)
    };
    pairs = lists.refined(pairs, |b, a| lists.same_ids(b, a, stays));
    pairs = lists.refined(pairs, |b, a| lists.similar(b, a, stays));
    pairs = lists.refined(pairs, |b, a| lists.plain(b, a));
    pairs = lists.refined(pairs, |b, a| lists.alone(b, a, stays));
    steps(&pairs, before.len(), after.len())
}

fn steps(pairs: &[(usize, usize)], before: usize, after: usize) -> Vec<Step> {
    let mut steps = Vec::with_capacity(before.max(after));
    let (mut b, mut a) = (0, 0);
    for (x, y) in pairs.iter().copied().chain([(before, after)]) {
        steps.extend((b..x).map(Step::Removed));
        steps.extend((a..y).map(Step::Added));
        if x < before {
            steps.push(Step::Both(x, y));
        }
        (b, a) = (x + 1, y + 1);
    }
    steps
}

struct Lists<'t> {
    before: &'t [Part],
    after: &'t [Part],
    before_prints: Vec<Print>,
    after_prints: Vec<Print>,
    copies: &'t Copies,
}

impl Lists<'_> {
    /// The pairs, and those that `find` sees in the gaps between them.
    fn refined(&self, pairs: Pairs, find: impl Fn(Range<usize>, Range<usize>) -> Pairs) -> Pairs {
        let mut all = Pairs::with_capacity(pairs.len());
        let (mut b, mut a) = (0, 0);
        let end = (self.before.len(), self.after.len());
        for (x, y) in pairs.into_iter().chain([end]) {
            if b < x && a < y {
                all.extend(find(b..x, a..y));
            }
            if x < end.0 {
                all.push((x, y));
            }
            (b, a) = (x + 1, y + 1);
        }
        all
    }

    fn same_ids(
        &self,
        before: Range<usize>,
        after: Range<usize>,
        accept: impl Fn(usize, usize) -> bool,
    ) -> Pairs {
        let id_of = |part: &Part| {
            let id = part.id().or(part.shared_type())?;
            Some(self.copies.original(id).id)
        };
        let ids: HashMap<Id, usize> = after
            .filter_map(|a| Some((id_of(&self.after[a])?, a)))
            .collect();
        let pairs: Pairs = before
            .filter_map(|b| {
                let a = *ids.get(&id_of(&self.before[b])?)?;
                (can_be_one(&self.before[b], &self.after[a]) && accept(b, a)).then_some((b, a))
            })
            .collect();
        rising(&pairs)
    }

    /// Blocks with something in them. The empty ones wait until their ids were looked at.
    fn same_content(&self, before: Range<usize>, after: Range<usize>) -> Pairs {
        let has = |prints: &[Print], range: Range<usize>| -> Vec<usize> {
            range.filter(|at| prints[*at].is_remarkable()).collect()
        };
        let b = has(&self.before_prints, before);
        let a = has(&self.after_prints, after);
        let of = |prints: &[Print], places: &[usize]| -> Vec<Print> {
            places.iter().map(|at| prints[*at]).collect()
        };
        let pairs = common(&of(&self.before_prints, &b), &of(&self.after_prints, &a));
        pairs.into_iter().map(|(x, y)| (b[x], a[y])).collect()
    }

    /// All with the same content.
    fn plain(&self, before: Range<usize>, after: Range<usize>) -> Pairs {
        let (x, y) = (before.start, after.start);
        let pairs = common(&self.before_prints[before], &self.after_prints[after]);
        pairs.into_iter().map(|(b, a)| (b + x, a + y)).collect()
    }

    /// What stands on both sides but in no pair.
    fn elsewhere(&self, pairs: &[(usize, usize)]) -> HashSet<Print> {
        let unpaired = |prints: &[Print], paired: BTreeSet<usize>| -> HashSet<Print> {
            let rest = prints.iter().enumerate();
            rest.filter(|(at, print)| !paired.contains(at) && print.is_remarkable())
                .map(|(_, print)| *print)
                .collect()
        };
        let before = unpaired(
            &self.before_prints,
            pairs.iter().map(|pair| pair.0).collect(),
        );
        let after = unpaired(
            &self.after_prints,
            pairs.iter().map(|pair| pair.1).collect(),
        );
        before.intersection(&after).copied().collect()
    }

    /// Blocks that share at least half of their words. Looked at are those that share the most of the rare words, and those at
    /// the same place.
    fn similar(
        &self,
        before: Range<usize>,
        after: Range<usize>,
        accept: impl Fn(usize, usize) -> bool,
    ) -> Pairs {
        let words: Vec<_> = before.clone().map(|b| words_of(&self.before[b])).collect();
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, words) in words.iter().enumerate() {
            for word in words {
                places.entry(word).or_default().push(at);
            }
        }
        // The best of `after` for each of `before`, with how many words they share.
        let mut best: HashMap<usize, (usize, usize)> = HashMap::new();
        for a in after.clone() {
            let own = words_of(&self.after[a]);
            let mut rare: HashMap<usize, usize> = HashMap::new();
            let known = own.iter().filter_map(|word| places.get(word.as_str()));
            for place in known.filter(|all| all.len() <= MAX_PLACES).flatten() {
                *rare.entry(*place).or_default() += 1;
            }
            let mut candidates: Vec<(usize, usize)> = rare.into_iter().collect();
            candidates.sort_unstable_by_key(|(place, shared)| (Reverse(*shared), *place));
            candidates.truncate(MAX_CANDIDATES);
            let mut candidates: Vec<usize> = candidates.into_iter().map(|one| one.0).collect();
            candidates.push(a - after.start);
            candidates.extend(before.len().checked_sub(after.end - a));
            let like = candidates.into_iter().filter_map(|place| {
                let b = before.start + place;
                let shared = shared_half(words.get(place)?, &own)?;
                let fits = can_be_one(&self.before[b], &self.after[a]) && accept(b, a);
                fits.then_some((b, shared))
            });
            // Of several the one that is nearest to the same place.
            let place = before.start + (a - after.start);
            let likest = like.max_by_key(|(b, shared)| (*shared, Reverse(b.abs_diff(place))));
            if let Some((b, shared)) = likest
                && best.get(&b).is_none_or(|(_, other)| shared > *other)
            {
                best.insert(b, (a, shared));
            }
        }
        let mut pairs: Pairs = best.into_iter().map(|(b, (a, _))| (b, a)).collect();
        pairs.sort_unstable();
        rising(&pairs)
    }

    /// One alone opposite one of the same kind.
    fn alone(
        &self,
        before: Range<usize>,
        after: Range<usize>,
        accept: impl Fn(usize, usize) -> bool,
    ) -> Pairs {
        let (b, a) = (before.start, after.start);
        let same_kind = match (&*self.before[b], &*self.after[a]) {
            (Node::Element { name: one, .. }, Node::Element { name: other, .. }) => one == other,
            _ => true,
        };
        let fits = before.len() == 1
            && after.len() == 1
            && same_kind
            && can_be_one(&self.before[b], &self.after[a])
            && accept(b, a);
        if fits { vec![(b, a)] } else { Pairs::new() }
    }
}

/// Whether the difference of two nodes can be told by their parts. A line of text and a block of blocks have none in
/// common.
fn can_be_one(before: &Node, after: &Node) -> bool {
    match (before, after) {
        (Node::Element { children: old, .. }, Node::Element { children: new, .. }) => {
            old.is_empty() || new.is_empty() || is_inline(old) == is_inline(new)
        }
        (Node::Map(_), Node::Map(_))
        | (Node::Array(_), Node::Array(_))
        | (Node::Text(_), Node::Text(_))
        | (Node::XmlText(_), Node::XmlText(_))
        | (Node::Fragment(_), Node::Fragment(_)) => true,
        _ => false,
    }
}

/// The different words in a node.
fn words_of(node: &Node) -> BTreeSet<String> {
    let text = match node {
        Node::Value(_) | Node::Subdocument(_) | Node::TooDeep => return BTreeSet::new(),
        node => tree::to_text(node),
    };
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.take(MAX_WORDS).map(str::to_owned).collect()
}

/// How many words both have, if it is at least half of them.
fn shared_half(one: &BTreeSet<String>, other: &BTreeSet<String>) -> Option<usize> {
    let shared = one.intersection(other).count();
    (shared > 0 && shared * 4 >= one.len() + other.len()).then_some(shared)
}
