//! A typed view of everything in a document, for exports and for comparing two replicas.

mod read;

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use serde_json::{Map as JsonMap, Value as Json};
use yrs::Any;

pub(super) use self::read::{Known, roots_with_ids};
pub use self::read::{depth, roots, roots_with_element_ids};
use super::{ids::Id, print::Print};

/// One value in the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Text(Vec<Chunk>),
    Map(BTreeMap<String, Part>),
    Array(Vec<Part>),
    Fragment(Vec<Part>),
    Element {
        name: String,
        attrs: BTreeMap<String, Node>,
        children: Vec<Part>,
        /// Who it is, where ids were asked for.
        id: Option<Id>,
    },
    XmlText(Vec<Chunk>),
    Value(Any),
    /// A subdocument, by its guid.
    Subdocument(String),
    /// Nests deeper than the limit; stands for what is below.
    TooDeep,
}

impl Node {
    /// Which element it is.
    pub fn id(&self) -> Option<Id> {
        match self {
            Self::Element { id, .. } => *id,
            _ => None,
        }
    }
}

/// Whether it is an element that holds nothing but text: all that becomes of it, its letters tell.
pub(super) fn is_line(node: &Node) -> bool {
    matches!(node, Node::Element { children, .. } if children.iter().all(is_text))
}

/// Whether these children are a line of text.
pub(super) fn is_inline(children: &[Part]) -> bool {
    children.iter().any(is_text)
}

fn is_text(child: &Part) -> bool {
    matches!(**child, Node::XmlText(_))
}

/// A node in another one. The trees of several moments share what did not change between them.
#[derive(Clone)]
pub struct Part(Arc<Shared>);

struct Shared {
    node: Node,
    shared_type: Option<Id>,
    print: OnceLock<Print>,
    /// Of a block that stands directly in a root: without and with its id.
    html: [OnceLock<Arc<str>>; 2],
    /// Of a line that stands directly in a root: the difference in which it was written last.
    told: Mutex<Option<(Fate, Arc<str>)>>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    Added,
    Removed,
    /// It stands in both states, and was this before.
    Was(Former),
}

/// A part that need not be there any more, but is never mistaken for another one.
#[derive(Clone)]
pub(super) struct Former(Weak<Shared>);

impl PartialEq for Former {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl fmt::Debug for Former {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0.as_ptr())
    }
}

impl Part {
    fn of_type(node: Node, id: Option<Id>) -> Self {
        let shared = Shared {
            node,
            shared_type: id,
            print: OnceLock::new(),
            html: Default::default(),
            told: Mutex::default(),
        };
        Self(Arc::new(shared))
    }

    /// Which shared type it is, where ids were asked for. Elements say it themselves, and lines of text are known by their letters.
    pub(super) fn shared_type(&self) -> Option<Id> {
        self.0.shared_type
    }

    /// The fingerprint of its content, made when it is asked for first.
    pub(super) fn print(&self, make: impl FnOnce(&Node) -> Print) -> Print {
        *self.0.print.get_or_init(|| make(&self.0.node))
    }

    /// The same as HTML, with or without its id.
    pub(super) fn html(&self, is_named: bool, make: impl FnOnce() -> String) -> Arc<str> {
        let html = &self.0.html[usize::from(is_named)];
        html.get_or_init(|| make().into()).clone()
    }

    /// This part as one that another may have been.
    pub(super) fn former(&self) -> Former {
        Former(Arc::downgrade(&self.0))
    }

    /// The same as HTML with what became of it, if that was written last.
    pub(super) fn told(&self, fate: &Fate) -> Option<Arc<str>> {
        let told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, html) = told.as_ref()?;
        (of == fate).then(|| html.clone())
    }

    /// Keeps how this was written.
    pub(super) fn keep_told(&self, fate: Fate, html: Arc<str>) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some((fate, html));
    }
}

impl From<Node> for Part {
    fn from(node: Node) -> Self {
        Self::of_type(node, None)
    }
}

#[cfg(test)]
pub(super) fn parts(nodes: Vec<Node>) -> Vec<Part> {
    nodes.into_iter().map(Part::from).collect()
}

impl Deref for Part {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0.node
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A run of text, or one embedded value, with its formatting.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    pub insert: Node,
    pub marks: BTreeMap<String, Any>,
    /// The id of its first UTF-16 unit, where ids were asked for; the next units have the next clocks. Of text only.
    pub id: Option<Id>,
}

