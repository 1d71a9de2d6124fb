//! One node: a core, a disk that can be harmed, and a host that keeps the contract, unless it is told to lie.

use crate::lies::Lie;
use quorate_raft::{
    Chunk, Config, Digest, Done, Entry, Envelope, Event, Found, HardState, Index, Input, Job, LogId, Members,
    NodeId, Output, Payload, Raft, SnapshotMeta, TermRuns, Time, Write,
};
use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// After so long every timer has fired, that of a damaged node too.
const LONG: Duration = Duration::from_secs(7);

/// What was done to a disk while its node was down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Harm {
    None,
    /// The payload of this slot is lost.
    Damage(Index),
    /// All slots from here on are lost, terms too.
    LoseTail(Index),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    hard: HardState,
    /// What it was before the last write, when that only entered a term and the disk does not keep it.
    before: Option<HardState>,
    commit_hint: Index,
    snapshot: Option<SnapshotMeta>,
    base: LogId,
    entries: Vec<Entry>,
    damaged: BTreeSet<Index>,
    /// The end of the log before its tail was lost.
    acknowledged: Option<LogId>,
    /// What was lost with a tail.
    lost: BTreeSet<LogId>,
}

impl Disk {
    pub(crate) fn last(&self) -> LogId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    pub(crate) fn base(&self) -> LogId {
        self.base
    }

    /// The configurations that are known, the latest first.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = &Members> {
        let in_the_log = self.entries.iter().rev().filter_map(|entry| match &entry.payload {
            Payload::Members(members) => Some(&**members),
            Payload::Noop | Payload::Command(_) => None,
        });
        in_the_log.chain(self.snapshot.iter().map(|meta| &meta.members))
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(usize::try_from(at).unwrap())
    }

    /// Whether it had the slot: what has rotted since, or was lost with a tail, was a copy when it was acknowledged.
    pub(crate) fn had(&self, slot: LogId) -> bool {
        let has = self.entry(slot.index).is_some_and(|entry| entry.id == slot);
        has || slot.index <= self.base.index || self.lost.contains(&slot)
    }

    fn perform(&mut self, write: &Write) {
        self.hard = write.hard.unwrap_or(self.hard);
        if let Some(meta) = &write.install {
            (self.base, self.acknowledged) = (meta.last, None);
            self.entries.clear();
            self.damaged.clear();
        }
        if let Some(from) = write.truncate_from {
            self.entries.retain(|entry| entry.id.index < from);
            self.damaged.retain(|index| *index < from);
        }
        self.entries.extend(write.append.iter().cloned());
        for entry in &write.repair {
            self.damaged.remove(&entry.id.index);
            let slot = self.entries.iter_mut().find(|slot| slot.id.index == entry.id.index);
            slot.into_iter().for_each(|slot| *slot = entry.clone());
        }
        self.commit_hint = self.commit_hint.max(write.commit_hint).min(self.last().index);
        if let Some(to) = write.compact_to {
            self.base =
                self.entries.iter().map(|entry| entry.id).rfind(|id| id.index <= to).unwrap_or(self.base);
            self.entries.retain(|entry| entry.id.index > to);
            self.damaged.retain(|index| *index > to);
        }
        if self.acknowledged.is_some_and(|end| self.last() >= end) {
            self.acknowledged = None;
        }
    }

    fn harm(&mut self, harm: Harm, lie: Lie) {
        match harm {
            Harm::None => {}
            Harm::Damage(index) => drop(self.damaged.insert(index)),
            Harm::LoseTail(from) => {
                self.acknowledged = self.acknowledged.or(Some(self.last()));
                self.lost.extend(self.entries.iter().map(|entry| entry.id).filter(|id| id.index >= from));
                self.entries.retain(|entry| entry.id.index < from);
                self.damaged.retain(|index| *index < from);
            }
        }
        if lie == Lie::DamageIsTheEnd
            && let Some(first) = self.damaged.pop_first()
        {
            self.entries.retain(|entry| entry.id.index < first);
            self.damaged.clear();
        }
        if lie == Lie::TermIsNotDurable {
            self.hard = self.before.take().unwrap_or(self.hard);
        }
        if lie == Lie::LostTailIsTheEnd {
            self.acknowledged = None;
        }
        self.commit_hint = self.commit_hint.min(self.last().index);
    }

    fn found(&self) -> Found {
        let mut terms = TermRuns::new(self.base);
        self.entries.iter().for_each(|entry| terms.push(entry.id));
        let is_members = |entry: &&Entry| matches!(entry.payload, Payload::Members(_));
        Found {
            hard: self.hard,
            commit_hint: self.commit_hint,
            snapshot: self.snapshot.clone(),
            terms,
            members: self.entries.iter().filter(is_members).cloned().collect(),
            damaged: self
                .damaged
                .iter()
                .filter_map(|index| self.entry(*index))
                .map(|entry| entry.id)
                .collect(),
            unknown: self.acknowledged.map(|_| self.last().index.next()),
        }
    }
}

