use proptest::prelude::*;
use yrs::{
    Any, Array as _, ArrayPrelim, Doc, In, Map as _, MapPrelim, OffsetKind, Options, ReadTxn as _,
    StateVector, Text as _, Transact as _, Update, XmlElementPrelim, XmlFragment as _,
    updates::decoder::Decode as _,
};

use super::*;
use crate::document::varint::{write_bytes, write_var};

fn scanned(bytes: &[u8]) -> Result<Scan, ScanError> {
    scan(bytes, &ScanLimits::default())
}

/// An update of client 5 from clock 0 on, with as many structs as given and no deletes.
fn update(structs: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![1, structs.len() as u8, 5, 0];
    bytes.extend(structs.concat());
    bytes.push(0);
    bytes
}

/// A struct in the root "t": content reference and content.
fn in_root(content: u8, rest: &[u8]) -> Vec<u8> {
    [&[content, 1, 1, b't'], rest].concat()
}

fn value_update(value: &[u8]) -> Vec<u8> {
    update(&[&in_root(8, &[&[1], value].concat())])
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
        .collect()
}

#[test]
fn a_keystroke_is_one_run_of_one_struct() {
    let bytes = hex("0101f5e4cba90b0784f5e4cba90b060161 00"
        .replace(' ', "")
        .as_str());
    let scan = scanned(&bytes).unwrap();
    let run = scan.runs[0];
    assert_eq!(
        (run.start, run.end, run.structs, scan.deletes),
        (7, 8, 1, 0)
    );
    let view = scan.structs_of(&bytes, &run).next().unwrap();
    assert_eq!(
        (view.kind, view.origin),
        (Kind::String, Some(Id::new(run.client, 6)))
    );
    assert_eq!(&bytes[view.bytes], &bytes[run.body()]);
}

#[test]
fn the_empty_update_is_an_update() {
    assert!(scanned(&[0, 0]).unwrap().is_empty());
    assert_eq!(
        scanned(&[]),
        Err(ScanError::Malformed(ReadError::End { at: 0 }))
    );
    assert_eq!(scanned(&[0, 0, 0]), Err(ScanError::TrailingBytes { at: 2 }));
}

#[test]
fn structs_across_parents_are_refused() {
    // Freed memory that a collecting yrs document goes on to use (SIGSEGV); Yjs accepts it.
    let h1 = "0213010008000200027e7ec10203020403010104746578740244020a037878784401070378787881020903480202017e480108037e7e7ec801110201037e7e7e44010c027878c10206011703c7011a011400c10106020102c40104021402787844011103787878c70200011a024701190244010a03787878c8020d011f027e7e1802002701036d6170016100210002000161022401036d617001620378787808000200017e08010474657874027e7e210103617272016103c801040109017e810108024102060284020703787878c40101011603787878c802140111027e7ec70117011202c40204010a0278782401036d61700162027878c7010b021900c70201020101480217027e7e87020b02c70121011d014702210088021f027e7e0400021f0278782700021901620200";
    assert!(matches!(
        scanned(&hex(h1)),
        Err(ScanError::CrossedParents { .. })
    ));
}

#[test]
fn keys_of_one_map_are_different_places() {
    let (a, b) = (
        [0x28, 1, 1, b'm', 1, b'a', 1, 127],
        [0x28, 1, 1, b'm', 1, b'b', 1, 127],
    );
    let between = [0xc8, 5, 0, 5, 1, 1, 127];
    assert_eq!(
        scanned(&update(&[&a, &b, &between])),
        Err(ScanError::CrossedParents { id: Id::new(5, 2) })
    );
    assert!(scanned(&update(&[&a, &a, &between])).is_ok());
}

#[test]
fn what_lies_in_text_is_refused() {
    let child = [4, 0, 5, 0, 1, b'x'];
    let id = Id::new(5, 1);
    assert_eq!(
        scanned(&update(&[&in_root(4, &[1, b'a']), &child])),
        Err(ScanError::ParentIsNotAType { id })
    );
    assert!(scanned(&update(&[&in_root(7, &[0]), &child])).is_ok());
}

