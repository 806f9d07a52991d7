//! Lets a socket in: the document's name, the limits on how many there may be, and the handshake.
//!
//! Host and Origin were checked before this is called, as for every other request.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse, body::MessageBody as _, http::header::SEC_WEBSOCKET_PROTOCOL,
    web::Payload,
};
use rustc_hash::FxHashMap;

use super::{
    body::{Signals, SocketBody},
    inbound::Inbound,
    line::{self, Frames},
    rate::RateLimit,
    session::Connection,
    wire::Tap,
};
use crate::{
    document::id::{DocId, DocIdError},
    lifecycle::Tasks,
    metrics::{Metrics, SocketRefusal},
    protocol::Dialect,
    room::{bell::Bell, event::Join, outbox::Outbox, registry::Registry},
    store::Epoch,
};

/// How many sockets there may be, and what each may send.
#[derive(Debug, Clone)]
pub struct SocketLimits {
    pub rate: RateLimit,
    /// Largest document message, in bytes.
    pub message_bytes: usize,
    pub sockets: usize,
    /// Sockets of one address; 0 for no limit.
    pub sockets_per_address: usize,
    /// How often a quiet socket is looked after.
    pub ping_interval: Duration,
    pub dead_after: Duration,
}

/// Frames up to this much above the message limit are still read, so that a message that is too large can be refused
/// by name instead of by a close, after which stock clients would send it again and again.
const READ_BEYOND: usize = 4;

/// All open sockets.
pub struct Sockets {
    registry: Arc<Registry>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    limits: SocketLimits,
    open: AtomicUsize,
    by_address: Mutex<FxHashMap<IpAddr, usize>>,
}

/// Why a socket was not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Name(#[from] DocIdError),
    #[error("the server is stopping; try again in a moment")]
    Draining,
    #[error("there are {0} sockets already, which is the limit (max_sockets); try again later")]
    TooMany(usize),
    #[error(
        "there are {0} sockets from this address already, which is the limit (max_sockets_per_address)"
    )]
    TooManyFromAddress(usize),
    #[error("this is not a WebSocket handshake")]
    Handshake(#[source] actix_web::Error),
}

/// What the query string of a socket may say. Stock clients say nothing.
#[derive(Debug, Default, serde::Deserialize)]
struct Query {
    /// `coscribe` for our own page, which understands private messages.
    client: Option<String>,
    /// The epoch that the client's copy belongs to.
    epoch: Option<String>,
}

impl Sockets {
    pub fn new(
        registry: Arc<Registry>,
        tasks: Tasks,
        metrics: Arc<Metrics>,
        limits: SocketLimits,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            tasks,
            metrics,
            limits,
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
        })
    }

    /// Answers the handshake and starts the socket's task. `raw_name` is the path after `/ws/` as it was sent;
    /// `author` is who is written into the log, where that is known.
    pub fn open(
        self: &Arc<Self>,
        request: &HttpRequest,
        body: Payload,
        raw_name: &str,
        author: Option<Arc<str>>,
    ) -> Result<HttpResponse, Refused> {
        let doc =
            DocId::from_raw_path(raw_name).inspect_err(|_| self.count(SocketRefusal::BadName))?;
        let slot = self.slot(request.peer_addr().map(|address| address.ip()))?;
        let query = actix_web::web::Query::<Query>::from_query(request.query_string())
            .map(actix_web::web::Query::into_inner)
            .unwrap_or_default();
        // The first subprotocol is echoed: browsers fail a handshake in which none that they offered comes back.
        let offered = request
            .headers()
            .get(SEC_WEBSOCKET_PROTOCOL)
            .and_then(|value| value.to_str().ok());
        let protocols: Vec<&str> = offered
            .iter()
            .filter_map(|list| list.split(',').next())
            .map(str::trim)
            .collect();
        let largest = self.limits.message_bytes.saturating_mul(READ_BEYOND);
        let (inbound, body) = Inbound::take(request, body, largest).map_err(Refused::Handshake)?;
        let (response, session, stream) =
            actix_ws::handle_with_protocols(request, body, &protocols)
                .map_err(Refused::Handshake)?;
        let stream = stream
            .max_frame_size(largest)
            .aggregate_continuations()
            .max_continuation_size(largest);

        let dialect = match query.client.as_deref() {
            Some("coscribe") => Dialect::Coscribe,
            _ => Dialect::YWebsocket,
        };
        let peer = self.registry.next_peer();
        let outbox = Arc::new(Outbox::with_bell(self.bell(), peer));
        let epoch = query.epoch.and_then(|epoch| epoch.parse::<Epoch>().ok());
        let join = Join {
            peer,
            outbox: outbox.clone(),
            dialect,
            author,
            epoch,
        };
        let mailbox = self.registry.join(&doc, join).map_err(|_| {
            self.count(SocketRefusal::Draining);
            Refused::Draining
        })?;
        let signals = Signals::new();
        let response = response.map_body(|_, control| {
            let frames = Frames {
                peer,
                mailbox: mailbox.clone(),
                outbox: outbox.clone(),
                dialect,
                signals: signals.clone(),
            };
            SocketBody::new(frames, control, request.conn_data::<Tap>().cloned()).boxed()
        });
        let connection = Connection {
            peer,
            mailbox,
            outbox,
            rate: self.limits.rate,
            ping_interval: self.limits.ping_interval,
            dead_after: self.limits.dead_after,
        };
        self.metrics.sockets_opened.inc();
        drop(
            self.tasks
                .spawn_local(connection.run(signals, session, inbound, stream, slot)),
        );
        Ok(response)
    }

    fn slot(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Slot, Refused> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limits.sockets {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.count(SocketRefusal::TotalLimit);
            return Err(Refused::TooMany(self.limits.sockets));
        }
        self.metrics.sockets.inc();
        self.metrics.peers.inc();
        let limit = self.limits.sockets_per_address;
        let mut slot = Slot {
            sockets: self.clone(),
            address: None,
        };
        if let Some(address) = address.filter(|_| limit > 0) {
            let mut by_address = self.addresses();
            let count = by_address.entry(address).or_default();
            if *count >= limit {
                drop(by_address);
                self.count(SocketRefusal::AddressLimit);
                return Err(Refused::TooManyFromAddress(limit));
            }
            *count += 1;
            slot.address = Some(address);
        }
        Ok(slot)
    }

    /// The bell of this worker thread.
    fn bell(&self) -> Arc<Bell> {
        self.registry.services().bells.own(|bell| {
            // Not one of the tasks that are waited for: it ends with its worker.
            drop(tokio::task::spawn_local(bell.pump(line::call)));
        })
    }

    fn count(&self, reason: SocketRefusal) {
        self.metrics.sockets_refused.inc(reason);
    }

    fn addresses(&self) -> MutexGuard<'_, FxHashMap<IpAddr, usize>> {
        // No code below the lock can leave the map half changed.
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket's place among those that may be open.
struct Slot {
    sockets: Arc<Sockets>,
    address: Option<IpAddr>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.sockets.open.fetch_sub(1, Ordering::Relaxed);
        self.sockets.metrics.sockets.dec();
        self.sockets.metrics.peers.dec();
        if let Some(address) = self.address {
            let mut by_address = self.sockets.addresses();
            if let Some(count) = by_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}
