//! Check, backup and restore, beside an open store and at rest.

use std::fs;

use coscribe::store::{
    Compaction, Snapshot, Store,
    sqlite::inspect::{InspectError, Progress, Report, Step, backup, check, restore_backup},
};

use crate::fixture::{Folder, Typing, doc, entry, live, open_at};

fn quiet(_: Progress) {}

pub async fn report(folder: &Folder) -> Report {
    check(&folder.data_dir(), quiet).await.unwrap()
}

/// Nothing is wrong but what is under quarantine on purpose.
pub async fn assert_sound(folder: &Folder) {
    let report = report(folder).await;
    let unexpected: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !finding.problem.starts_with("under quarantine"))
        .collect();
    assert!(
        report.file.is_empty() && unexpected.is_empty(),
        "{report:?}"
    );
}

/// Three documents: one with a snapshot, history and a tail, one with rows only, one deleted.
pub async fn fill(store: &dyn Store) {
    let text = "the quick brown fox jumps over the lazy dog";
    let typing = Typing::of(text);
    let rows = typing.updates.clone();
    store
        .append(
            &[
                entry("folded", None, rows),
                entry("plain", None, Typing::of("abc").updates),
            ],
            5,
        )
        .await
        .unwrap();
    let snapshot = Snapshot {
        seq: 20,
        bytes: Typing::of(&text[..20]).state().into(),
    };
    assert!(
        store
            .compact(Compaction {
                doc: doc("folded"),
                epoch: 1,
                snapshot
            })
            .await
            .unwrap()
    );
    store
        .append(&[entry("gone", None, Typing::of("gone").updates)], 5)
        .await
        .unwrap();
    store.trash(&doc("gone"), 6).await.unwrap();
    store.delete(&doc("gone"), 7).await.unwrap();
}

#[tokio::test]
async fn a_check_counts_what_it_saw_beside_a_running_store_and_at_rest() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let beside = report(&folder).await;
    assert_eq!(
        (beside.documents, beside.rows, beside.is_sound()),
        (3, 46, true),
        "{beside:?}"
    );
    store.close().await.unwrap();
    let mut steps = Vec::new();
    let at_rest = check(&folder.data_dir(), |progress| steps.push(progress))
        .await
        .unwrap();
    assert_eq!(at_rest, beside);
    assert_eq!(steps.first().unwrap().step, Step::Verifying);
    assert_eq!(
        steps.last(),
        Some(&Progress {
            step: Step::Replaying,
            done: 3,
            total: 3
        })
    );
}

#[tokio::test]
async fn a_check_names_the_document_whose_rows_do_not_replay() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let mut nonsense = Typing::of("x").updates;
    nonsense[0].bytes = vec![0xff; 9].into();
    let mut early = Typing::of("xyz").updates;
    early.remove(0);
    store
        .append(
            &[
                entry("nonsense", None, nonsense),
                entry("early", None, early),
            ],
            5,
        )
        .await
        .unwrap();
    // A snapshot that does not tell what its rows tell.
    let snapshot = Snapshot {
        seq: 3,
        bytes: Typing::of("ab").state().into(),
    };
    assert!(
        store
            .compact(Compaction {
                doc: doc("plain"),
                epoch: 1,
                snapshot
            })
            .await
            .unwrap()
    );
    let report = report(&folder).await;
    assert!(report.file.is_empty());
    let problem = |name: &str| {
        let finding = report
            .findings
            .iter()
            .find(|finding| finding.doc == doc(name));
        finding
            .map(|finding| finding.problem.clone())
            .unwrap_or_default()
    };
    assert!(
        problem("nonsense").contains("row 1 does not decode"),
        "{report:?}"
    );
    assert!(
        problem("early").contains("row 1 refers to something that is not there"),
        "{report:?}"
    );
    assert!(problem("plain").contains("different states"), "{report:?}");
    assert_eq!(report.findings.len(), 3);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let folder = Folder::new();
    let error = check(&folder.data_dir(), quiet).await.unwrap_err();
    assert!(
        error.to_string().contains("there is no database at"),
        "{error}"
    );
    assert!(!folder.data_dir().exists(), "a check makes nothing");
}

