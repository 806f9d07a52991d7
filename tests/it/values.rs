//! Values that a replica in another language could change: BigInt, minus zero, a subdocument's `meta`.

use serde_json::{Value, json};

use crate::harness::{node::Node, server::Server};

#[tokio::test(flavor = "multi_thread")]
async fn values_reach_everybody_as_they_were_live_later_after_a_restart_and_after_compaction() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let mut server = Server::with(&["--compact-after-rows", "10", "--idle-unload", "0s"]).await;
    node.join(&server, "author", "3.1", "d").await;
    node.join(&server, "live", "1.5", "d").await;
    node.ask(json!({"ask": "special", "name": "author"})).await;
    let expected = node.print("author").await;
    let content = expected["content"].as_str().unwrap();
    for part in [
        "bigint 4611686018427387904",
        "minus zero",
        "attachment",
        "bigint 12",
        "bytes 00ff07",
    ] {
        assert!(content.contains(part), "{content}");
    }
    node.insert("author", "end").await;
    node.until("live", json!({"text": "end"})).await;
    let expected = same(&mut node, "author", "live").await;

    node.join(&server, "later", "2.1", "d").await;
    assert_eq!(node.print("later").await, expected);
    assert_eq!(node.load(&[server.export("d").await]).await, expected);

    // Each edit by itself, so that each has its row in the log.
    for number in 1..=30 {
        node.insert("author", "!").await;
        let text = format!("end{}", "!".repeat(number));
        node.until("live", json!({"text": text})).await;
    }
    let compacted = server.until_metric("coscribe_compactions_total", |count| count > 0.0);
    compacted.await;
    let expected = same(&mut node, "author", "live").await;
    node.join(&server, "after compaction", "3.1", "d").await;
    assert_eq!(node.print("after compaction").await, expected);
    for name in ["author", "live", "later", "after compaction"] {
        node.ask(json!({"ask": "close", "name": name})).await;
    }

    assert_eq!(server.stop().await, 0);
    server.restart().await;
    for version in crate::harness::node::VERSIONS {
        node.join(&server, version, version, "d").await;
        assert_eq!(
            node.print(version).await,
            expected,
            "{version} after the restart"
        );
    }
    assert_eq!(node.load(&[server.export("d").await]).await, expected);
}

async fn same(node: &mut Node, one: &str, other: &str) -> Value {
    let print = node.print(one).await;
    assert_eq!(print, node.print(other).await, "{one} and {other}");
    print
}
