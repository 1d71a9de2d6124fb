//! One core, opened on a disk that holds what a test says, and driven by hand.

use quorate_raft::{
    Config, Contact, Done, Entry, Envelope, Event, Found, HardState, Index, Input, Job, LogId, Members,
    Message, NodeId, Output, Payload, Raft, SnapshotMeta, Term, TermRuns, Time, Write,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Long enough that nobody is bound any more by what was before, and that no timer has fired.
pub(crate) const FREE: Time = Time(1_000_001);
/// After so long every timer has fired, that of a damaged node too.
pub(crate) const LATE: Time = Time(7_000_000);

/// A core and what it has said.
#[derive(Clone)]
pub(crate) struct Host {
    core: Raft,
    pub(crate) sent: Vec<Envelope>,
    pub(crate) writes: Vec<Write>,
    pub(crate) events: Vec<Event>,
}

/// A configuration of these nodes as voters and outgoing voters, and of no learners.
pub(crate) fn members(voters: &BTreeSet<NodeId>, outgoing: &BTreeSet<NodeId>) -> Members {
    let contacts = voters.union(outgoing).map(|id| (*id, Contact::default())).collect();
    Members { voters: voters.clone(), outgoing: outgoing.clone(), contacts, ..Members::default() }
}

/// A log that begins with a configuration, or with a checkpoint that carries it.
pub(crate) fn found(members: Members, base: LogId, slots: &[LogId]) -> Found {
    let mut terms = TermRuns::new(base);
    slots.iter().for_each(|slot| terms.push(*slot));
    let first = Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members.clone())) };
    let snapshot = (base != LogId::ZERO).then(|| SnapshotMeta {
        last: base,
        members,
        members_at: LogId::new(1, 1),
        bytes: 0,
        digest: quorate_raft::Digest::default(),
        state_hash: 0,
    });
    let hard = HardState { term: terms.last().term, vote: None };
    let entries = if snapshot.is_none() { vec![first] } else { Vec::new() };
    Found {
        hard,
        commit_hint: Index(1),
        snapshot,
        terms,
        members: entries,
        damaged: Vec::new(),
        unknown: None,
    }
}

impl Host {
    pub(crate) fn open(id: NodeId, found: Found) -> Self {
        let config = Config {
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_secs(1000),
            ..Config::new(id, 7)
        };
        let core = Raft::open(config, found, Time(0)).expect("what a test lays out can be opened");
        let mut host = Host { core, sent: Vec::new(), writes: Vec::new(), events: Vec::new() };
        host.feed(Time(0), Input::Timeout);
        host
    }

    /// Feeds an input. What follows from it is done at once, and what is written is durable at once.
    pub(crate) fn feed(&mut self, now: Time, input: Input) {
        self.feed_without_disk(now, input);
        self.sync(now);
    }

    /// The same, and what is written is not durable.
    pub(crate) fn feed_without_disk(&mut self, now: Time, input: Input) {
        self.core.handle(now, input);
        while let Some(output) = self.core.poll() {
            match output {
                Output::Send(envelope) => self.sent.push(envelope),
                Output::Job(Job::Write(write)) => self.writes.push(write),
                Output::Event(event) => self.events.push(event),
                Output::Apply(entries) => {
                    let last = entries.last().map_or(Index(0), |entry| entry.id.index);
                    self.core.handle(now, Input::Applied(last));
                }
                Output::Install(meta) => self.core.handle(now, Input::Applied(meta.last.index)),
                Output::Job(_) | Output::Read(_) => {}
            }
        }
    }

    /// All that was written is durable.
    pub(crate) fn sync(&mut self, now: Time) {
        let mut synced = None;
        while synced != self.writes.last().map(|write| write.id) {
            synced = self.writes.last().map(|write| write.id);
            if let Some(id) = synced {
                self.feed_without_disk(now, Input::Done(Done::Written(id)));
            }
        }
    }

    pub(crate) fn hear(&mut self, now: Time, from: u128, term: u64, message: Message) {
        self.feed(now, self.from(from, term, message));
    }

    pub(crate) fn from(&self, from: u128, term: u64, message: Message) -> Input {
        let to = self.core.status().id;
        Input::Message(Envelope { from: NodeId(from), to, term: Term(term), message })
    }

    pub(crate) fn term(&self) -> Term {
        self.core.status().term
    }

    pub(crate) fn last(&self) -> LogId {
        self.core.status().last
    }

    /// The name of its questions.
    pub(crate) fn nonce(&self) -> u64 {
        let nonce = self.sent.iter().rev().find_map(|envelope| match &envelope.message {
            Message::Ask { nonce, .. } => Some(*nonce),
            _ => None,
        });
        nonce.expect("a node that has lost something asks")
    }
}
