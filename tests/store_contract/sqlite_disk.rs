//! A disk that is full or read-only. Needs root, to mount a small file system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use coscribe::store::{
    Durability, NewRow, Store, StoreError,
    sqlite::{
        SqliteOptions, SqliteStore,
        inspect::{backup, check},
    },
};

use crate::fixture::{Typing, add, entry, live, open_at};

/// A small file system in memory; unmounted at the end.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, having said why, where mounting is not allowed.
    fn mount(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("skipped: this test mounts a small file system, which only root may");
        None
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Leaves no free byte.
    fn fill(&self) {
        use std::io::Write;
        let mut filler = fs::File::create(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![0u8; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn remount(&self, mode: &str) {
        let option = format!("remount,{mode}");
        assert!(
            Command::new("mount")
                .args(["-o", &option])
                .arg(self.folder.path())
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, as a failed test still has files open.
        let done = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
        assert!(done.is_ok_and(|status| status.success()));
    }
}

async fn open_durable(data_dir: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions {
        data_dir: data_dir.to_path_buf(),
        durability: Durability::Full,
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_half_stored_and_it_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(24) else {
        return;
    };
    let store = open_durable(&disk.data_dir()).await;
    let typing = Typing::of(&"f".repeat(400));
    let mut written = 0;
    for _ in 0..5 {
        disk.fill();
        let before = written;
        // What the log has room for is taken; then it is full.
        let error = loop {
            let batch = [entry("a", None, vec![typing.updates[written].clone()])];
            match store.append(&batch, 5).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
            assert!(written < before + 79, "never full");
        };
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        assert!(matches!(store.probe().await, Err(StoreError::Full(_))));
        let stored = live(&store, "a");
        if written > 0 {
            assert_eq!(stored.await.head_seq, written as u64, "readers go on");
        }
        // A batch over several documents is stored as a whole or not at all.
        let batch = ["x", "y"].map(|name| entry(name, None, typing.updates[..1].to_vec()));
        assert!(store.append(&batch, 5).await.is_err());
        disk.free();
        store.probe().await.unwrap();
        assert_eq!(
            add(&store, "a", typing.updates[written].clone()).await,
            written as u64 + 1
        );
        written += 1;
    }
    assert!(
        store
            .get(&crate::fixture::doc("x"))
            .await
            .unwrap()
            .is_none()
    );
    let back: Vec<NewRow> = live(&store, "a")
        .await
        .tail
        .into_iter()
        .map(|row| row.row)
        .collect();
    assert!(back == typing.updates[..written]);
    store.close().await.unwrap();
    assert!(check(&disk.data_dir(), |_| ()).await.unwrap().is_sound());
}

#[tokio::test]
async fn a_backup_onto_a_full_disk_fails_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(16) else {
        return;
    };
    let folder = crate::fixture::Folder::new();
    let store = folder.open().await;
    crate::sqlite_inspect::fill(&store).await;
    disk.fill();
    assert!(
        backup(
            &folder.data_dir(),
            &disk.folder.path().join("copy.db"),
            false,
            |_| ()
        )
        .await
        .is_err()
    );
    let names: Vec<_> = fs::read_dir(disk.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["filler"]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_read_only_data_directory_is_refused_by_name_and_can_still_be_checked() {
    let Some(disk) = SmallDisk::mount(16) else {
        return;
    };
    let store = open_at(&disk.data_dir()).await.unwrap();
    crate::sqlite_inspect::fill(&store).await;
    store.close().await.unwrap();
    drop(store);
    disk.remount("ro");
    let refused = open_at(&disk.data_dir()).await.unwrap_err().to_string();
    assert!(
        refused.contains("data directory") && refused.contains("may write"),
        "{refused}"
    );
    let report = check(&disk.data_dir(), |_| ()).await.unwrap();
    assert!(report.is_sound() && report.documents == 3, "{report:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    backup(
        &disk.data_dir(),
        &elsewhere.path().join("copy.db"),
        false,
        |_| (),
    )
    .await
    .unwrap();
    disk.remount("rw");
}

/// A file system that holds more than the memory under it: writing back fails, so fsync does.
struct LyingDisk {
    disk: SmallDisk,
    mounted: tempfile::TempDir,
}

impl LyingDisk {
    fn mount() -> Option<Self> {
        let disk = SmallDisk::mount(12)?;
        let image = disk.folder.path().join("image");
        fs::File::create(&image).unwrap().set_len(96 << 20).unwrap();
        let mounted = tempfile::tempdir().unwrap();
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F", "-O", "^has_journal"])
            .arg(&image)
            .output();
        let mount = || {
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(mounted.path())
                .output()
        };
        if made.is_ok_and(|output| output.status.success())
            && mount().is_ok_and(|output| output.status.success())
        {
            return Some(Self { disk, mounted });
        }
        eprintln!("skipped: this test needs mkfs.ext4 and a loop device");
        None
    }
}

impl Drop for LyingDisk {
    fn drop(&mut self) {
        let done = Command::new("umount")
            .arg("-l")
            .arg(self.mounted.path())
            .status();
        assert!(done.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn after_the_first_failed_sync_nothing_is_acknowledged_any_more() {
    let Some(lying) = LyingDisk::mount() else {
        return;
    };
    let data_dir = lying.mounted.path().join("data");
    let store = open_durable(&data_dir).await;
    let mut row = Typing::of("x").updates.remove(0);
    row.bytes = vec![7; 500_000].into();
    let mut failed = None;
    for _ in 0..60 {
        if let Err(error) = store
            .append(&[entry("a", None, vec![row.clone()])], 5)
            .await
        {
            failed = Some(error);
            break;
        }
    }
    assert!(
        matches!(failed, Some(StoreError::SyncFailed(_))),
        "{failed:?}"
    );
    // Room again, and the next sync would say that all is well.
    assert!(
        Command::new("mount")
            .args(["-o", "remount,size=200m"])
            .arg(lying.disk.folder.path())
            .status()
            .unwrap()
            .success()
    );
    for _ in 0..3 {
        let refused = store
            .append(&[entry("b", None, Typing::of("b").updates)], 5)
            .await;
        assert!(
            matches!(refused, Err(StoreError::SyncFailed(_))),
            "{refused:?}"
        );
        assert!(matches!(
            store.probe().await,
            Err(StoreError::SyncFailed(_))
        ));
    }
    drop(store.close().await);
}
