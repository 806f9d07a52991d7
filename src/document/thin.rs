//! Takes out of rows of a log what none of the moments that stay shows.
//!
//! Rows come in groups: all but the last of a group are not kept as moments of their own. What was written within the group
//! and is deleted at its end was seen by nobody who looks at kept moments, so its content goes; its ids stay, as others
//! may lie next to them. What one writer did in a row becomes one update, in the place of the last.

use bytes::Bytes;

use super::{
    replica::{EMPTY_UPDATE, Replica, ReplicaError},
    scan::{ScanError, ScanLimits},
    splice::{SpliceError, splice},
    strip::strip_with,
};

/// Why rows could not be thinned; nothing of them was changed.
#[derive(Debug, thiserror::Error)]
pub enum ThinError {
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    #[error(transparent)]
    Splice(#[from] SpliceError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// What was made shows something else than what it was made of.
    #[error("the thinned rows do not make the same document")]
    Differs,
}

/// One row of a group.
#[derive(Debug, Clone)]
pub struct ThinRow<W> {
    pub bytes: Bytes,
    /// Who wrote it; rows of the same writer that follow each other become one.
    pub writer: W,
}

/// The updates of a group in the places of those that they replace, as many. `replica` is the state before the group,
/// and becomes the one after it.
///
/// # Errors
/// When the rows are no continuation of the state. The replica is then of no use.
pub fn thin<W: PartialEq>(
    replica: &mut Replica,
    group: &[ThinRow<W>],
    limits: &ScanLimits,
) -> Result<Vec<Bytes>, ThinError> {
    if let [row] = group {
        replica.append(&row.bytes, limits)?;
        return Ok(vec![row.bytes.clone()]);
    }
    replica.append(&joined(group)?, limits)?;
    let mut thinned = Vec::with_capacity(group.len());
    for run in group.chunk_by(|a, b| a.writer == b.writer) {
        let update = strip_with(&joined(run)?, replica.deleted())?;
        thinned.resize(
            thinned.len() + run.len() - 1,
            Bytes::from_static(EMPTY_UPDATE),
        );
        thinned.push(update.into());
    }
    Ok(thinned)
}

fn joined<W>(rows: &[ThinRow<W>]) -> Result<Bytes, SpliceError> {
    let updates: Vec<&[u8]> = rows.iter().map(|row| &row.bytes[..]).collect();
    splice(&updates).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yrs::{
        Array as _, Map as _, ReadTxn as _, Text as _, Transact as _, updates::decoder::Decode as _,
    };

    use super::*;
    use crate::document::{replica::doc_with, tree};

    /// What somebody does: who, how many of the newest rows they have not seen, what, where, and how much.
    type Step = (usize, usize, u8, u32, u32);

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        prop::collection::vec((0usize..3, 0usize..4, 0u8..7, any::<u32>(), 1u32..9), 1..60)
    }

    /// What a step inserts: one letter, so that nothing can come in between.
    fn word(step: usize) -> String {
        char::from_u32(0x4e00 + step as u32).unwrap().to_string()
    }

    /// A log of three people who see each other late.
    fn log(steps: &[Step]) -> Vec<ThinRow<usize>> {
        let docs = [doc_with(11), doc_with(12), doc_with(13)];
        let mut seen = [0; 3];
        let mut rows: Vec<ThinRow<usize>> = Vec::new();
        for (n, (who, late, what, at, len)) in steps.iter().enumerate() {
            let doc = &docs[*who];
            let upto = rows.len().saturating_sub(*late).max(seen[*who]);
            for row in &rows[seen[*who]..upto] {
                let update = yrs::Update::decode_v1(&row.bytes).unwrap();
                doc.transact_mut().apply_update(update).unwrap();
            }
            seen[*who] = upto;
            let word = word(n);
            let (text, map, list) = (
                doc.get_or_insert_text("text"),
                doc.get_or_insert_map("map"),
                doc.get_or_insert_array("list"),
            );
            let mut txn = doc.transact_mut();
            let before = txn.state_vector();
            let place = |len: u32| at % (len + 1);
            let (letters, elements) = (text.len(&txn), list.len(&txn));
            match what {
                0..=2 => text.insert(&mut txn, place(letters), &word),
                3 => {
                    let from = place(letters);
                    let count = (*len).min(letters - from);
                    text.remove_range(&mut txn, from, count);
                }
                4 => {
                    map.insert(&mut txn, ["a", "b"][(at % 2) as usize], word.as_str());
                }
                5 => {
                    let inner = yrs::MapPrelim::from([("in", word.as_str())]);
                    let at = place(elements);
                    list.insert(&mut txn, at, inner);
                }
                _ => {
                    let at = place(elements);
                    let count = (*len).min(elements - at);
                    list.remove_range(&mut txn, at, count);
                }
            }
            let bytes = txn.encode_update_v1();
            // Deleting nothing is no edit.
            if txn.state_vector() != before || txn.delete_set().iter().next().is_some() {
                rows.push(ThinRow {
                    bytes: bytes.into(),
                    writer: *who,
                });
            }
        }
        rows
    }

