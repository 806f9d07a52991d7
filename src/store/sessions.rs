//! Sessions of writing: what the list of versions shows without anybody having named it.
//!
//! Pure, and the same for every adapter: the sessions of a log follow from its rows alone, so they can be written with
//! the history, continued over rows that are not folded yet, or made again. Only how finely their moments are kept does
//! not; that is remembered with them.

use std::sync::Arc;

use super::Seq;
use crate::clock::UnixMillis;

/// A pause between two edits that ends a session, in milliseconds. A clock that was set back by as much ends one, too.
pub const PAUSE: UnixMillis = 5 * 60 * 1000;
/// A session ends after this long even without a pause, in milliseconds, so that a busy day is more than one version.
pub const LONGEST: UnixMillis = 60 * 60 * 1000;
/// Authors that are remembered of a session.
const MOST_AUTHORS: usize = 100;

/// How finely the moments of a session are kept, from the finest on.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Grain {
    /// Every moment.
    #[default]
    All,
    /// The last of each second.
    Seconds,
    /// The last of each minute.
    Minutes,
    /// The end of each session.
    Sessions,
    /// What somebody named, and the moments around a restore.
    Named,
}

impl Grain {
    /// From the finest on.
    pub const EACH: [Self; 5] = [
        Self::All,
        Self::Seconds,
        Self::Minutes,
        Self::Sessions,
        Self::Named,
    ];
}

/// A run of edits without a long pause. Its last state is an automatic version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub from_seq: Seq,
    pub to_seq: Seq,
    /// Time of its first edit.
    pub from_at: UnixMillis,
    /// Time of its last edit.
    pub to_at: UnixMillis,
    /// Who wrote in it, each once, in order of appearance; 100 at most.
    pub authors: Vec<Arc<str>>,
    /// What was thinned of it; the one thing that does not follow from the rows.
    pub grain: Grain,
}

impl Session {
    fn of(seq: Seq, author: &Arc<str>, at: UnixMillis) -> Self {
        Self {
            from_seq: seq,
            to_seq: seq,
            from_at: at,
            to_at: at,
            authors: vec![Arc::clone(author)],
            grain: Grain::All,
        }
    }

    /// Takes the next row into this session, or answers the session that it begins. One that was thinned is over.
    fn next(&mut self, seq: Seq, author: &Arc<str>, at: UnixMillis) -> Option<Self> {
        if self.grain != Grain::All
            || at.abs_diff(self.to_at) > PAUSE.unsigned_abs()
            || at.abs_diff(self.from_at) > LONGEST.unsigned_abs()
        {
            return Some(Self::of(seq, author, at));
        }
        self.to_seq = seq;
        self.to_at = at;
        if !self.authors.contains(author) && self.authors.len() < MOST_AUTHORS {
            self.authors.push(Arc::clone(author));
        }
        None
    }
}

/// Continues the sessions of a log over its next rows (number, author, time), in order. `last` is the last session so far;
/// it is the first of the answer, grown or not.
pub fn sessions_of<'a>(
    last: Option<Session>,
    rows: impl IntoIterator<Item = (Seq, &'a Arc<str>, UnixMillis)>,
) -> Vec<Session> {
    let mut sessions: Vec<Session> = last.into_iter().collect();
    for (seq, author, at) in rows {
        let begun = match sessions.last_mut() {
            None => Some(Session::of(seq, author, at)),
            Some(session) => session.next(seq, author, at),
        };
        sessions.extend(begun);
    }
    sessions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made(rows: &[(Seq, Arc<str>, UnixMillis)]) -> Vec<Session> {
        sessions_of(
            None,
            rows.iter().map(|(seq, author, at)| (*seq, author, *at)),
        )
    }

    #[test]
    fn a_pause_ends_a_session_and_so_does_a_clock_that_was_set_back() {
        let (ada, ben): (Arc<str>, Arc<str>) = ("ada".into(), "ben".into());
        let rows = [
            (1, ada.clone(), 0),
            (2, ben.clone(), PAUSE),
            (3, ada.clone(), 2 * PAUSE),
            (4, ada.clone(), 3 * PAUSE + 1),
            (5, ada.clone(), PAUSE),
        ];
        let sessions = made(&rows);
        let spans: Vec<_> = sessions.iter().map(|s| (s.from_seq, s.to_seq)).collect();
        assert_eq!(spans, [(1, 3), (4, 4), (5, 5)]);
        assert_eq!(sessions[0].authors, [ada, ben]);
    }

    #[test]
    fn nobody_writes_for_longer_than_an_hour_in_one_session() {
        let ada: Arc<str> = "ada".into();
        let rows: Vec<_> = (0..200u64)
            .map(|n| (n + 1, ada.clone(), n.cast_signed() * 60_000))
            .collect();
        let sessions = made(&rows);
        assert_eq!(sessions.len(), 4);
        assert!(sessions.iter().all(|s| s.to_at - s.from_at <= LONGEST));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_log_was_folded(
            steps in prop::collection::vec((0usize..3, -2 * PAUSE..2 * PAUSE), 1..60),
            cut in 0usize..60,
        ) {
            let names: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
            let mut at = 0;
            let rows: Vec<_> = steps.iter().zip(1u64..).map(|((author, step), seq)| {
                at += step;
                (seq, names[*author].clone(), at)
            }).collect();
            let (folded, tail) = rows.split_at(cut.min(rows.len()));
            let mut sessions = made(folded);
            let last = sessions.pop();
            sessions.extend(sessions_of(last, tail.iter().map(|(seq, author, at)| (*seq, author, *at))));
            prop_assert_eq!(&sessions, &made(&rows));
            prop_assert_eq!(sessions[0].from_seq, 1);
            prop_assert!(sessions.windows(2).all(|two| two[0].to_seq + 1 == two[1].from_seq));
        }
    }
}
