//! What two sequences have in common, in order: the longest common subsequence where that is cheap, else a good one.
//!
//! The greedy algorithm of E. W. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), with two bounds. Beyond
//! [`MAX_EDITS`] the sequences are cut where something stands exactly once in both (the anchors of "patience diff", by Bram
//! Cohen); where nothing does, the farthest path so far is kept and the search goes on from its end. So the work grows with
//! length × [`MAX_EDITS`] at worst. The bound is counted, not timed: the same input gives the same answer everywhere.

use std::{collections::HashMap, hash::Hash};

/// Insertions and deletions of one search.
const MAX_EDITS: usize = 200;
/// How often parts between anchors are searched for anchors of their own.
const MAX_ROUNDS: u32 = 3;

/// Pairs of indices of equal elements, both rising.
pub(super) type Pairs = Vec<(usize, usize)>;

/// What both sequences have in common.
pub(super) fn common<T: Eq + Hash>(before: &[T], after: &[T]) -> Pairs {
    let head = equal_at(before.iter(), after.iter());
    let (b, a) = (&before[head..], &after[head..]);
    let tail = equal_at(b.iter().rev(), a.iter().rev());
    let (b, a) = (&b[..b.len() - tail], &a[..a.len() - tail]);
    let mut pairs: Pairs = (0..head).map(|at| (at, at)).collect();
    if !b.is_empty() && !a.is_empty() {
        let inner = Tokens::of_both(b, a).pairs();
        pairs.extend(inner.into_iter().map(|(x, y)| (x + head, y + head)));
    }
    let (x, y) = (before.len() - tail, after.len() - tail);
    pairs.extend((0..tail).map(|at| (x + at, y + at)));
    pairs
}

/// The longest part of `pairs` in which both indices rise. They come by the first index.
pub(in crate::document) fn rising(pairs: &[(usize, usize)]) -> Pairs {
    if pairs.is_sorted_by(|one, next| one.1 < next.1) {
        return pairs.to_vec();
    }
    // The last pair of the best row of each length, and which pair stands before each in its row.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous = vec![usize::MAX; pairs.len()];
    for (at, (_, y)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *y);
        if let Some(shorter) = length.checked_sub(1) {
            previous[at] = ends[shorter];
        }
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut row = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(index) = at {
        row.push(pairs[index]);
        at = Some(previous[index]).filter(|before| *before != usize::MAX);
    }
    row.reverse();
    row
}

fn equal_at<'a, T: Eq + 'a>(
    before: impl Iterator<Item = &'a T>,
    after: impl Iterator<Item = &'a T>,
) -> usize {
    before.zip(after).take_while(|(b, a)| b == a).count()
}

/// Elements by number, without those that stand on one side only; beside each its index in the whole.
#[derive(Default)]
struct Tokens {
    before: Vec<(u32, usize)>,
    after: Vec<(u32, usize)>,
}

impl Tokens {
    fn of_both<T: Eq + Hash>(before: &[T], after: &[T]) -> Self {
        // The number of each element of `before`, and whether it stands in `after`, too.
        let mut numbers: HashMap<&T, (u32, bool)> = HashMap::with_capacity(before.len());
        for element in before {
            let next = numbers.len() as u32;
            numbers.entry(element).or_insert((next, false));
        }
        let mut tokens = Self::default();
        for (at, element) in after.iter().enumerate() {
            if let Some((number, shared)) = numbers.get_mut(element) {
                *shared = true;
                tokens.after.push((*number, at));
            }
        }
        for (at, element) in before.iter().enumerate() {
            if let Some((number, true)) = numbers.get(element) {
                tokens.before.push((*number, at));
            }
        }
        tokens
    }

    fn pairs(&self) -> Pairs {
        let mut found = Vec::new();
        align(&self.before, &self.after, MAX_ROUNDS, &mut found);
        found
    }
}

