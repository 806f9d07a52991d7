//! Everything in a document, and when two parts of it are the same.
//!
//! Every shared type is of one form, as Yjs stores it: a list (text, items, children) and entries (keys, attributes).

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
    sync::Arc,
};

use yrs::{Any, Number, branch::BranchPtr};

use crate::document::{
    Clock,
    ids::Id,
    provenance::{Provenance, Row},
};

/// The roots by name.
pub(super) type Roots = BTreeMap<String, Shared>;
pub(super) type Marks = Rc<BTreeMap<String, Any>>;

/// A shared type. Roots are of no kind: theirs is never written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Root,
    Text,
    Array,
    Map,
    Fragment,
    XmlText,
    Element(Arc<str>),
}

#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) branch: BranchPtr,
    pub(super) kind: Kind,
    /// None for a root.
    pub(super) id: Option<Id>,
    /// What it is a copy of, or the same; none for a root.
    pub(super) original: Option<Id>,
    pub(super) list: List,
    pub(super) entries: BTreeMap<String, Value>,
    /// Of the content without ids: where it differs, the content does.
    pub(super) hash: u64,
    /// Of who wrote the text in it; 0 where there is none.
    pub(super) writers: u64,
}

#[derive(Debug, Clone)]
pub(super) enum List {
    Text {
        runs: Vec<Run>,
        /// Units that reading a text passes over, as only a crafted update puts them there: places are not what they seem.
        hides: bool,
    },
    Items(Vec<Value>),
}

/// Text that was written in one go, or one embedded value, with its formatting.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) what: Written,
    pub(super) marks: Marks,
}

#[derive(Debug, Clone)]
pub(super) enum Written {
    /// With the id of its first UTF-16 unit; the next units have the next clocks.
    Text(Option<Id>, Arc<str>),
    Embed(Value),
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// In a list with its id, where that is known.
    Plain(Any, Option<Name>),
    Shared(Box<Shared>),
    /// A subdocument, by its guid; with its id, as above.
    Subdocument(String, Option<Name>),
}

/// What something is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) id: Id,
    /// What it is a copy of, or the same.
    pub(super) original: Id,
}

impl Shared {
    /// A type that was just made.
    pub(super) fn empty(branch: BranchPtr, kind: Kind) -> Self {
        let mut shared = Self {
            branch,
            kind,
            id: None,
            original: None,
            list: List::Items(Vec::new()),
            entries: BTreeMap::new(),
            hash: 0,
            writers: 0,
        };
        shared.hash = shared.content_hash();
        shared
    }

    /// Whether two types hold the same, written by the same.
    pub(super) fn same_of_same(&self, other: &Self) -> bool {
        self.writers == other.writers && self.hash == other.hash && self.same(other)
    }

    /// Whether two types hold the same, whatever the ids.
    pub(super) fn same(&self, other: &Self) -> bool {
        let list = match (&self.list, &other.list) {
            (List::Items(a), List::Items(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (List::Text { runs: a, .. }, List::Text { runs: b, .. }) => same_runs(a, b),
            (a, b) => a.is_empty() && b.is_empty(),
        };
        list && self.kind == other.kind
            && self.entries.len() == other.entries.len()
            && (self.entries.iter().zip(&other.entries))
                .all(|((key, a), (other, b))| key == other && a.same(b))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.entries.is_empty()
    }

    /// The type that `is_it`, at any depth.
    pub(super) fn find(&self, is_it: &impl Fn(&Self) -> bool) -> Option<&Self> {
        if is_it(self) {
            return Some(self);
        }
        self.below().find_map(|shared| shared.find(is_it))
    }

    /// The types that lie directly in this one.
    pub(super) fn below(&self) -> impl Iterator<Item = &Self> {
        let (runs, items): (&[Run], &[Value]) = match &self.list {
            List::Text { runs, .. } => (runs, &[]),
            List::Items(items) => (&[], items),
        };
        let embeds = runs.iter().filter_map(|run| match &run.what {
            Written::Embed(value) => Some(value),
            Written::Text(..) => None,
        });
        let values = embeds.chain(items).chain(self.entries.values());
        values.filter_map(|value| match value {
            Value::Shared(shared) => Some(&**shared),
            _ => None,
        })
    }

    pub(super) fn writers_hash(&self, provenance: &Provenance) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut stretch: Option<(Row, Clock)> = None;
        if let List::Text { runs, .. } = &self.list {
            for (row, units) in runs.iter().flat_map(|run| run.writers(provenance)) {
                match &mut stretch {
                    Some((of, len)) if *of == row => *len += units,
                    _ => stretch.replace((row, units)).hash(&mut hasher),
                }
            }
        }
        let below = self.below().map(|shared| shared.writers);
        let below: Vec<u64> = below.filter(|writers| *writers != 0).collect();
        if stretch.is_none() && below.is_empty() {
            return 0;
        }
        (stretch, below).hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn content_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.kind.hash(&mut hasher);
        match &self.list {
            List::Items(items) => items.iter().for_each(|item| item.hash(&mut hasher)),
            List::Text { runs, .. } => {
                // Neighbours that look the same are one stretch, in however many runs they were written.
                let mut marks: Option<&Marks> = None;
                for run in runs {
                    if marks != Some(&run.marks) {
                        for (key, value) in &*run.marks {
                            (0xfd_u8, key).hash(&mut hasher);
                            hash_any(value, &mut hasher);
                        }
                        hasher.write_u8(0xfe);
                        marks = Some(&run.marks);
                    }
                    match &run.what {
                        Written::Text(_, text) => hasher.write(text.as_bytes()),
                        Written::Embed(value) => value.hash(&mut hasher),
                    }
                }
            }
        }
        for (key, value) in &self.entries {
            (0xff_u8, key).hash(&mut hasher);
            value.hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Run {
    /// Which row wrote how many units, from the first on; 0 where nobody knows.
    pub(super) fn writers(&self, provenance: &Provenance) -> Vec<(Row, Clock)> {
        let Written::Text(Some(id), text) = &self.what else {
            return Vec::new();
        };
        let (mut at, mut found) = (id.clock, Vec::new());
        let units: usize = text.chars().map(char::len_utf16).sum();
        let end = at.saturating_add(Clock::try_from(units).unwrap_or(Clock::MAX));
        while at < end {
            let source = provenance.written(Id::new(id.client, at));
            let upto = source.map_or(end, |source| source.end.clamp(at + 1, end));
            found.push((source.map_or(0, |source| source.row), upto - at));
            at = upto;
        }
        found
    }
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text { runs, hides } => runs.is_empty() && !hides,
            Self::Items(items) => items.is_empty(),
        }
    }
}

impl Value {
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(a, _), Self::Plain(b, _)) => a == b,
            (Self::Shared(a), Self::Shared(b)) => a.hash == b.hash && a.same(b),
            (Self::Subdocument(a, _), Self::Subdocument(b, _)) => a == b,
            _ => false,
        }
    }

    fn hash(&self, hasher: &mut DefaultHasher) {
        match self {
            Self::Plain(any, _) => hash_any(any, hasher),
            Self::Shared(shared) => (1_u8, shared.hash).hash(hasher),
            Self::Subdocument(guid, _) => (2_u8, guid).hash(hasher),
        }
    }
}

