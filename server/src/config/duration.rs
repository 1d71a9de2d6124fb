//! Durations as people write them: `5s`, `250ms`, `1m30s`, `1.5h`.

use std::time::Duration;

/// The units, largest first, in microseconds.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Only a number.
    #[error("it has no unit; write for example {0}s or {0}ms")]
    NoUnit(String),
    /// Anything else.
    #[error(
        "it is not a duration; write a number and a unit (d, h, m, s, ms, us), for example 5s, 250ms or 1m30s"
    )]
    Malformed,
    /// More than about 500,000 years.
    #[error("it is too long to be counted")]
    TooLong,
}

/// Reads one or more numbers with units, each with at most six decimals; finer than a microsecond is cut off.
///
/// # Errors
/// [`DurationError`], which says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut microseconds = 0_u64;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = split_where(rest, |byte| !byte.is_ascii_digit() && byte != b'.');
        let (unit, after) = split_where(after, |byte| !byte.is_ascii_lowercase());
        if unit.is_empty() && after.is_empty() && number == text && !number.is_empty() {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(DurationError::Malformed)?;
        let more = scaled(number, *scale)?;
        microseconds = microseconds.checked_add(more).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    Ok(Duration::from_micros(microseconds))
}

fn split_where(text: &str, stops: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(stops).unwrap_or(text.len());
    text.split_at(end)
}

/// `number` (digits, perhaps a point and one to six more digits) times `scale`, exactly.
fn scaled(number: &str, scale: u64) -> Result<u64, DurationError> {
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) if (1..=6).contains(&decimals.len()) => (whole, decimals),
        Some(_) => return Err(DurationError::Malformed),
        None => (number, ""),
    };
    if whole.is_empty() || decimals.contains('.') {
        return Err(DurationError::Malformed);
    }
    let whole: u64 = whole.parse().map_err(|_| DurationError::TooLong)?;
    // At most 999,999, so that the product with the largest scale fits.
    let millionths: u64 = format!("{decimals:0<6}").parse().map_err(|_| DurationError::Malformed)?;
    let fraction = millionths * scale / 1_000_000;
    whole.checked_mul(scale).and_then(|sum| sum.checked_add(fraction)).ok_or(DurationError::TooLong)
}

/// Writes a duration in the largest unit that needs no decimals, as [`parse_duration`] reads it.
pub fn duration_text(duration: Duration) -> String {
    let microseconds = duration.as_micros();
    if microseconds == 0 {
        return "0s".to_owned();
    }
    let fits = |scale: u64| microseconds.is_multiple_of(u128::from(scale));
    let (unit, scale) = UNITS.into_iter().find(|(_, scale)| fits(*scale)).unwrap_or(("us", 1));
    format!("{}{unit}", microseconds / u128::from(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        let cases = [
            ("5s", 5_000_000, "5s"),
            ("250ms", 250_000, "250ms"),
            ("10m", 600_000_000, "10m"),
            ("1m30s", 90_000_000, "90s"),
            ("1.5h", 5_400_000_000, "90m"),
            ("12.3s", 12_300_000, "12300ms"),
            ("0s", 0, "0s"),
            ("7us", 7, "7us"),
            ("2d", 172_800_000_000, "2d"),
            ("0.000001s", 1, "1us"),
        ];
        for (text, microseconds, written) in cases {
            let duration = Duration::from_micros(microseconds);
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
            assert_eq!(duration_text(duration), written, "{text}");
            assert_eq!(parse_duration(written), Ok(duration), "{written}");
        }
    }

    #[test]
    fn what_is_no_duration_says_what_to_write() {
        let malformed = [
            "",
            "s",
            "ms5",
            "5 s",
            "-5s",
            "5S",
            "5x",
            "5s5",
            "1.s",
            ".5s",
            "1.2.3s",
            "1.1234567s",
            "5s ",
            "µs",
        ];
        for text in malformed {
            assert_eq!(parse_duration(text), Err(DurationError::Malformed), "{text:?}");
        }
        assert_eq!(parse_duration("5"), Err(DurationError::NoUnit("5".to_owned())));
        for text in ["99999999999999999999s", "9999999999999d", "213503982d213503982d"] {
            assert_eq!(parse_duration(text), Err(DurationError::TooLong), "{text:?}");
        }
    }
}
