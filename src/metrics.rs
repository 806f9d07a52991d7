//! What Prometheus reads at `/metrics`.
//!
//! [`Metrics`] is a struct of handles; each update on the path of a keystroke is one relaxed atomic addition. Labels
//! are closed enums resolved at start, so that no label is looked up later, and none ever holds a name.

use std::{
    marker::PhantomData,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::health::Health;

/// A labelled counter with one handle per value of a closed enum.
#[derive(Debug, Clone)]
pub struct CounterPer<K, const N: usize> {
    counters: [Counter; N],
    label: PhantomData<K>,
}

/// A label whose values are all known.
pub trait Label<const N: usize>: Copy {
    const NAME: &'static str;
    const ALL: [Self; N];
    fn index(self) -> usize;
    fn as_str(self) -> &'static str;
}

impl<K: Label<N>, const N: usize> CounterPer<K, N> {
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
        let counters =
            K::ALL.map(|key| family.get_or_create(&vec![(K::NAME, key.as_str())]).clone());
        registry.register(name, help, family);
        Self {
            counters,
            label: PhantomData,
        }
    }

    pub fn inc(&self, key: K) {
        self.counters[key.index()].inc();
    }

    pub fn get(&self, key: K) -> u64 {
        self.counters[key.index()].get()
    }
}

/// Declares a closed label: the enum, its words and its order.
macro_rules! label {
    ($(#[$meta:meta])* $name:ident[$count:literal] $label:literal { $($(#[$doc:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl Label<$count> for $name {
            const NAME: &'static str = $label;
            const ALL: [Self; $count] = [$(Self::$variant,)*];
            fn index(self) -> usize {
                self as usize
            }
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

label! {
    /// Why a socket was not taken.
    SocketRefusal[6] "reason" {
        Origin => "origin",
        BadName => "bad_name",
        TotalLimit => "total_limit",
        DocumentLimit => "document_limit",
        AddressLimit => "address_limit",
        Draining => "draining",
    }
}

label! {
    /// Why an update or a frame was refused.
    Refusal[12] "reason" {
        /// The bytes are no message, or no update that may be applied.
        Malformed => "malformed",
        MessageTooLarge => "message_too_large",
        DocumentTooLarge => "document_too_large",
        TooManyStructs => "too_many_structs",
        TooDeep => "too_deep",
        /// It extends the clock of a client whose socket is another one.
        ForeignClient => "foreign_client",
        /// It refers to something that nobody has sent.
        NotReady => "not_ready",
        AwarenessTooLarge => "awareness_too_large",
        /// Too much is uncommitted because storing fails.
        NotStoring => "not_storing",
        Trashed => "trashed",
        Deleted => "deleted",
        Quarantined => "quarantined",
    }
}

impl Refusal {
    /// The label for the code that a client is told.
    pub fn of_code(code: &str) -> Self {
        match code {
            "message-too-large" => Self::MessageTooLarge,
            "document-full" => Self::DocumentTooLarge,
            "too-many-structs" => Self::TooManyStructs,
            "too-deep" => Self::TooDeep,
            "foreign-client" => Self::ForeignClient,
            "not-stored" => Self::NotStoring,
            _ => Self::Malformed,
        }
    }
}

/// Handles to every metric; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Documents in memory.
    pub rooms: Gauge,
    /// Sockets that have a document open.
    pub peers: Gauge,
    pub sockets: Gauge,
    pub sockets_opened: Counter,
    pub sockets_refused: CounterPer<SocketRefusal, 6>,
    pub updates_received: Counter,
    pub updates_committed: Counter,
    /// Received messages that brought nothing new.
    pub updates_duplicate: Counter,
    /// Received messages that had to wait for something unknown.
    pub updates_parked: Counter,
    /// Sync answers given, and how many of them had to be encoded.
    pub sync_answers: Counter,
    pub sync_encodes: Counter,
    /// Batches that wait for the writer.
    pub writer_queue: Gauge,
    pub bytes_committed: Counter,
    pub awareness_received: Counter,
    pub awareness_frames: Counter,
    pub refusals: CounterPer<Refusal, 12>,
    pub commit_seconds: Histogram,
    pub batch_rows: Histogram,
    pub batch_documents: Histogram,
    pub commits_failed: Counter,
    /// Received and not durable yet.
    pub uncommitted_bytes: Gauge,
    /// Times that the queue of a slow peer was replaced by one difference.
    pub outbox_replaced: Counter,
    /// Bytes that were not sent because a difference replaced them.
    pub outbox_dropped_bytes: Counter,
    pub loads: Counter,
    pub loads_failed: Counter,
    pub load_seconds: Histogram,
    pub unloads: Counter,
    pub compactions: Counter,
    pub compactions_failed: Counter,
    pub room_restarts: Counter,
    pub documents_quarantined: Counter,
    registry: Arc<Registry>,
}

impl Metrics {
    pub fn new(health: Health) -> Self {
        let mut all = Registry::with_prefix("coscribe");
        let r = &mut all;
        r.register_collector(Box::new(Process {
            health,
            started: Instant::now(),
        }));
        r.register(
            "build",
            "Which build is running",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            rooms: gauge(r, "rooms", "Documents in memory"),
            peers: gauge(r, "peers", "Sockets that have a document open"),
            sockets: gauge(r, "sockets", "Open sockets"),
            sockets_opened: counter(r, "sockets_opened", "Sockets taken since the start"),
            sockets_refused: CounterPer::register(
                r,
                "sockets_refused",
                "Sockets not taken, by reason",
            ),
            updates_received: counter(r, "updates_received", "Updates received from clients"),
            updates_committed: counter(r, "updates_committed", "Received updates that are durable"),
            updates_duplicate: counter(
                r,
                "updates_duplicate",
                "Received updates that brought nothing new",
            ),
            updates_parked: counter(
                r,
                "updates_parked",
                "Received updates that had to wait for something unknown",
            ),
            sync_answers: counter(r, "sync_answers", "Sync answers given"),
            sync_encodes: counter(r, "sync_encodes", "Sync answers that had to be encoded"),
            writer_queue: gauge(r, "writer_queue", "Batches that wait for the writer"),
            bytes_committed: counter(r, "committed_bytes", "Bytes of updates made durable"),
            awareness_received: counter(r, "awareness_received", "Awareness messages received"),
            awareness_frames: counter(r, "awareness_frames", "Awareness frames sent to rooms"),
            refusals: CounterPer::register(r, "refusals", "Refused updates and frames, by reason"),
            commit_seconds: seconds(r, "commit", "Duration of a commit"),
            batch_rows: histogram(
                r,
                "batch_rows",
                "Log rows in a commit",
                exponential_buckets(1.0, 2.0, 14),
            ),
            batch_documents: histogram(
                r,
                "batch_documents",
                "Documents in a commit",
                exponential_buckets(1.0, 2.0, 14),
            ),
            commits_failed: counter(
                r,
                "commits_failed",
                "Commits that failed and are tried again",
            ),
            uncommitted_bytes: gauge(r, "uncommitted_bytes", "Bytes received and not durable yet"),
            outbox_replaced: counter(
                r,
                "outbox_replaced",
                "Queues of slow peers replaced by one difference",
            ),
            outbox_dropped_bytes: counter(
                r,
                "outbox_dropped_bytes",
                "Bytes that a difference made unnecessary",
            ),
            loads: counter(r, "loads", "Documents loaded"),
            loads_failed: counter(r, "loads_failed", "Loads that failed"),
            load_seconds: seconds(r, "load", "Duration of a load"),
            unloads: counter(r, "unloads", "Documents unloaded when idle"),
            compactions: counter(r, "compactions", "Logs folded into a snapshot"),
            compactions_failed: counter(
                r,
                "compactions_failed",
                "Compactions that changed nothing",
            ),
            room_restarts: counter(
                r,
                "room_restarts",
                "Rooms rebuilt after a panic or a failed apply",
            ),
            documents_quarantined: counter(
                r,
                "documents_quarantined",
                "Documents put under quarantine",
            ),
            registry: Arc::new(all),
        }
    }

    /// The OpenMetrics text exposition, which Prometheus reads.
    pub fn render(&self) -> String {
        let mut page = String::with_capacity(8 << 10);
        text::encode(&mut page, &self.registry).expect("writing to a String does not fail");
        page
    }
}

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn histogram(
    registry: &mut Registry,
    name: &str,
    help: &str,
    buckets: impl IntoIterator<Item = f64>,
) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register(name, help, histogram.clone());
    histogram
}

/// From 0.1 ms, a commit into the page cache, to 13 s, a disk in trouble.
fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(0.000_1, 2.0, 18));
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

