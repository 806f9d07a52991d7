//! How the process ends: signals, the two stop tokens, the tasks to wait for, and the deadline.
//!
//! ```text
//! running ──signal──▶ draining (soft) ──tasks ended──▶ done
//!                        │ second signal or deadline
//!                        ▼
//!                     aborted (hard) ──▶ done
//! ```
//!
//! *Soft* means: take no new sockets, commit what was received, close. *Hard* means: stop waiting. What is done in the
//! drain, and in which order, is the application's; this module owns when it starts, how long it may take, and what the
//! process says about it at the end. Every task of the server is spawned here, so that the end waits for it.

use std::{
    future::Future,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a drain may take; service managers kill after 10 to 90 s.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Shared by everything that runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: Tasks,
    unsaved: Unsaved,
}

/// Where tasks are spawned, so that the end can wait for them.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    /// An actix worker has a runtime of its own that dies with it; what serves everybody runs on this one.
    main: Handle,
    #[cfg(test)]
    order: Option<shuffled::Order>,
}

/// Tells at the end whether something that was received is not durable.
#[derive(Debug, Clone, Default)]
pub struct Unsaved(Arc<UnsavedState>);

#[derive(Debug, Default)]
struct UnsavedState {
    any: AtomicBool,
    bytes: AtomicU64,
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Everything was committed and every task ended.
    Clean,
    /// Every task ended, but this many received bytes could not be committed.
    Unsaved { bytes: u64 },
    /// The deadline or a second signal came before this many tasks ended.
    Aborted { tasks: usize },
}

impl Lifecycle {
    /// `main` is the runtime that outlives all workers.
    pub fn new(main: Handle) -> Self {
        Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            tasks: Tasks {
                tracker: TaskTracker::new(),
                main,
                #[cfg(test)]
                order: None,
            },
            unsaved: Unsaved::default(),
        }
    }

    /// Cancelled when the drain begins.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when nothing is waited for any more.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    pub fn is_draining(&self) -> bool {
        self.soft.is_cancelled()
    }

    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub fn unsaved(&self) -> &Unsaved {
        &self.unsaved
    }

    /// Begins the drain, as the first signal does.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Ends the drain, as the second signal does.
    pub fn abort(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Takes SIGTERM and SIGINT from now on: the first begins the drain, the second aborts it. The task is not one of
    /// those that are waited for.
    ///
    /// # Errors
    /// When the handlers can not be installed.
    pub fn watch_signals(&self) -> std::io::Result<()> {
        let _in_runtime = self.tasks.main.enter();
        let mut signals = Signals::new()?;
        let lifecycle = self.clone();
        let watcher = async move {
            let signal = signals.next().await;
            tracing::info!(
                signal,
                "stopping: no new sockets, committing what was received"
            );
            lifecycle.stop();
            let signal = signals.next().await;
            tracing::warn!(signal, "aborting without waiting for the rest");
            lifecycle.abort();
        };
        // Not a tracked task: it waits for a second signal that usually never comes.
        drop(self.tasks.main.spawn(watcher));
        Ok(())
    }

    /// Waits for the stop, runs `drain`, and waits for all tasks, until the deadline or a second signal.
    ///
    /// `drain` does the work in the application's order: refuse, commit, close sockets, stop HTTP, close the store.
    /// Afterwards the process should end at once with [`Finish::exit_code`]; what was aborted may still be running.
    pub async fn run(&self, deadline: Duration, drain: impl Future<Output = ()>) -> Finish {
        self.soft.cancelled().await;
        let work = async {
            drain.await;
            self.tasks.tracker.close();
            self.tasks.tracker.wait().await;
        };
        let finished = tokio::select! {
            biased;
            () = work => true,
            () = self.hard.cancelled() => false,
            () = tokio::time::sleep(deadline) => {
                tracing::error!(seconds = deadline.as_secs(), "the drain took too long");
                false
            }
        };
        self.hard.cancel();
        match self.unsaved.bytes() {
            _ if !finished => Finish::Aborted {
                tasks: self.tasks.tracker.len(),
            },
            Some(bytes) => Finish::Unsaved { bytes },
            None => Finish::Clean,
        }
    }
}

impl Tasks {
    /// Spawns on the main runtime, from whichever thread: rooms, the writer, the bus.
    #[track_caller]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        #[cfg(test)]
        let task = shuffled::Shuffled::new(task, self.order.clone());
        self.tracker.spawn_on(task, &self.main)
    }

    /// Asks of each task that has its turn what it does with it.
    #[cfg(test)]
    pub fn shuffled(mut self, turn: impl Fn() -> Turn + Send + Sync + 'static) -> Self {
        self.order = Some(shuffled::Order::new(turn));
        self
    }

    /// Spawns on the current worker's runtime: a socket's reader and writer, which are not `Send`.
    ///
    /// # Panics
    /// Outside of a worker (a `LocalSet`).
    #[track_caller]
    pub fn spawn_local<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: 'static> + 'static,
    {
        self.tracker.spawn_local(task)
    }

    /// How many have not ended.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// The main runtime, for what needs its handle (timers, blocking work).
    pub fn main(&self) -> &Handle {
        &self.main
    }
}

