//! One core among three is fed with anything: messages that no sane peer would send, answers that no sane disk
//! would give, crashes at any point. It must not panic, and must keep every promise that is its own.
//!
//! What a step means depends on where the core stands (its term, its log, what it asked for), so that sequences
//! get far: into office, across conflicts, snapshots and damage. Peers lie; the disk may say nonsense, but never
//! that a write is done which is not, for then no promise could be kept.

use crate::cases;
use crate::disk::{Disk, digest};
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_raft::{
    Chunk, Config, Contact, Done, Entry, Envelope, HardState, Held, Index, Input, Job, Learner, LogId,
    Members, Message, NodeId, Output, Payload, Raft, ReadId, ReadMode, Report, SnapshotMeta, Term, Time,
    WriteId,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const ME: NodeId = NodeId(1);

/// Raw numbers, given a meaning by where the core stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw {
    pub(crate) kind: u8,
    pub(crate) from: u8,
    pub(crate) term: u8,
    pub(crate) first: u8,
    pub(crate) second: u8,
    pub(crate) count: u8,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Say(Raw),
    Advance {
        millis: u16,
    },
    /// Everything that takes to win an election, when the core runs at all.
    Elect,
    Propose {
        bytes: u8,
    },
    Read,
    Change {
        kind: u8,
        node: u8,
    },
    Transfer {
        to: u8,
    },
    Finish {
        writes: u8,
    },
    AnswerJobs,
    FinishApplying,
    Checkpoint,
    Damage {
        slot: u8,
    },
    DiskSays(Raw),
    Crash {
        keep: u8,
    },
    Unreachable {
        peer: u8,
    },
}

fn raw() -> impl Strategy<Value = Raw> {
    (0..15_u8, 0..8_u8, any::<u8>(), any::<u8>(), any::<u8>(), 0..4_u8)
        .prop_map(|(kind, from, term, first, second, count)| Raw { kind, from, term, first, second, count })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => raw().prop_map(Step::Say),
        3 => (0..1200_u16).prop_map(|millis| Step::Advance { millis }),
        4 => Just(Step::Elect),
        5 => (0..60_u8).prop_map(|bytes| Step::Propose { bytes }),
        2 => Just(Step::Read),
        3 => (any::<u8>(), 1..7_u8).prop_map(|(kind, node)| Step::Change { kind, node }),
        2 => (0..5_u8).prop_map(|to| Step::Transfer { to }),
        6 => (0..5_u8).prop_map(|writes| Step::Finish { writes }),
        4 => Just(Step::AnswerJobs),
        4 => Just(Step::FinishApplying),
        3 => Just(Step::Checkpoint),
        2 => any::<u8>().prop_map(|slot| Step::Damage { slot }),
        2 => raw().prop_map(Step::DiskSays),
        1 => (0..4_u8).prop_map(|keep| Step::Crash { keep }),
        1 => (1..4_u8).prop_map(|peer| Step::Unreachable { peer }),
    ]
}

pub(crate) struct World {
    pub(crate) raft: Raft,
    /// All it put out in the last step.
    pub(crate) said: Vec<Output>,
    disk: Disk,
    now: Time,
    seed: u64,
    jobs: Vec<Job>,
    to_apply: VecDeque<Output>,
    handed_over: Index,
    reads: u64,
    /// The names of its last questions: a peer that answers knows them.
    nonce: u64,
    /// The slot it last asked about.
    doubt: Option<LogId>,
    batch: u64,
    votes: BTreeMap<Term, NodeId>,
    /// When each heartbeat was first said: an answer to it promises to elect nobody else for a while.
    beats: BTreeMap<(NodeId, Term, u64), Time>,
    promised_until: Time,
    /// Calls to vote that the leader itself wanted.
    by_transfer: BTreeSet<(NodeId, Term)>,
    /// What is known to be committed. A crash forgets it: the copies it stood on may be lies.
    committed: BTreeMap<Index, LogId>,
}

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

