//! Decoders as functions of bytes, for fuzzing. None of them panics, whatever the bytes are.

use crate::recovery::recover_bytes;

/// Takes the bytes for a segment file of the log and recovers what it holds: the number of slots.
pub fn wal_decode(bytes: &[u8]) -> usize {
    recover_bytes(bytes)
}
