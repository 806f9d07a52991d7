//! The address of a server under test, as `--url` gives it.

use anyhow::{Context as _, bail};

/// A WebSocket address to which documents' names are appended.
#[derive(Debug)]
pub(super) struct WsAddress {
    /// Host and port.
    pub(super) host: String,
    /// The path before the document's name, without a slash at its end.
    pub(super) base: String,
}

impl WsAddress {
    /// Reads what `--url` gives.
    ///
    /// # Errors
    /// When it is no plain WebSocket address; the error says what one looks like.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let url = url::Url::parse(text).with_context(|| {
            format!("--url {text} is no address; one looks like ws://localhost:1234")
        })?;
        if url.scheme() != "ws" {
            bail!(
                "--url {text}: it must begin with ws://; TLS is not spoken here, connect behind the proxy that does"
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            bail!("--url {text}: documents' names are appended, so nothing may follow ? or #");
        }
        let host = url
            .host_str()
            .with_context(|| format!("--url {text} names no host"))?;
        let port = url.port_or_known_default().unwrap_or(80);
        Ok(Self {
            host: format!("{host}:{port}"),
            base: url.path().trim_end_matches('/').to_owned(),
        })
    }
}
