//! A snapshot read back, in pieces of any size, trusting none of it.
//!
//! The bytes may come from a peer or a rotten disk, so every field is checked, and the state that comes out
//! is one that a store could have had: lengths against what is there, order, revisions, the row count, the
//! state hash.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::command::Revision;
use crate::snapshot::{
    ENTRY_HEAD_BYTES, FOOTER_BODY_BYTES, HEADER_BYTES, MAGIC, ROW_HEAD_BYTES, TABLE_FOOTER, TABLE_KEYS,
    VERSION,
};
use crate::store::{Entry, Kv};

/// Builds a [`Kv`] from the bytes of a snapshot.
///
/// Memory: besides the rows themselves it holds the bytes of the one row that is still incomplete. A length
/// that a row announces reserves nothing: the buffer grows with what was really received, to at most twice
/// that.
#[derive(Debug)]
pub struct Restore {
    stage: Stage,
    kv: Kv,
    row_count: u64,
    /// Received, but not yet a whole header or row.
    pending: Vec<u8>,
    /// Where in the snapshot `pending` begins.
    offset: u64,
}

#[derive(Debug)]
enum Stage {
    Header,
    Rows,
    Complete,
    /// Once wrong, always wrong: whoever goes on after an error gets the same error.
    Failed(RestoreError),
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
        /// Where the header, row or footer that holds the field begins, in bytes from the start of the
        /// snapshot.
        offset: u64,
        /// What ought to be there.
        expected: &'static str,
        /// The number that was found instead.
        found: u64,
    },
    /// All rows were well formed, but a total in the footer does not match them: some were lost or altered.
    WrongTotal {
        /// Where the footer begins, in bytes from the start of the snapshot.
        offset: u64,
        /// Which total.
        total: &'static str,
        /// What the footer says.
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
                write!(formatter, "snapshot at offset 8: expected format version {VERSION}, found {found}")
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
        Restore { stage: Stage::Header, kv: Kv::new(), row_count: 0, pending: Vec::new(), offset: 0 }
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
        for piece in chunk.chunks(crate::snapshot::CHUNK_BYTES) {
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
    /// [`RestoreError::Truncated`] if the footer did not come, or the error that [`Restore::feed`] gave.
    pub fn finish(self) -> Result<Kv, RestoreError> {
        let expected = match self.stage {
            Stage::Complete => return Ok(self.kv),
            Stage::Failed(error) => return Err(error),
            Stage::Header => "the rest of the header",
            Stage::Rows if self.pending.is_empty() => "a row or the footer",
            Stage::Rows => "the rest of a row",
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
        }
        let consumed = pending.len() - rest.len();
        self.pending = pending;
        self.pending.drain(..consumed);
        Ok(())
    }

    /// Consumes one header or row from the beginning of `bytes`, and says how long it was; nothing while it
    /// is incomplete.
    fn take_one(&mut self, bytes: &[u8]) -> Result<Option<usize>, RestoreError> {
        match self.stage {
            Stage::Header => self.take_header(bytes),
            Stage::Rows => self.take_row(bytes),
            // The byte, not the number of bytes: that would depend on how the stream was cut.
            Stage::Complete => match bytes.first() {
                None => Ok(None),
                Some(byte) => Err(self.malformed("the end, after the footer", u64::from(*byte))),
            },
            Stage::Failed(ref error) => Err(error.clone()),
        }
    }

    fn take_header(&mut self, bytes: &[u8]) -> Result<Option<usize>, RestoreError> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let mut fields = Fields(header);
        let magic = fields.array();
        if magic != MAGIC {
            return Err(RestoreError::NotASnapshot { found: magic });
        }
        let version = u16::from_le_bytes(fields.array());
        if version != VERSION {
            return Err(RestoreError::UnknownVersion { found: version });
        }
        let zero = u16::from_le_bytes(fields.array());
        if zero != 0 {
            return Err(self.malformed("0 in the header's spare field", u64::from(zero)));
        }
        let revision = Revision(fields.u64());
        if revision > Revision::MAX {
            return Err(self.malformed("a revision below 2^63", revision.0));
        }
        self.kv = Kv::at_revision(revision);
        self.stage = Stage::Rows;
        Ok(Some(HEADER_BYTES))
    }

    fn take_row(&mut self, bytes: &[u8]) -> Result<Option<usize>, RestoreError> {
        let Some((head, rest)) = bytes.split_first_chunk::<ROW_HEAD_BYTES>() else { return Ok(None) };
        let mut fields = Fields(head);
        let [table] = fields.array();
        let (key_bytes, body_bytes) = (fields.u32(), fields.u32());
        // Told by the head alone, so that a broken length is noticed before gigabytes are waited for.
        match table {
            TABLE_KEYS if body_bytes < ENTRY_HEAD_BYTES as u64 => {
                return Err(self.malformed("a body of at least 24 bytes", body_bytes));
            }
            TABLE_FOOTER if key_bytes != 0 => return Err(self.malformed("a footer without a key", key_bytes)),
            TABLE_FOOTER if body_bytes != FOOTER_BODY_BYTES as u64 => {
                return Err(self.malformed("a footer of 16 bytes", body_bytes));
            }
            TABLE_KEYS | TABLE_FOOTER => {}
            _ => return Err(self.malformed("table 1 or 255", u64::from(table))),
        }
        if (rest.len() as u64) < key_bytes + body_bytes {
            return Ok(None);
        }
        let key_bytes = usize::try_from(key_bytes).expect("the key lies in memory");
        let body_bytes = usize::try_from(body_bytes).expect("the body lies in memory");
        let (key, rest) = rest.split_at(key_bytes);
        let body = Fields(&rest[..body_bytes]);
        match table {
            TABLE_KEYS => self.restore_key(key, body)?,
            _ => self.check_footer(body)?,
        }
        Ok(Some(ROW_HEAD_BYTES + key_bytes + body_bytes))
    }

    fn restore_key(&mut self, key: &[u8], mut body: Fields<'_>) -> Result<(), RestoreError> {
        let create_revision = Revision(body.u64());
        let mod_revision = Revision(body.u64());
        let version = body.u64();
        let entry = Entry { value: Arc::from(body.0), create_revision, mod_revision, version };
        if let Some((expected, found)) = entry.unsound(self.kv.revision()) {
            return Err(self.malformed(expected, found));
        }
        if self.kv.last_key().is_some_and(|last| last >= key) {
            return Err(
                self.malformed("a key above the one before (rows already read given)", self.row_count)
            );
        }
        self.kv.insert(Arc::from(key), entry);
        self.row_count += 1;
        Ok(())
    }

    fn check_footer(&mut self, mut body: Fields<'_>) -> Result<(), RestoreError> {
        let (row_count, state_hash) = (body.u64(), body.u64());
        let totals =
            [("row count", row_count, self.row_count), ("state hash", state_hash, self.kv.state_hash())];
        for (total, expected, found) in totals {
            if expected != found {
                return Err(RestoreError::WrongTotal { offset: self.offset, total, expected, found });
            }
        }
        self.stage = Stage::Complete;
        Ok(())
    }

    fn malformed(&self, expected: &'static str, found: u64) -> RestoreError {
        RestoreError::Malformed { offset: self.offset, expected, found }
    }
}

/// Takes fixed-size fields off the front of bytes whose length was checked before.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the length was checked");
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u64 {
        u64::from(u32::from_le_bytes(self.array()))
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}