/// Adds the pairs of two parts.
fn align(before: &[(u32, usize)], after: &[(u32, usize)], rounds: u32, found: &mut Pairs) {
    let first = search(before, after);
    if first.is_whole(before, after) || rounds == 0 {
        return complete(before, after, first, found);
    }
    let anchors = anchors(before, after);
    if anchors.is_empty() {
        return complete(before, after, first, found);
    }
    let (mut x, mut y) = (0, 0);
    for (next_x, next_y) in anchors {
        align(&before[x..next_x], &after[y..next_y], rounds - 1, found);
        found.push((before[next_x].1, after[next_y].1));
        (x, y) = (next_x + 1, next_y + 1);
    }
    align(&before[x..], &after[y..], rounds - 1, found);
}

/// Takes the path of one search, and of more from its end on until everything was gone over.
fn complete(before: &[(u32, usize)], after: &[(u32, usize)], first: Path, found: &mut Pairs) {
    let (mut x, mut y, mut path) = (0, 0, first);
    loop {
        let matches = path.matches.iter();
        found.extend(matches.map(|(dx, dy)| (before[x + dx].1, after[y + dy].1)));
        (x, y) = (x + path.end.0, y + path.end.1);
        if x == before.len() || y == after.len() {
            return;
        }
        path = search(&before[x..], &after[y..]);
    }
}

/// What stands once in each, in the order that keeps most of it.
fn anchors(before: &[(u32, usize)], after: &[(u32, usize)]) -> Pairs {
    let once = |tokens: &[(u32, usize)]| {
        let mut places: HashMap<u32, Option<usize>> = HashMap::new();
        for (at, (number, _)) in tokens.iter().enumerate() {
            let place = places.entry(*number);
            place.and_modify(|place| *place = None).or_insert(Some(at));
        }
        places
    };
    let in_after = once(after);
    let mut pairs: Pairs = once(before)
        .into_iter()
        .filter_map(|(number, x)| Some((x?, (*in_after.get(&number)?)?)))
        .collect();
    pairs.sort_unstable();
    rising(&pairs)
}

/// A way through two sequences from their start.
struct Path {
    matches: Pairs,
    /// Where it ends: both lengths unless the bound was met.
    end: (usize, usize),
}

impl Path {
    fn is_whole(&self, before: &[(u32, usize)], after: &[(u32, usize)]) -> bool {
        self.end == (before.len(), after.len())
    }
}

/// How far in `before` each diagonal came, by the number of deletions on the way to it. With `e` edits of which `d` are
/// deletions, `x` in `before` stands opposite `x + e − 2d` in `after`; as `x ≥ d`, that is not negative.
type Row = Vec<Option<usize>>;

/// The shortest way through both, or the farthest with [`MAX_EDITS`].
fn search(before: &[(u32, usize)], after: &[(u32, usize)]) -> Path {
    let (width, height) = (before.len(), after.len());
    let slide = |x: usize, y: usize| {
        let rest = before[x..].iter().zip(&after[y..]);
        x + rest.take_while(|(b, a)| b.0 == a.0).count()
    };
    let mut rows: Vec<Row> = Vec::new();
    for edits in 0..=MAX_EDITS {
        let mut row = Row::with_capacity(edits + 1);
        for deletions in 0..=edits {
            let begin = match rows.last() {
                None => Some(0),
                Some(last) => step(last, deletions, width).map(|(x, _)| x),
            };
            let begin = begin.filter(|x| x + edits - 2 * deletions <= height);
            let end = begin.map(|x| slide(x, x + edits - 2 * deletions));
            row.push(end);
            if end.is_some_and(|x| x == width && x + edits - 2 * deletions == height) {
                rows.push(row);
                return way_back(&rows, deletions, width);
            }
        }
        rows.push(row);
    }
    let last = rows.last().into_iter().flatten().enumerate();
    let inside = last.filter_map(|(deletions, x)| Some((deletions, (*x)?)));
    // x + y, but for the edits, which are the same for all.
    let farthest = inside.max_by_key(|(deletions, x)| x - deletions);
    way_back(&rows, farthest.map_or(0, |(deletions, _)| deletions), width)
}

