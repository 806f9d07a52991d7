//! What lies between one person and the server: a proxy that passes bytes on and knows nothing of messages.
//!
//! It delays, throttles, holds back, ends a connection in the middle of a message, and delivers what one connection still
//! had on its way after the next one has begun. Within a connection bytes keep their order, as TCP has it. TLS, where the
//! server speaks it, lies behind the proxy, so that a message is cut in its middle there too.

use std::{
    collections::VecDeque,
    future::pending,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split,
    },
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Bytes that the person's end takes before the proxy has read them.
const SOCKET_BUFFER: usize = 64 << 10;
/// Bytes that are read at once.
const READ: usize = 16 << 10;
/// Bytes under way in one direction beyond which the proxy reads no more until some have arrived.
const MOST_UNDER_WAY: usize = 4 << 20;
/// A throttled connection passes so many pieces a second.
const PIECES_PER_SECOND: u32 = 50;
/// Bytes passed are counted for so many milliseconds together.
pub const BIN_MS: u32 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    FromServer,
}

/// Bytes that arrived in one stretch of [`BIN_MS`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    pub to_server: u64,
    pub from_server: u64,
}

/// What the network of one person does at the moment. It outlives connections.
#[derive(Debug, Default)]
struct Faults {
    lag: Option<(Instant, Duration)>,
    hold: Option<Instant>,
    throttle: Option<(Instant, u32)>,
    tear: bool,
    /// Bytes under way, in both directions.
    under_way: usize,
    begun: Option<Instant>,
    traffic: Vec<Traffic>,
}

/// The line of one person: the faults on it, and what it carried.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<Mutex<Faults>>);

impl Line {
    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time is counted from here on.
    pub fn begin(&self, at: Option<Instant>) {
        self.lock().begun = at;
    }

    /// All bytes take so much longer, in both directions.
    pub fn lag(&self, by: Duration, until: Instant) {
        self.lock().lag = Some((until, by));
    }

    /// Nothing reaches the server before then.
    pub fn hold(&self, until: Instant) {
        self.lock().hold = Some(until);
    }

    /// So many bytes a second pass in each direction; what is left over passes in the end.
    pub fn throttle(&self, bytes_per_second: u32, until: Instant) {
        self.lock().throttle = Some((until, bytes_per_second.max(PIECES_PER_SECOND)));
    }

    /// The next bytes to the server end half way, and with them their connection.
    pub fn tear(&self) {
        self.lock().tear = true;
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.lock().under_way == 0
    }

    /// What arrived, by time.
    pub fn traffic(&self) -> Vec<Traffic> {
        self.lock().traffic.clone()
    }

    fn takes_tear(&self) -> bool {
        std::mem::take(&mut self.lock().tear)
    }

    /// When each piece of these bytes arrives, if they set out now.
    fn schedule(
        &self,
        bytes: &[u8],
        way: Way,
        not_before: Option<Instant>,
    ) -> Vec<(Instant, Vec<u8>)> {
        let mut faults = self.lock();
        faults.under_way += bytes.len();
        let now = Instant::now();
        let mut at = match faults.lag {
            Some((until, by)) if now < until => now + by,
            _ => now,
        };
        if way == Way::ToServer {
            at = [faults.hold, not_before]
                .into_iter()
                .flatten()
                .fold(at, Instant::max);
        }
        match faults.throttle {
            Some((until, rate)) if now < until => {
                let pieces = bytes.chunks((rate / PIECES_PER_SECOND) as usize);
                pieces
                    .map(|piece| {
                        at += Duration::from_secs(1) / PIECES_PER_SECOND;
                        (at.min(until.max(now)), piece.to_vec())
                    })
                    .collect()
            }
            _ => vec![(at, bytes.to_vec())],
        }
    }

    fn arrived(&self, bytes: usize, way: Way) {
        let mut faults = self.lock();
        faults.under_way = faults.under_way.saturating_sub(bytes);
        let Some(begun) = faults.begun else { return };
        let bin = (begun.elapsed().as_millis() / u128::from(BIN_MS)) as usize;
        if faults.traffic.len() <= bin {
            faults.traffic.resize(bin + 1, Traffic::default());
        }
        let Some(traffic) = faults.traffic.get_mut(bin) else {
            return;
        };
        match way {
            Way::ToServer => traffic.to_server += bytes as u64,
            Way::FromServer => traffic.from_server += bytes as u64,
        }
    }

