//! Changes a document into a wanted one, by as few operations as the ids allow.
//!
//! What both hold is never touched, so what others do to it meanwhile stays, and so do cursors and comments in it.
//! Recursion is as deep as the documents were read, which is bounded.

use yrs::{
    Any, Array, ArrayPrelim, ArrayRef, Doc, In, Map, MapPrelim, MapRef, Options, Out, Text,
    TextRef, TransactionMut, WriteTxn, XmlElementPrelim, XmlFragmentPrelim,
    branch::BranchPtr,
    types::{
        text::{DeltaPrelim, YChange},
        xml::XmlDeltaPrelim,
    },
};

use super::{
    align::{Part, pairs},
    cells::{Steps, What, cells},
    past::Past,
    read::{id_of, pointer, shared_type},
    shared::{Kind, List, Roots, Run, Shared, Value, Written},
};
use crate::document::{Clock, ids::Id, keys::Holder, provenance::Provenance};

/// What of text that differs stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// What is the same, by the ids of both, and by who wrote it.
    Least,
    /// Nothing: it is written anew.
    Anew,
}

/// A document while it is changed.
pub(super) struct Patch<'t, 'd, 'p> {
    txn: &'t mut TransactionMut<'d>,
    /// The wanted document.
    past: &'t Past<'p>,
    provenance: &'t Provenance,
    way: Way,
    /// What was inserted, in the order in which it was, but for formatting.
    pub(super) brought: Vec<Brought>,
}

/// Ids that are in the wanted document, the first and so many of the next; nothing is known of what has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brought {
    pub(super) id: Option<Id>,
    pub(super) units: Clock,
    /// Whether it stands where it stood: in the same type, or in a copy of that.
    pub(super) is_home: bool,
}

/// One type that is to be changed into another.
#[derive(Clone, Copy)]
struct Pair<'s> {
    now: &'s Shared,
    wanted: &'s Shared,
    /// The name of a root.
    name: Option<&'s str>,
    /// Whether both are the same thing, so that what is brought into it comes home.
    is_home: bool,
}

impl<'t, 'd, 'p> Patch<'t, 'd, 'p> {
    pub(super) fn new(
        txn: &'t mut TransactionMut<'d>,
        past: &'t Past<'p>,
        provenance: &'t Provenance,
        way: Way,
        brought: Vec<Brought>,
    ) -> Self {
        Self {
            txn,
            past,
            provenance,
            way,
            brought,
        }
    }

    pub(super) fn roots(&mut self, now: &Roots, wanted: &Roots) {
        for (name, root) in now {
            if !wanted.contains_key(name) {
                self.root(name, root, &Shared::empty(root.branch, Kind::Root));
            }
        }
        for (name, root) in wanted {
            match now.get(name) {
                Some(present) => self.root(name, present, root),
                None => {
                    let made = self.txn.get_or_insert_text(name.as_str());
                    let branch = pointer(&made);
                    self.root(name, &Shared::empty(branch, Kind::Root), root);
                }
            }
        }
    }

    fn root(&mut self, name: &str, now: &Shared, wanted: &Shared) {
        self.pair(Pair {
            now,
            wanted,
            name: Some(name),
            is_home: true,
        });
    }

    /// Changes one type that is no root into another of the same kind.
    pub(super) fn shared(&mut self, now: &Shared, wanted: &Shared) {
        self.pair(Pair {
            now,
            wanted,
            name: None,
            is_home: now.original.is_some() && now.original == wanted.original,
        });
    }

    /// Puts a type like `wanted` into the list of one that is there, and tells its id.
    pub(super) fn insert(&mut self, parent: &Shared, at: u32, wanted: &Shared) -> Option<Id> {
        self.insert_shared(parent.branch, at, wanted, true)
    }

    fn pair(&mut self, pair: Pair<'_>) {
        let Pair { now, wanted, .. } = pair;
        if now.same_of_same(wanted) {
            return;
        }
        self.entries(pair);
        match (&now.list, &wanted.list) {
            (List::Items(present), List::Items(items)) => self.items(pair, present, items),
            (
                List::Text {
                    runs: present,
                    hides: false,
                },
                List::Text { runs, hides: false },
            ) => {
                if self.way == Way::Anew {
                    TextRef::from(now.branch).remove_range(self.txn, 0, now.branch.len());
                    self.text(pair, &[], runs);
                } else {
                    self.text(pair, present, runs);
                }
            }
            // Text in the place of items: both can be in a root, but not side by side.
            (_, list) => {
                let whole = now.branch.len();
                if whole > 0 {
                    ArrayRef::from(now.branch).remove_range(self.txn, 0, whole);
                }
                match list {
                    List::Items(items) => self.items(pair, &[], items),
                    List::Text { runs, .. } => self.text(pair, &[], runs),
                }
            }
        }
    }

    fn insert_shared(
        &mut self,
        list: BranchPtr,
        at: u32,
        wanted: &Shared,
        is_home: bool,
    ) -> Option<Id> {
        self.bring(wanted.id, 1, is_home);
        let made = ArrayRef::from(list).insert(self.txn, at, bare(&wanted.kind));
        self.fill(&made, wanted, is_home);
        let (_, branch) = shared_type(&made)?;
        id_of(branch)
    }

