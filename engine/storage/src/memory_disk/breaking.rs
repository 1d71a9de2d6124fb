//! The disk as its host breaks it.
//!
//! What is armed for one operation counts those of its kind that are asked for from now on: after 0 it is the next.
//! Two that are armed for the same operation strike that one and the one after it. Those whose name ends in `below`
//! see only operations on paths that begin with a prefix, `snaps/` for example: a file's path is the one it has then,
//! a directory's own ends in `/`. A crash disarms what fails or goes astray; a stall, slowness and a capacity outlast
//! it, until [`MemoryDisk::mend`].

use std::ops::Range;

use quorate_raft::Time;

use super::MemoryDisk;
use super::faults::{Armed, Fault, Faults, Operation};
use super::inode::{InodeNumber, SECTOR, rot_bytes};
use super::journal::Effect;
use super::state::{State, split};
use crate::layout::position;
use crate::random::Random;

impl MemoryDisk {
    /// Nothing ends before `until` that starts before: not even a read.
    pub fn stall(&self, until: Time) {
        self.state().timing.stall(until);
    }

    /// Everything takes `factor` times as long as its [`super::Pace`] says; 1 is healthy.
    pub fn slow(&self, factor: u64) {
        self.state().timing.slow(factor);
    }

    /// Makes every write fail from now on, or no more.
    pub fn fail_writes(&self, fail: bool) {
        self.state().faults.every_write = fail;
    }

    /// Makes every sync fail from now on, or no more. As with a real kernel the writes that were to be synced read
    /// as written afterwards, and are not durable, whatever a later sync says.
    pub fn fail_syncs(&self, fail: bool) {
        self.state().faults.every_sync = fail;
    }

    /// One operation fails after `others` of its kind, and does nothing; a sync fails as in
    /// [`MemoryDisk::fail_syncs`].
    pub fn fail(&self, operation: Operation, others: u64) {
        self.fail_below("", operation, others);
    }

    /// [`MemoryDisk::fail`] among operations on paths that begin with `prefix`.
    pub fn fail_below(&self, prefix: &str, operation: Operation, others: u64) {
        self.arm(operation, prefix, others, Fault::Fail);
    }

    /// One write after `others` puts only its first `bytes` in place, and fails.
    pub fn cut_write_short(&self, others: u64, bytes: usize) {
        self.arm(Operation::Write, "", others, Fault::Short { bytes });
    }

    /// One write after `others` lands so many bytes behind its place in the file, or before it when there is no
    /// room behind; what stood at its place stays. A write for which there is room on neither side leaves it to the
    /// next one.
    ///
    /// # Panics
    /// When `bytes` is zero or no multiple of 512: drives miss by sectors.
    pub fn misdirect_write(&self, others: u64, bytes: i64) {
        self.misdirect_write_below("", others, bytes);
    }

    /// [`MemoryDisk::misdirect_write`] among writes to paths that begin with `prefix`.
    ///
    /// # Panics
    /// When `bytes` is zero or no multiple of 512.
    pub fn misdirect_write_below(&self, prefix: &str, others: u64, bytes: i64) {
        self.arm(Operation::Write, prefix, others, misdirection(bytes));
    }

    /// One read after `others` returns what stands so many bytes behind its place, as in
    /// [`MemoryDisk::misdirect_write`].
    ///
    /// # Panics
    /// When `bytes` is zero or no multiple of 512.
    pub fn misdirect_read(&self, others: u64, bytes: i64) {
        self.misdirect_read_below("", others, bytes);
    }

    /// [`MemoryDisk::misdirect_read`] among reads of paths that begin with `prefix`.
    ///
    /// # Panics
    /// When `bytes` is zero or no multiple of 512.
    pub fn misdirect_read_below(&self, prefix: &str, others: u64, bytes: i64) {
        self.arm(Operation::Read, prefix, others, misdirection(bytes));
    }

    fn arm(&self, operation: Operation, prefix: &str, others: u64, fault: Fault) {
        self.state().faults.arm(Armed { operation, prefix: prefix.to_owned(), others, fault });
    }

    /// Takes back what is armed for one operation and has not struck. Whatever goes wrong until further notice goes on
    /// doing so: stall, slowness, capacity, [`MemoryDisk::fail_writes`] and [`MemoryDisk::fail_syncs`].
    pub fn disarm(&self) {
        self.state().faults.forget_armed();
    }

