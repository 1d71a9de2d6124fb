//! Serde types to bytes and back: the only place that reads with bincode. What writes the same bytes is `encoder.rs`.
//!
//! bincode is unmaintained (RUSTSEC-2025-0141) and pinned; `docs/adr/0002-bincode.md` says why it is here at
//! all. All of its traps are met in this file: no limit by default, trailing bytes ignored, and sequences of
//! nothing that never end.
//!
//! **Fixed-size integers, little-endian.** The variable-size encoding would save some 20 bytes an entry, a
//! few percent of a small put. It has more than one encoding of the same number, its offsets can't be drawn,
//! and it branches on every field. Fixed it is:
//!
//! ```text
//! bool           1 byte, 0 or 1
//! u32 u64 u128   4, 8, 16 bytes, little-endian; newtypes (Term, Index, NodeId, …) are what they hold
//! struct, tuple  its fields in order, nothing between
//! enum           u32, the variant's position from 0, then its fields
//! Option         1 byte: 0 none, 1 some, then the value
//! bytes          u64 length, then the bytes
//! String         as bytes, UTF-8
//! Vec, sets      u64 number of elements, then each
//! maps           u64 number of pairs, then key and value of each, ascending by key when written
//!
//! an Envelope with a Vote, for example
//!   0        16       32       40          44          52           60
//!   | from   | to     | term   | 2         | last.term | last.index |
//! ```
//!
//! A configuration with join tokens is not quite its fields (`quorate-raft`, `members_bytes.rs`), and drawn in
//! `docs/FORMAT.md`.
//!
//! Variants and fields are known by position alone. New variants go to the end; anything else is a new format
//! version.

use crate::encoder::Encoder;
use bincode::config::{Configuration, Fixint, LittleEndian};
use quorate_kv::Command;
use quorate_raft::{Entry, Envelope, HardState, LogId, Members, Payload, SnapshotMeta};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes one encoded value may have.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

const CONFIG: Configuration<LittleEndian, Fixint> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding();

/// A type whose bytes this crate vouches for.
///
/// Invariants: it holds no fraction and no character, and no sequence in it has elements that take no bytes. Twelve
/// bytes could announce 2^60 of them, and decoding would neither fail nor end. That can't be checked here, so it is
/// promised, type by type.
pub trait Encoded: Serialize + DeserializeOwned {}

impl Encoded for Command {}
impl Encoded for Entry {}
impl Encoded for Envelope {}
impl Encoded for HardState {}
impl Encoded for LogId {}
impl Encoded for Members {}
impl Encoded for Payload {}
impl Encoded for SnapshotMeta {}
impl<T: Encoded> Encoded for Vec<T> {}
impl<T: Encoded> Encoded for Option<T> {}

/// Why bytes are not the value that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field is cut short, or holds what its type can't.
    #[error("{given} bytes are not a {type_name}: {reason}")]
    Malformed {
        /// What was to be decoded.
        type_name: &'static str,
        /// How many bytes there were.
        given: usize,
        /// What the codec said.
        reason: String,
    },
    /// The value ends before the bytes do.
    #[error("a {type_name} takes {consumed} of {given} bytes: it is followed by something else")]
    Trailing {
        /// What was decoded.
        type_name: &'static str,
        /// How many bytes it took.
        consumed: usize,
        /// How many bytes there were.
        given: usize,
    },
    /// More bytes than any value may have.
    #[error("{given} bytes are too many for a {type_name}: at most {MAX_BYTES} are taken")]
    TooLarge {
        /// What was to be decoded.
        type_name: &'static str,
        /// How many bytes there were.
        given: usize,
    },
    /// The payload of a log entry of a kind that this release does not know.
    #[error("a log payload of kind {found}: expected 0 (no-op), 1 (command) or 2 (members)")]
    UnknownPayloadKind {
        /// The kind.
        found: u8,
    },
    /// The payload of a log entry without its first byte, the kind.
    #[error("an empty log payload: expected at least its kind, one byte")]
    EmptyPayload,
}

