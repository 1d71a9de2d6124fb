//! What may be appended and dropped (thesis §3.5), and changes of members (§4).

use quorate_node::raft::trace::{Configuration, Slot};

use super::history::History;
use super::node::{Node, Role};
use super::quorum::may_follow;
use super::{Guard, must};

impl Node {
    /// `ClientRequest` on a leader; on others one entry of `HandleAppendEntriesRequest`: it stands at that place in the
    /// log of the leader that is followed.
    pub(super) fn appends(&mut self, history: &mut History, slot: Slot) -> Guard {
        let term = self.hard.term;
        if self.leads() {
            must(slot.term == term, || format!("a leader of term {term} makes no entry of {}", slot.term))?;
            let reign = history.reign_mut(term).ok_or("nobody leads its term")?;
            must(reign.log.push(slot), || format!("it does not follow {:?}", reign.log.last()))?;
        } else {
            let reign = self.leader(history)?;
            must(reign.holds(slot), || format!("its leader has {:?} at that place", reign.slot(slot.index)))?;
        }
        must(self.log.push(slot), || format!("it does not follow {:?}", self.log.last()))
    }

    /// The log of the leader that it follows.
    fn leader<'a>(&self, history: &'a History) -> Result<&'a super::log::Log, String> {
        let Role::Follower(Some(leader)) = self.role else { return Err("it follows nobody".to_owned()) };
        let reign = history.reign(self.hard.term).filter(|reign| reign.leader == leader);
        reign.map(|reign| &reign.log).ok_or_else(|| format!("{leader:x} does not lead its term"))
    }

    /// An entry that sets a configuration. A leader has committed in its term (baidu/braft#182), no other change is
    /// open, and the majorities of what was and what is to be share a voter.
    pub(super) fn configures(
        &mut self,
        history: &mut History,
        slot: Slot,
        configuration: &Configuration,
    ) -> Guard {
        if self.leads() {
            let first_own = history.reign(self.hard.term).map_or(u64::MAX, |reign| reign.first_own);
            must(self.commit >= first_own, || "it has committed nothing in its term".to_owned())?;
            let at = self.members_at();
            must(at.index <= self.commit, || format!("the change at {at:?} is not committed"))?;
            let current = self.in_force(history).ok_or("it knows of no configuration")?;
            must(may_follow(current, configuration), || format!("it can't follow {current:x?}"))?;
            must(!configuration.voters.is_empty(), || "nobody would vote".to_owned())?;
        }
        self.appends(history, slot)?;
        let known = history.configurations.entry(slot).or_insert_with(|| configuration.clone());
        must(known == configuration, || format!("{slot:?} is {known:x?}"))?;
        self.configured.push(slot);
        Ok(())
    }

    /// Only a conflict with the leader truncates (ktoso/akka-raft#66), and nothing that is committed, or was found to
    /// be the leader's; or a slot is given up that nobody had.
    pub(super) fn truncates(&mut self, history: &History, from: u64) -> Guard {
        must(!self.leads(), || "a leader never truncates its log".to_owned())?;
        must(from > self.commit, || format!("all up to {} is committed", self.commit))?;
        match self.dropping.take() {
            Some(slot) => {
                must(slot.index == from, || format!("it gave up {slot:?}"))?;
                self.verified = self.verified.min(from - 1);
                self.silent_until = self.issued + 1;
            }
            None => {
                must(from > self.verified, || format!("all up to {} is the leader's", self.verified))?;
                let theirs = self.leader(history)?.slot(from);
                let ours = self.log.slot(from);
                must(theirs.is_some() && ours.is_some() && theirs != ours, || {
                    format!("nothing conflicts: its leader has {theirs:?}, and it has {ours:?}")
                })?;
            }
        }
        self.log.truncate(from);
        self.configured.retain(|at| at.index < from);
        self.forget_damage(|index| index >= from);
        Ok(())
    }

    /// The end of `HandleAppendEntriesRequest`: up to here its log is the leader's. With what was dropped the
    /// configurations went that it had set (camunda#57393).
    pub(super) fn verifies(&mut self, history: &History, index: u64, members_at: Slot) -> Guard {
        // A checkpoint may be whole when nobody leads the term yet: whoever will has all that is committed.
        let awaits_leader = self.role == Role::Follower(None) && index <= self.commit;
        if !awaits_leader {
            let theirs = self.leader(history)?;
            let difference = self.log.difference(theirs, index);
            must(difference.is_none(), || {
                let index = difference.unwrap_or_default();
                format!("at {index} it has {:?}, its leader {:?}", self.log.slot(index), theirs.slot(index))
            })?;
        }
        let in_force = self.members_at();
        must(members_at == in_force, || {
            format!("the last configuration of its log is that of {in_force:?}")
        })?;
        self.verified = self.verified.max(index);
        Ok(())
    }
}
