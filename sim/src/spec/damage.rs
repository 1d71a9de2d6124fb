//! Slots that the disk has lost (`docs/PROTOCOL.md`, "Damage"; *Protocol-Aware Recovery*, FAST'18).

use quorate_node::raft::trace::Slot;

use super::history::History;
use super::node::{Node, Role};
use super::quorum::agrees;
use super::{Guard, must};

/// A leader said how far its log goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) to: u128,
    pub(super) term: u64,
    pub(super) index: u64,
}

impl Node {
    pub(super) fn loses(&mut self, slot: Slot) -> Guard {
        must(self.log.holds(slot), || format!("its log has {:?} there", self.log.slot(slot.index)))?;
        if self.lost.insert(slot.index, slot.term).is_none() {
            self.acknowledged_in = self.hard.term;
        }
        self.mending.remove(&slot.index);
        Ok(())
    }

    /// A payload is taken only for the very slot that was lost.
    pub(super) fn mends(&mut self, slot: Slot) -> Guard {
        let lost = self.lost.get(&slot.index);
        must(lost == Some(&slot.term), || "that slot is not lost".to_owned())?;
        self.lost.remove(&slot.index);
        self.mending.insert(slot.index, None);
        Ok(())
    }

    /// All that it can have acknowledged lies in the log of a leader that said, after the start, how far that goes.
    pub(super) fn is_told_the_reach(&mut self, reach: &Reach) {
        if let Some(tail) = &mut self.tail {
            tail.reaches.push((reach.term, reach.index));
        }
    }

    pub(super) fn recalls(&mut self, end: u64) -> Guard {
        let tail = self.tail.as_ref().ok_or("it has lost nothing")?;
        must(matches!(self.role, Role::Follower(Some(_))), || "it follows nobody".to_owned())?;
        must(end <= self.verified, || format!("it has verified its log up to {}", self.verified))?;
        must(self.holds_durably(end), || format!("it does not hold {end} durably"))?;
        let mut reaches = tail.reaches.iter().filter(|(term, _)| *term == self.hard.term);
        must(reaches.any(|(_, reach)| *reach <= end), || {
            format!("leaders' logs went so far when they were asked: {:?}", tail.reaches)
        })?;
        self.tail = None;
        Ok(())
    }

    /// It begins a term to ask in, as it may not run.
    pub(super) fn doubts(&self, history: &mut History, term: u64, slot: Slot) -> Guard {
        must(!self.leads(), || "it leads".to_owned())?;
        must(term == self.hard.term + 1, || format!("term {term} is not the one after {}", self.hard.term))?;
        let lowest = self.lowest_doubtful();
        must(lowest == Some(slot), || format!("its lowest lost slot above the commit is {lowest:?}"))?;
        must(self.may_be_needed(history), || "it votes in no configuration that may still count".to_owned())?;
        history.term(term).begun = true;
        Ok(())
    }

    /// A slot is given up when a majority of each half of the configuration below it said, in a term that is new to
    /// this server, that it never had it.
    pub(super) fn drops(&mut self, history: &History, slot: Slot, never: &[u128]) -> Guard {
        let term = self.hard.term;
        must(self.role == Role::Follower(None), || "it follows, runs or leads".to_owned())?;
        must(term > self.acknowledged_in, || {
            format!("it may have acknowledged the slot in term {}", self.acknowledged_in)
        })?;
        let lowest = self.lowest_doubtful();
        must(lowest == Some(slot), || format!("its lowest lost slot above the commit is {lowest:?}"))?;
        let known = history.terms.get(&term).ok_or("nothing was said in this term")?;
        for id in never {
            must(known.never.contains(&(*id, slot)) && *id != self.id, || {
                format!("{id:x} did not say in term {term} that it never had the slot")
            })?;
        }
        let below = self.configured.iter().rev().find(|at| at.index < slot.index);
        let members = below.and_then(|at| history.configurations.get(at));
        let members = members.ok_or("it knows of no configuration")?;
        must(agrees(members, |id| never.contains(&id)), || {
            format!("{never:x?} are no majority of {members:x?}")
        })?;
        self.dropping = Some(slot);
        Ok(())
    }

    /// Who has lost a slot, or the end of its log, or has it in a checkpoint, does not say that it never had it.
    pub(super) fn never_had(&self, slot: Slot) -> Guard {
        let base = self.log.base();
        must(slot.index > base.index, || format!("its log begins after {base:?}"))?;
        must(!self.log.holds(slot), || "it has that slot".to_owned())?;
        must(self.tail.as_ref().is_none_or(|tail| slot.index < tail.from), || {
            "it may have lost that slot with the end of its log".to_owned()
        })
    }
}
