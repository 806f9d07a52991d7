//! Updates that broke Yjs servers or their libraries, as bytes.

use crate::harness::{driver::unhex, wire::var};

/// The client that wrote the made-up updates.
pub const CLIENT: u64 = 5;

/// A use after free in yrs while it collects garbage: origins that cross parents.
const CROSSING_ORIGINS: &str = "0213010008000200027e7ec10203020403010104746578740244020a037878784401070378787881020903480202017e480108037e7e7ec801110201037e7e7e44010c027878c10206011703c7011a011400c10106020102c40104021402787844011103787878c70200011a024701190244010a03787878c8020d011f027e7e1802002701036d6170016100210002000161022401036d617001620378787808000200017e08010474657874027e7e210103617272016103c801040109017e810108024102060284020703787878c40101011603787878c802140111027e7ec70117011202c40204010a0278782401036d61700162027878c7010b021900c70201020101480217027e7e87020b02c70121011d014702210088021f027e7e0400021f0278782700021901620200";
/// Accepted by yrs, whose encoding of the whole state then panics.
const BROKEN_ENCODING: &str = "0109a503002701036d617002743006042c00a503000278780401047465787404f09f988046a503030577696474680135c5a50305a503030e7b22696d616765223a227536227dc6a50306a50303057769647468046e756c6c84a5030404f09f9880c5a50306a503070e7b22696d616765223a227537227d2901036d6170047375623007677569642d3533760000";

/// Updates that must be refused with a reason.
pub fn refused() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("random bytes", vec![9, 200, 3, 255, 1, 77, 0]),
        ("nothing", vec![]),
        ("truncated", vec![1, 1, 5, 0, 4, 1, 1, b't', 5, b'a']),
        ("bytes after the end", vec![0, 0, 0]),
        (
            "claims many clients",
            vec![0x80, 0x80, 0x80, 0x80, 0x04, 1, 1],
        ),
        (
            "claims many structs",
            vec![1, 0x80, 0x80, 0x80, 0x80, 0x04, 5, 0],
        ),
        (
            "claims many deletes",
            vec![0, 1, 5, 0x80, 0x80, 0x80, 0x80, 0x04],
        ),
        (
            "claims a long string",
            update(&[in_text(4, &[0xff, 0xff, 0xff, 0x7f, b'a'])]),
        ),
        ("invalid utf-8", update(&[in_text(4, &[2, 0xc3, 0x28])])),
        ("empty string", update(&[in_text(4, &[0])])),
        ("unknown content", update(&[in_text(30, &[1, 1])])),
        ("unknown type", update(&[in_text(7, &[99])])),
        (
            "legacy json",
            update(&[in_text(2, &[1, 4, b'n', b'u', b'l', b'l'])]),
        ),
        (
            "clock beyond 2^31",
            vec![1, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1, 0],
        ),
        (
            "client beyond 2^53",
            [&[1, 1][..], &[0xff; 7], &[0x7f, 0, 0, 1, 0]].concat(),
        ),
        (
            "refers to its own later struct",
            vec![1, 1, 5, 0, 0x84, 5, 7, 1, b'a', 0],
        ),
        (
            "a client twice",
            vec![
                2, 1, 5, 0, 4, 1, 1, b't', 1, b'a', 1, 5, 1, 4, 1, 1, b't', 1, b'b', 0,
            ],
        ),
        (
            "values nested 10000 deep",
            update(&[in_text(8, &nested_values(10_000))]),
        ),
        (
            "values nested 100000 deep",
            update(&[in_text(8, &nested_values(100_000))]),
        ),
        (
            "value maps that claim 29 million entries",
            update(&[in_text(8, &greedy_maps(40))]),
        ),
        ("maps nested 20000 deep", nested_map(0, 20_000)),
        ("maps nested 50000 deep", nested_map(0, 50_000)),
        ("the second encoding of yjs", second_encoding()),
    ]
}

