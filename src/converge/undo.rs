//! A person's undo and redo, as an editor has them: of the person's own edits only, whatever came in between.

use std::sync::{Arc, Mutex, PoisonError};

use yrs::{Doc, Origin, UndoManager, branch::BranchPtr, undo::Options};

/// The origin of a person's own transactions. What the network brings has none.
pub const OWN: &str = "own";

/// What can be undone and redone on one replica.
pub struct Undo {
    manager: UndoManager,
    /// Updates of undoing, until they are fetched.
    made: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Undo {
    /// Watches these root types of a document that nobody edits yet.
    pub fn of(doc: &Doc, roots: &[BranchPtr]) -> Self {
        let mut manager = UndoManager::with_options(Options {
            // Edits are told apart by `begin_edit`, not by the clock, which is not the same in every run.
            capture_timeout_millis: u64::MAX,
            ..Options::default()
        });
        manager.include_origin(OWN);
        for root in roots {
            manager.expand_scope(doc, root);
        }
        let made = Arc::new(Mutex::new(Vec::new()));
        let log = made.clone();
        let undoing: Origin = manager.as_origin();
        doc.observe_update_v1("undo", move |txn, event| {
            if txn.origin() == Some(&undoing) {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push(event.update.clone());
            }
        })
        .expect("no transaction is open on a new document");
        Self { manager, made }
    }

    /// What is done from here on is undone by itself.
    pub fn begin_edit(&mut self) {
        self.manager.reset();
    }

    /// Takes the last edit back. Returns the updates: none when there is nothing to take back.
    pub fn undo(&mut self) -> Vec<Vec<u8>> {
        self.manager.undo_blocking();
        self.fetch()
    }

    /// Does again what was undone last, unless something was edited since.
    pub fn redo(&mut self) -> Vec<Vec<u8>> {
        self.manager.redo_blocking();
        self.fetch()
    }

    fn fetch(&self) -> Vec<Vec<u8>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut made)
    }
}

#[cfg(test)]
mod tests {
    use yrs::{GetString as _, Text as _, Transact as _, Update, updates::decoder::Decode as _};

    use super::*;
    use crate::{converge::edit::Roots, document::replica::doc_with};

    #[test]
    fn only_own_edits_are_undone_and_redone_each_as_a_whole() {
        let doc = doc_with(1);
        let mut undo = Undo::of(&doc, &Roots::of(&doc).branches());
        let text = doc.get_or_insert_text("text");
        let mirror = doc_with(3);
        let shown = || {
            let text = text.get_string(&doc.transact());
            text.replace(|letter: char| !letter.is_ascii_lowercase(), "")
        };
        for word in ["one", "two"] {
            undo.begin_edit();
            for part in word.split_inclusive('n') {
                let mut txn = doc.transact_mut_with(OWN);
                let end = text.len(&txn);
                text.insert(&mut txn, end, part);
            }
        }
        let other = doc_with(2);
        let foreign = {
            let theirs = other.get_or_insert_text("text");
            let mut txn = other.transact_mut();
            theirs.push(&mut txn, "x");
            txn.encode_update_v1()
        };
        let foreign = Update::decode_v1(&foreign).unwrap();
        doc.transact_mut().apply_update(foreign).unwrap();
        assert_eq!(shown().replace('x', ""), "onetwo");
        assert_eq!(undo.undo().len(), 1);
        assert_eq!(shown().replace('x', ""), "one");
        assert_eq!(undo.undo().len(), 1);
        assert_eq!(shown(), "x");
        assert!(undo.undo().is_empty());
        let update = undo.redo();
        assert_eq!(shown().replace('x', ""), "one");
        // What a redo brings can be read by somebody else.
        let whole =
            yrs::ReadTxn::encode_state_as_update_v1(&doc.transact(), &yrs::StateVector::default());
        for bytes in [&whole, &update[0]] {
            let update = Update::decode_v1(bytes).unwrap();
            mirror.transact_mut().apply_update(update).unwrap();
        }
        let theirs = mirror.get_or_insert_text("text");
        assert_eq!(
            theirs.get_string(&mirror.transact()).replace('x', ""),
            "one"
        );
    }
}
