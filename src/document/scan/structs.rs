//! One struct of an update: where it lies, what it refers to, how long it is.
//!
//! The same reader serves the scan, which checks everything, and the walks after it, which skip what was checked.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::ops::Range;

use super::{
    ScanError, Unsupported,
    content::{Noticed, read_str, skip_any, skip_json, skip_str, skip_type, utf16_len},
};
use crate::document::{
    ClientId, Clock,
    ids::{Id, MAX_CLOCK},
    varint::{ReadError, Reader},
};

/// The low five bits of a struct's first byte.
pub(crate) const CONTENT_BITS: u8 = 0b0001_1111;
/// The struct names the unit to the left of it.
pub(crate) const HAS_ORIGIN: u8 = 0b1000_0000;
/// The struct names the unit to the right of it.
pub(crate) const HAS_RIGHT_ORIGIN: u8 = 0b0100_0000;
/// The struct is a value under a key (spelt out only where no origin tells it).
pub(crate) const HAS_PARENT_SUB: u8 = 0b0010_0000;

/// First byte of a collected struct, of which only the length is left.
pub(crate) const GC: u8 = 0;
/// Content reference of an item whose content was deleted.
pub(crate) const DELETED: u8 = 1;
/// First byte of a stretch of clocks that the update leaves out.
pub(crate) const SKIP: u8 = 10;

/// What a struct holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Collected: neither content nor place is known any more.
    Gc,
    /// Clocks that this update leaves out.
    Skip,
    /// An item whose content is gone but whose place is known.
    Deleted,
    Binary,
    String,
    Embed,
    Format,
    /// A new shared type.
    Type,
    /// lib0 values.
    Any,
    /// A subdocument.
    Doc,
}

/// The shared type a struct lies in, where the struct itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent<'a> {
    /// A root type, by its name (UTF-8).
    Root(&'a [u8]),
    /// The type that this item made.
    Item(Id),
}

/// One struct, borrowed from its update.
#[derive(Debug, Clone)]
pub struct StructView<'a> {
    pub clock: Clock,
    /// In clocks; never 0.
    pub len: Clock,
    pub kind: Kind,
    pub origin: Option<Id>,
    pub right_origin: Option<Id>,
    /// Absent where an origin tells the parent.
    pub parent: Option<Parent<'a>>,
    /// The key under which the struct is a value, where an origin does not tell it.
    pub parent_sub: Option<&'a [u8]>,
    /// The first byte as it stands.
    pub info: u8,
    /// Where the struct lies in the update.
    pub bytes: Range<usize>,
    /// Where, within `bytes`, the content begins.
    pub content_at: usize,
}

impl StructView<'_> {
    /// The clock after the last one.
    pub fn end(&self) -> Clock {
        self.clock + self.len
    }

    /// Whether integrating the struct deletes its ids at once.
    pub fn is_deleted(&self) -> bool {
        matches!(self.kind, Kind::Gc | Kind::Deleted)
    }

    /// Key and value (JSON) of the mark that begins or ends here. `bytes` are those that the struct was read from.
    pub fn mark<'b>(&self, bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
        if self.kind != Kind::Format {
            return None;
        }
        let mut reader = Reader::at(bytes, self.content_at);
        Some((reader.var_bytes().ok()?, reader.var_bytes().ok()?))
    }

    /// One of several lib0 values, as it is written. `bytes` are those that the struct was read from.
    pub fn value<'b>(&self, bytes: &'b [u8], place: Clock) -> Option<&'b [u8]> {
        if self.kind != Kind::Any || place >= self.len {
            return None;
        }
        let mut reader = Reader::at(bytes, self.content_at);
        reader.var_u64().ok()?;
        let mut start = reader.position();
        for _ in 0..=place {
            start = reader.position();
            // Its depth was checked before.
            skip_any::<false>(&mut reader, usize::MAX, &mut Noticed::default()).ok()?;
        }
        bytes.get(start..reader.position())
    }

    /// Every id that must be known before this struct can be placed.
    pub fn references(&self) -> impl Iterator<Item = Id> + use<> {
        let parent = match self.parent {
            Some(Parent::Item(id)) => Some(id),
            _ => None,
        };
        [self.origin, self.right_origin, parent]
            .into_iter()
            .flatten()
    }
}

/// Reads the struct of `client` at `clock`. With `CHECK`, everything that a later reader relies on is verified.
#[inline]
pub(super) fn read_struct<'a, const CHECK: bool>(
    reader: &mut Reader<'a>,
    client: ClientId,
    clock: Clock,
    max_depth: usize,
    noticed: &mut Noticed,
) -> Result<StructView<'a>, ScanError> {
    let start = reader.position();
    let info = reader.u8()?;
    let mut view = StructView {
        clock,
        len: 0,
        kind: Kind::Gc,
        origin: None,
        right_origin: None,
        parent: None,
        parent_sub: None,
        info,
        bytes: start..start,
        content_at: start + 1,
    };
    let len = if info == GC || info == SKIP {
        view.kind = if info == GC { Kind::Gc } else { Kind::Skip };
        reader.var_u64()?
    } else {
        read_place::<CHECK>(reader, Id { client, clock }, &mut view)?;
        view.content_at = reader.position();
        read_content::<CHECK>(reader, max_depth, noticed, &mut view)?
    };
    if len == 0 {
        return Err(ScanError::EmptyStruct { at: start });
    }
    if len > u64::from(MAX_CLOCK - clock) {
        return Err(ScanError::ClockOverflow { client });
    }
    view.len = len as Clock;
    view.bytes.end = reader.position();
    Ok(view)
}

