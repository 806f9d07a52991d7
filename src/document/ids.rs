//! Identity of what was inserted: which client, and the how-manieth unit of that client.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use super::{
    ClientId, Clock,
    varint::{MAX_SAFE_INTEGER, write_var},
};

/// Largest client id: a JavaScript number must hold it exactly.
pub const MAX_CLIENT: ClientId = MAX_SAFE_INTEGER;

/// Clocks and the ends of clock ranges stay at or below 2^31 − 1, where both Yjs and yrs still calculate correctly.
pub const MAX_CLOCK: Clock = (1 << 31) - 1;

/// One unit (a UTF-16 unit of text, a list element, a mark) in one client's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub client: ClientId,
    pub clock: Clock,
}

impl Id {
    pub fn new(client: ClientId, clock: Clock) -> Self {
        Self { client, clock }
    }

    /// Appends the id as an update holds it.
    pub fn write(self, out: &mut Vec<u8>) {
        write_var(out, self.client);
        write_var(out, u64::from(self.clock));
    }
}
