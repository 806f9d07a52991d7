//! Power cuts under load, on a real ext4 that forgets what was not synced. Needs root, for a file system of its own.
//!
//! `COSCRIBE_CUTS` says how often. The control shows that the test can fail: without syncing each commit, edits are lost.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rand::{SeedableRng as _, rngs::StdRng};

use crate::harness::{
    count,
    load::{self, Writer, check},
    peer::Peer,
    server::{Server, run},
    shim, skip,
    tokens::{Ledger, tokens},
};

/// Shuts an ext4 file system down at once, without flushing its journal: `EXT4_IOC_SHUTDOWN` with
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`, from the kernel's `ext4.h`. Perl is there wherever Debian is.
const CUT: &str = r#"
    sysopen(my $folder, $ARGV[0], 0) or die $!;
    my $flags = pack("I", 2);
    defined(ioctl($folder, 0x8004587d, $flags)) or die $!;
"#;

/// A disk whose power can be cut: ext4 in a file.
struct Disk {
    image: PathBuf,
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None`, having said why, where that is not possible.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let disk = Self {
            image: folder.path().join("image"),
            folder,
        };
        std::fs::create_dir(disk.mount_point()).unwrap();
        std::fs::File::create(&disk.image)
            .unwrap()
            .set_len(512 << 20)
            .unwrap();
        let image = disk.image.to_str().unwrap();
        if !succeeds("mkfs.ext4", &["-q", "-F", image]) || !disk.mount() {
            skip(
                "this test needs root, mkfs.ext4 and loop devices, for a disk whose power it can cut",
            );
            return None;
        }
        Some(disk)
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn data(&self) -> PathBuf {
        self.mount_point().join("data")
    }

    fn mount(&self) -> bool {
        let (image, at) = (self.image.to_str().unwrap(), self.mount_point());
        succeeds("mount", &["-o", "loop", image, at.to_str().unwrap()])
    }

    /// From here on nothing reaches the disk any more.
    fn cut(&self) {
        let at = self.mount_point();
        assert!(
            succeeds("perl", &["-e", CUT, at.to_str().unwrap()]),
            "the power could not be cut"
        );
    }

    fn unmount(&self) -> bool {
        succeeds("umount", &[self.mount_point().to_str().unwrap()])
    }

    /// The power is back. The server must not be running.
    fn power_on(&self) {
        assert!(self.unmount() && self.mount(), "the disk did not come back");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !self.unmount() {
            // A failed test still has files open.
            succeeds("umount", &["-l", self.mount_point().to_str().unwrap()]);
        }
    }
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let path = format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    let status = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Cuts the power while these people write. Only what had been promised before that counts.
async fn cut(server: &mut Server, disk: &Disk, writers: &[Writer], ledger: &mut Ledger) {
    load::settle(writers, ledger);
    disk.cut();
    server.kill_9().await;
    disk.power_on();
}

async fn start(data: &Path, durability: &str, prefix: &[&str]) -> Server {
    let flags = [
        "--durability",
        durability,
        "--compact-after-rows",
        "30",
        "--max-messages-per-second",
        "10000",
    ];
    Server::in_dir(data, &flags, prefix).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_or_seen_is_lost_in_a_power_cut() {
    let Some(disk) = Disk::new() else { return };
    let seed = count("COSCRIBE_FIRST_SEED", 1);
    let cuts = count("COSCRIBE_CUTS", 10);
    let mut random = StdRng::seed_from_u64(seed);
    let mut ledger = Ledger::default();
    let mut server = start(&disk.data(), "full", &[]).await;
    for round in 0..cuts {
        let writers = load::write(&server, round, &mut random).await;
        cut(&mut server, &disk, &writers, &mut ledger).await;
        server.restart().await;
        assert_eq!(
            check(&server, round, &ledger).await,
            0,
            "round {round} of seed {seed}"
        );
    }
    eprintln!(
        "{cuts} power cuts, {} promised tokens, 0 lost",
        ledger.promises()
    );
    assert!(
        ledger.promises() > 0,
        "nothing was promised, so nothing was tested"
    );
    assert_eq!(server.stop().await, 0);
    let (code, said) = run(&["check", "--data-dir", disk.data().to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
}

/// The process is killed inside of a commit, starts again and shows it; then the power is cut.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_restart_shows_survives_a_power_cut() {
    let Some(disk) = Disk::new() else { return };
    let file = disk.folder.path().join("armed");
    let Some(prefix) = shim::prefix(&["SHIM_KILL=fdatasync:3", &shim::armed_by(&file)]) else {
        return;
    };
    let mut random = StdRng::seed_from_u64(3);
    let mut ledger = Ledger::default();
    let mut server = start(&disk.data(), "full", &shim::words(&prefix)).await;
    std::fs::write(&file, "").unwrap();
    let writers = load::write(&server, 0, &mut random).await;
    assert_eq!(
        server.ended().await,
        -1,
        "the process was to be killed before its third sync"
    );
    load::settle(&writers, &mut ledger);
    drop(writers);
    server.set_prefix(&[]);
    server.restart().await;
    // What this one shows is promised, although nobody writes to it.
    assert_eq!(check(&server, 0, &ledger).await, 0);
    for number in 0..load::DOCS {
        let doc = load::name(0, number);
        for seen in tokens(&Peer::join(&server, &doc).await.text()) {
            ledger.promise(&doc, seen);
        }
    }
    disk.cut();
    server.kill_9().await;
    disk.power_on();
    server.restart().await;
    assert_eq!(check(&server, 0, &ledger).await, 0);
}

/// The control: what is not synced must be seen to be lost.
#[tokio::test(flavor = "multi_thread")]
async fn without_syncing_a_power_cut_loses_edits() {
    let Some(disk) = Disk::new() else { return };
    let mut random = StdRng::seed_from_u64(1);
    let mut ledger = Ledger::default();
    let mut server = start(&disk.data(), "process", &[]).await;
    let mut writers = load::write(&server, 0, &mut random).await;
    load::write_on(&mut writers).await;
    cut(&mut server, &disk, &writers, &mut ledger).await;
    server.restart().await;
    assert!(
        check(&server, 0, &ledger).await > 0,
        "the power cut lost nothing"
    );
}

/// The control: a disk that says it has synced and has not.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lies_is_noticed() {
    let Some(disk) = Disk::new() else { return };
    let Some(prefix) = shim::prefix(&["SHIM_SYNC=lie"]) else {
        return;
    };
    let mut random = StdRng::seed_from_u64(1);
    let mut ledger = Ledger::default();
    let mut server = start(&disk.data(), "full", &shim::words(&prefix)).await;
    let mut writers = load::write(&server, 0, &mut random).await;
    load::write_on(&mut writers).await;
    cut(&mut server, &disk, &writers, &mut ledger).await;
    server.restart().await;
    assert!(
        check(&server, 0, &ledger).await > 0,
        "a disk that lies lost nothing"
    );
}
