//! Edits that nobody can integrate, and edits that come in the wrong order.

use std::time::Duration;

use serde_json::json;

use crate::harness::{
    IN_VAIN,
    forgetful::{Forgetful, Way},
    node::Node,
    peer::{Connect, Peer},
    proxy::Proxy,
    server::Server,
    wire,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_that_holds_edits_nobody_can_integrate_makes_no_loop_and_its_good_edits_are_saved()
 {
    let Some(mut node) = Node::start() else {
        return;
    };
    let server = Server::start().await;
    for version in crate::harness::node::VERSIONS {
        let received = server.metric("coscribe_updates_received_total").await;
        node.join(&server, version, version, version).await;
        node.ask(json!({"ask": "hold", "name": version})).await;
        // On every connection it sends all it has, and that now contains what can not be integrated.
        for _ in 0..3 {
            let opens = node.ask(json!({"ask": "state", "name": version})).await["opens"]
                .as_u64()
                .unwrap();
            node.ask(json!({"ask": "terminate", "name": version})).await;
            node.until(version, json!({"opens": opens + 1, "synced": true}))
                .await;
        }
        let reader = Peer::join(&server, version).await;
        for number in 0..20 {
            node.insert(version, &format!("good {number};")).await;
        }
        let text = (0..20)
            .map(|number| format!("good {number};"))
            .collect::<String>();
        reader.expect_text(&text).await;
        let more = server.metric("coscribe_updates_received_total").await - received;
        // Its own 20 edits, one answer for each connection, and at most one more for each edit.
        assert!(
            more < 50.0,
            "{version}: {more} document messages for 20 edits"
        );
        reader.round_trip().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_every_question_with_what_can_not_be_integrated_is_not_asked_for_ever()
 {
    let server = Server::with(&["--max-messages-per-second", "100000"]).await;
    let author = Connect::to(server.socket("elsewhere"))
        .client(900)
        .join()
        .await;
    author.append("lost");
    let orphan = author.append("kept");
    let stubborn = Connect::to(server.socket("d")).silent().await;
    let good = Peer::join(&server, "d").await;
    for round in 0..50 {
        stubborn.send_update(&orphan);
        for _ in 0..stubborn.with(|view| view.step_1s) {
            stubborn.send(wire::step_2(&orphan));
        }
        stubborn.round_trip().await;
        if round % 10 == 0 {
            good.append("x");
            good.echoed().await;
        }
    }
    let (questions, bytes) = stubborn.with(|view| (view.step_1s, view.bytes));
    assert!(questions <= 12, "asked {questions} times in 50 rounds");
    assert!(bytes < 64 << 10, "sent {bytes} bytes");
    assert_eq!(stubborn.with(|view| view.closed.clone()), None);
    // Whoever brings what was missing makes all of it whole.
    let whole = author.with(|view| view.doc.clone());
    let healer = Connect::to(server.socket("d"))
        .client(901)
        .join_with(Some(whole))
        .await;
    healer
        .wait("all of it", |view| view.text().contains("lostkept"))
        .await;
    good.wait("all of it", |view| view.text().contains("lostkept"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_in_the_wrong_order_are_put_together_and_acknowledged_when_they_are_whole() {
    let server = Server::start().await;
    let author = Connect::to(server.socket("elsewhere"))
        .client(900)
        .join()
        .await;
    let updates: Vec<_> = (0..20)
        .map(|number| author.append(&format!("{number};")))
        .collect();
    let relay = Connect::to(server.socket("d")).coscribe().silent().await;
    for update in updates.iter().skip(1).rev() {
        relay.send_update(update);
    }
    relay.round_trip().await;
    assert_eq!(relay.with(|view| view.saved), 0, "nothing was whole yet");
    let reader = Peer::join(&server, "d").await;
    reader.expect_text("").await;
    relay.send_update(&updates[0]);
    reader.expect_text(&author.text()).await;
    relay.wait("all are saved", |view| view.saved == 20).await;
}

/// The network of a laptop changes: the old connection is dead and the server does not know. The client has no
/// awareness state that would tell whose connection the new one is. Returns whether what was lost on the way is heard
/// before `limit`, when the new connection goes to this address.
async fn heard_again(server: &Server, url: &str, limit: Duration) -> bool {
    let proxy = Proxy::to(server.address()).await;
    let reader = Peer::join(server, "d").await;
    let old = Connect::to(proxy.socket("d")).client(77).join().await;
    old.append("before;");
    reader.expect_text("before;").await;
    proxy.hold();
    old.append("lost on the way;");
    let new = old.reconnect(url, false).await.unwrap();
    new.append("after;");
    let all = "before;lost on the way;after;";
    reader.within(limit, |view| view.text() == all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnected_client_without_awareness_is_heard_although_its_old_socket_seems_alive() {
    let server = Server::start().await;
    let limit = Duration::from_secs(20);
    assert!(heard_again(&server, &server.socket("d"), limit).await);
}

/// The control: what the client answers when it is asked for its edits never arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_reconnected_client_that_is_not_heard_is_noticed() {
    let server = Server::start().await;
    let deaf = Forgetful::to(server.address(), Way::ToServer, wire::STEP_2, |_| true).await;
    assert!(!heard_again(&server, &deaf.socket("d"), IN_VAIN).await);
    assert!(deaf.forgotten() > 0);
}
