//! How much of a checkpoint is done in one call, and when it is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quorate_raft::{Chunk, Done, LogId, Members, SnapshotMeta, StoreSnapshot, Write};
use quorate_storage::{Content, Draft, Job, MemoryDisk, Options, Storage};

use crate::common::{append, command, noop, options, rows, settle, take, vote, whole, write};

const SLICE_BYTES: u64 = 10_000;
const RUN_HEADER_BYTES: u64 = 512;
const WRITING: &str = "snaps/writing.tmp";

fn settled() -> (MemoryDisk, Storage<MemoryDisk>) {
    settled_with(SLICE_BYTES)
}

/// A log of 20 slots, and nothing left to do.
fn settled_with(slice_bytes: u64) -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let checkpoint_slice_bytes = usize::try_from(slice_bytes).unwrap();
    let (mut storage, _) =
        Storage::open(disk.clone(), Options { checkpoint_slice_bytes, ..options(7) }).unwrap();
    vote(&mut storage, 1);
    for index in 1..=20 {
        append(&mut storage, &[command(1, index, &[3; 3000])]);
    }
    settle(&mut storage);
    (disk, storage)
}

fn draft(index: u64, bytes: usize) -> (Draft, SnapshotMeta, Vec<u8>) {
    whole(LogId::new(1, index), Members::default(), LogId::ZERO, &rows(5, bytes))
}

fn written_bytes(disk: &MemoryDisk) -> u64 {
    disk.len(WRITING).map_or(0, |bytes| bytes - RUN_HEADER_BYTES)
}

/// They hold rows in memory.
#[test]
fn checkpoints_that_wait_make_slices_larger_up_to_32_times() {
    for waiting in [1, 2, 8, 9, 12] {
        let (disk, mut storage) = settled();
        let drafts = (1..=waiting).map(|index| Job::Checkpoint(draft(index, 400_000).0));
        storage.perform(drafts.collect()).unwrap();
        assert_eq!(written_bytes(&disk), 0, "there was something else to do");
        storage.perform(Vec::new()).unwrap();
        assert_eq!(written_bytes(&disk), SLICE_BYTES * (1 + 4 * (waiting - 1)).min(32), "{waiting} came");
    }
}

/// Whoever wants to write waits for it.
#[test]
fn under_load_a_checkpoint_goes_on_in_one_call_of_four() {
    let (disk, mut storage) = settled();
    storage.perform(vec![Job::Checkpoint(draft(2, 200_000).0)]).unwrap();
    let mut written = Vec::new();
    for index in 21..=31 {
        append(&mut storage, &[noop(1, index)]);
        written.push(written_bytes(&disk) / SLICE_BYTES);
    }
    assert_eq!(written, [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]);
    storage.perform(Vec::new()).unwrap();
    assert_eq!(written_bytes(&disk), 4 * SLICE_BYTES, "nobody waits");
}

/// A checkpoint that holds so much in memory, and what is left of it.
fn in_parts(index: u64, parts: usize) -> (Draft, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(parts));
    let rows = Content::in_parts(std::iter::once(rows(index, 100_000)), {
        let left = Arc::clone(&left);
        move |_| left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    });
    (Draft { rows, ..draft(index, 100_000).0 }, left)
}

/// What a checkpoint holds in memory is freed once it is durable, in as many calls as it has parts.
#[test]
fn what_is_written_is_let_go_a_part_at_a_time() {
    let (_, mut storage) = settled();
    let (draft, left) = in_parts(2, 5);
    take(&mut storage, draft).unwrap();
    let mut seen = vec![left.load(Ordering::Relaxed)];
    while seen.last() != Some(&0) {
        assert!(storage.busy());
        storage.perform(Vec::new()).unwrap();
        seen.push(left.load(Ordering::Relaxed));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1, 0]);
    settle(&mut storage);
    assert_eq!(Arc::strong_count(&left), 1, "then all of it is gone");
}

/// Under load there is a call for it now and then; what is changed between two of them must not decide.
#[test]
fn what_piles_up_is_let_go_faster() {
    const PARTS: usize = 1_000;
    let (_, mut storage) = settled();
    let mut lefts = Vec::new();
    for index in 2..=12 {
        let (draft, left) = in_parts(index, PARTS);
        take(&mut storage, draft).unwrap();
        lefts.push(left);
        let sum = || lefts.iter().map(|left| left.load(Ordering::Relaxed)).sum::<usize>();
        let before = sum();
        storage.perform(Vec::new()).unwrap();
        assert_eq!(before - sum(), (1 + 4 * (lefts.len() - 1)).min(32), "of {}", lefts.len());
    }
}

/// Reading costs less than writing. A block, of 64 KiB, is read as a whole or not at all.
#[test]
fn runs_that_are_here_are_looked_at_four_slices_at_a_time() {
    let (_, mut storage) = settled_with(64_000);
    take(&mut storage, draft(2, 1_000_000).0).unwrap();
    settle(&mut storage);
    let (_, meta, content) = draft(50, 1_000_000);
    let chunk = Chunk { offset: 0, data: content[..1000].into(), done: false };
    let store = StoreSnapshot { meta: Box::new(meta.clone()), chunk };
    let mut done = storage.perform(vec![Job::Core(quorate_raft::Job::StoreSnapshot(store))]).unwrap();
    let mut calls = 0;
    while done.is_empty() {
        assert!(storage.is_pressed());
        done = storage.perform(Vec::new()).unwrap();
        calls += 1;
    }
    let next = meta.bytes;
    assert_eq!((done, calls), (vec![Done::SnapshotStored { meta: Box::new(meta), next, complete: true }], 4));
}

/// A small node has hardly any other calls.
#[test]
fn being_told_to_tend_the_disk_makes_up_for_sixteen_calls_of_waiting() {
    let (disk, mut storage) = settled();
    disk.set_capacity(Some(disk.bytes_used()));
    storage.perform(vec![Job::Checkpoint(draft(2, 200_000).0)]).unwrap();
    settle(&mut storage);
    assert!(storage.waits_for_space());
    disk.set_capacity(None);
    let tend = |storage: &mut Storage<MemoryDisk>| {
        storage.perform(vec![Job::Tend { scrub_bytes: 0 }]).unwrap();
        storage.waits_for_space()
    };
    assert_eq!([(); 4].map(|()| tend(&mut storage)), [true, true, true, false]);
    assert!(settle(&mut storage).iter().any(|done| matches!(done, Done::SnapshotTaken(_))));
}

/// What is allowed is read when there is time, and when storage is told to tend its disk.
#[test]
fn no_write_waits_for_reading_at_rest() {
    let (_, mut storage) = settled();
    storage.perform(vec![Job::Tend { scrub_bytes: 1 << 30 }]).unwrap();
    let read = storage.scrubbed();
    assert!(read.bytes > 0 && read.rounds == 0 && storage.busy());
    let job = quorate_raft::Job::Write(Write { append: vec![noop(1, 21)], ..write(21) });
    storage.perform(vec![Job::Core(job)]).unwrap();
    assert_eq!(storage.scrubbed(), read);
    storage.perform(Vec::new()).unwrap();
    assert!(storage.scrubbed().bytes > read.bytes);
}
