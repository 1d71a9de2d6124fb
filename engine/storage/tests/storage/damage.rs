//! What is known of slots that lost their payload, and how they get it back.

use quorate_raft::{Index, LogId, Write};
use quorate_storage::{Disk, MemoryDisk, OpenError};

use crate::common::{
    append, changed_sectors, command, ids, learn_commit, members_entry, newest_segment, noop, open, perform,
    read, settle, vote, with_a_batch_of_two, write,
};
use crate::golden::first_release;

/// Ten slots of one term, each a batch of two sectors, at the offsets that are returned.
fn ten_slots() -> (MemoryDisk, String, Vec<usize>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    let mut starts = Vec::new();
    for index in 1..=7 {
        let entry = command(1, index, &[7; 600]);
        starts.push(changed_sectors(&disk, || append(&mut storage, &[entry])).1.start);
    }
    settle(&mut storage);
    let path = newest_segment(&disk);
    (disk, path, starts)
}

#[test]
fn a_rotten_payload_in_the_middle_is_not_the_end_of_the_log() {
    let (disk, path, starts) = ten_slots();
    disk.flip_bit(&path, (starts[3] as u64 + 300) * 8);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(1, 7));
    assert_eq!((found.damaged, found.unknown), (vec![LogId::new(1, 4)], None));
    let (entries, damaged) = read(&mut storage, 1, 7);
    assert_eq!((entries.len(), damaged), (6, vec![LogId::new(1, 4)]));
}

#[test]
fn a_lost_header_is_known_from_its_successor() {
    let (disk, path, starts) = ten_slots();
    for (lost, expected) in [(3, 4), (6, 7)] {
        let disk = disk.duplicate();
        disk.flip_bit(&path, (starts[lost] as u64 + 30) * 8);
        let (_, found) = open(&disk).unwrap();
        assert_eq!(found.terms.last(), LogId::new(1, 7));
        assert_eq!((found.damaged, found.unknown), (vec![LogId::new(1, expected)], None));
    }
}

#[test]
fn a_run_of_lost_headers_in_one_term_is_known() {
    let (disk, path, starts) = ten_slots();
    disk.zero(&path, starts[2]..starts[5]);
    let (_, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(1, 7));
    assert_eq!(found.damaged, [3, 4, 5].map(|index| LogId::new(1, index)));
    assert_eq!(found.unknown, None);
}

#[test]
fn a_run_of_lost_headers_over_a_change_of_term_is_unknown() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 2);
    append(&mut storage, &[noop(1, 1)]);
    learn_commit(&mut storage, 1);
    let lost = [noop(1, 2), noop(2, 3)];
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &lost));
    append(&mut storage, &[noop(2, 4)]);
    settle(&mut storage);
    disk.zero(&path, sectors);
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 1), Some(Index(2))));
}

#[test]
fn a_run_of_lost_headers_with_a_change_of_membership_is_unknown() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[members_entry(1, 1, &["a"])]);
    // The last of them goes into the segment behind the change.
    let lost = [noop(1, 2), members_entry(1, 3, &["a", "b"]), noop(1, 4)];
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &lost));
    settle(&mut storage);
    disk.zero(&path, sectors);
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 1), Some(Index(2))));
    assert_eq!(found.members, [members_entry(1, 1, &["a"])]);
}

/// Slots 3 and 4 were replaced by a batch that is lost: the old ones must not come back.
#[test]
fn behind_a_lost_tail_only_committed_slots_are_believed() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[noop(1, 1), noop(1, 2)]);
    append(&mut storage, &[noop(1, 3), noop(1, 4)]);
    learn_commit(&mut storage, 2);
    vote(&mut storage, 3);
    let replacement = Write { truncate_from: Some(Index(3)), append: vec![noop(3, 3)], ..write(1) };
    let (path, sectors) = changed_sectors(&disk, || perform(&mut storage, vec![replacement]).unwrap());
    vote(&mut storage, 4);
    disk.zero(&path, sectors);
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 2), Some(Index(3))));
}

/// The first release began no segment behind a change of membership. The first start of a later one does.
#[test]
fn a_damaged_membership_entry_that_nothing_repeats_stops_the_node() {
    for started in [false, true] {
        let disk = first_release();
        disk.remove("snaps/0000000000000003-0000000000000002.snap").unwrap();
        if started {
            open(&disk).unwrap();
        }
        disk.flip_bit("log/00000001.log", (8192 + 100) * 8);
        match open(&disk) {
            Ok((_, found)) if started => {
                assert_eq!(found.members, [members_entry(1, 1, &["127.0.0.1:9080"])]);
                assert_eq!((found.damaged, found.unknown), (vec![LogId::new(1, 1)], None));
            }
            Err(OpenError::MembershipLost { id }) if !started => assert_eq!(id, LogId::new(1, 1)),
            other => panic!("started {started}: {:?}", other.map(|(_, found)| found)),
        }
    }
}

