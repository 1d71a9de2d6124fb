//! The bytes of rows, and the writer of a run.
//!
//! All replicated state is rows `(table, key) → body` in one order: by table, then by the bytes of the key. A *run* is
//! a sequence of rows, strictly ascending, that says what changed between two moments; a row that was deleted is there
//! as a *tombstone*. All numbers are unsigned and little-endian.
//!
//! ```text
//! row, 10 bytes and what they announce
//!   0        1       2             6            10       10 + K            10 + K + B
//!   | table  | kind  | K           | B           | key   | body            |
//!   table     u8       0 to 6, as below
//!   kind      u8       0 a row; 1 a tombstone: the row is gone, and B is 0
//!   K         u32      length of the key in bytes
//!   B         u32      length of the body in bytes
//!
//! body of a row in table 1, the keys; the row's key is the key
//!   0                  8               16         24            B
//!   | create_revision  | mod_revision  | version  | value       |
//!   each u64, as in [`Entry`]; the value is all that is left
//!
//! body of a row in table 2, the history; the row's key is revision and ordinal, u64 and u32, *big-endian*, so that the
//! oldest comes first
//!   0       1       2    6      6 + L
//!   | kind  | had   | L  | key  | what was there before
//!   kind      u8       0 put, 1 deleted, 2 expired
//!   had       u8       1 when the key was there before: then a body as in table 1 follows; else 0, and nothing does
//!   L         u32      length of the key in bytes
//!
//! table   key                  body
//!   0     empty                u64 each: cluster time in ms, oldest readable revision; then the settings: revisions
//!                              and bytes of history, answers and their bytes. No row while all is as in an empty store
//!   3     lease, u64 BE        u64 time to live in ms, u64 cluster time in ms at which it ends
//!   4     a key                u8 0 and u64 cluster time in ms at which the key goes; or u8 1 and u64 its lease
//!   5     u16 length of the    u64 cluster time in ms of the answer, 32 bytes hash of the request, then the outcome,
//!         principal, the       drawn in `outcome_bytes.rs`
//!         principal, the
//!         idempotency key
//!   6     name of a lock       u32 length of the holder, the holder, and what it says of itself
//! ```
//!
//! Tables 7 to 255 are free. A table that is added raises the version of the [`Manifest`](crate::Manifest); version 1
//! had the keys alone. All rows have the same head, so that runs can be merged and compared without knowing what the
//! tables mean.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::changes::{Body, Changes, Position};
use crate::history::Event;
use crate::store::Entry;

/// The size of the pieces that [`RunWriter`] hands out; only the last one is smaller.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// The size of a [`RowHead`].
pub const ROW_HEAD_BYTES: usize = 10;

pub(crate) const ENTRY_HEAD_BYTES: usize = 24;
pub(crate) const EVENT_HEAD_BYTES: usize = 6;

pub(crate) const TABLE_META: u8 = 0;
pub(crate) const TABLE_KEYS: u8 = 1;
pub(crate) const TABLE_HISTORY: u8 = 2;
pub(crate) const TABLE_LEASES: u8 = 3;
pub(crate) const TABLE_EXPIRIES: u8 = 4;
pub(crate) const TABLE_ANSWERS: u8 = 5;
pub(crate) const TABLE_LOCKS: u8 = 6;

/// What stands before each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHead {
    /// The table.
    pub table: u8,
    /// Whether the row is gone.
    pub is_tombstone: bool,
    /// The length of the key that follows, in bytes.
    pub key_bytes: u32,
    /// The length of the body that follows the key, in bytes.
    pub body_bytes: u32,
}

/// Why bytes are no [`RowHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRowHead {
    /// What ought to be there.
    pub expected: &'static str,
    /// The number that was found instead.
    pub found: u64,
}

