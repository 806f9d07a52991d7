//! The hygiene scan: one linear pass that decides whether bytes are an update that may be shown to yrs.
//!
//! yrs trusts what it decodes: it reserves memory by counts that a few bytes can claim, recurses by the depth of a
//! value, and panics on clocks that overflow. The scan refuses all that before, by name, without allocating by any
//! claimed count, and remembers where each client's structs lie so that later passes need not look for them.
//!
//! It says nothing about whether the update fits a document: that is [`super::ready`].

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

mod content;
mod parents;
mod structs;

use std::{cmp::Reverse, ops::Range};

use smallvec::SmallVec;

pub(crate) use self::structs::{
    CONTENT_BITS, DELETED, GC, HAS_ORIGIN, HAS_PARENT_SUB, HAS_RIGHT_ORIGIN,
};
pub use self::structs::{Kind, Parent, StructView, Structs};
use self::{
    content::{Noticed, skip_any},
    structs::{read_client, read_struct},
};
use super::{
    ClientId, Clock,
    id_set::IdRange,
    ids::{Id, MAX_CLOCK},
    varint::{ReadError, Reader},
};

/// What a peer may send at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// Structs of one update.
    pub max_structs: usize,
    /// Delete ranges of one update.
    pub max_deletes: usize,
    /// How deep values (arrays and objects within each other) may nest. yrs recurses by this, on the stack.
    pub max_any_depth: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            max_structs: 1 << 20,
            max_deletes: 1 << 20,
            max_any_depth: 64,
        }
    }
}

/// What Yjs knows, or knew, and this server does not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("JSON content as written by Yjs before version 13")]
    LegacyJson,
    #[error("an XML hook")]
    XmlHook,
    #[error("a weak reference")]
    WeakRef,
    #[error("content of kind {0}")]
    Content(u8),
    #[error("a shared type of kind {0}")]
    Type(u8),
    #[error("a struct that begins with {0:#04x}")]
    Info(u8),
}

/// Why bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("malformed update: {0}")]
    Malformed(#[from] ReadError),
    #[error("the update is larger than 4 GiB")]
    TooLarge,
    #[error("bytes follow the update at {at}")]
    TrailingBytes { at: usize },
    #[error("the update has more than {max} structs")]
    TooManyStructs { max: usize },
    #[error("the update has more than {max} delete ranges")]
    TooManyDeletes { max: usize },
    #[error("the value at {at} nests deeper than {max}")]
    TooDeep { at: usize, max: usize },
    #[error("the update holds {what} at {at}, which is not supported")]
    Unsupported { what: Unsupported, at: usize },
    #[error("the value at {at} has the unknown type {tag}")]
    Value { tag: u8, at: usize },
    #[error("the JSON at {at} can not be read")]
    Json { at: usize },
    #[error("the parent at {at} is neither a name nor an id")]
    ParentInfo { at: usize },
    #[error("the client id at {at} is larger than 2^53 - 1")]
    ClientId { at: usize },
    #[error("a clock of client {client} is out of range")]
    ClockOverflow { client: ClientId },
    #[error("the struct {id:?} refers to itself or to a later one of its client")]
    SelfReference { id: Id },
    #[error("the struct at {at} has no length")]
    EmptyStruct { at: usize },
    #[error("client {client} is named without any struct")]
    EmptyRun { client: ClientId },
    #[error("client {client} is named twice")]
    DuplicateClient { client: ClientId },
    #[error("the struct {id:?} stands between structs of different parents")]
    CrossedParents { id: Id },
    #[error("the struct {id:?} lies in something that is not a shared type")]
    ParentIsNotAType { id: Id },
}

/// The structs of one client in an update: contiguous clocks, [`Kind::Skip`] structs included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub client: ClientId,
    pub start: Clock,
    pub end: Clock,
    pub structs: u32,
    /// Whether some of the clocks are left out.
    pub has_skip: bool,
    body_start: u32,
    body_end: u32,
}

impl Run {
    /// Where the structs lie in the update, without the head that counts them.
    pub fn body(&self) -> Range<usize> {
        self.body_start as usize..self.body_end as usize
    }
}

