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
        if self.applied != self.applying || self.loading || first > last {
            return;
        }
        match self.log.cached(first, last, APPLY_BYTES) {
            Some(entries) => self.hand_over(entries),
            None => {
                self.loading = true;
                let load = Load { reader: Reader::Apply, first, last, bytes: APPLY_BYTES };
                self.out.push_back(Output::Job(Job::Load(load)));
            }
        }
    }

    fn hand_over(&mut self, entries: Vec<Entry>) {
        if let Some(last) = entries.last() {
            self.applying = last.id.index;
            self.out.push_back(Output::Apply(entries));
        }
    }

    pub(super) fn applied_up_to(&mut self, index: Index) {
        if index < self.applied || index > self.applying {
            return self.nonsense(None, "something was applied that was not handed over");
        }
        self.applied = index;
    }

    /// What a load brought, for whoever wanted it.
    pub(super) fn loaded(&mut self, load: Load, entries: Vec<Entry>) {
        match load.reader {
            Reader::Peer(to) => self.loaded_for_peer(to, load, entries),
            Reader::Repair(to) => self.loaded_for_repair(to, entries),
            Reader::Apply => {
                self.loading = false;
                let wanted = load.first == self.applying.next() && self.applied == self.applying;
                if wanted && self.are_ours(&entries) {
                    self.hand_over(entries);
                }
            }
        }
    }
}
