//! The processes that serve one store, and the bus between them, which loses, delays, repeats and reorders what it is
//! given.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify, time::sleep};

use super::{
    server::Server,
    world::{World, lock},
};
use crate::{
    bus::{Bus, Notice},
    room::registry::Registry,
};

/// Of a hundred notices that arrive, so many come twice.
const REPEATED: u64 = 5;

pub struct Nodes {
    servers: Vec<Server>,
    wire: Option<Arc<Wire>>,
    /// A node ends itself, as the disk failed to confirm a write.
    pub fatal: Arc<Notify>,
}

impl Nodes {
    pub fn start(world: &Arc<World>) -> Self {
        let count = usize::from(world.scenario.nodes);
        let wire = (count > 1).then(|| {
            Arc::new(Wire {
                world: world.clone(),
                ends: Mutex::new((0..count).map(|_| Weak::new()).collect()),
            })
        });
        let mut nodes = Self {
            servers: Vec::with_capacity(count),
            wire,
            fatal: Arc::default(),
        };
        for node in 0..count {
            let server = nodes.process(world, node);
            nodes.servers.push(server);
        }
        nodes
    }

    /// Kills the process of a node and starts another one in its place.
    pub fn replace(&mut self, world: &Arc<World>, node: usize) {
        self.servers[node].kill();
        self.servers[node] = self.process(world, node);
    }

    fn process(&self, world: &World, node: usize) -> Server {
        let end = |wire: &Arc<Wire>| -> Arc<dyn Bus> {
            Arc::new(End {
                node,
                wire: wire.clone(),
            })
        };
        let server = Server::start(world, self.wire.as_ref().map(end), self.fatal.clone());
        if let Some(wire) = &self.wire {
            lock(&wire.ends)[node] = Arc::downgrade(&server.registry);
        }
        server
    }

    pub fn get(&self, node: usize) -> &Server {
        &self.servers[node]
    }

    pub fn all(&self) -> &[Server] {
        &self.servers
    }
}

struct Wire {
    world: Arc<World>,
    ends: Mutex<Vec<Weak<Registry>>>,
}

/// The bus as one node sees it.
struct End {
    node: usize,
    wire: Arc<Wire>,
}

impl Bus for End {
    fn publish(&self, notice: Notice) {
        let world = &self.wire.world;
        for (node, to) in lock(&self.wire.ends).iter().enumerate() {
            if node == self.node || world.chance(world.scenario.bus_loses) {
                continue;
            }
            for _ in 0..=u64::from(world.chance(REPEATED)) {
                // A node that is killed meanwhile is not there to hear it.
                let (to, notice, delay) = (to.clone(), notice.clone(), world.latency());
                world.note(|| {
                    let Notice { doc, from, to, .. } = &notice;
                    format!("{node} will be told of {doc} {from} to {to} in {delay:?}")
                });
                Handle::current().spawn(deliver(to, notice, delay));
            }
        }
    }
}

async fn deliver(to: Weak<Registry>, notice: Notice, delay: Duration) {
    sleep(delay).await;
    if let Some(registry) = to.upgrade() {
        registry.hear(notice);
    }
}
