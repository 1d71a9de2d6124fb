//! Checkpoints: taken, sent, kept, damaged.

use std::sync::Arc;

use quorate_raft::{
    Chunk, Digest, Done, Index, LoadSnapshot, LogId, Reader, SnapshotMeta, StoreSnapshot, Term, Write,
};
use quorate_storage::{Disk, Draft, Finding, Job, MemoryDisk, OpenError, Storage};
use quorate_wire::checkpoint::Manifest;

use crate::common::{
    append, command, ids, members, members_entry, noop, open, perform, rows, settle, take, vote, whole, write,
};
use crate::model::load_snapshot;

fn started(entries: u64) -> (MemoryDisk, Storage<MemoryDisk>) {
    let disk = MemoryDisk::new();
    let (mut storage, _) = open(&disk).unwrap();
    vote(&mut storage, 1);
    append(&mut storage, &[members_entry(1, 1, &["a"])]);
    for index in 2..=entries {
        append(&mut storage, &[command(1, index, &[1; 1000])]);
    }
    (disk, storage)
}

fn draft(index: u64, bytes: usize) -> (Draft, SnapshotMeta, Vec<u8>) {
    whole(LogId::new(1, index), members(&["a"]), LogId::new(1, 1), &rows(index, bytes))
}

fn checkpoint(storage: &mut Storage<MemoryDisk>, index: u64, bytes: usize) -> SnapshotMeta {
    take(storage, draft(index, bytes).0).unwrap()
}

fn snapshots(disk: &MemoryDisk) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.ends_with(".snap")).collect()
}

fn runs(disk: &MemoryDisk) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.ends_with(".run")).collect()
}

/// The file of a checkpoint's newest run.
fn newest_run(storage: &mut Storage<MemoryDisk>, meta: &SnapshotMeta) -> String {
    let manifest = Manifest::decode(&load_snapshot(storage, meta)).unwrap().unwrap();
    format!("snaps/{}.run", Digest(manifest.runs.last().unwrap().digest))
}

#[test]
fn a_checkpoint_is_written_in_slices_while_writes_go_on() {
    let (disk, mut storage) = started(2);
    let (draft, described, expected) = draft(2, 100_000);
    storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    let mut writes = 0;
    let meta = loop {
        writes += 1;
        let write = Write { append: vec![noop(1, 2 + writes)], ..write(writes) };
        let done = storage.perform(vec![Job::Core(quorate_raft::Job::Write(write))]).unwrap();
        assert!(matches!(done[0], Done::Written(_)));
        if let Some(Done::SnapshotTaken(meta)) = done.get(1) {
            break meta.clone();
        }
    };
    assert!(writes >= 8, "{writes} writes in between");
    assert_eq!(*meta, described);
    assert_eq!(load_snapshot(&mut storage, &meta), expected);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.snapshot.as_ref(), Some(&*meta));
    assert_eq!(load_snapshot(&mut storage, &meta), expected);
}

#[test]
fn the_newest_five_are_kept() {
    let (disk, mut storage) = started(8);
    for index in 1..=8 {
        checkpoint(&mut storage, index, 3000);
    }
    settle(&mut storage);
    let kept = snapshots(&disk);
    assert_eq!((kept.len(), runs(&disk).len()), (5, 5));
    assert!(kept[0].contains("0000000000000004-"), "{kept:?}");
    let gone = LoadSnapshot { reader: Reader::Apply, last: LogId::new(1, 1), offset: 0, bytes: 10 };
    let done = storage.perform(vec![Job::Core(quorate_raft::Job::LoadSnapshot(gone))]).unwrap();
    assert_eq!(done, [Done::SnapshotLoaded { load: gone, chunk: None }]);
}

