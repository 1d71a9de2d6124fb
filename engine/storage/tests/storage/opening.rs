//! What a start makes of the files of a log: which go and which stay, how often each is read, and where the log goes
//! on.

use quorate_raft::{Index, LogId, Write};
use quorate_storage::{Disk, DiskFile, MemoryDisk, Options, Storage, Survey};

use crate::common::{
    append, changed_sectors, command, learn_commit, members, members_entry, newest_segment, noop, open,
    options, perform, read, settle, started, take, vote, whole, write,
};

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.ends_with(".log")).collect()
}

/// A log of so many segments, all of them marked.
fn long(count: usize) -> MemoryDisk {
    let (disk, mut storage) = started();
    let mut index = 0;
    while segments(&disk).len() < count {
        index += 1;
        append(&mut storage, &[command(1, index, &[7; 3000])]);
        settle(&mut storage);
    }
    disk
}

fn reads_of_a_start(disk: &MemoryDisk) -> u64 {
    let disk = disk.duplicate();
    let before = disk.counters().reads;
    open(&disk).unwrap();
    disk.counters().reads - before
}

/// Spoils the payload of a segment's first record.
fn with_a_bad_payload(disk: &MemoryDisk, path: &str) -> MemoryDisk {
    let disk = disk.duplicate();
    disk.flip_bit(path, (8192 + 300) * 8);
    disk
}

/// A segment that reads well is read once, and one that does not, twice. The last one is read twice in any case.
#[test]
fn only_what_reads_badly_is_read_again() {
    let (three, four) = (long(3), long(4));
    let reads = reads_of_a_start(&four);
    assert_eq!(reads, reads_of_a_start(&three) + 3, "its version, its header and its content");
    let paths = segments(&four);
    for (at, path) in paths.iter().enumerate() {
        let again = u64::from(at + 1 < paths.len());
        assert_eq!(reads_of_a_start(&with_a_bad_payload(&four, path)), reads + again, "{path}");
    }
}

/// How many records there are.
fn records(disk: &MemoryDisk) -> usize {
    let surveyed = Survey::take(disk, &mut |_| {}).unwrap();
    surveyed.segments.iter().map(|segment| segment.records).sum()
}

#[test]
fn a_start_writes_a_mark_where_there_is_none_and_only_there() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    drop(storage);
    assert_eq!(records(&disk), 1);
    for _ in 0..3 {
        let (mut storage, _) = open(&disk).unwrap();
        settle(&mut storage);
        assert_eq!(records(&disk), 2);
    }
}

/// A segment is begun for a log that ends in damage. One in which all is as it was written, or that has lost no more
/// than a payload that is known to have been there, goes on in the segment that it has.
#[test]
fn a_log_that_ends_well_goes_on_in_its_last_segment() {
    for (marked, rotten) in [(false, false), (true, false), (true, true)] {
        let (disk, mut storage) = started();
        append(&mut storage, &[noop(1, 1)]);
        if marked {
            settle(&mut storage);
        }
        let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[command(1, 2, &[2; 700])]));
        if rotten {
            vote(&mut storage, 2);
            disk.flip_bit(&path, (sectors.start as u64 + 200) * 8);
        }
        drop(storage);
        let (mut storage, found) = open(&disk).unwrap();
        assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 2), None));
        assert_eq!(found.damaged.len(), usize::from(rotten));
        append(&mut storage, &[noop(1, 3)]);
        assert_eq!(segments(&disk), [path], "marked {marked}, rotten {rotten}");
    }
}

/// Slots 2 and 3 are lost, and with them where term 2 begins. So the good records behind them, most of them in further
/// segments, were given up, and the log went on with a slot of term 3. Also the further segments as they were.
fn given_up() -> (MemoryDisk, Vec<(String, Vec<u8>)>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 3);
    append(&mut storage, &[noop(1, 1)]);
    learn_commit(&mut storage, 1);
    let (path, lost) = changed_sectors(&disk, || append(&mut storage, &[noop(1, 2), noop(2, 3)]));
    for index in 4..=7 {
        append(&mut storage, &[command(2, index, &[7; 5000])]);
    }
    settle(&mut storage);
    disk.zero(&path, lost);
    let before = segments(&disk);
    assert!(before.len() >= 4 && before[0] == path, "{before:?}");
    let before: Vec<_> = before.into_iter().map(|path| (disk.content(&path).unwrap(), path)).collect();

    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 1), Some(Index(2))));
    assert!(before.iter().all(|(_, path)| disk.files().contains(path)), "nothing has taken their place");
    append(&mut storage, &[noop(3, 2)]);
    (disk, before.into_iter().skip(1).map(|(content, path)| (path, content)).collect())
}

#[test]
fn segments_behind_the_end_go_when_the_log_goes_on() {
    let (disk, given_up) = given_up();
    assert_eq!(segments(&disk).len(), 2, "where it ended, and where it goes on");
    for (path, _) in given_up {
        assert!(!disk.files().contains(&path), "{path}");
    }
    // What was given up in the first one can still be read, and is no part of the log.
    for _ in 0..2 {
        let (mut storage, found) = open(&disk).unwrap();
        assert_eq!((found.terms.last(), found.damaged), (LogId::new(3, 2), vec![]));
        assert_eq!(read(&mut storage, 1, 2).0, [noop(1, 1), noop(3, 2)]);
    }
}

