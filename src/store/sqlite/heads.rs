//! What the writer remembers of the documents it writes to, so that an append need not ask first.
//!
//! The instance lock makes this process the only writer, and every change goes through the one writer connection; so
//! what is remembered is true as long as it is forgotten after every failure. The unique keys of the log would turn a
//! mistake here into a failed transaction, not into a lost row.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::{
    error::{Columns as _, failed},
    row_key::{DocKey, MAX_DOC, unsigned},
};
use crate::{
    document::id::DocId,
    store::{Append, DocState, Epoch, Seq, StoreError},
};

/// Documents that are remembered; beyond it all are forgotten. About 150 bytes each.
const MAX_KNOWN: usize = 8192;

/// Where a document stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub key: DocKey,
    pub epoch: Epoch,
    pub seq: Seq,
    pub size: u64,
    pub state: DocState,
}

/// The remembered heads. A name that is not in it may still have a record.
#[derive(Debug, Default)]
pub(super) struct Heads {
    known: HashMap<DocId, Head>,
    /// The key of the next new document, once asked for.
    next_key: Option<DocKey>,
}

const SELECT_HEADS: &str = "
    SELECT d.name, d.id, d.epoch, h.head_seq, h.size, d.state
    FROM documents d JOIN heads h ON h.doc = d.id
    WHERE d.name IN (SELECT value FROM json_each(?))";

const SELECT_LAST_KEY: &str = "SELECT coalesce(max(id), 0) FROM documents";

impl Heads {
    pub(super) fn get_mut(&mut self, doc: &DocId) -> Option<&mut Head> {
        self.known.get_mut(doc)
    }

    pub(super) fn insert(&mut self, doc: DocId, head: Head) {
        self.known.insert(doc, head);
    }

    pub(super) fn forget(&mut self, doc: &DocId) {
        self.known.remove(doc);
    }

    pub(super) fn forget_all(&mut self) {
        self.known.clear();
        self.next_key = None;
    }

    /// A key for a new document. After a failure it is asked for anew.
    pub(super) async fn reserve_keys(
        &mut self,
        conn: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.next_key.is_none() {
            let last: DocKey = sqlx::query_scalar(SELECT_LAST_KEY)
                .fetch_one(conn)
                .await
                .map_err(failed)?;
            self.next_key = Some(last + 1);
        }
        Ok(())
    }

    /// The next free key; `reserve_keys` came before.
    pub(super) fn take_key(&mut self) -> Result<DocKey, StoreError> {
        match self.next_key.as_mut() {
            Some(next) if *next <= MAX_DOC => {
                *next += 1;
                Ok(*next - 1)
            }
            _ => Err(StoreError::Other(
                "no number is free for a new document".into(),
            )),
        }
    }

    /// Reads the heads of those of the batch's documents that have a record and are not remembered.
    pub(super) async fn learn(
        &mut self,
        conn: &mut SqliteConnection,
        batch: &[Append],
    ) -> Result<(), StoreError> {
        let Some(names) = self.unknown(batch)? else {
            return Ok(());
        };
        self.reserve_keys(conn).await?;
        let rows = sqlx::query(SELECT_HEADS)
            .bind(names)
            .fetch_all(conn)
            .await
            .map_err(failed)?;
        for row in rows {
            let head = Head {
                key: row.column(1)?,
                epoch: row.column(2)?,
                seq: unsigned(row.column(3)?)?,
                size: unsigned(row.column(4)?)?,
                state: state_of(row.column(5)?),
            };
            self.known.insert(doc_id(row.column(0)?)?, head);
        }
        Ok(())
    }

    /// The names that are not remembered, as a JSON array. Forgets all others when there would be too many.
    fn unknown(&mut self, batch: &[Append]) -> Result<Option<String>, StoreError> {
        let unknown = batch
            .iter()
            .filter(|entry| !self.known.contains_key(&entry.doc))
            .count();
        if unknown == 0 {
            return Ok(None);
        }
        if self.known.len() + unknown > MAX_KNOWN {
            self.known.clear();
        }
        let names: Vec<&str> = batch
            .iter()
            .filter(|entry| !self.known.contains_key(&entry.doc))
            .map(|entry| entry.doc.as_str())
            .collect();
        serde_json::to_string(&names)
            .map(Some)
            .map_err(|error| StoreError::Other(error.into()))
    }
}

/// The name in a `documents` row.
pub(super) fn doc_id(name: &str) -> Result<DocId, StoreError> {
    DocId::parse(name).map_err(|error| StoreError::Damaged(format!("stored name: {error}")))
}

/// The `state` column.
pub(super) fn state_of(column: &str) -> DocState {
    match column {
        "live" => DocState::Live,
        "trashed" => DocState::Trashed,
        "deleted" => DocState::Deleted,
        _ => DocState::Quarantined,
    }
}
