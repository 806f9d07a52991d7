//! A ledger of unique tokens: who wrote what, what was acknowledged or seen, and what a fresh client finds.

use std::collections::{BTreeMap, BTreeSet};

/// A token stands between these, so that one is found whole or not at all.
const OPEN: char = '<';
const CLOSE: char = '>';

/// What must be there after a fault, per document.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    written: BTreeMap<String, BTreeSet<String>>,
    promised: BTreeMap<String, BTreeSet<String>>,
}

/// What a check found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Promised and not there.
    pub lost: Vec<String>,
    /// There more than once.
    pub doubled: Vec<String>,
    /// There, and nobody wrote it.
    pub invented: Vec<String>,
}

impl Findings {
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

pub fn token(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// All tokens in a text, in order.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(CLOSE)
        .filter(|part| part.ends_with(CLOSE))
        .filter_map(|part| Some(&part[part.rfind(OPEN)?..]))
}

impl Ledger {
    pub fn wrote(&mut self, doc: &str, token: &str) {
        self.written
            .entry(doc.to_owned())
            .or_default()
            .insert(token.to_owned());
    }

    /// The token was acknowledged, or somebody else has seen it.
    pub fn promise(&mut self, doc: &str, token: &str) {
        self.promised
            .entry(doc.to_owned())
            .or_default()
            .insert(token.to_owned());
    }

    pub fn promises(&self) -> usize {
        self.promised.values().map(BTreeSet::len).sum()
    }

    /// Compares a document's text with what was promised and written.
    pub fn check(&self, doc: &str, text: &str) -> Findings {
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for token in tokens(text) {
            *found.entry(token).or_default() += 1;
        }
        let none = BTreeSet::new();
        let written = self.written.get(doc).unwrap_or(&none);
        let promised = self.promised.get(doc).unwrap_or(&none);
        let owned = |token: &&str| (*token).to_owned();
        Findings {
            lost: promised
                .iter()
                .filter(|token| !found.contains_key(token.as_str()))
                .cloned()
                .collect(),
            doubled: found
                .iter()
                .filter(|(_, count)| **count > 1)
                .map(|(token, _)| owned(token))
                .collect(),
            invented: found
                .keys()
                .filter(|token| !written.contains(**token))
                .map(owned)
                .collect(),
        }
    }
}
