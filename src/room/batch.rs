//! What a room has accepted and not yet committed: the rows for the log, and who is to be told once they are durable.
//!
//! A batch becomes one frame for everybody, spliced from the clients' own bytes, and one row for each author, so the
//! work for each peer falls as the rate rises. Rows stay in an order in which they can be replayed: an update joins an
//! earlier row of its author only when it refers to nothing that came between.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::event::{self, EditError, PeerId, RenameError};
use crate::{
    clock::UnixMillis,
    document::{
        ClientId, Clock, id_set::IdRange, replica::Applied, scan::Scan, splice::splice,
        state_vector::StateVector,
    },
    store::{NewMark, NewRow, Person, Seq},
};

/// A peer or command that wants something of the state, to be answered when the state is durable.
#[derive(Debug)]
pub enum Ask {
    /// Our `SyncStep1` for this peer.
    Step1(PeerId),
    /// The answer to a `SyncStep1` of this peer.
    Step2(PeerId, StateVector),
    /// The diff for a peer that was too slow for the frames.
    CatchUp(PeerId),
    Export(oneshot::Sender<Bytes>),
}

#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<Row>,
    pub bytes: usize,
    /// Peer and how many of its messages this batch makes durable.
    pub acks: Vec<(PeerId, u64)>,
    /// Frames for one peer, to be sent after the commit: repeats of what was known already.
    pub echoes: Vec<(PeerId, Bytes)>,
    pub asks: Vec<Ask>,
    pub renames: Vec<oneshot::Sender<Result<(), RenameError>>>,
    /// Edits of the server's own, each the only thing in its row.
    pub edits: Vec<OwnEdit>,
    /// What authors call themselves.
    pub people: Vec<Person>,
}

/// An edit that did not come from a peer, and who waits for it.
#[derive(Debug)]
pub struct OwnEdit {
    /// The client that wrote it, and nothing else in this batch.
    pub client_id: ClientId,
    pub mark: Option<NewMark>,
    pub reply: oneshot::Sender<Result<Seq, EditError>>,
}

#[derive(Debug)]
struct Row {
    author: Arc<str>,
    client_id: ClientId,
    at: UnixMillis,
    parts: SmallVec<[Bytes; 1]>,
    runs: SmallVec<[IdRange; 1]>,
}

/// A batch as it goes to the store and, afterwards, to the peers.
#[derive(Debug)]
pub struct Sealed {
    pub rows: Vec<NewRow>,
    /// Updates for the peers: one, unless the parts could not be spliced.
    pub updates: Vec<Bytes>,
    /// Per client the first clock that is new.
    pub floor: Vec<(ClientId, Clock)>,
    pub marks: Vec<(usize, NewMark)>,
    /// Who waits for which of the rows.
    pub edited: Vec<(usize, oneshot::Sender<Result<Seq, EditError>>)>,
}

impl Batch {
    pub fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    pub fn add(
        &mut self,
        author: &Arc<str>,
        client_id: ClientId,
        at: UnixMillis,
        scan: &Scan,
        applied: Applied,
    ) {
        self.bytes += applied.bytes.len();
        let mut between: SmallVec<[IdRange; 4]> = SmallVec::new();
        for row in self.rows.iter_mut().rev() {
            if row.author == *author
                && row.client_id == client_id
                && !refers_into(scan, &applied.bytes, &between)
            {
                row.runs.extend(applied.runs);
                row.parts.push(applied.bytes);
                return;
            }
            between.extend(row.runs.iter().copied());
        }
        self.rows.push(Row {
            author: author.clone(),
            client_id,
            at,
            parts: SmallVec::from_iter([applied.bytes]),
            runs: applied.runs,
        });
    }

    /// Remembers what an author of this batch calls themselves.
    pub fn introduce(&mut self, author: &Arc<str>, person: Option<event::Person>) {
        self.people.retain(|known| known.author != *author);
        self.people.extend(person.map(|person| Person {
            author: author.clone(),
            name: person.name,
            color: person.color,
        }));
    }

    /// The accepted updates, in an order in which they can be applied.
    pub fn parts(&self) -> Vec<Bytes> {
        self.rows
            .iter()
            .flat_map(|row| row.parts.iter().cloned())
            .collect()
    }

    pub fn ack(&mut self, peer: PeerId) {
        match self
            .acks
            .iter_mut()
            .rev()
            .take(8)
            .find(|(of, _)| *of == peer)
        {
            Some((_, count)) => *count += 1,
            None => self.acks.push((peer, 1)),
        }
    }

    /// Takes the rows out, ready for the store.
    pub fn seal(&mut self) -> Sealed {
        let mut rows = Vec::with_capacity(self.rows.len());
        let mut floor: Vec<(ClientId, Clock)> = Vec::new();
        for row in self.rows.drain(..) {
            floor.extend(row.runs.iter().map(|run| (run.client, run.start)));
            let new = |bytes| NewRow {
                bytes,
                author: row.author.clone(),
                client_id: row.client_id,
                at: row.at,
            };
            rows.extend(joined(&row.parts).into_iter().map(new));
        }
        let (mut marks, mut edited) = (Vec::new(), Vec::new());
        for edit in self.edits.drain(..) {
            // Should a row of it have become several, the moment is that of the last.
            let place = rows.iter().rposition(|row| row.client_id == edit.client_id);
            let place = place.unwrap_or_default();
            marks.extend(edit.mark.map(|mark| (place, mark)));
            edited.push((place, edit.reply));
        }
        let parts: SmallVec<[Bytes; 4]> = rows.iter().map(|row| row.bytes.clone()).collect();
        floor.sort_unstable();
        floor.dedup_by_key(|(client, _)| *client);
        Sealed {
            updates: joined(&parts),
            rows,
            floor,
            marks,
            edited,
        }
    }
}

/// The parts as one update; as they are where they can not be spliced.
fn joined(parts: &[Bytes]) -> Vec<Bytes> {
    if let [only] = parts {
        return vec![only.clone()];
    }
    let slices: SmallVec<[&[u8]; 32]> = parts.iter().map(AsRef::as_ref).collect();
    match splice(&slices) {
        Ok(whole) => vec![whole.into()],
        Err(_) => parts.to_vec(),
    }
}

/// Whether the update refers to an id inside one of these ranges, or deletes one, or continues one of their clients.
fn refers_into(scan: &Scan, bytes: &[u8], ranges: &[IdRange]) -> bool {
    if ranges.is_empty() {
        return false;
    }
    let hit = |client: ClientId, start: Clock, end: Clock| {
        ranges
            .iter()
            .any(|range| range.client == client && start < range.end && end > range.start)
    };
    scan.runs.iter().any(|run| {
        ranges.iter().any(|range| range.client == run.client)
            || scan
                .structs_of(bytes, run)
                .flat_map(|view| view.references())
                .any(|id| hit(id.client, id.clock, id.clock + 1))
    }) || scan
        .delete_ranges(bytes)
        .any(|range| hit(range.client, range.start, range.end))
}
