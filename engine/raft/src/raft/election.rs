//! Elections (thesis §3.4), with pre-vote (§9.6) and leader stickiness (§4.2.3).

use super::follower::Follower;
use super::leader::Leader;
use super::{Raft, RoleState};
use crate::random::Random;
use crate::trace::Step;
use crate::{
    CampaignCause, Config, Envelope, Event, HardState, Index, LogId, Message, NodeId, Output, Payload,
    StepDownCause, Tally, Term, tally,
};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A node that runs for office, or asks whether it should.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Candidate {
    /// Asking whether it should: no term was entered and nothing promised.
    asking: bool,
    /// The others' answers; one each, however often it arrives.
    answers: BTreeMap<NodeId, bool>,
}

impl Candidate {
    /// A yes stands: a vote that was given is durable, and a no to an earlier question may come after a yes to a later
    /// one.
    fn answered(&mut self, from: NodeId, granted: bool) {
        *self.answers.entry(from).or_default() |= granted;
    }

    /// Who said yes, and this node itself where its own counts.
    fn yes(&self, own: Option<NodeId>) -> Vec<u128> {
        let others = self.answers.iter().filter(|(_, granted)| **granted).map(|(id, _)| *id);
        others.chain(own).map(|id| id.0).collect()
    }
}

/// One to two election timeouts, so that two nodes seldom run at once (thesis §3.4).
pub(super) fn random_timeout(config: &Config, random: &mut Random) -> Duration {
    let micros = u64::try_from(config.election_timeout.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(micros + random.below(micros))
}

impl Raft {
    /// A damaged node lets the others go first: led by one of them it can be given a snapshot.
    pub(super) fn reset_election_timer(&mut self) {
        let patience =
            if self.damage.count() > 0 { self.config.election_timeout * 4 } else { Duration::ZERO };
        self.election_at = self.now + random_timeout(&self.config, &mut self.random) + patience;
    }

    /// Whether this node could run: it votes, knows all it ever acknowledged, its disk keeps up, and there is room for
    /// the entry that begins a term. A node that is not in its own latest configuration runs too while that is not
    /// committed, without a vote of its own: it may be the only one that can bring that about (thesis §4.2.2).
    pub(super) fn may_run(&self) -> bool {
        self.membership.may_be_needed(self.config.id, self.commit)
            && self.damage.allows_leading(self.commit)
            && self.room.fits(&Payload::Noop)
            && !self.disk_is_slow()
    }

    /// Whether this node led last, and nobody else can have led since or be elected: then nobody is waited for.
    ///
    /// It is the only voter, and voted for itself in the term of the log's last slot. That term began after the
    /// configuration in force was set, so whoever led it needed this node's vote, which this node had. Entries that
    /// only one voter has to store are committed, so a later leader would have needed that vote, too. An earlier
    /// leader's lease had run out when this node first ran, or it had given it up for that (`TimeoutNow`).
    pub(super) fn led_alone(&self) -> bool {
        let (last, members) = (self.log.last(), self.membership.current());
        members.is_voter(self.config.id)
            && self.other_voters().is_empty()
            && self.membership.current_at().term < last.term
            && self.hard == HardState { term: last.term, vote: Some(self.config.id) }
    }

    /// A write has waited for longer than an election timeout: a leader with such a disk would hold up the
    /// cluster (hashicorp/raft#503).
    pub(super) fn disk_is_slow(&self) -> bool {
        self.writer.oldest_issue().is_some_and(|issued| self.now.since(issued) > self.config.election_timeout)
    }

    pub(super) fn election_due(&mut self) {
        self.reset_election_timer();
        if !self.may_run() {
            return self.doubt_due();
        }
        // Who was asked for a read index is given up; as a leader this node would never hear the answer.
        self.reads.ask_again();
        self.role = RoleState::Candidate(Candidate { asking: true, answers: BTreeMap::new() });
        let (term, message) = (self.hard.term.next(), Message::PreVote { last: self.log.last() });
        for to in self.other_voters() {
            let envelope = Envelope { from: self.config.id, to, term, message: message.clone() };
            self.out.push_back(Output::Send(envelope));
        }
        self.count_votes();
    }

    /// Enters the next term and votes for itself. Its own vote counts once it is durable, like any other
    /// (vesoft-inc/nebula#3415 forgot it, etcd-io/etcd#14370 counted too early).
    pub(super) fn campaign(&mut self, cause: CampaignCause) {
        assert!(
            self.membership.may_be_needed(self.config.id, self.commit),
            "runs for a cluster that has removed it"
        );
        let term = self.hard.term.next();
        self.note_hard(HardState { term, vote: Some(self.config.id) });
        self.damage.leader_changed();
        self.reset_election_timer();
        self.role = RoleState::Candidate(Candidate { asking: false, answers: BTreeMap::new() });
        self.event(Event::Campaign { term, cause });
        let message = Message::Vote { last: self.log.last(), transfer: cause == CampaignCause::Transfer };
        for to in self.other_voters() {
            self.send(to, message.clone());
        }
        self.count_votes();
    }

    pub(super) fn count_votes(&mut self) {
        let RoleState::Candidate(candidate) = &self.role else { return };
        let own = candidate.asking || self.hard_write <= self.writer.written();
        let asking = candidate.asking;
        let me = self.config.id;
        self.out.note(|| Step::Counts { asking, votes: candidate.yes(own.then_some(me)) });
        let verdict = tally(self.membership.current(), |id| {
            if id == self.config.id { own.then_some(true) } else { candidate.answers.get(&id).copied() }
        });
        match (verdict, asking) {
            (Tally::Won, true) => self.campaign(CampaignCause::NoLeader),
            (Tally::Won, false) => self.become_leader(),
            (Tally::Lost, _) => {
                if !asking {
                    self.out.note(|| Step::Yields { term: self.hard.term.0 });
                }
                self.role = RoleState::Follower(Follower::default());
            }
            (Tally::Open, _) => {}
        }
    }

    fn become_leader(&mut self) {
        let term = self.hard.term;
        assert_eq!(self.hard.vote, Some(self.config.id), "leads term {term} without its own vote");
        let heartbeat_at = self.now + self.config.heartbeat_interval;
        self.role = RoleState::Leader(Box::new(Leader::new(self.log.last().index.next(), heartbeat_at)));
        self.snapshots.incoming = None;
        // What it had asked its former leader it now confirms itself.
        self.reads.ask_again();
        self.sync_peers();
        self.supply_the_removed();
        self.event(Event::BecameLeader { term });
        // Without an entry of its own term it could not commit what came before (thesis §3.6.2, figure 3.7).
        self.append_own(Payload::Noop);
        self.broadcast_heartbeat();
    }

    /// Gives up whatever role it has. Reads it had begun are asked again of the next leader.
    pub(super) fn become_follower(&mut self, leader: Option<NodeId>, cause: StepDownCause) {
        if let RoleState::Leader(leading) = &self.role {
            self.reads.take_back(leading.unanswered_reads());
            self.reset_election_timer();
            self.event(Event::SteppedDown { term: self.hard.term, cause });
        }
        self.reads.ask_again();
        self.role = RoleState::Follower(Follower::of(leader));
    }

    /// Whether a message of a higher term takes this node there. While a leader is alive, neither a candidate that was
    /// cut off nor a node that was removed may depose it (thesis §4.2.3); but the leader itself may have told the
    /// candidate to run. It tells members only, so it has not told one that is none, or has removed it since. A voter
    /// that does not know a new member yet is not needed: a majority knew the successor before it was told.
    pub(super) fn heeds(&self, from: NodeId, message: &Message) -> bool {
        match message {
            Message::Append { .. } | Message::Heartbeat { .. } | Message::Snapshot { .. } => true,
            Message::Vote { transfer, .. } => self.is_free_to_vote(from, *transfer),
            _ => self.membership.current().contains(from) || !self.is_bound(),
        }
    }

    /// Whether this node must not help to elect another leader: it leads, or has heard a leader, or restarted, within
    /// an election timeout. The promise outlives the term it was given in: leases count on it (thesis §6.4.1).
    pub(super) fn is_bound(&self) -> bool {
        matches!(self.role, RoleState::Leader(_)) || self.now < self.bound_until
    }

    /// Whether no promise stands against a vote for `from`.
    fn is_free_to_vote(&self, from: NodeId, transfer: bool) -> bool {
        (transfer && self.membership.current().contains(from)) || !self.is_bound()
    }

    /// A leader was heard: no other is helped for an election timeout.
    pub(super) fn bind(&mut self) {
        self.bound_until = self.now + self.config.election_timeout;
        self.damage.doubt.wants_a_term = false;
    }

    /// Tells the sender of an old term that it is old; without that, a leader that was cut off and a node that
    /// moved on could ignore each other for ever (etcd-io/etcd#8334).
    pub(super) fn answer_the_past(&mut self, from: NodeId, message: &Message) {
        let answer = match message {
            Message::Vote { .. } => Message::VoteReply { granted: false },
            // Who still asks a former leader has missed that it was deposed.
            Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::Snapshot { .. }
            | Message::ReadIndex { .. } => {
                Message::HeartbeatReply { round: 0, verified: Index(0), matched: Index(0), full: false }
            }
            _ => return,
        };
        self.send(from, answer);
    }

    pub(super) fn pre_vote_asked(&mut self, from: NodeId, term: Term, last: LogId) {
        let granted = term > self.hard.term
            && last >= self.log.last()
            && self.damage.allows_voting()
            && !self.is_bound();
        if granted {
            let envelope =
                Envelope { from: self.config.id, to: from, term, message: Message::PreVoteReply { granted } };
            // It promises nothing, so it need not wait for anything to be durable.
            self.out.push_back(Output::Send(envelope));
        } else {
            self.send(from, Message::PreVoteReply { granted });
        }
    }

    pub(super) fn pre_vote_answered(&mut self, from: NodeId, term: Term, granted: bool) {
        let RoleState::Candidate(candidate) = &mut self.role else { return };
        if candidate.asking && (!granted || term == self.hard.term.next()) {
            candidate.answered(from, granted);
            self.count_votes();
        }
    }

    pub(super) fn vote_asked(&mut self, from: NodeId, last: LogId, transfer: bool) {
        // A promise stands against a vote that is to be given; one that is given is given, whatever was promised since.
        let free = match self.hard.vote {
            Some(given) => given == from,
            None => self.is_free_to_vote(from, transfer),
        };
        let granted =
            free && self.leader().is_none() && last >= self.log.last() && self.damage.allows_voting();
        if granted && self.hard.vote.is_none() {
            // One that was asking for itself stops asking, or it would soon depose the one it votes for.
            self.role = RoleState::Follower(Follower::default());
            self.out.note(|| Step::Votes { candidate: from.0 });
            self.note_hard(HardState { vote: Some(from), ..self.hard });
            self.reset_election_timer();
        }
        self.send(from, Message::VoteReply { granted });
    }

    pub(super) fn vote_answered(&mut self, from: NodeId, granted: bool) {
        let RoleState::Candidate(candidate) = &mut self.role else { return };
        if !candidate.asking {
            candidate.answered(from, granted);
            self.count_votes();
        }
    }

    pub(super) fn other_voters(&self) -> Vec<NodeId> {
        let members = self.membership.current();
        members.ids().filter(|id| *id != self.config.id && members.is_voter(*id)).collect()
    }
}
