//! Sets of ids as ranges of clocks: delete sets, above all.
//!
//! One ordered tree of ranges, so that an insertion among 100,000 ranges costs a look-up and an empty set costs no
//! memory. Ranges of one client are disjoint and never touch: what touches is merged.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    ClientId, Clock,
    ids::{Id, MAX_CLIENT, MAX_CLOCK},
    varint::{ReadError, Reader, write_var},
};

/// The clocks `start..end` of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdRange {
    pub client: ClientId,
    pub start: Clock,
    pub end: Clock,
}

/// A set of ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdSet {
    /// (client, start) → end.
    ranges: BTreeMap<(ClientId, Clock), Clock>,
}

/// Why bytes are no delete set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdSetError {
    #[error("malformed delete set: {0}")]
    Malformed(#[from] ReadError),
    #[error("a range of client {client} ends beyond the largest clock")]
    Clock { client: ClientId },
    #[error("the delete set has more than {max} ranges")]
    TooMany { max: usize },
    #[error("bytes follow the delete set at {at}")]
    Trailing { at: usize },
}

impl IdSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `len` clocks from `start` on. What would reach beyond the largest clock is cut there.
    pub fn insert(&mut self, client: ClientId, start: Clock, len: Clock) {
        if len == 0 {
            return;
        }
        let mut start = start;
        let mut end = start.saturating_add(len).min(MAX_CLOCK);
        if let Some((&(_, before), &before_end)) =
            self.ranges.range((client, 0)..=(client, start)).next_back()
        {
            if before_end >= end {
                return;
            }
            if before_end >= start {
                start = before;
            }
        }
        while let Some((&(_, next), &next_end)) =
            self.ranges.range((client, start)..=(client, end)).next()
        {
            self.ranges.remove(&(client, next));
            end = end.max(next_end);
        }
        self.ranges.insert((client, start), end);
    }

    /// Whether all clocks of the range are in the set.
    pub fn contains(&self, range: IdRange) -> bool {
        let IdRange { client, start, end } = range;
        start >= end
            || self
                .around(client, start)
                .is_some_and(|around| around.end >= end)
    }

    /// Whether an id is in the set, and the first clock of its client from which on that may differ.
    pub fn holds(&self, id: Id) -> (bool, Clock) {
        if let Some(around) = self.around(id.client, id.clock) {
            return (true, around.end);
        }
        let mut after = self
            .ranges
            .range((id.client, id.clock)..=(id.client, Clock::MAX));
        (
            false,
            after.next().map_or(Clock::MAX, |(&(_, start), _)| start),
        )
    }

    /// What is in this set and not in the other.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Self::new();
        let mut others = other.iter().peekable();
        for range in self.iter() {
            while others.next_if(|other| *other < range).is_some() {}
            // Most are the same where one set grew from the other.
            if others.peek() != Some(&range) {
                rest.extend(other.missing_from(range));
            }
        }
        rest
    }

    /// The ranges of one client that overlap `start..end`, ascending and uncut.
    pub fn overlapping(
        &self,
        client: ClientId,
        start: Clock,
        end: Clock,
    ) -> impl Iterator<Item = IdRange> + '_ {
        let first = self
            .around(client, start)
            .map_or(start, |range| range.start);
        self.ranges
            .range((client, first)..(client, end.max(first)))
            .map(|(&(client, start), &end)| IdRange { client, start, end })
    }

    /// The parts of a range that are not in the set, ascending.
    pub fn missing_from(&self, range: IdRange) -> impl Iterator<Item = IdRange> + '_ {
        let IdRange { client, start, end } = range;
        let mut next = start;
        let mut known = self.overlapping(client, start, end);
        let mut done = start >= end;
        std::iter::from_fn(move || {
            while !done {
                let gap_start = next;
                let gap_end = match known.next() {
                    Some(known) => {
                        next = known.end.min(end);
                        known.start
                    }
                    None => {
                        done = true;
                        end
                    }
                };
                if gap_start < gap_end {
                    return Some(IdRange {
                        client,
                        start: gap_start,
                        end: gap_end,
                    });
                }
            }
            None
        })
    }

    /// Adds everything in `other`.
    pub fn union(&mut self, other: &Self) {
        self.extend(other.iter());
    }

    /// Clients ascending, ranges of a client ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = IdRange> + '_ {
        self.ranges
            .iter()
            .map(|(&(client, start), &end)| IdRange { client, start, end })
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Decodes the v1 delete-set form. Ranges may come in any order and overlap, as Yjs allows.
    pub fn decode(bytes: &[u8], max_ranges: usize) -> Result<Self, IdSetError> {
        let mut reader = Reader::new(bytes);
        let mut set = Self::new();
        let mut seen = 0usize;
        for _ in 0..reader.count(2)? {
            let client = reader.var_u64()?;
            debug_assert!(client <= MAX_CLIENT);
            let count = reader.count(2)?;
            seen = seen.saturating_add(count);
            if seen > max_ranges {
                return Err(IdSetError::TooMany { max: max_ranges });
            }
            for _ in 0..count {
                let (start, len) = (reader.var_u64()?, reader.var_u64()?);
                if start + len > u64::from(MAX_CLOCK) {
                    return Err(IdSetError::Clock { client });
                }
                set.insert(client, start as Clock, len as Clock);
            }
        }
        if !reader.is_empty() {
            return Err(IdSetError::Trailing {
                at: reader.position(),
            });
        }
        Ok(set)
    }

    /// The v1 delete-set form, clients in descending order: equal sets have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut ranges: Vec<_> = self.iter().collect();
        ranges.sort_by_key(|range| Reverse(range.client));
        let mut out = Vec::with_capacity(1 + ranges.len() * 6);
        write_ranges(&mut out, &ranges);
        out
    }
}

