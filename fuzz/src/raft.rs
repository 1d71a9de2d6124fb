//! One Raft core among three, fed with anything.
//!
//! The data is a list of steps. What a step means depends on where the core stands (its term, its log, what it asked
//! for), so that sequences get far: into office, across conflicts, snapshots and damage. Peers lie; the disk says
//! nothing but the truth, for otherwise no promise could be kept. The core's own assertions judge it, and the few
//! promises that show from outside.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_raft::{
    Chunk, Config, Contact, Done, Entry, Envelope, HardState, Held, Index, Input, Job, Learner, LogId,
    Members, Message, NodeId, Output, Payload, Raft, ReadId, ReadMode, Report, SnapshotMeta, Term, Time,
};

#[path = "../../engine/raft/tests/harness/disk.rs"]
#[expect(dead_code, reason = "the core's own tests ask more of it")]
mod disk;

use disk::{Disk, digest};

const ME: NodeId = NodeId(1);

/// More than any rare state needs; without a bound the slowest input would be the longest.
const MOST_STEPS: usize = 400;

/// Takes the data for what peers, the disk and the clock do to one core.
pub fn raft_inputs(data: &[u8]) {
    let mut world = World::new();
    let mut bytes = Bytes(data);
    for _ in 0..MOST_STEPS {
        let Some(kind) = bytes.0.first().copied() else { return };
        bytes.next();
        world.step(kind, &mut bytes);
    }
}

/// The rest of the data; zeros after its end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }
}

struct World {
    raft: Raft,
    disk: Disk,
    now: Time,
    seed: u64,
    jobs: Vec<Job>,
    /// The last slot of each batch of entries, or of a snapshot, that the state machine has yet to take.
    to_apply: VecDeque<Index>,
    handed_over: Index,
    reads: u64,
    /// The names of its last questions: a peer that answers knows them.
    nonce: u64,
    /// The slot it last asked about.
    doubt: Option<LogId>,
    batch: u64,
}

/// Tiny windows and caches, so that little makes much happen.
fn config(seed: u64) -> Config {
    Config {
        append_bytes: 150,
        inflight_appends: 3,
        inflight_bytes: 300,
        uncommitted_bytes: 400,
        cache_bytes: 100,
        keep_entries: 2,
        chunk_bytes: 4,
        ..Config::new(ME, seed)
    }
}

fn members(ids: [u128; 3]) -> Members {
    let voters = ids.map(NodeId);
    Members {
        voters: voters.into(),
        contacts: voters.map(|id| (id, Contact::default())).into(),
        ..Members::default()
    }
}