/// Where a diagonal starts after one more edit, and whether that is a deletion.
fn step(last: &Row, deletions: usize, width: usize) -> Option<(usize, bool)> {
    let at = |index: usize| last.get(index).copied().flatten();
    let deleted = deletions.checked_sub(1).and_then(at);
    let deleted = deleted.filter(|x| *x < width).map(|x| x + 1);
    match (deleted, at(deletions)) {
        (Some(deleted), inserted) if inserted.is_none_or(|x| deleted > x) => Some((deleted, true)),
        (_, inserted) => inserted.map(|x| (x, false)),
    }
}

/// The way that led to a diagonal of the last row.
fn way_back(rows: &[Row], mut deletions: usize, width: usize) -> Path {
    let mut edits = rows.len() - 1;
    let mut x = rows[edits][deletions].expect("the way ends inside of both sequences");
    let end = (x, x + edits - 2 * deletions);
    let mut matches = Vec::new();
    loop {
        let came = edits
            .checked_sub(1)
            .and_then(|last| step(&rows[last], deletions, width));
        let from = came.map_or(0, |(x, _)| x);
        while x > from {
            x -= 1;
            matches.push((x, x + edits - 2 * deletions));
        }
        let Some((_, deletion)) = came else {
            break;
        };
        if deletion {
            x -= 1;
            deletions -= 1;
        }
        edits -= 1;
    }
    matches.reverse();
    Path { matches, end }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::cpu_time, *};

    fn check(before: &[u32], after: &[u32]) -> usize {
        let pairs = common(before, after);
        assert!(pairs.iter().all(|(x, y)| before[*x] == after[*y]));
        let rise = |one: &(usize, usize), next: &(usize, usize)| one.0 < next.0 && one.1 < next.1;
        assert!(pairs.is_sorted_by(rise));
        pairs.len()
    }

    /// The length of the longest common subsequence, by the table.
    fn longest(before: &[u32], after: &[u32]) -> usize {
        let mut row = vec![0; after.len() + 1];
        for b in before {
            let mut diagonal = 0;
            for (at, a) in after.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if b == a {
                    diagonal + 1
                } else {
                    above.max(row[at])
                };
                diagonal = above;
            }
        }
        row[after.len()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_short_difference_is_the_shortest(
            before in prop::collection::vec(0_u32..6, 0..60),
            after in prop::collection::vec(0_u32..6, 0..60),
        ) {
            prop_assert_eq!(check(&before, &after), longest(&before, &after));
        }

        #[test]
        fn the_rising_part_is_the_longest(after in prop::collection::vec(0_usize..40, 0..40)) {
            let pairs: Pairs = after.iter().copied().enumerate().collect();
            let row = rising(&pairs);
            prop_assert!(row.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1));
            let best = (0..pairs.len()).fold(Vec::<usize>::new(), |mut best, at| {
                let before = (0..at).filter(|b| pairs[*b].1 < pairs[at].1);
                let length = 1 + before.map(|b| best[b]).max().unwrap_or(0);
                best.push(length);
                best
            });
            prop_assert_eq!(row.len(), best.into_iter().max().unwrap_or(0));
        }
    }

    #[test]
    fn beyond_the_bound_anchors_keep_most() {
        // Two of three elements stand everywhere; the third one is unique. A thousand in the middle are new.
        let mixed = |n: u32| {
            if n.is_multiple_of(3) {
                1_000 + n
            } else {
                n % 3
            }
        };
        let before: Vec<u32> = (0..9_000).map(mixed).collect();
        let mut after = before.clone();
        after.splice(4_000..4_000, (0..1_000).map(|n| n % 2));
        assert!(check(&before, &after) >= 8_990);
    }

    #[test]
    fn adversarial_sequences_take_bounded_work() {
        let mut seed = 1_u32;
        let mut next = |n: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % n
        };
        for kinds in [2, 3, 50, 5_000] {
            let before: Vec<u32> = (0..100_000).map(|_| next(kinds)).collect();
            let after: Vec<u32> = (0..100_000).map(|_| next(kinds)).collect();
            let start = cpu_time();
            let found = check(&before, &after);
            let took = cpu_time() - start;
            // Minutes where work grows with the square.
            assert!(took.as_secs() < 10, "{kinds}: {took:?}");
            assert!(found > 100, "{kinds}: {found}");
        }
    }
}
