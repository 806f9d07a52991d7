//! The room's state machine by itself: what leaves it, and when. No server, no disk, no clock.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    ops::RangeInclusive,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use coscribe::{
    bus::Notice,
    document::{
        id::DocId,
        replica::{Replica, doc_with},
    },
    health::Health,
    metrics::Metrics,
    protocol::{ClientMessage, Dialect, y_websocket},
    room::{
        compaction::Folded,
        elsewhere::Seen,
        event::{Command, EditError, Effect, Event, Join, Now, PeerId},
        limits::RoomLimits,
        outbox::{Next, Outbox},
        state::State,
    },
    store::{
        Append, Appended, DocRecord, DocState, Loaded, LogRow, MarkKind, NewMark, NewRow, Seq,
        Snapshot, StoreError, Stored,
    },
};
use yrs::{
    Doc, GetString, ReadTxn, Text, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

/// A room and the store's answers in the test's own hands.
struct Room {
    state: State,
    effects: Vec<Effect>,
    now: Now,
    log: Vec<Append>,
    in_flight: Option<Append>,
    committed: u64,
}

impl Room {
    fn new(limits: RoomLimits) -> Self {
        let metrics = Arc::new(Metrics::new(Health::default()));
        let state = State::empty(DocId::parse("doc").unwrap(), Arc::new(limits), metrics);
        Self {
            state,
            effects: Vec::new(),
            now: Now::default(),
            log: Vec::new(),
            in_flight: None,
            committed: 0,
        }
    }

    fn event(&mut self, event: Event) {
        self.state.handle(event, self.now, &mut self.effects);
        self.state.flush(self.now, &mut self.effects);
        self.take_append();
    }

    fn take_append(&mut self) {
        let append = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Append(_)));
        if let Some(at) = append {
            let Effect::Append(append) = self.effects.remove(at) else {
                unreachable!()
            };
            assert!(self.in_flight.is_none(), "two batches in flight");
            self.in_flight = Some(*append);
        }
    }

    fn commit(&mut self) {
        let append = self.in_flight.take().expect("a batch is in flight");
        self.committed += append.rows.len() as u64;
        self.log.push(append);
        self.event(Event::Committed(Appended::Committed {
            epoch: 1,
            head_seq: self.committed,
        }));
    }

    fn rebuilds(&self) -> usize {
        self.effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Rebuild))
            .count()
    }

    fn join(&mut self, peer: PeerId, dialect: Dialect) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::default());
        self.event(Event::Join(Box::new(Join {
            peer,
            outbox: outbox.clone(),
            dialect,
            author: None,
            epoch: None,
        })));
        outbox
    }

    /// From where the store is to be read.
    fn looks(&mut self) -> Vec<Seq> {
        let effects = std::mem::take(&mut self.effects);
        let looks = effects.iter().filter_map(|effect| match effect {
            Effect::Look(after) => Some(*after),
            _ => None,
        });
        looks.collect()
    }

    fn says(&mut self, peer: PeerId, message: ClientMessage) {
        self.event(Event::Messages {
            peer,
            messages: vec![message],
        });
    }

    fn update(&mut self, peer: PeerId, update: &[u8]) {
        self.says(peer, ClientMessage::Update(Bytes::copy_from_slice(update)));
    }
}

/// Everything that waits for a peer, as the bytes of document messages and the counts of saved ones.
#[derive(Debug, Default)]
struct Heard {
    steps_1: usize,
    steps_2: Vec<Bytes>,
    updates: Vec<Bytes>,
    saved: u64,
    refused: usize,
    empty: bool,
    questioned: bool,
    closed: Option<u16>,
}

fn hear(outbox: &Outbox) -> Heard {
    let mut heard = Heard::default();
    while let Poll::Ready(next) = outbox.poll_next(&Context::from_waker(Waker::noop())) {
        match next {
            Next::Frame(frame) if frame[0] == 101 || frame[0] == 2 => heard.refused += 1,
            Next::Frame(frame) => y_websocket::decode(&frame, |message| match message {
                ClientMessage::SyncStep1(_) => heard.steps_1 += 1,
                ClientMessage::SyncStep2(update) => heard.steps_2.push(update),
                ClientMessage::Update(update) => heard.updates.push(update),
                _ => {}
            })
            .unwrap(),
            Next::Saved(count) => heard.saved += count,
            Next::Empty => heard.empty = true,
            Next::Question => heard.questioned = true,
            Next::Close(close) => heard.closed = Some(close.code.code()),
        }
    }
    heard
}

