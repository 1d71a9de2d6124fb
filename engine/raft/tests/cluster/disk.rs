//! A disk as the contract of `Job` and `Done` has it: what is durable on one node.

use crate::machine::digest;
use crate::random::Random;
use quorate_raft::{
    Chunk, Entry, Found, HardState, Index, Load, LoadSnapshot, LogId, Payload, SnapshotMeta, StoreSnapshot,
    TermRuns, Write,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A log: as durable on a disk, or as its core sees it.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Slots {
    pub(crate) base: LogId,
    pub(crate) entries: VecDeque<Slot>,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    pub(crate) damaged: bool,
}

impl Slots {
    pub(crate) fn last(&self) -> LogId {
        self.entries.back().map_or(self.base, |slot| slot.entry.id)
    }

    pub(crate) fn at(&self, index: Index) -> Option<&Slot> {
        let first = self.base.index.next();
        self.entries.get(usize::try_from(index.0.checked_sub(first.0)?).unwrap())
    }

    pub(crate) fn id(&self, index: Index) -> Option<LogId> {
        if index == self.base.index { Some(self.base) } else { self.at(index).map(|slot| slot.entry.id) }
    }

    fn at_mut(&mut self, index: Index) -> Option<&mut Slot> {
        let first = self.base.index.next();
        self.entries.get_mut(usize::try_from(index.0.checked_sub(first.0)?).unwrap())
    }

    /// Truncation, repair and appending: one batch.
    pub(crate) fn apply_batch(&mut self, write: &Write) {
        if let Some(from) = write.truncate_from {
            assert!(
                from > self.base.index && from <= self.last().index,
                "truncates from {from}: {}",
                self.last()
            );
            while self.last().index >= from && !self.entries.is_empty() {
                self.entries.pop_back();
            }
        }
        for entry in &write.append {
            assert_eq!(
                entry.id.index,
                self.last().index.next(),
                "appends {} after {}",
                entry.id,
                self.last()
            );
            assert!(entry.id.term >= self.last().term, "appends {} after {}", entry.id, self.last());
            self.entries.push_back(Slot { entry: entry.clone(), damaged: false });
        }
        for entry in &write.repair {
            let slot = self.at_mut(entry.id.index).expect("a repair of a slot that the log has");
            assert_eq!(slot.entry, *entry, "a repair with another entry");
            slot.damaged = false;
        }
    }

    pub(crate) fn install(&mut self, last: LogId) {
        *self = Slots { base: last, entries: VecDeque::new() };
    }

    pub(crate) fn compact(&mut self, to: Index) {
        while self.entries.front().is_some_and(|slot| slot.entry.id.index <= to) {
            self.base = self.entries.pop_front().unwrap().entry.id;
        }
    }
}

/// How much of a write a crash let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Hard,
    Install,
    Batch,
    All,
}

#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Disk {
    pub(crate) hard: HardState,
    pub(crate) commit_hint: Index,
    pub(crate) slots: Slots,
    pub(crate) snapshots: BTreeMap<LogId, (SnapshotMeta, Arc<[u8]>)>,
    incoming: Option<(SnapshotMeta, Vec<u8>)>,
    /// The end of the log before its tail was lost; a node's storage remembers what it acknowledged last.
    pub(crate) acknowledged: Option<LogId>,
    /// What was there before it was lost: it counts as held, since a node's word was given for it.
    pub(crate) ghosts: BTreeMap<Index, LogId>,
}

impl Disk {
    pub(crate) fn newest(&self) -> Option<&SnapshotMeta> {
        self.snapshots.values().next_back().map(|(meta, _)| meta)
    }

    pub(crate) fn covered(&self) -> Index {
        self.newest().map_or(Index(0), |meta| meta.last.index)
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.acknowledged.is_some() || self.slots.entries.iter().any(|slot| slot.damaged)
    }

