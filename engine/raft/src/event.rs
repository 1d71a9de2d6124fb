//! What people want to know of an election.

use crate::{LogId, NodeId, Term};

/// Something worth a line in a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// This node runs for office.
    Campaign {
        /// The term it runs in.
        term: Term,
        /// Why.
        cause: CampaignCause,
    },
    /// This node leads.
    BecameLeader {
        /// The term it leads.
        term: Term,
    },
    /// This node no longer leads.
    SteppedDown {
        /// The term it led.
        term: Term,
        /// Why.
        cause: StepDownCause,
    },
    /// This leader hands over to another node; meanwhile it takes no proposals.
    TransferBegun {
        /// The node.
        to: NodeId,
    },
    /// The other node did not take over within an election timeout: this one leads on.
    TransferGivenUp {
        /// The node.
        to: NodeId,
    },
    /// This node follows another.
    Follows {
        /// The term.
        term: Term,
        /// Its leader.
        leader: NodeId,
    },
    /// The configuration in force has changed: appended, reverted or installed.
    MembersChanged {
        /// The entry that set it.
        at: LogId,
    },
    /// A slot's payload was found damaged.
    Damaged {
        /// The slot.
        slot: LogId,
    },
    /// A damaged slot has its payload again.
    Repaired {
        /// The slot.
        slot: LogId,
    },
    /// Nobody leads, and a damaged slot may have been in no other log: this node entered a term to ask.
    Doubts {
        /// The new term.
        term: Term,
        /// The slot.
        slot: LogId,
    },
    /// A damaged slot was never committed: it is given up, with all after it.
    GaveUp {
        /// The slot.
        slot: LogId,
    },
    /// The disk has no space for more log: what needs space is refused, or will be soon.
    ShortOfRoom,
    /// The disk has space again.
    RoomAgain,
    /// A peer or the disk said something that makes no sense; it was dropped.
    Nonsense {
        /// Whose it was.
        from: Option<NodeId>,
        /// What was wrong.
        what: &'static str,
    },
}

/// Why a node runs for office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CampaignCause {
    /// No leader was heard for an election timeout, and a majority would vote for this node.
    NoLeader,
    /// The leader asked it to.
    Transfer,
}

/// Why a leader stepped down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDownCause {
    /// Somebody is in a higher term.
    HigherTerm,
    /// No majority was heard for an election timeout.
    NoQuorum,
    /// The oldest write was not durable within an election timeout.
    SlowDisk,
    /// A damaged slot stayed unfilled for an election timeout.
    Damage,
    /// A configuration in which it does not vote is committed.
    Removed,
}
