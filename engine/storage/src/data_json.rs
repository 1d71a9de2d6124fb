//! The seed's `data.json`: one object, padded base64url keys to padded base64url values.
//!
//! What is written is byte-equal to what Go's `json.Marshal` makes of a `map[string]string`: members sorted by the
//! bytes of the *encoded* key (which is not the order of the keys themselves), no spaces, no final newline. What is
//! read is refused as a whole when one entry is not what the seed writes: half an import would look like a whole one.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::iter::Peekable;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Why a file is not a `data.json`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataJsonError {
    /// It is not one JSON object, or there is something after it.
    #[error("not a data.json: {reason}; expected one object of base64url strings, and nothing after it")]
    Malformed {
        /// What the parser said, and where.
        reason: String,
    },
    /// A key is not padded base64url.
    #[error("the key {key:?} is not padded base64url ({reason}); nothing was read")]
    Key {
        /// The key as it stands in the file.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value is not a string of padded base64url.
    #[error("the value of {key:?} is not a string of padded base64url ({reason}); nothing was read")]
    Value {
        /// The entry's key as it stands in the file.
        key: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// A key stands in it twice.
    #[error("the key {key:?} stands in it twice; remove one of the two entries")]
    Duplicate {
        /// The key as it stands in the file.
        key: String,
    },
}

/// About how many bytes a piece has. One with a large value has more.
const PIECE_BYTES: usize = 64 << 10;

/// A key as it stands in a `data.json`: the one name that a key has there when it is no text.
pub fn encoded_key(key: &[u8]) -> String {
    URL_SAFE.encode(key)
}

/// The bytes of a `data.json` with these entries. Of two entries with one key the later wins.
pub fn encode<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    encode_in_pieces(entries).collect::<Vec<_>>().concat()
}

/// The same bytes, a piece at a time, for a store that should not stand in memory twice. Keys are encoded at once, to
/// be sorted; values only when it is their turn.
pub fn encode_in_pieces<'a, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (&'a [u8], V)>) -> Pieces<V> {
    let sorted: BTreeMap<String, V> =
        entries.into_iter().map(|(key, value)| (encoded_key(key), value)).collect();
    Pieces { entries: sorted.into_iter().peekable(), next: Some("{") }
}

/// Gives a `data.json` a piece at a time.
#[derive(Debug)]
pub struct Pieces<V> {
    entries: Peekable<btree_map::IntoIter<String, V>>,
    /// What the next piece begins with; nothing when the last one was given.
    next: Option<&'static str>,
}

impl<V: AsRef<[u8]>> Iterator for Pieces<V> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut text = String::from(self.next?);
        while let Some((key, value)) = self.entries.next() {
            text.push('"');
            text.push_str(&key);
            text.push_str("\":\"");
            URL_SAFE.encode_string(value, &mut text);
            text.push('"');
            if self.entries.peek().is_some() {
                text.push(',');
                if text.len() >= PIECE_BYTES {
                    self.next = Some("");
                    return Some(text.into_bytes());
                }
            }
        }
        text.push('}');
        self.next = None;
        Some(text.into_bytes())
    }
}

/// The entries of a `data.json`, sorted by key.
///
/// # Errors
/// [`DataJsonError`], which names the entry. Nothing is read then.
pub fn decode(bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, DataJsonError> {
    let mut problem = None;
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let parsed = parser.deserialize_map(Entries { problem: &mut problem });
    if let Some(problem) = problem {
        return Err(problem);
    }
    let malformed = |error: serde_json::Error| DataJsonError::Malformed { reason: error.to_string() };
    let entries = parsed.map_err(malformed)?;
    parser.end().map_err(malformed)?;
    Ok(entries)
}

/// Reads the object. A problem with one entry is put aside, because the parser's own error can only carry a text.
struct Entries<'a> {
    problem: &'a mut Option<DataJsonError>,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = BTreeMap<Vec<u8>, Vec<u8>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of base64url strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
            if let Err(problem) = insert(&mut entries, key, &value) {
                *self.problem = Some(problem);
                return Err(A::Error::custom("an entry is refused"));
            }
        }
        Ok(entries)
    }
}

