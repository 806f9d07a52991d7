//! The form in which a run of log rows is kept for good: column by column, then compressed as one.
//!
//! Values of one kind lie together (times as differences, authors as an index), because that is what makes a log of
//! keystrokes small. Sequence numbers are not stored: a segment knows its first, and rows have no gaps. Pure: the
//! checksum over the result and the place where it is kept are the adapter's.

use std::sync::Arc;

use bytes::Bytes;

use super::{LogRow, NewRow, Seq};

/// Format of the bytes of a segment, the first byte of each: one whose moments can all be shown, and one that says which can
/// not.
const FORMAT: u8 = 1;
const FORMAT_HIDING: u8 = 2;

/// Level of zstd. Measured on the 259,778 rows of the automerge-paper history, one keystroke each: 3 leaves 1.04 MB, 9
/// leaves 0.93 MB at about the same speed, 12 is larger and slower, 19 leaves 0.82 MB and takes ten times as long.
const LEVEL: i32 = 9;

/// Most raw bytes that a segment may claim to hold, against a damaged length.
const MAX_RAW: usize = 1 << 30;

/// A segment that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    #[error("unknown segment format {0}")]
    Format(u8),
    #[error("the segment does not decompress: {0}")]
    Compression(#[source] std::io::Error),
    #[error("the segment ends too early or holds impossible values")]
    Malformed,
}

/// Rows as compressed bytes, with what a list of versions wants to know without unpacking them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub from_seq: Seq,
    pub to_seq: Seq,
    pub from_at: i64,
    pub to_at: i64,
    /// Who wrote in it, each once, in order of appearance.
    pub authors: Vec<Arc<str>>,
    /// Length before compression, in bytes.
    pub raw_len: usize,
    pub bytes: Vec<u8>,
}

/// Packs rows whose sequence numbers follow each other. `None` when there are none.
pub fn pack(rows: &[LogRow]) -> Option<Result<Segment, SegmentError>> {
    let (first, last) = (rows.first()?, rows.last()?);
    debug_assert!(rows.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    let hiding = rows.iter().any(|row| row.hidden);
    let raw = encode(rows, hiding);
    let packed = zstd::bulk::compress(&raw, LEVEL).map_err(SegmentError::Compression);
    Some(packed.map(|packed| {
        let mut bytes = Vec::with_capacity(packed.len() + 1);
        bytes.push(if hiding { FORMAT_HIDING } else { FORMAT });
        bytes.extend_from_slice(&packed);
        let mut authors: Vec<Arc<str>> = Vec::new();
        for LogRow { row, .. } in rows {
            if !authors.contains(&row.author) {
                authors.push(Arc::clone(&row.author));
            }
        }
        Segment {
            from_seq: first.seq,
            to_seq: last.seq,
            from_at: rows.iter().map(|row| row.row.at).min().unwrap_or_default(),
            to_at: rows.iter().map(|row| row.row.at).max().unwrap_or_default(),
            authors,
            raw_len: raw.len(),
            bytes,
        }
    }))
}

/// Unpacks the rows of a segment that starts at `from_seq`.
pub fn unpack(from_seq: Seq, raw_len: usize, bytes: &[u8]) -> Result<Vec<LogRow>, SegmentError> {
    let (&format, packed) = bytes.split_first().ok_or(SegmentError::Malformed)?;
    if !matches!(format, FORMAT | FORMAT_HIDING) {
        return Err(SegmentError::Format(format));
    }
    if raw_len > MAX_RAW {
        return Err(SegmentError::Malformed);
    }
    let raw = zstd::bulk::decompress(packed, raw_len).map_err(SegmentError::Compression)?;
    decode(from_seq, raw.into(), format == FORMAT_HIDING).ok_or(SegmentError::Malformed)
}

/// Who wrote a row, with which client id: few in a segment, so rows hold an index.
type Writer<'a> = (&'a str, u64);

fn encode(rows: &[LogRow], hiding: bool) -> Vec<u8> {
    let content: usize = rows.iter().map(|row| row.row.bytes.len()).sum();
    let mut raw = Vec::with_capacity(content + rows.len() * 4 + 64);
    let (writers, indexes) = writers_of(rows);
    put(&mut raw, rows.len() as u64);
    put(&mut raw, writers.len() as u64);
    for (author, client_id) in writers {
        put(&mut raw, author.len() as u64);
        raw.extend_from_slice(author.as_bytes());
        put(&mut raw, client_id);
    }
    for index in indexes {
        put(&mut raw, index as u64);
    }
    let mut before = 0i64;
    for LogRow { row, .. } in rows {
        put(&mut raw, zigzag(row.at.wrapping_sub(before)));
        before = row.at;
    }
    if hiding {
        // Lengths of runs, in turn of rows that are shown and of rows that are not.
        let runs: Vec<_> = rows.chunk_by(|a, b| a.hidden == b.hidden).collect();
        let first_is_hidden = rows.first().is_some_and(|row| row.hidden);
        put(&mut raw, runs.len() as u64 + u64::from(first_is_hidden));
        if first_is_hidden {
            put(&mut raw, 0);
        }
        for run in runs {
            put(&mut raw, run.len() as u64);
        }
    }
    for LogRow { row, .. } in rows {
        put(&mut raw, row.bytes.len() as u64);
    }
    for LogRow { row, .. } in rows {
        raw.extend_from_slice(&row.bytes);
    }
    raw
}