/// Somebody who types; each edit is one update.
struct Author(Doc);

impl Author {
    fn new(client: u64) -> Self {
        Self(doc_with(client))
    }

    fn types(&self, text: &str) -> Vec<u8> {
        let target = self.0.get_or_insert_text("t");
        let mut txn = self.0.transact_mut();
        let end = target.len(&txn);
        target.insert(&mut txn, end, text);
        txn.encode_update_v1()
    }

    fn deletes_everything(&self) -> Vec<u8> {
        let target = self.0.get_or_insert_text("t");
        let mut txn = self.0.transact_mut();
        let end = target.len(&txn);
        target.remove_range(&mut txn, 0, end);
        txn.encode_update_v1()
    }

    fn learns(&self, update: &[u8]) {
        self.0
            .transact_mut()
            .apply_update(Update::decode_v1(update).unwrap())
            .unwrap();
    }

    fn text(&self) -> String {
        let text = self.0.get_or_insert_text("t");
        text.get_string(&self.0.transact())
    }

    fn vector(&self) -> Bytes {
        self.0.transact().state_vector().encode_v1().into()
    }
}

#[test]
fn nothing_leaves_before_the_commit_and_then_everybody_hears_at_once() {
    let mut room = Room::new(RoomLimits::default());
    let (ours, stock) = (
        room.join(1, Dialect::Coscribe),
        room.join(2, Dialect::YWebsocket),
    );
    assert_eq!(hear(&ours).steps_1, 1);
    hear(&stock);
    let author = Author::new(7);
    room.update(1, &author.types("a"));
    room.says(2, ClientMessage::SyncStep1(Bytes::from_static(&[0])));
    let (early_ours, early_stock) = (hear(&ours), hear(&stock));
    assert!(early_ours.updates.is_empty() && early_ours.saved == 0);
    assert!(early_stock.updates.is_empty() && early_stock.steps_2.is_empty());
    room.commit();
    let (ours, stock) = (hear(&ours), hear(&stock));
    assert_eq!((ours.updates.len(), ours.saved), (1, 1));
    assert_eq!(stock.steps_2.len(), 1);
    let reader = Author::new(8);
    reader.learns(&stock.steps_2[0]);
    stock
        .updates
        .iter()
        .for_each(|update| reader.learns(update));
    assert_eq!(reader.text(), "a");
}

#[test]
fn what_arrives_during_a_commit_becomes_one_frame_and_one_row() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    hear(&outbox);
    let author = Author::new(7);
    for letter in ["a", "b", "c", "d"] {
        room.update(1, &author.types(letter));
    }
    room.commit();
    assert_eq!(room.in_flight.as_ref().unwrap().rows.len(), 1);
    room.commit();
    let heard = hear(&outbox);
    assert_eq!(heard.updates.len(), 2);
    let reader = Author::new(8);
    heard
        .updates
        .iter()
        .for_each(|update| reader.learns(update));
    assert_eq!(reader.text(), "abcd");
}

#[test]
fn rows_of_several_authors_replay_in_order() {
    let mut room = Room::new(RoomLimits::default());
    room.join(1, Dialect::YWebsocket);
    room.join(2, Dialect::YWebsocket);
    let (ada, bo) = (Author::new(7), Author::new(8));
    let first = ada.types("1");
    room.update(1, &first);
    // While that commits, two people build on each other.
    bo.learns(&first);
    let second = bo.types("2");
    room.update(2, &second);
    ada.learns(&second);
    room.update(1, &ada.types("3"));
    room.commit();
    room.commit();
    let replay = Author::new(9);
    for row in room.log.iter().flat_map(|append| &append.rows) {
        replay.learns(&row.bytes);
        assert!(!replay.0.transact().has_missing_updates());
    }
    assert_eq!(replay.text(), "123");
}

