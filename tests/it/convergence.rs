//! Five real Yjs clients of three versions edit every shared type at random and lose their connections at random. In
//! the end all of them, three fresh clients and the export are equal: JSON, state vector and delete set.
//!
//! `COSCRIBE_SEEDS` says how many sessions, `COSCRIBE_FIRST_SEED` where to begin.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    count,
    node::{Node, sockets},
    peer::Peer,
    proxy::Proxy,
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn five_people_a_fresh_client_and_the_export_are_equal_in_the_end() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = Server::with(&[
        "--compact-after-rows",
        "40",
        "--max-messages-per-second",
        "10000",
    ])
    .await;
    let first = count("COSCRIBE_FIRST_SEED", 1);
    let mut connections = 0;
    for seed in first..first + count("COSCRIBE_SEEDS", 10) {
        let doc = format!("seed-{seed}");
        let request = json!({
            "ask": "converge", "seed": seed, "people": 5, "steps": 200, "url": sockets(&server),
            "doc": doc, "lossy": seed % 2 == 0,
        });
        let answer = node.try_ask(request).await;
        let prints = answer["prints"].as_array().expect("replicas to compare");
        assert_eq!(
            answer.get("error"),
            None,
            "seed {seed}: {}",
            differences(prints)
        );
        let export = node.load(&[server.export(&doc).await]).await;
        assert!(
            export == prints[0],
            "seed {seed}, the export: {}",
            differences(&[prints[0].clone(), export])
        );
        connections += answer["opens"].as_u64().unwrap();
    }
    eprintln!("{connections} connections of 5 people each");
    server
        .until_metric("coscribe_compactions_failed_total", |failed| failed == 0.0)
        .await;
}

/// What differs among replicas, short enough to read.
fn differences(prints: &[Value]) -> String {
    let fields = ["content", "vector", "deletes", "pending"];
    let shown = fields.iter().filter_map(|field| {
        let of = |print: &Value| print[field].to_string();
        let other = prints.iter().find(|print| of(print) != of(&prints[0]))?;
        Some(format!("\n{field}:\n  {}\n  {}", of(&prints[0]), of(other)))
    });
    shown.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_behind_a_network_that_delays_and_cuts_lose_nothing() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    proxy.delay(Duration::from_millis(5));
    let steady = Peer::join(&server, "d").await;
    let mut people = Vec::new();
    for _ in 0..3 {
        let person = crate::harness::peer::Connect::to(proxy.socket("d"))
            .join()
            .await;
        people.push(person);
    }
    let mut written = Vec::new();
    for round in 0..8 {
        for (number, person) in people.iter().enumerate() {
            let word = format!("<{number}.{round}>");
            person.append(&word);
            written.push(word);
        }
        // The edits of this round are on their way, or not: nobody knows.
        proxy.cut();
        for person in &mut people {
            person.expect_close().await;
            let again = person.reconnect(&proxy.socket("d"), false).await.unwrap();
            *person = again;
        }
    }
    for word in &written {
        steady
            .wait(word, |view| view.text().matches(word.as_str()).count() == 1)
            .await;
    }
    let text = steady.text();
    for person in &people {
        person.expect_text(&text).await;
    }
}
