//! Restoring over random histories: exact, small, and merging with what others do meanwhile.
//!
//! `COSCRIBE_SEEDS` sets how many histories each test takes, `COSCRIBE_FIRST_SEED` where it begins.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

#[path = "../yjs/blocking.rs"]
mod blocking;
mod brought_back;
#[path = "../yjs/driver.rs"]
mod driver;
mod people;
mod view;
mod written;
mod yjs;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use coscribe::document::{
    ids::Id,
    moment,
    moment::replay,
    provenance::Provenance,
    replica::{MAX_TYPE_DEPTH, STACK_BYTES, doc_with},
    restore::{RestoreError, Restored, Wanted, restore},
    scan::{ScanLimits, scan},
    tree::Node,
};
use people::{History, Letters, apply};
use view::view;
use yrs::{
    Any, Doc, GetString as _, Map as _, MapPrelim, MapRef, ReadTxn as _, Text as _, TextPrelim,
    TextRef, Transact as _, TransactionMut, WriteTxn as _, XmlElementPrelim, XmlFragment as _,
    XmlOut, XmlTextPrelim, XmlTextRef,
    branch::{Branch, BranchID},
};

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own settings are no configuration of the server"
)]
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name, default| {
        std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
    };
    let first = number("COSCRIBE_FIRST_SEED", 0);
    first..first + number("COSCRIBE_SEEDS", default)
}

fn restored(history: &History, wanted: Wanted<'_>, client: u32) -> Restored {
    let limits = ScanLimits::default();
    let restored = restore(&history.log(), &history.provenance, wanted, client, &limits).unwrap();
    scan(&restored.update, &limits).unwrap();
    restored
}

fn document(rows: &[Vec<u8>]) -> Doc {
    let doc = doc_with(0);
    rows.iter().for_each(|row| apply(&doc, row));
    doc
}

/// Restores and puts the update at the end of the log.
fn restore_into(history: &mut History, wanted: Wanted<'_>, client: u32) -> Restored {
    let restored = restored(history, wanted, client);
    history.push(restored.update.to_vec(), usize::MAX);
    history.provenance.add_origins(&restored.origins);
    restored
}

#[test]
fn every_version_comes_back_as_it_was_again_and_again() {
    for seed in seeds(60) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        history.write(50);
        for client in 0..5 {
            let version = history.random.index(history.rows.len() + 1);
            let expected = view(&document(&history.rows[..version]));
            let restored = restore_into(&mut history, Wanted::Version(version as u64), 1 + client);
            assert_eq!(
                view(&document(&history.rows)),
                expected,
                "version {version}"
            );
            assert!(restored.exact, "version {version}");
            let again = self::restored(&history, Wanted::Version(version as u64), 9);
            assert_eq!(&again.update[..], [0, 0], "nothing is left to restore");
            history.meet();
            history.write(5);
        }
    }
}

/// The texts that lie in blocks, by their ids.
fn texts(doc: &Doc) -> Vec<(BranchID, XmlTextRef)> {
    let body = doc.get_or_insert_xml_fragment("prosemirror");
    let txn = doc.transact();
    let nodes = body.successors(&txn);
    let texts = nodes.filter_map(|node| match node {
        XmlOut::Text(text) => Some((AsRef::<Branch>::as_ref(&text).id(), text)),
        _ => None,
    });
    texts.collect()
}

