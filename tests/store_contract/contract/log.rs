//! Rows: what is appended, compacted and read.

use std::sync::Arc;

use coscribe::store::{Append, Appended, FIRST_EPOCH, Loaded, NewRow, NotWritable, Store};

use super::compaction;
use crate::fixture::{Typing, add, doc, entry, live};

pub async fn all_rows_of_a_batch_are_there_in_order(store: Arc<dyn Store>) {
    let typing = Typing::of(&"abcdefghij".repeat(40));
    // More rows than any one statement holds, of a number that no single chunk covers.
    let rows = typing.updates[..333].to_vec();
    let batch = [
        entry("a", None, rows.clone()),
        entry("b", None, rows[..1].to_vec()),
    ];
    let answers = store.append(&batch, 5).await.unwrap();
    let committed = |head_seq| Appended::Committed {
        epoch: FIRST_EPOCH,
        head_seq,
    };
    assert_eq!(answers, [committed(333), committed(1)]);
    let stored = live(&*store, "a").await;
    assert_eq!(stored.head_seq, 333);
    assert_eq!(stored.epoch, FIRST_EPOCH);
    let (numbers, back): (Vec<_>, Vec<_>) = stored
        .tail
        .into_iter()
        .map(|row| (row.seq, row.row))
        .unzip();
    assert_eq!(numbers, (1..=333).collect::<Vec<_>>());
    assert_eq!(back, rows);
}

pub async fn numbers_start_at_one_and_have_no_gaps_under_interleaving(store: Arc<dyn Store>) {
    let typing = Typing::of(&"x".repeat(60));
    for (n, update) in typing.updates.iter().enumerate() {
        // Every third time "a" alone, else together with another document that has its own numbers.
        if n % 3 == 0 {
            assert_eq!(add(&*store, "a", update.clone()).await, n as u64 + 1);
        } else {
            let other = format!("other {}", n % 5);
            let first = Typing::of("y").updates;
            let batch = [
                entry(&other, None, first),
                entry("a", Some(FIRST_EPOCH), vec![update.clone()]),
            ];
            let answers = store.append(&batch, 5).await.unwrap();
            assert_eq!(
                answers[1],
                Appended::Committed {
                    epoch: FIRST_EPOCH,
                    head_seq: n as u64 + 1
                }
            );
        }
    }
    let numbers: Vec<_> = live(&*store, "a")
        .await
        .tail
        .iter()
        .map(|row| row.seq)
        .collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
}

pub async fn an_entry_without_rows_makes_no_document(store: Arc<dyn Store>) {
    let empty = Append {
        title: Some("t".into()),
        ..entry("a", None, vec![])
    };
    let answers = store.append(&[empty], 5).await.unwrap();
    assert_eq!(
        answers,
        [Appended::Committed {
            epoch: FIRST_EPOCH,
            head_seq: 0
        }]
    );
    assert!(store.get(&doc("a")).await.unwrap().is_none());
    assert!(store.append(&[], 5).await.unwrap().is_empty());
}

pub async fn one_batch_may_hold_the_same_document_twice(store: Arc<dyn Store>) {
    let rows = Typing::of("abc").updates;
    let batch = [
        entry("a", None, rows[..1].to_vec()),
        entry("a", None, rows[1..].to_vec()),
    ];
    let answers = store.append(&batch, 5).await.unwrap();
    assert_eq!(
        answers[1],
        Appended::Committed {
            epoch: FIRST_EPOCH,
            head_seq: 3
        }
    );
    let back: Vec<_> = live(&*store, "a")
        .await
        .tail
        .into_iter()
        .map(|row| row.row)
        .collect();
    assert_eq!(back, rows);
}

pub async fn a_refused_entry_does_not_disturb_the_others(store: Arc<dyn Store>) {
    let letter = || Typing::of("x").updates;
    for name in ["trashed", "deleted", "bad"] {
        add(&*store, name, letter().remove(0)).await;
    }
    store.trash(&doc("trashed"), 3).await.unwrap();
    store.trash(&doc("deleted"), 3).await.unwrap();
    store.delete(&doc("deleted"), 4).await.unwrap();
    store.quarantine(&doc("bad"), "why").await.unwrap();

    let names = ["trashed", "good", "deleted", "bad", "also good"];
    let batch = names.map(|name| Append {
        title: Some("new".into()),
        ..entry(name, None, letter())
    });
    let answers = store.append(&batch, 5).await.unwrap();
    let committed = Appended::Committed {
        epoch: FIRST_EPOCH,
        head_seq: 1,
    };
    assert_eq!(
        answers,
        [
            Appended::Refused(NotWritable::Trashed),
            committed.clone(),
            Appended::Refused(NotWritable::Deleted),
            Appended::Refused(NotWritable::Quarantined),
            committed,
        ]
    );
    let trashed = store.get(&doc("trashed")).await.unwrap().unwrap();
    assert_eq!((trashed.head_seq, trashed.title.as_str()), (1, ""));
    assert_eq!(
        store.get(&doc("deleted")).await.unwrap().unwrap().head_seq,
        0
    );
    assert_eq!(live(&*store, "good").await.title, "new");
}

