//! Two trees side by side: which parts stand in both, and what differs in them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    AttrChange, Block, Change, Content, Entry, Line,
    blocks::{self, Step},
    inline,
    line::Inline,
};
use crate::document::{
    copies::Copies,
    ids::Id,
    print::{MAX_DEPTH, Print},
    tree::{self, Fate, Node, Part, is_inline, is_line},
};

#[derive(Default)]
pub(super) struct Compare {
    /// Elements and shared types that are in both states, be it with other content: nobody added or removed these. By their
    /// originals.
    kept: HashSet<Id>,
    copies: Copies,
    /// Whether the difference is to be written as HTML, so that of lines that were written before nothing else is asked.
    is_written: bool,
}

impl Compare {
    pub fn of<'t>(
        before: impl IntoIterator<Item = &'t Node>,
        after: impl IntoIterator<Item = &'t Node>,
        copies: Copies,
        is_written: bool,
    ) -> Self {
        let (mut old, mut kept) = (HashSet::new(), HashSet::new());
        for root in before {
            ids_in(root, &mut |id| {
                old.insert(copies.original(id).id);
            });
        }
        for root in after {
            ids_in(root, &mut |id| {
                kept.extend(old.get(&copies.original(id).id));
            });
        }
        Self {
            kept,
            copies,
            is_written,
        }
    }

    fn is_kept(&self, id: Id) -> bool {
        self.kept.contains(&self.copies.original(id).id)
    }

    fn are_one(&self, before: Option<Id>, after: Option<Id>) -> bool {
        let original = |id: Option<Id>| id.map(|id| self.copies.original(id).id);
        original(before) == original(after)
    }

    /// What became of a root that stands in both.
    pub fn root(&self, before: &Node, after: &Node) -> Entry {
        match Print::of(before, 0) == Print::of(after, 0) {
            true => self.all(after, Change::Same, 0),
            false => self.entry(before, after, 0),
        }
    }

    /// What became of a part that stands in both.
    pub fn part(&self, before: &Part, after: &Part, depth: u32) -> Entry {
        if Print::of_part(before, depth) == Print::of_part(after, depth) {
            return Entry::same(after, depth);
        }
        let of_lines = is_line(before) && is_line(after) && self.are_one(before.id(), after.id());
        let fate = of_lines.then(|| Fate::Was(before.former()));
        let mut entry = self.line(after, fate, Change::Changed, depth, || {
            self.entry(before, after, depth)
        });
        let id = after.shared_type();
        if self.are_one(before.shared_type(), id) {
            entry.id = entry.id.or(id);
        }
        entry
    }

    /// What became of a line that stands directly in a root, if it was written as HTML before; else `compared`. What a line's
    /// difference is follows from the two that are compared, and from whether its element is in both states.
    fn line(
        &self,
        part: &Part,
        fate: Option<Fate>,
        change: Change,
        depth: u32,
        compared: impl FnOnce() -> Entry,
    ) -> Entry {
        let Some(fate) = fate.filter(|_| self.is_written && depth == 1) else {
            return compared();
        };
        let mut entry = match part.told(&fate) {
            Some(told) => Entry::new(change, Content::Told(told)),
            None => compared(),
        };
        let part = part.clone();
        entry.line = Some(Line { part, fate });
        entry
    }

    /// A part that has the same fate with all that is in it.
    pub fn whole(&self, part: &Part, change: Change, depth: u32) -> Entry {
        match change {
            Change::Same => Entry::same(part, depth),
            _ => {
                let mut entry = self.all(part, change, depth);
                let id = part.shared_type().filter(|id| !self.is_kept(*id));
                entry.id = entry.id.or(id);
                entry
            }
        }
    }

    /// The same of a block, which may be found again at another place.
    fn block(&self, part: &Part, change: Change, depth: u32) -> Entry {
        let fate = match change {
            Change::Added => Fate::Added,
            Change::Removed => Fate::Removed,
            _ => return self.whole(part, change, depth),
        };
        let own = part.id().filter(|id| is_line(part) && !self.is_kept(*id));
        let mut entry = self.line(part, own.map(|_| fate), change, depth, || {
            self.whole(part, change, depth)
        });
        entry.print = Some(Print::of_part(part, depth));
        // A line that was written before is known by nothing else.
        if let Some(id) = own {
            entry.id = own;
            entry.block = Some(Block { id, beside: false });
        }
        entry
    }

    fn entry(&self, before: &Node, after: &Node, depth: u32) -> Entry {
        if depth >= MAX_DEPTH {
            return self.replaced(before, after, depth);
        }
        match (before, after) {
            (Node::Text(before), Node::Text(after)) => Entry::of_parts(Content::Text {
                children: self.inline(&Inline::of_chunks(before), &Inline::of_chunks(after), depth),
            }),
            (Node::XmlText(before), Node::XmlText(after)) => Entry::of_parts(Content::XmlText {
                children: self.inline(&Inline::of_chunks(before), &Inline::of_chunks(after), depth),
            }),
            (Node::Map(before), Node::Map(after)) => Entry::of_parts(Content::Map {
                entries: self.entries(before, after, depth),
            }),
            (Node::Array(before), Node::Array(after)) => Entry::of_parts(Content::Array {
                children: self.blocks(before, after, depth),
            }),
            (Node::Fragment(before), Node::Fragment(after)) => Entry::of_parts(Content::Fragment {
                children: self.children(before, after, depth),
            }),
            (Node::Element { .. }, Node::Element { .. }) => self.element(before, after, depth),
            _ => self.replaced(before, after, depth),
        }
    }

    /// A node that has the same fate with all that is in it.
    pub fn all(&self, node: &Node, change: Change, depth: u32) -> Entry {
        let list = |nodes: &[Part]| -> Vec<Entry> {
            let all = nodes.iter().map(|node| self.whole(node, change, depth + 1));
            all.collect()
        };
        let children = |nodes: &[Part]| match is_inline(nodes) {
            true => inline::all(self, &Inline::of_children(nodes), change, depth),
            false => {
                let all = nodes.iter().map(|node| self.block(node, change, depth + 1));
                all.collect()
            }
        };
        let text = |chunks| inline::all(self, &Inline::of_chunks(chunks), change, depth);
        let content = match node {
            _ if depth >= MAX_DEPTH => value(node),
            Node::Text(chunks) => Content::Text {
                children: text(chunks),
            },
            Node::XmlText(chunks) => Content::XmlText {
                children: text(chunks),
            },
            Node::Map(entries) => {
                let entries = entries.iter();
                let all =
                    entries.map(|(key, node)| (key.clone(), self.whole(node, change, depth + 1)));
                Content::Map {
                    entries: all.collect(),
                }
            }
            Node::Array(items) => Content::Array {
                children: list(items),
            },
            Node::Fragment(nodes) => Content::Fragment {
                children: children(nodes),
            },
            Node::Element {
                name,
                attrs,
                children: nodes,
                ..
            } => Content::Element {
                name: name.clone(),
                was: None,
                attrs: json(attrs),
                changed: BTreeMap::new(),
                children: children(nodes),
            },
            Node::Value(_) | Node::Subdocument(_) | Node::TooDeep => value(node),
        };
        let mut entry = Entry::new(change, content);
        if let Some(id) = node.id() {
            let own = (change == Change::Same || !self.is_kept(id)).then_some(id);
            entry.block = own.map(|id| Block { id, beside: false });
            entry.id = own.filter(|_| change != Change::Same);
        }
        entry
    }

    fn replaced(&self, before: &Node, after: &Node, depth: u32) -> Entry {
        Entry::of_parts(Content::Replaced {
            before: Box::new(self.all(before, Change::Removed, depth)),
            after: Box::new(self.all(after, Change::Added, depth)),
        })
    }

    fn element(&self, before: &Node, after: &Node, depth: u32) -> Entry {
        let (
            Node::Element {
                name: was,
                attrs: old_attrs,
                children: old,
                id: old_id,
            },
            Node::Element {
                name,
                attrs,
                children: new,
                id,
            },
        ) = (before, after)
        else {
            return self.replaced(before, after, depth);
        };
        let (old_attrs, attrs) = (json(old_attrs), json(attrs));
        let keys: BTreeSet<_> = old_attrs.keys().chain(attrs.keys()).collect();
        let changed: BTreeMap<_, _> = keys
            .into_iter()
            .filter(|key| old_attrs.get(*key) != attrs.get(*key))
            .map(|key| {
                let change = AttrChange {
                    before: old_attrs.get(key).cloned(),
                    after: attrs.get(key).cloned(),
                };
                (key.clone(), change)
            })
            .collect();
        let was = Some(was).filter(|was| *was != name).cloned();
        let own = was.is_some() || !changed.is_empty();
        let mut entry = Entry::of_parts(Content::Element {
            name: name.clone(),
            was,
            attrs,
            changed,
            children: self.children(old, new, depth),
        });
        if own {
            entry.change = Change::Changed;
            entry.id = *id;
        }
        let beside = !self.are_one(*old_id, *id);
        // An element that holds another block now would be overwritten.
        let former = old_id.filter(|id| !beside || !self.is_kept(*id));
        entry.block = former.map(|id| Block { id, beside });
        entry
    }

    fn entries(
        &self,
        before: &BTreeMap<String, Part>,
        after: &BTreeMap<String, Part>,
        depth: u32,
    ) -> BTreeMap<String, Entry> {
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let entry = |key: &String| match (before.get(key), after.get(key)) {
            (Some(before), Some(after)) => Some(self.part(before, after, depth + 1)),
            (Some(before), None) => Some(self.whole(before, Change::Removed, depth + 1)),
            (None, Some(after)) => Some(self.whole(after, Change::Added, depth + 1)),
            (None, None) => None,
        };
        keys.into_iter()
            .filter_map(|key| Some((key.clone(), entry(key)?)))
            .collect()
    }

    /// Children of elements and fragments. With text among them all are in the line of text.
    fn children(&self, before: &[Part], after: &[Part], depth: u32) -> Vec<Entry> {
        if is_inline(before) || is_inline(after) {
            let (before, after) = (Inline::of_children(before), Inline::of_children(after));
            return self.inline(&before, &after, depth);
        }
        self.blocks(before, after, depth)
    }

    fn inline(&self, before: &Inline<'_>, after: &Inline<'_>, depth: u32) -> Vec<Entry> {
        inline::compare(self, before, after, depth)
    }

    fn blocks(&self, before: &[Part], after: &[Part], depth: u32) -> Vec<Entry> {
        let below = depth + 1;
        let steps = blocks::align(before, after, below, &self.copies);
        let entries = steps.into_iter().map(|step| match step {
            Step::Both(b, a) => self.part(&before[b], &after[a], below),
            Step::Removed(b) => self.block(&before[b], Change::Removed, below),
            Step::Added(a) => self.block(&after[a], Change::Added, below),
        });
        entries.collect()
    }
}

