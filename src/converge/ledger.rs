//! What one person wrote, and what reached them: the evidence for the verdict.
//!
//! Everything is kept by id (client and clock), so it does not matter in which frame a server sends something, or
//! merged with what.

use std::collections::BTreeMap;

use super::token::{Contents, Token};
use crate::document::id_set::{IdRange, IdSet};

/// One token as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    pub token: Token,
    pub ids: IdRange,
}

/// Two tokens of one sequence, as the writer of one of them saw them: the first before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before(pub Token, pub Token);

/// The evidence of one person.
#[derive(Debug, Default)]
pub struct Ledger {
    pub written: Vec<Written>,
    pub order: Vec<Before>,
    /// All ids that this person made.
    pub own: IdSet,
    /// Structs that came from the server. Own ones among them are acknowledged, others' were seen.
    pub arrived: IdSet,
    /// Deletions that came from the server.
    pub arrived_deletes: IdSet,
    /// When a step was carried out, in milliseconds.
    pub done: BTreeMap<u32, u32>,
}

impl Ledger {
    /// Notes an edit of this person.
    pub fn wrote(&mut self, contents: Contents) {
        for range in &contents.structs {
            self.own
                .insert(range.client, range.start, range.end - range.start);
        }
        let tokens = contents.tokens.into_iter();
        self.written
            .extend(tokens.map(|(token, ids)| Written { token, ids }));
    }

    /// Notes an update from the server.
    pub fn received(&mut self, contents: &Contents) {
        for range in &contents.structs {
            self.arrived
                .insert(range.client, range.start, range.end - range.start);
        }
        for range in &contents.deletes {
            self.arrived_deletes
                .insert(range.client, range.start, range.end - range.start);
        }
    }

    /// How many of this person's tokens came back from the server.
    pub fn acknowledged(&self) -> usize {
        let back = |written: &&Written| contains(&self.arrived, written.ids);
        self.written.iter().filter(back).count()
    }
}

/// Whether all ids of the range are in the set.
pub fn contains(set: &IdSet, range: IdRange) -> bool {
    set.contains(range.client, range.start, range.end - range.start)
}
