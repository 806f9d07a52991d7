//! Asks a server for the state of a document over HTTP.

use crate::fetch::{Answer, fetch};

/// The body of the answer, when its status is 200.
pub async fn get(address: &str) -> Result<Vec<u8>, String> {
    match fetch("GET", address, None).await? {
        Answer { status: 200, body } => Ok(body),
        Answer { status, .. } => Err(format!("it answered {status}")),
    }
}
