//! Which checkpoint a backup is of, what is let go of, and what is made of one.

use quorate_raft::{Done, Index, LogId};
use quorate_storage::Job;
use quorate_storage::backup::{BackupJob, HEADER_BYTES, Header, Place, Unopened};

use crate::backup::{
    ORIGIN, ask, backup, build_from, checkpoint, content_of, manifest_of, node, open_backup, read_at, verify,
    with_two_runs,
};
use crate::common::{open, rows, settle};

#[test]
fn the_newest_that_covers_nothing_beyond_an_entry_is_opened() {
    let (_, mut storage) = node();
    for index in [10, 20, 30] {
        checkpoint(&mut storage, index, 0, true, &rows(index, 1_000));
    }
    let mut opened = |last| {
        let job = |answer| BackupJob::OpenUpTo { origin: ORIGIN, last: Index(last), answer };
        ask(&mut storage, job).0.map(|opened| opened.last)
    };
    assert_eq!(opened(9), Err(Unopened::NotThere));
    for (last, covered) in [(10, 10), (19, 10), (20, 20), (29, 20), (30, 30), (100, 30)] {
        assert_eq!(opened(last), Ok(LogId::new(1, covered)), "up to {last}");
    }
}

/// All sums are right, and the manifest ends before its place does.
#[test]
fn a_manifest_with_something_behind_it_is_none() {
    let mut file = backup(&mut with_two_runs().1);
    let header = Header::decode(file.first_chunk().unwrap()).unwrap();
    let end = HEADER_BYTES + header.manifest_bytes as usize;
    file.splice(end..end, [0; 8]);
    let digest = quorate_raft::Digest(*blake3::hash(&file[HEADER_BYTES..end + 8]).as_bytes());
    let (manifest_bytes, file_bytes) = (header.manifest_bytes + 8, header.file_bytes + 8);
    let header = Header { digest, manifest_bytes, file_bytes, ..header }.encode();
    file[..HEADER_BYTES].copy_from_slice(&header);
    let flaw = verify(&file, 1000).0.unwrap_err();
    assert_eq!((flaw.place, flaw.offset), (Place::Manifest, HEADER_BYTES as u64), "{flaw}");
    assert!(flaw.reason.contains("its length"), "{flaw}");
}

#[test]
fn a_reader_that_meets_damage_in_the_only_run_there_is_has_it_reported() {
    let (disk, mut storage) = node();
    let meta = checkpoint(&mut storage, 10, 0, true, &rows(1, 150_000));
    let tag = open_backup(&mut storage, None).0.unwrap().tag;
    let run = disk.files().into_iter().find(|path| path.ends_with(".run")).unwrap();
    disk.flip_bit(&run, 8 * 100_000);
    let read = |answer| BackupJob::Read { tag, offset: 99_000, bytes: 2000, answer };
    let (piece, done) = ask(&mut storage, read);
    assert!(piece.is_none() && done.contains(&Done::SnapshotLost(meta.last)), "{done:?}");
}

/// No checkpoint waits: the log itself is short of it.
#[test]
fn what_only_a_reader_needs_is_let_go_when_the_log_is_short_of_room() {
    let (disk, mut storage) = node();
    checkpoint(&mut storage, 10, 0, true, &rows(1, 50_000));
    let tag = open_backup(&mut storage, None).0.unwrap().tag;
    for index in 11..=15 {
        checkpoint(&mut storage, index, 0, true, &rows(index, 1_000));
    }
    settle(&mut storage);
    let kept = open_backup(&mut storage, None).0.unwrap().tag;
    assert!(read_at(&mut storage, tag, 0, 10).is_some(), "its files have no names");
    disk.set_capacity(Some(disk.bytes_used()));
    let done = storage.perform(vec![Job::Tend { scrub_bytes: 0 }]).unwrap();
    assert!(matches!(done[..], [Done::Room(Some(_))]) && !storage.waits_for_space(), "{done:?}");
    assert_eq!(read_at(&mut storage, tag, 0, 10), None);
    assert!(read_at(&mut storage, kept, 0, 10).is_some(), "letting go of it would bring nothing");
}

#[test]
fn what_a_data_dir_is_built_of_is_committed() {
    let disk = quorate_storage::MemoryDisk::new();
    let run = rows(1, 1_000);
    let manifest = manifest_of(&[&run]);
    let content = content_of(&manifest, &[&run]);
    let meta = build_from(&disk, manifest, &content, 1 << 20).unwrap();
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.commit_hint, found.snapshot), (Index(1), Some(meta)));
}
