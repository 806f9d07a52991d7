//! Text as letters that are compared one by one, and a change of it as steps along it.

use std::{collections::BTreeMap, sync::Arc};

use yrs::{
    Any, In,
    types::{Attrs, Delta},
};

use super::{
    align::Part,
    shared::{Marks, Run, Value, Written},
};
use crate::document::{
    Clock,
    ids::Id,
    provenance::{Provenance, Row},
};

/// One letter or embedded value.
pub(super) struct Cell<'a> {
    pub(super) what: What<'a>,
    /// The item that the letter is in.
    pub(super) item: Option<Id>,
    /// That of which this is a copy, or the same.
    id: Option<Id>,
    /// The row that wrote the letter first.
    row: Option<Row>,
    /// Whether a restore wrote it again without telling what it is a copy of.
    is_again: bool,
    pub(super) marks: &'a Marks,
}

#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    Letter(char),
    Embed(&'a Value),
}

impl Cell<'_> {
    pub(super) fn units(&self) -> Clock {
        match self.what {
            What::Letter(letter) => units_of(letter),
            What::Embed(_) => 1,
        }
    }
}

impl Part for Cell<'_> {
    fn id(&self) -> Option<Id> {
        self.id
    }

    /// A letter under another id stays only where an earlier restore brought it back: else it is another one.
    fn same(&self, wanted: &Self) -> bool {
        match (&self.what, &wanted.what) {
            (What::Letter(a), What::Letter(b)) => {
                a == b && self.row == wanted.row && (self.is_again || wanted.is_again)
            }
            (What::Embed(a), What::Embed(b)) => Part::same(*a, b),
            _ => false,
        }
    }

    /// Half of a pair whose other half was deleted has the pair's id, and is another letter.
    fn stays(&self, wanted: &Self) -> bool {
        match (&self.what, &wanted.what) {
            (What::Letter(a), What::Letter(b)) => a == b,
            (What::Embed(a), What::Embed(b)) => a.stays(b),
            _ => false,
        }
    }

    fn resembles(&self, wanted: &Self) -> bool {
        match (&self.what, &wanted.what) {
            (What::Embed(a), What::Embed(b)) => a.resembles(b),
            _ => false,
        }
    }
}

/// Text letter by letter.
pub(super) fn cells<'a>(runs: &'a [Run], provenance: &Provenance) -> Vec<Cell<'a>> {
    let copies = provenance.copies();
    let mut cells = Vec::new();
    for run in runs {
        let marks = &run.marks;
        let (first, text) = match &run.what {
            Written::Text(first, text) => (*first, text),
            Written::Embed(value) => {
                cells.push(Cell {
                    what: What::Embed(value),
                    item: None,
                    id: value.id(),
                    row: None,
                    is_again: false,
                    marks,
                });
                continue;
            }
        };
        let mut at = first;
        let mut original = first.map(|first| (first, copies.original(first)));
        let mut writers = run.writers(provenance).into_iter();
        let mut writer = writers.next();
        for letter in text.chars() {
            let units = units_of(letter);
            if let (Some(id), Some((_, known))) = (at, original)
                && id.clock >= known.end
            {
                original = Some((id, copies.original(id)));
            }
            cells.push(Cell {
                what: What::Letter(letter),
                item: at,
                id: at
                    .zip(original)
                    .map(|(id, (from, known))| known.of(from, id.clock)),
                row: writer.map(|(row, _)| row),
                is_again: at.is_some_and(|id| provenance.is_written_again(id)),
                marks,
            });
            at = at.map(|id| Id::new(id.client, id.clock + units));
            writer = match writer {
                Some((row, left)) if left > units => Some((row, left - units)),
                _ => writers.next(),
            };
        }
    }
    cells
}

fn units_of(letter: char) -> Clock {
    if letter.len_utf16() == 2 { 2 } else { 1 }
}

/// A change of a text, in the form that yrs walks along it once.
#[derive(Default)]
pub(super) struct Steps {
    done: Vec<Delta<In>>,
    /// Text to be inserted, with the formatting that it has.
    open: Option<(String, Marks)>,
}

impl Steps {
    pub(super) fn keep(&mut self, units: Clock, present: &Marks, wanted: &Marks) {
        self.close();
        let change = changed(present, wanted);
        match (self.done.last_mut(), change.is_empty()) {
            (Some(Delta::Retain(len, None)), true) => *len += units,
            (Some(Delta::Retain(len, Some(attrs))), false) if **attrs == change => *len += units,
            (_, true) => self.done.push(Delta::Retain(units, None)),
            (_, false) => self.done.push(Delta::Retain(units, Some(Box::new(change)))),
        }
    }

    pub(super) fn delete(&mut self, units: Clock) {
        self.close();
        match self.done.last_mut() {
            Some(Delta::Deleted(len)) => *len += units,
            _ => self.done.push(Delta::Deleted(units)),
        }
    }

    pub(super) fn write(&mut self, letter: char, marks: &Marks) {
        match &mut self.open {
            Some((text, of)) if of == marks => text.push(letter),
            _ => {
                self.close();
                self.open = Some((letter.into(), marks.clone()));
            }
        }
    }

    pub(super) fn push(&mut self, value: In, marks: &Marks) {
        self.close();
        let marks = Box::new(attrs(marks));
        self.done.push(Delta::Inserted(value, Some(marks)));
    }

    fn close(&mut self) {
        if let Some((text, marks)) = self.open.take() {
            self.push(In::Any(Any::from(text)), &marks);
        }
    }

    /// What is kept at the end needs no step.
    pub(super) fn finish(mut self) -> Vec<Delta<In>> {
        self.close();
        while let Some(Delta::Retain(_, None)) = self.done.last() {
            self.done.pop();
        }
        self.done
    }
}

fn attrs(marks: &BTreeMap<String, Any>) -> Attrs {
    marks
        .iter()
        .map(|(key, value)| (Arc::from(key.as_str()), value.clone()))
        .collect()
}

/// The formatting that makes `wanted` of `present`; null takes a mark away.
fn changed(present: &Marks, wanted: &Marks) -> Attrs {
    if present == wanted {
        return Attrs::new();
    }
    let gone = present.keys().filter(|key| !wanted.contains_key(*key));
    let gone = gone.map(|key| (Arc::from(key.as_str()), Any::Null));
    let new = wanted
        .iter()
        .filter(|(key, value)| present.get(*key) != Some(value));
    let new = new.map(|(key, value)| (Arc::from(key.as_str()), value.clone()));
    gone.chain(new).collect()
}
