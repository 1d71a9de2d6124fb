//! How a node stands.

use quorate_kv::{ClusterTime, Revision};
use quorate_raft::{Index, LogId, Members, NodeId, PeerStatus, Role, Term};

/// A look at a node, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
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
    pub applied: Index,
    /// The end of the log.
    pub last: LogId,
    /// The last slot of the newest durable checkpoint.
    pub snapshot: LogId,
    /// The configuration in force.
    pub members: Members,
    /// The entry that set it.
    pub members_at: LogId,
    /// The peers, on the leader.
    pub peers: Vec<PeerStatus>,
    /// A leader that has committed an entry of its own term.
    pub settled: bool,
    /// How many log slots are damaged or unknown.
    pub damaged: usize,
    /// The disk has no space for more log: writes that need some are refused, or will be soon.
    pub short_of_room: bool,
    /// The store is being restored from a checkpoint.
    pub restoring: bool,
    /// The cluster time, as far as this node knows it.
    pub time: ClusterTime,
    /// The store's revision.
    pub revision: Revision,
    /// How many keys the store has.
    pub keys: usize,
    /// A hash of the store: equal on nodes that have applied the same.
    pub state_hash: u64,
}

/// What makes a host look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    pub(crate) term: Term,
    pub(crate) leader: Option<NodeId>,
    pub(crate) members_at: LogId,
    pub(crate) settled: bool,
    pub(crate) restoring: bool,
    pub(crate) damaged: usize,
    pub(crate) short_of_room: bool,
}
