//! The end conditions, and what is wrong where one does not hold.
//!
//! Compared is what replicas, a fresh client and the server's export hold; and against the ledgers: what came to anyone
//! over the wire, and what a survivor wrote or deleted, is in the end there (or deleted) for everyone, once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value as Json;
use yrs::{Doc, ReadTxn as _, Transact as _, updates::encoder::Encode as _};

use super::{
    ledger::{Before, Written, contains},
    person::State,
    token::{self, Token, tokens_of},
};
use crate::document::{
    id_set::IdSet,
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

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two replicas are not equal.
    Different,
    /// A replica waits for something that did not come.
    Pending,
    /// An edit is gone.
    Lost,
    /// An edit is there more often than it was made.
    Duplicated,
    /// Something deleted is there.
    Resurrected,
    /// Two things stand the other way round than their writer saw them.
    Disordered,
    /// The server refused an edit.
    Refused,
    /// Something was sent that is no update or could not be applied.
    Broken,
    /// A person could not come back.
    Unreachable,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub kind: Kind,
    pub what: String,
    /// The steps of the plan that it is about.
    pub steps: Vec<u32>,
}

impl Finding {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            steps: Vec::new(),
        }
    }

    fn about(mut self, tokens: impl IntoIterator<Item = Token>) -> Self {
        self.steps
            .extend(tokens.into_iter().map(|token| token.step));
        self
    }
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

    /// What differs between two replicas, if anything does.
    fn difference(&self, other: &Self) -> Option<Finding> {
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

    fn counts(&self) -> HashMap<Token, usize> {
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

/// Compares the replicas with each other and with what the ledgers say. The first print is the one that the ledgers are
/// held against.
pub fn check(prints: &[Print], people: &[&State]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(reference) = prints.first() else {
        return findings;
    };
    for print in prints {
        findings.extend(reference.difference(print));
        if print.pending {
            let what = format!("{} waits for something that never came", print.who);
            findings.push(Finding::new(Kind::Pending, what));
        }
    }
    for state in people {
        let who = |what: &str| format!("client {}: {what}", state.number);
        let refused = state.refused.iter().take(3);
        findings.extend(refused.map(|why| Finding::new(Kind::Refused, who(why))));
        let broken = state.broken.iter().take(3);
        findings.extend(broken.map(|why| Finding::new(Kind::Broken, who(why))));
    }
    let evidence = Evidence::of(people);
    findings.extend(evidence.lost(reference));
    findings.extend(evidence.undeleted(reference));
    findings.extend(evidence.miscounted(reference));
    findings.extend(evidence.disordered(reference));
    findings
}

/// What has to be there.
struct Evidence<'a> {
    people: &'a [&'a State],
    required: IdSet,
    deleted: IdSet,
}