#[test]
fn an_update_with_a_gap_waits_is_asked_for_once_and_goes_in_when_the_gap_is_filled() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::Coscribe);
    room.says(1, ClientMessage::SyncStep2(Bytes::from_static(&[0, 0])));
    hear(&outbox);
    let author = Author::new(7);
    let (first, second, third) = (author.types("a"), author.types("b"), author.types("c"));
    room.update(1, &second);
    room.update(1, &third);
    assert!(room.in_flight.is_none());
    let heard = hear(&outbox);
    assert_eq!((heard.steps_1, heard.saved), (1, 0));
    // A client that has nothing better to offer is not asked again and again.
    for _ in 0..50 {
        room.says(1, ClientMessage::SyncStep2(Bytes::copy_from_slice(&second)));
    }
    assert!(hear(&outbox).steps_1 <= 1);
    room.update(1, &first);
    room.commit();
    room.commit();
    let reader = Author::new(8);
    hear(&outbox)
        .updates
        .iter()
        .for_each(|update| reader.learns(update));
    assert_eq!(reader.text(), "abc");
}

#[test]
fn nobody_extends_the_edits_of_a_client_that_is_here() {
    let mut room = Room::new(RoomLimits::default());
    let (victim, attacker) = (
        room.join(1, Dialect::Coscribe),
        room.join(2, Dialect::Coscribe),
    );
    room.says(
        1,
        ClientMessage::Awareness(Bytes::from_static(&[1, 7, 1, 2, b'{', b'}'])),
    );
    let author = Author::new(7);
    room.update(1, &author.types("hello"));
    room.commit();
    // A collected struct of two million units under the victim's id.
    room.update(2, &[1, 1, 7, 5, 0, 0x80, 0x89, 0x7a, 0]);
    assert!(room.in_flight.is_none());
    room.update(1, &author.types(" world"));
    room.commit();
    assert_eq!(hear(&victim).saved, 2);
    let reader = Author::new(8);
    hear(&attacker)
        .updates
        .iter()
        .for_each(|update| reader.learns(update));
    assert_eq!(reader.text(), "hello world");
}

#[test]
fn an_edit_that_comes_together_with_a_question_is_still_echoed() {
    let mut room = Room::new(RoomLimits::default());
    let stock = room.join(1, Dialect::YWebsocket);
    hear(&stock);
    let update = Author::new(7).types("offline");
    // The question is asked by somebody who has the edit: its answer does not show it.
    let known = Bytes::from_static(&[1, 7, 7]);
    room.event(Event::Messages {
        peer: 1,
        messages: vec![
            ClientMessage::SyncStep2(Bytes::copy_from_slice(&update)),
            ClientMessage::SyncStep1(known),
        ],
    });
    assert!(hear(&stock).steps_2.is_empty(), "nothing is durable yet");
    room.commit();
    let heard = hear(&stock);
    assert_eq!((heard.updates.len(), heard.steps_2.len()), (1, 1));
}

#[test]
fn a_client_that_is_back_on_another_socket_waits_only_until_the_old_one_is_found_dead() {
    let mut room = Room::new(RoomLimits::default());
    let (old, new) = (
        room.join(1, Dialect::Coscribe),
        room.join(2, Dialect::Coscribe),
    );
    let author = Author::new(7);
    room.update(1, &author.types("before"));
    room.commit();
    assert!(!hear(&old).questioned);
    room.update(2, &author.types(" after"));
    assert!(
        hear(&old).questioned,
        "the old socket is asked for a sign of life"
    );
    assert!(room.in_flight.is_none() && hear(&new).saved == 0);
    // Nothing but the end of the old socket changes, and what waits goes in.
    room.event(Event::Left(1));
    room.commit();
    assert_eq!(hear(&new).saved, 1);
}

