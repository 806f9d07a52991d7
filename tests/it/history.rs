//! The past of a document: any moment, through compactions, kills and restarts, and from the command line.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use coscribe::{
    bench::trace::Trace,
    document::id::DocId,
    store::{
        Append, Durability, NewRow, Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};
use yrs::{Doc, GetString, Transact, updates::decoder::Decode};

use crate::harness::{
    count,
    database::Database,
    eventually,
    node::{Node, VERSIONS},
    peer::{Connect, Peer},
    server::{Server, run},
};

/// Moments that are looked at; `COSCRIBE_MOMENTS` says another number, `COSCRIBE_TRACE` names a history.
const MOMENTS: usize = 60;
const EDITS: usize = 6_000;

pub fn trace() -> Trace {
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
pub async fn fill(dir: &Path, trace: &Trace) {
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

pub async fn text(server: &Server, path: &str) -> String {
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

/// Restores a version and answers what the server says of it.
async fn restore(server: &Server, doc: &str, version: &str) -> Value {
    let path = format!("/api/docs/{doc}/versions/{version}/restore");
    let response = server.request(Method::POST, &path, Some(json!({}))).await;
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

/// The tokens in a text, in order, and what is left without them.
pub fn tokens(text: &str) -> (Vec<&str>, String) {
    let (mut tokens, mut rest) = (Vec::new(), String::new());
    for (place, part) in text.split('<').enumerate() {
        match part.split_once('>') {
            Some((token, after)) if place > 0 => {
                tokens.push(token);
                rest += after;
            }
            _ => rest += part,
        }
    }
    (tokens, rest)
}

/// `COSCRIBE_RESTORES` says how many restores.
#[tokio::test(flavor = "multi_thread")]
async fn restores_merge_with_what_ten_people_type_meanwhile() {
    let server = Server::with(&["--compact-after-rows", "60"]).await;
    let author = Peer::join(&server, "plan").await;
    author.append("one two three");
    author.echoed().await;
    let first = server.head("plan").await;
    author.delete(4, 4);
    author.append(" four");
    author.echoed().await;
    let second = server.head("plan").await;
    let versions = [(first, "one two three"), (second, "one three four")];

    let mut people = Vec::new();
    for _ in 0..10 {
        people.push(Peer::join(&server, "plan").await);
    }
    // Stock clients hold the document, too, one that collects garbage and one that does not.
    let mut node = Node::start();
    if let Some(node) = &mut node {
        node.join(&server, "collects", "3.1", "plan").await;
        let keeps = json!({"version": "2.1", "doc": "plan", "gc": false});
        node.open(&server, "keeps", keeps).await;
        node.until("keeps", json!({"synced": true})).await;
    }
    let (people, done) = (Arc::new(people), Arc::new(AtomicBool::new(false)));
    let typing = {
        let (people, done) = (people.clone(), done.clone());
        tokio::spawn(async move {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                for (number, person) in people.iter().enumerate() {
                    match round % 2 {
                        0 => person.append(&format!("<{number}.{round}>")),
                        _ => person.type_at(0, &format!("<{number}.{round}>")),
                    };
                }
                people[round % 10].echoed().await;
                round += 1;
            }
        })
    };
    let restores = count("COSCRIBE_RESTORES", 25) as usize;
    let mut last = Value::Null;
    for number in 0..restores {
        let (version, _) = versions[number % 2];
        last = restore(&server, "plan", &version.to_string()).await;
        assert_eq!(last["changed"], true, "{last}");
    }
    done.store(true, Ordering::Relaxed);
    typing.await.unwrap();
    for person in people.iter() {
        person.echoed().await;
        person.round_trip().await;
    }
    let text = people[0].text();
    for person in people.iter() {
        person.expect_text(&text).await;
    }
    Peer::join(&server, "plan").await.expect_text(&text).await;
    if let Some(node) = &mut node {
        for name in ["collects", "keeps"] {
            node.until(name, json!({"text": text})).await;
        }
        let prints = [node.print("collects").await, node.print("keeps").await];
        assert_eq!(prints[0]["content"], prints[1]["content"]);
    }
    // What was restored is there, and what was typed meanwhile, each once.
    let (typed, rest) = tokens(&text);
    assert_eq!(rest, versions[(restores - 1) % 2].1, "{text}");
    let mut unique = typed.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), typed.len(), "{text}");
    // All that was typed after the last restore is there; of what was typed before, only what it did not know of.
    let restored = last["version"]["seq"].as_u64().unwrap();
    let head = server.head("plan").await;
    let after = format!("/api/docs/plan/at?seq={restored}&as=text");
    let at_restore = server.get(&after).await.text().await.unwrap();
    let (survived, _) = tokens(&at_restore);
    assert!(survived.iter().all(|token| typed.contains(token)));
    for seq in restored..=head {
        let moment = format!("/api/docs/plan/at?seq={seq}&as=text");
        let moment = server.get(&moment).await.text().await.unwrap();
        let (there, _) = tokens(&moment);
        assert!(there.iter().all(|token| typed.contains(token)), "{seq}");
    }

    // And back, in one step: what the restore had taken away is there again.
    let before = last["before"]["id"].as_str().unwrap();
    let was = format!("/api/docs/plan/versions/{before}?as=text");
    let was = server.get(&was).await.text().await.unwrap();
    let back = restore(&server, "plan", before).await;
    assert_eq!(back["changed"], true);
    people[3].expect_text(&was).await;
    let nothing = restore(&server, "plan", before).await;
    assert_eq!(nothing["changed"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_can_not_be_made_is_refused_by_name_and_changes_nothing() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "plan").await;
    peer.append("one");
    peer.echoed().await;
    peer.append(" two");
    peer.echoed().await;
    let ask = async |doc: &str, version: &str, body: Value| {
        let path = format!("/api/docs/{doc}/versions/{version}/restore");
        let response = server.request(Method::POST, &path, Some(body)).await;
        let status = response.status().as_u16();
        let problem: Value = response.json().await.unwrap();
        (
            status,
            problem["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for (doc, version, body, status, code) in [
        ("nobody", "1", json!({}), 404, "not-found"),
        ("plan", "9", json!({}), 404, "no-such-moment"),
        ("plan", "v9", json!({}), 404, "no-such-version"),
        ("plan", "x", json!({}), 404, "no-such-version"),
        (
            "plan",
            "1",
            json!({"author": "nobody"}),
            404,
            "no-such-author",
        ),
        ("plan", "1", json!({"block": [7, 7]}), 409, "not-restorable"),
        (
            "plan",
            "1",
            json!({"block": [7, 7], "to_seq": 1}),
            400,
            "bad-part",
        ),
        ("plan", "1", json!({"what": 1}), 400, "bad-json"),
        ("plan", "0", json!({"to_seq": 9}), 404, "no-such-moment"),
        ("plan", "2", json!({"to_seq": 2}), 400, "bad-part"),
    ] {
        let answer = ask(doc, version, body.clone()).await;
        assert_eq!(answer, (status, code.to_owned()), "{version} {body}");
    }
    peer.expect_text("one two").await;
    let head = server.head("plan").await;
    let trash = server
        .request(Method::POST, "/api/docs/plan/trash", None)
        .await;
    assert_eq!(trash.status(), 200);
    assert_eq!(ask("plan", "1", json!({})).await, (409, "in-trash".into()));
    let back = server
        .request(Method::POST, "/api/docs/plan/restore", None)
        .await;
    assert_eq!(back.status(), 200);
    assert_eq!(server.head("plan").await, head);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restores_at_once_bring_the_text_back_once() {
    let server = Server::start().await;
    let peer = Connect::to(server.socket("plan")).coscribe().join().await;
    peer.append("one two three");
    peer.saved().await;
    peer.delete(0, 13);
    peer.saved().await;
    let asks = (0..8).map(|_| {
        let path = "/api/docs/plan/versions/1/restore";
        server.request(Method::POST, path, Some(json!({})))
    });
    let mut changed = 0;
    for answer in futures_util::future::join_all(asks).await {
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        match status {
            200 => changed += u64::from(body["changed"] == true),
            _ => assert_eq!((status, &body["code"]), (409, &json!("restoring"))),
        }
    }
    assert_eq!(changed, 1);
    peer.expect_text("one two three").await;
    assert_eq!(server.head("plan").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_brought_back_is_told_as_one() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "plan").await;
    peer.write(&["one", " two", " three"]).await;
    let answer = restore_part(&server, "1", json!({"to_seq": 2})).await;
    assert_eq!(answer["version"]["part"], true, "{answer}");
    peer.expect_text("one three").await;
    let before = answer["before"]["id"].as_str().unwrap();
    let whole = restore(&server, "plan", before).await;
    assert_eq!(whole["version"]["part"], Value::Null, "{whole}");
    peer.expect_text("one two three").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_brought_back_is_not_brought_back_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::in_dir(dir.path(), &[], &[]).await;
    let peer = Peer::join(&server, "plan").await;
    peer.write(&["one", " two", " three"]).await;
    // Row 4 takes row 2 back, and row 5 that.
    let first = restore_part(&server, "1", json!({"to_seq": 2})).await;
    peer.expect_text("one three").await;
    restore(&server, "plan", first["before"]["id"].as_str().unwrap()).await;
    peer.expect_text("one two three").await;
    // What row 2 wrote is what row 5 brought back.
    let second = restore_part(&server, "1", json!({"to_seq": 2})).await;
    peer.expect_text("one three").await;
    restore(&server, "plan", second["before"]["id"].as_str().unwrap()).await;
    peer.expect_text("one two three").await;
    // Without what deleted it, it does not have to be brought back: it is there.
    let nothing = restore_part(&server, "3", json!({"to_seq": 4})).await;
    assert_eq!(
        (&nothing["changed"], server.head("plan").await),
        (&json!(false), 7)
    );
    peer.write(&[" four"]).await;
    drop(peer);
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    let peer = Peer::join(&server, "plan").await;
    peer.expect_text("one two three four").await;
    let third = restore_part(&server, "1", json!({"to_seq": 4})).await;
    assert_eq!(third["changed"], json!(true));
    peer.expect_text("one four").await;
}

async fn restore_part(server: &Server, version: &str, body: Value) -> Value {
    let path = format!("/api/docs/plan/versions/{version}/restore");
    let answer = server.request(Method::POST, &path, Some(body)).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_later_does_not_hide_what_was_before_it() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &Trace::synthetic(EDITS).unwrap()).await;
    let flags = ["--durability", "process", "--compact-after-rows", "500"];
    let mut server = Server::in_dir(dir.path(), &flags, &[]).await;
    let mut database = Database::open(dir.path()).await;
    for (edits, segments) in [(1, 1), (600, 2)] {
        let peer = Peer::join(&server, "paper").await;
        for edit in 0..edits {
            peer.append(&format!("{edit} "));
            peer.echoed().await;
        }
        let folded = async || {
            let count = database.number("SELECT count(*) FROM history").await;
            (count == segments).then_some(())
        };
        eventually("the log is folded", folded).await;
    }
    let moment = async |server: &Server, path: &str| {
        let answer = server.get(&format!("/api/docs/paper/{path}")).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let whole = [
        "at?seq=3000&as=text",
        "at?seq=3000&as=html",
        "versions/10/diff/3000",
    ];
    let damaged = [
        "at?seq=6600&as=text",
        "at?seq=6600&as=html",
        "versions/10/diff/6600",
    ];
    let mut before = Vec::new();
    for path in whole.iter().chain(&damaged) {
        before.push(moment(&server, path).await);
        assert_eq!(before.last().unwrap().0, 200, "{path}");
    }
    assert_eq!(server.stop().await, 0);
    database
        .execute(
            "UPDATE history SET bytes = CAST(x'00' || substr(bytes, 2) AS BLOB)
             WHERE key = (SELECT max(key) FROM history)",
        )
        .await;
    database.close().await;
    server.restart().await;
    for (path, before) in whole.iter().zip(&before) {
        assert_eq!(moment(&server, path).await, *before, "{path}");
    }
    for path in damaged {
        let (status, said) = moment(&server, path).await;
        assert!(
            status == 409 && said.contains("\"damaged\""),
            "{path}: {said}"
        );
    }
    let peer = Peer::join(&server, "paper").await;
    assert!(peer.text().ends_with("599 "), "the present is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_whose_history_is_damaged_is_not_called_damaged_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::in_dir(dir.path(), &[], &[]).await;
    let peer = Peer::join(&server, "plan").await;
    peer.write(&["one", " two", " three"]).await;
    // To remove something, what is new is folded.
    let path = "/api/docs/plan/versions?from_seq=1&to_seq=1";
    let answer = server.request(Method::DELETE, path, None).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(server.stop().await, 0);
    let mut database = Database::open(dir.path()).await;
    // A new segment can not follow this one.
    database
        .execute("UPDATE history SET to_seq = to_seq + 5")
        .await;
    database.close().await;
    server.restart().await;
    let peer = Peer::join(&server, "plan").await;
    peer.write(&[" four"]).await;
    for (method, path, body) in [
        (Method::DELETE, "versions?from_seq=2&to_seq=3", None),
        (
            Method::POST,
            "versions/thin",
            Some(json!({"to": "minutes"})),
        ),
    ] {
        let path = format!("/api/docs/plan/{path}");
        let answer = server.request(method, &path, body).await;
        assert_eq!(answer.status(), 409, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "damaged", "{path}");
    }
    let reader = Peer::join(&server, "plan").await;
    reader.expect_text("one two three four").await;
}

/// The names of those who wrote a document, in the order of the alphabet.
async fn authors(server: &Server, doc: &str) -> Vec<String> {
    let answer = server.get(&format!("/api/docs/{doc}/versions")).await;
    let answer: Value = answer.json().await.unwrap();
    let versions = answer["versions"].as_array().unwrap().iter();
    let authors = versions.flat_map(|version| version["authors"].as_array().unwrap());
    let names: BTreeMap<_, _> = authors
        .map(|author| (author["id"].to_string(), author["name"].as_str().unwrap()))
        .collect();
    let mut names: Vec<_> = names.into_values().map(ToOwned::to_owned).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_are_known_by_the_names_that_they_show() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = Server::start().await;
    let watcher = Peer::join(&server, "d").await;
    for version in VERSIONS {
        let user =
            json!({"doc": "d", "version": version, "user": {"name": format!("Ada {version}")}});
        node.open(&server, version, user).await;
        node.until(version, json!({"synced": true})).await;
        node.insert(version, version).await;
        watcher
            .wait("it is stored", |view| view.text().contains(version))
            .await;
    }
    assert_eq!(
        authors(&server, "d").await,
        ["Ada 1.5", "Ada 2.1", "Ada 3.1"]
    );
}

/// Such as somebody who brings on what they got from another person, offline.
#[tokio::test(flavor = "multi_thread")]
async fn who_brings_what_another_client_wrote_does_not_give_it_their_name() {
    let server = Server::start().await;
    let watcher = Peer::join(&server, "d").await;
    let bob = Connect::to(server.socket("d"))
        .client(77)
        .announcing(1, r#"{"user":{"name":"Bob"}}"#)
        .join()
        .await;
    let theirs = Peer::join(&server, "elsewhere").await;
    bob.send_update(&theirs.append("not Bob's"));
    watcher.expect_text("not Bob's").await;
    assert_eq!(authors(&server, "d").await, [""]);
    bob.append("and Bob's");
    bob.echoed().await;
    assert_eq!(authors(&server, "d").await, ["", "Bob"]);
}
