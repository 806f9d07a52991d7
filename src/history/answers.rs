//! The answers that were given last of a document's moments, so that whoever holds one is told only what differs from it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::document::html::Blocks;

/// Answers that are kept of a document. Whoever steps through it needs the one that they hold, while further ones are made that
/// may never reach them.
const MOST: usize = 8;
/// Bytes of them, at most; a larger answer is not kept.
const MOST_BYTES: usize = 16 << 20;
/// What a block takes beside its text, about.
const BLOCK_BYTES: usize = 32;

/// The answers of one document, the one used last at the front. They belong to the rows that they were made of: when the shelf
/// lets these go, as it does after a purge, nobody finds the answers any more.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<Mutex<VecDeque<Kept>>>);

#[derive(Debug)]
struct Kept {
    /// Random, so that one of another document, or of the server before it was restarted, is never taken for it.
    tag: String,
    blocks: Arc<Blocks>,
    /// What it takes in memory, as if it had its blocks for itself.
    bytes: usize,
}

impl Answers {
    /// The answer that was given with this tag, if it is still kept.
    pub fn get(&self, tag: &str) -> Option<Arc<Blocks>> {
        let mut kept = self.kept();
        let place = kept.iter().position(|answer| answer.tag == tag)?;
        let known = kept.remove(place)?;
        let blocks = known.blocks.clone();
        kept.push_front(known);
        Some(blocks)
    }

    /// Keeps an answer, in place of those that were not used the longest; returns its tag.
    pub fn keep(&self, blocks: Arc<Blocks>) -> String {
        let tag = format!("{:032x}", rand::random::<u128>());
        let bytes = blocks.iter().map(|block| BLOCK_BYTES + block.len()).sum();
        if bytes <= MOST_BYTES {
            let mut kept = self.kept();
            kept.push_front(Kept {
                tag: tag.clone(),
                blocks,
                bytes,
            });
            kept.truncate(MOST);
            while total(&kept) > MOST_BYTES {
                kept.pop_back();
            }
        }
        tag
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        total(&self.kept())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn total(kept: &VecDeque<Kept>) -> usize {
    kept.iter().map(|answer| answer.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(blocks: &[&str]) -> Arc<Blocks> {
        let blocks = blocks.iter().map(|block| Arc::from(*block));
        Arc::new(blocks.collect())
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_is_used() {
        let answers = Answers::default();
        let held = answers.keep(answer(&["he", "ld"]));
        let other = answers.keep(answer(&["other"]));
        for at in 0..MOST - 1 {
            answers.keep(answer(&[&at.to_string()]));
            assert_eq!(answers.get(&held), Some(answer(&["he", "ld"])));
        }
        assert_eq!(answers.get(&other), None);
        assert_eq!(Answers::default().get(&held), None, "of another document");
        for unknown in ["", "x", "0", &held[1..], &format!("{held}0")] {
            assert_eq!(answers.get(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn answers_are_kept_up_to_a_number_of_bytes() {
        let answers = Answers::default();
        let small = answers.keep(answer(&["small"]));
        let most = MOST_BYTES - 2 * BLOCK_BYTES;
        let halves = |bytes: usize| {
            let (one, other) = ("x".repeat(bytes / 2), "x".repeat(bytes.div_ceil(2)));
            answer(&[&one, &other])
        };
        let too_large = answers.keep(halves(most + 1));
        assert_eq!(answers.get(&too_large), None);
        assert!(answers.get(&small).is_some());
        let large = answers.keep(halves(most));
        assert_eq!(answers.get(&small), None);
        assert!(answers.get(&large).is_some());
        assert_eq!(answers.bytes(), MOST_BYTES);
    }
}
