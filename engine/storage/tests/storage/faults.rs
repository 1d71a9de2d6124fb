//! Bugs that other systems had, as scenarios. The numbers are those of the simulator's list.

use quorate_raft::{Done, Index, Load, LogId, Reader, Write};
use quorate_storage::{Job, OpenError};

use crate::common::{
    append, changed_sectors, command, hard, newest_segment, noop, open, perform, read, settle, started, take,
    vote, whole, write,
};

/// 40: a sync that failed was tried again, and the second one "succeeded".
#[test]
fn an_error_on_write_or_sync_is_the_end() {
    for sync in [true, false] {
        let (disk, mut storage) = started();
        append(&mut storage, &[noop(1, 1)]);
        if sync {
            disk.fail_syncs(true);
        } else {
            disk.fail_writes(true);
        }
        let error = perform(&mut storage, vec![Write { append: vec![noop(1, 2)], ..write(2) }]).unwrap_err();
        assert_eq!(error.action, if sync { "sync" } else { "write" });
        assert_eq!(error.path, newest_segment(&disk));
        disk.fail_syncs(false);
        disk.fail_writes(false);
        let again = std::panic::AssertUnwindSafe(|| storage.perform(Vec::new()));
        assert!(std::panic::catch_unwind(again).is_err(), "there is no second attempt");
        disk.crash(0);
        assert_eq!(open(&disk).unwrap().1.terms.last(), LogId::new(1, 1));
    }
}

/// 42: the new segment was synced, and the old one's last batch was not.
#[test]
fn a_rollover_leaves_nothing_unsynced_behind() {
    for seed in 0..40 {
        let (disk, mut storage) = started();
        let entries: Vec<_> = (1..=30).map(|index| command(1, index, &[1; 900])).collect();
        append(&mut storage, &entries);
        disk.crash(seed);
        let (mut storage, found) = open(&disk).unwrap();
        assert_eq!((found.damaged, found.unknown), (vec![], None));
        assert_eq!(read(&mut storage, 1, 30).0, entries);
    }
}

/// 43: a new segment vanished with its directory entry.
#[test]
fn a_new_segment_has_its_name_before_anything_in_it_counts() {
    for seed in 0..40 {
        let (disk, mut storage) = started();
        let first = newest_segment(&disk);
        append(&mut storage, &[command(1, 1, &[1; 6000])]);
        append(&mut storage, &[command(1, 2, &[1; 6000])]);
        assert_ne!(newest_segment(&disk), first);
        disk.crash(seed);
        assert_eq!(open(&disk).unwrap().1.terms.last(), LogId::new(1, 2));
    }
}

/// 44: a torn tail is what every power cut leaves, and no reason to stop.
#[test]
fn a_torn_tail_is_cut() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[command(1, 2, &[1; 3000])]));
    for lost in sectors.step_by(512) {
        let disk = disk.duplicate();
        disk.zero(&path, lost..lost + 512);
        let (_, found) = open(&disk).unwrap();
        assert_eq!((found.terms.last(), found.damaged, found.unknown), (LogId::new(1, 1), vec![], None));
    }
}

/// The same with a batch of several records that end where a sector ends: what is left reads as whole records, and only
/// the missing last one tells that it is not the whole batch.
#[test]
fn a_batch_without_its_end_is_cut() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    // The first has a whole header, the others have short ones; a payload has a byte more than its command.
    let sizes = [512 - 96 - 1, 512 - 56 - 1, 512 - 56 - 1, 512 - 56 - 1];
    let batch: Vec<_> = (2..=5).zip(sizes).map(|(index, size)| command(1, index, &vec![1; size])).collect();
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &batch));
    assert_eq!(sectors.len(), 4 * 512);
    let content = disk.content(&path).unwrap();
    for (begins, form) in sectors.clone().step_by(512).zip([0, 1, 2, 2]) {
        assert_eq!(content[begins + 12..begins + 16], u32::try_from(begins + form).unwrap().to_le_bytes());
    }
    for lost in sectors.clone().step_by(512) {
        let disk = disk.duplicate();
        disk.zero(&path, lost..sectors.end);
        let (_, found) = open(&disk).unwrap();
        assert_eq!((found.terms.last(), found.damaged, found.unknown), (LogId::new(1, 1), vec![], None));
    }
}