fn insert(
    entries: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    key: String,
    value: &serde_json::Value,
) -> Result<(), DataJsonError> {
    let decoded_key = match URL_SAFE.decode(&key) {
        Ok(decoded) => decoded,
        Err(error) => return Err(DataJsonError::Key { key, reason: error.to_string() }),
    };
    let Some(text) = value.as_str() else {
        return Err(DataJsonError::Value { key, reason: "it is no string".to_owned() });
    };
    let decoded_value = match URL_SAFE.decode(text) {
        Ok(decoded) => decoded,
        Err(error) => return Err(DataJsonError::Value { key, reason: error.to_string() }),
    };
    if entries.insert(decoded_key, decoded_value).is_some() {
        return Err(DataJsonError::Duplicate { key });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = &'static [(&'static [u8], &'static [u8])];

    #[test]
    fn pieces_are_of_a_size_that_is_worth_sending() {
        let keys: Vec<[u8; 4]> = (0..10_000_u32).map(u32::to_be_bytes).collect();
        let pieces: Vec<Vec<u8>> = encode_in_pieces(keys.iter().map(|key| (&key[..], [7; 100]))).collect();
        assert!(pieces.len() > 2, "{}", pieces.len());
        let (last, others) = pieces.split_last().unwrap();
        assert!(others.iter().all(|piece| (PIECE_BYTES..PIECE_BYTES + 1000).contains(&piece.len())));
        assert!(last.len() < PIECE_BYTES + 1000);
        assert_eq!(decode(&pieces.concat()).unwrap().len(), 10_000);
    }

    /// What `json.Marshal` makes of a map whose keys and values went through `base64.URLEncoding.EncodeToString`,
    /// by the rules of Go's two packages, case by case.
    #[test]
    fn it_is_byte_equal_to_what_go_writes() {
        let cases: [(Pairs, &str); 7] = [
            (&[], "{}"),
            (&[(b"key", b"value")], r#"{"a2V5":"dmFsdWU="}"#),
            (&[(b"", b"")], r#"{"":""}"#),
            // Padding of two, one and none; bytes that are no UTF-8; the two letters of the URL alphabet.
            (&[(b"a", b"\xff\xfe\xfd")], r#"{"YQ==":"__79"}"#),
            (&[(b"k", b"\xfb\xef\xbe")], r#"{"aw==":"----"}"#),
            // Sorted by the encoded key: "~" is "fg==", which comes after "MA==" (0) and "YQ==" (a); 0xff is "_w==",
            // which comes between upper and lower case; 0xf8 is "-A==", which comes first.
            (
                &[(b"a", b"1"), (b"\xff", b"2"), (b"~", b"3"), (b"0", b"4"), (b"\xf8", b"5")],
                r#"{"-A==":"NQ==","MA==":"NA==","YQ==":"MQ==","_w==":"Mg==","fg==":"Mw=="}"#,
            ),
            // Nothing that Go's encoder would escape (<, >, &, U+2028) is in the alphabet.
            (&[(b"<script>&", b"\xe2\x80\xa8")], r#"{"PHNjcmlwdD4m":"4oCo"}"#),
        ];
        for (entries, text) in cases {
            assert_eq!(String::from_utf8(encode(entries.iter().copied())).unwrap(), text);
            let expected = entries.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            assert_eq!(decode(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn pieces_are_bounded_and_add_up() {
        let value = vec![7; 10_000];
        let keys: Vec<Vec<u8>> = (0..100_u8).map(|number| vec![number]).collect();
        let entries = || keys.iter().map(|key| (&**key, &*value));
        let pieces: Vec<Vec<u8>> = encode_in_pieces(entries()).collect();
        assert!(pieces.len() > 10);
        assert!(pieces.iter().all(|piece| piece.len() < PIECE_BYTES + 20_000));
        assert_eq!(pieces.concat(), encode(entries()));
        assert_eq!(decode(&pieces.concat()).unwrap().len(), 100);
    }

    #[test]
    fn what_people_do_to_a_file_by_hand_is_read() {
        let text = " {\n  \"a2V5\" : \"dmFsdWU=\",\r\n\t\"a\\u0032V6\": \"\" }\n";
        let expected = BTreeMap::from([(b"key".to_vec(), b"value".to_vec()), (b"kez".to_vec(), Vec::new())]);
        assert_eq!(decode(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let cases = [
            ("", "EOF"),
            ("null", "expected an object"),
            ("[]", "expected an object"),
            ("\"a\"", "expected an object"),
            ("{\"a2V5\":\"dmFsdWU=\"", "EOF"),
            ("{\"a2V5\":\"dmFsdWU=\"}}", "trailing characters"),
            ("{} {}", "trailing characters"),
            ("{a2V5:\"\"}", "key must be a string"),
            ("\u{feff}{}", "expected value"),
        ];
        for (text, said) in cases {
            let error = decode(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        }
        assert!(matches!(decode(b"{\"\xff\":\"\"}"), Err(DataJsonError::Malformed { .. })));
    }

    #[test]
    fn one_bad_entry_refuses_the_file_and_is_named() {
        let key = |key: &str| key.to_owned();
        for (text, named) in [
            (r#"{"a2V5":"dmFsdWU=","a2V":""}"#, "a2V"),
            (r#"{"a+b=":""}"#, "a+b="),
            (r#"{"YR==":""}"#, "YR=="),
            (r#"{"a2V5\n":""}"#, "a2V5\n"),
        ] {
            let error = decode(text.as_bytes()).unwrap_err();
            assert!(matches!(&error, DataJsonError::Key { key, .. } if key == named), "{error}");
            assert!(error.to_string().contains(&format!("{named:?}")));
        }
        for value in ["\"dmFsdWU\"", "1", "null", "[]", "\"d/Fs\""] {
            let error = decode(format!("{{\"a2V5\":{value}}}").as_bytes()).unwrap_err();
            assert!(matches!(&error, DataJsonError::Value { key, .. } if key == "a2V5"), "{error}");
        }
        let twice = decode(br#"{"a2V5":"","a2V5":"dmFsdWU="}"#);
        assert_eq!(twice, Err(DataJsonError::Duplicate { key: key("a2V5") }));
    }
}