fn value(node: &Node) -> Content {
    Content::Value {
        value: tree::to_json(node),
    }
}

fn json(attrs: &BTreeMap<String, Node>) -> BTreeMap<String, serde_json::Value> {
    let attrs = attrs.iter();
    attrs
        .map(|(key, value)| (key.clone(), tree::to_json(value)))
        .collect()
}

fn ids_of(part: &Part, see: &mut impl FnMut(Id)) {
    part.shared_type().into_iter().for_each(&mut *see);
    ids_in(part, see);
}

fn ids_in(node: &Node, see: &mut impl FnMut(Id)) {
    match node {
        Node::Element {
            id,
            attrs,
            children,
            ..
        } => {
            id.iter().copied().for_each(&mut *see);
            attrs.values().for_each(|attr| ids_in(attr, see));
            children.iter().for_each(|part| ids_of(part, see));
        }
        Node::Array(parts) | Node::Fragment(parts) => {
            parts.iter().for_each(|part| ids_of(part, see));
        }
        Node::Map(entries) => entries.values().for_each(|part| ids_of(part, see)),
        Node::Text(chunks) | Node::XmlText(chunks) => {
            chunks.iter().for_each(|chunk| ids_in(&chunk.insert, see));
        }
        Node::Value(_) | Node::Subdocument(_) | Node::TooDeep => {}
    }
}
