//! Snapshots of the state machine.

use quorate_kv::{Kv, Restore, RestoreError};

/// Reads a snapshot. One that is accepted must be the very bytes that the restored store would write, and
/// the verdict must not depend on how the bytes were cut.
pub fn snapshot_decode(data: &[u8]) {
    let whole = restore(data, data.len().max(1));
    let piece = data.last().map_or(1, |last| usize::from(*last) + 1);
    assert_eq!(whole, restore(data, piece), "in pieces of {piece}");
    if let Ok(kv) = whole {
        assert_eq!(kv.snapshot().flatten().collect::<Vec<u8>>(), data);
    }
}

fn restore(data: &[u8], piece: usize) -> Result<Kv, RestoreError> {
    let mut restore = Restore::new();
    for piece in data.chunks(piece) {
        restore.feed(piece)?;
    }
    restore.finish()
}
