//! A document's replica: the yrs `Doc` behind the few things a room does with it.
//!
//! Invariants:
//! - The `Doc` never collects garbage: yrs' collector can be led into freed memory by a well-formed update. What was
//!   deleted is taken out of the bytes when a state is encoded ([`super::strip`]), so no reader receives it.
//! - yrs never holds anything that waits for something else: callers apply only what [`super::ready`] let through.
//! - `known` and `deleted` say exactly what the replica holds; they are kept here because asking yrs costs more the
//!   larger the document is.
//! - After an error the `Doc` is half changed: the replica must be dropped and built again from the log.

use std::{collections::HashSet, mem};

use bytes::Bytes;
use smallvec::SmallVec;
use yrs::{
    Doc, GetString, Map, OffsetKind, Options, Out, ReadTxn, Text, TextPrelim, Transact, Update,
    WriteTxn, branch::BranchID, updates::decoder::Decode,
};

use super::{
    id_set::{IdRange, IdSet},
    ready::{self, Ready},
    scan::{Scan, ScanError, ScanLimits, outline, scan_accepted},
    splice::splice,
    state_vector::StateVector,
    strip::{strip, strip_with},
    tree,
};

/// Deepest nesting of shared types that a document may have: far below what would overflow a thread's stack when yrs
/// deletes the outermost of them.
pub const MAX_TYPE_DEPTH: u32 = 1_000;

/// Stack in bytes of a thread that walks documents: one that nests so deep takes more than the usual 2 MiB.
pub const STACK_BYTES: usize = 16 << 20;

/// The replica of one document.
pub struct Replica {
    /// Made with the first struct, so that an empty document costs next to nothing.
    doc: Option<Doc>,
    known: StateVector,
    deleted: IdSet,
    /// An upper bound of how deep shared types nest, and the last measured depth.
    depth_bound: u32,
    /// How deep new types may nest.
    max_depth: u32,
    /// The client bytes themselves, once the document holds a value that yrs would write back changed.
    verbatim: Option<Vec<Bytes>>,
    /// An upper bound of the size of the whole state: what it was when it was measured, and all updates since.
    size: usize,
    measured: usize,
    /// Bytes of all updates that were ever applied, those of what is deleted since among them.
    held: usize,
    /// Types that changed, and those that they are in; where they are tracked.
    changed: Option<HashSet<BranchID>>,
}

/// What applying an update brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The part that was applied: for the log and the other peers.
    pub bytes: Bytes,
    /// What is new, at most one range per client.
    pub runs: SmallVec<[IdRange; 1]>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The bytes are not an acceptable update. The replica is unchanged.
    #[error("{0}")]
    Scan(#[from] ScanError),
    /// The replica is unchanged.
    #[error("shared types nest deeper than {limit}")]
    TooDeep { limit: u32 },
    /// yrs refused what the scan had accepted. The replica is half changed and must be dropped.
    #[error("the update could not be applied")]
    Broken,
    /// The update refers to something the document does not hold. The replica is unchanged.
    #[error("the update refers to something unknown")]
    NotReady,
}

impl ReplicaError {
    /// Whether the replica can still be used.
    pub fn is_harmless(&self) -> bool {
        !matches!(self, Self::Broken)
    }
}

impl Default for Replica {
    fn default() -> Self {
        Self {
            doc: None,
            known: StateVector::default(),
            deleted: IdSet::default(),
            depth_bound: 0,
            max_depth: MAX_TYPE_DEPTH,
            verbatim: None,
            size: 0,
            held: 0,
            measured: 0,
            changed: None,
        }
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Builds a replica from a snapshot and the rows after it, in order.
    pub fn load<'a>(
        updates: impl IntoIterator<Item = &'a Bytes>,
        limits: &ScanLimits,
    ) -> Result<Self, ReplicaError> {
        let mut replica = Self::default();
        for update in updates {
            replica.append(update, limits)?;
        }
        Ok(replica)
    }

    /// Applies the next row of the log, all of which must be ready. Of the limits only that on the depth of values holds:
    /// what was accepted once must stay readable, also when it was joined with other updates, and when the limits were
    /// lowered since. Answers whether it brought anything new.
    pub fn append(&mut self, update: &Bytes, limits: &ScanLimits) -> Result<bool, ReplicaError> {
        let scan = scan_accepted(update, limits.max_any_depth)?;
        let first = self.doc.is_none();
        let split = first
            .then(|| ready::Split::into_empty(&scan))
            .flatten()
            .unwrap_or_else(|| ready::split(&scan, update, &self.known, &self.deleted));
        if split.rest {
            return Err(ReplicaError::NotReady);
        }
        let limit = mem::replace(&mut self.max_depth, MAX_TYPE_DEPTH);
        let applied = self.apply(&scan, update, &split);
        self.max_depth = limit;
        Ok(applied?.is_some())
    }

