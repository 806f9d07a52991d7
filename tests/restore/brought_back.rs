//! What was brought back is the same as what was deleted: who takes something back later meets it once.

use std::collections::{BTreeMap, BTreeSet};

use coscribe::document::{
    diff::{Block, Change, diff_with},
    keys::Holder,
    restore::Wanted,
};
use yrs::{
    GetString as _, Map as _, Text as _, Transact as _, TransactionMut, WriteTxn as _, Xml as _,
    XmlElementPrelim, XmlElementRef, XmlFragment as _, XmlOut, XmlTextPrelim,
};

use super::{
    document, letters,
    people::{History, Letters, apply},
    restore_into, restored, seeds,
    view::view,
    with_ids,
};

/// What became of a letter: the row that wrote it or brought it back, and the rows that deleted it then.
type Lives = Vec<(u64, BTreeSet<u64>)>;

/// Whether a letter is there without some rows: it was written, and since it was last written or brought back no row that
/// stays deleted it.
fn is_there(lives: &Lives, undone: &[u64]) -> bool {
    let stays = |row: &u64| !undone.contains(row);
    let last = lives.iter().rposition(|(row, _)| stays(row));
    let written = lives.first().is_some_and(|(row, _)| stays(row));
    written
        && last.is_some_and(|last| {
            !lives[last..]
                .iter()
                .any(|(_, deleted)| deleted.iter().any(stays))
        })
}

fn text_of(history: &History) -> Vec<char> {
    let doc = document(&history.rows);
    let text = doc.get_or_insert_text("text");
    text.get_string(&doc.transact()).chars().collect()
}

#[test]
fn letters_are_there_once_whatever_was_brought_back_and_is_taken_back() {
    let (mut taken_back, mut brought_back) = (0, 0);
    for seed in seeds(150) {
        println!("seed {seed}");
        let mut history = History::new(seed, 3);
        let mut letters: BTreeMap<char, Lives> = BTreeMap::new();
        let mut new = (0x4e00..).filter_map(char::from_u32);
        for step in 0..90 {
            let row = history.rows.len() as u64 + 1;
            if step % 15 == 14 {
                let before = text_of(&history);
                let undone = match history.random.index(3) {
                    0 => None,
                    1 => Some(history.rows_of(0)),
                    _ => {
                        let rows = 1..row;
                        Some(rows.filter(|_| history.random.index(3) == 0).collect())
                    }
                };
                let version = history.random.below(row);
                let wanted = match &undone {
                    Some(undone) => Wanted::Undo(undone),
                    None => Wanted::Version(version),
                };
                let doc = document(&history.rows[..version as usize]);
                let past = doc.get_or_insert_text("text").get_string(&doc.transact());
                let restored = restore_into(&mut history, wanted, step);
                assert!(restored.origins.has_copies || restored.update[..] == [0, 0]);
                let after = text_of(&history);
                let expected: BTreeSet<char> = match &undone {
                    None => past.chars().collect(),
                    Some(undone) => {
                        taken_back += 1;
                        let all = letters.iter();
                        all.filter(|(_, lives)| is_there(lives, undone))
                            .map(|(letter, _)| *letter)
                            .collect()
                    }
                };
                let shown: BTreeSet<char> = after.iter().copied().collect();
                assert_eq!(shown, expected, "without {undone:?}");
                assert_eq!(after.len(), shown.len(), "once: {after:?}");
                // A letter that has to stand elsewhere is deleted there and written here.
                let sent = String::from_utf8_lossy(&restored.update);
                let is_moved = |letter: &&char| shown.contains(*letter) && sent.contains(**letter);
                let moved: Vec<char> = before.iter().filter(is_moved).copied().collect();
                for letter in moved {
                    let lives = letters.get_mut(&letter).unwrap();
                    lives.last_mut().unwrap().1.insert(row);
                    lives.push((row, BTreeSet::new()));
                }
                for letter in before.iter().filter(|letter| !shown.contains(letter)) {
                    letters
                        .get_mut(letter)
                        .unwrap()
                        .last_mut()
                        .unwrap()
                        .1
                        .insert(row);
                }
                for letter in after.iter().filter(|letter| !before.contains(letter)) {
                    brought_back += 1;
                    letters
                        .get_mut(letter)
                        .unwrap()
                        .push((row, BTreeSet::new()));
                }
                // Letters of one word stay in their order.
                for word in
                    after.chunk_by(|a, b| (*a as u32 - 0x4e00) / 3 == (*b as u32 - 0x4e00) / 3)
                {
                    assert!(word.is_sorted(), "{word:?} in {after:?}");
                }
                history.meet();
                continue;
            }
            match history.write_letters(&mut new, 2).1 {
                Letters::Written(word) => letters.extend(
                    word.into_iter()
                        .map(|letter| (letter, vec![(row, BTreeSet::new())])),
                ),
                Letters::Deleted(gone) => {
                    for letter in gone {
                        let lives = letters.get_mut(&letter).unwrap();
                        lives.last_mut().unwrap().1.insert(row);
                    }
                }
            }
            // Nobody is late when something is brought back.
            if step % 15 == 13 {
                history.meet();
            }
        }
    }
    println!("{taken_back} taken back, {brought_back} letters brought back");
    assert!(brought_back > taken_back);
}

