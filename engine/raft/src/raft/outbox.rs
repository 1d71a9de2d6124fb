//! What waits to be polled; and the steps of the core, for whoever asked to see them.

use crate::trace::{Configuration, Slot, Step};
use crate::{CampaignCause, Envelope, Event, Held, Job, LogId, Members, Message, NodeId, Output, Write};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Outputs in their order. A message, a write or an event is a step by itself and is noted as it is put here, the one
/// way out; other steps are noted where they are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outbox {
    waiting: VecDeque<Output>,
    /// The steps since they were last taken, if they are wanted.
    steps: Option<Vec<Step>>,
}

impl Outbox {
    pub(super) fn new(traces: bool) -> Self {
        Outbox { waiting: VecDeque::new(), steps: traces.then(Vec::new) }
    }

    pub(super) fn push_back(&mut self, output: Output) {
        if let Some(steps) = &mut self.steps {
            steps.extend(step_of(&output));
        }
        self.waiting.push_back(output);
    }

    pub(super) fn pop_front(&mut self) -> Option<Output> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes note of a step, which is made only if somebody wants it.
    pub(super) fn note(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }

    pub(super) fn take_steps(&mut self) -> Vec<Step> {
        // About as many come in each turn: room for them is made once.
        let anew = |steps: &mut Vec<Step>| core::mem::replace(steps, Vec::with_capacity(steps.len()));
        self.steps.as_mut().map(anew).unwrap_or_default()
    }
}

pub(super) fn slot(id: LogId) -> Slot {
    Slot { term: id.term.0, index: id.index.0 }
}

pub(super) fn configuration(members: &Members) -> Configuration {
    let ids = |id: &NodeId| id.0;
    Configuration {
        voters: members.voters.iter().map(ids).collect(),
        outgoing: members.outgoing.iter().map(ids).collect(),
        learners: members.learners.keys().map(ids).collect(),
    }
}

/// The step that an output is, if it is one.
fn step_of(output: &Output) -> Option<Step> {
    match output {
        Output::Send(envelope) => Some(said(envelope)),
        Output::Job(Job::Write(write)) => Some(writes(write)),
        Output::Apply(entries) => entries.last().map(|last| Step::Applies { last: slot(last.id) }),
        Output::Install(meta) => {
            Some(Step::Installs { last: slot(meta.last), members_at: slot(meta.members_at) })
        }
        Output::Event(event) => happened(event),
        Output::Job(_) | Output::Read(_) => None,
    }
}

fn writes(write: &Write) -> Step {
    Step::Writes {
        id: write.id.0,
        term: write.hard.map(|hard| hard.term.0),
        vote: write.hard.and_then(|hard| hard.vote).map(|vote| vote.0),
        install: write.install.as_ref().map(|meta| slot(meta.last)),
        truncate: write.truncate_from.map(|from| from.0),
        first: write.append.first().map(|entry| slot(entry.id)),
        last: write.append.last().map(|entry| slot(entry.id)),
    }
}

fn happened(event: &Event) -> Option<Step> {
    Some(match event {
        Event::Campaign { term, cause } => {
            Step::Campaigns { term: term.0, transfer: *cause == CampaignCause::Transfer }
        }
        Event::BecameLeader { term } => Step::Leads { term: term.0 },
        Event::SteppedDown { term, .. } => Step::Resigns { term: term.0 },
        Event::Follows { leader, .. } => Step::Follows { leader: leader.0 },
        Event::Damaged { slot: lost } => Step::Loses { slot: slot(*lost) },
        Event::TransferBegun { .. }
        | Event::TransferGivenUp { .. }
        | Event::MembersChanged { .. }
        | Event::Repaired { .. }
        | Event::Doubts { .. }
        | Event::GaveUp { .. }
        | Event::ShortOfRoom
        | Event::RoomAgain
        | Event::Nonsense { .. } => return None,
    })
}

fn said(envelope: &Envelope) -> Step {
    let (to, term) = (envelope.to.0, envelope.term.0);
    match &envelope.message {
        Message::PreVote { last } => Step::Asks { to, term, last: slot(*last) },
        Message::PreVoteReply { granted: true } => Step::Would { to, term },
        Message::Vote { last, .. } => Step::Calls { to, term, last: slot(*last) },
        Message::VoteReply { granted: true } => Step::Grants { to, term },
        Message::Append { prev, entries, commit } => {
            let last = entries.last().map_or(*prev, |entry| entry.id);
            Step::Sends { to, term, prev: slot(*prev), last: slot(last), commit: commit.0 }
        }
        Message::Appended { matched } => Step::Acks { to, term, matched: matched.0 },
        Message::Conflict { prev, .. } => Step::Refuses { to, term, prev: slot(*prev) },
        Message::Heartbeat { round, commit } => Step::Beats { to, term, round: *round, commit: commit.0 },
        Message::HeartbeatReply { round, verified, matched, .. } => {
            Step::Answers { to, term, round: *round, verified: verified.0, matched: matched.0 }
        }
        Message::ReadIndexReply { batch, index } => Step::Names { to, term, batch: *batch, index: index.0 },
        Message::Tell { leads_to, committed, report, .. } => Step::Tells {
            to,
            term,
            leads_to: leads_to.map(slot),
            committed: slot(*committed),
            never: report.filter(|report| report.held == Held::Never).map(|report| slot(report.slot)),
        },
        Message::TimeoutNow => Step::Hands { to, term },
        Message::PreVoteReply { granted: false }
        | Message::VoteReply { granted: false }
        | Message::ReadIndex { .. }
        | Message::Snapshot { .. }
        | Message::SnapshotReply { .. }
        | Message::Ask { .. } => Step::Says { to, term },
    }
}