/// A mark may vanish in a crash, or rot: the batch behind it is whole all the same.
#[test]
fn a_lost_mark_costs_nothing() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    settle(&mut storage);
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[command(1, 2, &[1; 3000])]));
    for garbage in [0, 0x6b] {
        let disk = disk.duplicate();
        disk.corrupt(&path, |content| content[sectors.start - 512..sectors.start].fill(garbage));
        let (_, found) = open(&disk).unwrap();
        assert_eq!((found.terms.last(), found.damaged, found.unknown), (LogId::new(1, 2), vec![], None));
    }
}

/// A process that ends between writing and syncing leaves a batch that only the system's cache holds. The next one
/// finds it, says so, and must be right even if the power goes then.
#[test]
fn what_is_found_is_durable() {
    for seed in 0..20 {
        let (disk, mut storage) = started();
        settle(&mut storage);
        disk.cut_power_at(disk.changes() + 1);
        let entry = command(1, 1, &[1; 3000]);
        perform(&mut storage, vec![Write { append: vec![entry], ..write(1) }]).unwrap_err();
        disk.cut_power_at(u64::MAX);
        assert_eq!(open(&disk).unwrap().1.terms.last(), LogId::new(1, 1));
        disk.crash(seed);
        assert_eq!(open(&disk).unwrap().1.terms.last(), LogId::new(1, 1), "seed {seed}");
    }
}

/// 46: the log went on behind half a record, and what came after was never found.
#[test]
fn the_log_goes_on_before_a_torn_tail() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[command(1, 2, &[1; 3000])]));
    disk.zero(&path, sectors.start + 1024..sectors.end);
    let (mut storage, _) = open(&disk).unwrap();
    let (_, again) = changed_sectors(&disk, || append(&mut storage, &[command(1, 2, b"new"), noop(1, 3)]));
    assert_eq!(again.start, sectors.start);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(1, 3));
    assert_eq!(read(&mut storage, 2, 3).0, [command(1, 2, b"new"), noop(1, 3)]);
}

/// 48: a file that was used again still held its old records, and they passed.
#[test]
fn a_recycled_segment_holds_nothing_of_its_past() {
    let (disk, mut storage) = started();
    let mut index = 0;
    for round in 0..6 {
        for _ in 0..9 {
            index += 1;
            append(&mut storage, &[command(1, index, &[round; 1500])]);
        }
        let (draft, ..) = whole(LogId::new(1, index), Default::default(), LogId::ZERO, &[]);
        take(&mut storage, draft).unwrap();
        settle(&mut storage);
        perform(&mut storage, vec![Write { compact_to: Some(Index(index)), ..write(1) }]).unwrap();
        settle(&mut storage);
    }
    let spares: Vec<_> = disk.files().into_iter().filter(|path| path.ends_with(".spare")).collect();
    assert!(!spares.is_empty());
    for spare in spares {
        assert!(disk.content(&spare).unwrap().iter().all(|byte| *byte == 0), "{spare}");
    }
    let content = disk.content(&newest_segment(&disk)).unwrap();
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, index), None));
    // Old bytes in the free space, as if they had not been zeroed, are garbage and not records.
    let (path, old) = (newest_segment(&disk), content[8192..9728].to_vec());
    let end = content.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 1024;
    if end + old.len() <= content.len() {
        disk.corrupt(&path, |content| content[end..end + old.len()].copy_from_slice(&old));
        assert_eq!(open(&disk).unwrap().1.terms.last(), LogId::new(1, index));
    }
}

