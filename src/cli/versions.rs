//! `coscribe versions`: the past of a document, on a running server or in a data directory at rest.
//!
//! Both are asked in the same way, over the HTTP API: for a directory at rest a server is started for the moment, on a
//! port of the loopback that nobody knows. Only what an API can not give, the newest whole version of a damaged
//! document, is read from the store itself.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Verdict, diff_words, runtime};
use crate::{
    app::App,
    clock::{Clock as _, SystemClock},
    config::Config,
    document::{
        export::{Form, export},
        id::DocId,
        scan::ScanLimits,
    },
    fetch::{Answer, fetch},
    history::salvage,
    lifecycle::Lifecycle,
    store::{
        Durability, Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
    timestamp::rfc3339,
};

#[derive(Debug, Args)]
pub(super) struct VersionsArgs {
    /// A running server, such as http://localhost:8080; without it the data directory, which no server may use then
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    #[command(subcommand)]
    command: VersionsCommand,
}

#[derive(Debug, Subcommand)]
enum VersionsCommand {
    /// List the versions of a document, newest first
    List {
        /// The document's name
        doc: String,
        /// How many, at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Print the document as it was
    Show {
        doc: String,
        /// An id of the list, the number of an edit, or a time such as 2026-11-21T09:30:00Z
        version: String,
        #[command(flatten)]
        form: FormArgs,
    },
    /// Give the present state a name, or an earlier moment
    Name {
        doc: String,
        label: String,
        /// The number of the edit whose state gets the name
        #[arg(long, value_name = "N")]
        seq: Option<u64>,
    },
    /// Bring a version back, by an edit that merges with what others do
    Restore {
        doc: String,
        /// An id of the list, or the number of an edit
        version: String,
    },
    /// Show what changed between two versions
    Diff {
        doc: String,
        /// An id of the list, or the number of an edit
        from: String,
        /// The later one
        #[arg(default_value = "now")]
        to: String,
        /// text (a line for each block that differs), json or html
        #[arg(long = "as", value_name = "FORM", default_value = "text", value_parser = ["text", "json", "html"])]
        form: String,
    },
    /// Keep less of the past: thin the moments of old sessions of writing; the present document stays as it is
    Thin {
        doc: String,
        /// What is kept: the last moment of each second or minute, the ends of sessions, or only named versions
        #[arg(long, value_parser = ["seconds", "minutes", "sessions", "named"])]
        to: String,
        /// Only sessions that ended so long ago, such as `30 d`
        #[arg(long, value_name = "AGE", value_parser = age, default_value = "0 s")]
        older_than: Duration,
    },
    /// Remove moments of the past, and what only they show, for good; the present document stays as it is
    Purge {
        doc: String,
        /// An id of the list (a session goes as a whole), or the numbers of the first and last edit, as 120..140
        version: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Write the newest version whose bytes are whole, of a damaged document too; the server must not run
    Recover {
        doc: String,
        #[command(flatten)]
        form: FormArgs,
    },
}

#[derive(Debug, Args)]
struct FormArgs {
    /// yjs (one update with the whole state), json or text
    #[arg(long = "as", value_name = "FORM", default_value = "text", value_parser = form)]
    form: String,
    /// Where to; standard output without it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn form(name: &str) -> Result<String, String> {
    match Form::named(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(format!("one of {}", crate::document::export::FORMS)),
    }
}

/// A time as in the configuration.
fn age(text: &str) -> Result<Duration, String> {
    crate::config::duration(text)
}

pub(super) fn run(args: &VersionsArgs, config: &Config) -> anyhow::Result<Verdict> {
    let runtime = runtime()?;
    match (&args.command, &args.url) {
        (VersionsCommand::Recover { .. }, Some(_)) => {
            bail!("recover reads the data directory; stop the server and leave out --url")
        }
        (VersionsCommand::Recover { doc, form }, None) => {
            runtime.block_on(recover(config, doc, form))
        }
        (command, Some(url)) => {
            let url = url.trim_end_matches('/');
            runtime.block_on(Server(url.to_owned()).answer(command))
        }
        (command, None) => {
            if !config.data_dir.join("coscribe.db").exists() {
                let directory = config.data_dir.display();
                bail!("{directory} holds no coscribe.db; name its directory with --data-dir");
            }
            let mut config = config.clone();
            config.listen = ([127, 0, 0, 1], 0).into();
            config.metrics_listen = None;
            let lifecycle = Lifecycle::new(runtime.handle().clone());
            runtime.block_on(async {
                let app = App::start(&config, lifecycle.clone()).await?;
                let server = Server(format!("http://{}", app.address()));
                let ended = lifecycle.tasks().main().spawn(app.run());
                let answered = server.answer(command).await;
                lifecycle.stop();
                ended.await?;
                answered
            })
        }
    }
}

/// The address of a server.
struct Server(String);

/// One line of the list.
#[derive(Deserialize)]
struct Line {
    id: String,
    at: String,
    kind: String,
    label: String,
    authors: Vec<Author>,
}

#[derive(Deserialize)]
struct Author {
    id: String,
    name: String,
}

impl Server {
    async fn answer(&self, command: &VersionsCommand) -> anyhow::Result<Verdict> {
        match command {
            VersionsCommand::List { doc, limit, json } => self.list(doc, *limit, *json).await?,
            VersionsCommand::Show { doc, version, form } => {
                let at = if version.contains('T') {
                    format!("at?time={}&as={}", encoded(version), form.form)
                } else {
                    format!("versions/{}?as={}", encoded(version), form.form)
                };
                let content = self.ask("GET", doc, &at, None).await?;
                write(form.output.as_deref(), &content)?;
            }
            VersionsCommand::Name { doc, label, seq } => {
                let body = json!({"label": label, "seq": seq}).to_string();
                let version = self.ask("POST", doc, "versions", Some(&body)).await?;
                let version: Line = serde_json::from_slice(&version)?;
                println!("{}", version.id);
            }
            VersionsCommand::Restore { doc, version } => {
                let path = format!("versions/{}/restore", encoded(version));
                let answer = self.ask("POST", doc, &path, Some("{}")).await?;
                let answer: Value = serde_json::from_slice(&answer)?;
                match answer["before"]["id"].as_str() {
                    Some(before) => println!("restored; back again by restoring {before}"),
                    None => println!("nothing differs; nothing was changed"),
                }
            }
            VersionsCommand::Diff {
                doc,
                from,
                to,
                form,
            } => {
                let path = format!("versions/{}/diff/{}", encoded(from), encoded(to));
                if form == "html" {
                    let html = self
                        .ask("GET", doc, &format!("{path}?as=html"), None)
                        .await?;
                    write(None, &html)?;
                    return Ok(Verdict::Fine);
                }
                let diff = self.ask("GET", doc, &path, None).await?;
                if form == "json" {
                    write(None, &diff)?;
                    return Ok(Verdict::Fine);
                }
                let lines = diff_words::lines(&serde_json::from_slice(&diff)?);
                match lines.is_empty() {
                    true => println!("nothing differs"),
                    false => write(None, lines.join("\n").as_bytes())?,
                }
            }
            VersionsCommand::Thin {
                doc,
                to,
                older_than,
            } => {
                let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
                // A session that ended in this very millisecond is old enough, too.
                let before = SystemClock.now().saturating_sub(age).saturating_add(1);
                let body = json!({"to": to, "before": rfc3339(before)}).to_string();
                let answer = self.ask("POST", doc, "versions/thin", Some(&body)).await?;
                let answer: Value = serde_json::from_slice(&answer)?;
                println!("{} moments are not kept any more", answer["hidden"]);
            }
            VersionsCommand::Purge { doc, version, yes } => self.purge(doc, version, *yes).await?,
            // Needs no server, and must not have one.
            VersionsCommand::Recover { .. } => {}
        }
        Ok(Verdict::Fine)
    }

    async fn list(&self, doc: &str, limit: u32, json: bool) -> anyhow::Result<()> {
        let mut left = limit;
        let mut cursor = String::new();
        let mut out = std::io::stdout().lock();
        while left > 0 {
            let path = format!("versions?limit={}{cursor}", left.min(200));
            let page = self.ask("GET", doc, &path, None).await?;
            let page: Value = serde_json::from_slice(&page)?;
            for version in page["versions"].as_array().into_iter().flatten() {
                left = left.saturating_sub(1);
                if json {
                    writeln!(out, "{version}")?;
                    continue;
                }
                let line = Line::deserialize(version)?;
                let names = line.authors.iter().map(|author| match &author.name[..] {
                    "" => &author.id[..],
                    name => name,
                });
                let names = names.collect::<Vec<_>>().join(", ");
                let Line {
                    id,
                    at,
                    kind,
                    label,
                    ..
                } = line;
                writeln!(out, "{id:<10} {at:<24} {kind:<14} {names:<30} {label}")?;
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Ok(())
    }

    async fn purge(&self, doc: &str, version: &str, yes: bool) -> anyhow::Result<()> {
        let path = match version.split_once("..") {
            Some((from, to)) => {
                let (from, to): (u64, u64) = (from.parse()?, to.parse()?);
                format!("versions?from_seq={from}&to_seq={to}")
            }
            None => format!("versions/{}", encoded(version)),
        };
        if !yes && !confirmed(doc, version)? {
            bail!("nothing was removed");
        }
        let answer = self.ask("DELETE", doc, &path, None).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        match &answer["purged"] {
            Value::Null => println!("nothing to remove; the present state always stays"),
            span => println!(
                "the states after edits {} to {} are removed",
                span["from_seq"], span["to_seq"]
            ),
        }
        Ok(())
    }

    async fn ask(
        &self,
        method: &str,
        doc: &str,
        path: &str,
        body: Option<&str>,
    ) -> anyhow::Result<Vec<u8>> {
        let address = format!("{}/api/docs/{}/{path}", self.0, encoded(doc));
        let answer = fetch(method, &address, body).await;
        let Answer { status, body } =
            answer.map_err(|error| anyhow::anyhow!("{}: {error}", self.0))?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        match problem["detail"].as_str() {
            Some(detail) => bail!("{detail}"),
            None => bail!("{} answered {status}", self.0),
        }
    }
}

/// Asks before what can not be taken back.
fn confirmed(doc: &str, version: &str) -> anyhow::Result<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("what is removed can not be brought back; say --yes if that is what you want");
    }
    eprint!("Remove {version} of the history of {doc} for good? Nobody can bring it back. [y/N] ");
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
}

async fn recover(config: &Config, doc: &str, form: &FormArgs) -> anyhow::Result<Verdict> {
    let doc = DocId::parse(doc)?;
    let store = SqliteStore::open(SqliteOptions {
        data_dir: config.data_dir.clone(),
        durability: Durability::Full,
    })
    .await?;
    let whole = salvage(&store, &doc, &ScanLimits::default()).await;
    store.close().await?;
    let whole = whole?;
    let wanted = Form::named(&form.form).context("the form was looked at before")?;
    write(form.output.as_deref(), &export(&whole.replica, wanted))?;
    let (seq, head) = (whole.seq, whole.head);
    if seq == head {
        eprintln!("coscribe: the document is whole, with all of its {head} edits");
        return Ok(Verdict::Fine);
    }
    eprintln!(
        "coscribe: this is the document after {seq} of its {head} edits; what came later is damaged"
    );
    Ok(Verdict::Wrong)
}

fn write(file: Option<&Path>, content: &[u8]) -> anyhow::Result<()> {
    match file {
        Some(file) => std::fs::write(file, content)
            .with_context(|| format!("{} can not be written", file.display())),
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(content)?;
            if !content.ends_with(b"\n") {
                out.write_all(b"\n")?;
            }
            Ok(out.flush()?)
        }
    }
}
