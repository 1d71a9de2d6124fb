//! Decoders as functions of bytes, for fuzzing. None of them panics, whatever the bytes are.

use crate::recovery::recover_bytes;

/// Takes the bytes for a segment file of the log and recovers what it holds: the number of slots.
pub fn wal_decode(bytes: &[u8]) -> usize {
    recover_bytes(bytes)
}

/// Takes the bytes for a `data.json`: the number of entries. What was read is written the same way again.
///
/// # Panics
/// When it is not: a bug.
pub fn data_json(bytes: &[u8]) -> usize {
    let Ok(entries) = crate::data_json::decode(bytes) else { return 0 };
    let slices = || entries.iter().map(|(key, value)| (&key[..], &value[..]));
    let again = crate::data_json::decode(&crate::data_json::encode(slices()));
    assert_eq!(again.as_ref(), Ok(&entries), "a data.json changes when it is written again");
    entries.len()
}