/// 53: a write went to the wrong place, and its checksum was right there too.
#[test]
fn a_misdirected_write_is_seen_at_both_places() {
    let (disk, mut storage) = started();
    let mut places = Vec::new();
    for index in 1..=5 {
        let entry = command(1, index, &[index.to_le_bytes()[0]; 300]);
        places.push(changed_sectors(&disk, || append(&mut storage, &[entry])).1);
    }
    settle(&mut storage);
    let path = newest_segment(&disk);
    disk.corrupt(&path, |content| content.copy_within(places[1].clone(), places[3].start));
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.terms.last(), found.damaged), (LogId::new(1, 5), vec![LogId::new(1, 4)]));
    let (entries, damaged) = read(&mut storage, 1, 5);
    assert_eq!((entries.len(), damaged), (4, vec![LogId::new(1, 4)]));
    assert_eq!(entries[1], command(1, 2, &[2; 300]));
}

/// 83: with two slots that take turns, losing the newer one brings back an older vote.
#[test]
fn both_files_hold_the_last_vote() {
    let (disk, mut storage) = started();
    for term in 2..=4 {
        vote(&mut storage, term);
        drop(storage);
        for lost in ["stable/a", "stable/b"] {
            for length in [0, 100, 512] {
                let disk = disk.duplicate();
                disk.corrupt(lost, |content| {
                    content.fill(0x6b);
                    content.truncate(length);
                });
                assert_eq!(open(&disk).unwrap().1.hard, hard(term), "{lost} in term {term}");
                // It has been mended: now the other may go.
                let other = if lost == "stable/a" { "stable/b" } else { "stable/a" };
                disk.flip_bit(other, 300);
                assert_eq!(open(&disk).unwrap().1.hard, hard(term), "{lost}, then {other}");
            }
        }
        (storage, _) = open(&disk).unwrap();
    }
    disk.flip_bit("stable/a", 300);
    disk.flip_bit("stable/b", 300);
    assert!(matches!(open(&disk), Err(OpenError::TermAndVoteLost)));
}

/// 84: rot in the last acknowledged batch was cut away like a torn tail.
#[test]
fn rot_in_the_last_marked_batch_is_damage() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[command(1, 2, &[1; 3000])]));
    settle(&mut storage);
    for start in sectors.step_by(512) {
        let disk = disk.duplicate();
        disk.zero(&path, start..start + 512);
        let (_, found) = open(&disk).unwrap();
        assert_eq!((found.terms.last(), found.damaged), (LogId::new(1, 2), vec![LogId::new(1, 2)]));
    }
}

/// A log from one copy of the disk, a term from another.
#[test]
fn a_term_older_than_the_log_is_refused() {
    let (disk, mut storage) = started();
    let old = ["stable/a", "stable/b"].map(|path| (path, disk.content(path).unwrap()));
    vote(&mut storage, 2);
    append(&mut storage, &[noop(2, 1)]);
    for (path, content) in old {
        disk.corrupt(path, |now| *now = content);
    }
    assert!(matches!(open(&disk), Err(OpenError::TermBehindLog { .. })));
}

/// A log that vanished is not a new node's.
#[test]
fn a_lost_log_is_not_an_empty_one() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    for path in disk.files().iter().filter(|path| path.starts_with("log/")) {
        quorate_storage::Disk::remove(&disk, path).unwrap();
    }
    assert!(matches!(open(&disk), Err(OpenError::LogLost { .. })));
}

/// A read error is damage of the entry, and the node lives on.
#[test]
fn an_unreadable_entry_is_damage_and_not_death() {
    let (disk, mut storage) = started();
    append(&mut storage, &[noop(1, 1)]);
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &[command(1, 2, &[1; 3000])]));
    append(&mut storage, &[noop(1, 3)]);
    disk.make_unreadable(&path, sectors.start as u64 + 1024..sectors.start as u64 + 1536);
    let load = Load { reader: Reader::Apply, first: Index(1), last: Index(3), bytes: 100_000 };
    let done = storage.perform(vec![Job::Core(quorate_raft::Job::Load(load))]).unwrap();
    let expected = [Done::Loaded { load, entries: vec![noop(1, 1)] }, Done::Damaged(LogId::new(1, 2))];
    assert_eq!(done, expected);
    let (entries, damaged) = read(&mut storage, 1, 3);
    assert_eq!((entries.len(), damaged), (2, vec![LogId::new(1, 2)]));
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.damaged, found.unknown), (vec![LogId::new(1, 2)], None));
}