/// No letter is there twice: as it was written and as it was brought back, or as it was brought back by two.
fn nothing_is_there_twice(history: &History) {
    let doc = document(&history.rows);
    let mut seen = BTreeSet::new();
    for (_, id) in letters(&doc) {
        let original = history.provenance.original(id);
        assert!(
            seen.insert(original),
            "{id:?} is a copy of {original:?}, which is there: {}",
            view(&doc)
        );
    }
}

/// What a view tells of each root, whatever the order of it, and without marks.
fn contents(view: &str) -> BTreeMap<&str, Vec<char>> {
    let root = |line| {
        let (name, content): (&str, &str) = str::split_once(line, ": ").unwrap();
        let pieces = content
            .split('|')
            .filter(|piece| !piece.starts_with('{') || piece.contains('='));
        let mut letters: Vec<char> = pieces.flat_map(str::chars).collect();
        letters.sort_unstable();
        (name, letters)
    };
    view.lines().map(root).collect()
}

/// What is taken back is what these rows did, all of it and nothing else, also where some of them brought something back, or
/// something of it was brought back since.
#[test]
fn documents_with_restores_in_them_are_taken_back_too() {
    for seed in seeds(100) {
        println!("seed {seed}");
        let mut history = History::new(seed, 1);
        for client in 0..5 {
            history.write(15);
            let last = history.rows.len() as u64;
            let from = history.random.below(last);
            let rows: Vec<u64> = (from + 1..=last)
                .filter(|_| history.random.index(2) == 0)
                .collect();
            let wanted = match history.random.index(2) {
                0 => Wanted::Version(from),
                _ => Wanted::Undo(&rows),
            };
            let restored = restore_into(&mut history, wanted, 1 + client);
            assert!(restored.exact);
            nothing_is_there_twice(&history);
            assert!(restored.origins.has_copies || restored.update[..] == [0, 0]);
            history.meet();
            let nothing = self::restored(&history, Wanted::Undo(&[]), 90);
            assert_eq!(nothing.update[..], [0, 0], "nothing was taken back");
        }
        let last = history.rows.len() as u64;
        let from = history.random.below(last);
        let rows: Vec<u64> = (from + 1..=last).collect();
        let before = view(&document(&history.rows[..from as usize]));
        history.write_aside("stays");
        let now = view(&document(&history.rows));
        let last = history.rows.len() as u64;
        restore_into(&mut history, Wanted::Undo(&rows), 91);
        let expected = before + "zz: \"stays\"\n";
        let without = view(&document(&history.rows));
        assert_eq!(
            contents(&without),
            contents(&expected),
            "without all from {from} on"
        );
        if history.rows.len() as u64 > last {
            // Taken back itself, with an edit that stays after it.
            history.write_aside("it ");
            restore_into(&mut history, Wanted::Undo(&[last + 1]), 92);
            let back = view(&document(&history.rows));
            let now = now.replace("\"stays\"", "\"it stays\"");
            assert_eq!(contents(&back), contents(&now), "with all of it again");
        }
    }
}

