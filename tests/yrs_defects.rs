//! Known defects of yrs (and one of Yjs), each by its history: bytes of the real Yjs go the way of every update through
//! our server, are stored, folded, read again, spliced and stripped, and end as they do in Yjs.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

#[path = "yjs/blocking.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod blocking;
#[path = "yjs/driver.rs"]
mod driver;
#[path = "differential/server.rs"]
#[expect(dead_code, reason = "the differential test uses the rest")]
mod server;
#[path = "differential/view.rs"]
mod view;

use std::task::{Context, Poll, Waker};

use blocking::{BlockingDriver, Print};
use bytes::Bytes;
use coscribe::{
    document::{id::DocId, replica::doc_with, splice::splice, strip::strip},
    protocol::{ClientMessage, Dialect, y_websocket},
    room::{event::Event, outbox::Next},
};
use driver::{hexes, unhex};
use serde::Deserialize;
use serde_json::{Value, json};
use server::{Connection, Server};
use yrs::{ReadTxn as _, Transact as _, Update, updates::decoder::Decode as _};

/// Of a Yjs client that was cut off: its first 13 units; then, on its next line, an edit that others were sent before the
/// answer to their greeting; then that answer, in which the client has collected units 17 to 27. A `Doc` of yrs 0.28.1
/// keeps a gap in place of 13 to 23, and the collected struct reaches beyond the gap's end: a subtraction overflows, a
/// panic in debug builds, and in release builds the document never takes the rest.
const BEYOND_A_GAP: [&str; 3] = [
    "010db5fffcd807002701066e6573746564026e32012800b5fffcd8070001770177075b302e312e305d2100b5fffcd80700026b37012701066e6573746564026e33000800b5fffcd807030177075b302e322e305d2701066e6573746564026e30000800b5fffcd807050177075b302e342e305d48b5fffcd807040177075b302e352e305d48b5fffcd807070177075b302e352e315d48b5fffcd807080177075b302e352e325d48b5fffcd807060177075b302e382e305d2800b5fffcd80700026b360177085b302e31322e305da8b5fffcd807020177085b302e31322e315d01b5fffcd807010201",
    "010db5fffcd8071747b5fffcd80709012800b5fffcd8071701770177085b302e32332e305d47b5fffcd80717012800b5fffcd8071901770177085b302e32332e315da8b5fffcd8070b0277085b302e32372e305d77085b302e33342e305da7b5fffcd80700012800b5fffcd8071d01770177085b302e33382e305d2800b5fffcd8071d026b370177085b302e33382e315d2800b5fffcd8071d026b300177085b302e33382e325d2800b5fffcd8071d026b320177085b302e33392e305da8b5fffcd807210177085b302e34312e305d2800b5fffcd8071d026b330177085b302e34312e315d2800b5fffcd8071d026b340177085b302e34312e325d01b5fffcd8070400030b031b022101",
    "010eb5fffcd8070d2100b5fffcd80700026b30012701066e6573746564026e31012800b5fffcd8070e01770177085b302e31342e305d2800b5fffcd8070e026b320177085b302e31342e315d000aa1b5fffcd8070b02a7b5fffcd80700012800b5fffcd8071d01770177085b302e33382e305d2800b5fffcd8071d026b370177085b302e33382e315d2800b5fffcd8071d026b300177085b302e33382e325d2100b5fffcd8071d026b3201a8b5fffcd807210177085b302e34312e305d2800b5fffcd8071d026b330177085b302e34312e315d2800b5fffcd8071d026b340177085b302e34312e325d01b5fffcd80703000e110c2101",
];

#[derive(Deserialize)]
struct History {
    name: String,
    updates: Vec<String>,
}

struct Yjs(BlockingDriver);

impl Yjs {
    fn start() -> Option<Self> {
        BlockingDriver::start("defects.mjs").map(Self)
    }

    fn histories(&mut self) -> Vec<History> {
        self.0.ask(&json!({ "ask": "histories" }))
    }

    /// What Yjs holds that hears the updates one by one.
    fn hear<B: AsRef<[u8]>>(&mut self, updates: &[B]) -> Print {
        self.0
            .ask(&json!({ "ask": "hear", "updates": hexes(updates) }))
    }
}

