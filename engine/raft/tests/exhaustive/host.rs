//! One node: a core, a disk that can be harmed, and a host that keeps the contract, unless it is told to lie.

use crate::lies::Lie;
use quorate_raft::{
    Chunk, Config, Digest, Done, Entry, Envelope, Event, Found, HardState, Index, Input, Job, LogId, NodeId,
    Output, Payload, Raft, SnapshotMeta, TermRuns, Time, Write,
};
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
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
}

impl Disk {
    pub(crate) fn last(&self) -> LogId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    pub(crate) fn base(&self) -> LogId {
        self.base
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(usize::try_from(at).unwrap())
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

#[derive(Clone, Debug, Hash)]
pub(crate) struct Host {
    pub(crate) core: Raft,
    pub(crate) disk: Disk,
    /// Issued and not durable yet.
    pub(crate) pending: Vec<Write>,
    clock: Time,
    lives: u64,
    /// Writes issued in this life.
    pub(crate) writes: u64,
    /// How often it gave a slot up.
    pub(crate) gave_up: u64,
}

impl Host {
    pub(crate) fn new(id: NodeId, hard: HardState, first: Option<Entry>) -> Self {
        let entries: Vec<Entry> = first.into_iter().collect();
        let commit_hint = Index(entries.len() as u64);
        let disk = Disk { hard, commit_hint, entries, ..Disk::default() };
        // Nobody is bound any more by what was before.
        let clock = Time(0) + ELECTION_TIMEOUT;
        let core = open(id, 1, &disk, Time(0));
        Host { core, disk, pending: Vec::new(), clock, lives: 1, writes: 0, gave_up: 0 }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.core.status().id
    }

    /// The log once everything issued is durable.
    pub(crate) fn log(&self) -> Cow<'_, Disk> {
        let mut disk = Cow::Borrowed(&self.disk);
        self.pending.iter().for_each(|write| disk.to_mut().perform(write));
        disk
    }

    pub(crate) fn leads(&self) -> bool {
        self.core.leader() == Some(self.id())
    }

    /// Power is lost after the first `kept` writes; then the node starts again.
    pub(crate) fn restart(&mut self, kept: usize, harm: Harm, lie: Lie) {
        for write in std::mem::take(&mut self.pending).iter().take(kept) {
            self.disk.perform(write);
        }
        self.disk.harm(harm, lie);
        self.lives += 1;
        self.core = open(self.id(), self.lives, &self.disk, self.clock);
        self.clock = self.clock + ELECTION_TIMEOUT;
    }

    /// Time passes, not enough for a timer to fire.
    pub(crate) fn wait(&mut self) {
        if !self.leads()
            && let Some(due) = self.core.deadline()
        {
            let left = due.since(self.clock).saturating_sub(Duration::from_micros(1));
            self.clock = self.clock + left.min(ELECTION_TIMEOUT);
        }
    }

    pub(crate) fn let_timers_fire(&mut self) -> Input {
        self.clock = self.clock + LONG;
        Input::Timeout
    }

    pub(crate) fn propose(&mut self, command: u8) {
        let said = self.core.propose(self.clock, vec![command].into());
        assert!(said.is_ok(), "a leader refuses: {said:?}");
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Raft, Time)) {
        change(&mut self.core, self.clock);
    }

    /// Everything that is pending becomes durable.
    pub(crate) fn sync(&mut self) -> Option<Input> {
        let mut last = None;
        for write in std::mem::take(&mut self.pending) {
            self.disk.perform(&write);
            last = Some(Input::Done(Done::Written(write.id)));
        }
        last
    }

    /// The payload of a slot rots while the node runs, and it notices.
    pub(crate) fn rot(&mut self, index: Index) -> Option<Input> {
        let slot = self.disk.entry(index)?.id;
        self.disk.damaged.insert(index);
        Some(Input::Done(Done::Damaged(slot)))
    }

    /// The state machine as it is becomes a checkpoint.
    pub(crate) fn checkpoint(&mut self) -> Option<Input> {
        let last = self.core.status().applied;
        let (members, members_at) = self.core.checkpoint(last)?;
        let meta =
            SnapshotMeta { last, members, members_at, bytes: 0, digest: Digest([0; 32]), state_hash: 0 };
        self.disk.snapshot = Some(meta.clone());
        Some(Input::Done(Done::SnapshotTaken(meta)))
    }

    /// Feeds an input, and does all that follows from it.
    pub(crate) fn handle(&mut self, input: Option<Input>, at_once: bool, lie: Lie) -> Vec<Envelope> {
        let mut inputs: VecDeque<Input> = input.into_iter().collect();
        let mut sent = Vec::new();
        loop {
            if let Some(input) = inputs.pop_front() {
                self.core.handle(self.clock, input);
            }
            while let Some(output) = self.core.poll() {
                self.perform(output, at_once, lie, &mut inputs, &mut sent);
            }
            if inputs.is_empty() {
                return sent;
            }
        }
    }

    fn perform(
        &mut self,
        output: Output,
        at_once: bool,
        lie: Lie,
        inputs: &mut VecDeque<Input>,
        sent: &mut Vec<Envelope>,
    ) {
        match output {
            Output::Send(envelope) => sent.push(envelope),
            Output::Job(Job::Write(write)) => {
                self.writes += 1;
                if at_once {
                    let before = self.disk.hard;
                    self.disk.perform(&write);
                    let forgets = lie == Lie::TermIsNotDurable && enters_a_term(&write);
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
            Output::Event(Event::GaveUp { .. }) => self.gave_up += 1,
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
                    self.disk.snapshot = Some(store.meta.clone());
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
