//! Thinning what is old, as it was configured: at the start, and every hour.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::UnixMillis,
    config,
    document::id::DocId,
    history::{History, HistoryError},
    http::{Library, LibraryError},
    store::{Store, StoreError, sessions::Grain},
};

/// How often documents are looked at.
const EVERY: Duration = Duration::from_secs(3_600);
/// Documents that are looked up together.
const PAGE: u32 = 100;

/// What a pass over the documents needs.
pub(super) struct Retention {
    pub store: Arc<dyn Store>,
    pub library: Arc<dyn Library>,
    pub history: Arc<History>,
    pub clock: Arc<dyn crate::clock::Clock>,
    pub ages: Vec<(Grain, Duration)>,
}

/// The configured ages, coarsest grain first: what is thinned further need not be thinned before.
pub(super) fn ages(config: &config::Retention) -> Vec<(Grain, Duration)> {
    let ages = [
        (Grain::Named, config.named_after),
        (Grain::Sessions, config.sessions_after),
        (Grain::Minutes, config.minutes_after),
        (Grain::Seconds, config.seconds_after),
    ];
    let ages = ages.into_iter();
    ages.filter_map(|(grain, age)| Some((grain, age?)))
        .collect()
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl Retention {
    /// Runs until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut hours = tokio::time::interval(EVERY);
        hours.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hours.tick() => {}
            }
            for (grain, age) in &self.ages {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                let before = self.clock.now().saturating_sub(age);
                if let Err(error) = self.pass(*grain, before, &stop).await {
                    tracing::warn!(%error, "Old history could not be looked at; it is tried again in an hour");
                }
            }
        }
    }

    /// Thins all documents, one after another; what fails with one does not keep it from the others.
    async fn pass(
        &self,
        grain: Grain,
        before: UnixMillis,
        stop: &CancellationToken,
    ) -> Result<(), Failed> {
        let mut after: Option<DocId> = None;
        loop {
            let docs = self
                .store
                .thinnable(grain, before, after.as_ref(), PAGE)
                .await?;
            for doc in &docs {
                if stop.is_cancelled() {
                    return Ok(());
                }
                match self.thin(doc, grain, before).await {
                    Ok(0) => {}
                    Ok(moments) => {
                        tracing::info!(doc = %doc, moments, "History was thinned");
                    }
                    Err(error) => {
                        tracing::warn!(doc = %doc, %error, "The history of a document could not be thinned; it is tried again in an hour");
                    }
                }
            }
            match docs.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn thin(&self, doc: &DocId, grain: Grain, before: UnixMillis) -> Result<usize, Failed> {
        let turn = self.history.turn(doc)?;
        self.library.fold(doc).await?;
        Ok(self.history.thin(&turn, grain, before).await?)
    }
}
