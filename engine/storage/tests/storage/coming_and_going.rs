//! Checkpoints that come from a leader and go to peers, while others are written, kept and dropped.

use quorate_raft::{Chunk, Done, LoadSnapshot, LogId, Reader, SnapshotMeta, StoreSnapshot};
use quorate_storage::{Job, MemoryDisk, Operation, Storage};
use quorate_wire::checkpoint::{Manifest, RunRef, Totals};

use crate::common::{append, described, members, noop, open, rows, settle, started, take, whole};
use crate::model::load_snapshot;

/// A node whose log ends at slot 20.
fn node() -> (MemoryDisk, Storage<MemoryDisk>) {
    let (disk, mut storage) = started();
    for index in 1..=20 {
        append(&mut storage, &[noop(1, index)]);
    }
    settle(&mut storage);
    (disk, storage)
}

/// Takes a checkpoint of one run.
fn checkpoint(storage: &mut Storage<MemoryDisk>, index: u64, run: &[u8]) -> SnapshotMeta {
    let (draft, ..) = whole(LogId::new(1, index), members(&["a"]), LogId::ZERO, run);
    let meta = take(storage, draft).unwrap();
    settle(storage);
    meta
}

fn files(disk: &MemoryDisk, end: &str) -> Vec<String> {
    disk.files().into_iter().filter(|path| path.ends_with(end)).collect()
}

/// A leader's checkpoint.
struct Coming {
    meta: SnapshotMeta,
    content: Vec<u8>,
    /// Where the first run begins.
    head: usize,
}

impl Coming {
    fn new(index: u64, runs: &[&[u8]]) -> Coming {
        let named = |run: &&[u8]| RunRef { digest: *blake3::hash(run).as_bytes(), bytes: run.len() as u64 };
        let totals = Totals { state_hash: index, ..Totals::default() };
        let manifest = Manifest { totals, runs: runs.iter().map(named).collect(), ..Manifest::default() };
        let last = LogId::new(1, index);
        let (content, meta) = described(last, members(&["a"]), LogId::ZERO, &manifest, &runs.concat());
        let head = usize::try_from(manifest.bytes()).unwrap();
        Coming { meta, content, head }
    }

    /// The offset of the piece that is wanted next, and whether all is there; nothing when there is no answer yet.
    fn send(
        &self,
        storage: &mut Storage<MemoryDisk>,
        piece: impl std::ops::RangeBounds<usize>,
    ) -> Option<(usize, bool)> {
        let piece = (piece.start_bound().cloned(), piece.end_bound().cloned());
        let offset = match piece.0 {
            std::ops::Bound::Included(start) => start as u64,
            _ => 0,
        };
        let chunk = Chunk { offset, data: self.content[piece].into(), done: false };
        let store = StoreSnapshot { meta: Box::new(self.meta.clone()), chunk };
        let done = storage.perform(vec![Job::Core(quorate_raft::Job::StoreSnapshot(store))]).unwrap();
        self.answer(&done)
    }

    fn answer(&self, done: &[Done]) -> Option<(usize, bool)> {
        done.iter().find_map(|done| match done {
            Done::SnapshotStored { meta, next, complete } if **meta == self.meta => {
                Some((usize::try_from(*next).unwrap(), *complete))
            }
            _ => None,
        })
    }

    fn is_here(&self, storage: &mut Storage<MemoryDisk>) -> bool {
        load_snapshot(storage, &self.meta) == self.content
    }
}

/// The length of a piece, and whether it is the last one.
fn load(
    storage: &mut Storage<MemoryDisk>,
    meta: &SnapshotMeta,
    offset: u64,
    bytes: u64,
) -> Option<(u64, bool)> {
    let load = LoadSnapshot { reader: Reader::Apply, last: meta.last, offset, bytes };
    let done = storage.perform(vec![Job::Core(quorate_raft::Job::LoadSnapshot(load))]).unwrap();
    let Some(Done::SnapshotLoaded { chunk, .. }) = done.first() else { panic!("{done:?}") };
    chunk.as_ref().map(|chunk| (chunk.data.len() as u64, chunk.done))
}

