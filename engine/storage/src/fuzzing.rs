//! Decoders as functions of bytes, for fuzzing. None of them panics, whatever the bytes are.

use quorate_raft::LogId;
use quorate_wire::checkpoint::Manifest;
use quorate_wire::{ClusterId, HistoryId};

use crate::backup::{Flaw, HEADER_BYTES, Header, Origin, Verifier};
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

/// Takes the bytes for a backup and verifies it: how many of them are sound. Then once more with a header made to fit
/// what follows it, so that more than the header is reached.
///
/// # Panics
/// When it matters how the bytes are cut, or a header is not what it is when it is written again: a bug.
pub fn backup_decode(bytes: &[u8]) -> u64 {
    let piece = bytes.last().map_or(1, |last| usize::from(*last) + 1);
    let whole = verify(bytes, bytes.len().max(1));
    assert_eq!(whole, verify(bytes, piece), "in pieces of {piece}");
    if let Some(fitting) = with_fitting_header(bytes) {
        assert_eq!(verify(&fitting, fitting.len()), verify(&fitting, piece), "mended, in pieces of {piece}");
    }
    whole.1
}

fn verify(bytes: &[u8], piece: usize) -> (Result<(), Flaw>, u64) {
    let mut verifier = Verifier::new();
    let fed = bytes.chunks(piece).try_for_each(|piece| verifier.feed(piece));
    if let Some(header) = verifier.header() {
        assert_eq!(bytes[..HEADER_BYTES], header.encode(), "a header changes when it is written again");
    }
    let sound = verifier.sound_bytes();
    assert!(sound <= bytes.len() as u64, "{sound} bytes of {} are sound", bytes.len());
    (fed.and_then(|()| verifier.finish()), sound)
}

fn with_fitting_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let manifest = Manifest::decode(bytes.get(HEADER_BYTES..)?).ok()??;
    let start = HEADER_BYTES + manifest.encode().len();
    let checksums = manifest.runs.iter().map(|run| run.bytes.div_ceil(crate::backup::BLOCK_BYTES));
    let tables_bytes = usize::try_from(checksums.sum::<u64>().checked_mul(4)?).ok()?;
    let tables = bytes.get(start..start.checked_add(tables_bytes)?)?;
    let origin = Origin { cluster: ClusterId(1), history: HistoryId(2) };
    let header = Header::new(origin, LogId::new(3, 4), &manifest, tables);
    Some([&header.encode()[..], &bytes[HEADER_BYTES..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted() {
        assert_eq!(data_json(b"{}"), 0);
        assert_eq!(data_json(br#"{"YQ==":"MQ==","Yg==":""}"#), 2);
        assert_eq!(data_json(b"nonsense"), 0);
    }

    /// Or nothing behind the header would ever be reached.
    #[test]
    fn a_header_is_made_that_fits_what_follows_it() {
        let manifest = Manifest::default().encode();
        let bytes = [&vec![7; HEADER_BYTES][..], &manifest].concat();
        assert_eq!(backup_decode(&bytes), 0);
        let fitting = with_fitting_header(&bytes).unwrap();
        assert_eq!(fitting[HEADER_BYTES..], manifest);
        assert_eq!(verify(&fitting, 100), (Ok(()), fitting.len() as u64));
        assert_eq!(with_fitting_header(&bytes[..HEADER_BYTES]), None);
    }
}
