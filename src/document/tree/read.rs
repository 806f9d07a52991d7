//! Reads the tree from a replica.
//!
//! Root types carry no kind of their own on the wire: it is read off what they hold. A root is never read as an array
//! when it holds text, as yrs then loops for ever; the same is looked at before a nested array is read.
//!
//! Recursion is bounded: the replica admits no nesting of shared types beyond its limit, and no `Any` beyond 64.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    ops::Deref,
    rc::Rc,
};

use yrs::{
    Any, Array, ArrayRef, Doc, IdSet, Map, MapRef, Out, ReadTxn, Snapshot, Text, TextRef, Transact,
    Xml, XmlElementRef, XmlFragment, XmlFragmentRef, XmlOut, XmlTextRef,
    block::ClientID,
    branch::{Branch, BranchID, BranchPtr},
    types::{Attrs, text::Diff},
};

use super::{Chunk, Node, Part};
use crate::document::{id_set::IdRange, ids::Id, replica::MAX_TYPE_DEPTH};

/// All root types by name.
pub fn roots(doc: &Doc) -> BTreeMap<String, Node> {
    let txn = doc.transact();
    Reader::new(&txn).roots()
}

/// [`roots`] with the ids of elements, which leaves the document as it is.
pub fn roots_with_element_ids(doc: &Doc) -> BTreeMap<String, Node> {
    let txn = doc.transact();
    let reader = Reader {
        names_elements: true,
        ..Reader::new(&txn)
    };
    reader.roots()
}

/// What was read of a document with [`roots_with_ids`] and did not change since.
#[derive(Debug, Default)]
pub(in crate::document) struct Known(HashMap<BranchID, Part>);

impl Known {
    /// These types have changed, or what is in them.
    pub fn forget(&mut self, changed: &HashSet<BranchID>) {
        for id in changed {
            self.0.remove(id);
        }
    }

    /// Takes the blocks of another moment for those that are equal: what was made of them is then not made again.
    pub fn share(&mut self, tree: &BTreeMap<String, Node>) {
        let blocks = tree.values().filter_map(|root| match root {
            Node::Fragment(blocks) => Some(blocks),
            _ => None,
        });
        for block in blocks.flatten() {
            let Some(id) = block.id() else {
                continue;
            };
            let id = yrs::ID::new(ClientID::new(id.client), id.clock);
            if let Some(own) = self.0.get_mut(&BranchID::Nested(id))
                && *own == *block
            {
                *own = block.clone();
            }
        }
    }
}

/// [`roots`] with the ids of elements and of text, which comes in runs that were each written in one go. `deleted` are the ids
/// whose text the document holds although they are deleted: few, as all of them are gone over for each text that is not `known`
/// ([`crate::document::moment::Cursor`] sees to that). yrs tells the ids of text only as what a snapshot adds to an empty one, and splits what
/// it goes over: the replica must be a scratch one.
pub(in crate::document) fn roots_with_ids(
    doc: &Doc,
    deleted: &[IdRange],
    known: &mut Known,
) -> BTreeMap<String, Node> {
    let cell = RefCell::new(std::mem::take(&mut known.0));
    let branches = {
        let txn = doc.transact();
        let reader = Reader {
            known: Some(&cell),
            branches: Some(RefCell::default()),
            ..Reader::new(&txn)
        };
        reader.roots();
        reader.branches.map(RefCell::into_inner).unwrap_or_default()
    };
    let mut txn = doc.transact_mut();
    let mut hidden = IdSet::default();
    for range in deleted {
        let first = yrs::ID::new(ClientID::new(range.client), range.start);
        hidden.insert(first, range.end - range.start);
    }
    let all = Snapshot::new(txn.state_vector(), hidden);
    let nothing = Snapshot::default();
    let texts = branches
        .into_iter()
        .map(|branch| {
            let text = TextRef::from(branch);
            let ids = text.diff_range(&mut txn, Some(&all), Some(&nothing), |change| change.id);
            (branch.id(), Rc::new(ids))
        })
        .collect();
    let reader = Reader {
        known: Some(&cell),
        texts: Some(texts),
        names_elements: true,
        ..Reader::new(&txn)
    };
    let roots = reader.roots();
    known.0 = cell.into_inner();
    roots
}

