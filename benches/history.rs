//! What the history costs in a document of 2,000 paragraphs that was written in 100,000 edits: a step of the scrubber from a moment to
//! one near by, and a moment that nobody was near to; each with and without the difference to an earlier one.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{Arc, Mutex},
};

use coscribe::document::{
    diff::diff, html, moment::Cursor, replica::doc_with, scan::ScanLimits, tree::Node,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use yrs::{
    GetString as _, Text as _, Transact as _, WriteTxn as _, XmlElementPrelim, XmlFragment as _,
    XmlTextPrelim, XmlTextRef,
};

const WRITER: u64 = 2_891_433_590;
const PARAGRAPHS: usize = 2_000;
const EDITS: usize = 100_000;
/// Edits that one step goes over: some seconds of writing.
const STEP: usize = 20;
/// Edits in a session, with whose beginning a moment is compared.
const SESSION: usize = 1_000;

/// The update of each edit. Somebody writes some words here, some there, and takes an eighth of it back.
fn written() -> Vec<Vec<u8>> {
    let doc = doc_with(WRITER);
    let updates = Arc::new(Mutex::new(Vec::with_capacity(EDITS + 1)));
    let log = updates.clone();
    doc.observe_update_v1("log", move |_, event| {
        log.lock().unwrap().push(event.update.clone());
    })
    .unwrap();
    let paragraphs: Vec<XmlTextRef> = {
        let mut txn = doc.transact_mut();
        let body = txn.get_or_insert_xml_fragment("default");
        let mut paragraph = || {
            let element = body.push_back(&mut txn, XmlElementPrelim::empty("paragraph"));
            element.push_back(&mut txn, XmlTextPrelim::new(""))
        };
        (0..PARAGRAPHS).map(|_| paragraph()).collect()
    };
    let mut random = StdRng::seed_from_u64(1);
    let mut place = (0, 0);
    for edit in 0..EDITS {
        let mut txn = doc.transact_mut();
        if edit % 40 == 0 {
            let paragraph = random.random_range(0..PARAGRAPHS);
            let len = paragraphs[paragraph].get_string(&txn).len() as u32;
            place = (paragraph, random.random_range(0..=len));
        }
        let (text, at) = (&paragraphs[place.0], &mut place.1);
        if edit % 8 == 7 && *at > 0 {
            text.remove_range(&mut txn, *at - 1, 1);
            *at -= 1;
        } else {
            let word = ["a", "n", "e ", "th"][random.random_range(0..4)];
            text.insert(&mut txn, *at, word);
            *at += word.len() as u32;
        }
    }
    let updates = updates.lock().unwrap();
    updates.clone()
}

/// Goes through the second half of the writing, again and again.
struct Scrubber<'u> {
    updates: &'u [&'u [u8]],
    limits: ScanLimits,
    at: usize,
    cursor: Cursor,
}

impl<'u> Scrubber<'u> {
    fn new(updates: &'u [&'u [u8]]) -> Self {
        let (limits, at) = (ScanLimits::default(), EDITS / 2);
        let mut cursor = Cursor::at(&updates[..at], &limits).unwrap();
        cursor.tree(&limits).unwrap();
        Self {
            updates,
            limits,
            at,
            cursor,
        }
    }

    fn advance(&mut self) {
        if self.at + STEP > self.updates.len() {
            *self = Self::new(self.updates);
        }
        let next = &self.updates[self.at..self.at + STEP];
        self.cursor.advance(next, &self.limits).unwrap();
        self.at += STEP;
    }

    fn step(&mut self) -> BTreeMap<String, Node> {
        self.advance();
        self.cursor.tree(&self.limits).unwrap()
    }
}

fn scrubber(c: &mut Criterion) {
    let limits = ScanLimits::default();
    let updates = written();
    let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
    let earlier = &updates[..EDITS / 2 - SESSION];
    let tree_at = |updates: &[&[u8]]| Cursor::at(updates, &limits).unwrap().tree(&limits).unwrap();
    let mut group = c.benchmark_group("100,000 edits in 2,000 paragraphs");
    group.sample_size(20);

    let mut scrubber = Scrubber::new(&updates);
    group.bench_function("20 edits", |b| b.iter(|| scrubber.advance()));
    group.bench_function("a step, read", |b| b.iter(|| scrubber.step()));
    group.bench_function("a step, as HTML", |b| {
        b.iter(|| html::state(&scrubber.step()));
    });
    let mut before = scrubber.step();
    group.bench_function("a step, with what changed", |b| {
        b.iter(|| {
            let after = scrubber.step();
            if scrubber.at % SESSION < STEP {
                before = after.clone();
            }
            html::difference(&diff(&before, &after), &[])
        });
    });

    group.bench_function("opened, read", |b| b.iter(|| tree_at(black_box(earlier))));
    let open = || (tree_at(earlier), tree_at(&updates[..EDITS / 2]));
    group.bench_function("opened, as HTML", |b| {
        b.iter_batched(
            || tree_at(earlier),
            |tree| html::state(&tree),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("opened, with what changed", |b| {
        let compare = |(before, after)| html::difference(&diff(&before, &after), &[]);
        b.iter_batched(open, compare, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, scrubber);
criterion_main!(benches);
