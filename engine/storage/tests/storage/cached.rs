//! How entries are read: many at once for those who ask for them, and from the disk itself for the check of what is at
//! rest.

use std::io;
use std::sync::{Arc, Mutex};

use quorate_raft::{Index, Load, LogId, Reader};
use quorate_storage::{Disk, DiskFile, Job, MemoryDisk, MemoryFile, Storage};

use crate::common::{append, command, open, options, read, settle, started};

/// What was dropped from the system's memory: the file, and from where to where.
type Dropped = Arc<Mutex<Vec<(String, u64, u64)>>>;

/// A disk that notes what the system is to forget.
struct Watched {
    disk: MemoryDisk,
    dropped: Dropped,
}

#[derive(Debug)]
struct WatchedFile {
    file: MemoryFile,
    path: String,
    dropped: Dropped,
}

impl Watched {
    fn file(&self, path: &str, file: MemoryFile) -> WatchedFile {
        WatchedFile { file, path: path.to_owned(), dropped: self.dropped.clone() }
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
        self.dropped.lock().unwrap().push((self.path.clone(), offset, offset + bytes));
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
    let dropped = Dropped::default();
    let watched = Watched { disk: disk.clone(), dropped: dropped.clone() };
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
