//! The list of versions: what people named, what was restored, and what follows from the pauses between edits.

use std::{cmp::Reverse, collections::HashMap, fmt, str::FromStr, sync::Arc};

use super::{History, HistoryError, is_purged};
use crate::{
    clock::UnixMillis,
    document::id::DocId,
    store::{
        DocRecord, Mark, MarkId, MarkKind, NewMark, Person, Seq,
        sessions::{Grain, Session},
    },
};

/// Named versions of a document. All of them are read with each page of the list.
pub const MOST_NAMED: usize = 1_000;

/// How a version is asked for. Every moment has one, so also those that no list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionId {
    /// The state after a row, as its number.
    Moment(Seq),
    /// A mark, as `v` and its number.
    Mark(MarkId),
}

/// Not a version's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is a number, or `v` and a number")]
pub struct NoVersionId;

impl FromStr for VersionId {
    type Err = NoVersionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mark, digits) = match text.strip_prefix('v') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoVersionId);
        }
        let number = digits.parse().map_err(|_| NoVersionId)?;
        Ok(if mark {
            Self::Mark(number)
        } else {
            Self::Moment(number)
        })
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moment(seq) => write!(f, "{seq}"),
            Self::Mark(id) => write!(f, "v{id}"),
        }
    }
}

/// What a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The end of a session of writing, or any other moment.
    Auto,
    /// The moment before a restore.
    BeforeRestore,
    /// The moment after a restore.
    Restored,
    /// Somebody named it.
    Named,
}

/// One version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub id: VersionId,
    /// The state is the one after this row.
    pub seq: Seq,
    /// When its last edit was made; for a named one, when it was named.
    pub at: UnixMillis,
    pub kind: Kind,
    /// Its name, what was restored, or empty.
    pub label: String,
    /// Who wrote in its session, named it or restored it.
    pub authors: Vec<Person>,
    /// The first row and the first edit of its session.
    pub from_seq: Seq,
    pub from_at: UnixMillis,
    /// For a restore, the moment that was brought back.
    pub source_seq: Option<Seq>,
    /// For a restore, whether it brought back no more than a part of that moment.
    pub is_part: bool,
    /// How finely the moments of its session are kept.
    pub kept: Grain,
    /// It is the end of a session, which is all of what it stands for.
    pub is_session: bool,
}

/// Where a page ends: the place of its last version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    seq: Seq,
    kind: Kind,
    mark: MarkId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.seq, self.kind as u8, self.mark)
    }
}

impl FromStr for Cursor {
    type Err = NoVersionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.').map(str::parse::<u64>);
        let (Some(Ok(seq)), Some(Ok(kind)), Some(Ok(mark)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoVersionId);
        };
        let kinds = [Kind::Auto, Kind::BeforeRestore, Kind::Restored, Kind::Named];
        let kind = kinds.into_iter().find(|of| *of as u64 == kind);
        let kind = kind.ok_or(NoVersionId)?;
        Ok(Self { seq, kind, mark })
    }
}

/// Versions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub versions: Vec<Version>,
    /// Where the next page begins, when there is one.
    pub next: Option<Cursor>,
}

/// A version before its authors have names.
struct Entry {
    place: Cursor,
    id: VersionId,
    at: UnixMillis,
    label: String,
    authors: Vec<Arc<str>>,
    from_seq: Seq,
    from_at: UnixMillis,
    source_seq: Option<Seq>,
    is_part: bool,
    kept: Grain,
    is_session: bool,
}

impl Entry {
    fn of_session(session: Session) -> Self {
        Self {
            place: Cursor {
                seq: session.to_seq,
                kind: Kind::Auto,
                mark: 0,
            },
            id: VersionId::Moment(session.to_seq),
            at: session.to_at,
            label: String::new(),
            authors: session.authors,
            from_seq: session.from_seq,
            from_at: session.from_at,
            source_seq: None,
            is_part: false,
            kept: session.grain,
            is_session: true,
        }
    }

    fn of_mark(id: MarkId, seq: Seq, kind: Kind, mark: &NewMark) -> Self {
        Self {
            place: Cursor {
                seq,
                kind,
                mark: id,
            },
            id: match kind {
                Kind::BeforeRestore => VersionId::Moment(seq),
                _ => VersionId::Mark(id),
            },
            at: mark.at,
            label: mark.label.clone(),
            authors: vec![mark.author.clone()],
            from_seq: seq,
            from_at: mark.at,
            source_seq: mark.source_seq,
            is_part: mark.kind == MarkKind::RestorePart,
            kept: Grain::All,
            is_session: false,
        }
    }
}

fn entries_of(mark: &Mark) -> Vec<Entry> {
    let Mark { id, seq, mark } = mark;
    match mark.kind {
        MarkKind::Named => vec![Entry::of_mark(*id, *seq, Kind::Named, mark)],
        MarkKind::Restore | MarkKind::RestorePart => vec![
            Entry::of_mark(*id, *seq, Kind::Restored, mark),
            Entry::of_mark(*id, seq.saturating_sub(1), Kind::BeforeRestore, mark),
        ],
        MarkKind::Purge => Vec::new(),
    }
}