/// What rows that are taken back did not touch stays as it is, to the last mark.
#[test]
fn what_is_not_taken_back_stays_as_it_is() {
    let mut compared = 0;
    for seed in seeds(100) {
        println!("seed {seed}");
        let mut history = History::new(seed, 2);
        let mut views: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
        let roots = |doc: &yrs::Doc| -> BTreeMap<String, String> {
            let view = view(doc);
            let roots = view.lines().map(|line| line.split_once(": ").unwrap());
            roots.map(|(name, of)| (name.into(), of.into())).collect()
        };
        for client in 0..6 {
            for _ in 0..12 {
                history.meet();
                history.write(1);
                views.resize(history.rows.len(), views.last().unwrap().clone());
                views.push(roots(&document(&history.rows)));
                views.truncate(history.rows.len() + 1);
            }
            let last = history.rows.len() as u64;
            let rows: Vec<u64> = (1..=last)
                .filter(|_| history.random.index(6) == 0)
                .collect();
            restore_into(&mut history, Wanted::Undo(&rows), 1 + client);
            let after = roots(&document(&history.rows));
            for (name, content) in &views[last as usize] {
                let same = |row: &&u64| {
                    views[**row as usize].get(name) == views[**row as usize - 1].get(name)
                };
                if rows.iter().filter(same).count() == rows.len() {
                    compared += 1;
                    assert_eq!(after.get(name), Some(content), "without {rows:?}");
                }
            }
            if history.rows.len() as u64 > last {
                views.push(after);
            }
        }
    }
    println!("{compared} roots were not touched");
    assert!(compared > 0);
}

