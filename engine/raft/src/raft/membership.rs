//! The configurations of the log, the last of which is in force.

use super::outbox::{configuration, slot};
use crate::trace::Configured;
use crate::{Entry, Index, LogId, Members, NodeId, Payload, SnapshotMeta};
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Every configuration from the base of the log on. A configuration takes effect when it is appended and goes
/// when it is truncated (thesis §4.1).
///
/// Invariant: never empty; the ids rise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Membership {
    configurations: Vec<(LogId, Members)>,
}

impl Membership {
    /// From a checkpoint, when there is one, and the membership entries of the log above it.
    pub(super) fn new(snapshot: Option<&SnapshotMeta>, entries: Vec<Entry>) -> Self {
        let base = snapshot
            .map_or((LogId::ZERO, Members::default()), |meta| (meta.members_at, meta.members.clone()));
        let mut membership = Membership { configurations: vec![base] };
        for entry in entries {
            membership.note(&entry);
        }
        membership
    }

    /// The configuration in force.
    pub(super) fn current(&self) -> &Members {
        &self.newest().1
    }

    /// The entry that set it.
    pub(super) fn current_at(&self) -> LogId {
        self.newest().0
    }

    /// The one before, which is in force again if the last one is truncated; `None` when a snapshot has covered it.
    pub(super) fn previous(&self) -> Option<&Members> {
        let before = self.configurations.len().checked_sub(2)?;
        self.configurations.get(before).map(|(_, members)| members)
    }

    /// The configuration in force at `index`, and the entry that set it.
    pub(super) fn at(&self, index: Index) -> &(LogId, Members) {
        let after = self.configurations.partition_point(|(at, _)| at.index <= index);
        &self.configurations[after.saturating_sub(1)]
    }

    /// Whether `id` votes in a configuration that may be the one that counts: the latest, or while that is not known to
    /// be committed, one that it may yet give way to.
    pub(super) fn may_be_needed(&self, id: NodeId, commit: Index) -> bool {
        let from = self.configurations.partition_point(|(at, _)| at.index <= commit).saturating_sub(1);
        self.configurations[from..].iter().any(|(_, members)| members.is_voter(id))
    }

    /// Takes note of an appended entry; true when it is a configuration.
    pub(super) fn note(&mut self, entry: &Entry) -> bool {
        let Payload::Members(members) = &entry.payload else { return false };
        if entry.id > self.current_at() {
            self.configurations.push((entry.id, Members::clone(members)));
        }
        true
    }

    /// Reverts what was appended from `from` on; true when that changed the configuration in force.
    pub(super) fn truncate(&mut self, from: Index) -> bool {
        let before = self.configurations.len();
        while self.configurations.len() > 1 && self.current_at().index >= from {
            self.configurations.pop();
        }
        before != self.configurations.len()
    }

    /// Forgets what is no longer in force at `base`.
    pub(super) fn compact(&mut self, base: Index) {
        let after = self.configurations.partition_point(|(at, _)| at.index <= base);
        self.configurations.drain(..after.saturating_sub(1));
    }

    /// All of them, as a trace has them.
    pub(super) fn configured(&self) -> Vec<Configured> {
        let configured = |(at, members): &(LogId, Members)| Configured {
            at: slot(*at),
            configuration: configuration(members),
        };
        self.configurations.iter().map(configured).collect()
    }

    fn newest(&self) -> &(LogId, Members) {
        self.configurations
            .last()
            .expect("a membership begins with one configuration and never drops the first")
    }
}
