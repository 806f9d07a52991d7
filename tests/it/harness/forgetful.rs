//! A WebSocket relay that throws chosen messages away and tells nobody, as no network and no server may. Controls put it
//! between a client and the server, to show that a checker reports what is missing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    accept_hdr_async, connect_async,
    tungstenite::{
        self, Message as Frame,
        handshake::server::{Callback, ErrorResponse, Request, Response},
    },
};

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

pub struct Forgetful {
    address: SocketAddr,
    plan: Arc<Plan>,
}

/// Which messages are thrown away.
struct Plan {
    way: Way,
    kind: [u8; 2],
    which: Box<dyn Fn(usize) -> bool + Send + Sync>,
    seen: AtomicUsize,
    forgotten: AtomicUsize,
}

impl Forgetful {
    /// Asks `which` for every message of this kind that goes this way, numbered from 1 over all connections.
    pub async fn to(
        server: SocketAddr,
        way: Way,
        kind: [u8; 2],
        which: impl Fn(usize) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Plan {
            way,
            kind,
            which: Box::new(which),
            seen: AtomicUsize::new(0),
            forgotten: AtomicUsize::new(0),
        });
        let planned = plan.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, planned.clone()));
            }
        });
        Self { address, plan }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    pub fn socket(&self, doc: &str) -> String {
        format!("{}/{doc}", self.url())
    }

    /// How many messages were thrown away.
    pub fn forgotten(&self) -> usize {
        self.plan.forgotten.load(Ordering::SeqCst)
    }
}

impl Plan {
    fn forgets(&self, way: Way, message: &[u8]) -> bool {
        if way != self.way || !message.starts_with(&self.kind) {
            return false;
        }
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        let forgets = (self.which)(number);
        self.forgotten
            .fetch_add(usize::from(forgets), Ordering::SeqCst);
        forgets
    }
}

/// Takes note of what is asked for.
struct Target<'a>(&'a mut String);

impl Callback for Target<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        *self.0 = request.uri().to_string();
        Ok(response)
    }
}

/// One connection, until either side ends it.
async fn relay(client: TcpStream, server: SocketAddr, plan: Arc<Plan>) {
    let mut target = String::new();
    let Ok(client) = accept_hdr_async(client, Target(&mut target)).await else {
        return;
    };
    let Ok((server, _)) = connect_async(format!("ws://{server}{target}")).await else {
        return;
    };
    let (to_client, from_client) = client.split();
    let (to_server, from_server) = server.split();
    tokio::select! {
        () = pass(from_client, to_server, &plan, Way::ToServer) => {}
        () = pass(from_server, to_client, &plan, Way::ToClient) => {}
    }
}

async fn pass(
    mut from: impl Stream<Item = Result<Frame, tungstenite::Error>> + Unpin,
    mut to: impl Sink<Frame> + Unpin,
    plan: &Plan,
    way: Way,
) {
    while let Some(Ok(frame)) = from.next().await {
        let forgotten = matches!(&frame, Frame::Binary(message) if plan.forgets(way, message));
        if !forgotten && to.send(frame).await.is_err() {
            return;
        }
    }
}
