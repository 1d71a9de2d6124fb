//! How files are read: many entries at once for those who ask for them, from the disk itself for the check of what is
//! at rest, and nothing ahead beside a log that is written.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use quorate_raft::{Index, Job as CoreJob, Load, LoadSnapshot, LogId, NodeId, Reader};
use quorate_storage::{Disk, DiskFile, Job, MemoryDisk, MemoryFile, Storage};

use crate::common::{append, command, open, options, read, settle, started};
use crate::replica::Replica;

/// What the system was told about files.
#[derive(Clone, Default)]
struct Watched {
    disk: MemoryDisk,
    /// What it is to forget: the file, and from where to where.
    dropped: Arc<Mutex<Vec<(String, u64, u64)>>>,
    /// What was read, but for headers and tables, and whether more could be read ahead there.
    reads: Arc<Mutex<BTreeSet<(String, bool)>>>,
}

#[derive(Debug)]
struct WatchedFile {
    file: MemoryFile,
    path: String,
    dropped: Arc<Mutex<Vec<(String, u64, u64)>>>,
    reads: Arc<Mutex<BTreeSet<(String, bool)>>>,
    may_read_ahead: Cell<bool>,
}

impl Watched {
    fn file(&self, path: &str, file: MemoryFile) -> WatchedFile {
        WatchedFile {
            file,
            path: path.to_owned(),
            dropped: self.dropped.clone(),
            reads: self.reads.clone(),
            may_read_ahead: Cell::new(true),
        }
    }

    /// How many files that can be large were read since the last call, and whether anything could be read ahead.
    fn read_since(&self) -> (usize, bool) {
        let mut reads = std::mem::take(&mut *self.reads.lock().unwrap());
        reads.retain(|(path, _)| path.ends_with(".run") || path.ends_with(".log"));
        (reads.len(), reads.iter().any(|(_, may_read_ahead)| *may_read_ahead))
    }
}

impl Disk for Watched {
    type File = WatchedFile;

    fn open(&self, path: &str) -> io::Result<WatchedFile> {
        Ok(self.file(path, self.disk.open(path)?))
    }

    fn create(&self, path: &str) -> io::Result<WatchedFile> {
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn create_dir(&self, directory: &str) -> io::Result<()> {
        self.disk.create_dir(directory)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.disk.sync_dir(directory)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl DiskFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset > 0 && buffer.len() >= 4 << 10 {
            self.reads.lock().unwrap().insert((self.path.clone(), self.may_read_ahead.get()));
        }
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn drop_cached(&self, offset: u64, bytes: u64) {
        self.dropped.lock().unwrap().push((self.path.clone(), offset, offset.saturating_add(bytes)));
    }

    fn read_nothing_ahead(&self) {
        self.may_read_ahead.set(false);
    }
}

/// Slots 1 to 8, in some segments.
fn eight_slots() -> MemoryDisk {
    let (disk, mut storage) = started();
    for index in 1..=8 {
        append(&mut storage, &[command(1, index, &[7; 3000])]);
    }
    settle(&mut storage);
    disk
}

/// What the system holds in memory would say nothing of the disk.
#[test]
fn slots_at_rest_are_read_from_the_disk() {
    let disk = eight_slots();
    let watched = Watched { disk: disk.clone(), ..Watched::default() };
    let dropped = watched.dropped.clone();
    let (mut storage, _) = Storage::open(watched, options(7)).unwrap();
    let load = Load { reader: Reader::Apply, first: Index(1), last: Index(8), bytes: 1 << 20 };
    storage.perform(vec![Job::Core(quorate_raft::Job::Load(load))]).unwrap();
    assert_eq!(*dropped.lock().unwrap(), [], "who asks for entries takes them from wherever they are");

    storage.perform(vec![Job::Tend { scrub_bytes: 1 << 20 }]).unwrap();
    while storage.scrubbed().rounds == 0 {
        storage.perform(Vec::new()).unwrap();
    }
    let dropped = dropped.lock().unwrap();
    for path in disk.files().iter().filter(|path| path.ends_with(".log")) {
        let content = disk.content(path).unwrap();
        let end = content.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        let of_it = || dropped.iter().filter(|(dropped, ..)| dropped == path);
        // The first record, the last one, and all between.
        let mut reached = 8192;
        while let Some((.., to)) = of_it().find(|(_, from, to)| *from <= reached && reached < *to) {
            reached = *to;
        }
        assert!(reached + 1024 > end, "{path} up to {reached} of {end}: {dropped:?}");
    }
}

/// However the slots lie, it takes no more than one read of each segment to load what it holds.
#[test]
fn entries_that_lie_together_are_read_together() {
    let disk = eight_slots();
    let segments = disk.files().iter().filter(|path| path.ends_with(".log")).count() as u64;
    let (mut storage, found) = open(&disk).unwrap();
    assert_eq!(found.terms.last(), LogId::new(1, 8));
    let before = disk.counters().reads;
    assert_eq!(read(&mut storage, 1, 8).0.len(), 8);
    assert_eq!(disk.counters().reads - before, segments);
}

/// Reads of a megabyte or more would stand in the disk's queue before the log's next write.
#[test]
fn nothing_is_read_ahead_beside_the_log() {
    let mut replica = Replica::new();
    replica.rows.change(0..4000, 100);
    replica.boundary(3);
    settle(&mut replica.storage);
    for index in 4..=10 {
        replica.rows.change((0..100).map(|key| key * 97 + index * 1009), 100);
        replica.boundary(index);
    }
    let watched = Watched { disk: replica.disk.clone(), ..Watched::default() };
    let (mut storage, _) = Storage::open(watched.clone(), options(7)).unwrap();
    watched.read_since();
    let drafts = (11..=20).map(|index| {
        replica.rows.change((0..100).map(|key| key * 97 + index * 1009), 100);
        Job::Checkpoint(replica.draft(index, false))
    });
    storage.perform(drafts.collect()).unwrap();
    while storage.busy() {
        storage.perform(Vec::new()).unwrap();
    }
    let (files, may_read_ahead) = watched.read_since();
    assert!(files > 1 && !may_read_ahead, "{files} files by merges");

    let last = LogId::new(1, 20);
    let mut load = |reader| {
        let load = LoadSnapshot { reader, last, offset: 1000, bytes: 100_000 };
        storage.perform(vec![Job::Core(CoreJob::LoadSnapshot(load))]).unwrap();
        watched.read_since()
    };
    assert_eq!(load(Reader::Peer(NodeId(2))), (1, false), "for a peer");

    storage.perform(vec![Job::Tend { scrub_bytes: 1 << 20 }]).unwrap();
    while storage.scrubbed().rounds == 0 {
        storage.perform(Vec::new()).unwrap();
    }
    let (files, may_read_ahead) = watched.read_since();
    assert!(files > 5 && !may_read_ahead, "{files} files at rest");

    // A start has nothing beside it, and is over sooner.
    let (mut storage, _) = Storage::open(watched.clone(), options(7)).unwrap();
    watched.read_since();
    let load = LoadSnapshot { reader: Reader::Apply, last, offset: 1000, bytes: 100_000 };
    storage.perform(vec![Job::Core(CoreJob::LoadSnapshot(load))]).unwrap();
    assert_eq!(watched.read_since(), (1, true), "for this node");
}
