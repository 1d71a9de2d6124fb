//! The bytes of a snapshot, and the writer.
//!
//! A snapshot is the whole replicated state as one stream of bytes, cut into chunks of [`CHUNK_BYTES`] (the
//! last one is shorter). The cuts mean nothing: a reader may receive the stream in pieces of any size. Equal
//! states give equal bytes on every machine. All numbers are unsigned and little-endian.
//!
//! ```text
//! snapshot:  header | row | row | … | footer
//!
//! header, 20 bytes
//!   0        8         10        12            20
//!   | magic  | version | zero    | revision    |
//!   magic     8 bytes  51 55 4F 52 41 54 4B 56, "QUORATKV"
//!   version   u16      1; a reader refuses a version it does not know
//!   zero      u16      0
//!   revision  u64      the store's revision, at most 2^63 − 1
//!
//! row, 9 bytes and what they announce; rows are strictly ascending by (table, key)
//!   0        1             5             9       9 + K             9 + K + B
//!   | table  | K           | B           | key   | body            |
//!   table     u8       see below
//!   K         u32      length of the key in bytes
//!   B         u32      length of the body in bytes
//!
//! body of a row in table 1, the keys
//!   0                  8               16         24            B
//!   | create_revision  | mod_revision  | version  | value       |
//!   each u64, as in [`Entry`](crate::Entry); the value is all that is left
//!
//! footer: a row in table 255 without a key, 25 bytes; nothing follows it
//!   0      1      5       9            17            25
//!   | FF   | 0    | 16    | row count  | state hash  |
//!   row count   u64    the rows between header and footer
//!   state hash  u64    [`Kv::state_hash`](crate::Kv::state_hash) of the state described
//! ```
//!
//! Tables 2 to 254 are free: history, leases and sessions will each take one, and raise the version. All rows
//! have the same head, so that snapshots can be merged and compared without knowing what the tables mean.
//!
//! There is no checksum beside the state hash, which covers every field that carries meaning; whoever stores
//! or sends a snapshot has checksums of its own for its blocks.

use alloc::collections::{BTreeMap, btree_map};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::Revision;
use crate::store::Row;

/// The size of the pieces [`SnapshotWriter`] hands out; only the last one is smaller.
pub const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) const MAGIC: [u8; 8] = *b"QUORATKV";
pub(crate) const VERSION: u16 = 1;
pub(crate) const HEADER_BYTES: usize = 20;
pub(crate) const ROW_HEAD_BYTES: usize = 9;
pub(crate) const ENTRY_HEAD_BYTES: usize = 24;
pub(crate) const FOOTER_BODY_BYTES: usize = 16;
pub(crate) const TABLE_KEYS: u8 = 1;
pub(crate) const TABLE_FOOTER: u8 = 255;

/// Writes a snapshot, chunk by chunk. It owns what it writes, so it can go to another thread, and the store
/// can move on meanwhile.
#[derive(Debug)]
pub struct SnapshotWriter {
    rows: btree_map::IntoIter<Arc<[u8]>, Row>,
    row_count: u64,
    state_hash: u64,
    footer_done: bool,
    /// What is being written: first `head`, then `value`. A value is never copied as a whole.
    head: Vec<u8>,
    value: Arc<[u8]>,
    /// How much of `head` and `value` is out.
    written: usize,
}

impl SnapshotWriter {
    pub(crate) fn new(revision: Revision, state_hash: u64, rows: BTreeMap<Arc<[u8]>, Row>) -> SnapshotWriter {
        let mut head = Vec::with_capacity(HEADER_BYTES);
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&0_u16.to_le_bytes());
        head.extend_from_slice(&revision.0.to_le_bytes());
        SnapshotWriter {
            row_count: rows.len() as u64,
            rows: rows.into_iter(),
            state_hash,
            footer_done: false,
            head,
            value: Arc::default(),
            written: 0,
        }
    }

    /// Moves on to the next row, or the footer. False when there is nothing more.
    fn advance(&mut self) -> bool {
        self.head.clear();
        self.written = 0;
        self.value = Arc::default();
        if let Some((key, row)) = self.rows.next() {
            let entry = row.entry;
            self.row_head(TABLE_KEYS, key.len(), ENTRY_HEAD_BYTES + entry.value.len());
            self.head.extend_from_slice(&key);
            self.head.extend_from_slice(&entry.create_revision.0.to_le_bytes());
            self.head.extend_from_slice(&entry.mod_revision.0.to_le_bytes());
            self.head.extend_from_slice(&entry.version.to_le_bytes());
            self.value = entry.value;
            return true;
        }
        if self.footer_done {
            return false;
        }
        self.footer_done = true;
        self.row_head(TABLE_FOOTER, 0, FOOTER_BODY_BYTES);
        self.head.extend_from_slice(&self.row_count.to_le_bytes());
        self.head.extend_from_slice(&self.state_hash.to_le_bytes());
        true
    }

    fn row_head(&mut self, table: u8, key_bytes: usize, body_bytes: usize) {
        self.head.push(table);
        for length in [key_bytes, body_bytes] {
            let length = u32::try_from(length).expect("the log's codec takes no command of 4 GiB");
            self.head.extend_from_slice(&length.to_le_bytes());
        }
    }
}

impl Iterator for SnapshotWriter {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        loop {
            let head_left = self.head.get(self.written..).unwrap_or_default();
            let value_left = &self.value[self.written.saturating_sub(self.head.len())..];
            let left = if head_left.is_empty() { value_left } else { head_left };
            let fits = left.len().min(CHUNK_BYTES - chunk.len());
            chunk.extend_from_slice(&left[..fits]);
            self.written += fits;
            if chunk.len() == CHUNK_BYTES {
                return Some(chunk);
            }
            let row_done = self.written == self.head.len() + self.value.len();
            if row_done && !self.advance() {
                return (!chunk.is_empty()).then_some(chunk);
            }
        }
    }
}