pub async fn a_room_of_another_epoch_writes_nothing(store: Arc<dyn Store>) {
    let letter = || Typing::of("x").updates;
    let refused = [Appended::Refused(NotWritable::OtherEpoch)];
    assert_eq!(
        store
            .append(&[entry("new", Some(3), letter())], 5)
            .await
            .unwrap(),
        refused
    );
    assert!(store.get(&doc("new")).await.unwrap().is_none());

    add(&*store, "a", letter().remove(0)).await;
    assert_eq!(
        store
            .append(&[entry("a", Some(2), letter())], 5)
            .await
            .unwrap(),
        refused
    );
    store.trash(&doc("a"), 6).await.unwrap();
    store.delete(&doc("a"), 6).await.unwrap();
    store.create(&doc("a"), 7).await.unwrap();
    for old in [None, Some(FIRST_EPOCH)] {
        assert_eq!(
            store.append(&[entry("a", old, letter())], 8).await.unwrap(),
            refused,
            "{old:?}"
        );
    }
    let taken = store
        .append(&[entry("a", Some(2), letter())], 8)
        .await
        .unwrap();
    assert_eq!(
        taken,
        [Appended::Committed {
            epoch: 2,
            head_seq: 1
        }]
    );
}

pub async fn bytes_come_back_as_they_went_in(store: Arc<dyn Store>) {
    // Not updates: the store does not look into bytes. So the document goes again before the soundness check.
    let strange = |bytes: Vec<u8>, author: &str, client_id, at| NewRow {
        bytes: bytes.into(),
        author: author.into(),
        client_id,
        at,
    };
    let rows = vec![
        strange(vec![], "", 0, 0),
        strange(
            vec![0; 3],
            "'; DROP TABLE updates; --",
            (1 << 53) - 1,
            i64::MAX,
        ),
        strange((0..=255).collect(), "é文🦀\0", 1, i64::MIN),
        strange(vec![0xab; 3_000_000], "big", u64::MAX, -1),
    ];
    let name = "name ?1 $x :y 'quoted' \"too\" % _ 文🦀";
    store
        .append(&[entry(name, None, rows.clone())], 5)
        .await
        .unwrap();
    let back = |stored: Vec<coscribe::store::LogRow>| {
        stored.into_iter().map(|row| row.row).collect::<Vec<_>>()
    };
    assert_eq!(back(live(&*store, name).await.tail), rows);
    let snapshot = vec![0xcd; 1_000_000];
    assert!(
        store
            .compact(compaction(name, 1, 4, snapshot.clone()))
            .await
            .unwrap()
    );
    assert_eq!(back(store.rows(&doc(name), 1, 4).await.unwrap()), rows);
    assert_eq!(live(&*store, name).await.snapshot.unwrap().bytes, snapshot);
    store.trash(&doc(name), 6).await.unwrap();
    store.delete(&doc(name), 6).await.unwrap();
}

pub async fn load_after_compaction_is_snapshot_and_tail(store: Arc<dyn Store>) {
    let typing = Typing::of("hello, world");
    store
        .append(&[entry("a", None, typing.updates.clone())], 5)
        .await
        .unwrap();
    let half = Typing::of("hello,");
    assert!(
        store
            .compact(compaction("a", 1, 6, half.state()))
            .await
            .unwrap()
    );
    let stored = live(&*store, "a").await;
    let snapshot = stored.snapshot.unwrap();
    assert_eq!(
        (snapshot.seq, &snapshot.bytes[..], stored.head_seq),
        (6, &half.state()[..], 12)
    );
    assert_eq!(
        stored.tail.iter().map(|row| row.seq).collect::<Vec<_>>(),
        (7..=12).collect::<Vec<_>>()
    );
    let updates =
        std::iter::once(&snapshot.bytes).chain(stored.tail.iter().map(|row| &row.row.bytes));
    assert_eq!(
        Typing::text_of(updates.map(|bytes| &bytes[..])),
        "hello, world"
    );
    let tail: usize = typing.updates[6..].iter().map(|row| row.bytes.len()).sum();
    let size = store.get(&doc("a")).await.unwrap().unwrap().size;
    assert_eq!(size, (half.state().len() + tail) as u64);
    // And it goes on from there.
    assert_eq!(
        add(
            &*store,
            "a",
            Typing::of("hello, world!").updates.pop().unwrap()
        )
        .await,
        13
    );
}