fn first_block(txn: &mut TransactionMut<'_>) -> XmlElementRef {
    let body = txn.get_or_insert_xml_fragment("prosemirror");
    match body.get(txn, 0) {
        Some(XmlOut::Element(element)) => element,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_block_that_was_brought_back_is_itself() {
    let mut history = History::new(0, 1);
    history.write_as(0, |txn| {
        let body = txn.get_or_insert_xml_fragment("prosemirror");
        for words in ["first", "second"] {
            let block = body.push_back(txn, XmlElementPrelim::empty("paragraph"));
            block.insert_attribute(txn, "align", words);
            block.insert(txn, 0, XmlTextPrelim::new(words));
        }
    });
    history.write_as(0, |txn| {
        let body = txn.get_or_insert_xml_fragment("prosemirror");
        body.remove_range(txn, 0, 1);
    });
    restore_into(&mut history, Wanted::Version(1), 7);
    history.write_as(0, |txn| {
        let Some(XmlOut::Text(text)) = first_block(txn).get(txn, 0) else {
            panic!("the block has its text");
        };
        text.push(txn, " word");
    });
    let [past, now] = [1, 4].map(|row| document(&history.rows[..row]));
    let was = with_ids(&past);
    let copies = history.provenance.copies().clone();
    let difference = diff_with(&was, &with_ids(&now), copies);
    let blocks = difference.roots["prosemirror"].content.parts();
    let changes: Vec<Change> = blocks.iter().map(|block| block.change).collect();
    assert_eq!(changes, [Change::Changed, Change::Same]);
    let id = super::blocks(&past)[0].0;
    assert_eq!(blocks[0].block, Some(Block { id, beside: false }));
    // Brought back by itself it is what it was, in its own place.
    let version = 1;
    restore_into(&mut history, Wanted::Block { version, id }, 8);
    let back = document(&history.rows);
    assert_eq!(view(&back), view(&past));
    assert_eq!(super::blocks(&back).len(), 2);
    let [now, back] = [now, back].map(|doc| super::blocks(&doc)[0].0);
    assert_eq!(now, back);
}

#[test]
fn a_value_that_was_brought_back_is_by_who_set_it() {
    let mut history = History::new(0, 1);
    for (author, value) in [(0, "one"), (1, "two")] {
        history.write_as(author, |txn| {
            let map = txn.get_or_insert_map("map");
            map.insert(txn, "k", value);
        });
    }
    let root = Holder::Root("map".into());
    let by = |history: &History, rows| history.provenance.set(&root, "k", &rows);
    assert_eq!(by(&history, 2..=2), Some(2));
    restore_into(&mut history, Wanted::Version(1), 7);
    assert_eq!(by(&history, 3..=3), Some(1));
    restore_into(&mut history, Wanted::Version(2), 8);
    assert_eq!(by(&history, 4..=4), Some(2));
    history.write_as(0, |txn| {
        txn.get_or_insert_map("map").remove(txn, "k");
    });
    assert_eq!(by(&history, 5..=5), Some(5));
    // Without who set it first, what they set is not there, be it brought back or not.
    restore_into(&mut history, Wanted::Version(1), 9);
    assert_eq!(view(&document(&history.rows)), "map: {k=(\"one\") }\n");
    history.write_aside("stays");
    restore_into(&mut history, Wanted::Undo(&[1]), 10);
    assert_eq!(view(&document(&history.rows)), "zz: \"stays\"\n");
}

#[test]
fn what_was_there_before_what_never_was_is_there_again() {
    let body = |txn: &mut TransactionMut<'_>| txn.get_or_insert_xml_fragment("prosemirror");
    for is_block_deleted in [false, true] {
        let mut history = History::new(0, 1);
        history.write_as(0, |txn| {
            let block = body(txn).push_back(txn, XmlElementPrelim::empty("heading"));
            block.insert_attribute(txn, "a", "one");
            block.insert_attribute(txn, "b", "one");
            block.insert(txn, 0, XmlTextPrelim::new("letters"));
            txn.get_or_insert_map("map").insert(txn, "k", "one");
        });
        history.write_as(1, |txn| {
            let block = first_block(txn);
            block.insert_attribute(txn, "a", "two");
            block.remove_attribute(txn, &"b");
            if let Some(XmlOut::Text(text)) = block.get(txn, 0) {
                text.remove_range(txn, 2, 3);
            }
            txn.get_or_insert_map("map").insert(txn, "k", "two");
        });
        history.write_as(1, |txn| {
            match is_block_deleted {
                true => body(txn).remove_range(txn, 0, 1),
                false => first_block(txn).remove_attribute(txn, &"a"),
            }
            txn.get_or_insert_map("map").remove(txn, "k");
        });
        restore_into(&mut history, Wanted::Version(2), 7);
        history.write_aside("stays");
        // Without what one did, and without what was done first alone: what was removed then came back with the restore.
        for rows in [&[2, 3][..], &[2]] {
            let back = restored(&history, Wanted::Undo(rows), 8);
            let doc = document(&history.rows);
            apply(&doc, &back.update);
            let expected = view(&document(&history.rows[..1])) + "zz: \"stays\"\n";
            assert_eq!(view(&doc), expected, "without {rows:?}");
        }
    }
}

#[test]
fn what_was_written_late_into_a_block_is_there_where_its_deletion_is_taken_back() {
    let mut history = History::new(0, 2);
    history.write_as(0, |txn| {
        let block = txn.get_or_insert_xml_fragment("prosemirror");
        let block = block.push_back(txn, XmlElementPrelim::empty("paragraph"));
        block.insert(txn, 0, XmlTextPrelim::new("one"));
    });
    let late = {
        let mut txn = history.people[1].doc.transact_mut();
        let Some(XmlOut::Text(text)) = first_block(&mut txn).get(&txn, 0) else {
            panic!("the block has its text");
        };
        text.push(&mut txn, " late");
        txn.encode_update_v1()
    };
    history.write_as(0, |txn| {
        let body = txn.get_or_insert_xml_fragment("prosemirror");
        body.remove_range(txn, 0, 1);
    });
    restore_into(&mut history, Wanted::Version(1), 7);
    history.push(late, 1);
    let one = "prosemirror: <<paragraph>\"one\"</>>\n";
    assert_eq!(view(&document(&history.rows)), one);
    let nothing = restored(&history, Wanted::Undo(&[]), 8);
    assert_eq!(nothing.update[..], [0, 0]);
    for rows in [&[2][..], &[2, 3]] {
        let back = restored(&history, Wanted::Undo(rows), 8);
        let doc = document(&history.rows);
        apply(&doc, &back.update);
        assert_eq!(
            view(&doc),
            one.replace("one", "one late"),
            "without {rows:?}"
        );
    }
}
