//! Differences as HTML: a line that was written before is not compared again, and is still what it would be.

use std::{collections::HashSet, ops::Range, sync::Arc};

use coscribe::{
    converge::random::Random,
    document::{
        html::{self, Blocks},
        id::DocId,
        scan::ScanLimits,
    },
    history::{self, Part, VersionId},
    store::{Append, NewMark, NewRow, Store as _, memory::MemoryStore},
};
use yrs::{
    GetString as _, Text as _, Transact as _, TransactionMut, WriteTxn as _, XmlElementPrelim,
    XmlFragment as _, XmlFragmentRef, XmlOut, XmlTextPrelim, XmlTextRef,
};

use crate::{
    people::{self, edit_blocks},
    seeds,
};

/// A log of people who write blocks, and of restores.
struct Log {
    store: Arc<MemoryStore>,
    doc: DocId,
    people: people::History,
    stored: usize,
}

impl Log {
    fn new(seed: u64) -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            doc: DocId::parse("plan").unwrap(),
            people: people::History::new(seed, 3),
            stored: 0,
        }
    }

    fn head(&self) -> usize {
        self.people.rows.len()
    }

    fn history(&self) -> history::History {
        history::History::new(self.store.clone(), ScanLimits::default())
    }

    fn any(&mut self, range: Range<usize>) -> usize {
        range.start + self.people.random.index(range.len())
    }

    fn write(&mut self, edits: usize) {
        for _ in 0..edits {
            let author = self.people.hear_some();
            let people::History { people, random, .. } = &mut self.people;
            let mut txn = people[author].doc.transact_mut();
            let blocks = txn.get_or_insert_xml_fragment("default");
            match random.index(8) {
                0 | 1 => edit_blocks(&blocks, &mut txn, random, 0),
                2 => swap(&blocks, &mut txn, random),
                _ => type_or_add(&blocks, &mut txn, random),
            }
            let update = txn.encode_update_v1();
            drop(txn);
            self.people.push(update, author);
        }
    }

    async fn store(&mut self, mark: Option<NewMark>) {
        let rows = self.stored..self.head();
        let row = |at: usize| NewRow {
            bytes: self.people.rows[at].clone().into(),
            author: self.people.authors[at].to_string().into(),
            client_id: 7,
            // Some minutes apart now and then.
            at: 1_795_219_200_000 + (at * at) as i64 * 10_000,
        };
        let entry = Append {
            doc: self.doc.clone(),
            epoch: None,
            rows: rows.map(row).collect(),
            title: None,
            marks: mark.into_iter().map(|mark| (0, mark)).collect(),
            people: Vec::new(),
        };
        self.store.append(&[entry], 0).await.unwrap();
        self.stored = self.head();
    }

    async fn restore(&mut self) {
        self.store(None).await;
        let history = self.history();
        let turn = history.turn(&self.doc).unwrap();
        let version = VersionId::Moment(self.any(self.head() / 2..self.head()) as u64);
        let plan = history.plan(&turn, version, Part::All, "3".into(), 0).await;
        if let Some(edit) = plan.unwrap().edit {
            self.people.push(edit.update.to_vec(), 3);
            self.store(Some(edit.mark)).await;
        }
    }

    async fn difference(
        &self,
        history: &history::History,
        from: usize,
        to: usize,
        is_written: bool,
    ) -> Blocks {
        let [from, to] = [from, to].map(|seq| VersionId::Moment(seq as u64));
        let found = match is_written {
            true => history.changes_to_write(&self.doc, from, Some(to)).await,
            false => {
                let found = history.difference(&self.doc, from, Some(to)).await;
                found.map(|found| found.changes)
            }
        };
        let found = found.unwrap();
        let authors = found.authors.iter();
        let authors: Vec<_> = authors.map(|person| person.author.to_string()).collect();
        html::difference_in_blocks(&found.diff, &authors)
    }
}

fn text_of(blocks: &XmlFragmentRef, txn: &TransactionMut<'_>, at: u32) -> Option<XmlTextRef> {
    let XmlOut::Element(block) = blocks.get(txn, at)? else {
        return None;
    };
    match block.get(txn, 0)? {
        XmlOut::Text(text) => Some(text),
        _ => None,
    }
}

/// Writes the words of two blocks into each other, as an editor's binding may do when one is moved.
fn swap(blocks: &XmlFragmentRef, txn: &mut TransactionMut<'_>, random: &mut Random) {
    let at = random.index(blocks.len(txn).max(2) as usize - 1) as u32;
    let texts = [at, at + 1].map(|at| text_of(blocks, txn, at));
    if let [Some(one), Some(other)] = texts {
        let words = [&other, &one].map(|text| text.get_string(txn));
        for (text, words) in [one, other].into_iter().zip(words) {
            text.remove_range(txn, 0, text.len(txn));
            text.insert(txn, 0, &words);
        }
    }
}

fn type_or_add(blocks: &XmlFragmentRef, txn: &mut TransactionMut<'_>, random: &mut Random) {
    let len = blocks.len(txn);
    let at = random.index(len as usize + 1) as u32;
    match text_of(blocks, txn, at) {
        Some(text) if len > 20 || random.index(3) > 0 => {
            let words = format!("w{} ", random.index(1_000));
            text.push(txn, &words);
        }
        _ => {
            let words = format!("w{} and w{}", random.index(1_000), random.index(1_000));
            let text = [XmlTextPrelim::new(words).into()];
            blocks.insert(txn, at, XmlElementPrelim::new("paragraph", text));
        }
    }
}

#[tokio::test]
async fn a_difference_is_written_the_same_whatever_was_looked_at_before() {
    let mut reused = 0;

    for seed in seeds(10) {
        let mut log = Log::new(seed);
        for _ in 0..4 {
            log.write(25);
            log.restore().await;
        }
        log.write(25);
        log.store(None).await;
        let walked = log.history();
        let bases: Vec<usize> = (0..3).map(|_| log.any(0..log.head())).collect();
        let (mut from, mut at) = (0, 0);
        let mut before = Blocks::new();
        for _ in 0..120 {
            if log.any(0..8) == 0 {
                let base = log.any(0..bases.len() + 1);
                from = bases.get(base).copied().unwrap_or_default();
            }
            at = match log.any(0..10) {
                0 => log.any(0..log.head() + 1),
                1..3 => at.saturating_sub(log.any(1..5)),
                _ => (at + log.any(1..5)).min(log.head()),
            };
            let told = log.difference(&walked, from, at, true).await;
            let fresh = log.difference(&log.history(), from, at, false).await;
            assert_eq!(told, fresh, "seed {seed}, from {from} to {at}");
            let were: HashSet<_> = before.iter().map(Arc::as_ptr).collect();
            reused += told
                .iter()
                .filter(|block| were.contains(&Arc::as_ptr(block)))
                .count();
            before = told;
        }
    }
    assert!(reused > 1_000, "{reused}");
}
