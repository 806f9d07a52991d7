//! Recorded histories of people who wrote one text at the same time, made into the edits of simulated people.
//!
//! The format is that of the concurrent traces of <https://github.com/josephg/editing-traces>: JSON, gzipped or not, with
//! `numAgents`, `endContent` and `txns`, each with its `parents` (numbers of the transactions that it follows), its
//! `agent` and its `patches` `[position, deleted, inserted]`, one after the other, in Unicode characters. A transaction
//! applies to the merge of its parents.

use std::io::Read as _;

use yrs::{
    Doc, GetString as _, ReadTxn as _, Text as _, TextRef, Transact as _, Update,
    updates::{decoder::Decode as _, encoder::Encode as _},
};

use super::plan::Workload;
use crate::document::{replica::doc_with, state_vector::StateVector};

const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What a history may unpack to, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// Why a history can not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("it can not be unpacked: {0}")]
    Gzip(#[source] std::io::Error),
    #[error(
        "it is no concurrent history: {0}; one has numAgents, endContent and txns with parents, agent and patches"
    )]
    Json(#[from] serde_json::Error),
    #[error("it has {0} agents; from 1 to 200 can be replayed")]
    Agents(usize),
    #[error("transaction {number}: {problem}")]
    Transaction { number: usize, problem: String },
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    num_agents: usize,
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Debug, serde::Deserialize)]
struct Transaction {
    parents: Vec<usize>,
    agent: usize,
    patches: Vec<(u32, u32, String)>,
}

/// One recorded transaction as a person of a plan makes it.
#[derive(Debug)]
pub struct Recorded {
    pub agent: u16,
    pub parents: Vec<usize>,
    /// What the person has to have seen.
    pub needs: StateVector,
    pub update: Vec<u8>,
}

/// A history as updates of Yjs clients.
#[derive(Debug)]
pub struct Recording {
    pub agents: u16,
    pub transactions: Vec<Recorded>,
    /// The text in the end; absent when only a part is replayed.
    pub end: Option<String>,
}

impl Recording {
    /// Reads the first `limit` transactions of a history, whose agents write with these client ids.
    pub fn read(
        bytes: &[u8],
        limit: Option<usize>,
        client_id: impl Fn(u16) -> u64,
    ) -> Result<Self, HistoryError> {
        let mut history: History = if bytes.starts_with(&GZIP) {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(bytes)
                .take(MOST_BYTES)
                .read_to_end(&mut text)
                .map_err(HistoryError::Gzip)?;
            serde_json::from_slice(&text)?
        } else {
            serde_json::from_slice(bytes)?
        };
        if !(1..=200).contains(&history.num_agents) {
            return Err(HistoryError::Agents(history.num_agents));
        }
        let agents = history.num_agents as u16;
        let whole = limit.is_none_or(|limit| limit >= history.txns.len());
        history.txns.truncate(limit.unwrap_or(usize::MAX));
        let is_wide = |txn: &Transaction| {
            let mut letters = txn.patches.iter().flat_map(|patch| patch.2.chars());
            letters.any(|letter| letter.len_utf16() > 1)
        };
        let mut scribe = Scribe {
            writers: (0..agents)
                .map(|number| Writer::new(client_id(number)))
                .collect(),
            transactions: Vec::with_capacity(history.txns.len()),
            wide: history.txns.iter().any(is_wide),
        };
        for (number, transaction) in history.txns.into_iter().enumerate() {
            scribe
                .add(transaction)
                .map_err(|problem| HistoryError::Transaction { number, problem })?;
        }
        Ok(Self {
            agents,
            transactions: scribe.transactions,
            end: whole.then_some(history.end_content),
        })
    }

    /// Which of these transactions have all that they follow among them.
    pub fn closed(&self, chosen: impl IntoIterator<Item = u32>) -> Vec<bool> {
        let mut present = vec![false; self.transactions.len()];
        for number in chosen {
            if let Some(present) = present.get_mut(number as usize) {
                *present = true;
            }
        }
        for (number, transaction) in self.transactions.iter().enumerate() {
            // Parents come first, so theirs is decided.
            let parents = &mut transaction.parents.iter();
            let complete = parents.all(|parent| present.get(*parent) == Some(&true));
            if let Some(present) = present.get_mut(number) {
                *present &= complete;
            }
        }
        present
    }
}

