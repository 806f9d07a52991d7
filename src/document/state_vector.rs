//! State vectors: per client, the clock of the first unit that is not yet known.
//!
//! Most documents have one to three writers at a time, so two entries are held inline; entries are sorted by client,
//! and a look-up is a binary search that no choice of client ids can slow down.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use smallvec::SmallVec;

use super::{
    ClientId, Clock,
    ids::{MAX_CLIENT, MAX_CLOCK},
    varint::{ReadError, Reader, write_var},
};

/// How far each client's sequence is known. A client that is absent is known up to 0, that is not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateVector {
    /// Sorted by client, ascending; no entry has clock 0.
    entries: SmallVec<[(ClientId, Clock); 2]>,
}

/// Why bytes are no state vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateVectorError {
    #[error("malformed state vector: {0}")]
    Malformed(#[from] ReadError),
    #[error("the state vector has {entries} entries, more than {max}")]
    TooMany { entries: usize, max: usize },
    #[error("client {0} is named twice")]
    Duplicate(ClientId),
    #[error("clock {0} is out of range")]
    Clock(u64),
    #[error("bytes follow the state vector at {at}")]
    Trailing { at: usize },
}

impl StateVector {
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes Yjs' form (count, then client and clock for each). Allocates only for entries that are really there,
    /// and never for more than `max_entries`.
    pub fn decode(bytes: &[u8], max_entries: usize) -> Result<Self, StateVectorError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(2)?;
        if count > max_entries {
            return Err(StateVectorError::TooMany {
                entries: count,
                max: max_entries,
            });
        }
        let mut entries = SmallVec::<[(ClientId, Clock); 2]>::with_capacity(count);
        for _ in 0..count {
            let client = reader.var_u64()?;
            debug_assert!(client <= MAX_CLIENT);
            let clock = reader.var_u64()?;
            if clock > u64::from(MAX_CLOCK) {
                return Err(StateVectorError::Clock(clock));
            }
            entries.push((client, clock as Clock));
        }
        if !reader.is_empty() {
            return Err(StateVectorError::Trailing {
                at: reader.position(),
            });
        }
        entries.sort_unstable();
        if let Some(twice) = entries
            .iter()
            .zip(entries.iter().skip(1))
            .find(|(a, b)| a.0 == b.0)
        {
            return Err(StateVectorError::Duplicate(twice.0.0));
        }
        entries.retain(|(_, clock)| *clock > 0);
        Ok(Self { entries })
    }

    /// Yjs' form with clients in descending order: equal state vectors have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.entries.len() * 8);
        write_var(&mut out, self.entries.len() as u64);
        for &(client, clock) in self.entries.iter().rev() {
            write_var(&mut out, client);
            write_var(&mut out, u64::from(clock));
        }
        out
    }

    /// The first clock of `client` that is not known.
    #[inline]
    pub fn get(&self, client: ClientId) -> Clock {
        match self.find(client) {
            Ok(at) => self.entries.get(at).map_or(0, |entry| entry.1),
            Err(_) => 0,
        }
    }

    /// Raises `client` to `clock`; never lowers it. For many clients at once take [`StateVector::advance_all`].
    pub fn advance(&mut self, client: ClientId, clock: Clock) {
        if clock == 0 {
            return;
        }
        match self.find(client) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.1 = entry.1.max(clock);
                }
            }
            Err(at) => self.entries.insert(at, (client, clock)),
        }
    }

    /// Lowers `client` to `clock`; never raises it.
    pub fn lower(&mut self, client: ClientId, clock: Clock) {
        let Ok(at) = self.find(client) else { return };
        if clock == 0 {
            self.entries.remove(at);
        } else if let Some(entry) = self.entries.get_mut(at) {
            entry.1 = entry.1.min(clock);
        }
    }

    /// Raises many clients. One sorting instead of one insertion each, so that an update with 100,000 new clients
    /// does not cost their square.
    pub fn advance_all(&mut self, ends: impl IntoIterator<Item = (ClientId, Clock)>) {
        let before = self.entries.len();
        let mut appended = SmallVec::<[(ClientId, Clock); 8]>::new();
        for (client, clock) in ends {
            match self.find(client) {
                Ok(_) => self.advance(client, clock),
                Err(_) if clock > 0 => appended.push((client, clock)),
                Err(_) => {}
            }
        }
        self.entries.extend(appended);
        if self.entries.len() > before {
            // The later of two entries for one client must be the larger for `dedup_by` to keep the maximum.
            self.entries
                .sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
            self.entries.dedup_by(|later, kept| later.0 == kept.0);
        }
    }

    /// Whether everything that `other` knows is known here.
    pub fn covers(&self, other: &Self) -> bool {
        other
            .iter()
            .all(|(client, clock)| self.get(client) >= clock)
    }

    /// Clients in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ClientId, Clock)> + '_ {
        self.entries.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[inline]
    fn find(&self, client: ClientId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&client, |entry| entry.0)
    }
}

