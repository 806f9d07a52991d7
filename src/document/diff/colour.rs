//! Who added, removed and formatted what.

use std::{cell::OnceCell, collections::HashSet, ops::RangeInclusive};

use super::{Change, Content, Diff, Entry, Marks};
use crate::{
    clock::UnixMillis,
    document::{
        Clock,
        formatting::Formatting,
        ids::Id,
        keys::Holder,
        provenance::{Provenance, Row, Source, are_in_one_go},
    },
};

/// What is known of those who wrote a document.
pub struct Writers<'p> {
    /// Of the whole log.
    pub provenance: &'p Provenance,
    /// Those that lie between the two states.
    pub rows: RangeInclusive<Row>,
    /// What these rows did to marks, where the text of [`Diff::formatted`] has changed ones.
    pub formatting: &'p Formatting,
    /// When a row was written, in milliseconds since 1970.
    pub at: &'p dyn Fn(Row) -> Option<UnixMillis>,
    /// One of these rows, if all are by the same author.
    pub sole: &'p dyn Fn() -> Option<Row>,
}

impl Diff {
    /// The runs of text with other marks, by the ids of their beginnings, and the marks that differ.
    pub fn formatted(&self) -> (HashSet<Id>, HashSet<String>) {
        fn collect(entry: &Entry, runs: &mut HashSet<Id>, keys: &mut HashSet<String>) {
            match (entry.change, &entry.content) {
                (Change::Formatted, Content::Run { marks, before, .. }) => {
                    runs.extend(entry.id);
                    let before = before.iter();
                    keys.extend(before.flat_map(|before| different(before, marks)).cloned());
                }
                // What has one fate with all that is in it has no such text.
                (Change::Changed, content) => {
                    let parts = content.parts().into_iter();
                    parts.for_each(|part| collect(part, runs, keys));
                }
                _ => {}
            }
        }
        let (mut runs, mut keys) = (HashSet::new(), HashSet::new());
        for entry in self.roots.values() {
            collect(entry, &mut runs, &mut keys);
        }
        (runs, keys)
    }

    /// Says of everything that was added, moved, removed or formatted, of elements that got another name or other attributes, and of
    /// keys of maps that got another value, which row of the log did it, and who that was: the number that `author` has for the
    /// writer of a row. Runs are cut where the writer changes, and those of one writer that follow each other become one where they
    /// were written in one go.
    ///
    /// Where a block has no writer of its own, as its element is an older one with other content, it is by who wrote its beginning.
    /// Values in lists and between letters have ids of their own, which the trees do not hold: these have a writer only where all
    /// the rows have the same.
    pub fn colour(&mut self, writers: &Writers<'_>, mut author: impl FnMut(Row) -> Option<u32>) {
        let mut colours = Colours {
            writers,
            sole: OnceCell::new(),
            author: &mut author,
        };
        for (name, entry) in &mut self.roots {
            let holder = Holder::Root(name.as_str().into());
            colours.entry(entry, Some(holder));
        }
    }
}

/// Marks that only one has, or both with other attributes.
fn different<'m>(before: &'m Marks, after: &'m Marks) -> impl Iterator<Item = &'m String> {
    let lost = before.keys().filter(|key| !after.contains_key(*key));
    let new = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    lost.chain(new.map(|(key, _)| key))
}

struct Colours<'p> {
    writers: &'p Writers<'p>,
    sole: OnceCell<Option<u32>>,
    author: &'p mut dyn FnMut(Row) -> Option<u32>,
}

