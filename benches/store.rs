//! What a row costs in the SQLite store: time and CPU, for the batches that a server makes.
//!
//! `cargo bench --bench store`, with `TMPDIR` on the disk to measure. CPU is that of all threads of the
//! process, so it includes SQLite's own thread, the way there and back, and checkpoints.

use std::{
    env, fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use coscribe::{
    document::id::DocId,
    store::{
        Append, Compaction, Durability, NewRow, Snapshot, Store, history_segment,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use yrs::{Doc, OffsetKind, Options, Text, Transact};

/// A keystroke as Yjs encodes it: one letter with a left origin, 24 bytes.
fn keystroke(n: u64) -> NewRow {
    let mut bytes = vec![1, 1, 0xc5, 0xf2, 0xd1, 0xa9, 0x0b];
    put(&mut bytes, n);
    bytes.extend([0x84, 0xc5, 0xf2, 0xd1, 0xa9, 0x0b]);
    put(&mut bytes, n.saturating_sub(1));
    bytes.extend([
        1,
        b'a' + (n.wrapping_mul(2_654_435_761) >> 20) as u8 % 26,
        0,
    ]);
    NewRow {
        bytes: bytes.into(),
        author: "b7f3c1d09a4e".into(),
        client_id: 2_973_022_533,
        at: 1_790_000_000_000 + n as i64 * 120,
    }
}

fn put(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

/// Time on a CPU of all threads so far.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanos = tasks.filter_map(|task| {
        let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

async fn open(path: &Path, durability: Durability) -> SqliteStore {
    SqliteStore::open(SqliteOptions {
        data_dir: path.to_path_buf(),
        durability,
    })
    .await
    .expect("a fresh directory opens")
}

/// Appends `rounds` batches of one row each for `docs` documents that take turns out of `rooms`.
async fn appends(name: &str, durability: Durability, rooms: usize, docs: usize, rounds: usize) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let store = open(folder.path(), durability).await;
    let names: Vec<_> = (0..rooms)
        .map(|n| DocId::parse(&format!("document {n}")).expect("a name"))
        .collect();
    let mut written = vec![0u64; rooms];
    let mut next = 0;
    let mut batch = |size: usize| -> Vec<Append> {
        (0..size)
            .map(|_| {
                // A stride that visits all rooms, as neighbours in one batch are not neighbours in the file.
                next = (next + 389) % rooms;
                written[next] += 1;
                Append {
                    doc: names[next].clone(),
                    epoch: None,
                    rows: vec![keystroke(written[next])],
                    title: None,
                    marks: Vec::new(),
                    people: Vec::new(),
                }
            })
            .collect()
    };
    for _ in 0..(3 * rooms).div_ceil(docs) {
        store.append(&batch(docs), 1).await.expect("appended");
    }
    let (mut worst, start, cpu_start) = (Duration::ZERO, Instant::now(), cpu());
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let batch = batch(docs);
        let begin = Instant::now();
        store.append(&batch, 1).await.expect("appended");
        times.push(begin.elapsed());
        worst = worst.max(begin.elapsed());
    }
    let (elapsed, used) = (start.elapsed(), cpu() - cpu_start);
    times.sort();
    let rows = (rounds * docs) as f64;
    println!(
        "{name:44} {:7.1} µs CPU a row {:8.1} µs CPU a commit   p50 {:8.0} µs  p99 {:8.0} µs  worst {:8.0} µs  {:9.0} rows/s",
        used.as_secs_f64() * 1e6 / rows,
        used.as_secs_f64() * 1e6 / rounds as f64,
        times[rounds / 2].as_secs_f64() * 1e6,
        times[rounds * 99 / 100].as_secs_f64() * 1e6,
        worst.as_secs_f64() * 1e6,
        rows / elapsed.as_secs_f64(),
    );
    store.close().await.expect("closed");
}

/// The updates of a recorded editing history, one for each edit: `EDITING_TRACE` names a file of
/// <https://github.com/josephg/editing-traces> (`sequential_traces/*.json.gz`). Without it, made-up keystrokes.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark has no configuration"
)]
fn history() -> Vec<NewRow> {
    let Ok(path) = env::var("EDITING_TRACE") else {
        return (0..259_778).map(keystroke).collect();
    };
    let file = fs::File::open(path).expect("the trace opens");
    let trace: serde_json::Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(io::BufReader::new(file)))
            .expect("a trace");
    let doc = Doc::with_options(Options {
        skip_gc: true,
        offset_kind: OffsetKind::Utf16,
        ..Options::default()
    });
    let text = doc.get_or_insert_text("body");
    let mut rows = Vec::new();
    let patches = trace["txns"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|txn| txn["patches"].as_array().into_iter().flatten());
    for patch in patches {
        let number = |at: usize| patch[at].as_u64().unwrap_or_default() as u32;
        let mut txn = doc.transact_mut();
        text.remove_range(&mut txn, number(0), number(1));
        text.insert(&mut txn, number(0), patch[2].as_str().unwrap_or_default());
        let bytes = txn.encode_update_v1().into();
        rows.push(NewRow {
            bytes,
            ..keystroke(rows.len() as u64)
        });
    }
    rows
}

