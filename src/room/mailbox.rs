//! The way into a room: a queue that sockets fill, bounded by bytes, and that the room's task empties.
//!
//! What clients send takes permits for its bytes and waits when there are none: a full mailbox slows that socket
//! only, by TCP back-pressure. What the server itself sends (a commit is done, a peer has left) never waits and is
//! bounded by the number of peers and batches it speaks of. What other nodes have committed is dropped by a full mailbox,
//! as it is in the log. An idle mailbox holds no buffer.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use tokio::sync::Semaphore;

use super::event::Event;

/// Bytes of client messages that may wait in one mailbox. One larger message is still let through, alone.
const CAPACITY: usize = 4 << 20;
/// Events that a room takes at once. Each may hold a thousand messages, and a commit that ends meanwhile should not wait
/// for all that has piled up.
const EVENTS_AT_ONCE: usize = 8;
/// What a message counts for beside its payload, so that many empty ones are bounded too.
pub const MESSAGE_OVERHEAD: usize = 64;

#[derive(Debug)]
pub struct Mailbox {
    queue: Mutex<Queue>,
    room_for: Semaphore,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<(Event, u32)>,
    waker: Option<Waker>,
    closed: bool,
}

/// The room is gone; whoever wanted something of it opens it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the room is gone")]
pub struct RoomGone;

impl Queue {
    fn drain_some(&mut self) -> std::collections::vec_deque::Drain<'_, (Event, u32)> {
        let count = self.events.len().min(EVENTS_AT_ONCE);
        self.events.drain(..count)
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            room_for: Semaphore::new(CAPACITY),
        }
    }
}

impl Mailbox {
    /// Sends what a client said; waits while the mailbox is full.
    pub async fn send(&self, event: Event, bytes: usize) -> Result<(), RoomGone> {
        let permits = permits(bytes);
        match self.room_for.acquire_many(permits).await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(RoomGone),
        }
        self.put(|events| events.push_back((event, permits)))
    }

    /// Sends what may as well be dropped, as it is when the mailbox is full or the room is gone.
    pub fn offer(&self, event: Event, bytes: usize) {
        let permits = permits(bytes);
        if let Ok(permit) = self.room_for.try_acquire_many(permits) {
            permit.forget();
            self.put(|events| events.push_back((event, permits))).ok();
        }
    }

    /// Sends what the server itself has to say.
    pub fn post(&self, event: Event) -> Result<(), RoomGone> {
        self.put(|events| events.push_back((event, 0)))
    }

    /// Like [`Self::post`], but ahead of everything that waits. Only for what does not depend on it: the answers of the
    /// store.
    pub fn post_first(&self, event: Event) -> Result<(), RoomGone> {
        self.put(|events| events.push_front((event, 0)))
    }

    fn put(&self, add: impl FnOnce(&mut VecDeque<(Event, u32)>)) -> Result<(), RoomGone> {
        let waker = {
            let mut queue = self.lock();
            if queue.closed {
                return Err(RoomGone);
            }
            add(&mut queue.events);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Waits for events and moves some of those that are there to `into`.
    pub async fn receive(&self, into: &mut VecDeque<Event>) {
        std::future::poll_fn(|cx| {
            let mut queue = self.lock();
            if queue.events.is_empty() {
                match &mut queue.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            let mut freed = 0;
            for (event, permits) in queue.drain_some() {
                into.push_back(event);
                freed += permits as usize;
            }
            if queue.events.is_empty() && queue.events.capacity() > 16 {
                queue.events = VecDeque::new();
            }
            drop(queue);
            if freed > 0 {
                self.room_for.add_permits(freed);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Whether events wait.
    pub fn has_mail(&self) -> bool {
        !self.lock().events.is_empty()
    }

    /// Takes no more events, unless some are waiting: then the room has to live on, and the answer is false.
    pub fn close_if_empty(&self) -> bool {
        let mut queue = self.lock();
        if queue.events.is_empty() {
            queue.closed = true;
            self.room_for.close();
        }
        queue.closed
    }

    /// Takes no more events and returns those that wait.
    pub fn close(&self) -> Vec<Event> {
        let mut queue = self.lock();
        queue.closed = true;
        self.room_for.close();
        queue.events.drain(..).map(|(event, _)| event).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code below the lock can leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a message of so many bytes takes of the room in a mailbox.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.min(CAPACITY)).unwrap_or(u32::MAX)
}
