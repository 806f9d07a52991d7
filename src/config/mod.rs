//! What the operator decided: read once at start, checked, and handed on as typed values.
//!
//! A value comes from a flag, else from the environment, else from the file named by `--config`, else from the default.
//! [`settings`] is the one list of all settings; the flags, the environment variables, the keys of the file and
//! `docs/configuration.md` are made from it. A value that is wrong stops the start with a message that names the
//! setting, where the value came from and what would be right; nothing else reads the environment.

mod error;
mod flags;
pub mod origin;
mod reference;
mod settings;
mod sources;
mod value;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

pub use error::{ConfigError, Problem};
pub use flags::Flags;
pub use reference::{effective, markdown};
pub use settings::{SETTINGS, Setting};
pub use sources::{Environment, Source};

use origin::Origin;
use sources::Values;

/// Everything that was configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where people and editors connect. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// `/metrics` on an address of its own; `None` serves it on `listen` when that is a loopback address.
    pub metrics_listen: Option<SocketAddr>,
    pub data_dir: PathBuf,
    pub durability: Durability,
    pub access: Access,
    /// The address that people type, when a proxy stands in front.
    pub public_url: Option<Origin>,
    /// Further origins whose pages may open sockets and change things.
    pub allow_origin: Vec<Origin>,
    /// Threads that serve HTTP and sockets; `None` means half as many as there are cores.
    pub workers: Option<NonZeroUsize>,
    pub log: Log,
    pub limits: Limits,
    pub timing: Timing,
    pub compaction: Compaction,
    pub retention: Retention,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives a power cut: every commit waits for the disk.
    Full,
    /// Survives the end of the process, not of the machine.
    Process,
}

/// Who may edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone who reaches the port.
    Open,
    /// People with an account.
    Members,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or directives as `tracing-subscriber` takes them.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Bounds that keep one client from hurting the others. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// One WebSocket message, whole; a larger one is refused with close code 1009.
    pub max_message_bytes: usize,
    pub max_document_bytes: usize,
    pub max_structs_per_update: usize,
    /// How deep types may nest in each other.
    pub max_type_depth: usize,
    /// One client's awareness state.
    pub max_awareness_bytes: usize,
    /// Per socket; beyond it the socket is read more slowly, never closed.
    pub max_messages_per_second: u32,
    /// Per socket, sustained, with a burst of `max_message_bytes`; beyond it the socket is read more slowly.
    pub max_bytes_per_second: usize,
    pub max_sockets: usize,
    pub max_sockets_per_document: usize,
    /// `None` for no limit: an office shares one address.
    pub max_sockets_per_address: Option<usize>,
    /// Received and not committed yet, for one document; beyond it writes are refused with the reason.
    pub max_uncommitted_bytes_per_document: usize,
    /// The same for all documents together.
    pub max_uncommitted_bytes: usize,
    /// What waits for one socket that reads slowly; beyond it the queue is replaced by one difference.
    pub outbox_bytes: usize,
}

/// How long things may take or stay.
#[derive(Debug, Clone)]
pub struct Timing {
    /// A document that nobody has open is unloaded after this.
    pub idle_unload: Duration,
    pub ping_interval: Duration,
    /// A socket that answers no ping and takes no byte for this long is dead.
    pub dead_socket_timeout: Duration,
}

/// How old a session of writing is when its moments are thinned to each grain; `None` keeps them.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    pub seconds_after: Option<Duration>,
    pub minutes_after: Option<Duration>,
    pub sessions_after: Option<Duration>,
    pub named_after: Option<Duration>,
}

/// When the log of a document is folded into a snapshot: at whichever threshold is reached first.
#[derive(Debug, Clone)]
pub struct Compaction {
    pub after_rows: u64,
    pub after_bytes: u64,
}

/// A time as settings are written, such as `30 d`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    value::millis(text.trim()).map(Duration::from_millis)
}