/// What the marks say of moments that are still there.
fn entries_of_all(marks: &[Mark]) -> impl Iterator<Item = Entry> {
    let entries = marks.iter().flat_map(entries_of);
    entries.filter(|entry| !is_purged(marks, entry.place.seq))
}

impl History {
    /// Versions after a place in the list, newest first, at most `limit`.
    ///
    /// # Errors
    /// When there is no such document, or it can not be read.
    pub async fn versions(
        &self,
        doc: &DocId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page, HistoryError> {
        self.record(doc).await?;
        let before = after.map_or(Seq::MAX, |cursor| cursor.seq.saturating_add(1));
        let marks = self.store.marks(doc).await?;
        // One more tells whether there is another page; one may lie across the place where this page begins.
        let sessions = self.listed(doc, &marks, before, limit + 2).await?;
        let mut entries: Vec<Entry> = sessions.into_iter().map(Entry::of_session).collect();
        entries.extend(entries_of_all(&marks));
        entries.retain(|entry| after.is_none_or(|after| entry.place < after));
        entries.sort_by_key(|entry| Reverse(entry.place));
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let next = entries.last().map(|last| last.place).filter(|_| more);
        Ok(Page {
            versions: self.with_names(entries).await?,
            next,
        })
    }

    /// The newest sessions before a row whose ends are still moments, at least so many of them if there are.
    async fn listed(
        &self,
        doc: &DocId,
        marks: &[Mark],
        mut before: Seq,
        wanted: u32,
    ) -> Result<Vec<Session>, HistoryError> {
        let mut listed = Vec::new();
        let mut limit = wanted;
        loop {
            let page = self.store.sessions(doc, before, limit).await?;
            let is_last = page.len() < limit as usize;
            before = page.last().map_or(before, |session| session.from_seq);
            listed.extend(page.into_iter().filter(|session| {
                session.grain != Grain::Named && !is_purged(marks, session.to_seq)
            }));
            if is_last || listed.len() >= wanted as usize {
                return Ok(listed);
            }
            limit = limit.saturating_mul(2);
        }
    }

    /// One version.
    ///
    /// # Errors
    /// When there is no such document or version, or it can not be read.
    pub async fn version(&self, doc: &DocId, id: VersionId) -> Result<Version, HistoryError> {
        let record = self.record(doc).await?;
        let marks = self.store.marks(doc).await?;
        self.version_of(&record, &marks, id).await
    }

    /// [`Self::version`] of a document whose record and marks are known.
    pub(super) async fn version_of(
        &self,
        record: &DocRecord,
        marks: &[Mark],
        id: VersionId,
    ) -> Result<Version, HistoryError> {
        let marked = entries_of_all(marks).find(|entry| entry.id == id);
        let entry = match marked {
            Some(entry) => entry,
            None => {
                let seq = self.seq_of(record, marks, id).await?;
                self.any_moment(record, seq).await?
            }
        };
        let mut named = self.with_names(vec![entry]).await?;
        named.pop().ok_or(HistoryError::NoVersion)
    }

    /// The moment of a version.
    pub(super) async fn seq_of(
        &self,
        record: &DocRecord,
        marks: &[Mark],
        id: VersionId,
    ) -> Result<Seq, HistoryError> {
        match (entries_of_all(marks).find(|entry| entry.id == id), id) {
            (Some(entry), _) => Ok(entry.place.seq),
            (None, VersionId::Mark(_)) => Err(HistoryError::NoVersion),
            (None, VersionId::Moment(seq)) => self.kept_of(record, marks, seq).await,
        }
    }

    /// The version that a restore made with this row.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn restored(&self, doc: &DocId, seq: Seq) -> Result<Version, HistoryError> {
        let marks = self.store.marks(doc).await?;
        let mark = marks
            .iter()
            .find(|mark| mark.seq == seq && mark.mark.kind.is_restore());
        let id = mark.map_or(VersionId::Moment(seq), |mark| VersionId::Mark(mark.id));
        self.version(doc, id).await
    }

    async fn any_moment(&self, record: &DocRecord, seq: Seq) -> Result<Entry, HistoryError> {
        let before = seq.saturating_add(1);
        let session = self.store.sessions(&record.doc, before, 1).await?.pop();
        match session {
            Some(session) if session.to_seq == seq => Ok(Entry::of_session(session)),
            session => {
                let row = self.row(record, seq).await?;
                let at = row.as_ref().map_or(record.created_at, |row| row.at);
                Ok(Entry {
                    from_seq: session.as_ref().map_or(seq, |session| session.from_seq),
                    from_at: session.as_ref().map_or(at, |session| session.from_at),
                    is_session: false,
                    ..Entry::of_session(Session {
                        from_seq: seq,
                        to_seq: seq,
                        from_at: at,
                        to_at: at,
                        authors: row.into_iter().map(|row| row.author).collect(),
                        grain: session.as_ref().map_or(Grain::All, |session| session.grain),
                    })
                })
            }
        }
    }

