//! Parts of a struct as structs of their own.
//!
//! What Yjs does when a reader already has the beginning of a struct: the part's origin is the unit before it, the
//! right origin stays, and the content is cut in UTF-16 units or values. A surrogate pair that a cut goes through
//! becomes U+FFFD on both sides, in Yjs and yrs alike.

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
    ids::Id,
    scan::{
        CONTENT_BITS, DELETED, HAS_ORIGIN, HAS_PARENT_SUB, HAS_RIGHT_ORIGIN, Kind, StructView,
        skip_value,
    },
    varint::{Reader, write_bytes, write_var},
};

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Walks over one struct from its first clock to its last, so that many parts cost no more than one pass.
pub(super) struct Parts<'a, 'v> {
    client: ClientId,
    view: &'v StructView<'a>,
    head: &'a [u8],
    content: Content<'a>,
    /// First clock of the next part.
    at: Clock,
}

enum Content<'a> {
    /// Only a length: collected and deleted structs.
    Length,
    String(Text<'a>),
    Values(Reader<'a>),
    /// One clock long, so never cut.
    Whole(&'a [u8]),
}

impl<'a, 'v> Parts<'a, 'v> {
    /// `bytes` is the update that `view` was read from.
    pub(super) fn new(bytes: &'a [u8], client: ClientId, view: &'v StructView<'a>) -> Self {
        let part = |range: std::ops::Range<usize>| bytes.get(range).unwrap_or_default();
        let raw = part(view.content_at..view.bytes.end);
        let mut reader = Reader::new(raw);
        let content = match view.kind {
            Kind::Gc | Kind::Skip | Kind::Deleted => Content::Length,
            Kind::String => Content::String(Text::new(reader.var_bytes().unwrap_or_default())),
            Kind::Any => {
                // The count; each part writes its own.
                reader.var_u64().unwrap_or_default();
                Content::Values(reader)
            }
            _ => Content::Whole(raw),
        };
        Self {
            client,
            view,
            head: part(view.bytes.start..view.content_at),
            content,
            at: view.clock,
        }
    }

    /// Appends everything from the last part up to `end` as one struct.
    pub(super) fn keep(&mut self, out: &mut Vec<u8>, end: Clock) {
        let len = end.saturating_sub(self.at);
        self.write_head(out, self.view.info & CONTENT_BITS);
        match &mut self.content {
            Content::Length => write_var(out, u64::from(len)),
            Content::String(text) => text.advance(len).write(out),
            Content::Values(values) => {
                write_var(out, u64::from(len));
                out.extend_from_slice(advance_values(values, len));
            }
            Content::Whole(raw) => out.extend_from_slice(raw),
        }
        self.at = end;
    }

    /// Appends everything from the last part up to `end` as a deleted item, without the length that ends it: the
    /// caller may let it grow. Returns that length.
    pub(super) fn delete(&mut self, out: &mut Vec<u8>, end: Clock) -> Clock {
        let len = end.saturating_sub(self.at);
        self.write_head(out, DELETED);
        self.skip(end);
        len
    }

    /// Leaves out everything from the last part up to `end`.
    pub(super) fn skip(&mut self, end: Clock) {
        let len = end.saturating_sub(self.at);
        match &mut self.content {
            Content::Length | Content::Whole(_) => {}
            Content::String(text) => drop(text.advance(len)),
            Content::Values(values) => drop(advance_values(values, len)),
        }
        self.at = end;
    }

    /// The unit before the next part: what the part has as its origin.
    pub(super) fn origin(&self) -> Option<Id> {
        if self.at > self.view.clock {
            Some(Id::new(self.client, self.at - 1))
        } else {
            self.view.origin
        }
    }

    fn write_head(&self, out: &mut Vec<u8>, content: u8) {
        if self.view.kind == Kind::Gc || self.view.kind == Kind::Skip {
            out.push(self.view.info);
        } else if self.at == self.view.clock {
            out.push(self.view.info & !CONTENT_BITS | content);
            out.extend_from_slice(self.head.get(1..).unwrap_or_default());
        } else {
            out.push(self.view.info & (HAS_RIGHT_ORIGIN | HAS_PARENT_SUB) | HAS_ORIGIN | content);
            Id::new(self.client, self.at - 1).write(out);
            if let Some(right) = self.view.right_origin {
                right.write(out);
            }
        }
    }
}

fn advance_values<'a>(values: &mut Reader<'a>, count: Clock) -> &'a [u8] {
    let rest = values.rest();
    let before = values.position();
    for _ in 0..count {
        if skip_value(values).is_err() {
            break;
        }
    }
    rest.get(..values.position() - before).unwrap_or_default()
}

/// UTF-8 text that is consumed in UTF-16 units.
struct Text<'a> {
    rest: &'a [u8],
    /// The last part ended between the two halves of a pair.
    inside_pair: bool,
}

struct TextPart<'a> {
    pair_before: bool,
    whole: &'a [u8],
    pair_after: bool,
}

impl<'a> Text<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            inside_pair: false,
        }
    }

    fn advance(&mut self, units: Clock) -> TextPart<'a> {
        let pair_before = std::mem::take(&mut self.inside_pair) && units > 0;
        let mut left = units - Clock::from(pair_before);
        let mut offset = 0;
        while left > 0 {
            let Some(&first) = self.rest.get(offset) else {
                break;
            };
            let (bytes, units) = match first {
                0x00..=0x7f => (1, 1),
                0x80..=0xdf => (2, 1),
                0xe0..=0xef => (3, 1),
                0xf0..=0xff => (4, 2),
            };
            if units > left {
                self.inside_pair = true;
                break;
            }
            left -= units;
            offset += bytes;
        }
        let (whole, rest) = self
            .rest
            .split_at_checked(offset)
            .unwrap_or((self.rest, &[]));
        self.rest = if self.inside_pair {
            rest.get(4..).unwrap_or_default()
        } else {
            rest
        };
        TextPart {
            pair_before,
            whole,
            pair_after: self.inside_pair,
        }
    }
}

impl TextPart<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        if !self.pair_before && !self.pair_after {
            return write_bytes(out, self.whole);
        }
        let halves = usize::from(self.pair_before) + usize::from(self.pair_after);
        write_var(out, (self.whole.len() + halves * REPLACEMENT.len()) as u64);
        if self.pair_before {
            out.extend_from_slice(REPLACEMENT);
        }
        out.extend_from_slice(self.whole);
        if self.pair_after {
            out.extend_from_slice(REPLACEMENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, at: &[Clock]) -> Vec<String> {
        let mut rest = Text::new(text.as_bytes());
        at.iter()
            .map(|units| {
                let mut out = Vec::new();
                rest.advance(*units).write(&mut out);
                Reader::new(&out).var_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn text_is_cut_in_utf16_units_and_a_cut_pair_is_replaced() {
        assert_eq!(
            cut("aé文😀z", &[1, 1, 1, 2, 1]),
            ["a", "é", "文", "😀", "z"]
        );
        assert_eq!(cut("a😀z", &[2, 2]), ["a\u{fffd}", "\u{fffd}z"]);
        assert_eq!(
            cut("😀😀", &[1, 2, 1]),
            ["\u{fffd}", "\u{fffd}\u{fffd}", "\u{fffd}"]
        );
        assert_eq!(cut("ab", &[5, 1]), ["ab", ""]);
    }
}
