//! Which values there were under each key of maps and elements.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::{collections::HashMap, sync::Arc};

use super::{
    ids::Id,
    scan::{HAS_PARENT_SUB, Kind, Parent, StructView},
};

/// All keys that ever had a value.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    all: Vec<Values>,
    /// Where in `all` those of a key are.
    places: HashMap<Holder, HashMap<Arc<str>, usize>>,
    /// The same by value.
    place_of: HashMap<Id, usize>,
}

/// What has values under keys: a map, or an element with its attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    Root(Arc<str>),
    /// The shared type that this item made.
    Item(Id),
}

/// A key of something, and the values that there were under it.
#[derive(Debug, Clone)]
pub struct Values {
    pub holder: Holder,
    pub key: Arc<str>,
    /// In the order of the log, each with the one whose place it took.
    values: Vec<(Id, Option<Id>)>,
}

impl Keys {
    /// Adds a struct, if it is a value under a key. What it takes the place of comes before it.
    pub(super) fn add(&mut self, id: Id, view: &StructView<'_>) {
        if matches!(view.kind, Kind::Gc | Kind::Skip) || view.info & HAS_PARENT_SUB == 0 {
            return;
        }
        let text = |bytes: &[u8]| Arc::<str>::from(String::from_utf8_lossy(bytes));
        // A value that takes the place of another tells only which.
        let place = match (view.origin, view.parent, view.parent_sub) {
            (Some(former), _, _) => self.place_of.get(&former).copied(),
            (None, Some(Parent::Item(parent)), Some(key)) => {
                Some(self.place(Holder::Item(parent), text(key)))
            }
            (None, Some(Parent::Root(name)), Some(key)) => {
                Some(self.place(Holder::Root(text(name)), text(key)))
            }
            _ => None,
        };
        if let Some(place) = place
            && let Some(of_key) = self.all.get_mut(place)
        {
            of_key.values.push((id, view.origin));
            self.place_of.insert(id, place);
        }
    }

    fn place(&mut self, holder: Holder, key: Arc<str>) -> usize {
        let places = self.places.entry(holder.clone()).or_default();
        *places.entry(key.clone()).or_insert_with(|| {
            self.all.push(Values {
                holder,
                key,
                values: Vec::new(),
            });
            self.all.len() - 1
        })
    }

    pub fn all(&self) -> &[Values] {
        &self.all
    }

    pub fn under(&self, holder: &Holder, key: &str) -> Option<&Values> {
        self.all.get(*self.places.get(holder)?.get(key)?)
    }

    /// Those that a value is one of.
    pub fn with(&self, value: Id) -> Option<&Values> {
        self.all.get(*self.place_of.get(&value)?)
    }
}

impl Values {
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.values.iter().map(|(id, _)| *id)
    }

    /// Of those that count, the one that all others gave way to: of two that took the place of the same one it is that of the
    /// client with the higher number (Yjs, `Item.integrate`).
    pub fn standing(&self, counts: impl Fn(Id) -> bool) -> Option<Id> {
        let mut next: HashMap<Option<Id>, Id> = HashMap::new();
        // What took the place of a value that does not count took that of the one before it.
        let mut passed: HashMap<Id, Option<Id>> = HashMap::new();
        for (id, former) in &self.values {
            let former = former.and_then(|id| *passed.get(&id).unwrap_or(&Some(id)));
            if counts(*id) {
                let next = next.entry(former).or_insert(*id);
                *next = (*next).max(*id);
            } else {
                passed.insert(*id, former);
            }
        }
        let mut value = *next.get(&None)?;
        while let Some(id) = next.remove(&Some(value)) {
            value = id;
        }
        Some(value)
    }
}