/// What happens to one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Happening {
    /// A message arrives.
    Hears(Arc<Letter>),
    /// Time passes, not enough for a timer to fire.
    Waits,
    /// It hears nothing until its timers fire.
    TimesOut,
    /// Everything that is pending becomes durable.
    Syncs,
    /// Power is lost after the first `kept` writes, and the disk is harmed; then the node starts again.
    Restarts { kept: usize, harm: Harm },
    /// The payload of a slot rots while the node runs, and it notices.
    Rots(Index),
    /// A leader gets a command.
    Proposes(u8),
    /// A leader is to change the members.
    Changes(Members),
    /// The state machine as it is becomes a checkpoint.
    Checkpoints,
}

/// A message on its way, with its fingerprint.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) print: u64,
    pub(crate) envelope: Envelope,
}

impl Letter {
    pub(crate) fn new(envelope: Envelope) -> Arc<Self> {
        Arc::new(Letter { print: fingerprint(&envelope), envelope })
    }
}

impl Hash for Letter {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

impl PartialEq for Letter {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Eq for Letter {}

/// How hosts are treated in one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Treatment {
    pub(crate) lie: Lie,
    /// Whether every write is durable the moment it is issued.
    pub(crate) at_once: bool,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Host {
    pub(crate) core: Raft,
    pub(crate) disk: Disk,
    /// Issued and not durable yet.
    pub(crate) pending: Vec<Write>,
    clock: Time,
    lives: u64,
    /// Whether it ever gave a slot up.
    pub(crate) gave_up: bool,
}

/// What a node does about one thing that happens to it.
#[derive(Default)]
pub(crate) struct Doings {
    pub(crate) sent: Vec<Envelope>,
    /// Whether it issued a write.
    pub(crate) wrote: bool,
}

impl Host {
    pub(crate) fn new(id: NodeId, hard: HardState, first: Option<Entry>) -> Self {
        let entries: Vec<Entry> = first.into_iter().collect();
        let commit_hint = Index(entries.len() as u64);
        let disk = Disk { hard, commit_hint, entries, ..Disk::default() };
        // Nobody is bound any more by what was before.
        let clock = Time(0) + ELECTION_TIMEOUT;
        let core = open(id, 1, &disk, Time(0));
        Host { core, disk, pending: Vec::new(), clock, lives: 1, gave_up: false }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.core.status().id
    }

    /// The log once everything issued is durable.
    pub(crate) fn log(&self) -> Disk {
        let mut disk = self.disk.clone();
        self.pending.iter().for_each(|write| disk.perform(write));
        disk
    }

    pub(crate) fn leads(&self) -> bool {
        self.core.leader() == Some(self.id())
    }

    /// Something happens to it, and it does all that follows.
    pub(crate) fn meet(&mut self, happening: &Happening, treatment: Treatment) -> Doings {
        let mut inputs = VecDeque::new();
        match happening {
            Happening::Hears(letter) => inputs.push_back(Input::Message(letter.envelope.clone())),
            Happening::Waits => {
                self.wait();
                return Doings::default();
            }
            Happening::TimesOut => {
                self.clock = self.clock + LONG;
                inputs.push_back(Input::Timeout);
            }
            Happening::Syncs => {
                let last = self.pending.last().map(|write| Input::Done(Done::Written(write.id)));
                std::mem::take(&mut self.pending).iter().for_each(|write| self.disk.perform(write));
                inputs.extend(last);
            }
            Happening::Restarts { kept, harm } => {
                self.restart(*kept, *harm, treatment.lie);
                inputs.push_back(Input::Timeout);
            }
            Happening::Rots(index) => inputs.extend(self.rot(*index)),
            Happening::Proposes(command) => {
                let said = self.core.propose(self.clock, vec![*command].into());
                assert!(said.is_ok(), "a leader refuses: {said:?}");
            }
            // It may refuse: then nothing happens.
            Happening::Changes(target) => drop(self.core.change_members(self.clock, target.clone())),
            Happening::Checkpoints => inputs.extend(self.checkpoint()),
        }
        self.handle(inputs, treatment)
    }

    fn restart(&mut self, kept: usize, harm: Harm, lie: Lie) {
        for write in std::mem::take(&mut self.pending).iter().take(kept) {
            self.disk.perform(write);
        }
        self.disk.harm(harm, lie);
        self.lives += 1;
        self.core = open(self.id(), self.lives, &self.disk, self.clock);
        self.clock = self.clock + ELECTION_TIMEOUT;
    }

