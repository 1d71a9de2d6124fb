//! What storage is asked to do.

use quorate_raft::{Entry, Index};

use crate::backup::BackupJob;
use crate::checkpoints::Draft;
use crate::lending::Wanted;

/// Takes what was lent.
pub(crate) type Lent = Box<dyn FnOnce(Option<Vec<u8>>) + Send>;

/// Work for storage.
pub enum Job {
    /// What the core asks for.
    Core(quorate_raft::Job),
    /// A checkpoint that the node takes. Answer: [`SnapshotTaken`](quorate_raft::Done::SnapshotTaken), when it is
    /// durable, or [`SnapshotLost`](quorate_raft::Done::SnapshotLost), when what it builds on can't be read.
    Checkpoint(Draft),
    /// For somebody who takes a backup. The answer goes to whoever asks.
    Backup(BackupJob),
    /// Read entries of the log past the core, and have them taken by `answer`.
    Entries {
        /// The first index.
        first: Index,
        /// The last index.
        last: Index,
        /// The bound, in bytes of payload.
        bytes: usize,
        /// Called with them, without a gap: fewer than asked when the bound was met, or one is damaged or not there.
        answer: Box<dyn FnOnce(Vec<Entry>) + Send>,
    },
    /// Look after what nobody asks for: whether a disk that was full has room again, and whether what is at rest is
    /// still sound. The host says so now and then, since storage has no clock. Answer: none, but for what is found.
    Tend {
        /// How much to read of what is at rest, in bytes, in slices, while there is nothing else to do.
        scrub_bytes: u64,
    },
    /// Read a piece of the checkpoints for a peer, and have it taken by `answer`.
    Lend {
        /// What.
        wanted: Wanted,
        /// Called with it, or with nothing when it is not there; dropped when too many wait.
        answer: Lent,
    },
}

impl From<quorate_raft::Job> for Job {
    fn from(job: quorate_raft::Job) -> Job {
        Job::Core(job)
    }
}
