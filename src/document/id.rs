//! Document names: what a name may be, decided once at the edge.

use std::{borrow::Borrow, fmt, sync::Arc};

/// Longest document name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// A document's name: non-empty UTF-8 of at most 255 bytes without control characters. Opaque to SQL, paths and logs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(Arc<str>);

/// Why a name cannot name a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocIdError {
    #[error("the document name is empty")]
    Empty,
    #[error("the document name is longer than {MAX_NAME_BYTES} bytes")]
    TooLong,
    #[error("the document name contains a control character")]
    Control,
    #[error("the document name is not valid UTF-8")]
    Utf8,
}

impl DocId {
    pub fn parse(name: &str) -> Result<Self, DocIdError> {
        if name.is_empty() {
            return Err(DocIdError::Empty);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(DocIdError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(DocIdError::Control);
        }
        Ok(Self(name.into()))
    }

    /// Decodes the percent-encoding of a raw path segment once and strictly: invalid UTF-8 is an error, never U+FFFD,
    /// so that two names can not fall together.
    pub fn from_raw_path(raw: &str) -> Result<Self, DocIdError> {
        let decoded = percent_encoding::percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| DocIdError::Utf8)?;
        Self::parse(&decoded)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for DocId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_printable_utf8_up_to_255_bytes() {
        assert!(DocId::parse("a/b ü 文").is_ok());
        assert!(DocId::parse(&"x".repeat(255)).is_ok());
        assert_eq!(DocId::parse(""), Err(DocIdError::Empty));
        assert_eq!(DocId::parse(&"x".repeat(256)), Err(DocIdError::TooLong));
        assert_eq!(DocId::parse("a\nb"), Err(DocIdError::Control));
        assert_eq!(DocId::parse("a\u{0}b"), Err(DocIdError::Control));
    }

    #[test]
    fn an_encoded_slash_and_a_slash_name_the_same_document() {
        assert_eq!(DocId::from_raw_path("a%2Fb"), DocId::from_raw_path("a/b"));
        assert_eq!(DocId::from_raw_path("%FF"), Err(DocIdError::Utf8));
        assert_eq!(DocId::from_raw_path("%252e").unwrap().as_str(), "%2e");
    }
}
