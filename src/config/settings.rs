//! The one list of all settings.
//!
//! The name is the key in the file; the flag and the environment variable follow from it, so that knowing one is
//! knowing all three. Defaults are bounds that a team at work never meets.

use super::value::Kind;

/// One thing that can be configured.
#[derive(Debug)]
pub struct Setting {
    /// The key in the TOML file, in `snake_case`.
    pub name: &'static str,
    pub section: Section,
    /// As it would be written in the environment; empty for "not set".
    pub default: &'static str,
    /// What a value may be.
    pub(super) kind: Kind,
    /// A value that would be right, for error messages and the reference.
    pub example: &'static str,
    /// One or two sentences, for `--help` and the reference.
    pub help: &'static str,
}

/// Where a setting stands in the help and the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Server,
    Logging,
    Limits,
    Upkeep,
}

impl Section {
    pub const ALL: [Self; 4] = [Self::Server, Self::Logging, Self::Limits, Self::Upkeep];

    pub fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Logging => "Logging",
            Self::Limits => "Limits",
            Self::Upkeep => "Upkeep",
        }
    }
}

impl Setting {
    /// `--max-sockets`, without the dashes in front.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// `COSCRIBE_MAX_SOCKETS`.
    pub fn variable(&self) -> String {
        format!("{}{}", super::sources::PREFIX, self.name.to_uppercase())
    }

    /// What a value may be, in words.
    pub fn allowed(&self) -> String {
        self.kind.describe()
    }

