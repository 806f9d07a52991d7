//! Stock clients in a Node process: `tests/yjs/clients.mjs` answers one request per line.

use serde_json::{Value, json};

use super::{driver::Driver, server::Server};

/// The stock clients that connect unchanged.
pub const VERSIONS: [&str; 3] = ["1.5", "2.1", "3.1"];

pub struct Node(Driver);

/// Where sockets are opened, as stock clients take it: the document's name comes apart.
pub fn sockets(server: &Server) -> String {
    format!("ws://{}/ws", server.address())
}

impl Node {
    /// `None`, with a message, where there is no Node.
    pub fn start() -> Option<Self> {
        Driver::start("clients.mjs").map(Self)
    }

    /// Sends a request; an answer that is an error is returned as it is.
    pub async fn try_ask(&mut self, request: Value) -> Value {
        self.0.try_ask(&request).await
    }

    /// Sends a request that must succeed.
    pub async fn ask(&mut self, request: Value) -> Value {
        self.0.ask(&request).await
    }

    /// Opens a document with a client of this version and waits until it is synced. Returns its Yjs client id.
    pub async fn join(&mut self, server: &Server, name: &str, version: &str, doc: &str) -> u64 {
        let id = self
            .open(server, name, json!({"version": version, "doc": doc}))
            .await;
        self.until(name, json!({"synced": true})).await;
        id
    }

    /// Opens a document with these options and does not wait.
    pub async fn open(&mut self, server: &Server, name: &str, options: Value) -> u64 {
        let mut request = json!({"ask": "open", "name": name, "url": sockets(server)});
        merge(&mut request, options);
        self.ask(request).await["id"].as_u64().unwrap()
    }

    /// Waits until the client fulfils a condition.
    pub async fn until(&mut self, name: &str, condition: Value) {
        let mut request = json!({"ask": "until", "name": name});
        merge(&mut request, condition);
        self.ask(request).await;
    }

    pub async fn insert(&mut self, name: &str, text: &str) {
        self.ask(json!({"ask": "insert", "name": name, "text": text}))
            .await;
    }

    pub async fn text(&mut self, name: &str) -> String {
        let answer = self.ask(json!({"ask": "text", "name": name})).await;
        answer["text"].as_str().unwrap().to_owned()
    }

    /// What the client's replica holds, to compare with others.
    pub async fn print(&mut self, name: &str) -> Value {
        self.ask(json!({"ask": "print", "name": name})).await
    }

    /// What a fresh document shows after these updates.
    pub async fn load(&mut self, updates: &[Vec<u8>]) -> Value {
        self.0.load(updates, true).await
    }
}

fn merge(request: &mut Value, more: Value) {
    let (Value::Object(request), Value::Object(more)) = (request, more) else {
        panic!("requests are objects");
    };
    request.extend(more);
}
