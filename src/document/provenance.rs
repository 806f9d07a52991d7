//! Which row of the log brought each id, and which deleted it: who wrote what, and when, by the ids that the text itself has.
//!
//! It follows from the rows alone, so it survives compaction and restarts, and tells of deleted text, too. Only what a
//! restore brings back has new ids: beside such a row stands what these are copies of ([`Origins`]).

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use super::{
    ClientId, Clock,
    copies::Copies,
    id_set::{IdRange, IdSet},
    ids::Id,
    keys::{Holder, Keys, Values},
    origins::Origins,
    scan::{Run, ScanError, StructView, outline},
};
use crate::clock::UnixMillis;

/// Number of a row in the log.
pub type Row = u64;

/// What is written by one author within this time is told as written in one go, in milliseconds.
pub const ONE_GO: UnixMillis = 5 * 60 * 1000;

/// Who wrote something in one go, and when that began.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Go {
    author: Arc<str>,
    at: UnixMillis,
}

/// Clocks up to `end` came from here: from a row, or from an author.
#[derive(Debug, Clone)]
struct Span<T = Row> {
    end: Clock,
    from: T,
}

/// Start of a range of clocks, and the rest.
type Spans<T = Row> = BTreeMap<Clock, Span<T>>;

/// Rows by id.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    written: HashMap<ClientId, Spans>,
    /// What one author wrote in one go, over any number of rows: a client is mostly one author's.
    stretches: HashMap<ClientId, Spans<Go>>,
    deleted: HashMap<ClientId, Spans>,
    /// Ids that came without content: it was deleted before anybody told us of it, or purged.
    hollow: IdSet,
    /// Ids that a restore made, by the row that wrote the same first.
    restored: HashMap<ClientId, Spans>,
    copies: Copies,
    markers: Vec<Marker>,
    keys: Keys,
}

/// From here on text has a mark with this value (JSON), or has it no more.
#[derive(Debug, Clone)]
struct Marker {
    id: Id,
    key: Arc<str>,
    value: Option<Arc<str>>,
}

/// A place in a text from which on it has a mark, and the rows that set and removed this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marking {
    pub id: Id,
    pub key: Arc<str>,
    /// JSON; nothing where the mark ends.
    pub value: Option<Arc<str>>,
    pub set: Row,
    pub removed: Option<Row>,
}

/// Where a run of ids comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    pub row: Row,
    /// The first clock of the same client for which it may be another row.
    pub end: Clock,
}

/// Something that was brought back, or several things whose ids follow each other, and all the items that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// How many ids each item has.
    pub len: Clock,
    /// In the order of the log: the row that made the item, and its first id. The first is the original, all others are copies.
    pub items: Vec<(Row, Id)>,
}

impl Life {
    /// The first id of the original.
    pub fn original(&self) -> Id {
        self.items.first().map_or(Id::new(0, 0), |(_, id)| *id)
    }

    /// All ids of the original.
    pub fn originals(&self) -> IdRange {
        let Id { client, clock } = self.original();
        let end = clock.saturating_add(self.len);
        IdRange {
            client,
            start: clock,
            end,
        }
    }

    /// Which item is the last that a row made that counts; none if that of the original does not.
    pub fn last(&self, counts: impl Fn(Row) -> bool) -> Option<usize> {
        let (first, _) = self.items.first()?;
        if !counts(*first) {
            return None;
        }
        self.items.iter().rposition(|(row, _)| counts(*row))
    }
}

