//! What a struct holds: walks over values and JSON without building them.
//!
//! Nothing here recurses by the input's depth beyond the limit that the caller gives, and nothing is allocated by a
//! count that was not checked against the bytes.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use super::{ScanError, Unsupported};
use crate::document::varint::Reader;

/// What a walk noticed about the values it passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Noticed {
    /// A value that does not survive decoding and encoding by yrs.
    pub lossy: bool,
    /// An object with several keys: yrs gives them back in another order.
    pub reordered: bool,
}

/// An array or object that the walk is inside of.
struct Open {
    left: usize,
    keyed: bool,
}

/// Walks over one lib0 `Any` value.
pub(super) fn skip_any<const CHECK: bool>(
    reader: &mut Reader<'_>,
    max_depth: usize,
    noticed: &mut Noticed,
) -> Result<(), ScanError> {
    let mut open = SmallVec::<[Open; 16]>::new();
    loop {
        let at = reader.position();
        match reader.u8()? {
            // undefined, null, false, true
            127 | 126 | 121 | 120 => {}
            125 => {
                // A whole −0 is written as the integer 0 with a sign; yrs reads 0.
                noticed.lossy |= reader.var_i64()? == (true, 0);
            }
            124 => noticed.lossy |= reader.take(4)? == (-0.0f32).to_be_bytes(),
            123 => noticed.lossy |= reader.take(8)? == (-0.0f64).to_be_bytes(),
            122 => {
                // A BigInt; yrs makes a number of it.
                reader.take(8)?;
                noticed.lossy = true;
            }
            119 => skip_str::<CHECK>(reader)?,
            tag @ (118 | 117) => {
                let keyed = tag == 118;
                let left = reader.count(if keyed { 2 } else { 1 })?;
                if open.len() >= max_depth {
                    return Err(ScanError::TooDeep { at, max: max_depth });
                }
                noticed.reordered |= keyed && left > 1;
                open.push(Open { left, keyed });
            }
            116 => {
                reader.var_bytes()?;
            }
            tag => return Err(ScanError::Value { tag, at }),
        }
        loop {
            match open.last_mut() {
                None => return Ok(()),
                Some(Open { left: 0, .. }) => {
                    open.pop();
                }
                Some(Open { left, keyed }) => {
                    *left -= 1;
                    if *keyed {
                        skip_str::<CHECK>(reader)?;
                    }
                    break;
                }
            }
        }
    }
}

#[inline]
pub(super) fn skip_str<const CHECK: bool>(reader: &mut Reader<'_>) -> Result<(), ScanError> {
    read_str::<CHECK>(reader).map(drop)
}

/// The bytes of a string; that they are UTF-8 is only established when `CHECK`.
#[inline]
pub(super) fn read_str<'a, const CHECK: bool>(
    reader: &mut Reader<'a>,
) -> Result<&'a [u8], ScanError> {
    if CHECK {
        Ok(reader.var_str()?.as_bytes())
    } else {
        Ok(reader.var_bytes()?)
    }
}

/// Length of UTF-8 text in UTF-16 units, Yjs' measure of text: a unit for each character, two for those of four bytes.
/// Counted in bytes first, as long as these can not overflow: so the compiler takes many at a time.
#[inline]
pub(crate) fn utf16_len(text: &[u8]) -> usize {
    let units = |byte: &u8| u8::from(byte & 0xc0 != 0x80) + u8::from(*byte >= 0xf0);
    text.chunks(127)
        .map(|chunk| usize::from(chunk.iter().map(units).sum::<u8>()))
        .sum()
}

/// Walks over a JSON string as embeds and marks hold it. Yjs throws where the JSON does not parse, and yrs refuses a
/// few more (lone surrogates, integers beyond 64 bits), so a struct that holds such JSON can never be applied.
pub(super) fn skip_json<const CHECK: bool>(
    reader: &mut Reader<'_>,
    max_depth: usize,
    noticed: &mut Noticed,
) -> Result<(), ScanError> {
    if !CHECK {
        return skip_str::<CHECK>(reader);
    }
    let at = reader.position();
    let json = reader.var_str()?;
    if matches!(json, "true" | "false" | "null" | "{}") {
        return Ok(());
    }
    let mut too_deep = false;
    let mut parser = serde_json::Deserializer::from_str(json);
    let walk = JsonWalk {
        depth_left: max_depth,
        noticed,
        too_deep: &mut too_deep,
    };
    let parsed = walk.deserialize(&mut parser).and_then(|()| parser.end());
    match parsed {
        Ok(()) => Ok(()),
        Err(_) if too_deep => Err(ScanError::TooDeep { at, max: max_depth }),
        Err(_) => Err(ScanError::Json { at }),
    }
}

/// Visits JSON and keeps nothing. Recursion is bounded by `depth_left`.
struct JsonWalk<'n> {
    depth_left: usize,
    noticed: &'n mut Noticed,
    too_deep: &'n mut bool,
}

impl JsonWalk<'_> {
    fn inner(&mut self) -> JsonWalk<'_> {
        JsonWalk {
            depth_left: self.depth_left.saturating_sub(1),
            noticed: self.noticed,
            too_deep: self.too_deep,
        }
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth_left == 0 {
            *self.too_deep = true;
            return Err(E::custom("too deep"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for JsonWalk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonWalk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        i64::try_from(value)
            .map(drop)
            .map_err(|_| E::custom("an integer that yrs refuses"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.noticed.lossy |= value == 0.0 && value.is_sign_negative();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.enter()?;
        while seq.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.enter()?;
        let mut keys = 0usize;
        while map.next_key_seed(self.inner())?.is_some() {
            map.next_value_seed(self.inner())?;
            keys += 1;
        }
        self.noticed.reordered |= keys > 1;
        Ok(())
    }
}

/// Walks over the description of a new shared type.
pub(super) fn skip_type<const CHECK: bool>(reader: &mut Reader<'_>) -> Result<(), ScanError> {
    let at = reader.position();
    // One byte, not a varint: yrs reads a byte here and Yjs a varint, which agree below 128 only.
    match reader.u8()? {
        // array, map, text, fragment, XML text
        0 | 1 | 2 | 4 | 6 => Ok(()),
        // an XML element and its name
        3 => skip_str::<CHECK>(reader),
        5 => Err(ScanError::Unsupported {
            what: Unsupported::XmlHook,
            at,
        }),
        7 => Err(ScanError::Unsupported {
            what: Unsupported::WeakRef,
            at,
        }),
        other => Err(ScanError::Unsupported {
            what: Unsupported::Type(other),
            at,
        }),
    }
}