impl IdSet {
    /// The range that holds `clock`.
    fn around(&self, client: ClientId, clock: Clock) -> Option<IdRange> {
        let (&(_, start), &end) = self
            .ranges
            .range((client, 0)..=(client, clock))
            .next_back()?;
        (end > clock).then_some(IdRange { client, start, end })
    }
}

impl Extend<IdRange> for IdSet {
    fn extend<I: IntoIterator<Item = IdRange>>(&mut self, ranges: I) {
        for range in ranges {
            let len = range.end.saturating_sub(range.start);
            self.insert(range.client, range.start, len);
        }
    }
}

impl FromIterator<IdRange> for IdSet {
    fn from_iter<I: IntoIterator<Item = IdRange>>(ranges: I) -> Self {
        let mut ranges: Vec<IdRange> = ranges
            .into_iter()
            .filter(|range| range.start < range.end)
            .collect();
        ranges.sort_unstable();
        merge_touching(&mut ranges);
        Self {
            ranges: ranges
                .into_iter()
                .map(|range| ((range.client, range.start), range.end))
                .collect(),
        }
    }
}

/// Writes ranges as a v1 delete set. Each client's must stand together; Yjs has the clients in descending order.
pub(super) fn write_ranges(out: &mut Vec<u8>, ranges: &[IdRange]) {
    let groups = || ranges.chunk_by(|a, b| a.client == b.client);
    write_var(out, groups().count() as u64);
    for group in groups() {
        write_var(out, group.first().map_or(0, |range| range.client));
        write_var(out, group.len() as u64);
        for range in group {
            write_var(out, u64::from(range.start));
            write_var(out, u64::from(range.end.saturating_sub(range.start)));
        }
    }
}

/// Joins ranges, each client's sorted by their start, that overlap or touch.
pub(super) fn merge_touching(ranges: &mut Vec<IdRange>) {
    ranges.dedup_by(|after, before| {
        let touch = after.client == before.client && after.start <= before.end;
        if touch {
            before.end = before.end.max(after.end);
        }
        touch
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use yrs::updates::{decoder::Decode as _, encoder::Encode as _};

    use super::*;

    #[test]
    fn touching_ranges_merge() {
        let mut set = IdSet::new();
        for (start, len) in [(10, 5), (20, 5), (15, 5), (2, 3), (0, 1), (1, 1)] {
            set.insert(7, start, len);
        }
        let ranges: Vec<_> = set.iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(ranges, [(0, 5), (10, 25)]);
        let holds = |client, start, end| set.contains(IdRange { client, start, end });
        assert!(holds(7, 10, 25) && !holds(7, 10, 26) && !holds(8, 10, 11));
    }

    #[test]
    fn overlapping_ranges_are_cut_out() {
        let set: IdSet = [(5, 10), (12, 20), (30, 40)]
            .map(|(start, end)| IdRange {
                client: 1,
                start,
                end,
            })
            .into_iter()
            .collect();
        let gaps = |start, end| -> Vec<_> {
            set.missing_from(IdRange {
                client: 1,
                start,
                end,
            })
            .map(|gap| (gap.start, gap.end))
            .collect()
        };
        assert_eq!(gaps(0, 50), [(0, 5), (10, 12), (20, 30), (40, 50)]);
        assert_eq!(gaps(6, 9), []);
        assert_eq!(gaps(6, 11), [(10, 11)]);
        assert_eq!(gaps(10, 12), [(10, 12)]);
        assert_eq!(gaps(3, 3), []);
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_is_the_set_of_their_ids(
            inserts in proptest::collection::vec((0u64..3, 0u32..60, 0u32..9), 0..40),
            start in 0u32..60, len in 0u32..9,
        ) {
            let mut set = IdSet::new();
            let mut model = BTreeSet::new();
            for &(client, start, len) in &inserts {
                set.insert(client, start, len);
                model.extend((start..start + len).map(|clock| (client, clock)));
            }
            let flat: BTreeSet<_> =
                set.iter().flat_map(|range| (range.start..range.end).map(move |clock| (range.client, clock))).collect();
            prop_assert_eq!(&flat, &model);
            prop_assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.client < b.client || a.end < b.start));
            let range = IdRange { client: 1, start, end: start + len };
            prop_assert_eq!(set.contains(range), (start..start + len).all(|clock| model.contains(&(1, clock))));
            let missing: Vec<_> = set.missing_from(range)
                .flat_map(|gap| gap.start..gap.end).collect();
            let expected: Vec<_> = (start..start + len).filter(|clock| !model.contains(&(1, *clock))).collect();
            prop_assert_eq!(missing, expected);
            prop_assert_eq!(IdSet::decode(&set.encode(), 1000), Ok(set.clone()));
            let theirs = yrs::IdSet::decode_v1(&set.encode()).unwrap();
            prop_assert_eq!(IdSet::decode(&theirs.encode_v1(), 1000), Ok(set));
        }

        #[test]
        fn any_bytes_decode_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            IdSet::decode(&bytes, 100).map_err(|error| error.to_string()).ok();
        }
    }
}
