//! What authors call themselves.

use std::sync::Arc;

use sqlx::{SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::error::{Columns as _, failed};
use crate::store::{Person, StoreError};

const UPSERT: &str = "
    INSERT INTO people (author, name, color) VALUES (?, ?, ?)
    ON CONFLICT (author) DO UPDATE SET name = excluded.name, color = excluded.color";
const SELECT: &str =
    "SELECT author, name, color FROM people WHERE author IN (SELECT value FROM json_each(?))";

/// Remembers what an author calls themselves, in the transaction that stores what they wrote.
pub(super) async fn upsert(conn: &mut SqliteConnection, person: &Person) -> Result<(), StoreError> {
    sqlx::query(UPSERT)
        .bind(Arc::clone(&person.author))
        .bind(person.name.clone())
        .bind(person.color.clone())
        .execute(conn)
        .await
        .map(drop)
        .map_err(failed)
}

/// See `Store::people`.
pub(super) async fn people(
    readers: &SqlitePool,
    authors: &[Arc<str>],
) -> Result<Vec<Person>, StoreError> {
    let authors: Vec<&str> = authors.iter().map(Arc::as_ref).collect();
    let authors =
        serde_json::to_string(&authors).map_err(|error| StoreError::Other(error.into()))?;
    let rows = sqlx::query(SELECT)
        .bind(authors)
        .fetch_all(readers)
        .await
        .map_err(failed)?;
    let person = |row: &SqliteRow| {
        Ok(Person {
            author: row.column::<&str>(0)?.into(),
            name: row.column(1)?,
            color: row.column(2)?,
        })
    };
    let known = rows.iter().map(person);
    // A name that is damaged is none; it says nothing about a document.
    Ok(known
        .filter_map(|person: Result<_, StoreError>| person.ok())
        .collect())
}
