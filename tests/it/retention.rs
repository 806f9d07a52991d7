//! Keeping less of the past: what is removed is in no file, and everything else is what it was.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use coscribe::{
    bench::trace::Trace,
    document::id::DocId,
    store::{
        Durability, LogRow, Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use yrs::{Doc, GetString, Transact, updates::decoder::Decode};

use crate::{
    harness::{
        CANARY,
        database::Database,
        eventually,
        peer::Peer,
        server::{Server, run},
    },
    history::{fill, text, tokens, trace},
};

/// Letters of a secret that is typed one by one.
const SECRET: &str = "機密文書";

/// The files of a data directory that hold these bytes.
fn files_with(dir: &Path, needle: &[u8]) -> Vec<String> {
    let files = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    files
        .filter(|file| {
            let bytes = std::fs::read(file.path()).unwrap();
            bytes.windows(needle.len()).any(|part| part == needle)
        })
        .map(|file| file.file_name().into_string().unwrap())
        .collect()
}

/// The document's text at each of its moments that can be shown, with those that were removed.
async fn all_moments(server: &Server, doc: &str) -> BTreeMap<u64, Option<String>> {
    let mut moments = BTreeMap::new();
    for seq in 0..=server.head(doc).await {
        let path = format!("{doc}/at?seq={seq}&as=text");
        let answer = ask(server, Method::GET, &path, None).await;
        let is_gone = answer.status() == 410;
        assert!(is_gone || answer.status() == 200, "{seq}");
        let text = answer.text().await.unwrap();
        moments.insert(seq, (!is_gone).then_some(text));
    }
    moments
}

async fn versions(server: &Server, doc: &str) -> Vec<Value> {
    let page = text(server, &format!("{doc}/versions")).await;
    let page: Value = serde_json::from_str(&page).unwrap();
    page["versions"].as_array().unwrap().clone()
}

async fn ask(server: &Server, method: Method, path: &str, body: Option<Value>) -> Response {
    let path = format!("/api/docs/{path}");
    server.request(method, &path, body).await
}

async fn delete(server: &Server, path: &str) -> Value {
    let answer = ask(server, Method::DELETE, path, None).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

async fn thin(server: &Server, doc: &str, to: &str) -> u64 {
    let path = format!("/api/docs/{doc}/versions/thin");
    let answer = server.request(Method::POST, &path, Some(json!({"to": to})));
    let answer = answer.await;
    assert_eq!(answer.status(), 200, "{to}");
    let answer: Value = answer.json().await.unwrap();
    answer["hidden"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_its_bytes_out_of_every_file_and_changes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::in_dir(dir.path(), &["--compact-after-rows", "7"], &[]).await;
    let peer = Peer::join(&server, "plan").await;
    for letter in "before ".chars() {
        peer.append(&letter.to_string());
        peer.echoed().await;
    }
    // The secret is typed letter by letter, named, and deleted.
    let from = server.head("plan").await + 1;
    for letter in SECRET.chars() {
        peer.append(&letter.to_string());
        peer.echoed().await;
    }
    peer.append(CANARY);
    peer.echoed().await;
    let to = server.head("plan").await;
    let name = json!({"label": "with the secret"});
    let named = server.request(Method::POST, "/api/docs/plan/versions", Some(name));
    assert_eq!(named.await.status(), 201);
    peer.delete(7, 4 + CANARY.len() as u32);
    for letter in "after".chars() {
        peer.append(&letter.to_string());
        peer.echoed().await;
    }
    let before = all_moments(&server, "plan").await;
    assert!(before[&to].as_ref().unwrap().contains(CANARY));

    let purged = delete(
        &server,
        &format!("plan/versions?from_seq={from}&to_seq={to}"),
    )
    .await;
    assert_eq!(purged, json!({"purged": {"from_seq": from, "to_seq": to}}));
    let mut expected = before.clone();
    for seq in from..=to {
        expected.insert(seq, None);
    }
    assert_eq!(all_moments(&server, "plan").await, expected);
    let kinds: Vec<_> = versions(&server, "plan").await;
    assert!(
        kinds.iter().all(|version| version["label"] == ""),
        "{kinds:?}"
    );
    let clean = async || {
        files_with(dir.path(), CANARY.as_bytes())
            .is_empty()
            .then_some(())
    };
    eventually("the files are rid of it", clean).await;
    // What is left of the rows is compressed, so it is looked at row by row, too.
    peer.append("!");
    peer.echoed().await;
    drop(peer);
    Peer::join(&server, "plan")
        .await
        .expect_text("before after!")
        .await;
    let (code, said) = run(&["check", "--data-dir", dir.path().to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(server.stop().await, 0);
    for row in rows(dir.path(), "plan").await {
        let text = String::from_utf8_lossy(&row.row.bytes);
        let is_left = text.contains(CANARY) || text.contains(|letter| SECRET.contains(letter));
        assert!(!is_left, "the secret is left in row {}", row.seq);
    }
    server.restart().await;
    expected.insert(server.head("plan").await, Some("before after!".to_owned()));
    assert_eq!(all_moments(&server, "plan").await, expected);
}

/// The rows of a document at rest.
async fn rows(dir: &Path, doc: &str) -> Vec<LogRow> {
    let store = SqliteStore::open(SqliteOptions {
        data_dir: dir.to_path_buf(),
        durability: Durability::Full,
    });
    let store = store.await.unwrap();
    let doc = DocId::parse(doc).unwrap();
    let rows = store.rows(&doc, 1, u64::MAX).await.unwrap();
    store.close().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_a_moment_and_nothing_can_be_purged() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "plan").await;
    peer.write(&["one", " two", " three"]).await;
    // The only session ends with the present moment, which stays.
    let newest = versions(&server, "plan").await[0]["id"].clone();
    let purged = delete(
        &server,
        &format!("plan/versions/{}", newest.as_str().unwrap()),
    )
    .await;
    assert_eq!(purged, json!({"purged": {"from_seq": 1, "to_seq": 2}}));
    let left = all_moments(&server, "plan").await;
    assert_eq!(left[&0].as_deref(), Some(""));
    assert_eq!((&left[&1], &left[&2]), (&None, &None));
    assert_eq!(left[&3].as_deref(), Some("one two three"));
    let purged = delete(&server, "plan/versions/3").await;
    assert_eq!(purged, json!({"purged": null}));
    // What is gone can not be described, named, compared, brought back or removed again.
    for (method, path, body) in [
        (Method::GET, "plan/versions/2", None),
        (Method::GET, "plan/versions/2?as=html", None),
        (Method::GET, "plan/versions/2/diff/now", None),
        (Method::GET, "plan/versions/3/diff/1", None),
        (Method::POST, "plan/versions/1/restore", Some(json!({}))),
        (
            Method::POST,
            "plan/versions",
            Some(json!({"label": "x", "seq": 2})),
        ),
        (Method::DELETE, "plan/versions/2", None),
    ] {
        let answer = ask(&server, method, path, body).await;
        assert_eq!(answer.status(), 410, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "purged", "{path}");
    }
    for (path, status) in [
        ("plan/versions?from_seq=3&to_seq=2", 400),
        ("plan/versions?from_seq=1", 400),
        ("plan/versions", 400),
        ("plan/versions/99", 404),
        ("plan/versions?from_seq=99&to_seq=120", 404),
        ("nobody/versions?from_seq=1&to_seq=2", 404),
    ] {
        let answer = ask(&server, Method::DELETE, path, None).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    peer.expect_text("one two three").await;
    // The present moment stays, but it loses its name.
    let named = ask(
        &server,
        Method::POST,
        "plan/versions",
        Some(json!({"label": "Draft"})),
    );
    let named: Value = named.await.json().await.unwrap();
    let path = format!("plan/versions/{}", named["id"].as_str().unwrap());
    assert_eq!(delete(&server, &path).await, json!({"purged": null}));
    let answer = ask(&server, Method::GET, &path, None).await;
    assert_eq!(answer.status(), 404);
    let trashed = ask(&server, Method::POST, "plan/trash", None).await;
    assert_eq!(trashed.status(), 200);
    let answer = ask(&server, Method::DELETE, "plan/versions/3", None).await;
    assert_eq!(answer.status(), 409);
}

/// A moment as the page asks for it, told by the answer of a tag: the new tag, and whether some of it was told so.
async fn step(server: &Server, seq: u64, holds: &str) -> (String, bool) {
    let path = format!("plan/at?seq={seq}&as=html&holds={holds}");
    let answer = ask(server, Method::GET, &path, None).await;
    assert_eq!(answer.status(), 200, "{path}");
    let tag = answer.headers()["coscribe-tag"]
        .to_str()
        .unwrap()
        .to_owned();
    let told: Vec<Value> = answer.json().await.unwrap();
    (tag, told.iter().any(Value::is_object))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_what_was_removed_is_kept() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "plan").await;
    for letter in "one two three".chars() {
        peer.append(&letter.to_string());
        peer.echoed().await;
    }
    let head = server.head("plan").await;
    let (secret, _) = step(&server, 5, "").await;
    let (present, is_by_held) = step(&server, head, &secret).await;
    assert!(is_by_held, "both are of the same document");
    delete(&server, "plan/versions?from_seq=4&to_seq=6").await;
    for tag in [&secret, &present] {
        let (next, is_by_held) = step(&server, head, tag).await;
        assert!(!is_by_held, "what was made before the purge is gone");
        assert!(step(&server, head - 1, &next).await.1);
    }
    let (before, _) = step(&server, 8, "").await;
    assert!(thin(&server, "plan", "sessions").await > 0);
    assert!(!step(&server, head, &before).await.1);
}

/// The texts of a trace at some of its moments.
fn texts(trace: &Trace, moments: &[u64]) -> BTreeMap<u64, String> {
    let doc = Doc::new();
    let shown = doc.get_or_insert_text("t");
    let mut texts = BTreeMap::from([(0, String::new())]);
    for (update, seq) in trace.updates().zip(1..) {
        let mut txn = doc.transact_mut();
        txn.apply_update(yrs::Update::decode_v1(update).unwrap())
            .unwrap();
        if moments.contains(&seq) {
            texts.insert(seq, shown.get_string(&txn));
        }
    }
    texts
}

/// A moment's text, and which moment it is.
async fn shown(server: &Server, seq: u64) -> (u64, String) {
    let path = format!("/api/docs/paper/at?seq={seq}&as=text");
    let answer = server.get(&path).await;
    assert_eq!(answer.status(), 200, "{seq}");
    let shown = answer.headers()["coscribe-seq"].to_str().unwrap();
    (shown.parse().unwrap(), answer.text().await.unwrap())
}

/// A running server whose document is the trace, 256 edits a minute.
struct Paper {
    dir: tempfile::TempDir,
    trace: Trace,
    /// Number of the last edit.
    last: u64,
    server: Server,
    random: StdRng,
}

impl Paper {
    async fn start() -> Self {
        let seed = rand::random::<u64>();
        println!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let trace = trace();
        fill(dir.path(), &trace).await;
        Self {
            last: trace.updates().count() as u64,
            server: Server::in_dir(dir.path(), &[], &[]).await,
            random: StdRng::seed_from_u64(seed),
            dir,
            trace,
        }
    }
}

async fn history_bytes(dir: &Path) -> i64 {
    let mut database = Database::open(dir).await;
    let bytes = database
        .number("SELECT sum(length(bytes)) FROM history")
        .await;
    database.close().await;
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn thinned_history_shows_the_moments_that_it_kept() {
    let Paper {
        dir,
        trace,
        last,
        mut server,
        mut random,
    } = Paper::start().await;
    let some: Vec<u64> = (0..40).map(|_| random.random_range(0..=last)).collect();
    let minute = |seq: u64| match seq {
        _ if seq == last => last,
        _ => seq - seq % 256,
    };
    let mut wanted: Vec<u64> = some.iter().map(|seq| minute(*seq)).collect();
    wanted.extend([1_000, last]);
    let texts = texts(&trace, &wanted);

    let named = json!({"label": "Draft", "seq": 1_000});
    let named = server.request(Method::POST, "/api/docs/paper/versions", Some(named));
    assert_eq!(named.await.status(), 201);
    assert_eq!(thin(&server, "paper", "all").await, 0);
    let whole = history_bytes(dir.path()).await;
    let minutes = last.div_ceil(256);
    assert_eq!(thin(&server, "paper", "minutes").await, last - minutes - 1);
    // Another moment than the one that was asked for is not brought back in its place.
    let path = "paper/versions/300/restore";
    let answer = ask(&server, Method::POST, path, Some(json!({}))).await;
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(
        (&problem["code"], &problem["limit"]),
        (&json!("thinned"), &json!(256))
    );
    assert_eq!(thin(&server, "paper", "seconds").await, 0);
    let thinned = history_bytes(dir.path()).await;
    println!("history: {whole} bytes, to the minute {thinned}");
    assert!(thinned * 3 < whole * 2, "{thinned} of {whole}");
    for restarted in [false, true] {
        if restarted {
            assert_eq!(server.stop().await, 0);
            server.restart().await;
        }
        assert_eq!(shown(&server, 1_000).await, (1_000, texts[&1_000].clone()));
        for seq in &some {
            // The named moment stands for those after it, up to the end of its minute.
            let kept = match *seq {
                1_000..1_024 => 1_000,
                seq => minute(seq),
            };
            assert_eq!(
                shown(&server, *seq).await,
                (kept, texts[&kept].clone()),
                "{seq}"
            );
        }
    }
    let list = versions(&server, "paper").await;
    assert!(
        list.iter()
            .all(|of| of["kind"] == "named" || of["kept"] == "minutes")
    );

    thin(&server, "paper", "named").await;
    let left: Vec<_> = versions(&server, "paper").await;
    let left: Vec<_> = left
        .iter()
        .map(|of| (&of["kind"], &of["label"], &of["kept"]))
        .collect();
    let (auto, name) = (json!("auto"), json!("named"));
    let (none, draft) = (json!(""), json!("Draft"));
    let (sessions, all) = (json!("sessions"), json!("all"));
    assert_eq!(left, [(&auto, &none, &sessions), (&name, &draft, &all)]);
    assert_eq!(shown(&server, last).await, (last, texts[&last].clone()));
    assert_eq!(
        shown(&server, last - 1).await,
        (1_000, texts[&1_000].clone())
    );
    assert_eq!(shown(&server, 999).await, (0, String::new()));
    let named = history_bytes(dir.path()).await;
    println!("only what is named: {named} bytes");
    assert!(named < thinned, "{named} of {thinned}");
    let (code, said) = run(&["check", "--data-dir", dir.path().to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
    Peer::join(&server, "paper").await.round_trip().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_named_stays_when_the_end_of_its_session_was_removed() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "plan").await;
    peer.write(&["one", " two", " three", " four", " five"])
        .await;
    let draft = json!({"label": "Draft", "seq": 3});
    let draft = ask(&server, Method::POST, "plan/versions", Some(draft)).await;
    assert_eq!(draft.status(), 201);
    // A session that was thinned is over, so the next edit begins another.
    assert_eq!(thin(&server, "plan", "sessions").await, 3);
    peer.append(" six");
    peer.echoed().await;
    let purged = delete(&server, "plan/versions?from_seq=5&to_seq=5").await;
    assert_eq!(purged, json!({"purged": {"from_seq": 5, "to_seq": 5}}));
    thin(&server, "plan", "named").await;
    assert_eq!(
        text(&server, "plan/at?seq=3&as=text").await,
        "one two three"
    );
    let left = versions(&server, "plan").await;
    let left: Vec<_> = left.iter().map(|of| (&of["seq"], &of["label"])).collect();
    let (present, draft) = (json!(6), json!(3));
    assert_eq!(left, [(&present, &json!("")), (&draft, &json!("Draft"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_history_is_rewritten_leaves_all_of_it_or_none() {
    let Paper {
        dir,
        trace,
        last,
        mut server,
        mut random,
    } = Paper::start().await;
    let mut outcomes = [0, 0];
    for (round, to) in ["seconds", "minutes", "sessions", "named"]
        .into_iter()
        .cycle()
        .take(12)
        .enumerate()
    {
        let path = format!("http://{}/api/docs/paper/versions/thin", server.address());
        let asked = tokio::spawn(async move {
            let body = json!({"to": to}).to_string();
            let client = reqwest::Client::new();
            // The server may be killed before it answers.
            client.post(path).body(body).send().await.is_ok()
        });
        let soon = random.random_range(0..120_000) * (1 + round as u64 % 3);
        tokio::time::sleep(Duration::from_micros(soon)).await;
        server.kill_9().await;
        outcomes[usize::from(asked.await.unwrap())] += 1;
        server.restart().await;
        let some: Vec<u64> = (0..5).map(|_| random.random_range(0..=last)).collect();
        let mut moments = Vec::new();
        for seq in &some {
            moments.push(shown(&server, *seq).await);
        }
        let kept: Vec<u64> = moments.iter().map(|(kept, _)| *kept).collect();
        let texts = texts(&trace, &kept);
        for (kept, text) in moments {
            assert_eq!(text, texts[&kept], "{kept} after round {round}");
        }
    }
    println!("killed before the answer and after: {outcomes:?}");
    let (code, said) = run(&["check", "--data-dir", dir.path().to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_thinned_as_it_was_configured() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &trace()).await;
    let flags = [
        "--thin-to-minutes-after",
        "0s",
        "--thin-to-named-after",
        "36500d",
    ];
    let server = Server::in_dir(dir.path(), &flags, &[]).await;
    let thinned = async || {
        let list = versions(&server, "paper").await;
        list.iter().all(|of| of["kept"] == "minutes").then_some(())
    };
    eventually("it is thinned", thinned).await;
    assert_eq!(shown(&server, 300).await.0, 256);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_type_on_while_the_past_is_removed() {
    let server = Server::with(&["--compact-after-rows", "50"]).await;
    let mut people = Vec::new();
    for _ in 0..5 {
        people.push(Peer::join(&server, "plan").await);
    }
    people[0].append("<first>");
    people[0].echoed().await;
    let people = Arc::new(people);
    let typing = {
        let people = people.clone();
        tokio::spawn(async move {
            for round in 0..60 {
                for (number, person) in people.iter().enumerate() {
                    person.type_at(0, &format!("<{number}.{round}>"));
                }
                people[round % 5].echoed().await;
            }
        })
    };
    let mut purges = 0;
    while !typing.is_finished() {
        let head = server.head("plan").await;
        let path = format!("plan/versions?from_seq=1&to_seq={}", head.max(1));
        purges += u64::from(delete(&server, &path).await["purged"] != Value::Null);
    }
    typing.await.unwrap();
    assert!(purges > 1, "{purges}");
    for person in people.iter() {
        person.echoed().await;
        person.round_trip().await;
    }
    let text = people[0].text();
    let (mut typed, rest) = tokens(&text);
    typed.sort_unstable();
    typed.dedup();
    assert_eq!((typed.len(), rest.as_str()), (301, ""));
    for person in people.iter() {
        person.expect_text(&text).await;
    }
    Peer::join(&server, "plan").await.expect_text(&text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_thins_purges_and_compares() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::in_dir(dir.path(), &[], &[]).await;
    let peer = Peer::join(&server, "plan").await;
    peer.write(&["one", " two", " three", " four"]).await;
    let url = format!("http://{}", server.address());
    let ask =
        async |arguments: &[&str]| run(&[&["versions", "--url", &url], arguments].concat()).await;
    let (code, said) = ask(&["diff", "plan", "1", "2"]).await;
    assert_eq!((code, said.trim()), (0, "~ text: one{+ two+}"));
    let (code, said) = ask(&["diff", "plan", "4"]).await;
    assert_eq!((code, said.trim()), (0, "nothing differs"));
    let (code, said) = ask(&["purge", "plan", "2..3"]).await;
    assert!(code == 2 && said.contains("--yes"), "{said}");
    let (code, said) = ask(&["purge", "plan", "2..3", "--yes"]).await;
    assert_eq!(
        (code, said.trim()),
        (0, "the states after edits 2 to 3 are removed")
    );
    let (code, said) = ask(&["show", "plan", "2"]).await;
    assert!(code == 2 && said.contains("removed for good"), "{said}");
    let (code, said) = ask(&["thin", "plan", "--to", "sessions", "--older-than", "1 h"]).await;
    assert_eq!((code, said.trim()), (0, "0 moments are not kept any more"));
    let (code, said) = ask(&["thin", "plan", "--to", "sessions"]).await;
    assert_eq!((code, said.trim()), (0, "1 moments are not kept any more"));
    let (code, said) = ask(&["thin", "plan", "--to", "weeks"]).await;
    assert!(code == 2 && said.contains("sessions"), "{said}");
}
