//! What a survey shows of each file, sound or not, and what it leaves out.

use quorate_raft::{Index, LogId, Term};
use quorate_storage::{Disk, DiskFile, MemoryDisk, Operation, SegmentSight, Survey, Surveyed};

use crate::common::{
    append, command, learn_commit, newest_segment, noop, open, perform, rows, settle, started, take, vote,
    whole, with_a_batch_of_two, write,
};

/// Where the first record of a segment begins that has no members: behind two copies of its header.
const RECORDS_START: u32 = 8192;

fn survey(disk: &MemoryDisk) -> Surveyed {
    Survey::take(disk, &mut |_| {}).unwrap()
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.ends_with(".log")).collect()
}

fn sight(disk: &MemoryDisk, path: &str) -> SegmentSight {
    survey(disk).segments.into_iter().find(|segment| segment.file == path).unwrap()
}

/// A log of several segments.
fn long() -> MemoryDisk {
    let (disk, mut storage) = started();
    for index in 1..=40 {
        append(&mut storage, &[command(1, index, &[7; 900])]);
    }
    vote(&mut storage, 2);
    settle(&mut storage);
    assert!(segments(&disk).len() > 3);
    disk
}

#[test]
fn what_a_segment_holds_is_counted() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    append(&mut storage, &[command(1, 2, &[2; 700]), command(1, 3, &[3; 700])]);
    let path = newest_segment(&disk);
    let before = sight(&disk, &path);
    let (first, last) = before.batches.unwrap();
    assert_eq!((before.records, before.slots), (3, Some((Index(1), Index(3)))));
    assert_eq!(last, first + 1);
    // A sector for the first, two for each of the others.
    assert_eq!((before.bytes, before.used_bytes), (16 << 10, 5 * 512));
    assert!(before.is_linked);

    learn_commit(&mut storage, 3);
    let after = sight(&disk, &path);
    assert_eq!((after.records, after.used_bytes), (4, 6 * 512), "a mark is a record");
    assert_eq!((after.batches, after.slots), (before.batches, before.slots), "and no batch");
}

#[test]
fn behind_damage_is_looked_at_too() {
    let (disk, mut storage) = started();
    for index in 1..=4 {
        append(&mut storage, &[command(1, index, &[7; 700])]);
    }
    vote(&mut storage, 2);
    drop(storage);
    let path = newest_segment(&disk);
    // The header of slot 2: slots take two sectors.
    disk.flip_bit(&path, u64::from(RECORDS_START + 1024 + 40) * 8);
    let surveyed = survey(&disk);
    let [fault] = &surveyed.faults[..] else { panic!("{:?}", surveyed.faults) };
    assert_eq!((fault.offset, fault.index), (u64::from(RECORDS_START + 1024), Some(Index(2))));
    assert_eq!(fault.reason, "the checksum of a record's header does not fit");
    assert_eq!((sight(&disk, &path).records, sight(&disk, &path).slots), (3, Some((Index(1), Index(4)))));

    disk.zero(&path, 8192 + 1024..8192 + 2048);
    let [fault] = &survey(&disk).faults[..] else { panic!("one place is bad") };
    assert_eq!((fault.offset, fault.index), (u64::from(RECORDS_START + 1024), Some(Index(2))));
    assert_eq!(fault.reason, "zeros where a record should be");
}

/// Nothing says that it was synced; but no crash leaves it like this.
#[test]
fn a_last_batch_that_rotted_is_a_fault_though_nothing_proves_it() {
    let (disk, path, sectors) = with_a_batch_of_two();
    disk.flip_bit(&path, (sectors.start as u64 + 40) * 8);
    let surveyed = survey(&disk);
    let [fault] = &surveyed.faults[..] else { panic!("{:?}", surveyed.faults) };
    assert_eq!((fault.offset, fault.index), (sectors.start as u64, Some(Index(2))));
    assert_eq!(sight(&disk, &path).slots, Some((Index(1), Index(3))));

    disk.zero(&path, sectors.start..sectors.start + 512);
    assert_eq!(survey(&disk).faults, [], "torn");
}

