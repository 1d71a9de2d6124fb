//! A survey finds every byte that is wrong, names its place, and finds nothing in a sound data dir, torn or not.

use quorate_raft::{Index, Write};
use quorate_storage::{Fault, MemoryDisk, Survey};

use crate::common::{
    append, command, members_entry, newest_segment, open, perform, settle, started, vote, write,
};
use crate::golden::{FIRST_RELEASE, ROLLED, SHORT, disk_with};

fn faults(disk: &MemoryDisk) -> Vec<Fault> {
    let changes = disk.changes();
    let (mut told, total) = (0, Survey::bytes(disk).unwrap());
    let surveyed = Survey::take(disk, &mut |bytes| told += bytes).unwrap();
    assert!(told <= total, "{told} of {total}");
    assert_eq!(disk.changes(), changes, "nothing is changed");
    surveyed.faults
}

#[test]
fn nothing_is_wrong_with_what_was_written_or_torn() {
    for files in [FIRST_RELEASE, ROLLED, SHORT] {
        assert_eq!(faults(&disk_with(files)), []);
    }
    let (disk, mut storage) = started();
    for index in 1..=60 {
        append(&mut storage, &[command(1, index, &[7; 700])]);
    }
    append(&mut storage, &[members_entry(1, 61, &["a"])]);
    perform(&mut storage, vec![Write { truncate_from: Some(Index(60)), ..write(1) }]).unwrap();
    settle(&mut storage);
    let surveyed = Survey::take(&disk, &mut |_| {}).unwrap();
    assert_eq!(surveyed.faults, []);
    assert!(surveyed.segments.len() > 2 && surveyed.segments.iter().all(|segment| segment.is_linked));
    assert_eq!(surveyed.segments[0].slots.unwrap().0, Index(1));
    assert_eq!(
        surveyed.segments.iter().filter_map(|segment| segment.slots).map(|slots| slots.1).max(),
        Some(Index(61))
    );
    assert!(surveyed.spares > 0);

    // A batch whose second half never arrived was acknowledged to nobody.
    vote(&mut storage, 2);
    let path = newest_segment(&disk);
    let before = disk.content(&path).unwrap();
    append(&mut storage, &[command(2, 60, &[9; 3000])]);
    drop(storage);
    let after = disk.content(&path).unwrap();
    let last = (0..after.len()).rfind(|at| before[*at] != after[*at]).unwrap() / 512 * 512;
    disk.zero(&path, last..last + 512);
    assert_eq!(faults(&disk), []);
    assert!(open(&disk).is_ok());
    assert_eq!(faults(&disk), []);
}

/// Every single byte of every sector that was written, one at a time. (Bytes among the zeros behind the log's end can't
/// be told from what is left of a torn batch.)
#[test]
fn no_wrong_byte_is_overlooked_and_its_place_is_named() {
    for files in [FIRST_RELEASE, ROLLED, SHORT] {
        let sound = disk_with(files);
        for (path, bytes) in files {
            let step = if bytes.len() > 30_000 { 37 } else { 1 };
            let is_written = |at: &usize| bytes[at / 512 * 512..].iter().take(512).any(|byte| *byte != 0);
            for at in (0..bytes.len()).step_by(step).filter(is_written) {
                let disk = sound.duplicate();
                disk.flip_bit(path, at as u64 * 8 + 3);
                let found = faults(&disk);
                assert!(!found.is_empty(), "byte {at} of {path}");
                assert!(found.iter().any(|fault| fault.file == *path), "byte {at} of {path}: {found:?}");
            }
        }
    }
}

#[test]
fn a_place_is_named_by_file_offset_index_and_reason() {
    let (disk, mut storage) = started();
    for index in 1..=3 {
        append(&mut storage, &[command(1, index, &[7; 700])]);
    }
    vote(&mut storage, 2);
    drop(storage);
    let path = newest_segment(&disk);
    let content = disk.content(&path).unwrap();
    // Behind the header's two copies comes slot 1, in two sectors; slot 2 begins with the next.
    let second = 8192 + 1024;
    assert_ne!(content[second], 0);
    disk.flip_bit(&path, (second as u64 + 200) * 8);
    let [fault] = &faults(&disk)[..] else { panic!("{:?}", faults(&disk)) };
    assert_eq!((fault.file.as_str(), fault.offset), (path.as_str(), second as u64 + 96));
    assert_eq!(fault.index, Some(Index(2)));
    assert!(fault.reason.contains("payload"), "{fault:?}");

    disk.zero(&path, second + 1024..second + 2048);
    let found = faults(&disk);
    assert!(
        found.iter().any(|fault| fault.reason.contains("its end is lost") && fault.index == Some(Index(3))),
        "{found:?}"
    );

    let second_copy = 4096;
    disk.zero(&path, second_copy..second_copy + 512);
    let found = faults(&disk);
    assert!(
        found.iter().any(|fault| fault.offset == 4096 && fault.reason.contains("second copy")),
        "{found:?}"
    );
}

#[test]
fn a_missing_segment_is_named_wherever_it_was() {
    let (disk, mut storage) = started();
    for index in 1..=60 {
        append(&mut storage, &[command(1, index, &[7; 700])]);
    }
    drop(storage);
    let segments: Vec<String> = disk.files().into_iter().filter(|path| path.ends_with(".log")).collect();
    assert!(segments.len() > 3, "{segments:?}");
    for missing in &segments[1..] {
        let disk = disk.duplicate();
        quorate_storage::Disk::remove(&disk, missing).unwrap();
        let found = faults(&disk);
        assert!(!found.is_empty(), "{missing}");
    }
    for path in &segments {
        quorate_storage::Disk::remove(&disk, path).unwrap();
    }
    let [fault] = &faults(&disk)[..] else { panic!("{:?}", faults(&disk)) };
    assert!(fault.file == "log" && fault.reason.contains("no segment can be read"), "{fault:?}");
}