/// How deep shared types nest in the whole document: 0 without content, 1 for values directly in a root.
pub fn depth(doc: &Doc) -> u32 {
    let txn = doc.transact();
    let roots = Reader::new(&txn).roots();
    roots.values().map(deepest).max().unwrap_or(0)
}

fn deepest(node: &Node) -> u32 {
    let below = |nodes: &mut dyn Iterator<Item = &Node>| nodes.map(deepest).max().unwrap_or(0) + 1;
    match node {
        Node::Text(chunks) | Node::XmlText(chunks) => {
            below(&mut chunks.iter().map(|chunk| &chunk.insert))
        }
        Node::Map(entries) => below(&mut entries.values().map(Deref::deref)),
        Node::Array(items) | Node::Fragment(items) => below(&mut items.iter().map(Deref::deref)),
        Node::Element {
            attrs, children, ..
        } => below(&mut children.iter().map(Deref::deref).chain(attrs.values())),
        Node::Value(_) | Node::Subdocument(_) => 0,
        Node::TooDeep => 1,
    }
}

/// Beyond this the tree is cut. Above the replica's limit, so that a legitimate document never meets it.
const MAX_DEPTH: u32 = MAX_TYPE_DEPTH + 8;

struct Reader<'t, T> {
    txn: &'t T,
    /// Parts that need not be read.
    known: Option<&'t RefCell<HashMap<BranchID, Part>>>,
    /// Collects what was read as text.
    branches: Option<RefCell<Vec<BranchPtr>>>,
    /// Text with its ids, which was read before.
    texts: Option<HashMap<BranchID, Rc<Vec<Diff<yrs::ID>>>>>,
    names_elements: bool,
}

impl<'t, T: ReadTxn> Reader<'t, T> {
    fn new(txn: &'t T) -> Self {
        Self {
            txn,
            known: None,
            branches: None,
            texts: None,
            names_elements: false,
        }
    }

    fn roots(&self) -> BTreeMap<String, Node> {
        self.txn
            .root_refs()
            .map(|(name, value)| (name.to_owned(), self.root(value, 0)))
            .collect()
    }

    /// A root's kind is guessed from its content: text when it holds strings, XML when it holds XML nodes, else a list
    /// of values, else a map.
    fn root(&self, value: Out, depth: u32) -> Node {
        let branch = match value {
            Out::UndefinedRef(branch) => branch,
            Out::YText(text) => pointer(&text),
            Out::YArray(array) => pointer(&array),
            Out::YMap(map) => pointer(&map),
            Out::YXmlFragment(fragment) => pointer(&fragment),
            other => return self.out(other, depth),
        };
        let diffs = self.diffs(branch);
        if diffs.iter().any(is_text) {
            return Node::Text(self.chunks(&diffs, depth));
        }
        match diffs.first().map(|diff| &diff.insert) {
            Some(Out::YXmlElement(_) | Out::YXmlText(_)) => {
                let parts = diffs.iter();
                let parts = parts.map(|diff| self.part(diff.insert.clone(), depth));
                Node::Fragment(parts.collect())
            }
            Some(Out::Any(_) | Out::UndefinedRef(_)) => Node::Text(self.chunks(&diffs, depth)),
            Some(_) => self.array(&ArrayRef::from(branch), depth),
            None if branch.len() > 0 => self.array(&ArrayRef::from(branch), depth),
            None => {
                let map = self.map(&MapRef::from(branch), depth);
                match map {
                    Node::Map(entries) if entries.is_empty() => Node::Text(Vec::new()),
                    map => map,
                }
            }
        }
    }

