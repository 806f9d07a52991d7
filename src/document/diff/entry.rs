//! The nodes of a difference, and how they are written as JSON.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::compare::Compare;
use crate::{
    clock::UnixMillis,
    document::{
        ids::Id,
        print::Print,
        provenance::Row,
        tree::{Fate, Part},
    },
    timestamp::rfc3339,
};

/// Formatting: the attributes of each mark by its name.
pub type Marks = BTreeMap<String, Json>;

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Stands in both states with all that is in it.
    Same,
    Added,
    Removed,
    /// Stands elsewhere now, see [`Entry::moved`].
    Moved,
    /// Stands in both, and something of it or in it differs.
    Changed,
    /// The same text with other marks.
    Formatted,
}

/// A node of either state. As JSON an object with `change`, those of the next five fields that are known (`id` as
/// `[client, clock]`, `moved` as `move`), and the fields of [`Content`] with its `kind`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub change: Change,
    /// Of elements and runs of text that were added, moved or formatted (then in the state after) or removed (in the one before),
    /// of elements with another name or other attributes, and of maps, lists and texts in others: from it follows who did it. A run of `n` UTF-16 units that was
    /// added or removed has the `n` ids from this one on until it was coloured; then it is that of its beginning.
    #[serde(serialize_with = "as_pair", skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// The row of the log that did it; of a run the row of its beginning. See [`super::Diff::colour`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<Row>,
    /// When that was, in milliseconds since 1970; as JSON in the form of RFC 3339. Other parts of a run may be of up to
    /// [`crate::document::provenance::ONE_GO`] later or earlier.
    #[serde(serialize_with = "as_time", skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixMillis>,
    /// Who that was, as the caller numbers people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<u32>,
    /// Number of the move: the same at the place where the node stands now and at the one that it left.
    #[serde(rename = "move", skip_serializing_if = "Option::is_none")]
    pub moved: Option<u32>,
    /// Of an element, what restoring it by itself would bring back; not in the JSON.
    #[serde(skip)]
    pub block: Option<Block>,
    #[serde(flatten)]
    pub content: Content,
    /// What it holds, where it may be found again at another place.
    #[serde(skip)]
    pub(super) print: Option<Print>,
    /// Of a line in a difference that is to be written.
    #[serde(skip)]
    pub(in crate::document) line: Option<Line>,
}

/// A line that stands directly in a root, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub(in crate::document) part: Part,
    pub(in crate::document) fate: Fate,
}

/// An element that can be brought back by its id: as it was before, or, if it was added, as it is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub id: Id,
    /// What stands here now is another element. It stays where it is when this one comes back.
    pub beside: bool,
}

/// What a node is. As JSON its fields with the `kind`, which is the variant's name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Content {
    /// A run of text that has the same marks and the same fate.
    Run {
        text: String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        marks: Marks,
        /// The marks it had, if it is [`Change::Formatted`].
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Marks>,
    },
    /// A value that stands between letters.
    Embed {
        value: Json,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        marks: Marks,
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Marks>,
    },
    /// A node of the editor. Its children are elements, runs and embeds.
    Element {
        name: String,
        /// The name it had, if that was another.
        #[serde(skip_serializing_if = "Option::is_none")]
        was: Option<String>,
        /// The attributes it has; of what was removed, those that it had.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        attrs: BTreeMap<String, Json>,
        /// Attributes that differ.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        changed: BTreeMap<String, AttrChange>,
        children: Vec<Entry>,
    },
    /// An XML fragment.
    Fragment {
        children: Vec<Entry>,
    },
    /// A Y.Text.
    Text {
        children: Vec<Entry>,
    },
    /// A Y.XmlText that is no child of an element or a fragment.
    XmlText {
        children: Vec<Entry>,
    },
    Array {
        children: Vec<Entry>,
    },
    Map {
        entries: BTreeMap<String, Entry>,
    },
    /// Anything without parts; also what nests too deep to be looked into.
    Value {
        value: Json,
    },
    /// Something of another kind, or another value, in the place of the one before.
    Replaced {
        before: Box<Entry>,
        after: Box<Entry>,
    },
    /// The place from which a node was moved.
    Left,
    /// A line that was written as HTML before. Only in a difference that is to be written so.
    #[serde(skip)]
    Told(Arc<str>),
    /// Anything that is the same with all that is in it. As JSON it is written like every other.
    #[serde(untagged)]
    Same(Same),
}