impl Provenance {
    /// Adds the next row, by whom it was and when. Rows come in the order of the log, so of two that delete the same the first did it.
    ///
    /// # Errors
    /// When the bytes are no update.
    pub fn add(
        &mut self,
        row: Row,
        (author, at): (&Arc<str>, UnixMillis),
        update: &[u8],
    ) -> Result<(), ScanError> {
        let scan = outline(update)?;
        for run in &scan.runs {
            append(self.written.entry(run.client).or_default(), run, row);
            let stretches = self.stretches.entry(run.client).or_default();
            let last = stretches.last_key_value().map(|(_, last)| &last.from);
            let goes_on = |last: &&Go| last.author == *author && are_in_one_go(last.at, at);
            let go = last.filter(goes_on).cloned().unwrap_or_else(|| Go {
                author: author.clone(),
                at,
            });
            append(stretches, run, go);
            for view in scan.structs_of(update, run) {
                if view.is_deleted() {
                    self.hollow.insert(run.client, view.clock, view.len);
                }
                self.add_formatting(Id::new(run.client, view.clock), &view, update);
            }
        }
        for range in scan.delete_ranges(update) {
            insert_missing(self.deleted.entry(range.client).or_default(), range, row);
        }
        Ok(())
    }

    fn add_formatting(&mut self, id: Id, view: &StructView<'_>, update: &[u8]) {
        let text = |bytes: &[u8]| Arc::<str>::from(String::from_utf8_lossy(bytes));
        if let Some((key, value)) = view.mark(update) {
            self.markers.push(Marker {
                id,
                key: text(key),
                value: (value != b"null").then(|| text(value)),
            });
        } else {
            self.keys.add(id, view);
        }
    }

    /// Says what a restore brought back. Restores come in the order of the log, after the rows up to theirs.
    pub fn add_origins(&mut self, origins: &Origins) {
        for (range, row) in &origins.writers {
            insert_missing(self.restored.entry(range.client).or_default(), *range, *row);
        }
        for (range, of) in &origins.copies {
            self.add_copies(*range, *of);
        }
    }

    /// What came hollow has no copies: nothing of it could be shown in their place.
    fn add_copies(&mut self, range: IdRange, of: Id) {
        let (client, mut at) = (range.client, range.start);
        while at < range.end {
            let from = Id::new(of.client, of.clock.saturating_add(at - range.start));
            let original = self.copies.original(from);
            let (is_hollow, same) = self.hollow.holds(original.id);
            let written = self.written(from);
            let known = written.map_or(original.end, |source| source.end.min(original.end));
            let left = (known - from.clock).min(same - original.id.clock).max(1);
            let end = at.saturating_add(left).min(range.end);
            if let Some(source) = written {
                let range = IdRange {
                    client,
                    start: at,
                    end,
                };
                insert_missing(self.restored.entry(client).or_default(), range, source.row);
                if !is_hollow {
                    self.copies.add(range, original.id);
                }
            }
            at = end;
        }
    }

    /// What was brought back under which ids.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// What an id is a copy of, or itself.
    pub fn original(&self, id: Id) -> Id {
        self.copies.original(id).id
    }

    /// Everything that was ever brought back.
    pub fn lives(&self) -> Vec<Life> {
        let row_of = |id| Some((self.brought(id)?.row, id));
        let originals = self.copies.originals().into_iter();
        let lives = originals.filter_map(|(range, copies)| {
            let original = row_of(Id::new(range.client, range.start))?;
            let mut items: Vec<(Row, Id)> = copies.into_iter().filter_map(row_of).collect();
            items.sort_unstable();
            items.insert(0, original);
            let len = range.end - range.start;
            Some(Life { len, items })
        });
        lives.collect()
    }

