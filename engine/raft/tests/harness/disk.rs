//! A disk in memory that honours the contract of [`Write`], completes writes when told, and can be damaged.

use quorate_raft::{
    Chunk, Digest, Done, Entry, Found, HardState, Index, Load, LoadSnapshot, LogId, Payload, SnapshotMeta,
    StoreSnapshot, TermRuns, Write, WriteId,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A log: what lies above `base`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) base: LogId,
    pub(crate) entries: VecDeque<Entry>,
}

impl Log {
    pub(crate) fn last(&self) -> LogId {
        self.entries.back().map_or(self.base, |entry| entry.id)
    }

    pub(crate) fn id(&self, index: Index) -> Option<LogId> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.entry(index).map(|entry| entry.id)
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// Truncation and appending are one step, as the contract demands.
    fn perform(&mut self, write: &Write) {
        if let Some(meta) = &write.install {
            *self = Log { base: meta.last, entries: VecDeque::new() };
        }
        if let Some(from) = write.truncate_from {
            assert!(from > self.base.index, "truncates from {from} a log that begins after {}", self.base);
            self.entries.retain(|entry| entry.id.index < from);
        }
        for entry in &write.append {
            let last = self.last();
            assert_eq!(entry.id.index, last.index.next(), "appends {} after {last}", entry.id);
            self.entries.push_back(entry.clone());
        }
        if let Some(to) = write.compact_to {
            while let Some(entry) = self.entries.pop_front_if(|entry| entry.id.index <= to) {
                self.base = entry.id;
            }
        }
    }
}

/// One node's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) hard: HardState,
    pub(crate) log: Log,
    /// The log once all that was issued is done.
    pub(crate) issued: Log,
    commit_hint: Index,
    snapshots: Vec<(SnapshotMeta, Vec<u8>)>,
    incoming: Option<(SnapshotMeta, Vec<u8>)>,
    damaged: BTreeSet<Index>,
    /// What stood in slots whose very term is lost.
    lost_tail: BTreeMap<Index, LogId>,
    /// What stood in slots that are gone without a trace.
    forgotten: BTreeSet<LogId>,
    pub(crate) pending: VecDeque<Write>,
    pub(crate) held: bool,
}

impl Disk {
    /// A disk with this log, all of it durable, of which the first entry is known to be committed.
    pub(crate) fn with_log(hard: HardState, entries: Vec<Entry>) -> Self {
        let log = Log { base: LogId::ZERO, entries: entries.into() };
        Disk { hard, issued: log.clone(), log, commit_hint: Index(1), ..Disk::default() }
    }

    pub(crate) fn issue(&mut self, write: Write) {
        self.issued.perform(&write);
        self.pending.push_back(write);
    }

    /// Completes the oldest pending write.
    pub(crate) fn finish_one(&mut self) -> Option<WriteId> {
        let write = self.pending.pop_front()?;
        if let Some(hard) = write.hard {
            self.hard = hard;
        }
        self.commit_hint = self.commit_hint.max(write.commit_hint);
        if let Some(meta) = &write.install {
            assert!(
                self.snapshots.iter().any(|(stored, _)| *stored == **meta),
                "installs what is not stored"
            );
            self.damaged.clear();
            self.lost_tail.retain(|index, _| *index > meta.last.index);
        }
        if let Some(from) = write.truncate_from {
            self.damaged.retain(|index| *index < from);
        }
        self.log.perform(&write);
        for entry in &write.repair {
            // A slot that the same write compacted away needs no copy any more.
            if let Some(id) = self.log.id(entry.id.index) {
                assert_eq!(id, entry.id, "repairs a slot with another entry");
                self.damaged.remove(&id.index);
            }
        }
        for entry in &write.append {
            self.lost_tail.remove(&entry.id.index);
        }
        let base = self.log.base.index;
        self.damaged.retain(|index| *index > base);
        Some(write.id)
    }

    /// Loses what was pending, but for the first `keep` writes: those were durable and nobody was told.
    pub(crate) fn crash(&mut self, keep: usize) {
        for _ in 0..keep {
            assert!(self.finish_one().is_some(), "no write is pending that could be kept");
        }
        self.pending.clear();
        self.incoming = None;
        self.issued = self.log.clone();
    }

    pub(crate) fn damage(&mut self, index: Index) -> LogId {
        let id = self.log.entry(index).unwrap_or_else(|| panic!("the log has no slot {index}")).id;
        self.damaged.insert(index);
        id
    }

    pub(crate) fn lose_tail(&mut self, from: Index) {
        assert!(from > self.log.base.index && from <= self.log.last().index, "the log has no slot {from}");
        while let Some(entry) = self.log.entries.pop_back_if(|entry| entry.id.index >= from) {
            self.lost_tail.insert(entry.id.index, entry.id);
        }
        self.issued = self.log.clone();
    }

