//! One core among others, driven by hand. What it asks of its disk and its state machine is done at once, unless a test
//! holds the disk; the others do and answer what a test says.

use quorate_raft::{
    Config, Contact, Done, Entry, Envelope, Event, Found, HardState, Index, Input, Job, LoadSnapshot, LogId,
    Members, Message, NodeId, Output, Payload, Raft, ReadId, Role, Term, TermRuns, Time, WriteId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) const ME: NodeId = NodeId(1);

pub(crate) struct Host {
    pub(crate) core: Raft,
    pub(crate) now: Time,
    /// What it has said and nobody has answered.
    pub(crate) sent: Vec<Envelope>,
    pub(crate) events: Vec<Event>,
    /// What it has handed to the state machine.
    pub(crate) applied: Vec<LogId>,
    /// Up to where it has let its log go.
    pub(crate) compacted: Option<Index>,
    /// The reads that may be served, in order.
    pub(crate) served: Vec<ReadId>,
    /// The pieces of snapshots it has asked its disk for. The disk takes its time.
    pub(crate) pieces: Vec<LoadSnapshot>,
    /// The lines of its trace.
    pub(crate) steps: Vec<String>,
    /// Writes wait.
    pub(crate) holds_disk: bool,
    issued: WriteId,
    log: BTreeMap<Index, Entry>,
    /// Who answers nothing.
    pub(crate) silent: BTreeSet<NodeId>,
    /// How far each of the others has the log.
    held: BTreeMap<NodeId, Index>,
}

pub(crate) fn members(voters: &[u128]) -> Members {
    let voters = voters.iter().copied().map(NodeId);
    Members {
        voters: voters.clone().collect(),
        contacts: voters.map(|id| (id, Contact::default())).collect(),
        ..Members::default()
    }
}

/// A log in term 1 that is made of configurations, one after the other.
pub(crate) fn found(configurations: &[Members]) -> Found {
    let mut terms = TermRuns::new(LogId::ZERO);
    let mut entries = Vec::new();
    for members in configurations {
        let id = LogId { term: Term(1), index: terms.last().index.next() };
        terms.push(id);
        entries.push(Entry { id, payload: Payload::Members(Box::new(members.clone())) });
    }
    Found { hard: HardState { term: Term(1), vote: None }, terms, members: entries, ..Found::default() }
}

impl Host {
    pub(crate) fn open(config: Config, found: Found) -> Self {
        let log = found.members.iter().map(|entry| (entry.id.index, entry.clone())).collect();
        let mut host = Host {
            core: Raft::open(config, found, Time(0)).unwrap(),
            now: Time(0),
            sent: Vec::new(),
            events: Vec::new(),
            applied: Vec::new(),
            compacted: None,
            served: Vec::new(),
            pieces: Vec::new(),
            steps: Vec::new(),
            holds_disk: false,
            issued: WriteId(0),
            log,
            silent: BTreeSet::new(),
            held: BTreeMap::new(),
        };
        host.drain();
        host
    }

    /// Leads these voters, with all committed, a heartbeat just sent and nothing on its way.
    pub(crate) fn leader(config: Config, voters: &[u128]) -> Self {
        let mut host = Host::open(config, found(&[members(voters)]));
        host.win();
        host.advance(50);
        host.answer();
        assert_eq!(host.core.status().commit, host.core.status().last.index);
        host.events.clear();
        host
    }

    /// Is elected.
    pub(crate) fn win(&mut self) {
        self.advance(1000);
        self.answer();
        assert_eq!(self.core.status().role, Role::Leader);
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn advance(&mut self, millis: u64) {
        self.advance_micros(millis * 1000);
    }

    pub(crate) fn advance_micros(&mut self, micros: u64) {
        self.now = self.now + Duration::from_micros(micros);
        self.input(Input::Timeout);
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.core.poll() {
            let input = match output {
                Output::Send(envelope) => {
                    self.sent.push(envelope);
                    continue;
                }
                Output::Event(event) => {
                    self.events.push(event);
                    continue;
                }
                Output::Job(Job::Write(write)) => {
                    self.issued = write.id;
                    self.compacted = write.compact_to.or(self.compacted);
                    self.log.retain(|index, _| write.truncate_from.is_none_or(|from| *index < from));
                    self.log.extend(write.append.into_iter().map(|entry| (entry.id.index, entry)));
                    if self.holds_disk {
                        continue;
                    }
                    Input::Done(Done::Written(write.id))
                }
                Output::Job(Job::Load(load)) => {
                    let entries = self.log.range(load.first..=load.last).map(|(_, entry)| entry.clone());
                    Input::Done(Done::Loaded { load, entries: entries.collect() })
                }
                Output::Apply(entries) => {
                    self.applied.extend(entries.iter().map(|entry| entry.id));
                    Input::Applied(self.applied.last().unwrap().index)
                }
                Output::Install(meta) => Input::Applied(meta.last.index),
                Output::Job(Job::LoadSnapshot(load)) => {
                    self.pieces.push(load);
                    continue;
                }
                Output::Read(ids) => {
                    self.served.extend(ids);
                    continue;
                }
                Output::Job(Job::StoreSnapshot(_)) => continue,
            };
            self.core.handle(self.now, input);
        }
        let steps = self.core.take_trace();
        self.steps.extend(steps.iter().map(ToString::to_string));
    }

    /// All that was issued is durable.
    pub(crate) fn release_disk(&mut self) {
        self.holds_disk = false;
        self.input(Input::Done(Done::Written(self.issued)));
    }

    pub(crate) fn hear_in(&mut self, from: u128, term: u64, message: Message) {
        self.input(Input::Message(Envelope { from: NodeId(from), to: ME, term: Term(term), message }));
    }

    /// Somebody speaks in the term that the core is in.
    pub(crate) fn hear(&mut self, from: u128, message: Message) {
        self.hear_in(from, self.core.status().term.0, message);
    }

    /// The others do what they are asked and say so, until nobody is asked anything. What was said is given.
    pub(crate) fn answer(&mut self) -> Vec<Envelope> {
        let mut said = Vec::new();
        while !self.sent.is_empty() {
            let sent = std::mem::take(&mut self.sent);
            for envelope in &sent {
                if self.silent.contains(&envelope.to) {
                    continue;
                }
                if let Some(message) = answer(&envelope.message, self.held.entry(envelope.to).or_default()) {
                    self.hear_in(envelope.to.0, envelope.term.0, message);
                }
            }
            said.extend(sent);
        }
        said
    }

    pub(crate) fn propose(&mut self, bytes: usize) -> LogId {
        let id = self.core.propose(self.now, vec![7; bytes].into()).unwrap();
        self.drain();
        id
    }

    /// Its complaints of what it was fed with; they are forgotten with that.
    pub(crate) fn complaints(&mut self) -> usize {
        let events = std::mem::take(&mut self.events);
        events.iter().filter(|event| matches!(event, Event::Nonsense { .. })).count()
    }
}

/// What a peer says that has the log up to `held`.
fn answer(message: &Message, held: &mut Index) -> Option<Message> {
    match message {
        Message::PreVote { .. } => Some(Message::PreVoteReply { granted: true }),
        Message::Vote { .. } => Some(Message::VoteReply { granted: true }),
        Message::Append { prev, entries, .. } => {
            let end = entries.last().map_or(prev.index, |entry| entry.id.index);
            *held = end.max(*held);
            Some(Message::Appended { matched: end })
        }
        Message::Heartbeat { round, .. } => {
            Some(Message::HeartbeatReply { round: *round, verified: *held, matched: *held, full: false })
        }
        _ => None,
    }
}
