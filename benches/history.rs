//! What the history costs in a document of 2,000 paragraphs that was written in 100,000 edits: a step of the scrubber, and the
//! difference to an earlier moment.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{Arc, Mutex},
};

use coscribe::document::{
    diff::diff,
    html,
    moment::Cursor,
    replica::doc_with,
    scan::ScanLimits,
    tree::{self, Node},
};
use criterion::{Criterion, criterion_group, criterion_main};
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

fn tree_at(updates: &[&[u8]], limits: &ScanLimits) -> BTreeMap<String, Node> {
    let mut cursor = Cursor::at(updates, limits).unwrap();
    cursor.tree(limits).unwrap()
}

fn scrubber(c: &mut Criterion) {
    let limits = ScanLimits::default();
    let updates = written();
    let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
    let mut group = c.benchmark_group("100,000 edits in 2,000 paragraphs");
    group.sample_size(20);

    let start = EDITS / 2;
    let mut at = start;
    let mut cursor = Cursor::at(&updates[..at], &limits).unwrap();
    let mut step = || {
        if at + STEP > updates.len() {
            at = start;
            cursor = Cursor::at(&updates[..at], &limits).unwrap();
        }
        cursor.advance(&updates[at..at + STEP], &limits).unwrap();
        at += STEP;
    };
    group.bench_function("step", |b| b.iter(&mut step));

    let mut cursor = Cursor::at(&updates, &limits).unwrap();
    group.bench_function("moment as HTML", |b| {
        b.iter(|| html::state(&tree::roots(cursor.replica().doc().unwrap())));
    });
    group.bench_function("moment with ids", |b| {
        b.iter(|| cursor.tree(&limits).unwrap());
    });

    let before = tree_at(&updates[..updates.len() - SESSION], &limits);
    let after = cursor.tree(&limits).unwrap();
    group.bench_function("difference", |b| {
        b.iter(|| diff(black_box(&before), black_box(&after)));
    });
    let found = diff(&before, &after);
    group.bench_function("difference as HTML", |b| {
        b.iter(|| html::difference(black_box(&found), &[]));
    });
    group.finish();
}

criterion_group!(benches, scrubber);
criterion_main!(benches);