/// What the scan found. It holds no bytes: the methods take the same bytes again, and with others end early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// In the update's order, which for stock clients is descending by client.
    pub runs: SmallVec<[Run; 1]>,
    /// Structs in all runs.
    pub structs: u32,
    /// Ranges in the delete set.
    pub deletes: u32,
    /// Decoding and encoding by yrs would change a value: a BigInt, −0, or a subdocument's options.
    pub lossy: bool,
    /// An object with several keys, whose order yrs does not keep (the values are kept).
    pub reordered: bool,
    /// How many shared types the update makes.
    pub new_types: u32,
    /// How deep these lie within each other; a type in a root or in a type from elsewhere counts 1.
    pub type_depth: u32,
    /// Clients of the runs in descending order, as Yjs requires of what it merges.
    pub descending: bool,
    /// The delete set is in its shortest form: clients descending, ranges ascending, disjoint and not touching.
    pub deletes_normal: bool,
    deletes_at: u32,
}

impl Scan {
    /// Neither structs nor deletes.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.deletes == 0
    }

    /// The structs of one of the runs.
    pub fn structs_of<'a>(&self, bytes: &'a [u8], run: &Run) -> Structs<'a> {
        Structs::new(bytes, run.client, run.start, run.body(), run.structs)
    }

    /// The delete set, range by range in the update's order.
    pub fn delete_ranges<'a>(&self, bytes: &'a [u8]) -> DeleteRanges<'a> {
        let mut reader = Reader::at(bytes, self.deletes_at as usize);
        let clients = reader.var_u64().unwrap_or(0);
        DeleteRanges {
            reader,
            clients,
            client: 0,
            ranges: 0,
        }
    }

    /// The bytes of the delete set, to be copied as they are.
    pub fn delete_set_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.deletes_at as usize..).unwrap_or(&[0])
    }

    pub(super) fn index(&self) -> RunIndex {
        RunIndex::new(&self.runs, self.descending)
    }
}

/// Finds a client's run. Whatever order the runs are in, a look-up is a binary search.
#[derive(Debug)]
pub(super) struct RunIndex {
    /// Run numbers by descending client; absent when the runs have this order themselves.
    order: Option<Vec<u32>>,
}

impl RunIndex {
    fn new(runs: &[Run], descending: bool) -> Self {
        let order = (!descending).then(|| {
            let mut order: Vec<(Reverse<ClientId>, u32)> = runs
                .iter()
                .zip(0..)
                .map(|(run, number)| (Reverse(run.client), number))
                .collect();
            order.sort_unstable();
            order.into_iter().map(|(_, number)| number).collect()
        });
        Self { order }
    }

    /// The number of the client's run.
    pub(super) fn find(&self, runs: &[Run], client: ClientId) -> Option<usize> {
        let wanted = Reverse(client);
        match &self.order {
            None => runs
                .binary_search_by_key(&wanted, |run| Reverse(run.client))
                .ok(),
            Some(order) => {
                let client_of =
                    |number: &u32| Reverse(runs.get(*number as usize).map_or(0, |run| run.client));
                let place = order.binary_search_by_key(&wanted, client_of).ok()?;
                order.get(place).map(|number| *number as usize)
            }
        }
    }

    /// Run numbers by descending client.
    pub(super) fn descending(&self, runs: usize) -> impl Iterator<Item = usize> + '_ {
        let numbers = self.order.as_deref();
        (0..runs).map(move |place| match numbers {
            None => place,
            Some(order) => order.get(place).map_or(place, |number| *number as usize),
        })
    }
}

/// The ranges of a delete set, in the order they are written.
#[derive(Debug, Clone)]
pub struct DeleteRanges<'a> {
    reader: Reader<'a>,
    clients: u64,
    client: ClientId,
    ranges: u64,
}

impl Iterator for DeleteRanges<'_> {
    type Item = IdRange;

    #[inline]
    fn next(&mut self) -> Option<IdRange> {
        while self.ranges == 0 {
            self.clients = self.clients.checked_sub(1)?;
            self.client = self.reader.var_u64().ok()?;
            self.ranges = self.reader.var_u64().ok()?;
        }
        self.ranges -= 1;
        let start = self.reader.var_u64().ok()? as Clock;
        let len = self.reader.var_u64().ok()? as Clock;
        Some(IdRange {
            client: self.client,
            start,
            end: start.checked_add(len)?,
        })
    }
}