    fn lost(&self, bytes: usize) {
        let mut faults = self.lock();
        faults.under_way = faults.under_way.saturating_sub(bytes);
    }
}

/// The proxy of one person, with its connections. They end with its last copy.
#[derive(Clone)]
pub struct Proxy {
    line: Line,
    connections: Arc<Mutex<JoinSet<()>>>,
}

/// The person's hand on one connection. What is under way is lost when it is dropped, unless it was let go.
#[derive(Debug)]
pub struct Tap {
    cut: CancellationToken,
    late: Arc<Mutex<Option<Instant>>>,
    let_go: bool,
}

impl Tap {
    /// What is sent from now on reaches the server no earlier than then.
    pub fn late(&self, until: Instant) {
        *self.late.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Leaves the connection with what is under way, which will arrive.
    pub fn let_go(mut self) {
        self.let_go = true;
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if !self.let_go {
            self.cut.cancel();
        }
    }
}

impl Proxy {
    pub fn new(line: Line) -> Self {
        Self {
            line,
            connections: Arc::default(),
        }
    }

    /// Passes on what comes from a new stream to this connection, and back. Returns the person's end.
    pub fn pass_on<S>(&self, server: S) -> (DuplexStream, Tap)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while connections.try_join_next().is_some() {}
        let (person, ours) = duplex(SOCKET_BUFFER);
        let tap = Tap {
            cut: CancellationToken::new(),
            late: Arc::default(),
            let_go: false,
        };
        let (line, cut, late) = (self.line.clone(), tap.cut.clone(), tap.late.clone());
        connections.spawn(async move {
            let (from_person, to_person) = split(ours);
            let (from_server, to_server) = split(server);
            let there = Direction::new(Way::ToServer, &line, &late);
            let back = Direction::new(Way::FromServer, &line, &late);
            // Whatever ends, ends all: nobody uses half a connection.
            tokio::select! {
                () = cut.cancelled() => {}
                () = there.carry(from_person, to_server) => {}
                () = back.carry(from_server, to_person) => {}
            }
        });
        (person, tap)
    }
}

/// One direction of one connection.
struct Direction<'a> {
    way: Way,
    line: &'a Line,
    late: &'a Mutex<Option<Instant>>,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    open: bool,
}

impl<'a> Direction<'a> {
    fn new(way: Way, line: &'a Line, late: &'a Mutex<Option<Instant>>) -> Self {
        Self {
            way,
            line,
            late,
            under_way: VecDeque::new(),
            bytes: 0,
            open: true,
        }
    }

    fn late(&self) -> Option<Instant> {
        *self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until one end is closed and all that was under way has arrived.
    async fn carry(mut self, from: impl AsyncRead, to: impl AsyncWrite) {
        tokio::pin!(from, to);
        let mut buffer = vec![0; READ];
        loop {
            let due = self.under_way.front().map(|(at, _)| *at);
            tokio::select! {
                read = from.read(&mut buffer), if self.open && self.bytes < MOST_UNDER_WAY => {
                    self.take(read.map(|length| buffer.get(..length).unwrap_or_default()));
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let Some((_, piece)) = self.under_way.pop_front() else { continue };
                    if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
                        return self.nobody_reads().await;
                    }
                    self.bytes -= piece.len();
                    self.line.arrived(piece.len(), self.way);
                }
                else => return,
            }
        }
    }

    fn take(&mut self, read: io::Result<&[u8]>) {
        let bytes = match read {
            Ok([]) | Err(_) => {
                self.open = false;
                return;
            }
            Ok(bytes) => bytes,
        };
        let torn = self.way == Way::ToServer && bytes.len() > 1 && self.line.takes_tear();
        let bytes = match torn {
            true => bytes.get(..bytes.len() / 2).unwrap_or_default(),
            false => bytes,
        };
        self.open = !torn;
        let last = self.under_way.back().map(|(at, _)| *at);
        for (at, piece) in self.line.schedule(bytes, self.way, self.late()) {
            self.bytes += piece.len();
            self.under_way
                .push_back((last.map_or(at, |last| at.max(last)), piece));
        }
    }

