//! Slots whose payload, or whose very term, the disk has lost.
//!
//! A damaged slot is not an end of the log: what a node once acknowledged counts towards a commit, so a node
//! that took damage for the end would let committed entries vanish (*Protocol-Aware Recovery for
//! Consensus-Based Storage*, FAST'18). Here the rules "fill", "acknowledge", "vote" and "lead" of
//! `docs/PROTOCOL.md` hold; what becomes of a slot of which no copy is found is in `doubt`.

use super::doubt::Doubt;
use super::outbox::slot;
use super::{Raft, RoleState};
use crate::trace::Step;
use crate::{Entry, Event, Index, LogId, Message, NodeId, Reader, Report, Term, Time, WriteId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What is lost, and what is being done about it.
///
/// Invariant: a slot is not lost and being mended at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Damage {
    /// Slots whose payload is lost.
    lost: BTreeMap<Index, Term>,
    /// Slots whose payload came from a peer and is on its way to disk.
    mending: BTreeMap<Index, (Term, WriteId)>,
    /// The slots from here on were acknowledged, and their terms are lost.
    tail: Option<LostTail>,
    /// In the terms up to this one a slot that is lost may have been acknowledged.
    pub(super) acknowledged_in: Term,
    pub(super) doubt: Doubt,
    /// Names this start's questions.
    pub(super) nonce: u64,
    ask_at: Option<Time>,
    /// Answers wait for these loads.
    answering: BTreeMap<NodeId, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct LostTail {
    /// The first slot of it.
    from: Index,
    /// How far the leader's log reached when asked after the restart: everything this node acknowledged and
    /// that may be committed lies there.
    must_hold: Option<LogId>,
}

impl Damage {
    pub(super) fn new(nonce: u64, damaged: &[LogId], unknown: Option<Index>, term: Term) -> Self {
        let lost: BTreeMap<Index, Term> = damaged.iter().map(|id| (id.index, id.term)).collect();
        let ask_at = (!lost.is_empty() || unknown.is_some()).then_some(Time(0));
        Damage {
            lost,
            mending: BTreeMap::new(),
            tail: unknown.map(|from| LostTail { from, must_hold: None }),
            acknowledged_in: term,
            doubt: Doubt::default(),
            nonce,
            ask_at,
            answering: BTreeMap::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.lost.len() + self.mending.len() + usize::from(self.tail.is_some())
    }

    /// Damage below `last` does not matter for a vote; not knowing `last` does.
    pub(super) fn allows_voting(&self) -> bool {
        self.tail.is_none()
    }

    /// Damage at or below the known commit hinders nothing: a copy is at a majority.
    pub(super) fn allows_leading(&self, commit: Index) -> bool {
        self.tail.is_none() && self.unsound().all(|index| index <= commit)
    }

    /// The end of the prefix that may be acknowledged.
    pub(super) fn sound_end(&self, last: Index) -> Index {
        self.unsound().min().map_or(last, Index::previous)
    }

    /// The last index up to which all slots from `first` on are intact.
    pub(super) fn intact_from(&self, first: Index, last: Index) -> Index {
        self.unsound().filter(|index| *index >= first).min().map_or(last, Index::previous)
    }

    /// The last slot up to `index` that is not intact.
    pub(super) fn highest_up_to(&self, index: Index) -> Option<Index> {
        self.unsound().filter(|slot| *slot <= index).max()
    }

    /// The lowest slot above `commit` whose payload is lost. None while the end of the log is unknown: what was lost
    /// with it may have been a change of the members, and this node does not vote, so it stands in nobody's way.
    pub(super) fn lowest_above(&self, commit: Index) -> Option<LogId> {
        let known = self.tail.is_none();
        let mut above = self.lost.range(commit.next()..);
        above.next().filter(|_| known).map(|(index, term)| LogId { term: *term, index: *index })
    }

    /// The slots whose payload is lost.
    pub(super) fn lost_slots(&self) -> impl Iterator<Item = LogId> + '_ {
        self.lost.iter().map(|(index, term)| LogId { term: *term, index: *index })
    }

    pub(super) fn has_lost(&self, index: Index) -> bool {
        self.lost.contains_key(&index)
    }

    /// Whether the slot at `index` may have stood in the tail whose terms are lost.
    pub(super) fn may_have_forgotten(&self, index: Index) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.from <= index)
    }

    /// Asks again at once.
    pub(super) fn ask_now(&mut self) {
        self.ask_at = Some(Time(0));
    }

    fn unsound(&self) -> impl Iterator<Item = Index> + '_ {
        self.lost.keys().chain(self.mending.keys()).copied()
    }

    /// True when that is news.
    pub(super) fn note(&mut self, slot: LogId, term: Term) -> bool {
        if !self.lost.contains_key(&slot.index) {
            self.acknowledged_in = term;
        }
        self.mending.remove(&slot.index);
        self.ask_at.get_or_insert(Time(0));
        self.lost.insert(slot.index, slot.term).is_none()
    }

    pub(super) fn truncate(&mut self, from: Index) {
        self.lost.retain(|index, _| *index < from);
        self.mending.retain(|index, _| *index < from);
    }

    pub(super) fn compact(&mut self, to: Index) {
        self.lost.retain(|index, _| *index > to);
        self.mending.retain(|index, _| *index > to);
    }

    pub(super) fn reset(&mut self) {
        self.lost.clear();
        self.mending.clear();
    }

    /// What an earlier leader said of its log binds no longer.
    pub(super) fn leader_changed(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.must_hold = None;
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.ask_at
    }
}

