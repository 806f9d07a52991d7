//! All rows of one document, and the states at some of them: what makes going from moment to moment fast.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::Answers;
use crate::{
    clock::UnixMillis,
    document::{
        moment::{Cursor, replay},
        origins::Origins,
        provenance::Provenance,
        replica::{EMPTY_UPDATE, Replica, ReplicaError},
        scan::ScanLimits,
        tree::Node,
    },
    store::{Epoch, LogRow, Mark, Seq},
};

/// A state is kept at every so many rows that somebody came by. Applying as many one by one takes some ten milliseconds.
const KEY_EVERY: Seq = 4_096;
/// Rows that are rather applied one by one than together with a state that is loaded anew.
const MOST_STEPS: Seq = 512;
/// States that are kept of a document.
const MOST_KEYS: usize = 32;
/// Rows before where somebody looks at which another cursor waits.
const BEHIND: Seq = 256;
/// Whoever goes forward by more rows at once would need another such cursor after each few of their steps, and it takes as long as
/// several of these.
const AHEAD: Seq = 16;
/// What a row takes in memory beside its bytes, about.
const ROW_BYTES: usize = 96;

/// Trees that are kept of a document.
const MOST_TREES: usize = 3;

/// Everything in a document, with ids.
pub(super) type Tree = BTreeMap<String, Node>;

/// The rows of a document up to some head, in order and complete.
#[derive(Debug, Clone)]
pub struct Reel {
    pub(super) epoch: Epoch,
    /// What was read together, each with the number of its first row; shared with the reels that grew from this one.
    parts: Vec<Arc<Vec<LogRow>>>,
    /// States by row.
    keys: Arc<Mutex<BTreeMap<Seq, Bytes>>>,
    /// Whoever goes through a document compares with the same moment again and again.
    trees: Arc<Mutex<Trees>>,
    /// Where somebody looked last.
    last: Arc<Mutex<Last>>,
    /// Some way before: a cursor does not go back, so the next step back is one forward from there. Locked while it is made, as
    /// whoever needs it waits no longer than for one of their own.
    behind: Arc<Mutex<Option<Place>>>,
    /// Who wrote what, up to a row.
    provenance: Arc<Mutex<(Seq, Provenance)>>,
    /// What was told of its moments last.
    pub(super) answers: Answers,
}

/// A cursor, and where it is.
#[derive(Debug)]
struct Place {
    seq: Seq,
    cursor: Cursor,
}

#[derive(Debug, Default)]
struct Last {
    /// Nothing while somebody looks.
    place: Option<Place>,
    /// Whether they came from near by, or have just come: a step back may be next.
    is_step: bool,
    /// Where nobody looks any more: to let a whole document go takes some milliseconds, too.
    left: Option<Place>,
}