/// The log goes on behind it, and names it.
#[test]
fn a_segment_without_a_header_in_the_middle_is_a_fault() {
    let disk = long();
    let paths = segments(&disk);
    for path in &paths[1..paths.len() - 1] {
        let disk = disk.duplicate();
        disk.garbage(path, 0..8192, 7);
        let surveyed = survey(&disk);
        let unreadable = surveyed.faults.iter().filter(|fault| fault.reason.contains("neither copy"));
        assert_eq!(unreadable.map(|fault| &fault.file).collect::<Vec<_>>(), [path]);
    }
}

#[test]
fn it_is_known_before_how_much_is_read() {
    let (disk, mut storage) = started();
    for index in 1..=12 {
        append(&mut storage, &[command(1, index, &[7; 3000])]);
    }
    let (draft, ..) = whole(LogId::new(1, 9), Default::default(), LogId::ZERO, &rows(1, 3000));
    take(&mut storage, draft).unwrap();
    settle(&mut storage);
    let read = |path: &String| [".log", ".snap", ".run"].iter().any(|end| path.ends_with(end));
    let files = disk.files().into_iter().filter(read);
    let bytes: u64 = files.map(|path| disk.len(&path).unwrap()).sum();
    assert_eq!(Survey::bytes(&disk).unwrap(), bytes + 2 * 512, "and term and vote");
}

#[test]
fn padding_that_is_not_what_was_written_is_a_fault() {
    let (disk, mut storage) = started();
    append(&mut storage, &[command(1, 1, &[7; 300])]);
    vote(&mut storage, 2);
    let path = newest_segment(&disk);
    disk.flip_bit(&path, u64::from(RECORDS_START + 511) * 8);
    let [fault] = &survey(&disk).faults[..] else { panic!("one place is bad") };
    assert!(fault.reason.contains("padding") && fault.index == Some(Index(1)), "{fault:?}");
}

/// Both copies of a header are bad: what the log should go on with is damage; what it has left behind is not.
#[test]
fn a_file_that_the_log_does_not_lead_to_is_a_fault_only_where_it_should() {
    let spoil = |disk: &MemoryDisk, path: &str| disk.garbage(path, 0..8192, 7);
    let disk = long();
    let newest = newest_segment(&disk);
    spoil(&disk, &newest);
    let surveyed = survey(&disk);
    let unreadable = |surveyed: &Surveyed| {
        let header = surveyed.faults.iter().filter(|fault| fault.reason.contains("neither copy"));
        header.map(|fault| fault.file.clone()).collect::<Vec<_>>()
    };
    assert_eq!(unreadable(&surveyed), std::slice::from_ref(&newest));
    let seen = sight(&disk, &newest);
    assert_eq!((seen.is_linked, seen.records, seen.slots, seen.bytes), (false, 0, None, 16 << 10));
    assert_eq!(surveyed.faulty_files().into_iter().filter(|file| *file == newest).count(), 1);

    // Left of a compaction: its number is below that of the log's first.
    let (disk, mut storage) = started();
    for index in 1..=40 {
        append(&mut storage, &[command(1, index, &[7; 900])]);
    }
    settle(&mut storage);
    let first = segments(&disk)[0].clone();
    let (draft, ..) = whole(LogId::new(1, 30), Default::default(), LogId::ZERO, &rows(1, 100));
    let meta = take(&mut storage, draft).unwrap();
    perform(&mut storage, vec![quorate_raft::Write { compact_to: Some(meta.last.index), ..write(1) }])
        .unwrap();
    settle(&mut storage);
    assert!(!disk.files().contains(&first), "its file is gone");
    disk.create(&first).unwrap().write_at(&[9; 16 << 10], 0).unwrap();
    let surveyed = survey(&disk);
    assert_eq!(surveyed.faults, []);
    assert!(surveyed.segments.iter().any(|segment| segment.file == first && !segment.is_linked));
}

