//! What can be asked of a node, and what it answers.

use quorate_kv::{Command, Entry, Kv, Outcome, Revision};
use quorate_raft::{Contact, Index, Learner, NodeId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names a request while it is pending. Chosen by the host, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Change the store. Only a leader takes it.
    Write(Command),
    /// Read one key.
    Read {
        /// The key.
        key: Arc<[u8]>,
        /// How fresh it must be.
        level: ReadLevel,
    },
    /// A copy of the whole store.
    Export {
        /// How fresh it must be.
        level: ReadLevel,
    },
    /// Add a member that receives the log and does not vote, or learn a new contact of a member.
    AddLearner {
        /// The member.
        id: NodeId,
        /// What becomes of it.
        learner: Learner,
        /// How it is reached.
        contact: Contact,
        /// The former holder of the address, which leaves in the same change: it was wiped, and answers there no more.
        replaces: Option<NodeId>,
    },
    /// Make a learner a voter.
    Promote(NodeId),
    /// Take a member out, whatever it is.
    Remove(NodeId),
    /// Make these the voters and those the learners, who stay such. All must be members; whoever is not named leaves.
    SetMembers {
        /// The voters.
        voters: BTreeSet<NodeId>,
        /// The learners.
        learners: BTreeSet<NodeId>,
    },
    /// Hand leadership over, to this node or to the best.
    Transfer(Option<NodeId>),
    /// Take a checkpoint now.
    Checkpoint,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadLevel {
    /// It sees every write that was acknowledged before it was asked, on any node.
    Linearizable,
    /// The same, by the leader's lease while it holds: faster, and true as long as clocks keep to their bound.
    Lease,
    /// Whatever this node has applied.
    Stale,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The write was committed, and applied here.
    Written {
        /// What it did.
        outcome: Outcome,
        /// The store's revision right after it.
        revision: Revision,
    },
    /// What was read.
    Read {
        /// The entry, when the key is there.
        entry: Option<Entry>,
        /// The store's revision.
        revision: Revision,
    },
    /// The whole store.
    Exported(Kv),
    /// The members are as asked.
    MembersChanged {
        /// The log index that set them.
        index: Index,
    },
    /// Leadership was handed over.
    Transferred {
        /// Who leads now.
        leader: NodeId,
    },
    /// A checkpoint is durable.
    Checkpointed,
    /// Definitely not done: this node does not lead.
    NotLeader {
        /// Who does, when known.
        leader: Option<NodeId>,
    },
    /// Definitely not done: another entry was committed in its place. It may be tried again.
    Lost,
    /// It may or may not have been done: a snapshot took the place of the log it was in.
    Unknown,
    /// Definitely not done, and why.
    Refused(Refusal),
}

/// Why a request was refused. Nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too much is pending: try again later.
    Overloaded,
    /// The command is too large for one log entry.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// Another change of members is open: try again soon.
    ChangeInProgress,
    /// The leader was elected only now: try again soon.
    NotSettled,
    /// There is no such member.
    MemberNotFound(NodeId),
    /// Another member has this peer address.
    AddressInUse {
        /// That member.
        by: NodeId,
    },
    /// The node lacks too much of the log to vote or to lead, or is not heard: try again later.
    NotCaughtUp(NodeId),
    /// Of the voters there would be then, no majority is heard.
    WouldLoseQuorum,
    /// The node is a learner and can't lead.
    NotVoter(NodeId),
    /// No other voter could lead now.
    NoSuccessor,
    /// The disk is full, and this would need space: only what frees some is taken.
    DiskFull,
    /// The change is none; the text says why.
    BadChange(String),
}
