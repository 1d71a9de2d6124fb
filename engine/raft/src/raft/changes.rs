//! Changing the members (thesis §4): one voter at a time in one step, any other way through a joint configuration.

use super::leader::Leader;
use super::progress::Progress;
use super::{Raft, RoleState};
use crate::{Learner, LogId, Members, NodeId, Payload, PeerState, Tally, Time, tally};
use alloc::boxed::Box;
use core::fmt;

/// A learner has caught up when it lacks at most this many entries of what is committed, is supplied without
/// interruption, and is heard. It then lacks less than a vote's round trip brings, and does not hold up commits
/// (thesis §4.2.1 measures rounds instead; the pipeline makes them meaningless); one that is gone would be missing
/// from every majority that needs it.
const CAUGHT_UP_ENTRIES: u64 = 256;

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// Ask this node instead, when one is known.
    NotLeader(Option<NodeId>),
    /// The leader has not committed an entry of its own term yet: try again soon.
    NotSettled,
    /// Another change is not committed yet, or leadership is being handed over: try again soon.
    InProgress,
    /// The target is not a configuration.
    Invalid(&'static str),
    /// The node is not a member: add it first, as a learner.
    NotMember(NodeId),
    /// The node that is to vote lacks too much of the log, or is not heard: try again later.
    NotCaughtUp(NodeId),
    /// Of the voters there would be then, no majority is heard: the cluster would stand still.
    WouldLoseQuorum,
    /// The disk is full, and the reserve for changes is used up.
    NoRoom,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::NotLeader(Some(leader)) => write!(formatter, "not the leader: ask {leader}"),
            ChangeError::NotLeader(None) => write!(formatter, "not the leader, and none is known"),
            ChangeError::NotSettled => write!(formatter, "the leader has just been elected: try again soon"),
            ChangeError::InProgress => {
                write!(formatter, "another change of members, or a hand-over, is open: try again soon")
            }
            ChangeError::Invalid(fault) => write!(formatter, "the new configuration is not one: {fault}"),
            ChangeError::NotMember(id) => write!(formatter, "{id} is not a member: add it first"),
            ChangeError::NotCaughtUp(id) => {
                write!(
                    formatter,
                    "{id} lacks too much of the log to become a voter, or is not heard: try again later"
                )
            }
            ChangeError::WouldLoseQuorum => {
                write!(formatter, "of the voters there would be then, no majority is heard")
            }
            ChangeError::NoRoom => write!(formatter, "the disk is full, to the last byte of its reserve"),
        }
    }
}

impl core::error::Error for ChangeError {}

impl Raft {
    /// Changes the configuration to `target`, any set of voters and learners. A new configuration is in force from the
    /// moment it is appended. When voters come or go more than one at a time, a joint one comes first, and the target
    /// follows by itself once that is committed. When the target is in force already, or under way, nothing changes
    /// and the entry that set it, or leads to it, is named.
    pub fn change_members(&mut self, now: Time, target: Members) -> Result<LogId, ChangeError> {
        self.now = self.now.max(now);
        let RoleState::Leader(leader) = &self.role else {
            return Err(ChangeError::NotLeader(self.leader()));
        };
        let (current, current_at) = (self.membership.current(), self.membership.current_at());
        if target == *current || (current.is_joint() && target == current.target()) {
            return Ok(current_at);
        }
        if let Some(fault) = target.fault() {
            return Err(ChangeError::Invalid(fault));
        }
        if target.is_joint() {
            return Err(ChangeError::Invalid("it is a joint one"));
        }
        if target.unspends(current) {
            return Err(ChangeError::Invalid("a join token that is spent would add another node"));
        }
        for id in target.voters.difference(&current.voters) {
            self.may_vote(leader, *id)?;
        }
        if !self.is_settled() {
            return Err(ChangeError::NotSettled);
        }
        if current_at.index > self.commit || current.is_joint() || leader.is_handing_over() {
            return Err(ChangeError::InProgress);
        }
        let apart = current.voters_apart(&target);
        if apart > 0 && !self.would_be_led(leader, &target) {
            return Err(ChangeError::WouldLoseQuorum);
        }
        let next = Payload::Members(Box::new(if apart > 1 { current.joint_to(&target) } else { target }));
        if !self.room.fits(&next) {
            return Err(ChangeError::NoRoom);
        }
        Ok(self.append_own(next))
    }

