//! Many people in one document whose cursors all move: what showing everybody to everybody costs.
//!
//! A cursor move is an awareness update with a higher clock. A server may join the moves of several people in one frame,
//! and may leave out a move that a newer one of the same person has overtaken; the newest of each person has to reach
//! everybody else. So single states are counted, and frames beside them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustc_hash::FxHashMap;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};

use super::{
    delivery::{Readers, all_arrive, fresh_client, fresh_name, join_all},
    figures::{Figures, Latencies},
    meter::Meter,
    server::Launch,
    websocket::{Receiver, Sender},
    wire::{Alone, Incoming, Wire},
};
use crate::document::{
    awareness,
    varint::{write_bytes, write_var},
};

/// Moves of each person before the measurement, so that everybody knows everybody.
const WARM_UP: u32 = 3;

/// `people` in one document, each of whom moves their cursor `rate` times a second: what a state costs the server until
/// one other person has it, and how late it gets there.
pub async fn run(launch: &Launch, people: usize, rate: f64, seconds: f64) -> Result<Figures> {
    let server = launch.start().await?;
    let document = fresh_name("presence");
    let peers = join_all(&server, (0..people).map(|_| document.clone()), Alone::No).await?;
    let room = Rc::new(Room::new(people));
    let (mut cursors, mut readers) = (Vec::new(), Readers::new());
    for (index, peer) in peers.into_iter().enumerate() {
        cursors.push(Cursor {
            index,
            sender: peer.sender,
            wire: peer.wire.clone(),
        });
        let room = Rc::clone(&room);
        readers.spawn_local(follow(peer.receiver, peer.wire, index, room));
    }

    // Evenly spread: at each tick one person moves.
    let pace = Duration::from_secs_f64(1.0 / (rate * people as f64)).max(Duration::from_nanos(1));
    move_all(
        &mut cursors,
        &room,
        pace,
        u64::from(WARM_UP) * people as u64,
    )
    .await?;
    room.everybody_knows(&mut readers).await?;
    *room.latencies.borrow_mut() = Some(Latencies::default());
    let (frames, states) = (room.frames.get(), room.states.get());
    let moves = (rate * seconds * people as f64) as u64;
    let meter = Meter::start(&server)?;
    move_all(&mut cursors, &room, pace, moves).await?;
    room.everybody_knows(&mut readers).await?;
    let used = meter.stop()?;

    let mut figures = Figures::default();
    let delivered = (room.states.get() - states) as f64;
    let others = people.saturating_sub(1) as f64;
    figures.add_measured("CPU per delivered state", "µs", used.micros_per(delivered));
    figures.add_latencies(room.latencies.take().unwrap_or_default());
    figures.add("frames in", "/s", moves as f64 / used.seconds);
    let frames = (room.frames.get() - frames) as f64;
    figures.add("frames out", "/s", frames / used.seconds);
    figures.add("states delivered", "/s", delivered / used.seconds);
    let overtaken = 1.0 - delivered / (moves as f64 * others);
    figures.add("states overtaken by newer ones", "%", overtaken * 100.0);
    used.add_to(&mut figures);
    Ok(figures)
}

/// What is known of everybody's cursor, on the sending and on the receiving side.
struct Room {
    clients: Vec<u64>,
    indices: FxHashMap<u64, usize>,
    began: Instant,
    /// For each person, nanoseconds after `began` at which the state with this clock was sent.
    sent_at: RefCell<Vec<Vec<u64>>>,
    /// For each reader and each person, the clock that the reader expects next.
    next: RefCell<Vec<Vec<u32>>>,
    /// Pairs of reader and other person where the newest state has not arrived.
    behind: Cell<usize>,
    frames: Cell<u64>,
    states: Cell<u64>,
    latencies: RefCell<Option<Latencies>>,
    reached: Notify,
}

impl Room {
    fn new(people: usize) -> Self {
        let clients: Vec<_> = (0..people).map(|_| fresh_client()).collect();
        let indices = clients.iter().copied().zip(0..).collect();
        Self {
            clients,
            indices,
            began: Instant::now(),
            sent_at: RefCell::new(vec![Vec::new(); people]),
            next: RefCell::new(vec![vec![0; people]; people]),
            behind: Cell::new(0),
            frames: Cell::default(),
            states: Cell::default(),
            latencies: RefCell::default(),
            reached: Notify::new(),
        }
    }