#[test]
fn a_stray_piece_of_another_checkpoint_costs_nothing_of_what_has_come() {
    let (_, mut storage) = node();
    let (one, other) = (Coming::new(50, &[&rows(1, 100_000)]), Coming::new(60, &[&rows(2, 100_000)]));
    assert_eq!(one.send(&mut storage, ..60_000), Some((60_000, false)));
    assert_eq!(
        other.send(&mut storage, 70_000..80_000),
        Some((0, false)),
        "it has to begin at the beginning"
    );
    assert_eq!(one.send(&mut storage, 60_000..), Some((one.content.len(), true)));
    assert!(one.is_here(&mut storage));
}

#[test]
fn a_checkpoint_that_is_taken_meanwhile_takes_nothing_from_one_on_its_way_here() {
    let (_, mut storage) = node();
    let coming = Coming::new(50, &[&rows(1, 50_000), &rows(2, 50_000)]);
    assert_eq!(coming.send(&mut storage, ..60_000), Some((60_000, false)));
    checkpoint(&mut storage, 5, &rows(3, 1_000));
    assert_eq!(coming.send(&mut storage, 60_000..), Some((coming.content.len(), true)));
    assert!(coming.is_here(&mut storage));
}

#[test]
fn a_checkpoint_that_has_come_takes_nothing_from_one_that_is_being_written() {
    let (disk, mut storage) = node();
    let (draft, meta, content) = whole(LogId::new(1, 20), members(&["a"]), LogId::ZERO, &rows(1, 20_000));
    let mut done = storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    while files(&disk, ".run").is_empty() {
        done.extend(storage.perform(Vec::new()).unwrap());
    }
    assert!(
        !done.contains(&Done::SnapshotTaken(Box::new(meta.clone()))),
        "its run has its name, and it has none"
    );
    let coming = Coming::new(50, &[&rows(2, 1_000)]);
    assert_eq!(coming.send(&mut storage, ..), Some((coming.content.len(), true)));
    assert!(settle(&mut storage).contains(&Done::SnapshotTaken(Box::new(meta.clone()))));
    assert!(load_snapshot(&mut storage, &meta) == content);
}

/// What came of it had to go.
#[test]
fn a_run_that_found_no_space_is_sent_from_its_beginning_again() {
    let (disk, mut storage) = node();
    let coming = Coming::new(50, &[&rows(1, 150_000)]);
    disk.set_capacity(Some(disk.bytes_used() + 60_000));
    assert_eq!(coming.send(&mut storage, ..50_000), Some((50_000, false)));
    assert_eq!(coming.send(&mut storage, 50_000..120_000), None);
    assert!(storage.waits_for_space() && files(&disk, ".tmp").is_empty());
    disk.set_capacity(None);
    assert_eq!(coming.send(&mut storage, 50_000..120_000), Some((coming.head, false)));
    assert_eq!(coming.send(&mut storage, coming.head..), Some((coming.content.len(), true)));
    assert!(coming.is_here(&mut storage));
}

#[test]
fn a_run_that_is_here_is_passed_over_in_the_middle_of_a_piece() {
    let (_, mut storage) = node();
    let here = rows(2, 20_000);
    checkpoint(&mut storage, 5, &here);
    let coming = Coming::new(50, &[&rows(1, 5_000), &here, &rows(3, 5_000), &rows(4, 50_000)]);
    assert_eq!(coming.send(&mut storage, ..coming.head), None, "what is here is looked at first");
    assert_eq!(coming.answer(&settle(&mut storage)), Some((coming.head, false)));
    assert_eq!(coming.send(&mut storage, coming.head..), Some((coming.content.len(), true)));
    assert!(coming.is_here(&mut storage));
}

