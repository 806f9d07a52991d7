//! One writer and many readers of one document: at a given rate, and as fast as it goes.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    delivery::{Author, Readers, Tally, Writer, drain, follow, fresh_name, join_all},
    figures::{Figures, Latencies},
    meter::Meter,
    server::{Launch, Server},
    trace::Trace,
    websocket::Receiver,
    wire::{Alone, Peer, Wire},
};

/// Updates that precede the measurement, so that every path has been taken once.
const WARM_UP: u64 = 20;

/// The sizes of a growing document in kilobytes, and the figure of each.
pub const GROWING_DOCUMENT: [(usize, &str); 4] = [
    (0, "CPU per update, empty document"),
    (10, "CPU per update, 10 kB"),
    (100, "CPU per update, 100 kB"),
    (300, "CPU per update, 300 kB"),
];
/// Updates that a saturating writer may have outstanding.
const WINDOW: u64 = 1024;

/// At a given rate: what an update costs the server per reader, and how late it arrives.
pub async fn at_rate(launch: &Launch, readers: usize, rate: f64, seconds: f64) -> Result<Figures> {
    let server = launch.start().await?;
    let mut audience = Audience::gather(&server, fresh_name("fan-out"), readers).await?;
    let (mut writer, receiver) = audience.writer(&server).await?;
    audience.readers.spawn_local(drain(receiver));

    paced(&mut writer, rate, WARM_UP).await?;
    audience.reach(writer.author.written()).await?;
    *audience.tally.latencies.borrow_mut() = Some(Latencies::default());
    let delivered = audience.tally.delivered();
    let meter = Meter::start(&server)?;
    paced(&mut writer, rate, (rate * seconds) as u64).await?;
    audience.reach(writer.author.written()).await?;
    let used = meter.stop()?;

    let mut figures = Figures::default();
    let delivered = (audience.tally.delivered() - delivered) as f64;
    figures.add_measured("CPU per delivered update", "µs", used.micros_per(delivered));
    figures.add_latencies(audience.tally.latencies.take().unwrap_or_default());
    used.add_to(&mut figures);
    Ok(figures)
}

/// As fast as it goes with a bounded number of updates that the server has not yet given back to their author.
pub async fn saturated(launch: &Launch, readers: usize, seconds: f64) -> Result<Figures> {
    let server = launch.start().await?;
    let mut audience = Audience::gather(&server, fresh_name("fan-out"), readers).await?;
    let (mut writer, receiver) = audience.writer(&server).await?;
    let acknowledged = Rc::new(Tally::default());
    let wire = Wire::new(server.dialect, &audience.document);
    audience.readers.spawn_local(follow(
        receiver,
        wire,
        Rc::clone(&writer.author),
        Rc::clone(&acknowledged),
    ));

    let meter = Meter::start(&server)?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    // Refilled at half, so that neither side waits for the other's single messages.
    while Instant::now() < until {
        let written = writer.author.written();
        writer
            .write(WINDOW - (written - acknowledged.delivered()))
            .await?;
        let half = writer.author.written() - WINDOW / 2;
        acknowledged.reach(half, &mut audience.readers).await?;
    }
    audience.reach(writer.author.written()).await?;
    let used = meter.stop()?;

    let mut figures = Figures::default();
    let delivered = audience.tally.delivered() as f64;
    figures.add(
        "delivered updates per second",
        "/s",
        delivered / used.seconds,
    );
    figures.add_measured("CPU per delivered update", "µs", used.micros_per(delivered));
    used.add_to(&mut figures);
    Ok(figures)
}

/// The same update in ever larger documents, with one reader: its cost must not grow with the document.
pub async fn in_growing_document(
    launch: &Launch,
    trace: &Trace,
    rate: f64,
    seconds: f64,
) -> Result<Figures> {
    let server = launch.start().await?;
    let mut figures = Figures::default();
    for (kilobytes, name) in GROWING_DOCUMENT {
        let document = fresh_name("growing");
        if kilobytes > 0 {
            let state = trace.state_of(kilobytes * 1000)?;
            let mut author = Peer::join(&server, &document, Alone::Yes).await?;
            author.store(&state).await?;
        }
        let mut audience = Audience::gather(&server, document, 1).await?;
        let (mut writer, receiver) = audience.writer(&server).await?;
        audience.readers.spawn_local(drain(receiver));
        paced(&mut writer, rate, WARM_UP).await?;
        let meter = Meter::start(&server)?;
        let updates = (rate * seconds) as u64;
        paced(&mut writer, rate, updates).await?;
        audience.reach(writer.author.written()).await?;
        let used = meter.stop()?;
        figures.add_measured(name, "µs", used.micros_per(updates as f64));
    }
    Ok(figures)
}

/// The readers of one document, each reading in a task of its own.
struct Audience {
    document: String,
    size: u64,
    author: Rc<Author>,
    tally: Rc<Tally>,
    readers: Readers,
}

impl Audience {
    async fn gather(server: &Server, document: String, size: usize) -> Result<Self> {
        let (author, tally) = (Author::new(), Rc::new(Tally::default()));
        let mut readers = Readers::new();
        for peer in join_all(server, (0..size).map(|_| document.clone()), Alone::No).await? {
            let Peer {
                receiver,
                sender,
                wire,
                ..
            } = peer;
            let (author, tally) = (Rc::clone(&author), Rc::clone(&tally));
            readers.spawn_local(async move {
                // Dropping the sender would half-close the connection.
                let _open = sender;
                follow(receiver, wire, author, tally).await
            });
        }
        Ok(Self {
            document,
            size: size as u64,
            author,
            tally,
            readers,
        })
    }

    async fn writer(&self, server: &Server) -> Result<(Writer, Receiver)> {
        let peer = Peer::join(server, &self.document, Alone::No).await?;
        Ok((
            Writer::new(Rc::clone(&self.author), peer.sender, peer.wire),
            peer.receiver,
        ))
    }

    /// Waits until every reader has that many updates.
    async fn reach(&mut self, written: u64) -> Result<()> {
        self.tally
            .reach(written * self.size, &mut self.readers)
            .await
    }
}

/// One update at a time, evenly spaced; what comes late is sent at once and not left out.
async fn paced(writer: &mut Writer, rate: f64, count: u64) -> Result<()> {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..count {
        ticks.tick().await;
        writer.write(1).await?;
    }
    Ok(())
}
