//! Awareness: who is in a document and where their cursors are. Never stored, and it never waits for a commit.
//!
//! The wire form is y-protocols': `varUint n`, then `n` times `varUint client, varUint clock, varString JSON`, where
//! the JSON `null` means gone. A newer clock wins; at the same clock only a `null` over a present state does.
//!
//! Each socket speaks for one client id only. What it says about others is dropped without a word, as stock clients
//! echo everybody's states back to the server. Clocks are compared before any JSON is looked at.

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::{
    ClientId,
    varint::{ReadError, Reader, write_bytes, write_var},
};

/// Awareness clocks at or above this are refused: a clock near 2^53 would freeze a cursor for ever.
const MAX_CLOCK: u64 = 1 << 31;
/// How deep the JSON of a state may nest.
const MAX_DEPTH: usize = 64;
/// The fewest bytes an entry takes: two numbers and an empty string.
const MIN_ENTRY_BYTES: usize = 3;

/// Milliseconds on a clock that only goes forward.
pub type Millis = u64;

/// After this long without a renewal a state counts as gone. Stock clients renew every 15 s and use the same 30 s.
pub const EXPIRES_AFTER: Millis = 30_000;
/// How long the clock of a state that is gone is remembered, so that a late frame does not bring it back.
const REMEMBERED_FOR: Millis = 60_000;

/// One entry of an awareness update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    pub client: ClientId,
    pub clock: u32,
    /// The JSON text; `None` for `null`.
    pub state: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AwarenessError {
    #[error("the awareness update is malformed")]
    Malformed,
    #[error("the awareness update claims more entries than it holds")]
    Count,
    #[error("the awareness state is larger than the limit")]
    TooLarge,
    #[error("the awareness state is not JSON, or nests too deep")]
    Json,
}

/// What one entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Old news.
    Nothing,
    /// A renewal or a new state, to be told to the others.
    Changed,
    /// The client shows a state at a clock at which we know it as gone: it must be told so, as it then announces
    /// itself anew with a higher clock.
    TellGone,
}

#[derive(Debug)]
struct Known {
    clock: u32,
    state: Option<Bytes>,
    seen_at: Millis,
}

/// Everybody's latest state.
#[derive(Debug, Default)]
pub struct Awareness {
    known: FxHashMap<ClientId, Known>,
}

/// Reads the entries of an awareness update. Nothing is reserved by the count it claims.
pub fn entries(update: &[u8]) -> Result<Vec<Entry<'_>>, AwarenessError> {
    let mut reader = Reader::new(update);
    let count = reader.count(MIN_ENTRY_BYTES).map_err(|error| match error {
        ReadError::End { at } if at == update.len() && at > 0 => AwarenessError::Count,
        _ => AwarenessError::Malformed,
    })?;
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let client = reader.var_u64().map_err(|_| AwarenessError::Malformed)?;
        let clock = reader.var_u64().map_err(|_| AwarenessError::Malformed)?;
        let text = reader.var_str().map_err(|_| AwarenessError::Malformed)?;
        if clock >= MAX_CLOCK {
            return Err(AwarenessError::Malformed);
        }
        let clock = u32::try_from(clock).map_err(|_| AwarenessError::Malformed)?;
        found.push(Entry {
            client,
            clock,
            state: (text != "null").then_some(text),
        });
    }
    if !reader.is_empty() {
        return Err(AwarenessError::Malformed);
    }
    Ok(found)
}

impl Awareness {
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many clients are present.
    pub fn present(&self) -> usize {
        self.known
            .values()
            .filter(|known| known.state.is_some())
            .count()
    }