/// Decides whether `bytes` are a v1 update that yrs and Yjs can decode without harm.
pub fn scan(bytes: &[u8], limits: &ScanLimits) -> Result<Scan, ScanError> {
    let (mut scan, related) = pass::<true>(bytes, limits)?;
    // A lone struct can neither cross its neighbours nor nest in them.
    scan.type_depth = match scan.structs {
        0 | 1 => scan.new_types,
        _ if related || scan.new_types > 0 => parents::check(bytes, &scan)?,
        _ => 0,
    };
    Ok(scan)
}

/// [`scan`] for what is stored or was made of what was accepted: its parts were let through one by one, so a document
/// has them, however many they are together and even where they confuse only when seen side by side. What yrs could
/// not decode is refused here, too. `max_any_depth` is as in [`ScanLimits`].
pub fn scan_accepted(bytes: &[u8], max_any_depth: usize) -> Result<Scan, ScanError> {
    let limits = ScanLimits {
        max_structs: usize::MAX,
        max_deletes: usize::MAX,
        max_any_depth,
    };
    let (mut scan, _) = pass::<true>(bytes, &limits)?;
    scan.type_depth = match (scan.structs, scan.new_types) {
        (_, 0) => 0,
        (1, types) => types,
        _ => parents::depth(bytes, &scan)?,
    };
    Ok(scan)
}

/// Finds the runs of an update that was scanned before, or came from our own hands: lengths are checked, values are
/// not, and the depth of types is not told.
pub fn outline(bytes: &[u8]) -> Result<Scan, ScanError> {
    const NONE: usize = usize::MAX;
    let limits = ScanLimits {
        max_structs: NONE,
        max_deletes: NONE,
        max_any_depth: NONE,
    };
    pass::<false>(bytes, &limits).map(|(scan, _)| scan)
}

/// Reads the whole update. Also returns whether structs of it may be related to each other in ways to be checked.
fn pass<const CHECK: bool>(bytes: &[u8], limits: &ScanLimits) -> Result<(Scan, bool), ScanError> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(ScanError::TooLarge);
    }
    let mut reader = Reader::new(bytes);
    let mut scan = Scan {
        runs: SmallVec::new(),
        structs: 0,
        deletes: 0,
        lossy: false,
        reordered: false,
        new_types: 0,
        type_depth: 0,
        descending: true,
        deletes_normal: true,
        deletes_at: 0,
    };
    let mut noticed = Noticed::default();
    let runs = reader.count(MIN_RUN_BYTES)?;
    let mut related = false;
    for _ in 0..runs {
        related |= scan_run::<CHECK>(&mut reader, limits, runs == 1, &mut scan, &mut noticed)?;
    }
    refuse_duplicates(&scan)?;
    scan_deletes(&mut reader, limits, &mut scan)?;
    if !reader.is_empty() {
        return Err(ScanError::TrailingBytes {
            at: reader.position(),
        });
    }
    scan.lossy = noticed.lossy;
    scan.reordered = noticed.reordered;
    Ok((scan, related))
}

/// Passes one lib0 value of bytes that were scanned before.
pub(super) fn skip_value(reader: &mut Reader<'_>) -> Result<(), ScanError> {
    skip_any::<false>(reader, usize::MAX, &mut Noticed::default())
}

/// Count, client, clock, and one struct of two bytes.
const MIN_RUN_BYTES: usize = 5;
/// A struct's first byte and a length.
const MIN_STRUCT_BYTES: usize = 2;

