//! The scenarios by name, with their sizes.

use std::{cell::OnceCell, path::PathBuf, rc::Rc};

use anyhow::Result;
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::{
    connections, fan_out,
    figures::Figures,
    ingest, open, presence, rooms,
    server::Launch,
    trace::{SYNTHETIC_EDITS, Trace},
};

/// Bytes of the document that a crowd joins.
const JOINED_BYTES: usize = 168_000;
/// Edits of the made-up trace in a quick run.
const QUICK_EDITS: usize = 20_000;
/// Files that are open beside the sockets.
const OTHER_FILES: usize = 100;

/// A kind of load; [`Scenario::about`] says what happens in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    FanOut,
    FanOutWide,
    Saturation,
    Presence,
    Rooms,
    Ingest,
    Open,
    Join,
    Idle,
    Visits,
    Start,
    GrowingDocument,
    GrowingCrowd,
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Size {
    /// How many readers, documents, clients or connections; what it counts is the scenario's.
    pub count: usize,
    /// Updates, operations or moves per second, where the scenario has a rate.
    pub rate: f64,
    pub seconds: f64,
}

/// Which sizes a run takes.
#[derive(Debug, Default)]
pub struct Sizes {
    /// Short: it shows that everything works, its figures are no measurement.
    pub quick: bool,
    /// Instead of the scenario's own.
    pub count: Option<usize>,
    pub rate: Option<f64>,
    pub seconds: Option<f64>,
    /// An editing trace; without it one is made up.
    pub trace: Option<PathBuf>,
    /// The trace once a scenario needed it; empty at first.
    pub loaded: OnceCell<Rc<Trace>>,
}