    /// A person who let go reads no more, and what is on its way to the server still arrives.
    async fn nobody_reads(&self) {
        if self.way == Way::FromServer && self.late().is_some() {
            pending::<()>().await;
        }
    }
}

impl Drop for Direction<'_> {
    fn drop(&mut self) {
        self.line.lost(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection through a proxy: the person's end, and the server's.
    async fn connect(proxy: &Proxy, listener: &TcpListener) -> (DuplexStream, Tap, TcpStream) {
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (person, tap) = proxy.pass_on(stream);
        let (server, _) = listener.accept().await.unwrap();
        (person, tap, server)
    }

    async fn start() -> (Line, Proxy, TcpListener) {
        let line = Line::default();
        let proxy = Proxy::new(line.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (line, proxy, listener)
    }

    async fn read(from: &mut (impl AsyncRead + Unpin), length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    async fn rest(from: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
        let mut bytes = Vec::new();
        // How it ends does not matter.
        let _ended = from.read_to_end(&mut bytes).await;
        bytes
    }

    #[tokio::test]
    async fn bytes_pass_in_both_directions_and_are_counted() {
        let (line, proxy, listener) = start().await;
        line.begin(Some(Instant::now()));
        let (mut person, _tap, mut server) = connect(&proxy, &listener).await;
        person.write_all(b"there").await.unwrap();
        assert_eq!(read(&mut server, 5).await, b"there");
        server.write_all(b"back").await.unwrap();
        assert_eq!(read(&mut person, 4).await, b"back");
        let sum = |pick: fn(&Traffic) -> u64| line.traffic().iter().map(pick).sum::<u64>();
        assert_eq!(sum(|bin| bin.to_server), 5);
        assert_eq!(sum(|bin| bin.from_server), 4);
        drop(server);
        assert_eq!(rest(&mut person).await, b"");
    }

    #[tokio::test]
    async fn a_torn_connection_ends_in_the_middle_of_what_was_sent() {
        let (line, proxy, listener) = start().await;
        let (mut person, _tap, mut server) = connect(&proxy, &listener).await;
        line.tear();
        person.write_all(b"0123456789").await.unwrap();
        assert_eq!(rest(&mut server).await, b"01234");
        assert_eq!(rest(&mut person).await, b"");
        let (mut person, _tap, mut server) = connect(&proxy, &listener).await;
        person.write_all(b"whole").await.unwrap();
        assert_eq!(read(&mut server, 5).await, b"whole");
    }

    #[tokio::test]
    async fn the_last_bytes_of_a_connection_arrive_after_the_first_of_the_next() {
        let (line, proxy, listener) = start().await;
        let (mut person, tap, mut server) = connect(&proxy, &listener).await;
        let until = Instant::now() + Duration::from_millis(150);
        tap.late(until);
        person.write_all(b"late").await.unwrap();
        tap.let_go();
        drop(person);
        let (mut again, _tap, mut next) = connect(&proxy, &listener).await;
        again.write_all(b"first").await.unwrap();
        assert_eq!(read(&mut next, 5).await, b"first");
        assert!(Instant::now() < until);
        assert_eq!(rest(&mut server).await, b"late");
        assert!(Instant::now() >= until);
        assert!(line.is_idle());
    }

    #[tokio::test]
    async fn a_throttled_line_passes_so_many_bytes_and_the_rest_in_the_end() {
        let (line, proxy, listener) = start().await;
        let (mut person, _tap, mut server) = connect(&proxy, &listener).await;
        let begun = Instant::now();
        line.throttle(1000, begun + Duration::from_millis(300));
        person.write_all(&[7; 10_000]).await.unwrap();
        read(&mut server, 100).await;
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert!(!line.is_idle());
        read(&mut server, 9_900).await;
        assert!(begun.elapsed() >= Duration::from_millis(299));
    }

    #[tokio::test]
    async fn a_cut_connection_loses_what_is_under_way() {
        let (line, proxy, listener) = start().await;
        let (mut person, tap, mut server) = connect(&proxy, &listener).await;
        line.hold(Instant::now() + Duration::from_secs(60));
        person.write_all(b"never").await.unwrap();
        while line.is_idle() {
            tokio::task::yield_now().await;
        }
        drop(tap);
        assert_eq!(rest(&mut server).await, b"");
        assert!(line.is_idle());
    }
}