#[test]
fn a_peer_that_does_not_read_gets_one_diff_in_place_of_what_it_missed() {
    let limits = RoomLimits {
        outbox_bytes: 2_000,
        ..RoomLimits::default()
    };
    let mut room = Room::new(limits);
    let (writer, slow) = (
        room.join(1, Dialect::YWebsocket),
        room.join(2, Dialect::YWebsocket),
    );
    let author = Author::new(7);
    let reader = Author::new(8);
    room.update(1, &author.types("start "));
    room.commit();
    let start = hear(&slow);
    start
        .updates
        .iter()
        .for_each(|update| reader.learns(update));
    for number in 0..500 {
        room.update(1, &author.types(&format!("{number} ")));
        room.commit();
        hear(&writer);
        assert!(slow.bytes() <= 2_100, "{} bytes wait", slow.bytes());
    }
    let heard = hear(&slow);
    assert!(heard.empty && heard.updates.is_empty());
    room.event(Event::Drained(2));
    let heard = hear(&slow);
    assert_eq!(heard.updates.len(), 1);
    reader.learns(&heard.updates[0]);
    assert_eq!(reader.text(), author.text());
    // From here on it gets frames again.
    let last = author.types("end");
    room.update(1, &last);
    room.commit();
    hear(&slow)
        .updates
        .iter()
        .for_each(|update| reader.learns(update));
    assert_eq!(reader.text(), author.text());
}

/// Found by the simulation: the diff left out what was committed together with it, unless the peer lacked something of
/// the same author anyway.
#[test]
fn the_diff_for_a_slow_peer_holds_what_is_committed_with_it() {
    let mut room = Room::new(RoomLimits {
        outbox_bytes: 100,
        ..RoomLimits::default()
    });
    for peer in [1, 2] {
        room.join(peer, Dialect::YWebsocket);
    }
    let slow = room.join(3, Dialect::YWebsocket);
    let (one, other) = (Author::new(7), Author::new(8));
    let reader = Author::new(9);
    hear(&slow);
    for _ in 0..20 {
        room.update(1, &one.types("words "));
        room.commit();
    }
    assert!(hear(&slow).empty);
    // While this is with the store, the peer has read all, and somebody else writes.
    room.update(1, &one.types("last "));
    room.event(Event::Drained(3));
    room.update(2, &other.types("another one "));
    room.commit();
    room.commit();
    for update in &hear(&slow).updates {
        reader.learns(update);
    }
    assert!(reader.text().contains("last"), "{}", reader.text());
    assert!(reader.text().contains("another one"), "{}", reader.text());
}

#[test]
fn while_storing_fails_answers_show_what_is_committed_and_nothing_is_acknowledged() {
    let mut room = Room::new(RoomLimits::default());
    let writer = room.join(1, Dialect::Coscribe);
    let author = Author::new(7);
    room.update(1, &author.types("kept"));
    room.commit();
    let rows: Vec<LogRow> = (1..)
        .zip(room.log.iter().flat_map(|append| append.rows.clone()))
        .map(|(seq, row)| LogRow {
            seq,
            row,
            hidden: false,
        })
        .collect();
    room.update(1, &author.types(" lost?"));
    room.event(Event::Storing(Err("the disk is full".into())));
    let joiner = room.join(2, Dialect::Coscribe);
    room.says(2, ClientMessage::SyncStep1(Bytes::from_static(&[0])));
    assert!(
        room.effects
            .iter()
            .any(|effect| matches!(effect, Effect::LoadCommitted))
    );
    let stored = Stored {
        epoch: 1,
        head_seq: 1,
        snapshot: None,
        tail: rows,
        title: String::new(),
    };
    room.event(Event::CommittedState(Box::new(Ok(Loaded::Live(stored)))));
    let heard = hear(&joiner);
    let reader = Author::new(8);
    heard
        .steps_2
        .iter()
        .for_each(|update| reader.learns(update));
    assert_eq!((heard.steps_2.len(), reader.text().as_str()), (1, "kept"));
    assert_eq!(hear(&writer).saved, 1);
    room.event(Event::Storing(Ok(())));
    room.commit();
    hear(&joiner)
        .updates
        .iter()
        .for_each(|update| reader.learns(update));
    assert_eq!(reader.text(), "kept lost?");
    assert_eq!(hear(&writer).saved, 1);
}