#[test]
fn what_was_accepted_in_parts_is_accepted_as_a_whole() {
    let parts = [
        &in_root(4, &[1, b'a']),
        &[4, 1, 1, b'u', 1, b'b'][..],
        &[0xc4, 5, 0, 5, 1, 1, b'x'],
    ];
    let alone = [&[1, 1, 5, 2][..], parts[2], &[0]].concat();
    let whole = update(&parts);
    assert!(scanned(&alone).is_ok());
    assert_eq!(
        scanned(&whole),
        Err(ScanError::CrossedParents { id: Id::new(5, 2) })
    );
    assert_eq!(scan_accepted(&whole, 64).map(|scan| scan.structs), Ok(3));
    // What yrs could not decode is not accepted in any way.
    assert!(scan_accepted(&whole[..whole.len() - 1], 64).is_err());
}

#[test]
fn what_lies_in_something_left_out_is_accepted() {
    // As Yjs merges updates between which one is missing: the type itself is skipped.
    let (skip, child) = ([10, 4], [4, 0, 5, 3, 1, b'x']);
    assert!(scanned(&update(&[&skip, &child])).is_ok());
    assert!(scanned(&update(&[&skip, &in_root(4, &[1, b'a']), &child])).is_ok());
}

#[test]
fn claimed_counts_reserve_nothing() {
    let many = [0x80, 0x80, 0x80, 0x0e];
    assert!(matches!(scanned(&many), Err(ScanError::Malformed(_))));
    let nested: Vec<u8> = [[118].as_slice(), &many, &[0], &[118], &many, &[0]].concat();
    assert!(matches!(
        scanned(&value_update(&nested)),
        Err(ScanError::Malformed(_))
    ));
    assert!(matches!(
        scanned(&[&[0][..], &many].concat()),
        Err(ScanError::Malformed(_))
    ));
}

#[test]
fn deep_values_are_refused_without_recursion() {
    for depth in [65, 10_000, 100_000] {
        let mut value = [117, 1].repeat(depth);
        value.push(127);
        assert!(
            matches!(
                scanned(&value_update(&value)),
                Err(ScanError::TooDeep { max: 64, .. })
            ),
            "arrays {depth}"
        );
        let json = "[".repeat(depth) + &"]".repeat(depth);
        let mut content = Vec::new();
        write_bytes(&mut content, json.as_bytes());
        let bytes = update(&[&in_root(5, &content)]);
        assert!(
            matches!(scanned(&bytes), Err(ScanError::TooDeep { max: 64, .. })),
            "JSON {depth}"
        );
    }
    let mut value = [117, 1].repeat(64);
    value.push(127);
    assert!(scanned(&value_update(&value)).is_ok());
}

#[test]
fn the_depth_of_types_is_told() {
    for depth in [2u32, 20_000, 50_000] {
        let mut bytes = vec![1];
        write_var(&mut bytes, u64::from(depth));
        bytes.extend([5, 0, 7, 1, 1, b't', 1]);
        for clock in 1..depth {
            bytes.extend([0x27, 0]);
            Id::new(5, clock - 1).write(&mut bytes);
            bytes.extend([1, b'k', 1]);
        }
        bytes.push(0);
        let scan = scanned(&bytes).unwrap();
        assert_eq!((scan.new_types, scan.type_depth), (depth, depth));
    }
    let siblings = update(&[
        &in_root(7, &[0]),
        &[0x87, 5, 0, 0],
        &[0x87, 5, 1, 0],
        &[7, 0, 9, 9, 0],
    ]);
    let scan = scanned(&siblings).unwrap();
    assert_eq!((scan.new_types, scan.type_depth), (4, 1));
}

#[test]
fn circles_of_references_end() {
    // Each of two clients' structs stands right of the other's, and two types lie in each other.
    let run = |client: u8, other: u8| {
        [&[2, client, 0, 0x84, other, 0, 1, b'x', 7, 0, other, 1, 0][..]].concat()
    };
    let bytes = [&[2][..], &run(9, 5), &run(5, 9), &[0]].concat();
    assert_eq!(scanned(&bytes).unwrap().new_types, 2);
}

#[test]
fn a_struct_of_every_clock_is_seen_as_such() {
    // Censorship of another user's id: whether this may be is for the room to decide, which sees the clocks.
    let censor = [1, 1, 5, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 0];
    assert_eq!(scanned(&censor).unwrap().runs[0].end, MAX_CLOCK);
    let beyond = [1, 1, 5, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 0];
    assert_eq!(
        scanned(&beyond),
        Err(ScanError::ClockOverflow { client: 5 })
    );
}

