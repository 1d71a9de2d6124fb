//! Snapshots, one case at a time: the layout, the chunks, and each way of being wrong.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use quorate_kv::{Command, Kv, Restore, RestoreError, snapshot};

fn put(key: &str, value: &[u8]) -> Command {
    Command::Put { key: key.as_bytes().into(), value: value.into() }
}

fn small() -> Kv {
    let mut kv = Kv::new();
    kv.apply(&put("a", b"1"));
    kv.apply(&put("b", b"22"));
    kv
}

fn bytes(kv: &Kv) -> Vec<u8> {
    kv.snapshot().flatten().collect()
}

fn refused(bytes: &[u8]) -> RestoreError {
    let mut restore = Restore::new();
    let first = restore.feed(bytes);
    let again = restore.feed(b"");
    assert_eq!(first, again, "an error is for good");
    restore.finish().unwrap_err()
}

/// Where things are in the snapshot of `small`.
const REVISION: usize = 12;
const ROW_A: usize = 20;
const ROW_B: usize = ROW_A + 9 + 1 + 24 + 1;
const FOOTER: usize = ROW_B + 9 + 1 + 24 + 2;

#[test]
fn the_layout_is_as_drawn() {
    let kv = small();
    let row = |key: &[u8], revision: u8, value: &[u8]| {
        let mut row = vec![1, 1, 0, 0, 0, 24 + u8::try_from(value.len()).unwrap(), 0, 0, 0];
        row.extend_from_slice(key);
        for number in [revision, revision, 1] {
            row.extend_from_slice(&u64::from(number).to_le_bytes());
        }
        row.extend_from_slice(value);
        row
    };
    let header = [b"QUORATKV".as_slice(), &[1, 0, 0, 0], &2_u64.to_le_bytes()].concat();
    let footer = [
        vec![255, 0, 0, 0, 0, 16, 0, 0, 0],
        2_u64.to_le_bytes().to_vec(),
        kv.state_hash().to_le_bytes().to_vec(),
    ];
    let drawn = [header, row(b"a", 1, b"1"), row(b"b", 2, b"22"), footer.concat()].concat();
    assert_eq!(bytes(&kv), drawn);
}

#[test]
fn the_empty_store_has_a_snapshot() {
    let bytes = bytes(&Kv::new());
    assert_eq!(bytes.len(), 20 + 25);
    let mut restore = Restore::new();
    restore.feed(&bytes).unwrap();
    assert_eq!(restore.finish().unwrap(), Kv::new());
}

#[test]
fn chunks_are_full_but_for_the_last() {
    let mut kv = small();
    kv.apply(&put("large", &vec![7; 5 * snapshot::CHUNK_BYTES]));
    for number in 0..1000 {
        kv.apply(&put(&format!("key{number}"), &[0; 100]));
    }
    let lengths: Vec<usize> = kv.snapshot().map(|chunk| chunk.len()).collect();
    let (last, full) = lengths.split_last().unwrap();
    assert!(full.iter().all(|length| *length == snapshot::CHUNK_BYTES), "{lengths:?}");
    assert!((1..=snapshot::CHUNK_BYTES).contains(last), "{lengths:?}");
}

/// It is written on the storage thread, while the store moves on in another.
#[test]
fn a_writer_can_go_to_another_thread() {
    fn movable(writer: impl Send + 'static + Iterator<Item = Vec<u8>>) -> Vec<u8> {
        writer.flatten().collect()
    }
    let kv = small();
    let writer = kv.snapshot();
    drop(kv);
    assert_eq!(movable(writer), bytes(&small()));
}