    fn part(&self, value: Out, depth: u32) -> Part {
        let (Some(known), Some(branch)) = (self.known, branch_of(&value)) else {
            return self.out(value, depth).into();
        };
        if let Some(part) = known.borrow().get(&branch.id()) {
            return part.clone();
        }
        let id = match value {
            Out::YXmlElement(_) | Out::YXmlText(_) => None,
            _ => self.name_of(branch),
        };
        let part = Part::of_type(self.out(value, depth), id);
        // Before the texts are there it is not read for good.
        if self.texts.is_some() {
            known.borrow_mut().insert(branch.id(), part.clone());
        }
        part
    }

    /// The id of a shared type in another, if ids are asked for.
    fn name_of(&self, branch: BranchPtr) -> Option<Id> {
        match branch.id() {
            BranchID::Nested(id) if self.names_elements => Some(id_of(&id)),
            _ => None,
        }
    }

    fn out(&self, value: Out, depth: u32) -> Node {
        if depth > MAX_DEPTH {
            return Node::TooDeep;
        }
        match value {
            Out::Any(any) => Node::Value(any),
            Out::YText(text) => Node::Text(self.chunks(&self.diffs(pointer(&text)), depth + 1)),
            Out::YArray(array) => self.array(&array, depth + 1),
            Out::YMap(map) => self.map(&map, depth + 1),
            Out::YXmlElement(element) => self.element(&element, depth + 1),
            Out::YXmlFragment(fragment) => self.fragment(&fragment, depth + 1),
            Out::YXmlText(text) => self.xml_text(&text, depth + 1),
            Out::YDoc(doc) => Node::Subdocument(doc.guid().to_string()),
            Out::UndefinedRef(_) => Node::Value(Any::Undefined),
        }
    }

    fn chunks(&self, diffs: &[Diff<yrs::ID>], depth: u32) -> Vec<Chunk> {
        diffs.iter().map(|diff| self.chunk(diff, depth)).collect()
    }

    fn diffs(&self, branch: BranchPtr) -> Rc<Vec<Diff<yrs::ID>>> {
        if let Some(texts) = &self.texts {
            return texts.get(&branch.id()).cloned().unwrap_or_default();
        }
        if let Some(branches) = &self.branches {
            branches.borrow_mut().push(branch);
        }
        Rc::new(TextRef::from(branch).diff(self.txn, |change| change.id))
    }

    fn chunk(&self, diff: &Diff<yrs::ID>, depth: u32) -> Chunk {
        let attributes = diff.attributes.as_ref();
        Chunk {
            insert: self.out(diff.insert.clone(), depth),
            marks: attributes.map(|attrs| sorted(attrs)).unwrap_or_default(),
            id: diff.ychange.as_ref().map(id_of),
        }
    }

    fn array(&self, array: &ArrayRef, depth: u32) -> Node {
        let diffs = self.diffs(pointer(array));
        if diffs.iter().any(is_text) {
            return Node::Text(self.chunks(&diffs, depth));
        }
        Node::Array(
            array
                .iter(self.txn)
                .map(|item| self.part(item, depth))
                .collect(),
        )
    }

    fn map(&self, map: &MapRef, depth: u32) -> Node {
        Node::Map(
            map.iter(self.txn)
                .map(|(key, value)| (key.to_owned(), self.part(value, depth)))
                .collect(),
        )
    }

    fn element(&self, element: &XmlElementRef, depth: u32) -> Node {
        Node::Element {
            name: element.tag().to_string(),
            attrs: element
                .attributes(self.txn)
                .map(|(key, value)| (key.to_owned(), self.out(value, depth)))
                .collect(),
            children: element
                .children(self.txn)
                .map(|child| self.xml(child, depth))
                .collect(),
            id: self.name_of(pointer(element)),
        }
    }

    fn fragment(&self, fragment: &XmlFragmentRef, depth: u32) -> Node {
        Node::Fragment(
            fragment
                .children(self.txn)
                .map(|child| self.xml(child, depth))
                .collect(),
        )
    }

