//! What one update costs before and after yrs: scan, split, splice, strip.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use coscribe::document::{
    id_set::IdSet,
    ids::Id,
    ready::split,
    scan::{ScanLimits, scan},
    splice::splice,
    state_vector::StateVector,
    strip::strip,
    varint::{write_bytes, write_var},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const WRITER: u64 = 2_891_433_590;

/// One character typed after the character before.
fn keystroke(clock: u32) -> Vec<u8> {
    let mut bytes = vec![1, 1];
    Id::new(WRITER, clock).write(&mut bytes);
    bytes.push(0x84);
    Id::new(WRITER, clock - 1).write(&mut bytes);
    bytes.extend([1, b'x', 0]);
    bytes
}

/// A document of about `bytes` bytes: words typed by two people at places all over the text, a fifth of them deleted.
fn snapshot(bytes: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut below = |n: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(n)) as u32
    };
    let mut out = vec![2];
    let mut deletes = Vec::new();
    let words = ["a", "word", "and another", "Größe"];
    for client in [WRITER, 77] {
        let (mut body, mut clock, mut structs) = (Vec::new(), 0u32, 0u32);
        let mut ranges = Vec::new();
        while body.len() < bytes / 2 {
            let word = words[below(4) as usize];
            if clock < 2 {
                body.extend([4, 1, 1, b't']);
            } else {
                let left = below(clock - 1);
                body.push(0xc4);
                Id::new(client, left).write(&mut body);
                Id::new(client, left + 1).write(&mut body);
            }
            write_bytes(&mut body, word.as_bytes());
            let len = word.encode_utf16().count() as u32;
            if below(5) == 0 && ranges.last().is_none_or(|(start, len)| start + len < clock) {
                ranges.push((clock, len));
            }
            clock += len;
            structs += 1;
        }
        write_var(&mut out, u64::from(structs));
        Id::new(client, 0).write(&mut out);
        out.extend(body);
        write_var(&mut deletes, client);
        write_var(&mut deletes, ranges.len() as u64);
        for (start, len) in ranges {
            write_var(&mut deletes, u64::from(start));
            write_var(&mut deletes, u64::from(len));
        }
    }
    out.push(2);
    out.extend(deletes);
    out
}

fn keystrokes(c: &mut Criterion) {
    let limits = ScanLimits::default();
    let update = keystroke(5_000);
    let known: StateVector = [(WRITER, 5_000), (77, 4_000)].into_iter().collect();
    let deleted = IdSet::new();
    let scanned = scan(&update, &limits).unwrap();
    let mut group = c.benchmark_group("keystroke");
    group.bench_function("scan", |b| b.iter(|| scan(black_box(&update), &limits)));
    group.bench_function("split", |b| {
        b.iter(|| split(black_box(&scanned), &update, &known, &deleted));
    });
    let updates: Vec<_> = (5_000..5_064).map(keystroke).collect();
    let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
    group.throughput(Throughput::Elements(64));
    group.bench_function("splice of 64", |b| b.iter(|| splice(black_box(&updates))));
    group.finish();
}

fn snapshots(c: &mut Criterion) {
    let limits = ScanLimits::default();
    for size in [37_700, 377_000, 3_770_000] {
        let update = snapshot(size);
        let scanned = scan(&update, &limits).unwrap();
        let ends = scanned
            .runs
            .iter()
            .map(|run| (run.client, run.end))
            .collect();
        let mut group = c.benchmark_group(format!("snapshot of {} kB", size / 1000));
        group
            .throughput(Throughput::Bytes(update.len() as u64))
            .sample_size(30);
        group.bench_function("scan", |b| b.iter(|| scan(black_box(&update), &limits)));
        let (nothing, none) = (StateVector::new(), IdSet::new());
        group.bench_function("split, all new", |b| {
            b.iter(|| split(&scanned, black_box(&update), &nothing, &none));
        });
        group.bench_function("split, all known", |b| {
            b.iter(|| split(&scanned, black_box(&update), &ends, &none));
        });
        group.bench_function("strip", |b| b.iter(|| strip(black_box(&update))));
        group.finish();
    }
}

fn id_sets(c: &mut Criterion) {
    let full: IdSet = {
        let mut set = IdSet::new();
        (0..100_000).for_each(|n| set.insert(WRITER, n * 3, 1));
        set
    };
    c.bench_function("insertion among 100,000 ranges", |b| {
        let mut at = 1;
        b.iter_batched_ref(
            || full.clone(),
            |set| {
                for _ in 0..1_000 {
                    at = (at + 77_777) % 300_000;
                    set.insert(WRITER, at, 1);
                }
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, keystrokes, snapshots, id_sets);
criterion_main!(benches);