    /// A person is about to send their next state. Returns its clock.
    fn moves(&self, person: usize) -> u32 {
        let sent_at = &mut self.sent_at.borrow_mut()[person];
        let clock = sent_at.len() as u32;
        sent_at.push(self.began.elapsed().as_nanos() as u64);
        let next = self.next.borrow();
        // Whoever knew the state before this one is behind from now on.
        let knew = next
            .iter()
            .enumerate()
            .filter(|(reader, known)| *reader != person && known[person] == clock)
            .count();
        self.behind.set(self.behind.get() + knew);
        clock
    }

    /// A reader has got a frame.
    fn arrived(&self, reader: usize, update: &[u8]) -> Result<()> {
        self.frames.set(self.frames.get() + 1);
        let now = self.began.elapsed().as_nanos() as u64;
        for entry in awareness::entries(update)? {
            // Somebody's own state may come back, and a server may have people of its own.
            let Some(&person) = self.indices.get(&entry.client) else {
                continue;
            };
            let next = &mut self.next.borrow_mut()[reader][person];
            if person == reader || entry.clock < *next {
                continue;
            }
            if entry.state.is_none() {
                bail!("the server says that somebody left who is here");
            }
            let sent_at = &self.sent_at.borrow()[person];
            let sent = sent_at.get(entry.clock as usize);
            let sent = *sent.context("a state that nobody sent")?;
            *next = entry.clock + 1;
            if *next as usize == sent_at.len() {
                self.behind.set(self.behind.get() - 1);
            }
            self.states.set(self.states.get() + 1);
            if let Some(latencies) = &mut *self.latencies.borrow_mut() {
                latencies.0.push(now - sent);
            }
        }
        if self.behind.get() == 0 {
            self.reached.notify_one();
        }
        Ok(())
    }

    /// Waits until everybody has the newest state of everybody else.
    async fn everybody_knows(&self, readers: &mut Readers) -> Result<()> {
        let missing = || self.behind.get() as u64;
        ensure!(
            all_arrive(missing, &self.reached, readers).await?,
            "the newest cursor of somebody never reached somebody else ({} times)",
            self.behind.get()
        );
        Ok(())
    }
}

/// The sending side of one person.
struct Cursor {
    index: usize,
    sender: Sender,
    wire: Wire,
}

/// Moves one cursor after the other, `pace` apart; what comes late is sent at once and not left out.
async fn move_all(cursors: &mut [Cursor], room: &Room, pace: Duration, moves: u64) -> Result<()> {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let people = cursors.len() as u64;
    for turn in 0..moves {
        ticks.tick().await;
        let cursor = &mut cursors[(turn % people) as usize];
        let clock = room.moves(cursor.index);
        let update = state(room.clients[cursor.index], clock);
        cursor.wire.queue_awareness(&mut cursor.sender, &update);
        cursor.sender.flush().await?;
    }
    Ok(())
}

async fn follow(mut receiver: Receiver, wire: Wire, reader: usize, room: Rc<Room>) -> Result<()> {
    loop {
        receiver
            .receive(|message| match wire.read(&message)? {
                Incoming::Awareness(update) => room.arrived(reader, update),
                _ => Ok(()),
            })
            .await?;
    }
}

/// One person's state as an editor on ProseMirror sends it: name, colour, and both ends of the selection.
fn state(client: u64, clock: u32) -> Vec<u8> {
    let position = serde_json::json!({
        "type": null,
        "tname": "prosemirror",
        "item": { "client": client, "clock": clock },
        "assoc": 0,
    });
    let state = serde_json::json!({
        "user": { "name": format!("Person {client}"), "color": "#30bced" },
        "cursor": { "anchor": position, "head": position },
    });
    let mut update = vec![1];
    write_var(&mut update, client);
    write_var(&mut update, u64::from(clock));
    write_bytes(&mut update, state.to_string().as_bytes());
    update
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(room: &Room, person: usize, clock: u32) -> Vec<u8> {
        state(room.clients[person], clock)
    }

    #[test]
    fn only_the_newest_state_of_each_person_has_to_arrive() {
        let room = Room::new(3);
        for _ in 0..2 {
            room.moves(0);
        }
        assert_eq!(room.behind.get(), 2);
        room.arrived(1, &frame(&room, 0, 0)).unwrap();
        assert_eq!(room.behind.get(), 2, "an old state is not enough");
        room.arrived(1, &frame(&room, 0, 1)).unwrap();
        room.arrived(2, &frame(&room, 0, 1)).unwrap();
        assert_eq!((room.behind.get(), room.states.get()), (0, 3));
        room.arrived(2, &frame(&room, 0, 1)).unwrap();
        room.arrived(0, &frame(&room, 0, 1)).unwrap();
        assert_eq!(room.states.get(), 3, "repeats and one's own do not count");
        room.arrived(2, &frame(&room, 0, 2)).unwrap_err();
    }
}
