//! What became of a document between two moments, and who did it.

use std::{collections::HashMap, sync::Arc};

use super::{Answers, History, HistoryError, Version, VersionId, apart};
use crate::{
    document::{
        diff::{Diff, Writers, diff_to_write, diff_with},
        formatting::Formatting,
        id::DocId,
        replica::ReplicaError,
    },
    store::{DocRecord, Mark, Person, Seq},
};

/// The difference of two versions.
#[derive(Debug)]
pub struct Difference {
    pub before: Version,
    pub after: Version,
    pub changes: Changes,
}

/// What changed between two moments.
#[derive(Debug)]
pub struct Changes {
    /// Whom the numbers of authors in `diff` mean.
    pub authors: Vec<Person>,
    pub diff: Diff,
    /// Those that were given last of the same rows.
    pub answers: Answers,
}

impl History {
    /// The difference from one version to another, or to the present one; either may be the later.
    ///
    /// # Errors
    /// When there is no such document or version, or it can not be read.
    pub async fn difference(
        &self,
        doc: &DocId,
        before: VersionId,
        after: Option<VersionId>,
    ) -> Result<Difference, HistoryError> {
        let record = self.record(doc).await?;
        let marks = self.store.marks(doc).await?;
        let after = after.unwrap_or(VersionId::Moment(record.head_seq));
        let before = self.version_of(&record, &marks, before).await?;
        let after = self.version_of(&record, &marks, after).await?;
        let moments = [before.seq, after.seq];
        let changes = self.changes(&record, marks, moments, false).await?;
        Ok(Difference {
            before,
            after,
            changes,
        })
    }

    /// The same, to be written as HTML and for nothing else.
    ///
    /// # Errors
    /// As [`Self::difference`].
    pub async fn changes_to_write(
        &self,
        doc: &DocId,
        before: VersionId,
        after: Option<VersionId>,
    ) -> Result<Changes, HistoryError> {
        let record = self.record(doc).await?;
        let marks = self.store.marks(doc).await?;
        let after = after.unwrap_or(VersionId::Moment(record.head_seq));
        let before = self.seq_of(&record, &marks, before).await?;
        let after = self.seq_of(&record, &marks, after).await?;
        self.changes(&record, marks, [before, after], true).await
    }

    async fn changes(
        &self,
        record: &DocRecord,
        marks: Vec<Mark>,
        [from, to]: [Seq; 2],
        is_written: bool,
    ) -> Result<Changes, HistoryError> {
        let reel = self.reel_to(&record.doc, from.max(to)).await?;
        let answers = reel.answers.clone();
        // Rows came since, maybe, and marks with them.
        let (head, limits) = (record.head_seq, self.limits);
        let made = apart(move || {
            let (before, after) = (reel.tree(from, &limits)?, reel.tree(to, &limits)?);
            let copies =
                reel.with_provenance(head, &marks, |provenance| provenance.copies().clone());
            let mut diff = match is_written && from <= to {
                true => diff_to_write(&before, &after, copies),
                false => diff_with(&before, &after, copies),
            };
            let rows = from.min(to) + 1..=from.max(to);
            let mut numbers: HashMap<Arc<str>, u32> = HashMap::new();
            let mut authors: Vec<Arc<str>> = Vec::new();
            reel.with_provenance(head, &marks, |provenance| {
                let (runs, keys) = diff.formatted();
                let markings = match runs.is_empty() {
                    true => Vec::new(),
                    false => provenance.markings(*rows.end(), |key| keys.contains(key)),
                };
                let formatting = Formatting::of(rows.clone(), markings, &runs, |look| {
                    reel.read(*rows.end(), &limits, |replica| {
                        replica.doc().map(look);
                    })
                })?;
                let (first, last) = (*rows.start(), *rows.end());
                let writers = Writers {
                    provenance,
                    rows,
                    formatting: &formatting,
                    at: &|row| Some(reel.row(row)?.row.at),
                    sole: &|| {
                        let mut authors = reel.rows(first, last).map(|row| &row.row.author);
                        let one = authors.next()?;
                        authors.all(|author| author == one).then_some(first)
                    },
                };
                diff.colour(&writers, |row| {
                    let author = &reel.row(row)?.row.author;
                    if let Some(number) = numbers.get(author) {
                        return Some(*number);
                    }
                    let number = u32::try_from(authors.len()).ok()?;
                    authors.push(author.clone());
                    numbers.insert(author.clone(), number);
                    Some(number)
                });
                Ok::<_, ReplicaError>(())
            })?;
            Ok::<_, ReplicaError>((diff, authors))
        });
        let (diff, authors) = made.await?.map_err(HistoryError::Broken)?;
        let names = self.names(&authors).await?;
        let authors = authors
            .iter()
            .filter_map(|author| names.get(author).cloned());
        Ok(Changes {
            authors: authors.collect(),
            diff,
            answers,
        })
    }
}
