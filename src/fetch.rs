//! One HTTP request to a server, with TLS or without: what the tools need of the JSON API, without a client library.
//!
//! HTTP/1.0, so an answer ends with its connection and comes in one piece.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::dial::Endpoint;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks; `json` is the body of a request that has one.
///
/// # Errors
/// When the address is none, nobody answers there within 30 s, or not in HTTP; in words for a person.
pub async fn fetch(method: &str, address: &str, json: Option<&str>) -> Result<Answer, String> {
    timeout(PATIENCE, ask(method, address, json))
        .await
        .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn ask(method: &str, address: &str, json: Option<&str>) -> Result<Answer, String> {
    let url = url::Url::parse(address).map_err(|error| error.to_string())?;
    let endpoint = Endpoint::of(&url).map_err(|error| error.to_string())?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let io = |error: std::io::Error| error.to_string();
    let mut stream = endpoint.dial().await.map_err(|error| error.to_string())?;
    let host = endpoint.authority();
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n");
    if let Some(json) = json {
        let length = json.len();
        request +=
            &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}");
    } else {
        // What a server of ours wants of a request that changes something and has no body.
        request += "X-Requested-With: coscribe\r\n\r\n";
    }
    stream.write_all(request.as_bytes()).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(io)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.ok_or("the answer is not HTTP")? + 4);
    let head = String::from_utf8_lossy(&answer);
    let status = head.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        status: code.ok_or_else(|| format!("it answered {status}"))?,
        body,
    })
}
