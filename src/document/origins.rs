//! What a restore brought back: which of its ids are copies of which others.
//!
//! Yjs has no way to make a deleted item live again, so a restore writes a new one. That it is the same as the old one is
//! remembered beside the row, and [`super::provenance::Provenance`] then takes both for one thing.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use super::{
    Clock,
    id_set::IdRange,
    ids::Id,
    provenance::Row,
    varint::{ReadError, Reader, write_var},
};

/// Where the ids of a restore come from, as ranges of its client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// Ids that are copies: what the first is a copy of. The next are copies of the next.
    pub copies: Vec<(IdRange, Id)>,
    /// Ids that say the same as others but in another place, so that they are no copies: the row that wrote it first.
    pub writers: Vec<(IdRange, Row)>,
    /// Whether all copies are known. The first form that was stored had only `writers`.
    pub has_copies: bool,
}

/// Begins what was stored since copies are known. A count of 0 was not followed by anything before.
const WITH_COPIES: [u8; 2] = [0, 1];

impl Origins {
    /// Adds copies; what continues the last ones becomes part of them.
    pub fn copied(&mut self, range: IdRange, of: Id) {
        match self.copies.last_mut() {
            Some((last, first))
                if last.client == range.client
                    && last.end == range.start
                    && first.client == of.client
                    && first.clock + (last.end - last.start) == of.clock =>
            {
                last.end = range.end;
            }
            _ => self.copies.push((range, of)),
        }
    }

    /// Adds what a row wrote first; what continues the last range from the same row becomes part of it.
    pub fn wrote(&mut self, range: IdRange, row: Row) {
        match self.writers.last_mut() {
            Some((last, of))
                if *of == row && last.client == range.client && last.end == range.start =>
            {
                last.end = range.end;
            }
            _ => self.writers.push((range, row)),
        }
    }

    /// The form in which it is stored, of variable-length integers: 0 and 1, a count, then client, start, length, and client and
    /// clock of the original for each range of copies; then a count, and client, start, length and row of each other range.
    /// Without copies it is only the latter, as in the first version.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.has_copies {
            out.extend(WITH_COPIES);
            write_var(&mut out, self.copies.len() as u64);
            for (range, of) in &self.copies {
                write_range(&mut out, range);
                of.write(&mut out);
            }
        }
        write_var(&mut out, self.writers.len() as u64);
        for (range, row) in &self.writers {
            write_range(&mut out, range);
            write_var(&mut out, *row);
        }
        out
    }

    /// Reads what [`Self::encode`] wrote; nothing at all is no ranges.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut origins = Self::default();
        if bytes.is_empty() {
            return Ok(origins);
        }
        let mut reader = Reader::new(bytes);
        if let Some(rest) = bytes.strip_prefix(&WITH_COPIES) {
            reader = Reader::new(rest);
            origins.has_copies = true;
            for _ in 0..reader.count(5)? {
                let range = read_range(&mut reader)?;
                let client = reader.var_u64()?;
                let of = Id::new(client, reader.var_u64()? as Clock);
                origins.copies.push((range, of));
            }
        }
        for _ in 0..reader.count(4)? {
            let range = read_range(&mut reader)?;
            origins.writers.push((range, reader.var_u64()?));
        }
        Ok(origins)
    }
}

fn write_range(out: &mut Vec<u8>, range: &IdRange) {
    write_var(out, range.client);
    write_var(out, u64::from(range.start));
    write_var(out, u64::from(range.end - range.start));
}

fn read_range(reader: &mut Reader<'_>) -> Result<IdRange, ReadError> {
    let client = reader.var_u64()?;
    let start = reader.var_u64()? as Clock;
    let len = reader.var_u64()? as Clock;
    let end = start.saturating_add(len);
    Ok(IdRange { client, start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: Clock, end: Clock) -> IdRange {
        let client = 9;
        IdRange { client, start, end }
    }

    #[test]
    fn what_continues_is_one_range_and_comes_back_from_bytes() {
        let mut origins = Origins {
            has_copies: true,
            ..Origins::default()
        };
        origins.copied(range(0, 2), Id::new(1, 300));
        origins.copied(range(2, 5), Id::new(1, 302));
        origins.copied(range(5, 6), Id::new(1, 302));
        origins.copied(range(7, 8), Id::new(1, 303));
        origins.wrote(range(8, 9), 4);
        origins.wrote(range(9, 11), 4);
        origins.wrote(range(11, 12), 5);
        assert_eq!((origins.copies.len(), origins.writers.len()), (3, 2));
        assert_eq!(Origins::decode(&origins.encode()), Ok(origins.clone()));
        // What the first version stored: who wrote the text, and nothing of copies.
        origins.has_copies = false;
        origins.copies.clear();
        assert_eq!(origins.encode(), [2, 9, 8, 3, 4, 9, 11, 1, 5]);
        assert_eq!(Origins::decode(&origins.encode()), Ok(origins));
        for nothing in [&[][..], &[0]] {
            assert_eq!(Origins::decode(nothing), Ok(Origins::default()));
        }
    }

    #[test]
    fn other_bytes_are_no_origins() {
        for bytes in [
            &[9][..],
            &[1, 2, 3],
            &[0xff; 40],
            &[0, 1],
            &[0, 1, 1, 2, 3, 4, 0],
        ] {
            assert!(Origins::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
