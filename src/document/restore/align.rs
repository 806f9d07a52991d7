//! What of a list stays when it becomes another one.
//!
//! What has the same id is the same; what was brought back has that of its original. The order by id changes only where
//! something was brought back at another place, so as much as possible of it stays. Only between such anchors is content
//! compared: there lies what is the same to its readers. That search is Myers' (An O(ND) Difference Algorithm, 1986), given up
//! when the two have too little in common.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::document::{diff::rising, ids::Id};

/// An entry of a list: a character, an embedded value, a shared type.
pub(super) trait Part {
    /// What it is, by the id of the original.
    fn id(&self) -> Option<Id>;
    /// Whether the one may stay in place of the other although ids differ, or there are none.
    fn same(&self, wanted: &Self) -> bool;
    /// Whether the one may stay, given that the ids are equal.
    fn stays(&self, wanted: &Self) -> bool;
    /// Whether the one should rather be changed into the other than be replaced.
    fn resembles(&self, wanted: &Self) -> bool;
}

/// Insertions and deletions beyond which the search for equal content in one gap is given up.
const MAX_EDITS: usize = 400;
/// How many entries are looked at for one that resembles another.
const MAX_LOOKS: usize = 16;

/// Which entries of `now` stay as which of `wanted`: pairs of places, ascending on both sides.
pub(super) fn pairs<T: Part>(now: &[T], wanted: &[T]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut from, mut from_wanted) = (0, 0);
    let end = [(now.len(), wanted.len())];
    let (anchors, moved) = anchors(now, wanted);
    // What is wanted elsewhere does not stand for something else.
    let free = |parts: &[T], from: usize, to: usize| -> Vec<usize> {
        let is_moved = |at: &usize| parts[*at].id().is_some_and(|id| moved.contains(&id));
        (from..to).filter(|at| !is_moved(at)).collect()
    };
    for (to, to_wanted) in anchors.into_iter().chain(end) {
        let places = free(now, from, to);
        let places_wanted = free(wanted, from_wanted, to_wanted);
        let a: Vec<&T> = places.iter().map(|at| &now[*at]).collect();
        let b: Vec<&T> = places_wanted.iter().map(|at| &wanted[*at]).collect();
        let same = gap(&a, &b).into_iter();
        found.extend(same.map(|(at, of)| (places[at], places_wanted[of])));
        if to < now.len() && to_wanted < wanted.len() {
            found.push((to, to_wanted));
        }
        (from, from_wanted) = (to + 1, to_wanted + 1);
    }
    found
}

/// Entries with the same id, in the same order; and the ids of those that are in another one.
fn anchors<T: Part>(now: &[T], wanted: &[T]) -> (Vec<(usize, usize)>, FxHashSet<Id>) {
    let is_same = |(a, b): &(&T, &T)| a.id().is_some() && a.id() == b.id() && a.stays(b);
    let prefix = now.iter().zip(wanted).take_while(is_same).count();
    let mut found: Vec<_> = (0..prefix).map(|at| (at, at)).collect();
    let mut moved = FxHashSet::default();
    let (rest, rest_wanted) = (&now[prefix..], &wanted[prefix..]);
    let suffix = (rest.iter().rev().zip(rest_wanted.iter().rev()))
        .take_while(is_same)
        .count();
    let (middle, middle_wanted) = (rest.len() - suffix, rest_wanted.len() - suffix);
    if middle > 0 && middle_wanted > 0 {
        let places: FxHashMap<Id, usize> = (rest[..middle].iter().zip(prefix..))
            .filter_map(|(part, at)| Some((part.id()?, at)))
            .collect();
        let shared = rest_wanted[..middle_wanted].iter().zip(prefix..);
        let shared = shared.filter_map(|(part, wanted_at)| {
            let at = *places.get(&part.id()?)?;
            now[at].stays(part).then_some((wanted_at, at))
        });
        let shared: Vec<_> = shared.collect();
        moved.extend(shared.iter().filter_map(|(_, at)| now[*at].id()));
        let in_order = rising(&shared).into_iter();
        found.extend(in_order.map(|(wanted_at, at)| (at, wanted_at)));
    }
    let ends = (prefix + middle..now.len()).zip(prefix + middle_wanted..wanted.len());
    found.extend(ends);
    for (at, _) in &found[prefix..] {
        now[*at].id().map(|id| moved.remove(&id));
    }
    (found, moved)
}

