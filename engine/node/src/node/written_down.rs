//! A node written down but for its store, to go on from there another time.

use super::housekeeping::Housekeeping;
use super::reads::Lookup;
use super::{Held, Node, NodeConfig, standing};
use crate::checkpoints::Checkpoints;
use crate::clock::Clock;
use crate::holds::Holds;
use crate::pending::Pending;
use crate::request::RequestId;
use crate::state::State;
use quorate_kv::Boundary;
use quorate_raft::{BadOutline, Entry, Index, LogId, Outline, Time};
use quorate_wire::codec::Encoded;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// The entries since the last boundary are written down with their payloads when they weigh no more than this: then the
/// store can be made of a checkpoint without the log.
const MOST_PAYLOAD_BYTES: usize = 256 << 10;

/// All of a node but its store, of which it has what a store must amount to that is to take the place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Base {
    config: NodeConfig,
    raft: Outline,
    /// Term, index and bytes of commands since.
    boundary: (u64, u64, u64),
    freed_bytes: u64,
    state_hash: u64,
    pending: Pending,
    reads: BTreeMap<RequestId, Lookup>,
    canceled_reads: usize,
    transfers: Vec<RequestId>,
    checkpoints: Checkpoints,
    clock: Clock,
    housekeeping: Housekeeping,
    holds: Holds,
    relieved_segment: u32,
    relief_at: Option<Time>,
    now: Time,
}

impl Encoded for Base {}

/// Why a node can't go on from what was written down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    /// The core's parts do not fit together.
    #[error(transparent)]
    Core(#[from] BadOutline),
    /// The store is not the one that the node had.
    #[error("the store has the state hash {found:016x}, and the node had one with {expected:016x}")]
    Store {
        /// What the node had.
        expected: u64,
        /// What there is.
        found: u64,
    },
}

impl Node {
    /// The node but for its store. Nothing while a store is being restored, which is part of it, or while leadership is
    /// being handed over.
    ///
    /// # Panics
    /// When it has outputs that were not polled.
    pub(crate) fn base(&self) -> Option<Base> {
        if self.state.is_restoring() || self.held.count() > 0 {
            return None;
        }
        assert!(self.out.is_empty(), "{} outputs were not polled", self.out.len());
        let boundary = self.state.boundary;
        Some(Base {
            config: self.config.clone(),
            raft: self.raft.outline(Index(boundary.index), MOST_PAYLOAD_BYTES),
            boundary: (boundary.term, boundary.index, boundary.command_bytes),
            freed_bytes: self.state.freed_bytes(),
            state_hash: self.state.kv.state_hash(),
            pending: self.pending.clone(),
            reads: self.reads.clone(),
            canceled_reads: self.canceled_reads,
            transfers: self.transfers.clone(),
            checkpoints: self.checkpoints.clone(),
            clock: self.clock.clone(),
            housekeeping: self.housekeeping.clone(),
            holds: self.holds.clone(),
            relieved_segment: self.relieved_segment,
            relief_at: self.relief_at,
            now: self.now,
        })
    }
}

impl Base {
    /// The last entry that the store had applied.
    pub(crate) fn applied(&self) -> LogId {
        self.raft.applied()
    }

    /// The entries above this one are in it.
    pub(crate) fn whole_above(&self) -> Index {
        self.raft.whole().first().map_or(self.applied().index, |first| first.id.index.previous())
    }

    /// About how many bytes the entries are that are in it.
    pub(crate) fn weight(&self) -> usize {
        self.raft.whole().iter().map(Entry::weight).sum()
    }

    /// The last boundary of checkpoints before it.
    pub(crate) fn boundary(&self) -> LogId {
        LogId::new(self.boundary.0, self.boundary.1)
    }

    pub(crate) fn raft(&self) -> &Outline {
        &self.raft
    }

    pub(crate) fn config(&self) -> &NodeConfig {
        &self.config
    }

    pub(crate) fn holds(&self) -> &Holds {
        &self.holds
    }

    /// When the last input came.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// The node, with this store.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub(crate) fn into_node(self, mut state: State) -> Result<Node, Mismatch> {
        let (term, index, command_bytes) = self.boundary;
        state.boundary = Boundary { term, index, command_bytes };
        state.set_freed_bytes(self.freed_bytes);
        let (expected, found) = (self.state_hash, state.kv.state_hash());
        if expected != found {
            return Err(Mismatch::Store { expected, found });
        }
        let raft = self.raft.into_core()?;
        // It had nothing more to say when it was written down, so it stands as it had said.
        let standing = standing(&raft, &state);
        Ok(Node {
            config: self.config,
            raft,
            state,
            pending: self.pending,
            reads: self.reads,
            canceled_reads: self.canceled_reads,
            held: Held::default(),
            transfers: self.transfers,
            standing,
            checkpoints: self.checkpoints,
            clock: self.clock,
            housekeeping: self.housekeeping,
            holds: self.holds,
            relieved_segment: self.relieved_segment,
            relief_at: self.relief_at,
            now: self.now,
            out: VecDeque::new(),
        })
    }
}
