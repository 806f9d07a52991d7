//! The messages around the updates, in the dialect of the server under test, and the handshake of one client.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::timeout;

use super::{
    server::Server,
    websocket::{self, Message, Receiver, Sender},
};
use crate::document::varint::{Reader, write_bytes, write_var};

/// While joining, of larger messages only the head is looked at: the state itself is not needed.
const SKIM_BYTES: usize = 32 * 1024;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a server's messages are framed, and what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The bare relay: it copies frames and answers nothing.
    Relay,
    /// `y-websocket`, one document per socket, named in the path.
    YWebsocket,
    /// Hocuspocus, where each frame begins with the document's name.
    Hocuspocus,
}

/// The meaning of one message.
pub enum Incoming<'a> {
    SyncStep1,
    /// Where the message was only skimmed, the update is empty.
    SyncStep2 {
        len: usize,
        update: &'a [u8],
    },
    Update(&'a [u8]),
    Awareness(&'a [u8]),
    Other,
}

/// What precedes and names every message on one connection.
#[derive(Clone)]
pub struct Wire {
    dialect: Dialect,
    /// The document's address in Hocuspocus frames; empty elsewhere.
    address: Vec<u8>,
}

impl Wire {
    pub fn new(dialect: Dialect, document: &str) -> Self {
        let mut address = Vec::new();
        if dialect == Dialect::Hocuspocus {
            write_bytes(&mut address, document.as_bytes());
        }
        Self { dialect, address }
    }

    /// The bytes before an update of this many bytes.
    pub fn update_head(&self, len: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.address);
        out.extend_from_slice(&[0, 2]);
        write_var(out, len as u64);
    }

    /// Queues one update for sending.
    pub fn queue_update(&self, sender: &mut Sender, update: &[u8]) {
        let mut head = Vec::with_capacity(self.address.len() + 12);
        self.update_head(update.len(), &mut head);
        sender.queue(&[&head, update]);
    }

    /// Queues one awareness update for sending.
    pub fn queue_awareness(&self, sender: &mut Sender, update: &[u8]) {
        let mut head = Vec::with_capacity(self.address.len() + 12);
        head.extend_from_slice(&self.address);
        head.push(1);
        write_var(&mut head, update.len() as u64);
        sender.queue(&[&head, update]);
    }

    /// What a message means.
    ///
    /// # Errors
    /// When it is no message of the protocol.
    pub fn read<'a>(&self, message: &Message<'a>) -> Result<Incoming<'a>> {
        let mut read = Reader::new(message.bytes);
        if self.dialect == Dialect::Hocuspocus {
            read.var_bytes()?;
        }
        match read.u8()? {
            0 => {}
            1 if message.bytes.len() == message.len => {
                return Ok(Incoming::Awareness(read.var_bytes()?));
            }
            _ => return Ok(Incoming::Other),
        }
        let skimmed = message.bytes.len() < message.len;
        match read.u8()? {
            0 => Ok(Incoming::SyncStep1),
            1 if skimmed => Ok(Incoming::SyncStep2 {
                len: message.len,
                update: &[],
            }),
            1 => Ok(Incoming::SyncStep2 {
                len: message.len,
                update: read.var_bytes()?,
            }),
            2 if skimmed => Ok(Incoming::Other),
            2 => Ok(Incoming::Update(read.var_bytes()?)),
            other => bail!("unknown sync message {other}"),
        }
    }

    fn hello(&self, sender: &mut Sender) {
        if self.dialect == Dialect::Hocuspocus {
            sender.queue(&[&self.address, &[2, 0, 0]]);
        }
        sender.queue(&[&self.address, &SYNC_STEP_1_EMPTY]);
    }
}

const SYNC_STEP_1_EMPTY: [u8; 4] = [0, 0, 1, 0];
const SYNC_STEP_2_EMPTY: [u8; 5] = [0, 1, 2, 0, 0];

