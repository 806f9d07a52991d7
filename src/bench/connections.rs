//! Connections as such: many that do nothing, and the first one after a start with many stored documents.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Duration, sleep};

use super::{
    delivery::{Author, fresh_name, join_all},
    figures::{Figures, median},
    meter::Meter,
    server::Launch,
    update,
    usage::resident_bytes,
    wire::{Alone, Peer},
};

const SETTLE: Duration = Duration::from_millis(500);
/// Documents that are being written at the same time while the store is filled.
pub const STORING_AT_ONCE: usize = 256;
const STARTS: usize = 5;

/// Each socket opens a document of its own and then stays silent: connections per second, and memory of each.
pub async fn idle(launch: &Launch, connections: usize) -> Result<Figures> {
    let server = launch.start().await?;
    drop(Peer::join(&server, &fresh_name("first"), Alone::Yes).await?);
    let empty = resident_bytes(server.pid)?;
    let name = fresh_name("idle");
    let meter = Meter::start(&server)?;
    let peers = join_all(
        &server,
        (0..connections).map(|index| format!("{name}-{index}")),
        Alone::Yes,
    )
    .await?;
    let used = meter.stop()?;
    sleep(SETTLE).await;
    let full = resident_bytes(server.pid)?;
    drop(peers);

    let mut figures = Figures::default();
    figures.add(
        "connections per second",
        "/s",
        connections as f64 / used.seconds,
    );
    let grown = full.zip(empty).map(|(full, empty)| full - empty);
    figures.add_measured(
        "memory per connection",
        "kB",
        grown.map(|bytes| bytes / 1e3 / connections as f64),
    );
    figures.add_measured(
        "CPU per connection",
        "µs",
        used.micros_per(connections as f64),
    );
    used.add_to(&mut figures);
    Ok(figures)
}

/// Stores that many documents, then starts the server anew: from the new process to the first client that has the
/// state of a stored document.
pub async fn start(launch: &Launch, stored: usize) -> Result<Figures> {
    let mut server = launch.start().await?;
    let name = fresh_name("stored");
    let began = Instant::now();
    stream::iter(0..stored)
        .map(|index| {
            let (server, document) = (&server, format!("{name}-{index}"));
            async move {
                let mut text = Vec::new();
                update::push_append(&mut text, Author::new().client, 0);
                Peer::join(server, &document, Alone::Yes)
                    .await?
                    .store(&text)
                    .await
            }
        })
        .buffer_unordered(STORING_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let storing = began.elapsed().as_secs_f64();

    let mut taken = Vec::new();
    for run in 0..STARTS {
        let began = server.restart().await?;
        let document = format!("{name}-{}", run * (stored - 1) / STARTS);
        let peer = Peer::join(&server, &document, Alone::Yes).await?;
        taken.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(
            peer.state_bytes > 5,
            "the server kept nothing over the restart"
        );
    }
    let mut figures = Figures::default();
    figures.add("start to first served client", "ms", median(&taken));
    figures.add("storing them", "s", storing);
    let bytes = server.disk_bytes()?;
    figures.add_measured("disk", "MB", bytes.map(|bytes| bytes as f64 / 1e6));
    Ok(figures)
}
