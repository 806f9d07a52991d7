//! What the present document is to become when some rows are taken back, although things were brought back since.
//!
//! The document that [`super::undone`] makes has one item for each thing, so things may stand in another order in it than in the
//! present one, and between other marks. So it is made twice, with those rows and without them, and only what differs between
//! these two is changed in the present one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use yrs::Any;

use super::{
    align::{Part, pairs},
    cells::{Cell, What, cells},
    shared::{Kind, List, Marks, Roots, Run, Shared, Value, Written},
};
use crate::document::{Clock, ids::Id, provenance::Provenance};

pub(super) struct Merge<'p> {
    pub(super) provenance: &'p Provenance,
}

/// An entry of a merged list, by the places that it has in the lists.
enum Entry {
    /// In the present one only.
    Own(usize),
    /// In the present one, with the rows, and without them.
    Kept(usize, usize, usize),
    /// Without the rows only.
    New(usize),
}

impl Merge<'_> {
    /// `with` and `without` are the document with the rows and without them.
    pub(super) fn roots(&self, now: &Roots, with: &Roots, without: &Roots) -> Roots {
        let names: BTreeSet<&String> = [now, with, without]
            .into_iter()
            .flat_map(Roots::keys)
            .collect();
        let root = |name: &String| {
            let roots = [now, with, without].map(|roots| roots.get(name));
            let branch = roots.into_iter().flatten().next()?.branch;
            let empty = Shared::empty(branch, Kind::Root);
            let [now, before, after] = roots.map(|root| root.unwrap_or(&empty));
            Some((name.clone(), self.shared(now, before, after)))
        };
        names.into_iter().filter_map(root).collect()
    }

    fn shared(&self, now: &Shared, before: &Shared, after: &Shared) -> Shared {
        if before.same_of_same(after) {
            return now.clone();
        }
        let mut merged = Shared::empty(now.branch, now.kind.clone());
        (merged.id, merged.original) = (now.id, now.original);
        merged.entries = self.entries(now, before, after);
        merged.list = self.list(now, before, after);
        merged.hash = merged.content_hash();
        merged.writers = merged.writers_hash(self.provenance);
        merged
    }

    fn entries(&self, now: &Shared, before: &Shared, after: &Shared) -> BTreeMap<String, Value> {
        let mut entries = now.entries.clone();
        let keys = before.entries.keys();
        for key in keys.filter(|key| !after.entries.contains_key(*key)) {
            entries.remove(key);
        }
        for (key, new) in &after.entries {
            let (old, present) = (before.entries.get(key), now.entries.get(key));
            let value = match (old, present) {
                (Some(old), Some(present)) => self.value(present, old, new),
                (Some(old), None) if is_one(old, new) => continue,
                _ => new.clone(),
            };
            entries.insert(key.clone(), value);
        }
        entries
    }

    fn value(&self, now: &Value, before: &Value, after: &Value) -> Value {
        match (now, before, after) {
            (Value::Shared(now), Value::Shared(old), Value::Shared(new))
                if now.original == old.original && old.original == new.original =>
            {
                Value::Shared(Box::new(self.shared(now, old, new)))
            }
            _ if is_one(before, after) => now.clone(),
            _ => after.clone(),
        }
    }

    fn list(&self, now: &Shared, before: &Shared, after: &Shared) -> List {
        if let (Some(now), Some(before), Some(after)) = (items(now), items(before), items(after)) {
            let merged = merge(self.provenance, now, before, after)
                .into_iter()
                .map(|entry| match entry {
                    Entry::Own(at) => now[at].clone(),
                    Entry::Kept(at, old, new) => self.value(&now[at], &before[old], &after[new]),
                    Entry::New(new) => after[new].clone(),
                });
            return List::Items(merged.collect());
        }
        if let (Some(now), Some(before), Some(after)) = (runs(now), runs(before), runs(after)) {
            return List::Text {
                runs: self.text(now, before, after),
                hides: false,
            };
        }
        after.list.clone()
    }

    fn text(&self, now: &[Run], before: &[Run], after: &[Run]) -> Vec<Run> {
        let cells = |runs| cells(runs, self.provenance);
        let (now, before, after) = (cells(now), cells(before), cells(after));
        let mut merged = Vec::new();
        for entry in merge(self.provenance, &now, &before, &after) {
            match entry {
                Entry::Own(at) => push(&mut merged, &now[at], now[at].marks.clone(), None),
                Entry::New(new) => push(&mut merged, &after[new], after[new].marks.clone(), None),
                Entry::Kept(at, old, new) => {
                    let (cell, old, new) = (&now[at], &before[old], &after[new]);
                    let marks = marks(cell.marks, old.marks, new.marks);
                    let value = match (&cell.what, &old.what, &new.what) {
                        (What::Embed(a), What::Embed(b), What::Embed(c)) => {
                            Some(self.value(a, b, c))
                        }
                        _ => None,
                    };
                    push(&mut merged, cell, marks, value);
                }
            }
        }
        merged
    }
}

/// Whether nothing is another here, but perhaps something in it.
fn is_one(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Shared(a), Value::Shared(b)) => a.original == b.original,
        _ => before.same(after),
    }
}

fn items(shared: &Shared) -> Option<&[Value]> {
    match &shared.list {
        List::Items(items) => Some(items),
        List::Text { .. } => None,
    }
}

/// The text in a type. A root that is empty may be one.
fn runs(shared: &Shared) -> Option<&[Run]> {
    match &shared.list {
        List::Text { runs, hides: false } => Some(runs),
        List::Items(items) if items.is_empty() => Some(&[]),
        _ => None,
    }
}

