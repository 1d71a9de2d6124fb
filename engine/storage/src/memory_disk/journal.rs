//! What has been done ahead of time, and what comes of it when the power goes or the process dies.
//!
//! The host calls an operation when it begins, and learns only then when it will end. So readers see its effect at
//! once, a sync's on what is durable waits here until the host's clock has come so far, and until then everything
//! can be undone, the last first. Operations follow one another, so that at any time at most one is in progress.

use quorate_raft::Time;

use super::directory::{Before, Directory, NameChange};
use super::faults::Power;
use super::inode::{InodeNumber, PendingWrite};
use super::pace::Span;
use super::state::State;
use crate::layout::position;
use crate::random::Random;

/// An operation that has not ended.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) span: Span,
    pub(super) effect: Effect,
}

/// What an operation does when it ends, or what it did already and how to undo that.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Write { inode: InodeNumber, offset: u64, old: Vec<u8>, old_length: usize },
    Sync { inode: InodeNumber, writes: Vec<PendingWrite>, failed: bool },
    Name { directory: String, before: Before },
    CreateDirectory { directory: String },
    SyncDirectory { directory: String, changes: Vec<NameChange>, failed: bool },
}

impl State {
    /// What ended by `until` can no more be undone.
    pub(super) fn settle(&mut self, until: Time) {
        while let Some(done) = self.journal.pop_front_if(|first| first.span.end <= until) {
            self.perform(done.effect);
        }
    }

