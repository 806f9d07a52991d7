//! A document as it was: the state after a row of its log.

use std::{collections::BTreeMap, mem};

use bytes::Bytes;

use super::{
    id_set::{IdRange, IdSet},
    replica::{Replica, ReplicaError},
    scan::ScanLimits,
    splice::splice,
    strip::strip,
    tree::{Known, Node, roots_with_ids},
};

/// The state after these updates, which are all rows of a log up to the wanted moment, in order. What was deleted by then
/// is not in it, as with every state.
///
/// The bytes are joined before yrs sees them: one large update is loaded many times faster than a hundred thousand
/// small ones are applied one by one.
///
/// # Errors
/// When the rows are no log of one document: something in them refers to what none of them holds.
pub fn replay(updates: &[&[u8]], limits: &ScanLimits) -> Result<Replica, ReplicaError> {
    if updates.is_empty() {
        return Ok(Replica::default());
    }
    match whole(updates) {
        Some(whole) => Replica::load([&whole], limits),
        // Rows that can not be joined can be replayed.
        None => {
            let updates: Vec<Bytes> = updates
                .iter()
                .map(|row| Bytes::copy_from_slice(row))
                .collect();
            Replica::load(&updates, limits)
        }
    }
}

/// The updates as one, without the content of what they delete. `None` where they can not be joined.
fn whole(updates: &[&[u8]]) -> Option<Bytes> {
    let joined = splice(updates).ok()?;
    strip(&joined).ok().map(Bytes::from)
}

/// Everything in that state, with the ids of elements and of text.
///
/// # Errors
/// As [`replay`].
pub fn tree(
    updates: &[&[u8]],
    limits: &ScanLimits,
) -> Result<BTreeMap<String, Node>, ReplicaError> {
    Cursor::at(updates, limits)?.tree(limits)
}

/// Deletions since a cursor was loaded beyond which it is loaded again: reading goes over all of them for each text.
/// Fewer in tests, so that they come by it.
const MOST_DELETED: usize = if cfg!(test) { 50 } else { 500 };

/// A document that goes from moment to moment: later ones cost what happened in between.
#[derive(Debug)]
pub struct Cursor {
    replica: Replica,
    /// What is deleted and has no content in the replica.
    stripped: IdSet,
    /// What was read and did not change since.
    known: Known,
}

impl Cursor {
    /// The state after these updates.
    ///
    /// # Errors
    /// As [`replay`].
    pub fn at(updates: &[&[u8]], limits: &ScanLimits) -> Result<Self, ReplicaError> {
        let whole = match whole(updates) {
            Some(whole) => Some(whole),
            // One update after another leaves the text of what was deleted in the document, its state does not have it.
            None => replay(updates, limits)?.full_state(),
        };
        Self::of(whole, limits)
    }

    fn of(state: Option<Bytes>, limits: &ScanLimits) -> Result<Self, ReplicaError> {
        let mut replica = Replica::load(&state, limits)?;
        replica.track_changes();
        let stripped = replica.deleted().clone();
        Ok(Self {
            replica,
            stripped,
            known: Known::default(),
        })
    }

    /// Goes on over the next updates.
    ///
    /// # Errors
    /// As [`replay`]. The cursor is then of no use.
    pub fn advance(&mut self, updates: &[&[u8]], limits: &ScanLimits) -> Result<(), ReplicaError> {
        for update in updates {
            self.replica
                .append(&Bytes::copy_from_slice(update), limits)?;
        }
        Ok(())
    }

