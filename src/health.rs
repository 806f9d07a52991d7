//! Whether the server can keep its promises right now: shared by the writer, which knows, and `/readyz`, which tells.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Read per update, so that the lock is only taken while something is wrong.
    failing: AtomicBool,
    reason: RwLock<Option<Arc<str>>>,
    draining: AtomicBool,
}

/// Why the server should get no new work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// Edits can not be made durable; the reason is for operators.
    #[error("edits can not be saved: {0}")]
    NotStoring(Arc<str>),
    #[error("the server is stopping")]
    Draining,
}

impl Health {
    /// Whether edits become durable; otherwise why not.
    pub fn storing(&self) -> Result<(), Arc<str>> {
        if !self.0.failing.load(Ordering::Acquire) {
            return Ok(());
        }
        // A poisoned lock still holds a whole reason: it is replaced in one step.
        let reason = self.0.reason.read().unwrap_or_else(PoisonError::into_inner);
        reason.clone().map_or(Ok(()), Err)
    }

    /// Called by the writer when a commit failed. Answers whether this is news.
    pub fn fail(&self, reason: &str) -> bool {
        *self
            .0
            .reason
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
        !self.0.failing.swap(true, Ordering::AcqRel)
    }

    /// Called by the writer when a commit succeeded. Answers whether this is news.
    pub fn recover(&self) -> bool {
        if !self.0.failing.load(Ordering::Acquire) {
            return false;
        }
        *self
            .0
            .reason
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
        self.0.failing.swap(false, Ordering::AcqRel)
    }

    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Whether new sockets are welcome.
    pub fn ready(&self) -> Result<(), NotReady> {
        if self.is_draining() {
            return Err(NotReady::Draining);
        }
        self.storing().map_err(NotReady::NotStoring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_until_it_is_over_and_is_news_once() {
        let health = Health::default();
        assert_eq!(health.ready(), Ok(()));
        assert!(health.clone().fail("the disk is full"));
        assert!(!health.fail("the disk is still full"));
        assert_eq!(
            health.ready(),
            Err(NotReady::NotStoring("the disk is still full".into()))
        );
        assert!(health.recover());
        assert!(!health.recover());
        assert_eq!(health.storing(), Ok(()));
        health.drain();
        assert_eq!(health.ready(), Err(NotReady::Draining));
    }
}
