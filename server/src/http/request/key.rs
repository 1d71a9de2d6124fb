//! From the path of a request to a key.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::ApiError;

/// The longest key, in bytes after decoding.
pub const MAX_KEY_BYTES: usize = 4096;

/// Percent-decodes what follows `/key/`, and takes it as it is: `%2F` is `/`, `//` and `..` are kept, `+` is a plus.
///
/// # Errors
/// `malformed` for a `%` without two hex digits; `key_empty`, `key_too_long`, `key_not_utf8`.
pub(crate) fn decode_key(encoded: &str) -> Result<Cow<'_, [u8]>, ApiError> {
    if let Some(at) = invalid_escape(encoded) {
        let seen: String = encoded[at..].chars().take(3).collect();
        return Err(ApiError::Malformed(format!(
            "the key has {seen:?} at byte {at}, which is no percent escape: write % itself as %25"
        )));
    }
    let key: Cow<'_, [u8]> = percent_decode_str(encoded).into();
    check_key(&key)?;
    Ok(key)
}

/// Whether bytes can be a key.
///
/// # Errors
/// `key_empty`, `key_too_long`, `key_not_utf8`.
pub(crate) fn check_key(key: &[u8]) -> Result<(), ApiError> {
    if key.is_empty() {
        return Err(ApiError::KeyEmpty);
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(ApiError::KeyTooLong(key.len()));
    }
    match std::str::from_utf8(key) {
        Ok(_) => Ok(()),
        Err(error) => Err(ApiError::KeyNotUtf8 { valid_bytes: error.valid_up_to() }),
    }
}

/// Where the first `%` is that two hex digits don't follow. The decoder would leave it as it is, and two different
/// requests would mean one key.
pub(super) fn invalid_escape(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    bytes
        .iter()
        .enumerate()
        .find(|(at, byte)| **byte == b'%' && !(is_hex(at + 1) && is_hex(at + 2)))
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn keys_are_taken_as_they_are() {
        let cases = [
            ("a", "a"),
            ("a/b", "a/b"),
            ("a%2Fb", "a/b"),
            ("a%2fb", "a/b"),
            ("a//b", "a//b"),
            ("/", "/"),
            ("..", ".."),
            ("a/../b", "a/../b"),
            ("%25", "%"),
            ("%2525", "%25"),
            ("a+b", "a+b"),
            ("a%20b", "a b"),
            ("%00", "\0"),
            ("%C3%BC", "ü"),
            ("ü", "ü"),
            ("a;b=c&d", "a;b=c&d"),
        ];
        for (encoded, key) in cases {
            assert_eq!(decode_key(encoded).unwrap(), key.as_bytes(), "{encoded}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_code() {
        let long = "a".repeat(4097);
        let cases = [
            ("", "key_empty"),
            ("%", "malformed"),
            ("a%", "malformed"),
            ("%2", "malformed"),
            ("%zz", "malformed"),
            ("%2\u{fc}", "malformed"),
            ("%FF", "key_not_utf8"),
            ("a%C3", "key_not_utf8"),
            ("%ED%A0%80", "key_not_utf8"),
            (long.as_str(), "key_too_long"),
        ];
        for (encoded, code) in cases {
            assert_eq!(decode_key(encoded).unwrap_err().name().1, code, "{encoded}");
        }
    }

    #[test]
    fn the_limit_counts_decoded_bytes() {
        assert_eq!(decode_key(&"%61".repeat(4096)).unwrap().len(), 4096);
        assert_eq!(decode_key(&"%61".repeat(4097)), Err(ApiError::KeyTooLong(4097)));
    }

    #[test]
    fn a_message_shows_what_was_seen() {
        let message = decode_key("abc%2x").unwrap_err().to_string();
        assert!(message.contains("\"%2x\" at byte 3"), "{message}");
    }
}
