//! Times as people and programs write them: RFC 3339 in UTC, to the millisecond.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::clock::UnixMillis;

/// A time in UTC.
pub fn rfc3339(at: UnixMillis) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        // Only a damaged row can hold a time outside of the years 0 to 9999.
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// A time as [`rfc3339`] writes it, in any offset.
pub fn from_rfc3339(text: &str) -> Option<UnixMillis> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    UnixMillis::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_and_never_fails() {
        assert_eq!(rfc3339(1_763_683_867_123), "2025-11-21T00:11:07.123Z");
        assert_eq!(
            from_rfc3339("2025-11-21T01:11:07.123+01:00"),
            Some(1_763_683_867_123)
        );
        assert_eq!(from_rfc3339("yesterday"), None);
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
