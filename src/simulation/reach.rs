//! What a set of updates brings: the ids of its structs and of what it deletes.

use yrs::Doc;

use crate::{
    converge::{print, token::Contents},
    document::{
        id_set::{IdRange, IdSet},
        replica::Replica,
        state_vector::StateVector,
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
        Self::up_to(replica.known(), replica.deleted().clone())
    }

    /// What a person's replica holds.
    pub fn of_doc(doc: &Doc) -> Self {
        let (vector, deletes) = print::reach(doc);
        Self::up_to(&vector, deletes)
    }

    fn up_to(vector: &StateVector, deletes: IdSet) -> Self {
        let whole = |(client, end)| IdRange {
            client,
            start: 0,
            end,
        };
        Self {
            structs: vector.iter().map(whole).collect(),
            deletes,
        }
    }

    pub fn add(&mut self, contents: &Contents) {
        self.structs.extend(contents.structs.iter().copied());
        self.deletes.extend(contents.deletes.iter().copied());
    }

    pub fn union(&mut self, other: &Self) {
        self.structs.union(&other.structs);
        self.deletes.union(&other.deletes);
    }

    /// The first struct or deletion of another reach that is not in here, in words.
    pub fn lacks(&self, other: &Self) -> Option<String> {
        let lacking = |here: &IdSet, there: &IdSet| {
            let range = there.iter().find(|range| !here.contains(*range))?;
            Some(format!("{} {}..{}", range.client, range.start, range.end))
        };
        lacking(&self.structs, &other.structs).or_else(|| {
            let deletion = lacking(&self.deletes, &other.deletes)?;
            Some(format!("the deletion of {deletion}"))
        })
    }
}
