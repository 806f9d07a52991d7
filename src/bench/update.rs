//! Yjs updates (v1) of one author in the text `t`: written as a client would write them, and read in place to see which
//! of an author's structs and deletions a frame brings, however the server cut or joined the frames.

use anyhow::{Result, bail, ensure};

use crate::document::varint::{Reader, write_bytes, write_var};

const ORIGIN: u8 = 0x80;
const RIGHT_ORIGIN: u8 = 0x40;
const PARENT_KEY: u8 = 0x20;
const CONTENT: u8 = 0x1F;
const TEXT_ROOT: &str = "t";

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
    write_var(out, client);
    write_var(out, clock);
    let flag = |side: Option<u64>, flag| side.map_or(0, |_| flag);
    out.push(4 | flag(left, ORIGIN) | flag(right, RIGHT_ORIGIN));
    for side in [left, right].into_iter().flatten() {
        write_var(out, client);
        write_var(out, side);
    }
    if left.is_none() && right.is_none() {
        out.push(1);
        write_bytes(out, TEXT_ROOT.as_bytes());
    }
    let mut utf8 = [0; 4];
    let text = character.encode_utf8(&mut utf8).as_bytes();
    write_bytes(out, text);
    out.push(0);
}

/// The deletion of `count` of the client's own characters.
pub fn push_delete(out: &mut Vec<u8>, client: u64, clock: u64, count: u64) {
    out.extend_from_slice(&[0, 1]);
    write_var(out, client);
    out.push(1);
    write_var(out, clock);
    write_var(out, count);
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
///
/// # Errors
/// When the bytes are no such update, or `each` refuses a range.
pub fn scan(update: &[u8], mut each: impl FnMut(Range) -> Result<()>) -> Result<()> {
    let mut read = Reader::new(update);
    for _ in 0..read.var_u64()? {
        let structs = read.var_u64()?;
        let client = read.var_u64()?;
        let mut clock = read.var_u64()?;
        for _ in 0..structs {
            let (len, gap) = skip_struct(&mut read)?;
            if !gap {
                each(Range::Inserted { client, clock, len })?;
            }
            clock += len;
        }
    }
    for _ in 0..read.var_u64()? {
        let client = read.var_u64()?;
        for _ in 0..read.var_u64()? {
            each(Range::Deleted {
                client,
                clock: read.var_u64()?,
                len: read.var_u64()?,
            })?;
        }
    }
    ensure!(
        read.is_empty(),
        "{} bytes after the update's end",
        read.remaining()
    );
    Ok(())
}

/// The struct's length in clocks, and whether it only stands for a gap.
fn skip_struct(read: &mut Reader<'_>) -> Result<(u64, bool)> {
    let info = read.u8()?;
    let content = info & CONTENT;
    if content == 0 || content == 10 {
        return Ok((read.var_u64()?, content == 10));
    }
    for flag in [ORIGIN, RIGHT_ORIGIN] {
        if info & flag != 0 {
            read.var_u64()?;
            read.var_u64()?;
        }
    }
    if info & (ORIGIN | RIGHT_ORIGIN) == 0 {
        if read.var_u64()? == 1 {
            read.var_bytes()?;
        } else {
            read.var_u64()?;
            read.var_u64()?;
        }
        if info & PARENT_KEY != 0 {
            read.var_bytes()?;
        }
    }
    match content {
        1 => Ok((read.var_u64()?, false)),
        4 => Ok((utf16_len(read.var_bytes()?), false)),
        other => bail!("content {other} in an update, where only text was written"),
    }
}

/// Yjs counts text in UTF-16 code units.
fn utf16_len(utf8: &[u8]) -> u64 {
    utf8.iter()
        .map(|&byte| u64::from(byte & 0xC0 != 0x80) + u64::from(byte >= 0xF0))
        .sum()
}
