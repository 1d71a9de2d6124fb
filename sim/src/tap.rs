//! From what goes into a node and comes out of it to observations.

use std::sync::Arc;

use quorate_node::raft::{Done, Entry, Envelope, Index, Job, LogId, Message, Payload, Role, Write};
use quorate_node::{Input, Node, Output, ReadLevel, Reply, Request, RequestId};

use crate::observe::{
    Configuration, FoundLog, LogWrite, MessageKind, Observation, Said, Stand, Steps, Wanted, digest,
};
use crate::plan::Host;

/// Looks over one node's shoulder, for one life of it.
#[derive(Debug)]
pub(crate) struct Tap {
    host: Host,
    stand: Option<Stand>,
    members_at: Option<LogId>,
    applied: Index,
    /// Reads of this turn that a lease is enough for.
    lease_reads: Vec<RequestId>,
    /// One of them is answered.
    served: bool,
}

impl Tap {
    pub(crate) fn new(host: Host) -> Self {
        Tap { host, stand: None, members_at: None, applied: Index(0), lease_reads: Vec::new(), served: false }
    }

    pub(crate) fn input(&mut self, input: &Input) -> Option<Observation> {
        let host = self.host;
        match input {
            Input::Message(envelope) => {
                Some(Observation::Received { from: host_of(envelope.from.0), to: host, said: said(envelope) })
            }
            Input::Done(Done::Written(write)) => Some(Observation::Durable { host, write: write.0 }),
            Input::Done(Done::SnapshotStored { meta, complete: true, .. }) => {
                Some(Observation::Stored { host, last: meta.last })
            }
            Input::Request { id, request: Request::Read { level: ReadLevel::Lease, .. } } => {
                self.lease_reads.push(*id);
                None
            }
            Input::Done(Done::SnapshotTaken(meta)) => Some(Observation::Stored { host, last: meta.last }),
            _ => None,
        }
    }

    pub(crate) fn output(&mut self, output: &Output) -> Option<Observation> {
        let host = self.host;
        match output {
            Output::Send(envelope) => {
                Some(Observation::Sent { from: host, to: host_of(envelope.to.0), said: said(envelope) })
            }
            Output::Job(Job::Write(write)) => Some(Observation::Writes { host, write: log_write(write) }),
            Output::Reply { id, reply: Reply::Read { .. } } => {
                self.served |= self.lease_reads.contains(id);
                None
            }
            Output::Event(event) => Some(Observation::Event { host, event: event.clone() }),
            _ => None,
        }
    }

    /// What has changed by a turn.
    pub(crate) fn turned(&mut self, node: &mut Node, mut tell: impl FnMut(Observation)) {
        let steps = node.take_trace();
        if !steps.is_empty() {
            tell(Observation::Traced { host: self.host, steps: Steps(steps) });
        }
        self.stands(node, tell);
    }

    /// How the node stands after a turn, as far as that has changed.
    pub(crate) fn stands(&mut self, node: &Node, mut tell: impl FnMut(Observation)) {
        let (host, status) = (self.host, node.raft().status());
        if self.members_at != Some(status.members_at) {
            self.members_at = Some(status.members_at);
            tell(Observation::Members {
                host,
                at: status.members_at,
                voters: status.members.voters.iter().copied().collect(),
                outgoing: status.members.outgoing.iter().copied().collect(),
            });
        }
        let stand = Stand {
            role: status.role,
            term: status.term,
            leader: status.leader,
            commit: status.commit,
            last: status.last,
            damaged: status.damaged,
        };
        if self.stand != Some(stand) {
            self.stand = Some(stand);
            tell(Observation::Stands { host, stand });
        }
        self.lease_reads.clear();
        // Whoever has others to ask hears of them in a later turn at the earliest.
        let has_others = status.members.voters.len() > 1;
        if std::mem::take(&mut self.served) && has_others && status.role == Role::Leader {
            tell(Observation::ServedByLease { host });
        }
        if self.applied != status.applied.index && status.applied.index > Index(0) {
            self.applied = status.applied.index;
            let (state_hash, revision) = (node.kv().state_hash(), node.kv().revision().0);
            tell(Observation::Applied { host, index: self.applied, state_hash, revision });
        }
    }
}

/// What recovery found, as far as checkers want it.
pub(crate) fn found_log(found: &quorate_node::raft::Found) -> FoundLog {
    let (base, last) = (found.terms.base(), found.terms.last());
    let term = |index| found.terms.term(Index(index)).expect("every slot up to the last has a term");
    FoundLog {
        hard: found.hard,
        base,
        terms: (base.index.0 + 1..=last.index.0).map(term).collect(),
        snapshot: found.snapshot.as_ref().map_or(LogId::ZERO, |meta| meta.last),
        damaged: found.damaged.clone(),
        unknown: found.unknown,
    }
}

