//! The write-ahead log on a disk, whose speed is not what is looked at.

use quorate_raft::{Entry, HardState, Index, NodeId, Term, Write, WriteId};
use quorate_storage::{FileDisk, Job, Options, Storage};
use tempfile::TempDir;

/// A log that grows.
pub struct Log {
    storage: Storage<FileDisk>,
    last: u64,
    writes: u64,
    _directory: TempDir,
}

impl Log {
    /// An empty one.
    pub fn begin() -> Log {
        let directory = tempfile::tempdir().unwrap();
        let (storage, _) = Storage::open(FileDisk::new(directory.path()), Options::new(1)).unwrap();
        let mut log = Log { storage, last: 0, writes: 0, _directory: directory };
        log.write(Some(HardState { term: Term(1), vote: Some(NodeId(1)) }), Vec::new());
        while log.storage.busy() {
            log.storage.perform(Vec::new()).unwrap();
        }
        log
    }

    /// The entries that come next, for [`Log::append`].
    pub fn next(&self, count: usize) -> Vec<Entry> {
        crate::puts::entries(self.last + 1, count)
    }

    /// Makes them durable, in one batch.
    pub fn append(&mut self, entries: Vec<Entry>) {
        self.last += entries.len() as u64;
        self.write(None, entries);
    }

    fn write(&mut self, hard: Option<HardState>, append: Vec<Entry>) {
        self.writes += 1;
        let write = Write {
            id: WriteId(self.writes),
            hard,
            commit_hint: Index(0),
            install: None,
            truncate_from: None,
            repair: Vec::new(),
            append,
            compact_to: None,
        };
        let done = self.storage.perform(vec![Job::Core(quorate_raft::Job::Write(write))]).unwrap();
        assert!(!done.is_empty());
    }
}
