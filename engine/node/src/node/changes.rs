//! Changes of the members and hand-overs of leadership: what is asked of the core, and what its answers mean.

use super::Node;
use super::reads::So;
use crate::request::{Entrance, Refusal, Reply, RequestId};
use quorate_raft::{
    ChangeError, Contact, Learner, LogId, Members, NodeId, PeerState, PeerStatus, Time, TokenHash,
    TransferError,
};
use std::collections::BTreeSet;

impl Node {
    /// The members with one more learner, or with a new contact of a member.
    pub(super) fn with_learner(
        &self,
        id: NodeId,
        (learner, contact): (Learner, Contact),
        replaces: Option<NodeId>,
        entrance: Entrance,
    ) -> Result<Members, Refusal> {
        // What is under way is as good as there: only then can what has been asked for before be asked for again.
        let mut target = self.raft.members().target();
        match &entrance {
            Entrance::Token(token) => {
                target.admits(token, id, self.token_time()?).map_err(Refusal::BadToken)?;
            }
            // It may have been removed a moment ago.
            Entrance::Shut if !target.contains(id) => return Err(Refusal::MemberNotFound(id)),
            Entrance::Open | Entrance::Shut => {}
        }
        if let Some(replaced) = replaces.filter(|replaced| *replaced != id && target.contains(*replaced)) {
            // Asked at the last moment: whoever has come back meanwhile, at whatever address, keeps its place.
            if self.hears(replaced) {
                return Err(Refusal::AddressInUse { by: replaced });
            }
            target = target.without(replaced);
        }
        let holds = |(of, known): &(&NodeId, &Contact)| **of != id && known.address == contact.address;
        if let Some((by, _)) = target.contacts.iter().find(holds) {
            return Err(Refusal::AddressInUse { by: *by });
        }
        if target.contains(id) {
            target.contacts.insert(id, contact);
            return Ok(target);
        }
        let target = target.with_learner(id, learner, contact);
        Ok(match &entrance {
            Entrance::Token(token) => target.with_spent(token, id),
            Entrance::Open | Entrance::Shut => target,
        })
    }

    /// The members with one more join token.
    pub(super) fn with_token(&self, token: TokenHash, ttl_ms: u64) -> Result<Members, Refusal> {
        let (now_ms, members) = (self.token_time()?, self.raft.members().target());
        if members.tokens.contains_key(&token) {
            return Ok(members);
        }
        let ends_ms = now_ms.saturating_add(ttl_ms);
        members.with_token(token, ends_ms, now_ms).ok_or(Refusal::TooManyTokens)
    }

    /// What the ends of tokens are compared with: cluster time, which a new leader knows once it has applied an entry
    /// of its own.
    fn token_time(&self) -> Result<u64, Refusal> {
        let is_known = self.raft.leads_in() == Some(self.raft.applied().term);
        if is_known { Ok(self.clock.now().0) } else { Err(Refusal::NotSettled) }
    }

    /// Whether this leader hears a member. It always hears itself.
    fn hears(&self, member: NodeId) -> bool {
        let is_there = |peer: PeerStatus| peer.id == member && peer.state != PeerState::Down;
        member == self.raft.status().id || self.raft.peers().any(is_there)
    }

    /// The members as these sets say; whoever is in them must be known, or nobody could reach it.
    pub(super) fn set_members(
        &self,
        voters: BTreeSet<NodeId>,
        learners: &BTreeSet<NodeId>,
    ) -> Result<Members, Refusal> {
        let known = &self.raft.members().contacts;
        if let Some(both) = voters.intersection(learners).next() {
            return Err(Refusal::BadChange(format!("{both} is among the voters and among the learners")));
        }
        let contact = |id: &NodeId| match known.get(id) {
            Some(contact) => Ok((*id, contact.clone())),
            None => Err(Refusal::MemberNotFound(*id)),
        };
        let contacts = voters.iter().chain(learners).map(contact).collect::<Result<_, Refusal>>()?;
        let learners = learners.iter().map(|id| (*id, Learner::Standing)).collect();
        let tokens = self.raft.members().tokens.clone();
        Ok(Members { voters, outgoing: BTreeSet::new(), learners, contacts, tokens })
    }

