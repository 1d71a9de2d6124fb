//! Following a leader: taking its entries, and answering only for what is durable.

use super::outbox::slot;
use super::{Raft, RoleState};
use crate::trace::Step;
use crate::{Entry, Event, Index, LogId, Message, NodeId, Payload, StepDownCause};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a follower knows of its leader.
///
/// Invariant: `acked <= verified`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Follower {
    pub(super) leader: Option<NodeId>,
    /// The log is known to match the leader's up to here, durable or not.
    pub(super) verified: Index,
    /// What the leader was told is durable here.
    acked: Index,
    /// The leader waits for an answer, whether or not there is news.
    answer_due: bool,
}

impl Follower {
    pub(super) fn of(leader: Option<NodeId>) -> Self {
        Follower { leader, ..Follower::default() }
    }
}

impl Raft {
    /// `from` leads this term: only a leader sends what it sent.
    pub(super) fn follow(&mut self, from: NodeId) -> Option<&mut Follower> {
        let leads = match &self.role {
            RoleState::Leader(_) => {
                self.nonsense(Some(from), "two leaders in one term");
                return None;
            }
            RoleState::Follower(follower) => follower.leader,
            RoleState::Candidate(_) => None,
        };
        if leads.is_some_and(|leader| leader != from) {
            self.nonsense(Some(from), "two leaders in one term");
            return None;
        }
        if leads.is_none() {
            self.become_follower(Some(from), StepDownCause::HigherTerm);
            self.event(Event::Follows { term: self.hard.term, leader: from });
        }
        self.reset_election_timer();
        self.bind();
        let RoleState::Follower(follower) = &mut self.role else { return None };
        Some(follower)
    }

    pub(super) fn append_received(&mut self, from: NodeId, prev: LogId, entries: Vec<Entry>, commit: Index) {
        if self.follow(from).is_none() {
            return;
        }
        if !self.is_a_run(prev, &entries) {
            return self.nonsense(
                Some(from),
                "entries that do not follow each other or are no leader's of this term",
            );
        }
        let base = self.log.terms().base();
        if prev.index >= base.index && !self.log.terms().holds(prev) {
            let hint = self.log.terms().last_not_above(prev.index, prev.term);
            return self.send(from, Message::Conflict { prev, hint });
        }
        let taken = self.room_for(&entries);
        if taken == 0 && !entries.is_empty() {
            // As if the message had been lost, so that the leader sends no window full of what can't be taken.
            return;
        }
        let end = entries[..taken].last().map_or(prev.index, |entry| entry.id.index);
        for entry in entries.into_iter().take(taken) {
            if !self.take_entry(from, entry) {
                return;
            }
        }
        // What lies below the base is committed, so it matches whatever the append said of it.
        self.verified_up_to(end.max(base.index), commit);
    }

    /// Adds one entry of a leader's, or sees that it is there already. Only a conflict truncates: an append
    /// that arrives late and is shorter than the log proves nothing about the rest (ktoso/akka-raft#66).
    fn take_entry(&mut self, from: NodeId, entry: Entry) -> bool {
        let id = entry.id;
        if id.index <= self.log.terms().base().index {
            return true;
        }
        if self.log.terms().holds(id) {
            self.repair_slot(entry);
            return true;
        }
        let before = self.log.terms().term(id.index.previous()).unwrap_or_default();
        let invalid = matches!(&entry.payload, Payload::Members(members) if members.fault().is_some());
        if id.index <= self.settled_end() || id.term < before || invalid {
            self.nonsense(
                Some(from),
                "an entry that contradicts what is committed or verified, goes back in term or is invalid",
            );
            return false;
        }
        if id.index <= self.log.last().index {
            self.truncate(id.index);
        }
        self.append(entry);
        true
    }

    /// No leader of this term can want anything else up to here: it is committed, or was verified against its log.
    pub(super) fn settled_end(&self) -> Index {
        match &self.role {
            RoleState::Follower(follower) => self.commit.max(follower.verified),
            RoleState::Leader(_) | RoleState::Candidate(_) => self.commit,
        }
    }

    pub(super) fn truncate(&mut self, from: Index) {
        assert!(!matches!(self.role, RoleState::Leader(_)), "a leader truncates its log from {from}");
        assert!(from > self.commit, "truncates from {from} what is committed up to {}", self.commit);
        self.out.note(|| Step::Truncates { from: from.0 });
        self.log.truncate(from);
        self.writer.truncate(from);
        self.damage.truncate(from);
        if self.membership.truncate(from) {
            self.members_changed();
        }
    }

    /// The log matches the leader's up to `index`; what the leader has committed beyond that says nothing yet
    /// about this log (atomix/copycat#265).
    pub(super) fn verified_up_to(&mut self, index: Index, leader_commit: Index) {
        let RoleState::Follower(follower) = &mut self.role else { return };
        follower.verified = follower.verified.max(index);
        follower.answer_due = true;
        let members_at = self.membership.current_at();
        self.out.note(|| Step::Verifies { index: index.0, members_at: slot(members_at) });
        self.leader_committed(leader_commit);
        self.answer_leader();
    }

    pub(super) fn leader_committed(&mut self, leader_commit: Index) {
        let RoleState::Follower(follower) = &self.role else { return };
        let committed = leader_commit.min(follower.verified);
        if committed > self.commit {
            self.commit = committed;
            self.out.note(|| Step::Learns { index: committed.0 });
        }
    }

    /// Tells the leader how far the log matches *durably*, when there is news or an answer is due.
    pub(super) fn answer_leader(&mut self) {
        let durable = self.writer.durable().min(self.damage.sound_end(self.log.last().index));
        let RoleState::Follower(follower) = &mut self.role else { return };
        let Some(leader) = follower.leader else { return };
        let matched = follower.verified.min(durable);
        if matched > follower.acked || (follower.answer_due && matched == follower.verified) {
            follower.acked = matched;
            follower.answer_due = matched < follower.verified;
            self.send(leader, Message::Appended { matched });
        }
    }

    /// Never waits for the disk: a slow one is not a lost leader (etcd-io/etcd#5870).
    pub(super) fn heartbeat_received(&mut self, from: NodeId, round: u64, commit: Index) {
        let Some(follower) = self.follow(from) else { return };
        let (verified, matched) = (follower.verified, follower.acked);
        self.leader_committed(commit);
        let full = self.room.is_down_to_reserve();
        self.send(from, Message::HeartbeatReply { round, verified, matched, full });
    }

    /// A lost entry lowers what may be acknowledged; the leader hears of it through `Ask`. An acknowledgement that
    /// still waits for its term to be durable must not leave as it was said.
    pub(super) fn forget_acked(&mut self) {
        let sound = self.damage.sound_end(self.log.last().index);
        self.held
            .retain(|envelope| !matches!(envelope.message, Message::Appended { matched } if matched > sound));
        for envelope in &mut self.held {
            if let Message::HeartbeatReply { matched, .. } = &mut envelope.message {
                *matched = (*matched).min(sound);
            }
        }
        if let RoleState::Follower(follower) = &mut self.role {
            follower.acked = Index(0);
        }
    }

    /// Whether a leader of this term could have sent these entries after `prev`.
    fn is_a_run(&self, prev: LogId, entries: &[Entry]) -> bool {
        let mut before = prev;
        entries.iter().all(|entry| {
            let id = entry.id;
            let follows = id.index.0 == before.index.0.wrapping_add(1) && id.term >= before.term;
            before = id;
            follows && id.term <= self.hard.term
        })
    }
}