    fn xml_text(&self, text: &XmlTextRef, depth: u32) -> Node {
        Node::XmlText(self.chunks(&self.diffs(pointer(text)), depth))
    }

    fn xml(&self, node: XmlOut, depth: u32) -> Part {
        self.part(
            match node {
                XmlOut::Element(element) => Out::YXmlElement(element),
                XmlOut::Fragment(fragment) => Out::YXmlFragment(fragment),
                XmlOut::Text(text) => Out::YXmlText(text),
            },
            depth,
        )
    }
}

/// The shared type that a value is.
fn branch_of(value: &Out) -> Option<BranchPtr> {
    match value {
        Out::YText(text) => Some(pointer(text)),
        Out::YArray(array) => Some(pointer(array)),
        Out::YMap(map) => Some(pointer(map)),
        Out::YXmlElement(element) => Some(pointer(element)),
        Out::YXmlFragment(fragment) => Some(pointer(fragment)),
        Out::YXmlText(text) => Some(pointer(text)),
        Out::Any(_) | Out::YDoc(_) | Out::UndefinedRef(_) => None,
    }
}

fn id_of(id: &yrs::ID) -> Id {
    Id::new(id.client.get(), id.clock)
}

fn pointer(shared: &impl AsRef<Branch>) -> BranchPtr {
    BranchPtr::from(shared.as_ref())
}

fn is_text<D>(diff: &Diff<D>) -> bool {
    matches!(&diff.insert, Out::Any(Any::String(_)))
}

fn sorted(attrs: &Attrs) -> BTreeMap<String, Any> {
    attrs
        .iter()
        .map(|(key, value)| (key.to_string(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use yrs::{XmlElementPrelim, XmlTextPrelim};

    use super::*;
    use crate::document::replica::doc_with;
    use crate::document::tree::to_text;

    #[test]
    fn runs_of_text_and_elements_are_known_by_their_ids() {
        let doc = doc_with(7);
        let body = doc.get_or_insert_xml_fragment("default");
        let mut txn = doc.transact_mut();
        let paragraph = body.insert(&mut txn, 0, XmlElementPrelim::empty("paragraph"));
        let text = paragraph.insert(&mut txn, 0, XmlTextPrelim::new("hello"));
        drop(txn);
        let mut txn = doc.transact_mut();
        text.insert(&mut txn, 2, "🦀y");
        text.remove_range(&mut txn, 0, 1);
        text.format(&mut txn, 0, 3, Attrs::from([("bold".into(), true.into())]));
        drop(txn);
        let without = roots(&doc);
        // The document holds the "h" still.
        let h = IdRange {
            client: 7,
            start: 2,
            end: 3,
        };
        let with = roots_with_ids(&doc, &[h], &mut Known::default());
        let Some(Node::Fragment(blocks)) = with.get("default") else {
            panic!("{with:?}");
        };
        let [block] = &blocks[..] else {
            panic!("{blocks:?}");
        };
        let Node::Element { id, children, .. } = &**block else {
            panic!("{block:?}");
        };
        assert_eq!(*id, Some(Id::new(7, 0)));
        let Node::XmlText(chunks) = &*children[0] else {
            panic!("{children:?}");
        };
        let runs: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.insert.clone(), chunk.id.map(|id| id.clock)))
            .collect();
        let string = |text: &str| Node::Value(Any::from(text));
        // "hello" has the clocks 2 to 6, what was typed into it 7 to 9; two clocks each are the formatting.
        assert_eq!(
            runs,
            [
                (string("e"), Some(3)),
                (string("🦀"), Some(7)),
                (string("y"), Some(9)),
                (string("llo"), Some(4)),
            ]
        );
        assert_eq!(to_text(&with["default"]), to_text(&without["default"]));
        assert_eq!(roots(&doc), without);
    }
}