#[test]
fn each_defect_has_its_name() {
    let x = in_root(4, &[1, b'x']);
    let unsupported = |bytes: &[u8]| match scanned(bytes) {
        Err(ScanError::Unsupported { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        unsupported(&update(&[&in_root(2, &[1, 1, b'1'])])),
        Unsupported::LegacyJson
    );
    assert_eq!(
        unsupported(&update(&[&in_root(7, &[5, 1, b'h'])])),
        Unsupported::XmlHook
    );
    assert_eq!(
        unsupported(&update(&[&in_root(7, &[7, 0])])),
        Unsupported::WeakRef
    );
    assert_eq!(
        unsupported(&update(&[&in_root(7, &[9])])),
        Unsupported::Type(9)
    );
    assert_eq!(
        unsupported(&update(&[&in_root(7, &[0x80, 0])])),
        Unsupported::Type(0x80)
    );
    assert_eq!(
        unsupported(&update(&[&in_root(20, &[1])])),
        Unsupported::Content(20)
    );
    assert_eq!(
        unsupported(&update(&[&[0x80, 6, 0, 1]])),
        Unsupported::Info(0x80)
    );
    assert_eq!(
        scanned(&update(&[&in_root(4, &[0])])),
        Err(ScanError::EmptyStruct { at: 4 })
    );
    assert_eq!(
        scanned(&update(&[&[0, 0]])),
        Err(ScanError::EmptyStruct { at: 4 })
    );
    assert_eq!(
        scanned(&[1, 0, 5, 0, 0, 0, 0]),
        Err(ScanError::EmptyRun { client: 5 })
    );
    assert_eq!(
        scanned(&update(&[&[0x84, 5, 0, 1, b'x']])),
        Err(ScanError::SelfReference { id: Id::new(5, 0) })
    );
    assert_eq!(
        scanned(&update(&[&[4, 2, 1, 1, b'x']])),
        Err(ScanError::ParentInfo { at: 5 })
    );
    assert_eq!(
        scanned(&value_update(&[99])),
        Err(ScanError::Value { tag: 99, at: 9 })
    );
    assert_eq!(
        scanned(&update(&[&in_root(4, &[1, 0xff])])),
        Err(ScanError::Malformed(ReadError::Utf8 { at: 8 }))
    );
    assert_eq!(
        scanned(&update(&[&in_root(5, &[1, b'{'])])),
        Err(ScanError::Json { at: 8 })
    );
    let two = |a, b| [&[2, 1, a, 0][..], &x, &[1, b, 1], &x, &[0]].concat();
    assert_eq!(
        scanned(&two(5, 5)),
        Err(ScanError::DuplicateClient { client: 5 })
    );
    assert!(!scanned(&two(5, 6)).unwrap().descending && scanned(&two(6, 5)).unwrap().descending);
    assert_eq!(
        scanned(&[0, 2, 5, 1, 0, 1, 5, 1, 0, 1]),
        Err(ScanError::DuplicateClient { client: 5 })
    );
    let big = [
        1, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 4, 1, 0, 1, b'x', 0,
    ];
    assert!(matches!(scanned(&big), Err(ScanError::ClientId { .. })));
    let few = ScanLimits {
        max_structs: 1,
        max_deletes: 1,
        ..ScanLimits::default()
    };
    assert_eq!(
        scan(&two(6, 5), &few),
        Err(ScanError::TooManyStructs { max: 1 })
    );
    assert_eq!(
        scan(&[0, 1, 5, 2, 0, 1, 4, 1], &few),
        Err(ScanError::TooManyDeletes { max: 1 })
    );
}

#[test]
fn duplicates_are_found_however_far_apart_and_fast() {
    const CLIENTS: u64 = 50_000;
    let mut bytes = Vec::new();
    write_var(&mut bytes, CLIENTS + 1);
    for client in (1..=CLIENTS).chain([1]) {
        bytes.push(1);
        write_var(&mut bytes, client);
        bytes.extend([0, 0, 1]);
    }
    bytes.push(0);
    assert_eq!(
        scanned(&bytes),
        Err(ScanError::DuplicateClient { client: 1 })
    );
}

#[test]
fn values_that_yrs_changes_are_marked() {
    let lossy = |value: &[u8]| scanned(&value_update(value)).unwrap().lossy;
    assert!(lossy(&[125, 0x40]), "−0 as JavaScript writes it");
    assert!(
        lossy(&[124, 0x80, 0, 0, 0]) && lossy(&[123, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        "−0 as a float"
    );
    assert!(lossy(&[122, 0, 0, 0, 0, 0, 0, 0, 1]), "a BigInt");
    assert!(lossy(&[117, 1, 118, 1, 1, b'k', 125, 0x40]), "inside");
    assert!(!lossy(&[125, 0x41]) && !lossy(&[124, 0, 0, 0, 0]) && !lossy(&[119, 1, b'x']));
    assert!(
        scanned(&update(&[&in_root(9, &[1, b'g', 118, 0])]))
            .unwrap()
            .lossy,
        "a subdocument"
    );
    let two_keys = [118, 2, 1, b'b', 127, 1, b'a', 127];
    assert!(
        scanned(&value_update(&two_keys)).unwrap().reordered
            && !scanned(&value_update(&two_keys)).unwrap().lossy
    );
}

#[test]
fn json_is_accepted_where_yrs_accepts_it() {
    for json in [
        "1",
        "-0",
        "1e3",
        "1e400",
        "\"a\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "{\"a\":[1,{}]}",
        "undefined",
        "",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999",
        "nul",
        "[1,]",
        "true ",
        "{\"a\":1}x",
    ] {
        let mut content = Vec::new();
        write_bytes(&mut content, json.as_bytes());
        let bytes = update(&[&in_root(5, &content)]);
        assert_eq!(
            scanned(&bytes).is_ok(),
            Update::decode_v1(&bytes).is_ok(),
            "{json}"
        );
    }
}

/// A document with a bit of everything, by two clients.
fn real_update() -> Vec<u8> {
    let doc = Doc::with_options(options(77));
    {
        let (text, map) = (doc.get_or_insert_text("text"), doc.get_or_insert_map("map"));
        let (array, xml) = (
            doc.get_or_insert_array("arr"),
            doc.get_or_insert_xml_fragment("xml"),
        );
        let mut txn = doc.transact_mut();
        text.insert(&mut txn, 0, "hé😀llo");
        text.insert_with_attributes(&mut txn, 2, "bold", [("b".into(), Any::from(true))].into());
        text.insert_embed(&mut txn, 1, Any::from_json("{\"image\":\"u\"}").unwrap());
        text.remove_range(&mut txn, 3, 2);
        map.insert(&mut txn, "k", 1);
        map.insert(
            &mut txn,
            "k",
            MapPrelim::from([("deep", In::from(ArrayPrelim::from([1, 2])))]),
        );
        array.insert_range(
            &mut txn,
            0,
            [
                Any::from(1.5),
                Any::Null,
                Any::from("s"),
                Any::from(vec![1u8, 2]),
            ],
        );
        array.remove(&mut txn, 1);
        let element = xml.insert(&mut txn, 0, XmlElementPrelim::empty("p"));
        element.insert(&mut txn, 0, XmlElementPrelim::empty("q"));
    }
    let other = Doc::with_options(options(78));
    let text = other.get_or_insert_text("text");
    let mut txn = other.transact_mut();
    txn.apply_update(Update::decode_v1(&state(&doc)).unwrap())
        .unwrap();
    text.insert(&mut txn, 3, "concurrent");
    text.remove_range(&mut txn, 0, 2);
    txn.encode_diff_v1(&StateVector::default())
}

fn options(client: u64) -> Options {
    Options {
        client_id: yrs::block::ClientID::new(client),
        skip_gc: true,
        offset_kind: OffsetKind::Utf16,
        ..Options::default()
    }
}

fn state(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_diff_v1(&StateVector::default())
}

#[test]
fn what_yrs_writes_is_accepted() {
    let bytes = real_update();
    let scan = scanned(&bytes).unwrap();
    assert_eq!(
        scan.runs
            .iter()
            .map(|run| scan.structs_of(&bytes, run).count() as u32)
            .sum::<u32>(),
        scan.structs
    );
    assert_eq!(scan.delete_ranges(&bytes).count() as u32, scan.deletes);
    assert_eq!((scan.lossy, scan.type_depth), (false, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Bytes that pass are decoded and applied by yrs without a panic.
    #[test]
    fn accepted_mutants_do_not_panic_yrs(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let mut bytes = real_update();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] = bytes[at].wrapping_add(1),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        if scanned(&bytes).is_ok() {
            let update = Update::decode_v1(&bytes);
            prop_assert!(update.is_ok(), "accepted, but yrs refuses: {:?}", update.err());
            let doc = Doc::with_options(options(1));
            doc.transact_mut().apply_update(update.unwrap()).ok();
        }
    }

    #[test]
    fn any_bytes_are_accepted_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(scan) = scanned(&bytes) {
            let structs: usize = scan.runs.iter().map(|run| scan.structs_of(&bytes, run).count()).sum();
            prop_assert_eq!(structs as u32, scan.structs);
        }
    }
}