impl RowHead {
    /// Reads a head. Whether its table is known is for whoever wants to understand the row.
    ///
    /// # Errors
    /// [`BadRowHead`]: a field holds what it can't hold.
    pub fn decode(bytes: &[u8; ROW_HEAD_BYTES]) -> Result<RowHead, BadRowHead> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (table, kind) = (bytes[0], bytes[1]);
        let head = RowHead { table, is_tombstone: kind == 1, key_bytes: number(2), body_bytes: number(6) };
        if kind > 1 {
            return Err(BadRowHead { expected: "0 or 1 as the kind of a row", found: u64::from(kind) });
        }
        if head.is_tombstone && head.body_bytes > 0 {
            return Err(BadRowHead {
                expected: "a tombstone without a body",
                found: u64::from(head.body_bytes),
            });
        }
        Ok(head)
    }

    /// Writes the head.
    pub fn encode(&self) -> [u8; ROW_HEAD_BYTES] {
        let mut bytes = [0; ROW_HEAD_BYTES];
        bytes[0] = self.table;
        bytes[1] = u8::from(self.is_tombstone);
        bytes[2..6].copy_from_slice(&self.key_bytes.to_le_bytes());
        bytes[6..].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes
    }

    /// The length of head, key and body together, in bytes.
    pub fn row_bytes(&self) -> u64 {
        ROW_HEAD_BYTES as u64 + u64::from(self.key_bytes) + u64::from(self.body_bytes)
    }
}

/// Writes a run, chunk by chunk. It owns what it writes, so it can go to another thread, and the store can move on
/// meanwhile. A clone costs little and goes on by itself: whoever meets a full disk begins again with one.
#[derive(Clone, Debug)]
pub struct RunWriter {
    changes: Arc<Changes>,
    /// What is out already, and in the hands of `head` and `value`.
    position: Position,
    /// What is being written: first `head`, then `value`. A value is never copied as a whole.
    head: Vec<u8>,
    value: Arc<[u8]>,
    /// How much of `head` and `value` is out.
    written: usize,
}

impl RunWriter {
    pub(crate) fn new(changes: Changes) -> RunWriter {
        let (head, value) = (Vec::new(), Arc::default());
        RunWriter { changes: Arc::new(changes), position: Position::default(), head, value, written: 0 }
    }

    /// Frees a part of what it holds, a block of some hundred rows of each kind; false when there is nothing left, or a
    /// clone needs it. What is left is not to be read any more.
    pub fn let_go(&mut self) -> bool {
        Arc::get_mut(&mut self.changes).is_some_and(Changes::let_go)
    }

    /// Moves on to the next row. False when there is none.
    fn advance(&mut self) -> bool {
        self.head.clear();
        self.written = 0;
        self.value = Arc::default();
        let changes = Arc::clone(&self.changes);
        let Some((table, key, body)) = changes.after(&mut self.position) else { return false };
        match body {
            None => self.begin(table, &key, None),
            Some(Body::Bytes(bytes)) => {
                self.begin(table, &key, Some(bytes.len()));
                self.value = bytes;
            }
            Some(Body::Entry(entry)) => {
                self.begin(table, &key, Some(ENTRY_HEAD_BYTES + entry.value.len()));
                self.entry(&entry);
            }
            Some(Body::Event(event)) => self.event(&key, &event),
        }
        true
    }

    /// Writes head and key of a row.
    fn begin(&mut self, table: u8, key: &[u8], body_bytes: Option<usize>) {
        let head = RowHead {
            table,
            is_tombstone: body_bytes.is_none(),
            key_bytes: length(key.len()),
            body_bytes: length(body_bytes.unwrap_or(0)),
        };
        self.head.extend_from_slice(&head.encode());
        self.head.extend_from_slice(key);
    }

    fn entry(&mut self, entry: &Entry) {
        for number in [entry.create_revision.0, entry.mod_revision.0, entry.version] {
            self.head.extend_from_slice(&number.to_le_bytes());
        }
        self.value = entry.value.clone();
    }

    fn event(&mut self, row_key: &[u8], event: &Event) {
        let before = event.previous.as_ref().map(|row| &row.entry);
        let before_bytes = before.map_or(0, |entry| ENTRY_HEAD_BYTES + entry.value.len());
        let body_bytes = EVENT_HEAD_BYTES + event.key.len() + before_bytes;
        self.begin(TABLE_HISTORY, row_key, Some(body_bytes));
        self.head.extend_from_slice(&[event.kind as u8, u8::from(before.is_some())]);
        self.head.extend_from_slice(&length(event.key.len()).to_le_bytes());
        self.head.extend_from_slice(&event.key);
        if let Some(entry) = before {
            self.entry(entry);
        }
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("the log's codec takes no command of 4 GiB")
}

impl Iterator for RunWriter {
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
