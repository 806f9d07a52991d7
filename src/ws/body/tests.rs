//! Whoever writes, the connection or what wakes it: the client reads whole frames in order.

use std::{collections::VecDeque, future::Future as _, net::TcpStream as Client, time::Duration};

use actix_http::ws::{OpCode, Parser};
use actix_web::rt::net::TcpStream;
use bytes::{Buf as _, BytesMut};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::io::AsyncWrite as _;

use super::*;
use crate::{
    protocol::Dialect,
    room::{bell::Bell, outbox::Outbox},
    ws::{line, wire::Wire},
};

/// What actix buffers before it writes.
const BUFFER: usize = 32 << 10;
const LARGEST: usize = 48 << 10;

/// The control frames of actix-ws.
#[derive(Clone, Default)]
struct Controls(Rc<RefCell<(VecDeque<Bytes>, Option<Waker>)>>);

impl MessageBody for Controls {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let (queue, waker) = &mut *self.0.borrow_mut();
        match queue.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Remembers that the connection is to be polled.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection as actix drives it.
struct Connection {
    wire: Wire,
    body: SocketBody,
    buffer: BytesMut,
    woken: Arc<Woken>,
}

impl Connection {
    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// One turn of the runtime, through which its wake-ups come.
    async fn run(&mut self) {
        tokio::task::yield_now().await;
        if self.is_woken() {
            self.turn();
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        while !self.buffer.is_empty() {
            match Pin::new(&mut self.wire).poll_write(cx, &self.buffer) {
                Poll::Ready(written) => self.buffer.advance(written.unwrap()),
                Poll::Pending => return,
            }
        }
    }

    /// Fills the buffer, writes as much as goes, and flushes once all has gone.
    fn turn(&mut self) {
        self.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(self.woken.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            let mut full = true;
            while self.buffer.len() < BUFFER && full {
                match Pin::new(&mut self.body).poll_next(&mut cx) {
                    Poll::Ready(Some(bytes)) => self.buffer.extend_from_slice(&bytes.unwrap()),
                    _ => full = false,
                }
            }
            self.write(&mut cx);
            if !self.buffer.is_empty() {
                return;
            }
            assert!(Pin::new(&mut self.wire).poll_flush(&mut cx).is_ready());
            if !full {
                return;
            }
        }
    }
}

/// The client: it reads when it likes.
struct Reader {
    socket: Client,
    unread: BytesMut,
    documents: Vec<u64>,
    controls: Vec<u64>,
}

impl Reader {
    fn read(&mut self, most: usize) {
        use std::io::Read as _;
        let mut bytes = vec![0; most];
        let count = match self.socket.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        };
        self.unread.extend_from_slice(&bytes[..count]);
        while let Some((true, code, Some(payload))) =
            Parser::parse(&mut self.unread, false, LARGEST + 8).unwrap()
        {
            let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
            assert!(payload[8..].iter().all(|&byte| byte == number as u8));
            match code {
                OpCode::Binary => self.documents.push(number),
                OpCode::Ping => self.controls.push(number),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn payload(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(8 + length, number as u8);
    bytes
}

#[actix_web::test]
async fn a_client_reads_whole_frames_in_order_whoever_writes_them() {
    let (mut past, mut parts) = (0, 0);
    for seed in 0..30 {
        let random = &mut StdRng::seed_from_u64(seed);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = Client::connect(listener.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(server).unwrap();
        socket2::SockRef::from(&stream)
            .set_send_buffer_size(16 << 10)
            .unwrap();

        let bell = Arc::new(Bell::default());
        let outbox = Arc::new(Outbox::with_bell(bell.clone(), seed));
        let (wire, controls) = (Wire::new(stream), Controls::default());
        let frames = Frames {
            peer: seed,
            mailbox: Arc::default(),
            outbox: outbox.clone(),
            dialect: Dialect::YWebsocket,
            signals: Signals::new(),
        };
        let body = SocketBody::new(frames, controls.clone().boxed(), Some(wire.tap()));
        let mut connection = Connection {
            wire,
            body,
            buffer: BytesMut::new(),
            woken: Arc::default(),
        };
        let mut reader = Reader {
            socket,
            unread: BytesMut::new(),
            documents: Vec::new(),
            controls: Vec::new(),
        };
        let mut pump = std::pin::pin!(bell.clone().pump(line::call));
        // The connection was at rest once, and something is left of what it was given since.
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut connection.wire).poll_flush(cx).is_ready());
        let (mut documents, mut pings) = (0, 0);
        while connection.buffer.is_empty() {
            let bytes = payload(documents, BUFFER / 2);
            Parser::write_message(&mut connection.buffer, bytes, OpCode::Binary, true, false);
            documents += 1;
            connection.write(cx);
        }
        connection.turn();
        for _ in 0..400 {
            match random.random_range(0..8) {
                0..3 => {
                    let length = random.random_range(0..LARGEST) >> random.random_range(0..12);
                    outbox.push_document(&payload(documents, length).into(), usize::MAX);
                    documents += 1;
                    let (quiet, before) = (!connection.is_woken(), connection.buffer.is_empty());
                    let mut cx = Context::from_waker(Waker::noop());
                    assert!(pump.as_mut().poll(&mut cx).is_pending());
                    past += usize::from(quiet && !connection.is_woken());
                    parts += usize::from(quiet && before && connection.is_woken());
                }
                3 => {
                    let mut frame = BytesMut::new();
                    Parser::write_message(
                        &mut frame,
                        payload(pings, 20),
                        OpCode::Ping,
                        true,
                        false,
                    );
                    pings += 1;
                    let waker = {
                        let (queue, waker) = &mut *controls.0.borrow_mut();
                        queue.push_back(frame.freeze());
                        waker.take()
                    };
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
                // The runtime learns that there is room, and the connection does not have its turn yet.
                4 => tokio::task::yield_now().await,
                5 => connection.run().await,
                _ => reader.read(random.random_range(1..LARGEST)),
            }
        }
        let all = (0..documents).collect::<Vec<_>>();
        let rest = async {
            while reader.documents.len() < all.len() || reader.controls.len() < pings as usize {
                connection.run().await;
                reader.read(LARGEST);
            }
        };
        tokio::time::timeout(Duration::from_secs(20), rest)
            .await
            .unwrap();
        assert_eq!(reader.documents, all, "seed {seed}");
        assert_eq!(
            reader.controls,
            (0..pings).collect::<Vec<_>>(),
            "seed {seed}"
        );
    }
    assert!(
        past > 100 && parts > 10,
        "{past} past the connection, {parts} in parts"
    );
}
