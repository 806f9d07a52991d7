//! What an error of SQLite means for who called the store.

use sqlx::{Decode, Row as _, Sqlite, Type, sqlite::SqliteRow};

use crate::store::{BoxError, StoreError};

// Result codes, <https://www.sqlite.org/rescode.html>. The low byte is the primary code.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const NOTADB: i32 = 26;
const IOERR_FSYNC: i32 = IOERR | 4 << 8;
const IOERR_DIR_FSYNC: i32 = IOERR | 5 << 8;
const IOERR_CLOSE: i32 = IOERR | 16 << 8;
const IOERR_SHMSIZE: i32 = IOERR | 19 << 8;
const IOERR_CORRUPTFS: i32 = IOERR | 33 << 8;

/// Translates by extended result code, which alone tells a failed fsync from a failed write.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    let code = error
        .as_database_error()
        .and_then(|database| database.code())
        .and_then(|code| code.parse::<i32>().ok());
    match code {
        Some(code) => by_code(code, error.into()),
        None => StoreError::Other(error.into()),
    }
}

fn by_code(code: i32, error: BoxError) -> StoreError {
    match code {
        // What the file holds is unknown after any of these.
        IOERR_FSYNC | IOERR_DIR_FSYNC | IOERR_CLOSE => StoreError::SyncFailed(error),
        // The shared-memory index of the WAL could not grow.
        IOERR_SHMSIZE => StoreError::Full(error),
        IOERR_CORRUPTFS => StoreError::Corrupt(error),
        _ => match code & 0xff {
            FULL => StoreError::Full(error),
            READONLY => StoreError::ReadOnly(error),
            BUSY | LOCKED => StoreError::Busy(error),
            CORRUPT | NOTADB => StoreError::Corrupt(error),
            _ => StoreError::Other(error),
        },
    }
}

/// Reading columns without trust in what a damaged page holds.
pub(super) trait Columns {
    /// The value of a column.
    ///
    /// # Errors
    /// `Damaged` when it is none of this type: text that is not UTF-8, say.
    fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
        &'r self,
        place: usize,
    ) -> Result<T, StoreError>;
}

impl Columns for SqliteRow {
    fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
        &'r self,
        place: usize,
    ) -> Result<T, StoreError> {
        self.try_get(place)
            .map_err(|error| StoreError::Damaged(format!("a stored value: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_are_told_apart() {
        let by = |code| by_code(code, "x".into());
        assert!(matches!(by(1034), StoreError::SyncFailed(_)));
        assert!(matches!(by(1290), StoreError::SyncFailed(_)));
        assert!(
            matches!(by(778), StoreError::Other(_)),
            "a failed write is not a failed sync"
        );
        assert!(matches!(by(13), StoreError::Full(_)));
        assert!(matches!(by(4874), StoreError::Full(_)));
        assert!(
            matches!(by(1032), StoreError::ReadOnly(_)),
            "READONLY_DBMOVED"
        );
        assert!(matches!(by(517), StoreError::Busy(_)), "BUSY_SNAPSHOT");
        assert!(matches!(by(267), StoreError::Corrupt(_)), "CORRUPT_VTAB");
        assert!(matches!(by(26), StoreError::Corrupt(_)));
    }
}
