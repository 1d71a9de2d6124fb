//! Changing the members, one voter at a time (thesis §4.1).

use super::leader::Leader;
use super::progress::Progress;
use super::{Raft, RoleState};
use crate::{Learner, LogId, Members, NodeId, Payload, PeerState, Time};
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
    /// Another change is not committed yet: try again soon.
    InProgress,
    /// The target is not a configuration.
    Invalid(&'static str),
    /// More than one voter would be added, or one removed: this version changes one at a time, by adding.
    TooMuch,
    /// The node to promote is not a member.
    NotMember(NodeId),
    /// The learner lacks too much of the log, or is not heard: try again later.
    NotCaughtUp(NodeId),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::NotLeader(Some(leader)) => write!(formatter, "not the leader: ask {leader}"),
            ChangeError::NotLeader(None) => write!(formatter, "not the leader, and none is known"),
            ChangeError::NotSettled => write!(formatter, "the leader has just been elected: try again soon"),
            ChangeError::InProgress => write!(formatter, "another change of members is open: try again soon"),
            ChangeError::Invalid(fault) => write!(formatter, "the new configuration is not one: {fault}"),
            ChangeError::TooMuch => {
                write!(formatter, "this version adds one voter at a time and removes none")
            }
            ChangeError::NotMember(id) => write!(formatter, "{id} is not a member: add it first"),
            ChangeError::NotCaughtUp(id) => {
                write!(
                    formatter,
                    "{id} lacks too much of the log to become a voter, or is not heard: try again later"
                )
            }
        }
    }
}

impl core::error::Error for ChangeError {}

impl Raft {
    /// Changes the configuration to `target`, which may differ by one more voter and by any learners. It is in
    /// force from the moment it is appended. When it is in force already, nothing changes and the entry that
    /// set it is named.
    pub fn change_members(&mut self, now: Time, target: Members) -> Result<LogId, ChangeError> {
        self.now = self.now.max(now);
        if !matches!(self.role, RoleState::Leader(_)) {
            return Err(ChangeError::NotLeader(self.leader()));
        }
        let current = self.membership.current();
        if target == *current {
            return Ok(self.membership.current_at());
        }
        if let Some(fault) = target.fault() {
            return Err(ChangeError::Invalid(fault));
        }
        let added = target.voters.difference(&current.voters).count();
        let removed = current.voters.difference(&target.voters).count();
        if added > 1 || removed > 0 || target.is_joint() {
            return Err(ChangeError::TooMuch);
        }
        if !self.is_settled() {
            return Err(ChangeError::NotSettled);
        }
        if self.membership.current_at().index > self.commit {
            return Err(ChangeError::InProgress);
        }
        Ok(self.append_own(Payload::Members(target)))
    }

    /// Makes the learner `id` a voter. Nothing changes when it is one.
    pub fn promote(&mut self, now: Time, id: NodeId) -> Result<LogId, ChangeError> {
        let current = self.membership.current();
        if let RoleState::Leader(leader) = &self.role {
            if !current.contains(id) {
                return Err(ChangeError::NotMember(id));
            }
            if !current.is_voter(id) && !self.has_caught_up(leader, id) {
                return Err(ChangeError::NotCaughtUp(id));
            }
        }
        let target = if current.is_voter(id) { current.clone() } else { current.with_voter(id) };
        self.change_members(now, target)
    }

    /// Promotes a learner that was added to become a voter, as soon as it has caught up.
    pub(super) fn promote_caught_up(&mut self) {
        if !self.is_settled() || self.membership.current_at().index > self.commit {
            return;
        }
        let RoleState::Leader(leader) = &self.role else { return };
        let members = self.membership.current();
        let joining = members.learners.iter().filter(|(_, learner)| **learner == Learner::Joining);
        let ready = joining.map(|(id, _)| *id).find(|id| self.has_caught_up(leader, *id));
        if let Some(id) = ready {
            let target = members.with_voter(id);
            self.append_own(Payload::Members(target));
        }
    }

    fn has_caught_up(&self, leader: &Leader, id: NodeId) -> bool {
        let near = |peer: &Progress| peer.matched.0 + CAUGHT_UP_ENTRIES >= self.commit.0;
        let supplied = |peer: &Progress| peer.state() == PeerState::Pipeline && self.hears(peer);
        leader.peers.get(&id).is_some_and(|peer| supplied(peer) && near(peer))
    }
}
