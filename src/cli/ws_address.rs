//! The address of a server under test, as `--url` gives it.

use anyhow::{Context as _, bail};

use crate::dial::Endpoint;

/// A WebSocket address to which documents' names are appended.
#[derive(Debug)]
pub(super) struct WsAddress {
    pub(super) endpoint: Endpoint,
    /// The path before the document's name, without a slash at its end.
    pub(super) base: String,
}

impl WsAddress {
    /// Reads what `--url` gives.
    ///
    /// # Errors
    /// When it is no WebSocket address, or TLS can not be set up; the error says what to do.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let url = url::Url::parse(text).with_context(|| {
            format!("--url {text} is no address; one looks like ws://localhost:1234")
        })?;
        if !matches!(url.scheme(), "ws" | "wss") {
            bail!("--url {text}: it must begin with ws://, or with wss:// for TLS");
        }
        if url.query().is_some() || url.fragment().is_some() {
            bail!("--url {text}: documents' names are appended, so nothing may follow ? or #");
        }
        Ok(Self {
            endpoint: Endpoint::of(&url).with_context(|| format!("--url {text}"))?,
            base: url.path().trim_end_matches('/').to_owned(),
        })
    }
}