    fn entries(&mut self, pair: Pair<'_>) {
        let Pair {
            now,
            wanted,
            is_home,
            ..
        } = pair;
        let map = MapRef::from(now.branch);
        for key in now.entries.keys() {
            if !wanted.entries.contains_key(key) {
                map.remove(self.txn, key);
            }
        }
        let holder = match pair.name {
            Some(name) => Some(Holder::Root(name.into())),
            None => wanted.original.map(Holder::Item),
        };
        let id_under = |key: &str| self.past.value(holder.as_ref()?, key, self.provenance);
        // What is there may be another value to JavaScript although yrs takes both for the same.
        let is_other = |key: &str, value: &Value| {
            if !has_number(value) {
                return false;
            }
            let present = match (pair.name, now.id) {
                (Some(name), _) => Holder::Root(name.into()),
                (None, Some(id)) => Holder::Item(id),
                // It was just made.
                (None, None) => return false,
            };
            let present = self.provenance.last_under(&present, key);
            let ids = present.zip(id_under(key));
            ids.is_some_and(|(a, b)| self.provenance.original(a) != self.provenance.original(b))
        };
        for (key, value) in &wanted.entries {
            match (now.entries.get(key), value) {
                (Some(Value::Shared(present)), Value::Shared(shared))
                    if present.kind == shared.kind =>
                {
                    self.shared(present, shared);
                }
                (Some(present), _) if present.same(value) && !is_other(key, value) => {}
                (_, Value::Plain(any, _)) => {
                    self.bring(id_under(key), 1, is_home);
                    map.insert(self.txn, key.as_str(), In::Any(any.clone()));
                }
                (_, Value::Subdocument(guid, _)) => {
                    self.bring(id_under(key), 1, is_home);
                    map.insert(self.txn, key.as_str(), subdocument(guid));
                }
                (_, Value::Shared(shared)) => {
                    self.bring(shared.id, 1, is_home);
                    let made = map.insert(self.txn, key.as_str(), bare(&shared.kind));
                    self.fill(&made, shared, is_home);
                }
            }
        }
    }

    fn items(&mut self, pair: Pair<'_>, now: &[Value], wanted: &[Value]) {
        let list = pair.now.branch;
        let array = ArrayRef::from(list);
        let (mut from, mut from_wanted, mut at) = (0, 0, 0);
        let end = [(now.len(), wanted.len())];
        for (to, to_wanted) in pairs(now, wanted).into_iter().chain(end) {
            let gone = u32::try_from(to - from).unwrap_or(u32::MAX);
            if gone > 0 {
                array.remove_range(self.txn, at, gone);
            }
            for value in &wanted[from_wanted..to_wanted] {
                match value {
                    Value::Shared(shared) => {
                        self.insert_shared(list, at, shared, pair.is_home);
                    }
                    Value::Plain(any, name) => {
                        self.bring(name.map(|name| name.id), 1, pair.is_home);
                        array.insert(self.txn, at, In::Any(any.clone()));
                    }
                    Value::Subdocument(guid, name) => {
                        self.bring(name.map(|name| name.id), 1, pair.is_home);
                        array.insert(self.txn, at, subdocument(guid));
                    }
                }
                at += 1;
            }
            if let (Some(Value::Shared(present)), Some(Value::Shared(shared))) =
                (now.get(to), wanted.get(to_wanted))
            {
                self.shared(present, shared);
            }
            at += 1;
            (from, from_wanted) = (to + 1, to_wanted + 1);
        }
    }

    fn text(&mut self, pair: Pair<'_>, now: &[Run], wanted: &[Run]) {
        let cells = |runs| cells(runs, self.provenance);
        let (now_cells, wanted_cells) = (cells(now), cells(wanted));
        let mut steps = Steps::default();
        let mut kept: Vec<(&Shared, &Shared)> = Vec::new();
        let mut new: Vec<(usize, &Shared)> = Vec::new();
        let (mut from, mut from_wanted, mut embeds) = (0, 0, 0);
        let end = [(now_cells.len(), wanted_cells.len())];
        for (to, to_wanted) in pairs(&now_cells, &wanted_cells).into_iter().chain(end) {
            for cell in &now_cells[from..to] {
                steps.delete(cell.units());
            }
            for cell in &wanted_cells[from_wanted..to_wanted] {
                match cell.what {
                    What::Letter(letter) => {
                        self.bring(cell.item, cell.units(), pair.is_home);
                        steps.write(letter, cell.marks);
                    }
                    What::Embed(Value::Plain(any, name)) => {
                        self.bring(name.map(|name| name.id), 1, pair.is_home);
                        steps.push(In::Any(any.clone()), cell.marks);
                    }
                    What::Embed(Value::Shared(shared)) => {
                        self.bring(shared.id, 1, pair.is_home);
                        steps.push(bare(&shared.kind), cell.marks);
                        new.push((embeds, shared));
                        embeds += 1;
                    }
                    // yrs can not put one into a text.
                    What::Embed(Value::Subdocument(..)) => {}
                }
            }
            if let (Some(present), Some(cell)) = (now_cells.get(to), wanted_cells.get(to_wanted)) {
                steps.keep(cell.units(), present.marks, cell.marks);
                if let (What::Embed(Value::Shared(a)), What::Embed(Value::Shared(b))) =
                    (&present.what, &cell.what)
                {
                    kept.push((a, b));
                    embeds += 1;
                }
            }
            (from, from_wanted) = (to + 1, to_wanted + 1);
        }
        let text = TextRef::from(pair.now.branch);
        text.apply_delta(self.txn, steps.finish());
        for (present, shared) in kept {
            self.shared(present, shared);
        }
        if new.is_empty() {
            return;
        }
        let made = text.diff(self.txn, YChange::identity);
        let made = made.into_iter().map(|diff| diff.insert);
        let made: Vec<Out> = made.filter(|out| shared_type(out).is_some()).collect();
        for (at, shared) in new {
            if let Some(made) = made.get(at) {
                self.fill(made, shared, pair.is_home);
            }
        }
    }