    /// What is read from now on shares with the tree of another moment what is the same in it.
    pub fn share(&mut self, tree: &BTreeMap<String, Node>) {
        self.known.share(tree);
    }

    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Everything in the document, with the ids of elements and of text.
    ///
    /// # Errors
    /// As [`replay`].
    pub fn tree(&mut self, limits: &ScanLimits) -> Result<BTreeMap<String, Node>, ReplicaError> {
        let since = self.replica.deleted().without(&self.stripped);
        let mut since: Vec<IdRange> = since.iter().collect();
        self.known.forget(&self.replica.take_changed());
        if since.len() > MOST_DELETED {
            let known = mem::take(&mut self.known);
            *self = Self::of(self.replica.full_state(), limits)?;
            self.known = known;
            since.clear();
        }
        let doc = self.replica.doc();
        Ok(doc
            .map(|doc| roots_with_ids(doc, &since, &mut self.known))
            .unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use yrs::{
        Array as _, ArrayPrelim, GetString as _, Map as _, MapPrelim, Out, Text as _, TextPrelim,
        Transact as _, Xml as _, XmlElementPrelim, XmlFragment as _, XmlOut, XmlTextPrelim,
        types::Attrs,
    };

    use super::*;
    use crate::document::{
        export::{Form, export},
        html,
        replica::doc_with,
        tree::Part,
    };

    /// Updates of two people who write into each other's words and delete some.
    fn log() -> (Vec<Vec<u8>>, Vec<String>) {
        let docs = [doc_with(7), doc_with(9)];
        let (mut updates, mut texts) = (Vec::new(), Vec::new());
        for n in 0..60_u32 {
            let writer = &docs[(n / 3 % 2) as usize];
            let text = writer.get_or_insert_text("t");
            let mut txn = writer.transact_mut();
            let len = text.get_string(&txn).len() as u32;
            if n % 5 == 4 {
                text.remove_range(&mut txn, len / 3, 2);
            } else {
                text.insert(&mut txn, (n * 7) % (len + 1), &format!("{n} "));
            }
            let update = txn.encode_update_v1();
            drop(txn);
            for doc in &docs {
                let decoded = yrs::updates::decoder::Decode::decode_v1(&update).unwrap();
                doc.transact_mut().apply_update(decoded).unwrap();
            }
            texts.push(text.get_string(&writer.transact()));
            updates.push(update);
        }
        (updates, texts)
    }

    fn text(replica: &Replica) -> String {
        let doc = replica.doc().unwrap();
        let text = doc.get_or_insert_text("t");
        text.get_string(&doc.transact())
    }

    #[test]
    fn every_moment_is_what_it_was_and_goes_on_from_there() {
        let limits = ScanLimits::default();
        let (updates, texts) = log();
        let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
        assert!(replay(&[], &limits).unwrap().is_empty());
        for seq in 1..=updates.len() {
            let replica = replay(&updates[..seq], &limits).unwrap();
            assert_eq!(text(&replica), texts[seq - 1], "{seq}");
            let mut cursor = Cursor::at(&updates[..seq], &limits).unwrap();
            assert_eq!(text(cursor.replica()), texts[seq - 1], "{seq}");
            let later = (seq + 5).min(updates.len());
            cursor.advance(&updates[seq..later], &limits).unwrap();
            assert_eq!(text(cursor.replica()), texts[later - 1], "{seq} to {later}");
        }
    }

    #[test]
    fn a_cursor_reads_what_is_read_from_the_beginning() {
        let limits = ScanLimits::default();
        let (updates, _) = log();
        let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
        let mut cursor = Cursor::at(&[], &limits).unwrap();
        for seq in 0..=updates.len() {
            assert_eq!(
                cursor.tree(&limits).unwrap(),
                tree(&updates[..seq], &limits).unwrap(),
                "{seq}"
            );
            let next = updates.get(seq..=seq).unwrap_or_default();
            cursor.advance(next, &limits).unwrap();
        }
    }

    /// Updates that change, make and remove shared types of all kinds, in each other.
    fn nested_log(seed: u64, edits: usize) -> Vec<Vec<u8>> {
        let mut random = StdRng::seed_from_u64(seed);
        let doc = doc_with(7);
        let (body, map) = (
            doc.get_or_insert_xml_fragment("body"),
            doc.get_or_insert_map("map"),
        );
        let mut updates = Vec::new();
        for n in 0..edits {
            let mut txn = doc.transact_mut();
            let blocks = body.len(&txn);
            let place = random.random_range(0..blocks.max(1));
            let (kind, at) = (
                random.random_range(0..20),
                random.random_range(0..1_000_u32),
            );
            match body.get(&txn, place) {
                None => drop(body.push_back(&mut txn, XmlElementPrelim::empty("list"))),
                _ if kind == 0 => {
                    let element =
                        body.insert(&mut txn, at % (blocks + 1), XmlElementPrelim::empty("item"));
                    element.push_back(&mut txn, XmlTextPrelim::new("new"));
                }
                _ if kind == 1 && blocks > 3 => body.remove_range(&mut txn, at % blocks, 1),
                _ if kind < 5 => {
                    let key = ["a", "b", "c"][at as usize % 3];
                    match (map.get(&txn, key), kind) {
                        (Some(Out::YArray(list)), 2 | 3) => {
                            list.push_back(&mut txn, n as f64);
                            if list.len(&txn) > 3 {
                                list.push_back(&mut txn, TextPrelim::new("in a list"));
                            }
                        }
                        (Some(Out::YMap(inner)), 2 | 3) => match inner.get(&txn, "t") {
                            Some(Out::YText(text)) => text.push(&mut txn, "more "),
                            _ => drop(inner.insert(&mut txn, "t", TextPrelim::new("deep "))),
                        },
                        (Some(_), 4) => drop(map.remove(&mut txn, key)),
                        _ if at % 2 == 0 => drop(map.insert(&mut txn, key, ArrayPrelim::default())),
                        _ => drop(map.insert(&mut txn, key, MapPrelim::default())),
                    }
                }
                Some(XmlOut::Element(element)) => match (element.get(&txn, 0), kind) {
                    (_, 5) => drop(element.insert_attribute(&mut txn, "level", f64::from(at % 4))),
                    (None, _) => drop(element.push_back(&mut txn, XmlTextPrelim::new("text"))),
                    (Some(_), 6) => {
                        element.push_back(&mut txn, XmlElementPrelim::empty("inner"));
                    }
                    (Some(XmlOut::Text(text)), _) => {
                        let len = text.len(&txn);
                        match kind {
                            7 if len > 2 => text.format(
                                &mut txn,
                                at % (len - 1),
                                2,
                                Attrs::from([("bold".into(), true.into())]),
                            ),
                            8 => drop(text.insert_embed(
                                &mut txn,
                                at % (len + 1),
                                MapPrelim::from([("embedded", n as f64)]),
                            )),
                            9..14 if len > 0 => text.remove_range(&mut txn, at % len, 1),
                            _ => text.insert(&mut txn, at % (len + 1), "xy"),
                        }
                    }
                    _ => {}
                },
                Some(_) => {}
            }
            updates.push(txn.encode_update_v1());
        }
        updates
    }

    #[test]
    fn a_cursor_reads_only_what_changed_and_nothing_that_was() {
        let limits = ScanLimits::default();
        for seed in 0..3 {
            let updates = nested_log(seed, 2_000);
            let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
            let mut cursor = Cursor::at(&updates[..seed as usize * 100], &limits).unwrap();
            let mut random = StdRng::seed_from_u64(seed);
            let mut at = seed as usize * 100;
            while at < updates.len() {
                let next = (at + random.random_range(1..60)).min(updates.len());
                cursor.advance(&updates[at..next], &limits).unwrap();
                at = next;
                let read = cursor.tree(&limits).unwrap();
                let later = tree(&updates[..(at + 40).min(updates.len())], &limits).unwrap();
                cursor.share(&later);
                assert_eq!(read, cursor.tree(&limits).unwrap(), "{seed}: {at}");
                assert_eq!(read, tree(&updates[..at], &limits).unwrap(), "{seed}: {at}");
                let written = export(cursor.replica(), Form::Html);
                assert_eq!(html::state(&read).as_bytes(), written, "{seed}: {at}");
            }
            let was_loaded_again = cursor.stripped.iter().count() > MOST_DELETED;
            assert!(
                was_loaded_again,
                "{seed}: {}",
                cursor.stripped.iter().count()
            );
        }
    }

    #[test]
    fn moments_share_what_is_the_same_in_them() {
        let limits = ScanLimits::default();
        let updates = nested_log(7, 400);
        let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
        let blocks = |tree: &BTreeMap<String, Node>| match &tree["body"] {
            Node::Fragment(blocks) => blocks.clone(),
            other => panic!("{other:?}"),
        };
        let mut cursor = Cursor::at(&updates[..399], &limits).unwrap();
        let before = blocks(&cursor.tree(&limits).unwrap());
        cursor.advance(&updates[399..], &limits).unwrap();
        let tree = cursor.tree(&limits).unwrap();
        let after = blocks(&tree);
        assert!(before.len() > 3, "{}", before.len());
        let is_shared = |one: &Part, all: &[Part]| {
            let mut all = all.iter();
            all.any(|other| std::ptr::eq::<Node>(&**one, &**other))
        };
        let fresh = |all: &[Part]| all.iter().filter(|one| !is_shared(one, &before)).count();
        assert!(fresh(&after) <= 1, "{}", fresh(&after));
        let mut other = Cursor::at(&updates, &limits).unwrap();
        let unshared = blocks(&other.tree(&limits).unwrap());
        assert_eq!(fresh(&unshared), unshared.len());
        other.share(&tree);
        let shared = blocks(&other.tree(&limits).unwrap());
        assert!(shared.iter().all(|one| is_shared(one, &after)));
    }

    #[test]
    fn rows_of_which_one_is_missing_are_no_log() {
        let (updates, _) = log();
        let updates: Vec<&[u8]> = updates[1..].iter().map(Vec::as_slice).collect();
        assert!(replay(&updates, &ScanLimits::default()).is_err());
    }
}
