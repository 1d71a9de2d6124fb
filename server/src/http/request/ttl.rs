//! How long a key or a lease lives.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::{duration_text, parse_duration};

/// In milliseconds: a second, and ten years.
pub const TTL_MS: RangeInclusive<u64> = 1_000..=3650 * 24 * 60 * 60 * 1_000;

/// Reads a time to live, as in `30s` or `1h30m`, to milliseconds.
///
/// # Errors
/// What is wanted instead.
pub(super) fn parse_ttl(text: &str) -> Result<u64, &'static str> {
    let duration = parse_duration(text).ok();
    let milliseconds = duration.and_then(|duration| u64::try_from(duration.as_millis()).ok());
    milliseconds
        .filter(|milliseconds| TTL_MS.contains(milliseconds))
        .ok_or("a time from 1s to 3650d, for example 30s or 1h30m")
}

/// Writes a time to live, so that it is read as the same.
pub(crate) fn ttl_text(milliseconds: u64) -> String {
    duration_text(Duration::from_millis(milliseconds))
}

/// Writes what is left of a time to live: seconds with one decimal, never more than is left.
pub(crate) fn remaining_text(milliseconds: u64) -> String {
    format!("{}.{}s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_bounded_and_read_as_they_are_written() {
        let cases =
            [("1s", 1_000), ("30s", 30_000), ("1500ms", 1_500), ("1h30m", 5_400_000), ("1.5s", 1_500)];
        for (text, milliseconds) in cases {
            assert_eq!(parse_ttl(text), Ok(milliseconds), "{text}");
            assert_eq!(parse_ttl(&ttl_text(milliseconds)), Ok(milliseconds));
        }
        assert_eq!(parse_ttl("3650d"), Ok(*TTL_MS.end()));
        for text in ["", "0s", "999ms", "1.0s ", "3650d1s", "30", "s", "-1s", "99999999999999d"] {
            assert!(parse_ttl(text).is_err(), "{text}");
        }
        assert_eq!((ttl_text(30_000), ttl_text(1_500)), ("30s".to_owned(), "1500ms".to_owned()));
        assert_eq!((remaining_text(12_399), remaining_text(99)), ("12.3s".to_owned(), "0.0s".to_owned()));
    }
}