    /// Fills a type that was just made.
    fn fill(&mut self, made: &Out, wanted: &Shared, is_home: bool) {
        if let Some((kind, branch)) = shared_type(made) {
            self.pair(Pair {
                now: &Shared::empty(branch, kind),
                wanted,
                name: None,
                is_home,
            });
        }
    }

    /// Notes what is inserted next.
    fn bring(&mut self, id: Option<Id>, units: Clock, is_home: bool) {
        match self.brought.last_mut() {
            Some(last) if last.is_home == is_home && follows(last, id) => last.units += units,
            _ => self.brought.push(Brought { id, units, is_home }),
        }
    }
}

fn follows(last: &Brought, id: Option<Id>) -> bool {
    match (last.id, id) {
        (Some(last_id), Some(id)) => {
            last_id.client == id.client && last_id.clock + last.units == id.clock
        }
        (a, b) => a == b,
    }
}

impl Part for Value {
    fn id(&self) -> Option<Id> {
        match self {
            Self::Shared(shared) => shared.original,
            Self::Plain(_, name) | Self::Subdocument(_, name) => name.map(|name| name.original),
        }
    }

    fn same(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Shared(a), Self::Shared(b)) => a.same_of_same(b),
            // Two values of which yrs does not know that they differ.
            _ if self.id().is_some() && wanted.id().is_some() && has_number(wanted) => false,
            _ => self.same(wanted),
        }
    }

    fn stays(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Shared(a), Self::Shared(b)) => a.kind == b.kind,
            _ => self.same(wanted),
        }
    }

    /// At least half of the text is the same, at the beginning and the end.
    fn resembles(&self, wanted: &Self) -> bool {
        let (Self::Shared(a), Self::Shared(b)) = (self, wanted) else {
            return false;
        };
        if a.kind != b.kind {
            return false;
        }
        let (a, b) = (letters(a), letters(b));
        let same = |(a, b): &(&char, &char)| a == b;
        let start = a.iter().zip(&b).take_while(same).count();
        let ends = a[start..].iter().rev().zip(b[start..].iter().rev());
        let equal = start + ends.take_while(same).count();
        equal > 0 && equal * 2 >= a.len().max(b.len())
    }
}

/// Whether there is a number in a value: yrs takes a BigInt and −0 for the number that they are like.
fn has_number(value: &Value) -> bool {
    fn in_any(any: &Any) -> bool {
        match any {
            Any::Number(_) => true,
            Any::Array(items) => items.iter().any(in_any),
            Any::Map(entries) => entries.values().any(in_any),
            _ => false,
        }
    }
    matches!(value, Value::Plain(any, _) if in_any(any))
}

/// As much of the text in a type as tells what it is like.
const LETTERS_TO_COMPARE: usize = 2_000;

fn letters(shared: &Shared) -> Vec<char> {
    let mut found = Vec::new();
    gather(shared, &mut found);
    found
}

fn gather(shared: &Shared, found: &mut Vec<char>) {
    if let List::Text { runs, .. } = &shared.list {
        for run in runs {
            if let Written::Text(_, text) = &run.what {
                found.extend(text.chars().take(LETTERS_TO_COMPARE - found.len()));
            }
        }
    }
    for below in shared.below() {
        if found.len() >= LETTERS_TO_COMPARE {
            return;
        }
        gather(below, found);
    }
}

/// A type of this kind with nothing in it.
fn bare(kind: &Kind) -> In {
    match kind {
        Kind::Root | Kind::Text => In::Text(DeltaPrelim::default()),
        Kind::Array => In::Array(ArrayPrelim::default()),
        Kind::Map => In::Map(MapPrelim::default()),
        Kind::Fragment => In::XmlFragment(XmlFragmentPrelim::default()),
        Kind::XmlText => In::XmlText(XmlDeltaPrelim::default()),
        Kind::Element(tag) => In::XmlElement(XmlElementPrelim::empty(tag.clone())),
    }
}

fn subdocument(guid: &str) -> Doc {
    Doc::with_options(Options {
        guid: guid.into(),
        ..Options::default()
    })
}