impl FromIterator<(ClientId, Clock)> for StateVector {
    fn from_iter<I: IntoIterator<Item = (ClientId, Clock)>>(ends: I) -> Self {
        let mut vector = Self::new();
        vector.advance_all(ends);
        vector
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yrs::updates::{decoder::Decode as _, encoder::Encode as _};

    use super::*;

    #[test]
    fn a_claimed_count_reserves_nothing() {
        let claim = [0x80, 0x80, 0x80, 0x80, 0x01];
        assert!(matches!(
            StateVector::decode(&claim, 1 << 30),
            Err(StateVectorError::Malformed(_))
        ));
        let three = [3, 1, 1, 2, 1, 3, 1];
        assert_eq!(
            StateVector::decode(&three, 2),
            Err(StateVectorError::TooMany { entries: 3, max: 2 })
        );
    }

    #[test]
    fn duplicates_overflow_and_trailing_bytes_are_refused() {
        assert_eq!(
            StateVector::decode(&[2, 7, 1, 7, 2], 9),
            Err(StateVectorError::Duplicate(7))
        );
        assert_eq!(
            StateVector::decode(&[0, 0], 9),
            Err(StateVectorError::Trailing { at: 1 })
        );
        let clock = [1, 7, 0x80, 0x80, 0x80, 0x80, 0x08];
        assert_eq!(
            StateVector::decode(&clock, 9),
            Err(StateVectorError::Clock(1 << 31))
        );
    }

    #[test]
    fn the_encoding_is_descending_and_the_order_of_advances_is_not_seen() {
        let mut vector = StateVector::new();
        for (client, clock) in [(5, 1), (9, 2), (1, 300), (5, 4), (5, 2)] {
            vector.advance(client, clock);
        }
        assert_eq!(vector.encode(), [3, 9, 2, 5, 4, 1, 0xac, 0x02]);
        let all: StateVector = [(1, 300), (5, 2), (5, 4), (9, 2), (5, 1), (8, 0)]
            .into_iter()
            .collect();
        assert_eq!(all, vector);
    }

    #[test]
    fn covering_is_per_client() {
        let a: StateVector = [(1, 3), (2, 3)].into_iter().collect();
        let b: StateVector = [(1, 2)].into_iter().collect();
        assert!(a.covers(&b) && !b.covers(&a) && a.covers(&a) && b.covers(&StateVector::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_not_and_yrs_reads_ours(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(vector) = StateVector::decode(&bytes, 100) {
                prop_assert_eq!(StateVector::decode(&vector.encode(), 100), Ok(vector.clone()));
                let theirs = yrs::StateVector::decode_v1(&vector.encode()).unwrap();
                prop_assert_eq!(StateVector::decode(&theirs.encode_v1(), 100), Ok(vector));
            }
        }
    }
}