    /// The last slots are gone and nothing shows it.
    pub(crate) fn forget(&mut self, from: Index) {
        assert!(from > self.log.base.index && from <= self.log.last().index, "the log has no slot {from}");
        while let Some(entry) = self.log.entries.pop_back_if(|entry| entry.id.index >= from) {
            self.forgotten.insert(entry.id);
        }
        self.issued = self.log.clone();
    }

    /// Whether this slot was made durable here and never overwritten, whatever rotted since.
    pub(crate) fn held_durably(&self, id: LogId) -> bool {
        id.index <= self.snapshot_end()
            || self.log.id(id.index) == Some(id)
            || self.lost_tail.get(&id.index) == Some(&id)
            || self.forgotten.contains(&id)
    }

    /// The last slot that a stored snapshot covers, whether or not it has taken the log's place yet: a restart
    /// finishes that.
    fn snapshot_end(&self) -> Index {
        self.snapshots.iter().map(|(meta, _)| meta.last.index).max().unwrap_or_default()
    }

    /// Whether the slot that the log has at `index`, once all is written, is durable already.
    pub(crate) fn has_written(&self, index: Index) -> bool {
        index <= self.snapshot_end() || self.log.id(index).is_some_and(|id| self.issued.id(index) == Some(id))
    }

    pub(crate) fn found(&self) -> Found {
        let mut terms = TermRuns::new(self.log.base);
        for entry in &self.log.entries {
            terms.push(entry.id);
        }
        let last = self.log.last().index;
        let is_members = |entry: &&Entry| matches!(entry.payload, Payload::Members(_));
        Found {
            hard: self.hard,
            commit_hint: self.commit_hint,
            snapshot: self.snapshots.iter().map(|(meta, _)| meta).max_by_key(|meta| meta.last.index).cloned(),
            terms,
            members: self.log.entries.iter().filter(is_members).cloned().collect(),
            damaged: self.damaged.iter().filter_map(|index| self.log.id(*index)).collect(),
            unknown: self.lost_tail.keys().next_back().filter(|end| **end > last).map(|_| last.next()),
        }
    }

    pub(crate) fn load(&self, load: Load) -> Vec<Done> {
        let mut entries = Vec::new();
        let mut room = load.bytes;
        let mut answers = Vec::new();
        for index in (load.first.0..=load.last.0).map(Index) {
            let Some(entry) = self.log.entry(index) else { break };
            if self.damaged.contains(&index) {
                answers.push(Done::Damaged(entry.id));
                break;
            }
            if !entries.is_empty() && entry.weight() > room {
                break;
            }
            room = room.saturating_sub(entry.weight());
            entries.push(entry.clone());
        }
        answers.insert(0, Done::Loaded { load, entries });
        answers
    }

    pub(crate) fn load_snapshot(&self, load: LoadSnapshot) -> Done {
        let stored = self.snapshots.iter().rev().find(|(meta, _)| meta.last == load.last);
        // As storage has it: there is no piece beyond the end.
        let chunk = stored.and_then(|(_, content)| {
            let rest = content.get(usize::try_from(load.offset).unwrap()..)?;
            let bytes = rest.len().min(usize::try_from(load.bytes).unwrap());
            Some(Chunk { offset: load.offset, data: rest[..bytes].into(), done: bytes == rest.len() })
        });
        Done::SnapshotLoaded { load, chunk }
    }

    pub(crate) fn store_snapshot(&mut self, store: StoreSnapshot) -> Done {
        let StoreSnapshot { meta, chunk } = store;
        let answer = |next, complete| Done::SnapshotStored { meta: meta.clone(), next, complete };
        if self.snapshots.iter().any(|(stored, _)| *stored == *meta) {
            return answer(meta.bytes, true);
        }
        if chunk.offset == 0 {
            self.incoming = Some((*meta.clone(), Vec::new()));
        }
        let Some((_, content)) = self.incoming.as_mut().filter(|(open, _)| *open == *meta) else {
            return answer(0, false);
        };
        if chunk.offset == content.len() as u64 {
            content.extend_from_slice(&chunk.data);
        }
        let next = content.len() as u64;
        let complete = next == meta.bytes;
        if complete && let Some((whole, content)) = self.incoming.take() {
            if digest(&content) != whole.digest {
                return answer(0, false);
            }
            self.keep_snapshot(whole, content);
        }
        answer(next, complete)
    }

    pub(crate) fn keep_snapshot(&mut self, meta: SnapshotMeta, content: Vec<u8>) {
        self.snapshots.push((meta, content));
    }

    pub(crate) fn snapshot(&self, last: LogId) -> &[u8] {
        // The latest, should it have been taken again at the same place.
        let stored = self.snapshots.iter().rev().find(|(meta, _)| meta.last == last);
        &stored.unwrap_or_else(|| panic!("no snapshot ends at {last}")).1
    }
}

/// Any hash will do here: the core never looks into it.
pub(crate) fn digest(content: &[u8]) -> Digest {
    let sum = content.iter().fold(1, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let mut digest = Digest::default();
    digest.0[..8].copy_from_slice(&sum.to_le_bytes());
    digest
}
