//! Term and vote: two files, the same value in both.
//!
//! ```text
//!   0              8         12        16                  24                  32
//!   | "QRTESTAB"   | checksum| version | sequence          | term              |
//!   32                                 48      49 .. 56    56                  64
//!   | vote (16 bytes, zero without)    | voted?| 0         | ack. term         |
//!   64                  72                  80                  88 ..                      512
//!   | ack. index        | ack. batch        | lost tail's term  | zeros                     |
//! ```
//!
//! One file is written and synced, then the other; then the value is durable. So at any moment at least one file is
//! whole, and it holds the last durable value or the one that was about to be. At open the valid one wins, of two
//! the higher sequence, and the other is mended before anything else happens. The two never take turns (with
//! alternating slots, losing the newer one would silently bring back an older vote).
//!
//! *Acknowledged* is what was durable in the log when the value was written: a log that turns out shorter has lost
//! something. Batch numbers only grow, log ids need not: a truncation may be followed by entries of a lower term.
//!
//! *The lost tail's term* is the node's term when its log was found to end in an unknown tail. It stands until the log
//! holds an entry of a later term: whatever was lost was acknowledged in an earlier term, and a log with a later one
//! is at least as far as that.

use std::io;

use quorate_raft::{HardState, Index, LogId, NodeId, Term};

use crate::disk::{Disk, DiskFile, is_damage};
use crate::error::{Fatal, OpenError};
use crate::layout::{Packer, Unpacker, is_zero};
use crate::record::log_id;
use crate::reread::settled;

/// The directory of the two files.
pub(crate) const DIRECTORY: &str = "stable";
/// The two files of term and vote, relative to the data dir.
pub const PATHS: [&str; 2] = ["stable/a", "stable/b"];
/// The version of the format of `stable/`.
pub(crate) const VERSION: u32 = 1;
pub(crate) const MAGIC: &[u8; 8] = b"QRTESTAB";
pub(crate) const SLOT_BYTES: usize = 512;
/// What both files hold together, in bytes.
pub(crate) const BOTH_BYTES: u64 = 2 * SLOT_BYTES as u64;

/// What both files say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StableValue {
    pub(crate) sequence: u64,
    pub(crate) hard: HardState,
    pub(crate) acknowledged: LogId,
    pub(crate) acknowledged_batch: u64,
    /// Zero when no tail is lost.
    pub(crate) lost_tail: Term,
}

impl StableValue {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        let vote = self.hard.vote.unwrap_or(NodeId(0));
        Packer::new(&mut slot)
            .put(MAGIC)
            .u32(0)
            .u32(VERSION)
            .u64(self.sequence)
            .u64(self.hard.term.0)
            .put(&vote.0.to_le_bytes())
            .u8(u8::from(self.hard.vote.is_some()))
            .put(&[0; 7])
            .u64(self.acknowledged.term.0)
            .u64(self.acknowledged.index.0)
            .u64(self.acknowledged_batch)
            .u64(self.lost_tail.0);
        let checksum = crc32c::crc32c(&slot[12..]);
        slot[8..12].copy_from_slice(&checksum.to_le_bytes());
        slot
    }

    pub(crate) fn decode(slot: &[u8]) -> Option<StableValue> {
        let slot: &[u8; SLOT_BYTES] = slot.try_into().ok()?;
        if !slot.starts_with(MAGIC) {
            return None;
        }
        let mut fields = Unpacker::new(&slot[8..]);
        let (checksum, version, sequence) = (fields.u32(), fields.u32(), fields.u64());
        if crc32c::crc32c(&slot[12..]) != checksum || version != VERSION {
            return None;
        }
        let term = Term(fields.u64());
        let vote = NodeId(u128::from_le_bytes(fields.array()));
        let voted = fields.u8() == 1;
        fields.array::<7>();
        let acknowledged = log_id(&mut fields);
        let (acknowledged_batch, lost_tail) = (fields.u64(), Term(fields.u64()));
        let hard = HardState { term, vote: voted.then_some(vote) };
        Some(StableValue { sequence, hard, acknowledged, acknowledged_batch, lost_tail })
    }
}

