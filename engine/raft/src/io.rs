//! What goes in and what comes out.

use crate::{Done, Entry, Envelope, Event, Index, Job, LogId, NodeId, ReadId, SnapshotMeta, Term, TermRuns};
use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What the host tells the core. Nothing a peer or a disk says can make it panic: what makes no sense is
/// counted and dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The deadline has passed, or the host wants the core to look at the time. Early ones are harmless.
    Timeout,
    /// A peer spoke.
    Message(Envelope),
    /// The link to a peer broke: what was sent lately may be lost.
    Unreachable(NodeId),
    /// Storage has done a job.
    Done(Done),
    /// The state machine has applied every entry up to here, or installed the snapshot that ends here.
    Applied(Index),
}

/// What the core asks of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Send this. It may be lost, doubled or overtaken; never changed.
    Send(Envelope),
    /// Work for storage.
    Job(Job),
    /// Apply these committed entries, after all before them. Answer: [`Input::Applied`].
    Apply(Vec<Entry>),
    /// Replace the state machine's content by this snapshot's, which is durable here. Answer:
    /// [`Input::Applied`] with its last index.
    Install(Box<SnapshotMeta>),
    /// These reads may be served now from the state machine, which has applied all they must see.
    Read(Vec<ReadId>),
    /// Something people want to know.
    Event(Event),
}

/// What a node must never forget: the term it is in and whom it voted for there (thesis §3.3, §3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term this node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
}

/// What recovery found on disk. Membership entries are always known: without them the core could not know its
/// configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Found {
    /// The term and vote.
    pub hard: HardState,
    /// A committed index that was noted with the last write. It only ever understates.
    pub commit_hint: Index,
    /// The newest whole checkpoint.
    pub snapshot: Option<SnapshotMeta>,
    /// The term of every slot. The log may begin below the checkpoint, never above it.
    pub terms: TermRuns,
    /// The membership entries of the log, in order.
    pub members: Vec<Entry>,
    /// Slots whose term is known and whose payload is lost.
    pub damaged: Vec<LogId>,
    /// The first of the slots at the end that were acknowledged and whose very term is lost, when there are
    /// any. `terms` ends before it.
    pub unknown: Option<Index>,
}
