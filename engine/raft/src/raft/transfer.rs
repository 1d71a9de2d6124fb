//! Handing leadership over (thesis §3.10).
//!
//! The leader takes no more proposals, brings its successor up to date and tells it to run at once. The successor's
//! call to vote says so, and those who promised the leader not to elect another are free of that: therefore a leader
//! that has told somebody to run never uses its lease again in its term, however late that is heard (thesis §6.4.1).

use super::{Raft, RoleState};
use crate::{CampaignCause, Event, Index, Message, NodeId, PeerState, StepDownCause, Time};
use core::cmp::Reverse;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A hand-over that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub(super) to: NodeId,
    /// When it is given up.
    pub(super) until: Time,
    /// The successor was told to run.
    told: bool,
}

/// The last moments of a leader that is removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Leave {
    /// It waits no longer than until then for what it took.
    until: Time,
    /// The last reads are being confirmed, or are.
    pub(super) last_round: bool,
}

/// Why leadership is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// Ask this node instead, when one is known.
    NotLeader(Option<NodeId>),
    /// The node does not belong to the cluster.
    NotMember(NodeId),
    /// The node does not vote, so it can't lead.
    NotVoter(NodeId),
    /// The node lacks too much of the log, or is not heard: try again later.
    NotCaughtUp(NodeId),
    /// No other voter could take over now.
    Nobody,
    /// Leadership is being handed over to this node already.
    InProgress(NodeId),
}

impl fmt::Display for TransferError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransferError::NotLeader(Some(leader)) => write!(formatter, "not the leader: ask {leader}"),
            TransferError::NotLeader(None) => write!(formatter, "not the leader, and none is known"),
            TransferError::NotMember(id) => write!(formatter, "{id} is not a member"),
            TransferError::NotVoter(id) => {
                write!(formatter, "{id} is a learner and can't lead: promote it first")
            }
            TransferError::NotCaughtUp(id) => {
                write!(formatter, "{id} lacks too much of the log to lead, or is not heard: try again later")
            }
            TransferError::Nobody => write!(formatter, "no other voter is heard and has caught up"),
            TransferError::InProgress(to) => write!(formatter, "leadership is being handed over to {to}"),
        }
    }
}

impl core::error::Error for TransferError {}

impl Raft {
    /// Hands leadership over, to `to` or to the best: gives the node that it is handed to. Nothing happens when that
    /// is this one. Given up after an election timeout; then this node leads on.
    pub fn transfer(&mut self, now: Time, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        self.now = self.now.max(now);
        let RoleState::Leader(leader) = &self.role else {
            return Err(TransferError::NotLeader(self.leader()));
        };
        if to == Some(self.config.id) {
            return Ok(self.config.id);
        }
        if let Some(open) = &leader.transfer {
            let same = to.is_none_or(|to| to == open.to);
            return if same { Ok(open.to) } else { Err(TransferError::InProgress(open.to)) };
        }
        let to = match to {
            Some(to) => self.may_take_over(to)?,
            None => self.best_successor(Index(0)).ok_or(TransferError::Nobody)?,
        };
        let until = self.now + self.config.election_timeout;
        if let RoleState::Leader(leader) = &mut self.role {
            leader.transfer = Some(Transfer { to, until, told: false });
        }
        self.event(Event::TransferBegun { to });
        self.tell_successor();
        Ok(to)
    }

    /// Whether leadership is being handed over, so that proposals are not taken.
    pub fn is_transferring(&self) -> bool {
        matches!(&self.role, RoleState::Leader(leader) if leader.is_handing_over())
    }

    fn may_take_over(&self, to: NodeId) -> Result<NodeId, TransferError> {
        let members = self.membership.current();
        match &self.role {
            _ if !members.contains(to) => Err(TransferError::NotMember(to)),
            _ if !members.voters.contains(&to) => Err(TransferError::NotVoter(to)),
            RoleState::Leader(leader) if self.has_caught_up(leader, to) => Ok(to),
            _ => Err(TransferError::NotCaughtUp(to)),
        }
    }

