//! A node that takes checkpoints, and what its state is.

use std::collections::BTreeMap;

use quorate_raft::{LogId, SnapshotMeta};
use quorate_storage::{Draft, MemoryDisk, Storage};
use quorate_wire::checkpoint::{Manifest, ROW_HEAD_BYTES, RowHead, Totals};

use crate::common::{append, command, members, members_entry, open, pieces, row, take, vote};
use crate::model::load_snapshot;

/// The state by key, and what changed since the last boundary.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    pub(crate) all: BTreeMap<u64, Vec<u8>>,
    pub(crate) changed: BTreeMap<u64, Option<Vec<u8>>>,
    pub(crate) counter: u64,
}

impl Rows {
    /// Writes or deletes these keys.
    pub(crate) fn change(&mut self, keys: impl IntoIterator<Item = u64>, bytes: usize) {
        for key in keys {
            self.counter += 1;
            let gone = self.counter.is_multiple_of(5) && self.all.contains_key(&key);
            let body = (!gone).then(|| vec![self.counter.to_le_bytes()[0]; bytes]);
            match body.clone() {
                Some(body) => drop(self.all.insert(key, body)),
                None => drop(self.all.remove(&key)),
            }
            self.changed.insert(key, body);
        }
    }

    pub(crate) fn run(&self) -> Vec<u8> {
        self.changed.iter().flat_map(|(key, body)| row(*key, body.as_deref())).collect()
    }

    pub(crate) fn everything_changed(&mut self) {
        self.changed = self.all.iter().map(|(key, body)| (*key, Some(body.clone()))).collect();
    }
}

/// What the content of a checkpoint amounts to.
pub(crate) fn state(content: &[u8]) -> (Manifest, BTreeMap<u64, Vec<u8>>) {
    let manifest = Manifest::decode(content).unwrap().unwrap();
    let mut rest = &content[usize::try_from(manifest.bytes()).unwrap()..];
    let mut all = BTreeMap::new();
    while let Some(head) = rest.first_chunk::<ROW_HEAD_BYTES>() {
        let head = RowHead::decode(head).unwrap();
        let (row, after) = rest.split_at(usize::try_from(head.row_bytes()).unwrap());
        let (key, body) = row[ROW_HEAD_BYTES..].split_at(8);
        let key = u64::from_be_bytes(key.try_into().unwrap());
        if head.is_tombstone {
            drop(all.remove(&key));
        } else {
            drop(all.insert(key, body.to_vec()));
        }
        rest = after;
    }
    assert!(rest.is_empty());
    (manifest, all)
}

/// A node that takes checkpoints.
pub(crate) struct Replica {
    pub(crate) disk: MemoryDisk,
    pub(crate) storage: Storage<MemoryDisk>,
    pub(crate) rows: Rows,
    pub(crate) boundary: LogId,
}

pub(crate) const LAST: u64 = 200;

impl Replica {
    pub(crate) fn new() -> Replica {
        let disk = MemoryDisk::new();
        let (mut storage, _) = open(&disk).unwrap();
        vote(&mut storage, 1);
        append(&mut storage, &[members_entry(1, 1, &["a"])]);
        for index in 2..=LAST {
            append(&mut storage, &[command(1, index, &[1])]);
        }
        Replica { disk, storage, rows: Rows::default(), boundary: LogId::ZERO }
    }

    pub(crate) fn draft(&mut self, index: u64, is_tail: bool) -> Draft {
        let last = LogId::new(1, index);
        let totals = Totals { rows: self.rows.all.len() as u64, state_hash: index, ..Totals::default() };
        let draft = Draft {
            last,
            members: members(&["a"]),
            members_at: LogId::new(1, 1),
            base: self.boundary,
            tail_bytes: is_tail.then_some(7),
            totals,
            rows: pieces(&self.rows.run()),
        };
        if !is_tail {
            self.boundary = last;
            self.rows.changed.clear();
        }
        draft
    }

    pub(crate) fn boundary(&mut self, index: u64) -> SnapshotMeta {
        let draft = self.draft(index, false);
        take(&mut self.storage, draft).unwrap()
    }

    pub(crate) fn tail(&mut self, index: u64) -> SnapshotMeta {
        let draft = self.draft(index, true);
        take(&mut self.storage, draft).unwrap()
    }

    /// The manifest of a checkpoint, whose content must be the state.
    pub(crate) fn check(&mut self, meta: &SnapshotMeta) -> Manifest {
        let (manifest, all) = state(&load_snapshot(&mut self.storage, meta));
        assert!(all == self.rows.all, "another state at {}", meta.last);
        manifest
    }

    /// Starts again from what is on the disk, as its newest checkpoint says. The state is that of the checkpoint.
    pub(crate) fn restart(&mut self, now: &Rows) -> SnapshotMeta {
        let (storage, found) = open(&self.disk).unwrap();
        self.storage = storage;
        let meta = found.snapshot.unwrap();
        self.begin_from(&meta, now);
        meta
    }

    pub(crate) fn begin_from(&mut self, meta: &SnapshotMeta, now: &Rows) {
        let content = load_snapshot(&mut self.storage, meta);
        let (manifest, all) = state(&content);
        self.boundary = LogId::new(manifest.boundary.term, manifest.boundary.index);
        self.rows = Rows { all, changed: BTreeMap::new(), counter: now.counter };
        if manifest.has_tail {
            let tail_bytes = manifest.runs.last().unwrap().bytes;
            let tail = &content[content.len() - usize::try_from(tail_bytes).unwrap()..];
            let mut rest = tail;
            while let Some(head) = rest.first_chunk::<ROW_HEAD_BYTES>() {
                let head = RowHead::decode(head).unwrap();
                let (row, after) = rest.split_at(usize::try_from(head.row_bytes()).unwrap());
                let key = u64::from_be_bytes(row[ROW_HEAD_BYTES..ROW_HEAD_BYTES + 8].try_into().unwrap());
                let body = (!head.is_tombstone).then(|| row[ROW_HEAD_BYTES + 8..].to_vec());
                self.rows.changed.insert(key, body);
                rest = after;
            }
        }
    }

    pub(crate) fn files(&self, end: &str) -> usize {
        self.disk.files().iter().filter(|path| path.ends_with(end)).count()
    }
}
