//! What waits to be written to one peer: a bounded queue between the room, which fills it, and the socket, which
//! empties it. The room never waits for a peer.
//!
//! When a peer does not keep up, its queued document frames are taken out and handed back to the room, which later
//! sends one diff in their place, once the socket reports that the queue has run empty. Answers and refusals stay.
//! Awareness that a slow peer missed is replaced by everybody's latest state.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{bell::Bell, event::PeerId};
use crate::protocol::close::Close;

/// More awareness frames than this in one queue are replaced by one later.
const MAX_AWARENESS_FRAMES: usize = 8;

/// The queue of one peer. Shared by the room and the peer's socket.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    /// Whose outbox it is, and where it is noted that something has come; see [`Bell`].
    socket: Option<(Arc<Bell>, PeerId)>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Kind, Bytes)>,
    /// Bytes in `queue`.
    bytes: usize,
    awareness_frames: usize,
    /// Messages of the peer that became durable and of which it has not been told yet.
    saved: u64,
    close: Option<Close>,
    /// The room waits to hear that the queue has run empty.
    tell_when_empty: bool,
    /// The peer is to be asked for a sign of life.
    question: bool,
    waiting: Waiting,
    /// The socket is gone: nothing is kept any more.
    gone: bool,
}

/// Who found the queue empty, and is to hear when something comes.
#[derive(Debug, Default)]
enum Waiting {
    #[default]
    Nobody,
    Socket,
    Task(Waker),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Document,
    Awareness,
    Control,
}

/// What the socket is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this frame.
    Frame(Bytes),
    /// Tell the peer, in its own dialect, that so many of its messages are durable.
    Saved(u64),
    /// Find out whether the peer is still there.
    Question,
    /// The queue has run empty, and the room wants to know.
    Empty,
    /// Close the socket; nothing comes after it.
    Close(Close),
}

/// What became of a document frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed {
    Queued,
    /// The queue was full. These document frames, oldest first, were waiting and are not in it any more; the new one
    /// was not taken either. `Next::Empty` will follow.
    Overflow(Vec<Bytes>),
}

impl Outbox {
    /// An outbox whose socket is called at the next ring of this bell.
    pub fn with_bell(bell: Arc<Bell>, peer: PeerId) -> Self {
        Self {
            state: Mutex::default(),
            socket: Some((bell, peer)),
        }
    }

    /// Calls the socket now instead of at the end of the room's step.
    pub fn ring(&self) {
        if let Some((bell, _)) = &self.socket {
            bell.ring();
        }
    }

    /// A document frame. `limit` is in bytes; a single frame is always taken by an empty queue.
    pub fn push_document(&self, frame: &Bytes, limit: usize) -> Pushed {
        let mut state = self.lock();
        if state.bytes > 0 && state.bytes + frame.len() > limit {
            return Pushed::Overflow(self.take_documents_of(&mut state));
        }
        self.push(&mut state, Kind::Document, frame.clone());
        Pushed::Queued
    }

    /// Takes back the document frames that wait, oldest first, as a difference will replace them. `Next::Empty` will follow.
    pub fn take_documents(&self) -> Vec<Bytes> {
        self.take_documents_of(&mut self.lock())
    }

    /// An awareness frame. Returns false when the peer is too slow for it: it is to be sent everybody's latest state
    /// after `Next::Empty`.
    pub fn push_awareness(&self, frame: &Bytes, limit: usize) -> bool {
        let mut state = self.lock();
        if state.awareness_frames >= MAX_AWARENESS_FRAMES
            || (state.bytes > 0 && state.bytes + frame.len() > limit)
        {
            state.take(Kind::Awareness);
            state.tell_when_empty = true;
            self.wake(&mut state);
            return false;
        }
        self.push(&mut state, Kind::Awareness, frame.clone());
        true
    }

    /// An answer or a refusal: never dropped. The room bounds how many it makes.
    pub fn push_control(&self, frame: Bytes) {
        let mut state = self.lock();
        self.push(&mut state, Kind::Control, frame);
    }

    /// So many more of the peer's messages are durable.
    pub fn saved(&self, count: u64) {
        let mut state = self.lock();
        state.saved += count;
        self.wake(&mut state);
    }

    /// Ends the connection after what is queued as control; document and awareness frames are dropped.
    pub fn close(&self, close: Close) {
        let mut state = self.lock();
        state.take(Kind::Document);
        state.take(Kind::Awareness);
        state.close.get_or_insert(close);
        self.wake(&mut state);
        drop(state);
        self.ring();
    }

    /// Asks for `Next::Empty` once the queue has run empty.
    pub fn tell_when_empty(&self) {
        let mut state = self.lock();
        state.tell_when_empty = true;
        self.wake(&mut state);
    }

