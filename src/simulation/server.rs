//! One process of the server: everything between the sockets and the disk, as `app` puts it together.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    disk::DiskStore,
    world::{World, lock},
};
use crate::{
    bus::Bus,
    clock::{Clock, UnixMillis},
    converge::random::Random,
    health::Health,
    lifecycle::{Lifecycle, Tasks, Turn},
    metrics::Metrics,
    room::{
        bell::Bells,
        registry::{Registry, Services},
        writer::Writer,
    },
    store::Store,
};

/// One process of the server.
pub struct Server {
    pub registry: Arc<Registry>,
    pub metrics: Arc<Metrics>,
    tasks: Tasks,
    killed: Arc<AtomicBool>,
}

/// Wall time, which may jump.
#[derive(Default)]
pub struct SimulatedClock(AtomicI64);

impl SimulatedClock {
    pub fn jump(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> UnixMillis {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl Server {
    pub fn start(world: &World, bus: Option<Arc<dyn Bus>>, fatal: Arc<Notify>) -> Self {
        let lifecycle = Lifecycle::new(tokio::runtime::Handle::current());
        let killed = Arc::new(AtomicBool::new(false));
        // A task lets others go first one time in three.
        let order = Mutex::new(Random::new(world.below(u64::MAX)));
        let turn = {
            let killed = killed.clone();
            move || match lock(&order).below(3) {
                _ if killed.load(Ordering::Relaxed) => Turn::Never,
                0 => Turn::Waits,
                _ => Turn::Goes,
            }
        };
        let tasks = lifecycle.tasks().clone().shuffled(turn);
        let health = Health::default();
        let metrics = Arc::new(Metrics::new(health.clone()));
        let store: Arc<dyn Store> = Arc::new(DiskStore(world.disk.clone()));
        let bells = Bells::new(1);
        let writer = Arc::new(Writer::new(
            bells.clone(),
            store.clone(),
            world.clock.clone(),
            health,
            metrics.clone(),
            Box::new(move |_| fatal.notify_one()),
        ));
        drop(tasks.spawn(writer.clone().run()));
        let registry = Registry::new(Arc::new(Services {
            store,
            bus,
            writer,
            clock: world.clock.clone(),
            metrics: metrics.clone(),
            limits: Arc::new(world.scenario.limits.clone()),
            bells,
            idle_unload: world.scenario.idle_unload,
            started: Instant::now(),
            tasks: tasks.clone(),
        }));
        Self {
            registry,
            tasks,
            metrics,
            killed,
        }
    }

    /// Ends the process without a word.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(task).abort_handle()
    }
}
