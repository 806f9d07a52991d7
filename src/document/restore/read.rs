//! Everything in a document, with the ids and the handles that patching needs.
//!
//! Every shared type is read alike, as Yjs stores it: a list (text, items, children) and entries (keys, attributes).

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
    sync::Arc,
};

use yrs::{
    Any, Array, ArrayRef, IdSet, Map, MapRef, Number, Out, ReadTxn, Snapshot, Text, TextRef,
    TransactionMut, XmlElementRef,
    branch::{Branch, BranchID, BranchPtr},
    types::text::Diff,
};

use super::RestoreError;
use crate::document::{
    Clock,
    ids::Id,
    provenance::{Provenance, Row},
    replica::MAX_TYPE_DEPTH,
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
    Plain(Any),
    Shared(Box<Shared>),
    /// A subdocument, by its guid.
    Subdocument(String),
}

impl Shared {
    /// A type that was just made.
    pub(super) fn empty(branch: BranchPtr, kind: Kind) -> Self {
        let mut shared = Self {
            branch,
            kind,
            id: None,
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

    /// The type with this id, at any depth.
    pub(super) fn find(&self, id: Id) -> Option<&Self> {
        if self.id == Some(id) {
            return Some(self);
        }
        self.below().find_map(|shared| shared.find(id))
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

    fn writers_hash(&self, provenance: &Provenance) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut stretch: Option<(Row, Clock)> = None;
        if let List::Text { runs, .. } = &self.list {
            for (row, units) in runs.iter().flat_map(|run| run.writers(provenance)) {
                match &mut stretch {
                    Some((of, len)) if *of == row => *len += units,
                    _ => drop(stretch.replace((row, units)).hash(&mut hasher)),
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

    fn content_hash(&self) -> u64 {
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
            (Self::Plain(a), Self::Plain(b)) => a == b,
            (Self::Shared(a), Self::Shared(b)) => a.hash == b.hash && a.same(b),
            (Self::Subdocument(a), Self::Subdocument(b)) => a == b,
            _ => false,
        }
    }

    fn hash(&self, hasher: &mut DefaultHasher) {
        match self {
            Self::Plain(any) => hash_any(any, hasher),
            Self::Shared(shared) => (1_u8, shared.hash).hash(hasher),
            Self::Subdocument(guid) => (2_u8, guid).hash(hasher),
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

/// Reads documents.
pub(super) struct Reader<'t, 'd> {
    txn: &'t mut TransactionMut<'d>,
    /// Shows everything that has content and nothing, which is how yrs tells the ids of text; and who wrote what.
    ids: Option<(Snapshot, Snapshot, &'t Provenance)>,
}

impl<'t, 'd> Reader<'t, 'd> {
    /// Reads ids, too. The document must not hold the text of what is deleted: it would be read as if it were there.
    pub(super) fn with_ids(txn: &'t mut TransactionMut<'d>, provenance: &'t Provenance) -> Self {
        let all = Snapshot::new(txn.state_vector(), IdSet::default());
        Self {
            txn,
            ids: Some((all, Snapshot::default(), provenance)),
        }
    }

    pub(super) fn without_ids(txn: &'t mut TransactionMut<'d>) -> Self {
        Self { txn, ids: None }
    }

    pub(super) fn roots(&mut self) -> Result<Roots, RestoreError> {
        let roots: Vec<_> = self
            .txn
            .root_refs()
            .filter_map(|(name, value)| Some((name.to_owned(), shared_type(&value)?.1)))
            .collect();
        let mut read = Roots::new();
        for (name, branch) in roots {
            read.insert(name, self.shared(branch, Kind::Root, 0)?);
        }
        Ok(read)
    }

    fn shared(
        &mut self,
        branch: BranchPtr,
        kind: Kind,
        depth: u32,
    ) -> Result<Shared, RestoreError> {
        if depth > MAX_TYPE_DEPTH {
            return Err(RestoreError::TooDeep);
        }
        let mut shared = Shared::empty(branch, kind);
        shared.id = id_of(branch);
        shared.list = self.list(branch, &shared.kind, depth)?;
        let entries: Vec<(String, Out)> = MapRef::from(branch)
            .iter(self.txn)
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        for (key, value) in entries {
            shared.entries.insert(key, self.value(value, depth)?);
        }
        shared.hash = shared.content_hash();
        if let Some((_, _, provenance)) = self.ids {
            shared.writers = shared.writers_hash(provenance);
        }
        Ok(shared)
    }

    /// A list with text in it is never read as an array: yrs would loop for ever.
    fn list(&mut self, branch: BranchPtr, kind: &Kind, depth: u32) -> Result<List, RestoreError> {
        if matches!(kind, Kind::Map) && branch.len() == 0 {
            return Ok(List::Items(Vec::new()));
        }
        let chunks = self.chunks(branch);
        let is_text = match kind {
            Kind::Text | Kind::XmlText => true,
            Kind::Root => {
                matches!(chunks.first(), Some(diff) if matches!(diff.insert, Out::Any(_)))
            }
            _ => false,
        };
        if is_text || chunks.iter().any(is_string) {
            let (mut runs, mut units) = (Vec::with_capacity(chunks.len()), 0_usize);
            let mut marks = Marks::default();
            for diff in chunks {
                let of_diff = diff.attributes.iter().flat_map(|attrs| attrs.iter());
                let of_diff: BTreeMap<String, Any> = of_diff
                    .map(|(key, value)| (key.to_string(), value.clone()))
                    .collect();
                if *marks != of_diff {
                    marks = Rc::new(of_diff);
                }
                let what = match diff.insert {
                    Out::Any(Any::String(text)) => {
                        units += text.encode_utf16().count();
                        Written::Text(diff.ychange, text)
                    }
                    value => {
                        units += 1;
                        Written::Embed(self.value(value, depth)?)
                    }
                };
                let marks = marks.clone();
                runs.push(Run { what, marks });
            }
            let hides = units != branch.len() as usize;
            return Ok(List::Text { runs, hides });
        }
        let items: Vec<Out> = ArrayRef::from(branch).iter(self.txn).collect();
        let items = items.into_iter().map(|item| self.value(item, depth));
        Ok(List::Items(items.collect::<Result<_, _>>()?))
    }

    fn chunks(&mut self, branch: BranchPtr) -> Vec<Diff<Id>> {
        let text = TextRef::from(branch);
        match &self.ids {
            Some((all, nothing, _)) => {
                text.diff_range(self.txn, Some(all), Some(nothing), |change| {
                    own_id(&change.id)
                })
            }
            None => text.diff(self.txn, |change| own_id(&change.id)),
        }
    }

    fn value(&mut self, value: Out, depth: u32) -> Result<Value, RestoreError> {
        Ok(match shared_type(&value) {
            Some((kind, branch)) => {
                Value::Shared(Box::new(self.shared(branch, kind, depth + 1)?))
            }
            None => match value {
                Out::YDoc(doc) => Value::Subdocument(doc.guid().to_string()),
                Out::Any(any) => Value::Plain(any),
                _ => Value::Plain(Any::Undefined),
            },
        })
    }
}

fn is_string(diff: &Diff<Id>) -> bool {
    matches!(diff.insert, Out::Any(Any::String(_)))
}

/// What kind of shared type a value is, and its handle.
pub(super) fn shared_type(value: &Out) -> Option<(Kind, BranchPtr)> {
    Some(match value {
        Out::YText(text) => (Kind::Text, pointer(text)),
        Out::YArray(array) => (Kind::Array, pointer(array)),
        Out::YMap(map) => (Kind::Map, pointer(map)),
        Out::YXmlElement(element) => (Kind::Element(tag(element)), pointer(element)),
        Out::YXmlFragment(fragment) => (Kind::Fragment, pointer(fragment)),
        Out::YXmlText(text) => (Kind::XmlText, pointer(text)),
        Out::UndefinedRef(branch) => (Kind::Root, *branch),
        Out::Any(_) | Out::YDoc(_) => return None,
    })
}

fn tag(element: &XmlElementRef) -> Arc<str> {
    element.try_tag().cloned().unwrap_or_default()
}

pub(super) fn pointer(shared: &impl AsRef<Branch>) -> BranchPtr {
    BranchPtr::from(shared.as_ref())
}

/// None for a root.
pub(super) fn id_of(branch: BranchPtr) -> Option<Id> {
    match branch.id() {
        BranchID::Nested(id) => Some(own_id(&id)),
        BranchID::Root(_) => None,
    }
}

fn own_id(id: &yrs::ID) -> Id {
    Id::new(id.client.get(), id.clock)
}