impl Colours<'_> {
    /// `holder` is what has the values of a map that is a root.
    fn entry(&mut self, entry: &mut Entry, holder: Option<Holder>) {
        if entry.change == Change::Same || matches!(entry.content, Content::Told(_)) {
            return;
        }
        let holder = holder.or(entry.id.map(Holder::Item));
        let row = self.row_of(entry);
        self.sign(entry, row);
        match entry.content.children_mut() {
            Some(children) => {
                let mut coloured = Vec::with_capacity(children.len());
                for child in children.drain(..) {
                    self.child(child, &mut coloured);
                }
                *children = coloured;
            }
            None => {
                let parts = entry.content.parts_mut();
                parts.into_iter().for_each(|part| self.entry(part, None));
            }
        }
        if let (Content::Map { entries }, Some(holder)) = (&mut entry.content, holder) {
            for (key, value) in entries {
                self.value(value, &holder, key);
            }
        }
        if entry.row.is_none() && matches!(entry.change, Change::Added | Change::Removed) {
            let mut parts = entry.content.parts().into_iter();
            let by = parts.find(|part| part.change == entry.change && part.row.is_some());
            if let Some(by) = by {
                (entry.row, entry.at, entry.author) = (by.row, by.at, by.author);
            }
        }
        self.sign_by_all(entry);
    }

    fn sign(&mut self, entry: &mut Entry, row: Option<Row>) {
        entry.row = row;
        entry.at = row.and_then(self.writers.at);
        entry.author = row.and_then(|row| (self.author)(row));
    }

    /// What has no author yet is by who wrote all the rows, if that is one.
    fn sign_by_all(&mut self, entry: &mut Entry) {
        if entry.author.is_none() && entry.is_change_of_its_own() {
            let (writers, author) = (self.writers, &mut self.author);
            let sole = self.sole.get_or_init(|| (writers.sole)().and_then(author));
            entry.author = *sole;
        }
    }

    /// What stands under a key of a map, or stood there.
    fn value(&mut self, value: &mut Entry, holder: &Holder, key: &str) {
        let is_set = matches!(value.change, Change::Added | Change::Removed)
            || matches!(value.content, Content::Replaced { .. });
        let Writers {
            provenance, rows, ..
        } = self.writers;
        let row = is_set.then(|| provenance.set(holder, key, rows)).flatten();
        if row.is_none() {
            return;
        }
        self.sign(value, row);
        if let Content::Replaced { before, after } = &mut value.content {
            self.sign(before, row);
            self.sign(after, row);
        }
    }

    fn row_of(&self, entry: &Entry) -> Option<Row> {
        let id = entry.id?;
        let (Change::Changed, Content::Element { changed, .. }) = (entry.change, &entry.content)
        else {
            return self.source(id, entry.change).map(|source| source.row);
        };
        let Writers {
            provenance, rows, ..
        } = self.writers;
        let element = Holder::Item(id);
        let acts = changed.keys();
        let acts = acts.filter_map(|key| provenance.set(&element, key, rows));
        let last = acts.max();
        // Or another element stands here now.
        last.or_else(|| {
            let brought = provenance.brought(id)?.row;
            rows.contains(&brought).then_some(brought)
        })
    }

    fn child(&mut self, mut child: Entry, coloured: &mut Vec<Entry>) {
        let (Content::Run { marks, before, .. }, Some(id)) = (&child.content, child.id) else {
            self.entry(&mut child, None);
            coloured.push(child);
            return;
        };
        let marks = before
            .as_ref()
            .map(|before| different(before, marks).cloned().collect::<Vec<_>>());
        let mut done = 0;
        loop {
            let (row, units) = match &marks {
                Some(marks) => self.formatted(id, done, marks),
                None => {
                    let id = Id::new(id.client, id.clock.saturating_add(done));
                    child.id = Some(id);
                    let source = self.source(id, child.change);
                    // Where nothing is known of a run's beginning, the rest is not asked for.
                    let units =
                        source.map_or(Clock::MAX, |source| source.end.saturating_sub(id.clock));
                    (source.map(|source| source.row), units)
                }
            };
            self.sign(&mut child, row);
            self.sign_by_all(&mut child);
            let (rest, taken) = cut(&mut child, units);
            push(coloured, child);
            let Some(rest) = rest else {
                return;
            };
            child = rest;
            done += taken;
        }
    }

    /// The row that gave a run these marks, or took them, from a place on, and for how many units it may be so.
    fn formatted(&self, run: Id, from: Clock, marks: &[String]) -> (Option<Row>, Clock) {
        let marks = marks.iter();
        let acts = marks.map(|key| self.writers.formatting.row_of(run, from, key));
        let acts = acts.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)));
        acts.unwrap_or((None, Clock::MAX))
    }

    fn source(&self, id: Id, change: Change) -> Option<Source> {
        let provenance = self.writers.provenance;
        match change {
            Change::Added => provenance.by_one_author(id),
            // A move's writer is who brought the block here, not who wrote it first.
            Change::Moved => provenance.brought(id),
            Change::Removed => provenance.deleted(id),
            Change::Same | Change::Changed | Change::Formatted => None,
        }
    }
}

/// Shortens a run to its first UTF-16 units, at least to its first character; gives the rest, and the units that stay.
fn cut(run: &mut Entry, units: Clock) -> (Option<Entry>, Clock) {
    let Content::Run { text, .. } = &mut run.content else {
        return (None, 0);
    };
    let mut taken = 0;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        if taken >= units && at > 0 {
            end = at;
            break;
        }
        taken += c.len_utf16() as Clock;
    }
    let tail = text.split_off(end);
    if tail.is_empty() {
        return (None, taken);
    }
    let mut rest = run.clone();
    if let Content::Run { text, .. } = &mut rest.content {
        *text = tail;
    }
    (Some(rest), taken)
}

/// Adds a run, to the last one if that has the same fate by the same writer in one go.
fn push(entries: &mut Vec<Entry>, run: Entry) {
    if let Some(last) = entries.last_mut()
        && last.change == run.change
        && last.author == run.author
        && (run.author.is_some() || last.row == run.row)
        && match (last.at, run.at) {
            (Some(one), Some(other)) => are_in_one_go(one, other),
            (one, other) => one == other,
        }
        && let (
            Content::Run {
                text: known,
                marks: last_marks,
                before: last_before,
            },
            Content::Run {
                text,
                marks,
                before,
            },
        ) = (&mut last.content, &run.content)
        && last_marks == marks
        && last_before == before
    {
        known.push_str(text);
        return;
    }
    entries.push(run);
}