impl Unsaved {
    /// Reports received bytes that will not become durable.
    pub fn report(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.any.store(true, Ordering::Release);
    }

    fn bytes(&self) -> Option<u64> {
        self.0
            .any
            .load(Ordering::Acquire)
            .then(|| self.0.bytes.load(Ordering::Relaxed))
    }
}

impl Finish {
    /// 0 when nothing is lost, 1 otherwise.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Clean => ExitCode::SUCCESS,
            Self::Unsaved { .. } | Self::Aborted { .. } => ExitCode::FAILURE,
        }
    }
}

/// The signals that mean "stop".
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
pub use shuffled::Turn;

#[cfg(test)]
mod shuffled {
    //! A scheduler on top of the runtime's own, which takes turns: a task whose turn it is may let others go first, so
    //! that in the course of many runs every order of steps occurs.

    use std::{
        fmt,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    /// What a task does when it has its turn.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Turn {
        Goes,
        /// Lets others go first.
        Waits,
        /// Its process was killed: it does nothing ever again, not even clean up.
        Never,
    }

    /// Decides on turns. One for all tasks of a process.
    #[derive(Clone)]
    pub struct Order(Arc<dyn Fn() -> Turn + Send + Sync>);

    impl Order {
        pub fn new(turn: impl Fn() -> Turn + Send + Sync + 'static) -> Self {
            Self(Arc::new(turn))
        }
    }

    impl fmt::Debug for Order {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Order")
        }
    }

    pub struct Shuffled<F> {
        task: Pin<Box<F>>,
        order: Option<Order>,
    }

    impl<F> Shuffled<F> {
        pub fn new(task: F, order: Option<Order>) -> Self {
            let task = Box::pin(task);
            Self { task, order }
        }
    }

    impl<F: Future> Future for Shuffled<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            match self.order.as_ref().map_or(Turn::Goes, |order| order.0()) {
                Turn::Goes => self.task.as_mut().poll(cx),
                Turn::Waits => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Turn::Never => Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_every_task_and_is_clean() {
        let lifecycle = Lifecycle::new(Handle::current());
        let soft = lifecycle.soft().clone();
        let task = lifecycle.tasks().spawn(async move {
            soft.cancelled().await;
            tokio::task::yield_now().await;
            7
        });
        lifecycle.stop();
        assert_eq!(lifecycle.run(DRAIN_DEADLINE, async {}).await, Finish::Clean);
        assert!(task.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_does_not_outlive_the_deadline() {
        let lifecycle = Lifecycle::new(Handle::current());
        drop(lifecycle.tasks().spawn(std::future::pending::<()>()));
        lifecycle.stop();
        assert_eq!(
            lifecycle.run(DRAIN_DEADLINE, async {}).await,
            Finish::Aborted { tasks: 1 }
        );
        assert!(lifecycle.hard().is_cancelled());
    }

    #[tokio::test]
    async fn a_second_signal_aborts_a_drain_that_hangs() {
        let lifecycle = Lifecycle::new(Handle::current());
        let second = lifecycle.clone();
        lifecycle.stop();
        let finish = lifecycle.run(DRAIN_DEADLINE, async move {
            second.abort();
            std::future::pending::<()>().await;
        });
        assert_eq!(finish.await, Finish::Aborted { tasks: 0 });
    }

    #[tokio::test]
    async fn what_stayed_unsaved_is_told() {
        let lifecycle = Lifecycle::new(Handle::current());
        lifecycle.stop();
        let unsaved = lifecycle.unsaved().clone();
        let finish = lifecycle
            .run(DRAIN_DEADLINE, async move { unsaved.report(12) })
            .await;
        assert_eq!(finish, Finish::Unsaved { bytes: 12 });
        assert_eq!(
            format!("{:?}", finish.exit_code()),
            format!("{:?}", ExitCode::FAILURE)
        );
    }

    #[tokio::test]
    async fn sockets_of_a_worker_are_waited_for_too() {
        let lifecycle = Lifecycle::new(Handle::current());
        let local = tokio::task::LocalSet::new();
        let soft = lifecycle.soft().clone();
        let tasks = lifecycle.tasks().clone();
        local
            .run_until(
                async move { drop(tasks.spawn_local(async move { soft.cancelled().await })) },
            )
            .await;
        assert_eq!(lifecycle.tasks().running(), 1);
        lifecycle.stop();
        let (finish, ()) = tokio::join!(lifecycle.run(DRAIN_DEADLINE, async {}), local);
        assert_eq!(finish, Finish::Clean);
    }
}
