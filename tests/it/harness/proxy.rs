//! A TCP proxy that breaks connections: cuts them, holds them silently, delays them.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    /// Bytes pass.
    up: bool,
    delay: Duration,
    /// Connections of an earlier generation are closed.
    generation: u64,
}

pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (network, watched) = watch::channel(Network {
            up: true,
            delay: Duration::ZERO,
            generation: 0,
        });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Nobody listens while the server is down: the client is refused as it would be there.
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, watched.clone()));
                tokio::spawn(carry(from_server, to_client, watched.clone()));
            }
        });
        Self { address, network }
    }

    pub fn socket(&self, doc: &str) -> String {
        format!("ws://{}/ws/{doc}", self.address)
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// From now on nothing passes, and nobody is told: as when a laptop is closed.
    pub fn hold(&self) {
        self.network.send_modify(|network| network.up = false);
    }

    pub fn release(&self) {
        self.network.send_modify(|network| network.up = true);
    }

    pub fn delay(&self, delay: Duration) {
        self.network.send_modify(|network| network.delay = delay);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.network.send_modify(|network| network.generation += 1);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
) {
    let born = network.borrow().generation;
    let mut chunk = vec![0; 16 << 10];
    loop {
        let count = tokio::select! {
            read = from.read(&mut chunk) => match read {
                Ok(count @ 1..) => count,
                _ => return,
            },
            changed = network.changed() => {
                if changed.is_err() || network.borrow().generation != born {
                    return;
                }
                continue;
            }
        };
        let open = network.wait_for(|network| network.up || network.generation != born);
        let delay = match open.await.as_deref() {
            Ok(network) if network.generation == born => network.delay,
            _ => return,
        };
        tokio::time::sleep(delay).await;
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}