/// Pairs what lies between two anchors: what is the same, and between that what resembles each other.
fn gap<T: Part>(a: &[&T], b: &[&T]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    if a.is_empty() || b.is_empty() {
        return found;
    }
    let (mut at, mut at_wanted) = (0, 0);
    let end = [(a.len(), b.len())];
    for (stop, stop_wanted) in common(a, b).into_iter().chain(end) {
        while at_wanted < stop_wanted && at < stop {
            let mut looks = a[at..stop].iter().take(MAX_LOOKS);
            if let Some(skipped) = looks.position(|part| part.resembles(b[at_wanted])) {
                at += skipped;
                found.push((at, at_wanted));
                at += 1;
            }
            at_wanted += 1;
        }
        if stop < a.len() && stop_wanted < b.len() {
            found.push((stop, stop_wanted));
        }
        (at, at_wanted) = (stop + 1, stop_wanted + 1);
    }
    found
}

/// A longest common subsequence of what is the same; when there is little of it, only what both begin and end with.
fn common<T: Part>(a: &[&T], b: &[&T]) -> Vec<(usize, usize)> {
    let is_same = |(a, b): &(&&T, &&T)| a.same(b);
    let prefix = a.iter().zip(b).take_while(is_same).count();
    let (rest, rest_b) = (&a[prefix..], &b[prefix..]);
    let suffix = (rest.iter().rev().zip(rest_b.iter().rev()))
        .take_while(is_same)
        .count();
    let mut found: Vec<_> = (0..prefix).map(|at| (at, at)).collect();
    let middle = &rest[..rest.len() - suffix];
    let middle_b = &rest_b[..rest_b.len() - suffix];
    let inner = myers(middle, middle_b).unwrap_or_default();
    found.extend(inner.into_iter().map(|(x, y)| (prefix + x, prefix + y)));
    found.extend((a.len() - suffix..a.len()).zip(b.len() - suffix..b.len()));
    found
}

/// None when more than [`MAX_EDITS`] edits lie between the two.
fn myers<T: Part>(a: &[&T], b: &[&T]) -> Option<Vec<(usize, usize)>> {
    if a.is_empty() || b.is_empty() {
        return Some(Vec::new());
    }
    // `reach[k]` is how far in `a` the diagonal `x - y = k - middle` was followed.
    let middle = MAX_EDITS as isize + 1;
    let mut reach = vec![0_usize; 2 * MAX_EDITS + 3];
    let mut trace: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=MAX_EDITS as isize {
        let low = (middle - edits) as usize;
        trace.push(reach[low - 1..=(middle + edits) as usize + 1].to_vec());
        for diagonal in (-edits..=edits).step_by(2) {
            let k = (middle + diagonal) as usize;
            let down = diagonal == -edits || diagonal != edits && reach[k - 1] < reach[k + 1];
            let mut x = if down { reach[k + 1] } else { reach[k - 1] + 1 };
            let y = x as isize - diagonal;
            let Ok(mut y) = usize::try_from(y) else {
                continue;
            };
            if x > a.len() || y > b.len() {
                reach[k] = x;
                continue;
            }
            while x < a.len() && y < b.len() && a[x].same(b[y]) {
                (x, y) = (x + 1, y + 1);
            }
            reach[k] = x;
            if x == a.len() && y == b.len() {
                return Some(walk_back(&trace, a.len(), b.len()));
            }
        }
    }
    None
}