fn writers_of(rows: &[LogRow]) -> (Vec<Writer<'_>>, Vec<usize>) {
    let mut writers: Vec<Writer<'_>> = Vec::new();
    let mut known = std::collections::HashMap::new();
    let indexes = rows
        .iter()
        .map(|LogRow { row, .. }| {
            let writer = (&*row.author, row.client_id);
            *known.entry(writer).or_insert_with(|| {
                writers.push(writer);
                writers.len() - 1
            })
        })
        .collect();
    (writers, indexes)
}

fn decode(from_seq: Seq, raw: Bytes, hiding: bool) -> Option<Vec<LogRow>> {
    let mut reader = Reader { raw: &raw, at: 0 };
    let count = reader.count()?;
    let writer_count = reader.count()?;
    let mut writers: Vec<(Arc<str>, u64)> = Vec::with_capacity(writer_count);
    for _ in 0..writer_count {
        let len = reader.count()?;
        let author = std::str::from_utf8(reader.take(len)?).ok()?.into();
        writers.push((author, reader.get()?));
    }
    let indexes = (0..count)
        .map(|_| reader.get())
        .collect::<Option<Vec<_>>>()?;
    let times = (0..count)
        .map(|_| reader.get())
        .collect::<Option<Vec<_>>>()?;
    let hidden = match hiding {
        true => reader.hidden(count)?,
        false => vec![false; count],
    };
    let lengths = (0..count)
        .map(|_| reader.count())
        .collect::<Option<Vec<_>>>()?;

    let mut rows = Vec::with_capacity(count);
    let mut at = 0i64;
    let columns = indexes.into_iter().zip(times).zip(lengths).zip(hidden);
    for (n, (((index, time), len), hidden)) in columns.enumerate() {
        let (author, client_id) = writers.get(usize::try_from(index).ok()?)?;
        at = at.wrapping_add(unzigzag(time));
        let start = reader.at;
        reader.take(len)?;
        rows.push(LogRow {
            seq: from_seq + n as u64,
            row: NewRow {
                bytes: raw.slice(start..start + len),
                author: Arc::clone(author),
                client_id: *client_id,
                at,
            },
            hidden,
        });
    }
    (reader.at == raw.len()).then_some(rows)
}

/// Reads the raw form; every length is checked against what is left.
struct Reader<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn get(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.raw.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number of things of which each takes at least one of the bytes that are left (or a length of such).
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.get()?).ok()?;
        (count <= self.raw.len() - self.at).then_some(count)
    }

    /// For each of `count` rows, whether it is hidden.
    fn hidden(&mut self, count: usize) -> Option<Vec<bool>> {
        let mut rows = Vec::with_capacity(count);
        for run in 0..self.count()? {
            let len = usize::try_from(self.get()?).ok()?;
            let end = rows.len().checked_add(len).filter(|end| *end <= count)?;
            rows.resize(end, run % 2 == 1);
        }
        (rows.len() == count).then_some(rows)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.raw.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }
}

fn put(raw: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        raw.push(value as u8 | 0x80);
        value >>= 7;
    }
    raw.push(value as u8);
}

/// Small numbers of either sign as small unsigned ones.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(seq: Seq, bytes: Vec<u8>, author: u8, client_id: u64, at: i64) -> LogRow {
        LogRow {
            seq,
            row: NewRow {
                bytes: bytes.into(),
                author: format!("author {author}").into(),
                client_id,
                at,
            },
            hidden: false,
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            from in 1u64..1000,
            content in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..40), 0u8..4, any::<u64>(), any::<i64>(), any::<bool>()), 1..50),
        ) {
            let rows: Vec<_> = content
                .into_iter()
                .zip(from..)
                .map(|((bytes, author, client_id, at, hidden), seq)| LogRow {
                    hidden,
                    ..row(seq, bytes, author, client_id, at)
                })
                .collect();
            let segment = pack(&rows).unwrap().unwrap();
            prop_assert_eq!(unpack(from, segment.raw_len, &segment.bytes).unwrap(), rows);
        }

        #[test]
        fn damaged_raw_bytes_never_panic(
            raw in prop::collection::vec(any::<u8>(), 0..200),
            hiding in any::<bool>(),
        ) {
            decode(1, raw.into(), hiding);
        }
    }

    #[test]
    fn a_wrong_format_length_or_byte_is_an_error() {
        let segment = pack(&[row(1, vec![7; 100], 0, 1, 5)]).unwrap().unwrap();
        assert!(pack(&[]).is_none());
        assert_eq!(segment.bytes[0], FORMAT);
        assert!(matches!(
            unpack(1, segment.raw_len, &[9, 9]),
            Err(SegmentError::Format(9))
        ));
        assert!(unpack(1, segment.raw_len - 1, &segment.bytes).is_err());
        assert!(unpack(1, usize::MAX, &segment.bytes).is_err());
        assert!(
            unpack(
                1,
                segment.raw_len,
                &segment.bytes[..segment.bytes.len() - 1]
            )
            .is_err()
        );
    }
}
