//! The bare relay: what the same framework costs when it does nothing but copy frames. Every binary frame goes to every
//! socket of the same path, the sender's included, as one shared buffer. No document, no disk, no handshake. One task
//! per socket, and one bounded queue: the one that actix-ws has by itself, as a second one would only cost a second
//! wake-up per frame. A full queue makes the sender wait, so nothing is dropped.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{self, Bytes, Data, Payload},
};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Session};
use anyhow::{Context, Result};
use clap::Args;
use futures_util::StreamExt;
use tokio::sync::Mutex;

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

/// Everyone on one path, each by the sending end of its queue; the key tells a leaving socket from its successors. The
/// lock is held while a frame is handed round, so all sockets see all frames in one order.
#[derive(Default)]
struct Room {
    sockets: Vec<(u64, Session)>,
    next_key: u64,
}

struct Relay {
    rooms: std::sync::Mutex<HashMap<String, Arc<Mutex<Room>>>>,
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
        rooms: std::sync::Mutex::default(),
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
    let room = Arc::clone(relay.rooms().entry(path.clone()).or_default());
    let key = room.lock().await.enter(session.clone());
    actix_web::rt::spawn(async move {
        serve(session, stream, &room, relay.greeting.clone()).await;
        relay.leave(&path, room, key).await;
    });
    Ok(response)
}

/// One socket's task: takes what comes in and hands it round.
async fn serve(
    mut session: Session,
    mut stream: AggregatedMessageStream,
    room: &Mutex<Room>,
    greeting: Option<Bytes>,
) {
    if let Some(greeting) = greeting
        && session.binary(greeting).await.is_err()
    {
        return;
    }
    while let Some(Ok(message)) = stream.next().await {
        match message {
            AggregatedMessage::Binary(frame) => room.lock().await.copy(&frame).await,
            AggregatedMessage::Ping(payload) => {
                if session.pong(&payload).await.is_err() {
                    return;
                }
            }
            AggregatedMessage::Text(_) | AggregatedMessage::Pong(_) => {}
            AggregatedMessage::Close(_) => return,
        }
    }
}

impl Room {
    fn enter(&mut self, session: Session) -> u64 {
        self.next_key += 1;
        self.sockets.push((self.next_key, session));
        self.next_key
    }

    /// A queue that is full makes the room wait; one whose socket is gone is left to its own task.
    async fn copy(&mut self, frame: &Bytes) {
        for (_, session) in &mut self.sockets {
            drop(session.binary(frame.clone()).await);
        }
    }
}

impl Relay {
    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Arc<Mutex<Room>>>> {
        // A panic elsewhere leaves the map whole, so a poisoned lock is as good as another.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn leave(&self, path: &str, room: Arc<Mutex<Room>>, key: u64) {
        room.lock().await.sockets.retain(|(other, _)| *other != key);
        let mut rooms = self.rooms();
        // The map's and this one: nobody is in the room, and nobody can be on the way in while the map is locked.
        if Arc::strong_count(&room) == 2 {
            rooms.remove(path);
        }
    }
}
