//! Checkpoints of the state machine.

use quorate_kv::{Boundary, Kv, Manifest, Restore, RestoreError, Restored, RunRef};

/// Reads a checkpoint. Of one that is accepted the restored store must be what comes back when it is written again,
/// and the verdict must not depend on how the bytes were cut.
pub fn snapshot_decode(data: &[u8]) {
    let whole = restore(data, data.len().max(1));
    let piece = data.last().map_or(1, |last| usize::from(*last) + 1);
    assert_eq!(whole, restore(data, piece), "in pieces of {piece}");
    if let Ok(Restored { kv, boundary }) = whole {
        assert_eq!(restore(&written(&kv, boundary), 1 << 16), Ok(Restored { kv, boundary }));
    }
}

/// A checkpoint of one run.
fn written(kv: &Kv, boundary: Boundary) -> Vec<u8> {
    let mut all = kv.clone();
    all.count_all_as_changed();
    let run: Vec<u8> = all.seal().rows.flatten().collect();
    let named = (!run.is_empty()).then_some(RunRef { digest: [0; 32], bytes: run.len() as u64 });
    let manifest =
        Manifest { totals: kv.totals(), boundary, has_tail: false, runs: named.into_iter().collect() };
    [manifest.encode(), run].concat()
}

fn restore(data: &[u8], piece: usize) -> Result<Restored, RestoreError> {
    let mut restore = Restore::new();
    for piece in data.chunks(piece) {
        restore.feed(piece)?;
    }
    restore.finish()
}
