//! Who formatted text. The trees hold marks without their writers: these follow from where in the text markers stand.
//!
//! A marker says which value a mark has to its right, until the next marker of the same key. So what a letter had at any time is
//! what the nearest marker to its left said that stood then, and who gave it the last value is the row that changed that last.
//! A marker alone does not tell: who takes a mark from the first half of a word sets a new one for the second.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use yrs::{Assoc, Doc, StickyIndex, Transact as _, block::ClientID, branch::BranchID};

use super::{
    Clock,
    ids::Id,
    provenance::{Marking, Row},
};

/// Markers and runs of text whose places are looked for: for each yrs walks to the beginning of its text. Where there are more,
/// who formatted is told only if it was one row.
const MOST_PLACES: usize = 4_000;

/// By text and key, in the order of places.
type Markings = HashMap<BranchID, HashMap<Arc<str>, Vec<(Clock, Marking)>>>;

/// What some rows did to the marks of text.
#[derive(Debug)]
pub struct Formatting {
    rows: RangeInclusive<Row>,
    /// Where it was all one row, the place does not matter.
    only: Option<Row>,
    markings: Markings,
    /// Where runs begin.
    runs: HashMap<Id, (BranchID, Clock)>,
}

impl Formatting {
    /// `markings` are all that there were up to the last of the rows, with the keys of the marks that differ; `runs` the ids of the
    /// beginnings of the text that has these. `look` shows the document after the last row, if it is needed.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn of<E>(
        rows: RangeInclusive<Row>,
        markings: Vec<Marking>,
        runs: &HashSet<Id>,
        look: impl FnOnce(&mut dyn FnMut(&Doc)) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut formatting = Self {
            rows,
            only: None,
            markings: Markings::new(),
            runs: HashMap::new(),
        };
        let acts: BTreeSet<Row> = formatting.acts(markings.iter()).collect();
        if acts.len() == 1 {
            formatting.only = acts.first().copied();
        } else if !acts.is_empty() && markings.len() + runs.len() <= MOST_PLACES {
            look(&mut |doc| formatting.place(&markings, runs, doc))?;
        }
        Ok(formatting)
    }

    /// The rows that set or removed markers.
    fn acts<'m>(&self, markings: impl Iterator<Item = &'m Marking>) -> impl Iterator<Item = Row> {
        let rows = markings.flat_map(|marking| [Some(marking.set), marking.removed]);
        rows.flatten().filter(|row| self.rows.contains(row))
    }

    fn place(&mut self, markings: &[Marking], runs: &HashSet<Id>, doc: &Doc) {
        let txn = doc.transact();
        let place = |id: Id| {
            let id = yrs::ID::new(ClientID::new(id.client), id.clock);
            let place = StickyIndex::from_id(id, Assoc::After).get_offset(&txn)?;
            Some((place.branch.id(), place.index))
        };
        let places = runs.iter().filter_map(|run| Some((*run, place(*run)?)));
        self.runs = places.collect();
        for marking in markings {
            if let Some((text, at)) = place(marking.id) {
                let of_text = self.markings.entry(text).or_default();
                let known = of_text.entry(marking.key.clone()).or_default();
                known.push((at, marking.clone()));
            }
        }
        for markings in self.markings.values_mut().flat_map(HashMap::values_mut) {
            // At one place those of one edit stand in the order in which it made them.
            markings.sort_by_key(|(at, marking)| (*at, marking.set, marking.id.clock));
        }
    }

    /// Which row gave a letter the value of this mark that it has in the end, if one of the rows did; and for how many units from
    /// there on that is so. The letter stands `skip` units after the beginning of a run.
    pub fn row_of(&self, run: Id, skip: Clock, key: &str) -> (Option<Row>, Clock) {
        if self.only.is_some() {
            return (self.only, Clock::MAX);
        }
        let Some((text, start)) = self.runs.get(&run) else {
            return (None, Clock::MAX);
        };
        let at = start.saturating_add(skip);
        let markings = self.markings.get(text).and_then(|text| text.get(key));
        let markings = markings.map_or(&[][..], Vec::as_slice);
        let (left, right) = markings.split_at(markings.partition_point(|(place, _)| *place <= at));
        let value = |row: Row| {
            let stood = |marking: &Marking| {
                marking.set <= row && marking.removed.is_none_or(|removed| removed > row)
            };
            let nearest = left.iter().rev().find(|(_, marking)| stood(marking));
            nearest.and_then(|(_, marking)| marking.value.as_ref())
        };
        let last = value(*self.rows.end());
        let acts: BTreeSet<Row> = self.acts(left.iter().map(|(_, marking)| marking)).collect();
        let row = acts.into_iter().rev().find(|row| value(row - 1) != last);
        (
            row,
            right.first().map_or(Clock::MAX, |(place, _)| place - at),
        )
    }
}
