//! A whole editing history, keystroke by keystroke, from one client that does not wait.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::timeout;

use super::{
    delivery::fresh_name,
    figures::Figures,
    meter::Meter,
    server::{Launch, Server},
    trace::Trace,
    update::{self, Range},
    websocket::{Receiver, Sender, push_frame},
    wire::{Alone, Incoming, Peer, Wire},
};

/// Bytes per write: many messages leave together, as they do when a real client's socket is busy.
const WRITE_BYTES: usize = 64 * 1024;
/// Without any acknowledgement for this long, what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(launch: &Launch, trace: &Trace) -> Result<Figures> {
    let mut server = launch.start().await?;
    let meter = Meter::start(&server)?;
    let took = feed(&server, &fresh_name("ingest"), trace).await?;
    let used = meter.stop()?;
    let updates = trace.updates().count() as f64;

    let mut figures = Figures::default();
    figures.add("all acknowledged", "s", took);
    figures.add("yrs alone", "s", trace.yrs.apply_seconds);
    figures.add("ratio to yrs alone", "×", took / trace.yrs.apply_seconds);
    figures.add("updates per second", "/s", updates / took);
    figures.add_measured("CPU per update", "µs", used.micros_per(updates));
    if let Some(bytes) = server.disk_bytes()? {
        figures.add("disk at the end", "MB", bytes as f64 / 1e6);
        server.stop().await?;
        let bytes = server.disk_bytes()?;
        figures.add_measured(
            "disk after shutdown",
            "MB",
            bytes.map(|bytes| bytes as f64 / 1e6),
        );
    }
    used.add_to(&mut figures);
    Ok(figures)
}

/// Sends the whole trace to a fresh document and waits until each struct and each deletion has come back. Returns the
/// seconds from the first byte sent to the last acknowledgement.
pub async fn feed(server: &Server, document: &str, trace: &Trace) -> Result<f64> {
    let Peer {
        receiver,
        sender,
        wire,
        ..
    } = Peer::join(server, document, Alone::Yes).await?;
    let frames = frames(trace, &wire);
    let began = std::time::Instant::now();
    tokio::try_join!(send(sender, &frames), acknowledged(receiver, &wire, trace))?;
    Ok(began.elapsed().as_secs_f64())
}

/// Made beforehand, so that only the server's work is timed.
fn frames(trace: &Trace, wire: &Wire) -> Vec<u8> {
    let mask = rand::random::<u32>().to_le_bytes();
    let (mut frames, mut head) = (Vec::new(), Vec::new());
    for update in trace.updates() {
        head.clear();
        wire.update_head(update.len(), &mut head);
        push_frame(&mut frames, mask, &[&head, update]);
    }
    frames
}

/// Returns the sender, as dropping it would half-close the connection before the last acknowledgement.
async fn send(mut sender: Sender, frames: &[u8]) -> Result<Sender> {
    for part in frames.chunks(WRITE_BYTES) {
        sender.write_frames(part).await?;
    }
    Ok(sender)
}

async fn acknowledged(mut receiver: Receiver, wire: &Wire, trace: &Trace) -> Result<()> {
    let (mut inserted, mut deleted) = (0, 0);
    let mut gone = vec![false; usize::try_from(trace.inserted)?];
    while inserted < trace.inserted || deleted < trace.deleted {
        let more = receiver.receive(|message| {
            let Incoming::Update(update) = wire.read(&message)? else {
                return Ok(());
            };
            update::scan(update, |range| match range {
                Range::Inserted { client, clock, len } => {
                    ensure!(
                        client == trace.client && clock <= inserted,
                        "the updates {inserted}.. never came back"
                    );
                    inserted = inserted.max(clock + len);
                    Ok(())
                }
                Range::Deleted { client, clock, len } => {
                    let range = gone.get_mut(clock as usize..(clock + len) as usize);
                    ensure!(client == trace.client, "a deletion that nobody sent");
                    for known in range.context("a deletion of what nobody wrote")? {
                        deleted += u64::from(!std::mem::replace(known, true));
                    }
                    Ok(())
                }
            })
        });
        match timeout(PATIENCE, more).await {
            Ok(result) => result
                .with_context(|| format!("after {inserted} of {} characters", trace.inserted))?,
            Err(_) => bail!(
                "only {inserted} of {} characters and {deleted} of {} deletions came back to their author",
                trace.inserted,
                trace.deleted
            ),
        }
    }
    Ok(())
}
