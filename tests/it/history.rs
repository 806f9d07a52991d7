//! The past of a document: any moment, through compactions, kills and restarts, and from the command line.

use std::{collections::BTreeMap, path::Path};

use coscribe::{
    bench::trace::Trace,
    document::id::DocId,
    store::{
        Append, Durability, NewRow, Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use yrs::{Doc, GetString, Transact, updates::decoder::Decode};

use crate::harness::{
    database::Database,
    eventually,
    peer::Peer,
    server::{Server, run},
};

/// Moments that are looked at; `COSCRIBE_MOMENTS` says another number, `COSCRIBE_TRACE` names a history.
const MOMENTS: usize = 60;
const EDITS: usize = 6_000;

fn trace() -> Trace {
    match std::env::var_os("COSCRIBE_TRACE") {
        Some(file) => Trace::load(Path::new(&file)).unwrap(),
        None => Trace::synthetic(EDITS).unwrap(),
    }
}

/// Moments drawn at random, with the text at each.
fn moments(trace: &Trace, random: &mut StdRng) -> BTreeMap<usize, String> {
    let count = std::env::var("COSCRIBE_MOMENTS").map_or(MOMENTS, |count| count.parse().unwrap());
    let last = trace.updates().count();
    let mut moments: BTreeMap<usize, String> = (0..count)
        .map(|_| (random.random_range(0..=last), String::new()))
        .collect();
    let doc = Doc::new();
    let text = doc.get_or_insert_text("t");
    for (seq, update) in (0..).zip(std::iter::once(&[0, 0][..]).chain(trace.updates())) {
        let mut txn = doc.transact_mut();
        let update = yrs::Update::decode_v1(update).unwrap();
        txn.apply_update(update).unwrap();
        if let Some(moment) = moments.get_mut(&seq) {
            *moment = text.get_string(&txn);
        }
    }
    moments
}

/// Puts each update of the trace into a row of its own.
async fn fill(dir: &Path, trace: &Trace) {
    let store = SqliteStore::open(SqliteOptions {
        data_dir: dir.to_path_buf(),
        durability: Durability::Process,
    })
    .await
    .unwrap();
    let updates: Vec<_> = trace.updates().map(<[u8]>::to_vec).collect();
    for (batch, updates) in updates.chunks(256).enumerate() {
        let rows = updates.iter().map(|update| NewRow {
            bytes: update.clone().into(),
            author: ["ada", "ben"][batch % 2].into(),
            client_id: trace.client,
            at: 1_795_219_200_000 + batch as i64 * 60_000,
        });
        let entry = Append {
            doc: DocId::parse("paper").unwrap(),
            epoch: None,
            rows: rows.collect(),
            title: None,
            marks: Vec::new(),
            people: Vec::new(),
        };
        store.append(&[entry], 0).await.unwrap();
    }
    store.close().await.unwrap();
}

async fn text(server: &Server, path: &str) -> String {
    let response = server.get(&format!("/api/docs/{path}")).await;
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

/// The moments that are not as they were.
async fn different(server: &Server, moments: &BTreeMap<usize, String>) -> Vec<usize> {
    let mut different = Vec::new();
    for (seq, wanted) in moments {
        if text(server, &format!("paper/at?seq={seq}&as=text")).await != *wanted {
            different.push(*seq);
        }
    }
    different
}

#[tokio::test(flavor = "multi_thread")]
async fn any_moment_is_what_it_was_through_compactions_kills_and_restarts() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let trace = trace();
    let moments = moments(&trace, &mut random);
    fill(dir.path(), &trace).await;
    let mut server = Server::in_dir(dir.path(), &[], &[]).await;
    assert_eq!(different(&server, &moments).await, [0; 0], "in the log");

    // Somebody who writes starts a compaction; the end comes somewhere around it.
    for _ in 0..5 {
        let peer = Peer::join(&server, "paper").await;
        peer.append("x");
        let soon = std::time::Duration::from_micros(random.random_range(0..60_000));
        tokio::time::sleep(soon).await;
        drop(peer);
        server.kill_9().await;
        server.restart().await;
        let some: BTreeMap<usize, String> = moments
            .iter()
            .filter(|_| random.random_range(0..4) == 0)
            .map(|(seq, text)| (*seq, text.clone()))
            .collect();
        assert_eq!(different(&server, &some).await, [0; 0], "after a kill");
    }
    let peer = Peer::join(&server, "paper").await;
    peer.append("y");
    peer.echoed().await;
    let mut database = Database::open(dir.path()).await;
    let folded = async || (database.rows().await < 500).then_some(());
    eventually("the log is folded", folded).await;
    assert_eq!(different(&server, &moments).await, [0; 0], "in the history");
    drop(peer);
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    assert_eq!(
        different(&server, &moments).await,
        [0; 0],
        "after a restart"
    );
    // The list needs no row: sessions end after an hour, or with a pause.
    let page: serde_json::Value =
        serde_json::from_str(&text(&server, "paper/versions").await).unwrap();
    let versions = page["versions"].as_array().unwrap();
    assert!(!versions.is_empty());
    assert_eq!(versions.last().unwrap()["from_seq"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reads_names_and_recovers_versions() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::in_dir(dir.path(), &[], &[]).await;
    let peer = Peer::join(&server, "a%20plan%2F1").await;
    peer.append("one");
    peer.echoed().await;
    let url = format!("http://{}", server.address());
    let (code, id) = run(&["versions", "--url", &url, "name", "a plan/1", "Draft"]).await;
    assert_eq!(code, 0, "{id}");
    let id = id.trim();
    peer.append(" two");
    peer.echoed().await;
    let (code, said) = run(&["versions", "list", "a plan/1", "--url", &url]).await;
    assert_eq!(code, 0, "{said}");
    let kinds: Vec<_> = said
        .lines()
        .map(|line| line.split_whitespace().nth(2).unwrap())
        .collect();
    assert_eq!(kinds, ["auto", "named"], "{said}");
    assert!(said.contains("Draft"), "{said}");
    let show = async |arguments: &[&str]| {
        let (code, said) = run(&[&["versions", "show", "a plan/1"], arguments].concat()).await;
        assert_eq!(code, 0, "{said}");
        said.trim().to_owned()
    };
    assert_eq!(show(&[id, "--url", &url]).await, "one");
    assert_eq!(show(&["2", "--url", &url]).await, "one two");
    drop(peer);
    assert_eq!(server.stop().await, 0);

    // The same at rest.
    let data = ["--data-dir", dir.path().to_str().unwrap()];
    assert_eq!(show(&[&[id][..], &data].concat()).await, "one");
    let (code, json) =
        run(&[&["versions", "list", "a plan/1", "--json"], &data[..]].concat()).await;
    assert_eq!((code, json.lines().count()), (0, 2), "{json}");
    let (code, said) = run(&[&["versions", "show", "a plan/1", "77"], &data[..]].concat()).await;
    assert_eq!(code, 2);
    assert!(said.contains("no moment 77"), "{said}");
    let recover = [&["versions", "recover", "a plan/1"], &data[..]].concat();
    let (code, said) = run(&recover).await;
    assert!(code == 0 && said.starts_with("one two\n"), "{said}");

    let mut database = Database::open(dir.path()).await;
    database.flip_a_bit("a plan/1").await;
    database.close().await;
    let (code, said) = run(&recover).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.starts_with("one\n"), "{said}");
    assert!(said.contains("after 1 of its 2 edits"), "{said}");
}
