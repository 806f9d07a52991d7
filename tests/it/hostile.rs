//! Frames and updates that no honest client sends. Each has a named answer, and nobody else notices.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{
    Message as Frame,
    protocol::frame::{
        Frame as RawFrame,
        coding::{Data, OpCode},
    },
};

use crate::{
    corpus,
    harness::{
        database::Database,
        node::Node,
        peer::{Connect, Peer},
        server::Server,
        wire,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_no_message_ends_its_socket_with_4400() {
    let server = Server::start().await;
    let good = Peer::join(&server, "d").await;
    let frames: [&[u8]; 9] = [
        &[],
        &[0],
        &[0, 2],
        &[0, 2, 5, 1],
        &[0, 7, 0],
        &[0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
        &[1, 9, 0],
        &[0x80; 12],
        &[
            0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
        ],
    ];
    for frame in frames {
        let bad = Connect::to(server.socket("d")).silent().await;
        bad.send(frame.to_vec());
        let (code, reason) = bad.expect_close().await;
        assert_eq!(code, 4400, "{frame:?}: {reason}");
        assert!(!reason.is_empty(), "{frame:?}");
    }
    good.append("untouched");
    good.echoed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_frame_ends_its_socket_with_1003() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "d").await;
    peer.send_frame(Frame::text("hello"));
    assert_eq!(peer.expect_close().await.0, 1003);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_far_above_the_limit_ends_its_socket_with_1009() {
    let server = Server::with(&["--max-message-bytes", "4KiB"]).await;
    for fragments in [1, 8] {
        let peer = Peer::join(&server, "d").await;
        for number in 0..fragments {
            let kind = if number == 0 {
                Data::Binary
            } else {
                Data::Continue
            };
            let part = RawFrame::message(
                vec![0; (64 << 10) / fragments],
                OpCode::Data(kind),
                number + 1 == fragments,
            );
            peer.send_frame(Frame::Frame(part));
        }
        let (code, reason) = peer.expect_close().await;
        assert_eq!(code, 1009, "{fragments} fragments: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_fragments_is_one_message() {
    let server = Server::start().await;
    let (writer, peer) = (
        Peer::join(&server, "elsewhere").await,
        Peer::join(&server, "d").await,
    );
    let message = wire::update(&writer.append("in pieces"));
    let last = message.len() - 1;
    for (at, byte) in message.iter().enumerate() {
        let kind = if at == 0 {
            Data::Binary
        } else {
            Data::Continue
        };
        peer.send_frame(Frame::Frame(RawFrame::message(
            vec![*byte],
            OpCode::Data(kind),
            at == last,
        )));
    }
    peer.expect_text("in pieces").await;
}

/// A handshake by hand, for frames that a WebSocket library refuses to make.
async fn raw_socket(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET /ws/d HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream
}

/// The close code that the server ends with.
async fn close_code(mut stream: TcpStream) -> u16 {
    loop {
        let (first, length) = (
            stream.read_u8().await.unwrap(),
            stream.read_u8().await.unwrap(),
        );
        let mut payload = vec![0; usize::from(length)];
        stream.read_exact(&mut payload).await.unwrap();
        if first == 0x88 {
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_websocket_protocol_end_their_socket_with_1002() {
    let server = Server::start().await;
    let long = [&[0x89, 0xfe, 0, 200][..], &[0; 204]].concat();
    let broken: [(&str, &[u8]); 5] = [
        ("reserved bits", &[0xc2, 0x81, 0, 0, 0, 0, 3]),
        ("not masked", &[0x82, 1, 3]),
        ("reserved opcode", &[0x83, 0x80, 0, 0, 0, 0]),
        ("continuation of nothing", &[0x80, 0x81, 0, 0, 0, 0, 3]),
        ("long control frame", &long),
    ];
    for (what, bytes) in broken {
        let mut stream = raw_socket(&server).await;
        stream.write_all(bytes).await.unwrap();
        let code = tokio::time::timeout(crate::harness::PATIENCE, close_code(stream)).await;
        assert_eq!(code.ok(), Some(1002), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered() {
    let server = Server::start().await;
    let url = server.socket("d");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket
        .send(Frame::Ping("are you there".into()))
        .await
        .unwrap();
    let answered = async {
        while let Some(Ok(frame)) = socket.next().await {
            if let Frame::Pong(payload) = frame {
                return payload;
            }
        }
        panic!("the socket ended");
    };
    let payload = tokio::time::timeout(crate::harness::PATIENCE, answered)
        .await
        .unwrap();
    assert_eq!(payload.as_ref(), b"are you there");
}

/// Refusals leave the socket open: stock clients would come back and send the same again.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_none_is_refused_by_name_and_stored_nowhere() {
    let server = Server::start().await;
    for (what, update) in corpus::refused() {
        let doc = what.replace(' ', "-");
        let stock = Peer::join(&server, &doc).await;
        stock.send_update(&update);
        stock.wait(what, |view| !view.denied.is_empty()).await;
        let own = Connect::to(server.socket(&doc)).coscribe().join().await;
        let number = own.send_update(&update);
        own.wait(what, |view| !view.refused.is_empty()).await;
        own.with(|view| {
            assert_eq!(view.refused[0]["message"], number, "{what}");
            assert!(
                !view.refused[0]["reason"].as_str().unwrap().is_empty(),
                "{what}"
            );
        });
        // The same socket goes on.
        stock.append("good");
        stock.echoed().await;
        own.expect_text("good").await;
    }
    let rows = Database::open(server.dir()).await.rows().await;
    assert_eq!(
        rows,
        corpus::refused().len() as i64,
        "only the good edits are stored"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_known_hostile_update_leaves_the_document_usable_for_stock_clients() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let mut server = Server::start().await;
    let bystander = Peer::join(&server, "elsewhere").await;
    let all: Vec<_> = corpus::refused()
        .into_iter()
        .chain(corpus::nasty())
        .collect();
    for (what, update) in &all {
        let doc = what.replace(' ', "-");
        let mallory = Connect::to(server.socket(&doc)).silent().await;
        mallory.send_update(update);
        mallory.round_trip().await;
        let reader = Peer::join(&server, &doc).await;
        reader.append("good");
        reader.echoed().await;
        assert_eq!(
            server
                .get(&format!("/api/docs/{doc}/content?as=json"))
                .await
                .status(),
            200,
            "{what}"
        );
        node.join(&server, &doc, "3.1", &doc).await;
        node.until(&doc, json!({"contains": "good"})).await;
        node.ask(json!({"ask": "close", "name": doc})).await;
    }
    bystander.append("nothing noticed");
    bystander.echoed().await;
    assert_eq!(bystander.with(|view| view.closed.clone()), None);
    // The same after everything was read from the disk again.
    assert_eq!(server.stop().await, 0);
    server.restart().await;
    for (what, _) in &all {
        let doc = what.replace(' ', "-");
        node.join(&server, &doc, "3.1", &doc).await;
        node.until(&doc, json!({"contains": "good"})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_vector_that_claims_too_much_costs_nothing() {
    let server = Server::start().await;
    let peer = Peer::join(&server, "d").await;
    let before = server.rss();
    for _ in 0..200 {
        peer.send(wire::step_1(&[0x80, 0x80, 0x80, 0x80, 0x01]));
        peer.send(wire::step_1(&[0x80, 0x80, 0x80, 0x40, 1, 1]));
        peer.send(wire::step_1(&[]));
    }
    peer.wait("all are refused", |view| view.denied.len() >= 600)
        .await;
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 16 << 20, "grown by {grown} bytes");
    peer.append("still here");
    peer.echoed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_which_everything_is_refused_is_closed_with_1008_in_the_end() {
    let server = Server::with(&["--max-messages-per-second", "1000000"]).await;
    let peer = Peer::join(&server, "d").await;
    for _ in 0..1_100 {
        peer.send_update(&[9, 9, 9]);
    }
    let (code, reason) = peer.expect_close().await;
    assert_eq!(code, 1008, "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_messages_in_a_frame_and_longer_numbers_are_read_as_what_they_are() {
    let server = Server::start().await;
    let update = Peer::join(&server, "elsewhere").await.append("x");
    // Type and step as numbers of more bytes than needed, behind a harmless message.
    let mut frame = wire::step_1(&[0]);
    frame.extend([0x80, 0x00, 0x82, 0x80, 0x00, update.len() as u8]);
    frame.extend(&update);
    let peer = Peer::join(&server, "d").await;
    peer.send(frame);
    peer.expect_text("x").await;
}

/// Twelve bytes that claim everything a client will ever write.
fn censor(victim: u64, clock: u32) -> Vec<u8> {
    let mut update = vec![1, 1];
    wire::var(victim, &mut update);
    wire::var(u64::from(clock), &mut update);
    update.push(0);
    wire::var(u64::from(i32::MAX as u32 - clock), &mut update);
    update.push(0);
    update
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_silence_another_client_online_or_offline() {
    for announces in [true, false] {
        let server = Server::start().await;
        let mut victim = Connect::to(server.socket("d")).client(1_000).join().await;
        let (watcher, mallory) = (
            Peer::join(&server, "d").await,
            Peer::join(&server, "d").await,
        );
        if announces {
            victim.announce("{}");
        }
        victim.append("online:");
        victim.echoed().await;
        mallory.send_update(&censor(1_000, victim.own_clock()));
        mallory.round_trip().await;
        for _ in 0..100 {
            victim.append("x");
        }
        victim.echoed().await;
        // Offline the victim writes on, while the attacker tries again.
        let url = server.socket("d");
        let (doc, clock) = (victim.with(|view| view.doc.clone()), victim.own_clock());
        drop(victim);
        server
            .until_metric("coscribe_sockets", |open| open == 2.0)
            .await;
        mallory.send_update(&censor(1_000, clock));
        mallory
            .wait("the refusal", |view| !view.denied.is_empty())
            .await;
        let victim = Connect::to(url)
            .client(1_000)
            .try_open(Some(doc))
            .await
            .unwrap();
        victim.ask();
        victim.append(":offline");
        victim.echoed().await;
        let text = format!("online:{}:offline", "x".repeat(100));
        watcher.expect_text(&text).await;
        Peer::join(&server, "d").await.expect_text(&text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_can_not_nest_deeper_than_the_limit_and_what_nests_can_be_deleted_and_exported() {
    let server = Server::with(&["--max-messages-per-second", "100000"]).await;
    let peer = Peer::join(&server, "d").await;
    for level in 0..300 {
        peer.send_update(&corpus::nested_map(level, 1));
    }
    peer.wait("a refusal", |view| !view.denied.is_empty()).await;
    peer.round_trip().await;
    let json = server.get("/api/docs/d/content?as=json").await;
    assert_eq!(json.status(), 200);
    // The outermost map is deleted, and with it everything inside.
    let mut delete = vec![0, 1];
    wire::var(corpus::CLIENT, &mut delete);
    delete.extend([1, 0, 1]);
    peer.send_update(&delete);
    peer.append("good");
    peer.echoed().await;
    let fresh = Peer::join(&server, "d").await;
    fresh.expect_text("good").await;
    assert_eq!(
        server.get("/api/docs/d/content?as=json").await.status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_body_nobody_reads_gets_its_answer_and_not_a_reset() {
    const BODY: usize = 900_000;
    let server = Server::start().await;
    let head = format!(
        "POST /api/docs/any/trash HTTP/1.1\r\nHost: {}\r\nContent-Length: {BODY}\r\nOrigin: http://elsewhere.example\r\n\r\n",
        server.address()
    );
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; BODY]).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 403");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_says_goodbye_is_closed_without_lingering() {
    let server = Server::start().await;
    let closing = async {
        for _ in 0..20 {
            let mut stream = raw_socket(&server).await;
            // Close, masked with zeros, code 1000.
            let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
            stream.write_all(&close).await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
        }
    };
    // Each waited for half a second when the server lingered.
    tokio::time::timeout(std::time::Duration::from_secs(5), closing)
        .await
        .expect("the server closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_still_sending_reads_the_code_of_the_close_and_not_a_reset() {
    let server = Server::with(&["--max-message-bytes", "4KiB"]).await;
    for _ in 0..10 {
        let mut stream = raw_socket(&server).await;
        // A binary frame of 512 KiB, of which a part is still on its way when the server has seen enough.
        let mut frame = vec![0x82, 0xff];
        frame.extend((512u64 << 10).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(vec![0; 256 << 10]);
        stream.write_all(&frame).await.unwrap();
        let mut seen = Vec::new();
        let limit = std::time::Duration::from_secs(5);
        while !seen.windows(2).any(|pair| pair == 1009u16.to_be_bytes()) {
            let read = tokio::time::timeout(limit, stream.read_buf(&mut seen)).await;
            assert!(read.expect("an answer").expect("no reset") > 0);
        }
        // Still there, so that a client that has not read yet can.
        stream.write_all(&[0; 1_000]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_announces_gigabytes_is_not_collected() {
    let server = Server::start().await;
    let before = server.rss();
    let mut stream = raw_socket(&server).await;
    let mut frame = vec![0x82, 0xff];
    frame.extend((8u64 << 30).to_be_bytes());
    frame.extend([0; 4]);
    stream.write_all(&frame).await.unwrap();
    let chunk = vec![0; 1 << 20];
    for _ in 0..128 {
        // The server closes while we send.
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 32 << 20, "grown by {} MiB", grown >> 20);
}
