//! The answers that were given last of a document's moments, so that whoever holds one is told only what differs from it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Answers that are kept of a document. Whoever steps through it needs the one that they hold, while further ones are made that
/// may never reach them.
const MOST: usize = 8;
/// Bytes of them, at most; a larger answer is not kept.
const MOST_BYTES: usize = 16 << 20;

/// The answers of one document, the one used last at the front. They belong to the rows that they were made of: when the shelf
/// lets these go, as it does after a purge, nobody finds the answers any more.
#[derive(Debug, Clone, Default)]
pub struct Answers(Arc<Mutex<VecDeque<Kept>>>);

#[derive(Debug)]
struct Kept {
    /// Random, so that one of another document, or of the server before it was restarted, is never taken for it.
    tag: String,
    text: Arc<str>,
}

impl Answers {
    /// The answer that was given with this tag, if it is still kept.
    pub fn get(&self, tag: &str) -> Option<Arc<str>> {
        let mut kept = self.kept();
        let place = kept.iter().position(|answer| answer.tag == tag)?;
        let known = kept.remove(place)?;
        let text = known.text.clone();
        kept.push_front(known);
        Some(text)
    }

    /// Keeps an answer, in place of those that were not used the longest; returns its tag.
    pub fn keep(&self, text: &str) -> String {
        let tag = format!("{:032x}", rand::random::<u128>());
        if text.len() <= MOST_BYTES {
            let mut kept = self.kept();
            kept.push_front(Kept {
                tag: tag.clone(),
                text: text.into(),
            });
            kept.truncate(MOST);
            while bytes(&kept) > MOST_BYTES {
                kept.pop_back();
            }
        }
        tag
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        bytes(&self.kept())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(kept: &VecDeque<Kept>) -> usize {
    kept.iter().map(|answer| answer.text.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_as_long_as_it_is_used() {
        let answers = Answers::default();
        let held = answers.keep("held");
        let other = answers.keep("other");
        for at in 0..MOST - 1 {
            answers.keep(&at.to_string());
            assert_eq!(answers.get(&held).as_deref(), Some("held"));
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
        let small = answers.keep("small");
        let too_large = answers.keep(&"x".repeat(MOST_BYTES + 1));
        assert_eq!(answers.get(&too_large), None);
        assert!(answers.get(&small).is_some());
        let large = answers.keep(&"x".repeat(MOST_BYTES));
        assert_eq!(answers.get(&small), None);
        assert!(answers.get(&large).is_some());
        assert_eq!(answers.bytes(), MOST_BYTES);
    }
}