/// Origins, or parent and key.
#[inline]
fn read_place<'a, const CHECK: bool>(
    reader: &mut Reader<'a>,
    own: Id,
    view: &mut StructView<'a>,
) -> Result<(), ScanError> {
    if view.info & HAS_ORIGIN != 0 {
        view.origin = Some(read_id(reader, own)?);
    }
    if view.info & HAS_RIGHT_ORIGIN != 0 {
        view.right_origin = Some(read_id(reader, own)?);
    }
    if view.info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0 {
        let at = reader.position();
        view.parent = Some(match reader.var_u64()? {
            1 => Parent::Root(read_str::<CHECK>(reader)?),
            0 => Parent::Item(read_id(reader, own)?),
            _ => return Err(ScanError::ParentInfo { at }),
        });
        if view.info & HAS_PARENT_SUB != 0 {
            view.parent_sub = Some(read_str::<CHECK>(reader)?);
        }
    }
    Ok(())
}

#[inline]
fn read_id(reader: &mut Reader<'_>, own: Id) -> Result<Id, ScanError> {
    let client = read_client(reader)?;
    let clock = reader.var_u64()?;
    if clock >= u64::from(MAX_CLOCK) {
        return Err(ScanError::ClockOverflow { client });
    }
    let id = Id {
        client,
        clock: clock as Clock,
    };
    if id.client == own.client && id.clock >= own.clock {
        return Err(ScanError::SelfReference { id: own });
    }
    Ok(id)
}

#[inline]
pub(super) fn read_client(reader: &mut Reader<'_>) -> Result<ClientId, ScanError> {
    reader.var_u64().map_err(|error| match error {
        ReadError::Integer { at } => ScanError::ClientId { at },
        other => ScanError::Malformed(other),
    })
}

/// Passes the content and returns its length in clocks.
#[inline]
fn read_content<const CHECK: bool>(
    reader: &mut Reader<'_>,
    max_depth: usize,
    noticed: &mut Noticed,
    view: &mut StructView<'_>,
) -> Result<u64, ScanError> {
    let at = view.bytes.start;
    let mut one = |kind| {
        view.kind = kind;
        Ok(1)
    };
    match view.info & CONTENT_BITS {
        4 => {
            view.kind = Kind::String;
            Ok(utf16_len(read_str::<CHECK>(reader)?) as u64)
        }
        DELETED => {
            view.kind = Kind::Deleted;
            Ok(reader.var_u64()?)
        }
        6 => {
            skip_str::<CHECK>(reader)?;
            skip_json::<CHECK>(reader, max_depth, noticed)?;
            one(Kind::Format)
        }
        7 => {
            skip_type::<CHECK>(reader)?;
            one(Kind::Type)
        }
        8 => {
            view.kind = Kind::Any;
            let values = reader.count(1)?;
            for _ in 0..values {
                skip_any::<CHECK>(reader, max_depth, noticed)?;
            }
            Ok(values as u64)
        }
        5 => {
            skip_json::<CHECK>(reader, max_depth, noticed)?;
            one(Kind::Embed)
        }
        3 => {
            reader.var_bytes()?;
            one(Kind::Binary)
        }
        9 => {
            // yrs keeps only the options it knows and drops `meta`.
            noticed.lossy = true;
            skip_str::<CHECK>(reader)?;
            skip_any::<CHECK>(reader, max_depth, noticed)?;
            one(Kind::Doc)
        }
        2 => Err(ScanError::Unsupported {
            what: Unsupported::LegacyJson,
            at,
        }),
        GC | SKIP => Err(ScanError::Unsupported {
            what: Unsupported::Info(view.info),
            at,
        }),
        other => Err(ScanError::Unsupported {
            what: Unsupported::Content(other),
            at,
        }),
    }
}

/// The structs of one run, read again from bytes that the scan accepted.
#[derive(Debug, Clone)]
pub struct Structs<'a> {
    reader: Reader<'a>,
    client: ClientId,
    clock: Clock,
    left: u32,
}

impl<'a> Structs<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        client: ClientId,
        clock: Clock,
        body: Range<usize>,
        structs: u32,
    ) -> Self {
        let within = bytes.get(..body.end).unwrap_or(bytes);
        Self {
            reader: Reader::at(within, body.start),
            client,
            clock,
            left: structs,
        }
    }
}

impl<'a> Iterator for Structs<'a> {
    type Item = StructView<'a>;

    /// Ends early only if these are not the bytes that were scanned.
    #[inline]
    fn next(&mut self) -> Option<StructView<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut noticed = Noticed::default();
        let view = read_struct::<false>(
            &mut self.reader,
            self.client,
            self.clock,
            usize::MAX,
            &mut noticed,
        )
        .ok()?;
        self.clock = view.end();
        Some(view)
    }
}
