//! Checkpoints, taken and received (thesis §5).

use quorate_node::raft::trace::Slot;

use super::history::History;
use super::log::Log;
use super::node::{Node, Role};
use super::{Guard, must};

impl Node {
    /// A checkpoint is of what is committed; one's own, of what was applied.
    pub(super) fn stores(&mut self, history: &History, last: Slot, own: bool) -> Guard {
        must(history.committed.holds(last), || "that slot is not committed".to_owned())?;
        must(!own || last.index <= self.applying, || format!("it has applied up to {}", self.applying))?;
        self.snapshot = self.snapshot.max(last);
        Ok(())
    }

    /// A checkpoint becomes the state: never an older one (openraft ac3e5a89). What the log has above it stays, if it
    /// has the very slot; else all of it goes. It brings the configuration in force at its end (async-raft#133).
    pub(super) fn installs(&mut self, history: &History, last: Slot, members_at: Slot) -> Guard {
        must(!self.leads(), || "it leads".to_owned())?;
        must(last.index > self.applying, || format!("it has applied up to {}", self.applying))?;
        must(last.index <= self.snapshot.index, || "it has no such checkpoint".to_owned())?;
        must(history.committed.holds(last), || "that slot is not committed".to_owned())?;
        let committed = history.configurations.keys().filter(|at| history.committed.holds(**at));
        let in_force = committed.filter(|at| at.index <= last.index).max().copied();
        must(in_force == Some(members_at), || format!("the configuration there is that of {in_force:?}"))?;
        if !self.log.holds(last) {
            must(last.index > self.commit.max(self.verified), || {
                "it contradicts what is committed or verified here".to_owned()
            })?;
            self.log = Log::new(last);
            self.installing = Some(last);
            self.forget_damage(|_| true);
            self.look_for_configurations(history);
        }
        if self.role == Role::Candidate {
            self.role = Role::Follower(None);
        }
        self.commit = self.commit.max(last.index);
        self.applying = last.index;
        Ok(())
    }

    /// Only what a durable checkpoint covers goes.
    pub(super) fn compacts(&mut self, to: Slot) -> Guard {
        must(to.index <= self.snapshot.index, || format!("its checkpoint ends at {:?}", self.snapshot))?;
        must(self.log.holds(to), || format!("its log has {:?} there", self.log.slot(to.index)))?;
        self.log.compact(to);
        self.forget_damage(|index| index <= to.index);
        Ok(())
    }
}
