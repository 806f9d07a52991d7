//! The bare relay: what the same framework costs when it does nothing but copy frames. Every binary frame goes to every
//! socket of the same path, the sender's included, as one shared buffer. No document, no disk, no handshake. One queue
//! and one task per socket; a socket whose queue is full is dropped, which no run should ever see.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{self, Bytes, Data, Payload},
};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Session};
use anyhow::{Context, Result};
use clap::Args;
use futures_util::StreamExt;
use tokio::sync::mpsc;

/// Frames that may wait for one socket: more than a saturating writer may have outstanding.
const QUEUE_FRAMES: usize = 16 * 1024;
/// As large as any document that a benchmark opens.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
/// Connections the kernel may hold before they are accepted; a thousand arrive at once.
const BACKLOG: u32 = 4096;

#[derive(Args, Debug)]
pub struct RelayOptions {
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: String,
    /// A file whose bytes every new socket gets as its first frame.
    #[arg(long)]
    pub greeting: Option<PathBuf>,
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
}

/// Everyone on one path. The key tells a leaving socket from its successors.
#[derive(Default)]
struct Room {
    sockets: Vec<(u64, mpsc::Sender<Bytes>)>,
    next_key: u64,
}

struct Relay {
    rooms: Mutex<HashMap<String, Arc<Mutex<Room>>>>,
    greeting: Option<Bytes>,
}

/// Runs until the process is ended.
pub fn run(options: &RelayOptions) -> Result<()> {
    let greeting = match &options.greeting {
        Some(path) => Some(Bytes::from(
            std::fs::read(path).with_context(|| path.display().to_string())?,
        )),
        None => None,
    };
    let relay = Data::new(Relay {
        rooms: Mutex::default(),
        greeting,
    });
    let workers = options.workers;
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(relay.clone())
                .route("/{path:.*}", web::get().to(open))
        })
        .workers(workers)
        .backlog(BACKLOG)
        .tcp_nodelay(true)
        .bind(&options.listen)
        .with_context(|| format!("listening on {}", options.listen))?;
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
    let key = {
        let mut room = lock(&room);
        room.next_key += 1;
        let key = room.next_key;
        room.sockets.push((key, sender));
        key
    };
    actix_web::rt::spawn(async move {
        serve(session, stream, queue, &room, relay.greeting.clone()).await;
        leave(&relay, &path, &room, key);
    });
    Ok(response)
}

/// One socket's task: in from the socket, out from its queue.
async fn serve(
    mut session: Session,
    mut stream: AggregatedMessageStream,
    mut queue: mpsc::Receiver<Bytes>,
    room: &Mutex<Room>,
    greeting: Option<Bytes>,
) {
    if let Some(greeting) = greeting
        && session.binary(greeting).await.is_err()
    {
        return;
    }
    loop {
        tokio::select! {
            biased;
            frame = queue.recv() => {
                let Some(frame) = frame else { return };
                if session.binary(frame).await.is_err() {
                    return;
                }
            }
            message = stream.next() => match message {
                Some(Ok(AggregatedMessage::Binary(frame))) => copy(room, &frame),
                Some(Ok(AggregatedMessage::Ping(payload))) => {
                    if session.pong(&payload).await.is_err() {
                        return;
                    }
                }
                Some(Ok(AggregatedMessage::Text(_) | AggregatedMessage::Pong(_))) => {}
                Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => return,
            }
        }
    }
}

fn copy(room: &Mutex<Room>, frame: &Bytes) {
    // A full queue ends its socket: the queue's only sender goes, and with it the task.
    lock(room).sockets.retain(|(_, queue)| {
        let kept = queue.try_send(frame.clone()).is_ok();
        if !kept {
            eprintln!("the relay dropped a socket that was {QUEUE_FRAMES} frames behind");
        }
        kept
    });
}

fn leave(relay: &Relay, path: &str, room: &Mutex<Room>, key: u64) {
    let mut rooms = lock(&relay.rooms);
    let mut room = lock(room);
    room.sockets.retain(|(other, _)| *other != key);
    if room.sockets.is_empty() {
        rooms.remove(path);
    }
}

/// A panic elsewhere leaves the list whole, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
