//! The data directory: who may use it, what survives, what is given back.

use std::fs;

use coscribe::store::{
    Compaction, Durability, Seq, Snapshot, Store, StoreError,
    sqlite::{OpenError, SqliteOptions, SqliteStore},
};
use sqlx::Connection;

use crate::{
    contract::history::{sessions, written},
    fixture::{Folder, Typing, add, doc, entry, live},
    sqlite_inspect::{assert_sound, fill},
};

#[tokio::test]
async fn only_one_store_at_a_time_uses_a_data_directory() {
    let folder = Folder::new();
    let store = folder.open().await;
    let second = folder.try_open().await.unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    assert!(
        second.to_string().contains("choose another --data-dir"),
        "{second}"
    );
    store.close().await.unwrap();
    let store = folder.open().await;
    store.close().await.unwrap();
    assert!(
        matches!(store.probe().await, Err(StoreError::Other(_))),
        "closed"
    );
    store.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_data_directory() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.data_dir()), 0o700);
    let entries: Vec<_> = fs::read_dir(folder.data_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        entries.len() >= 4,
        "database, log, index, lock: {entries:?}"
    );
    assert!(
        entries.iter().all(|path| mode(path) == 0o600),
        "{entries:?}"
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_untouched() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    store.close().await.unwrap();
    for sql in [
        "PRAGMA user_version = 99",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', 1, x'00', 1)",
    ] {
        let newer = folder.after_a_crash();
        let mut conn = newer.meddle().await;
        sqlx::query(sql).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        let before = fs::read(newer.database()).unwrap();
        let refused = newer.try_open().await.unwrap_err();
        assert!(
            matches!(refused, OpenError::Newer { .. }),
            "{sql}: {refused}"
        );
        let after = fs::read(newer.database()).unwrap();
        let differs: Vec<_> = (0..after.len())
            .filter(|&at| before.get(at) != after.get(at))
            .collect();
        assert!(differs.is_empty(), "{sql}: {differs:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_untouched() {
    let folder = Folder::new();
    fs::create_dir(folder.data_dir()).unwrap();
    fs::write(folder.database(), "somebody's notes, long enough to be looked at as a database header, 100 bytes and more; really").unwrap();
    let refused = folder.try_open().await.unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");

    fs::remove_file(folder.database()).unwrap();
    let other = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.database())
        .create_if_missing(true);
    let mut conn = sqlx::ConnectOptions::connect(&other).await.unwrap();
    sqlx::query("CREATE TABLE theirs (x)")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    let before = fs::read(folder.database()).unwrap();
    let refused = folder.try_open().await.unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert!(fs::read(folder.database()).unwrap() == before);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash_and_after_a_reopening() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let rows = Typing::of(&"c".repeat(50)).updates;
    for row in &rows {
        add(&store, "typed", row.clone()).await;
        // The files as `kill -9` leaves them now.
        if row.at % 10 == 0 {
            let crashed = folder.after_a_crash();
            let reopened = crashed.open().await;
            let back: Vec<_> = live(&reopened, "typed")
                .await
                .tail
                .into_iter()
                .map(|row| row.row)
                .collect();
            assert_eq!(back, rows[..back.len()]);
            assert_eq!(back.last(), Some(row));
            reopened.close().await.unwrap();
            assert_sound(&crashed).await;
        }
    }
    let before = live(&store, "folded").await;
    store.close().await.unwrap();
    let reopened = folder.open().await;
    assert_eq!(live(&reopened, "folded").await, before);
    assert_eq!(
        add(
            &reopened,
            "typed",
            Typing::of(&"c".repeat(51)).updates.pop().unwrap()
        )
        .await,
        51
    );
    reopened.close().await.unwrap();
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_leaves_the_next_one_whole() {
    let folder = Folder::new();
    let store = folder.open().await;
    let typing = Typing::of(&"d".repeat(40));
    add(&store, "a", typing.updates[0].clone()).await;
    let mut stored = 1;
    for (n, update) in typing.updates.iter().enumerate().skip(1) {
        // Polled a few times, then dropped, at another point each time.
        let batch = [
            entry("a", Some(1), vec![update.clone()]),
            entry("b", None, vec![typing.updates[0].clone()]),
        ];
        {
            let appending = store.append(&batch[..1 + n % 2], 5);
            tokio::pin!(appending);
            for _ in 0..n % 7 {
                if futures_util::poll!(&mut appending).is_ready() {
                    break;
                }
                std::thread::yield_now();
            }
        }
        let head = add(&store, "a", update.clone()).await;
        assert!(head > stored && head <= stored + 2, "{head} after {stored}");
        stored = head;
    }
    let numbers: Vec<_> = live(&store, "a")
        .await
        .tail
        .iter()
        .map(|row| row.seq)
        .collect();
    assert_eq!(numbers, (1..=stored).collect::<Vec<_>>());
    store.close().await.unwrap();
    assert_sound(&folder).await;
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_acknowledged_while_the_database_file_is_gone() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut rows = Typing::of("ab").updates.into_iter();
    add(&store, "a", rows.next().unwrap()).await;
    let row = rows.next().unwrap();
    let aside = folder.path().join("aside");
    for name in ["coscribe.db", "coscribe.db-wal"] {
        let path = folder.data_dir().join(name);
        fs::rename(&path, &aside).unwrap();
        let refused = store
            .append(&[entry("a", None, vec![row.clone()])], 5)
            .await;
        assert!(matches!(refused, Err(StoreError::Other(_))), "{refused:?}");
        assert!(store.probe().await.is_err());
        fs::write(&path, "another file").unwrap();
        assert!(store.probe().await.is_err(), "replaced");
        fs::rename(&aside, &path).unwrap();
        store.probe().await.unwrap();
    }
    assert_eq!(add(&store, "a", row).await, 2);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_lock_by_another_process_is_waited_for_and_then_reported_as_busy() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut rows = Typing::of("ab").updates.into_iter();
    add(&store, "a", rows.next().unwrap()).await;
    let mut other = folder.meddle().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let row = rows.next().unwrap();
    let busy = store
        .append(&[entry("a", None, vec![row.clone()])], 5)
        .await;
    assert!(matches!(busy, Err(StoreError::Busy(_))), "{busy:?}");
    assert_eq!(live(&store, "a").await.head_seq, 1, "readers go on");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    assert_eq!(add(&store, "a", row).await, 2);
    store.close().await.unwrap();
}

#[tokio::test]
async fn deleting_gives_the_space_back_and_leaves_no_byte_behind() {
    let folder = Folder::new();
    let store = SqliteStore::open(SqliteOptions {
        data_dir: folder.data_dir(),
        durability: Durability::Full,
    })
    .await
    .unwrap();
    let canary = "canary-that-nobody-should-find-again";
    let typing = Typing::of("abc");
    for n in 0..200 {
        let mut row = typing.updates[0].clone();
        row.bytes = format!("{canary} {n} ").repeat(100).into();
        row.author = canary.into();
        let titled = coscribe::store::Append {
            title: Some(canary.into()),
            ..entry("secret", None, vec![row])
        };
        store.append(&[titled], 5).await.unwrap();
        if n % 50 == 49 {
            let snapshot = Snapshot {
                seq: n + 1,
                bytes: canary.repeat(1000).into(),
            };
            store
                .compact(Compaction {
                    doc: doc("secret"),
                    epoch: 1,
                    snapshot,
                })
                .await
                .unwrap();
        }
    }
    store
        .append(&[entry("stays", None, typing.updates)], 5)
        .await
        .unwrap();
    store.trash(&doc("secret"), 6).await.unwrap();
    store.delete(&doc("secret"), 7).await.unwrap();
    // Housekeeping does it by itself when nothing is written for a second.
    let files = || {
        ["coscribe.db", "coscribe.db-wal"]
            .map(|name| fs::read(folder.data_dir().join(name)).unwrap_or_default())
    };
    let gone = || {
        files().iter().all(|bytes| {
            !bytes
                .windows(canary.len())
                .any(|window| window == canary.as_bytes())
        })
    };
    let small = || files().iter().map(Vec::len).sum::<usize>() < 100_000;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !(gone() && small()) {
        assert!(
            std::time::Instant::now() < deadline,
            "gone: {}, small: {}",
            gone(),
            small()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(live(&store, "stays").await.head_seq, 3);
    store.close().await.unwrap();
    assert_sound(&folder).await;
}

/// Whether the disk of this folder has room to spare, and a file system that reserves it.
#[cfg(target_os = "linux")]
fn can_reserve(folder: &std::path::Path) -> bool {
    let file = fs::File::create(folder.join("reserved")).unwrap();
    let free = rustix::fs::fstatvfs(&file).unwrap();
    free.f_bavail * free.f_frsize > 1 << 30
        && rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 4096).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_file_stays_bounded_under_steady_writes() {
    let folder = Folder::new();
    let store = folder.open().await;
    let row = Typing::of("x").updates.remove(0);
    let names: Vec<_> = (0..64).map(|n| format!("doc {n}")).collect();
    let (mut largest, mut before, mut growth) = (0, 0, 0);
    for _ in 0..1_600 {
        let batch: Vec<_> = names
            .iter()
            .map(|name| entry(name, None, vec![row.clone()]))
            .collect();
        store.append(&batch, 5).await.unwrap();
        let log = fs::metadata(folder.data_dir().join("coscribe.db-wal"))
            .unwrap()
            .len();
        largest = largest.max(log);
        growth = growth.max(log.saturating_sub(before));
        before = log;
    }
    // 1,600 commits of more than 64 pages are over 400 MB.
    println!("largest log file: {} MiB", largest >> 20);
    // What calls for a checkpoint that nobody waits for (48 MiB), what comes while a slow disk makes it (96 MiB), and a third
    // of that, as pages are estimated.
    assert!(largest < 192 << 20, "{largest}");
    // Room for what a busy server writes was made at once: a commit itself adds less than half a megabyte.
    #[cfg(target_os = "linux")]
    if can_reserve(&folder.data_dir()) {
        assert!(growth >= 32 << 20, "{growth}");
    } else {
        eprintln!("skipped: this disk has no room to spare, or can not reserve it");
    }
    store.close().await.unwrap();
    assert!(
        !folder.data_dir().join("coscribe.db-wal").exists(),
        "a closed store leaves one file"
    );
}

#[tokio::test]
async fn history_of_a_version_that_knew_no_sessions_has_them_all_the_same() {
    let folder = Folder::new();
    let store = folder.open().await;
    let rows = written("abcdefgh");
    store.append(&[entry("a", None, rows)], 5).await.unwrap();
    let compact = async |seq, text: &str| {
        let snapshot = Snapshot {
            seq,
            bytes: Typing::of(text).state().into(),
        };
        let compaction = Compaction {
            doc: doc("a"),
            epoch: 1,
            snapshot,
        };
        assert!(store.compact(compaction).await.unwrap());
    };
    compact(5, "abcde").await;
    let wanted = sessions(&store, Seq::MAX, 100).await;
    let mut meddler = folder.meddle().await;
    let forget = "DELETE FROM sessions";
    sqlx::query(forget).execute(&mut meddler).await.unwrap();
    assert_eq!(sessions(&store, Seq::MAX, 100).await, wanted);
    compact(7, "abcdefg").await;
    assert_eq!(sessions(&store, Seq::MAX, 100).await, wanted);
    let stored: i64 = sqlx::query_scalar("SELECT max(to_seq) FROM sessions")
        .fetch_one(&mut meddler)
        .await
        .unwrap();
    assert_eq!(stored, 7);
    store.close().await.unwrap();
}
