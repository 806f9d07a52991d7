//! Asks a server for the state of a document over HTTP/1.0, with TLS or without, which needs no client library.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::dial::Endpoint;

const PATIENCE: Duration = Duration::from_secs(10);

/// The body of the answer, when its status is 200.
pub async fn get(address: &str) -> Result<Vec<u8>, String> {
    timeout(PATIENCE, fetch(address))
        .await
        .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn fetch(address: &str) -> Result<Vec<u8>, String> {
    let url = url::Url::parse(address).map_err(|error| error.to_string())?;
    let endpoint = Endpoint::of(&url).map_err(|error| error.to_string())?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let io = |error: std::io::Error| error.to_string();
    let mut stream = endpoint.dial().await.map_err(|error| error.to_string())?;
    let host = endpoint.authority();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(io)?;
    let head = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or("the answer is not HTTP")?;
    let (head, body) = answer.split_at(head + 4);
    let head = String::from_utf8_lossy(head);
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(body.to_vec()),
        _ => Err(format!("it answered {status}")),
    }
}