    /// Asks the peer for a sign of life: somebody else claims to be the same client. A socket that gives none within a
    /// short time is ended.
    pub fn question(&self) {
        let mut state = self.lock();
        state.question = true;
        self.wake(&mut state);
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The socket task has ended.
    pub fn abandon(&self) {
        let mut state = self.lock();
        *state = State {
            gone: true,
            ..State::default()
        };
    }

    /// What is next for the socket, which the bell calls once there is something after there was nothing.
    pub fn next_or_call(&self) -> Option<Next> {
        let mut state = self.lock();
        let next = state.next();
        if next.is_none() {
            state.waiting = Waiting::Socket;
        }
        next
    }

    /// What is next for a task.
    pub fn poll_next(&self, cx: &Context<'_>) -> Poll<Next> {
        let mut state = self.lock();
        match state.next() {
            Some(next) => Poll::Ready(next),
            None => {
                state.waiting = Waiting::Task(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// [`Self::poll_next`] as a future.
    pub async fn next(self: &Arc<Self>) -> Next {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn take_documents_of(&self, state: &mut State) -> Vec<Bytes> {
        state.tell_when_empty = true;
        self.wake(state);
        state.take(Kind::Document)
    }

    fn push(&self, state: &mut State, kind: Kind, frame: Bytes) {
        if state.gone || state.close.is_some() {
            return;
        }
        state.bytes += frame.len();
        state.awareness_frames += usize::from(kind == Kind::Awareness);
        state.queue.push_back((kind, frame));
        self.wake(state);
    }

    fn wake(&self, state: &mut State) {
        match std::mem::take(&mut state.waiting) {
            Waiting::Nobody => {}
            Waiting::Socket => {
                if let Some((bell, peer)) = &self.socket {
                    bell.note(*peer);
                }
            }
            Waiting::Task(waker) => waker.wake(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code below the lock can leave the queue half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Next> {
        if std::mem::take(&mut self.question) {
            return Some(Next::Question);
        }
        if let Some((kind, frame)) = self.queue.pop_front() {
            self.bytes -= frame.len();
            if kind == Kind::Awareness {
                self.awareness_frames -= 1;
            }
            if self.queue.is_empty() && self.queue.capacity() > 64 {
                self.queue = VecDeque::new();
            }
            return Some(Next::Frame(frame));
        }
        if self.saved > 0 {
            return Some(Next::Saved(std::mem::take(&mut self.saved)));
        }
        if let Some(close) = self.close.take() {
            return Some(Next::Close(close));
        }
        std::mem::take(&mut self.tell_when_empty).then_some(Next::Empty)
    }

    fn take(&mut self, kind: Kind) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.queue.retain(|(of, frame)| {
            if *of == kind {
                taken.push(frame.clone());
            }
            *of != kind
        });
        self.bytes -= taken.iter().map(Bytes::len).sum::<usize>();
        if kind == Kind::Awareness {
            self.awareness_frames = 0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::protocol::close::CloseCode;

    fn next(outbox: &Outbox) -> Option<Next> {
        match outbox.poll_next(&Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    fn frame(bytes: &'static [u8]) -> Bytes {
        Bytes::from_static(bytes)
    }

    #[test]
    fn frames_leave_in_order_and_saved_comes_after_them() {
        let outbox = Outbox::default();
        assert_eq!(outbox.push_document(&frame(b"a"), 10), Pushed::Queued);
        outbox.saved(2);
        outbox.push_control(frame(b"b"));
        assert_eq!(next(&outbox), Some(Next::Frame(frame(b"a"))));
        assert_eq!(next(&outbox), Some(Next::Frame(frame(b"b"))));
        assert_eq!(next(&outbox), Some(Next::Saved(2)));
        assert_eq!(next(&outbox), None);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_full_queue_hands_its_document_frames_back_and_keeps_answers() {
        let outbox = Outbox::default();
        outbox.push_document(&frame(b"aaaa"), 10);
        outbox.push_control(frame(b"cc"));
        outbox.push_document(&frame(b"bbbb"), 10);
        assert_eq!(
            outbox.push_document(&frame(b"d"), 10),
            Pushed::Overflow(vec![frame(b"aaaa"), frame(b"bbbb")])
        );
        assert_eq!(next(&outbox), Some(Next::Frame(frame(b"cc"))));
        assert_eq!(next(&outbox), Some(Next::Empty));
        assert_eq!(next(&outbox), None);
    }

    #[test]
    fn an_empty_queue_takes_a_frame_of_any_size() {
        let outbox = Outbox::default();
        assert_eq!(
            outbox.push_document(&frame(b"larger than the limit"), 4),
            Pushed::Queued
        );
    }

    #[test]
    fn many_awareness_frames_become_one_later() {
        let outbox = Outbox::default();
        for _ in 0..MAX_AWARENESS_FRAMES {
            assert!(outbox.push_awareness(&frame(b"x"), 100));
        }
        assert!(!outbox.push_awareness(&frame(b"x"), 100));
        assert_eq!(next(&outbox), Some(Next::Empty));
    }

    #[test]
    fn a_close_comes_after_what_was_answered_and_nothing_comes_after_it() {
        let outbox = Outbox::default();
        outbox.push_document(&frame(b"a"), 10);
        outbox.push_control(frame(b"b"));
        outbox.close(Close::new(CloseCode::Gone, "deleted"));
        outbox.push_document(&frame(b"c"), 10);
        assert_eq!(next(&outbox), Some(Next::Frame(frame(b"b"))));
        assert_eq!(
            next(&outbox),
            Some(Next::Close(Close::new(CloseCode::Gone, "deleted")))
        );
    }
}