impl Config {
    /// Reads and checks all sources; collects every problem instead of stopping at the first.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, ConfigError> {
        let values = Values::read(flags, environment)?;
        Self::from_values(&values)
    }

    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let config = Self {
            listen: values.address("listen").expect("listen has a default"),
            metrics_listen: values.address("metrics_listen"),
            data_dir: PathBuf::from(values.text("data_dir")),
            durability: match values.text("durability") {
                "process" => Durability::Process,
                _ => Durability::Full,
            },
            access: match values.text("access") {
                "members" => Access::Members,
                _ => Access::Open,
            },
            public_url: values.origins("public_url").first().cloned(),
            allow_origin: values.origins("allow_origin").to_vec(),
            workers: NonZeroUsize::new(values.count("workers")),
            log: Log {
                level: values.text("log_level").to_owned(),
                format: match values.text("log_format") {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Text,
                },
            },
            limits: Limits::from_values(values),
            timing: Timing {
                idle_unload: values.duration("idle_unload"),
                ping_interval: values.duration("ping_interval"),
                dead_socket_timeout: values.duration("dead_socket_timeout"),
            },
            compaction: Compaction {
                after_rows: values.count("compact_after_rows") as u64,
                after_bytes: values.count("compact_after_bytes") as u64,
            },
            retention: Retention {
                seconds_after: values.optional_duration("thin_to_seconds_after"),
                minutes_after: values.optional_duration("thin_to_minutes_after"),
                sessions_after: values.optional_duration("thin_to_sessions_after"),
                named_after: values.optional_duration("thin_to_named_after"),
            },
        };
        let problems = config.contradictions(values);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { problems })
        }
    }

    /// Values that are fine each and wrong together.
    fn contradictions(&self, values: &Values) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, why: String| problems.push(values.problem(name, why));
        if self.access == Access::Members {
            wrong(
                "access",
                "accounts come later; until then the only choice is `open`, so keep the server on a loopback or \
                 private address, or behind a proxy that knows who may enter"
                    .into(),
            );
        } else if !self.listen.ip().is_loopback() && values.source("access") == &Source::Default {
            wrong(
                "access",
                format!(
                    "{} can be reached from other machines, and everyone who reaches it could read and edit every \
                     document; say `--access open` if that is what you want, or listen on 127.0.0.1",
                    self.listen
                ),
            );
        }
        let limits = &self.limits;
        let at_least = [
            // A whole message must fit, or it could never be accepted.
            (
                "max_uncommitted_bytes_per_document",
                limits.max_uncommitted_bytes_per_document,
                "max_message_bytes",
                limits.max_message_bytes,
            ),
            (
                "max_uncommitted_bytes",
                limits.max_uncommitted_bytes,
                "max_uncommitted_bytes_per_document",
                limits.max_uncommitted_bytes_per_document,
            ),
        ];
        for (name, value, other, bound) in at_least {
            if value < bound {
                wrong(
                    name,
                    format!(
                        "must not be smaller than {other}, which is {}",
                        values.shown(other)
                    ),
                );
            }
        }
        if self.timing.dead_socket_timeout < 2 * self.timing.ping_interval {
            wrong(
                "dead_socket_timeout",
                format!(
                    "must be at least twice ping_interval, which is {}",
                    values.shown("ping_interval")
                ),
            );
        }
        problems
    }

    /// Whether only this machine reaches the server.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Whether people reach the server by https, through a proxy.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(Origin::is_https)
    }
}

impl Limits {
    fn from_values(values: &Values) -> Self {
        Self {
            max_message_bytes: values.count("max_message_bytes"),
            max_document_bytes: values.count("max_document_bytes"),
            max_structs_per_update: values.count("max_structs_per_update"),
            max_type_depth: values.count("max_type_depth"),
            max_awareness_bytes: values.count("max_awareness_bytes"),
            max_messages_per_second: u32::try_from(values.count("max_messages_per_second"))
                .expect("the table bounds it below 2^32"),
            max_bytes_per_second: values.count("max_bytes_per_second"),
            max_sockets: values.count("max_sockets"),
            max_sockets_per_document: values.count("max_sockets_per_document"),
            max_sockets_per_address: Some(values.count("max_sockets_per_address"))
                .filter(|max| *max > 0),
            max_uncommitted_bytes_per_document: values.count("max_uncommitted_bytes_per_document"),
            max_uncommitted_bytes: values.count("max_uncommitted_bytes"),
            outbox_bytes: values.count("outbox_bytes"),
        }
    }
}

impl Default for Config {
    /// The defaults of the table, as a start without flags, environment and file has them.
    fn default() -> Self {
        let values = Values::defaults();
        Self::from_values(&values).expect("the defaults are valid together; tested")
    }
}

#[cfg(test)]
mod tests;
