//! What brings something of the past back: an edit, planned on what is stored, that a room then makes like any other.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{History, HistoryError, Kind, Version, VersionId, apart};
use crate::{
    clock::UnixMillis,
    document::{
        id::DocId,
        ids::Id,
        origins::Origins,
        replica::EMPTY_UPDATE,
        restore::{RestoreError, Wanted, restore},
    },
    store::{Mark, MarkKind, NewMark, Seq},
};

/// What of a version is to be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The whole document as it was.
    All,
    /// What was done since the version is taken back: by one author, up to a row, or both.
    Since {
        author: Option<Arc<str>>,
        to: Option<Seq>,
    },
    /// One element or text as it was.
    Block(Id),
}

/// An edit that brings something back.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The version that is brought back.
    pub version: Version,
    /// Nothing where the document is already what it would become.
    pub edit: Option<PlannedEdit>,
}

/// The edit, and what is remembered of it.
#[derive(Debug, Clone)]
pub struct PlannedEdit {
    pub update: Bytes,
    /// The client that the update's structs are of.
    pub client: u32,
    pub mark: NewMark,
}

/// The right to bring something back in one document, until it is dropped. Two plans for the same present would both bring the same
/// text back.
#[derive(Debug)]
pub struct Turn {
    doc: DocId,
    restoring: Arc<Mutex<HashSet<DocId>>>,
}

impl Turn {
    /// The document whose turn it is.
    pub fn doc(&self) -> &DocId {
        &self.doc
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut restoring = self
            .restoring
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        restoring.remove(&self.doc);
    }
}

impl History {
    /// Takes the turn to bring something back, from the plan until its edit is committed.
    ///
    /// # Errors
    /// When somebody else has it.
    pub fn turn(&self, doc: &DocId) -> Result<Turn, HistoryError> {
        let mut restoring = self
            .restoring
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !restoring.insert(doc.clone()) {
            return Err(HistoryError::Restoring);
        }
        Ok(Turn {
            doc: doc.clone(),
            restoring: self.restoring.clone(),
        })
    }

    /// Plans to bring a version back, or a part of it. What others do meanwhile is not in the plan and will not be touched:
    /// the edit merges with it.
    ///
    /// # Errors
    /// When there is no such document or version, the document is not live, the part can not be brought back, or what is to
    /// be taken back was in part brought back since by a version that did not keep what its restores copied.
    pub async fn plan(
        &self,
        turn: &Turn,
        id: VersionId,
        part: Part,
        author: Arc<str>,
        at: UnixMillis,
    ) -> Result<Plan, HistoryError> {
        let doc = &turn.doc;
        self.live(doc).await?;
        let version = self.version(doc, id).await?;
        if let VersionId::Moment(asked) = id
            && asked != version.seq
        {
            let (seq, kept) = (asked, version.seq);
            return Err(HistoryError::Thinned { seq, kept });
        }
        let reel = self.reel(doc).await?;
        if let Part::Since { to: Some(to), .. } = part {
            let (seq, head) = (version.seq, reel.head());
            if to > head {
                return Err(HistoryError::NoMoment { seq: to, head });
            }
            if to <= seq {
                return Err(HistoryError::NotSince { seq });
            }
        }
        let marks = self.store.marks(doc).await?;
        let (seq, limits) = (version.seq, self.limits);
        // Any 32-bit id but 0, as Yjs clients draw theirs.
        let client = rand::random::<u32>().max(1);
        let kind = match part {
            Part::All => MarkKind::Restore,
            Part::Since { .. } | Part::Block(_) => MarkKind::RestorePart,
        };
        let restored = apart(move || {
            let rows: Vec<&[u8]> = reel
                .rows(1, reel.head())
                .map(|row| row.row.bytes.as_ref())
                .collect();
            let undone: Vec<Seq>;
            let wanted = match part {
                Part::All => Wanted::Version(seq),
                Part::Block(id) => Wanted::Block { version: seq, id },
                Part::Since { author, to } => {
                    let since = reel.rows(seq + 1, to.unwrap_or(Seq::MAX));
                    undone = since
                        .filter(|row| {
                            author
                                .as_ref()
                                .is_none_or(|author| row.row.author == *author)
                        })
                        .map(|row| row.seq)
                        .collect();
                    refuse_unknown_copies(&undone, &marks)?;
                    Wanted::Undo(&undone)
                }
            };
            reel.with_provenance(reel.head(), &marks, |provenance| {
                restore(&rows, provenance, wanted, client, &limits)
            })
            .map_err(HistoryError::Restore)
        });
        let restored = restored.await??;
        let edit = (restored.update.as_ref() != EMPTY_UPDATE).then(|| PlannedEdit {
            client,
            mark: NewMark {
                kind,
                label: match version.kind {
                    Kind::Named => version.label.clone(),
                    _ => String::new(),
                },
                author,
                at,
                source_seq: Some(seq),
                origins: restored.origins.encode().into(),
            },
            update: restored.update,
        });
        Ok(Plan { version, edit })
    }

