//! Five real Yjs clients of three versions edit every shared type at random and lose their connections at random. In
//! the end all of them, three fresh clients and the export are equal: JSON, state vector and delete set.
//!
//! `COSCRIBE_SEEDS` says how many sessions, `COSCRIBE_FIRST_SEED` where to begin.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    IN_VAIN, PATIENCE, count,
    forgetful::{Forgetful, Way},
    node::{Node, sockets},
    peer::Peer,
    proxy::Proxy,
    server::Server,
    wire,
};

/// One session of five people who connect to this address. Returns how often they connected, or what differs among
/// them, fresh clients and the export in the end, when they did not become equal within `limit`.
async fn session(
    node: &mut Node,
    server: &Server,
    url: &str,
    seed: u64,
    limit: Duration,
) -> Result<u64, String> {
    let doc = format!("seed-{seed}");
    let request = json!({
        "ask": "converge", "seed": seed, "people": 5, "steps": 200, "url": url,
        "doc": doc, "lossy": seed.is_multiple_of(2), "limit": limit.as_millis() as u64,
    });
    let answer = node.try_ask(request).await;
    let mut prints = answer["prints"]
        .as_array()
        .expect("replicas to compare")
        .clone();
    if let Some(error) = answer.get("error") {
        return Err(format!("{error}: {}", differences(&prints)));
    }
    prints.push(node.load(&[server.export(&doc).await]).await);
    if prints.iter().any(|print| *print != prints[0]) {
        return Err(format!("the export: {}", differences(&prints)));
    }
    Ok(answer["opens"].as_u64().unwrap())
}

async fn start() -> Server {
    Server::with(&[
        "--compact-after-rows",
        "40",
        "--max-messages-per-second",
        "10000",
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn five_people_a_fresh_client_and_the_export_are_equal_in_the_end() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = start().await;
    let first = count("COSCRIBE_FIRST_SEED", 1);
    let mut connections = 0;
    for seed in first..first + count("COSCRIBE_SEEDS", 10) {
        let url = sockets(&server);
        match session(&mut node, &server, &url, seed, PATIENCE / 2).await {
            Ok(opens) => connections += opens,
            Err(difference) => panic!("seed {seed}: {difference}"),
        }
    }
    eprintln!("{connections} connections of 5 people each");
    server
        .until_metric("coscribe_compactions_failed_total", |failed| failed == 0.0)
        .await;
}

/// The control: every third update does not reach its reader. The same session on the way through which all of them pass
/// ends well.
#[tokio::test(flavor = "multi_thread")]
async fn people_who_do_not_become_equal_are_noticed() {
    let Some(mut node) = Node::start() else {
        return;
    };
    for forgets in [false, true] {
        let server = start().await;
        let relay = Forgetful::to(
            server.address(),
            Way::ToClient,
            wire::UPDATE,
            move |number| forgets && number % 3 == 0,
        );
        let relay = relay.await;
        let limit = if forgets { IN_VAIN } else { PATIENCE / 2 };
        let outcome = session(&mut node, &server, &relay.url(), 1, limit).await;
        assert_eq!(outcome.is_err(), forgets, "{outcome:?}");
        assert_eq!(relay.forgotten() > 0, forgets);
    }
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
