//! Keeping less: thinning moments to a coarser grain, and removing a span of them for good.
//!
//! Both hide moments and take out of the rows what no moment that stays shows (`document::thin`). The rows keep their
//! numbers, authors and clients; the present document, and every moment that stays, is what it was.

use std::{
    collections::{BTreeSet, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use bytes::Bytes;

use super::{History, HistoryError, Reel, Turn, apart, is_purged};
use crate::{
    clock::UnixMillis,
    document::{
        id::DocId,
        replica::{EMPTY_UPDATE, Replica, ReplicaError},
        scan::ScanLimits,
        thin::{ThinError, ThinRow, thin},
        tree,
    },
    store::{
        Epoch, Loaded, LogRow, Mark, MarkKind, NewMark, Rewrite, Seq,
        sessions::{Grain, Session},
    },
};

/// Moments at which what was thinned is compared with what it was made of, at most, beside the last.
const COMPARED: usize = 16;

/// What is to be hidden of a log.
struct Cut {
    epoch: Epoch,
    /// The rows that are written anew: from behind a moment that stays up to one that stays.
    rows: RangeInclusive<Seq>,
    hidden: HashSet<Seq>,
    /// First and last rows of sessions: they keep their time, and what is on two sides of an end stays in rows of its own.
    firsts: HashSet<Seq>,
    ends: HashSet<Seq>,
}

impl History {
    /// Removes the moments from one row to another for good, as far as they lie before the present one; answers those that
    /// went. The rows must be folded.
    ///
    /// # Errors
    /// When there is no such document, it is not live, or it can not be read or written.
    pub async fn purge(
        &self,
        turn: &Turn,
        moments: RangeInclusive<Seq>,
        author: Arc<str>,
        at: UnixMillis,
    ) -> Result<Option<RangeInclusive<Seq>>, HistoryError> {
        let doc = turn.doc();
        let folded = self.folded(doc).await?;
        let from = *moments.start().max(&1);
        if from > folded {
            let (seq, head) = (from, folded);
            return Err(HistoryError::NoMoment { seq, head });
        }
        let to = *moments.end().min(&folded.saturating_sub(1));
        if from > to {
            return Ok(None);
        }
        let reel = self.stored_reel(doc).await?;
        let sessions = self.store.sessions(doc, Seq::MAX, u32::MAX).await?;
        let mut hidden = HashSet::new();
        let shown = reel.rows(from, to).filter(|row| !row.hidden);
        hidden.extend(shown.map(|row| row.seq));
        let marks = self.store.marks(doc).await?;
        if hidden.is_empty() && (from..=to).all(|seq| is_purged(&marks, seq)) {
            return Ok(None);
        }
        let cut = Cut::around(&reel, from..=to, hidden, &sessions);
        let purge = NewMark {
            kind: MarkKind::Purge,
            label: String::new(),
            author,
            at,
            source_seq: Some(from),
            origins: Bytes::new(),
        };
        self.rewrite(turn, reel, cut, Vec::new(), Some((to, purge)))
            .await?;
        Ok(Some(from..=to))
    }

    /// Thins all sessions that ended before a time to this grain, where they are kept more finely; answers how many moments
    /// went. Rows that are not folded stay as they are.
    ///
    /// # Errors
    /// As [`Self::purge`].
    pub async fn thin(
        &self,
        turn: &Turn,
        grain: Grain,
        before: UnixMillis,
    ) -> Result<usize, HistoryError> {
        let doc = turn.doc();
        let folded = self.folded(doc).await?;
        let sessions = self.store.sessions(doc, Seq::MAX, u32::MAX).await?;
        let mut thinned: Vec<(Grain, &Session)> = Vec::new();
        for session in sessions.iter().rev() {
            // The present moment stays, so the session that it ends has an end; later it will be thinned further.
            let most = match session.to_seq < folded {
                true => grain,
                false => grain.min(Grain::Sessions),
            };
            if session.to_at < before && session.to_seq <= folded && session.grain < most {
                thinned.push((most, session));
            }
        }
        let (Some((_, oldest)), Some((_, newest))) = (thinned.first(), thinned.last()) else {
            return Ok(0);
        };
        let span = oldest.from_seq..=newest.to_seq;
        let reel = self.stored_reel(doc).await?;
        let marks = self.store.marks(doc).await?;
        let wanted = wanted_moments(&marks);
        let mut hidden = HashSet::new();
        for (grain, session) in &thinned {
            hide(&reel, session, *grain, &wanted, &mut hidden);
        }
        let count = hidden.len();
        let cut = Cut::around(&reel, span, hidden, &sessions);
        let grains = thinned.iter().map(|(grain, of)| (of.from_seq, *grain));
        let grains = grains.collect();
        self.rewrite(turn, reel, cut, grains, None).await?;
        Ok(count)
    }

    /// All rows as the store has them: what is written anew must not come from what was read before an earlier rewrite.
    async fn stored_reel(&self, doc: &DocId) -> Result<Arc<Reel>, HistoryError> {
        let record = self.record(doc).await?;
        let rows = self.store.rows(doc, 1, record.head_seq).await?;
        Ok(Arc::new(Reel::new(record.epoch).grown(rows)))
    }

    /// How far the log of a live document is folded.
    async fn folded(&self, doc: &DocId) -> Result<Seq, HistoryError> {
        match self.store.load(doc).await? {
            Loaded::Live(stored) => Ok(stored.snapshot.map_or(0, |snapshot| snapshot.seq)),
            _ => self.live(doc).await.map(|()| 0),
        }
    }

    async fn rewrite(
        &self,
        turn: &Turn,
        reel: Arc<Reel>,
        cut: Cut,
        grains: Vec<(Seq, Grain)>,
        purge: Option<(Seq, NewMark)>,
    ) -> Result<(), HistoryError> {
        let limits = self.limits;
        let epoch = cut.epoch;
        let rows = apart(move || rewritten(&reel, &cut, &limits)).await?;
        let rewrite = Rewrite {
            doc: turn.doc().clone(),
            epoch,
            rows: rows.map_err(HistoryError::Thinning)?,
            grains,
            purge,
        };
        let done = self.store.rewrite(rewrite).await?;
        self.shelf.forget(turn.doc());
        match done {
            true => Ok(()),
            false => Err(HistoryError::Changed),
        }
    }
}

/// Moments that every grain keeps: named ones, and those around a restore.
fn wanted_moments(marks: &[Mark]) -> BTreeSet<Seq> {
    let mut wanted = BTreeSet::new();
    for mark in marks {
        match mark.mark.kind {
            MarkKind::Named => wanted.extend([mark.seq]),
            MarkKind::Restore | MarkKind::RestorePart => {
                wanted.extend([mark.seq, mark.seq.saturating_sub(1)]);
            }
            MarkKind::Purge => {}
        }
    }
    wanted
}

/// Adds the moments of a session that a grain does not keep.
fn hide(
    reel: &Reel,
    session: &Session,
    grain: Grain,
    wanted: &BTreeSet<Seq>,
    hidden: &mut HashSet<Seq>,
) {
    // Of moments in the same of these spans, in milliseconds, the last one stays.
    let span = match grain {
        Grain::All => return,
        Grain::Seconds => Some(1_000),
        Grain::Minutes => Some(60_000),
        Grain::Sessions | Grain::Named => None,
    };
    let same = |a: &LogRow, b: &LogRow| {
        span.is_none_or(|span| a.row.at.div_euclid(span) == b.row.at.div_euclid(span))
    };
    let rows = reel.rows(session.from_seq, session.to_seq);
    let mut shown = rows.filter(|row| !row.hidden).peekable();
    while let Some(row) = shown.next() {
        let goes = match shown.peek() {
            Some(next) => same(row, next),
            None => grain == Grain::Named,
        };
        if goes && !wanted.contains(&row.seq) {
            hidden.insert(row.seq);
        }
    }
}

impl Cut {
    /// `moments` widened to where the moments that stay around them lie.
    fn around(
        reel: &Reel,
        moments: RangeInclusive<Seq>,
        hidden: HashSet<Seq>,
        sessions: &[Session],
    ) -> Self {
        let stays = |row: &LogRow| !row.hidden && !hidden.contains(&row.seq);
        let before = (1..*moments.start())
            .rev()
            .find(|seq| reel.row(*seq).is_some_and(stays));
        let mut from_end = reel.rows(*moments.end(), reel.head());
        let end = from_end
            .find(|row| stays(row))
            .map_or(reel.head(), |row| row.seq);
        Self {
            epoch: reel.epoch,
            rows: before.map_or(1, |before| before + 1)..=end,
            firsts: sessions.iter().map(|session| session.from_seq).collect(),
            ends: sessions.iter().map(|session| session.to_seq).collect(),
            hidden,
        }
    }
}

/// The rows that take the place of those of a cut, compared with them.
fn rewritten(reel: &Reel, cut: &Cut, limits: &ScanLimits) -> Result<Vec<LogRow>, ThinError> {
    let mut rows: Vec<LogRow> = reel
        .rows(*cut.rows.start(), *cut.rows.end())
        .cloned()
        .collect();
    for row in &mut rows {
        row.hidden |= cut.hidden.contains(&row.seq);
    }
    space_out(&mut rows, cut);
    let base = reel.read(cut.rows.start() - 1, limits, Replica::full_state)?;
    let start = || match &base {
        None => Ok::<_, ReplicaError>(Replica::default()),
        Some(state) => Replica::load([state], limits),
    };
    // What was, row by row, and beside it what the new rows make.
    let (mut old, mut new) = (start()?, start()?);
    let groups = rows.chunk_by(|row, _| row.hidden).count();
    let every = groups.div_ceil(COMPARED).max(1);
    let mut from = 0;
    let mut count = 0;
    while from < rows.len() {
        let len = rows[from..].iter().position(|row| !row.hidden);
        let to = len.map_or(rows.len(), |len| from + len + 1);
        let group: Vec<ThinRow<_>> = rows[from..to]
            .iter()
            .scan(0u64, |part, row| {
                let writer = (row.row.author.clone(), row.row.client_id, *part);
                // What was written in one session does not move to another.
                *part += u64::from(cut.ends.contains(&row.seq));
                Some(ThinRow {
                    bytes: row.row.bytes.clone(),
                    writer,
                })
            })
            .collect();
        let thinned = thin(&mut old, &group, limits)?;
        for (row, bytes) in rows[from..to].iter_mut().zip(thinned) {
            if bytes.as_ref() != EMPTY_UPDATE {
                new.append(&bytes, limits)?;
            }
            row.row.bytes = bytes;
        }
        count += 1;
        from = to;
        if (count % every == 0 || from == rows.len()) && !same(&old, &new) {
            return Err(ThinError::Differs);
        }
    }
    Ok(rows)
}

fn same(a: &Replica, b: &Replica) -> bool {
    a.known() == b.known()
        && a.deleted() == b.deleted()
        && a.doc().map(tree::roots) == b.doc().map(tree::roots)
}

/// Spreads the times of hidden rows evenly between those that stay exact: the first and last of a session, and of moments that
/// stay. When exactly somebody typed is not kept, either, and pauses stay shorter than those that end a session.
fn space_out(rows: &mut [LogRow], cut: &Cut) {
    let exact =
        |row: &LogRow| !row.hidden || cut.firsts.contains(&row.seq) || cut.ends.contains(&row.seq);
    let mut before = 0;
    for at in 1..rows.len() {
        if !exact(&rows[at]) {
            continue;
        }
        let steps = (at - before) as i64;
        let (first, last) = (rows[before].row.at, rows[at].row.at);
        let span = last.saturating_sub(first);
        for step in 1..steps {
            let row = &mut rows[before + step as usize];
            row.row.at = first.saturating_add(span / steps * step);
        }
        before = at;
    }
}
