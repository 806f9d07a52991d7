//! Which ids are copies of which others.
//!
//! Yjs has no way to make a deleted item live again, so a restore writes a new one. Both are one thing, which has the name of the
//! item that was there first: the original.

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
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{ClientId, Clock, id_set::IdRange, ids::Id};

/// Copies by id. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Copies(Arc<HashMap<ClientId, BTreeMap<Clock, Run>>>);

/// Clocks up to `end` are copies: the first of `of`, the next of the next.
#[derive(Debug, Clone, Copy)]
struct Run {
    end: Clock,
    of: Id,
}

/// What an id is a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    pub id: Id,
    /// The first clock of the asked client for which it is no longer the next of the same.
    pub end: Clock,
}

impl Original {
    /// What a later clock is a copy of, if this was asked for `from`.
    pub fn of(&self, from: Id, clock: Clock) -> Id {
        Id::new(self.id.client, self.id.clock + (clock - from.clock))
    }
}

impl Copies {
    /// Adds copies of an original, which is no copy itself.
    pub(super) fn add(&mut self, range: IdRange, of: Id) {
        let IdRange { client, start, end } = range;
        let of_client = Arc::make_mut(&mut self.0).entry(client).or_default();
        of_client.insert(start, Run { end, of });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a client made any.
    pub fn are_of(&self, client: ClientId) -> bool {
        self.0.contains_key(&client)
    }

    /// What an id is a copy of, or itself.
    pub fn original(&self, id: Id) -> Original {
        let runs = self.0.get(&id.client);
        let before = runs.and_then(|runs| runs.range(..=id.clock).next_back());
        if let Some((start, run)) = before.filter(|(_, run)| id.clock < run.end) {
            let of = Id::new(run.of.client, run.of.clock + (id.clock - start));
            return Original {
                id: of,
                end: run.end,
            };
        }
        let next = runs.and_then(|runs| runs.range(id.clock..).next());
        let end = next.map_or(Clock::MAX, |(start, _)| *start);
        Original { id, end }
    }

    /// All originals in ranges as long as they have the same copies, each with the first ids of these.
    pub fn originals(&self) -> Vec<(IdRange, Vec<Id>)> {
        let mut runs: Vec<(Id, Clock, Id)> = Vec::new();
        for (client, of_client) in self.0.iter() {
            let of_client = of_client.iter();
            runs.extend(of_client.map(|(start, run)| {
                let copy = Id::new(*client, *start);
                (run.of, run.of.clock + (run.end - start), copy)
            }));
        }
        runs.sort_unstable();
        let mut found = Vec::new();
        for runs in runs.chunk_by(|(a, ..), (b, ..)| a.client == b.client) {
            let bounds = runs.iter().flat_map(|(of, end, _)| [of.clock, *end]);
            let bounds: BTreeSet<Clock> = bounds.collect();
            let mut rest = runs.iter().peekable();
            let mut open: Vec<&(Id, Clock, Id)> = Vec::new();
            for (&start, &end) in bounds.iter().zip(bounds.iter().skip(1)) {
                open.retain(|(_, end, _)| *end > start);
                open.extend(std::iter::from_fn(|| {
                    rest.next_if(|(of, ..)| of.clock == start)
                }));
                let copies = open
                    .iter()
                    .map(|(of, _, copy)| Id::new(copy.client, copy.clock + (start - of.clock)));
                if let Some((Id { client, .. }, ..)) = open.first() {
                    let range = IdRange {
                        client: *client,
                        start,
                        end,
                    };
                    found.push((range, copies.collect()));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(client: ClientId, start: Clock, end: Clock) -> IdRange {
        IdRange { client, start, end }
    }

    #[test]
    fn each_id_has_its_original_and_each_original_its_copies() {
        let mut copies = Copies::default();
        copies.add(range(7, 2, 6), Id::new(1, 10));
        copies.add(range(8, 0, 2), Id::new(1, 11));
        copies.add(range(8, 5, 6), Id::new(1, 20));
        let original = |client, clock| {
            let Original { id, end } = copies.original(Id::new(client, clock));
            (id.client, id.clock, end)
        };
        assert_eq!([original(7, 0), original(7, 2)], [(7, 0, 2), (1, 10, 6)]);
        assert_eq!(
            [original(7, 5), original(7, 6)],
            [(1, 13, 6), (7, 6, Clock::MAX)]
        );
        assert_eq!([original(8, 1), original(8, 2)], [(1, 12, 2), (8, 2, 5)]);
        assert_eq!(original(1, 11), (1, 11, Clock::MAX));
        let (a, b) = (|clock| Id::new(7, clock), |clock| Id::new(8, clock));
        let expected = [
            (range(1, 10, 11), vec![a(2)]),
            (range(1, 11, 13), vec![a(3), b(0)]),
            (range(1, 13, 14), vec![a(5)]),
            (range(1, 20, 21), vec![b(5)]),
        ];
        assert_eq!(copies.originals(), expected);
    }
}
