//! When a checkpoint is taken, and what it builds on.
//!
//! A *boundary* is an index after which every node takes one. It is decided by the log alone, so all replicas write the
//! same runs; when they are on the disk is each node's own affair. In between, a checkpoint that was asked for adds a
//! tail to the runs of the last boundary, and changes nothing of what follows (`docs/adr/0005-checkpoints.md`).

use crate::request::RequestId;
use crate::state::State;
use quorate_kv::{RunWriter, Totals};
use quorate_raft::{Entry, Index, LogId, Members, Payload, Raft};
use serde::{Deserialize, Serialize};

/// A checkpoint that the host is to write.
#[derive(Debug)]
pub struct Checkpoint {
    /// The last slot it covers.
    pub last: LogId,
    /// The configuration in force there.
    pub members: Members,
    /// The entry that set it.
    pub members_at: LogId,
    /// The boundary that the rows say the changes since; zero when they are the whole state.
    pub base: LogId,
    /// For a checkpoint between two boundaries: the commands applied since `base`, in bytes.
    pub tail_bytes: Option<u64>,
    /// What all rows must amount to.
    pub totals: Totals,
    /// The rows that changed since `base`, a piece at a time.
    pub rows: RunWriter,
}

/// Where boundaries are, how far checkpoints have come, and who waits for one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoints {
    /// A boundary is at each multiple of this index,
    entries: u64,
    /// and where the commands applied since the last one hold more than so many bytes.
    bytes: u64,
    /// The newest that was begun or found.
    begun: Index,
    /// The newest that is durable.
    durable: Index,
    /// The whole state was given anew here: what is said of older checkpoints means nothing any more.
    anew_at: Index,
    /// Who waits for one that covers this index.
    waiting: Vec<(Index, RequestId)>,
}

impl Checkpoints {
    pub(crate) fn new(entries: u64, bytes: u64, found: Index) -> Self {
        let waiting = Vec::new();
        Checkpoints { entries, bytes, begun: found, durable: found, anew_at: Index(0), waiting }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody waits for `request` any more.
    pub(crate) fn cancel(&mut self, request: RequestId) {
        self.waiting.retain(|(_, waiting)| *waiting != request);
    }

    /// An entry was applied: the checkpoint that is due after it, if one is.
    pub(crate) fn applied(&mut self, entry: &Entry, state: &mut State, raft: &Raft) -> Option<Checkpoint> {
        if let Payload::Command(bytes) = &entry.payload {
            state.boundary.command_bytes += bytes.len() as u64;
        }
        let last = entry.id;
        let due = last.index.0.is_multiple_of(self.entries) || state.boundary.command_bytes > self.bytes;
        if !due {
            return None;
        }
        // Unknown only when a snapshot that covers this index was stored for the sake of damaged slots, and the log
        // below it is gone. The changes go into the next run then.
        let (members, members_at) = raft.checkpoint(last)?;
        self.begun = last.index;
        let base = state.base();
        let sealed = state.seal(last);
        let (totals, rows) = (sealed.totals, sealed.rows);
        Some(Checkpoint { last, members, members_at, base, tail_bytes: None, totals, rows })
    }

    /// Somebody asked for a checkpoint. Nothing when there is one already that covers all that was applied; nor while
    /// one is being made, since each holds rows in memory until it is written: the next is begun when that one is done
    /// ([`Checkpoints::next`]), for all who have come meanwhile.
    pub(crate) fn asked(&mut self, state: &mut State, raft: &Raft) -> Option<Checkpoint> {
        let last = raft.status().applied;
        if last.index <= self.begun || self.are_under_way() || state.is_restoring() {
            return None;
        }
        let (members, members_at) = raft.checkpoint(last)?;
        self.begun = last.index;
        let (base, tail_bytes) = (state.base(), Some(state.boundary.command_bytes));
        let sealed = state.kv.tail();
        let (totals, rows) = (sealed.totals, sealed.rows);
        Some(Checkpoint { last, members, members_at, base, tail_bytes, totals, rows })
    }

    /// Keys were deleted on a full disk. What is added to the runs of the last boundary frees the log alone: the values
    /// stand in those runs until a merge, and a full disk takes no writes that could lead to one. So when much was
    /// deleted the state is given anew as a whole; the ballast is space for that.
    pub(crate) fn relieving(&mut self, state: &mut State, raft: &Raft) -> Option<Checkpoint> {
        if raft.status().applied.index > self.begun && !state.is_restoring() && state.has_shrunk() {
            state.forget_base();
        }
        self.asked(state, raft)
    }

    /// Whether one that was begun is not durable yet.
    pub(crate) fn are_under_way(&self) -> bool {
        self.durable < self.begun
    }

    /// Whether a request has to wait until all up to `applied` is in a checkpoint; if so it does.
    pub(crate) fn wait(&mut self, request: RequestId, applied: Index) -> bool {
        let waits = self.are_under_way();
        if waits {
            self.waiting.push((applied, request));
        }
        waits
    }

    /// A checkpoint is durable, or a snapshot was installed: who waited for it.
    pub(crate) fn taken(&mut self, last: Index) -> Vec<RequestId> {
        self.durable = self.durable.max(last);
        self.begun = self.begun.max(last);
        self.waiting.extract_if(.., |(index, _)| *index <= last).map(|(_, request)| request).collect()
    }

    /// One is done: the next, when somebody waits for it.
    pub(crate) fn next(&mut self, state: &mut State, raft: &Raft) -> Option<Checkpoint> {
        if self.waiting.is_empty() { None } else { self.asked(state, raft) }
    }

    /// What the checkpoint at `last` builds on can't be read any more. The state is sound, so it is given anew as a
    /// whole, and all later ones build on that.
    pub(crate) fn lost(&mut self, last: LogId, state: &mut State, raft: &Raft) -> Option<Checkpoint> {
        // Once that is durable, whatever is said of its slot is said of itself.
        let is_old = last.index < self.anew_at || last.index == self.anew_at && self.are_under_way();
        if is_old || state.is_restoring() {
            return None;
        }
        let applied = raft.status().applied.index;
        self.anew_at = applied;
        state.forget_base();
        // When nothing was applied since, that takes the place of the one which is lost, and nobody is told of that one
        // any more: on an idle node there would never be another.
        self.durable = self.durable.min(applied.previous());
        self.begun = self.durable;
        self.asked(state, raft)
    }
}