#[test]
fn each_wrong_field_is_named_with_its_place() {
    let malformed = |place: usize, patch: &[u8]| {
        let mut bytes = bytes(&small());
        bytes[place..place + patch.len()].copy_from_slice(patch);
        match refused(&bytes) {
            RestoreError::Malformed { offset, expected, found } => {
                (usize::try_from(offset).unwrap(), expected, found)
            }
            other => panic!("{other:?}"),
        }
    };
    let u64s = |number: u64| number.to_le_bytes();
    assert_eq!(malformed(10, &[1]), (0, "0 in the header's spare field", 1));
    assert_eq!(malformed(REVISION, &u64s(1 << 63)), (0, "a revision below 2^63", 1 << 63));
    assert_eq!(malformed(ROW_A, &[2]), (ROW_A, "table 1 or 255", 2));
    assert_eq!(malformed(ROW_A + 5, &[23]), (ROW_A, "a body of at least 24 bytes", 23));
    let created = ROW_B + 10;
    assert_eq!(malformed(created, &u64s(0)).1, "1 <= create_revision <= mod_revision");
    assert_eq!(malformed(created, &u64s(3)), (ROW_B, "1 <= create_revision <= mod_revision", 3));
    assert_eq!(malformed(created + 8, &u64s(3)), (ROW_B, "a mod_revision up to the store's revision", 3));
    assert_eq!(malformed(created + 16, &u64s(0)).1, "1 <= version <= mod_revision - create_revision + 1");
    assert_eq!(malformed(created + 16, &u64s(2)).1, "1 <= version <= mod_revision - create_revision + 1");
    assert_eq!(malformed(ROW_B + 9, b"a").1, "a key above the one before (rows already read given)");
    assert_eq!(malformed(FOOTER + 1, &[1]), (FOOTER, "a footer without a key", 1));
    assert_eq!(malformed(FOOTER + 5, &[17]), (FOOTER, "a footer of 16 bytes", 17));
}

#[test]
fn another_file_and_another_version_are_told_apart() {
    let mut bytes = bytes(&small());
    assert_eq!(
        refused(b"{\"a\":\"b\"} and then some more"),
        RestoreError::NotASnapshot { found: *b"{\"a\":\"b\"" }
    );
    bytes[8] = 2;
    let error = refused(&bytes);
    assert_eq!(error, RestoreError::UnknownVersion { found: 2 });
    assert_eq!(error.to_string(), "snapshot at offset 8: expected format version 1, found 2");
}

#[test]
fn totals_that_do_not_match_are_refused() {
    let mut bytes = bytes(&small());
    bytes[FOOTER + 9] = 3;
    let offset = FOOTER as u64;
    assert_eq!(
        refused(&bytes),
        RestoreError::WrongTotal { offset, total: "row count", expected: 3, found: 2 }
    );
    bytes[FOOTER + 9] = 2;
    bytes[ROW_B + 9 + 1 + 24] = b'3';
    assert!(matches!(refused(&bytes), RestoreError::WrongTotal { total: "state hash", .. }));
}

#[test]
fn nothing_may_follow_the_footer() {
    let mut bytes = bytes(&small());
    let offset = bytes.len() as u64;
    bytes.extend_from_slice(&[7; 100]);
    let expected = "the end, after the footer";
    assert_eq!(refused(&bytes), RestoreError::Malformed { offset, expected, found: 7 });
}

/// A row that announces 8 GiB: nothing is reserved for it, or this test would not get far.
#[test]
fn an_announced_length_reserves_nothing() {
    let mut bytes = bytes(&Kv::new());
    bytes.truncate(20);
    bytes.extend_from_slice(&[1, 255, 255, 255, 255, 255, 255, 255, 255]);
    for _ in 0..10_000 {
        let mut restore = Restore::new();
        restore.feed(&bytes).unwrap();
        let end = bytes.len() as u64;
        let expected = RestoreError::Truncated { offset: end, expected: "the rest of a row" };
        assert_eq!(restore.finish().unwrap_err(), expected);
    }
}

#[test]
fn values_are_shared_with_the_command() {
    let mut kv = Kv::new();
    let value: Arc<[u8]> = Arc::from(b"value".as_slice());
    kv.apply(&Command::Put { key: b"key".as_slice().into(), value: value.clone() });
    assert!(Arc::ptr_eq(&kv.get(b"key").unwrap().value, &value));
}
