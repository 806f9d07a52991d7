//! The end conditions, and what is wrong where one does not hold.
//!
//! Compared is what replicas, a fresh client and the server's export hold; and against the ledgers: what came to anyone
//! over the wire, and what a survivor wrote or deleted, is in the end there (or deleted) for everyone, once.

use std::collections::{BTreeSet, HashMap};

use super::{
    ledger::{Before, Made, Written},
    print::{Print, reach},
    state::State,
    token::Token,
    wire::Acknowledgement,
};
use crate::document::id_set::{IdRange, IdSet};

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

    pub fn about(mut self, tokens: impl IntoIterator<Item = Token>) -> Self {
        self.steps
            .extend(tokens.into_iter().map(|token| token.step));
        self
    }
}

/// So many of the first lost edits are named.
const FIRST: usize = 5;

/// What is compared in the end, and what has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// All replicas, a newcomer and the server end equal. Who survives brings what the server forgot.
    Equal,
    /// The server is killed in the end, nobody comes back, and only a newcomer looks: what did the server keep of what
    /// it acknowledged, or passed on to somebody?
    Durable,
}

/// Compares the replicas with each other and with what the ledgers say. The first print is the one that the ledgers are
/// held against.
pub fn check(prints: &[Print], people: &[&State], evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some((reference, others)) = prints.split_first() else {
        return findings;
    };
    findings.extend(
        others
            .iter()
            .filter_map(|print| reference.difference(print)),
    );
    for print in prints.iter().filter(|print| print.pending) {
        let what = format!("{} waits for something that never came", print.who);
        findings.push(Finding::new(Kind::Pending, what));
    }
    for state in people {
        let who = |what: &str| format!("client {}: {what}", state.number);
        let refused = state.refused.iter().take(3);
        findings.extend(refused.map(|why| Finding::new(Kind::Refused, who(why))));
        let broken = state.broken.iter().take(3);
        findings.extend(broken.map(|why| Finding::new(Kind::Broken, who(why))));
    }
    findings.extend(evidence.lost(reference));
    findings.extend(evidence.undeleted(reference));
    findings.extend(evidence.miscounted(reference));
    findings.extend(evidence.disordered(reference));
    findings
}

/// What the server alone kept of what it had promised, in numbers.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Kept {
    /// Edits that were acknowledged or reached another.
    pub promised: usize,
    /// Of these, edits of which something is missing.
    pub lost: usize,
    /// Milliseconds from the first lost edit to the kill.
    pub work_lost: u32,
    /// The steps of the first lost edits.
    pub first: Vec<u32>,
}

/// What has to be there.
pub struct Evidence<'a> {
    people: &'a [&'a State],
    by: Acknowledgement,
    required: IdSet,
    deleted: IdSet,
}

