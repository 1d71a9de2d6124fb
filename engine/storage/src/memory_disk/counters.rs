//! What a disk did, and what was done to it.

use super::faults::Operation;

/// How often each thing happened since the disk is there. Numbers only grow: no crash takes any of them back.
///
/// What was asked for is counted when it is asked for, whether it then fails or not, as long as there is power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reads asked for.
    pub reads: u64,
    /// Writes asked for.
    pub writes: u64,
    /// Bytes that writes put somewhere, be it the wrong place.
    pub bytes_written: u64,
    /// Syncs of files asked for.
    pub syncs: u64,
    /// Syncs of directories asked for.
    pub directory_syncs: u64,
    /// Creations, renames, removals, listings and new directories asked for.
    pub name_operations: u64,
    /// Operations that a stall made late.
    pub stalled_operations: u64,
    /// Power losses.
    pub crashes: u64,
    /// Process deaths that the disk was told of.
    pub kills: u64,
    /// Operations that had not ended when the power went or the process died, and that never happened.
    pub operations_undone: u64,
    /// Sectors of writes that were not synced and that a crash lost.
    pub sectors_lost: u64,
    /// Writes of which a crash kept some sectors and lost others.
    pub torn_writes: u64,
    /// Creations, renames and removals that a crash lost.
    pub name_changes_lost: u64,
    /// Reads that failed, by an error that was armed or of sectors that can't be read.
    pub failed_reads: u64,
    /// Writes that failed, those for want of space not included.
    pub failed_writes: u64,
    /// Of those, writes of which the first bytes were put in place.
    pub short_writes: u64,
    /// Syncs of files and of directories that failed.
    pub failed_syncs: u64,
    /// Creations, renames, removals, listings and new directories that failed by an error that was armed.
    pub failed_name_operations: u64,
    /// Writes and creations that failed for want of space.
    pub refused_for_space: u64,
    /// Reads that returned what stands elsewhere in the file.
    pub misdirected_reads: u64,
    /// Writes that landed elsewhere in the file.
    pub misdirected_writes: u64,
    /// Bytes that rotted: flipped, zeroed, or turned to garbage.
    pub bytes_rotted: u64,
    /// Files that vanished.
    pub files_vanished: u64,
}

impl Counters {
    pub(super) fn ask(&mut self, operation: Operation) {
        *match operation {
            Operation::Read => &mut self.reads,
            Operation::Write => &mut self.writes,
            Operation::Sync => &mut self.syncs,
            Operation::SyncDirectory => &mut self.directory_syncs,
            Operation::Name => &mut self.name_operations,
        } += 1;
    }

    pub(super) fn fail(&mut self, operation: Operation) {
        *match operation {
            Operation::Read => &mut self.failed_reads,
            Operation::Write => &mut self.failed_writes,
            Operation::Sync | Operation::SyncDirectory => &mut self.failed_syncs,
            Operation::Name => &mut self.failed_name_operations,
        } += 1;
    }
}
