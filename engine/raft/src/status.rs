//! How a node stands.

use crate::{Index, LogId, Members, NodeId, Term};

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Leads its term.
    Leader,
    /// Follows a leader or waits for one.
    Follower,
    /// Runs for office, or asks whether it should.
    Candidate,
    /// Receives the log without a vote.
    Learner,
}

/// A look at the core. Its peers are [`Raft::peers`](crate::Raft::peers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// This node.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// The leader of that term, when known.
    pub leader: Option<NodeId>,
    /// Committed up to here.
    pub commit: Index,
    /// Applied up to here.
    pub applied: LogId,
    /// The end of the log.
    pub last: LogId,
    /// The last slot of the newest durable checkpoint.
    pub snapshot: LogId,
    /// The configuration in force.
    pub members: &'a Members,
    /// The entry that set it.
    pub members_at: LogId,
    /// How many slots are damaged or unknown.
    pub damaged: usize,
    /// Whether a leader has committed an entry of its own term, so that reads and changes can begin.
    pub settled: bool,
}

/// How a leader sees a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Its log is known to match up to here, durably.
    pub matched: Index,
    /// How it is being supplied.
    pub state: PeerState,
}

/// How a leader supplies a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// One append at a time, until one succeeds.
    Probe,
    /// Appends one after the other, without waiting.
    Pipeline,
    /// A snapshot.
    Snapshot,
    /// Not heard for an election timeout.
    Down,
}
