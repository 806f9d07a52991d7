//! Which names have a record: known without asking SQLite, so that opening a document that does not exist yet, as a
//! "New" does, costs no query.
//!
//! Holds 64-bit hashes. Two names with the same hash cost one query in vain; a name that has a record is always in it,
//! because this process is the only writer and adds a name before it makes the record.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{PoisonError, RwLock},
};

use rustc_hash::FxHashSet;
use sqlx::SqliteConnection;

use crate::document::id::DocId;

/// With more documents than this the names are not read at start: it would be felt, and take megabytes.
const MAX_AT_START: usize = 200_000;

#[derive(Debug)]
pub(super) struct Names {
    /// Nothing while the names were too many to be read: every name is then looked up.
    known: RwLock<Option<FxHashSet<u64>>>,
    hasher: RandomState,
}

impl Names {
    /// Reads the names that have a record.
    pub(super) async fn read(conn: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        // As bytes: one that is damaged is nobody's, and no reason not to start.
        let names: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT CAST(name AS BLOB) FROM documents LIMIT ?")
                .bind(i64::try_from(MAX_AT_START + 1).unwrap_or(i64::MAX))
                .fetch_all(conn)
                .await?;
        let hasher = RandomState::new();
        let known = (names.len() <= MAX_AT_START).then(|| {
            names
                .iter()
                .filter_map(|name| std::str::from_utf8(name).ok())
                .map(|name| hasher.hash_one(name))
                .collect()
        });
        Ok(Self {
            known: RwLock::new(known),
            hasher,
        })
    }

    /// Whether the name may have a record.
    pub(super) fn may_exist(&self, doc: &DocId) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .is_none_or(|known| known.contains(&self.hasher.hash_one(doc.as_str())))
    }

    /// To be called before a record is made.
    pub(super) fn add(&self, doc: &DocId) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_mut() {
            known.insert(self.hasher.hash_one(doc.as_str()));
        }
    }
}