#[test]
fn a_thousand_joins_cost_one_encode() {
    let mut room = Room::new(RoomLimits::default());
    room.join(1, Dialect::YWebsocket);
    room.update(1, &Author::new(7).types("a long document"));
    room.commit();
    let mut answers = Vec::new();
    for peer in 2..1_002 {
        let outbox = room.join(peer, Dialect::YWebsocket);
        room.says(peer, ClientMessage::SyncStep1(Bytes::from_static(&[0])));
        let mut steps = hear(&outbox).steps_2;
        answers.push(steps.pop().unwrap());
    }
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ptr() == answers[0].as_ptr()),
        "each has a copy of its own"
    );
}

#[test]
fn sync_requests_without_reading_are_bounded() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    let author = Author::new(7);
    room.update(1, &author.types("x"));
    // The commit does not come: answers have to wait.
    for _ in 0..1_000 {
        room.says(1, ClientMessage::SyncStep1(author.vector()));
    }
    assert_eq!(hear(&outbox).closed, Some(1008));
}

#[test]
fn a_message_over_the_limit_is_refused_by_name_and_the_peer_stays() {
    let limits = RoomLimits {
        message_bytes: 100,
        ..RoomLimits::default()
    };
    let mut room = Room::new(limits);
    let outbox = room.join(1, Dialect::Coscribe);
    hear(&outbox);
    let author = Author::new(7);
    room.update(1, &author.types(&"long ".repeat(100)));
    let heard = hear(&outbox);
    assert_eq!((heard.refused, heard.saved, heard.closed), (1, 0, None));
    assert!(room.in_flight.is_none());
    let stranger = Author::new(8);
    room.update(1, &stranger.types("short"));
    room.commit();
    assert_eq!(hear(&outbox).saved, 1);
}

#[test]
fn malformed_updates_change_nothing() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    hear(&outbox);
    let good = Author::new(7).types("good");
    for cut in 1..good.len() {
        room.update(1, &good[..cut]);
    }
    assert!(room.in_flight.is_none());
    assert!(hear(&outbox).refused > 0);
    room.update(1, &good);
    assert!(room.in_flight.is_some());
}

#[test]
fn sync_requests_that_have_to_wait_do_not_keep_the_socket_busy() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    let author = Author::new(7);
    room.update(1, &author.types("x"));
    for _ in 0..10 {
        room.says(1, ClientMessage::SyncStep1(author.vector()));
    }
    // The commit does not come, so there is nothing to be told about an empty queue.
    assert!(!hear(&outbox).empty);
    room.commit();
    let mut answers = 0;
    loop {
        let heard = hear(&outbox);
        answers += heard.steps_2.len();
        if !heard.empty {
            break;
        }
        room.event(Event::Drained(1));
    }
    assert_eq!(answers, 10);
}

/// What another node committed.
fn notice(rows: RangeInclusive<Seq>, update: Vec<u8>) -> Event {
    Event::Elsewhere(Box::new(Notice {
        doc: DocId::parse("doc").unwrap(),
        epoch: 1,
        from: *rows.start(),
        to: *rows.end(),
        updates: vec![update.into()],
    }))
}

/// What the store answers who looks: these updates, each a row from `from` on.
fn seen(state: DocState, from: Seq, updates: &[&Vec<u8>]) -> Event {
    let rows = updates.iter().zip(from..).map(|(update, seq)| LogRow {
        seq,
        row: NewRow {
            bytes: Bytes::copy_from_slice(update),
            author: "somebody".into(),
            client_id: 0,
            at: 0,
        },
        hidden: false,
    });
    let record = DocRecord {
        doc: DocId::parse("doc").unwrap(),
        epoch: 1,
        title: String::new(),
        state,
        head_seq: from + updates.len() as Seq - 1,
        size: 0,
        created_at: 0,
        edited_at: 0,
        trashed_at: None,
    };
    Event::Looked(Box::new(Ok(Seen {
        record: Some(record),
        rows: rows.collect(),
    })))
}

#[test]
fn what_another_node_committed_is_shown_at_once_and_only_once() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    hear(&outbox);
    let other = Author::new(9);
    let (one, two) = (other.types("one "), other.types("two"));
    room.event(notice(1..=1, one.clone()));
    room.event(notice(1..=1, one.clone()));
    assert_eq!(hear(&outbox).updates, [one]);
    room.event(notice(2..=2, two.clone()));
    assert_eq!(hear(&outbox).updates, [two]);
    assert!(
        room.effects.is_empty(),
        "nothing is stored again: {:?}",
        room.effects
    );
}