/// The tree as JSON. Text becomes a string, maps and lists what they are; XML becomes nodes as ProseMirror writes
/// them: `{type, attrs, content}`, text with its `marks`.
pub fn to_json(node: &Node) -> Json {
    match node {
        Node::Text(chunks) => Json::String(plain(chunks)),
        Node::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), to_json(value)))
            .collect(),
        Node::Array(items) => items.iter().map(|item| to_json(item)).collect(),
        Node::Fragment(children) => content(children),
        Node::XmlText(chunks) => Json::Array(text_nodes(chunks)),
        Node::Element {
            name,
            attrs,
            children,
            ..
        } => {
            let mut node = JsonMap::new();
            node.insert("type".into(), name.clone().into());
            if !attrs.is_empty() {
                node.insert(
                    "attrs".into(),
                    attrs
                        .iter()
                        .map(|(key, value)| (key.clone(), to_json(value)))
                        .collect(),
                );
            }
            if !children.is_empty() {
                node.insert("content".into(), content(children));
            }
            Json::Object(node)
        }
        Node::Value(any) => any_to_json(any),
        Node::Subdocument(guid) => serde_json::json!({ "guid": guid }),
        Node::TooDeep => Json::Null,
    }
}

fn content(children: &[Part]) -> Json {
    let mut nodes = Vec::new();
    for child in children {
        match &**child {
            Node::XmlText(chunks) => nodes.extend(text_nodes(chunks)),
            other => nodes.push(to_json(other)),
        }
    }
    Json::Array(nodes)
}

fn text_nodes(chunks: &[Chunk]) -> Vec<Json> {
    chunks
        .iter()
        .map(|chunk| {
            let mut node = JsonMap::new();
            match &chunk.insert {
                Node::Value(Any::String(text)) => {
                    node.insert("type".into(), "text".into());
                    node.insert("text".into(), text.to_string().into());
                }
                embed => {
                    node.insert("type".into(), "embed".into());
                    node.insert("value".into(), to_json(embed));
                }
            }
            if !chunk.marks.is_empty() {
                let marks = chunk.marks.iter().map(|(name, attrs)| {
                    serde_json::json!({ "type": name, "attrs": any_to_json(attrs) })
                });
                node.insert("marks".into(), marks.collect());
            }
            Json::Object(node)
        })
        .collect()
}

fn any_to_json(any: &Any) -> Json {
    match any {
        Any::Null | Any::Undefined => Json::Null,
        Any::Bool(value) => (*value).into(),
        Any::Number(number) => serde_json::to_value(number).unwrap_or(Json::Null),
        Any::String(text) => text.to_string().into(),
        Any::Buffer(bytes) => bytes.iter().copied().collect::<Vec<u8>>().into(),
        Any::Array(items) => items.iter().map(any_to_json).collect(),
        Any::Map(entries) => {
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            sorted
                .into_iter()
                .map(|(key, value)| (key.clone(), any_to_json(value)))
                .collect()
        }
    }
}

/// Everything readable as plain text: a line for each block.
pub fn to_text(node: &Node) -> String {
    let mut out = String::new();
    write_text(node, &mut out);
    out
}

fn write_text(node: &Node, out: &mut String) {
    match node {
        Node::Text(chunks) | Node::XmlText(chunks) => out.push_str(&plain(chunks)),
        Node::Fragment(children) => blocks(children, out),
        Node::Element { name, .. } if name == "hardBreak" => out.push('\n'),
        Node::Element { children, .. } => {
            if children
                .iter()
                .any(|child| matches!(&**child, Node::Element { name, .. } if name != "hardBreak"))
            {
                blocks(children, out);
            } else {
                children.iter().for_each(|child| write_text(child, out));
            }
        }
        Node::Array(items) => blocks(items, out),
        Node::Map(entries) => {
            for (index, (_, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push('\n');
                }
                write_text(value, out);
            }
        }
        Node::Value(Any::String(text)) => out.push_str(text),
        Node::Value(Any::Null | Any::Undefined) | Node::Subdocument(_) | Node::TooDeep => {}
        Node::Value(any) => out.push_str(&any_to_json(any).to_string()),
    }
}

fn blocks(children: &[Part], out: &mut String) {
    for (index, child) in children.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        write_text(child, out);
    }
}

fn plain(chunks: &[Chunk]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| match &chunk.insert {
            Node::Value(Any::String(text)) => Some(text.as_ref()),
            _ => None,
        })
        .collect()
}