/// Everything that waits for a peer: document updates, and whether something was refused.
fn hear(connection: &Connection) -> (Vec<Bytes>, bool) {
    let (mut updates, mut refused) = (Vec::new(), false);
    let context = Context::from_waker(Waker::noop());
    while let Poll::Ready(next) = connection.outbox.poll_next(&context) {
        match next {
            Next::Frame(frame) if frame.first() == Some(&0) => {
                updates.extend(y_websocket::update_of(&frame));
            }
            Next::Frame(frame) => refused |= frame.first() != Some(&1),
            Next::Close(close) => panic!("closed: {close:?}"),
            _ => {}
        }
    }
    (updates, refused)
}

fn tell(server: &Server, connection: &Connection, update: &Bytes) {
    let message = Event::Messages {
        peer: connection.peer,
        messages: vec![ClientMessage::Update(update.clone())],
    };
    server.send(connection, message).unwrap();
}

/// Tells a server the updates one by one and looks at all that it makes of them.
fn ends_as_in_yjs(yjs: &mut Yjs, name: &str, updates: &[Bytes]) {
    let expected = yjs.hear(updates);
    assert!(!expected.pending, "{name}: Yjs itself still waits");
    let folder = tempfile::tempdir().unwrap();
    let doc = DocId::parse("doc").unwrap();
    let server = Server::start(folder.path());
    let [author, reader] = [(); 2].map(|()| server.join(&doc, Dialect::YWebsocket));
    for update in updates {
        tell(&server, &author, update);
        server.export(&doc).unwrap();
    }
    let mut seen = |what: &str, updates: &[Bytes]| {
        assert_eq!(yjs.hear(updates), expected, "{name}: {what}");
    };
    seen("the export", &[server.export(&doc).unwrap()]);
    let (sent, refused) = hear(&reader);
    assert!(!refused, "{name}: something was refused");
    seen("what a reader was sent", &sent);
    let kept = server.kept(&doc).unwrap();
    seen("the rows", &kept.updates);
    let slices: Vec<&[u8]> = kept.updates.iter().map(AsRef::as_ref).collect();
    let spliced = splice(&slices).unwrap();
    let stripped = strip(&spliced).unwrap();
    seen("the rows in one", &[spliced.into()]);
    seen("without what is deleted", &[stripped.into()]);
    server.compact(&doc).unwrap();
    seen("the snapshot", &server.kept(&doc).unwrap().updates);
    server.stop(false);
    let server = Server::start(folder.path());
    seen("after a restart", &[server.export(&doc).unwrap()]);
    let kept = server.kept(&doc).unwrap();
    let shown = kept.replica.doc().map(view::content).map(view::normal);
    let of_yjs: Value = serde_json::from_str(&expected.content).unwrap();
    assert_eq!(shown, Some(view::normal(of_yjs)), "{name}: what yrs shows");
    server.stop(true);
}

#[test]
fn histories_that_broke_yrs_or_yjs_end_as_they_do_in_yjs() {
    let Some(mut yjs) = Yjs::start() else { return };
    for History { name, updates } in yjs.histories() {
        println!("{name}");
        let updates: Vec<Bytes> = updates.iter().map(|hex| unhex(hex).into()).collect();
        ends_as_in_yjs(&mut yjs, &name, &updates);
    }
}

#[test]
fn a_struct_that_reaches_beyond_a_gap_is_no_trouble_as_yrs_never_holds_a_gap() {
    let Some(mut yjs) = Yjs::start() else { return };
    let updates = BEYOND_A_GAP.map(|hex| Bytes::from(unhex(hex)));
    ends_as_in_yjs(&mut yjs, "beyond a gap", &updates);
    // What has a gap is not even logged before the gap is filled.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let doc = DocId::parse("doc").unwrap();
    let author = server.join(&doc, Dialect::YWebsocket);
    let ends: Vec<u32> = updates
        .iter()
        .map(|update| {
            tell(&server, &author, update);
            server.export(&doc).unwrap();
            server
                .kept(&doc)
                .unwrap()
                .replica
                .known()
                .get(2_065_645_493)
        })
        .collect();
    assert_eq!(ends, [13, 13, 37]);
    server.stop(true);
}