    /// Admits types that nest at most so deep from now on; what is stored already stays readable.
    pub fn limit_depth(&mut self, depth: u32) {
        self.max_depth = depth.min(MAX_TYPE_DEPTH);
    }

    /// From now on it is known which types change.
    pub(super) fn track_changes(&mut self) {
        self.changed = Some(HashSet::new());
    }

    /// The types that changed since this was asked last, and those that they are in; of types that an update made or deleted only
    /// the latter. None where they are not tracked.
    pub(super) fn take_changed(&mut self) -> HashSet<BranchID> {
        self.changed.as_mut().map(mem::take).unwrap_or_default()
    }

    pub fn known(&self) -> &StateVector {
        &self.known
    }

    pub fn deleted(&self) -> &IdSet {
        &self.deleted
    }

    /// An upper bound of the bytes of the whole state.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The bytes of the whole state, measured again only when the bound has grown by an eighth of `limit` since the
    /// last time, as measuring costs an encode.
    pub fn measured_size(&mut self, limit: usize) -> usize {
        if self.measured == 0 || self.size - self.measured > limit / 8 {
            self.measured = self.diff(&StateVector::default()).len();
            self.size = self.measured;
        }
        self.size
    }

    /// Bytes that were put in since the replica was built. What was deleted stays in memory, so this may be far above the
    /// size of the state.
    pub fn held(&self) -> usize {
        self.held
    }

    pub fn is_empty(&self) -> bool {
        self.doc.is_none()
    }

    /// Applies the ready part of a scanned update. `Ok(None)` when it brings nothing new.
    pub fn apply(
        &mut self,
        scan: &Scan,
        update: &Bytes,
        split: &ready::Split,
    ) -> Result<Option<Applied>, ReplicaError> {
        let bytes = match &split.ready {
            Ready::Nothing => return Ok(None),
            Ready::All => update.clone(),
            Ready::Part(bytes) => Bytes::copy_from_slice(bytes),
        };
        self.check_depth(scan)?;
        if scan.lossy && self.verbatim.is_none() {
            self.verbatim = Some(self.full_state().into_iter().collect());
        }
        let doc = self.doc.get_or_insert_with(new_doc);
        let decoded = Update::decode_v1(&bytes).map_err(|_| ReplicaError::Broken)?;
        let mut txn = doc.transact_mut();
        txn.apply_update(decoded)
            .map_err(|_| ReplicaError::Broken)?;
        let mut deletes = false;
        for (client, ranges) in txn.delete_set().iter() {
            for range in ranges {
                deletes = true;
                self.deleted
                    .insert(client.get(), range.start, range.end - range.start);
            }
        }
        txn.commit();
        if let Some(changed) = &mut self.changed {
            let types = txn.changed_parent_types().iter();
            changed.extend(types.map(|branch| branch.id()));
        }
        let waits = txn.has_missing_updates();
        drop(txn);
        if waits {
            return Err(ReplicaError::Broken);
        }
        self.known
            .advance_all(split.runs_added.iter().map(|run| (run.client, run.end)));
        if split.runs_added.is_empty() && !deletes {
            return Ok(None);
        }
        self.size += bytes.len();
        self.held += bytes.len();
        if let Some(verbatim) = &mut self.verbatim {
            verbatim.push(bytes.clone());
        }
        Ok(Some(Applied {
            bytes,
            runs: split.runs_added.clone(),
        }))
    }

    /// Nested types can only grow deeper by what one update nests, so the whole tree is measured only when the bound
    /// that this gives exceeds the limit.
    fn check_depth(&mut self, scan: &Scan) -> Result<(), ReplicaError> {
        if scan.type_depth == 0 {
            return Ok(());
        }
        if self.depth_bound + scan.type_depth > self.max_depth {
            self.depth_bound = self.doc.as_ref().map_or(0, tree::depth);
        }
        if self.depth_bound + scan.type_depth > self.max_depth {
            return Err(ReplicaError::TooDeep {
                limit: self.max_depth,
            });
        }
        self.depth_bound += scan.type_depth;
        Ok(())
    }

