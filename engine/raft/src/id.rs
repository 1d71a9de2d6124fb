//! Names of things: nodes, terms, positions in the log, reads and writes.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A node's identity: a UUID, durable before the node first speaks, never used again by another data dir.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u128);

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_id(text).map(NodeId)
    }
}

/// Reads a UUID: 32 hex digits, with or without dashes, with or without `urn:uuid:` before them.
pub fn parse_id(text: &str) -> Result<u128, ParseIdError> {
    let bare = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let dashed = bare.len() == 36 && [8, 13, 18, 23].iter().all(|at| bare.as_bytes()[*at] == b'-');
    let digits: String = if dashed { bare.chars().filter(|c| *c != '-').collect() } else { bare.to_string() };
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ParseIdError { seen: text.to_string() });
    }
    u128::from_str_radix(&digits, 16).map_err(|_| ParseIdError { seen: text.to_string() })
}

/// The text is not a UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseIdError {
    /// What was given.
    pub seen: String,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} is not an id: give a UUID as 32 hex digits, with dashes or not, with urn:uuid: or not",
            self.seen
        )
    }
}

impl core::error::Error for ParseIdError {}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// The one before this; zero stays zero.
            #[must_use]
            pub fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

number! {
    /// An election term (thesis §3.3). Zero is before any election.
    Term
}
number! {
    /// A log index. The first entry has index 1; zero is before the log.
    Index
}
number! {
    /// Names a write the host is asked to make durable. Cumulative: `Written(n)` says this one *and all before
    /// it* are durable, so an answer that arrives late can never be taken for another's.
    WriteId
}
number! {
    /// Names a linearizable read, chosen by the host.
    ReadId
}

/// The identity of a log entry. Two logs that hold the same id hold the same entry and the same prefix (log
/// matching, thesis §3.5). The order is the one votes compare: term first, then index (thesis §3.6.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// The term of the leader that made the entry.
    pub term: Term,
    /// Its position.
    pub index: Index,
}

impl LogId {
    /// Before the first entry.
    pub const ZERO: LogId = LogId { term: Term(0), index: Index(0) };

    /// The id of `index` in `term`.
    pub fn new(term: u64, index: u64) -> Self {
        LogId { term: Term(term), index: Index(index) }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.term, self.index)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_every_usual_form() {
        let id = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        for text in [
            "0123456789abcdef0123456789abcdef",
            "0123456789ABCDEF0123456789ABCDEF",
            "01234567-89ab-cdef-0123-456789abcdef",
            "urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
        ] {
            assert_eq!(parse_id(text), Ok(id), "{text}");
        }
        assert_eq!(NodeId(id).to_string(), "0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn what_is_not_an_id_is_refused_by_name() {
        for text in ["", "12", "+123456789abcdef0123456789abcdef0", "0123456789abcdef-0123456789abcdef"] {
            assert!(parse_id(text).is_err(), "{text}");
        }
        let said = parse_id("zebra").map_err(|error| error.to_string());
        assert!(said.is_err_and(|text| text.contains("zebra")));
    }

    #[test]
    fn a_slot_is_written_in_one_way() {
        let slot = LogId::new(3, 17);
        assert_eq!((alloc::format!("{slot}"), alloc::format!("{slot:?}")), ("3/17".into(), "3/17".into()));
    }

    #[test]
    fn votes_compare_term_before_index() {
        assert!(LogId::new(2, 1) > LogId::new(1, 9));
        assert!(LogId::new(2, 2) > LogId::new(2, 1));
    }
}
