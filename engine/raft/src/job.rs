//! What the core asks of storage, and what storage answers.

use crate::{Entry, HardState, Index, LogId, Members, NodeId, WriteId};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// One piece of work for storage. Writes are performed in the order issued; the others at any time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Job {
    /// Make something durable. Answer: [`Done::Written`].
    Write(Write),
    /// Read entries. Answer: [`Done::Loaded`].
    Load(Load),
    /// Read a piece of a snapshot. Answer: [`Done::SnapshotLoaded`].
    LoadSnapshot(LoadSnapshot),
    /// Write a piece of a snapshot that a leader sends. Answer: [`Done::SnapshotStored`].
    StoreSnapshot(StoreSnapshot),
}

/// What came of a [`Job`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Done {
    /// This write and all before it are durable.
    Written(WriteId),
    /// The entries of a [`Load`], from its first on, without a gap; fewer than asked when the byte bound was
    /// met or an entry is damaged (then a [`Done::Damaged`] follows), none when the first is.
    Loaded {
        /// The job this answers.
        load: Load,
        /// What was read.
        entries: Vec<Entry>,
    },
    /// A piece of a snapshot.
    SnapshotLoaded {
        /// The job this answers.
        load: LoadSnapshot,
        /// The piece; `None` when the snapshot is gone or damaged.
        chunk: Option<Chunk>,
    },
    /// A piece of an incoming snapshot was written.
    SnapshotStored {
        /// The snapshot that the piece is of: all of it, since another one may cover the same slots.
        meta: Box<SnapshotMeta>,
        /// The offset the next piece must have, in bytes; zero when the transfer must begin again.
        next: u64,
        /// Whether it is whole, verified against its digest, and durable.
        complete: bool,
    },
    /// A checkpoint that the host took is durable.
    SnapshotTaken(Box<SnapshotMeta>),
    /// The checkpoint that was to end there can't be written: what it builds on can't be read any more. The host has to
    /// give its whole state once.
    SnapshotLost(LogId),
    /// The payload of this entry cannot be read.
    Damaged(LogId),
    /// How much room the log has left behind all that was answered; `None` when there is as much as anybody wants, as
    /// it is before anything was said.
    Room(Option<Room>),
}

/// What a log can still take when the disk has no space for another segment. Entries are placed one after the other;
/// one that does not fit into the rest begins a spare segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Room {
    /// What is left of the last segment, in bytes.
    pub rest_bytes: u64,
    /// How many segments are ready.
    pub spare_segments: u32,
    /// How much one of them takes, in bytes.
    pub segment_bytes: u64,
    /// The number of the last segment. It only grows.
    pub newest_segment: u32,
    /// There may be no space for the next checkpoint, which is what frees the log: then only what frees space is taken,
    /// whatever is left.
    pub is_reserved: bool,
}

/// One write. Its parts are made durable in this order: `hard`; then truncation and appending *as one record
/// batch*, so that no crash shows the one without the other; compaction last. An `install` puts a stored
/// snapshot in place of the whole log. The hint rides along and never causes a sync.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// Its name: one more than that of the write before.
    pub id: WriteId,
    /// The term and vote, when they changed.
    pub hard: Option<HardState>,
    /// What the core knew to be committed when it issued this. It counts slots of this very write, so it says nothing
    /// of a log to which only a part of the write, or none of it, was done.
    pub commit_hint: Index,
    /// The stored snapshot that takes the place of the log: the log is empty afterwards and begins after it.
    pub install: Option<Box<SnapshotMeta>>,
    /// Drop the entries from this index on, before appending.
    pub truncate_from: Option<Index>,
    /// Payloads of damaged slots, won back from a peer; each has the id the slot always had.
    pub repair: Vec<Entry>,
    /// Entries to append, the first right after what is left.
    pub append: Vec<Entry>,
    /// Entries up to and with this one may be dropped: a durable checkpoint covers them.
    pub compact_to: Option<Index>,
}

/// Who wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reader {
    /// A follower that lags.
    Peer(NodeId),
    /// A peer that asked for copies of what it lost.
    Repair(NodeId),
    /// The state machine of this node.
    Apply,
}

/// Read durable entries from `first` to `last`, both included, stopping after `bytes`, but at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Load {
    /// Whom it is for.
    pub reader: Reader,
    /// The first index.
    pub first: Index,
    /// The last index.
    pub last: Index,
    /// The bound, in bytes of payload.
    pub bytes: usize,
}

/// Read a piece of the snapshot that ends at `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LoadSnapshot {
    /// Whom it is for.
    pub reader: Reader,
    /// The last slot the snapshot covers.
    pub last: LogId,
    /// Where the piece begins, in bytes of content.
    pub offset: u64,
    /// The most bytes to read.
    pub bytes: u64,
}

/// Write a piece of the snapshot described by `meta`; offset zero begins it anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreSnapshot {
    /// The whole snapshot.
    pub meta: Box<SnapshotMeta>,
    /// The piece.
    pub chunk: Chunk,
}

/// A piece of a snapshot's content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Chunk {
    /// Where it begins, in bytes of content.
    pub offset: u64,
    /// Its bytes.
    #[serde(with = "crate::bytes")]
    pub data: Arc<[u8]>,
    /// Whether it is the last.
    pub done: bool,
}

/// A snapshot: the state after `last` was applied. Its content is the host's; only its size and what it hashes to
/// are known here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The last slot it covers.
    pub last: LogId,
    /// The configuration in force there (thesis §5.1: a snapshot without it would forget who votes).
    pub members: Members,
    /// The entry that set that configuration.
    pub members_at: LogId,
    /// The size of the content, in bytes.
    pub bytes: u64,
    /// What the content is recognized by.
    pub digest: Digest,
    /// A hash of the state itself: equal on all nodes that have applied the same, whatever their content looks like.
    pub state_hash: u64,
}

/// The hash of what names all the rest of a snapshot's content: for Quorate's own, the BLAKE3 of its manifest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: it is a part of file names, which are made often.
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            let digit = |four: u8| b"0123456789abcdef"[usize::from(four)];
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        formatter.write_str(core::str::from_utf8(&digits).expect("all digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