#[test]
fn a_checkpoint_that_is_being_sent_can_be_read_to_its_end() {
    let (disk, mut storage) = started(8);
    let meta = checkpoint(&mut storage, 1, 3000);
    let piece = |offset| LoadSnapshot { reader: Reader::Apply, last: meta.last, offset, bytes: 2000 };
    let read = |storage: &mut Storage<MemoryDisk>, offset| {
        let job = quorate_raft::Job::LoadSnapshot(piece(offset));
        match storage.perform(vec![Job::Core(job)]).unwrap().remove(0) {
            Done::SnapshotLoaded { chunk, .. } => chunk.map(|chunk| (chunk.data.len(), chunk.done)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(&mut storage, 0), Some((2000, false)));
    for index in 2..=8 {
        checkpoint(&mut storage, index, 3000);
    }
    assert!(!snapshots(&disk).iter().any(|path| path.contains("0000000000000001-0")), "its name is gone");
    assert_eq!(read(&mut storage, 2000), Some((1104, true)));
}

#[test]
#[should_panic(expected = "a checkpoint of 1/3, but the log ends at 1/2")]
fn a_checkpoint_beyond_the_log_is_a_bug() {
    let (_, mut storage) = started(2);
    checkpoint(&mut storage, 3, 1000);
}

/// 50: nothing says that there is a checkpoint before all of it is durable.
#[test]
fn a_checkpoint_has_no_name_before_it_is_durable() {
    for seed in 0..20 {
        let (disk, mut storage) = started(2);
        let older = checkpoint(&mut storage, 1, 20_000);
        let before = disk.changes();
        let whole = disk.duplicate();
        let (mut other, _) = open(&whole).unwrap();
        checkpoint(&mut other, 2, 80_000);
        let total = whole.changes() - before;
        disk.cut_power_at(before + total * seed / 20);
        let mut jobs = vec![Job::Checkpoint(draft(2, 80_000).0)];
        while storage.perform(std::mem::take(&mut jobs)).is_ok() && storage.busy() {}
        disk.crash(seed);
        let (mut storage, found) = open(&disk).unwrap();
        let meta = found.snapshot.unwrap();
        assert!(meta.last == older.last || meta.last == LogId::new(1, 2));
        load_snapshot(&mut storage, &meta);
        assert!(!disk.files().iter().any(|path| path.ends_with(".tmp") || path.ends_with(".damaged")));
    }
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let (disk, mut storage) = started(30);
    let older = checkpoint(&mut storage, 10, 150_000);
    let newer = checkpoint(&mut storage, 20, 150_000);
    settle(&mut storage);
    let (newest, run) = (snapshots(&disk).pop().unwrap(), newest_run(&mut storage, &newer));
    let in_run = [3, 800, 500_000, 600_000, 150_000 * 8 + 512 * 8 + 1].map(|bit| (&run, bit));
    for (path, bit) in [(&newest, 3), (&newest, 100), (&newest, 800)].into_iter().chain(in_run) {
        let disk = disk.duplicate();
        disk.flip_bit(path, bit);
        let (_, found) = open(&disk).unwrap();
        assert_eq!(found.snapshot.as_ref(), Some(&older), "bit {bit} of {path}");
        assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 30), None));
        assert!(found.damaged.is_empty());
        let aside: Vec<String> = disk.files().into_iter().filter(|path| path.ends_with(".damaged")).collect();
        assert!(aside.contains(&format!("{newest}.damaged")) && aside.contains(&format!("{path}.damaged")));
    }
    // A run that is gone is a loss like any other.
    let lost = disk.duplicate();
    lost.remove(&run).unwrap();
    assert_eq!(open(&lost).unwrap().1.snapshot.as_ref(), Some(&older));
    // With the log compacted up to the newer one, what lies between is lost, and known to be.
    perform(&mut storage, vec![Write { compact_to: Some(Index(20)), ..write(1) }]).unwrap();
    settle(&mut storage);
    disk.flip_bit(&run, 40_000);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.snapshot.as_ref(), found.terms.base()), (Some(&older), older.last));
    assert_eq!((found.terms.last(), found.unknown), (LogId::new(1, 30), None));
    assert!(found.damaged.contains(&LogId::new(1, 11)));
    let chunk = LoadSnapshot { reader: Reader::Apply, last: LogId::new(1, 20), offset: 0, bytes: 10 };
    let done = storage.perform(vec![Job::Core(quorate_raft::Job::LoadSnapshot(chunk))]).unwrap();
    assert_eq!(done, [Done::SnapshotLoaded { load: chunk, chunk: None }]);
    // With none left the node cannot know the state: it stops and says so.
    let older = newest_run(&mut storage, &older);
    drop(storage);
    disk.flip_bit(&older, 40_000);
    assert!(matches!(open(&disk), Err(OpenError::CheckpointLost { newest: None, .. })));
}

struct Transfer {
    meta: SnapshotMeta,
    content: Vec<u8>,
}

impl Transfer {
    fn new(last: LogId) -> Transfer {
        let rows = rows(9, 200_000 - Manifest::HEAD_BYTES - Manifest::RUN_BYTES);
        let (_, meta, content) = whole(last, members(&["x", "y"]), LogId::new(1, 3), &rows);
        assert_eq!(content.len(), 200_000);
        Transfer { meta, content }
    }

    fn send(&self, storage: &mut Storage<MemoryDisk>, from: usize, to: usize) -> (u64, bool) {
        let data = Arc::from(&self.content[from..to]);
        let chunk = Chunk { offset: from as u64, data, done: to == self.content.len() };
        let store = StoreSnapshot { meta: Box::new(self.meta.clone()), chunk };
        let done = storage.perform(vec![Job::Core(quorate_raft::Job::StoreSnapshot(store))]).unwrap();
        match &done[..] {
            [Done::SnapshotStored { meta, next, complete }] if **meta == self.meta => (*next, *complete),
            _ => panic!("{done:?}"),
        }
    }
}

