//! Leading: appending, committing, hearing a majority.

use super::progress::{Progress, Supply};
use super::reads::ReadRound;
use super::transfer::{Leave, Transfer};
use super::{Raft, RoleState};
use crate::trace::{Match, Step};
use crate::{
    Entry, Event, Index, LogId, Message, NodeId, Payload, PeerState, PeerStatus, ReadId, StepDownCause,
    Tally, Time, agreed, committed_index, tally,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What only a leader knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Leader {
    pub(super) peers: BTreeMap<NodeId, Progress>,
    /// The entry it began its term with. Once that is committed it knows what is committed at all.
    first_own: Index,
    /// Counts its heartbeats.
    pub(super) round: u64,
    heartbeat_at: Time,
    /// The latest round that a majority has answered: kept, since each read by lease asks for it.
    confirmed: u64,
    /// When each round was sent, from the latest on that a majority had answered when the last one was sent.
    rounds_sent: VecDeque<(u64, Time)>,
    /// Another node may have been told to run.
    pub(super) lease_void: bool,
    pub(super) transfer: Option<Transfer>,
    /// A configuration in which it does not vote is committed.
    pub(super) leave: Option<Leave>,
    /// When the next piece of a snapshot may leave.
    pub(super) next_piece_at: Time,
    /// Who got the last one.
    pub(super) last_supplied: Option<NodeId>,
    /// Rounds that confirm reads, oldest first.
    pub(super) read_rounds: VecDeque<ReadRound>,
    /// Proposals not committed yet, in bytes.
    pub(super) uncommitted_bytes: usize,
    uncommitted: VecDeque<(Index, usize)>,
    /// Since when so many slots are damaged and none was filled.
    damaged: Option<(Time, usize)>,
}

impl Leader {
    pub(super) fn new(first_own: Index, heartbeat_at: Time) -> Self {
        Leader {
            peers: BTreeMap::new(),
            first_own,
            round: 0,
            confirmed: 0,
            heartbeat_at,
            rounds_sent: VecDeque::new(),
            lease_void: false,
            transfer: None,
            leave: None,
            next_piece_at: Time(0),
            last_supplied: None,
            read_rounds: VecDeque::new(),
            uncommitted_bytes: 0,
            uncommitted: VecDeque::new(),
            damaged: None,
        }
    }

    /// Whether another is to lead soon, so that nothing new is begun.
    pub(super) fn is_handing_over(&self) -> bool {
        self.transfer.is_some() || self.leave.is_some()
    }

    pub(super) fn unanswered_reads(&self) -> Vec<ReadId> {
        self.read_rounds.iter().flat_map(|round| round.ids.iter().copied()).collect()
    }
}

impl Raft {
    /// Whether this node leads and has committed an entry of its own term. Before that it may not know the
    /// latest commit (thesis §6.4), and must not change the members (Ongaro, raft-dev 2015; baidu/braft#182).
    pub fn is_settled(&self) -> bool {
        matches!(&self.role, RoleState::Leader(leader) if self.commit >= leader.first_own)
    }

    pub(super) fn append_own(&mut self, payload: Payload) -> LogId {
        let id = LogId { term: self.hard.term, index: self.log.last().index.next() };
        let entry = Entry { id, payload };
        if let RoleState::Leader(leader) = &mut self.role {
            leader.uncommitted_bytes += entry.weight();
            leader.uncommitted.push_back((id.index, entry.weight()));
        }
        self.append(entry);
        id
    }

    /// Commits what a majority of each half holds durably, itself included only as far as its own disk is, and
    /// only an entry of its own term, which carries those before it (thesis §3.6.2, figure 3.7).
    pub(super) fn advance_commit(&mut self) {
        let own = self.writer.durable().min(self.damage.sound_end(self.log.last().index));
        let RoleState::Leader(leader) = &mut self.role else { return };
        let committed = committed_index(self.membership.current(), |id| {
            if id == self.config.id {
                own
            } else {
                leader.peers.get(&id).map_or(Index(0), |peer| peer.matched)
            }
        });
        if committed <= self.commit || self.log.terms().term(committed) != Some(self.hard.term) {
            return;
        }
        self.commit = committed;
        let counted = |id: &NodeId| {
            let peer = leader.peers.get(id).map_or(Index(0), |peer| peer.matched);
            Match { node: id.0, index: if *id == self.config.id { own.0 } else { peer.0 } }
        };
        let members = self.membership.current();
        self.out.note(|| Step::Commits {
            index: committed.0,
            matches: members.voters.union(&members.outgoing).map(counted).collect(),
        });
        while let Some((_, bytes)) = leader.uncommitted.pop_front_if(|(index, _)| *index <= committed) {
            leader.uncommitted_bytes -= bytes;
        }
        self.advance_membership();
        self.tell_successor();
    }

    /// Makes the peers those of the configuration in force. One that was removed is supplied for a little longer, so
    /// that it learns of that, and does not go on asking for votes.
    pub(super) fn sync_peers(&mut self) {
        let members = self.membership.current();
        let RoleState::Leader(leader) = &mut self.role else { return };
        let leaves_at = self.now + self.config.election_timeout * 2;
        for (_, peer) in leader.peers.iter_mut().filter(|(id, _)| !members.contains(**id)) {
            peer.leaves_at.get_or_insert(leaves_at);
        }
        for id in members.ids().filter(|id| *id != self.config.id) {
            let new = || Progress::new(self.log.last().index.next(), self.now);
            leader.peers.entry(id).or_insert_with(new).leaves_at = None;
        }
        self.note_confirmed();
    }

    /// A new leader supplies those, too, whom the last change has removed: the leader that did so may have left with
    /// them.
    pub(super) fn supply_the_removed(&mut self) {
        let leaves_at = self.now + self.config.election_timeout * 2;
        let current = self.membership.current();
        let Some(previous) = self.membership.previous() else { return };
        let RoleState::Leader(leader) = &mut self.role else { return };
        for id in previous.ids().filter(|id| *id != self.config.id && !current.contains(*id)) {
            let new = || Progress::new(self.log.last().index.next(), self.now);
            leader.peers.entry(id).or_insert_with(new).leaves_at = Some(leaves_at);
        }
    }

    /// Those who were removed leave the peers two election timeouts after that was committed.
    fn part_with_the_removed(&mut self) {
        let is_open = self.membership.current_at().index > self.commit;
        let leaves_at = self.now + self.config.election_timeout * 2;
        let RoleState::Leader(leader) = &mut self.role else { return };
        if is_open {
            leader
                .peers
                .values_mut()
                .filter_map(|peer| peer.leaves_at.as_mut())
                .for_each(|at| *at = leaves_at);
        }
        leader.peers.retain(|_, peer| peer.leaves_at.is_none_or(|at| at > self.now));
    }

    pub(super) fn leader_tick(&mut self) {
        if self.disk_is_slow() {
            return self.become_follower(None, StepDownCause::SlowDisk);
        }
        if !self.hears_a_majority() {
            return self.become_follower(None, StepDownCause::NoQuorum);
        }
        if self.damage_outlasts_patience() {
            return self.become_follower(None, StepDownCause::Damage);
        }
        let RoleState::Leader(leader) = &mut self.role else { return };
        if self.now >= leader.heartbeat_at {
            // Only here: rounds that confirm reads must not put off the regular ones, which show what was lost.
            leader.heartbeat_at = self.now + self.config.heartbeat_interval;
            self.part_with_the_removed();
            self.broadcast_heartbeat();
            self.mark_peers();
            self.transfer_tick();
            self.leave_slow_disk();
            // One that was not heard when its turn came may be back, with nothing new to acknowledge.
            self.advance_membership();
        }
    }

    /// A disk that stands still will cost this node its office. Handed over before, that costs no election timeout.
    fn leave_slow_disk(&mut self) {
        let patience = self.config.election_timeout * 3 / 4;
        if self.writer.oldest_issue().is_some_and(|issued| self.now.since(issued) > patience)
            && !self.is_transferring()
        {
            // Without a successor it stays until it has to go.
            let _ = self.transfer(self.now, None);
        }
    }

    pub(super) fn leader_deadline(&self, leader: &Leader) -> Time {
        self.next_piece_due(leader).map_or(leader.heartbeat_at, |at| at.min(leader.heartbeat_at))
    }

    /// Check-quorum (thesis §6.2): a leader that a majority no longer hears must not go on leading.
    fn hears_a_majority(&self) -> bool {
        let RoleState::Leader(leader) = &self.role else { return false };
        let heard = |id| {
            let peer = leader.peers.get(&id);
            Some(id == self.config.id || peer.is_some_and(|peer| self.hears(peer)))
        };
        // As a rule everybody is heard, which takes no counting: each voter is a peer.
        leader.peers.values().all(|peer| self.hears(peer))
            || tally(self.membership.current(), heard) == Tally::Won
    }

    /// Whether the peer was heard within an election timeout, or had no time yet to be heard in this term.
    pub(super) fn hears(&self, peer: &Progress) -> bool {
        self.now.since(peer.heard) <= self.config.election_timeout
    }

    /// Damage that no peer's log could fill for an election timeout. Where everybody else has compacted the slot
    /// away only a leader's snapshot helps, and a leader gets none: it could neither apply nor supply what stands
    /// there, for ever. With nobody else to lead, what is committed may stay damaged.
    fn damage_outlasts_patience(&mut self) -> bool {
        let left = self.damage.count();
        let harmless =
            left == 0 || (self.damage.allows_leading(self.commit) && self.other_voters().is_empty());
        let RoleState::Leader(leader) = &mut self.role else { return false };
        if harmless {
            leader.damaged = None;
            return false;
        }
        let (since, before) = leader.damaged.get_or_insert((self.now, left));
        if left < *before {
            (*since, *before) = (self.now, left);
        }
        self.now.since(*since) > self.config.election_timeout
    }

    pub(super) fn broadcast_heartbeat(&mut self) {
        let (commit, confirmed) = (self.commit, self.confirmed_round());
        let RoleState::Leader(leader) = &mut self.role else { return };
        // Here and not where answers come: a leader without other voters gets none.
        while leader.rounds_sent.pop_front_if(|(round, _)| *round < confirmed).is_some() {}
        leader.round += 1;
        let round = leader.round;
        leader.rounds_sent.push_back((round, self.now));
        let peers: Vec<NodeId> = leader.peers.keys().copied().collect();
        self.note_confirmed();
        for to in peers {
            self.send(to, Message::Heartbeat { round, commit });
        }
    }

    /// Lets the answers to the heartbeat just sent show what was lost. Only regular ones: those that confirm
    /// reads follow each other too closely.
    fn mark_peers(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        for peer in leader.peers.values_mut() {
            peer.mark(leader.round);
        }
    }

    pub(super) fn heard_from(&mut self, from: NodeId) {
        let now = self.now;
        if let RoleState::Leader(leader) = &mut self.role
            && let Some(peer) = leader.peers.get_mut(&from)
        {
            peer.heard = now;
            peer.answered = true;
        }
    }

    pub(super) fn heartbeat_answered(
        &mut self,
        from: NodeId,
        round: u64,
        verified: Index,
        matched: Index,
        full: bool,
    ) {
        let last = self.log.last().index;
        let RoleState::Leader(leader) = &mut self.role else { return };
        if round > leader.round || verified > last || matched > verified {
            return self
                .nonsense(Some(from), "an answer to a heartbeat, or for entries, that were never sent");
        }
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        // The news of an earlier round may come later.
        if round >= peer.round {
            peer.full = full;
        }
        peer.heartbeat_answered(round, verified);
        let is_news = matched > peer.matched;
        self.note_confirmed();
        if is_news {
            self.appended(from, matched);
        }
        self.confirm_reads();
    }

    /// The latest round that a majority has answered: when it was sent, they were in this leader's term.
    pub(super) fn confirmed_round(&self) -> u64 {
        match &self.role {
            RoleState::Leader(leader) => leader.confirmed,
            RoleState::Follower(_) | RoleState::Candidate(_) => 0,
        }
    }

    /// Counts anew which round is confirmed: after each answer, each round sent, and each change of members.
    fn note_confirmed(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        leader.confirmed = agreed(self.membership.current(), |id| {
            if id == self.config.id {
                leader.round
            } else {
                leader.peers.get(&id).map_or(0, |peer| peer.round)
            }
        });
    }

    /// Until when this node may serve reads by itself, on its own clock, if it leads: so long those who could elect
    /// another leader have promised not to. Counted from the sending of the round that they answered, in both halves
    /// of a joint configuration (thesis §6.4.1).
    pub fn lease_until(&self) -> Option<Time> {
        let RoleState::Leader(leader) = &self.role else { return None };
        let confirmed = self.confirmed_round();
        let (_, sent) = leader.rounds_sent.iter().find(|(round, _)| *round == confirmed)?;
        let given_up = leader.lease_void || leader.transfer.is_some();
        (!given_up).then(|| *sent + self.config.lease())
    }

    pub(super) fn holds_lease(&self) -> bool {
        self.lease_until().is_some_and(|until| self.now < until)
    }

    pub(super) fn appended(&mut self, from: NodeId, matched: Index) {
        let last = self.log.last().index;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        if matched > last {
            return self.nonsense(Some(from), "an answer for entries that were never sent");
        }
        if peer.matched_up_to(matched) {
            self.advance_commit();
            self.tell_successor();
            self.advance_membership();
        }
    }

    /// The peer does not hold `prev`. Goes back to the last slot both may share: one whose term is not above
    /// the hint's, a whole term at a step (thesis §3.5, the end).
    pub(super) fn conflicted(&mut self, from: NodeId, prev: LogId, hint: LogId) {
        let shared = self.log.terms().last_not_above(hint.index, hint.term).index;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.get_mut(&from) else { return };
        let current = match peer.supply {
            Supply::Probe { .. } => prev.index.next() == peer.next,
            Supply::Pipeline => true,
            Supply::Snapshot { .. } => false,
        };
        let (shared, probing) = (shared.min(prev.index.previous()), peer.is_probing());
        // A late one, about what has since been found to match, must not take the peer back (etcd-io/etcd#1207).
        if current && prev.index > peer.matched {
            peer.probe_from(shared.next());
        }
        // About the very slot that is counted on: the peer has lost it, and may not know that it ever held it; or this
        // one is late, and the next answer corrects it. Less than a peer holds may be believed of it at any time: a
        // commit waits for more, and what is committed already stands on what was durable when it was counted.
        if current && prev.index == peer.matched && probing {
            peer.lost_down_to(shared);
        }
    }

    pub(super) fn link_broke(&mut self, to: NodeId) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(peer) = leader.peers.get_mut(&to) else { return };
        match &mut peer.supply {
            Supply::Snapshot { waiting, .. } => *waiting = false,
            // Where it probes is its best guess: with nothing matched yet, "after what matched" is the whole log.
            Supply::Probe { waits_for } => *waits_for = None,
            Supply::Pipeline => peer.probe_from(peer.matched.next()),
        }
    }

    /// How this node sees its peers. None unless it leads.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> {
        let peers = match &self.role {
            RoleState::Leader(leader) => Some(&leader.peers),
            RoleState::Follower(_) | RoleState::Candidate(_) => None,
        };
        let stay = peers.into_iter().flatten().filter(|(_, peer)| peer.leaves_at.is_none());
        stay.map(|(id, peer)| PeerStatus {
            id: *id,
            matched: peer.matched,
            state: if self.hears(peer) { peer.state() } else { PeerState::Down },
        })
    }

    /// Reports a slot that is damaged; see `repair`.
    pub(super) fn found_damaged(&mut self, slot: LogId) {
        if self.log.terms().holds(slot)
            && slot.index > self.log.terms().base().index
            && self.damage.note(slot, self.hard.term)
        {
            self.forget_acked();
            self.event(Event::Damaged { slot });
            self.drop_covered_damage();
        }
    }
}