#[test]
fn a_data_dir_without_anything_in_it_is_no_more_than_two_faults() {
    let surveyed = survey(&MemoryDisk::new());
    assert_eq!((surveyed.segments.len(), surveyed.checkpoints.len(), surveyed.spares), (0, 0, 0));
    assert_eq!(surveyed.faulty_files().len(), 2, "{:?}", surveyed.faults);
    assert!(surveyed.faults.iter().all(|fault| fault.reason.contains("can't be read")));
    assert_eq!(surveyed.stable, [None, None]);
    assert_eq!(Survey::bytes(&MemoryDisk::new()).unwrap(), 0);
}

/// A directory that is there and can't be listed says nothing about what is in it.
#[test]
fn a_directory_that_can_not_be_listed_ends_it() {
    for directory in ["log", "snaps"] {
        let disk = long();
        disk.create_dir("snaps").ok();
        disk.fail_below(directory, Operation::Name, 0);
        assert!(Survey::bytes(&disk).is_err(), "{directory}");
        disk.disarm();
        // It is listed more than once.
        for nth in 0..4 {
            let before = disk.counters().failed_name_operations;
            disk.fail_below(directory, Operation::Name, nth);
            let ended = Survey::take(&disk, &mut |_| {}).is_err();
            let failed = disk.counters().failed_name_operations > before;
            assert_eq!(ended, failed, "{directory}, listing {nth}");
            assert!(failed || nth > 1);
            disk.disarm();
        }
    }
}

#[test]
fn term_and_vote_that_are_bad_are_told_apart() {
    let disk = long();
    let [first, second] = survey(&disk).stable.map(Option::unwrap);
    assert_eq!((first, first.hard.term), (second, Term(2)));
    let paths: Vec<String> =
        disk.files().into_iter().filter(|path| path.contains("stable") || path.contains("term")).collect();
    assert_eq!(paths.len(), 2, "{:?}", disk.files());
    let length = disk.len(&paths[0]).unwrap();
    disk.zero(&paths[0], 0..usize::try_from(length).unwrap());
    disk.flip_bit(&paths[1], 100);
    let surveyed = survey(&disk);
    let reasons: Vec<&str> = surveyed.faults.iter().map(|fault| fault.reason.as_str()).collect();
    assert!(
        reasons.iter().any(|reason| reason.contains("nothing but") && reason.contains("zeros")),
        "{reasons:?}"
    );
    assert!(reasons.contains(&"its checksum does not fit"), "{reasons:?}");
}

#[test]
fn checkpoints_are_shown_with_what_they_cover() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1), noop(1, 2)]);
    let (draft, meta, content) = whole(LogId::new(1, 2), Default::default(), LogId::ZERO, &rows(1, 3000));
    take(&mut storage, draft).unwrap();
    settle(&mut storage);
    drop(storage);
    let [checkpoint] = &survey(&disk).checkpoints[..] else { panic!("one was taken") };
    assert_eq!((checkpoint.last, checkpoint.bytes), (Some(meta.last), content.len() as u64));

    let mut told = 0;
    let surveyed = Survey::take(&disk, &mut |bytes| told += bytes).unwrap();
    assert_eq!(surveyed.faults, []);
    assert!(told > 3000, "runs are read to their ends: {told}");

    let manifest = checkpoint.file.clone();
    disk.flip_bit(&manifest, 1000);
    disk.flip_bit(&manifest, disk.len(&manifest).unwrap() * 8 - 1000);
    let surveyed = survey(&disk);
    assert!(surveyed.faulty_files().contains(manifest.as_str()), "{:?}", surveyed.faults);
    assert!(open(&disk).is_ok());
}