#[test]
fn a_snapshot_from_a_leader_takes_the_place_of_the_log() {
    let (disk, mut storage) = started(20);
    let transfer = Transfer::new(LogId::new(1, 50));
    assert_eq!(transfer.send(&mut storage, 70_000, 90_000), (0, false), "it has to begin at the beginning");
    assert_eq!(transfer.send(&mut storage, 0, 70_000), (70_000, false));
    assert_eq!(transfer.send(&mut storage, 90_000, 100_000), (70_000, false), "a gap");
    assert_eq!(transfer.send(&mut storage, 10, 70_000), (70_000, false), "a repetition");
    assert_eq!(transfer.send(&mut storage, 70_000, 150_000), (150_000, false));
    assert_eq!(transfer.send(&mut storage, 0, 60_000), (150_000, false), "it goes on where it was");
    assert_eq!(transfer.send(&mut storage, 150_000, 200_000), (200_000, true));
    let install = Some(transfer.meta.clone().into());
    perform(&mut storage, vec![Write { install, append: vec![noop(1, 51)], ..write(2) }]).unwrap();
    settle(&mut storage);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.snapshot.as_ref(), Some(&transfer.meta));
    assert_eq!((found.terms.base(), ids(&found)), (transfer.meta.last, vec![LogId::new(1, 51)]));
    assert_eq!(load_snapshot(&mut storage, &transfer.meta), transfer.content);
    assert_eq!(disk.files().iter().filter(|path| path.ends_with(".log")).count(), 1);
}

#[test]
fn a_snapshot_that_is_not_what_was_announced_is_sent_again() {
    let (disk, mut storage) = started(1);
    let mut transfer = Transfer::new(LogId::new(1, 50));
    // In the manifest, which the description names, and in the run, which the manifest names.
    let head = Manifest::HEAD_BYTES + Manifest::RUN_BYTES;
    for (place, next) in [(5, 0), (70, 0), (head + 100, head), (199_999, head)] {
        transfer.content[place] ^= 1;
        let answer = transfer.send(&mut storage, 0, 200_000);
        assert_eq!(answer, (next as u64, false), "byte {place}");
        transfer.content[place] ^= 1;
        assert!(runs(&disk).is_empty() && snapshots(&disk).is_empty());
    }
    assert_eq!(transfer.send(&mut storage, head, 200_000), (200_000, true), "the manifest is there");
}

/// 58: a snapshot that is older than the log must not shorten it.
#[test]
fn a_stored_snapshot_that_the_log_contains_changes_nothing() {
    let (disk, mut storage) = started(20);
    let transfer = Transfer::new(LogId::new(1, 10));
    assert_eq!(transfer.send(&mut storage, 0, 200_000), (200_000, true));
    let (_, found) = open(&disk).unwrap();
    assert_eq!(ids(&found).len(), 20);
    assert_eq!((found.snapshot, found.terms.last()), (Some(transfer.meta), LogId::new(1, 20)));
}

/// The snapshot of a later term is durable before that term is: crashes may come at every step from there on.
#[test]
fn a_stored_snapshot_of_a_later_term_survives_any_number_of_starts() {
    let (disk, mut storage) = started(3);
    let transfer = Transfer::new(LogId::new(5, 50));
    assert_eq!(transfer.send(&mut storage, 0, 200_000), (200_000, true));
    drop(storage);
    for start in 1..=3 {
        let (_, found) = open(&disk).unwrap_or_else(|error| panic!("start {start}: {error}"));
        assert_eq!((found.terms.last(), found.hard.term), (transfer.meta.last, Term(5)), "start {start}");
        assert_eq!(found.hard.vote, None, "it never voted in that term");
    }
}

/// A leader of a later release, in a cluster that is half way through an upgrade.
#[test]
fn a_snapshot_whose_content_is_of_a_later_version_is_refused_and_changes_nothing() {
    let (disk, mut storage) = started(1);
    let mut later = Transfer::new(LogId::new(1, 50));
    let head = Manifest::HEAD_BYTES + Manifest::RUN_BYTES;
    later.content[8..10].copy_from_slice(&(Manifest::VERSION + 1).to_le_bytes());
    later.meta.digest = Digest(blake3::hash(&later.content[..head]).into());
    settle(&mut storage);
    let (files, changes) = (disk.files(), disk.changes());
    for (from, to) in [(0, 200_000), (0, head), (head, 200_000)] {
        assert_eq!(later.send(&mut storage, from, to), (0, false), "{from}..{to}");
    }
    assert_eq!((disk.files(), disk.changes()), (files, changes));
    // It is sent again and again, and said once.
    let (last, known) = (LogId::new(1, 50), Manifest::VERSION);
    assert_eq!(storage.take_findings(), [Finding::UnknownContent { last, found: known + 1, known }]);
    assert_eq!((later.send(&mut storage, 0, head), storage.take_findings()), ((0, false), vec![]));
    let known = Transfer::new(LogId::new(1, 50));
    assert_eq!(known.send(&mut storage, 0, 200_000), (200_000, true), "one that it knows");
}
