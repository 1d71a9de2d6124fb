//! A disk without space: what is refused, what waits, what is never harmed, and how it comes back.

use quorate_raft::{Done, Index, LogId, Room, SnapshotMeta, Write, WriteId};
use quorate_storage::{Job, MemoryDisk, Options, Storage};

use crate::common::{command, noop, open, options, read, rows, settle, trials, vote, whole, write};

/// The usual segments of tests, with the usual reserve.
pub(crate) fn full_options() -> Options {
    Options { spare_segments: 3, ..options(7) }
}

/// A storage with all its spares, in term 1, on a disk that takes not a byte more.
pub(crate) fn filled_up() -> (MemoryDisk, Storage<MemoryDisk>) {
    fill_up(MemoryDisk::new())
}

/// The same with what is on this disk.
pub(crate) fn fill_up(disk: MemoryDisk) -> (MemoryDisk, Storage<MemoryDisk>) {
    let (mut storage, _) = Storage::open(disk.clone(), full_options()).unwrap();
    vote(&mut storage, 1);
    settle(&mut storage);
    disk.set_capacity(Some(disk.bytes_used()));
    (disk, storage)
}

pub(crate) fn perform(storage: &mut Storage<MemoryDisk>, write: Write) -> Vec<Done> {
    let mut done = storage.perform(vec![Job::Core(quorate_raft::Job::Write(write))]).unwrap();
    done.extend(settle(storage));
    done
}

fn append_one(storage: &mut Storage<MemoryDisk>, index: u64, bytes: usize) -> Vec<Done> {
    let entry = command(1, index, &vec![7; bytes]);
    perform(storage, Write { append: vec![entry], commit_hint: Index(index - 1), ..write(index) })
}

pub(crate) fn is_written(done: &[Done], id: u64) -> bool {
    done.contains(&Done::Written(WriteId(id)))
}

pub(crate) fn told(done: &[Done]) -> Option<Option<Room>> {
    done.iter().rev().find_map(|done| if let Done::Room(room) = done { Some(*room) } else { None })
}

pub(crate) fn tend(storage: &mut Storage<MemoryDisk>) -> Vec<Done> {
    let mut done = storage.perform(vec![Job::Tend { scrub_bytes: 0 }]).unwrap();
    done.extend(settle(storage));
    done
}

/// Appends until one finds no room, and says which that is.
fn fill(storage: &mut Storage<MemoryDisk>, bytes: usize) -> u64 {
    (1..).find(|index| !is_written(&append_one(storage, *index, bytes), *index)).unwrap()
}

fn checkpoint(storage: &mut Storage<MemoryDisk>, index: u64, bytes: usize) -> SnapshotMeta {
    let (draft, ..) = whole(LogId::new(1, index), Default::default(), LogId::ZERO, &rows(5, bytes));
    let mut done = storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    done.extend(settle(storage));
    let taken = done.into_iter().find_map(|done| match done {
        Done::SnapshotTaken(meta) => Some(meta),
        _ => None,
    });
    *taken.expect("the ballast is room enough")
}

#[test]
fn what_finds_no_room_waits_and_is_done_when_there_is_some() {
    let (disk, mut storage) = filled_up();
    let waiting = fill(&mut storage, 3000);
    assert_eq!(waiting, 4 * 2 + 1, "the last segment and three spares take two each");
    let last = LogId::new(1, waiting - 1);
    assert_eq!(read(&mut storage, 1, waiting - 1).0.len() as u64, waiting - 1);
    let (_, found) = open(&disk.duplicate()).unwrap();
    assert_eq!((found.terms.last(), found.damaged, found.unknown), (last, vec![], None));

    assert_eq!(tend(&mut storage), [], "nothing has changed");
    storage.perform(vec![Job::Tend { scrub_bytes: 100_000 }]).unwrap();
    assert!(!storage.busy(), "there is nothing to go on with, and a host would go on for ever");
    disk.set_capacity(None);
    let done = tend(&mut storage);
    assert!(is_written(&done, waiting), "{done:?}");
    assert_eq!(told(&done), Some(None), "there is as much room as anybody wants");
    assert_eq!(read(&mut storage, 1, waiting).0.len() as u64, waiting);
}

/// What waits holds up all behind it, even the term and vote: answers are given in order.
#[test]
fn nothing_overtakes_a_write_that_waits() {
    let (disk, mut storage) = filled_up();
    let waiting = fill(&mut storage, 3000);
    let done = perform(&mut storage, Write { append: vec![noop(1, waiting + 1)], ..write(waiting + 1) });
    assert!(!is_written(&done, waiting + 1));
    disk.set_capacity(None);
    assert!(is_written(&tend(&mut storage), waiting + 1));
    assert_eq!(read(&mut storage, waiting, waiting + 1).0.len(), 2);
}