fn members(ids: &[u128]) -> Members {
    let voters = ids.iter().copied().map(NodeId);
    Members {
        voters: voters.clone().collect(),
        contacts: voters.map(|id| (id, Contact::default())).collect(),
        ..Members::default()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let first = Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members(&[1, 2, 3]))) };
        let disk = Disk::with_log(HardState { term: Term(1), vote: None }, vec![first]);
        let raft = Raft::open(config(1), disk.found(), Time(0)).unwrap();
        let mut world = World {
            raft,
            said: Vec::new(),
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
            votes: BTreeMap::new(),
            beats: BTreeMap::new(),
            promised_until: Time(0) + config(1).election_timeout,
            by_transfer: BTreeSet::new(),
            committed: BTreeMap::new(),
        };
        world.drain();
        world
    }

    fn input(&mut self, input: Input) {
        self.raft.handle(self.now, input);
        self.drain();
        let deadline = self.raft.deadline();
        assert!(
            deadline.is_none_or(|at| at > self.now),
            "a deadline has passed: {deadline:?} at {}",
            self.now
        );
    }

    fn drain(&mut self) {
        while let Some(output) = self.raft.poll() {
            self.said.push(output.clone());
            match output {
                Output::Send(envelope) => self.sent(&envelope),
                Output::Job(Job::Write(write)) => {
                    if let Some(hard) = write.hard {
                        self.check_hard(hard);
                    }
                    if let Some(from) = write.truncate_from {
                        let end = self.committed.keys().next_back().copied().unwrap_or_default();
                        assert!(from > end, "truncates from {from} with {end} committed");
                    }
                    self.disk.issue(write);
                }
                Output::Job(job) => {
                    if let Job::Load(load) = &job {
                        assert!(self.disk.has_written(load.last), "{load:?} of what is not durable");
                    }
                    self.jobs.push(job);
                }
                Output::Apply(entries) => {
                    assert_eq!(entries[0].id.index, self.handed_over.next(), "applies with a gap");
                    self.handed_over = entries[entries.len() - 1].id.index;
                    self.to_apply.push_back(Output::Apply(entries));
                }
                Output::Install(meta) => {
                    assert!(meta.last.index >= self.handed_over, "the state machine goes back");
                    self.handed_over = meta.last.index;
                    self.to_apply.push_back(Output::Install(meta));
                }
                Output::Read(_) | Output::Event(_) => {}
            }
        }
        self.check();
    }

    /// One vote a term, and none against a promise; the term only grows. What was given before a promise stands.
    fn check_hard(&mut self, hard: HardState) {
        let highest = self.votes.keys().next_back().copied().unwrap_or_default();
        assert!(hard.term >= highest && hard.term >= self.disk.hard.term, "the term goes back: {hard:?}");
        let durable = self.disk.hard;
        assert!(hard.term > durable.term || durable.vote.is_none() || durable.vote == hard.vote);
        if let Some(to) = hard.vote.filter(|to| *to != ME && hard != durable) {
            let free = self.by_transfer.contains(&(to, hard.term));
            assert!(free || self.now >= self.promised_until, "votes, and promised not to: {hard:?}");
        }
    }

    /// Nothing is promised that is not durable.
    fn sent(&mut self, envelope: &Envelope) {
        assert!(envelope.from == ME && envelope.to != ME, "{envelope:?}");
        let durable = self.disk.hard;
        match &envelope.message {
            Message::PreVote { .. } | Message::PreVoteReply { granted: true } => return,
            Message::VoteReply { granted: true } => {
                assert_eq!(durable, HardState { term: envelope.term, vote: Some(envelope.to) });
                let first = *self.votes.entry(envelope.term).or_insert(envelope.to);
                assert_eq!(first, envelope.to, "votes twice in term {}", envelope.term);
            }
            Message::Appended { matched } | Message::HeartbeatReply { matched, .. } => {
                assert!(self.disk.has_written(*matched), "acknowledges {matched}, which is not durable");
            }
            Message::Ask { nonce, doubt, .. } => (self.nonce, self.doubt) = (*nonce, *doubt),
            Message::ReadIndex { batch, .. } => self.batch = *batch,
            _ => {}
        }
        if let Message::HeartbeatReply { round, .. } = &envelope.message
            && let Some(at) = self.beats.get(&(envelope.to, envelope.term, *round))
        {
            self.promised_until = self.promised_until.max(*at + config(1).election_timeout);
        }
        assert!(envelope.term <= durable.term, "{envelope:?} with {durable:?} durable");
    }

    fn check(&mut self) {
        let status = self.raft.status();
        assert!(status.applied.index <= status.commit && status.commit <= status.last.index);
        assert_eq!(status.last, self.disk.issued.last(), "the log is not what was written");
        for index in (1..=status.commit.0).map(Index) {
            if let Some(id) = self.disk.issued.id(index) {
                let first = *self.committed.entry(index).or_insert(id);
                assert_eq!(first, id, "what is committed changes");
            }
        }
    }

    /// An index that is worth trying: an end of something, or near one, or absurd.
    fn index(&self, raw: u8) -> Index {
        let status = self.raft.status();
        let (commit, last, base) = (status.commit.0, status.last.index.0, self.disk.issued.base.index.0);
        Index(match raw % 16 {
            0 => 0,
            1 => base,
            2 => base + 1,
            3 => commit,
            4 => commit + 1,
            5 => commit.saturating_sub(1),
            6..=8 => last,
            9 => last + 1,
            10 => last + 3,
            11 => last.saturating_sub(1),
            12 => last.saturating_sub(2),
            13 => self.disk.log.last().index.0,
            14 => u64::from(raw),
            _ => u64::MAX - u64::from(raw % 3),
        })
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

    fn entries(&self, prev: LogId, raw: Raw) -> Vec<Entry> {
        let mut id = prev;
        let mut entries = Vec::new();
        for count in 0..raw.count {
            let rises = (raw.second >> count) & 1 == 1;
            let term = if rises { self.raft.status().term.max(prev.term) } else { id.term };
            id = LogId { term, index: Index(id.index.0.wrapping_add(1)) };
            if raw.second == 77 {
                id.term = self.term(raw.term);
            }
            let payload = match raw.second % 7 {
                0 => Payload::Members(Box::new(members(&[1, 2, 3]))),
                1 => Payload::Members(Box::new(members(&[2, 3, 4]))),
                6 if raw.count > 1 => {
                    Payload::Members(Box::new(members(&[1, 2, 3]).joint_to(&members(&[2, 4, 5]))))
                }
                2 => Payload::Members(Box::default()),
                3 => Payload::Noop,
                _ => Payload::Command(vec![raw.second; usize::from(raw.first % 60)].into()),
            };
            entries.push(Entry { id, payload });
        }
        entries
    }

    fn snapshot(&self, raw: Raw) -> SnapshotMeta {
        let last = self.id(raw.first, raw.second);
        let members_at = if raw.count == 3 { last } else { LogId::new(1, 1) };
        let content = [raw.second; 6];
        let members = match raw.second % 9 {
            8 => Members::default(),
            7 => members(&[2, 3, 4]),
            _ => members(&[1, 2, 3]),
        };
        SnapshotMeta { last, members, members_at, bytes: 6, digest: digest(&content), state_hash: 0 }
    }

    fn message(&self, raw: Raw) -> Message {
        let (first, second) = (self.index(raw.first), self.index(raw.second));
        let id = self.id(raw.first, raw.second);
        let granted = !raw.first.is_multiple_of(4);
        match raw.kind {
            0 => Message::PreVote { last: id },
            1 => Message::PreVoteReply { granted },
            2 => Message::Vote { last: id, transfer: raw.count > 2 },
            3 => Message::VoteReply { granted },
            4..=6 => Message::Append { prev: id, entries: self.entries(id, raw), commit: second },
            7 => Message::Appended { matched: first },
            8 => Message::Conflict { prev: id, hint: self.id(raw.second, raw.first) },
            9 => Message::Heartbeat { round: u64::from(raw.first), commit: second },
            10 => {
                let round = if raw.count == 0 { u64::MAX } else { u64::from(raw.count) };
                Message::HeartbeatReply { round, verified: first, matched: second, full: raw.count > 2 }
            }
            11 if raw.count > 1 => Message::ReadIndex { batch: u64::from(raw.first), lease: raw.count > 2 },
            11 => Message::ReadIndexReply { batch: self.batch, index: second },
            12 => {
                let offset = [0, 0, 3, u64::MAX][usize::from(raw.count)];
                let data: Vec<u8> = vec![raw.second; if offset == 0 { 6 } else { 3 }];
                let chunk = Chunk { offset, data: data.into(), done: raw.first.is_multiple_of(2) };
                Message::Snapshot { meta: Box::new(self.snapshot(raw)), chunk }
            }
            13 if raw.count > 1 => Message::SnapshotReply { last: id, next: second.0 },
            13 => {
                Message::Ask { nonce: 9, first, last: second, sound: self.index(raw.term), doubt: Some(id) }
            }
            14 if raw.count > 2 => Message::TimeoutNow,
            _ => {
                let leads_to = (raw.count > 1).then_some(id);
                let held = if raw.second.is_multiple_of(4) { Held::Damaged } else { Held::Never };
                let report = self.doubt.map(|slot| Report { slot, held, bound: raw.term > 200 });
                let committed = if raw.count == 3 { id } else { LogId::ZERO };
                Message::Tell {
                    nonce: self.nonce,
                    entries: self.entries(id, raw),
                    leads_to,
                    committed,
                    report,
                }
            }
        }
    }

    fn say(&mut self, raw: Raw) {
        let from = NodeId([2, 2, 2, 3, 3, 3, 4, 1][usize::from(raw.from)]);
        let to = if raw.term == 99 { NodeId(2) } else { ME };
        let envelope = Envelope { from, to, term: self.term(raw.term), message: self.message(raw) };
        match &envelope.message {
            Message::Heartbeat { round, .. } => {
                self.beats.entry((from, envelope.term, *round)).or_insert(self.now);
            }
            Message::Vote { transfer: true, .. } => {
                self.by_transfer.insert((from, envelope.term));
            }
            _ => {}
        }
        self.input(Input::Message(envelope));
    }

    fn elect(&mut self) {
        self.finish_writes(9);
        self.advance(1000);
        for (wins, ahead) in
            [(Message::PreVoteReply { granted: true }, 1), (Message::VoteReply { granted: true }, 0)]
        {
            for from in [2, 3, 4, 5].map(NodeId) {
                let term = Term(self.raft.status().term.0 + ahead);
                self.input(Input::Message(Envelope { from, to: ME, term, message: wins.clone() }));
            }
            self.finish_writes(9);
        }
    }

    fn advance(&mut self, millis: u16) {
        self.now = self.now + Duration::from_millis(millis.into());
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
        while let Some(output) = self.to_apply.pop_front() {
            let last = match output {
                Output::Apply(entries) => entries[entries.len() - 1].id.index,
                Output::Install(meta) => meta.last.index,
                _ => unreachable!("only applies and installs wait"),
            };
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

    /// Answers to nothing. A write that is not done is never said to be.
    fn disk_says(&mut self, raw: Raw) {
        let id = self.id(raw.first, raw.second);
        let reader = quorate_raft::Reader::Peer(NodeId(2));
        let (first, last) = (self.index(raw.first), self.index(raw.second));
        let done = match raw.kind % 7 {
            0 => Done::Written(WriteId(u64::MAX)),
            1 => Done::Loaded {
                load: quorate_raft::Load { reader, first, last, bytes: 9 },
                entries: self.entries(id, raw),
            },
            2 => Done::Loaded {
                load: quorate_raft::Load { reader: quorate_raft::Reader::Apply, first, last, bytes: 9 },
                entries: self.entries(id, raw),
            },
            3 => Done::SnapshotLoaded {
                load: quorate_raft::LoadSnapshot { reader, last: id, offset: 0, bytes: 4 },
                chunk: None,
            },
            4 => Done::SnapshotStored {
                meta: Box::new(SnapshotMeta { last: LogId::new(0, 3), ..self.snapshot(raw) }),
                next: 0,
                complete: true,
            },
            5 => Done::SnapshotTaken(Box::new(SnapshotMeta {
                last: LogId { term: id.term, index: Index(id.index.0.saturating_add(1 << 40)) },
                ..self.snapshot(raw)
            })),
            _ => return self.input(Input::Applied(Index(u64::MAX))),
        };
        self.input(Input::Done(done));
    }

    fn crash(&mut self, keep: u8) {
        self.disk.crash(usize::from(keep).min(self.disk.pending.len()));
        self.jobs.clear();
        self.to_apply.clear();
        self.committed.clear();
        self.handed_over = Index(0);
        self.seed += 1;
        self.promised_until = self.now + config(1).election_timeout;
        self.raft = Raft::open(config(self.seed), self.disk.found(), self.now).unwrap();
        self.drain();
        self.input(Input::Timeout);
    }

    pub(crate) fn perform(&mut self, step: Step) {
        self.said.clear();
        match step {
            Step::Say(raw) => self.say(raw),
            Step::Advance { millis } => self.advance(millis),
            Step::Elect => self.elect(),
            Step::Propose { bytes } => {
                // Refusals are fine.
                let _ = self.raft.propose(self.now, vec![1; bytes.into()].into());
                self.drain();
            }
            Step::Read => {
                self.reads += 1;
                let mode = if self.reads.is_multiple_of(2) { ReadMode::Quorum } else { ReadMode::Lease };
                self.raft.read(self.now, ReadId(self.reads), mode).unwrap();
                self.drain();
            }
            Step::Change { kind, node } => self.change(kind, node),
            Step::Transfer { to } => {
                let to = (to > 0).then_some(NodeId(to.into()));
                let _ = self.raft.transfer(self.now, to);
                self.drain();
            }
            Step::Finish { writes } => self.finish_writes(writes),
            Step::AnswerJobs => self.answer_jobs(),
            Step::FinishApplying => self.finish_applying(),
            Step::Checkpoint => self.checkpoint(),
            Step::Damage { slot } => self.damage(slot),
            Step::DiskSays(raw) => self.disk_says(raw),
            Step::Crash { keep } => self.crash(keep),
            Step::Unreachable { peer } => self.input(Input::Unreachable(NodeId(peer.into()))),
        }
    }

    fn change(&mut self, kind: u8, node: u8) {
        let id = NodeId(node.into());
        let current = self.raft.status().members.clone();
        let target = match kind % 7 {
            0 => current.with_learner(id, Learner::Joining, Contact::default()),
            1 => current.with_learner(id, Learner::Standing, Contact::default()),
            2 => Members { outgoing: current.voters.clone(), ..current },
            // Any voters among those whom the core can have heard, itself perhaps not among them.
            3 | 4 => {
                let voters: Vec<u128> = (1..6).filter(|id| (kind ^ node) >> id & 1 == 1).collect();
                members(&voters)
            }
            5 => {
                let _ = self.raft.remove(self.now, id);
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

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn nothing_it_is_fed_makes_a_core_panic_or_break_a_promise(steps in vec(step(), 1..300)) {
        let mut world = World::new();
        for step in steps {
            world.perform(step);
        }
    }
}