    /// Everybody who wrote in a document.
    ///
    /// # Errors
    /// When there is no such document, or it can not be read.
    pub async fn authors(&self, doc: &DocId) -> Result<Vec<Arc<str>>, HistoryError> {
        let reel = self.reel(doc).await?;
        let mut authors: Vec<Arc<str>> = Vec::new();
        for row in reel.rows(1, reel.head()) {
            // Mostly the same as in the row before.
            if authors.last() != Some(&row.row.author) && !authors.contains(&row.row.author) {
                authors.push(row.row.author.clone());
            }
        }
        Ok(authors)
    }
}

/// Rows can be taken back as long as it is known what restores after them brought back: of those that were made by the first
/// versions it is not, unless they are taken back as well. What one of the rows deleted would come back beside the copy, and what
/// it wrote would stay where it is a copy.
fn refuse_unknown_copies(undone: &[Seq], marks: &[Mark]) -> Result<(), HistoryError> {
    let restores = marks.iter().filter(|mark| mark.mark.kind.is_restore());
    let later = restores.filter(|mark| undone.first().is_some_and(|first| mark.seq > *first));
    let kept = later.filter(|mark| undone.binary_search(&mark.seq).is_err());
    let unknown = kept.filter(|mark| {
        !Origins::decode(&mark.mark.origins).is_ok_and(|origins| origins.has_copies)
    });
    let last = unknown.map(|mark| mark.seq).max();
    last.map_or(Ok(()), |seq| Err(HistoryError::RestoredSince { seq }))
}

impl From<RestoreError> for HistoryError {
    fn from(error: RestoreError) -> Self {
        Self::Restore(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(seq: Seq, origins: &Origins) -> Mark {
        let mark = NewMark {
            kind: MarkKind::RestorePart,
            label: String::new(),
            author: "ada".into(),
            at: 0,
            source_seq: Some(1),
            origins: origins.encode().into(),
        };
        Mark { id: 1, seq, mark }
    }

    #[test]
    fn what_a_restore_of_the_first_versions_copied_is_not_guessed() {
        let first = Origins::default();
        let known = Origins {
            has_copies: true,
            ..Origins::default()
        };
        let refused = |undone: &[Seq], marks: &[Mark]| match refuse_unknown_copies(undone, marks) {
            Ok(()) => None,
            Err(HistoryError::RestoredSince { seq }) => Some(seq),
            Err(other) => panic!("{other}"),
        };
        let marks = [
            restored(5, &first),
            restored(7, &first),
            restored(9, &known),
        ];
        assert_eq!(refused(&[2], &marks), Some(7));
        assert_eq!(refused(&[2, 7], &marks), Some(5));
        // Taken back together with them, or written after them, it does not matter.
        assert_eq!(refused(&[2, 5, 7], &marks), None);
        assert_eq!(refused(&[8], &marks), None);
        assert_eq!(refused(&[2], &marks[2..]), None);
        // What can not be read is not known.
        let mut damaged = restored(5, &first);
        damaged.mark.origins = vec![9].into();
        assert_eq!(refused(&[2], &[damaged]), Some(5));
    }
}
