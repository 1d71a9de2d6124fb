//! The ballast: when it grows, when it goes, and what is said of room meanwhile.

use quorate_raft::{Done, LogId, Members, Room, SnapshotMeta, Write};
use quorate_storage::{Content, Draft, Job, MemoryDisk, Options, Storage};

use crate::common::{command, noop, options, rows, settle, take, vote, whole, write};

const BALLAST: &str = "log/ballast";

fn opened() -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let usual = Options { spare_segments: 3, ..options(7) };
    let (mut storage, _) = Storage::open(disk.clone(), usual).unwrap();
    vote(&mut storage, 1);
    (disk, storage)
}

fn append(storage: &mut Storage<MemoryDisk>, entries: Vec<quorate_raft::Entry>) -> Vec<Done> {
    let job = quorate_raft::Job::Write(Write { append: entries, ..write(1) });
    let mut done = storage.perform(vec![Job::Core(job)]).unwrap();
    done.extend(settle(storage));
    done
}

fn checkpoint(storage: &mut Storage<MemoryDisk>, index: u64, bytes: usize) -> SnapshotMeta {
    let (draft, ..) = whole(LogId::new(1, index), Members::default(), LogId::ZERO, &rows(5, bytes));
    take(storage, draft).unwrap()
}

fn told(done: &[Done]) -> Option<Option<Room>> {
    done.iter().rev().find_map(|done| if let Done::Room(room) = done { Some(*room) } else { None })
}

/// The log waits for spares, and nobody for the ballast.
#[test]
fn spares_come_before_the_ballast() {
    let (disk, mut storage) = opened();
    let spares = || disk.files().into_iter().filter(|path| path.ends_with(".spare")).count();
    while storage.busy() {
        storage.perform(Vec::new()).unwrap();
        assert!(disk.len(BALLAST).is_none() || spares() == 3, "{:?}", disk.files());
    }
    assert_eq!((spares(), disk.len(BALLAST)), (3, Some(16 << 10)));
}

#[test]
fn the_ballast_goes_when_there_is_no_space_for_two_slices_of_a_checkpoint_and_64_kib() {
    const LEAST_BYTES: u64 = (2 * (8 << 10)) + (64 << 10);
    for (free, is_kept) in [(LEAST_BYTES, true), (LEAST_BYTES - 1, false)] {
        let (disk, mut storage) = opened();
        append(&mut storage, vec![noop(1, 1)]);
        disk.set_capacity(Some(disk.bytes_used() + free));
        let (draft, ..) = whole(LogId::new(1, 1), Members::default(), LogId::ZERO, &rows(5, 100_000));
        storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
        assert_eq!(disk.len(BALLAST).is_some(), is_kept, "{free} bytes are free");
    }
}

/// That takes nothing from the disk.
#[test]
fn the_ballast_does_not_wait_for_memory_to_be_freed() {
    let (disk, mut storage) = opened();
    append(&mut storage, vec![noop(1, 1)]);
    let (draft, ..) = whole(LogId::new(1, 1), Members::default(), LogId::ZERO, &rows(5, 400_000));
    let never_through = Content::in_parts(std::iter::once(rows(5, 400_000)), |_| true);
    let meta = take(&mut storage, Draft { rows: never_through, ..draft }).unwrap();
    for _ in 0..100 {
        storage.perform(Vec::new()).unwrap();
    }
    assert!(storage.busy());
    assert!(disk.len(BALLAST).is_some_and(|bytes| bytes > meta.bytes / 8), "{:?}", disk.len(BALLAST));
}

/// Though the next checkpoint has all the space that it may need.
#[test]
fn a_spare_that_finds_no_space_is_want_of_room() {
    let (disk, mut storage) = opened();
    append(&mut storage, vec![command(1, 1, &[7; 3000])]);
    append(&mut storage, vec![command(1, 2, &[7; 3000])]);
    checkpoint(&mut storage, 2, 200_000);
    settle(&mut storage);
    disk.set_capacity(Some(disk.bytes_used() + 12_000));
    let done = append(&mut storage, vec![command(1, 3, &[7; 3000])]);
    let room = told(&done).flatten().expect("one spare was used, and there is no other");
    assert_eq!((room.spare_segments, room.is_reserved), (2, false));
}

/// Though all spares are there, and the next checkpoint has all the space that it may need.
#[test]
fn a_ballast_that_finds_no_space_is_want_of_room_until_it_is_whole() {
    let (disk, mut storage) = opened();
    append(&mut storage, vec![noop(1, 1)]);
    let meta = checkpoint(&mut storage, 1, 400_000);
    // More than the next checkpoint needs, which is an eighth more and a segment, and less than a quarter more.
    let most = meta.bytes + meta.bytes / 8 + (16 << 10);
    disk.set_capacity(Some(disk.bytes_used() - disk.len(BALLAST).unwrap() + most + 3_500));
    let room = told(&settle(&mut storage)).flatten().expect("the ballast is not whole");
    assert_eq!((room.spare_segments, room.is_reserved), (3, false));

    disk.set_capacity(None);
    let mut done = storage.perform(vec![Job::Tend { scrub_bytes: 0 }]).unwrap();
    while told(&done).is_none() {
        assert!(storage.busy());
        done = storage.perform(Vec::new()).unwrap();
    }
    assert_eq!(told(&done), Some(None));
    assert_eq!(disk.len(BALLAST), Some(meta.bytes + meta.bytes / 4));
}