#[test]
fn what_others_type_meanwhile_into_what_stays_is_there_once() {
    let (mut typed, mut elsewhere) = (0, 0);
    for seed in seeds(100) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        history.write(60);
        history.meet();
        let before = document(&history.rows);
        let half = history.rows.len() / 2;
        let version = half + history.random.index(half);
        let past = document(&history.rows[..version]);
        let update = restored(&history, Wanted::Version(version as u64), 1).update;
        let stays: Vec<BranchID> = texts(&past).into_iter().map(|(id, _)| id).collect();

        let (mut meanwhile, mut tokens) = (Vec::new(), Vec::new());
        for (number, person) in history.people.iter().enumerate() {
            let there = texts(&person.doc);
            let Some((id, text)) = history.random.of(&there) else {
                continue;
            };
            let token = format!("<{number}!>");
            let mut txn = person.doc.transact_mut();
            let at = people::place(&people::letters(text, &txn), &mut history.random);
            text.insert(&mut txn, at, &token);
            meanwhile.push(txn.encode_update_v1());
            match stays.contains(id) {
                true => tokens.push(token),
                false => elsewhere += 1,
            }
        }
        typed += tokens.len();
        let [early, late] = [document(&history.rows), document(&history.rows)];
        apply(&early, &update);
        meanwhile.iter().for_each(|edit| apply(&early, edit));
        meanwhile.iter().for_each(|edit| apply(&late, edit));
        apply(&late, &update);
        assert_eq!(view(&early), view(&late), "every order ends in the same");
        let shown = view(&early);
        for token in tokens {
            let count = shown.matches(&token).count();
            assert_eq!(count, 1, "{token} in {shown} instead of {}", view(&before));
        }
        // All of them edit on, and agree.
        for person in &history.people {
            meanwhile.iter().for_each(|edit| apply(&person.doc, edit));
            apply(&person.doc, &update);
            assert_eq!(view(&person.doc), shown);
        }
    }
    println!("{typed} edits in texts that stayed, {elsewhere} in others");
    assert!(typed > elsewhere);
}

#[test]
fn a_restore_is_taken_back_by_another() {
    for seed in seeds(100) {
        println!("seed {seed}");
        let mut history = History::new(seed, 2);
        history.write(50);
        let before = view(&document(&history.rows));
        let last = history.rows.len() as u64;
        let version = history.random.below(last);
        restore_into(&mut history, Wanted::Version(version), 1);
        if history.rows.len() as u64 == last {
            continue;
        }
        let undone = restored(&history, Wanted::Undo(&[last + 1]), 2);
        let back = restored(&history, Wanted::Version(last), 2);
        for restored in [undone, back] {
            let doc = document(&history.rows);
            apply(&doc, &restored.update);
            assert_eq!(view(&doc), before);
            assert!(restored.exact);
        }
    }
}

#[test]
fn documents_read_from_stripped_snapshots_are_restored_too() {
    let limits = ScanLimits::default();
    for seed in seeds(60) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        history.write(40);
        history.meet();
        let snapshot = replay(&history.log(), &limits)
            .unwrap()
            .full_state()
            .unwrap();
        history.rows = vec![snapshot.to_vec()];
        history.provenance = Provenance::default();
        history
            .provenance
            .add(1, (&"0".into(), 0), &snapshot)
            .unwrap();
        history
            .people
            .iter_mut()
            .for_each(|person| person.heard = 1);
        history.write(20);
        for version in [1, history.rows.len() / 2] {
            let expected = view(&document(&history.rows[..version]));
            let restored = restored(&history, Wanted::Version(version as u64), 1);
            assert!(restored.exact);
            let doc = document(&history.rows);
            apply(&doc, &restored.update);
            assert_eq!(view(&doc), expected);
        }
    }
}

/// Every letter of every text, with the row that wrote it first.
fn writers(doc: &Doc, provenance: &Provenance) -> Vec<(char, Option<u64>)> {
    let row = |id| provenance.written(id).map(|source| source.row);
    let letters = letters(doc).into_iter();
    letters.map(|(letter, id)| (letter, row(id))).collect()
}

fn with_ids(doc: &Doc) -> BTreeMap<String, Node> {
    let none = yrs::StateVector::default();
    let state = doc.transact().encode_state_as_update_v1(&none);
    moment::tree(&[&state], &ScanLimits::default()).unwrap()
}

/// Every letter of every text, with its id.
fn letters(doc: &Doc) -> Vec<(char, Id)> {
    let mut found = Vec::new();
    with_ids(doc)
        .values()
        .for_each(|root| gather_letters(root, &mut found));
    found
}

fn gather_letters(node: &Node, found: &mut Vec<(char, Id)>) {
    match node {
        Node::Text(chunks) | Node::XmlText(chunks) => {
            for chunk in chunks {
                let (Node::Value(Any::String(text)), Some(first)) = (&chunk.insert, chunk.id)
                else {
                    gather_letters(&chunk.insert, found);
                    continue;
                };
                let mut id = first;
                for letter in text.chars() {
                    found.push((letter, id));
                    id.clock += letter.len_utf16() as u32;
                }
            }
        }
        Node::Map(entries) => entries
            .values()
            .for_each(|node| gather_letters(node, found)),
        Node::Array(items) | Node::Fragment(items) => {
            items.iter().for_each(|node| gather_letters(node, found));
        }
        Node::Element { children, .. } => {
            children.iter().for_each(|node| gather_letters(node, found));
        }
        _ => {}
    }
}