    /// An update with all that `vector` lacks, and every deletion; without the content of what was deleted.
    pub fn diff(&self, vector: &StateVector) -> Vec<u8> {
        let Some(doc) = &self.doc else {
            return EMPTY_UPDATE.to_vec();
        };
        let Some(verbatim) = &self.verbatim else {
            let vector = vector
                .iter()
                .map(|(client, clock)| (yrs::block::ClientID::new(client), clock))
                .collect();
            let encoded = doc
                .transact()
                .encode_diff_v1(&yrs::StateVector::new(vector));
            // What can not be walked is no update at all, and no client can read it either.
            return strip(&encoded).unwrap_or(encoded);
        };
        let whole = whole_of(verbatim);
        let whole = strip_with(&whole, &self.deleted).unwrap_or(whole);
        if vector.is_empty() {
            return whole;
        }
        lacking(whole, vector)
    }

    /// The whole state without the content of what was deleted; nothing for an empty document.
    pub fn full_state(&self) -> Option<Bytes> {
        self.doc.as_ref()?;
        Some(self.diff(&StateVector::default()).into())
    }

    /// The text of `meta.title`, empty where there is none.
    pub fn title(&self) -> String {
        let Some(doc) = &self.doc else {
            return String::new();
        };
        let txn = doc.transact();
        match txn.get_map("meta").and_then(|meta| meta.get(&txn, "title")) {
            Some(Out::YText(text)) => text.get_string(&txn),
            _ => String::new(),
        }
    }

    /// Writes the title as the smallest edit of `meta.title` and returns the update. `client` is a fresh random id.
    pub fn rename(&self, title: &str, client: u32) -> Option<Bytes> {
        let state = self.full_state();
        let doc = doc_with(u64::from(client));
        let mut txn = doc.transact_mut();
        if let Some(state) = state {
            txn.apply_update(Update::decode_v1(&state).ok()?).ok()?;
        }
        txn.commit();
        drop(txn);
        let mut txn = doc.transact_mut();
        let meta = txn.get_or_insert_map("meta");
        match meta.get(&txn, "title") {
            Some(Out::YText(text)) => edit_text(&text, &mut txn, title),
            _ => {
                meta.insert(&mut txn, "title", TextPrelim::new(title));
            }
        }
        Some(txn.encode_update_v1().into())
    }

    /// The `Doc`, for exports.
    pub fn doc(&self) -> Option<&Doc> {
        self.doc.as_ref()
    }
}

/// An update without structs and deletions.
pub const EMPTY_UPDATE: &[u8] = &[0, 0];

fn whole_of(parts: &[Bytes]) -> Vec<u8> {
    let slices: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
    splice(&slices).unwrap_or_default()
}

/// The part of a whole state that a state vector lacks, with every deletion.
fn lacking(whole: Vec<u8>, vector: &StateVector) -> Vec<u8> {
    let Ok(scan) = outline(&whole) else {
        return whole;
    };
    match ready::split(&scan, &whole, vector, &IdSet::default()).ready {
        Ready::All => whole,
        Ready::Part(part) => part,
        Ready::Nothing => EMPTY_UPDATE.to_vec(),
    }
}

/// Replaces what differs between the old and the new text, so that a concurrent edit elsewhere in it survives.
fn edit_text(text: &yrs::TextRef, txn: &mut yrs::TransactionMut<'_>, wanted: &str) {
    let current: Vec<char> = text.get_string(txn).chars().collect();
    let wanted: Vec<char> = wanted.chars().collect();
    let same_start = current
        .iter()
        .zip(&wanted)
        .take_while(|(a, b)| a == b)
        .count();
    let same_end = current[same_start..]
        .iter()
        .rev()
        .zip(wanted[same_start..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let units = |chars: &[char]| {
        u32::try_from(chars.iter().map(|c| c.len_utf16()).sum::<usize>()).unwrap_or(u32::MAX)
    };
    let at = units(&current[..same_start]);
    let removed = units(&current[same_start..current.len() - same_end]);
    let added: String = wanted[same_start..wanted.len() - same_end].iter().collect();
    if removed > 0 {
        text.remove_range(txn, at, removed);
    }
    if !added.is_empty() {
        text.insert(txn, at, &added);
    }
}

fn new_doc() -> Doc {
    // The id is never written with: the server's own edits are made in a scratch document.
    doc_with(0)
}

/// A document that keeps what is deleted and counts text in UTF-16 units, as Yjs does.
pub fn doc_with(client: u64) -> Doc {
    let mut options =
        Options::with_guid_and_client_id("".into(), yrs::block::ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = true;
    options.cleanup_formatting = false;
    Doc::with_options(options)
}