/// One agent's replica while the history is read.
struct Writer {
    doc: Doc,
    text: TextRef,
    known: Vec<bool>,
    last: Option<usize>,
}

impl Writer {
    fn new(client: u64) -> Self {
        let doc = doc_with(client);
        Self {
            text: doc.get_or_insert_text(Workload::Text.name()),
            doc,
            known: Vec::new(),
            last: None,
        }
    }

    fn knows(&self, number: usize) -> bool {
        self.known.get(number) == Some(&true)
    }

    fn learns(&mut self, number: usize) {
        if self.known.len() <= number {
            self.known.resize(number + 1, false);
        }
        if let Some(known) = self.known.get_mut(number) {
            *known = true;
        }
    }

    /// A place in characters as one in UTF-16 units.
    fn units(&self, characters: u32) -> u32 {
        let text = self.text.get_string(&self.doc.transact());
        let units = text.chars().take(characters as usize).map(char::len_utf16);
        units.sum::<usize>() as u32
    }
}

struct Scribe {
    writers: Vec<Writer>,
    transactions: Vec<Recorded>,
    /// Some characters are two UTF-16 units.
    wide: bool,
}

impl Scribe {
    fn add(&mut self, transaction: Transaction) -> Result<(), String> {
        let number = self.transactions.len();
        let Transaction {
            parents,
            agent,
            patches,
        } = transaction;
        if parents.iter().any(|parent| *parent >= number) {
            return Err("it follows a later one".to_owned());
        }
        let last = self
            .writers
            .get(agent)
            .ok_or_else(|| format!("there is no agent {agent}"))?
            .last;
        if last.is_some_and(|last| !self.follows(&parents, last)) {
            return Err("it does not follow what the same agent did before".to_owned());
        }
        self.merge(agent, &parents)?;
        let writer = self.writers.get_mut(agent).ok_or("no such agent")?;
        let vector = writer.doc.transact().state_vector().encode_v1();
        let needs = StateVector::decode(&vector, usize::MAX).map_err(|error| error.to_string())?;
        let mut whole = Vec::new();
        for (place, deleted, inserted) in patches {
            whole.push(self.patch(agent, place, deleted, &inserted)?);
        }
        let update = yrs::merge_updates_v1(&whole).map_err(|error| error.to_string())?;
        let writer = self.writers.get_mut(agent).ok_or("no such agent")?;
        writer.learns(number);
        writer.last = Some(number);
        self.transactions.push(Recorded {
            agent: agent as u16,
            parents,
            needs,
            update,
        });
        Ok(())
    }

    /// Whether `last` is among these or what they follow.
    fn follows(&self, parents: &[usize], last: usize) -> bool {
        let mut open = parents.to_vec();
        let mut seen = std::collections::HashSet::new();
        while let Some(number) = open.pop() {
            if number == last {
                return true;
            }
            if number > last && seen.insert(number) {
                let transaction = self.transactions.get(number);
                open.extend(transaction.iter().flat_map(|one| &one.parents));
            }
        }
        false
    }