    /// The states after each row.
    fn states(rows: &[Bytes]) -> Vec<String> {
        let mut replica = Replica::default();
        let limits = ScanLimits::default();
        rows.iter()
            .map(|row| {
                replica.append(row, &limits).unwrap();
                format!("{:?}", replica.doc().map(tree::roots))
            })
            .collect()
    }

    fn thinned(rows: &[ThinRow<usize>], kept: &[bool]) -> Vec<Bytes> {
        let mut replica = Replica::default();
        let mut made = Vec::new();
        let mut from = 0;
        for to in 0..rows.len() {
            if kept[to % kept.len()] || to + 1 == rows.len() {
                let group = &rows[from..=to];
                made.extend(thin(&mut replica, group, &ScanLimits::default()).unwrap());
                from = to + 1;
            }
        }
        made
    }

    /// Logs in a test run.
    #[expect(clippy::disallowed_methods, reason = "the long version is asked for")]
    fn logs() -> u32 {
        std::env::var("COSCRIBE_LOGS").map_or(400, |logs| logs.parse().unwrap())
    }

    fn holds(bytes: &Bytes, word: &str) -> bool {
        bytes
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            logs()
        ))]

        #[test]
        fn kept_moments_stay_and_what_none_shows_is_in_no_byte(
            steps in steps(),
            kept in prop::collection::vec(any::<bool>(), 1..12),
        ) {
            let rows = log(&steps);
            let bytes: Vec<Bytes> = rows.iter().map(|row| row.bytes.clone()).collect();
            let made = thinned(&rows, &kept);
            prop_assert_eq!(made.len(), rows.len());
            let (before, after) = (states(&bytes), states(&made));
            let shown: Vec<usize> = (0..rows.len())
                .filter(|at| kept[at % kept.len()] || at + 1 == rows.len())
                .collect();
            for at in &shown {
                prop_assert_eq!(&before[*at], &after[*at], "after row {}", at);
            }
            // A row that is a group of its own stays as it is.
            let alone = |at: usize| at == 0 || shown.contains(&(at - 1));
            for n in 0..steps.len() {
                let word = word(n);
                let is_shown = shown.iter().any(|at| before[*at].contains(&word));
                for (at, row) in made.iter().enumerate().filter(|(at, _)| !alone(*at)) {
                    prop_assert!(is_shown || !holds(row, &word), "{} is in row {}", word, at);
                }
            }
        }
    }

    #[test]
    fn what_one_writer_did_in_a_row_becomes_one_update() {
        let rows = log(&[
            (0, 0, 0, 0, 1),
            (0, 0, 0, 9, 1),
            (1, 0, 0, 9, 1),
            (0, 0, 0, 9, 1),
        ]);
        let made = thinned(&rows, &[false]);
        let empty: Vec<bool> = made
            .iter()
            .map(|row| row.as_ref() == EMPTY_UPDATE)
            .collect();
        assert_eq!(empty, [true, false, false, false]);
    }

    #[test]
    fn rows_that_do_not_follow_the_state_are_refused() {
        let rows = log(&[(0, 0, 0, 0, 1), (0, 0, 0, 9, 1), (0, 0, 0, 9, 1)]);
        let mut replica = Replica::default();
        assert!(thin(&mut replica, &rows[1..], &ScanLimits::default()).is_err());
    }
}
