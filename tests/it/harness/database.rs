//! The database file as somebody outside the server sees and damages it.

use std::path::Path;

use sqlx::{
    Connection as _, Executor as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions,
};

pub struct Database(SqliteConnection);

impl Database {
    /// Opens the file of a data directory, beside a running server or at rest.
    pub async fn open(dir: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(dir.join("coscribe.db"))
            .busy_timeout(std::time::Duration::from_secs(30));
        Self(SqliteConnection::connect_with(&options).await.unwrap())
    }

    /// A number that a query answers.
    pub async fn number(&mut self, query: &'static str) -> i64 {
        self.0.fetch_one(query).await.unwrap().get(0)
    }

    pub async fn execute(&mut self, statement: &'static str) {
        self.0.execute(statement).await.unwrap();
    }

    /// Rows of the log after the snapshots.
    pub async fn rows(&mut self) -> i64 {
        self.number("SELECT count(*) FROM updates").await
    }

    /// Turns over one bit in the newest log row of a document.
    pub async fn flip_a_bit(&mut self, doc: &str) {
        let newest = "SELECT u.key, u.bytes FROM updates u JOIN documents d ON u.key >> 32 = d.id \
                      WHERE d.name = ? ORDER BY u.key DESC LIMIT 1";
        let row = sqlx::query(newest)
            .bind(doc)
            .fetch_one(&mut self.0)
            .await
            .unwrap();
        let (key, mut bytes): (i64, Vec<u8>) = (row.get(0), row.get(1));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        sqlx::query("UPDATE updates SET bytes = ? WHERE key = ?")
            .bind(bytes)
            .bind(key)
            .execute(&mut self.0)
            .await
            .unwrap();
    }

    pub async fn close(self) {
        self.0.close().await.unwrap();
    }
}
