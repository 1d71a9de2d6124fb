//! The content of one file: what is durable, what readers see, and what lies between the two.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::counters::Counters;
use super::image::Image;
use crate::layout::{ZEROS, is_zero, position};
use crate::record::SECTOR_BYTES;

/// The unit that a crash keeps or loses as a whole.
pub(super) const SECTOR: u64 = SECTOR_BYTES as u64;

/// Names a file's content, whatever its name is. Never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeNumber(pub(super) u64);

/// Bytes that were written and not made durable.
#[derive(Clone, Debug)]
pub(super) struct PendingWrite {
    pub(super) offset: u64,
    pub(super) bytes: Cow<'static, [u8]>,
}

impl PendingWrite {
    /// Whole segments of zeros are written; they take no memory.
    fn new(offset: u64, bytes: &[u8]) -> PendingWrite {
        let zeros = ZEROS.get(..bytes.len()).filter(|_| is_zero(bytes));
        PendingWrite { offset, bytes: zeros.map_or_else(|| Cow::Owned(bytes.to_vec()), Cow::Borrowed) }
    }

    /// The parts that lie in different sectors, as ranges of `bytes`.
    pub(super) fn sectors(&self) -> impl Iterator<Item = Range<usize>> {
        let first = position(SECTOR - self.offset % SECTOR);
        let ends = (first..self.bytes.len()).step_by(position(SECTOR)).chain([self.bytes.len()]);
        ends.scan(0, |start, end| Some(std::mem::replace(start, end)..end))
    }

    /// Rot in these bytes.
    pub(super) fn rot(&mut self, range: &Range<u64>, change: &mut impl FnMut(u64, &mut u8)) {
        if range.start < self.offset + self.bytes.len() as u64 && self.offset < range.end {
            rot_bytes(self.bytes.to_mut(), self.offset, range, change);
        }
    }

    fn apply(&self, image: &mut Image) {
        image.write(self.offset, &self.bytes);
    }
}

/// One file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What readers see.
    pub(super) live: Image,
    /// What survives anything.
    pub(super) durable: Image,
    /// What was written since the last sync, in that order.
    pub(super) pending: Vec<PendingWrite>,
    /// What of it can't be read.
    unreadable: Vec<Range<u64>>,
    /// How many open files there are of it.
    pub(super) handles: u32,
    /// Nothing names it any more: it goes with the last handle.
    pub(super) orphaned: bool,
}

impl Inode {
    /// An empty file that has just been created.
    pub(super) fn opened() -> Inode {
        Inode { handles: 1, ..Inode::default() }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.live.write(offset, bytes);
        self.pending.push(PendingWrite::new(offset, bytes));
        if !self.unreadable.is_empty() {
            self.remap(offset, bytes.len() as u64);
        }
    }

    /// What a write of so many bytes would replace.
    pub(super) fn replaced(&self, offset: u64, count: usize) -> Vec<u8> {
        self.live.copy(position(offset)..position(offset) + count)
    }

    /// The last write was never made: `old` stands where it stood, and the file is as long as it was.
    pub(super) fn undo_write(&mut self, offset: u64, old: &[u8], old_length: usize) -> PendingWrite {
        self.live.truncate(old_length);
        if !old.is_empty() {
            self.live.write(offset, old);
        }
        self.pending.pop().expect("a sync that took the write was undone before it")
    }

    /// Makes everything written durable.
    pub(super) fn sync(&mut self) {
        let writes = std::mem::take(&mut self.pending);
        self.persist(&writes);
    }

    /// Makes these writes durable, which a sync took out of `pending`.
    pub(super) fn persist(&mut self, writes: &[PendingWrite]) {
        for write in writes {
            write.apply(&mut self.durable);
        }
    }

    /// Of each sector of each pending write, whether it makes a difference that it becomes durable.
    pub(super) fn stakes(&self) -> Vec<bool> {
        let mut touched = BTreeSet::new();
        let parts = self.pending.iter().flat_map(|write| write.sectors().map(move |part| (write, part)));
        let matters = |(write, part): (&PendingWrite, Range<usize>)| {
            let start = write.offset + part.start as u64;
            let there = self.durable.copy(position(start)..position(start) + part.len());
            let differs = there != write.bytes[part] || touched.contains(&(start / SECTOR));
            if differs {
                touched.insert(start / SECTOR);
            }
            differs
        };
        parts.map(matters).collect()
    }

    /// Each sector of each pending write becomes durable or not, as `keep` says; then that is all there is.
    pub(super) fn crash(&mut self, keep: &mut impl FnMut() -> bool, counters: &mut Counters) {
        for write in std::mem::take(&mut self.pending) {
            let (mut kept, mut lost) = (0_u64, 0_u64);
            for part in write.sectors() {
                if keep() {
                    kept += 1;
                    self.durable.write(write.offset + part.start as u64, &write.bytes[part]);
                } else {
                    lost += 1;
                }
            }
            counters.sectors_lost += lost;
            counters.torn_writes += u64::from(kept > 0 && lost > 0);
        }
        self.live.clone_from(&self.durable);
    }

    /// Rot in every copy that there is of these bytes, so that neither a sync nor a crash brings them back.
    pub(super) fn rot(&mut self, range: &Range<u64>, change: &mut impl FnMut(u64, &mut u8)) {
        self.live.rot(range, change);
        self.durable.rot(range, change);
        for write in &mut self.pending {
            write.rot(range, change);
        }
    }

    pub(super) fn make_unreadable(&mut self, range: Range<u64>) {
        self.unreadable.push(range);
    }

    pub(super) fn is_readable(&self, range: &Range<u64>) -> bool {
        !self.unreadable.iter().any(|bad| bad.start < range.end && range.start < bad.end)
    }

    /// A drive puts a sector that is written as a whole in a place that works.
    fn remap(&mut self, offset: u64, count: u64) {
        let end = offset + count;
        let from = offset.next_multiple_of(SECTOR);
        let to = if end == self.live.len() as u64 { end } else { end / SECTOR * SECTOR };
        let parts = |bad: Range<u64>| [bad.start..bad.end.min(from), bad.start.max(to)..bad.end];
        if from < to {
            let unreadable = std::mem::take(&mut self.unreadable).into_iter().flat_map(parts);
            self.unreadable = unreadable.filter(|bad| !bad.is_empty()).collect();
        }
    }
}

/// Changes the bytes of `range`, as far as `bytes`, which begin at `offset`, have them.
pub(super) fn rot_bytes(
    bytes: &mut [u8],
    offset: u64,
    range: &Range<u64>,
    change: &mut impl FnMut(u64, &mut u8),
) {
    let end = offset + bytes.len() as u64;
    for at in range.start.max(offset)..range.end.min(end) {
        change(at, &mut bytes[position(at - offset)]);
    }
}