/// The SyncStep2 message that carries a state, as a server sends it to a newcomer.
pub fn sync_step_2(state: &[u8]) -> Vec<u8> {
    let mut message = vec![0, 1];
    write_bytes(&mut message, state);
    message
}

/// One connected client that knows the document.
pub struct Peer {
    pub receiver: Receiver,
    pub sender: Sender,
    pub wire: Wire,
    /// Length of the message that brought the state.
    pub state_bytes: usize,
}

/// What a client of the relay waits for, as the relay knows no handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    /// Others are on the same document: nothing, or each hello would go to all of them.
    No,
    /// Nobody else is: its own hello comes back, one round trip as with a real server.
    Yes,
}

impl Peer {
    /// Connects and reads until the document's state has arrived.
    ///
    /// # Errors
    /// When nobody listens, the upgrade is refused, or no state comes in time.
    pub async fn join(server: &Server, document: &str, alone: Alone) -> Result<Self> {
        let mut peer = Self::connect(server, document).await?;
        peer.synchronise(server, alone).await?;
        Ok(peer)
    }

    /// Connects, without a word about the document.
    ///
    /// # Errors
    /// When nobody listens or the upgrade is refused.
    pub async fn connect(server: &Server, document: &str) -> Result<Self> {
        let (receiver, sender) = websocket::connect(
            server.address,
            server.tls.as_ref(),
            &server.host,
            &server.path(document),
        )
        .await?;
        Ok(Self {
            receiver,
            sender,
            wire: Wire::new(server.dialect, document),
            state_bytes: 0,
        })
    }

    /// Says hello and waits for the state.
    ///
    /// # Errors
    /// When the connection ends, or no state comes in time.
    pub async fn synchronise(&mut self, server: &Server, alone: Alone) -> Result<()> {
        match timeout(PATIENCE, self.exchange_states(server, alone)).await {
            Ok(result) => result,
            Err(_) => bail!(
                "the server did not answer with the document's state (a SyncStep2) within {} s",
                PATIENCE.as_secs()
            ),
        }
    }

    async fn exchange_states(&mut self, server: &Server, alone: Alone) -> Result<()> {
        let relay = self.wire.dialect == Dialect::Relay;
        if relay && alone == Alone::No && !server.greets {
            return Ok(());
        }
        if !(relay && server.greets) {
            self.wire.hello(&mut self.sender);
            self.sender.flush().await?;
        }
        self.receiver.skim_over(SKIM_BYTES);
        let mut state = None;
        while state.is_none() {
            let mut asked = false;
            self.receiver
                .receive(|message| {
                    match self.wire.read(&message)? {
                        Incoming::SyncStep2 { len, .. } => state = Some(len),
                        Incoming::SyncStep1 if relay => state = Some(0),
                        Incoming::SyncStep1 => asked = true,
                        Incoming::Update(_) | Incoming::Awareness(_) | Incoming::Other => {}
                    }
                    Ok(())
                })
                .await?;
            if asked {
                self.sender
                    .send(&[&self.wire.address, &SYNC_STEP_2_EMPTY])
                    .await?;
            }
        }
        self.receiver.skim_over(usize::MAX);
        self.state_bytes = state.unwrap_or(0);
        Ok(())
    }

    /// Sends an update and waits until the server gives it back, which is its acknowledgement.
    ///
    /// # Errors
    /// When the connection ends, or the update does not come back in time.
    pub async fn store(&mut self, update: &[u8]) -> Result<()> {
        self.wire.queue_update(&mut self.sender, update);
        self.sender.flush().await?;
        match timeout(PATIENCE, self.acknowledged()).await {
            Ok(result) => result,
            Err(_) => bail!(
                "the server did not give an update back to its author within {} s, which is how it is acknowledged here",
                PATIENCE.as_secs()
            ),
        }
    }

    async fn acknowledged(&mut self) -> Result<()> {
        let mut back = false;
        while !back {
            self.receiver
                .receive(|message| {
                    back |= matches!(self.wire.read(&message)?, Incoming::Update(_));
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }
}
