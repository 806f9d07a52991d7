//! The load generator's own arithmetic: a figure is worth nothing if updates are miscounted or are not what a client
//! would have sent.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::io::Write;

use coscribe::bench::{
    trace::Trace,
    update::{Range, push_append, scan},
    websocket::{Frames, push_frame},
};
use flate2::{Compression, write::GzEncoder};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use yrs::{
    ClientID, Doc, GetString, Options, Text, Transact, Update, merge_updates_v1,
    updates::decoder::Decode,
};

#[test]
fn a_trace_becomes_the_very_updates_that_yrs_would_send() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut text, mut transactions) = (String::new(), Vec::new());
    for _ in 0..3000 {
        if random.random_ratio(3, 10) && !text.is_empty() {
            let place = random.random_range(0..text.len());
            text.remove(place);
            transactions.push(serde_json::json!({ "patches": [[place, 1, ""]] }));
        } else {
            let (place, typed) = (
                random.random_range(0..=text.len()),
                random.random_range('a'..='z'),
            );
            text.insert(place, typed);
            transactions.push(serde_json::json!({ "patches": [[place, 0, typed]] }));
        }
    }
    let recording =
        serde_json::json!({ "startContent": "", "endContent": text, "txns": transactions });
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut gzip = GzEncoder::new(file.as_file(), Compression::fast());
    gzip.write_all(recording.to_string().as_bytes()).unwrap();
    gzip.finish().unwrap();

    let trace = Trace::load(file.path()).unwrap();

    let doc = Doc::with_options(Options {
        client_id: ClientID::new(trace.client),
        ..Options::default()
    });
    let root = doc.get_or_insert_text("t");
    let mut updates = trace.updates();
    for transaction in &transactions {
        let mut txn = doc.transact_mut();
        let patch = &transaction["patches"][0];
        let place = u32::try_from(patch[0].as_u64().unwrap()).unwrap();
        match patch[2].as_str().unwrap() {
            "" => root.remove_range(&mut txn, place, 1),
            typed => root.insert(&mut txn, place, typed),
        }
        assert_eq!(updates.next().unwrap(), txn.encode_update_v1());
    }
    assert_eq!(updates.next(), None);
    assert_eq!(root.get_string(&doc.transact()), text);
    assert_eq!(trace.inserted + trace.deleted, 3000);
}

#[test]
fn updates_are_counted_the_same_whether_they_come_alone_or_merged() {
    let single: Vec<Vec<u8>> = (0..100)
        .map(|clock| {
            let mut bytes = Vec::new();
            push_append(&mut bytes, 7, clock);
            Update::decode_v1(&bytes).unwrap();
            bytes
        })
        .collect();
    let mut ranges = Vec::new();
    for bytes in &single {
        scan(bytes, |range| {
            ranges.push(range);
            Ok(())
        })
        .unwrap();
    }
    let expected: Vec<_> = (0..100)
        .map(|clock| Range::Inserted {
            client: 7,
            clock,
            len: 1,
        })
        .collect();
    assert_eq!(ranges, expected);

    let merged = merge_updates_v1(&single).unwrap();
    let mut counted = 0;
    scan(&merged, |range| {
        let Range::Inserted { client: 7, len, .. } = range else {
            panic!("{range:?}")
        };
        counted += len;
        Ok(())
    })
    .unwrap();
    assert_eq!(counted, 100);
}

#[test]
fn a_truncated_update_is_an_error_and_not_a_count() {
    let mut bytes = Vec::new();
    push_append(&mut bytes, 7, 300);
    for end in 0..bytes.len() {
        assert!(scan(&bytes[..end], |_| Ok(())).is_err(), "{end} bytes");
    }
}

/// As a server sends it: not masked.
fn server_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_frame(&mut frame, [0; 4], &[payload]);
    let mask_at = match payload.len() {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    frame[1] &= 0x7F;
    frame.drain(mask_at..mask_at + 4);
    frame
}

#[test]
fn messages_are_the_same_however_the_stream_is_cut() {
    let payloads: Vec<Vec<u8>> = [0, 1, 125, 126, 1000, 70_000, 5]
        .iter()
        .map(|&len| (0..len).map(|at| at as u8).collect())
        .collect();
    let stream: Vec<u8> = payloads
        .iter()
        .flat_map(|payload| server_frame(payload))
        .collect();
    for piece in [1, 2, 3, 7, 1000, 65_536, stream.len()] {
        for skim_over in [usize::MAX, 100] {
            let (mut frames, mut seen) = (Frames::default(), 0);
            frames.skim_over(skim_over);
            for bytes in stream.chunks(piece) {
                frames
                    .feed(bytes, &mut |message| {
                        let payload = &payloads[seen];
                        seen += 1;
                        assert_eq!(message.len, payload.len());
                        let shown = if payload.len() > skim_over {
                            16
                        } else {
                            payload.len()
                        };
                        assert_eq!(message.bytes, &payload[..shown]);
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(seen, payloads.len(), "in pieces of {piece}");
        }
    }
}