impl Raft {
    /// Takes a payload for a damaged slot from whoever has it: the same id is the same entry.
    pub(super) fn repair_slot(&mut self, entry: Entry) {
        let id = entry.id;
        // Without room for it the slot stays lost, and is asked for again.
        if self.damage.lost.get(&id.index) == Some(&id.term) && self.room.fits(&entry.payload) {
            self.out.note(|| Step::Mends { slot: slot(id) });
            self.damage.lost.remove(&id.index);
            self.room.issue(self.writer.next_id(), &entry.payload);
            self.damage.mending.insert(id.index, (id.term, self.writer.next_id()));
            self.writer.repair(entry);
        }
    }

    pub(super) fn repairs_written(&mut self) {
        let written = self.writer.written();
        let mended: Vec<LogId> = self
            .damage
            .mending
            .iter()
            .filter(|(_, (_, write))| *write <= written)
            .map(|(index, (term, _))| LogId { term: *term, index: *index })
            .collect();
        for slot in mended {
            self.damage.mending.remove(&slot.index);
            self.event(Event::Repaired { slot });
        }
        let end = self.acknowledged_end();
        let held = |tail: &LostTail| tail.must_hold.is_some_and(|must| end >= must.index);
        if self.damage.tail.as_ref().is_some_and(held) {
            self.damage.tail = None;
            self.out.note(|| Step::Recalls { end: end.0 });
        }
    }

    /// What this node has verified against its leader and holds durably.
    fn acknowledged_end(&self) -> Index {
        let sound = self.damage.sound_end(self.log.last().index);
        match &self.role {
            RoleState::Follower(follower) => follower.verified.min(self.writer.durable()).min(sound),
            RoleState::Leader(_) | RoleState::Candidate(_) => Index(0),
        }
    }

    /// Asks everybody, again and again, while something is lost.
    pub(super) fn repair_tick(&mut self) {
        if self.damage.ask_at.is_none_or(|at| at > self.now) {
            return;
        }
        if self.damage.lost.is_empty() && self.damage.tail.is_none() {
            self.damage.ask_at = None;
            return;
        }
        self.damage.ask_at = Some(self.now + self.config.heartbeat_interval * 2);
        let end = self.log.last().index;
        let first = self.damage.lost.keys().next().copied().unwrap_or(end.next());
        let last = self.damage.lost.keys().next_back().copied().unwrap_or(end);
        let (nonce, sound, doubt) = (self.damage.nonce, self.damage.sound_end(end), self.in_doubt());
        let ask = Message::Ask { nonce, first, last, sound, doubt };
        // The leader too, when it is no member yet in what is left of this log: it alone can say how far to go.
        let mut peers: BTreeSet<NodeId> = self.membership.current().ids().chain(self.leader()).collect();
        peers.remove(&self.config.id);
        for to in peers {
            self.send(to, ask.clone());
        }
    }

    /// A leader stops counting on what a peer can no longer answer for.
    pub(super) fn peer_lost(&mut self, from: NodeId, sound: Index) {
        let base = self.log.terms().base().index;
        if let Some(peer) = self.peer(from) {
            peer.lost_down_to(sound);
            // What it lost may be in nobody's log any more. Then it needs the snapshot.
            if sound < base && !matches!(peer.supply, super::progress::Supply::Snapshot { .. }) {
                peer.probe_from(sound.next());
            }
        }
    }

    /// A peer lost slots. What is in memory goes at once, the rest after a load. A leader also says how far its own
    /// log reaches.
    pub(super) fn asked(
        &mut self,
        from: NodeId,
        nonce: u64,
        first: Index,
        last: Index,
        doubt: Option<LogId>,
    ) {
        let report = doubt.map(|slot| self.report_on(slot));
        let base = self.log.terms().base().index;
        let first = first.max(base.next());
        let last = last.min(self.damage.intact_from(first, self.log.last().index));
        if first > last {
            return self.tell(from, nonce, Vec::new(), report);
        }
        match self.log.cached(first, last, self.config.append_bytes) {
            Some(entries) => self.tell(from, nonce, entries, report),
            None => {
                self.damage.answering.insert(from, nonce);
                self.load(Reader::Repair(from), first, last, self.config.append_bytes);
                if report.is_some() {
                    self.tell(from, nonce, Vec::new(), report);
                }
            }
        }
    }

    pub(super) fn loaded_for_repair(&mut self, to: NodeId, first: Index, entries: Vec<Entry>) {
        let Some(nonce) = self.damage.answering.remove(&to) else { return };
        if self.are_ours(first, &entries) {
            self.tell(to, nonce, entries, None);
        }
    }

    pub(super) fn tell(&mut self, to: NodeId, nonce: u64, entries: Vec<Entry>, report: Option<Report>) {
        let leads_to = matches!(self.role, RoleState::Leader(_)).then(|| self.log.last());
        let committed = self.log.terms().id(self.commit).unwrap_or_default();
        self.send(to, Message::Tell { nonce, entries, leads_to, committed, report });
    }

    pub(super) fn told(&mut self, term: Term, from: NodeId, entries: Vec<Entry>, leads_to: Option<LogId>) {
        for entry in entries {
            self.repair_slot(entry);
        }
        let current = term == self.hard.term && self.leader() == Some(from);
        if let (Some(tail), Some(reach), true) = (&mut self.damage.tail, leads_to, current) {
            tail.must_hold.get_or_insert(reach);
        }
        self.repairs_written();
    }
}
