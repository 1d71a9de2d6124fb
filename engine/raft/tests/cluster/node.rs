//! One node: a core, its disk, its state machine, and a host that keeps the contract.

use crate::disk::{Disk, Part, Slots};
use crate::machine::{Machine, digest};
use crate::random::Random;
use quorate_raft::{
    Config, Entry, Index, Input, LogId, Members, NodeId, Payload, Raft, ReadId, SnapshotMeta, Term, Time,
    Write,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) disk: Disk,
    /// Counts its lives, so that events of an earlier one are known.
    pub(crate) lives: u64,
    pub(crate) life: Option<Life>,
    /// The checkpoint it started from.
    pub(crate) booted_with: LogId,
    pub(crate) stalled_until: u64,
    pub(crate) paused_until: u64,
}

/// What a crash takes.
pub(crate) struct Life {
    pub(crate) core: Raft,
    /// The log as the core sees it: all writes issued, done or not.
    pub(crate) slots: Slots,
    pub(crate) machine: Machine,
    /// Issued and not done; the first `writing` are being written.
    pub(crate) writes: VecDeque<Write>,
    pub(crate) writing: usize,
    pub(crate) work: VecDeque<Work>,
    pub(crate) working: bool,
    pub(crate) proposals: BTreeSet<LogId>,
    /// Reads on their way, with what they must see.
    pub(crate) reads: BTreeMap<ReadId, Index>,
    /// A damaged slot that the core has just given up.
    pub(crate) gives_up: Option<Index>,
    /// When the host will next wake the core.
    pub(crate) wake_at: Option<u64>,
    pub(crate) inbox: Vec<Input>,
    pub(crate) draining: bool,
    /// How far its clock is from the world's.
    offset: u64,
    /// How fast its clock runs, in thousandths of the world's.
    rate: u64,
    pub(crate) seen: Seen,
}

/// The state machine's work, in the order issued.
pub(crate) enum Work {
    Apply(Vec<Entry>),
    Install(SnapshotMeta),
}

/// What was last observed, and only grows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) term: Term,
    pub(crate) commit: Index,
    pub(crate) applied: Index,
}

impl Node {
    pub(crate) fn new(id: NodeId) -> Self {
        Node {
            id,
            disk: Disk::default(),
            lives: 0,
            life: None,
            booted_with: LogId::ZERO,
            stalled_until: 0,
            paused_until: 0,
        }
    }

    pub(crate) fn boot(&mut self, config: &Config, rate: u64, now: u64, random: &mut Random) {
        let mut config = config.clone();
        config.id = self.id;
        config.seed = random.next();
        let offset = random.below(1_000_000_000);
        let found = self.disk.found(random);
        self.booted_with = self.disk.newest().map_or(LogId::ZERO, |meta| meta.last);
        let core = Raft::open(config, found, Time(offset + now * rate / 1000))
            .expect("what this disk holds can be opened");
        let status = core.status();
        assert!(status.term >= self.disk.hard.term, "a term was forgotten");
        assert!(status.commit >= self.disk.covered(), "a checkpoint's commit was forgotten");
        self.lives += 1;
        self.life = Some(Life {
            core,
            slots: self.disk.slots.clone(),
            machine: Machine::default(),
            writes: VecDeque::new(),
            writing: 0,
            work: VecDeque::new(),
            working: false,
            proposals: BTreeSet::new(),
            reads: BTreeMap::new(),
            gives_up: None,
            wake_at: None,
            inbox: Vec::new(),
            draining: false,
            offset,
            rate,
            seen: Seen::default(),
        });
    }

    /// Any prefix of the writes queued may have reached the disk, the last of them in part.
    /// Says whether that was so.
    pub(crate) fn crash(&mut self, random: &mut Random) -> bool {
        let Some(life) = self.life.take() else { return false };
        let kept = random.index(life.writes.len() + 1);
        for write in life.writes.iter().take(kept) {
            self.disk.perform(write, Part::All);
        }
        let torn = life.writes.get(kept).filter(|_| random.chance(500));
        if let Some(torn) = torn {
            self.disk.perform(torn, random.pick(&[Part::Hard, Part::Install, Part::Batch]));
        }
        self.disk.crash();
        self.lives += 1;
        torn.is_some()
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.disk.is_damaged() || self.life.as_ref().is_some_and(|life| life.core.status().damaged > 0)
    }

    /// Its word counts again only for what is there, once everything is there again.
    pub(crate) fn forget_ghosts(&mut self) {
        if !self.disk.ghosts.is_empty() && self.life.is_some() && !self.is_damaged() {
            self.disk.ghosts.clear();
        }
    }
}

impl Life {
    pub(crate) fn time(&self, now: u64) -> Time {
        Time(self.offset + now * self.rate / 1000)
    }

    /// When the core wants to be woken, on the world's clock.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.core.deadline().map(|time| (time.0.saturating_sub(self.offset) * 1000).div_ceil(self.rate))
    }

    /// A checkpoint of the state machine as it is, if there is anything to keep.
    pub(crate) fn checkpoint(&self) -> Option<(SnapshotMeta, Arc<[u8]>)> {
        let last = self.core.status().applied;
        let (members, members_at) =
            self.core.checkpoint(last).filter(|_| last.index == self.machine.applied)?;
        let content = self.machine.content();
        let (bytes, digest) = (content.len() as u64, digest(&content));
        Some((SnapshotMeta { last, members, members_at, bytes, digest, state_hash: 0 }, content))
    }

    /// The configuration that the log says is in force, unless it was compacted away.
    pub(crate) fn members_in_log(&self) -> Option<(LogId, &Members)> {
        self.slots.entries.iter().rev().find_map(|slot| match &slot.entry.payload {
            Payload::Members(members) => Some((slot.entry.id, &**members)),
            Payload::Noop | Payload::Command(_) => None,
        })
    }
}
