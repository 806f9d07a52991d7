//! History segments: rows of the log, packed for good.

use std::sync::Arc;

use coscribe::store::{
    LogRow, NewRow,
    history_segment::{pack, unpack},
};

use super::inputs::{Choices, inputs};

/// The first byte of every segment.
const FORMAT: u8 = 1;
/// Bytes that a segment may claim to hold here.
const RAW: usize = 1 << 20;

/// Bytes that are no segment are refused, packed bytes that are none, too; rows come back as they went in.
pub fn log(data: &[u8]) {
    // Whatever it says of itself, nothing is made of a segment that its bytes do not hold.
    for bytes in [data.to_vec(), packed(data)] {
        if let Ok(rows) = unpack(1, RAW, &bytes) {
            let again = pack(&rows).map(|segment| segment.expect("rows can be packed"));
            if let Some(segment) = again {
                let rows_again = unpack(1, segment.raw_len, &segment.bytes);
                assert_eq!(rows_again.expect("our own segment"), rows);
            }
        }
    }
    let given = inputs(data);
    let mut choices = Choices::of(data);
    let authors: [Arc<str>; 3] = ["ada".into(), "".into(), "client:7".into()];
    let first = 1 + choices.below(1_000) as u64;
    let rows: Vec<LogRow> = (first..)
        .zip(given.updates)
        .map(|(seq, bytes)| LogRow {
            seq,
            row: NewRow {
                bytes,
                author: authors[choices.below(authors.len())].clone(),
                client_id: choices.below(5) as u64 * ((1 << 51) - 3),
                at: i64::from(choices.byte()).wrapping_sub(99) << (choices.byte() % 56),
            },
            hidden: choices.below(2) == 1,
        })
        .collect();
    match pack(&rows) {
        None => assert!(rows.is_empty()),
        Some(segment) => {
            let segment = segment.expect("rows can be packed");
            assert_eq!(segment.to_seq - segment.from_seq + 1, rows.len() as u64);
            let again = unpack(segment.from_seq, segment.raw_len, &segment.bytes);
            assert_eq!(again.expect("our own segment"), rows);
            // A length that was damaged is found, or the rows are those that went in.
            if let Ok(other) = unpack(segment.from_seq, segment.raw_len + 1, &segment.bytes) {
                assert_eq!(other, rows);
            }
        }
    }
}

fn packed(raw: &[u8]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend(zstd::bulk::compress(raw, 1).expect("any bytes can be packed"));
    bytes
}
