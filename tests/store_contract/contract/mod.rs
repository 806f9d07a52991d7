//! The clauses, each over any store.

mod documents;
pub(crate) mod history;
mod log;
mod retention;

use coscribe::store::{Compaction, Snapshot};

pub use self::{documents::*, history::*, log::*, retention::*};
use crate::fixture::doc;

fn compaction(name: &str, epoch: u32, seq: u64, bytes: Vec<u8>) -> Compaction {
    Compaction {
        doc: doc(name),
        epoch,
        snapshot: Snapshot {
            seq,
            bytes: bytes.into(),
        },
    }
}