impl Reel {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            parts: Vec::new(),
            keys: Arc::default(),
            trees: Arc::default(),
            last: Arc::default(),
            behind: Arc::default(),
            provenance: Arc::default(),
            answers: Answers::default(),
        }
    }

    /// The same with rows that follow.
    pub(super) fn grown(&self, rows: Vec<LogRow>) -> Self {
        let mut grown = self.clone();
        if !rows.is_empty() {
            grown.parts.push(Arc::new(rows));
        }
        grown
    }

    /// Number of the last row; 0 without rows.
    pub fn head(&self) -> Seq {
        let last = self.parts.last().and_then(|part| part.last());
        last.map_or(0, |row| row.seq)
    }

    pub fn row(&self, seq: Seq) -> Option<&LogRow> {
        let part = self
            .parts
            .partition_point(|part| part.last().is_some_and(|row| row.seq < seq));
        let part = self.parts.get(part)?;
        let first = part.first()?.seq;
        part.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Rows from one to another, both included.
    pub fn rows(&self, from: Seq, to: Seq) -> impl Iterator<Item = &LogRow> {
        let parts = self.parts.iter();
        let parts = parts.skip_while(move |part| part.last().is_some_and(|row| row.seq < from));
        parts
            .flat_map(|part| part.iter())
            .skip_while(move |row| row.seq < from)
            .take_while(move |row| row.seq <= to)
    }

    /// The newest moment up to this one that is kept; 0, the empty document, always is.
    pub(super) fn shown(&self, seq: Seq) -> Seq {
        let mut upto = (1..=seq).rev();
        let kept = upto.find(|seq| self.row(*seq).is_none_or(|row| !row.hidden));
        kept.unwrap_or(0)
    }

    /// The last row that was stored at this time or before.
    pub(super) fn seq_at(&self, time: UnixMillis) -> Option<Seq> {
        let newest = self.parts.iter().rev().flat_map(|part| part.iter().rev());
        newest
            .filter(|row| row.row.at <= time)
            .map(|row| row.seq)
            .next()
    }

    /// What `read` makes of the state after row `seq`.
    pub fn read<T>(
        &self,
        seq: Seq,
        limits: &ScanLimits,
        read: impl FnOnce(&Replica) -> T,
    ) -> Result<T, ReplicaError> {
        let read = self.at(seq, limits, |cursor| Ok(read(cursor.replica())));
        self.let_go();
        read
    }

    /// Everything in the state after row `seq`, with ids.
    pub(super) fn tree(&self, seq: Seq, limits: &ScanLimits) -> Result<Arc<Tree>, ReplicaError> {
        if let Some(tree) = lock(&self.trees).get(seq) {
            return Ok(tree);
        }
        let tree = Arc::new(self.at(seq, limits, |cursor| cursor.tree(limits))?);
        lock(&self.trees).keep(seq, tree.clone());
        Ok(tree)
    }

    /// Goes to a moment: from where somebody looked last, or from some way before that, if it is near, else from the next state
    /// that is kept.
    fn at<T>(
        &self,
        seq: Seq,
        limits: &ScanLimits,
        look: impl FnOnce(&mut Cursor) -> Result<T, ReplicaError>,
    ) -> Result<T, ReplicaError> {
        let is_near = |place: &Place| (place.seq..=place.seq + MOST_STEPS).contains(&seq);
        let last = lock(&self.last).place.take();
        let from = last.as_ref().map(|place| place.seq);
        let near = match last {
            Some(place) if is_near(&place) => Some(place),
            far => {
                lock(&self.last).left = far;
                lock(&self.behind).take().filter(is_near)
            }
        };
        let mut cursor = match near {
            Some(mut place) => {
                let updates = self.updates(place.seq + 1, seq);
                place.cursor.advance(&updates, limits)?;
                place.cursor
            }
            None => self.cursor_at(seq, limits)?,
        };
        let made = look(&mut cursor)?;
        let mut last = lock(&self.last);
        last.is_step =
            from.is_none_or(|from| (seq.saturating_sub(AHEAD)..=seq + BEHIND).contains(&from));
        last.place = Some(Place { seq, cursor });
        Ok(made)
    }

    fn cursor_at(&self, seq: Seq, limits: &ScanLimits) -> Result<Cursor, ReplicaError> {
        let key = seq - seq % KEY_EVERY;
        let state = self.key(key, limits)?;
        let state = state.iter().map(AsRef::as_ref);
        let updates: Vec<&[u8]> = state.chain(self.updates(key + 1, seq)).collect();
        Cursor::at(&updates, limits)
    }

    /// Makes a step back from where somebody looks cost as little as one forward. Takes as long as opening a moment, so it is for
    /// when nobody waits.
    pub(super) fn prepare(&self, limits: &ScanLimits) -> Result<(), ReplicaError> {
        self.let_go();
        let step = {
            let last = lock(&self.last);
            let place = last.place.as_ref().filter(|_| last.is_step);
            place.map(|place| place.seq)
        };
        let Some(at) = step.filter(|at| *at > 0) else {
            return Ok(());
        };
        let mut behind = lock(&self.behind);
        let reach = at.saturating_sub(MOST_STEPS)..at;
        if behind
            .as_ref()
            .is_none_or(|place| !reach.contains(&place.seq))
        {
            let seq = at.saturating_sub(BEHIND);
            let mut cursor = self.cursor_at(seq, limits)?;
            cursor.tree(limits)?;
            if let Some(tree) = lock(&self.trees).newest() {
                cursor.share(&tree);
            }
            *behind = Some(Place { seq, cursor });
        }
        Ok(())
    }

    /// Lets go what nobody looks at any more.
    fn let_go(&self) {
        let left = lock(&self.last).left.take();
        drop(left);
    }

    /// The state after a row at which one is kept; nothing before the first.
    fn key(&self, key: Seq, limits: &ScanLimits) -> Result<Option<Bytes>, ReplicaError> {
        if key == 0 {
            return Ok(None);
        }
        if let Some(state) = self.keys().get(&key) {
            return Ok(Some(state.clone()));
        }
        let below = self.key_below(key);
        let from = below.as_ref().map_or(0, |(seq, _)| *seq);
        let below = below.iter().map(|(_, state)| state.as_ref());
        let updates: Vec<&[u8]> = below.chain(self.updates(from + 1, key)).collect();
        let state = replay(&updates, limits)?.full_state();
        let state = state.unwrap_or(Bytes::from_static(EMPTY_UPDATE));
        self.keep_key(key, state.clone());
        Ok(Some(state))
    }

    /// The last state before a row that is kept.
    fn key_below(&self, key: Seq) -> Option<(Seq, Bytes)> {
        let keys = self.keys();
        let (seq, state) = keys.range(..key).next_back()?;
        Some((*seq, state.clone()))
    }

    fn updates(&self, from: Seq, to: Seq) -> Vec<&[u8]> {
        let rows = self.rows(from, to);
        rows.map(|row| row.row.bytes.as_ref()).collect()
    }

    fn keep_key(&self, key: Seq, state: Bytes) {
        let mut keys = self.keys();
        keys.insert(key, state);
        if keys.len() > MOST_KEYS {
            // Whoever goes through a document comes by the near ones next.
            let farthest = keys.keys().copied().max_by_key(|other| other.abs_diff(key));
            farthest.map(|farthest| keys.remove(&farthest));
        }
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<Seq, Bytes>> {
        lock(&self.keys)
    }

    /// Lets `ask` look at who wrote what, at least in rows up to one. `marks` are all marks of the document up to that row: what
    /// stands beside a later one is not asked for before they are there.
    pub fn with_provenance<T>(
        &self,
        upto: Seq,
        marks: &[Mark],
        ask: impl FnOnce(&Provenance) -> T,
    ) -> T {
        let mut known = lock(&self.provenance);
        let (reach, provenance) = &mut *known;
        let (from, upto) = (*reach + 1, upto.min(self.head()));
        for row in self.rows(from, upto) {
            let by = (&row.row.author, row.row.at);
            if let Err(error) = provenance.add(row.seq, by, &row.row.bytes) {
                tracing::error!(seq = row.seq, %error, "a stored row can not be read");
            }
        }
        for mark in marks
            .iter()
            .filter(|mark| (from..=upto).contains(&mark.seq))
        {
            match Origins::decode(&mark.mark.origins) {
                Ok(origins) => provenance.add_origins(&origins),
                Err(error) => tracing::error!(seq = mark.seq, %error, "a mark can not be read"),
            }
        }
        *reach = upto.max(*reach);
        ask(provenance)
    }

    /// What it takes in memory, about, and without the answers.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.parts.iter().flat_map(|part| part.iter());
        let rows: usize = rows.map(|row| row.row.bytes.len() + ROW_BYTES).sum();
        let keys: usize = self.keys().values().map(Bytes::len).sum();
        rows + keys
    }
}