    /// Of each key under which something was brought back, or whose holder was, the value that stands there when only some rows
    /// count: that of the last item of the holder, if several have one. Keys under which there is none are there, too.
    pub fn standing_where_brought_back(
        &self,
        counts: impl Fn(Row) -> bool,
    ) -> HashMap<(Holder, Arc<str>), Option<Id>> {
        let mut found = HashMap::new();
        if self.copies.is_empty() {
            return found;
        }
        let mut keys: HashMap<(Holder, Arc<str>), Vec<&Values>> = HashMap::new();
        let mut brought_back = HashSet::new();
        for values in self.keys.all() {
            let key = (self.original_holder(&values.holder), values.key.clone());
            let mut ids = values.ids();
            if key.0 != values.holder || ids.any(|id| self.original(id) != id) {
                brought_back.insert(key.clone());
            }
            keys.entry(key).or_default().push(values);
        }
        for key in brought_back {
            let mut all = keys.remove(&key).unwrap_or_default();
            all.sort_by_key(|values| match values.holder {
                Holder::Item(id) => self.brought(id).map(|source| (source.row, id)),
                Holder::Root(_) => None,
            });
            let mut last = all.into_iter().rev();
            // A copy of what was never written is no value.
            let is_value = |id| self.counts(id, &counts) && self.counts(self.original(id), &counts);
            let standing = last.find_map(|values| values.standing(is_value));
            found.insert(key, standing);
        }
        found
    }

    fn counts(&self, id: Id, counts: impl Fn(Row) -> bool) -> bool {
        self.brought(id).is_some_and(|source| counts(source.row))
    }

    /// Those ids that restores wrote again but elsewhere, so that they are no copies, with the row that wrote the same first.
    pub fn written_again(&self) -> impl Iterator<Item = (IdRange, Row)> + '_ {
        self.restored.iter().flat_map(move |(client, spans)| {
            let all = spans.iter().filter(|(start, _)| {
                let id = Id::new(*client, **start);
                self.original(id) == id
            });
            all.map(|(start, span)| {
                (
                    IdRange {
                        client: *client,
                        start: *start,
                        end: span.end,
                    },
                    span.from,
                )
            })
        })
    }

    /// Whether a restore wrote this so.
    pub fn is_written_again(&self, id: Id) -> bool {
        find(&self.restored, id).is_some() && self.original(id) == id
    }

    /// What holds a value under a key, and which key that is; of copies their original tells.
    pub fn key_of(&self, value: Id) -> Option<(Holder, &Arc<str>)> {
        let values = self.keys.with(value)?;
        Some((self.original_holder(&values.holder), &values.key))
    }

    /// The value that was put under a key last, be it there or removed since.
    pub fn last_under(&self, holder: &Holder, key: &str) -> Option<Id> {
        self.keys.under(holder, key)?.standing(|_| true)
    }

    fn original_holder(&self, holder: &Holder) -> Holder {
        match holder {
            Holder::Item(id) => Holder::Item(self.original(*id)),
            Holder::Root(name) => Holder::Root(name.clone()),
        }
    }

    /// The row in which the text at this id was written: the first one, where restores brought it back since.
    pub fn written(&self, id: Id) -> Option<Source> {
        let brought = find(&self.written, id)?;
        match find(&self.restored, id) {
            Some(first) => Some(Source {
                end: first.end.min(brought.end),
                ..first
            }),
            None => Some(Source {
                end: self.next_restored(id).min(brought.end),
                ..brought
            }),
        }
    }

    /// [`Self::written`], with the end of what was written by the same author in one go, in whatever rows.
    pub fn by_one_author(&self, id: Id) -> Option<Source> {
        let written = self.written(id)?;
        let stretch = self.stretches.get(&id.client)?.range(..=id.clock);
        let end = stretch.last().map_or(0, |(_, stretch)| stretch.end);
        Some(match find(&self.restored, id) {
            Some(_) => written,
            None => Source {
                end: end.max(written.end).min(self.next_restored(id)),
                ..written
            },
        })
    }

    /// The first clock from there on of text that a restore brought back.
    fn next_restored(&self, id: Id) -> Clock {
        let next = self.restored.get(&id.client).and_then(|spans| {
            let mut after = spans.range(id.clock..);
            after.next().map(|(start, _)| *start)
        });
        next.unwrap_or(Clock::MAX)
    }

    /// The row that brought this id into the document, be it by a restore.
    pub fn brought(&self, id: Id) -> Option<Source> {
        find(&self.written, id)
    }

    /// The row that deleted this id.
    pub fn deleted(&self, id: Id) -> Option<Source> {
        find(&self.deleted, id)
    }

    /// Which of these rows set what stands under a key after the last of them, or removed it; of what was brought back, the row
    /// that set it first.
    pub fn set(&self, holder: &Holder, key: &str, rows: &RangeInclusive<Row>) -> Option<Row> {
        let values = self.keys.under(holder, key)?;
        let value = values.standing(|id| self.counts(id, |row| row <= *rows.end()))?;
        let act = |source: Option<Source>| source.filter(|source| rows.contains(&source.row));
        if let Some(removed) = act(self.deleted(value)) {
            return Some(removed.row);
        }
        act(self.brought(value)).and_then(|_| Some(self.written(value)?.row))
    }

    /// Where marks began and ended up to a row, of those with a key that is `wanted`.
    pub fn markings(&self, upto: Row, wanted: impl Fn(&str) -> bool) -> Vec<Marking> {
        let wanted = self.markers.iter().filter(|marker| wanted(&marker.key));
        let all = wanted.filter_map(|marker| {
            Some(Marking {
                id: marker.id,
                key: marker.key.clone(),
                value: marker.value.clone(),
                set: self.brought(marker.id)?.row,
                removed: self.deleted(marker.id).map(|source| source.row),
            })
        });
        all.filter(|marking| marking.set <= upto).collect()
    }
}