#[test]
fn a_repair_fills_the_slot_for_good() {
    let (disk, path, starts) = ten_slots();
    disk.flip_bit(&path, (starts[1] as u64 + 300) * 8);
    disk.flip_bit(&path, (starts[4] as u64 + 30) * 8);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.damaged, [LogId::new(1, 2), LogId::new(1, 5)]);
    // A copy for a slot that is not there (any more) is left alone.
    let repair =
        vec![command(1, 2, &[7; 600]), command(1, 5, &[7; 600]), command(2, 3, b"no"), command(1, 9, b"no")];
    perform(&mut storage, vec![Write { repair, append: vec![noop(1, 8)], ..write(1) }]).unwrap();
    for _ in 0..2 {
        let (entries, damaged) = read(&mut storage, 1, 8);
        assert_eq!((entries.len(), damaged), (8, vec![]));
        assert_eq!(entries[4], command(1, 5, &[7; 600]));
        let found;
        (storage, found) = open(&disk).unwrap();
        assert_eq!(ids(&found).len(), 8);
        assert_eq!((found.damaged, found.unknown), (vec![], None));
    }
}

#[test]
fn what_a_crash_left_of_a_cut_batch_never_comes_back() {
    let (disk, path, sectors) = with_a_batch_of_two();
    disk.zero(&path, sectors.start..sectors.start + 512);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(1, 1));
    // A shorter batch in its place: had the rest of the old one stayed, it would stand right behind.
    append(&mut storage, &[command(1, 2, b"short")]);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.damaged, found.unknown), (LogId::new(1, 2), vec![], None));
    assert_eq!(read(&mut storage, 1, 2).0[1], command(1, 2, b"short"));
}

/// A loss at the end of one segment can be crossed, a second one at the beginning of the next cannot, and the log goes
/// on behind what is still believed. The next start has to come to that very place again.
#[test]
fn a_log_that_goes_on_before_two_losses_is_found_again() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 3);
    append(&mut storage, &[noop(1, 1), noop(1, 2)]);
    learn_commit(&mut storage, 1);
    let mut put = |append| perform(&mut storage, vec![Write { append, ..write(1) }]).unwrap();
    let first = changed_sectors(&disk, || put(vec![noop(1, 3), noop(1, 4)]));
    put(vec![command(1, 5, &[5; 7000])]);
    let second = changed_sectors(&disk, || put(vec![noop(2, 6)]));
    put(vec![noop(2, 7)]);
    settle(&mut storage);
    disk.zero(&first.0, first.1);
    assert_ne!(second.0, "log/00000001.log");
    disk.zero(&second.0, 8192..8704);
    disk.zero(&second.0, second.1);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 1), Some(Index(2))));
    append(&mut storage, &[noop(3, 2), noop(3, 3)]);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.damaged), (LogId::new(3, 3), vec![]));
    assert_eq!(read(&mut storage, 1, 3).0, [noop(1, 1), noop(3, 2), noop(3, 3)]);
}

#[test]
fn a_segment_without_a_header_is_a_loss_like_any_other() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    for index in 1..=12 {
        append(&mut storage, &[command(1, index, &[7; 2000])]);
    }
    settle(&mut storage);
    let segments: Vec<String> = disk.files().into_iter().filter(|path| path.ends_with(".log")).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    for lost in &segments {
        for gone in [false, true] {
            let disk = disk.duplicate();
            if gone {
                disk.remove(lost).unwrap();
            } else {
                disk.zero(lost, 0..8192);
            }
            let result = open(&disk);
            if lost == &segments[0] {
                assert!(matches!(result, Err(OpenError::CheckpointLost { .. })), "no checkpoint covers it");
                continue;
            }
            let (mut storage, found) = result.unwrap();
            if lost == segments.last().unwrap() {
                assert_eq!(found.unknown, Some(found.terms.last().index.next()), "{lost}");
                assert!(found.terms.last().index < Index(12));
                continue;
            }
            assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 12), None), "{lost}");
            assert!(!found.damaged.is_empty());
            let (entries, damaged) = read(&mut storage, 1, 12);
            assert_eq!((entries.len() + damaged.len(), &damaged), (12, &found.damaged));
        }
    }
}
