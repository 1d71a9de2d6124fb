//! A node cannot start without the configurations of its log. So each stands twice, in its entry and in the header of
//! the segment that is begun behind it, and one bad place is survived.

use quorate_raft::{Entry, Found, Index, LogId, SnapshotMeta, Write};
use quorate_storage::{MemoryDisk, OpenError, Storage, newest_members};

use crate::common::{
    append, changed_sectors, command, cut_everywhere, members, members_entry, newest_segment, noop, open,
    perform, rows, settle, take, vote, whole, write,
};

type Damage = fn(&MemoryDisk, &str, usize);

const DAMAGES: [(&str, Damage); 4] = [
    ("zeros", |disk, path, at| disk.zero(path, at..at + 512)),
    ("garbage", |disk, path, at| disk.garbage(path, at..at + 512, at as u64)),
    ("a flipped bit", |disk, path, at| disk.flip_bit(path, at as u64 * 8 + 701)),
    ("unreadable", |disk, path, at| disk.make_unreadable(path, at as u64..at as u64 + 512)),
];

/// Does everything to every sector of the log, each on a disk of its own. The node starts, and knows `expected`.
fn every_sector_may_rot(disk: &MemoryDisk, expected: &[Entry], what: &str) {
    for path in disk.files().iter().filter(|path| path.ends_with(".log")) {
        for at in (0..disk.len(path).unwrap()).step_by(512) {
            for (name, damage) in DAMAGES {
                let disk = disk.duplicate();
                damage(&disk, path, usize::try_from(at).unwrap());
                let at = format!("{what}: {name} at {at} of {path}");
                let (_, found) = open(&disk).unwrap_or_else(|error| panic!("{at}: {error}"));
                assert_eq!(found.members, expected, "{at}: {found:?}");
            }
        }
    }
}

/// Changes of membership alone, in one write with others, several in one write, replaced, and truncated.
fn written() -> (MemoryDisk, Storage<MemoryDisk>, Vec<Entry>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[members_entry(1, 1, &["a"])]);
    append(&mut storage, &[noop(1, 2), members_entry(1, 3, &["a", "b"]), command(1, 4, &[4; 700])]);
    let several = [members_entry(1, 5, &["a", "b", "c"]), members_entry(1, 6, &["a", "c"]), noop(1, 7)];
    append(&mut storage, &several);
    append(&mut storage, &[members_entry(1, 8, &["never committed"]), noop(1, 9)]);
    vote(&mut storage, 2);
    let replacement = vec![noop(2, 8), members_entry(2, 9, &["a", "d"]), members_entry(2, 10, &["dropped"])];
    perform(&mut storage, vec![Write { append: replacement, ..write(2) }]).unwrap();
    perform(&mut storage, vec![Write { truncate_from: Some(Index(10)), ..write(3) }]).unwrap();
    append(&mut storage, &[command(2, 10, &[9; 600])]);
    let expected = vec![
        members_entry(1, 1, &["a"]),
        members_entry(1, 3, &["a", "b"]),
        members_entry(1, 5, &["a", "b", "c"]),
        members_entry(1, 6, &["a", "c"]),
        members_entry(2, 9, &["a", "d"]),
    ];
    (disk, storage, expected)
}

#[test]
fn every_single_sector_of_a_log_with_membership_entries_may_rot() {
    let (disk, mut storage, expected) = written();
    every_sector_may_rot(&disk, &expected, "busy");
    settle(&mut storage);
    every_sector_may_rot(&disk, &expected, "idle");
    open(&disk).unwrap();
    every_sector_may_rot(&disk, &expected, "started again");
}

