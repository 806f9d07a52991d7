//! Many malformed frames against one document, while two people work in another.
//!
//! `COSCRIBE_FRAMES` says how many, `COSCRIBE_FIRST_SEED` which, `COSCRIBE_FRAMES_PER_SECOND` how fast. The attackers have a
//! thread of their own, and yield their processor to who wants it: in earnest they would not sit on the server's machine.

use std::time::{Duration, Instant};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{self, SplitSink},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::watch,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config, tungstenite::Message as Frame,
};
use yrs::{StateVector, updates::encoder::Encode as _};

use crate::{
    corpus,
    harness::{
        IN_VAIN, PATIENCE, count,
        forgetful::{Forgetful, Way},
        node::Node,
        peer::{Connect, Peer},
        server::Server,
        tokens::token,
        wire,
    },
};

const ATTACKERS: u64 = 4;
/// Frames that an attacker sends before it waits for the server.
const BURST: u64 = 50;
/// Memory that the flood may cost.
const MAY_GROW: u64 = 64 << 20;

/// Two people who worked during an attack.
struct Flood {
    ada: Peer,
    bob: Peer,
    quiet: Vec<Duration>,
    loud: Vec<Duration>,
    reconnects: u64,
    took: Duration,
    grown: u64,
    /// Edits that did not arrive.
    missing: Vec<String>,
}

async fn start() -> Server {
    let flags = [
        "--max-messages-per-second",
        "1000000",
        "--max-bytes-per-second",
        "1GiB",
    ];
    Server::with(&flags).await
}

/// Two people work in a document of the server, so many turns undisturbed and then until the attack on another document is
/// over or an edit does not arrive before `limit`. The second of them goes to the address `url`.
async fn flood(
    server: &Server,
    url: &str,
    attacked: &Server,
    frames: u64,
    turns: usize,
    limit: Duration,
) -> Flood {
    let seed = count("COSCRIBE_FIRST_SEED", 1);
    eprintln!("seed {seed}");
    let pace = match count("COSCRIBE_FRAMES_PER_SECOND", 0) {
        0 => None,
        rate => Some(Duration::from_secs(BURST * ATTACKERS) / u32::try_from(rate).unwrap()),
    };
    let samples = samples(attacked).await;
    let ada = Peer::join(server, "work").await;
    let bob = Connect::to(url).join().await;
    let (mut quiet, mut loud, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..turns {
        match turn(&ada, &bob, &format!("q{number}"), limit).await {
            Ok(took) => quiet.push(took),
            Err(token) => missing.push(token),
        }
    }
    let before = attacked.rss();
    let elsewhere = elsewhere();
    let attacks: Vec<_> = (0..ATTACKERS)
        .map(|number| {
            let url = attacked.socket("attacked");
            let random = StdRng::seed_from_u64(seed * ATTACKERS + number);
            elsewhere.spawn(attack(
                url,
                frames / ATTACKERS,
                samples.clone(),
                random,
                pace,
            ))
        })
        .collect();
    let started = Instant::now();
    while missing.is_empty() && !attacks.iter().all(tokio::task::JoinHandle::is_finished) {
        let (from, to) = if loud.len() % 2 == 0 {
            (&ada, &bob)
        } else {
            (&bob, &ada)
        };
        match turn(from, to, &format!("l{}", loud.len()), limit).await {
            Ok(took) => loud.push(took),
            Err(token) => missing.push(token),
        }
    }
    let mut reconnects = 0;
    for attack in attacks {
        reconnects += attack.await.unwrap();
    }
    let took = started.elapsed();
    elsewhere.shutdown_background();
    let grown = attacked.rss().saturating_sub(before);
    Flood {
        ada,
        bob,
        quiet,
        loud,
        reconnects,
        took,
        grown,
        missing,
    }
}

/// A runtime on one thread that runs when no other thread of this machine wants to.
fn elsewhere() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_start(|| {
            rustix::process::nice(19).unwrap();
        })
        .enable_all()
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_malformed_frames_neither_stop_nor_fatten_the_server_nor_disturb_another_document() {
    let frames = count("COSCRIBE_FRAMES", 20_000);
    let server = start().await;
    let url = server.socket("work");
    // What the same attack costs on the processors, whoever serves it.
    let neighbour = start().await;
    let mut beside = flood(&server, &url, &neighbour, frames, 0, PATIENCE).await;
    drop(neighbour);
    assert!(
        beside.missing.is_empty(),
        "{:?} did not arrive",
        beside.missing
    );
    let Flood {
        ada,
        bob,
        mut quiet,
        mut loud,
        reconnects,
        took,
        grown,
        missing,
    } = flood(&server, &url, &server, frames, 1_000, PATIENCE).await;
    eprintln!(
        "{frames} frames in {took:?}, {reconnects} reconnects; p99 quiet {:?}, under attack {:?} ({} turns), \
         beside another server under attack {:?}; grown by {} KiB",
        p99(&mut quiet),
        p99(&mut loud),
        loud.len(),
        p99(&mut beside.loud),
        grown >> 10
    );
    assert!(missing.is_empty(), "{missing:?} did not arrive");
    assert!(grown < MAY_GROW, "grown by {grown} bytes");
    assert_eq!(ada.text(), bob.text());
    for peer in [&ada, &bob] {
        assert_eq!(peer.with(|view| view.closed.clone()), None);
    }

    let Some(mut node) = Node::start() else {
        return;
    };
    for version in crate::harness::node::VERSIONS {
        node.join(&server, version, version, "attacked").await;
        node.insert(version, "opened").await;
        node.until(version, json!({"contains": "opened"})).await;
        assert_eq!(node.print(version).await["pending"], json!(false));
    }
}

/// The control: during the attack one edit does not reach the second person.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_lost_in_a_flood_is_noticed() {
    let server = start().await;
    let turns = 10;
    let relay = Forgetful::to(
        server.address(),
        Way::ToClient,
        wire::UPDATE,
        move |number| number == turns + 1,
    );
    let relay = relay.await;
    let url = relay.socket("work");
    let flood = flood(&server, &url, &server, 2_000, turns, IN_VAIN).await;
    assert_eq!(flood.missing, [token("l0")]);
    assert_eq!(relay.forgotten(), 1);
    // Nothing else is wrong: who asks is told.
    flood.bob.ask();
    flood.bob.expect_text(&flood.ada.text()).await;
}