    pub(super) fn transfer(&mut self, now: Time, id: RequestId, to: Option<NodeId>) {
        let refusal = match self.raft.transfer(now, to) {
            Ok(to) if to == self.config.raft.id => {
                return self.confirm(id, So::Transferred { leader: to });
            }
            Ok(_) => return self.transfers.push(id),
            Err(TransferError::NotLeader(leader)) => return self.reply(id, Reply::NotLeader { leader }),
            Err(TransferError::NotMember(member)) => Refusal::MemberNotFound(member),
            Err(TransferError::NotVoter(member)) => Refusal::NotVoter(member),
            Err(TransferError::NotCaughtUp(member)) => Refusal::NotCaughtUp(member),
            Err(TransferError::Nobody) => Refusal::NoSuccessor,
            Err(TransferError::InProgress(_)) => Refusal::ChangeInProgress,
        };
        self.reply(id, Reply::Refused(refusal));
    }

    /// When no hand-over is under way any more, what waited for its end goes on. True when something did.
    pub(super) fn transfer_ended(&mut self) -> bool {
        if self.raft.is_transferring() || (self.held.count() == 0 && self.transfers.is_empty()) {
            return false;
        }
        let held = std::mem::take(&mut self.held);
        let mut moved = held.count() > 0;
        for write in held {
            self.propose(self.now, write);
        }
        // Whether it succeeded is known when somebody leads. A node that was removed may never hear of that.
        let status = self.raft.status();
        let reply = match status.leader {
            Some(leader) if leader == status.id => Reply::Refused(Refusal::NoSuccessor),
            Some(leader) => Reply::Transferred { leader },
            None if !status.members.contains(status.id) => Reply::NotLeader { leader: None },
            None => return moved,
        };
        for id in std::mem::take(&mut self.transfers) {
            moved = true;
            self.reply(id, reply.clone());
        }
        moved
    }

    /// Changes the members to `target`, or refuses. Only a leader refuses: what a follower knows may be an old story.
    pub(super) fn change_to(&mut self, now: Time, id: RequestId, target: Result<Members, Refusal>) {
        match target {
            Err(refusal) if self.raft.leader() == Some(self.config.raft.id) => {
                self.reply(id, Reply::Refused(refusal));
            }
            Err(_) => self.reply(id, Reply::NotLeader { leader: self.raft.leader() }),
            Ok(target) => {
                let change = self.raft.change_members(now, target);
                self.changing(id, change);
            }
        }
    }

    pub(super) fn changing(&mut self, id: RequestId, change: Result<LogId, ChangeError>) {
        let status = self.raft.status();
        let applied = status.applied.index;
        let reply = match change {
            Ok(log_id) if log_id.index > applied => return self.pending.expect(log_id, id),
            Ok(_) if status.members.is_joint() => return self.pending.joint.push(id),
            Ok(log_id) => return self.confirm(id, So::MembersChanged { index: log_id.index }),
            Err(ChangeError::NotLeader(leader)) => Reply::NotLeader { leader },
            Err(ChangeError::NotSettled) => Reply::Refused(Refusal::NotSettled),
            Err(ChangeError::InProgress) => Reply::Refused(Refusal::ChangeInProgress),
            Err(ChangeError::NotMember(member)) => Reply::Refused(Refusal::MemberNotFound(member)),
            Err(ChangeError::NotCaughtUp(member)) => Reply::Refused(Refusal::NotCaughtUp(member)),
            Err(ChangeError::NoRoom) => Reply::Refused(Refusal::DiskFull),
            Err(ChangeError::WouldLoseQuorum) => Reply::Refused(Refusal::WouldLoseQuorum),
            Err(error @ ChangeError::Invalid(_)) => Reply::Refused(Refusal::BadChange(error.to_string())),
        };
        self.reply(id, reply);
    }
}