/// Whether two times are near enough.
pub fn are_in_one_go(one: UnixMillis, other: UnixMillis) -> bool {
    one.abs_diff(other) <= ONE_GO.unsigned_abs()
}

/// Puts what came after all others, to the last one if that came from the same.
fn append<T: PartialEq>(spans: &mut Spans<T>, run: &Run, from: T) {
    match spans.last_entry() {
        Some(mut last) if last.get().from == from && last.get().end == run.start => {
            last.get_mut().end = run.end;
        }
        _ => drop(spans.insert(run.start, Span { end: run.end, from })),
    }
}

fn find(spans: &HashMap<ClientId, Spans>, id: Id) -> Option<Source> {
    let spans = spans.get(&id.client)?;
    let (_, span) = spans.range(..=id.clock).next_back()?;
    (id.clock < span.end).then_some(Source {
        row: span.from,
        end: span.end,
    })
}

/// Puts `row` to the clocks of a range that have none yet.
fn insert_missing(spans: &mut Spans, range: IdRange, row: Row) {
    let mut at = range.start;
    while at < range.end {
        let covered = spans.range(..=at).next_back().map(|(_, span)| span.end);
        if let Some(end) = covered.filter(|end| *end > at) {
            at = end;
            continue;
        }
        let next = spans.range(at..).next().map(|(start, _)| *start);
        let end = next.unwrap_or(Clock::MAX).min(range.end);
        spans.insert(at, Span { end, from: row });
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(client: ClientId, start: Clock, end: Clock) -> IdRange {
        IdRange { client, start, end }
    }

    /// `len` letters of a client from a clock on, in the root "t", and a delete range of client 1.
    fn update(client: u8, clock: u8, len: u8, delete: Option<(u8, u8)>) -> Vec<u8> {
        let mut bytes = vec![1, 1, client, clock, 4, 1, 1, b't', len];
        bytes.extend(vec![b'x'; usize::from(len)]);
        match delete {
            None => bytes.push(0),
            Some((start, len)) => bytes.extend([1, 1, 1, start, len]),
        }
        bytes
    }

    fn people() -> [Arc<str>; 2] {
        ["ada", "ben"].map(Arc::from)
    }

    fn row(source: Option<Source>) -> Option<(Row, Clock)> {
        source.map(|source| (source.row, source.end))
    }

    #[test]
    fn each_id_has_the_row_that_wrote_it_and_the_first_that_deleted_it() {
        let mut provenance = Provenance::default();
        let [ada, ben] = people();
        provenance
            .add(1, (&ada, 0), &update(1, 0, 5, None))
            .unwrap();
        provenance
            .add(2, (&ada, 0), &update(2, 0, 1, Some((1, 2))))
            .unwrap();
        provenance
            .add(3, (&ben, 0), &update(1, 5, 2, Some((0, 5))))
            .unwrap();
        let written = |client, clock| row(provenance.written(Id::new(client, clock)));
        let deleted = |clock| row(provenance.deleted(Id::new(1, clock)));
        assert_eq!(written(1, 0), Some((1, 5)));
        assert_eq!(written(1, 4), Some((1, 5)));
        assert_eq!(written(1, 6), Some((3, 7)));
        assert_eq!((written(1, 7), written(3, 0)), (None, None));
        assert_eq!(deleted(0), Some((3, 1)));
        assert_eq!((deleted(1), deleted(2)), (Some((2, 3)), Some((2, 3))));
        assert_eq!((deleted(4), deleted(5)), (Some((3, 5)), None));
    }

    #[test]
    fn restored_text_keeps_its_first_writer() {
        let mut provenance = Provenance::default();
        let [ada, _] = people();
        provenance
            .add(1, (&ada, 0), &update(1, 0, 5, None))
            .unwrap();
        provenance
            .add(2, (&ada, 0), &update(9, 0, 6, None))
            .unwrap();
        let mut origins = Origins::default();
        origins.wrote(range(9, 1, 4), 1);
        provenance.add_origins(&origins);
        let written = |clock| row(provenance.written(Id::new(9, clock)));
        assert_eq!(written(0), Some((2, 1)));
        assert_eq!((written(1), written(3)), (Some((1, 4)), Some((1, 4))));
        assert_eq!(written(5), Some((2, 6)));
        assert_eq!(row(provenance.brought(Id::new(9, 2))), Some((2, 6)));
    }

    #[test]
    fn what_is_written_later_is_another_go() {
        let mut provenance = Provenance::default();
        let [ada, _] = people();
        // The third is within the time of the second, the fifth's clock was set back.
        for (row, at) in [
            (1, 0),
            (2, ONE_GO + 1),
            (3, 2 * ONE_GO),
            (4, 3 * ONE_GO),
            (5, 0),
        ] {
            let clock = u8::try_from(row - 1).unwrap() * 2;
            let update = update(7, clock, 2, None);
            provenance.add(row, (&ada, at), &update).unwrap();
        }
        let by_one = |clock| row(provenance.by_one_author(Id::new(7, clock)));
        let seen = [0, 2, 4, 6, 8].map(by_one);
        let expected = [(1, 2), (2, 6), (3, 6), (4, 8), (5, 10)];
        assert_eq!(seen, expected.map(Some));
    }

    #[test]
    fn what_one_author_wrote_goes_over_rows_and_ends_where_it_was_restored() {
        let mut provenance = Provenance::default();
        let [ada, ben] = people();
        for (seq, author) in [(1, &ada), (2, &ada), (3, &ben), (4, &ben), (5, &ada)] {
            let clock = u8::try_from(seq - 1).unwrap() * 2;
            provenance
                .add(seq, (author, 0), &update(7, clock, 2, None))
                .unwrap();
        }
        let by_one = |clock| row(provenance.by_one_author(Id::new(7, clock)));
        let seen: Vec<_> = (0..=10).map(by_one).collect();
        let [first, second, third] = [Some((1, 4)), Some((2, 4)), Some((3, 8))];
        let (fourth, fifth) = (Some((4, 8)), Some((5, 10)));
        assert_eq!(
            seen,
            [
                first, first, second, second, third, third, fourth, fourth, fifth, fifth, None
            ]
        );
        let mut origins = Origins::default();
        origins.wrote(range(7, 5, 7), 1);
        provenance.add_origins(&origins);
        let by_one = |clock| row(provenance.by_one_author(Id::new(7, clock)));
        assert_eq!(
            [4, 5, 6, 7].map(by_one),
            [Some((3, 5)), Some((1, 6)), Some((1, 7)), fourth]
        );
    }
}