    fn wait(&mut self) {
        if !self.leads()
            && let Some(due) = self.core.deadline()
        {
            let left = due.since(self.clock).saturating_sub(Duration::from_micros(1));
            self.clock = self.clock + left.min(ELECTION_TIMEOUT);
        }
    }

    fn rot(&mut self, index: Index) -> Option<Input> {
        let slot = self.disk.entry(index)?.id;
        self.disk.damaged.insert(index);
        Some(Input::Done(Done::Damaged(slot)))
    }

    fn checkpoint(&mut self) -> Option<Input> {
        let last = self.core.status().applied;
        let (members, members_at) = self.core.checkpoint(last)?;
        let meta =
            SnapshotMeta { last, members, members_at, bytes: 0, digest: Digest([0; 32]), state_hash: 0 };
        self.disk.snapshot = Some(meta.clone());
        Some(Input::Done(Done::SnapshotTaken(Box::new(meta))))
    }

    /// Feeds inputs, and does all that follows from them.
    fn handle(&mut self, mut inputs: VecDeque<Input>, treatment: Treatment) -> Doings {
        let mut doings = Doings::default();
        loop {
            if let Some(input) = inputs.pop_front() {
                self.core.handle(self.clock, input);
            }
            while let Some(output) = self.core.poll() {
                self.perform(output, treatment, &mut inputs, &mut doings);
            }
            if inputs.is_empty() {
                return doings;
            }
        }
    }

    fn perform(
        &mut self,
        output: Output,
        treatment: Treatment,
        inputs: &mut VecDeque<Input>,
        doings: &mut Doings,
    ) {
        match output {
            Output::Send(envelope) => doings.sent.push(envelope),
            Output::Job(Job::Write(write)) => {
                doings.wrote = true;
                if treatment.at_once {
                    let before = self.disk.hard;
                    self.disk.perform(&write);
                    let forgets = treatment.lie == Lie::TermIsNotDurable && enters_a_term(&write);
                    self.disk.before = forgets.then_some(before);
                    inputs.push_back(Input::Done(Done::Written(write.id)));
                } else {
                    self.pending.push(write);
                }
            }
            Output::Job(job) => inputs.extend(self.work(job)),
            Output::Apply(entries) => {
                inputs.extend(entries.last().map(|entry| Input::Applied(entry.id.index)));
            }
            Output::Install(meta) => inputs.push_back(Input::Applied(meta.last.index)),
            Output::Event(Event::GaveUp { .. }) => self.gave_up = true,
            Output::Read(_) | Output::Event(_) => {}
        }
    }

    fn work(&mut self, job: Job) -> Vec<Input> {
        let done = match job {
            Job::Write(_) => unreachable!("writes are performed in their order"),
            Job::Load(load) => {
                let (mut entries, mut damaged) = (Vec::new(), None);
                for index in (load.first.0..=load.last.0).map(Index) {
                    let Some(entry) = self.disk.entry(index) else { break };
                    if self.disk.damaged.contains(&index) {
                        damaged = Some(Done::Damaged(entry.id));
                        break;
                    }
                    entries.push(entry.clone());
                }
                return [Some(Done::Loaded { load, entries }), damaged]
                    .into_iter()
                    .flatten()
                    .map(Input::Done)
                    .collect();
            }
            Job::LoadSnapshot(load) => {
                let chunk = Chunk { offset: load.offset, data: Vec::new().into(), done: true };
                let stored = self.disk.snapshot.as_ref().is_some_and(|meta| meta.last == load.last);
                Done::SnapshotLoaded { load, chunk: stored.then_some(chunk) }
            }
            Job::StoreSnapshot(store) => {
                if self.disk.snapshot.as_ref().is_none_or(|newest| newest.last < store.meta.last) {
                    self.disk.snapshot = Some(*store.meta.clone());
                }
                Done::SnapshotStored { meta: store.meta, next: 0, complete: true }
            }
        };
        vec![Input::Done(done)]
    }
}

/// Whether it does that and no more: a vote that is forgotten would break more than the rule in question.
fn enters_a_term(write: &Write) -> bool {
    let alone = write.append.is_empty() && write.truncate_from.is_none();
    alone && write.hard.is_some_and(|hard| hard.vote.is_none())
}

fn open(id: NodeId, life: u64, disk: &Disk, now: Time) -> Raft {
    let seed = u64::try_from(id.0).unwrap() * 1000 + life;
    let config = Config {
        election_timeout: ELECTION_TIMEOUT,
        // Questions and heartbeats do not come again by themselves: nothing is lost but what is never delivered.
        heartbeat_interval: ELECTION_TIMEOUT * 1000,
        keep_entries: 0,
        // An append for each entry: so each may come alone, or never.
        append_bytes: 1,
        ..Config::new(id, seed)
    };
    Raft::open(config, disk.found(), now).expect("what this disk holds can be opened")
}

/// The same in every process, so that the same search visits the same states.
pub(crate) fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
