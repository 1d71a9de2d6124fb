//! A damaged slot of which no copy is found: was it ever committed?
//!
//! A node with damage above its commit may not run, and refuses whoever lacks the slot; when enough nodes are so, no
//! leader would come for ever. The slot is given up under the rule "drop" of `docs/PROTOCOL.md`: nodes that are a
//! majority of each half of the configuration below the slot say, in a term in which this node acknowledged nothing of
//! it, that they do not hold it. Whoever committed it would have needed one of them. TigerBeetle's view changes
//! negative-acknowledge prepares for the same end; FAST'18 leaves it to the leader.

use super::outbox::slot as traced;
use super::{Raft, RoleState};
use crate::trace::Step;
use crate::{Event, Held, LogId, NodeId, Report, Tally, Term, Time, tally};
use alloc::collections::{BTreeMap, BTreeSet};
use serde::{Deserialize, Serialize};

/// What the others say of the slot that is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Doubt {
    /// The slot, and the term in which `never` was said.
    about: Option<(LogId, Term)>,
    /// Who said, in that very term, that it does not hold the slot.
    never: BTreeSet<NodeId>,
    /// Who would say so and hears no leader, and when that was said.
    would: BTreeMap<NodeId, Time>,
    /// No leader was heard until the election timer fired.
    pub(super) wants_a_term: bool,
}

impl Raft {
    /// The slot that nobody may hold: the lowest damaged one that is not known to be committed. Only a node that may
    /// vote stands in anybody's way.
    pub(super) fn in_doubt(&self) -> Option<LogId> {
        let votes = self.membership.may_be_needed(self.config.id, self.commit);
        self.damage.lowest_above(self.commit).filter(|_| votes)
    }

    /// No leader was heard until the election timer fired, and this node may not run.
    pub(super) fn doubt_due(&mut self) {
        if self.in_doubt().is_some() {
            self.damage.doubt.wants_a_term = true;
            self.damage.ask_now();
        }
    }

    /// What this node holds of a slot that another one lost. A "never" leaves when the term is durable, like a vote:
    /// from then on this node acknowledges nothing to the leaders before.
    pub(super) fn report_on(&self, slot: LogId) -> Report {
        let terms = self.log.terms();
        let held = if slot.index <= terms.base().index {
            Held::InSnapshot
        } else if terms.holds(slot) {
            if self.damage.has_lost(slot.index) { Held::Damaged } else { Held::Intact }
        } else if self.damage.may_have_forgotten(slot.index) {
            Held::Unknown
        } else {
            Held::Never
        };
        Report { slot, held, bound: self.is_bound() }
    }

    /// A peer knows more to be committed. What this node holds of that is the same entry with the same prefix, and
    /// damage there hinders nothing.
    pub(super) fn commit_told(&mut self, committed: LogId) {
        let is_news = committed.index > self.commit && self.log.terms().holds(committed);
        if !matches!(self.role, RoleState::Leader(_)) && is_news {
            self.commit = committed.index;
            self.out.note(|| Step::Hears { slot: traced(committed) });
        }
    }

    pub(super) fn reported(&mut self, term: Term, from: NodeId, report: Option<Report>) {
        let (Some(report), Some(slot)) = (report, self.in_doubt()) else { return };
        if report.slot != slot {
            return;
        }
        let about = Some((slot, self.hard.term));
        let doubt = &mut self.damage.doubt;
        if doubt.about != about {
            *doubt = Doubt { about, wants_a_term: doubt.wants_a_term, ..Doubt::default() };
        }
        let never = report.held == Held::Never;
        if never && !report.bound {
            doubt.would.insert(from, self.now);
        } else {
            doubt.would.remove(&from);
        }
        if !self.asks_anew() {
            self.consider_a_term(slot);
        } else if never && term == self.hard.term {
            self.damage.doubt.never.insert(from);
            self.consider_giving_up(slot);
        }
    }

    /// Whether this node is in a term in which it acknowledged nothing of what it lost: one that it entered after the
    /// loss was known, and in which it follows nobody and runs for nothing.
    fn asks_anew(&self) -> bool {
        let follows_nobody = matches!(&self.role, RoleState::Follower(follower) if follower.leader.is_none());
        follows_nobody && self.hard.term > self.damage.acknowledged_in
    }

    /// Enters a term to ask in, when those whose answers are needed would give them and nobody hears a leader: as with
    /// a pre-vote, a leader that is alive is not disturbed (thesis §9.6).
    fn consider_a_term(&mut self, slot: LogId) {
        let (doubt, now, patience) = (&self.damage.doubt, self.now, self.config.election_timeout);
        let would = |id| doubt.would.get(&id).is_some_and(|said| now.since(*said) <= patience);
        if !doubt.wants_a_term || self.is_bound() || !self.are_enough(slot, would) {
            return;
        }
        let term = self.hard.term.next();
        self.out.note(|| Step::Doubts { term: term.0, slot: traced(slot) });
        self.enter_term(term);
        self.event(Event::Doubts { term, slot });
        self.damage.doubt = Doubt::default();
        self.damage.ask_now();
    }

    /// Whether these are a majority of each half of the configuration below the slot. Then whoever committed the slot,
    /// by that configuration or by the next, needed one of them. That they *leave* no majority would not do: with an
    /// even number of voters, one that was added or removed right after the slot makes a majority with the rest.
    fn are_enough(&self, slot: LogId, those: impl Fn(NodeId) -> bool) -> bool {
        let (_, members) = self.membership.at(slot.index.previous());
        !members.voters.is_empty() && tally(members, |id| those(id).then_some(true)) == Tally::Won
    }

    /// Gives the slot up, and all after it. Nothing leaves before that is durable, votes least of all.
    fn consider_giving_up(&mut self, slot: LogId) {
        if !self.are_enough(slot, |id| self.damage.doubt.never.contains(&id)) {
            return;
        }
        let doubt = &self.damage.doubt;
        self.out
            .note(|| Step::Drops { slot: traced(slot), never: doubt.never.iter().map(|id| id.0).collect() });
        self.truncate(slot.index);
        self.hard_write = self.writer.next_id();
        self.damage.doubt = Doubt::default();
        self.event(Event::GaveUp { slot });
        self.reset_election_timer();
    }
}
