//! The one connection that writes, and the discipline of its transactions.
//!
//! Invariant: outside a method no transaction is open, unless a caller's future was dropped midway; `settle` then ends
//! it before anything else happens.

use sqlx::{Connection, Executor, SqliteConnection};

use super::{error::failed, heads::Heads, watch::FileWatch};
use crate::store::StoreError;

/// The writer connection and what it remembers.
#[derive(Debug)]
pub(super) struct Writer {
    pub conn: SqliteConnection,
    pub heads: Heads,
    watch: FileWatch,
    /// A transaction began and was not seen to end.
    unsettled: bool,
}

impl Writer {
    pub(super) fn new(conn: SqliteConnection, watch: FileWatch) -> Self {
        Self {
            conn,
            heads: Heads::default(),
            watch,
            unsettled: false,
        }
    }

    /// Makes the connection ready for a new operation: ends what a dropped future left open, and sees that the files
    /// on disk are still the ones that are written to.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
        if self.unsettled {
            self.roll_back().await?;
        }
        self.watch.check()
    }

    /// Starts a transaction that may write. `IMMEDIATE`, because a read transaction that wants to write later fails at
    /// once when another connection wrote meanwhile, whatever the busy timeout.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.unsettled = true;
        let begun = self.conn.execute("BEGIN IMMEDIATE").await;
        self.unsettled = begun.is_ok();
        begun.map(drop).map_err(failed)
    }

    /// Commits what `outcome` says went well, rolls back what did not.
    pub(super) async fn end<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let outcome = match outcome {
            Ok(value) => self
                .conn
                .execute("COMMIT")
                .await
                .map(|_| value)
                .map_err(failed),
            error => error,
        };
        match outcome {
            Ok(value) => {
                self.unsettled = false;
                Ok(value)
            }
            Err(error) => {
                self.roll_back().await?;
                Err(error)
            }
        }
    }

    /// Whether what is deleted is overwritten with zeros everywhere, or only where that costs no further writing.
    pub(super) async fn overwrites(&mut self, everywhere: bool) -> Result<(), StoreError> {
        let sql = match everywhere {
            true => "PRAGMA secure_delete = ON",
            false => "PRAGMA secure_delete = FAST",
        };
        self.conn.execute(sql).await.map(drop).map_err(failed)
    }

    /// Marks that a statement that begins and commits by itself is on its way.
    pub(super) fn begin_alone(&mut self) {
        self.unsettled = true;
    }

    /// Takes note of how that statement ended.
    pub(super) async fn end_alone<T>(
        &mut self,
        outcome: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match outcome {
            Ok(value) => {
                self.unsettled = false;
                Ok(value)
            }
            Err(error) => {
                self.roll_back().await?;
                Err(error)
            }
        }
    }

    /// Ends an open transaction, and forgets what was remembered, as it may be wrong now.
    async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.heads.forget_all();
        match self.conn.execute("ROLLBACK").await {
            Ok(_) => {}
            // SQLite ended the transaction by itself, as it does after some errors, or it was committed.
            Err(error) if no_transaction(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        self.unsettled = false;
        Ok(())
    }

    pub(super) async fn close(self) -> Result<(), StoreError> {
        self.conn.close().await.map_err(failed)
    }
}

fn no_transaction(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|database| database.message().contains("no transaction is active"))
}