    /// Takes one entry from the socket that speaks for this client.
    pub fn apply(
        &mut self,
        entry: &Entry<'_>,
        max_bytes: usize,
        now: Millis,
    ) -> Result<Outcome, AwarenessError> {
        if let Some(known) = self.known.get(&entry.client) {
            let gone_again =
                entry.state.is_none() && known.state.is_some() && entry.clock == known.clock;
            if entry.clock <= known.clock && !gone_again {
                let shows_itself = entry.state.is_some() && known.state.is_none();
                return Ok(if shows_itself {
                    Outcome::TellGone
                } else {
                    Outcome::Nothing
                });
            }
        } else if entry.state.is_none() {
            return Ok(Outcome::Nothing);
        }
        let state = entry.state.map(|text| check(text, max_bytes)).transpose()?;
        self.known.insert(
            entry.client,
            Known {
                clock: entry.clock,
                state,
                seen_at: now,
            },
        );
        Ok(Outcome::Changed)
    }

    /// The client's socket is gone. Whether anybody needs to be told.
    pub fn remove(&mut self, client: ClientId, now: Millis) -> bool {
        match self.known.get_mut(&client) {
            Some(known) if known.state.is_some() => {
                known.state = None;
                known.seen_at = now;
                true
            }
            _ => false,
        }
    }

    /// Ends the states that were not renewed in time and forgets what is long gone. Returns whom the others must be
    /// told about.
    pub fn expire(&mut self, now: Millis) -> Vec<ClientId> {
        let mut ended = Vec::new();
        for (client, known) in &mut self.known {
            if known.state.is_some() && now.saturating_sub(known.seen_at) >= EXPIRES_AFTER {
                known.state = None;
                known.seen_at = now;
                ended.push(*client);
            }
        }
        self.known.retain(|_, known| {
            known.state.is_some() || now.saturating_sub(known.seen_at) < REMEMBERED_FOR
        });
        if self.known.is_empty() {
            self.known.shrink_to_fit();
        }
        ended
    }

    /// An awareness update about these clients, gone ones included.
    pub fn encode(&self, clients: impl IntoIterator<Item = ClientId>) -> Option<Vec<u8>> {
        let entries: Vec<_> = clients
            .into_iter()
            .filter_map(|client| self.known.get(&client).map(|known| (client, known)))
            .collect();
        encode_entries(&entries)
    }

    /// An awareness update about everyone who is present.
    pub fn encode_all(&self) -> Option<Vec<u8>> {
        let entries: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| known.state.is_some())
            .map(|(client, known)| (*client, known))
            .collect();
        encode_entries(&entries)
    }

    /// The JSON states of everyone who is present.
    pub fn states(&self) -> impl Iterator<Item = (ClientId, &[u8])> {
        self.known
            .iter()
            .filter_map(|(client, known)| known.state.as_deref().map(|state| (*client, state)))
    }
}

fn encode_entries(entries: &[(ClientId, &Known)]) -> Option<Vec<u8>> {
    if entries.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(64 * entries.len());
    write_var(&mut out, entries.len() as u64);
    for (client, known) in entries {
        write_var(&mut out, *client);
        write_var(&mut out, u64::from(known.clock));
        write_bytes(&mut out, known.state.as_deref().unwrap_or(b"null"));
    }
    Some(out)
}

