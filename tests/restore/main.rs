//! Restoring over random histories: exact, small, and merging with what others do meanwhile.
//!
//! `COSCRIBE_SEEDS` sets how many histories each test takes, `COSCRIBE_FIRST_SEED` where it begins.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod people;
mod view;

use coscribe::document::{
    replica::doc_with,
    restore::{Restored, Wanted, restore},
    scan::{ScanLimits, scan},
};
use people::{History, apply};
use view::view;
use yrs::Doc;

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
            assert_eq!(view(&document(&history.rows)), expected, "version {version}");
            assert!(restored.exact, "version {version}");
            let again = self::restored(&history, Wanted::Version(version as u64), 9);
            assert_eq!(&again.update[..], [0, 0], "nothing is left to restore");
            history.meet();
            history.write(5);
        }
    }
}
