//! One wake-up for all the sockets of a worker thread that a batch has frames for.
//!
//! Sockets live on actix workers, rooms on other threads. Waking a task of another thread costs a system call, which for
//! a hundred readers of one frame is as much again as writing the frame. So an outbox that has got something only notes
//! its peer here; at the end of a room's step each worker that has notes is woken once, and its pump calls the sockets
//! from within their own thread, where they can write at once. While many rooms are committed together, one ring serves
//! all of them.

use std::{
    cell::OnceCell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use tokio::sync::Notify;

use super::event::PeerId;

/// So many sockets are called before the worker looks at what has arrived.
const SOCKETS_AT_ONCE: usize = 64;

/// The bells of all workers.
#[derive(Debug)]
pub struct Bells {
    bells: Vec<Arc<Bell>>,
    next: AtomicUsize,
    /// Many rooms have something to say at the same time.
    crowded: AtomicBool,
    /// One of them wants a ring.
    wanted: Notify,
}

/// The bell of one worker thread.
#[derive(Debug, Default)]
pub struct Bell {
    /// Something was noted since the last ring.
    noted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sockets: Vec<PeerId>,
    pump: Option<Waker>,
}

thread_local! {
    static OWN: OnceCell<Arc<Bell>> = const { OnceCell::new() };
}

impl Bells {
    /// One for each worker thread.
    pub fn new(workers: usize) -> Arc<Self> {
        let bells = (0..workers.max(1)).map(|_| Arc::default()).collect();
        Arc::new(Self {
            bells,
            next: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            wanted: Notify::new(),
        })
    }

    /// The bell of the worker thread that calls. Its pump is started with `spawn` at the first call.
    pub fn own(&self, spawn: impl FnOnce(Arc<Bell>)) -> Arc<Bell> {
        OWN.with(|own| {
            own.get_or_init(|| {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let bell = self.bells[number % self.bells.len()].clone();
                spawn(bell.clone());
                bell
            })
            .clone()
        })
    }

    /// Wakes every worker that has notes: at once, or in a crowd when the rooms that are ready have had their turn.
    pub fn ring(&self) {
        if !self.crowded.load(Ordering::Relaxed) {
            self.ring_now();
        } else if self.bells.iter().any(|bell| bell.has_notes()) {
            self.wanted.notify_one();
        }
    }

    /// Says whether many rooms have something to say at the same time. Only for who runs [`Self::ring_for_crowd`].
    pub fn crowd(&self, crowded: bool) {
        self.crowded.store(crowded, Ordering::Relaxed);
    }

    /// Rings for the rooms of a crowd, for ever.
    pub async fn ring_for_crowd(&self) {
        loop {
            self.wanted.notified().await;
            tokio::task::yield_now().await;
            self.ring_now();
        }
    }

    fn ring_now(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }
}

impl Bell {
    /// The socket of this peer is to be called at the next ring.
    pub fn note(&self, peer: PeerId) {
        self.lock().sockets.push(peer);
        self.noted.store(true, Ordering::Release);
    }

    fn has_notes(&self) -> bool {
        self.noted.load(Ordering::Acquire)
    }

    /// Wakes the pump, if there are notes.
    pub fn ring(&self) {
        if !self.noted.swap(false, Ordering::AcqRel) {
            return;
        }
        let pump = self.lock().pump.take();
        if let Some(pump) = pump {
            pump.wake();
        }
    }

    /// Calls the sockets of this worker for as long as the worker lives.
    pub async fn pump(self: Arc<Self>, call: impl Fn(&[PeerId])) {
        let mut sockets = Vec::new();
        loop {
            std::future::poll_fn(|cx| {
                let mut state = self.lock();
                if state.sockets.is_empty() {
                    state.pump = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                std::mem::swap(&mut state.sockets, &mut sockets);
                Poll::Ready(())
            })
            .await;
            for (number, some) in sockets.chunks(SOCKETS_AT_ONCE).enumerate() {
                // Each may write a frame, and what arrives is not to wait for all of them.
                if number > 0 {
                    tokio::task::yield_now().await;
                }
                call(some);
            }
            sockets.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code below the lock can leave the lists half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        pin::pin,
        task::{Context, Wake},
        time::Duration,
    };

    use tokio::time::timeout;

    use super::*;

    /// Counts how often it is called.
    #[derive(Default)]
    struct Called(AtomicUsize);

    impl Wake for Called {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Called {
        fn times(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn a_lone_room_rings_at_once_and_a_crowd_once_for_all_its_rooms() {
        let bells = Bells::new(1);
        let bell = bells.own(|_| {});
        let (worker, called) = (Arc::new(Called::default()), RefCell::new(Vec::new()));
        let mut pump = pin!(
            bell.clone()
                .pump(|peers| called.borrow_mut().extend_from_slice(peers))
        );
        let waker = Waker::from(worker.clone());
        let mut turn = || {
            assert!(
                pump.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        };
        turn();
        bell.note(7);
        bells.ring();
        assert_eq!(worker.times(), 1);
        assert!(called.borrow().is_empty());
        turn();
        assert_eq!(called.take(), [7]);

        bells.crowd(true);
        for room in 0..3 {
            bell.note(room);
            bells.ring();
            assert_eq!(worker.times(), 1, "room {room} has rung for itself");
        }
        // It rings for ever, so it is left when it waits for the next crowd.
        let rung = async {
            while worker.times() == 1 {
                tokio::task::yield_now().await;
            }
        };
        let ringing = async {
            tokio::select! {
                () = bells.ring_for_crowd() => {}
                () = rung => {}
            }
        };
        timeout(Duration::from_secs(10), ringing).await.unwrap();
        assert_eq!(worker.times(), 2);
        turn();
        assert_eq!(called.take(), [0, 1, 2]);
    }
}