    /// Whether the entry `id`, which is committed, is durable here, or was until it was damaged.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        self.covered() >= id.index
            || self.slots.at(id.index).is_some_and(|slot| slot.entry.id == id && !slot.damaged)
            || self.ghosts.get(&id.index) == Some(&id)
    }

    pub(crate) fn perform(&mut self, write: &Write, part: Part) {
        if let Some(hard) = write.hard {
            assert!(hard.term >= self.hard.term, "the term goes back: {:?} after {:?}", hard, self.hard);
            let kept = hard.term > self.hard.term || self.hard.vote.is_none() || self.hard.vote == hard.vote;
            assert!(kept, "a vote is changed: {:?} after {:?}", hard, self.hard);
            self.hard = hard;
        }
        if part == Part::Hard {
            return;
        }
        if let Some(meta) = &write.install {
            assert!(self.snapshots.contains_key(&meta.last), "installs {} which is not durable", meta.last);
            self.slots.install(meta.last);
        }
        if part == Part::Install {
            return;
        }
        self.slots.apply_batch(write);
        self.commit_hint = write.commit_hint;
        assert!(self.commit_hint <= self.slots.last().index, "a hint {} above the log", self.commit_hint);
        if part == Part::All
            && let Some(to) = write.compact_to
        {
            assert!(
                to <= self.covered(),
                "drops up to {to}, the newest checkpoint ends at {}",
                self.covered()
            );
            self.slots.compact(to);
        }
        if self.acknowledged.is_some_and(|end| self.slots.last() >= end) {
            self.acknowledged = None;
        }
    }

    /// The entries, and the slot whose damage ended them.
    pub(crate) fn load(&self, load: Load) -> (Vec<Entry>, Option<LogId>) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut room = load.bytes;
        for index in load.first.0..=load.last.0 {
            let Some(slot) = self.slots.at(Index(index)) else { break };
            if slot.damaged {
                return (entries, Some(slot.entry.id));
            }
            if !entries.is_empty() && slot.entry.weight() > room {
                break;
            }
            room = room.saturating_sub(slot.entry.weight());
            entries.push(slot.entry.clone());
        }
        (entries, None)
    }

    pub(crate) fn load_snapshot(&self, load: LoadSnapshot) -> Option<Chunk> {
        let (_, content) = self.snapshots.get(&load.last)?;
        let from = usize::try_from(load.offset).unwrap().min(content.len());
        let to = content.len().min(from + usize::try_from(load.bytes).unwrap());
        Some(Chunk { offset: load.offset, data: content[from..to].into(), done: to == content.len() })
    }

    /// The offset wanted next, and whether the snapshot is whole.
    pub(crate) fn store_snapshot(&mut self, store: StoreSnapshot) -> (u64, bool) {
        let StoreSnapshot { meta, chunk } = store;
        if chunk.offset == 0 {
            self.incoming = Some((*meta.clone(), Vec::new()));
        }
        let Some((_, content)) = self.incoming.as_mut().filter(|(incoming, _)| *incoming == *meta) else {
            return (0, false);
        };
        if content.len() as u64 == chunk.offset {
            content.extend_from_slice(&chunk.data);
        }
        let next = content.len() as u64;
        if next < meta.bytes {
            return (next, false);
        }
        let (_, content) = self.incoming.take().unwrap();
        assert_eq!(digest(&content), meta.digest, "a snapshot was put together wrongly");
        self.keep_snapshot(*meta, content.into());
        (next, true)
    }

    /// Keeps the newest five, so that one about to be installed is not overtaken by newer ones.
    pub(crate) fn keep_snapshot(&mut self, meta: SnapshotMeta, content: Arc<[u8]>) {
        self.snapshots.insert(meta.last, (meta, content));
        while self.snapshots.len() > 5 {
            self.snapshots.pop_first();
        }
    }

    /// A crash: what was being received must be sent again.
    pub(crate) fn crash(&mut self) {
        self.incoming = None;
    }

    /// Loses the last `count` slots, terms and all.
    pub(crate) fn lose_tail(&mut self, count: u64) {
        let end = self.slots.last();
        for _ in 0..count {
            if self.slots.last().index <= self.covered() {
                break;
            }
            let Some(slot) = self.slots.entries.pop_back() else { break };
            self.ghosts.insert(slot.entry.id.index, slot.entry.id);
            self.acknowledged = Some(self.acknowledged.unwrap_or(end));
        }
    }

    /// Loses one payload; says which.
    pub(crate) fn damage(&mut self, random: &mut Random) -> Option<LogId> {
        if self.slots.entries.is_empty() {
            return None;
        }
        let at = random.index(self.slots.entries.len());
        let id = self.slots.entries[at].entry.id;
        self.damage_at(id.index);
        Some(id)
    }

    pub(crate) fn damage_at(&mut self, index: Index) {
        let slot = self.slots.at_mut(index).expect("a slot that the log has");
        slot.damaged = true;
        self.ghosts.insert(index, slot.entry.id);
    }

    /// What recovery finds; the hint only ever understates.
    pub(crate) fn found(&self, random: &mut Random) -> Found {
        let mut terms = TermRuns::new(self.slots.base);
        let mut members = Vec::new();
        let mut damaged = Vec::new();
        for slot in &self.slots.entries {
            terms.push(slot.entry.id);
            if matches!(slot.entry.payload, Payload::Members(_)) {
                members.push(slot.entry.clone());
            }
            if slot.damaged {
                damaged.push(slot.entry.id);
            }
        }
        let end = self.slots.last().index;
        Found {
            hard: self.hard,
            commit_hint: if random.chance(500) { self.commit_hint } else { Index(0) },
            snapshot: self.newest().cloned(),
            terms,
            members,
            damaged,
            unknown: self.acknowledged.map(|_| end.next()),
        }
    }
}