#[test]
fn restored_text_keeps_its_author_through_all_restores() {
    for seed in seeds(60) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        history.write(40);
        for client in 1..5 {
            let version = history.random.index(history.rows.len() + 1);
            let past = document(&history.rows[..version]);
            let expected = writers(&past, &history.provenance);
            restore_into(&mut history, Wanted::Version(version as u64), client);
            let doc = document(&history.rows);
            assert_eq!(writers(&doc, &history.provenance), expected);
            history.meet();
            history.write(4);
        }
    }
}

/// The letters that people wrote into one text and took out of it, each letter unique.
#[test]
fn taking_back_what_one_author_did_leaves_what_the_others_did() {
    for seed in seeds(100) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        let mut written: Vec<BTreeSet<char>> = vec![BTreeSet::new(); 3];
        let mut deleted = written.clone();
        let mut letters = (0x4e00..).filter_map(char::from_u32);
        for _ in 0..80 {
            let (author, change) = history.write_letters(&mut letters, 3);
            match change {
                Letters::Written(word) => written[author].extend(word),
                Letters::Deleted(gone) => deleted[author].extend(gone),
            }
        }
        let author = history.random.index(3);
        let others = |sets: &[BTreeSet<char>]| -> BTreeSet<char> {
            let others = sets.iter().enumerate().filter(|(of, _)| *of != author);
            others.flat_map(|(_, set)| set).copied().collect()
        };
        let expected: BTreeSet<char> = &others(&written) - &others(&deleted);
        let rows = history.rows_of(author);
        let restored = restored(&history, Wanted::Undo(&rows), 1);
        assert!(restored.exact);
        let doc = document(&history.rows);
        apply(&doc, &restored.update);
        let text = doc.get_or_insert_text("text").get_string(&doc.transact());
        assert_eq!(text.chars().collect::<BTreeSet<_>>(), expected);
        assert_eq!(text.chars().count(), expected.len(), "{text}");
        let sent: BTreeSet<char> = String::from_utf8_lossy(&restored.update)
            .chars()
            .filter(|letter| ('\u{4e00}'..'\u{9000}').contains(letter))
            .collect();
        assert!(
            sent.is_subset(&expected),
            "the update tells of deleted text"
        );
    }
}

#[test]
fn everything_taken_back_is_nothing_and_all_of_it_comes_back() {
    for seed in seeds(100) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        history.write(50);
        let before = view(&document(&history.rows));
        let all: Vec<u64> = (1..=history.rows.len() as u64).collect();
        restore_into(&mut history, Wanted::Undo(&all), 1);
        assert_eq!(view(&document(&history.rows)), "");
        let last = [history.rows.len() as u64];
        restore_into(&mut history, Wanted::Undo(&last), 2);
        assert_eq!(view(&document(&history.rows)), before);
        // The rows at the end of the log: what was before them, where nobody was late.
        let mut history = History::new(seed, 1);
        history.write(40);
        let from = history.random.index(history.rows.len());
        let rows: Vec<u64> = (from as u64 + 1..=history.rows.len() as u64).collect();
        let expected = view(&document(&history.rows[..from]));
        let back = restored(&history, Wanted::Undo(&rows), 1);
        let doc = document(&history.rows);
        apply(&doc, &back.update);
        assert_eq!(view(&doc), expected);
        // The same where one comes after them that stays.
        history.write_aside("stays");
        restore_into(&mut history, Wanted::Undo(&rows), 1);
        let expected = expected + "zz: \"stays\"\n";
        assert_eq!(view(&document(&history.rows)), expected);
    }
}

