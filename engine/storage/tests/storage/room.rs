//! How much room is told, to the byte, and that what does not fit is known before any of it is written.

use quorate_raft::{Done, Entry, Index, LogId, Members, NodeId, Payload, Room, Write};
use quorate_storage::{Job, MemoryDisk, Storage};

use crate::common::{
    command, hard, log_of_version, members, noop, open, rows, settle, take, vote, whole, write,
};
use crate::full_disk::{fill_up, filled_up, full_options, is_written, perform, tend, told};

/// Records begin here in a segment whose header has no or few members.
const START: u64 = 2 * 4096;
const SEGMENT: u64 = 16 << 10;

fn append(storage: &mut Storage<MemoryDisk>, entries: Vec<Entry>) -> Vec<Done> {
    let id = entries[0].id.index.0;
    perform(storage, Write { append: entries, ..write(id) })
}

/// Members whose header takes two pages a copy.
fn many() -> Members {
    let name = "n".repeat(250);
    let members = members(&[name.as_str(); 20]);
    assert_eq!(members.voters.len(), 20);
    members
}

fn members_entry(index: u64, members: Members) -> Entry {
    Entry { id: LogId::new(1, index), payload: Payload::Members(Box::new(members)) }
}

/// A full disk, on which the log has used up all its segments to the last sector: slots 1 to 8.
fn brim() -> (MemoryDisk, Storage<MemoryDisk>) {
    let (disk, mut storage) = filled_up();
    for index in 1..=7 {
        assert!(is_written(&append(&mut storage, vec![command(1, index, &[7; 3000])]), index));
    }
    let done = append(&mut storage, vec![command(1, 8, &[7; 3000])]);
    assert!(is_written(&done, 8));
    let room = told(&done).flatten().unwrap();
    assert_eq!((room.rest_bytes, room.spare_segments), (0, 0));
    (disk, storage)
}

#[test]
fn room_is_told_to_the_byte() {
    let (_, mut storage) = filled_up();
    let done = append(&mut storage, vec![command(1, 1, &[7; 10])]);
    assert_eq!(told(&done), None, "all is as it should be, but for a disk that is full and not needed");
    append(&mut storage, vec![command(1, 2, &[7; 3000])]);
    append(&mut storage, vec![command(1, 3, &[7; 3000])]);
    let done = append(&mut storage, vec![command(1, 4, &[7; 10])]);
    let known = told(&done).flatten().or_else(|| told(&tend(&mut storage)).flatten());
    // In the second segment: seven sectors and one, a mark behind each, and one that stays free for an end.
    let rest = SEGMENT - START - (7 + 1) * 512 - (1 + 1) * 512 - 512;
    let expected = Room {
        rest_bytes: rest,
        segment_bytes: SEGMENT - START - 512,
        spare_segments: 2,
        newest_segment: known.unwrap().newest_segment,
        is_reserved: true,
    };
    assert_eq!(known, Some(expected));
}

/// A checkpoint has at most an eighth more than the last one, and what was logged since; the ballast is for it.
#[test]
fn room_is_kept_for_the_next_checkpoint_to_the_byte() {
    let disk = MemoryDisk::new();
    let (mut storage, _) = Storage::open(disk.clone(), full_options()).unwrap();
    vote(&mut storage, 1);
    for index in 1..=6 {
        append(&mut storage, vec![command(1, index, &[7; 3000])]);
    }
    let (draft, ..) = whole(LogId::new(1, 2), Members::default(), LogId::ZERO, &rows(5, 9000));
    let meta = take(&mut storage, draft).unwrap();
    settle(&mut storage);
    // Slots 3 and 4, and 5 and 6; what holds 1 and 2 is covered.
    let most = meta.bytes + meta.bytes / 8 + 2 * SEGMENT;
    let free = most - disk.len("log/ballast").unwrap();
    let used = disk.bytes_used();
    for (free, is_reserved) in [(free, false), (free - 1, true), (free, false)] {
        disk.set_capacity(Some(used + free));
        let room = told(&tend(&mut storage));
        assert_eq!(room.flatten().is_some_and(|room| room.is_reserved), is_reserved, "{free}: {room:?}");
    }
}

/// Spares are made in the background, unless one is needed now.
#[test]
fn no_write_waits_for_a_spare_that_it_does_not_need() {
    let (disk, mut storage) = {
        let disk = MemoryDisk::new();
        let usual = full_options();
        let (storage, _) = Storage::open(disk.clone(), usual).unwrap();
        (disk, storage)
    };
    let spares = || disk.files().into_iter().filter(|path| path.ends_with(".spare")).count();
    let job = Write { hard: Some(hard(1)), append: vec![noop(1, 1)], ..write(1) };
    storage.perform(vec![Job::Core(quorate_raft::Job::Write(job))]).unwrap();
    assert_eq!(spares(), 0, "{:?}", disk.files());
    settle(&mut storage);
    assert_eq!(spares(), 3, "{:?}", disk.files());
}

/// Each of these needs a segment that is not there; the forecast that says so is right, or the log would be broken off
/// in the middle of a batch.
#[test]
fn what_does_not_fit_is_not_begun() {
    let big = |index| command(1, index, &[7; 3000]);
    let rest = |storage: &mut Storage<MemoryDisk>, uses: u64| {
        for index in 1..=uses * 2 {
            assert!(is_written(&append(storage, vec![big(index)]), index));
        }
    };
    // One spare, and three that need two.
    let (disk, mut storage) = filled_up();
    rest(&mut storage, 3);
    let three = vec![big(7), big(8), big(9)];
    waits(&disk, &mut storage, Write { append: three, ..write(7) }, 9);

    // Behind many members a segment has no room for anything.
    let (disk, mut storage) = filled_up();
    rest(&mut storage, 2);
    let behind = vec![members_entry(5, many()), big(6), big(7), noop(1, 8)];
    waits(&disk, &mut storage, Write { append: behind, ..write(5) }, 8);

    // A mark of what was dropped takes a sector; what takes its place does not need one.
    let (disk, mut storage) = brim();
    waits(&disk, &mut storage, Write { truncate_from: Some(Index(8)), ..write(9) }, 7);
    let (disk, mut storage) = brim();
    let repaired = Write { repair: vec![command(1, 8, &[7; 3000])], ..write(9) };
    waits(&disk, &mut storage, repaired, 8);
}