/// What changed between two states of a letter's marks, on top of those that it has.
fn marks(now: &Marks, before: &Marks, after: &Marks) -> Marks {
    if before == after {
        return now.clone();
    }
    let mut marks: BTreeMap<String, Any> = (**now).clone();
    marks.retain(|key, _| after.contains_key(key) || !before.contains_key(key));
    for (key, value) in &**after {
        if before.get(key) != Some(value) {
            marks.insert(key.clone(), value.clone());
        }
    }
    Rc::new(marks)
}

/// Adds a letter or an embedded value, to the last run where it continues that.
fn push(runs: &mut Vec<Run>, cell: &Cell<'_>, marks: Marks, value: Option<Value>) {
    let what = match (cell.what, value) {
        (What::Letter(letter), _) => {
            if let Some(Run {
                what: Written::Text(Some(first), text),
                marks: of,
            }) = runs.last_mut()
                && *of == marks
                && let Some(id) = cell.item
                && id.client == first.client
                && id.clock as usize == first.clock as usize + text.encode_utf16().count()
            {
                *text = format!("{text}{letter}").into();
                return;
            }
            Written::Text(cell.item, letter.to_string().into())
        }
        (What::Embed(_), Some(value)) => Written::Embed(value),
        (What::Embed(value), None) => Written::Embed(value.clone()),
    };
    runs.push(Run { what, marks });
}

/// What stays of the present list, and what comes into it after what it comes after without the rows.
fn merge<T: Part>(provenance: &Provenance, now: &[T], before: &[T], after: &[T]) -> Vec<Entry> {
    let (to_before, to_after) = (mates(now, before), mates(before, after));
    let present: HashMap<Id, usize> = (now.iter().zip(0..))
        .filter_map(|(part, at)| Some((part.id()?, at)))
        .collect();
    let mut place: Vec<Option<usize>> = vec![None; after.len()];
    let mut stays: Vec<Option<Entry>> = Vec::with_capacity(now.len());
    for (at, old) in to_before.into_iter().enumerate() {
        stays.push(match old {
            None => Some(Entry::Own(at)),
            Some(old) => to_after[old].map(|new| {
                place[new] = Some(at);
                Entry::Kept(at, old, new)
            }),
        });
    }
    let mut was_there = vec![false; after.len()];
    to_after
        .into_iter()
        .flatten()
        .for_each(|new| was_there[new] = true);
    // By the place of what they come after.
    let mut new_ones: BTreeMap<Option<usize>, Vec<Entry>> = BTreeMap::new();
    let (mut last, mut open): (Option<usize>, Vec<usize>) = (None, Vec::new());
    let beside = |id: Id, distance: Clock| -> Option<usize> {
        let clocks = [distance, distance.wrapping_mul(2)].map(|by| id.clock.wrapping_add(by));
        let ids = clocks.iter().map(|clock| Id::new(id.client, *clock));
        let row = |id| provenance.brought(id).map(|source| source.row);
        let mut ids = ids.filter(|other| row(*other) == row(id));
        ids.find_map(|id| present.get(&id).copied())
    };
    let mut put = |open: &mut Vec<usize>, last: Option<usize>| {
        let (Some(first), Some(end)) = (open.first(), open.last()) else {
            return;
        };
        // What was written in one go stays in its order, even where what it comes after stands elsewhere. A letter has one or two
        // ids.
        let before = after[*first].id().and_then(|id| beside(id, Clock::MAX));
        let next = after[*end].id().and_then(|id| beside(id, 1));
        let mut at = last.max(before);
        if let Some(next) = next.filter(|next| at >= Some(*next) && before < Some(*next)) {
            at = next.checked_sub(1);
        }
        new_ones
            .entry(at)
            .or_default()
            .extend(open.drain(..).map(Entry::New));
    };
    for (new, part) in after.iter().enumerate() {
        let at = place[new].or_else(|| present.get(&part.id()?).copied());
        match at {
            Some(at) => {
                put(&mut open, last);
                last = Some(at);
            }
            None if was_there[new] => {}
            None => open.push(new),
        }
    }
    put(&mut open, last);
    let mut merged = new_ones.remove(&None).unwrap_or_default();
    for (at, stays) in stays.into_iter().enumerate() {
        merged.extend(stays);
        merged.extend(new_ones.remove(&Some(at)).into_iter().flatten());
    }
    merged
}

/// How many entries without an id that are in another order are looked at to find one that is the same.
const MAX_LOOKS: usize = 100;

/// Where the same entry is in another list: by its id, and where it has none, by what it is.
fn mates<T: Part>(from: &[T], to: &[T]) -> Vec<Option<usize>> {
    let places: HashMap<Id, usize> = (to.iter().zip(0..))
        .filter_map(|(part, at)| Some((part.id()?, at)))
        .collect();
    let mut mates: Vec<Option<usize>> = from
        .iter()
        .map(|part| places.get(&part.id()?).copied())
        .collect();
    let has_id = |part: &T| part.id().is_some();
    for (at, of) in pairs(from, to) {
        if !has_id(&from[at]) && !has_id(&to[of]) {
            mates[at] = Some(of);
        }
    }
    let taken: HashSet<usize> = mates.iter().flatten().copied().collect();
    let rest = (0..to.len()).filter(|of| !has_id(&to[*of]) && !taken.contains(of));
    let mut rest: Vec<usize> = rest.collect();
    for (part, mate) in from.iter().zip(&mut mates) {
        if mate.is_none() && !has_id(part) {
            let mut looks = rest.iter().take(MAX_LOOKS);
            let same = looks.position(|of| part.same(&to[*of]));
            *mate = same.map(|same| rest.remove(same));
        }
    }
    mates
}