/// What is counted by the room that was told always fits, for entries of any size, and the disk is used up by it.
#[test]
fn what_fits_into_the_room_that_was_told_is_written_at_once() {
    /// The most that an entry takes beside its payload, as the core counts.
    const OVERHEAD: u64 = 1280;
    for seed in 0..u64::from(trials(20)) {
        let (_, mut storage) = filled_up();
        let (mut index, mut room) = (1, told(&append_one(&mut storage, 1, 10)).flatten());
        let mut state = seed;
        loop {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bytes = (state >> 33) % [100, 2000, 6000][usize::try_from(seed % 3).unwrap()];
            if let Some(known) = room {
                let need = bytes + OVERHEAD;
                if need > known.rest_bytes && (known.spare_segments == 0 || need > known.segment_bytes) {
                    break;
                }
            }
            index += 1;
            let done = append_one(&mut storage, index, usize::try_from(bytes).unwrap());
            assert!(is_written(&done, index), "seed {seed}: {bytes} bytes into {room:?}");
            room = told(&done).unwrap_or(room);
        }
        let left = room.expect("the disk is full");
        assert_eq!(left.spare_segments, 0, "seed {seed}: {left:?}");
    }
}

#[test]
fn a_checkpoint_and_a_compaction_bring_it_back() {
    let (_, mut storage) = filled_up();
    let waiting = fill(&mut storage, 3000);
    let meta = checkpoint(&mut storage, waiting - 1, 1000);
    let done = perform(&mut storage, Write { compact_to: Some(meta.last.index), ..write(waiting + 1) });
    assert!(is_written(&done, waiting + 1), "the log before the last segment has gone: {done:?}");
    assert_eq!(told(&done).flatten().map(|room| room.spare_segments), Some(3));
    for index in waiting + 1..waiting + 4 {
        assert!(is_written(&append_one(&mut storage, index, 100), index));
    }
}

/// A compaction that waits behind others gives them the room they wait for, as far as whole segments go.
#[test]
fn a_compaction_does_not_wait_for_what_waits_for_it() {
    let (disk, mut storage) = filled_up();
    let waiting = fill(&mut storage, 3000);
    let meta = checkpoint(&mut storage, 5, 1000);
    let behind = Write { append: vec![noop(1, waiting + 1)], ..write(waiting + 1) };
    assert!(!is_written(&perform(&mut storage, behind), waiting + 1));
    let done = perform(&mut storage, Write { compact_to: Some(meta.last.index), ..write(waiting + 2) });
    assert!(is_written(&done, waiting + 2), "{done:?}");
    let (mut storage, found) = Storage::open(disk.duplicate(), full_options()).unwrap();
    assert_eq!((found.terms.base(), found.terms.last()), (LogId::new(1, 4), LogId::new(1, waiting + 1)));
    assert_eq!(read(&mut storage, 5, waiting + 1).1, []);
}

/// The ballast is given up for a checkpoint, and taken again.
#[test]
fn a_checkpoint_finds_room_on_a_full_disk() {
    let (disk, mut storage) = filled_up();
    let ballast = disk.len("log/ballast").expect("there is a ballast");
    assert_eq!(ballast, 16 << 10);
    fill(&mut storage, 3000);
    checkpoint(&mut storage, 3, 6000);
    assert!(disk.len("log/ballast").unwrap_or(0) < 10 << 10, "its space went to the checkpoint");
    disk.set_capacity(None);
    tend(&mut storage);
    assert_eq!(disk.len("log/ballast"), Some(16 << 10));
    checkpoint(&mut storage, 4, 40_000);
    assert_eq!(disk.len("log/ballast"), Some(50_130), "as large as the newest, and a quarter");
}

/// A disk that has space for a part of a spare gets it back whole.
#[test]
fn a_spare_that_finds_no_space_leaves_nothing_behind() {
    let (disk, mut storage) = filled_up();
    disk.set_capacity(Some(disk.bytes_used() + 10_000));
    let before = disk.bytes_used();
    fill(&mut storage, 3000);
    assert!(disk.files().iter().all(|path| !path.ends_with(".filling")), "{:?}", disk.files());
    assert_eq!(disk.bytes_used(), before);
}

/// The power goes at any moment of a life on a full disk, with any of the unsynced sectors lost: what was answered is
/// there, and nothing reads as damage.
#[test]
fn no_crash_on_a_full_disk_harms_anything() {
    let life = |disk: &MemoryDisk, cut: u64| -> u64 {
        let Ok((mut storage, found)) = Storage::open(disk.clone(), full_options()) else { return 0 };
        disk.cut_power_at(disk.changes() + cut);
        let mut written = found.terms.last().index.0;
        for index in written + 1..written + 30 {
            let entry = command(1, index, &[7; 3000]);
            let job = Write { append: vec![entry], commit_hint: Index(index - 1), ..write(index) };
            let Ok(done) = storage.perform(vec![Job::Core(quorate_raft::Job::Write(job))]) else { break };
            if is_written(&done, index) {
                written = index;
            }
            for _ in 0..3 {
                if storage.busy() && storage.perform(Vec::new()).is_err() {
                    return written;
                }
            }
        }
        written
    };
    let (mut cut, mut states) = (0, 0);
    loop {
        let (disk, storage) = filled_up();
        drop(storage);
        let written = life(&disk, cut);
        let is_over = disk.changes() < cut;
        disk.crash(cut);
        let (mut storage, found) = Storage::open(disk.clone(), full_options()).unwrap();
        assert!(found.terms.last().index.0 >= written, "cut {cut}: {} of {written}", found.terms.last());
        assert_eq!((found.damaged, found.unknown), (vec![], None), "cut {cut}");
        assert_eq!(read(&mut storage, 1, written).1, [], "cut {cut}");
        states += 1;
        cut += 1;
        if is_over {
            break;
        }
    }
    assert!(states > 60, "{states} states");
}
