//! lib0's variable-length integers and length-prefixed bytes: the alphabet of updates, state vectors and messages.
//!
//! A [`Reader`] never panics and never allocates: every length is checked against the bytes that are really there.
//! The integer limits are those of JavaScript, because what a stock client can not read must not be let through.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used
    )
)]

/// Largest integer that every Yjs client reads exactly: 2^53 − 1.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Why bytes could not be read, and at which offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the bytes end at {at}, in the middle of a value")]
    End { at: usize },
    #[error("the integer at {at} is larger than 2^53 - 1")]
    Integer { at: usize },
    #[error("the string at {at} is not valid UTF-8")]
    Utf8 { at: usize },
}

/// A cursor over borrowed bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Starts at `position`; one beyond the end reads as an empty rest.
    pub fn at(bytes: &'a [u8], position: usize) -> Self {
        Self {
            bytes,
            position: position.min(bytes.len()),
        }
    }

    /// Offset of the next byte.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// What is left, without moving.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, ReadError> {
        let byte = *self
            .bytes
            .get(self.position)
            .ok_or(ReadError::End { at: self.position })?;
        self.position += 1;
        Ok(byte)
    }

    /// An unsigned integer up to [`MAX_SAFE_INTEGER`]. A longer encoding than necessary is read like any other, as
    /// every client does, up to nine bytes.
    #[inline]
    pub fn var_u64(&mut self) -> Result<u64, ReadError> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.continue_var(u64::from(first & 0x7f), 7)
    }

    /// A signed integer as lib0 writes it: six bits and a sign in the first byte. Returns the sign apart from the
    /// magnitude, because −0 is a value of its own.
    #[inline]
    pub fn var_i64(&mut self) -> Result<(bool, u64), ReadError> {
        let first = self.u8()?;
        let negative = first & 0x40 != 0;
        let low = u64::from(first & 0x3f);
        if first < 0x80 {
            return Ok((negative, low));
        }
        Ok((negative, self.continue_var(low, 6)?))
    }

    fn continue_var(&mut self, low: u64, shift: u32) -> Result<u64, ReadError> {
        let at = self.position;
        let mut value = low;
        let mut shift = shift;
        loop {
            let byte = self.u8()?;
            if shift > 56 {
                return Err(ReadError::Integer { at });
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        if value > MAX_SAFE_INTEGER {
            return Err(ReadError::Integer { at });
        }
        Ok(value)
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: u64) -> Result<&'a [u8], ReadError> {
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| self.position.checked_add(len));
        let taken = end.and_then(|end| self.bytes.get(self.position..end));
        let taken = taken.ok_or(ReadError::End { at: self.position })?;
        self.position += taken.len();
        Ok(taken)
    }

    /// A length and as many bytes.
    #[inline]
    pub fn var_bytes(&mut self) -> Result<&'a [u8], ReadError> {
        let len = self.var_u64()?;
        self.take(len)
    }

    /// A length and as many bytes of UTF-8.
    #[inline]
    pub fn var_str(&mut self) -> Result<&'a str, ReadError> {
        let at = self.position;
        std::str::from_utf8(self.var_bytes()?).map_err(|_| ReadError::Utf8 { at })
    }

    /// How many entries follow, each at least `entry_bytes` long. A count that the rest can not hold is an error, so
    /// that the count may size an allocation.
    #[inline]
    pub fn count(&mut self, entry_bytes: usize) -> Result<usize, ReadError> {
        let count = self.var_u64()?;
        let possible = self.remaining() / entry_bytes.max(1);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= possible)
            .ok_or(ReadError::End {
                at: self.bytes.len(),
            })
    }
}

/// Appends an unsigned integer in the shortest form.
#[inline]
pub fn write_var(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length and the bytes; strings are written so, too.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_var(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes [`write_var`] takes for a value.
pub fn var_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(value in 0..=MAX_SAFE_INTEGER, small in 0u64..300) {
            for value in [value, small] {
                let mut out = Vec::new();
                write_var(&mut out, value);
                prop_assert_eq!(out.len(), var_len(value));
                let mut reader = Reader::new(&out);
                prop_assert_eq!(reader.var_u64(), Ok(value));
                prop_assert!(reader.is_empty());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            while reader.var_u64().is_ok() {}
            let mut reader = Reader::new(&bytes);
            while reader.var_i64().is_ok() {}
            let mut reader = Reader::new(&bytes);
            while reader.var_str().is_ok() {}
            prop_assert!(reader.position() <= bytes.len());
        }
    }

    #[test]
    fn integers_beyond_javascript_are_refused() {
        let mut out = Vec::new();
        write_var(&mut out, MAX_SAFE_INTEGER + 1);
        assert_eq!(
            Reader::new(&out).var_u64(),
            Err(ReadError::Integer { at: 1 })
        );
        assert_eq!(
            Reader::new(&[0xff; 40]).var_u64(),
            Err(ReadError::Integer { at: 1 })
        );
        assert_eq!(
            Reader::new(&[0xff; 40]).var_i64(),
            Err(ReadError::Integer { at: 1 })
        );
    }

    #[test]
    fn a_longer_encoding_than_necessary_is_the_same_number() {
        assert_eq!(Reader::new(&[0x80, 0x00]).var_u64(), Ok(0));
        assert_eq!(Reader::new(&[0x82, 0x80, 0x00]).var_u64(), Ok(2));
    }

    #[test]
    fn minus_zero_keeps_its_sign() {
        assert_eq!(Reader::new(&[0x40]).var_i64(), Ok((true, 0)));
        assert_eq!(Reader::new(&[0x00]).var_i64(), Ok((false, 0)));
        assert_eq!(Reader::new(&[0xc1, 0x01]).var_i64(), Ok((true, 65)));
    }

    #[test]
    fn lengths_are_checked_before_they_are_believed() {
        assert_eq!(
            Reader::new(&[5, 1, 2]).var_bytes(),
            Err(ReadError::End { at: 1 })
        );
        assert_eq!(
            Reader::new(&[200, 1]).count(1),
            Err(ReadError::End { at: 2 })
        );
        assert_eq!(
            Reader::new(&[2, 0xff, 0xfe]).var_str(),
            Err(ReadError::Utf8 { at: 0 })
        );
    }
}