    pub(super) fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Ages at which moments are thinned: up to a hundred years.
const THINNING: Kind = Kind::Duration {
    min_ms: 0,
    max_ms: 36_500 * 86_400_000,
};

/// Every setting, in the order of the reference.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        section: Section::Server,
        default: "127.0.0.1:8080",
        kind: Kind::Address,
        example: "127.0.0.1:8080",
        help: "Address and port to serve on. Port 0 picks a free one and prints it.",
    },
    Setting {
        name: "data_dir",
        section: Section::Server,
        default: "./data",
        kind: Kind::Path,
        example: "/var/lib/coscribe",
        help: "Directory of the database. It is created when missing; a relative one starts at the working directory.",
    },
    Setting {
        name: "durability",
        section: Section::Server,
        default: "full",
        kind: Kind::Choice(&["full", "process"]),
        example: "full",
        help: "What \"saved\" promises: with `full` it survives a power cut, with `process` only the end of the process.",
    },
    Setting {
        name: "access",
        section: Section::Server,
        default: "open",
        kind: Kind::Choice(&["open", "members"]),
        example: "open",
        help: "Who may edit: with `open` everyone who reaches the port. On an address that other machines reach it \
               must be given explicitly. `members` (accounts) comes later.",
    },
    Setting {
        name: "public_url",
        section: Section::Server,
        default: "",
        kind: Kind::Origin,
        example: "https://docs.example.org",
        help: "The address people type when a proxy stands in front. With https it makes cookies secure and sends HSTS.",
    },
    Setting {
        name: "allow_origin",
        section: Section::Server,
        default: "",
        kind: Kind::Origins,
        example: "https://app.example.org",
        help: "Further origins whose pages may open sockets and change documents. Several are separated by commas.",
    },
    Setting {
        name: "metrics_listen",
        section: Section::Server,
        default: "",
        kind: Kind::Address,
        example: "127.0.0.1:9090",
        help: "An address of its own for /metrics. Without it /metrics is served on the main address, and only when \
               that is a loopback address.",
    },
    Setting {
        name: "workers",
        section: Section::Server,
        default: "0",
        kind: Kind::Count { min: 0, max: 1024 },
        example: "4",
        help: "Threads that serve HTTP and sockets; 0 for half as many as there are cores.",
    },
    Setting {
        name: "log_level",
        section: Section::Logging,
        default: "info",
        kind: Kind::LogLevel,
        example: "info",
        help: "error, warn, info, debug or trace, for Coscribe itself; or tracing directives such as \
               `warn,coscribe::room=debug`.",
    },
    Setting {
        name: "log_format",
        section: Section::Logging,
        default: "text",
        kind: Kind::Choice(&["text", "json"]),
        example: "json",
        help: "Lines for people or JSON for machines, on standard error.",
    },
    Setting {
        name: "max_message_bytes",
        section: Section::Limits,
        default: "16 MiB",
        kind: Kind::Bytes { min: KIB, max: GIB },
        example: "16 MiB",
        help: "Largest edit: a paste, or what was written offline. A larger one is refused by name; only a frame of more than four times this ends the socket (close 1009).",
    },
    Setting {
        name: "max_document_bytes",
        section: Section::Limits,
        default: "64 MiB",
        kind: Kind::Bytes {
            min: KIB,
            max: 16 * GIB,
        },
        example: "64 MiB",
        help: "Largest document. Beyond it additions are refused and deletions still accepted.",
    },
    Setting {
        name: "max_structs_per_update",
        section: Section::Limits,
        default: "1000000",
        kind: Kind::Count {
            min: 1,
            max: 100_000_000,
        },
        example: "1000000",
        help: "Most structs (runs of edits) in one update.",
    },
    Setting {
        name: "max_type_depth",
        section: Section::Limits,
        default: "128",
        // Beyond about 4,000 levels a walk of the tree could exhaust a thread's stack.
        kind: Kind::Count { min: 1, max: 1_024 },
        example: "128",
        help: "How deep lists, tables and other types may nest in each other.",
    },
    Setting {
        name: "max_awareness_bytes",
        section: Section::Limits,
        default: "64 KiB",
        kind: Kind::Bytes { min: KIB, max: MIB },
        example: "64 KiB",
        help: "Largest awareness state (cursor, name, colour) of one client.",
    },
    Setting {
        name: "max_messages_per_second",
        section: Section::Limits,
        default: "100000",
        kind: Kind::Count {
            min: 0,
            max: 100_000_000,
        },
        example: "1000",
        help: "Messages per second of one socket, with a burst of three seconds' worth; beyond it the socket is read \
               more slowly, never closed. 0 for no limit. Rooms are fair to each other without it.",
    },
    Setting {
        name: "max_bytes_per_second",
        section: Section::Limits,
        default: "64 MiB",
        kind: Kind::Bytes {
            min: KIB,
            max: 4 * GIB - 1,
        },
        example: "4 MiB",
        help: "Bytes per second of one socket, with a burst of three seconds' worth; beyond it the socket is read more \
               slowly, never closed.",
    },
    Setting {
        name: "max_sockets",
        section: Section::Limits,
        default: "20000",
        kind: Kind::Count {
            min: 1,
            max: 10_000_000,
        },
        example: "20000",
        help: "Sockets in all.",
    },
    Setting {
        name: "max_sockets_per_document",
        section: Section::Limits,
        default: "5000",
        kind: Kind::Count {
            min: 1,
            max: 10_000_000,
        },
        example: "5000",
        help: "Sockets that may have one document open.",
    },
    Setting {
        name: "max_sockets_per_address",
        section: Section::Limits,
        default: "0",
        kind: Kind::Count {
            min: 0,
            max: 10_000_000,
        },
        example: "500",
        help: "Sockets from one address; 0 for no limit, as an office shares one address and a proxy hides them all.",
    },
    Setting {
        name: "max_uncommitted_bytes_per_document",
        section: Section::Limits,
        default: "32 MiB",
        kind: Kind::Bytes {
            min: KIB,
            max: 16 * GIB,
        },
        example: "32 MiB",
        help: "Edits of one document kept in memory while they can not be stored; beyond it further ones are refused.",
    },
    Setting {
        name: "max_uncommitted_bytes",
        section: Section::Limits,
        default: "256 MiB",
        kind: Kind::Bytes {
            min: KIB,
            max: 64 * GIB,
        },
        example: "256 MiB",
        help: "The same for all documents together.",
    },
    Setting {
        name: "outbox_bytes",
        section: Section::Limits,
        default: "1 MiB",
        kind: Kind::Bytes { min: KIB, max: GIB },
        example: "1 MiB",
        help: "What may wait for one socket that reads slowly; beyond it the queue is replaced by one difference.",
    },
    Setting {
        name: "idle_unload",
        section: Section::Upkeep,
        default: "30 s",
        kind: Kind::Duration {
            min_ms: 0,
            max_ms: 24 * 3_600_000,
        },
        example: "30 s",
        help: "How long a document stays in memory after the last person left.",
    },
    Setting {
        name: "compact_after_rows",
        section: Section::Upkeep,
        default: "1000",
        kind: Kind::Count {
            min: 1,
            max: 10_000_000,
        },
        example: "1000",
        help: "Log rows of one document after which they are folded into a snapshot and compressed history.",
    },
    Setting {
        name: "compact_after_bytes",
        section: Section::Upkeep,
        default: "1 MiB",
        kind: Kind::Bytes {
            min: KIB,
            max: 16 * GIB,
        },
        example: "1 MiB",
        help: "The same, by bytes of log.",
    },
    Setting {
        name: "thin_to_seconds_after",
        section: Section::Upkeep,
        default: "",
        kind: THINNING,
        example: "7 d",
        help: "Of sessions of writing that ended so long ago, keep the last of each second. Empty keeps all.",
    },
    Setting {
        name: "thin_to_minutes_after",
        section: Section::Upkeep,
        default: "",
        kind: THINNING,
        example: "30 d",
        help: "Of sessions of writing that ended so long ago, keep the last of each minute. Empty keeps all.",
    },
    Setting {
        name: "thin_to_sessions_after",
        section: Section::Upkeep,
        default: "",
        kind: THINNING,
        example: "365 d",
        help: "Of sessions of writing that ended so long ago, keep the end of each session of writing. Empty keeps all.",
    },
    Setting {
        name: "thin_to_named_after",
        section: Section::Upkeep,
        default: "",
        kind: THINNING,
        example: "1825 d",
        help: "Of sessions of writing that ended so long ago, keep only versions that somebody named, and the moments around a restore. Empty keeps all.",
    },
    Setting {
        name: "ping_interval",
        section: Section::Upkeep,
        default: "15 s",
        // Under 20 s: stock clients reconnect after 30 s of silence, and proxies often cut at 60.
        kind: Kind::Duration {
            min_ms: 100,
            max_ms: 300_000,
        },
        example: "15 s",
        help: "How often a quiet socket is pinged.",
    },
    Setting {
        name: "dead_socket_timeout",
        section: Section::Upkeep,
        default: "150 s",
        kind: Kind::Duration {
            min_ms: 1_000,
            max_ms: 3_600_000,
        },
        example: "150 s",
        help: "A socket that takes no byte for this long is dead. Too short a time ends the sockets of people whose \
               laptop is merely slow.",
    },
];
