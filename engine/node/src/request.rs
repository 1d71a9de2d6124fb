//! What can be asked of a node, and what it answers.

use quorate_kv::{Action, Change, ClusterTime, Entry, Lease, LeaseId, Lock, Once, Outcome, Revision};
use quorate_raft::{Contact, Index, Learner, NodeId, TokenFault, TokenHash};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

/// Names a request while it is pending. Chosen by the host, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Change the store. Only a leader takes it.
    Write {
        /// What is to be done.
        action: Action,
        /// The client's name for it, if it gave one: then it is done once.
        once: Option<Once>,
    },
    /// Look something up.
    Read {
        /// What.
        query: Query,
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
        /// What lets it in.
        entrance: Entrance,
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
    /// Make a join token. The same one again is there already, and lives no longer.
    AddToken {
        /// What is kept of it.
        token: TokenHash,
        /// How long it can be used, in milliseconds of cluster time.
        ttl_ms: u64,
    },
}

impl Request {
    /// A change that has no name of the client's.
    pub fn write(action: Action) -> Request {
        Request::Write { action, once: None }
    }

    /// One key as it is.
    pub fn get(key: Arc<[u8]>, level: ReadLevel) -> Request {
        Request::Read { query: Query::Key { key, revision: None }, level }
    }
}

/// What lets a node in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entrance {
    /// Who asks: they may add nodes.
    Open,
    /// This join token, which is spent by the change that adds the node.
    Token(TokenHash),
    /// Nothing: only a member may have another contact.
    Shut,
}

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// One key. Answer: [`Reply::Read`].
    Key {
        /// The key.
        key: Arc<[u8]>,
        /// As it was then; without one, as it is.
        revision: Option<Revision>,
    },
    /// Some keys, in order. Answer: [`Reply::Listed`].
    List(List),
    /// A lease. Answer: [`Reply::Lease`].
    Lease(LeaseId),
    /// Who holds a lock. Answer: [`Reply::Lock`].
    Lock(Arc<[u8]>),
    /// What has changed. Answer: [`Reply::Changes`].
    Changes {
        /// From this revision on.
        from: Revision,
        /// About so many changes; none of a revision is left out.
        limit: usize,
    },
}

/// A range of keys, in pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Where it begins.
    pub start: Bound<Arc<[u8]>>,
    /// The first key that does not belong to it any more.
    pub end: Option<Arc<[u8]>>,
    /// At most so many keys are given; also no more than about [`List::PAGE_BYTES`] of keys and values.
    pub limit: usize,
    /// As they were then; without one, as they are.
    pub revision: Option<Revision>,
}

impl List {
    /// A page holds about so many bytes of keys and values, and at least one key.
    pub const PAGE_BYTES: usize = 256 << 10;
}

/// Some keys of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// As they were at this revision. While more follow, and for half a minute after each page, this node keeps what
    /// it takes to go on at the same one, if that is not too much.
    pub revision: Revision,
    /// Keys and entries, in order.
    pub entries: Vec<(Arc<[u8]>, Entry)>,
    /// Whether the range goes on behind the last of them.
    pub more: bool,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
        /// The outcome is that of an earlier request with the same idempotency key, and nothing was done this time.
        is_replay: bool,
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
    /// Some keys.
    Listed(Page),
    /// A lease.
    Lease {
        /// The lease, if there is one.
        lease: Option<Lease>,
        /// The cluster time as this node knows it: the lease ends when this reaches its end.
        now: ClusterTime,
        /// The store's revision.
        revision: Revision,
    },
    /// A lock.
    Lock {
        /// The lock, if somebody holds it.
        lock: Option<Lock>,
        /// The store's revision.
        revision: Revision,
    },
    /// What has changed.
    Changes {
        /// The changes, the oldest first.
        changes: Vec<Change>,
        /// All changes up to this revision are among them.
        upto: Revision,
    },
    /// The revision that was asked for can't be read.
    OutOfReach {
        /// The oldest that can.
        oldest: Revision,
        /// The newest that can.
        newest: Revision,
    },
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
    /// The join token does not add this node.
    BadToken(TokenFault),
    /// There are as many join tokens as may be.
    TooManyTokens,
}
