//! A checkpoint read back, in pieces of any size, trusting none of it.
//!
//! The bytes may come from a peer or a rotten disk, so every field is checked, and the state that comes out
//! is one that a store could have had: lengths against what is there, order within each run, revisions, the row count,
//! the state hash. That a run is the one that the manifest names is for whoever fetched it to check.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::changed_keys::ChangeNumber;
use crate::changes::Changes;
use crate::gathered::{self, Gathered, Wrong};
use crate::manifest::{Boundary, Manifest, VERSION};
use crate::rows::{CHUNK_BYTES, ROW_HEAD_BYTES, RowHead, TABLE_KEYS, TABLE_META};
use crate::store::{Kv, Row};

/// Builds a [`Kv`] from the content of a checkpoint: a manifest and its runs, from the oldest to the newest.
///
/// Memory: besides the rows themselves it holds the bytes of the one row that is still incomplete. A length
/// that a row announces reserves nothing: the buffer grows with what was really received, to at most twice
/// that.
#[derive(Debug)]
pub struct Restore {
    stage: Stage,
    manifest: Manifest,
    /// The rows of the oldest run: they come in order, and become a map at once when all are there.
    oldest: Vec<(Arc<[u8]>, Row)>,
    kv: Kv,
    /// The rows that are no keys.
    gathered: Gathered,
    tail: Changes,
    /// The row before, in the same run.
    last: Option<(u8, Arc<[u8]>)>,
    /// Received, but not yet a whole manifest or row.
    pending: Vec<u8>,
    /// Where in the snapshot `pending` begins.
    offset: u64,
}

#[derive(Debug)]
enum Stage {
    Manifest,
    /// In the run of that number, of which so many bytes are still to come.
    Run {
        number: usize,
        left: u64,
    },
    Complete,
    /// Once wrong, always wrong: whoever goes on after an error gets the same error.
    Failed(RestoreError),
}

/// What a checkpoint held.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored {
    /// The store. What a tail holds counts as changed since the boundary.
    pub kv: Kv,
    /// The last boundary, and how far the host had come since.
    pub boundary: Boundary,
}

/// Why a snapshot was refused. The caller drops what it has and takes another copy, or another snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// The first bytes are not those of a snapshot.
    NotASnapshot {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// A snapshot of another format version: written by another release.
    UnknownVersion {
        /// The version that was found.
        found: u16,
    },
    /// A field holds what it can't hold: the snapshot was damaged.
    Malformed {
        /// Where the manifest or row that holds the field begins, in bytes from the start of the
        /// snapshot.
        offset: u64,
        /// What ought to be there.
        expected: &'static str,
        /// The number that was found instead.
        found: u64,
    },
    /// All rows were well formed, but a total in the manifest does not match them: some were lost or altered.
    WrongTotal {
        /// Where the snapshot ends, in bytes from its start.
        offset: u64,
        /// Which total.
        total: &'static str,
        /// What the manifest says.
        expected: u64,
        /// What the rows amount to.
        found: u64,
    },
    /// The snapshot ends too early.
    Truncated {
        /// Where it ends, in bytes from its start.
        offset: u64,
        /// What ought to follow.
        expected: &'static str,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::NotASnapshot { found } => {
                write!(
                    formatter,
                    "not a snapshot: at offset 0 expected \"QUORATKV\", found \"{}\"",
                    found.escape_ascii()
                )
            }
            RestoreError::UnknownVersion { found } => {
                write!(
                    formatter,
                    "snapshot at offset 8: expected a format version from 1 to {VERSION}, found {found}"
                )
            }
            RestoreError::Malformed { offset, expected, found } => {
                write!(formatter, "damaged snapshot at offset {offset}: expected {expected}, found {found}")
            }
            RestoreError::WrongTotal { offset, total, expected, found } => {
                write!(
                    formatter,
                    "damaged snapshot at offset {offset}: {total} {expected:#x} expected, {found:#x} found"
                )
            }
            RestoreError::Truncated { offset, expected } => {
                write!(formatter, "snapshot cut short at offset {offset}: expected {expected}")
            }
        }
    }
}

impl core::error::Error for RestoreError {}

impl Default for Restore {
    fn default() -> Restore {
        Restore::new()
    }
}