/// Follows the trace of [`myers`] from its end and gathers the diagonal steps.
fn walk_back(trace: &[Vec<usize>], a: usize, b: usize) -> Vec<(usize, usize)> {
    let (mut x, mut y) = (a, b);
    let mut found = Vec::new();
    for (edits, reach) in trace.iter().enumerate().rev() {
        let edits = edits as isize;
        let diagonal = x as isize - y as isize;
        // What was kept of `reach` begins one diagonal below `-edits`.
        let at = |diagonal: isize| reach[(diagonal + edits + 1) as usize];
        let down = diagonal == -edits || diagonal != edits && at(diagonal - 1) < at(diagonal + 1);
        let before = if down { diagonal + 1 } else { diagonal - 1 };
        let (start_x, start_y) = if edits == 0 {
            (0, 0)
        } else {
            let before_x = at(before);
            (before_x, (before_x as isize - before) as usize)
        };
        let (snake_x, snake_y) = match (edits, down) {
            (0, _) => (0, 0),
            (_, true) => (start_x, start_y + 1),
            (_, false) => (start_x + 1, start_y),
        };
        while x > snake_x && y > snake_y {
            (x, y) = (x - 1, y - 1);
            found.push((x, y));
        }
        (x, y) = (start_x, start_y);
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A letter, with an id where it has one.
    type Letter = (Option<u32>, char);

    impl Part for Letter {
        fn id(&self) -> Option<Id> {
            self.0.map(|clock| Id::new(1, clock))
        }
        fn same(&self, wanted: &Self) -> bool {
            self.1 == wanted.1
        }
        fn stays(&self, wanted: &Self) -> bool {
            self.1 == wanted.1
        }
        fn resembles(&self, wanted: &Self) -> bool {
            self.1.eq_ignore_ascii_case(&wanted.1)
        }
    }

    fn letters(text: &str) -> Vec<Letter> {
        text.chars().map(|letter| (None, letter)).collect()
    }

    fn numbered(text: &str, ids: &[u32]) -> Vec<Letter> {
        let ids = ids.iter().copied().map(Some);
        ids.zip(text.chars()).collect()
    }

    /// The length of a longest common subsequence, the slow way.
    fn longest(a: &[Letter], b: &[Letter]) -> usize {
        let mut best = vec![vec![0; b.len() + 1]; a.len() + 1];
        for (x, left) in a.iter().enumerate() {
            for (y, right) in b.iter().enumerate() {
                best[x + 1][y + 1] = if left.same(right) {
                    best[x][y] + 1
                } else {
                    best[x][y + 1].max(best[x + 1][y])
                };
            }
        }
        best[a.len()][b.len()]
    }

    #[test]
    fn ids_say_what_stays_before_content_does() {
        // Two empty paragraphs look the same; the first was added since.
        let now = numbered("aab", &[9, 1, 2]);
        let wanted = numbered("ab", &[1, 2]);
        assert_eq!(pairs(&now, &wanted), [(1, 0), (2, 1)]);
        // What was brought back under other ids is found by its content.
        let now = numbered("xabcy", &[1, 21, 22, 23, 2]);
        let wanted = numbered("xabdcy", &[1, 11, 12, 13, 14, 2]);
        let found = pairs(&now, &wanted);
        assert_eq!(found, [(0, 0), (1, 1), (2, 2), (3, 4), (4, 5)]);
        // In place of "B" the one that resembles it is changed.
        let found = pairs(&letters("xbz"), &letters("xBz"));
        assert_eq!(found, [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn ids_in_another_order_do_not_confuse() {
        let now = numbered("abc", &[1, 2, 3]);
        let wanted = numbered("cab", &[3, 1, 2]);
        assert_eq!(pairs(&now, &wanted), [(0, 1), (1, 2)]);
    }

    #[test]
    fn too_little_in_common_ends_the_search() {
        let now = letters(&format!("<{}>", "a".repeat(MAX_EDITS)));
        let wanted = letters(&format!("<{}>", "b".repeat(MAX_EDITS)));
        let last = MAX_EDITS + 1;
        assert_eq!(pairs(&now, &wanted), [(0, 0), (last, last)]);
    }

    proptest! {
        #[test]
        fn as_much_as_possible_stays(a in "[abc]{0,40}", b in "[abc]{0,40}") {
            let (a, b) = (letters(&a), letters(&b));
            let found = pairs(&a, &b);
            prop_assert!(found.iter().all(|&(x, y)| a[x].same(&b[y])));
            prop_assert!(found.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
            prop_assert_eq!(found.len(), longest(&a, &b));
        }
    }
}
