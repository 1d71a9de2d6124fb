//! Everything healed: then the cluster must work again, soon, and come to rest.

use crate::plan::MILLI;
use crate::world::World;
use quorate_raft::{LogId, NodeId};
use std::collections::BTreeSet;

/// Election timeouts until a leader has committed something new.
const UNTIL_SERVING: u64 = 20;
/// Election timeouts until every member has everything.
const UNTIL_CONVERGED: u64 = 60;

impl World {
    pub(crate) fn run(&mut self) {
        self.run_until(self.plan.safety);
        self.heal();
        self.serve();
        self.converge();
        self.rest();
    }

    fn heal(&mut self) {
        self.trace(|| "all is healed".to_string());
        self.network.calm();
        self.plan.write_time = (self.plan.write_time.0.min(300), self.plan.write_time.1.min(1_000));
        self.plan.apply_time = self.plan.apply_time.min(1_000);
        for at in 0..self.nodes.len() {
            self.nodes[at].stalled_until = 0;
            self.nodes[at].paused_until = 0;
            if self.nodes[at].life.is_none() {
                self.boot(at);
            }
        }
    }

    /// A leader, and a new proposal committed.
    fn serve(&mut self) {
        let deadline = self.now + UNTIL_SERVING * self.plan.election_timeout;
        let before = self.checks.commit();
        let mut probes: BTreeSet<LogId> = BTreeSet::new();
        while self.now < deadline {
            if let Some(leader) = self.leader() {
                self.propose(leader);
                probes.extend(&self.nodes[leader].life.as_ref().unwrap().proposals);
            }
            self.run_until(self.now + 20 * MILLI);
            let done = |id: &LogId| id.index > before && self.checks.committed_at(id.index) == Some(*id);
            if probes.iter().any(done) {
                return;
            }
        }
        panic!(
            "liveness: nothing new was committed within {UNTIL_SERVING} election timeouts: {}",
            self.standing()
        );
    }

    /// Every member has everything, nothing is damaged, and every read is served.
    fn converge(&mut self) {
        let deadline = self.now + UNTIL_CONVERGED * self.plan.election_timeout;
        for at in 0..self.nodes.len() {
            self.read(at);
        }
        while !self.has_converged() {
            assert!(self.now < deadline, "liveness: no convergence: {}", self.standing());
            self.run_until(self.now + 20 * MILLI);
        }
    }

    fn members(&self) -> Vec<usize> {
        let Some(leader) = self.leader() else { return Vec::new() };
        let status = self.nodes[leader].life.as_ref().unwrap().core.status();
        let ids: Vec<NodeId> = status.members.ids().collect();
        ids.into_iter().map(|id| self.position(id)).collect()
    }

    fn has_converged(&self) -> bool {
        let members = self.members();
        let Some(first) = members.first() else { return false };
        let end = self.nodes[*first].life.as_ref().unwrap().core.status().last;
        members.iter().all(|at| {
            let (node, life) = (&self.nodes[*at], self.nodes[*at].life.as_ref().unwrap());
            let status = life.core.status();
            let whole = status.last == end && status.commit == end.index && life.machine.applied == end.index;
            let mended = node.disk.acknowledged.is_none() && status.damaged == 0;
            whole && mended && life.reads.is_empty() && life.writes.is_empty()
        })
    }

    /// An idle cluster speaks only to say that it is there.
    fn rest(&mut self) {
        // What is still on its way from rougher days would be answered.
        self.run_until(self.now + self.plan.late.1 + 4 * self.plan.election_timeout);
        let members = self.members().len() as u64;
        let (before, timeouts) = (self.sent, 10);
        self.run_until(self.now + timeouts * self.plan.election_timeout);
        let beats = timeouts * self.plan.election_timeout / self.plan.heartbeat_interval;
        let (said, bound) = (
            self.sent - before,
            (beats * 21 / 20 + 3) * (2 * members.saturating_sub(1) + self.strays()) + 20,
        );
        assert!(said <= bound, "an idle cluster of {members} sent {said} messages, {bound} would do");
        assert!(self.has_converged(), "liveness: an idle cluster does not rest: {}", self.standing());
        assert!(self.checks.completed <= self.checks.commit());
    }

    /// What is asked and told every other beat for nodes that no longer belong to the cluster, and are damaged or do
    /// not know that.
    fn strays(&self) -> u64 {
        let members = self.members();
        let runs = |at: usize| self.nodes[at].life.as_ref().is_some_and(|life| life.deadline().is_some());
        let stray = |at: &usize| !members.contains(at) && (self.nodes[*at].is_damaged() || runs(*at));
        (0..self.nodes.len()).filter(stray).count() as u64 * self.nodes.len() as u64
    }

    pub(crate) fn standing(&self) -> String {
        let each = self.nodes.iter().map(|node| {
            let Some(life) = &node.life else { return format!("{}: down", node.id.0) };
            let status = life.core.status();
            format!(
                "\n  n{}: {:?} term {} commit {} applied {} last {} snapshot {} damaged {} reads {} writes {} peers {:?}",
                node.id.0,
                status.role,
                status.term,
                status.commit,
                life.machine.applied,
                status.last,
                status.snapshot,
                status.damaged,
                life.reads.len(),
                life.writes.len(),
                life.core.peers().collect::<Vec<_>>()
            )
        });
        each.collect()
    }
}