/// Scans one client's structs. Returns whether one of them may have its parent, or both its neighbours, in this update.
fn scan_run<const CHECK: bool>(
    reader: &mut Reader<'_>,
    limits: &ScanLimits,
    alone: bool,
    scan: &mut Scan,
    noticed: &mut Noticed,
) -> Result<bool, ScanError> {
    let structs = reader.count(MIN_STRUCT_BYTES)?;
    let client = read_client(reader)?;
    let start = reader.var_u64()?;
    if start >= u64::from(MAX_CLOCK) {
        return Err(ScanError::ClockOverflow { client });
    }
    if structs == 0 {
        return Err(ScanError::EmptyRun { client });
    }
    if structs > limits.max_structs.saturating_sub(scan.structs as usize) {
        return Err(ScanError::TooManyStructs {
            max: limits.max_structs,
        });
    }
    let body_start = reader.position();
    let mut clock = start as Clock;
    let inside = |id: Id| {
        if id.client == client {
            u64::from(id.clock) >= start
        } else {
            !alone
        }
    };
    let mut related = false;
    let mut has_skip = false;
    for _ in 0..structs {
        let view = read_struct::<CHECK>(reader, client, clock, limits.max_any_depth, noticed)?;
        related |= match (view.origin, view.right_origin, view.parent) {
            (Some(left), Some(right), _) => inside(left) && inside(right),
            (_, _, Some(Parent::Item(id))) => inside(id),
            _ => false,
        };
        has_skip |= view.kind == Kind::Skip;
        scan.new_types += u32::from(view.kind == Kind::Type);
        clock = view.end();
    }
    if scan
        .runs
        .last()
        .is_some_and(|before| before.client <= client)
    {
        scan.descending = false;
    }
    scan.structs += structs as u32;
    scan.runs.push(Run {
        client,
        start: start as Clock,
        end: clock,
        structs: structs as u32,
        has_skip,
        body_start: body_start as u32,
        body_end: reader.position() as u32,
    });
    Ok(related)
}

/// Two runs of one client would shadow each other in yrs. In descending order they would be neighbours, and are not.
fn refuse_duplicates(scan: &Scan) -> Result<(), ScanError> {
    if scan.descending {
        return Ok(());
    }
    refuse_twice(scan.runs.iter().map(|run| run.client).collect())
}

fn refuse_twice(mut clients: Vec<ClientId>) -> Result<(), ScanError> {
    clients.sort_unstable();
    match clients
        .iter()
        .zip(clients.iter().skip(1))
        .find(|(a, b)| a == b)
    {
        Some((&client, _)) => Err(ScanError::DuplicateClient { client }),
        None => Ok(()),
    }
}

/// Scans the delete set. A client named twice is refused: Yjs joins the two lists, yrs forgets the first.
fn scan_deletes(
    reader: &mut Reader<'_>,
    limits: &ScanLimits,
    scan: &mut Scan,
) -> Result<(), ScanError> {
    scan.deletes_at = reader.position() as u32;
    let mut clients = SmallVec::<[ClientId; 4]>::new();
    let mut descending = true;
    for _ in 0..reader.count(2)? {
        let client = read_client(reader)?;
        descending &= clients.last().is_none_or(|before| *before > client);
        clients.push(client);
        scan_delete_ranges(reader, limits, scan, client)?;
    }
    if descending {
        return Ok(());
    }
    scan.deletes_normal = false;
    refuse_twice(clients.into_vec())
}

fn scan_delete_ranges(
    reader: &mut Reader<'_>,
    limits: &ScanLimits,
    scan: &mut Scan,
    client: ClientId,
) -> Result<(), ScanError> {
    let ranges = reader.count(2)?;
    if ranges > limits.max_deletes.saturating_sub(scan.deletes as usize) {
        return Err(ScanError::TooManyDeletes {
            max: limits.max_deletes,
        });
    }
    scan.deletes += ranges as u32;
    scan.deletes_normal &= ranges > 0;
    let mut last_end = None;
    for _ in 0..ranges {
        let at = reader.position();
        let start = reader.var_u64()?;
        let len = reader.var_u64()?;
        if len == 0 {
            return Err(ScanError::EmptyStruct { at });
        }
        let end = start
            .checked_add(len)
            .filter(|end| *end <= u64::from(MAX_CLOCK));
        let end = end.ok_or(ScanError::ClockOverflow { client })?;
        scan.deletes_normal &= last_end.is_none_or(|last| last < start);
        last_end = Some(end);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