/// Somebody whose replica is a yrs `Doc` of their own, which takes whatever comes.
struct YrsClient(yrs::Doc);

impl YrsClient {
    /// Whether yrs takes the update and waits for nothing.
    fn takes(&self, update: &[u8]) -> bool {
        let update = Update::decode_v1(update).unwrap();
        let applied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.0.transact_mut().apply_update(update).unwrap();
        }));
        applied.is_ok() && !self.0.transact().has_missing_updates()
    }
}

/// The same in small. A client of its own replica sees it through us, too, when somebody's edit comes to it between its
/// first word and our answer: the answer holds the collected structs as yrs has merged them. Once yrs takes this, the
/// test fails, and the clients need no more care.
#[test]
fn a_yrs_client_breaks_over_an_answer_after_an_update_with_a_gap() {
    let letter = Bytes::from_static(&[1, 1, 5, 0, 4, 1, 1, b't', 1, b'a', 0]);
    let collected = Bytes::from_static(&[1, 1, 5, 1, 0, 3, 0]);
    let more = Bytes::from_static(&[1, 2, 5, 4, 0, 3, 0x84, 5, 0, 1, b'b', 0]);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let doc = DocId::parse("doc").unwrap();
    let author = server.join(&doc, Dialect::YWebsocket);
    tell(&server, &author, &letter);
    tell(&server, &author, &collected);
    server.export(&doc).unwrap();
    let (client, plain) = (YrsClient(doc_with(8)), YrsClient(doc_with(9)));
    assert!(client.takes(&letter) && plain.takes(&letter));
    let line = server.join(&doc, Dialect::YWebsocket);
    server.export(&doc).unwrap();
    tell(&server, &author, &more);
    let vector = Bytes::from_static(&[1, 5, 1]);
    let greeting = Event::Messages {
        peer: line.peer,
        messages: vec![ClientMessage::SyncStep1(vector)],
    };
    server.send(&line, greeting).unwrap();
    server.export(&doc).unwrap();
    let (sent, _) = hear(&line);
    let taken: Vec<bool> = sent.iter().map(|update| client.takes(update)).collect();
    assert_eq!(taken.last(), Some(&false), "{sent:?}");
    // In the order of the answer first there is no trouble.
    assert!(sent.iter().rev().all(|update| plain.takes(update)));
    server.stop(true);
}

/// Not yrs but we: two updates that are harmless each, and seen side by side are not, became one row, which then was
/// refused when the document was read. Everybody lost it by 30 bytes.
#[test]
fn updates_that_were_accepted_one_by_one_can_be_read_as_one_row() {
    let two_texts = Bytes::from_static(&[
        1, 2, 5, 0, 4, 1, 1, b't', 2, b'a', b'b', 4, 1, 1, b'u', 2, b'c', b'd', 0,
    ]);
    let between_them = Bytes::from_static(&[1, 1, 5, 4, 0xc4, 5, 1, 5, 2, 1, b'x', 0]);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let doc = DocId::parse("doc").unwrap();
    let author = server.join(&doc, Dialect::YWebsocket);
    let both = Event::Messages {
        peer: author.peer,
        messages: [&two_texts, &between_them]
            .map(|update| ClientMessage::Update(update.clone()))
            .into(),
    };
    server.send(&author, both).unwrap();
    server.export(&doc).unwrap();
    let kept = server.kept(&doc).unwrap();
    assert_eq!(kept.replica.known().get(5), 5);
    assert_eq!(kept.updates.len(), 1, "one batch, one author, one row");
    let end = Bytes::from_static(&[1, 1, 5, 5, 0x84, 5, 4, 1, b'y', 0]);
    tell(&server, &author, &end);
    server.stop(true);
    let server = Server::start(folder.path());
    let reader = server.join(&doc, Dialect::YWebsocket);
    server.export(&doc).unwrap();
    hear(&reader);
    assert_eq!(server.kept(&doc).unwrap().replica.known().get(5), 6);
    server.stop(true);
}