#[test]
fn what_another_node_committed_waits_for_the_answers_that_were_encoded_without_it() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    let (author, other) = (Author::new(7), Author::new(9));
    let own = author.types("own ");
    let foreign = other.types("foreign");
    room.update(1, &own);
    hear(&outbox);
    // Theirs came second in the log, and is heard of first.
    room.event(notice(2..=2, foreign.clone()));
    assert!(hear(&outbox).updates.is_empty());
    room.commit();
    assert_eq!(hear(&outbox).updates, [own, foreign]);
    assert!(room.effects.is_empty(), "{:?}", room.effects);
}

#[test]
fn what_waits_here_and_is_committed_there_is_shown_before_what_refers_to_it() {
    let mut room = Room::new(RoomLimits::default());
    let (writer, reader) = (
        room.join(1, Dialect::YWebsocket),
        room.join(2, Dialect::YWebsocket),
    );
    let author = Author::new(7);
    let (one, two) = (author.types("one "), author.types("two"));
    // Somebody else's batch is in flight when the author comes over from another node, which had taken in the same.
    room.update(1, &Author::new(9).types("first "));
    room.update(1, &one);
    hear(&writer);
    hear(&reader);
    room.event(notice(1..=1, one.clone()));
    room.event(notice(2..=2, two));
    room.committed = 2;
    room.commit();
    let view = Author::new(8);
    for update in hear(&reader).updates {
        view.learns(&update);
        assert!(!view.0.transact().has_missing_updates());
    }
    assert_eq!(view.text().len(), "first one two".len());
}

#[test]
fn rows_that_nobody_told_of_are_read_and_each_peer_gets_one_difference() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    let (author, other) = (Author::new(7), Author::new(9));
    let own = author.types("own ");
    room.update(1, &own);
    hear(&outbox);
    // Two rows of others lie before ours.
    let (one, two) = (other.types("one "), other.types("two "));
    room.committed = 2;
    room.commit();
    assert_eq!(room.looks(), [0], "once, from the first that is missing");
    // A notice of the second does not help without the first.
    room.event(notice(2..=2, two.clone()));
    assert!(room.looks().is_empty());
    room.event(seen(DocState::Live, 1, &[&one, &two, &own]));
    assert!(hear(&outbox).empty, "the difference replaces what waited");
    room.event(Event::Drained(1));
    let reader = Author::new(8);
    let heard = hear(&outbox);
    assert_eq!(heard.updates.len(), 1);
    reader.learns(&heard.updates[0]);
    assert_eq!(reader.text().len(), "own one two ".len());
    // The next row is ours again.
    room.update(1, &author.types("more"));
    room.committed = 3;
    room.commit();
    assert!(room.looks().is_empty());
}

#[test]
fn a_store_that_can_not_be_read_is_asked_again_later_and_editing_goes_on() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    let other = Author::new(9);
    let (one, two) = (other.types("one "), other.types("two"));
    room.event(notice(2..=2, two.clone()));
    assert_eq!(room.looks(), [0]);
    let busy = StoreError::Busy("somebody else writes".into());
    room.event(Event::Looked(Box::new(Err(busy))));
    // Nor is it asked at once where it shows less than was told.
    assert!(room.looks().is_empty());
    let own = Author::new(7).types("own ");
    room.update(1, &own);
    room.committed = 2;
    room.commit();
    assert_eq!(hear(&outbox).updates, [own]);
    assert!(room.looks().is_empty());
    room.event(Event::Look);
    assert_eq!(room.looks(), [0]);
    room.event(seen(DocState::Live, 1, &[&one]));
    assert!(room.looks().is_empty());
    room.event(Event::Look);
    assert_eq!(room.looks(), [3], "the notice and our own row follow on it");
    room.event(Event::Drained(1));
    let reader = Author::new(8);
    reader.learns(&hear(&outbox).updates[0]);
    assert_eq!(reader.text().len(), "one two".len());
}

