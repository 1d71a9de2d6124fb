//! The state machine: the store, and how it is restored from a checkpoint.

use crate::kv::{Applied, Boundary, Kv, Restore, Restored, Sealed};
use quorate_raft::{Chunk, Entry, Index, LoadSnapshot, LogId, Payload, Reader, SnapshotMeta, Term};
use quorate_wire::entry::decode_command;

/// How much of a checkpoint is read at a time, in bytes.
const PIECE_BYTES: u64 = 1 << 20;

/// The store as of the last applied entry, or one that is being restored.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) kv: Kv,
    /// Where the rows that changed were last taken away, and the commands applied since.
    pub(crate) boundary: Boundary,
    /// How many bytes were freed since the state was given as a whole, or restored. Merges may have dropped them since;
    /// how far those have come is not known here.
    freed_bytes: u64,
    restoring: Option<Restoring>,
}

#[derive(Debug)]
struct Restoring {
    meta: SnapshotMeta,
    offset: u64,
    restore: Restore,
}

/// How far a restoration is.
pub(crate) enum Progress {
    /// Read this next.
    Next(LoadSnapshot),
    /// The store is that of the snapshot.
    Complete(Index),
    /// It was about another restoration: nothing happened.
    Stale,
}

impl State {
    pub(crate) fn new() -> Self {
        State { kv: Kv::new(), boundary: Boundary::default(), freed_bytes: 0, restoring: None }
    }

    pub(crate) fn is_restoring(&self) -> bool {
        self.restoring.is_some()
    }

    /// Applies an entry. `None` for those the store has no part in.
    ///
    /// # Panics
    /// When a committed command cannot be decoded: it was checked before it was proposed, so the log of every
    /// node is wrong in the same way, and going on would make them differ.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Option<Applied> {
        let Payload::Command(bytes) = &entry.payload else { return None };
        match decode_command(bytes) {
            Ok(command) => {
                let before = self.bytes();
                let applied = self.kv.apply(&command);
                self.freed_bytes += before.saturating_sub(self.bytes());
                Some(applied)
            }
            Err(error) => panic!("the committed command at {} cannot be decoded: {error}", entry.id),
        }
    }

    /// The last boundary; zero while there was none.
    pub(crate) fn base(&self) -> LogId {
        LogId { term: Term(self.boundary.term), index: Index(self.boundary.index) }
    }

    /// Takes away what changed since the last boundary: `last` is the next.
    pub(crate) fn seal(&mut self, last: LogId) -> Sealed {
        self.boundary = Boundary { term: last.term.0, index: last.index.0, command_bytes: 0 };
        self.kv.seal()
    }

    /// What keys, values and the past have together, in bytes.
    fn bytes(&self) -> u64 {
        self.kv.live_bytes() + self.kv.history_bytes().0
    }

    /// As it was counted by a node that was written down.
    pub(crate) fn set_freed_bytes(&mut self, freed_bytes: u64) {
        self.freed_bytes = freed_bytes;
    }

    /// How many bytes were freed since the state was given as a whole, or restored.
    pub(crate) fn freed_bytes(&self) -> u64 {
        self.freed_bytes
    }

    /// Whether so much has been freed that it is a quarter of what runs may still hold, or more.
    pub(crate) fn has_shrunk(&self) -> bool {
        self.freed_bytes > 0 && self.freed_bytes.saturating_mul(3) >= self.bytes()
    }

    /// The next checkpoint builds on none.
    pub(crate) fn forget_base(&mut self) {
        self.boundary = Boundary { term: 0, index: 0, ..self.boundary };
        self.freed_bytes = 0;
        self.kv.count_all_as_changed();
    }

    /// Begins to restore the snapshot; gives the first piece to read.
    pub(crate) fn begin_restore(&mut self, meta: SnapshotMeta) -> LoadSnapshot {
        let first = piece(&meta, 0);
        self.restoring = Some(Restoring { meta, offset: 0, restore: Restore::new() });
        first
    }

    /// Takes a piece of the checkpoint. An error names what is wrong with the checkpoint.
    pub(crate) fn restore(&mut self, load: &LoadSnapshot, chunk: Option<Chunk>) -> Result<Progress, String> {
        let current =
            |restoring: &mut Restoring| (restoring.meta.last, restoring.offset) == (load.last, load.offset);
        let Some(mut restoring) = self.restoring.take_if(current) else { return Ok(Progress::Stale) };
        let last = restoring.meta.last;
        let Some(chunk) = chunk else {
            return Err(format!("the checkpoint at {last} cannot be read at byte {}", load.offset));
        };
        let bad = |error| format!("the checkpoint at {last} is not one: {error}");
        restoring.restore.feed(&chunk.data).map_err(bad)?;
        restoring.offset += chunk.data.len() as u64;
        if chunk.done {
            self.freed_bytes = 0;
            Restored { kv: self.kv, boundary: self.boundary } = restoring.restore.finish().map_err(bad)?;
            return Ok(Progress::Complete(last.index));
        }
        let next = piece(&restoring.meta, restoring.offset);
        self.restoring = Some(restoring);
        Ok(Progress::Next(next))
    }
}

fn piece(meta: &SnapshotMeta, offset: u64) -> LoadSnapshot {
    LoadSnapshot { reader: Reader::Apply, last: meta.last, offset, bytes: PIECE_BYTES }
}
