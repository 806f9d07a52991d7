//! Web origins: scheme, host and port in the one spelling that browsers send.

use std::fmt;

use url::{Host, Url};

/// An http or https origin in its ASCII serialisation (RFC 6454, section 6.2), such as `https://docs.example.org`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    host: Host,
    https: bool,
}

impl Origin {
    /// Takes an `Origin` header. Only the exact serialisation is one: no path, no capital letters, no unencoded
    /// international name, no default port, and not `null`.
    pub fn from_header(header: &str) -> Option<Self> {
        let origin = Self::from_url(&Url::parse(header).ok()?)?;
        (origin.text == header).then_some(origin)
    }

    /// Takes what an operator wrote: any spelling of an origin, with or without a slash at its end.
    pub fn from_setting(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let url =
            Url::parse(text).map_err(|error| format!("`{text}` is not an address: {error}"))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}` has more than scheme, host and port"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("contains a user name or password".into());
        }
        Self::from_url(&url)
            .ok_or_else(|| format!("`{text}` is not http:// or https:// with a host"))
    }

    fn from_url(url: &Url) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self {
            text: url.origin().ascii_serialization(),
            host: url.host()?.to_owned(),
            https,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host name, or IP address as a URL writes it.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

/// `localhost` or an address of this machine only. Not `*.localhost`: some resolvers ask the network for it.
pub fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_an_origin_only_in_its_exact_spelling() {
        for good in [
            "http://localhost:8080",
            "https://docs.example.org",
            "http://[::1]:80800",
            "http://xn--bcher-kva.example",
        ] {
            let parsed = Origin::from_header(good);
            assert_eq!(parsed.is_some(), !good.contains("80800"), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://docs.example.org/",
            "HTTPS://docs.example.org",
            "https://DOCS.example.org",
            "https://docs.example.org:443",
            "https://u@docs.example.org",
            "https://bücher.example",
            "file://x",
            "https://docs.example.org evil",
            "docs.example.org",
            "https://",
            "http://127.1",
        ] {
            assert!(Origin::from_header(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_operator_may_write_it_as_people_do() {
        assert_eq!(
            Origin::from_setting(" https://Docs.Example.org:443/ ")
                .unwrap()
                .as_str(),
            "https://docs.example.org"
        );
        for bad in [
            "docs.example.org",
            "https://a.example/path",
            "ftp://a.example",
            "https://u:p@a.example",
            "*",
        ] {
            assert!(Origin::from_setting(bad).is_err(), "{bad}");
        }
    }
}