#[test]
fn nobody_stays_where_the_name_was_given_to_another_document() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    let Event::Elsewhere(mut anew) = notice(1..=1, Author::new(9).types("other")) else {
        unreachable!()
    };
    anew.epoch = 2;
    room.event(Event::Elsewhere(anew));
    let heard = hear(&outbox);
    assert_eq!(heard.closed, Some(4409));
    assert!(heard.updates.is_empty());
}

#[test]
fn a_document_that_another_node_trashed_lets_nobody_stay() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    room.event(Event::Look);
    assert_eq!(room.looks(), [0]);
    room.event(seen(DocState::Trashed, 1, &[]));
    assert_eq!(hear(&outbox).closed, Some(4404));
}

#[test]
fn what_does_not_fit_makes_the_document_be_read_again_once_and_what_came_meanwhile_is_kept() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::Coscribe);
    let author = Author::new(7);
    let first = author.types("first ");
    room.update(1, &first);
    room.commit();
    hear(&outbox);
    let other = Author::new(9);
    let (foreign, late) = (other.types("foreign "), other.types("late"));
    // It says that it is the second row, and goes on behind something that is not there.
    room.event(notice(2..=2, late));
    room.update(1, &author.types("second "));
    assert_eq!(room.rebuilds(), 1);
    room.effects.clear();
    let row = |seq, bytes: Vec<u8>| LogRow {
        seq,
        row: NewRow {
            bytes: bytes.into(),
            ..room.log[0].rows[0].clone()
        },
        hidden: false,
    };
    let stored = Stored {
        epoch: 1,
        head_seq: 2,
        snapshot: None,
        tail: vec![row(1, first), row(2, foreign)],
        title: String::new(),
    };
    let limits = RoomLimits::default().scan;
    let replica = Replica::load(stored.tail.iter().map(|row| &row.row.bytes), &limits).unwrap();
    room.state
        .rebuilt(Some((&stored, replica)), room.now, &mut room.effects);
    room.take_append();
    assert!(
        room.in_flight.is_some(),
        "what was pending is on its way without another event"
    );
    assert!(hear(&outbox).empty, "who was here lacks what was read");
    room.event(Event::Drained(1));
    room.committed = 2;
    room.commit();
    room.says(1, ClientMessage::SyncStep1(Bytes::from_static(&[0])));
    let heard = hear(&outbox);
    for shown in [heard.steps_2.last().unwrap(), &heard.updates[0]] {
        let reader = Author::new(8);
        reader.learns(
            &author
                .0
                .transact()
                .encode_state_as_update_v1(&yrs::StateVector::default()),
        );
        reader.learns(shown);
        for word in ["foreign ", "first ", "second "] {
            assert_eq!(reader.text().matches(word).count(), 1, "{word}");
        }
    }
}

#[test]
fn a_replica_that_holds_much_deleted_text_is_read_again_and_nobody_notices() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::Coscribe);
    let author = Author::new(7);
    let mut rows = Vec::new();
    let filler = "x".repeat(1 << 20);
    for _ in 0..9 {
        room.update(1, &author.types(&filler));
        rows.extend(room.in_flight.as_ref().unwrap().rows.clone());
        room.commit();
    }
    room.update(1, &author.deletes_everything());
    rows.extend(room.in_flight.as_ref().unwrap().rows.clone());
    room.commit();
    hear(&outbox);
    let tail: Vec<_> = (1..)
        .zip(rows)
        .map(|(seq, row)| LogRow {
            seq,
            row,
            hidden: false,
        })
        .collect();
    let limits = RoomLimits::default().scan;
    let replica = Replica::load(tail.iter().map(|row| &row.row.bytes), &limits).unwrap();
    let state = replica.full_state().unwrap();
    let (seq, state_bytes) = (room.committed, state.len());
    assert!(state_bytes < 1_000);

    let in_flight = author.types("in flight");
    room.update(1, &in_flight);
    room.event(Event::Compacted(Some(Folded { seq, state_bytes })));
    // What comes now waits until the log was read, and the log is read when nothing is on its way to it.
    room.update(1, &author.types(" and later"));
    assert_eq!(room.rebuilds(), 0);
    let row = room.in_flight.as_ref().unwrap().rows[0].clone();
    room.commit();
    assert_eq!(room.rebuilds(), 1);
    room.effects.clear();
    let stored = Stored {
        epoch: 1,
        head_seq: seq + 1,
        snapshot: Some(Snapshot {
            seq,
            bytes: state.clone(),
        }),
        tail: vec![LogRow {
            seq: seq + 1,
            row,
            hidden: false,
        }],
        title: String::new(),
    };
    let replica = Replica::load([&state, &stored.tail[0].row.bytes], &limits).unwrap();
    room.state
        .rebuilt(Some((&stored, replica)), room.now, &mut room.effects);
    room.take_append();
    room.commit();
    room.says(1, ClientMessage::SyncStep1(Bytes::from_static(&[0])));
    let heard = hear(&outbox);
    assert_eq!(heard.closed, None);
    let reader = Author::new(8);
    reader.learns(heard.steps_2.last().unwrap());
    assert_eq!(reader.text(), "in flight and later");
}