#[test]
fn a_value_under_a_key_gives_way_to_the_one_before_it() {
    let mut history = History::new(0, 1);
    let doc = doc_with(5);
    let map = doc.get_or_insert_map("map");
    type Step = fn(&MapRef, &mut TransactionMut<'_>);
    let steps: [Step; 5] = [
        |map, txn| {
            map.insert(txn, "k", "one");
        },
        |map, txn| {
            map.insert(txn, "k", TextPrelim::new("two"));
        },
        |map, txn| {
            map.insert(txn, "k", "three");
        },
        |map, txn| drop(map.remove(txn, "k")),
        |map, txn| {
            map.insert(txn, "k", "five");
        },
    ];
    for step in steps {
        let mut txn = doc.transact_mut();
        step(&map, &mut txn);
        history.push(txn.encode_update_v1(), 0);
    }
    let cases: [(&[u64], &str); 8] = [
        (&[5], ""),
        (&[4, 5], "map: {k=(\"three\") }\n"),
        (&[3, 4, 5], "map: {k=\"two\" }\n"),
        (&[2, 3, 4, 5], "map: {k=(\"one\") }\n"),
        (&[1, 2, 3, 4, 5], ""),
        (&[1, 2, 3, 4], "map: {k=(\"five\") }\n"),
        // The fourth took away the third, and did not see the second.
        (&[3, 5], "map: {k=\"two\" }\n"),
        (&[1, 3], "map: {k=(\"five\") }\n"),
    ];
    for (rows, expected) in cases {
        let restored = restored(&history, Wanted::Undo(rows), 1);
        let doc = document(&history.rows);
        apply(&doc, &restored.update);
        assert_eq!(view(&doc), expected, "without {rows:?}");
    }
}

#[test]
fn one_block_comes_back_and_nothing_else_changes() {
    for seed in seeds(60) {
        println!("seed {seed}");
        let mut history = History::new(seed, 2);
        history.write(50);
        let version = 1 + history.random.index(history.rows.len());
        let past = blocks(&document(&history.rows[..version]));
        let Some((id, expected)) = history.random.of(&past) else {
            continue;
        };
        let wanted = Wanted::Block {
            version: version as u64,
            id: *id,
        };
        let restored = restored(&history, wanted, 1);
        assert!(restored.exact);
        let doc = document(&history.rows);
        let mut old = blocks(&doc);
        apply(&doc, &restored.update);
        let mut new = blocks(&doc);
        if new == old {
            // It is there as it was, perhaps under another id.
            assert!(old.iter().any(|(_, block)| block == expected));
            continue;
        }
        let is_new = |(id, _): &_| !old.iter().any(|(other, _)| other == id);
        let place = new.iter().position(|(other, _)| other == id);
        let place = place.or_else(|| new.iter().position(is_new));
        let (_, block) = new.remove(place.expect("the block is there"));
        assert_eq!(block, *expected);
        old.retain(|(other, _)| other != id);
        assert_eq!(new, old);
        // Whoever brings it back once more has it once.
        history.rows.push(restored.update.to_vec());
        let again = self::restored(&history, wanted, 2);
        let contents = |doc: &Doc| -> Vec<String> {
            let blocks = blocks(doc).into_iter();
            blocks.map(|(_, content)| content).collect()
        };
        let once = contents(&doc);
        apply(&doc, &again.update);
        assert_eq!(contents(&doc), once);
    }
}

/// The blocks directly in the body.
fn blocks(doc: &Doc) -> Vec<(Id, String)> {
    let Some(Node::Fragment(blocks)) = with_ids(doc).remove("prosemirror") else {
        return Vec::new();
    };
    let blocks = blocks.into_iter().map(|block| match &*block {
        Node::Element { id: Some(id), .. } => (*id, view::node(&block)),
        other => panic!("{other:?}"),
    });
    blocks.collect()
}

/// A hundred thousand words, in paragraphs and in one text.
#[test]
fn one_changed_word_of_a_hundred_thousand_costs_less_than_a_kilobyte() {
    let mut history = History::new(0, 1);
    let doc = doc_with(5);
    let body = doc.get_or_insert_xml_fragment("prosemirror");
    let text = doc.get_or_insert_text("text");
    let words = "words and more of them, ".repeat(20);
    let mut txn = doc.transact_mut();
    let paragraphs: Vec<XmlTextRef> = (0..1_000)
        .map(|at| {
            let paragraph = body.insert(&mut txn, at, XmlElementPrelim::empty("paragraph"));
            paragraph.insert(&mut txn, 0, XmlTextPrelim::new(&*words))
        })
        .collect();
    text.insert(&mut txn, 0, &words.repeat(1_000));
    history.push(txn.encode_update_v1(), 0);
    drop(txn);
    let expected = view(&doc);
    for row in 2..6 {
        let mut txn = doc.transact_mut();
        let at = paragraphs[row * 150].get_string(&txn).len() as u32 / 2;
        paragraphs[row * 150].remove_range(&mut txn, at, 5);
        paragraphs[row * 150].insert(&mut txn, at, "other");
        text.remove_range(&mut txn, row as u32 * 40_000, 4);
        text.insert(&mut txn, row as u32 * 40_000, "another");
        history.push(txn.encode_update_v1(), 0);
        drop(txn);
        let restored = restore_into(&mut history, Wanted::Version(1), row as u32);
        println!("{} bytes", restored.update.len());
        assert!(
            restored.update.len() < 300,
            "{} bytes",
            restored.update.len()
        );
        apply(&doc, &restored.update);
        assert_eq!(view(&doc), expected);
    }
}

#[test]
fn what_nests_as_deep_as_a_document_may_is_restored() {
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    let restoring = thread.spawn(restores_what_nests_deep).unwrap();
    restoring.join().unwrap();
}

fn restores_what_nests_deep() {
    let mut history = History::new(0, 1);
    let doc = doc_with(5);
    let mut map = doc.get_or_insert_map("map");
    let mut txn = doc.transact_mut();
    for _ in 0..MAX_TYPE_DEPTH - 1 {
        map = map.insert(&mut txn, "in", MapPrelim::default());
    }
    map.insert(&mut txn, "k", "treasure");
    history.push(txn.encode_update_v1(), 0);
    drop(txn);
    let expected = view(&doc);
    let mut txn = doc.transact_mut();
    txn.get_or_insert_map("map").remove(&mut txn, "in");
    history.push(txn.encode_update_v1(), 0);
    drop(txn);
    let restored = restored(&history, Wanted::Version(1), 1);
    assert!(restored.exact);
    apply(&doc, &restored.update);
    assert_eq!(view(&doc), expected);
}

/// A text that holds a string as an embedded value, which reads as text but is one unit long.
#[test]
fn a_text_whose_places_are_not_what_they_seem_is_written_anew() {
    let mut history = History::new(0, 1);
    let doc = doc_with(5);
    let text = doc.get_or_insert_text("text");
    let steps: [fn(&TextRef, &mut TransactionMut<'_>); 3] = [
        |text, txn| text.insert(txn, 0, "before 🦀 after"),
        |text, txn| {
            text.insert_embed(txn, 3, Any::from("a string"));
        },
        |text, txn| text.remove_range(txn, 1, 6),
    ];
    let mut views = Vec::new();
    for step in steps {
        let mut txn = doc.transact_mut();
        step(&text, &mut txn);
        history.push(txn.encode_update_v1(), 0);
        drop(txn);
        views.push(view(&doc));
    }
    for (version, expected) in (1..).zip(&views).take(2) {
        let restored = restored(&history, Wanted::Version(version), 1);
        let doc = document(&history.rows);
        apply(&doc, &restored.update);
        assert_eq!(view(&doc), *expected);
    }
}

#[test]
fn what_can_not_be_restored_is_told() {
    let mut history = History::new(1, 1);
    history.write(5);
    let limits = ScanLimits::default();
    let ask = |wanted| restore(&history.log(), &history.provenance, wanted, 1, &limits);
    let rows = history.rows.len() as u64;
    let beyond = [1, rows + 1];
    for wanted in [
        Wanted::Version(rows + 1),
        Wanted::Undo(&beyond),
        Wanted::Undo(&[0]),
    ] {
        let error = ask(wanted).unwrap_err();
        assert!(
            matches!(error, RestoreError::NoRow { rows: of, .. } if of == rows),
            "{error}"
        );
    }
    assert!(matches!(
        ask(Wanted::Undo(&[2, 1])),
        Err(RestoreError::Order)
    ));
    let nowhere = Wanted::Block {
        version: rows,
        id: Id::new(77, 7),
    };
    assert!(matches!(ask(nowhere), Err(RestoreError::NoBlock)));
    let log = history.log();
    let error = restore(
        &log[1..],
        &history.provenance,
        Wanted::Version(1),
        1,
        &limits,
    );
    assert!(matches!(error, Err(RestoreError::Rows(_))));
}