/// A state must parse, as stock clients throw on one that does not, and must not nest deep: they compare states
/// recursively.
fn check(text: &str, max_bytes: usize) -> Result<Bytes, AwarenessError> {
    if text.len() > max_bytes {
        return Err(AwarenessError::TooLarge);
    }
    if nests_too_deep(text) {
        return Err(AwarenessError::Json);
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| AwarenessError::Json)?;
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

/// Whether brackets outside of strings are open deeper than [`MAX_DEPTH`]. What is skipped unread is skipped by
/// serde_json at any depth.
fn nests_too_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    text.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(client: ClientId, clock: u32, state: Option<&str>) -> Entry<'_> {
        Entry {
            client,
            clock,
            state,
        }
    }

    #[test]
    fn newer_clocks_win_and_repeats_do_nothing() {
        let mut awareness = Awareness::default();
        assert_eq!(
            awareness.apply(&entry(1, 1, Some("{}")), 100, 0),
            Ok(Outcome::Changed)
        );
        assert_eq!(
            awareness.apply(&entry(1, 1, Some("{}")), 100, 0),
            Ok(Outcome::Nothing)
        );
        assert_eq!(
            awareness.apply(&entry(1, 0, Some("{")), 100, 0),
            Ok(Outcome::Nothing)
        );
        assert_eq!(
            awareness.apply(&entry(1, 1, None), 100, 0),
            Ok(Outcome::Changed)
        );
        assert_eq!(awareness.present(), 0);
    }

    #[test]
    fn a_client_that_returns_with_its_old_clock_is_told_that_it_was_gone() {
        let mut awareness = Awareness::default();
        awareness.apply(&entry(1, 4, Some("{}")), 100, 0).unwrap();
        assert!(awareness.remove(1, 0));
        assert!(!awareness.remove(1, 0));
        assert_eq!(
            awareness.apply(&entry(1, 4, Some("{}")), 100, 0),
            Ok(Outcome::TellGone)
        );
        assert_eq!(
            awareness.apply(&entry(1, 5, Some("{}")), 100, 0),
            Ok(Outcome::Changed)
        );
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!nests_too_deep(&nested(MAX_DEPTH)) && nests_too_deep(&nested(MAX_DEPTH + 1)));
        assert!(!nests_too_deep(&format!("\"{}\"", nested(100))));
        assert!(!nests_too_deep(&format!("[\"\\\"{}\"]", nested(100))));
        assert!(nests_too_deep(&format!("[\"\\\\\",{}]", nested(100))));
    }

    #[test]
    fn bad_states_are_refused_by_name() {
        let mut awareness = Awareness::default();
        assert_eq!(
            awareness.apply(&entry(1, 1, Some("{bad")), 100, 0),
            Err(AwarenessError::Json)
        );
        assert_eq!(
            awareness.apply(&entry(1, 1, Some("[1,2,3]")), 3, 0),
            Err(AwarenessError::TooLarge)
        );
        let deep = "[".repeat(500) + &"]".repeat(500);
        assert_eq!(
            awareness.apply(&entry(1, 1, Some(&deep)), 10_000, 0),
            Err(AwarenessError::Json)
        );
        assert!(awareness.is_empty());
    }

    #[test]
    fn claimed_counts_reserve_nothing() {
        assert_eq!(
            entries(&[0x80, 0x80, 0x80, 0x60]),
            Err(AwarenessError::Count)
        );
        assert_eq!(entries(&[]), Err(AwarenessError::Malformed));
        assert_eq!(entries(&[0, 9]), Err(AwarenessError::Malformed));
        assert_eq!(entries(&[0]), Ok(vec![]));
    }

    #[test]
    fn states_that_are_not_renewed_expire_and_are_forgotten_later() {
        let mut awareness = Awareness::default();
        awareness.apply(&entry(1, 1, Some("{}")), 100, 0).unwrap();
        awareness
            .apply(&entry(2, 1, Some("{}")), 100, 20_000)
            .unwrap();
        assert!(awareness.expire(29_999).is_empty());
        assert_eq!(awareness.expire(30_000), [1]);
        assert_eq!(
            awareness.encode([1]).unwrap(),
            [1, 1, 1, 4, b'n', b'u', b'l', b'l']
        );
        assert_eq!(awareness.expire(95_000), [2]);
        awareness.expire(200_000);
        assert!(awareness.is_empty());
    }

    #[test]
    fn entries_survive_the_wire() {
        let mut awareness = Awareness::default();
        awareness
            .apply(&entry(7, 3, Some(r#"{"user":{"name":"Ada"}}"#)), 100, 0)
            .unwrap();
        let update = awareness.encode_all().unwrap();
        assert_eq!(
            entries(&update).unwrap(),
            [entry(7, 3, Some(r#"{"user":{"name":"Ada"}}"#))]
        );
    }
}
