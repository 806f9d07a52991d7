//! Damaged bytes are found, hurt one document only, and are repaired where another route exists.

use coscribe::store::{
    Compaction, DocState, ListQuery, Loaded, MarkKind, NewMark, Snapshot, Store, StoreError,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{Connection, Row};

use crate::{
    fixture::{Folder, Typing, add, doc, live},
    sqlite_inspect::{fill, report},
};

const TEXT: &str = "the quick brown fox jumps over the lazy dog";

/// Runs SQL on a connection of its own, as damage would come: past the store.
async fn damage(folder: &Folder, sql: &'static str) {
    let mut conn = folder.meddle().await;
    let done = sqlx::query(sql).execute(&mut conn).await.unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
    conn.close().await.unwrap();
}

fn shown(loaded: &Loaded) -> String {
    let Loaded::Live(stored) = loaded else {
        panic!("{loaded:?}")
    };
    let tail = stored.tail.iter().map(|row| &row.row.bytes[..]);
    Typing::text_of(
        stored
            .snapshot
            .iter()
            .map(|snapshot| &snapshot.bytes[..])
            .chain(tail),
    )
}

#[tokio::test]
async fn a_changed_column_of_a_row_is_found_and_hurts_that_document_only() {
    for sql in [
        "UPDATE updates SET bytes = zeroblob(length(bytes)) WHERE key = (2 << 32 | 2)",
        "UPDATE updates SET author = 'someone else' WHERE key = (2 << 32 | 2)",
        // What is no text at all.
        "UPDATE updates SET author = CAST(x'63ff64' AS TEXT) WHERE key = (2 << 32 | 2)",
        "UPDATE updates SET client_id = 1 WHERE key = (2 << 32 | 2)",
        "UPDATE updates SET at = at + 1 WHERE key = (2 << 32 | 2)",
        "UPDATE updates SET crc = crc + 1 WHERE key = (2 << 32 | 2)",
        "DELETE FROM updates WHERE key = (2 << 32 | 2)",
        "DELETE FROM updates WHERE key = (2 << 32 | 3)",
        "UPDATE documents SET epoch = 9 WHERE id = 2",
        // The same row under another number.
        "UPDATE updates SET bytes = (SELECT bytes FROM updates WHERE key = (2 << 32 | 1)) WHERE key = (2 << 32 | 2)",
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        fill(&store).await;
        damage(&folder, sql).await;
        let outcome = store.load(&doc("plain")).await;
        assert!(
            matches!(outcome, Err(StoreError::Damaged(_))),
            "{sql}: {outcome:?}"
        );
        assert_eq!(shown(&store.load(&doc("folded")).await.unwrap()), TEXT);
        let report = report(&folder).await;
        let named: Vec<_> = report
            .findings
            .iter()
            .map(|finding| finding.doc.as_str())
            .collect();
        assert_eq!(
            (named, report.file.is_empty()),
            (vec!["plain"], true),
            "{sql}"
        );
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_replaced_by_the_history() {
    for sql in [
        "UPDATE snapshots SET bytes = CAST(substr(bytes, 1, 20) || x'00' || substr(bytes, 22) AS BLOB)",
        "UPDATE snapshots SET seq = 19",
        "UPDATE snapshots SET size = size + 1",
        "DELETE FROM snapshots",
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        fill(&store).await;
        damage(&folder, sql).await;
        let loaded = store.load(&doc("folded")).await.unwrap();
        assert_eq!(shown(&loaded), TEXT, "{sql}");
        assert!(
            matches!(&loaded, Loaded::Live(stored) if stored.snapshot.is_none()),
            "{sql}"
        );
        assert!(!report(&folder).await.is_sound(), "{sql}");
        // The next compaction heals it.
        let snapshot = Snapshot {
            seq: 43,
            bytes: Typing::of(TEXT).state().into(),
        };
        assert!(
            store
                .compact(Compaction {
                    doc: doc("folded"),
                    epoch: 1,
                    snapshot
                })
                .await
                .unwrap(),
            "{sql}"
        );
        assert!(report(&folder).await.is_sound(), "{sql}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_history_is_found_and_does_not_keep_the_document_from_opening() {
    for sql in [
        "UPDATE history SET bytes = CAST(substr(bytes, 1, 30) || x'00' || substr(bytes, 32) AS BLOB)",
        "UPDATE history SET authors = '[]'",
        "UPDATE history SET to_seq = 19",
        "DELETE FROM history",
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        fill(&store).await;
        damage(&folder, sql).await;
        assert!(
            matches!(
                store.rows(&doc("folded"), 1, 20).await,
                Err(StoreError::Damaged(_))
            ),
            "{sql}"
        );
        assert_eq!(shown(&store.load(&doc("folded")).await.unwrap()), TEXT);
        assert!(!report(&folder).await.is_sound(), "{sql}");
        // A compaction would throw away rows or build on damage; it does not.
        let snapshot = Snapshot {
            seq: 43,
            bytes: Typing::of(TEXT).state().into(),
        };
        let compacted = store
            .compact(Compaction {
                doc: doc("folded"),
                epoch: 1,
                snapshot,
            })
            .await;
        assert!(
            matches!(compacted, Err(StoreError::Damaged(_))),
            "{sql}: {compacted:?}"
        );
        assert_eq!(live(&store, "folded").await.tail.len(), 23);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn any_flipped_bit_of_stored_bytes_is_found() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let mut conn = folder.meddle().await;
    for _ in 0..150 {
        let (table, at) = [("updates", "key"), ("snapshots", "doc"), ("history", "key")]
            [random.random_range(0..3)];
        let pick = sqlx::AssertSqlSafe(format!(
            "SELECT {at}, bytes FROM {table} ORDER BY random() LIMIT 1"
        ));
        let row = sqlx::query(pick).fetch_one(&mut conn).await.unwrap();
        let (key, sound): (i64, Vec<u8>) = (row.get(0), row.get(1));
        let mut flipped = sound.clone();
        flipped[random.random_range(0..sound.len())] ^= 1 << random.random_range(0..8);
        let put = || sqlx::AssertSqlSafe(format!("UPDATE {table} SET bytes = ? WHERE {at} = ?"));
        sqlx::query(put())
            .bind(flipped)
            .bind(key)
            .execute(&mut conn)
            .await
            .unwrap();
        let found = report(&folder).await;
        assert_eq!(found.findings.len(), 1, "seed {seed}, {table} {key}");
        for name in ["folded", "plain"] {
            match store.load(&doc(name)).await {
                Err(StoreError::Damaged(_)) => {}
                loaded => assert_eq!(
                    shown(&loaded.unwrap()),
                    if name == "plain" { "abc" } else { TEXT }
                ),
            }
        }
        sqlx::query(put())
            .bind(sound)
            .bind(key)
            .execute(&mut conn)
            .await
            .unwrap();
    }
    conn.close().await.unwrap();
    assert!(report(&folder).await.is_sound());
    store.close().await.unwrap();
}

/// Whatever happens, a document is an error or the truth. Returns the names of those that are neither.
async fn silently_different(folder: &Folder) -> Vec<&'static str> {
    let Ok(store) = folder.try_open().await else {
        return Vec::new();
    };
    let mut different = Vec::new();
    for (name, text) in [("folded", TEXT), ("plain", "abc")] {
        let wrong = match store.load(&doc(name)).await {
            Ok(loaded @ Loaded::Live(_)) => shown(&loaded) != text,
            // A damaged index may hide a document; the check tells.
            Ok(_) => report(folder).await.is_sound(),
            Err(_) => false,
        };
        if wrong {
            different.push(name);
        }
    }
    drop(store.close().await);
    different
}

/// The control: a document that is sound and says something else, and one that is gone without a trace.
#[tokio::test]
async fn a_document_that_is_silently_different_is_noticed() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    store.close().await.unwrap();
    assert!(silently_different(&folder).await.is_empty());
    let store = folder.open().await;
    let more = Typing::of("abcd").updates.pop().unwrap();
    add(&store, "plain", more).await;
    store.close().await.unwrap();
    assert_eq!(silently_different(&folder).await, ["plain"]);
    let empty = Folder::new();
    empty.open().await.close().await.unwrap();
    assert_eq!(silently_different(&empty).await, ["folded", "plain"]);
}

#[tokio::test]
async fn damaged_pages_are_never_silently_different() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    store.close().await.unwrap();
    let sound = std::fs::read(folder.database()).unwrap();
    for round in 0..60 {
        let mut bytes = sound.clone();
        match round % 3 {
            0 => {
                let at = random.random_range(4096..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            1 => {
                let page = random.random_range(1..bytes.len() / 4096) * 4096;
                bytes[page..page + 4096].fill(0);
            }
            _ => bytes.truncate(random.random_range(4096..bytes.len())),
        }
        std::fs::write(folder.database(), &bytes).unwrap();
        let different = silently_different(&folder).await;
        assert!(
            different.is_empty(),
            "seed {seed}, round {round}: {different:?}"
        );
        for suffix in ["-wal", "-shm"] {
            drop(std::fs::remove_file(
                folder.data_dir().join(format!("coscribe.db{suffix}")),
            ));
        }
    }
}

#[tokio::test]
async fn a_name_or_title_that_is_no_text_is_the_trouble_of_one_document() {
    for sql in [
        "UPDATE documents SET title = CAST(x'ff' AS TEXT) WHERE id = 2",
        "UPDATE documents SET name = CAST(x'70ff' AS TEXT) WHERE id = 2",
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        fill(&store).await;
        store.close().await.unwrap();
        damage(&folder, sql).await;
        let store = folder.open().await;
        let query = ListQuery {
            state: DocState::Live,
            search: None,
            after: None,
            limit: 100,
        };
        let names: Vec<_> = store.list(&query).await.unwrap();
        let names: Vec<_> = names.iter().map(|record| record.doc.as_str()).collect();
        assert!(names.contains(&"folded"), "{sql}: {names:?}");
        assert!(!names.contains(&"plain"), "{sql}: {names:?}");
        assert_eq!(shown(&store.load(&doc("folded")).await.unwrap()), TEXT);
        assert!(!report(&folder).await.is_sound(), "{sql}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_versions_are_found_and_do_not_keep_the_document_from_opening() {
    for sql in [
        "UPDATE marks SET label = 'another'",
        "UPDATE marks SET seq = seq - 1",
        "UPDATE marks SET origins = x'00'",
        "UPDATE marks SET author = CAST(x'ff' AS TEXT)",
        "UPDATE marks SET kind = 'what'",
        "UPDATE sessions SET to_at = to_at + 1",
        "UPDATE sessions SET authors = '[\"eve\"]'",
        "UPDATE sessions SET authors = 'x'",
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        fill(&store).await;
        let mark = NewMark {
            kind: MarkKind::Named,
            label: "one".into(),
            author: "ada".into(),
            at: 5,
            source_seq: None,
            origins: Vec::new().into(),
        };
        let folded = doc("folded");
        store.mark(&folded, None, mark).await.unwrap();
        assert!(report(&folder).await.is_sound());
        damage(&folder, sql).await;
        let marks = store.marks(&folded).await;
        let sessions = store.sessions(&folded, u64::MAX, 100).await;
        let found = [marks.is_err(), sessions.is_err()];
        assert_eq!(
            found,
            [sql.contains("marks"), sql.contains("sessions")],
            "{sql}"
        );
        assert_eq!(shown(&store.load(&folded).await.unwrap()), TEXT);
        let report = report(&folder).await;
        let named: Vec<_> = report
            .findings
            .iter()
            .map(|found| found.doc.as_str())
            .collect();
        assert_eq!(named, ["folded"], "{sql}");
        store.close().await.unwrap();
    }
}
