//! The scenarios by name, with their default sizes.

use std::{cell::OnceCell, path::PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use tokio::{runtime, task::LocalSet};

use crate::{
    connections, fan_out, figures::Figures, ingest, open, rooms, server::Launch, trace::Trace,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 1 writer, 100 readers, 50 updates a second.
    FanOut,
    /// 1 writer, 1,000 readers, 10 updates a second.
    FanOutWide,
    /// 1 writer as fast as it goes, 100 readers.
    Saturation,
    /// 1,000 documents with two people each, 10,000 operations a second in all.
    Rooms,
    /// A recorded editing history, one message per keystroke.
    Ingest,
    /// One person opens the document of that history, warm and after a restart.
    Open,
    /// 1,000 people open a document of 168 kB at once.
    Join,
    /// The cost of an update in documents from nothing to 300 kB.
    GrowingDocument,
    /// The cost of a join with 10 to 1,000 people who join at once.
    GrowingCrowd,
    /// Silent connections, each with a document of its own.
    Idle,
    /// The first connection after a start with 10,000 stored documents.
    Start,
}

/// Sizes, where the scenario's own are not wanted.
#[derive(Args, Default)]
pub struct Sizes {
    #[arg(long)]
    pub readers: Option<usize>,
    /// Updates per second.
    #[arg(long)]
    pub rate: Option<f64>,
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Updates a saturating writer may have outstanding.
    #[arg(long, default_value_t = 1024)]
    pub window: u64,
    #[arg(long, default_value_t = 1000)]
    pub documents: usize,
    #[arg(long, default_value_t = 1000)]
    pub clients: usize,
    /// Size of the document that a crowd joins.
    #[arg(long, default_value_t = 168)]
    pub state_kb: usize,
    #[arg(long, default_value_t = 5000)]
    pub connections: usize,
    #[arg(long, default_value_t = 10_000)]
    pub stored: usize,
    /// An editing trace (`automerge-paper.json.gz` of josephg/editing-traces); without it one is made up.
    #[arg(long)]
    pub trace: Option<PathBuf>,
    #[arg(skip)]
    loaded: OnceCell<Trace>,
}

impl Scenario {
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    pub fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// The durability at which coscribe is measured where none is asked for.
    pub fn durability(self) -> &'static str {
        if self == Self::Rooms {
            "process"
        } else {
            "full"
        }
    }

    /// The relay stores nothing, so that there is nothing to compare a start with.
    pub fn suits(self, launch: &Launch) -> bool {
        self != Self::Start || !matches!(launch, Launch::Relay)
    }

    /// Starts the server, runs once against it and ends it. One thread, so that a run takes at most one core for itself.
    pub fn run(self, launch: &Launch, sizes: &Sizes) -> Result<Figures> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, self.against(launch, sizes))
    }

    async fn against(self, launch: &Launch, sizes: &Sizes) -> Result<Figures> {
        let seconds = sizes.seconds.unwrap_or(5.0);
        let readers = |default| sizes.readers.unwrap_or(default);
        let rate = |default| sizes.rate.unwrap_or(default);
        match self {
            Self::FanOut => fan_out::at_rate(launch, readers(100), rate(50.0), seconds).await,
            Self::FanOutWide => fan_out::at_rate(launch, readers(1000), rate(10.0), seconds).await,
            Self::Saturation => {
                fan_out::saturated(launch, readers(100), sizes.window, seconds).await
            }
            Self::Rooms => rooms::run(launch, sizes.documents, rate(10_000.0), seconds).await,
            Self::Ingest => ingest::run(launch, sizes.trace()?).await,
            Self::Open => open::one(launch, sizes.trace()?).await,
            Self::Join => {
                let state = sizes.trace()?.state_of(sizes.state_kb * 1000)?;
                open::crowd(launch, &state, sizes.clients).await
            }
            Self::GrowingDocument => {
                let trace = sizes.trace()?;
                fan_out::in_growing_document(launch, trace, rate(1000.0), seconds / 4.0).await
            }
            Self::GrowingCrowd => {
                let state = sizes.trace()?.state_of(sizes.state_kb * 1000)?;
                open::growing_crowd(launch, &state).await
            }
            Self::Idle => connections::idle(launch, sizes.connections).await,
            Self::Start => connections::start(launch, sizes.stored).await,
        }
    }
}

impl Sizes {
    /// The trace, loaded when a scenario first needs it.
    fn trace(&self) -> Result<&Trace> {
        if let Some(trace) = self.loaded.get() {
            return Ok(trace);
        }
        let trace = Trace::load(self.trace.as_deref())?;
        Ok(self.loaded.get_or_init(|| trace))
    }
}
