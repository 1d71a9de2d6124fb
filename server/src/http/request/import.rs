//! `POST /data.json`: many keys at once, in the seed's format.

use quorate_storage::data_json::{self, DataJsonError};

use super::ApiError;
use super::key::check_key;
use crate::founding::Pairs;

/// How much of a key an error quotes.
const SHOWN_BYTES: usize = 80;

/// Why a `data.json` is not taken. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// It can't be decoded.
    #[error("{0}")]
    Undecodable(#[from] DataJsonError),
    /// A key is no text.
    #[error(
        "the entry {encoded:?} has a key that, decoded, is not valid UTF-8 from byte {valid_bytes} on: a key is the \
         base64url of UTF-8 text"
    )]
    KeyNotUtf8 {
        /// The beginning of the key as it stands in the file.
        encoded: String,
        /// Where what is not valid begins.
        valid_bytes: usize,
    },
    /// One of its entries can't be stored.
    #[error("the entry with the key {key:?}: {error}")]
    Entry {
        /// The key's beginning.
        key: String,
        /// What a request for it would be answered.
        error: ApiError,
    },
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        let said = error.to_string();
        match error {
            ImportError::Entry { error: ApiError::ValueTooLarge { .. }, .. } => {
                ApiError::EntryValueTooLarge(said)
            }
            _ => ApiError::BadJson(said),
        }
    }
}

/// Keys and values of a `data.json`, checked like those that come one by one.
///
/// # Errors
/// [`ImportError`], which names the entry.
pub(crate) fn parse_import(bytes: &[u8], max_value_bytes: usize) -> Result<Pairs, ImportError> {
    let entries = data_json::decode(bytes)?;
    for (key, value) in &entries {
        let too_large = ApiError::ValueTooLarge { limit: max_value_bytes, sent: Some(value.len() as u64) };
        let checked = check_key(key).and(if value.len() > max_value_bytes { Err(too_large) } else { Ok(()) });
        match checked {
            Ok(()) => {}
            Err(ApiError::KeyNotUtf8 { valid_bytes }) => {
                let mut encoded = data_json::encoded_key(key);
                encoded.truncate(SHOWN_BYTES);
                return Err(ImportError::KeyNotUtf8 { encoded, valid_bytes });
            }
            Err(error) => {
                let key = String::from_utf8_lossy(&key[..key.len().min(SHOWN_BYTES)]).into_owned();
                return Err(ImportError::Entry { key, error });
            }
        }
    }
    Ok(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_entry_that_is_not_taken_is_named_as_the_file_names_it() {
        // The bytes 61 ff: no text, so that only the encoded form can be looked for in the file.
        let error = parse_import(br#"{"YQ==":"","Yf8=":""}"#, 10).unwrap_err().to_string();
        assert_eq!(
            error,
            "the entry \"Yf8=\" has a key that, decoded, is not valid UTF-8 from byte 1 on: a key is the base64url of \
             UTF-8 text"
        );
        let error = parse_import(br#"{"YQ==":"YWFhYQ=="}"#, 3).unwrap_err().to_string();
        assert!(error.starts_with("the entry with the key \"a\": the value has 4 bytes"), "{error}");
    }
}