    /// What an operation does when it ends.
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Write { .. } | Effect::Name { .. } | Effect::CreateDirectory { .. } => {}
            Effect::Sync { inode, writes, failed } => {
                if let Some(inode) = self.inodes.get_mut(&inode).filter(|_| !failed) {
                    inode.persist(&writes);
                }
            }
            Effect::SyncDirectory { directory: path, changes, failed } => {
                if let Some(directory) = self.directories.get_mut(&path).filter(|_| !failed) {
                    let displaced = directory.persist(&changes);
                    displaced.into_iter().for_each(|inode| self.release_unless_named(&path, inode));
                }
            }
        }
    }

    fn undo(&mut self, effect: Effect) {
        self.counters.operations_undone += 1;
        match effect {
            // Of a file that nobody can reach any more nothing is left to undo.
            Effect::Write { inode, offset, old, old_length } => {
                if let Some(inode) = self.inodes.get_mut(&inode) {
                    inode.undo_write(offset, &old, old_length);
                }
            }
            Effect::Sync { inode, writes, .. } => {
                if let Some(inode) = self.inodes.get_mut(&inode) {
                    inode.pending = writes;
                }
            }
            Effect::Name { directory, before } => {
                self.named_directory(&directory).undo(before);
            }
            Effect::CreateDirectory { directory } => {
                self.directories.remove(&directory);
            }
            Effect::SyncDirectory { directory, changes, .. } => {
                self.named_directory(&directory).pending = changes;
            }
        }
    }

    /// Undoes what had not begun at `at`, and gives the operation that was in progress then.
    fn stop(&mut self, at: Time) -> Option<Effect> {
        let at = at.max(self.timing.now());
        self.settle(at);
        while let Some(later) = self.journal.pop_back_if(|last| last.span.start >= at) {
            self.undo(later.effect);
        }
        self.timing.cut(at);
        let begun = self.journal.pop_back();
        assert!(self.journal.is_empty(), "at {at} several operations are in progress");
        begun.map(|begun| begun.effect)
    }

    /// The power goes at `at`, and comes back.
    pub(super) fn crash(&mut self, at: Time, seed: u64) {
        let mut random = Random::new(seed);
        let share = match random.next() % 5 {
            0 => 0,
            1 => 256,
            2 => 24,
            3 => 232,
            _ => 128,
        };
        if let Some(effect) = self.stop(at) {
            let happened = match &effect {
                // Pending like any other.
                Effect::Write { .. } | Effect::Name { .. } => true,
                Effect::CreateDirectory { .. } => random.chance(share),
                // What it was to make durable is pending again, so that any part of it may be.
                Effect::Sync { .. } | Effect::SyncDirectory { .. } => false,
            };
            if !happened {
                self.undo(effect);
            }
        }
        self.lose(|| random.chance(share));
    }

    /// The power goes at the end of all that was asked for, and comes back. `keep` is asked about each thing that is at
    /// stake.
    pub(super) fn crash_keeping(&mut self, mut keep: impl FnMut(usize) -> bool) {
        self.settle(Time(u64::MAX));
        let mut stakes = self.stakes().into_iter();
        let mut number = 0;
        self.lose(|| {
            let at_stake = stakes.next().expect("what can be lost was counted");
            number += usize::from(at_stake);
            !at_stake || keep(number - 1)
        });
    }

    /// Whether it makes a difference what becomes of each pending sector and change of a name, in the order in which a
    /// crash decides.
    pub(super) fn stakes(&self) -> Vec<bool> {
        let mut stakes = Vec::new();
        for (number, inode) in &self.inodes {
            let reachable = self.directories.values().any(|directory| directory.knows(*number));
            stakes.extend(inode.stakes().into_iter().map(|matters| matters && reachable));
        }
        stakes.extend(self.directories.values().flat_map(|directory| directory.pending.iter().map(|_| true)));
        stakes
    }

    fn lose(&mut self, mut keep: impl FnMut() -> bool) {
        for inode in self.inodes.values_mut() {
            inode.crash(&mut keep, &mut self.counters);
        }
        for directory in self.directories.values_mut() {
            directory.crash(&mut keep, &mut self.counters);
        }
        self.power = Power::default();
        self.faults.disarm();
        self.counters.crashes += 1;
        self.sweep();
    }

    /// The process dies at `at`; what it had done is still there, durable or not.
    pub(super) fn kill(&mut self, at: Time, seed: u64) {
        let mut random = Random::new(seed);
        if let Some(effect) = self.stop(at) {
            let happened = match &effect {
                Effect::Write { inode, offset, old, old_length } => {
                    self.cut_write(*inode, *offset, old, *old_length, &mut random);
                    true
                }
                Effect::Name { .. } | Effect::CreateDirectory { .. } => random.chance(128),
                Effect::Sync { .. } | Effect::SyncDirectory { .. } => false,
            };
            if !happened {
                self.undo(effect);
            }
        }
        self.counters.kills += 1;
        self.sweep();
    }

    /// Of a write that is in progress some whole sectors are done, from its beginning on.
    fn cut_write(
        &mut self,
        number: InodeNumber,
        offset: u64,
        old: &[u8],
        old_length: usize,
        random: &mut Random,
    ) {
        let Some(inode) = self.inodes.get_mut(&number) else { return };
        let write = inode.undo_write(offset, old, old_length);
        let ends: Vec<usize> = [0].into_iter().chain(write.sectors().map(|part| part.end)).collect();
        let done = ends[position(random.next() % ends.len() as u64)];
        if done > 0 {
            inode.write(offset, &write.bytes[..done]);
        }
    }

    /// Forgets what has neither a name nor a handle.
    fn sweep(&mut self) {
        let numbers: Vec<InodeNumber> = self.inodes.keys().copied().collect();
        for number in numbers {
            if !self.directories.values().any(|directory| directory.knows(number)) {
                self.release(number);
            }
        }
    }

    fn release_unless_named(&mut self, path: &str, number: InodeNumber) {
        let in_flight = self.journal.iter().any(|in_flight| match &in_flight.effect {
            Effect::Name { before, .. } => before.0.iter().any(|(_, inode)| *inode == Some(number)),
            Effect::SyncDirectory { changes, .. } => changes.iter().any(|change| change.links(number)),
            Effect::Write { inode, .. } | Effect::Sync { inode, .. } => *inode == number,
            Effect::CreateDirectory { .. } => false,
        });
        if !in_flight && !self.named_directory(path).knows(number) {
            self.release(number);
        }
    }

    pub(super) fn release(&mut self, number: InodeNumber) {
        let inode = self.inode(number);
        inode.orphaned = true;
        if inode.handles == 0 {
            self.inodes.remove(&number);
        }
    }

    /// A handle is closed.
    pub(super) fn close(&mut self, number: InodeNumber) {
        let inode = self.inode(number);
        inode.handles -= 1;
        if inode.handles == 0 && inode.orphaned {
            self.inodes.remove(&number);
        }
    }

    fn named_directory(&mut self, path: &str) -> &mut Directory {
        self.directories.get_mut(path).expect("a directory outlives what was done in it")
    }
}

#[cfg(test)]
mod tests {
    use quorate_raft::Time;

    use crate::memory_disk::{MemoryDisk, Microseconds, Pace};
    use crate::{Disk, DiskFile};

    #[test]
    fn what_nobody_can_reach_is_forgotten() {
        let disk = MemoryDisk::new();
        let takes = Microseconds::between(1, 9);
        disk.set_pace(Pace { write: takes, sync: takes, name: takes, ..Pace::default() }, 1);
        let mut open = Vec::new();
        for round in 0..100 {
            let file = disk.create("new").unwrap();
            file.write_at(&[1; 4096], 0).unwrap();
            file.sync_data().unwrap();
            disk.rename("new", "kept").unwrap();
            disk.sync_dir("").unwrap();
            if round == 50 {
                open.push(file);
            }
            disk.begin(disk.clock());
        }
        let held = |disk: &MemoryDisk| {
            let state = disk.state();
            (state.inodes.len(), state.journal.len())
        };
        assert_eq!(held(&disk), (2, 0), "one by its name, one by its handle");
        assert_eq!(held(&disk.duplicate()).0, 1, "handles are not duplicated");
        open.clear();
        assert_eq!(held(&disk).0, 1);
        disk.remove("kept").unwrap();
        disk.create("never synced").unwrap();
        disk.crash_at(Time(0), 1);
        assert_eq!(held(&disk), (1, 0), "the removal had not begun");
    }
}