/// The bytes of `value`. Whether they are more than [`MAX_BYTES`] is for the caller to see.
pub fn encode<T: Encoded>(value: &T) -> Vec<u8> {
    // Most values are small, and then this is all the room they ever need.
    const ROOM: usize = 256;
    let mut bytes = Vec::with_capacity(ROOM);
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the bytes of `value` to `bytes`.
pub fn encode_into<T: Encoded>(value: &T, bytes: &mut Vec<u8>) {
    encode_except(value, bytes, usize::MAX, |_, _| false);
}

/// Appends the bytes of `value` to `bytes`, except for those strings that `takes` takes: it is asked about each of at
/// least `least` bytes, and told where in `bytes` it would stand. The length before it is written all the same.
pub fn encode_except<T: Encoded>(
    value: &T,
    bytes: &mut Vec<u8>,
    least: usize,
    takes: impl FnMut(usize, &[u8]) -> bool,
) {
    value.serialize(&mut Encoder { bytes, least, takes }).expect(
        "every sequence in an Encoded type knows its length, and none holds a fraction or a character",
    );
}

/// The value whose bytes these are, all of them.
///
/// Memory: byte strings are copied once, from `bytes` to where they stay. A length in the bytes can at worst
/// make it take 128 times as much as was given (or 4 KiB) for a string, and 1 MiB for a list, before the lie
/// is found out.
///
/// # Errors
/// [`DecodeError`]; nothing that `bytes` hold makes it panic.
pub fn decode<T: Encoded>(bytes: &[u8]) -> Result<T, DecodeError> {
    // bincode reserves what a string's length announces, up to its limit, which is a constant. No value takes
    // more bytes than there are, so of several limits the smallest that holds all bytes refuses nothing.
    const SMALL: usize = 4 * 1024;
    const MEDIUM: usize = 512 * 1024;
    let type_name = core::any::type_name::<T>();
    let given = bytes.len();
    let decoded = if given <= SMALL {
        bincode::serde::borrow_decode_from_slice(bytes, CONFIG.with_limit::<SMALL>())
    } else if given <= MEDIUM {
        bincode::serde::borrow_decode_from_slice(bytes, CONFIG.with_limit::<MEDIUM>())
    } else if given <= MAX_BYTES {
        bincode::serde::borrow_decode_from_slice(bytes, CONFIG.with_limit::<MAX_BYTES>())
    } else {
        return Err(DecodeError::TooLarge { type_name, given });
    };
    let malformed = |error: bincode::error::DecodeError| DecodeError::Malformed {
        type_name,
        given,
        reason: error.to_string(),
    };
    let (value, consumed) = decoded.map_err(malformed)?;
    if consumed != given {
        return Err(DecodeError::Trailing { type_name, consumed, given });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_raft::{Message, NodeId, Term};

    fn vote() -> Envelope {
        let message = Message::Vote { last: LogId::new(6, 7), transfer: false };
        Envelope { from: NodeId(1), to: NodeId(2), term: Term(5), message }
    }

    #[test]
    fn the_layout_is_as_drawn() {
        let number = |number: u64| number.to_le_bytes().to_vec();
        let wide = |number: u128| number.to_le_bytes().to_vec();
        let drawn = [wide(1), wide(2), number(5), vec![2, 0, 0, 0], number(6), number(7), vec![0]].concat();
        assert_eq!(encode(&vote()), drawn);
        assert_eq!(decode(&drawn), Ok(vote()));
    }

    #[test]
    fn what_is_taken_is_left_out_and_said_where() {
        let put = Command::Put { key: [3; 40].into(), value: [5; 100].into() };
        let whole = encode(&put);
        let mut seen = Vec::new();
        let mut bytes = b"before".to_vec();
        encode_except(&put, &mut bytes, 40, |at, string| {
            seen.push((at, string.to_vec()));
            string.len() == 100
        });
        let key_at = b"before".len() + 4 + 8;
        assert_eq!(seen, [(key_at, vec![3; 40]), (key_at + 40 + 8, vec![5; 100])]);
        bytes.extend_from_slice(&[5; 100]);
        assert_eq!(bytes[6..], whole);

        let mut all = Vec::new();
        encode_except(&put, &mut all, 41, |_, string| string.len() == 40);
        assert_eq!(all, whole, "it is not asked about what is shorter");
    }

    #[test]
    fn bytes_that_are_left_over_are_an_error() {
        let mut bytes = encode(&vote());
        bytes.push(0);
        let error = decode::<Envelope>(&bytes).unwrap_err();
        assert!(matches!(error, DecodeError::Trailing { consumed: 61, given: 62, .. }), "{error}");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = encode(&vote());
        for length in 0..bytes.len() {
            let error = decode::<Envelope>(&bytes[..length]).unwrap_err();
            assert!(matches!(error, DecodeError::Malformed { given, .. } if given == length), "{error}");
        }
    }

    #[test]
    fn more_than_the_limit_is_not_even_looked_at() {
        let error = decode::<Command>(&vec![0; MAX_BYTES + 1]).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
        let large = Command::Put { key: [1].into(), value: vec![7; MAX_BYTES - 21].into() };
        assert_eq!(encode(&large).len(), MAX_BYTES);
        assert_eq!(decode(&encode(&large)), Ok(large));
    }

    /// A few bytes that announce up to 2^64 elements. Reserving for them would abort the test, and that a
    /// string's length meets the limit, not the end of the bytes, shows that it was refused before memory was
    /// taken for it.
    #[test]
    fn an_announced_length_reserves_nothing() {
        for length in [1 << 20, 1 << 40, 1 << 60, u64::MAX] {
            let length = length.to_le_bytes();
            let members = [&[0; 24], &1_u64.to_le_bytes()[..], &[9; 16], &length].concat();
            let DecodeError::Malformed { reason, .. } = decode::<Members>(&members).unwrap_err() else {
                panic!("not malformed")
            };
            assert!(reason.contains("LimitExceeded"), "{reason}");
            assert!(decode::<Vec<Entry>>(&length).is_err());
            assert!(decode::<Members>(&length).is_err());
            let put = [&[0; 4], &length[..], &[7; 100]].concat();
            assert!(decode::<Command>(&put).is_err());
            let import = [&[2, 0, 0, 0], &length[..], &[0; 100]].concat();
            assert!(decode::<Command>(&import).is_err());
        }
    }
}
