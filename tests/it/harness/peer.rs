//! A peer that speaks the wire protocol itself: yrs for the replica, tungstenite for frames, nothing of the server's.
//!
//! A peer answers as stock clients do. What it was sent is in its [`View`]; tests wait for conditions on that.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitStream};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message as Frame, client::IntoClientRequest as _, http::Response,
        protocol::WebSocketConfig,
    },
};
use yrs::{
    Doc, OffsetKind, Options, ReadTxn as _, Text as _, Transact as _, block::ClientID,
    updates::encoder::Encode as _,
};

use super::{PATIENCE, server::Server, view::View, wire};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a peer connects.
pub struct Connect {
    url: String,
    client: u64,
    coscribe: bool,
    protocol: Option<String>,
    keep_frames: bool,
    silent: bool,
    announced: Option<(u64, String)>,
}

/// A connection to one document.
pub struct Peer {
    pub client: u64,
    view: Arc<Mutex<View>>,
    changed: watch::Receiver<u64>,
    outgoing: mpsc::UnboundedSender<Frame>,
    reading: watch::Sender<bool>,
    clock: u64,
    /// The handshake's answer.
    pub response: Response<Option<Vec<u8>>>,
}

impl Connect {
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            client: u64::from(rand::random::<u32>().max(1)),
            coscribe: false,
            protocol: None,
            keep_frames: false,
            silent: false,
            announced: None,
        }
    }

    pub fn client(mut self, client: u64) -> Self {
        self.client = client;
        self
    }

    /// Understands the private messages of the server's own page.
    pub fn coscribe(mut self) -> Self {
        self.coscribe = true;
        self
    }

    pub fn protocol(mut self, protocol: &str) -> Self {
        self.protocol = Some(protocol.to_owned());
        self
    }

    pub fn keep_frames(mut self) -> Self {
        self.keep_frames = true;
        self
    }

    /// Announces this awareness state before anything was received, as stock clients do on every connection.
    pub fn announcing(mut self, clock: u64, state: &str) -> Self {
        self.announced = Some((clock, state.to_owned()));
        self
    }

    /// Connects, exchanges states and waits until it is synced.
    pub async fn join(self) -> Peer {
        self.join_with(None).await
    }

    /// The same with a replica that exists already: a reconnect.
    pub async fn join_with(self, doc: Option<Doc>) -> Peer {
        let peer = self.try_open(doc).await.unwrap();
        peer.ask();
        peer.wait("synced", |view| view.synced).await;
        peer
    }

    /// Connects and says nothing by itself; updates from the server are not applied.
    pub async fn silent(mut self) -> Peer {
        self.silent = true;
        self.try_open(None).await.unwrap()
    }

    pub async fn try_open(self, doc: Option<Doc>) -> Result<Peer, tungstenite::Error> {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let url = match self.coscribe {
            true => format!("{}{separator}client=coscribe", self.url),
            false => self.url,
        };
        let mut request = url.into_client_request()?;
        if let Some(protocol) = &self.protocol {
            let value = protocol.parse().unwrap();
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", value);
        }
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let (socket, response) =
            tokio_tungstenite::connect_async_with_config(request, Some(config), true).await?;
        let doc = doc.unwrap_or_else(|| replica(self.client));
        let view = View::new(doc, self.client, self.silent, self.keep_frames);
        let view = Arc::new(Mutex::new(view));
        let (mut sink, stream) = socket.split();
        let (outgoing, mut queue) = mpsc::unbounded_channel();
        let (ticks, changed) = watch::channel(0);
        let (reading, gate) = watch::channel(true);
        if let Some((clock, state)) = &self.announced {
            let frame = wire::awareness(&[(self.client, *clock, state)]);
            outgoing.send(Frame::Binary(frame.into())).ok();
        }
        tokio::spawn(async move {
            while let Some(frame) = queue.recv().await {
                if sink.send(frame).await.is_err() {
                    return;
                }
            }
            // The peer was dropped: the connection ends with it.
            sink.close().await.ok();
        });
        tokio::spawn(read(
            stream,
            view.clone(),
            ticks,
            gate,
            outgoing.downgrade(),
        ));
        Ok(Peer {
            client: self.client,
            view,
            changed,
            outgoing,
            reading,
            clock: self.announced.map_or(0, |(clock, _)| clock),
            response,
        })
    }
}

/// A replica as Yjs keeps it: UTF-16 positions.
fn replica(client: u64) -> Doc {
    Doc::with_options(Options {
        client_id: ClientID::new(client),
        offset_kind: OffsetKind::Utf16,
        skip_gc: true,
        ..Options::default()
    })
}