/// One document of 259,778 one-keystroke rows: how fast it grows, what is left on disk, how fast it opens.
async fn long_document(rows: &[NewRow], every: usize) {
    let total = rows.len();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let store = open(folder.path(), Durability::Process).await;
    let doc = DocId::parse("long").expect("a name");
    let state = vec![0u8; 0];
    let (start, mut compacting, mut longest) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    let mut written = 0;
    while written < total {
        let many = (every - written % every).min(total - written).min(512);
        let rows = rows[written..written + many].to_vec();
        store
            .append(
                &[Append {
                    doc: doc.clone(),
                    epoch: None,
                    rows,
                    title: None,
                    marks: Vec::new(),
                    people: Vec::new(),
                }],
                1,
            )
            .await
            .expect("appended");
        written += many;
        if written.is_multiple_of(every) || written == total {
            let begin = Instant::now();
            let snapshot = Snapshot {
                seq: written as u64,
                bytes: state.clone().into(),
            };
            store
                .compact(Compaction {
                    doc: doc.clone(),
                    epoch: 1,
                    snapshot,
                })
                .await
                .expect("compacted");
            compacting += begin.elapsed();
            longest = longest.max(begin.elapsed());
        }
    }
    let elapsed = start.elapsed();
    let begin = Instant::now();
    let all = store.rows(&doc, 1, u64::MAX).await.expect("read").len();
    let reading = begin.elapsed();
    store.close().await.expect("closed");
    let size = fs::metadata(folder.path().join("coscribe.db"))
        .expect("the database")
        .len();
    println!(
        "{all} rows, compacted every {every:6}: {:6.2} s in all, {:5.2} s of it compacting (longest {:6.1} ms); {:6.1} kB on disk; read in {:5.1} ms",
        elapsed.as_secs_f64(),
        compacting.as_secs_f64(),
        longest.as_secs_f64() * 1e3,
        size as f64 / 1e3,
        reading.as_secs_f64() * 1e3,
    );
}

/// Opening a store that holds many documents, to the first load.
async fn start(documents: usize) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let store = open(folder.path(), Durability::Process).await;
    let batch: Vec<_> = (0..documents)
        .map(|n| Append {
            doc: DocId::parse(&format!("d{n}")).expect("a name"),
            epoch: None,
            rows: vec![keystroke(1)],
            title: None,
            marks: Vec::new(),
            people: Vec::new(),
        })
        .collect();
    store.append(&batch, 1).await.expect("appended");
    store.close().await.expect("closed");
    let begin = Instant::now();
    let store = open(folder.path(), Durability::Full).await;
    let opened = begin.elapsed();
    store.load(&batch[documents / 2].doc).await.expect("loaded");
    let loaded = begin.elapsed();
    let (begin, cpu_begin) = (Instant::now(), cpu());
    for entry in batch.iter().take(2000) {
        store.load(&entry.doc).await.expect("loaded");
    }
    let (loads, cpu_loads) = (begin.elapsed(), cpu() - cpu_begin);
    let begin = Instant::now();
    let query = coscribe::store::ListQuery {
        state: coscribe::store::DocState::Live,
        search: None,
        after: None,
        limit: 50,
    };
    store.list(&query).await.expect("listed");
    println!(
        "{documents} documents: open {:5.1} ms, first load after {:5.1} ms, then {:5.1} µs a load ({:5.1} µs CPU), list {:5.2} ms",
        opened.as_secs_f64() * 1e3,
        loaded.as_secs_f64() * 1e3,
        loads.as_secs_f64() * 1e6 / 2000.0,
        cpu_loads.as_secs_f64() * 1e6 / 2000.0,
        begin.elapsed().as_secs_f64() * 1e3,
    );
    store.close().await.expect("closed");
}

/// Packing one long run of rows, to choose level and form.
fn pack(rows: &[NewRow]) {
    let rows: Vec<_> = rows
        .iter()
        .take(50_000)
        .zip(1..)
        .map(|(row, seq)| coscribe::store::LogRow {
            seq,
            row: row.clone(),
            hidden: false,
        })
        .collect();
    let begin = Instant::now();
    let segment = history_segment::pack(&rows).expect("rows").expect("packed");
    let packed = begin.elapsed();
    let begin = Instant::now();
    let back = history_segment::unpack(1, segment.raw_len, &segment.bytes).expect("unpacked");
    println!(
        "50,000 rows: {} kB raw, {} kB packed, packing {:.1} ms, unpacking {:.1} ms",
        segment.raw_len / 1000,
        segment.bytes.len() / 1000,
        packed.as_secs_f64() * 1e3,
        begin.elapsed().as_secs_f64() * 1e3,
    );
    drop(Arc::new(back));
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    use Durability::{Full, Process};
    appends("1 document, 1 row (process)", Process, 1, 1, 20_000).await;
    appends("1 document, 1 row (full)", Full, 1, 1, 3_000).await;
    appends(
        "64 documents of 64, 1 row each (process)",
        Process,
        64,
        64,
        1_000,
    )
    .await;
    appends(
        "30 documents of 1,000, 1 row each (process)",
        Process,
        1_000,
        30,
        3_000,
    )
    .await;
    appends(
        "30 documents of 1,000, 1 row each (full)",
        Full,
        1_000,
        30,
        1_000,
    )
    .await;
    let rows = history();
    pack(&rows);
    for every in [300, 1_000, 10_000, 259_778] {
        long_document(&rows, every).await;
    }
    start(10_000).await;
}
