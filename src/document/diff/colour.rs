//! Who added and removed what.

use super::{Change, Content, Diff, Entry};
use crate::document::{
    Clock,
    ids::Id,
    provenance::{Provenance, Row, Source},
};

impl Diff {
    /// Says of everything that was added, moved or removed which row of the log did it, and who that was: the number that
    /// `author` has for the writer of a row. `provenance` is that of the whole log. Runs are cut where the writer changes,
    /// and those of one writer that follow each other become one.
    ///
    /// Where a block has no writer of its own, as its element is an older one with other content, it is by who wrote its beginning.
    /// What was only formatted, and attributes that were set, have no author: the trees do not hold these ids.
    pub fn colour(&mut self, provenance: &Provenance, mut author: impl FnMut(Row) -> Option<u32>) {
        let mut colours = Colours {
            provenance,
            author: &mut author,
        };
        for entry in self.roots.values_mut() {
            colours.entry(entry);
        }
    }
}

struct Colours<'p> {
    provenance: &'p Provenance,
    author: &'p mut dyn FnMut(Row) -> Option<u32>,
}

impl Colours<'_> {
    fn entry(&mut self, entry: &mut Entry) {
        if let Some(source) = entry.id.and_then(|id| self.source(id, entry.change)) {
            entry.row = Some(source.row);
            entry.author = (self.author)(source.row);
        }
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
                parts.into_iter().for_each(|part| self.entry(part));
            }
        }
        if entry.row.is_none() && matches!(entry.change, Change::Added | Change::Removed) {
            let mut parts = entry.content.parts().into_iter();
            let by = parts.find(|part| part.change == entry.change && part.row.is_some());
            (entry.row, entry.author) = by.map_or((None, None), |by| (by.row, by.author));
        }
    }

    fn child(&mut self, mut child: Entry, coloured: &mut Vec<Entry>) {
        let (Content::Run { .. }, Some(mut id)) = (&child.content, child.id) else {
            self.entry(&mut child);
            coloured.push(child);
            return;
        };
        loop {
            let source = self.source(id, child.change);
            child.id = Some(id);
            child.row = source.map(|source| source.row);
            child.author = child.row.and_then(|row| (self.author)(row));
            // Where nothing is known of a run's beginning, the rest is not asked for.
            let units = source.map_or(Clock::MAX, |source| source.end.saturating_sub(id.clock));
            let (rest, taken) = cut(&mut child, units);
            push(coloured, child);
            let Some(rest) = rest else {
                return;
            };
            child = rest;
            id = Id::new(id.client, id.clock.saturating_add(taken));
        }
    }

    fn source(&self, id: Id, change: Change) -> Option<Source> {
        match change {
            Change::Added => self.provenance.written(id),
            // A move's writer is who brought the block here, not who wrote it first.
            Change::Moved => self.provenance.brought(id),
            Change::Removed => self.provenance.deleted(id),
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

/// Adds a run, to the last one if that has the same fate by the same writer.
fn push(entries: &mut Vec<Entry>, run: Entry) {
    if let Some(last) = entries.last_mut()
        && last.change == run.change
        && last.author == run.author
        && (run.author.is_some() || last.row == run.row)
        && let (
            Content::Run {
                text: known,
                marks: last_marks,
                ..
            },
            Content::Run { text, marks, .. },
        ) = (&mut last.content, &run.content)
        && last_marks == marks
    {
        known.push_str(text);
        return;
    }
    entries.push(run);
}
