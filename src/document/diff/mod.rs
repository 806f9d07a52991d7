//! The structural difference of two states of a document: one tree with everything that stands in either, and what became
//! of each part.
//!
//! It is made from the typed trees alone, so the states need not come from the same document. Where they do, their ids
//! say exactly which letters stayed; where ids can not tell (a restore and a move make new ones), equal content counts as
//! the same. See [`blocks`] for how blocks find each other, [`inline`] for text, [`moves`] for what stands elsewhere now.
//!
//! Without what was removed the tree is the state after, without what was added the one before.
//! The work is bounded for any input; beyond the bounds the difference gets coarser, never wrong.

mod blocks;
mod colour;
mod compare;
mod entry;
mod inline;
mod line;
mod moves;
#[cfg(test)]
mod projection;
mod sequence;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::colour::Writers;
use self::compare::Compare;
pub use self::entry::{AttrChange, Block, Change, Content, Entry, Line, Marks, Same};
pub(in crate::document) use self::sequence::rising;
use super::{copies::Copies, tree::Node};

/// What changed, by the names of the root types. As JSON: `{"roots": {name: entry}}`, see [`Entry`].
///
/// A root that holds nothing counts as one that is not there: only its content says of which kind it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    pub roots: BTreeMap<String, Entry>,
}

/// The difference of two states, as [`super::tree::roots_with_ids`] reads them. Without ids everything is compared by content, and
/// nothing has an author.
pub fn diff(before: &BTreeMap<String, Node>, after: &BTreeMap<String, Node>) -> Diff {
    diff_with(before, after, Copies::default())
}

/// The same where some of what has other ids is what it was before.
pub fn diff_with(
    before: &BTreeMap<String, Node>,
    after: &BTreeMap<String, Node>,
    copies: Copies,
) -> Diff {
    compared(before, after, copies, false)
}

/// The same that is to be written as HTML, of an earlier state and a later one of a log that only grows: lines that were written
/// with these or others of its states before, and became the same, are not compared again.
pub fn diff_to_write(
    before: &BTreeMap<String, Node>,
    after: &BTreeMap<String, Node>,
    copies: Copies,
) -> Diff {
    compared(before, after, copies, true)
}

fn compared(
    before: &BTreeMap<String, Node>,
    after: &BTreeMap<String, Node>,
    copies: Copies,
    is_written: bool,
) -> Diff {
    let compare = Compare::of(before.values(), after.values(), copies, is_written);
    let mut roots = BTreeMap::new();
    for name in before.keys().chain(after.keys()) {
        let filled =
            |roots: &'_ BTreeMap<String, Node>| roots.get(name).is_some_and(|node| !is_empty(node));
        let entry = match (filled(before), filled(after)) {
            (true, true) => compare.root(&before[name], &after[name]),
            (true, false) => compare.all(&before[name], Change::Removed, 0),
            (false, true) => compare.all(&after[name], Change::Added, 0),
            (false, false) => continue,
        };
        roots.insert(name.clone(), entry);
    }
    let mut diff = Diff { roots };
    moves::find(&mut diff);
    diff
}

/// One state, as the difference to itself.
pub fn unchanged(roots: &BTreeMap<String, Node>) -> Diff {
    let compare = Compare::default();
    let filled = roots.iter().filter(|(_, node)| !is_empty(node));
    let roots = filled.map(|(name, node)| (name.clone(), compare.all(node, Change::Same, 0)));
    Diff {
        roots: roots.collect(),
    }
}

fn is_empty(node: &Node) -> bool {
    match node {
        Node::Text(chunks) | Node::XmlText(chunks) => chunks.is_empty(),
        Node::Array(nodes) | Node::Fragment(nodes) => nodes.is_empty(),
        Node::Map(entries) => entries.is_empty(),
        Node::Element { .. } | Node::Value(_) | Node::Subdocument(_) | Node::TooDeep => false,
    }
}