/// What is in the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StableState {
    /// The last value, and for each file whether it holds just that.
    Value(StableValue, [bool; 2]),
    /// Neither was ever written.
    Empty,
    /// Neither holds a value: what they held is damaged, or gone.
    Lost,
}

/// Reads both files.
///
/// # Errors
/// [`OpenError::Unread`]: the system does not let one be read, which says nothing of what it holds.
pub(crate) fn read<D: Disk>(disk: &D) -> Result<StableState, OpenError> {
    let slots = [settled_slot(disk, PATHS[0])?, settled_slot(disk, PATHS[1])?];
    let values = slots.each_ref().map(value_in);
    let best = values.iter().flatten().max_by_key(|value| value.sequence);
    Ok(match best {
        Some(best) => StableState::Value(*best, values.map(|value| value == Some(*best))),
        // The slot is one sector, so a first write that was cut off left nothing or zeros.
        None if slots.iter().all(|slot| slot.as_ref().is_some_and(|slot| is_zero(slot))) => {
            StableState::Empty
        }
        None => StableState::Lost,
    })
}

fn value_in(slot: &Option<Vec<u8>>) -> Option<StableValue> {
    slot.as_deref().and_then(StableValue::decode)
}

/// The content of a file, `None` when the disk can't deliver it.
fn settled_slot<D: Disk>(disk: &D, path: &'static str) -> Result<Option<Vec<u8>>, OpenError> {
    let mut refusal = None;
    let read = || {
        let (slot, refused) = match read_slot(disk, path) {
            Ok(slot) => (Some(slot), None),
            Err(error) if is_damage(&error) => (None, None),
            Err(error) => (None, Some(error)),
        };
        refusal = refused;
        slot
    };
    let slot = settled(read, |slot| value_in(slot).is_some());
    match refusal {
        Some(source) => Err(OpenError::Unread { path, source }),
        None => Ok(slot),
    }
}

/// The content of a file, at most a slot; empty when there's no such file.
fn read_slot<D: Disk>(disk: &D, path: &str) -> io::Result<Vec<u8>> {
    let mut slot = vec![0; SLOT_BYTES];
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.read_at(&mut slot, 0)?;
    slot.truncate(length);
    Ok(slot)
}

/// The two files, open.
#[derive(Debug)]
pub(crate) struct Stable<F> {
    files: [F; 2],
    value: StableValue,
}

impl<F: DiskFile> Stable<F> {
    /// Creates both files, with nothing in them that counts.
    pub(crate) fn create<D: Disk<File = F>>(disk: &D) -> Result<Stable<F>, OpenError> {
        let create = |path: &'static str| disk.create(path).map_err(Fatal::new("create", path));
        let mut stable =
            Stable { files: [create(PATHS[0])?, create(PATHS[1])?], value: StableValue::default() };
        stable.write(StableValue::default())?;
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        Ok(stable)
    }

