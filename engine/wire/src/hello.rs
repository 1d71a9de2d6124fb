//! The handshake that opens a peer link: who calls, and whether it reached whom it meant.
//!
//! Addresses are reused: a port may now belong to another cluster, or to a node that was wiped and came back
//! under a new id. A vote that reached the wrong one would count twice. So the dialer names the cluster,
//! its history, itself, and the node it means, and the answer names who is really there. The history keeps apart what
//! has one cluster id and two pasts: a cluster that was recovered from lost quorum, and its old members that come back.
//!
//! Laid out by hand, little-endian; the first two bytes of the hello and the first four of the answer never
//! change, so that a release can at least tell another one that they don't understand each other.
//!
//! ```text
//! hello, 68 bytes
//!   0         2         3      4          20         36       52      68
//!   | version | purpose | zero | cluster  | history  | from   | to    |
//!   version   u16    1
//!   purpose   u8     1 peer: envelopes will follow; 2 probe: only asks who is there
//!   zero      u8     0
//!   cluster   u128   the dialer's cluster
//!   history   u128   the history that the dialer follows
//!   from      u128   the dialer
//!   to        u128   whom the dialer means to reach
//!
//! answer, 52 bytes
//!   0         2         3      4          20         36      52
//!   | version | verdict | zero | cluster  | history  | node  |
//!   version   u16    1
//!   verdict   u8     0 accepted; refused: 1 version, 2 cluster, 3 node, 4 dialer, 5 malformed, 6 history
//!   zero      u8     0
//!   cluster   u128   the cluster of the one who answers; 0 while it belongs to none
//!   history   u128   the history that it follows; 0 while it belongs to no cluster
//!   node      u128   the one who answers
//! ```

use core::fmt;

use quorate_raft::NodeId;

use crate::id::{ClusterId, HistoryId};

/// The version of the handshake, and of all that follows it, that this release speaks.
pub const VERSION: u16 = 1;

/// The most bytes a hello or an answer of any version may have.
pub const MAX_BYTES: usize = 4096;

const HELLO_BYTES: usize = 68;
const ANSWER_BYTES: usize = 52;

/// What the dialer wants of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// To send envelopes.
    Peer,
    /// To learn whether the node it means is there: the leader calls a joiner back before it proposes it.
    Probe,
}

/// The first words on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// What the dialer wants.
    pub purpose: Purpose,
    /// The dialer's cluster.
    pub cluster: ClusterId,
    /// The history that the dialer follows.
    pub history: HistoryId,
    /// The dialer.
    pub from: NodeId,
    /// Whom the dialer means to reach.
    pub to: NodeId,
}

/// Whether the dialer may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It may.
    Accepted,
    /// The one who answers does not speak the dialer's version.
    Version,
    /// The one who answers belongs to another cluster.
    Cluster,
    /// The one who answers is not the node that was meant.
    Node,
    /// The dialer is not welcome: it was removed from the cluster, or it bears the id of the one who answers.
    Dialer,
    /// The hello could not be understood.
    Malformed,
    /// The one who answers follows another history of the same cluster: between the two of them, the cluster was
    /// recovered from lost quorum or restored from a backup.
    History,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Verdict::Accepted => "accepted",
            Verdict::Version => "it speaks another version of the peer protocol",
            Verdict::Cluster => "it belongs to another cluster",
            Verdict::Node => "it is another node than the one meant",
            Verdict::Dialer => "it does not take calls from this node",
            Verdict::Malformed => "it did not understand the hello",
            Verdict::History => "it follows another history of the cluster",
        })
    }
}

/// The answer to a [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// Whether the dialer may go on.
    pub verdict: Verdict,
    /// The cluster of the one who answers; `None` while it belongs to none, waiting to join.
    pub cluster: Option<ClusterId>,
    /// The history that it follows; `None` while it belongs to no cluster.
    pub history: Option<HistoryId>,
    /// The one who answers.
    pub node: NodeId,
}

/// Why bytes are no handshake that this release understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The other side speaks another version: answer [`Verdict::Version`].
    #[error("the other side speaks version {found} of the peer protocol, this release version {VERSION}")]
    UnknownVersion {
        /// Its version.
        found: u16,
    },
    /// Too long or too short.
    #[error("a {what} of {found} bytes: expected {expected}")]
    Length {
        /// "hello" or "answer".
        what: &'static str,
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// A field holds what it can't hold.
    #[error("a {what} whose {field} is {found}")]
    Field {
        /// "hello" or "answer".
        what: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        found: u8,
    },
}