/// The write waits, harms nothing, and is done when there is room.
#[track_caller]
fn waits(disk: &MemoryDisk, storage: &mut Storage<MemoryDisk>, job: Write, last: u64) {
    let id = job.id.0;
    let before = open(&disk.duplicate()).unwrap().1.terms.last();
    assert!(!is_written(&perform(storage, job), id));
    let (_, found) = open(&disk.duplicate()).unwrap();
    assert_eq!((found.terms.last(), found.damaged), (before, vec![]));
    disk.set_capacity(None);
    assert!(is_written(&tend(storage), id));
    let (_, found) = open(&disk.duplicate()).unwrap();
    assert_eq!((found.terms.last().index, found.damaged), (Index(last), vec![]));
    assert_eq!(found.hard.vote, Some(NodeId(1)));
}

/// Who has work in hand, and whether anybody waits for it.
#[test]
fn only_what_somebody_waits_for_is_pressing() {
    let (mut storage, _) = open(&MemoryDisk::new()).unwrap();
    assert_eq!(storage.behind_gap(), None);
    assert!(storage.busy() && storage.is_pressed(), "a spare is wanted");
    vote(&mut storage, 1);
    settle(&mut storage);
    assert!(!storage.busy() && !storage.is_pressed() && !storage.waits_for_space());

    append(&mut storage, (1..=20).map(|index| command(1, index, &[7; 3000])).collect());
    settle(&mut storage);
    let (draft, ..) = whole(LogId::new(1, 19), Members::default(), LogId::ZERO, &rows(5, 100));
    take(&mut storage, draft).unwrap();
    settle(&mut storage);
    let compaction = Write { compact_to: Some(Index(19)), ..write(2) };
    storage.perform(vec![Job::Core(quorate_raft::Job::Write(compaction))]).unwrap();
    assert!(storage.busy() && !storage.is_pressed(), "many files are to go, which has time");
    settle(&mut storage);

    // A mark says on disk that a batch was synced, as soon as there is time.
    let job = Write { append: vec![noop(1, 21)], ..write(3) };
    storage.perform(vec![Job::Core(quorate_raft::Job::Write(job))]).unwrap();
    assert!(storage.busy() && storage.is_pressed());
    settle(&mut storage);
    assert!(!storage.is_pressed());
}

/// A checkpoint for which there is no room waits, says so, and is taken when there is.
#[test]
fn a_checkpoint_that_waits_for_space_says_so() {
    let (disk, mut storage) = filled_up();
    append(&mut storage, vec![noop(1, 1)]);
    let (draft, meta, _) = whole(LogId::new(1, 1), Members::default(), LogId::ZERO, &rows(5, 100_000));
    let mut done = storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    done.extend(settle(&mut storage));
    assert!(!done.iter().any(|done| matches!(done, Done::SnapshotTaken(_))));
    assert!(storage.waits_for_space());
    disk.set_capacity(None);
    for _ in 0..1000 {
        let done = tend(&mut storage);
        if done.iter().any(|done| *done == Done::SnapshotTaken(Box::new(meta.clone()))) {
            assert!(!storage.waits_for_space());
            return;
        }
    }
    panic!("it is not taken");
}

/// Appends so many entries; two fill a segment.
fn use_up(storage: &mut Storage<MemoryDisk>, entries: u64) {
    for index in 1..=entries {
        assert!(is_written(&append(storage, vec![command(1, index, &[7; 3000])]), index));
    }
}

/// The log goes on in a new segment, whose header has the members twice.
#[test]
fn what_follows_an_installed_checkpoint_is_counted_from_behind_the_header() {
    let (disk, mut storage) = filled_up();
    use_up(&mut storage, 6);
    let (_, meta, _) = whole(LogId::new(1, 50), members(&["a"]), LogId::new(1, 1), &rows(5, 100));
    let append = (51..=53).map(|index| command(1, index, &[7; 3000])).collect();
    let done = perform(&mut storage, Write { install: Some(Box::new(meta)), append, ..write(7) });
    assert!(!is_written(&done, 7), "two segments, and one is there: {done:?}");
    disk.set_capacity(None);
    assert!(is_written(&tend(&mut storage), 7));
}

/// They begin a segment of a later version, and another one behind themselves.
#[test]
fn the_first_join_tokens_of_an_old_log_take_two_segments() {
    let (disk, mut storage) = fill_up(log_of_version(1));
    use_up(&mut storage, 5);
    let tokens = members(&["a"]).with_token(quorate_raft::TokenHash([1; 32]), 1_000, 0).unwrap();
    waits(&disk, &mut storage, Write { append: vec![members_entry(6, tokens)], ..write(6) }, 6);
}

#[test]
fn a_compaction_that_brings_no_room_is_tried_once() {
    let (disk, mut storage) = brim();
    assert!(!is_written(&append(&mut storage, vec![command(1, 9, &[7; 3000])]), 9));
    let compaction = Write { compact_to: Some(Index(1)), ..write(10) };
    assert!(!is_written(&perform(&mut storage, compaction), 10));
    disk.set_capacity(None);
    assert!(is_written(&tend(&mut storage), 10));
}
