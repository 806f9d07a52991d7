//! Joins updates into one by copying bytes.
//!
//! In v1 a struct does not depend on the one written before it, so the runs of one client concatenate and the counts
//! add up. Nothing is decoded, so no value can change. Merging with yrs would decode, and take the square of the
//! number of updates.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::cmp::Reverse;

use super::{
    ClientId,
    id_set::{IdRange, merge_touching, write_ranges},
    scan::{Run, ScanError, outline},
    varint::write_var,
};

/// Why updates can not be joined; they can still be sent one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    #[error(transparent)]
    Malformed(#[from] ScanError),
    #[error("two of the updates hold the same structs of client {client}")]
    Overlap { client: ClientId },
    #[error("structs of client {client} are missing between the updates")]
    Gap { client: ClientId },
}

/// Joins updates that were scanned, do not overlap and leave nothing out between them, as [`super::ready::split`]
/// makes them. The result holds the same structs, clients in descending order (a later merge by Yjs goes wrong
/// otherwise), and the union of the delete sets.
pub fn splice(updates: &[&[u8]]) -> Result<Vec<u8>, SpliceError> {
    if let [update] = updates {
        return Ok(update.to_vec());
    }
    let mut pieces: Vec<(Run, &[u8])> = Vec::with_capacity(updates.len());
    let mut deletes = Vec::new();
    for &bytes in updates {
        let outline = outline(bytes)?;
        pieces.extend(
            outline
                .runs
                .iter()
                .map(|run| (*run, bytes.get(run.body()).unwrap_or_default())),
        );
        deletes.extend(outline.delete_ranges(bytes));
    }
    pieces.sort_by_key(|(run, _)| (Reverse(run.client), run.start));
    refuse_overlaps_and_gaps(&pieces)?;
    deletes.sort_by_key(|range: &IdRange| (Reverse(range.client), range.start));
    merge_touching(&mut deletes);

    let mut out = Vec::with_capacity(updates.iter().map(|update| update.len()).sum());
    let clients = || pieces.chunk_by(|(a, _), (b, _)| a.client == b.client);
    write_var(&mut out, clients().count() as u64);
    for client in clients() {
        let Some((first, _)) = client.first() else {
            continue;
        };
        write_var(
            &mut out,
            client.iter().map(|(run, _)| u64::from(run.structs)).sum(),
        );
        write_var(&mut out, first.client);
        write_var(&mut out, u64::from(first.start));
        for (_, body) in client {
            out.extend_from_slice(body);
        }
    }
    write_ranges(&mut out, &deletes);
    Ok(out)
}

fn refuse_overlaps_and_gaps(pieces: &[(Run, &[u8])]) -> Result<(), SpliceError> {
    if let Some((run, _)) = pieces.iter().find(|(run, _)| run.has_skip) {
        return Err(SpliceError::Gap { client: run.client });
    }
    for ((before, _), (after, _)) in pieces.iter().zip(pieces.iter().skip(1)) {
        let client = after.client;
        if before.client == client && after.start < before.end {
            return Err(SpliceError::Overlap { client });
        }
        if before.client == client && after.start > before.end {
            return Err(SpliceError::Gap { client });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One struct "x" of a client at a clock, in the root "t", and a delete range of client 1.
    fn update(client: u8, clock: u8, delete: Option<(u8, u8)>) -> Vec<u8> {
        let mut bytes = vec![1, 1, client, clock, 4, 1, 1, b't', 1, b'x'];
        match delete {
            None => bytes.push(0),
            Some((start, len)) => bytes.extend([1, 1, 1, start, len]),
        }
        bytes
    }

    #[test]
    fn runs_and_delete_ranges_join_with_clients_descending() {
        let updates = [
            update(3, 7, None),
            update(9, 0, Some((4, 2))),
            update(3, 8, Some((6, 1))),
            update(9, 1, Some((0, 1))),
        ];
        let updates: Vec<&[u8]> = updates.iter().map(Vec::as_slice).collect();
        let x = [4, 1, 1, b't', 1, b'x'];
        let expected = [
            &[2, 2, 9, 0][..],
            &x,
            &x,
            &[2, 3, 7],
            &x,
            &x,
            &[1, 1, 2, 0, 1, 4, 3],
        ]
        .concat();
        assert_eq!(splice(&updates).unwrap(), expected);
        assert_eq!(splice(&[]).unwrap(), [0, 0]);
        assert_eq!(splice(&updates[..1]).unwrap(), updates[0]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let (a, b, c) = (
            update(3, 7, None),
            update(3, 9, None),
            update(3, 7, Some((0, 1))),
        );
        assert_eq!(splice(&[&a, &b]), Err(SpliceError::Gap { client: 3 }));
        assert_eq!(splice(&[&a, &c]), Err(SpliceError::Overlap { client: 3 }));
        let skip = [1, 2, 3, 8, 10, 1, 4, 1, 1, b't', 1, b'x', 0];
        assert_eq!(splice(&[&a, &skip]), Err(SpliceError::Gap { client: 3 }));
        assert!(matches!(
            splice(&[&a, &a[..5]]),
            Err(SpliceError::Malformed(_))
        ));
    }
}
