//! Connects to a server that an address names, with TLS where the address asks for it (`wss`, `https`).
//!
//! It owns which certificates are trusted: those of the operating system, or those that `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name in their place. There is no switch that trusts everything: what the checks of a company's own
//! authority need is its certificate in that file. It speaks neither HTTP nor WebSocket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, CertificateError, ClientConfig, RootCertStore, client::Resumption, crypto::ring,
        pki_types::ServerName,
    },
};
use url::{Host, Url};

/// A connection may take so long, and a TLS handshake too, also where thousands are under way at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first bytes of a TLS alert (RFC 8446, 5.1: the record's type and the major version).
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// Why there is no connection. The words say what to do.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{0} is not a ws://, wss://, http:// or https:// address with a host")]
    Address(Url),
    #[error("{0}")]
    Connect(io::Error),
    #[error(
        "no certificate can be made out for the host {0}; write its name as its certificate has it"
    )]
    Name(String),
    #[error(
        "TLS needs a certificate authority to trust, and there is none ({0}); SSL_CERT_FILE names a file with their certificates (PEM)"
    )]
    NoAuthority(String),
    #[error("TLS can not be set up: {0}")]
    SetUp(rustls::Error),
    #[error(
        "the certificate of {host} is not trusted: none of the {authorities} authorities known here has signed it{unread}. \
         If the authority is your own, give its certificate (PEM): SSL_CERT_FILE=ca.pem"
    )]
    Untrusted {
        host: String,
        authorities: usize,
        /// What could not be read of the authorities' certificates, or nothing.
        unread: String,
    },
    #[error(
        "the certificate of {0} is that of an authority, which is not taken as a server's own: let it sign one for the \
         server (without CA:TRUE), and give the authority's (PEM): SSL_CERT_FILE=ca.pem"
    )]
    AuthorityAsServer(String),
    #[error("the certificate of {host} is refused: {reason}")]
    Refused {
        host: String,
        reason: CertificateError,
    },
    #[error("{0} does not speak TLS there; write ws:// or http://, or the port where it does")]
    NotTls(String),
    #[error("{0} ended the connection instead of speaking TLS; does it speak TLS at this port?")]
    Ended(String),
    #[error(
        "{host} has not answered the TLS handshake within {} s; does it speak TLS at this port?",
        PATIENCE.as_secs()
    )]
    Silent { host: String },
    #[error("the TLS handshake with {host} failed: {error}")]
    Handshake { host: String, error: io::Error },
}

/// Where a server is, and whether it speaks TLS there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// As it stands in an address: an IPv6 literal has its brackets.
    host: String,
    port: u16,
    /// What the address's scheme implies.
    default_port: u16,
    tls: Option<Tls>,
}

impl Endpoint {
    /// What an address names. For TLS the trusted authorities are read, once in a process.
    ///
    /// # Errors
    /// When the address has no host or no scheme of the four, or TLS can not be set up.
    pub fn of(url: &Url) -> Result<Self, DialError> {
        let wrong = || DialError::Address(url.clone());
        let (secure, default_port) = match url.scheme() {
            "ws" | "http" => (false, 80),
            "wss" | "https" => (true, 443),
            _ => return Err(wrong()),
        };
        let host = url.host().ok_or_else(wrong)?;
        Ok(Self {
            host: host.to_string(),
            port: url.port().unwrap_or(default_port),
            default_port,
            tls: secure.then(|| Tls::with(&host)).transpose()?,
        })
    }

    /// How TLS is spoken with it, where it is.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// `host:port`, to be resolved.
    pub fn socket_address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What a request says in its `Host` header: the port only where the scheme does not imply it (RFC 9110, 4.2.3).
    pub fn authority(&self) -> String {
        match self.port == self.default_port {
            true => self.host.clone(),
            false => self.socket_address(),
        }
    }

    /// Connects, and makes the TLS handshake where there is one.
    ///
    /// # Errors
    /// When the host is not found, nobody listens there, or the handshake fails.
    pub async fn dial(&self) -> Result<Stream, DialError> {
        let connecting = TcpStream::connect(self.socket_address());
        // A firewall that drops everything is else waited for for minutes.
        let stream = timeout(PATIENCE, connecting).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        begin(stream.map_err(DialError::Connect)?, self.tls()).await
    }
}

/// Connects to an address that was resolved before, and makes the TLS handshake where one is wanted.
///
/// # Errors
/// When nobody listens there, or the handshake fails.
pub async fn connect(address: SocketAddr, tls: Option<&Tls>) -> Result<Stream, DialError> {
    let stream = TcpStream::connect(address).await;
    begin(stream.map_err(DialError::Connect)?, tls).await
}

async fn begin(stream: TcpStream, tls: Option<&Tls>) -> Result<Stream, DialError> {
    // A message is small, and waits for no other.
    stream.set_nodelay(true).map_err(DialError::Connect)?;
    match tls {
        None => Ok(Stream::Plain(stream)),
        Some(tls) => Ok(Stream::Tls(Box::new(tls.handshake(stream).await?))),
    }
}

