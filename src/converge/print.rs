//! What a replica holds in the end, in a form that can be compared, and where two of them differ first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value as Json;
use yrs::{Doc, ReadTxn as _, Transact as _, updates::encoder::Encode as _};

use super::{
    check::{Finding, Kind},
    token::{self, Token, tokens_of},
};
use crate::document::{
    id_set::{IdRange, IdSet},
    state_vector::StateVector,
    tree::{roots, to_json},
};

/// What one replica holds, in a form that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    /// Whose replica it is, in words.
    pub who: String,
    pub content: BTreeMap<String, Json>,
    pub vector: StateVector,
    pub deletes: IdSet,
    /// Something arrived that refers to something that did not.
    pub pending: bool,
    /// By root type, in the order of the document.
    pub tokens: BTreeMap<String, Vec<Token>>,
}

impl Print {
    pub fn of(who: impl Into<String>, doc: &Doc) -> Self {
        let roots = roots(doc);
        let tokens = roots.iter().map(|(name, node)| {
            let mut tokens = Vec::new();
            tokens_of(node, &mut tokens);
            (name.clone(), tokens)
        });
        let (vector, deletes) = reach(doc);
        Self {
            who: who.into(),
            tokens: tokens.filter(|(_, tokens)| !tokens.is_empty()).collect(),
            // A root that was only looked at is the same as none.
            content: roots
                .iter()
                .map(|(name, node)| (name.clone(), to_json(node)))
                .filter(|(_, json)| !is_empty(json))
                .collect(),
            vector,
            deletes,
            pending: doc.transact().has_missing_updates(),
        }
    }

    /// Whether all ids of the range are there, deleted or not.
    pub fn holds(&self, ids: IdRange) -> bool {
        ids.end <= self.vector.get(ids.client)
    }

    /// What differs between two replicas, if anything does.
    pub fn difference(&self, other: &Self) -> Option<Finding> {
        let mut fields = Vec::new();
        let mut about = Vec::new();
        if self.content != other.content {
            let (words, tokens) = self.first_divergence(other);
            fields.push(words);
            about = tokens;
        }
        if self.vector != other.vector {
            fields.push(format!("state vectors: {}", behind(self, other)));
        }
        if self.deletes != other.deletes {
            fields.push("delete sets".to_owned());
        }
        (!fields.is_empty()).then(|| {
            let what = format!(
                "{} and {} differ in {}",
                self.who,
                other.who,
                fields.join("; ")
            );
            Finding::new(Kind::Different, what).about(about)
        })
    }

    fn first_divergence(&self, other: &Self) -> (String, Vec<Token>) {
        let empty = Vec::new();
        let names: BTreeSet<_> = self.content.keys().chain(other.content.keys()).collect();
        for name in names {
            if self.content.get(name) == other.content.get(name) {
                continue;
            }
            let ours = self.tokens.get(name).unwrap_or(&empty);
            let theirs = other.tokens.get(name).unwrap_or(&empty);
            let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            let (here, there) = (ours.get(same), theirs.get(same));
            let say = |token: Option<&Token>| {
                token.map_or_else(|| "nothing more".to_owned(), Token::to_string)
            };
            if here.is_none() && there.is_none() {
                return (
                    format!("`{name}` (marks, attributes or words between equal tokens)"),
                    Vec::new(),
                );
            }
            let words = format!(
                "`{name}` from token {same} on: {} against {}",
                say(here),
                say(there)
            );
            return (words, here.into_iter().chain(there).copied().collect());
        }
        ("content".to_owned(), Vec::new())
    }

    /// How often each token is there.
    pub fn counts(&self) -> HashMap<Token, usize> {
        let mut counts = HashMap::new();
        for token in self.tokens.values().flatten() {
            *counts.entry(*token).or_insert(0) += 1;
        }
        counts
    }
}

fn is_empty(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.is_empty(),
        Json::Object(entries) => entries.is_empty(),
        Json::String(text) => text.is_empty(),
        Json::Null => true,
        _ => false,
    }
}

fn behind(one: &Print, other: &Print) -> String {
    let clients: BTreeSet<_> = [one, other]
        .iter()
        .flat_map(|print| print.vector.iter().map(|(client, _)| client))
        .collect();
    let differing = clients.into_iter().filter_map(|client| {
        let (a, b) = (one.vector.get(client), other.vector.get(client));
        (a != b).then(|| format!("client id {client} up to {a} against {b}"))
    });
    differing.take(3).collect::<Vec<_>>().join(", ")
}

/// Which structs and deletions a replica holds.
pub fn reach(doc: &Doc) -> (StateVector, IdSet) {
    let txn = doc.transact();
    let vector = StateVector::decode(&txn.state_vector().encode_v1(), usize::MAX);
    let state = txn.encode_state_as_update_v1(&yrs::StateVector::default());
    let deletes = token::contents(&state, false).map(|contents| contents.deletes);
    (
        vector.unwrap_or_default(),
        deletes.unwrap_or_default().into_iter().collect(),
    )
}
