//! The reels that were looked at lately.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::reel::Reel;
use crate::{document::id::DocId, store::Epoch};

/// Bytes that are kept, at most, with the answers that were made of the reels; a single larger reel is kept while it is used.
const MOST_BYTES: usize = 64 << 20;
/// A reel that nobody asked for this long is let go.
const KEPT_FOR: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    kept: Vec<Kept>,
    /// How often rows were changed: what was read before is not kept after.
    rewrites: u64,
}

#[derive(Debug)]
struct Kept {
    doc: DocId,
    reel: Arc<Reel>,
    /// Of its rows and states.
    bytes: usize,
    used: Instant,
}

impl Contents {
    /// Lets go what was not used the longest, until the rest is few enough bytes.
    fn trim(&mut self) {
        let kept = &mut self.kept;
        let mut total: usize = kept.iter().map(Kept::bytes).sum();
        while total > MOST_BYTES && kept.len() > 1 {
            let by_age = kept.iter().enumerate();
            let oldest = by_age.min_by_key(|(_, kept)| kept.used);
            let oldest = oldest.map_or(0, |(place, _)| place);
            // Answers may have been added meanwhile.
            total = total.saturating_sub(kept.swap_remove(oldest).bytes());
        }
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.bytes + self.reel.answers.bytes()
    }
}

impl Shelf {
    /// The document's reel, as long as it was when it was last asked for; and how often rows were changed until now.
    pub(super) fn get(&self, doc: &DocId, epoch: Epoch) -> (Option<Arc<Reel>>, u64) {
        let mut contents = self.contents();
        let now = Instant::now();
        contents.kept.retain(|kept| now - kept.used < KEPT_FOR);
        let rewrites = contents.rewrites;
        let of_doc = |kept: &&mut Kept| kept.doc == *doc && kept.reel.epoch == epoch;
        let found = contents.kept.iter_mut().find(of_doc).map(|kept| {
            kept.used = now;
            kept.reel.clone()
        });
        // Answers were added since.
        contents.trim();
        (found, rewrites)
    }

    /// The document's reel, if somebody asked for it lately.
    pub(super) fn known(&self, doc: &DocId) -> Option<Arc<Reel>> {
        let contents = self.contents();
        let of_doc = contents.kept.iter().find(|kept| kept.doc == *doc);
        of_doc.map(|kept| kept.reel.clone())
    }

    /// Lets a document's reel go: its rows are other ones now.
    pub(super) fn forget(&self, doc: &DocId) {
        let mut contents = self.contents();
        contents.kept.retain(|kept| kept.doc != *doc);
        contents.rewrites += 1;
    }

    /// Keeps a reel, unless there is a longer one, or rows were changed since it was begun.
    pub(super) fn keep(&self, doc: &DocId, reel: &Arc<Reel>, rewrites: u64) {
        let mut contents = self.contents();
        if contents.rewrites != rewrites {
            return;
        }
        let kept = &mut contents.kept;
        let place = kept.iter().position(|kept| kept.doc == *doc);
        if let Some(place) = place {
            let other = &kept[place].reel;
            if other.epoch > reel.epoch || other.epoch == reel.epoch && other.head() >= reel.head()
            {
                return;
            }
            kept.swap_remove(place);
        }
        kept.push(Kept {
            doc: doc.clone(),
            reel: reel.clone(),
            bytes: reel.bytes(),
            used: Instant::now(),
        });
        contents.trim();
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        document::html::Blocks,
        store::{LogRow, NewRow},
    };

    fn reel() -> Arc<Reel> {
        let row = NewRow {
            bytes: vec![0, 0].into(),
            author: "ada".into(),
            client_id: 7,
            at: 0,
        };
        let row = LogRow {
            seq: 1,
            row,
            hidden: false,
        };
        Arc::new(Reel::new(0).grown(vec![row]))
    }

    fn answer(block: &str) -> Arc<Blocks> {
        Arc::new(vec![block.into()])
    }

    #[test]
    fn answers_go_with_the_rows_that_they_were_made_of() {
        let (shelf, doc) = (Shelf::default(), DocId::parse("plan").unwrap());
        let purged = reel();
        shelf.keep(&doc, &purged, 0);
        let tag = purged.answers.keep(answer("secret"));
        let grown = purged.grown(Vec::new());
        assert!(grown.answers.get(&tag).is_some());
        shelf.forget(&doc);
        assert!(shelf.get(&doc, 0).0.is_none());
        // Somebody who had begun before comes with what they made of it.
        shelf.keep(&doc, &purged, 0);
        shelf.keep(&doc, &reel(), 1);
        let late = purged.answers.keep(answer("secret"));
        let (now, _) = shelf.get(&doc, 0);
        let now = now.unwrap();
        assert!([tag, late].iter().all(|tag| now.answers.get(tag).is_none()));
    }

    #[test]
    fn answers_count_among_the_bytes_that_are_kept() {
        let shelf = Shelf::default();
        let docs: Vec<_> = (0..8)
            .map(|number| DocId::parse(&number.to_string()).unwrap())
            .collect();
        let answer = answer(&"x".repeat(MOST_BYTES / 4 - 1_000));
        for doc in &docs {
            shelf.keep(doc, &reel(), 0);
            let (reel, _) = shelf.get(doc, 0);
            reel.unwrap().answers.keep(answer.clone());
        }
        let (last, _) = shelf.get(&docs[7], 0);
        assert!(last.is_some());
        let left = docs.iter().filter(|doc| shelf.known(doc).is_some());
        assert_eq!(left.count(), 4);
    }
}
