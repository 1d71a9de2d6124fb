//! Handing committed entries to the state machine.

use super::Raft;
use crate::{Entry, Index, Job, Load, Output, Reader};
use alloc::vec::Vec;

/// The most bytes of entries handed over at once.
const APPLY_BYTES: usize = 4 << 20;

impl Raft {
    /// Entries are applied when committed *and* durable here, so that a checkpoint never runs ahead of its log.
    /// One hand-over at a time.
    pub(super) fn apply_committed(&mut self) {
        let first = self.applying.next();
        let last = self.commit.min(self.writer.durable());
        let last = last.min(self.damage.intact_from(first, last));
        if self.applied.index != self.applying || self.loading || first > last {
            return;
        }
        match self.log.cached(first, last, APPLY_BYTES) {
            Some(entries) => self.hand_over(entries),
            None => {
                self.loading = true;
                self.load(Reader::Apply, first, last, APPLY_BYTES);
            }
        }
    }

    /// Asks storage for entries that are not in memory: never for those that are not durable yet, which storage
    /// would have to take for damaged. The first always is, since what is not durable is in memory.
    pub(super) fn load(&mut self, reader: Reader, first: Index, last: Index, bytes: usize) {
        let last = last.min(self.writer.durable());
        assert!(first <= last, "loads from {first}, durable up to {last}");
        self.out.push_back(Output::Job(Job::Load(Load { reader, first, last, bytes })));
    }

    fn hand_over(&mut self, entries: Vec<Entry>) {
        if let Some(last) = entries.last() {
            self.applying = last.id.index;
            self.out.push_back(Output::Apply(entries));
        }
    }

    pub(super) fn applied_up_to(&mut self, index: Index) {
        if index < self.applied.index || index > self.applying {
            return self.nonsense(None, "something was applied that was not handed over");
        }
        // Below the base a snapshot is being installed; that will be applied soon, and is what counts.
        self.applied = self.log.terms().id(index).unwrap_or(self.applied);
    }

    /// What a load brought, for whoever wanted it.
    pub(super) fn loaded(&mut self, load: Load, entries: Vec<Entry>) {
        match load.reader {
            Reader::Peer(to) => self.loaded_for_peer(to, load, entries),
            Reader::Repair(to) => self.loaded_for_repair(to, load.first, entries),
            Reader::Apply => {
                self.loading = false;
                let wanted = load.first == self.applying.next() && self.applied.index == self.applying;
                let committed = entries.last().is_some_and(|last| last.id.index <= self.commit);
                if wanted && committed && self.are_ours(load.first, &entries) {
                    self.hand_over(entries);
                }
            }
        }
    }
}