    /// The voter that holds most of the log, `least` at least, of those who most seldom failed to take over: a disk
    /// that stands still does not show while nothing is written.
    fn best_successor(&self, least: Index) -> Option<NodeId> {
        let RoleState::Leader(leader) = &self.role else { return None };
        let members = self.membership.current();
        let fit = |id: &&NodeId| {
            let holds = leader.peers[id].matched >= least;
            holds && members.voters.contains(id) && self.has_caught_up(leader, **id)
        };
        let merit = |id: &&NodeId| (Reverse(leader.peers[id].missed_transfers), leader.peers[id].matched);
        leader.peers.keys().filter(fit).max_by_key(merit).copied()
    }

    /// Who leadership is being handed over to, when that node holds all there is: it may have been told to run already,
    /// and two that run in one term might both fail.
    fn successor_named(&self) -> Option<NodeId> {
        let RoleState::Leader(leader) = &self.role else { return None };
        let to = leader.transfer.as_ref()?.to;
        let is_ready = leader.peers.get(&to)?.matched == self.log.last().index;
        (is_ready && self.membership.current().voters.contains(&to)).then_some(to)
    }

    /// Tells the successor to run, once it holds all there is, and nothing more can come: the commit of a joint change
    /// adds the entry that ends it, and the successor would need votes of nodes that have that entry. With the
    /// configuration committed a majority of it knows the successor, too (`Raft::heeds`).
    pub(super) fn tell_successor(&mut self) {
        let last = self.log.last().index;
        if self.membership.current_at().index > self.commit || self.membership.current().is_joint() {
            return;
        }
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let to = transfer.to;
        let ready = leader
            .peers
            .get(&to)
            .is_some_and(|peer| peer.matched == last && peer.state() == PeerState::Pipeline);
        if ready && !transfer.told {
            transfer.told = true;
            leader.lease_void = true;
            self.send(to, Message::TimeoutNow);
        }
    }

    /// Says it again with each heartbeat, in case it was lost; gives up in the end.
    pub(super) fn transfer_tick(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let to = transfer.to;
        if self.now >= transfer.until {
            leader.transfer = None;
            if let Some(peer) = leader.peers.get_mut(&to) {
                peer.missed_transfers += 1;
            }
            self.event(Event::TransferGivenUp { to });
        } else {
            transfer.told = false;
            self.tell_successor();
        }
    }

    /// Leaves office once what was taken before is committed and confirmed, since it may hear of that from nobody
    /// later; but within an election timeout, for it takes no proposals meanwhile.
    pub(super) fn leave(&mut self) {
        let until = self.now + self.config.election_timeout;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let leave = leader.leave.get_or_insert(Leave { until, last_round: false });
        let is_confirmed =
            leader.read_rounds.is_empty() && (leave.last_round || self.reads.waiting_is_empty());
        let is_done = self.commit == self.log.last().index && is_confirmed;
        if is_done || self.now >= leave.until {
            self.resign(StepDownCause::Removed);
        }
    }

    /// Leaves office for good. Its last words are how far all is committed, so that those who leave with it know that
    /// they are out and stop asking to run, and who should follow, so that nobody waits for an election timeout.
    pub(super) fn resign(&mut self, cause: StepDownCause) {
        self.broadcast_heartbeat();
        let best = || self.best_successor(self.log.last().index).or_else(|| self.best_successor(Index(0)));
        if let Some(to) = self.successor_named().or_else(best) {
            self.send(to, Message::TimeoutNow);
        }
        self.become_follower(None, cause);
    }

    pub(super) fn told_to_run(&mut self, from: NodeId) {
        if self.follow(from).is_some() && self.may_run() {
            self.campaign(CampaignCause::Transfer);
        }
    }
}
