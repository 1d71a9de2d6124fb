//! Tests of restoring.

use std::fs;

use quorate_node::raft::{Done, Job, LoadSnapshot, Reader};
use quorate_storage::Storage;
use quorate_storage::backup::Origin;

use super::*;
use crate::real::RealRuntime;

/// A backup that a release of ours wrote; `tests/tests/backups.rs` knows what is in it.
fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/backup-1")
}

/// Everything that the command does.
fn run(file: &Path, dir: &Path) -> Result<Restored, RestoreError> {
    let dir = take_empty(dir)?;
    let (backup, kv) = Backup::verify(file, &mut |_| {})?;
    restore(dir, &backup, kv, &RealRuntime::start(), &mut |_| {})
}

/// What is in a directory, but for the lock.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name != "LOCK").collect()
}

#[test]
fn a_data_dir_is_made_of_a_backup_once() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made/on/the/way");
    let (backup, kv) = Backup::verify(&sample(), &mut |_| {}).unwrap();
    let restored = run(&sample(), &dir).unwrap();
    assert_eq!(restored.revision.0, backup.header.revision.0 + REVISION_JUMP);
    assert_eq!((restored.keys, restored.before), (kv.len() as u64, backup.header.origin.history));
    assert_eq!(restored.identity.cluster, backup.header.origin.cluster);
    assert_ne!(restored.identity.history, restored.before);
    let taken = DataDir::open(&dir).unwrap();
    assert_eq!(taken.identity().unwrap().history, Some(restored.identity.history));
    let (mut storage, found) = Storage::open(FileDisk::new(&dir), Options::new(1)).unwrap();
    let meta = found.snapshot.unwrap();
    let load = LoadSnapshot { reader: Reader::Apply, last: meta.last, offset: 0, bytes: 1 << 20 };
    let done = storage.perform(vec![Job::LoadSnapshot(load).into()]).unwrap();
    let [Done::SnapshotLoaded { chunk: Some(chunk), .. }] = &done[..] else { panic!("{done:?}") };
    let manifest = Manifest::decode(&chunk.data).unwrap().unwrap();
    // What comes next builds on these runs; none of them is a tail, which would be written again.
    assert_eq!((manifest.boundary.term, manifest.boundary.index, manifest.has_tail), (1, 1, false));
    // On top of them is one of what the new history leaves behind.
    let (newest, before) = manifest.runs.split_last().unwrap();
    assert_eq!((before, manifest.totals.revision), (&backup.manifest.runs[..], restored.revision));
    assert!(newest.bytes > 0);
    assert_eq!((meta.last, meta.members_at, found.hard.vote), (first_slot(), first_slot(), None));
    assert!(meta.members.is_voter(restored.identity.node) && meta.members.count() == 1);
    drop(taken);
    let again = run(&sample(), &dir).unwrap_err();
    assert_eq!(again.exit_code(), 4, "{again}");
    assert!(again.to_string().contains(&restored.identity.node.to_string()), "{again}");
}

#[test]
fn a_directory_that_holds_anything_is_refused_and_left_alone() {
    for name in ["thesis.doc", "data.json", "node.toml", "log", "VERSION"] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(name), "something").unwrap();
        let refused = run(&sample(), root.path()).unwrap_err();
        assert_eq!(refused.exit_code(), 4, "{name}: {refused}");
        assert_eq!(
            (names(root.path()), refused.to_string().contains("not empty")),
            (vec![name.to_owned()], true)
        );
    }
    let root = tempfile::tempdir().unwrap();
    let _taken = DataDir::open(root.path()).unwrap();
    assert_eq!(run(&sample(), root.path()).unwrap_err().exit_code(), 78);
}

#[test]
fn a_file_that_does_not_verify_is_named_with_its_place_and_nothing_is_written() {
    let root = tempfile::tempdir().unwrap();
    let (file, dir) = (root.path().join("file"), root.path().join("dir"));
    let good = fs::read(sample()).unwrap();
    for at in (0..good.len()).step_by(53) {
        let (mut flipped, cut) = (good.clone(), &good[..at]);
        flipped[at] ^= 0x10;
        for hurt in [&flipped[..], cut] {
            fs::write(&file, hurt).unwrap();
            let refused = run(&file, &dir).unwrap_err();
            assert!(
                matches!(&refused, RestoreError::Flawed { flaw, .. } if flaw.offset <= at as u64),
                "{refused}"
            );
            assert_eq!((refused.exit_code(), names(&dir).len()), (1, 0), "{at}: {refused}");
            let said = refused.to_string();
            assert!(said.contains(&file.display().to_string()) && said.contains("byte "), "{said}");
        }
    }
    let missing = run(&root.path().join("none"), &dir).unwrap_err();
    assert!(matches!(missing, RestoreError::Unreadable { .. }) && missing.exit_code() == 1);
    // After all of these the directory is still an empty one.
    run(&sample(), &dir).unwrap();
}

/// A backup without a key, at that revision, whose state hash is off by so much.
fn empty_backup(revision: u64, off_by: u64) -> Vec<u8> {
    let mut kv = Kv::new();
    assert!(kv.begin_history(revision));
    let Sealed { mut totals, rows } = kv.seal();
    totals.state_hash = totals.state_hash.wrapping_add(off_by);
    let run: Vec<u8> = rows.flatten().collect();
    let manifest = Manifest { totals, runs: vec![name_run(&run)], ..Manifest::default() };
    let table = crc32c(&run).to_le_bytes();
    let origin = Origin { cluster: quorate_node::wire::ClusterId(1), history: HistoryId(2) };
    let header = Header::new(origin, LogId::new(3, 4), &manifest, &table);
    [&header.encode()[..], &manifest.encode(), &table, &run].concat()
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[test]
fn a_revision_is_only_raised_as_far_as_there_are_any() {
    let root = tempfile::tempdir().unwrap();
    let (file, highest) = (root.path().join("file"), Revision::MAX.0 - REVISION_JUMP);
    fs::write(&file, empty_backup(highest, 0)).unwrap();
    let restored = run(&file, &root.path().join("most")).unwrap();
    assert_eq!((restored.revision, restored.keys), (Revision::MAX, 0));
    fs::write(&file, empty_backup(highest + 1, 0)).unwrap();
    let refused = run(&file, &root.path().join("more")).unwrap_err();
    assert!(matches!(refused, RestoreError::RevisionTooHigh { .. }), "{refused}");
    assert_eq!((refused.exit_code(), names(&root.path().join("more")).len()), (1, 0));
}

#[test]
fn rows_that_do_not_amount_to_what_the_manifest_says_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let (file, dir) = (root.path().join("file"), root.path().join("dir"));
    fs::write(&file, empty_backup(7, 1)).unwrap();
    let refused = run(&file, &dir).unwrap_err();
    assert!(matches!(refused, RestoreError::Rows { .. }) && names(&dir).is_empty(), "{refused}");
    assert!(refused.to_string().contains("state hash"), "{refused}");
}
