//! People who write tokens into several documents, and the book that is kept of them.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};

use super::{
    peer::{Connect, Peer},
    server::Server,
    tokens::{Ledger, token, tokens},
};

pub const DOCS: usize = 4;
/// Documents are left after so many rounds, so that a late round is not slower than an early one.
pub const ROUNDS_PER_DOC: u64 = 20;

/// Somebody who writes tokens and keeps book of which end where.
pub struct Writer {
    doc: String,
    name: String,
    pub peer: Peer,
    coscribe: bool,
    /// Token, number of its message, own clock after it.
    written: Vec<(String, u64, u32)>,
}

impl Writer {
    pub async fn join(server: &Server, doc: &str, name: String, coscribe: bool) -> Self {
        let connect = Connect::to(server.socket(doc));
        let connect = if coscribe {
            connect.coscribe()
        } else {
            connect
        };
        Self {
            doc: doc.to_owned(),
            name,
            peer: connect.join().await,
            coscribe,
            written: Vec::new(),
        }
    }

    pub fn write(&mut self) {
        let token = token(&format!("{}.{}", self.name, self.written.len()));
        self.peer.append(&token);
        let number = self.peer.with(|view| view.sent - 1);
        self.written.push((token, number, self.peer.own_clock()));
    }

    /// Enters what this writer wrote, what was acknowledged to it and what it saw of others.
    pub fn settle(&self, ledger: &mut Ledger) {
        let (saved, echoed, text) = self
            .peer
            .with(|view| (view.saved, view.echoed, view.text()));
        for (token, number, end) in &self.written {
            ledger.wrote(&self.doc, token);
            let acknowledged = if self.coscribe {
                *number < saved
            } else {
                *end <= echoed
            };
            if acknowledged {
                ledger.promise(&self.doc, token);
            }
        }
        let own = token(&format!("{}.", self.name));
        let own = own.trim_end_matches('>');
        for seen in tokens(&text).filter(|seen| !seen.starts_with(own)) {
            ledger.promise(&self.doc, seen);
        }
    }
}

/// People join and write for a while; the third one of each document only reads.
pub async fn write(server: &Server, round: u64, random: &mut StdRng) -> Vec<Writer> {
    let mut writers = Vec::new();
    for number in 0..DOCS {
        let doc = name(round, number);
        for person in 0..3 {
            let name = format!("r{round}p{person}");
            writers.push(Writer::join(server, &doc, name, person == 0).await);
        }
    }
    let end = tokio::time::Instant::now() + Duration::from_millis(random.random_range(20..400));
    while tokio::time::Instant::now() < end {
        let who = random.random_range(0..DOCS) * 3 + random.random_range(0..2);
        writers[who].write();
        if random.random_bool(0.3) {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..6))).await;
        }
    }
    writers
}

/// Somebody of these writes on until there was a promise, and then one more: what a test must see to be lost is there
/// however slow the machine is.
pub async fn write_on(writers: &mut [Writer]) {
    for _ in 0..2 {
        writers[0].write();
        writers[0].peer.saved().await;
    }
}

/// Enters what these people wrote, and were promised until now.
pub fn settle(writers: &[Writer], ledger: &mut Ledger) {
    for writer in writers {
        writer.settle(ledger);
    }
}

/// A document of a round.
pub fn name(round: u64, number: usize) -> String {
    format!("doc-{}-{number}", round / ROUNDS_PER_DOC)
}

/// What fresh clients find of the documents of one round. Returns how many promised tokens are not there.
pub async fn check(server: &Server, round: u64, ledger: &Ledger) -> usize {
    let docs: Vec<_> = (0..DOCS).map(|number| name(round, number)).collect();
    check_docs(server, &docs, ledger).await
}

/// The same for these documents.
pub async fn check_docs(server: &Server, docs: &[impl AsRef<str>], ledger: &Ledger) -> usize {
    let mut lost = 0;
    for doc in docs {
        let doc = doc.as_ref();
        let text = Peer::join(server, doc).await.text();
        let found = ledger.check(doc, &text);
        assert!(
            found.doubled.is_empty() && found.invented.is_empty(),
            "{doc}: {found:?}"
        );
        lost += found.lost.len();
    }
    lost
}
