//! The composition root: the one place that knows every concrete type, and the order in which they start and stop.
//!
//! Start: lock and open the store, then the writer, the rooms' registry, HTTP and sockets. Stop: take no new sockets,
//! commit and end every room (which closes its sockets with 1012), stop HTTP, close the store. A pool that closed
//! before the last commit would lose it; an actix worker that stopped before its sockets would end them without a code.

mod library;
mod retention;

use std::{
    future::ready,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, Protocol};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    HttpRequest, HttpResponse, HttpServer,
    dev::{AppConfig, Server, ServerHandle},
    rt::net::TcpStream,
    web,
};
use anyhow::Context as _;
use tokio::time::Instant;

use crate::{
    auth::actor::Actor,
    clock::{Clock, SystemClock},
    config::{self, Config},
    document::scan::ScanLimits,
    health::Health,
    history::History,
    http::{self, Http, Problem},
    lifecycle::{DRAIN_DEADLINE, Finish, Lifecycle},
    metrics::Metrics,
    room::{
        bell::Bells,
        limits::RoomLimits,
        registry::{Registry, Services},
        writer::Writer,
    },
    store::{
        Durability, Store, StoreError,
        sqlite::{SqliteOptions, SqliteStore},
    },
    ws::{
        rate::RateLimit,
        upgrade::{Refused, SocketLimits, Sockets},
        wire::Wire,
    },
};

/// Connections that the kernel holds while all workers are busy: everybody comes back within 2.5 s of a restart.
const BACKLOG: i32 = 4_096;
/// A peer whose machine is gone is given up by the kernel after this long without any acknowledgement. Shorter would end
/// sockets of people whose laptop is merely busy.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(150);
/// What the kernel may hold for one socket: with the default, megabytes wait for each peer that does not read.
const SEND_BUFFER: usize = 256 << 10;
/// How long a connection whose request was not read to its end stays open. Not at all: a WebSocket is such a connection,
/// its client waits for the server to close, and each would stay for a second with all its memory. Bodies that were not
/// read are drained by `http::unread`.
const LINGER: Duration = Duration::ZERO;
/// Rooms get this long to commit; what remains of the drain deadline is for closing the rest.
const ROOMS_DEADLINE: Duration = Duration::from_secs(8);

/// A server that is ready to run.
pub struct App {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    lifecycle: Lifecycle,
    health: Health,
    registry: Arc<Registry>,
    store: Arc<dyn Store>,
    servers: Vec<ServerHandle>,
}