#[tokio::test]
async fn a_backup_beside_a_writing_store_holds_all_that_was_stored_before_it_began() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let file = folder.path().join("copy.db");
    let more = Typing::of(&"m".repeat(200)).updates;
    let writing = async {
        for update in &more {
            store
                .append(&[entry("more", None, vec![update.clone()])], 9)
                .await
                .unwrap();
        }
    };
    let data_dir = folder.data_dir();
    let (taken, ()) = tokio::join!(backup(&data_dir, &file, false, quiet), writing);
    taken.unwrap();
    let before = live(&store, "folded").await;
    store.close().await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    let elsewhere = Folder::new();
    restore_backup(&file, &elsewhere.data_dir(), quiet)
        .await
        .unwrap();
    assert_sound(&elsewhere).await;
    let restored = elsewhere.open().await;
    assert_eq!(live(&restored, "folded").await, before);
    // And it is a whole store again.
    restored
        .append(&[entry("new", None, Typing::of("n").updates)], 9)
        .await
        .unwrap();
    restored.close().await.unwrap();
    assert_eq!(
        leftovers(&folder),
        ["copy.db", "data"],
        "no partial file stays"
    );
}

#[tokio::test]
async fn a_backup_is_taken_at_rest_and_never_overwrites_unasked() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    store.close().await.unwrap();
    let file = folder.path().join("copy.db");
    fs::write(&file, "precious").unwrap();
    let refused = backup(&folder.data_dir(), &file, false, quiet).await;
    assert!(
        matches!(refused, Err(InspectError::Exists { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    backup(&folder.data_dir(), &file, true, quiet)
        .await
        .unwrap();
    assert!(fs::metadata(&file).unwrap().len() > 1000);
    assert_eq!(leftovers(&folder), ["copy.db", "data"]);
}

#[tokio::test]
async fn a_restore_needs_a_sound_backup_and_a_data_directory_without_a_database() {
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    let file = folder.path().join("copy.db");
    backup(&folder.data_dir(), &file, false, quiet)
        .await
        .unwrap();

    let held = restore_backup(&file, &folder.data_dir(), quiet).await;
    assert!(
        matches!(held, Err(InspectError::Open(_))),
        "in use: {held:?}"
    );
    store.close().await.unwrap();
    let full = restore_backup(&file, &folder.data_dir(), quiet).await;
    assert!(
        matches!(full, Err(InspectError::DataDirInUse { .. })),
        "{full:?}"
    );

    let empty = Folder::new();
    let mut bytes = fs::read(&file).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..64].fill(0xee);
    }
    let broken = folder.path().join("broken.db");
    fs::write(&broken, &bytes).unwrap();
    let refused = restore_backup(&broken, &empty.data_dir(), quiet).await;
    assert!(refused.is_err(), "damaged");
    fs::write(
        &broken,
        "not a database at all, but long enough to be looked at",
    )
    .unwrap();
    assert!(
        restore_backup(&broken, &empty.data_dir(), quiet)
            .await
            .is_err(),
        "foreign"
    );
    assert!(!empty.database().exists());
    // A write-ahead log without its database would be played into the restored one.
    fs::create_dir_all(empty.data_dir()).unwrap();
    fs::write(empty.data_dir().join("coscribe.db-wal"), "x").unwrap();
    assert!(
        restore_backup(&file, &empty.data_dir(), quiet)
            .await
            .is_err(),
        "a leftover log"
    );
    fs::remove_file(empty.data_dir().join("coscribe.db-wal")).unwrap();
    restore_backup(&file, &empty.data_dir(), quiet)
        .await
        .unwrap();
    open_at(&empty.data_dir())
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
}

fn leftovers(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