    /// Brings an agent what it has seen by then.
    fn merge(&mut self, agent: usize, parents: &[usize]) -> Result<(), String> {
        let writer = self.writers.get_mut(agent).ok_or("no such agent")?;
        let mut open = parents.to_vec();
        let mut new = Vec::new();
        while let Some(number) = open.pop() {
            if writer.knows(number) {
                continue;
            }
            writer.learns(number);
            new.push(number);
            let transaction = self.transactions.get(number);
            open.extend(transaction.iter().flat_map(|one| &one.parents));
        }
        new.sort_unstable();
        for transaction in new
            .iter()
            .filter_map(|number| self.transactions.get(*number))
        {
            let update =
                Update::decode_v1(&transaction.update).map_err(|error| error.to_string())?;
            let applied = writer.doc.transact_mut().apply_update(update);
            applied.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn patch(
        &mut self,
        agent: usize,
        place: u32,
        deleted: u32,
        inserted: &str,
    ) -> Result<Vec<u8>, String> {
        let writer = self.writers.get_mut(agent).ok_or("no such agent")?;
        let (start, end) = match self.wide {
            true => (
                writer.units(place),
                writer.units(place.saturating_add(deleted)),
            ),
            false => (place, place.saturating_add(deleted)),
        };
        let mut txn = writer.doc.transact_mut();
        let length = writer.text.len(&txn);
        if end > length {
            return Err(format!("place {end} is beyond the text of {length}"));
        }
        if end > start {
            writer.text.remove_range(&mut txn, start, end - start);
        }
        if !inserted.is_empty() {
            writer.text.insert(&mut txn, start, inserted);
        }
        Ok(txn.encode_update_v1())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two people: `0` writes, both go on at the same time, and `1` merges.
    const SMALL: &str = r#"{"kind": "concurrent", "numAgents": 2, "endContent": "A😀 b! c", "txns": [
        {"parents": [], "agent": 0, "patches": [[0, 0, "a😀 b"]]},
        {"parents": [0], "agent": 1, "patches": [[4, 0, " c"]]},
        {"parents": [0], "agent": 0, "patches": [[0, 1, "A"]]},
        {"parents": [1, 2], "agent": 1, "patches": [[4, 0, "!"]]}
    ]}"#;

    fn read(text: &str) -> Result<Recording, HistoryError> {
        Recording::read(text.as_bytes(), None, |number| 1 + u64::from(number))
    }

    fn text_of(recording: &Recording) -> String {
        let doc = doc_with(9);
        let text = doc.get_or_insert_text(Workload::Text.name());
        for transaction in &recording.transactions {
            let update = Update::decode_v1(&transaction.update).unwrap();
            doc.transact_mut().apply_update(update).unwrap();
        }
        text.get_string(&doc.transact())
    }

    #[test]
    fn a_history_ends_in_its_text_and_each_edit_needs_what_its_writer_had_seen() {
        let recording = read(SMALL).unwrap();
        assert_eq!(Some(text_of(&recording)), recording.end);
        let needs = |number: usize| {
            let needs = &recording.transactions[number].needs;
            (needs.get(1), needs.get(2))
        };
        assert_eq!([0, 1, 2, 3].map(needs), [(0, 0), (5, 0), (5, 0), (6, 2)]);
        let part = Recording::read(SMALL.as_bytes(), Some(3), |number| 1 + u64::from(number));
        assert_eq!(part.unwrap().end, None);
    }

    #[test]
    fn what_follows_something_that_is_left_out_is_left_out() {
        let recording = read(SMALL).unwrap();
        assert_eq!(recording.closed([0, 1, 3]), [true, true, false, false]);
        assert_eq!(recording.closed([1, 2, 3]), [false; 4]);
    }

    #[test]
    fn what_is_no_history_is_named() {
        let problem = |text: &str| read(text).unwrap_err().to_string();
        assert!(problem("{}").contains("numAgents"));
        let one = |txn: &str| format!(r#"{{"numAgents": 1, "endContent": "", "txns": [{txn}]}}"#);
        let txn = r#"{"parents": [], "agent": 0, "patches": [[0, 0, "a"]]}"#;
        assert!(problem(&one(&txn.replace("[]", "[3]"))).contains("later"));
        assert!(problem(&one(&txn.replace("0, \"p", "1, \"p"))).contains("agent 1"));
        assert!(problem(&one(&txn.replace("[0,", "[7,"))).contains("beyond"));
        assert!(problem(&one(&format!("{txn}, {txn}"))).contains("same agent"));
    }

    #[test]
    fn a_gzipped_history_is_unpacked() {
        use std::io::Write as _;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(SMALL.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let recording = Recording::read(&packed, None, |number| 1 + u64::from(number)).unwrap();
        assert_eq!(recording.transactions.len(), 4);
    }
}