impl<'a> Evidence<'a> {
    /// A dead person's edits count as far as they came back to anyone.
    fn of(people: &'a [&'a State]) -> Self {
        let (mut required, mut deleted) = (IdSet::new(), IdSet::new());
        for state in people {
            required.union(&state.ledger.arrived);
            deleted.union(&state.ledger.arrived_deletes);
            if !state.dead {
                required.union(&state.ledger.own);
                deleted.union(&reach(&state.doc).1);
            }
        }
        Self {
            people,
            required,
            deleted,
        }
    }

    fn written(&self) -> impl Iterator<Item = &Written> {
        self.people
            .iter()
            .flat_map(|state| state.ledger.written.iter())
    }

    fn lost(&self, reference: &Print) -> Vec<Finding> {
        let gone = |written: &&Written| {
            contains(&self.required, written.ids)
                && written.ids.end > reference.vector.get(written.ids.client)
        };
        let mut findings: Vec<_> = self
            .written()
            .filter(gone)
            .map(|written| {
                let what = format!("{} is gone; {}", written.token, self.fate(written));
                Finding::new(Kind::Lost, what).about([written.token])
            })
            .collect();
        if findings.is_empty() {
            let short = self
                .required
                .iter()
                .filter(|range| range.end > reference.vector.get(range.client));
            findings.extend(short.map(|range| {
                let what = format!(
                    "ids {}..{} of client id {}",
                    range.start, range.end, range.client
                );
                Finding::new(Kind::Lost, what)
            }));
        }
        findings
    }

    /// Who has had it.
    fn fate(&self, written: &Written) -> String {
        let had = |state: &&&State| contains(&state.ledger.arrived, written.ids);
        let names: Vec<_> = self
            .people
            .iter()
            .filter(had)
            .map(|state| match state.number == written.token.client {
                true => "it was acknowledged".to_owned(),
                false => format!("client {} received it", state.number),
            })
            .collect();
        match names.is_empty() {
            true => "nobody ever received it".to_owned(),
            false => names.join(", "),
        }
    }

    fn undeleted(&self, reference: &Print) -> Vec<Finding> {
        let mut findings = Vec::new();
        for range in self.deleted.iter() {
            for gap in reference.deletes.missing_from(range) {
                let tokens: Vec<_> = self
                    .written()
                    .filter(|written| {
                        written.ids.client == gap.client
                            && written.ids.start < gap.end
                            && gap.start < written.ids.end
                    })
                    .map(|written| written.token)
                    .collect();
                let what = format!(
                    "ids {}..{} of client id {} were deleted and are there ({} tokens)",
                    gap.start,
                    gap.end,
                    gap.client,
                    tokens.len()
                );
                findings.push(Finding::new(Kind::Resurrected, what).about(tokens));
            }
        }
        findings
    }

    /// Each token must be visible as often as its ids are there undeleted.
    fn miscounted(&self, reference: &Print) -> Vec<Finding> {
        let mut expected: HashMap<Token, usize> = HashMap::new();
        for written in self.written() {
            let there = written.ids.end <= reference.vector.get(written.ids.client)
                && !contains(&reference.deletes, written.ids);
            *expected.entry(written.token).or_insert(0) += usize::from(there);
        }
        let counts = reference.counts();
        let mut all: BTreeSet<Token> = expected.keys().copied().collect();
        all.extend(counts.keys().copied());
        all.into_iter()
            .filter_map(|token| {
                let want = expected.get(&token).copied().unwrap_or(0);
                let got = counts.get(&token).copied().unwrap_or(0);
                let kind = match got.cmp(&want) {
                    std::cmp::Ordering::Equal => return None,
                    std::cmp::Ordering::Less => Kind::Lost,
                    std::cmp::Ordering::Greater if want == 0 => Kind::Resurrected,
                    std::cmp::Ordering::Greater => Kind::Duplicated,
                };
                let what = format!("{token} is there {got} times instead of {want}");
                Some(Finding::new(kind, what).about([token]))
            })
            .collect()
    }

    /// What was written once and is there keeps the order in which its writer saw it.
    fn disordered(&self, reference: &Print) -> Vec<Finding> {
        let mut copies: HashMap<Token, usize> = HashMap::new();
        for written in self.written() {
            *copies.entry(written.token).or_insert(0) += 1;
        }
        let mut places = HashMap::new();
        for (name, tokens) in &reference.tokens {
            let once = tokens
                .iter()
                .enumerate()
                .filter(|(_, token)| copies.get(*token) == Some(&1));
            places.extend(once.map(|(place, token)| (*token, (name, place))));
        }
        let orders = self.people.iter().flat_map(|state| &state.ledger.order);
        orders
            .filter_map(|Before(left, right)| {
                let (first, second) = (places.get(left)?, places.get(right)?);
                (first.0 == second.0 && first.1 > second.1).then(|| {
                    let what = format!(
                        "{left} stood before {right} when it was written, and now after it"
                    );
                    Finding::new(Kind::Disordered, what).about([*left, *right])
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use yrs::{Text as _, updates::decoder::Decode as _};

    use super::*;
    use crate::{converge::person::Shared, document::replica::doc_with};

    const A: Token = token(0);
    const B: Token = token(1);

    const fn token(step: u32) -> Token {
        Token {
            client: 0,
            step,
            part: 0,
        }
    }

    fn kinds(reference: &Doc, people: &[&Shared]) -> Vec<Kind> {
        let states: Vec<_> = people.iter().map(|person| person.lock()).collect();
        let states: Vec<&State> = states.iter().map(|state| &**state).collect();
        let findings = check(&[Print::of("reference", reference)], &states);
        findings.iter().map(|finding| finding.kind).collect()
    }

    /// Writes as a person does; returns the update.
    fn write(person: &Shared, text: &str) -> Vec<u8> {
        let mut state = person.lock();
        let root = state.doc.get_or_insert_text("text");
        let mut txn = state.doc.transact_mut();
        root.push(&mut txn, text);
        let update = txn.encode_update_v1();
        drop(txn);
        state.ledger.wrote(token::contents(&update, true).unwrap());
        update
    }

    fn replica_of(updates: &[&Vec<u8>]) -> Doc {
        let doc = doc_with(99);
        for update in updates {
            let update = yrs::Update::decode_v1(update).unwrap();
            doc.transact_mut().apply_update(update).unwrap();
        }
        doc
    }

    #[test]
    fn what_is_there_once_is_fine_and_what_is_not_is_lost() {
        let writer = Shared::new(0, 7);
        let update = write(&writer, &A.to_string());
        assert_eq!(kinds(&replica_of(&[&update]), &[&writer]), []);
        assert_eq!(kinds(&replica_of(&[]), &[&writer]), [Kind::Lost]);
    }

    #[test]
    fn the_dead_may_take_along_what_nobody_received_and_nothing_else() {
        let (writer, other) = (Shared::new(0, 7), Shared::new(1, 8));
        let update = write(&writer, &A.to_string());
        writer.lock().dead = true;
        assert_eq!(kinds(&replica_of(&[]), &[&writer, &other]), []);
        let contents = token::contents(&update, false).unwrap();
        other.lock().ledger.received(&contents);
        assert_eq!(kinds(&replica_of(&[]), &[&writer, &other]), [Kind::Lost]);
    }

    #[test]
    fn a_copy_that_nobody_made_is_a_duplicate() {
        let writer = Shared::new(0, 7);
        let update = write(&writer, &A.to_string());
        let stranger = Shared::new(1, 8);
        let copy = write(&stranger, &A.to_string());
        assert_eq!(
            kinds(&replica_of(&[&update, &copy]), &[&writer]),
            [Kind::Duplicated]
        );
    }

    #[test]
    fn what_was_deleted_for_somebody_stays_deleted() {
        let writer = Shared::new(0, 7);
        let update = write(&writer, &A.to_string());
        let contents = token::contents(&update, false).unwrap();
        let reference = replica_of(&[&update]);
        for range in contents.structs {
            let mut state = writer.lock();
            let length = range.end - range.start;
            state
                .ledger
                .arrived_deletes
                .insert(range.client, range.start, length);
        }
        assert_eq!(kinds(&reference, &[&writer]), [Kind::Resurrected]);
    }

    #[test]
    fn the_order_in_which_something_was_written_is_kept() {
        let writer = Shared::new(0, 7);
        let update = write(&writer, &format!("{A}{B}"));
        let reference = replica_of(&[&update]);
        writer.lock().ledger.order.push(Before(A, B));
        assert_eq!(kinds(&reference, &[&writer]), []);
        writer.lock().ledger.order.push(Before(B, A));
        assert_eq!(kinds(&reference, &[&writer]), [Kind::Disordered]);
    }

    #[test]
    fn replicas_that_differ_are_named_with_the_first_token_that_does() {
        let writer = Shared::new(0, 7);
        let (one, two) = (
            write(&writer, &A.to_string()),
            write(&writer, &B.to_string()),
        );
        let whole = Print::of("one", &replica_of(&[&one, &two]));
        let part = Print::of("two", &replica_of(&[&one]));
        let finding = whole.difference(&part).unwrap();
        assert_eq!(finding.steps, [B.step]);
        assert!(finding.what.contains(&B.to_string()), "{}", finding.what);
        assert_eq!(whole.difference(&whole), None);
        let waiting = Print::of("three", &replica_of(&[&two]));
        assert!(waiting.pending);
    }
}