impl<'a> Evidence<'a> {
    /// What was promised; and where survivors bring what they have, all that is theirs.
    pub fn of(people: &'a [&'a State], by: Acknowledgement, verify: Verify) -> Self {
        let (mut required, mut deleted) = (IdSet::new(), IdSet::new());
        for state in people {
            let (structs, deletes) = state.ledger.promised(by);
            required.union(&structs);
            deleted.union(&deletes);
            if !state.dead && verify == Verify::Equal {
                required.union(&state.ledger.own);
                deleted.union(&reach(&state.doc).1);
            }
        }
        Self {
            people,
            by,
            required,
            deleted,
        }
    }

    /// Counts what is missing in what a newcomer found after a kill at this time, in milliseconds after the start.
    pub fn kept(&self, reference: &Print, killed_at: u32) -> Kept {
        let promised = |made: &&Made| made.is_in(&self.required, &self.deleted);
        let is_there = |made: &Made| {
            let deletes = &mut made.deletes.iter();
            made.structs.iter().all(|ids| reference.holds(*ids))
                && deletes.all(|ids| reference.deletes.contains(*ids))
        };
        let made = self.people.iter().flat_map(|state| &state.ledger.made);
        let promised: Vec<&Made> = made.filter(promised).collect();
        let mut lost: Vec<_> = promised.iter().filter(|made| !is_there(made)).collect();
        lost.sort_by_key(|made| made.at);
        Kept {
            promised: promised.len(),
            lost: lost.len(),
            work_lost: lost
                .first()
                .map_or(0, |made| killed_at.saturating_sub(made.at)),
            first: lost.iter().take(FIRST).map(|made| made.step).collect(),
        }
    }

    fn written(&self) -> impl Iterator<Item = &Written> {
        self.people
            .iter()
            .flat_map(|state| state.ledger.written.iter())
    }

    /// The first that was written comes first.
    fn lost(&self, reference: &Print) -> Vec<Finding> {
        let gone = |written: &&Written| {
            self.required.contains(written.ids) && !reference.holds(written.ids)
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
            // Edits without tokens: marks, and what was recorded.
            let people = self.people.iter();
            let made =
                people.flat_map(|state| state.ledger.made.iter().map(|made| (state.number, made)));
            let gone = made.filter(|(_, made)| {
                let is_gone =
                    |ids: &IdRange| self.required.contains(*ids) && !reference.holds(*ids);
                made.structs.iter().any(is_gone)
            });
            findings.extend(gone.map(|(client, made)| {
                let what = format!("what client {client} wrote in step {} is gone", made.step);
                let mut finding = Finding::new(Kind::Lost, what);
                finding.steps.push(made.step);
                finding
            }));
        }
        findings.sort_by_key(|finding| finding.steps.first().copied());
        findings
    }

    /// Who has had it.
    fn fate(&self, written: &Written) -> String {
        let words = |state: &&State| {
            let ledger = &state.ledger;
            if !ledger.own.contains(written.ids) {
                return ledger
                    .arrived
                    .contains(written.ids)
                    .then(|| format!("client {} received it", state.number));
            }
            let (structs, _) = ledger.acknowledged(self.by)?;
            structs
                .contains(written.ids)
                .then(|| "it was acknowledged".to_owned())
        };
        let words: Vec<_> = self.people.iter().filter_map(words).collect();
        match words.is_empty() {
            true => "nobody ever received it".to_owned(),
            false => words.join(", "),
        }
    }

    fn undeleted(&self, reference: &Print) -> Vec<Finding> {
        let mut findings = Vec::new();
        for mut range in self.deleted.iter() {
            // What is gone altogether is not back.
            range.end = range.end.min(reference.vector.get(range.client));
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
            let there = reference.holds(written.ids) && !reference.deletes.contains(written.ids);
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
    use yrs::{Doc, Text as _, Transact as _, updates::decoder::Decode as _};

    use super::*;
    use crate::{
        converge::{state::Shared, token},
        document::replica::doc_with,
    };

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
        let evidence = Evidence::of(&states, Acknowledgement::Echo, Verify::Equal);
        let findings = check(&[Print::of("reference", reference)], &states, &evidence);
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
        let contents = token::contents(&update, true).unwrap();
        state.ledger.wrote(contents, 0, 0);
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
        let writer = Shared::new(0, 7, None);
        let update = write(&writer, &A.to_string());
        assert_eq!(kinds(&replica_of(&[&update]), &[&writer]), []);
        assert_eq!(kinds(&replica_of(&[]), &[&writer]), [Kind::Lost]);
    }

    #[test]
    fn the_dead_may_take_along_what_nobody_received_and_nothing_else() {
        let (writer, other) = (Shared::new(0, 7, None), Shared::new(1, 8, None));
        let update = write(&writer, &A.to_string());
        writer.lock().dead = true;
        assert_eq!(kinds(&replica_of(&[]), &[&writer, &other]), []);
        let contents = token::contents(&update, false).unwrap();
        other.lock().ledger.received(&contents, 0);
        assert_eq!(kinds(&replica_of(&[]), &[&writer, &other]), [Kind::Lost]);
    }

    #[test]
    fn a_copy_that_nobody_made_is_a_duplicate() {
        let writer = Shared::new(0, 7, None);
        let update = write(&writer, &A.to_string());
        let stranger = Shared::new(1, 8, None);
        let copy = write(&stranger, &A.to_string());
        assert_eq!(
            kinds(&replica_of(&[&update, &copy]), &[&writer]),
            [Kind::Duplicated]
        );
    }

    #[test]
    fn what_was_deleted_for_somebody_stays_deleted() {
        let writer = Shared::new(0, 7, None);
        let update = write(&writer, &A.to_string());
        let contents = token::contents(&update, false).unwrap();
        let reference = replica_of(&[&update]);
        writer
            .lock()
            .ledger
            .arrived_deletes
            .extend(contents.structs);
        assert_eq!(kinds(&reference, &[&writer]), [Kind::Resurrected]);
    }

    #[test]
    fn the_order_in_which_something_was_written_is_kept() {
        let writer = Shared::new(0, 7, None);
        let update = write(&writer, &format!("{A}{B}"));
        let reference = replica_of(&[&update]);
        writer.lock().ledger.order.push(Before(A, B));
        assert_eq!(kinds(&reference, &[&writer]), []);
        writer.lock().ledger.order.push(Before(B, A));
        assert_eq!(kinds(&reference, &[&writer]), [Kind::Disordered]);
    }

    #[test]
    fn replicas_that_differ_are_named_with_the_first_token_that_does() {
        let writer = Shared::new(0, 7, None);
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

    #[test]
    fn of_what_the_server_alone_has_to_keep_only_promises_count() {
        let (writer, other) = (Shared::new(0, 7, None), Shared::new(1, 8, None));
        let update = write(&writer, &A.to_string());
        let contents = token::contents(&update, true).unwrap();
        let lost = |by| {
            let (writer, other) = (writer.lock(), other.lock());
            let people: [&State; 2] = [&writer, &other];
            let evidence = Evidence::of(&people, by, Verify::Durable);
            let nothing = Print::of("a newcomer", &replica_of(&[]));
            let kept = evidence.kept(&nothing, 900);
            assert_eq!(kept.lost, evidence.lost(&nothing).len());
            assert_eq!(
                evidence
                    .kept(&Print::of("", &replica_of(&[&update])), 900)
                    .lost,
                0
            );
            (kept.lost, kept.work_lost)
        };
        use Acknowledgement::{Echo, Nothing, Status};
        assert_eq!([Echo, Status, Nothing].map(lost), [(0, 0); 3]);
        writer.lock().ledger.received(&contents, 0);
        assert_eq!(
            [Echo, Status, Nothing].map(lost),
            [(1, 900), (0, 0), (0, 0)]
        );
        writer.lock().ledger.confirm(&contents);
        assert_eq!([Status, Nothing].map(lost), [(1, 900), (0, 0)]);
        other.lock().ledger.received(&contents, 0);
        assert_eq!(lost(Nothing), (1, 900));
    }

    #[test]
    fn a_deletion_that_is_lost_with_what_it_deleted_is_no_resurrection() {
        let writer = Shared::new(0, 7, None);
        let update = write(&writer, &A.to_string());
        let contents = token::contents(&update, false).unwrap();
        let mut state = writer.lock();
        state.ledger.arrived_deletes.extend(contents.structs);
        let people: [&State; 1] = [&state];
        let evidence = Evidence::of(&people, Acknowledgement::Echo, Verify::Durable);
        assert_eq!(evidence.undeleted(&Print::of("", &replica_of(&[]))), []);
    }
}
