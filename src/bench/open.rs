//! Opening one large document: by one person, warm and cold, and by a crowd at once.

use std::{rc::Rc, time::Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::{
    delivery::fresh_name,
    figures::{Figures, Latencies, median},
    ingest,
    meter::{Meter, Used},
    server::{Launch, Server},
    trace::Trace,
    wire::{Alone, Peer},
};

const WARM_OPENINGS: usize = 21;
const COLD_OPENINGS: usize = 5;
/// How many join at once in a growing crowd, and the figure of each.
pub const GROWING_CROWD: [(usize, &str); 4] = [
    (10, "CPU per client, 10 at once"),
    (100, "CPU per client, 100 at once"),
    (300, "CPU per client, 300 at once"),
    (1000, "CPU per client, 1,000 at once"),
];

/// Writes the trace, then opens its document again and again, and again after restarts.
pub async fn one(launch: &Launch, trace: &Trace) -> Result<Figures> {
    let mut server = launch.start_with(&trace.state).await?;
    let document = fresh_name("open");
    let mut figures = Figures::default();
    if !server.greets {
        ingest::feed(&server, &document, trace).await?;
    }
    let (open, sync, state_bytes) = openings(&server, &document, WARM_OPENINGS).await?;
    figures.add("warm: SyncStep1 to SyncStep2", "ms", sync);
    figures.add("warm: with connecting", "ms", open);
    figures.add(
        "yrs alone: one full encode",
        "ms",
        trace.yrs.encode_seconds * 1e3,
    );
    figures.add(
        "warm, ratio to one encode",
        "×",
        sync / 1e3 / trace.yrs.encode_seconds,
    );
    figures.add("state sent", "kB", state_bytes as f64 / 1e3);
    if server.greets {
        return Ok(figures);
    }
    let cold_figures = ["cold: SyncStep1 to SyncStep2", "cold: with connecting"];
    if !server.restarts() {
        for name in cold_figures {
            figures.add_measured(name, "ms", None);
        }
        return Ok(figures);
    }
    let mut cold = (Vec::new(), Vec::new());
    for _ in 0..COLD_OPENINGS {
        server.restart().await?;
        let (open, sync, cold_bytes) = openings(&server, &document, 1).await?;
        ensure!(
            cold_bytes > state_bytes / 2,
            "the server kept nothing over the restart"
        );
        cold.0.push(open);
        cold.1.push(sync);
    }
    let sync = median(&cold.1);
    figures.add(cold_figures[0], "ms", sync);
    figures.add(cold_figures[1], "ms", median(&cold.0));
    figures.add("yrs alone: one load", "ms", trace.yrs.load_seconds * 1e3);
    figures.add(
        "cold, ratio to one load",
        "×",
        sync / 1e3 / trace.yrs.load_seconds,
    );
    Ok(figures)
}

/// Median milliseconds of an opening with and without connecting, and the bytes of the state's message.
async fn openings(server: &Server, document: &str, times: usize) -> Result<(f64, f64, usize)> {
    let (mut open, mut sync, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..times {
        let began = Instant::now();
        let mut peer = Peer::connect(server, document).await?;
        let connected = Instant::now();
        peer.synchronise(server, Alone::No).await?;
        open.push(began.elapsed().as_secs_f64() * 1e3);
        sync.push(connected.elapsed().as_secs_f64() * 1e3);
        bytes = peer.state_bytes;
    }
    Ok((median(&open), median(&sync), bytes))
}

/// Everybody connects at the same moment; it is over when the last one has the whole state.
pub async fn crowd(launch: &Launch, state: &[u8], clients: usize) -> Result<Figures> {
    let (server, document) = stored(launch, state).await?;
    let (used, latencies) = join_at_once(&server, &document, state.len(), clients).await?;

    let mut figures = Figures::default();
    figures.add("all synced", "s", used.seconds);
    figures.add_latencies(latencies);
    figures.add("sent", "MB", (clients * state.len()) as f64 / 1e6);
    figures.add_measured("CPU per client", "µs", used.micros_per(clients as f64));
    used.add_to(&mut figures);
    Ok(figures)
}

/// The same with ever more clients: what one of them costs must not grow with the others.
pub async fn growing_crowd(launch: &Launch, state: &[u8], largest: usize) -> Result<Figures> {
    let (server, document) = stored(launch, state).await?;
    let mut figures = Figures::default();
    // One opening beforehand, so that the first step does not pay for what the others find ready.
    join_at_once(&server, &document, state.len(), 1).await?;
    for (clients, name) in GROWING_CROWD {
        if clients > largest {
            break;
        }
        let (used, _) = join_at_once(&server, &document, state.len(), clients).await?;
        figures.add_measured(name, "µs", used.micros_per(clients as f64));
    }
    Ok(figures)
}

/// A server that has the state as a document.
async fn stored(launch: &Launch, state: &[u8]) -> Result<(Rc<Server>, String)> {
    let server = Rc::new(launch.start_with(state).await?);
    let document = fresh_name("join");
    if !server.greets {
        let mut author = Peer::join(&server, &document, Alone::Yes).await?;
        author.store(state).await?;
    }
    Ok((server, document))
}

async fn join_at_once(
    server: &Rc<Server>,
    document: &str,
    state_bytes: usize,
    clients: usize,
) -> Result<(Used, Latencies)> {
    let meter = Meter::start(server)?;
    let mut joining = JoinSet::new();
    for _ in 0..clients {
        let (server, document) = (Rc::clone(server), document.to_owned());
        joining.spawn_local(async move {
            let began = Instant::now();
            let peer = Peer::join(&server, &document, Alone::No).await?;
            anyhow::Ok((peer, began.elapsed()))
        });
    }
    let (mut peers, mut latencies) = (Vec::new(), Latencies::default());
    while let Some(joined) = joining.join_next().await {
        let (peer, took) = joined??;
        let bytes = peer.state_bytes;
        ensure!(bytes > state_bytes / 2, "a client got only {bytes} bytes");
        latencies.0.push(took.as_nanos() as u64);
        // Kept until all are there: nobody leaves during a storm.
        peers.push(peer);
    }
    Ok((meter.stop()?, latencies))
}