/// The trees that were read last, the newest first.
#[derive(Debug, Default)]
struct Trees(VecDeque<(Seq, Arc<Tree>)>);

impl Trees {
    fn get(&mut self, seq: Seq) -> Option<Arc<Tree>> {
        let place = self.0.iter().position(|(of, _)| *of == seq)?;
        let known = self.0.remove(place)?;
        self.0.push_front(known);
        self.0.front().map(|(_, tree)| tree.clone())
    }

    fn newest(&self) -> Option<Arc<Tree>> {
        self.0.front().map(|(_, tree)| tree.clone())
    }

    fn keep(&mut self, seq: Seq, tree: Arc<Tree>) {
        self.0.push_front((seq, tree));
        self.0.truncate(MOST_TREES);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use yrs::{GetString as _, Text as _, Transact as _};

    use super::*;
    use crate::{document::replica::doc_with, store::NewRow};

    /// A log in which every row types or deletes something, with the text after each.
    fn log(rows: u32) -> (Vec<LogRow>, Vec<String>) {
        let doc = doc_with(7);
        let text = doc.get_or_insert_text("t");
        let mut texts = vec![String::new()];
        let rows = (1..=u64::from(rows))
            .map(|seq| {
                let mut txn = doc.transact_mut();
                let n = seq as u32;
                let len = text.get_string(&txn).len() as u32;
                match n % 4 {
                    0 if len > 300 => text.remove_range(&mut txn, n % (len - 250), 250),
                    _ => text.insert(&mut txn, (n * 31) % (len + 1), &n.to_string()),
                }
                texts.push(text.get_string(&txn));
                let row = NewRow {
                    bytes: txn.encode_update_v1().into(),
                    author: ["ada", "ben"][(n % 2) as usize].into(),
                    client_id: 7,
                    at: i64::from(n) * 10,
                };
                LogRow {
                    seq,
                    row,
                    hidden: false,
                }
            })
            .collect();
        (rows, texts)
    }

    fn text(replica: &Replica) -> String {
        let Some(doc) = replica.doc() else {
            return String::new();
        };
        let text = doc.get_or_insert_text("t");
        text.get_string(&doc.transact())
    }

    #[test]
    fn any_moment_is_what_it_was_whichever_way_one_came() {
        let limits = ScanLimits::default();
        let (mut rows, texts) = log(9_000);
        let later = rows.split_off(5_000);
        let small = Reel::new(1).grown(rows);
        for seq in [0, 1, 4_095, 4_096, 4_097, 5_000, 2] {
            assert_eq!(small.read(seq, &limits, text).unwrap(), texts[seq as usize]);
        }
        let reel = small.grown(later);
        assert_eq!((small.head(), reel.head()), (5_000, 9_000));
        for seq in [9_000, 8_191, 8_192, 8_193, 4_097, 4_096, 7, 8_999] {
            assert_eq!(reel.read(seq, &limits, text).unwrap(), texts[seq as usize]);
        }
        assert_eq!(reel.keys().len(), 2);
        assert_eq!(reel.row(5_001).unwrap().seq, 5_001);
        assert!(reel.row(0).is_none() && reel.row(9_001).is_none());
        let seqs: Vec<_> = reel.rows(4_999, 5_002).map(|row| row.seq).collect();
        assert_eq!(seqs, [4_999, 5_000, 5_001, 5_002]);
        assert_eq!((reel.seq_at(9), reel.seq_at(50_005)), (None, Some(5_000)));
    }

    #[test]
    fn a_step_back_is_one_forward_from_some_way_before() {
        let limits = ScanLimits::default();
        let (rows, texts) = log(5_000);
        let reel = Reel::new(1).grown(rows);
        let waits = || lock(&reel.behind).as_ref().map(|place| place.seq);
        let mut seq = 4_500;
        assert_eq!(reel.read(seq, &limits, text).unwrap(), texts[4_500]);
        assert_eq!(waits(), None);
        for back in [1, 7, 100, 256] {
            reel.prepare(&limits).unwrap();
            assert_eq!(waits(), Some(seq - BEHIND));
            reel.prepare(&limits).unwrap();
            assert_eq!(waits(), Some(seq - BEHIND), "once");
            seq -= back;
            assert_eq!(reel.read(seq, &limits, text).unwrap(), texts[seq as usize]);
            assert_eq!(waits(), None, "used");
        }
        // Whoever goes forward does not wait for what is far behind.
        for (ahead, prepared) in [(16, true), (17, false)] {
            lock(&reel.behind).take();
            seq += ahead;
            assert_eq!(reel.read(seq, &limits, text).unwrap(), texts[seq as usize]);
            reel.prepare(&limits).unwrap();
            assert_eq!(waits().is_some(), prepared, "{ahead}");
        }
        // Whoever jumps does not step.
        assert_eq!(reel.read(1_000, &limits, text).unwrap(), texts[1_000]);
        reel.prepare(&limits).unwrap();
        assert_eq!(waits(), None);
        assert_eq!(reel.read(20, &limits, text).unwrap(), texts[20]);
        assert_eq!(reel.read(10, &limits, text).unwrap(), texts[10]);
        reel.prepare(&limits).unwrap();
        assert_eq!(waits(), Some(0));
        assert_eq!(reel.read(0, &limits, text).unwrap(), texts[0]);
        reel.prepare(&limits).unwrap();
        assert_eq!(waits(), None, "nothing is before the beginning");
    }

    #[test]
    fn who_wrote_what_is_known_of_rows_that_came_later() {
        let (mut rows, _) = log(40);
        let later = rows.split_off(20);
        let small = Reel::new(1).grown(rows);
        let row_of = |reel: &Reel, upto, clock| {
            let id = crate::document::ids::Id::new(7, clock);
            reel.with_provenance(upto, &[], |known| {
                known.written(id).map(|source| source.row)
            })
        };
        assert_eq!(row_of(&small, 20, 0), Some(1));
        assert_eq!(row_of(&small, 40, 60), None);
        let grown = small.grown(later);
        assert_eq!(row_of(&grown, 34, 60), None, "not asked for yet");
        assert_eq!(row_of(&grown, 40, 60), Some(35));
        assert_eq!(row_of(&grown, 20, 60), Some(35));
    }
}
