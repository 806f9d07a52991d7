//! Yjs updates (v1) of one author in the text `t`: written as a client would write them, and read in place to see which
//! of an author's structs and deletions a frame brings, however the server cut or joined the frames.

use anyhow::{Result, bail, ensure};

const ORIGIN: u8 = 0x80;
const RIGHT_ORIGIN: u8 = 0x40;
const PARENT_KEY: u8 = 0x20;
const CONTENT: u8 = 0x1F;
const TEXT_ROOT: &str = "t";

pub fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One character typed by `client` at `clock`, between two characters of its own.
pub fn push_insert(
    out: &mut Vec<u8>,
    client: u64,
    clock: u64,
    left: Option<u64>,
    right: Option<u64>,
    character: char,
) {
    out.extend_from_slice(&[1, 1]);
    push_varint(out, client);
    push_varint(out, clock);
    let flag = |side: Option<u64>, flag| side.map_or(0, |_| flag);
    out.push(4 | flag(left, ORIGIN) | flag(right, RIGHT_ORIGIN));
    for side in [left, right].into_iter().flatten() {
        push_varint(out, client);
        push_varint(out, side);
    }
    if left.is_none() && right.is_none() {
        out.push(1);
        push_varint(out, TEXT_ROOT.len() as u64);
        out.extend_from_slice(TEXT_ROOT.as_bytes());
    }
    let mut utf8 = [0; 4];
    let text = character.encode_utf8(&mut utf8).as_bytes();
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text);
    out.push(0);
}

/// The deletion of `count` of the client's own characters.
pub fn push_delete(out: &mut Vec<u8>, client: u64, clock: u64, count: u64) {
    out.extend_from_slice(&[0, 1]);
    push_varint(out, client);
    out.push(1);
    push_varint(out, clock);
    push_varint(out, count);
}

/// One character appended to what the client wrote before.
pub fn push_append(out: &mut Vec<u8>, client: u64, clock: u64) {
    push_insert(out, client, clock, clock.checked_sub(1), None, 'x');
}

/// What an update says about a range of one client's clocks.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Range {
    Inserted { client: u64, clock: u64, len: u64 },
    Deleted { client: u64, clock: u64, len: u64 },
}

/// Walks an update without copying anything. Only plain text is understood, as that is all the generator writes.
pub fn scan(update: &[u8], mut each: impl FnMut(Range) -> Result<()>) -> Result<()> {
    let mut read = Reader(update);
    for _ in 0..read.varint()? {
        let structs = read.varint()?;
        let client = read.varint()?;
        let mut clock = read.varint()?;
        for _ in 0..structs {
            let (len, gap) = skip_struct(&mut read)?;
            if !gap {
                each(Range::Inserted { client, clock, len })?;
            }
            clock += len;
        }
    }
    for _ in 0..read.varint()? {
        let client = read.varint()?;
        for _ in 0..read.varint()? {
            each(Range::Deleted {
                client,
                clock: read.varint()?,
                len: read.varint()?,
            })?;
        }
    }
    ensure!(
        read.0.is_empty(),
        "{} bytes after the update's end",
        read.0.len()
    );
    Ok(())
}

/// The struct's length in clocks, and whether it only stands for a gap.
fn skip_struct(read: &mut Reader<'_>) -> Result<(u64, bool)> {
    let info = read.byte()?;
    let content = info & CONTENT;
    if content == 0 || content == 10 {
        return Ok((read.varint()?, content == 10));
    }
    for flag in [ORIGIN, RIGHT_ORIGIN] {
        if info & flag != 0 {
            read.varint()?;
            read.varint()?;
        }
    }
    if info & (ORIGIN | RIGHT_ORIGIN) == 0 {
        if read.varint()? == 1 {
            read.block()?;
        } else {
            read.varint()?;
            read.varint()?;
        }
        if info & PARENT_KEY != 0 {
            read.block()?;
        }
    }
    match content {
        1 => Ok((read.varint()?, false)),
        4 => Ok((utf16_len(read.block()?), false)),
        other => bail!("content {other} in an update, where only text was written"),
    }
}

/// Yjs counts text in UTF-16 code units.
fn utf16_len(utf8: &[u8]) -> u64 {
    utf8.iter()
        .map(|&byte| u64::from(byte & 0xC0 != 0x80) + u64::from(byte >= 0xF0))
        .sum()
}

/// A cursor over bytes in lib0's encoding.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn byte(&mut self) -> Result<u8> {
        let Some((&byte, rest)) = self.0.split_first() else {
            bail!("the message ends early")
        };
        self.0 = rest;
        Ok(byte)
    }

    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        bail!("a number longer than 63 bits")
    }

    /// A run of bytes with its length before it.
    pub fn block(&mut self) -> Result<&'a [u8]> {
        let len = usize::try_from(self.varint()?)?;
        let Some((block, rest)) = self.0.split_at_checked(len) else {
            bail!("the message ends early")
        };
        self.0 = rest;
        Ok(block)
    }
}