/// Nothing is left of the log but its last segment's header.
#[test]
fn a_log_of_which_every_record_is_lost_goes_on() {
    let (disk, mut storage) = started();
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[noop(1, 1)]));
    vote(&mut storage, 2);
    disk.zero(&path, sectors);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::ZERO, Some(Index(1))));
    append(&mut storage, &[noop(2, 1)]);
    assert_eq!(open(&disk).unwrap().1.terms.last(), LogId::new(2, 1));
}

fn put(disk: &MemoryDisk, path: &str, content: &[u8]) {
    disk.create(path).unwrap().write_at(content, 0).unwrap();
}

/// A crash may come before what was given up is removed. Until the next start it is there, and no fault.
#[test]
fn a_segment_that_the_log_links_over_goes_at_the_next_start() {
    let (disk, given_up) = given_up();
    for (path, content) in given_up {
        for content in [&content[..], &[9; 16 << 10]] {
            let disk = disk.duplicate();
            put(&disk, &path, content);
            assert_eq!(Survey::take(&disk, &mut |_| {}).unwrap().faults, [], "{path}");
            assert_eq!(open(&disk).unwrap().1.terms.last(), LogId::new(3, 2));
            assert!(!disk.files().contains(&path), "{path}");
        }
    }
}

#[test]
fn a_segment_older_than_the_log_goes_at_the_next_start() {
    let disk = long(4);
    let first = segments(&disk).remove(0);
    let (mut storage, found) = open(&disk).unwrap();
    let last = found.terms.last();
    take(&mut storage, whole(last, Default::default(), LogId::ZERO, &[]).0).unwrap();
    perform(&mut storage, vec![Write { compact_to: Some(last.index), ..write(2) }]).unwrap();
    settle(&mut storage);
    drop(storage);
    assert!(!disk.files().contains(&first));
    put(&disk, &first, &[9; 16 << 10]);
    assert_eq!(open(&disk).unwrap().1.terms.last(), last);
    assert!(!disk.files().contains(&first));
}

/// The id of a segment is in each of its records, so that none of them passes for one of another segment.
#[test]
fn segments_have_ids_of_their_own_whatever_the_seed() {
    for seed in [0, 7, u64::MAX] {
        let disk = MemoryDisk::new();
        let (mut storage, _) = Storage::open(disk.clone(), Options { seed, ..options(seed) }).unwrap();
        vote(&mut storage, 1);
        append(&mut storage, &[command(1, 1, &[7; 9000]), command(1, 2, &[7; 9000])]);
        let ids: std::collections::BTreeSet<Vec<u8>> =
            segments(&disk).iter().map(|path| disk.content(path).unwrap()[24..32].to_vec()).collect();
        assert_eq!(ids.len(), segments(&disk).len(), "seed {seed}");
        assert!(ids.len() > 1);
    }
}

/// A change of membership behind what is compacted may still be dropped. Then the one before it is in force again, and
/// what is written says so: behind a loss that took no change with it none is suspected.
#[test]
fn a_change_that_is_dropped_behind_a_compaction_is_not_in_force() {
    let (disk, mut storage) = started();
    append(&mut storage, &[members_entry(1, 1, &["a"])]);
    for index in 2..=12 {
        append(&mut storage, &[command(1, index, &[7; 3000])]);
    }
    let compact = |storage: &mut Storage<MemoryDisk>, index| {
        let last = LogId::new(1, index);
        take(storage, whole(last, members(&["a"]), LogId::new(1, 1), &[]).0).unwrap();
        perform(storage, vec![Write { compact_to: Some(last.index), ..write(2) }]).unwrap();
        settle(storage);
    };
    compact(&mut storage, 6);
    drop(storage);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.members, []);
    append(&mut storage, &[members_entry(1, 13, &["a", "b"]), noop(1, 14)]);
    compact(&mut storage, 12);
    vote(&mut storage, 2);
    perform(&mut storage, vec![Write { truncate_from: Some(Index(13)), ..write(3) }]).unwrap();
    append(&mut storage, &[noop(2, 13)]);
    let (path, lost) = changed_sectors(&disk, || append(&mut storage, &[noop(2, 14), noop(2, 15)]));
    append(&mut storage, &[noop(2, 16)]);
    settle(&mut storage);
    disk.zero(&path, lost);
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(2, 16), None));
    assert_eq!(found.damaged, [LogId::new(2, 14), LogId::new(2, 15)]);
}

/// Two nodes that began as one write records to the same place of the same segment. Each fits there; only one is this
/// slot's.
#[test]
fn the_record_of_another_entry_is_not_taken_for_a_slot() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    drop(storage);
    let other = disk.duplicate();
    let written = |disk: &MemoryDisk, term, value: &[u8]| {
        let (mut storage, _) = open(disk).unwrap();
        vote(&mut storage, 3);
        append(&mut storage, &[command(term, 2, value)]);
        storage
    };
    let mut storage = written(&disk, 2, b"this");
    drop(written(&other, 3, b"that"));
    let path = newest_segment(&disk);
    assert_eq!(read(&mut storage, 2, 2).0, [command(2, 2, b"this")]);
    disk.open(&path).unwrap().write_at(&other.content(&path).unwrap(), 0).unwrap();
    assert_eq!(read(&mut storage, 1, 2), (vec![noop(1, 1)], vec![LogId::new(2, 2)]));
}