impl World {
    fn new() -> Self {
        let first = Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members([1, 2, 3]))) };
        let disk = Disk::with_log(HardState { term: Term(1), vote: None }, vec![first]);
        let raft = Raft::open(config(1), disk.found(), Time(0)).expect("a log of one entry opens");
        let mut world = World {
            raft,
            disk,
            now: Time(0),
            seed: 1,
            jobs: Vec::new(),
            to_apply: VecDeque::new(),
            handed_over: Index(0),
            reads: 0,
            nonce: 0,
            doubt: None,
            batch: 0,
        };
        world.drain();
        world
    }

    fn step(&mut self, kind: u8, bytes: &mut Bytes<'_>) {
        match kind % 32 {
            0..=11 => self.say(bytes),
            12 => self.advance(u64::from(bytes.next()) * 5),
            13..=15 => self.elect(),
            16..=18 => {
                // Refusals are fine.
                let _ = self.raft.propose(self.now, vec![1; usize::from(bytes.next() % 60)].into());
                self.drain();
            }
            19 => {
                self.reads += 1;
                let mode = if self.reads.is_multiple_of(2) { ReadMode::Lease } else { ReadMode::Quorum };
                let _ = self.raft.read(self.now, ReadId(self.reads), mode);
                self.drain();
            }
            20 => self.change(bytes),
            21..=23 => self.finish_writes(bytes.next() % 5),
            24 | 25 => self.answer_jobs(),
            26 | 27 => self.finish_applying(),
            28 => self.checkpoint(),
            29 => self.damage(bytes.next()),
            30 => self.crash(bytes.next()),
            _ => self.input(Input::Unreachable(NodeId(u128::from(bytes.next() % 4)))),
        }
    }

    fn input(&mut self, input: Input) {
        self.raft.handle(self.now, input);
        self.drain();
        let deadline = self.raft.deadline();
        assert!(deadline.is_none_or(|at| at > self.now), "{deadline:?} has passed at {}", self.now);
    }

    fn drain(&mut self) {
        while let Some(output) = self.raft.poll() {
            match output {
                Output::Send(envelope) => self.sent(&envelope),
                Output::Job(Job::Write(write)) => self.disk.issue(write),
                Output::Job(job) => {
                    if let Job::Load(load) = &job {
                        assert!(self.disk.has_written(load.last), "{load:?} of what is not durable");
                    }
                    self.jobs.push(job);
                }
                Output::Apply(entries) => {
                    for entry in &entries {
                        assert_eq!(entry.id.index, self.handed_over.next(), "applies with a gap");
                        self.handed_over = entry.id.index;
                    }
                    self.to_apply.push_back(self.handed_over);
                }
                Output::Install(meta) => {
                    assert!(meta.last.index >= self.handed_over, "the state machine goes back");
                    self.handed_over = meta.last.index;
                    self.to_apply.push_back(meta.last.index);
                }
                Output::Read(_) | Output::Event(_) => {}
            }
        }
        assert_eq!(self.raft.status().last, self.disk.issued.last(), "the log is not what was written");
    }

    /// Nothing is promised that is not durable.
    fn sent(&mut self, envelope: &Envelope) {
        assert!(envelope.from == ME && envelope.to != ME, "{envelope:?}");
        let durable = self.disk.hard;
        match &envelope.message {
            Message::PreVote { .. } | Message::PreVoteReply { granted: true } => return,
            Message::VoteReply { granted: true } => {
                assert_eq!(durable, HardState { term: envelope.term, vote: Some(envelope.to) });
            }
            Message::Appended { matched } | Message::HeartbeatReply { matched, .. } => {
                assert!(self.disk.has_written(*matched), "acknowledges {matched}, which is not durable");
            }
            Message::Ask { nonce, doubt, .. } => (self.nonce, self.doubt) = (*nonce, *doubt),
            Message::ReadIndex { batch, .. } => self.batch = *batch,
            _ => {}
        }
        assert!(envelope.term <= durable.term, "{envelope:?} with {durable:?} durable");
    }

    /// An index that is worth trying: an end of something, or near one, or absurd.
    fn index(&self, raw: u8) -> Index {
        let status = self.raft.status();
        let (commit, last, base) = (status.commit.0, status.last.index.0, self.disk.issued.base.index.0);
        let choices = [0, base, base + 1, commit, commit + 1, last, last + 1, last + 3, raw.into()];
        match usize::from(raw % 16) {
            10.. if raw > 240 => Index(u64::MAX - u64::from(raw % 3)),
            choice => Index(choices.get(choice).copied().unwrap_or(last.saturating_sub(raw as u64 % 3))),
        }
    }

    fn term(&self, raw: u8) -> Term {
        let term = self.raft.status().term.0;
        Term(match raw % 16 {
            0..=9 => term,
            10 | 11 => term + 1,
            12 => term + 2,
            13 | 14 => term.saturating_sub(1),
            _ => u64::MAX - u64::from(raw % 2),
        })
    }

    /// Mostly what the log holds there.
    fn id(&self, index: u8, term: u8) -> LogId {
        let index = self.index(index);
        let held = self.disk.issued.id(index).filter(|_| !term.is_multiple_of(4));
        held.unwrap_or(LogId { term: self.term(term), index })
    }

    fn entries(&self, prev: LogId, bytes: &mut Bytes<'_>) -> Vec<Entry> {
        let mut id = prev;
        let mut entries = Vec::new();
        for _ in 0..bytes.next() % 4 {
            let raw = bytes.next();
            let rises = raw.is_multiple_of(2);
            let term = if rises { self.raft.status().term.max(prev.term) } else { id.term };
            id = LogId { term, index: Index(id.index.0.wrapping_add(1)) };
            if raw == 77 {
                id.term = self.term(bytes.next());
            }
            let payload = match raw % 8 {
                0 => Payload::Members(Box::new(members([1, 2, 3]))),
                1 => Payload::Members(Box::new(members([2, 3, 4]))),
                2 => Payload::Members(Box::default()),
                3 => Payload::Noop,
                _ => Payload::Command(vec![raw; usize::from(raw % 60)].into()),
            };
            entries.push(Entry { id, payload });
        }
        entries
    }

    fn snapshot(&self, bytes: &mut Bytes<'_>) -> Message {
        let (first, second, kind) = (bytes.next(), bytes.next(), bytes.next());
        let content = [second; 6];
        let last = self.id(first, second);
        let members = if kind % 8 == 7 { Members::default() } else { members([1, 2, 3]) };
        let members_at = if kind.is_multiple_of(4) { last } else { LogId::new(1, 1) };
        let meta =
            SnapshotMeta { last, members, members_at, bytes: 6, digest: digest(&content), state_hash: 0 };
        let offset = [0, 0, 3, u64::MAX][usize::from(kind / 8 % 4)];
        let data = &content[..if offset == 0 { 6 } else { 3 }];
        let chunk = Chunk { offset, data: data.into(), done: !kind.is_multiple_of(3) };
        Message::Snapshot { meta: Box::new(meta), chunk }
    }

    fn message(&self, kind: u8, bytes: &mut Bytes<'_>) -> Message {
        let (first, second) = (bytes.next(), bytes.next());
        let id = self.id(first, second);
        let (low, high) = (self.index(first), self.index(second));
        let granted = !first.is_multiple_of(4);
        match kind % 20 {
            0 => Message::PreVote { last: id },
            1 => Message::PreVoteReply { granted },
            2 => Message::Vote { last: id, transfer: second.is_multiple_of(4) },
            3 => Message::VoteReply { granted },
            4..=8 => Message::Append { prev: id, entries: self.entries(id, bytes), commit: high },
            10 if second.is_multiple_of(8) => Message::TimeoutNow,
            9 | 10 => Message::Appended { matched: low },
            11 => Message::Conflict { prev: id, hint: self.id(second, first) },
            12 => Message::Heartbeat { round: first.into(), commit: high },
            13 => {
                let full = second.is_multiple_of(5);
                Message::HeartbeatReply { round: (first % 8).into(), verified: low, matched: high, full }
            }
            14 => Message::ReadIndex { batch: first.into(), lease: second.is_multiple_of(2) },
            15 => Message::ReadIndexReply { batch: self.batch, index: high },
            16 => self.snapshot(bytes),
            17 => Message::SnapshotReply { last: id, next: high.0 },
            18 => {
                let sound = self.index(bytes.next());
                Message::Ask { nonce: 9, first: low, last: high, sound, doubt: granted.then_some(id) }
            }
            _ => {
                let leads_to = granted.then_some(id);
                let held = if second.is_multiple_of(4) { Held::Damaged } else { Held::Never };
                let report = self.doubt.map(|slot| Report { slot, held, bound: second.is_multiple_of(8) });
                // What is said to be committed is not checked by anybody, as little as with a leader.
                let committed = if second.is_multiple_of(5) { id } else { LogId::ZERO };
                Message::Tell {
                    nonce: self.nonce,
                    entries: self.entries(id, bytes),
                    leads_to,
                    committed,
                    report,
                }
            }
        }
    }

    fn say(&mut self, bytes: &mut Bytes<'_>) {
        let (kind, who, term) = (bytes.next(), bytes.next(), bytes.next());
        let from = NodeId([2, 2, 2, 3, 3, 3, 4, 1][usize::from(who % 8)]);
        let to = if who == 255 { NodeId(2) } else { ME };
        let envelope = Envelope { from, to, term: self.term(term), message: self.message(kind, bytes) };
        self.input(Input::Message(envelope));
    }

    /// Everything that takes to win an election, when the core runs at all.
    fn elect(&mut self) {
        self.finish_writes(9);
        self.advance(1000);
        let wins = [(Message::PreVoteReply { granted: true }, 1), (Message::VoteReply { granted: true }, 0)];
        for (message, ahead) in wins {
            for from in [2, 3].map(NodeId) {
                let term = Term(self.raft.status().term.0 + ahead);
                self.input(Input::Message(Envelope { from, to: ME, term, message: message.clone() }));
            }
            self.finish_writes(9);
        }
    }

    fn advance(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
        self.input(Input::Timeout);
    }

    fn finish_writes(&mut self, count: u8) {
        for _ in 0..count {
            let Some(write) = self.disk.finish_one() else { return };
            self.input(Input::Done(Done::Written(write)));
        }
    }

    fn answer_jobs(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            let answers = match job {
                Job::Load(load) => self.disk.load(load),
                Job::LoadSnapshot(load) => vec![self.disk.load_snapshot(load)],
                Job::StoreSnapshot(store) => vec![self.disk.store_snapshot(store)],
                Job::Write(_) => unreachable!("writes are kept apart"),
            };
            answers.into_iter().for_each(|done| self.input(Input::Done(done)));
        }
    }

    fn finish_applying(&mut self) {
        while let Some(last) = self.to_apply.pop_front() {
            self.input(Input::Applied(last));
        }
    }

    fn checkpoint(&mut self) {
        let last = self.raft.status().applied;
        let Some((members, members_at)) = self.raft.checkpoint(last).filter(|_| self.to_apply.is_empty())
        else {
            return;
        };
        let content = vec![7; 6];
        let meta =
            SnapshotMeta { last, members, members_at, bytes: 6, digest: digest(&content), state_hash: 0 };
        self.disk.keep_snapshot(meta.clone(), content);
        self.input(Input::Done(Done::SnapshotTaken(Box::new(meta))));
    }

    fn damage(&mut self, raw: u8) {
        let index = self.index(raw);
        let log = &self.disk.log;
        if index > log.base.index && index <= log.last().index {
            let slot = self.disk.damage(index);
            self.input(Input::Done(Done::Damaged(slot)));
        }
    }

    /// Loses what was not yet durable, but for a few writes, and begins anew.
    fn crash(&mut self, keep: u8) {
        self.disk.crash(usize::from(keep % 4).min(self.disk.pending.len()));
        self.jobs.clear();
        self.to_apply.clear();
        self.handed_over = Index(0);
        self.seed += 1;
        self.raft = Raft::open(config(self.seed), self.disk.found(), self.now).expect("what it wrote opens");
        self.drain();
        self.input(Input::Timeout);
    }

    fn change(&mut self, bytes: &mut Bytes<'_>) {
        let (kind, id) = (bytes.next(), NodeId(u128::from(bytes.next() % 7)));
        let current = self.raft.status().members.clone();
        let target = match kind % 8 {
            0 => current.with_learner(id, Learner::Joining, Contact::default()),
            1 => current.with_learner(id, Learner::Standing, Contact::default()),
            2 => Members { outgoing: current.voters.clone(), ..current },
            4 => members([1, 2, id.0]),
            5 => members([3, 4, id.0]),
            6 => {
                let _ = self.raft.remove(self.now, id);
                return self.drain();
            }
            7 => {
                let _ = self.raft.transfer(self.now, (id.0 > 0).then_some(id));
                return self.drain();
            }
            _ => {
                let _ = self.raft.promote(self.now, id);
                return self.drain();
            }
        };
        let _ = self.raft.change_members(self.now, target);
        self.drain();
    }
}
