//! What may count as committed, and be applied (thesis §3.6.2, §4.3).

use quorate_node::raft::trace::{Match, Slot};

use super::history::History;
use super::node::Node;
use super::quorum::agrees;
use super::{Guard, must};

impl Node {
    /// `AdvanceCommitIndex`: an entry of its own term (logcabin#44) that a majority of each half has said, in this term
    /// and to this leader, to have durably; the leader counts only if it votes, and as far as its own disk has it
    /// (etcd-io/etcd#14370, #10563).
    pub(super) fn commits(&mut self, history: &mut History, index: u64, matches: &[Match]) -> Guard {
        self.must_lead()?;
        let term = self.hard.term;
        must(index > self.commit, || format!("it has committed up to {}", self.commit))?;
        let slot = self.log.slot(index);
        must(slot.is_some_and(|slot| slot.term == term), || {
            format!("a leader of term {term} does not commit {slot:?} by counting")
        })?;
        let members = self.in_force(history).ok_or("it knows of no configuration")?;
        let acked = history.reign(term).map(|reign| &reign.acked).ok_or("nobody leads its term")?;
        for Match { node, index } in matches.iter().filter(|counted| counted.index > 0) {
            let holds = if *node == self.id {
                self.holds_durably(*index)
            } else {
                acked.get(node).is_some_and(|acked| acked >= index)
            };
            must(holds, || format!("{node:x} did not say in term {term} that it has {index}, durably"))?;
        }
        let counts = |id| matches.iter().any(|counted| counted.node == id && counted.index >= index);
        must(agrees(members, counts), || format!("{matches:x?} is no majority of {members:x?}"))?;
        self.commit = index;
        history.commit(term, index)
    }

    /// A follower takes its leader's word as far as it has verified its own log, and no farther (copycat#265).
    pub(super) fn learns(&mut self, history: &History, index: u64) -> Guard {
        must(!self.leads(), || "it leads".to_owned())?;
        let commit = history.reign(self.hard.term).map_or(0, |reign| reign.commit);
        must(index <= commit, || format!("its leader has committed up to {commit}"))?;
        must(index <= self.verified, || format!("it has verified its log up to {}", self.verified))?;
        self.commit = self.commit.max(index);
        Ok(())
    }

    /// Whoever holds a slot that is committed knows all before it to be so.
    pub(super) fn hears(&mut self, history: &History, slot: Slot) -> Guard {
        must(!self.leads(), || "a leader counts for itself".to_owned())?;
        must(self.log.holds(slot), || "it does not hold that slot".to_owned())?;
        must(history.committed.holds(slot), || "that slot is not committed".to_owned())?;
        self.commit = self.commit.max(slot.index);
        Ok(())
    }

    /// What the state machine gets is committed, and durable and intact here.
    pub(super) fn applies(&mut self, last: Slot) -> Guard {
        must(last.index > self.applying, || format!("it has applied up to {}", self.applying))?;
        must(last.index <= self.commit, || format!("it has committed up to {}", self.commit))?;
        must(self.log.holds(last), || format!("its log has {:?}", self.log.slot(last.index)))?;
        must(self.disk.holds(last), || format!("its disk has {:?}", self.disk.slot(last.index)))?;
        let within = self.applying + 1..=last.index;
        let lost = self.lost.range(within.clone()).next().map(|(index, _)| *index);
        let lost = lost.or_else(|| self.mending.range(within).next().map(|(index, _)| *index));
        must(lost.is_none(), || format!("slot {} is lost", lost.unwrap_or_default()))?;
        self.applying = last.index;
        Ok(())
    }
}
