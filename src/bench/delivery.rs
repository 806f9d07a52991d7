//! Who wrote what when, and who has received it: authors stamp each update before it is sent, readers look the stamp up
//! by the clocks they find in the bytes. Updates are counted, not frames, as a server may join several in one frame.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{sync::Notify, task::JoinSet, time::timeout};

use super::{
    figures::Latencies,
    server::Server,
    update::{self, Range},
    websocket::{Receiver, Sender},
    wire::{Alone, Incoming, Peer, Wire},
};

/// Without anything new for this long, what is missing counts as lost and the run as failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients that connect at the same time while a run is being set up.
const JOINING_AT_ONCE: usize = 64;

/// One client that writes, as its readers know it.
pub struct Author {
    pub client: u64,
    began: Instant,
    /// Nanoseconds after `began` at which the update with this clock was sent.
    sent_at: RefCell<Vec<u64>>,
}

impl Author {
    /// An author with an id that no other has in this process.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            client: fresh_client(),
            began: Instant::now(),
            sent_at: RefCell::default(),
        })
    }

    pub fn written(&self) -> u64 {
        self.sent_at.borrow().len() as u64
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

/// A client id that no other has in this process.
pub fn fresh_client() -> u64 {
    thread_local!(static NEXT: Cell<u64> = Cell::new(u64::from(rand::random::<u32>() >> 1)));
    NEXT.replace(NEXT.get() + 1)
}

/// The sending side of an author.
pub struct Writer {
    pub author: Rc<Author>,
    sender: Sender,
    wire: Wire,
    update: Vec<u8>,
}

impl Writer {
    pub fn new(author: Rc<Author>, sender: Sender, wire: Wire) -> Self {
        Self {
            author,
            sender,
            wire,
            update: Vec::new(),
        }
    }

    /// Sends `count` single characters in one write.
    pub async fn write(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            self.update.clear();
            let clock = self.author.written();
            update::push_append(&mut self.update, self.author.client, clock);
            self.author.sent_at.borrow_mut().push(self.author.now());
            self.wire.queue_update(&mut self.sender, &self.update);
        }
        self.sender.flush().await
    }
}

/// What all readers of a run have received together.
#[derive(Default)]
pub struct Tally {
    delivered: Cell<u64>,
    goal: Cell<u64>,
    reached: Notify,
    /// Latencies are recorded while this is `Some`.
    pub latencies: RefCell<Option<Latencies>>,
}

impl Tally {
    pub fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Waits until that many updates were delivered since the beginning.
    ///
    /// # Errors
    /// When a reader ends, or nothing is delivered any more.
    pub async fn reach(&self, goal: u64, readers: &mut Readers) -> Result<()> {
        self.goal.set(goal);
        let missing = || goal.saturating_sub(self.delivered());
        ensure!(
            all_arrive(missing, &self.reached, readers).await?,
            "only {} of {goal} updates were delivered",
            self.delivered()
        );
        Ok(())
    }

    fn add(&self, author: &Author, first: u64, end: u64) {
        self.delivered.set(self.delivered() + end - first);
        if let Some(latencies) = &mut *self.latencies.borrow_mut() {
            let (now, sent_at) = (author.now(), author.sent_at.borrow());
            latencies.0.extend(
                sent_at[first as usize..end as usize]
                    .iter()
                    .map(|sent| now - sent),
            );
        }
        if self.delivered() >= self.goal.get() {
            self.reached.notify_one();
        }
    }
}

/// The tasks that read. They end with the run, and only an error ends one before.
pub type Readers = JoinSet<Result<()>>;

/// Waits until nothing is missing, of which `reached` tells. `false` when for too long nothing more has arrived.
///
/// # Errors
/// When a reader ends.
pub async fn all_arrive(
    missing: impl Fn() -> u64,
    reached: &Notify,
    readers: &mut Readers,
) -> Result<bool> {
    let mut before = missing();
    while missing() > 0 {
        let step = async {
            tokio::select! {
                () = reached.notified() => Ok(()),
                Some(ended) = readers.join_next() => ended?,
            }
        };
        match timeout(PATIENCE, step).await {
            Ok(result) => result?,
            Err(_) if missing() < before => {}
            Err(_) => return Ok(false),
        }
        before = missing();
    }
    Ok(true)
}

/// Reads a socket for ever and counts what arrives of one author: every clock once and in order, or the run fails.
pub async fn follow(
    mut receiver: Receiver,
    wire: Wire,
    author: Rc<Author>,
    tally: Rc<Tally>,
) -> Result<()> {
    let mut next = 0;
    loop {
        receiver
            .receive(|message| {
                let (Incoming::Update(update) | Incoming::SyncStep2 { update, .. }) =
                    wire.read(&message)?
                else {
                    return Ok(());
                };
                if update.is_empty() {
                    return Ok(());
                }
                update::scan(update, |range| {
                    if let Range::Inserted { client, clock, len } = range
                        && client == author.client
                        && clock + len > next
                    {
                        ensure!(
                            clock <= next,
                            "the updates {next}..{clock} of an author never arrived"
                        );
                        ensure!(
                            clock + len <= author.written(),
                            "an update that nobody wrote"
                        );
                        tally.add(&author, next, clock + len);
                        next = clock + len;
                    }
                    Ok(())
                })
            })
            .await?;
    }
}

/// Reads a socket for ever and ignores what comes.
pub async fn drain(mut receiver: Receiver) -> Result<()> {
    receiver.skim_over(0);
    loop {
        receiver.receive(|_| Ok(())).await?;
    }
}

/// Connects a client to each of the documents, a bounded number at a time, in the order given.
pub async fn join_all(
    server: &Server,
    documents: impl Iterator<Item = String>,
    alone: Alone,
) -> Result<Vec<Peer>> {
    stream::iter(documents)
        .map(|document| async move { Peer::join(server, &document, alone).await })
        .buffered(JOINING_AT_ONCE)
        .try_collect()
        .await
}

/// A document's name that no earlier run on the same server used.
pub fn fresh_name(purpose: &str) -> String {
    format!("bench-{purpose}-{:08x}", rand::random::<u32>())
}
