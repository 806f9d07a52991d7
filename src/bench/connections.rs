//! Connections as such: many that do nothing, and the first one after a start with many stored documents.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Duration, sleep, timeout};

use super::{
    delivery::{Author, fresh_name, join_all},
    figures::{Figures, median},
    meter::Meter,
    server::{Launch, Server},
    update,
    usage::resident_bytes,
    wire::{Alone, Peer},
};

const SETTLE: Duration = Duration::from_millis(500);
/// Documents that are written or visited at the same time.
pub const AT_ONCE: usize = 256;
/// After as many visits memory is read for the first time.
const FIRST_VISITS: usize = 100;
/// How long documents that nobody has open may take to leave memory, and how often that is asked.
const PATIENCE: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(20);
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

/// Opens that many documents and leaves each at once: what stays in memory when all of them have left it.
pub async fn visits(launch: &Launch, documents: usize) -> Result<Figures> {
    let server = launch.start().await?;
    visit(&server, FIRST_VISITS).await?;
    let first = resident_bytes(server.pid)?;
    let began = Instant::now();
    visit(&server, documents).await?;
    let took = began.elapsed().as_secs_f64();
    let after = resident_bytes(server.pid)?;

    let mut figures = Figures::default();
    let megabytes = |bytes: Option<f64>| bytes.map(|bytes| bytes / 1e6);
    figures.add_measured("memory after all", "MB", megabytes(after));
    figures.add_measured("memory after 100", "MB", megabytes(first));
    figures.add("visits per second", "/s", documents as f64 / took);
    Ok(figures)
}

async fn visit(server: &Server, documents: usize) -> Result<()> {
    let name = fresh_name("visit");
    stream::iter(0..documents)
        .map(|index| {
            let document = format!("{name}-{index}");
            async move { Peer::join(server, &document, Alone::Yes).await.map(drop) }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let emptied = async {
        while server.open_documents().await? > 0 {
            sleep(ASK_EVERY).await;
        }
        anyhow::Ok(())
    };
    match timeout(PATIENCE, emptied).await {
        Ok(result) => result,
        Err(_) => bail!("documents stay in memory although nobody has them open"),
    }
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
        .buffer_unordered(AT_ONCE)
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
