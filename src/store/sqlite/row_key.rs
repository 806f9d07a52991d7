//! The integer key of a log row, and the checksums that tie stored bytes to the place they belong to.

use crate::store::{Epoch, NewRow, Seq, StoreError};

/// Bits of a key that hold the sequence number: 4,294,967,295 rows for each of 2,147,483,647 documents.
const SEQ_BITS: u32 = 32;
pub(super) const MAX_SEQ: Seq = (1 << SEQ_BITS) - 1;
pub(super) const MAX_DOC: i64 = (1 << 31) - 1;

/// Number of a document within the database. Never shown outside.
pub(super) type DocKey = i64;

/// The key of row `seq`; a `seq` beyond the last possible one gives the last.
pub(super) fn row_key(doc: DocKey, seq: Seq) -> i64 {
    (doc << SEQ_BITS) | seq.min(MAX_SEQ).cast_signed()
}

/// The sequence number in a key.
pub(super) fn seq_of(key: i64) -> Seq {
    key.cast_unsigned() & MAX_SEQ
}

/// The document in a key.
pub(super) fn doc_of(key: i64) -> DocKey {
    key >> SEQ_BITS
}

/// CRC-32C over the bytes and all that says whose they are: a row that a damaged page shows under another document,
/// epoch or number does not pass.
pub(super) fn row_crc(doc: DocKey, epoch: Epoch, seq: Seq, row: &NewRow) -> i64 {
    let mut key = [0u8; 36];
    key[..8].copy_from_slice(&doc.to_le_bytes());
    key[8..12].copy_from_slice(&epoch.to_le_bytes());
    key[12..20].copy_from_slice(&seq.to_le_bytes());
    key[20..28].copy_from_slice(&row.client_id.to_le_bytes());
    key[28..36].copy_from_slice(&row.at.to_le_bytes());
    let crc = crc32c::crc32c(&key);
    let crc = crc32c::crc32c_append(crc, row.author.as_bytes());
    crc32c::crc32c_append(crc, &row.bytes).into()
}

/// CRC-32C over stored bytes and the numbers and text in the columns beside them.
pub(super) fn blob_crc(
    doc: DocKey,
    epoch: Epoch,
    columns: &[i64],
    text: &str,
    bytes: &[u8],
) -> i64 {
    let mut crc = crc32c::crc32c(&doc.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &epoch.to_le_bytes());
    for column in columns {
        crc = crc32c::crc32c_append(crc, &column.to_le_bytes());
    }
    crc = crc32c::crc32c_append(crc, text.as_bytes());
    crc32c::crc32c_append(crc, bytes).into()
}

/// A number from a column that is never negative in a sound database.
pub(super) fn unsigned(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| StoreError::Damaged("a stored number is negative".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_document_follow_each_other_and_end_before_the_next() {
        assert_eq!(row_key(1, 2), row_key(1, 1) + 1);
        assert!(row_key(1, MAX_SEQ) < row_key(2, 0));
        assert!(row_key(MAX_DOC, MAX_SEQ) > 0);
        assert_eq!((doc_of(row_key(7, 99)), seq_of(row_key(7, 99))), (7, 99));
        assert_eq!(seq_of(row_key(7, u64::MAX)), MAX_SEQ);
    }
}
