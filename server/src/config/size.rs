//! Sizes in bytes as people write them: `1048576`, `512KiB`, `4MiB`.

const UNITS: [(&str, usize); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a size; write a number of bytes, or one with KiB, MiB or GiB, for example 1048576 or 1MiB"
)]
pub struct SizeError;

/// Reads a whole number of bytes, KiB, MiB or GiB.
///
/// # Errors
/// [`SizeError`] when the text is anything else, or more than the machine can address.
pub fn parse_size(text: &str) -> Result<usize, SizeError> {
    let suffixed = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit) = suffixed.unwrap_or((text, 1));
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SizeError);
    }
    number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit)).ok_or(SizeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512KiB", 512 << 10),
            ("4MiB", 4 << 20),
            ("1GiB", 1 << 30),
            ("7B", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "KiB", "1kB", "1 MiB", "-1", "+1", "1.5MiB", "1MB", "99999999999999999999", "99999999999GiB"]
        {
            assert_eq!(parse_size(text), Err(SizeError), "{text}");
        }
    }
}