#[test]
fn behind_the_last_byte_of_a_checkpoint_there_is_an_empty_piece_and_nothing_behind_that() {
    let (_, mut storage) = node();
    let meta = checkpoint(&mut storage, 5, &rows(1, 3_000));
    assert_eq!(load(&mut storage, &meta, meta.bytes - 1, 100), Some((1, true)));
    assert_eq!(load(&mut storage, &meta, meta.bytes, 100), Some((0, true)));
    assert_eq!(load(&mut storage, &meta, meta.bytes + 1, 100), None);
}

#[test]
fn a_bad_block_hurts_no_piece_that_begins_behind_it() {
    let (disk, mut storage) = node();
    let (older, newer) = (rows(1, 150_000), rows(2, 2_000));
    let coming = Coming::new(50, &[&older, &newer]);
    assert_eq!(coming.send(&mut storage, ..), Some((coming.content.len(), true)));
    let run = format!("snaps/{}.run", quorate_raft::Digest(*blake3::hash(&older).as_bytes()));
    disk.flip_bit(&run, (512 + 149_000) * 8);
    let end = (coming.head + 150_000) as u64;
    assert_eq!(load(&mut storage, &coming.meta, end - 1, 10), None);
    assert_eq!(load(&mut storage, &coming.meta, end, 10), Some((10, false)));
}

/// It holds the space of files that nobody sees.
#[test]
fn a_checkpoint_that_nobody_reads_on_is_closed_when_eight_others_have_been_taken() {
    let (_, mut storage) = node();
    let meta = checkpoint(&mut storage, 1, &rows(1, 3_000));
    assert_eq!(load(&mut storage, &meta, 0, 1_000), Some((1_000, false)));
    for index in 2..=9 {
        checkpoint(&mut storage, index, &rows(index, 3_000));
    }
    assert_eq!(load(&mut storage, &meta, 1_000, 1_000), Some((1_000, false)), "it has no name any more");
    for index in 10..=18 {
        checkpoint(&mut storage, index, &rows(index, 3_000));
    }
    assert_eq!(load(&mut storage, &meta, 2_000, 1_000), None);
}

#[test]
fn a_checkpoint_that_was_read_to_its_end_is_closed() {
    let (_, mut storage) = node();
    let meta = checkpoint(&mut storage, 1, &rows(1, 3_000));
    assert_eq!(load(&mut storage, &meta, 0, 1_000), Some((1_000, false)));
    assert_eq!(load(&mut storage, &meta, 1_000, 1 << 20), Some((meta.bytes - 1_000, true)));
    for index in 2..=6 {
        checkpoint(&mut storage, index, &rows(index, 3_000));
    }
    assert_eq!(load(&mut storage, &meta, 0, 1_000), None, "its files are gone");
}

#[test]
fn what_was_put_aside_goes_when_there_is_a_checkpoint_that_makes_up_for_it() {
    let (disk, mut storage) = node();
    checkpoint(&mut storage, 5, &rows(1, 3_000));
    drop(storage);
    disk.flip_bit(&files(&disk, ".run")[0], 8 * 1_000);
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!((found.snapshot, files(&disk, ".damaged").len()), (None, 2));
    checkpoint(&mut storage, 6, &rows(2, 3_000));
    assert_eq!(files(&disk, ".damaged"), [""; 0]);
}

/// On a full disk what is half done is removed; when the disk refuses that, it is no matter of space.
#[test]
fn what_can_not_be_removed_from_a_full_disk_ends_the_process() {
    for (path, others) in [("snaps/writing.tmp", 1), ("snaps/incoming.tmp", 0), ("snaps/manifest.tmp", 0)] {
        let (disk, mut storage) = node();
        disk.set_capacity(Some(disk.bytes_used()));
        disk.fail_below(path, Operation::Name, others);
        let (draft, ..) = whole(LogId::new(1, 5), members(&["a"]), LogId::ZERO, &rows(1, 100_000));
        let mut failed = storage.perform(vec![Job::Checkpoint(draft)]).is_err();
        while !failed && storage.busy() {
            failed = storage.perform(Vec::new()).is_err();
        }
        assert!(failed, "{path}");
    }
}