/// Asks for an edit of the server's own; answers where the answer will come.
fn edit(
    room: &mut Room,
    update: &[u8],
    client: u64,
) -> tokio::sync::oneshot::Receiver<Result<u64, EditError>> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    let mark = NewMark {
        kind: MarkKind::Restore,
        label: "of yesterday".into(),
        author: "ada".into(),
        at: 0,
        source_seq: Some(1),
        origins: Bytes::new(),
    };
    let command = Command::Edit {
        update: Bytes::copy_from_slice(update),
        author: "ada".into(),
        client,
        mark: Some(mark),
        reply,
    };
    room.event(Event::Command(Box::new(command)));
    answer
}

#[test]
fn an_edit_of_the_servers_own_has_a_row_of_its_own_and_is_answered_when_it_is_durable() {
    let mut room = Room::new(RoomLimits::default());
    let outbox = room.join(1, Dialect::YWebsocket);
    let ada = Author::new(7);
    room.update(1, &ada.types("one"));
    // While this is committed: more of Ada's, the server's, and more of Ada's.
    room.update(1, &ada.types(" two"));
    let server = Author::new(99);
    let own = server.types("own");
    let mut answer = edit(&mut room, &own, 99);
    room.update(1, &ada.types(" three"));
    assert!(answer.try_recv().is_err());
    room.commit();
    assert!(answer.try_recv().is_err(), "it is not durable yet");
    room.commit();
    let seq = answer.try_recv().unwrap().unwrap();
    let [first, second] = &room.log[..] else {
        panic!("{} batches", room.log.len());
    };
    assert!(first.marks.is_empty());
    let [(row, mark)] = &second.marks[..] else {
        panic!("{:?}", second.marks);
    };
    assert_eq!((mark.kind, mark.source_seq), (MarkKind::Restore, Some(1)));
    assert_eq!(second.rows[*row].bytes, own);
    assert_eq!(&*second.rows[*row].author, "ada");
    assert_eq!(seq, first.rows.len() as u64 + *row as u64 + 1);
    let replica = Author::new(1);
    hear(&outbox)
        .updates
        .iter()
        .for_each(|update| replica.learns(update));
    assert!(replica.text().contains("own"));
    // The same once more brings nothing new.
    let mut again = edit(&mut room, &own, 99);
    assert_eq!(again.try_recv().unwrap(), Ok(room.committed));
}

#[test]
fn an_edit_of_the_servers_own_that_can_not_be_made_is_answered_at_once_and_changes_nothing() {
    let mut room = Room::new(RoomLimits::default());
    let server = Author::new(99);
    server.types("first");
    let early = server.types(" second");
    let answer = edit(&mut room, &early, 99).try_recv().unwrap();
    assert_eq!(answer, Err(EditError::NotReady));
    let answer = edit(&mut room, &[9, 9, 9], 99).try_recv().unwrap();
    assert!(matches!(answer, Err(EditError::Refused(_))), "{answer:?}");
    room.event(Event::Storing(Err("the disk is full".into())));
    let answer = edit(&mut room, &Author::new(5).types("x"), 5)
        .try_recv()
        .unwrap();
    assert_eq!(
        answer,
        Err(EditError::NotStoring("the disk is full".into()))
    );
    assert!(room.in_flight.is_none() && room.log.is_empty());
}