fn log_write(write: &Write) -> LogWrite {
    LogWrite {
        id: write.id.0,
        hard: write.hard,
        install: write.install.as_ref().map(|meta| meta.last),
        truncate_from: write.truncate_from,
        append: write.append.iter().map(|entry| (entry.id, content(entry))).collect(),
        repair: write.repair.iter().map(|entry| (entry.id, content(entry))).collect(),
        members: write.append.iter().filter_map(|entry| Some((entry.id, configuration(entry)?))).collect(),
    }
}

fn configuration(entry: &Entry) -> Option<Configuration> {
    let Payload::Members(members) = &entry.payload else { return None };
    Some(Configuration {
        voters: members.voters.iter().copied().collect(),
        outgoing: members.outgoing.iter().copied().collect(),
        learners: members.learners.keys().copied().collect(),
    })
}

/// What a request wants of the members, if it is about them.
pub(crate) fn wanted(request: &Request) -> Option<Wanted> {
    match request {
        Request::AddLearner { id, .. } => Some(Wanted::Member(*id)),
        Request::SetMembers { voters, learners } => Some(Wanted::Members {
            voters: voters.iter().copied().collect(),
            learners: learners.iter().copied().collect(),
        }),
        Request::Promote(id) => Some(Wanted::Voter(*id)),
        Request::Remove(id) => Some(Wanted::Gone(*id)),
        _ => None,
    }
}

/// A hash of an entry's content.
pub(crate) fn content(entry: &Entry) -> u64 {
    match &entry.payload {
        Payload::Command(bytes) => command_content(bytes),
        other => digest(other),
    }
}

/// A hash of a command as it stands in the log.
pub(crate) fn command_content(bytes: &Arc<[u8]>) -> u64 {
    // Variant and stamp come first (`quorate_kv::Order`), and each leader stamps for itself what a client asks again.
    // Behind a name that is not there it says whether the past is to be forgotten, by the room that it has.
    match bytes.get(12..).unwrap_or(bytes) {
        [0, _, action @ ..] => digest(&action),
        rest => digest(&rest),
    }
}

/// Nodes are numbered as their hosts are.
pub(crate) fn host_of(node: u128) -> Host {
    Host::try_from(node).unwrap_or(0)
}

fn said(envelope: &Envelope) -> Said {
    use MessageKind as Kind;
    let (kind, numbers) = match &envelope.message {
        Message::PreVote { last } => (Kind::PreVote, [last.index.0, last.term.0, 0]),
        Message::PreVoteReply { granted } => (Kind::PreVoteReply, [u64::from(*granted), 0, 0]),
        Message::Vote { last, transfer } => (Kind::Vote, [last.index.0, last.term.0, u64::from(*transfer)]),
        Message::VoteReply { granted } => (Kind::VoteReply, [u64::from(*granted), 0, 0]),
        Message::Append { prev, entries, commit } => {
            (Kind::Append, [prev.index.0, entries.len() as u64, commit.0])
        }
        Message::Appended { matched } => (Kind::Appended, [matched.0, 0, 0]),
        Message::Conflict { prev, hint } => (Kind::Conflict, [prev.index.0, hint.index.0, 0]),
        Message::Heartbeat { round, commit } => (Kind::Heartbeat, [*round, commit.0, 0]),
        Message::HeartbeatReply { round, verified, matched, .. } => {
            (Kind::HeartbeatReply, [*round, verified.0, matched.0])
        }
        Message::ReadIndex { batch, lease } => (Kind::ReadIndex, [*batch, u64::from(*lease), 0]),
        Message::ReadIndexReply { batch, index } => (Kind::ReadIndexReply, [*batch, index.0, 0]),
        Message::Snapshot { meta, chunk } => {
            (Kind::Snapshot, [meta.last.index.0, chunk.offset, u64::from(chunk.done)])
        }
        Message::SnapshotReply { last, next } => (Kind::SnapshotReply, [last.index.0, *next, 0]),
        Message::Ask { first, last, sound, .. } => (Kind::Ask, [first.0, last.0, sound.0]),
        Message::Tell { entries, leads_to, .. } => {
            (Kind::Tell, [entries.len() as u64, leads_to.map_or(0, |id| id.index.0), 0])
        }
        Message::TimeoutNow => (Kind::TimeoutNow, [0, 0, 0]),
    };
    Said { kind, term: envelope.term, numbers }
}