impl Restore {
    /// Waits for the first byte.
    pub fn new() -> Restore {
        Restore {
            stage: Stage::Manifest,
            manifest: Manifest::default(),
            oldest: Vec::new(),
            kv: Kv::new(),
            gathered: Gathered::default(),
            tail: Changes::default(),
            last: None,
            pending: Vec::new(),
            offset: 0,
        }
    }

    /// Takes the next bytes of the snapshot: as many as there are, cut anywhere.
    ///
    /// # Errors
    /// The first thing that is wrong; after that always the same error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), RestoreError> {
        if let Stage::Failed(error) = &self.stage {
            return Err(error.clone());
        }
        // In pieces, so that a whole snapshot fed at once isn't copied into the buffer at once.
        for piece in chunk.chunks(CHUNK_BYTES) {
            self.pending.extend_from_slice(piece);
            if let Err(error) = self.take_pending() {
                self.stage = Stage::Failed(error.clone());
                self.pending = Vec::new();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The restored store, once every byte was fed.
    ///
    /// # Errors
    /// [`RestoreError::Truncated`] if the last run did not come to its end, or the error that [`Restore::feed`] gave.
    pub fn finish(self) -> Result<Restored, RestoreError> {
        let expected = match self.stage {
            Stage::Complete => {
                let mut kv = self.kv;
                kv.ledger.changes = self.tail;
                return Ok(Restored { kv, boundary: self.manifest.boundary });
            }
            Stage::Failed(error) => return Err(error),
            Stage::Manifest => "the rest of the manifest",
            Stage::Run { .. } if self.pending.is_empty() => "a row",
            Stage::Run { .. } => "the rest of a row",
        };
        Err(RestoreError::Truncated { offset: self.offset + self.pending.len() as u64, expected })
    }

    /// Consumes all that is complete in `pending`.
    fn take_pending(&mut self) -> Result<(), RestoreError> {
        let pending = core::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some(bytes) = self.take_one(rest)? {
            rest = &rest[bytes..];
            self.offset += bytes as u64;
            self.end_runs()?;
        }
        let consumed = pending.len() - rest.len();
        self.pending = pending;
        self.pending.drain(..consumed);
        Ok(())
    }

    /// Consumes the manifest or one row from the beginning of `bytes`, and says how long it was; nothing while it
    /// is incomplete.
    fn take_one(&mut self, bytes: &[u8]) -> Result<Option<usize>, RestoreError> {
        match self.stage {
            Stage::Manifest => self.take_manifest(bytes),
            Stage::Run { number, left } => self.take_row(bytes, number, left),
            // The byte, not the number of bytes: that would depend on how the stream was cut.
            Stage::Complete => match bytes.first() {
                None => Ok(None),
                Some(byte) => Err(self.malformed(("the end, after the last run", u64::from(*byte)))),
            },
            Stage::Failed(ref error) => Err(error.clone()),
        }
    }

    fn take_manifest(&mut self, bytes: &[u8]) -> Result<Option<usize>, RestoreError> {
        let Some(manifest) = Manifest::decode(bytes)? else { return Ok(None) };
        self.kv.revision = manifest.totals.revision;
        self.manifest = manifest;
        self.stage = self.run(0);
        Ok(Some(usize::try_from(self.manifest.bytes()).expect("the manifest lies in memory")))
    }

    fn run(&self, number: usize) -> Stage {
        match self.manifest.runs.get(number) {
            Some(run) => Stage::Run { number, left: run.bytes },
            None => Stage::Run { number, left: 0 },
        }
    }

    /// Goes on to the next run when one has ended, and looks at the totals behind the last.
    fn end_runs(&mut self) -> Result<(), RestoreError> {
        let Stage::Run { number, left: 0 } = self.stage else { return Ok(()) };
        self.last = None;
        if number == 0 {
            self.fill();
        }
        if number + 1 < self.manifest.runs.len() {
            self.stage = self.run(number + 1);
            return Ok(());
        }
        let gathered = core::mem::take(&mut self.gathered);
        gathered.finish(&mut self.kv).map_err(|wrong| self.malformed(wrong))?;
        let (expected, found) = (self.manifest.totals, self.kv.totals());
        let totals =
            [("row count", expected.rows, found.rows), ("state hash", expected.state_hash, found.state_hash)];
        for (total, expected, found) in totals {
            if expected != found {
                return Err(RestoreError::WrongTotal { offset: self.offset, total, expected, found });
            }
        }
        self.kv.note_that_there_is_no_past();
        self.stage = Stage::Complete;
        Ok(())
    }

    fn take_row(&mut self, bytes: &[u8], number: usize, left: u64) -> Result<Option<usize>, RestoreError> {
        // Whatever follows: bytes of the next run are no part of this row.
        const ENDS: &str = "a row that ends where its run does (bytes left given)";
        if left < ROW_HEAD_BYTES as u64 {
            return Err(self.malformed((ENDS, left)));
        }
        let Some((head, rest)) = bytes.split_first_chunk::<ROW_HEAD_BYTES>() else { return Ok(None) };
        let head = RowHead::decode(head).map_err(|bad| self.malformed((bad.expected, bad.found)))?;
        gathered::check_head(&head).map_err(|wrong| self.malformed(wrong))?;
        if head.row_bytes() > left {
            return Err(self.malformed((ENDS, left)));
        }
        if (bytes.len() as u64) < head.row_bytes() {
            return Ok(None);
        }
        let key_bytes = usize::try_from(head.key_bytes).expect("the key lies in memory");
        let row_bytes = usize::try_from(head.row_bytes()).expect("the row lies in memory");
        let (key, body) = rest[..row_bytes - ROW_HEAD_BYTES].split_at(key_bytes);
        self.take(number, &head, Arc::from(key), body).map_err(|wrong| self.malformed(wrong))?;
        self.stage = Stage::Run { number, left: left - head.row_bytes() };
        Ok(Some(row_bytes))
    }

    fn take(&mut self, number: usize, head: &RowHead, key: Arc<[u8]>, body: &[u8]) -> Result<(), Wrong> {
        if let Some((table, last)) = &self.last
            && (*table, last) >= (head.table, &key)
        {
            return Err(("a row above the one before (its key's length given)", last.len() as u64));
        }
        self.last = Some((head.table, key.clone()));
        let is_tail = self.manifest.has_tail && number + 1 == self.manifest.runs.len();
        if head.table != TABLE_KEYS {
            self.kv.meta_changed |= is_tail && head.table == TABLE_META;
            let tail = (is_tail && head.table != TABLE_META).then_some(&mut self.tail);
            return self.gathered.take(head, key, body, tail);
        }
        let entry = if head.is_tombstone { None } else { Some(gathered::entry(body, self.kv.revision())?) };
        let (mut key, mut changed) = (key, ChangeNumber::NONE);
        if is_tail {
            // The very key that the row has, or will have: changes are found by it.
            key = self.kv.rows.get_mut(&key).map_or(key, |(known, _)| Arc::clone(known));
            changed = self.tail.keys.set(&key, changed, entry.clone());
        }
        let row = entry.map(|entry| Row { changed, ..Row::new(&key, entry) });
        match row {
            Some(row) if number == 0 => self.oldest.push((key, row)),
            // Nothing lies below the oldest run.
            None if number == 0 => {}
            row => self.overwrite(&key, row),
        }
        Ok(())
    }

    /// Takes a row of a newer run: what it says counts, whatever was there.
    fn overwrite(&mut self, key: &Arc<[u8]>, row: Option<Row>) {
        let old = match row {
            Some(row) => {
                self.kv.count(key, &row);
                self.kv.rows.insert(Arc::clone(key), row)
            }
            None => self.kv.rows.remove_entry(key).map(|(_, row)| row),
        };
        if let Some(old) = old {
            self.kv.forget(key, &old);
        }
    }

    /// Takes the rows of the oldest run, which come in order: a map is built from those faster than row by row, and is
    /// denser.
    fn fill(&mut self) {
        let rows = core::mem::take(&mut self.oldest);
        rows.iter().for_each(|(key, row)| self.kv.count(key, row));
        self.kv.rows = rows.into_iter().collect();
    }

    fn malformed(&self, (expected, found): Wrong) -> RestoreError {
        RestoreError::Malformed { offset: self.offset, expected, found }
    }
}