/// One edit and how long it took to the other person; the edit, where it was not there before `limit`.
async fn turn(from: &Peer, to: &Peer, name: &str, limit: Duration) -> Result<Duration, String> {
    let token = token(name);
    let started = Instant::now();
    // At the beginning, and known by the length: what a turn takes must not depend on those before it.
    from.type_at(0, &token);
    let length = from.with(|view| view.length());
    let arrived = to.within(limit, |view| view.length() == length);
    if arrived.await {
        let took = started.elapsed();
        assert!(to.text().starts_with(&token), "something else arrived");
        Ok(took)
    } else {
        Err(token)
    }
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times
        .get(times.len() * 99 / 100)
        .copied()
        .unwrap_or_default()
}

/// Updates that a person makes, to be broken, and the known hostile ones.
async fn samples(server: &Server) -> Vec<Vec<u8>> {
    let person = Peer::join(server, "attacked").await;
    let mut samples = vec![
        person.append("a text of some length"),
        person.type_at(3, "in the middle"),
    ];
    samples.push(person.delete(1, 4));
    samples.push(corpus::nested_map(0, 3));
    samples.extend(
        corpus::refused()
            .into_iter()
            .chain(corpus::nasty())
            .map(|(_, update)| update),
    );
    // Half a megabyte of one sample would only measure the network.
    samples.retain(|sample| sample.len() < 4_096);
    person.echoed().await;
    samples
}

/// Sends malformed frames, and comes back when it is thrown out. Returns how often it was.
async fn attack(
    url: String,
    frames: u64,
    samples: Vec<Vec<u8>>,
    mut random: StdRng,
    pace: Option<Duration>,
) -> u64 {
    let mut pace = pace.map(tokio::time::interval);
    let mut reconnects = 0;
    let mut sent = 0;
    let mut attacker = Attacker::to(&url).await;
    while sent < frames {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let burst: Vec<_> = (0..BURST)
            .map(|_| malformed(&samples, &mut random))
            .collect();
        sent += BURST;
        if !attacker.handled(burst).await {
            reconnects += 1;
            attacker = Attacker::to(&url).await;
        }
    }
    reconnects
}

/// A client that spends as little as it can on its attack: its processor is the server's, too.
struct Attacker {
    sink: SplitSink<Socket, Frame>,
    /// Answers to questions so far; its end is that of the connection.
    answers: watch::Receiver<u64>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Attacker {
    async fn to(url: &str) -> Self {
        let (socket, _) = connect_async_with_config(url, None, true).await.unwrap();
        let (sink, mut stream) = socket.split();
        let (answered, answers) = watch::channel(0);
        tokio::spawn(async move {
            while let Some(Ok(frame)) = stream.next().await {
                if frame.into_data().starts_with(&wire::STEP_2) {
                    answered.send_modify(|answers| *answers += 1);
                }
            }
        });
        Self { sink, answers }
    }

    /// Sends all in one go, and a well-formed question behind them. True with an answer, and false with the end of the
    /// connection: either way, everything was handled.
    async fn handled(&mut self, burst: Vec<Vec<u8>>) -> bool {
        let before = *self.answers.borrow();
        let question = wire::step_1(&StateVector::default().encode_v1());
        let frames = burst.into_iter().chain([question]);
        let mut frames = stream::iter(frames.map(|frame| Ok(Frame::Binary(frame.into()))));
        // Where the connection has ended, no answer comes either.
        self.sink.send_all(&mut frames).await.ok();
        let answered = self.answers.wait_for(|answers| *answers > before);
        timeout(PATIENCE, answered)
            .await
            .expect("an answer or the end")
            .is_ok()
    }
}

fn malformed(samples: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut payload = samples[random.random_range(0..samples.len())].clone();
    mutate(&mut payload, random);
    let mut frame = match random.random_range(0..10) {
        0..=5 => wire::update(&payload),
        6 => wire::step_2(&payload),
        7 => wire::step_1(&payload),
        8 => {
            let mut frame = vec![1];
            wire::bytes(&payload, &mut frame);
            frame
        }
        _ => {
            let client = random.random_range(0..1_000);
            wire::awareness(&[(
                client,
                random.random_range(0..100),
                "{\"user\":{\"name\":\"m\"}}",
            )])
        }
    };
    // A broken frame costs its socket, so most are broken inside only.
    if random.random_ratio(1, 200) {
        mutate(&mut frame, random);
    }
    frame
}

fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.random()),
            2 => bytes.extend_from_within(..at.min(64)),
            _ if at < bytes.len() => bytes[at] = random.random(),
            _ => {}
        }
    }
}
