//! `coscribe converge` and `coscribe bench` against a server behind TLS: our own binary behind a terminator of the test,
//! with certificates of an authority of the test, and what both say when TLS can not be spoken.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "tasks of a test end with its runtime"
)]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

const COSCRIBE: &str = env!("CARGO_BIN_EXE_coscribe");

#[tokio::test(flavor = "multi_thread")]
async fn converge_comes_to_its_verdict_over_tls_with_faults_and_the_export() {
    let authority = Authority::named("Ours");
    let server = Server::start().await;
    let front = Terminator::start(authority.issue(&["localhost"]), server.address).await;
    let report = authority.directory.path().join("report.json");
    let at = format!("localhost:{}", front.address.port());
    let url = format!("wss://{at}/ws");
    let export = format!("https://{at}/api/docs/{{document}}/content?as=yjs");
    let (code, out, err) = run(
        &authority.file,
        &["converge", "--url", &url, "--export", &export],
        &[
            "--echo-acknowledges",
            "--clients=3",
            "--ops=60",
            "--seed=3",
            "--settle=1",
            "--json",
            report.to_str().unwrap(),
        ],
    )
    .await;
    assert_eq!(code, 0, "{out}\n{err}");
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let compared = report["compared"].as_array().unwrap();
    assert!(compared.contains(&"the server's export".into()), "{report}");
    let seen = front.seen();
    assert!(seen.len() > 5, "three people, a newcomer and the export");
    for Hello { name, head } in &seen {
        assert_eq!(name.as_deref(), Some("localhost"));
        assert!(
            head.is_empty() || head.to_lowercase().contains(&format!("\r\nhost: {at}\r\n")),
            "{head}"
        );
    }
    let requests = |what| {
        seen.iter()
            .filter(|hello| hello.head.contains(what))
            .count()
    };
    assert!(requests("GET /ws/converge-3-") >= 4, "{seen:?}");
    assert!(requests("content?as=yjs HTTP/1.0") >= 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_measures_over_tls() {
    let authority = Authority::named("Ours");
    let server = Server::start().await;
    let front = Terminator::start(authority.issue(&["127.0.0.1"]), server.address).await;
    let url = format!("wss://{}/ws", front.address);
    let (code, out, err) = run(
        &authority.file,
        &["bench", "fan-out", "presence", "join", "--quick"],
        &["--url", &url],
    )
    .await;
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(out.contains(&url), "{out}");
    for Hello { name, head } in front.seen() {
        // RFC 6066, 3: literal addresses are no server names.
        assert_eq!(name, None);
        let host = format!("\r\nHost: {}\r\n", front.address);
        assert!(head.contains(&host), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_can_not_be_trusted_end_with_2_and_say_what_to_do() {
    let [authority, other, namesake] = ["Ours", "Other", "Ours"].map(Authority::named);
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let good = Terminator::start(authority.issue(&["localhost", "127.0.0.1"]), nobody).await;
    let elsewhere = Terminator::start(authority.issue(&["elsewhere.example"]), nobody).await;
    let own = Terminator::start(authority.itself(), nobody).await;
    let missing = other.directory.path().join("missing.pem");
    for (front, file, words) in [
        (&good, &other.file, &["not trusted", "SSL_CERT_FILE=ca.pem"]),
        (
            &good,
            &namesake.file,
            &["not trusted", "SSL_CERT_FILE=ca.pem"],
        ),
        (
            &elsewhere,
            &authority.file,
            &["refused", "elsewhere.example"],
        ),
        (&own, &other.file, &["CA:TRUE", "SSL_CERT_FILE=ca.pem"]),
        (&good, &missing, &["SSL_CERT_FILE", "missing.pem"]),
    ] {
        let url = format!("wss://{}/ws", front.address);
        for tool in [&["converge"][..], &["bench", "fan-out", "--quick"]] {
            let (code, out, err) = run(file, tool, &["--url", &url]).await;
            assert_eq!(code, 2, "{tool:?} {words:?}: {out}\n{err}");
            for word in words {
                assert!(err.contains(word), "{tool:?} {word}: {err}");
            }
        }
    }
    assert!(
        good.seen().is_empty(),
        "nothing is said to who is not trusted"
    );
    // The session would be sound, but its export could not be read.
    let server = Server::start().await;
    let url = format!("ws://{}/ws", server.address);
    let export = format!("https://{}/{{document}}", good.address);
    let arguments = ["--url", &url, "--export", &export];
    let (code, _, err) = run(&other.file, &["converge"], &arguments).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("SSL_CERT_FILE=ca.pem"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_where_there_is_none_and_none_where_there_is_are_told_apart() {
    let authority = Authority::named("Ours");
    let server = Server::start().await;
    let front = Terminator::start(authority.issue(&["127.0.0.1"]), server.address).await;
    // It hears the client out, and ends the connection without a word.
    let taciturn = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ends = taciturn.local_addr().unwrap();
    let heard = Arc::new(AtomicUsize::new(0));
    let listens = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = taciturn.accept().await {
            // A tool that has its answer may end before another of its connections has said something.
            if stream.read(&mut [0; 64 << 10]).await.unwrap_or(0) > 0 {
                listens.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    for (url, word) in [
        (format!("wss://{}/ws", server.address), "does not speak TLS"),
        (format!("wss://{ends}/ws"), "speak TLS at this port?"),
        (format!("ws://{ends}/ws"), "wss:// in the address"),
        (format!("ws://{}/ws", front.address), "write wss://"),
    ] {
        for tool in [&["converge"][..], &["bench", "fan-out", "--quick"]] {
            let before = heard.load(Ordering::SeqCst);
            let (code, out, err) = run(&authority.file, tool, &["--url", &url]).await;
            assert_eq!(code, 2, "{tool:?} {url}: {out}\n{err}");
            assert!(err.contains(word), "{tool:?} {url}: {err}");
            let said = heard.load(Ordering::SeqCst) > before;
            assert_eq!(
                said,
                url.contains(&ends.to_string()),
                "{tool:?} {url}: a client says something"
            );
        }
    }
}

/// Runs a tool to its end: exit code, standard output, standard error. The file has the authorities that it trusts.
async fn run(authorities: &Path, tool: &[&str], arguments: &[&str]) -> (i32, String, String) {
    let running = Command::new(COSCRIBE)
        .args(tool)
        .args(arguments)
        .env("SSL_CERT_FILE", authorities)
        .env_remove("SSL_CERT_DIR")
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(60), running).await;
    let output = output.expect("it ends by itself").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A certificate with its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// A company's own authority, and the file that makes others trust it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
    directory: TempDir,
}

impl Authority {
    fn named(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        std::fs::write(&file, issuer.pem()).unwrap();
        Self {
            issuer,
            file,
            directory,
        }
    }

    /// For host names and literal addresses.
    fn issue(&self, names: &[&str]) -> Identity {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            certificate: certificate.der().clone(),
            key,
        }
    }

    /// As a server that uses its authority's certificate as its own.
    fn itself(&self) -> Identity {
        Identity {
            certificate: self.issuer.der().clone(),
            key: KeyPair::try_from(self.issuer.key().serialize_der()).unwrap(),
        }
    }
}

/// What a client said first: the name in its TLS handshake, and the head of its request.
#[derive(Debug, Clone)]
struct Hello {
    name: Option<String>,
    head: String,
}

/// Speaks TLS before a server that does not.
struct Terminator {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Hello>>>,
}

impl Terminator {
    async fn start(identity: Identity, behind: SocketAddr) -> Self {
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Hello>>>::default();
        let list = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, list) = (acceptor.clone(), Arc::clone(&list));
                tokio::spawn(pass_on(stream, acceptor, behind, list));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Hello> {
        self.seen.lock().unwrap().clone()
    }
}

/// One connection. Clients that end it or trust nobody are what is tested, so its errors are no failure here.
async fn pass_on(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    behind: SocketAddr,
    seen: Arc<Mutex<Vec<Hello>>>,
) -> std::io::Result<()> {
    let mut client = acceptor.accept(stream).await?;
    let name = client.get_ref().1.server_name().map(str::to_owned);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    seen.lock().unwrap().push(Hello { name, head: text });
    let mut server = TcpStream::connect(behind).await?;
    server.write_all(&head).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Our own server, without TLS.
struct Server {
    address: SocketAddr,
    // Killed, and its data removed, with this value.
    _process: Child,
    _data: TempDir,
}

impl Server {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut process = Command::new(COSCRIBE)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = timeout(Duration::from_secs(30), async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it starts");
                if let Some((_, address)) = line.split_once("http://") {
                    return address.trim().parse().unwrap();
                }
            }
        });
        Self {
            address: address.await.unwrap(),
            _process: process,
            _data: data,
        }
    }
}