/// What is only known when somebody asks.
#[derive(Debug)]
struct Process {
    health: Health,
    started: Instant,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let storing = ConstGauge::new(i64::from(self.health.storing().is_ok()));
        let help = "1 while edits become durable, 0 while storing fails";
        storing.encode(encoder.encode_descriptor(
            "storing_ok",
            help,
            None,
            storing.metric_type(),
        )?)?;
        let draining = ConstGauge::new(i64::from(self.health.is_draining()));
        draining.encode(encoder.encode_descriptor(
            "draining",
            "1 while stopping",
            None,
            draining.metric_type(),
        )?)?;
        let uptime = ConstGauge::new(self.started.elapsed().as_secs_f64());
        let help = "Time since the start";
        uptime.encode(encoder.encode_descriptor(
            "uptime",
            help,
            Some(&Unit::Seconds),
            uptime.metric_type(),
        )?)
    }
}

/// Seconds of a duration as histograms take them.
pub fn as_seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_every_reason_from_the_start_and_no_other_prefix() {
        let health = Health::default();
        let metrics = Metrics::new(health.clone());
        metrics.refusals.inc(Refusal::TooDeep);
        metrics
            .commit_seconds
            .observe(as_seconds(Duration::from_millis(3)));
        health.fail("the disk is full");
        let page = metrics.render();
        assert!(
            page.contains("coscribe_refusals_total{reason=\"too_deep\"} 1"),
            "{page}"
        );
        for reason in Refusal::ALL {
            assert!(
                page.contains(&format!(
                    "coscribe_refusals_total{{reason=\"{}\"}}",
                    reason.as_str()
                )),
                "{page}"
            );
        }
        assert!(
            page.contains("coscribe_storing_ok 0")
                && page.contains("coscribe_commit_seconds_count 1"),
            "{page}"
        );
        assert!(page.contains("coscribe_build_info{version="), "{page}");
        assert!(
            page.lines()
                .all(|line| line.starts_with("coscribe_") || line.starts_with('#')),
            "{page}"
        );
        assert_eq!(metrics.refusals.get(Refusal::TooDeep), 1);
    }

    #[test]
    fn every_label_has_a_word_of_its_own() {
        let mut words: Vec<&str> = Refusal::ALL.map(Refusal::as_str).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Refusal::ALL.len());
        assert!(
            SocketRefusal::ALL
                .iter()
                .enumerate()
                .all(|(index, label)| label.index() == index)
        );
    }
}
