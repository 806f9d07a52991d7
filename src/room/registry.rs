//! Which rooms are open: at most one for a document, so at most one load, one replica and one writer of its log.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{
    bell::Bells,
    event::{Command, Event, Join, PeerId},
    limits::RoomLimits,
    mailbox::{MESSAGE_OVERHEAD, Mailbox, RoomGone},
    planted::{self, Bug},
    task,
    writer::Writer,
};
use crate::{
    bus::{Bus, Notice},
    clock::Clock,
    document::id::DocId,
    lifecycle::Tasks,
    metrics::Metrics,
    protocol::close::{Close, CloseCode},
    store::Store,
};

/// While the server stops, rooms begin to compact their logs only for so long.
const TIDY_TIME: Duration = Duration::from_secs(3);

/// What every room uses.
pub struct Services {
    pub store: Arc<dyn Store>,
    /// To the other nodes that serve this store, where there are some.
    pub bus: Option<Arc<dyn Bus>>,
    pub writer: Arc<Writer>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub limits: Arc<RoomLimits>,
    /// Rung at the end of each step of a room.
    pub bells: Arc<Bells>,
    /// A room without peers is kept for so long.
    pub idle_unload: Duration,
    /// Zero point of the monotonic time that rooms see.
    pub started: Instant,
    /// Rooms run on the main runtime: a task spawned on an actix worker would end with it, before any last commit.
    pub tasks: Tasks,
}

pub struct Registry {
    rooms: Mutex<FxHashMap<DocId, Arc<Mailbox>>>,
    services: Arc<Services>,
    next_peer: AtomicU64,
    /// Set when the server began to stop.
    draining: OnceLock<Instant>,
}

/// The server is shutting down and opens no more rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is shutting down")]
pub struct Draining;

impl Registry {
    pub fn new(services: Arc<Services>) -> Arc<Self> {
        Arc::new(Self {
            rooms: Mutex::default(),
            services,
            next_peer: AtomicU64::new(1),
            draining: OnceLock::new(),
        })
    }

    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// An id for a new connection.
    pub fn next_peer(&self) -> PeerId {
        self.next_peer.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets a peer into the room of a document, opening it where needed. What happens to the peer from then on, it
    /// learns through its outbox.
    pub fn join(self: &Arc<Self>, doc: &DocId, join: Join) -> Result<Arc<Mailbox>, Draining> {
        self.post(doc, Event::Join(Box::new(join)))
    }

    /// Sends a command to the room of a document, opening it where needed.
    pub fn command(
        self: &Arc<Self>,
        doc: &DocId,
        command: Command,
    ) -> Result<Arc<Mailbox>, Draining> {
        self.post(doc, Event::Command(Box::new(command)))
    }

    fn post(self: &Arc<Self>, doc: &DocId, event: Event) -> Result<Arc<Mailbox>, Draining> {
        let mut rooms = self.lock();
        if self.draining.get().is_some() {
            return Err(Draining);
        }
        if let Some(mailbox) = rooms.get(doc)
            && !(planted::is(Bug::LoadTwice) && mailbox.has_mail())
        {
            // A room closes its mailbox only under this lock, and leaves the map with it.
            if mailbox.post(event).is_ok() {
                return Ok(mailbox.clone());
            }
            return Err(Draining);
        }
        let mailbox = Arc::new(Mailbox::default());
        mailbox.post(event).map_err(|RoomGone| Draining)?;
        rooms.insert(doc.clone(), mailbox.clone());
        drop(rooms);
        let room = task::Room::new(doc.clone(), mailbox.clone(), self.clone());
        drop(self.services.tasks.spawn(room.run()));
        Ok(mailbox)
    }

    /// The room of a document, if it is open.
    pub fn open(&self, doc: &DocId) -> Option<Arc<Mailbox>> {
        self.lock().get(doc).cloned()
    }

    /// Another node has committed something. A room whose mailbox is full finds it in the log, as one does that is opened
    /// later.
    pub fn hear(&self, notice: Notice) {
        if let Some(mailbox) = self.open(&notice.doc) {
            let bytes = notice.len() + MESSAGE_OVERHEAD;
            mailbox.offer(Event::Elsewhere(Box::new(notice)), bytes);
        }
    }

    /// How many rooms are open.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a room that ends may still compact its log: the next start is faster for it, but the stop must not take
    /// long.
    pub(super) fn has_time_to_tidy(&self) -> bool {
        self.draining
            .get()
            .is_none_or(|since| since.elapsed() < TIDY_TIME)
    }

    /// Ends a room, unless somebody has knocked meanwhile.
    pub(super) fn retire(&self, doc: &DocId, mailbox: &Mailbox) -> bool {
        let mut rooms = self.lock();
        if !mailbox.close_if_empty() {
            return false;
        }
        rooms.remove(doc);
        if rooms.len() * 4 < rooms.capacity() && rooms.capacity() > 1_024 {
            rooms.shrink_to_fit();
        }
        true
    }

    /// Ends a room whatever waits in its mailbox, and returns that.
    pub(super) fn abandon(&self, doc: &DocId, mailbox: &Mailbox) -> Vec<Event> {
        let mut rooms = self.lock();
        rooms.remove(doc);
        mailbox.close()
    }

    /// Commits everything, closes every peer and ends every room. Answers how many rooms were still not saved when the
    /// time was over.
    pub async fn drain(&self, patience: Duration) -> usize {
        let open: Vec<_> = {
            let rooms = self.lock();
            self.draining.get_or_init(Instant::now);
            rooms.values().cloned().collect()
        };
        let close = Close::new(CloseCode::Restart, "the server restarts");
        for mailbox in open {
            // One that is gone already has nothing left to save.
            mailbox
                .post(Event::Command(Box::new(Command::Drain(close.clone()))))
                .ok();
        }
        let deadline = Instant::now() + patience;
        while !self.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.len()
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<DocId, Arc<Mailbox>>> {
        // No code below the lock can leave the map half changed.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