impl Hello {
    /// The bytes of this hello.
    pub fn encode(&self) -> Vec<u8> {
        let purpose = match self.purpose {
            Purpose::Peer => 1,
            Purpose::Probe => 2,
        };
        let mut bytes = Vec::with_capacity(HELLO_BYTES);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[purpose, 0]);
        for id in [self.cluster.0, self.history.0, self.from.0, self.to.0] {
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    /// Reads a hello; its version before anything else.
    ///
    /// # Errors
    /// [`HelloError`]; with [`HelloError::UnknownVersion`] nothing else was looked at.
    pub fn decode(bytes: &[u8]) -> Result<Hello, HelloError> {
        let (purpose, [cluster, history, from, to]) = fields("hello", bytes)?;
        let purpose = match purpose {
            1 => Purpose::Peer,
            2 => Purpose::Probe,
            found => return Err(HelloError::Field { what: "hello", field: "purpose", found }),
        };
        let (cluster, history) = (ClusterId(cluster), HistoryId(history));
        Ok(Hello { purpose, cluster, history, from: NodeId(from), to: NodeId(to) })
    }
}

impl Answer {
    /// The bytes of this answer.
    pub fn encode(&self) -> Vec<u8> {
        let verdict = match self.verdict {
            Verdict::Accepted => 0,
            Verdict::Version => 1,
            Verdict::Cluster => 2,
            Verdict::Node => 3,
            Verdict::Dialer => 4,
            Verdict::Malformed => 5,
            Verdict::History => 6,
        };
        let mut bytes = Vec::with_capacity(ANSWER_BYTES);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[verdict, 0]);
        let cluster = self.cluster.map_or(0, |cluster| cluster.0);
        let history = self.history.map_or(0, |history| history.0);
        for id in [cluster, history, self.node.0] {
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    /// Reads an answer; its version before anything else.
    ///
    /// # Errors
    /// [`HelloError`]; with [`HelloError::UnknownVersion`] nothing else was looked at.
    pub fn decode(bytes: &[u8]) -> Result<Answer, HelloError> {
        let (verdict, [cluster, history, node]) = fields("answer", bytes)?;
        let verdict = match verdict {
            0 => Verdict::Accepted,
            1 => Verdict::Version,
            2 => Verdict::Cluster,
            3 => Verdict::Node,
            4 => Verdict::Dialer,
            5 => Verdict::Malformed,
            6 => Verdict::History,
            found => return Err(HelloError::Field { what: "answer", field: "verdict", found }),
        };
        let cluster = (cluster != 0).then_some(ClusterId(cluster));
        let history = (history != 0).then_some(HistoryId(history));
        Ok(Answer { verdict, cluster, history, node: NodeId(node) })
    }
}

/// Both have one shape: version, a byte of meaning, a zero, and ids.
fn fields<const IDS: usize>(what: &'static str, bytes: &[u8]) -> Result<(u8, [u128; IDS]), HelloError> {
    let expected = 4 + 16 * IDS;
    let wrong_length = HelloError::Length { what, expected, found: bytes.len() };
    let (version, rest) = bytes.split_first_chunk().ok_or(wrong_length)?;
    let version = u16::from_le_bytes(*version);
    if version != VERSION {
        return Err(HelloError::UnknownVersion { found: version });
    }
    let ([meaning, zero], rest) = rest.split_first_chunk().ok_or(wrong_length)?;
    let (ids, after) = rest.as_chunks::<16>();
    let ids: &[[u8; 16]; IDS] = ids.try_into().map_err(|_| wrong_length)?;
    if !after.is_empty() {
        return Err(wrong_length);
    }
    if *zero != 0 {
        return Err(HelloError::Field { what, field: "spare byte", found: *zero });
    }
    Ok((*meaning, ids.map(u128::from_le_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        let (cluster, history) = (ClusterId(7), HistoryId(6));
        Hello { purpose: Purpose::Probe, cluster, history, from: NodeId(8), to: NodeId(9) }
    }

    fn answer() -> Answer {
        Answer { verdict: Verdict::Node, cluster: None, history: None, node: NodeId(9) }
    }

    #[test]
    fn lengths_are_as_drawn() {
        assert_eq!(hello().encode().len(), HELLO_BYTES);
        assert_eq!(answer().encode().len(), ANSWER_BYTES);
        assert_eq!(Hello::decode(&hello().encode()), Ok(hello()));
        assert_eq!(Answer::decode(&answer().encode()), Ok(answer()));
    }

    /// Whatever a later release sends, its version can be told, and answered.
    #[test]
    fn the_version_is_read_before_anything_else() {
        for bytes in [b"\x02\x00".as_slice(), b"\x02\x00 of any length at all"] {
            assert_eq!(Hello::decode(bytes), Err(HelloError::UnknownVersion { found: 2 }));
            assert_eq!(Answer::decode(bytes), Err(HelloError::UnknownVersion { found: 2 }));
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        let mut bytes = hello().encode();
        bytes.push(0);
        for length in (0..=bytes.len()).filter(|length| *length != HELLO_BYTES) {
            let expected = HelloError::Length { what: "hello", expected: HELLO_BYTES, found: length };
            assert_eq!(Hello::decode(&bytes[..length]), Err(expected));
        }
    }

    #[test]
    fn fields_that_mean_nothing_are_refused() {
        let patched = |mut bytes: Vec<u8>, at: usize| {
            bytes[at] = 9;
            bytes
        };
        let wrong = |what, field| HelloError::Field { what, field, found: 9 };
        assert_eq!(Hello::decode(&patched(hello().encode(), 2)), Err(wrong("hello", "purpose")));
        assert_eq!(Hello::decode(&patched(hello().encode(), 3)), Err(wrong("hello", "spare byte")));
        assert_eq!(Answer::decode(&patched(answer().encode(), 2)), Err(wrong("answer", "verdict")));
        assert_eq!(Answer::decode(&patched(answer().encode(), 3)), Err(wrong("answer", "spare byte")));
    }
}