    /// Bounds the lengths of all files together, in bytes. A write that would exceed it writes what fits, and fails
    /// with `StorageFull`; so does a creation when nothing is left.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().faults.capacity = bytes;
    }

    /// Takes back all that is armed or slow: nothing fails from now on, but what rotted stays so.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults = Faults::default();
        state.timing.slow(1);
        state.timing.stall(Time::default());
    }

    /// Changes a file behind everybody's back, durably, as does all that was written to it before.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn corrupt(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let number = state.existing(path);
        state.journal.retain(|in_flight| match &in_flight.effect {
            Effect::Write { inode, .. } | Effect::Sync { inode, .. } => *inode != number,
            _ => true,
        });
        let inode = state.inode(number);
        inode.pending.clear();
        let mut bytes = inode.live.to_vec();
        change(&mut bytes);
        inode.live = bytes.into();
        inode.durable.clone_from(&inode.live);
    }

    /// Takes a file's name away behind everybody's back, durably; who has it open keeps the file. False, and nothing
    /// done, when there is no such file, or something is still to become of its name: by an operation that has not
    /// ended, or by a sync or a crash.
    pub fn vanish(&self, path: &str) -> bool {
        self.state().vanish(path)
    }

    /// Flips one bit of a file.
    ///
    /// # Panics
    /// When the file has no such bit.
    pub fn flip_bit(&self, path: &str, bit: u64) {
        self.state().rot(path, bit / 8..bit / 8 + 1, |_, byte| *byte ^= 1 << (bit % 8));
    }

    /// Zeroes a range of a file.
    ///
    /// # Panics
    /// When the file has no such range.
    pub fn zero(&self, path: &str, range: Range<usize>) {
        self.state().rot(path, range.start as u64..range.end as u64, |_, byte| *byte = 0);
    }

    /// Fills a range of a file with random bytes drawn from `seed`.
    ///
    /// # Panics
    /// When the file has no such range.
    pub fn garbage(&self, path: &str, range: Range<usize>, seed: u64) {
        let mut random = Random::new(seed);
        let bytes: Vec<u8> = range.clone().map(|_| random.next().to_le_bytes()[0]).collect();
        self.state().replace(path, range.start as u64, &bytes);
    }

    /// Puts what stands from `from` on, in the same file, in the place of a range of it: bytes that went astray once,
    /// or were written by a drive that missed. Unlike garbage they may be sound, but for where they are.
    ///
    /// # Panics
    /// When the file has no such ranges.
    pub fn stray(&self, path: &str, from: usize, range: Range<usize>) {
        let mut state = self.state();
        let number = state.existing(path);
        let bytes = state.inode(number).live.copy(from..from + range.len());
        assert_eq!(bytes.len(), range.len(), "{path} has not so many bytes from {from} on");
        state.replace(path, range.start as u64, &bytes);
    }

    /// Makes a range of a file unreadable: reads that touch it fail, until a write covers the whole of a sector of it,
    /// which then is readable again.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn make_unreadable(&self, path: &str, range: Range<u64>) {
        let mut state = self.state();
        let number = state.existing(path);
        state.inode(number).make_unreadable(range);
    }
}

fn misdirection(bytes: i64) -> Fault {
    assert!(
        bytes != 0 && bytes.unsigned_abs().is_multiple_of(SECTOR),
        "a drive misses by sectors, not by {bytes}"
    );
    Fault::Misdirect { bytes }
}

impl State {
    fn existing(&self, path: &str) -> InodeNumber {
        self.inode_of(path).expect("the file to break exists")
    }

    fn vanish(&mut self, path: &str) -> bool {
        let (directory, name) = split(path);
        let under_way = self.journal.iter().any(|in_flight| match &in_flight.effect {
            Effect::Name { directory: of, .. } | Effect::SyncDirectory { directory: of, .. } => {
                of == directory
            }
            _ => false,
        });
        let names = self.directories.get_mut(directory).filter(|_| !under_way);
        let Some(number) = names.and_then(|names| names.forget(name)) else { return false };
        self.counters.files_vanished += 1;
        self.release(number);
        true
    }

    /// Rot that leaves these bytes.
    fn replace(&mut self, path: &str, start: u64, bytes: &[u8]) {
        self.rot(path, start..start + bytes.len() as u64, |at, byte| *byte = bytes[position(at - start)]);
    }

    /// Rot spares no copy of the bytes, not even those that are kept to undo a write.
    fn rot(&mut self, path: &str, range: Range<u64>, mut change: impl FnMut(u64, &mut u8)) {
        let number = self.existing(path);
        for in_flight in &mut self.journal {
            match &mut in_flight.effect {
                Effect::Write { inode, offset, old, .. } if *inode == number => {
                    rot_bytes(old, *offset, &range, &mut change);
                }
                Effect::Sync { inode, writes, .. } if *inode == number => {
                    for write in writes {
                        write.rot(&range, &mut change);
                    }
                }
                _ => {}
            }
        }
        let inode = self.inode(number);
        assert!(range.start <= range.end && range.end <= inode.live.len() as u64, "{path} has no {range:?}");
        inode.rot(&range, &mut change);
        self.counters.bytes_rotted += range.end - range.start;
    }
}