/// Part of a tree that did not change. Most of most differences is: it is only looked at where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Same {
    pub(in crate::document) part: Part,
    /// How deep it is.
    depth: u32,
}

impl Same {
    pub(super) fn at_the_top(part: &Part) -> Self {
        let part = part.clone();
        Self { part, depth: 1 }
    }

    /// Whether it stands directly in a root.
    pub fn is_at_the_top(&self) -> bool {
        self.depth == 1
    }

    /// The entry that stands for it; what is in it may again be `Same`.
    pub fn entry(&self) -> Entry {
        Compare::default().all(&self.part, Change::Same, self.depth)
    }
}

impl Serialize for Same {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entry().content.serialize(serializer)
    }
}

/// An attribute before and after; absent where it was not set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttrChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Json>,
}

impl Entry {
    pub(super) fn new(change: Change, content: Content) -> Self {
        Self {
            change,
            id: None,
            row: None,
            at: None,
            author: None,
            moved: None,
            block: None,
            content,
            print: None,
            line: None,
        }
    }

    pub(super) fn same(part: &Part, depth: u32) -> Self {
        let (id, part) = (part.id(), part.clone());
        let mut entry = Self::new(Change::Same, Content::Same(Same { part, depth }));
        entry.block = id.map(|id| Block { id, beside: false });
        entry
    }

    /// Whether all that changed in it has its author by the ids of its own letters. It is written the same then whatever else
    /// changed between the two states, and whatever comes after.
    pub(in crate::document) fn is_settled(&self) -> bool {
        let own = match self.change {
            Change::Same => true,
            Change::Changed => !self.is_change_of_its_own(),
            Change::Added | Change::Removed => self.row.is_some(),
            Change::Moved | Change::Formatted => false,
        };
        own && self.content.parts().into_iter().all(Self::is_settled)
    }

    /// Whether not only something in it changed.
    pub(super) fn is_change_of_its_own(&self) -> bool {
        match (self.change, &self.content) {
            (Change::Changed, Content::Element { was, changed, .. }) => {
                was.is_some() || !changed.is_empty()
            }
            (Change::Changed, content) => matches!(content, Content::Replaced { .. }),
            (change, _) => change != Change::Same,
        }
    }

    /// Same or changed, by what is in it.
    pub(super) fn of_parts(content: Content) -> Self {
        let mut entry = Self::new(Change::Same, content);
        let differs = |part: &Entry| part.change != Change::Same;
        if entry.content.parts().into_iter().any(differs) {
            entry.change = Change::Changed;
        }
        entry
    }
}

impl Content {
    /// The nodes inside, in their order; none of what is [`Same`].
    pub fn parts(&self) -> Vec<&Entry> {
        match self {
            Self::Element { children, .. }
            | Self::Fragment { children }
            | Self::Text { children }
            | Self::XmlText { children }
            | Self::Array { children } => children.iter().collect(),
            Self::Map { entries } => entries.values().collect(),
            Self::Replaced { before, after } => vec![before, after],
            Self::Run { .. }
            | Self::Embed { .. }
            | Self::Value { .. }
            | Self::Left
            | Self::Told(_)
            | Self::Same(_) => Vec::new(),
        }
    }

    pub(super) fn parts_mut(&mut self) -> Vec<&mut Entry> {
        match self {
            Self::Map { entries } => entries.values_mut().collect(),
            Self::Replaced { before, after } => vec![before, after],
            other => other.children_mut().into_iter().flatten().collect(),
        }
    }

    /// The list of nodes inside, where there is one.
    pub(super) fn children_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match self {
            Self::Element { children, .. }
            | Self::Fragment { children }
            | Self::Text { children }
            | Self::XmlText { children }
            | Self::Array { children } => Some(children),
            _ => None,
        }
    }
}

fn as_time<S: Serializer>(at: &Option<UnixMillis>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

fn as_pair<S: Serializer>(id: &Option<Id>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| (id.client, id.clock)).serialize(serializer)
}