/// Whether the answer to a request without TLS is that of a server that wants it: an alert, or the words that the usual
/// web servers have for it.
pub fn wants_tls(answer: &[u8]) -> bool {
    answer.starts_with(&TLS_ALERT)
        || answer
            .windows(b" HTTPS ".len())
            .any(|part| part == b" HTTPS ")
}

/// How to speak TLS with one host.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

// The connector has nothing to show.
impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Tls").field(&self.name).finish()
    }
}

impl Tls {
    /// The host is what the certificate has to name; a domain is also told to the server beforehand (SNI).
    fn with(host: &Host<&str>) -> Result<Self, DialError> {
        let name = match *host {
            Host::Domain(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| DialError::Name(name.to_owned()))?,
            Host::Ipv4(address) => ServerName::from(IpAddr::from(address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::from(address)),
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::clone(&Trust::here()?.config)),
            name,
        })
    }

    async fn handshake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, DialError> {
        let shaking = self.connector.connect(self.name.clone(), stream);
        match timeout(PATIENCE, shaking).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.explain(error)),
            Err(_) => Err(DialError::Silent { host: self.host() }),
        }
    }

    fn host(&self) -> String {
        self.name.to_str().into_owned()
    }

    fn explain(&self, error: io::Error) -> DialError {
        let host = self.host();
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        match cause {
            // A bad signature is that of another authority with the name of one that is known, such as the one before it.
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => {
                let trust = TRUST.get();
                DialError::Untrusted {
                    host,
                    authorities: trust.map_or(0, |trust| trust.authorities),
                    unread: trust.map_or(String::new(), |trust| trust.unread.clone()),
                }
            }
            // rustls has no variant of its own for what every quick `openssl req -x509` makes.
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                if format!("{other:?}").contains("CaUsedAsEndEntity") =>
            {
                DialError::AuthorityAsServer(host)
            }
            Some(rustls::Error::InvalidCertificate(reason)) => DialError::Refused {
                host,
                reason: reason.clone(),
            },
            Some(rustls::Error::InvalidMessage(_)) => DialError::NotTls(host),
            None if is_end(&error) => DialError::Ended(host),
            _ => DialError::Handshake { host, error },
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

static TRUST: OnceLock<Trust> = OnceLock::new();

/// Whose signatures count.
struct Trust {
    config: Arc<ClientConfig>,
    authorities: usize,
    /// What could not be read, as the end of a sentence.
    unread: String,
}

impl Trust {
    /// Of this process. Reading a system's authorities takes milliseconds, so it is done once.
    fn here() -> Result<&'static Self, DialError> {
        if let Some(trust) = TRUST.get() {
            return Ok(trust);
        }
        let trust = Self::read()?;
        Ok(TRUST.get_or_init(|| trust))
    }

    fn read() -> Result<Self, DialError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (authorities, refused) = roots.add_parsable_certificates(found.certs);
        let mut unread: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        if refused > 0 {
            unread.push(format!("{refused} certificates are none"));
        }
        if authorities == 0 {
            let none = "no certificates were found".to_owned();
            return Err(DialError::NoAuthority(
                unread.into_iter().next().unwrap_or(none),
            ));
        }
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(DialError::SetUp)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // As browsers do for a WebSocket; with h2 the upgrade would be another one.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each client stands for another machine, which has no session to take up.
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            authorities,
            unread: match unread.is_empty() {
                true => String::new(),
                false => format!(" (not read: {})", unread.join("; ")),
            },
        })
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => match ready!(Pin::new(stream).poll_read(context, buffer)) {
                // Many servers end without a word of TLS. Frames and updates have their lengths, so that one which was
                // cut short is noticed all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => Poll::Ready(read),
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Endpoint {
        Endpoint::of(&Url::parse(address).unwrap()).unwrap()
    }

    #[test]
    fn the_host_header_has_the_port_unless_the_scheme_implies_it() {
        for (address, authority, socket) in [
            ("ws://example.com/ws", "example.com", "example.com:80"),
            (
                "http://example.com:443",
                "example.com:443",
                "example.com:443",
            ),
            ("ws://[::1]:1234/a/b", "[::1]:1234", "[::1]:1234"),
            ("http://[::1]", "[::1]", "[::1]:80"),
            ("ws://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080"),
        ] {
            let endpoint = of(address);
            assert_eq!(endpoint.authority(), authority, "{address}");
            assert_eq!(endpoint.socket_address(), socket, "{address}");
            assert!(endpoint.tls().is_none(), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for address in ["ftp://example.com", "unix:/tmp/socket", "data:,"] {
            let error = Endpoint::of(&Url::parse(address).unwrap()).unwrap_err();
            assert!(matches!(error, DialError::Address(_)), "{address}: {error}");
        }
    }

    #[test]
    fn servers_that_want_tls_are_recognised_by_their_answer() {
        assert!(wants_tls(&[0x15, 0x03, 0x03, 0, 2, 2, 50]));
        assert!(wants_tls(
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
        ));
        assert!(wants_tls(
            b"<center>The plain HTTP request was sent to HTTPS port</center>"
        ));
        assert!(!wants_tls(b"HTTP/1.1 400 Bad Request\r\n\r\nno upgrade"));
        assert!(!wants_tls(b""));
    }
}