/// Updates that may be accepted or refused; the server and the document must survive them.
pub fn nasty() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("origins that cross parents", unhex(CROSSING_ORIGINS)),
        ("an encoding that panics", unhex(BROKEN_ENCODING)),
        (
            "nothing with a gap",
            vec![1, 2, 5, 0, 10, 3, 4, 1, 1, b't', 1, b'a', 0],
        ),
        (
            "a gap of 2^31",
            vec![1, 1, 5, 0, 10, 0xff, 0xff, 0xff, 0xff, 0x07, 0],
        ),
        ("two clients that wait for each other", circle()),
        (
            "deletes everything there may be",
            vec![0, 1, 5, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x07],
        ),
        (
            "collected before it was written",
            vec![1, 1, 5, 0, 0, 0xff, 0xff, 0xff, 0x07, 0],
        ),
        (
            "an unknown parent",
            vec![1, 1, 5, 0, 4, 0, 9, 9, 1, b'a', 0],
        ),
        ("many overlapping deletes", overlapping_deletes(5_000)),
    ]
}

/// An update of one client from clock 0 on, without deletes.
pub fn update(structs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![1];
    var(structs.len() as u64, &mut bytes);
    bytes.extend([CLIENT as u8, 0]);
    bytes.extend(structs.concat());
    bytes.push(0);
    bytes
}

/// A struct without neighbours in the root `t`.
fn in_text(content: u8, rest: &[u8]) -> Vec<u8> {
    [&[content, 1, 1, b't'], rest].concat()
}

/// One value: arrays in arrays.
fn nested_values(depth: usize) -> Vec<u8> {
    let mut bytes = vec![1];
    for _ in 0..depth {
        bytes.extend([117, 1]);
    }
    bytes.push(126);
    bytes
}

/// One value: maps in maps, each of which claims to hold 29 million more.
fn greedy_maps(depth: usize) -> Vec<u8> {
    let mut bytes = vec![1];
    for _ in 0..depth {
        bytes.extend([118, 0xc0, 0x84, 0xea, 0x0d, 1, b'k']);
    }
    bytes.push(126);
    bytes
}

/// `count` levels of a Y.Map in a Y.Map in …, the outermost of which is at this level.
pub fn nested_map(level: u32, count: u32) -> Vec<u8> {
    let mut bytes = vec![1];
    var(u64::from(count), &mut bytes);
    bytes.push(CLIENT as u8);
    var(u64::from(level), &mut bytes);
    for clock in level..level + count {
        // A type (7) under a key (0x20).
        bytes.push(7 | 0x20);
        match clock.checked_sub(1) {
            None => bytes.extend([1, 3, b'm', b'a', b'p']),
            Some(parent) => {
                bytes.extend([0, CLIENT as u8]);
                var(u64::from(parent), &mut bytes);
            }
        }
        bytes.extend([1, b'k', 1]);
    }
    bytes.push(0);
    bytes
}

/// An update in Yjs' second format, which servers do not take.
fn second_encoding() -> Vec<u8> {
    unhex("000002a50100000104060374686902010101000001010000")
}

/// Two structs of two clients, each to the right of the other.
fn circle() -> Vec<u8> {
    vec![
        2, 1, 7, 0, 0x84, 6, 0, 1, b'a', 1, 6, 0, 0x84, 7, 0, 1, b'b', 0,
    ]
}

/// A text and many delete ranges over it that lie in each other.
fn overlapping_deletes(count: u32) -> Vec<u8> {
    let mut bytes = update(&[in_text(4, &[&[0x88, 0x27][..], &[b'a'; 5_000]].concat())]);
    bytes.pop();
    bytes.extend([1, CLIENT as u8]);
    var(u64::from(count), &mut bytes);
    for at in 0..count {
        var(u64::from(at), &mut bytes);
        var(u64::from(5_000 - at), &mut bytes);
    }
    bytes
}
