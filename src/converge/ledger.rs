//! What one person wrote, and what reached them: the evidence for the verdict.
//!
//! Everything is kept by id (client and clock), so it does not matter in which frame a server sends something, or
//! merged with what.

use std::collections::{BTreeMap, HashMap};

use super::{
    token::{Contents, Token},
    wire::Acknowledgement,
};
use crate::document::{
    ClientId, Clock,
    id_set::{IdRange, IdSet},
};

/// One token as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    pub token: Token,
    pub ids: IdRange,
}

/// Two tokens of one sequence, as the writer of one of them saw them: the first before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before(pub Token, pub Token);

/// One step that changed something.
#[derive(Debug, Clone, Default)]
pub struct Made {
    pub step: u32,
    /// Milliseconds after the start.
    pub at: u32,
    pub structs: Vec<IdRange>,
    pub deletes: Vec<IdRange>,
}

impl Made {
    /// Whether these sets hold all of it.
    pub fn is_in(&self, structs: &IdSet, deletes: &IdSet) -> bool {
        self.structs.iter().all(|ids| structs.contains(*ids))
            && self.deletes.iter().all(|ids| deletes.contains(*ids))
    }
}

/// The evidence of one person.
#[derive(Debug, Default)]
pub struct Ledger {
    pub written: Vec<Written>,
    pub order: Vec<Before>,
    pub made: Vec<Made>,
    /// All ids that this person made.
    pub own: IdSet,
    /// All that this person deleted.
    pub own_deletes: IdSet,
    /// Structs that came from the server; own ones among them are an echo.
    pub arrived: IdSet,
    /// Deletions that came from the server.
    pub arrived_deletes: IdSet,
    /// By client id: up to which clock something had arrived, and when, in milliseconds after the start.
    pub arrivals: HashMap<ClientId, Vec<(Clock, u32)>>,
    /// What the server said it took, where it says so by a status.
    pub confirmed: IdSet,
    pub confirmed_deletes: IdSet,
    /// When a step was carried out, in milliseconds.
    pub done: BTreeMap<u32, u32>,
}

impl Ledger {
    /// Notes a transaction of this person: in which step, how many milliseconds after the start.
    pub fn wrote(&mut self, contents: Contents, step: u32, at: u32) {
        self.own.extend(contents.structs.iter().copied());
        self.own_deletes.extend(contents.deletes.iter().copied());
        if self.made.last().is_none_or(|made| made.step != step) {
            let made = Made {
                step,
                at,
                ..Made::default()
            };
            self.made.push(made);
        }
        if let Some(made) = self.made.last_mut() {
            made.structs.extend(contents.structs);
            made.deletes.extend(contents.deletes);
        }
        let tokens = contents.tokens.into_iter();
        self.written
            .extend(tokens.map(|(token, ids)| Written { token, ids }));
    }

    /// Notes an update from the server, and when it came, in milliseconds after the start.
    pub fn received(&mut self, contents: &Contents, at: u32) {
        for range in &contents.structs {
            let arrivals = self.arrivals.entry(range.client).or_default();
            if arrivals.last().is_none_or(|(end, _)| *end < range.end) {
                arrivals.push((range.end, at));
            }
        }
        self.arrived.extend(contents.structs.iter().copied());
        self.arrived_deletes
            .extend(contents.deletes.iter().copied());
    }

    /// Notes that the server took something.
    pub fn confirm(&mut self, contents: &Contents) {
        self.confirmed.extend(contents.structs.iter().copied());
        self.confirmed_deletes
            .extend(contents.deletes.iter().copied());
    }

    /// What the server acknowledged to this person: structs and deletions. None where it never does.
    pub fn acknowledged(&self, by: Acknowledgement) -> Option<(&IdSet, &IdSet)> {
        match by {
            Acknowledgement::Echo => Some((&self.arrived, &self.arrived_deletes)),
            Acknowledgement::Status => Some((&self.confirmed, &self.confirmed_deletes)),
            Acknowledgement::Nothing => None,
        }
    }

    /// What the server has to keep by what it told this person: structs and deletions. An echo of the person's own
    /// edits is a promise only where servers mean it as one.
    pub fn promised(&self, by: Acknowledgement) -> (IdSet, IdSet) {
        let acknowledged = self.acknowledged(by);
        let (mut structs, mut deletes) = acknowledged
            .map(|(structs, deletes)| (structs.clone(), deletes.clone()))
            .unwrap_or_default();
        for (arrived, own, promised) in [
            (&self.arrived, &self.own, &mut structs),
            (&self.arrived_deletes, &self.own_deletes, &mut deletes),
        ] {
            promised.extend(arrived.iter().flat_map(|range| own.missing_from(range)));
        }
        (structs, deletes)
    }
}
