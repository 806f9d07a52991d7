//! Our server without its sockets: the rooms, the writer and compaction on a real SQLite file, in a runtime of its own
//! that can be dropped with all it holds.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use coscribe::{
    clock::{Clock, SystemClock},
    document::{id::DocId, replica::Replica},
    health::Health,
    lifecycle::Lifecycle,
    metrics::Metrics,
    room::{
        bell::Bells,
        compaction,
        event::{Command, Event, Join, PeerId},
        limits::RoomLimits,
        mailbox::Mailbox,
        outbox::Outbox,
        registry::{Registry, Services},
        writer::Writer,
    },
    store::{
        Durability, Loaded, Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use tokio::{runtime::Runtime, sync::oneshot, time::Instant};

/// How long anything may take; far above what it takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rows that start a compaction: so few that most sessions see several.
const COMPACT_ROWS: u64 = 7;

pub struct Server {
    runtime: Runtime,
    registry: Arc<Registry>,
    store: Arc<dyn Store>,
    limits: RoomLimits,
    metrics: Arc<Metrics>,
}

/// What the store holds of a document.
pub struct Kept {
    pub replica: Replica,
    /// The snapshot and the rows after it.
    pub updates: Vec<Bytes>,
    pub has_snapshot: bool,
}

impl Server {
    pub fn start(data_dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let options = SqliteOptions {
            data_dir: data_dir.to_owned(),
            durability: Durability::Process,
        };
        let store: Arc<dyn Store> = Arc::new(runtime.block_on(SqliteStore::open(options)).unwrap());
        let limits = RoomLimits {
            compact_rows: COMPACT_ROWS,
            ..RoomLimits::default()
        };
        let health = Health::default();
        let metrics = Arc::new(Metrics::new(health.clone()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bells = Bells::new(1);
        let writer = Arc::new(Writer::new(
            bells.clone(),
            store.clone(),
            clock.clone(),
            health,
            metrics.clone(),
            Box::new(|error| panic!("the disk does not confirm: {error}")),
        ));
        let lifecycle = Lifecycle::new(runtime.handle().clone());
        drop(lifecycle.tasks().spawn(writer.clone().run()));
        let _inside = runtime.enter();
        let registry = Registry::new(Arc::new(Services {
            store: store.clone(),
            bus: None,
            writer,
            clock,
            metrics: metrics.clone(),
            limits: Arc::new(limits.clone()),
            bells,
            idle_unload: Duration::ZERO,
            started: Instant::now(),
            tasks: lifecycle.tasks().clone(),
        }));
        drop(_inside);
        Self {
            runtime,
            registry,
            store,
            limits,
            metrics,
        }
    }

    /// Ends the process, as far as one can within another: rooms end as they are, or are drained first.
    pub fn stop(self, drained: bool) {
        if drained {
            let left = self.runtime.block_on(self.registry.drain(PATIENCE));
            assert_eq!(left, 0, "rooms that did not end");
        }
        assert_eq!(
            self.metrics.compactions_failed.get(),
            0,
            "a compaction failed"
        );
        assert_eq!(self.metrics.room_restarts.get(), 0, "a room broke");
        self.runtime.shutdown_timeout(PATIENCE);
        // The database is closed by somebody else, as the runtime that would have done it is gone.
        let closer = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        closer.block_on(self.store.close()).unwrap();
    }

    pub fn join(&self, doc: &DocId, dialect: coscribe::protocol::Dialect) -> Connection {
        let peer = self.registry.next_peer();
        let outbox = Arc::new(Outbox::default());
        let join = Join {
            peer,
            outbox: outbox.clone(),
            dialect,
            author: None,
            epoch: None,
        };
        let mailbox = self.registry.join(doc, join).unwrap();
        Connection {
            peer,
            outbox,
            mailbox,
        }
    }

    pub fn send(&self, connection: &Connection, event: Event) -> Result<(), String> {
        let bytes = event.bytes();
        self.runtime
            .block_on(connection.mailbox.send(event, bytes))
            .map_err(|error| error.to_string())
    }

    /// The state as an export has it: what was sent before is handled and durable, and everybody's outbox holds it.
    pub fn export(&self, doc: &DocId) -> Result<Bytes, String> {
        let (reply, answer) = oneshot::channel();
        self.registry
            .command(doc, Command::Export(reply))
            .map_err(|error| error.to_string())?;
        let answer = async { tokio::time::timeout(PATIENCE, answer).await };
        let answer = self
            .runtime
            .block_on(answer)
            .map_err(|_| "no export within 10 s")?;
        answer.map_err(|_| "the room ended without an export".into())
    }

    /// Waits until no room is open.
    pub fn until_unloaded(&self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !self.registry.is_empty() {
            assert!(
                std::time::Instant::now() < deadline,
                "a room without peers stays"
            );
            self.runtime
                .block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        }
    }

    /// A fresh load from the store.
    pub fn kept(&self, doc: &DocId) -> Result<Kept, String> {
        let loaded = self
            .runtime
            .block_on(self.store.load(doc))
            .map_err(|error| error.to_string())?;
        let stored = match loaded {
            Loaded::Live(stored) => stored,
            Loaded::Absent => {
                return Ok(Kept {
                    replica: Replica::default(),
                    updates: Vec::new(),
                    has_snapshot: false,
                });
            }
            other => return Err(format!("the store holds {other:?}")),
        };
        let replica = compaction::replay(&stored, &self.limits.scan)
            .map_err(|error| format!("the log does not replay: {error}"))?;
        let has_snapshot = stored.snapshot.is_some();
        let updates = stored
            .snapshot
            .into_iter()
            .map(|snapshot| snapshot.bytes)
            .chain(stored.tail.into_iter().map(|row| row.row.bytes))
            .collect();
        Ok(Kept {
            replica,
            updates,
            has_snapshot,
        })
    }

    /// Folds the log of a document now.
    pub fn compact(&self, doc: &DocId) -> Result<(), String> {
        self.runtime
            .block_on(compaction::compact(&self.store, doc, &self.limits.scan))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    pub fn compactions(&self) -> u64 {
        self.metrics.compactions.get()
    }
}

/// One peer in the room of a document.
pub struct Connection {
    pub peer: PeerId,
    pub outbox: Arc<Outbox>,
    mailbox: Arc<Mailbox>,
}