fn hash_any(any: &Any, hasher: &mut DefaultHasher) {
    std::mem::discriminant(any).hash(hasher);
    match any {
        Any::Null | Any::Undefined => {}
        Any::Bool(value) => value.hash(hasher),
        // Numbers that are equal are so in either form.
        Any::Number(Number::Int(number)) => hash_number(*number as f64, hasher),
        Any::Number(Number::Float(number)) => hash_number(*number, hasher),
        Any::String(text) => text.hash(hasher),
        Any::Buffer(bytes) => bytes.hash(hasher),
        Any::Array(items) => items.iter().for_each(|item| hash_any(item, hasher)),
        Any::Map(entries) => {
            let sorted: BTreeMap<_, _> = entries.iter().collect();
            for (key, value) in sorted {
                key.hash(hasher);
                hash_any(value, hasher);
            }
        }
    }
}

/// Zeros of both signs are equal.
fn hash_number(number: f64, hasher: &mut DefaultHasher) {
    (number + 0.0).to_bits().hash(hasher);
}

/// Whether text is the same with the same formatting, in however many runs it was written.
fn same_runs(a: &[Run], b: &[Run]) -> bool {
    let (mut a, mut b) = (Pieces::new(a), Pieces::new(b));
    loop {
        match (a.head(), b.head()) {
            (None, None) => return true,
            (Some((Piece::Text(x), of)), Some((Piece::Text(y), other))) => {
                let len = x.len().min(y.len());
                if of != other || x.as_bytes().get(..len) != y.as_bytes().get(..len) {
                    return false;
                }
                a.advance(len);
                b.advance(len);
            }
            (Some((Piece::Embed(x), of)), Some((Piece::Embed(y), other))) => {
                if of != other || !x.same(y) {
                    return false;
                }
                a.advance(0);
                b.advance(0);
            }
            _ => return false,
        }
    }
}

enum Piece<'a> {
    Text(&'a str),
    Embed(&'a Value),
}

/// Runs that are consumed bit by bit.
struct Pieces<'a> {
    runs: &'a [Run],
    /// Bytes of the first run that are consumed.
    at: usize,
}

impl<'a> Pieces<'a> {
    fn new(runs: &'a [Run]) -> Self {
        Self { runs, at: 0 }
    }

    fn head(&self) -> Option<(Piece<'a>, &'a Marks)> {
        let run = self.runs.first()?;
        Some((
            match &run.what {
                Written::Text(_, text) => Piece::Text(text.get(self.at..).unwrap_or_default()),
                Written::Embed(value) => Piece::Embed(value),
            },
            &run.marks,
        ))
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        let rest = match self.head() {
            Some((Piece::Text(text), _)) => text.len(),
            _ => 0,
        };
        if rest == 0 {
            self.at = 0;
            self.runs = self.runs.get(1..).unwrap_or_default();
        }
    }
}