impl App {
    /// Opens the store, binds the address and starts to serve.
    pub async fn start(config: &Config, lifecycle: Lifecycle) -> anyhow::Result<Self> {
        let listener = bind(config.listen)?;
        let metrics_listener = config.metrics_listen.map(bind).transpose()?;
        let durability = match config.durability {
            config::Durability::Full => Durability::Full,
            config::Durability::Process => Durability::Process,
        };
        let store = SqliteStore::open(SqliteOptions {
            data_dir: config.data_dir.clone(),
            durability,
        })
        .await?;
        let store: Arc<dyn Store> = Arc::new(store);

        let health = Health::default();
        let metrics = Metrics::new(health.clone());
        let shared_metrics = Arc::new(metrics.clone());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bells = Bells::new(workers(config));
        let writer = Arc::new(Writer::new(
            bells.clone(),
            store.clone(),
            clock.clone(),
            health.clone(),
            shared_metrics.clone(),
            Box::new(end_at_once),
        ));
        // The writer outlives every room and is not waited for: it ends with the process.
        drop(lifecycle.tasks().main().spawn(writer.clone().run()));

        let registry = Registry::new(Arc::new(Services {
            store: store.clone(),
            // One process owns the data directory.
            bus: None,
            writer,
            clock: clock.clone(),
            metrics: shared_metrics.clone(),
            limits: Arc::new(room_limits(config)),
            bells,
            idle_unload: config.timing.idle_unload,
            started: Instant::now(),
            tasks: lifecycle.tasks().clone(),
        }));
        let library = Arc::new(library::RoomLibrary::new(registry.clone()));
        let history = Arc::new(History::new(store.clone(), room_limits(config).scan));
        let ages = retention::ages(&config.retention);
        if !ages.is_empty() {
            let retention = retention::Retention {
                store: store.clone(),
                library: library.clone(),
                history: history.clone(),
                clock: clock.clone(),
                ages,
            };
            drop(
                lifecycle
                    .tasks()
                    .main()
                    .spawn(retention.run(lifecycle.soft().clone())),
            );
        }
        let http = Http::new(config, library, history, clock, health.clone(), metrics);
        let sockets = Sockets::new(
            registry.clone(),
            lifecycle.tasks().clone(),
            shared_metrics,
            socket_limits(config),
        );

        let address = listener.local_addr()?;
        let metrics_address = metrics_listener
            .as_ref()
            .map(TcpListener::local_addr)
            .transpose()?;
        let mut servers = Vec::new();
        let server = serve(config, &http, &sockets, listener)?;
        servers.push(server.handle());
        drop(lifecycle.tasks().spawn(server));
        if let Some(listener) = metrics_listener {
            let http = http.clone();
            let server = HttpServer::new(move || http::metrics_application(&http))
                .workers(1)
                .disable_signals()
                .listen(listener)?
                .run();
            servers.push(server.handle());
            drop(lifecycle.tasks().spawn(server));
        }
        Ok(Self {
            address,
            metrics_address,
            lifecycle,
            health,
            registry,
            store,
            servers,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` is served, when that is an address of its own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Serves until it is told to stop, and then ends in order.
    pub async fn run(self) -> Finish {
        let Self {
            lifecycle,
            health,
            registry,
            store,
            servers,
            ..
        } = self;
        let unsaved = lifecycle.unsaved().clone();
        let drain = async move {
            health.drain();
            let left = registry.drain(ROOMS_DEADLINE).await;
            if left > 0 {
                let bytes = registry.services().metrics.uncommitted_bytes.get();
                unsaved.report(u64::try_from(bytes).unwrap_or(0));
            }
            for server in servers {
                server.stop(true).await;
            }
            if let Err(error) = store.close().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the store did not close cleanly"
                );
            }
        };
        lifecycle.run(DRAIN_DEADLINE, drain).await
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let listen = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    listen().with_context(|| {
        format!("can not listen on {address}; choose another address with --listen, or stop what uses this one")
    })
}

fn serve(
    config: &Config,
    http: &Http,
    sockets: &Arc<Sockets>,
    listener: TcpListener,
) -> anyhow::Result<Server> {
    let (http, sockets) = (http.clone(), web::Data::from(sockets.clone()));
    let workers = workers(config);
    let address = listener.local_addr()?;
    let builder = Server::build();
    let stopping = builder.graceful_shutdown_signal();
    // As `HttpServer` does it, but over a stream of ours.
    let connection = move || {
        let (sockets, stopping) = (sockets.clone(), stopping.clone());
        let routes = http::application(&http, move |routes| {
            routes
                .app_data(sockets)
                .route("/ws/{doc:.*}", web::get().to(upgrade));
        });
        let routes = routes
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        let service = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(Duration::from_secs(30))
            .client_request_timeout(Duration::from_secs(10))
            .client_disconnect_timeout(LINGER)
            .local_addr(address)
            .on_connect_ext(|wire: &Wire, data| {
                data.insert(wire.tap());
            })
            .finish(map_config(routes, |()| AppConfig::default()));
        fn_service(|stream: TcpStream| {
            tune(&stream);
            let peer = stream.peer_addr().ok();
            ready(Ok((Wire::new(stream), Protocol::Http1, peer)))
        })
        .and_then(service)
    };
    let server = builder
        .workers(workers)
        .worker_max_blocking_threads(1)
        .max_concurrent_connections(config.limits.max_sockets + 1_000)
        .backlog(BACKLOG.unsigned_abs())
        .shutdown_timeout(1)
        .disable_signals()
        .listen("http", listener, connection)?;
    Ok(server.run())
}

/// Threads that serve HTTP and sockets. By default half of the cores: the rooms and SQLite need as many, and the fewer workers
/// a document's sockets are on, the fewer are woken for an edit.
fn workers(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    config.workers.map_or(cores.div_ceil(2), usize::from)
}

/// Options of one connection. A failure of any costs comfort, not correctness.
fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT)))
        .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER));
    if let Err(error) = tuned {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a socket option could not be set"
        );
    }
}

async fn upgrade(
    request: HttpRequest,
    body: web::Payload,
    sockets: web::Data<Sockets>,
) -> Result<HttpResponse, Problem> {
    use actix_web::http::StatusCode;
    // The raw path, as the router's own decoding leaves `%2F` alone and replaces what is not UTF-8.
    let raw_name = request
        .uri()
        .path()
        .strip_prefix("/ws/")
        .unwrap_or_default();
    let author = Actor::from_headers(request.headers()).map(|actor| actor.as_str().into());
    sockets
        .open(&request, body, raw_name, author)
        .map_err(|refused| {
            let detail = refused.to_string();
            match refused {
                Refused::Name(_) => Problem::bad_request("bad-name", detail),
                Refused::Handshake(_) => Problem::bad_request("not-a-websocket", detail),
                Refused::Draining => {
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail).retry_after(1)
                }
                Refused::TooMany(limit) | Refused::TooManyFromAddress(limit) => {
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-sockets", detail)
                        .limit(limit as u64)
                        .retry_after(5)
                }
            }
        })
}

fn room_limits(config: &Config) -> RoomLimits {
    let limits = &config.limits;
    RoomLimits {
        scan: ScanLimits {
            max_structs: limits.max_structs_per_update,
            ..ScanLimits::default()
        },
        message_bytes: limits.max_message_bytes,
        document_bytes: limits.max_document_bytes,
        awareness_bytes: limits.max_awareness_bytes,
        uncommitted_bytes: limits.max_uncommitted_bytes_per_document,
        uncommitted_bytes_in_all: limits.max_uncommitted_bytes,
        type_depth: u32::try_from(limits.max_type_depth).unwrap_or(u32::MAX),
        outbox_bytes: limits.outbox_bytes,
        peers: limits.max_sockets_per_document,
        compact_rows: config.compaction.after_rows,
        compact_bytes: config.compaction.after_bytes,
        ..RoomLimits::default()
    }
}

fn socket_limits(config: &Config) -> SocketLimits {
    let limits = &config.limits;
    SocketLimits {
        rate: RateLimit {
            messages: limits.max_messages_per_second,
            bytes: u32::try_from(limits.max_bytes_per_second).unwrap_or(u32::MAX),
            burst_seconds: 3,
        },
        message_bytes: limits.max_message_bytes,
        sockets: limits.max_sockets,
        sockets_per_address: limits.max_sockets_per_address.unwrap_or(0),
        ping_interval: config.timing.ping_interval,
        dead_after: config.timing.dead_socket_timeout,
    }
}

/// The disk failed to confirm a write: what it holds is unknown, and asking it again may be answered with a lie. The
/// process ends without acknowledging anything; the next start reads what is really there.
#[expect(
    clippy::exit,
    reason = "nothing may run on: every further answer could be false"
)]
fn end_at_once(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "ending at once, so that nothing false is acknowledged"
    );
    std::process::exit(1);
}
