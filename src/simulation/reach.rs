//! What a set of updates brings: the ids of its structs and of what it deletes.

use crate::{
    converge::token::Contents,
    document::{
        id_set::{IdRange, IdSet},
        replica::Replica,
    },
};

/// Structs and deletions by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    pub structs: IdSet,
    pub deletes: IdSet,
}

impl Reach {
    /// What a replica holds.
    pub fn of(replica: &Replica) -> Self {
        let mut reach = Self {
            deletes: replica.deleted().clone(),
            ..Self::default()
        };
        for (client, clock) in replica.known().iter() {
            reach.structs.insert(client, 0, clock);
        }
        reach
    }

    pub fn add(&mut self, contents: &Contents) {
        for range in &contents.structs {
            self.structs
                .insert(range.client, range.start, range.end - range.start);
        }
        for range in &contents.deletes {
            self.deletes
                .insert(range.client, range.start, range.end - range.start);
        }
    }

    pub fn union(&mut self, other: &Self) {
        self.structs.union(&other.structs);
        self.deletes.union(&other.deletes);
    }

    /// The first of these structs or deletions that is not in here, in words.
    pub fn lacks(&self, structs: &[IdRange], deletes: &[IdRange]) -> Option<String> {
        let lacking = |set: &IdSet, ranges: &[IdRange]| {
            ranges
                .iter()
                .find(|range| !set.contains(range.client, range.start, range.end - range.start))
                .copied()
        };
        let show = |range: IdRange| format!("{} {}..{}", range.client, range.start, range.end);
        lacking(&self.structs, structs).map(show).or_else(|| {
            lacking(&self.deletes, deletes).map(|range| format!("the deletion of {}", show(range)))
        })
    }

    /// The same for everything in another reach.
    pub fn lacks_of(&self, other: &Self) -> Option<String> {
        let structs: Vec<_> = other.structs.iter().collect();
        let deletes: Vec<_> = other.deletes.iter().collect();
        self.lacks(&structs, &deletes)
    }
}