    async fn with_names(&self, entries: Vec<Entry>) -> Result<Vec<Version>, HistoryError> {
        let mut authors: Vec<Arc<str>> = entries
            .iter()
            .flat_map(|entry| entry.authors.iter().cloned())
            .collect();
        authors.sort_unstable();
        authors.dedup();
        let people = self.names(&authors).await?;
        let person = |author: &Arc<str>| people.get(author).cloned();
        Ok(entries
            .into_iter()
            .map(|entry| Version {
                id: entry.id,
                seq: entry.place.seq,
                at: entry.at,
                kind: entry.place.kind,
                label: entry.label,
                authors: entry.authors.iter().filter_map(person).collect(),
                from_seq: entry.from_seq,
                from_at: entry.from_at,
                source_seq: entry.source_seq,
                is_part: entry.is_part,
                kept: entry.kept,
                is_session: entry.is_session,
            })
            .collect())
    }

    /// What these authors call themselves; nothing for those who never said.
    ///
    /// # Errors
    /// When it can not be read.
    pub async fn names(
        &self,
        authors: &[Arc<str>],
    ) -> Result<HashMap<Arc<str>, Person>, HistoryError> {
        let known = self.store.people(authors).await?;
        let mut people: HashMap<_, _> = known
            .into_iter()
            .map(|person| (person.author.clone(), person))
            .collect();
        for author in authors {
            people.entry(author.clone()).or_insert_with(|| Person {
                author: author.clone(),
                name: String::new(),
                color: String::new(),
            });
        }
        Ok(people)
    }

    /// Names a moment, the present one when none is given.
    ///
    /// # Errors
    /// When there is no such document or moment, it is not live, or it can not be stored.
    pub async fn name(
        &self,
        doc: &DocId,
        seq: Option<Seq>,
        label: &str,
        author: Arc<str>,
        at: UnixMillis,
    ) -> Result<Version, HistoryError> {
        let record = self.record(doc).await?;
        let marks = self.store.marks(doc).await?;
        let seq = match seq {
            Some(seq) => Some(self.kept_of(&record, &marks, seq).await?),
            None => None,
        };
        let named = marks
            .iter()
            .filter(|mark| mark.mark.kind == MarkKind::Named);
        if named.count() >= MOST_NAMED {
            let limit = MOST_NAMED;
            return Err(HistoryError::TooManyNames { limit });
        }
        let mark = NewMark {
            kind: MarkKind::Named,
            label: label.to_owned(),
            author,
            at,
            source_seq: None,
            origins: bytes::Bytes::new(),
        };
        let mark = self.store.mark(doc, seq, mark).await?;
        self.version(doc, VersionId::Mark(mark.id)).await
    }

    /// Gives a named version another name.
    ///
    /// # Errors
    /// When there is no such document or named version, or it can not be stored.
    pub async fn relabel(
        &self,
        doc: &DocId,
        id: VersionId,
        label: &str,
    ) -> Result<Version, HistoryError> {
        let (mark, _) = self.named(doc, id).await?;
        self.store.relabel(doc, mark, label).await?;
        self.version(doc, id).await
    }

    /// Takes the name from a version, and answers the one without it: the moment stays in the history.
    ///
    /// # Errors
    /// When there is no such document or named version, or it can not be stored.
    pub async fn unname(&self, doc: &DocId, id: VersionId) -> Result<Version, HistoryError> {
        let (mark, seq) = self.named(doc, id).await?;
        self.store.unmark(doc, mark).await?;
        self.version(doc, VersionId::Moment(seq)).await
    }

    async fn named(&self, doc: &DocId, id: VersionId) -> Result<(MarkId, Seq), HistoryError> {
        let version = self.version(doc, id).await?;
        match version.id {
            VersionId::Mark(mark) if version.kind == Kind::Named => Ok((mark, version.seq)),
            _ => Err(HistoryError::NotNamed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_cursors_come_back_as_they_went_out() {
        for id in [
            VersionId::Moment(0),
            VersionId::Moment(77),
            VersionId::Mark(5),
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in [
            "",
            "v",
            "x",
            "-1",
            "+1",
            "1 ",
            "v1v",
            "99999999999999999999",
            "now",
        ] {
            assert_eq!(text.parse::<VersionId>(), Err(NoVersionId), "{text}");
        }
        let cursor = Cursor {
            seq: 9,
            kind: Kind::Restored,
            mark: 3,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "1.2", "1.9.3", "1.2.3.4", "a.b.c"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoVersionId), "{text}");
        }
    }
}
