//! The bare relay: what the same framework costs when it does nothing but copy frames. Every binary frame goes to every
//! socket of the same path, the sender's included, as one shared buffer. No document, no disk, no handshake. One task
//! and one bounded queue per socket; a full queue makes those who send to it wait, so nothing is dropped. The queue is
//! deeper than the 32 messages that actix-ws holds by itself, as under load each wake-up then moves more of them: with
//! that one alone, a saturated relay needs more than three times the CPU.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{self, Bytes, Data, Payload},
};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Closed, Session};
use anyhow::{Context, Result};
use futures_util::StreamExt;
use tokio::sync::mpsc::{self, error::TrySendError};

/// Frames that may wait for one socket.
const QUEUE_FRAMES: usize = 4096;
/// As large as any document that a benchmark opens.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
/// Connections the kernel may hold before they are accepted; a thousand arrive at once.
const BACKLOG: u32 = 4096;
const WORKERS: usize = 2;

/// Everyone on one path, each by its queue; the key tells a leaving socket from its successors.
#[derive(Default)]
struct Room {
    sockets: Vec<(u64, mpsc::Sender<Bytes>)>,
    next_key: u64,
}

struct Relay {
    rooms: Mutex<HashMap<String, Arc<Mutex<Room>>>>,
    greeting: Option<Bytes>,
}

/// Listens on a free port of the loopback address, prints it and runs until the process is ended. Every new socket gets
/// the bytes of the file `greeting` as its first frame.
///
/// # Errors
/// When the file can not be read or no port is free.
pub fn run(greeting: Option<&Path>) -> Result<()> {
    let greeting = match greeting {
        Some(path) => Some(Bytes::from(
            std::fs::read(path).with_context(|| path.display().to_string())?,
        )),
        None => None,
    };
    let relay = Data::new(Relay {
        rooms: Mutex::default(),
        greeting,
    });
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(relay.clone())
                .route("/{path:.*}", web::get().to(open))
        })
        .workers(WORKERS)
        .backlog(BACKLOG)
        .tcp_nodelay(true)
        .bind((Ipv4Addr::LOCALHOST, 0))
        .context("no port is free")?;
        for address in server.addrs() {
            println!("relay at http://{address}");
        }
        server.run().await.context("serving")
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the relay has no shutdown to wait for its sockets"
)]
async fn open(
    request: HttpRequest,
    payload: Payload,
    relay: Data<Relay>,
) -> actix_web::Result<HttpResponse> {
    let (response, session, stream) = actix_ws::handle(&request, payload)?;
    let stream = stream
        .max_frame_size(MAX_FRAME_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MAX_FRAME_BYTES);
    let path = request.path().to_owned();
    let (sender, queue) = mpsc::channel(QUEUE_FRAMES);
    let room = Arc::clone(lock(&relay.rooms).entry(path.clone()).or_default());
    let key = lock(&room).enter(sender);
    actix_web::rt::spawn(async move {
        let mut socket = Socket { session, queue };
        if socket
            .serve(stream, &room, relay.greeting.clone())
            .await
            .is_ok()
        {
            // The other side was the one that ended it.
            drop(socket.session.close(None).await);
        }
        relay.leave(&path, room, key);
    });
    Ok(response)
}

/// The outgoing side of one connection.
struct Socket {
    session: Session,
    queue: mpsc::Receiver<Bytes>,
}

impl Socket {
    /// The socket's task: in from the stream to everyone's queue, out from its own queue.
    async fn serve(
        &mut self,
        mut stream: AggregatedMessageStream,
        room: &Mutex<Room>,
        greeting: Option<Bytes>,
    ) -> Result<(), Closed> {
        if let Some(greeting) = greeting {
            self.session.binary(greeting).await?;
        }
        loop {
            tokio::select! {
                biased;
                Some(frame) = self.queue.recv() => self.session.binary(frame).await?,
                message = stream.next() => match message {
                    Some(Ok(AggregatedMessage::Binary(frame))) => self.copy(room, &frame).await?,
                    Some(Ok(AggregatedMessage::Ping(payload))) => self.session.pong(&payload).await?,
                    Some(Ok(AggregatedMessage::Text(_) | AggregatedMessage::Pong(_))) => {}
                    Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => return Ok(()),
                }
            }
        }
    }

    /// Hands a frame to everyone. Waiting for a full queue it goes on emptying its own, as others may wait for that.
    async fn copy(&mut self, room: &Mutex<Room>, frame: &Bytes) -> Result<(), Closed> {
        let full = lock(room).offer(frame);
        for queue in full {
            loop {
                tokio::select! {
                    biased;
                    Some(mine) = self.queue.recv() => self.session.binary(mine).await?,
                    place = queue.reserve() => {
                        if let Ok(place) = place {
                            place.send(frame.clone());
                        }
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Room {
    fn enter(&mut self, queue: mpsc::Sender<Bytes>) -> u64 {
        self.next_key += 1;
        self.sockets.push((self.next_key, queue));
        self.next_key
    }

    /// Puts the frame into every queue that has room for it and returns the others.
    fn offer(&self, frame: &Bytes) -> Vec<mpsc::Sender<Bytes>> {
        let full = |queue: &mpsc::Sender<Bytes>| {
            matches!(queue.try_send(frame.clone()), Err(TrySendError::Full(_)))
        };
        let queues = self.sockets.iter().map(|(_, queue)| queue);
        queues.filter(|queue| full(queue)).cloned().collect()
    }
}

impl Relay {
    fn leave(&self, path: &str, room: Arc<Mutex<Room>>, key: u64) {
        lock(&room).sockets.retain(|(other, _)| *other != key);
        let mut rooms = lock(&self.rooms);
        // The map's and this one: nobody is in the room, and nobody can be on the way in while the map is locked.
        if Arc::strong_count(&room) == 2 {
            rooms.remove(path);
        }
    }
}

/// A panic elsewhere leaves the lists whole, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