    /// Opens both files and makes `value`, which at least one of them holds, durable in both. `whole` says which.
    pub(crate) fn open<D: Disk<File = F>>(
        disk: &D,
        value: StableValue,
        whole: [bool; 2],
    ) -> Result<Stable<F>, OpenError> {
        let open = |path: &'static str| match disk.open(path) {
            Ok(file) => Ok(file),
            Err(_) => disk.create(path).map_err(Fatal::new("create", path)),
        };
        let stable = Stable { files: [open(PATHS[0])?, open(PATHS[1])?], value };
        // The bad one first. The good one may be whole only in the system's cache, so it's written and synced too.
        let order = if whole[0] { [1, 0] } else { [0, 1] };
        for file in order {
            stable.write_file(file)?;
        }
        disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        Ok(stable)
    }

    /// What is durable.
    pub(crate) fn value(&self) -> &StableValue {
        &self.value
    }

    /// Makes `value` durable, with the next sequence number.
    pub(crate) fn write(&mut self, value: StableValue) -> Result<(), Fatal> {
        assert!(value.hard.term >= self.value.hard.term, "the term falls: {:?} to {value:?}", self.value);
        self.value = StableValue { sequence: self.value.sequence + 1, ..value };
        self.write_file(0)?;
        self.write_file(1)
    }

    /// Records what is durable in the log, beside the term and vote.
    pub(crate) fn acknowledge(&mut self, last: LogId, batch: u64) -> Result<(), Fatal> {
        let value = self.value;
        self.write(value.with_log(last, batch))
    }

    /// Reads both files, and writes anew what does not hold the value that it has to: which they were.
    pub(crate) fn mend<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Vec<&'static str>, Fatal> {
        let whole = match read(disk) {
            Ok(StableState::Value(value, whole)) if value == self.value => whole,
            _ => [false, false],
        };
        let mut mended = Vec::new();
        for (file, path) in PATHS.into_iter().enumerate().filter(|(file, _)| !whole[*file]) {
            // It may have been removed: then what is open has no name.
            self.files[file] = match disk.open(path) {
                Ok(open) => open,
                Err(_) => disk.create(path).map_err(Fatal::new("create", path))?,
            };
            self.write_file(file)?;
            mended.push(path);
        }
        if !mended.is_empty() {
            disk.sync_dir(DIRECTORY).map_err(Fatal::new("sync", DIRECTORY))?;
        }
        Ok(mended)
    }

    fn write_file(&self, file: usize) -> Result<(), Fatal> {
        let (path, handle) = (PATHS[file], &self.files[file]);
        handle.write_at(&self.value.encode(), 0).map_err(Fatal::new("write", path))?;
        handle.sync_data().map_err(Fatal::new("sync", path))
    }
}

impl StableValue {
    /// With what is durable in the log now. A lost tail is over once the log holds an entry of a later term.
    pub(crate) fn with_log(self, last: LogId, batch: u64) -> StableValue {
        assert!(batch >= self.acknowledged_batch, "batch {batch} after {}", self.acknowledged_batch);
        let lost_tail = if last.term > self.lost_tail { Term(0) } else { self.lost_tail };
        StableValue { acknowledged: last, acknowledged_batch: batch, lost_tail, ..self }
    }

    /// The first slot of a tail that is still lost, for a log that ends at `last`.
    pub(crate) fn lost_from(&self, last: LogId) -> Option<Index> {
        (self.lost_tail > Term(0) && last.term <= self.lost_tail).then(|| last.index.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_tail_is_lost_until_an_entry_of_a_later_term_is_there() {
        let value = StableValue { lost_tail: Term(3), acknowledged_batch: 6, ..StableValue::default() };
        let with = |term| value.with_log(LogId::new(term, 9), 7);
        for (term, lost_tail) in [(2, 3), (3, 3), (4, 0)] {
            let expected = StableValue {
                acknowledged: LogId::new(term, 9),
                acknowledged_batch: 7,
                lost_tail: Term(lost_tail),
                ..value
            };
            assert_eq!(with(term), expected);
            assert_eq!(with(term).lost_from(LogId::new(term, 9)), (lost_tail > 0).then_some(Index(10)));
        }
    }

    #[test]
    fn a_value_is_read_as_written_and_no_flipped_bit_passes() {
        let value = StableValue {
            sequence: 4,
            hard: HardState { term: Term(9), vote: Some(NodeId(0)) },
            acknowledged: LogId::new(8, 77),
            acknowledged_batch: 66,
            lost_tail: Term(3),
        };
        let slot = value.encode();
        assert_eq!(StableValue::decode(&slot), Some(value));
        for bit in 0..SLOT_BYTES * 8 {
            let mut rotten = slot;
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(StableValue::decode(&rotten), None, "bit {bit}");
        }
    }
}
