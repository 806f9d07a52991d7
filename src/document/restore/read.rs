//! Reads a document with the ids and the handles that patching needs.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use yrs::{
    Any, Array, ArrayRef, Assoc, Map, MapRef, Out, ReadTxn, Snapshot, StickyIndex, Text, TextRef,
    TransactionMut, XmlElementRef,
    branch::{Branch, BranchID, BranchPtr},
    types::text::Diff,
};

use super::{
    RestoreError,
    shared::{Kind, List, Marks, Name, Roots, Run, Shared, Value, Written},
};
use crate::document::{ids::Id, provenance::Provenance, replica::MAX_TYPE_DEPTH};

/// Values in a list beyond which their ids are not looked up: each look-up walks to its place.
const MAX_NAMED: usize = 5_000;

/// Reads documents.
pub(super) struct Reader<'t, 'd> {
    txn: &'t mut TransactionMut<'d>,
    provenance: &'t Provenance,
    /// What is there, and nothing: yrs tells the ids of what differs between two such states.
    ids: Option<(Snapshot, Snapshot)>,
}

impl<'t, 'd> Reader<'t, 'd> {
    /// Reads the ids of text and who wrote it, too.
    pub(super) fn with_ids(txn: &'t mut TransactionMut<'d>, provenance: &'t Provenance) -> Self {
        let there = txn.snapshot();
        Self {
            txn,
            provenance,
            ids: Some((there, Snapshot::default())),
        }
    }

    pub(super) fn without_ids(txn: &'t mut TransactionMut<'d>, provenance: &'t Provenance) -> Self {
        Self {
            txn,
            provenance,
            ids: None,
        }
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
        shared.original = shared.id.map(|id| self.provenance.original(id));
        shared.list = self.list(branch, &shared.kind, depth)?;
        let entries: Vec<(String, Out)> = MapRef::from(branch)
            .iter(self.txn)
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        for (key, value) in entries {
            shared.entries.insert(key, self.value(value, depth)?);
        }
        shared.hash = shared.content_hash();
        if self.ids.is_some() {
            shared.writers = shared.writers_hash(self.provenance);
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
            let mut embeds = 0;
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
                        let mut value = self.value(value, depth)?;
                        embeds += 1;
                        if embeds <= MAX_NAMED {
                            self.name(&mut value, branch, units);
                        }
                        units += 1;
                        Written::Embed(value)
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
        let mut items: Vec<Value> = items.collect::<Result<_, _>>()?;
        if items.len() <= MAX_NAMED {
            for (value, at) in items.iter_mut().zip(0..) {
                self.name(value, branch, at);
            }
        }
        Ok(List::Items(items))
    }

    /// Looks up the id of a value at a place: yrs tells by itself those of types and text only.
    fn name(&self, value: &mut Value, list: BranchPtr, place: usize) {
        let (Value::Plain(_, name) | Value::Subdocument(_, name)) = value else {
            return;
        };
        if self.ids.is_none() {
            return;
        }
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        let at = StickyIndex::at(self.txn, list, place, Assoc::After);
        *name = at.as_ref().and_then(StickyIndex::id).map(|id| {
            let id = own_id(id);
            let original = self.provenance.original(id);
            Name { id, original }
        });
    }

    fn chunks(&mut self, branch: BranchPtr) -> Vec<Diff<Id>> {
        let text = TextRef::from(branch);
        match &self.ids {
            Some((there, nothing)) => {
                text.diff_range(self.txn, Some(there), Some(nothing), |change| {
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
                Out::YDoc(doc) => Value::Subdocument(doc.guid().to_string(), None),
                Out::Any(any) => Value::Plain(any, None),
                _ => Value::Plain(Any::Undefined, None),
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