async fn read(
    mut stream: SplitStream<Socket>,
    view: Arc<Mutex<View>>,
    ticks: watch::Sender<u64>,
    mut gate: watch::Receiver<bool>,
    outgoing: mpsc::WeakUnboundedSender<Frame>,
) {
    loop {
        if gate.wait_for(|open| *open).await.is_err() {
            return;
        }
        let frame = stream.next().await;
        let mut ended = false;
        {
            let mut view = view.lock().unwrap();
            match frame {
                Some(Ok(Frame::Binary(frame))) => {
                    let answer = view.take(&frame);
                    if let (Some(answer), Some(outgoing)) = (answer, outgoing.upgrade()) {
                        outgoing.send(Frame::Binary(answer.into())).ok();
                    }
                }
                Some(Ok(Frame::Close(close))) => {
                    let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                    view.closed = Some(close.unwrap_or((1005, String::new())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    view.closed.get_or_insert((1006, String::new()));
                    ended = true;
                }
            }
        }
        ticks.send_modify(|tick| *tick += 1);
        if ended {
            return;
        }
    }
}

impl Peer {
    /// Opens a document of this server and waits until it is synced.
    pub async fn join(server: &Server, doc: &str) -> Self {
        Connect::to(server.socket(doc)).join().await
    }

    /// The same edits and client id on a new connection, as after a reconnect. Does not wait.
    pub async fn reconnect(&self, url: &str, coscribe: bool) -> Result<Self, tungstenite::Error> {
        let doc = self.with(|view| view.doc.clone());
        let mut connect = Connect::to(url).client(self.client);
        connect.coscribe = coscribe;
        let mut peer = connect.try_open(Some(doc)).await?;
        peer.clock = self.clock;
        peer.ask();
        Ok(peer)
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut View) -> T) -> T {
        look(&mut self.view.lock().unwrap())
    }

    pub fn text(&self) -> String {
        self.with(|view| view.text())
    }

    /// Whether the view fulfils a condition before this time is over or the connection is.
    pub async fn within(&self, limit: Duration, mut holds: impl FnMut(&mut View) -> bool) -> bool {
        let mut changed = self.changed.clone();
        let wait = async {
            loop {
                changed.mark_unchanged();
                if self.with(&mut holds) {
                    return true;
                }
                if changed.changed().await.is_err() {
                    return self.with(&mut holds);
                }
            }
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(false)
    }

    /// Waits until the view fulfils a condition.
    pub async fn wait(&self, what: &str, holds: impl FnMut(&mut View) -> bool) {
        if self.within(PATIENCE, holds).await {
            return;
        }
        let seen = self.with(|view| {
            format!(
                "text {:?}, closed {:?}, denied {:?}, refused {:?}, sent {}, saved {}, awareness {:?}",
                view.text().chars().take(300).collect::<String>(),
                view.closed, view.denied, view.refused, view.sent, view.saved, view.awareness
            )
        });
        panic!("waited in vain: {what}; {seen}");
    }

    pub async fn expect_text(&self, text: &str) {
        self.wait(&format!("the text {text:?}"), |view| view.text() == text)
            .await;
    }

    /// Waits for the end of the connection.
    pub async fn expect_close(&self) -> (u16, String) {
        self.wait("a close", |view| view.closed.is_some()).await;
        self.with(|view| view.closed.clone()).unwrap()
    }

    /// Sends bytes as one binary frame.
    pub fn send(&self, frame: impl Into<Bytes>) {
        self.outgoing.send(Frame::Binary(frame.into())).ok();
    }

    pub fn send_frame(&self, frame: Frame) {
        self.outgoing.send(frame).ok();
    }

    /// Sends an update; returns its number among the document messages of this connection.
    pub fn send_update(&self, update: &[u8]) -> u64 {
        let number = self.with(|view| {
            view.sent += 1;
            view.sent - 1
        });
        self.send(wire::update(update));
        number
    }

    /// Asks for what this peer lacks.
    pub fn ask(&self) {
        let vector = self.with(|view| view.doc.transact().state_vector().encode_v1());
        self.send(wire::step_1(&vector));
    }

    /// Types at a position of the root text; the edit is in this replica and on its way. Returns its update.
    pub fn type_at(&self, at: u32, text: &str) -> Vec<u8> {
        self.edit(|doc| {
            let root = doc.get_or_insert_text("text");
            let mut transaction = doc.transact_mut();
            root.insert(&mut transaction, at, text);
            transaction.encode_update_v1()
        })
    }

    /// Types at the end of the root text.
    pub fn append(&self, text: &str) -> Vec<u8> {
        self.edit(|doc| {
            let root = doc.get_or_insert_text("text");
            let mut transaction = doc.transact_mut();
            root.push(&mut transaction, text);
            transaction.encode_update_v1()
        })
    }

    pub fn delete(&self, at: u32, length: u32) -> Vec<u8> {
        self.edit(|doc| {
            let root = doc.get_or_insert_text("text");
            let mut transaction = doc.transact_mut();
            root.remove_range(&mut transaction, at, length);
            transaction.encode_update_v1()
        })
    }

    /// Changes the replica and sends the update that the change answers with.
    pub fn edit(&self, change: impl FnOnce(&Doc) -> Vec<u8>) -> Vec<u8> {
        let update = self.with(|view| change(&view.doc));
        self.send_update(&update);
        update
    }

    /// The end of this client's own edits in its replica.
    pub fn own_clock(&self) -> u32 {
        let client = ClientID::new(self.client);
        self.with(|view| view.doc.transact().state_vector().get(&client))
    }

    /// Waits until all that this peer has written came back, which is the acknowledgement that stock clients get.
    pub async fn echoed(&self) {
        let clock = self.own_clock();
        self.wait("the own edits come back", |view| view.echoed >= clock)
            .await;
    }

    /// Appends these, each as an edit of its own that is stored before the next.
    pub async fn write(&self, texts: &[&str]) {
        for text in texts {
            self.append(text);
            self.echoed().await;
        }
    }

    /// Waits until every document message so far was called durable.
    pub async fn saved(&self) {
        let sent = self.with(|view| view.sent);
        self.wait("all is saved", |view| view.saved >= sent).await;
    }

    /// Announces an awareness state with the next clock.
    pub fn announce(&mut self, state: &str) {
        self.clock += 1;
        self.send(wire::awareness(&[(self.client, self.clock, state)]));
    }

    /// Everything before this has been handled by the server once this returns.
    pub async fn round_trip(&self) {
        let before = self.with(|view| view.step_2s);
        self.ask();
        self.wait("an answer to step 1", |view| view.step_2s > before)
            .await;
    }

    /// Stops reading from the socket, or goes on.
    pub fn read(&self, open: bool) {
        self.reading.send_replace(open);
    }
}
