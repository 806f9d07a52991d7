//! One connection, and the bad network that it goes through: delays and repeats on the way, order kept.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// A connection that is not made by then counts as refused.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// A frame that is not taken by then ends the connection.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// What the network of one person does at the moment. It outlives connections.
#[derive(Debug, Default)]
pub struct Weather {
    lag: Option<(Instant, Duration)>,
    hold: Option<Instant>,
    twice: Option<Instant>,
}

impl Weather {
    pub fn lag(&mut self, by: Duration, until: Instant) {
        self.lag = Some((until, by));
    }

    pub fn hold(&mut self, until: Instant) {
        self.hold = Some(until);
    }

    pub fn twice(&mut self, until: Instant) {
        self.twice = Some(until);
    }

    /// When a frame that sets out now arrives.
    fn arrival(&self, now: Instant, outgoing: bool) -> Instant {
        let lagged = match self.lag {
            Some((until, by)) if now < until => now + by,
            _ => now,
        };
        match self.hold {
            Some(until) if outgoing => lagged.max(until),
            _ => lagged,
        }
    }

    fn copies(&self, now: Instant) -> usize {
        1 + usize::from(self.twice.is_some_and(|until| now < until))
    }
}

/// Frames under way, each with the time at which it arrives. Bounded by what one person sends in a plan.
#[derive(Debug, Default)]
struct Queue(VecDeque<(Instant, Bytes)>);

impl Queue {
    /// Frames do not overtake each other.
    fn push(&mut self, at: Instant, frame: Bytes) {
        let at = self.0.back().map_or(at, |(last, _)| at.max(*last));
        self.0.push_back((at, frame));
    }

    fn pop(&mut self, now: Instant) -> Option<Bytes> {
        let (at, _) = self.0.front()?;
        if *at > now {
            return None;
        }
        self.0.pop_front().map(|(_, frame)| frame)
    }
}

/// An open connection.
pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    outgoing: Queue,
    incoming: Queue,
}

/// Why a connection ended or was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

impl Link {
    pub async fn open(url: &str) -> Result<Self, LinkError> {
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), true);
        match tokio::time::timeout(CONNECT_PATIENCE, connecting).await {
            Ok(Ok((socket, _))) => Ok(Self {
                socket,
                outgoing: Queue::default(),
                incoming: Queue::default(),
            }),
            Ok(Err(error)) => Err(LinkError(error.to_string())),
            Err(_) => Err(LinkError(format!(
                "no answer within {} s",
                CONNECT_PATIENCE.as_secs()
            ))),
        }
    }

    /// Waits for a frame and puts it under way to the replica. Loses nothing when it is dropped before its end.
    pub async fn receive(&mut self, weather: &Weather) -> Result<(), LinkError> {
        match self.socket.next().await {
            Some(Ok(Message::Binary(frame))) => {
                let now = Instant::now();
                self.incoming.push(weather.arrival(now, false), frame);
                Ok(())
            }
            Some(Ok(Message::Close(close))) => Err(LinkError(match close {
                Some(close) => format!("closed with {} {}", u16::from(close.code), close.reason),
                None => "closed".to_owned(),
            })),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(LinkError(error.to_string())),
            None => Err(LinkError("the connection ended".to_owned())),
        }
    }

    /// Puts a frame under way to the server; returns how often.
    pub fn send(&mut self, frame: &Bytes, weather: &Weather) -> usize {
        let now = Instant::now();
        let copies = weather.copies(now);
        for _ in 0..copies {
            self.outgoing
                .push(weather.arrival(now, true), frame.clone());
        }
        copies
    }

    /// Gives the socket what has waited long enough.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        while let Some(frame) = self.outgoing.pop(Instant::now()) {
            let sending = self.socket.send(Message::Binary(frame));
            match tokio::time::timeout(SEND_PATIENCE, sending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(LinkError(error.to_string())),
                Err(_) => return Err(LinkError("the server does not read".to_owned())),
            }
        }
        Ok(())
    }

    /// A frame that has arrived.
    pub fn arrived(&mut self) -> Option<Bytes> {
        self.incoming.pop(Instant::now())
    }

    /// When the next frame under way arrives at either end.
    pub fn next_due(&self) -> Option<Instant> {
        let fronts = [self.outgoing.0.front(), self.incoming.0.front()];
        fronts.into_iter().flatten().map(|(at, _)| *at).min()
    }

    /// Says goodbye as a client does that ends in order.
    pub async fn close(mut self) {
        // Whether the server hears it is its affair.
        let _closed =
            tokio::time::timeout(Duration::from_millis(200), self.socket.close(None)).await;
    }
}