impl Scenario {
    /// In the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::FanOut,
        Self::FanOutWide,
        Self::Saturation,
        Self::Presence,
        Self::Rooms,
        Self::Ingest,
        Self::Open,
        Self::Join,
        Self::Idle,
        Self::Visits,
        Self::Start,
        Self::GrowingDocument,
        Self::GrowingCrowd,
    ];

    /// What it is called on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::FanOut => "fan-out",
            Self::FanOutWide => "fan-out-wide",
            Self::Saturation => "saturation",
            Self::Presence => "presence",
            Self::Rooms => "rooms",
            Self::Ingest => "ingest",
            Self::Open => "open",
            Self::Join => "join",
            Self::Idle => "idle",
            Self::Visits => "visits",
            Self::Start => "start",
            Self::GrowingDocument => "growing-document",
            Self::GrowingCrowd => "growing-crowd",
        }
    }

    /// The scenario of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name)
    }

    /// What happens in it at its own size, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Self::FanOut => "1 writer, 100 readers, 50 updates/s",
            Self::FanOutWide => "1 writer, 1,000 readers, 10 updates/s",
            Self::Saturation => "1 writer as fast as it goes, 100 readers",
            Self::Presence => "50 people in one document, each moves the cursor 10 times/s",
            Self::Rooms => "1,000 documents with 2 people each, 10,000 operations/s in all",
            Self::Ingest => "259,778 single edits from one client that does not wait",
            Self::Open => "one person opens the document of these edits, warm and after a restart",
            Self::Join => "1,000 people open a document of 168 kB at once",
            Self::Idle => "5,000 silent connections, each with a document of its own",
            Self::Visits => "10,000 documents are opened and left: what stays in memory",
            Self::Start => "from the start with 10,000 stored documents to the first served client",
            Self::GrowingDocument => "the cost of an update in documents from nothing to 300 kB",
            Self::GrowingCrowd => "the cost of a join when 10 to 1,000 join at once",
        }
    }

    /// The settings with which our own server is measured, as flags of `coscribe serve`.
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Rooms => &["--durability", "process"],
            // What is left goes at once, so that nobody waits half a minute to see what stays.
            Self::Visits => &["--durability", "full", "--idle-unload", "0s"],
            _ => &["--durability", "full"],
        }
    }

    /// Why it can not be run against this server, if so.
    pub fn unsuited(self, launch: &Launch) -> Option<&'static str> {
        match self {
            Self::Start if !launch.restarts() => {
                Some("it needs a server that we can start again with what it has stored")
            }
            Self::Visits if !matches!(launch, Launch::Coscribe { .. }) => {
                Some("it needs our own server, whose /metrics tell when a document has left memory")
            }
            _ => None,
        }
    }

    /// Files that it keeps open at the same time, in us and in the server.
    pub fn open_files(self, size: Size) -> usize {
        let sockets = match self {
            Self::Rooms => 2 * size.count,
            Self::Start | Self::Visits => connections::AT_ONCE,
            _ => size.count,
        };
        sockets + OTHER_FILES
    }

    fn standard(self) -> Size {
        let (count, rate) = match self {
            Self::FanOut => (100, 50.0),
            Self::FanOutWide => (1000, 10.0),
            Self::Saturation => (100, 0.0),
            Self::Presence => (50, 10.0),
            Self::Rooms => (1000, 10_000.0),
            Self::Ingest | Self::Open => (1, 0.0),
            Self::Join | Self::GrowingCrowd => (1000, 0.0),
            Self::Idle => (5000, 0.0),
            Self::Start | Self::Visits => (10_000, 0.0),
            Self::GrowingDocument => (1, 1000.0),
        };
        let seconds = match self {
            Self::GrowingDocument => 1.25,
            _ => 5.0,
        };
        Size {
            count,
            rate,
            seconds,
        }
    }

    fn quick(self) -> Size {
        let Size { count, rate, .. } = self.standard();
        let (count, rate) = match self {
            Self::Ingest | Self::Open => (count, rate),
            Self::GrowingDocument => (count, 200.0),
            Self::Rooms => (50, 500.0),
            Self::Presence => (10, rate),
            Self::Idle | Self::Visits | Self::Start => (200, rate),
            Self::FanOutWide | Self::Join | Self::GrowingCrowd => (100, rate),
            Self::FanOut | Self::Saturation => (20, rate),
        };
        Size {
            count,
            rate,
            seconds: 0.5,
        }
    }

    /// Gets the server, runs once against it and ends it if it was started for this. Everything happens on the thread
    /// of the caller, so that a run takes at most one core for itself.
    ///
    /// # Errors
    /// When the server does not start, ends, or loses something.
    pub async fn run(self, launch: &Launch, sizes: &Sizes) -> Result<Figures> {
        let Size {
            count,
            rate,
            seconds,
        } = sizes.of(self);
        match self {
            Self::FanOut | Self::FanOutWide => fan_out::at_rate(launch, count, rate, seconds).await,
            Self::Saturation => fan_out::saturated(launch, count, seconds).await,
            Self::Presence => presence::run(launch, count, rate, seconds).await,
            Self::Rooms => rooms::run(launch, count, rate, seconds).await,
            Self::Ingest => ingest::run(launch, &*sizes.trace().await?).await,
            Self::Open => open::one(launch, &*sizes.trace().await?).await,
            Self::Join => {
                let state = sizes.trace().await?.state_of(JOINED_BYTES)?;
                open::crowd(launch, &state, count).await
            }
            Self::GrowingDocument => {
                let trace = sizes.trace().await?;
                fan_out::in_growing_document(launch, &trace, rate, seconds).await
            }
            Self::GrowingCrowd => {
                let state = sizes.trace().await?.state_of(JOINED_BYTES)?;
                open::growing_crowd(launch, &state, count).await
            }
            Self::Idle => connections::idle(launch, count).await,
            Self::Visits => connections::visits(launch, count).await,
            Self::Start => connections::start(launch, count).await,
        }
    }
}

impl Sizes {
    /// The size that a scenario is run at.
    pub fn of(&self, scenario: Scenario) -> Size {
        let own = match self.quick {
            true => scenario.quick(),
            false => scenario.standard(),
        };
        Size {
            count: self.count.unwrap_or(own.count),
            rate: self.rate.unwrap_or(own.rate),
            seconds: self.seconds.unwrap_or(own.seconds),
        }
    }

    /// Whether every scenario has its own full size, which is what the limits are for.
    pub fn are_standard(&self) -> bool {
        !self.quick && self.count.is_none() && self.rate.is_none() && self.seconds.is_none()
    }

    /// The trace, loaded when a scenario first needs it.
    async fn trace(&self) -> Result<Rc<Trace>> {
        if let Some(trace) = self.loaded.get() {
            return Ok(Rc::clone(trace));
        }
        let (path, quick) = (self.trace.clone(), self.quick);
        // It takes seconds, in which the signal to stop has to be heard.
        let trace = spawn_blocking(move || match path {
            Some(path) => Trace::load(&path),
            None if quick => Trace::synthetic(QUICK_EDITS),
            None => Trace::synthetic(SYNTHETIC_EDITS),
        });
        let trace = Rc::new(trace.await??);
        Ok(Rc::clone(self.loaded.get_or_init(|| trace)))
    }
}