/// A crash may come between the entry's batch and the segment behind it. The next start begins it.
#[test]
fn a_crash_between_the_entry_and_its_copy_is_made_up_for() {
    let begun = || {
        let disk = MemoryDisk::new();
        let (mut storage, _) = open(&disk).unwrap();
        vote(&mut storage, 1);
        append(&mut storage, &[noop(1, 1)]);
        settle(&mut storage);
        (disk, storage)
    };
    let entry = members_entry(1, 2, &["a", "b"]);
    let change = || vec![Write { append: vec![entry.clone(), noop(1, 3)], ..write(2) }];
    let mut seen = [0, 0];
    cut_everywhere(begun, change, |cut, disk| {
        let (_, found) = open(disk).unwrap();
        seen[found.members.len()] += 1;
        every_sector_may_rot(disk, &found.members, &format!("cut {cut}"));
    });
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

/// A checkpoint repeats its configuration, so a start begins no segment for it.
#[test]
fn a_start_begins_no_segment_for_what_is_repeated() {
    let (disk, mut storage, _) = written();
    settle(&mut storage);
    let newest = newest_segment(&disk);
    for _ in 0..3 {
        open(&disk).unwrap();
        assert_eq!(newest_segment(&disk), newest);
    }
}

/// The first segment's header may name a configuration that was given up: one that was begun behind an entry that
/// was then replaced or truncated. Only the checkpoint tells what is in force.
#[test]
fn a_configuration_that_was_given_up_is_not_taken_for_the_one_in_force() {
    for truncated in [false, true] {
        give_up_a_configuration(truncated);
    }
}

fn give_up_a_configuration(truncated: bool) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[members_entry(1, 1, &["a"])]);
    append(&mut storage, &[members_entry(1, 2, &["given up"])]);
    vote(&mut storage, 2);
    if truncated {
        perform(&mut storage, vec![Write { truncate_from: Some(Index(2)), ..write(2) }]).unwrap();
    }
    append(&mut storage, &[noop(2, 2)]);
    let (last, members_at) = (LogId::new(2, 2), LogId::new(1, 1));
    take(&mut storage, whole(last, members(&["a"]), members_at, &[]).0).unwrap();
    settle(&mut storage);
    perform(&mut storage, vec![Write { compact_to: Some(Index(2)), ..write(3) }]).unwrap();
    settle(&mut storage);
    let (mut storage, found) = open(&disk).unwrap();
    let base = if truncated { LogId::new(1, 1) } else { LogId::new(2, 2) };
    assert_eq!((found.terms.base(), &found.members[..]), (base, &[][..]));
    let path = newest_segment(&disk);
    let starts = [3, 4, 5, 6, 7].map(|index| {
        let end = disk.content(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 512;
        append(&mut storage, &[noop(2, index)]);
        end
    });
    settle(&mut storage);
    disk.zero(&path, starts[1]..starts[3]);
    let (_, found): (_, Found) = open(&disk).unwrap();
    assert_eq!(found.snapshot.map(|meta: SnapshotMeta| meta.members_at), Some(members_at));
    assert_eq!((found.damaged, found.unknown), (vec![LogId::new(2, 4), LogId::new(2, 5)], None));

    // And a loss that took a change of membership with it is not taken for one that did not.
    let (mut storage, _) = open(&disk).unwrap();
    let lost = [noop(2, 8), members_entry(2, 9, &["a", "b"]), noop(2, 10)];
    let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &lost));
    disk.zero(&path, sectors);
    let (_, found) = open(&disk).unwrap();
    assert_eq!((found.members, found.unknown), (vec![], Some(Index(8))));
}

/// A loss that begins below the checkpoint's end and goes on above it: what is in force at the checkpoint is known, so
/// a change of membership behind that is noticed, and one that did not happen is not suspected.
#[test]
fn a_loss_across_the_end_of_a_checkpoint_hides_no_change_of_membership() {
    for changed in [false, true] {
        let disk = MemoryDisk::new();
        let (mut storage, _) = open(&disk).unwrap();
        vote(&mut storage, 1);
        append(&mut storage, &[members_entry(1, 1, &["a"])]);
        append(&mut storage, &[noop(1, 2)]);
        let last = if changed { members_entry(1, 6, &["a", "b"]) } else { noop(1, 6) };
        let lost = [noop(1, 3), noop(1, 4), noop(1, 5), last];
        let (path, sectors) = changed_sectors(&disk, || append(&mut storage, &lost));
        append(&mut storage, &[noop(1, 7)]);
        let (last, members_at) = (LogId::new(1, 4), LogId::new(1, 1));
        take(&mut storage, whole(last, members(&["a"]), members_at, &[]).0).unwrap();
        settle(&mut storage);
        disk.zero(&path, sectors);
        let (_, found) = open(&disk).unwrap();
        let expected = if changed {
            (LogId::new(1, 4), vec![], Some(Index(5)))
        } else {
            (LogId::new(1, 7), vec![LogId::new(1, 5), LogId::new(1, 6)], None)
        };
        assert_eq!((found.terms.last(), found.damaged, found.unknown), expected);
    }
}

/// A node that can't be opened still says whom it may ask to take it in again.
#[test]
fn the_newest_configuration_is_found_where_nothing_else_can_be() {
    let (disk, mut storage, _) = written();
    let of = |disk: &MemoryDisk| newest_members(disk.clone());
    // Also of one that was dropped: it's for asking, not for deciding.
    assert_eq!(of(&disk), Some((LogId::new(2, 10), members(&["dropped"]))));
    let (last, members_at) = (LogId::new(2, 10), LogId::new(2, 9));
    let (draft, ..) = whole(last, members(&["a", "d"]), members_at, &rows(7, 100));
    take(&mut storage, draft).unwrap();
    settle(&mut storage);
    for path in ["stable/a", "stable/b"] {
        disk.garbage(path, 0..512, 1);
    }
    let lost = open(&disk).err().unwrap();
    assert!(matches!(lost, OpenError::TermAndVoteLost) && lost.costs_the_id(), "{lost}");
    let segments: Vec<String> = disk.files().into_iter().filter(|path| path.ends_with(".log")).collect();
    for path in &segments[1..] {
        disk.zero(path, 0..usize::try_from(disk.len(path).unwrap()).unwrap());
    }
    let changes = disk.changes();
    assert_eq!(of(&disk), Some((LogId::new(2, 9), members(&["a", "d"]))), "the checkpoint's");
    for path in disk.files().iter().filter(|path| path.ends_with(".snap")) {
        disk.garbage(path, 0..usize::try_from(disk.len(path).unwrap()).unwrap(), 2);
    }
    assert_eq!(of(&disk), Some((LogId::new(1, 1), members(&["a"]))), "the first segment's");
    assert_eq!(disk.changes(), changes, "nothing was written");
    disk.zero(&segments[0], 0..usize::try_from(disk.len(&segments[0]).unwrap()).unwrap());
    assert_eq!(of(&disk), None);
}