pub async fn compaction_may_be_repeated_and_never_goes_back(store: Arc<dyn Store>) {
    let typing = Typing::of("abcdef");
    store
        .append(&[entry("a", None, typing.updates.clone())], 5)
        .await
        .unwrap();
    let state = |text: &str| Typing::of(text).state();
    assert!(
        !store
            .compact(compaction("nobody", 1, 1, state("a")))
            .await
            .unwrap()
    );
    assert!(
        !store
            .compact(compaction("a", 1, 0, state("")))
            .await
            .unwrap()
    );
    assert!(
        store
            .compact(compaction("a", 1, 4, state("abcd")))
            .await
            .unwrap()
    );
    assert!(
        store
            .compact(compaction("a", 1, 4, state("abcd")))
            .await
            .unwrap()
    );
    assert!(
        !store
            .compact(compaction("a", 1, 3, state("abc")))
            .await
            .unwrap()
    );
    assert!(
        store
            .compact(compaction("a", 1, 7, state("abcdef")))
            .await
            .is_err(),
        "ahead of the log"
    );
    assert!(
        store
            .compact(compaction("a", 1, 6, state("abcdef")))
            .await
            .unwrap()
    );
    assert_eq!(live(&*store, "a").await.tail, []);
    let rows: Vec<_> = store
        .rows(&doc("a"), 1, 6)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.row)
        .collect();
    assert_eq!(rows, typing.updates);
}

pub async fn compaction_of_another_epoch_changes_nothing(store: Arc<dyn Store>) {
    let typing = Typing::of("abc");
    store
        .append(&[entry("a", None, typing.updates.clone())], 5)
        .await
        .unwrap();
    let before = live(&*store, "a").await;
    assert!(
        !store
            .compact(compaction("a", 2, 3, typing.state()))
            .await
            .unwrap()
    );
    assert_eq!(live(&*store, "a").await, before);
    store.trash(&doc("a"), 6).await.unwrap();
    store.delete(&doc("a"), 6).await.unwrap();
    assert!(
        !store
            .compact(compaction("a", 1, 3, typing.state()))
            .await
            .unwrap()
    );
}

pub async fn rows_are_found_across_history_and_log(store: Arc<dyn Store>) {
    let text: String = ('a'..='z').cycle().take(200).collect();
    let typing = Typing::of(&text);
    store
        .append(&[entry("a", None, typing.updates.clone())], 5)
        .await
        .unwrap();
    for seq in [10, 11, 60, 61, 62, 150] {
        let state = Typing::of(&text[..seq]).state();
        assert!(
            store
                .compact(compaction("a", 1, seq as u64, state))
                .await
                .unwrap()
        );
    }
    for (from, to) in [
        (0, 0),
        (1, 1),
        (1, 200),
        (5, 12),
        (59, 63),
        (149, 152),
        (150, 150),
        (151, 999),
        (300, 400),
        (9, 3),
    ] {
        let rows = store.rows(&doc("a"), from, to).await.unwrap();
        let wanted: Vec<u64> = (from.max(1)..=to.min(200)).collect();
        assert_eq!(
            rows.iter().map(|row| row.seq).collect::<Vec<_>>(),
            wanted,
            "{from} to {to}"
        );
        assert!(
            rows.iter()
                .all(|row| row.row == typing.updates[row.seq as usize - 1])
        );
    }
}

pub async fn appends_and_compactions_at_once_lose_nothing(store: Arc<dyn Store>) {
    let text = "z".repeat(300);
    let typing = Typing::of(&text);
    let writing = async {
        for update in &typing.updates {
            add(&*store, "a", update.clone()).await;
            tokio::task::yield_now().await;
        }
    };
    let compacting = async {
        let mut folded = 0;
        while folded < 250 {
            tokio::task::yield_now().await;
            let Loaded::Live(stored) = store.load(&doc("a")).await.unwrap() else {
                continue;
            };
            let from = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq) + 1;
            let numbers: Vec<_> = stored.tail.iter().map(|row| row.seq).collect();
            assert_eq!(
                numbers,
                (from..=stored.head_seq).collect::<Vec<_>>(),
                "snapshot and tail of one moment"
            );
            if stored.head_seq < folded + 20 {
                continue;
            }
            folded = stored.head_seq;
            let state = Typing::of(&text[..folded as usize]).state();
            assert!(
                store
                    .compact(compaction("a", 1, folded, state))
                    .await
                    .unwrap()
            );
        }
    };
    tokio::join!(writing, compacting);
    let rows: Vec<_> = store
        .rows(&doc("a"), 1, 300)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.row)
        .collect();
    assert_eq!(rows, typing.updates);
}
