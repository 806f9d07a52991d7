//! One document of the store in memory.

use std::collections::BTreeSet;

use crate::{
    clock::UnixMillis,
    document::id::DocId,
    store::{
        DocRecord, DocState, Epoch, FIRST_EPOCH, LogRow, Mark, MarkId, MarkKind, NewMark, NewRow,
        NotWritable, Rewrite, Seq, Snapshot, StoreError,
        sessions::{Grain, Session, sessions_of},
    },
};

#[derive(Debug)]
pub(super) struct Document {
    pub epoch: Epoch,
    pub title: String,
    /// All rows since the first; row `n` is at `n - 1`.
    pub rows: Vec<NewRow>,
    /// Rows after which the state is not kept.
    pub hidden: BTreeSet<Seq>,
    /// The sessions from the first row on up to the last that was thinned.
    pub thinned: Vec<Session>,
    pub snapshot: Option<Snapshot>,
    /// By moment.
    pub marks: Vec<Mark>,
    pub created_at: UnixMillis,
    pub edited_at: UnixMillis,
    pub trashed_at: Option<UnixMillis>,
    pub deleted: bool,
    pub quarantine: Option<String>,
}

impl Document {
    pub fn new(epoch: Epoch, now: UnixMillis) -> Self {
        Self {
            epoch,
            title: String::new(),
            rows: Vec::new(),
            hidden: BTreeSet::new(),
            thinned: Vec::new(),
            snapshot: None,
            marks: Vec::new(),
            created_at: now,
            edited_at: now,
            trashed_at: None,
            deleted: false,
            quarantine: None,
        }
    }

    pub fn state(&self) -> DocState {
        match (self.deleted, &self.quarantine, self.trashed_at) {
            (true, ..) => DocState::Deleted,
            (_, Some(_), _) => DocState::Quarantined,
            (_, _, Some(_)) => DocState::Trashed,
            _ => DocState::Live,
        }
    }

    pub fn head_seq(&self) -> Seq {
        self.rows.len() as Seq
    }

    pub fn tail(&self) -> Vec<LogRow> {
        self.rows_between(
            self.snapshot
                .as_ref()
                .map_or(1, |snapshot| snapshot.seq + 1),
            self.head_seq(),
        )
    }

    pub fn rows_between(&self, from: Seq, to: Seq) -> Vec<LogRow> {
        let numbered = self.rows.iter().zip(1..);
        numbered
            .filter(|(_, seq)| (from..=to).contains(seq))
            .map(|(row, seq)| LogRow {
                seq,
                row: row.clone(),
                hidden: self.hidden.contains(&seq),
            })
            .collect()
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> Vec<Session> {
        let mut sessions = self.thinned.clone();
        let last = sessions.pop();
        let reach = last.as_ref().map_or(0, |session| session.to_seq);
        let rows = self.rows.iter().zip(1..).skip(reach as usize);
        let rows = rows.map(|(row, seq)| (seq, &row.author, row.at));
        sessions.extend(sessions_of(last, rows));
        sessions
    }

    /// Puts the rows in their places when they fit.
    fn replace_rows(&mut self, new: &Rewrite) -> Result<bool, StoreError> {
        let folded = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        let fits = self.epoch == new.epoch && self.state() == DocState::Live;
        let (Some(first), Some(last)) = (new.rows.first(), new.rows.last()) else {
            return Ok(false);
        };
        if !fits || last.seq > folded {
            return Ok(false);
        }
        let gapless = new.rows.iter().zip(first.seq..);
        let same = gapless.into_iter().all(|(row, seq)| {
            let old = &self.rows[row.seq as usize - 1];
            row.seq == seq && old.author == row.row.author && old.client_id == row.row.client_id
        });
        if !same {
            let reason = "rows can not take the place of others";
            return Err(StoreError::Other(reason.into()));
        }
        for LogRow { seq, row, hidden } in &new.rows {
            self.rows[*seq as usize - 1] = row.clone();
            match hidden {
                true => self.hidden.insert(*seq),
                false => self.hidden.remove(seq),
            };
        }
        Ok(true)
    }

    pub fn marked(&mut self, id: MarkId, seq: Seq, mark: NewMark) -> Mark {
        let mark = Mark { id, seq, mark };
        let place = self.marks.partition_point(|before| before.seq <= seq);
        self.marks.insert(place, mark.clone());
        mark
    }

    pub fn record(&self, doc: &DocId) -> DocRecord {
        let tail: usize = self.tail().iter().map(|row| row.row.bytes.len()).sum();
        let snapshot = self
            .snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.bytes.len());
        DocRecord {
            doc: doc.clone(),
            epoch: self.epoch,
            title: self.title.clone(),
            state: self.state(),
            head_seq: self.head_seq(),
            size: (tail + snapshot) as u64,
            created_at: self.created_at,
            edited_at: self.edited_at,
            trashed_at: self.trashed_at,
        }
    }

    pub fn refusal(&self, epoch: Option<Epoch>) -> Option<NotWritable> {
        match self.state() {
            DocState::Deleted => Some(NotWritable::Deleted),
            _ if epoch.unwrap_or(FIRST_EPOCH) != self.epoch => Some(NotWritable::OtherEpoch),
            DocState::Trashed => Some(NotWritable::Trashed),
            DocState::Quarantined => Some(NotWritable::Quarantined),
            DocState::Live => None,
        }
    }

    /// See `Store::rewrite`; `id` is for the mark, if there is one.
    pub fn rewrite(&mut self, new: Rewrite, id: MarkId) -> Result<bool, StoreError> {
        let mut sessions = self.sessions();
        if !self.replace_rows(&new)? {
            return Ok(false);
        }
        for (first, grain) in &new.grains {
            for session in sessions.iter_mut().filter(|of| of.from_seq == *first) {
                session.grain = session.grain.max(*grain);
            }
        }
        let thinned = sessions.iter().rposition(|of| of.grain != Grain::All);
        sessions.truncate(thinned.map_or(0, |last| last + 1));
        self.thinned = sessions;
        if let Some((to, mark)) = new.purge {
            let gone = mark.source_seq.unwrap_or(to)..=to;
            self.marks
                .retain(|mark| mark.mark.kind != MarkKind::Named || !gone.contains(&mark.seq));
            for Mark { mark, .. } in &mut self.marks {
                if mark.kind.is_restore() && mark.source_seq.is_some_and(|seq| gone.contains(&seq))
                {
                    mark.label.clear();
                }
            }
            self.marked(id, to, mark);
        }
        Ok(true)
    }
}
