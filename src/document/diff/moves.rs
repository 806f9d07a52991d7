//! Blocks that left one place and stand at another.
//!
//! Shared types can not be moved: an editor that moves a block deletes it and makes another one with the same content. So
//! a removed and an added block with the same content are one that was moved, wherever in the document they are; the
//! largest blocks are looked for first.

use std::collections::HashMap;

use super::{Block, Change, Content, Diff, Entry, Same};
use crate::document::print::Print;

/// Finds moves among what was added and removed, and says so in the tree.
pub(super) fn find(diff: &mut Diff) {
    let (mut removed, mut added) = (Side::default(), Side::default());
    for entry in diff.roots.values() {
        removed.collect(entry, Change::Removed);
        added.collect(entry, Change::Added);
    }
    let mut places: HashMap<Print, Vec<usize>> = HashMap::new();
    for (at, block) in removed.blocks.iter().enumerate().rev() {
        places.entry(block.print).or_default().push(at);
    }
    let mut order: Vec<usize> = (0..added.blocks.len()).collect();
    order.retain(|at| places.contains_key(&added.blocks[*at].print));
    order.sort_by_key(|at| std::cmp::Reverse(added.blocks[*at].print.weight()));
    // What left, by the number of its move.
    let mut former = Vec::new();
    for to in order {
        if added.taken[to] {
            continue;
        }
        // Each place is asked for once: it is taken then, or was before.
        let same = places.get_mut(&added.blocks[to].print);
        let from = same.and_then(|places| {
            std::iter::from_fn(|| places.pop()).find(|place| !removed.taken[*place])
        });
        if let Some(from) = from {
            let number = u32::try_from(former.len()).unwrap_or(u32::MAX);
            former.push(removed.blocks[from].block);
            removed.take(from, number);
            added.take(to, number);
        }
    }
    if !former.is_empty() {
        let (mut left, mut came) = (removed.moves(), added.moves());
        for entry in diff.roots.values_mut() {
            tell(entry, &mut left, &mut came, &former);
        }
    }
}

struct Place {
    print: Print,
    block: Option<Block>,
    /// The number of the first block after it that is not inside of it.
    end: usize,
    moved: Option<u32>,
}

/// All blocks that were removed, or all that were added, in the order of the tree.
#[derive(Default)]
struct Side {
    blocks: Vec<Place>,
    /// Whether it, or something around it, is known to have moved.
    taken: Vec<bool>,
}

impl Side {
    fn collect(&mut self, entry: &Entry, change: Change) {
        let place = candidate(entry, change).map(|print| {
            self.blocks.push(Place {
                print,
                block: entry.block,
                end: 0,
                moved: None,
            });
            self.taken.push(false);
            self.blocks.len() - 1
        });
        for part in entry.content.parts() {
            self.collect(part, change);
        }
        if let Some(place) = place {
            self.blocks[place].end = self.blocks.len();
        }
    }

    fn take(&mut self, place: usize, number: u32) {
        self.blocks[place].moved = Some(number);
        let end = self.blocks[place].end;
        self.taken[place..end].fill(true);
    }

    /// For each block in order the number of its move.
    fn moves(self) -> std::vec::IntoIter<Option<u32>> {
        let moves: Vec<_> = self.blocks.into_iter().map(|block| block.moved).collect();
        moves.into_iter()
    }
}

fn candidate(entry: &Entry, change: Change) -> Option<Print> {
    let print = entry.print.filter(Print::is_remarkable)?;
    (entry.change == change).then_some(print)
}

/// Goes over the tree in the same order as [`Side::collect`].
fn tell(
    entry: &mut Entry,
    left: &mut impl Iterator<Item = Option<u32>>,
    came: &mut impl Iterator<Item = Option<u32>>,
    former: &[Option<Block>],
) {
    let was_removed = candidate(entry, Change::Removed).and_then(|_| left.next().flatten());
    let was_added = candidate(entry, Change::Added).and_then(|_| came.next().flatten());
    for part in entry.content.parts_mut() {
        tell(part, left, came, former);
    }
    if let Some(number) = was_removed {
        *entry = Entry::new(Change::Moved, Content::Left);
        entry.moved = Some(number);
    } else if let Some(number) = was_added {
        let id = entry.id;
        if let (Content::Told(_), Some(line)) = (&entry.content, &entry.line) {
            entry.content = Same::at_the_top(&line.part).entry().content;
        }
        entry.line = None;
        stay(entry);
        entry.id = id;
        entry.change = Change::Moved;
        entry.moved = Some(number);
        entry.block = former.get(number as usize).copied().flatten();
        if let Some(block) = &mut entry.block {
            block.beside = true;
        }
    }
}

/// What is inside of a block that moved stays what it was.
fn stay(entry: &mut Entry) {
    entry.change = Change::Same;
    entry.id = None;
    entry.block = None;
    entry.content.parts_mut().into_iter().for_each(stay);
}