    /// Makes the learner `id` a voter. Nothing changes when it is one.
    pub fn promote(&mut self, now: Time, id: NodeId) -> Result<LogId, ChangeError> {
        let current = self.membership.current();
        let target = current.target();
        let target = if target.voters.contains(&id) { target } else { target.with_voter(id) };
        if matches!(self.role, RoleState::Leader(_)) && !current.contains(id) {
            return Err(ChangeError::NotMember(id));
        }
        self.change_members(now, target)
    }

    /// Removes the member `id`. While its removal is under way nothing changes.
    pub fn remove(&mut self, now: Time, id: NodeId) -> Result<LogId, ChangeError> {
        let current = self.membership.current();
        if matches!(self.role, RoleState::Leader(_)) {
            if !current.contains(id) {
                let leaves = self.membership.at(self.commit).1.contains(id);
                return if leaves {
                    Ok(self.membership.current_at())
                } else {
                    Err(ChangeError::NotMember(id))
                };
            }
            if current.voters.iter().eq([&id]) {
                return Err(ChangeError::WouldLoseQuorum);
            }
        }
        let target = current.target().without(id);
        self.change_members(now, target)
    }

    /// What follows from a committed configuration: the end of a joint change, the leave of a leader that no longer
    /// votes, the vote of a learner that has caught up, the end of a voter that is gone.
    pub(super) fn advance_membership(&mut self) {
        if !self.is_settled() || self.membership.current_at().index > self.commit {
            return;
        }
        let RoleState::Leader(leader) = &self.role else { return };
        let members = self.membership.current();
        if members.is_joint() {
            self.append_members(members.target());
        } else if !members.is_voter(self.config.id) {
            self.leave();
        } else if leader.transfer.is_none()
            && let Some(target) = self.with_next_voter(leader).or_else(|| self.without_dead_voter(leader))
        {
            self.append_members(target);
        }
    }

    /// Appends what follows by itself, if there is room; if not, it is tried again with the next heartbeat.
    fn append_members(&mut self, members: Members) {
        let payload = Payload::Members(Box::new(members));
        if self.room.fits(&payload) {
            self.append_own(payload);
        }
    }

    /// With a learner that was added to become a voter, and that has caught up.
    fn with_next_voter(&self, leader: &Leader) -> Option<Members> {
        let members = self.membership.current();
        let joining = members.learners.iter().filter(|(_, learner)| **learner == Learner::Joining);
        let ready = joining.map(|(id, _)| *id).find(|id| self.has_caught_up(leader, *id));
        ready.map(|id| members.with_voter(id))
    }

    /// Without a voter that was not heard for as long as the host said, if it said so, and enough are left.
    fn without_dead_voter(&self, leader: &Leader) -> Option<Members> {
        let cleanup = self.config.cleanup?;
        let members = self.membership.current();
        let is_dead = |peer: &Progress| self.now.since(peer.heard) > cleanup.after && !self.hears(peer);
        let dead = members.voters.iter().find(|id| leader.peers.get(id).is_some_and(is_dead))?;
        let target = members.without(*dead);
        let allowed =
            target.voters.len() >= cleanup.least_voters.max(1) && self.would_be_led(leader, &target);
        allowed.then_some(target)
    }

    fn may_vote(&self, leader: &Leader, id: NodeId) -> Result<(), ChangeError> {
        if !self.membership.current().contains(id) {
            Err(ChangeError::NotMember(id))
        } else if id != self.config.id && !self.has_caught_up(leader, id) {
            Err(ChangeError::NotCaughtUp(id))
        } else {
            Ok(())
        }
    }

    pub(super) fn has_caught_up(&self, leader: &Leader, id: NodeId) -> bool {
        let near = |peer: &Progress| peer.matched.0 + CAUGHT_UP_ENTRIES >= self.commit.0;
        let supplied = |peer: &Progress| peer.state() == PeerState::Pipeline && self.hears(peer);
        leader.peers.get(&id).is_some_and(|peer| supplied(peer) && near(peer))
    }

    /// Whether those of `members` who are heard are enough for an agreement. Only who has answered in this term counts:
    /// what check-quorum grants to all who had no time yet is no sign of life, and a change is in force at once.
    fn would_be_led(&self, leader: &Leader, members: &Members) -> bool {
        let answers = |id| {
            let peer = leader.peers.get(&id);
            Some(id == self.config.id || peer.is_some_and(|peer| peer.answered && self.hears(peer)))
        };
        tally(members, answers) == Tally::Won
    }
}
