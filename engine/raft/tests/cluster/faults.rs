//! What clients do, and what goes wrong.

use crate::node::Node;
use crate::plan::{Fault, MILLI};
use crate::world::{Event, What, World};
use quorate_raft::{Contact, Done, Input, Learner, LogId, NodeId, ReadId, ReadMode};
use std::sync::Arc;

/// More would only make every seed slower.
const MOST_COMMANDS: u64 = 300;
const MOST_DAMAGE: u64 = 4;

impl World {
    pub(crate) fn is_over(&self) -> bool {
        self.now >= self.plan.safety
    }

    pub(crate) fn client_due(&mut self) {
        if self.is_over() {
            return;
        }
        let any = self.clients.index(self.nodes.len());
        let at = match self.clients.below(10) {
            0..=4 => self.leader().unwrap_or(any),
            // One that still believes it leads is where a stale read would come from.
            5 | 6 => (0..self.nodes.len()).find(|at| self.office(*at).is_some()).unwrap_or(any),
            _ => any,
        };
        match self.clients.below(10) {
            0..=5 if self.next_name < MOST_COMMANDS => self.propose(at),
            6 => self.feed(at, Input::Timeout),
            _ => self.read(at),
        }
        let after = self.clients.below(self.plan.client_every) + 1;
        self.schedule(after, Event::Client);
    }

    pub(crate) fn propose(&mut self, at: usize) {
        let Some(life) = self.nodes[at].life.as_mut() else { return };
        let mut command = self.next_name.to_le_bytes().to_vec();
        self.next_name += 1;
        command.resize(8 + self.clients.index(150), 0);
        if let Ok(id) = life.core.propose(life.time(self.now), Arc::from(command)) {
            life.proposals.insert(id);
            self.trace(|| format!("n{} proposes {id}", at + 1));
            self.poke(at);
        }
    }

    pub(crate) fn read(&mut self, at: usize) {
        let Some(life) = self.nodes[at].life.as_mut() else { return };
        let id = ReadId(self.next_name);
        self.next_name += 1;
        life.reads.insert(id, self.checks.completed);
        let by_lease = self.plan.leases && self.operators.chance(600);
        let mode = if by_lease { ReadMode::Lease } else { ReadMode::Quorum };
        life.core.read(life.time(self.now), id, mode).expect("few reads wait");
        self.trace(|| format!("n{} reads {id} ({mode:?}), must see {}", at + 1, self.checks.completed));
        self.poke(at);
    }

    pub(crate) fn fault_due(&mut self) {
        if self.is_over() || self.plan.faults.is_empty() {
            return;
        }
        let fault = self.faults.pick(&self.plan.faults);
        let at = self.faults.index(self.nodes.len());
        self.trace(|| format!("fault {fault:?} at n{}", at + 1));
        self.strike(fault, at);
        let after = self.faults.below(self.plan.fault_every) + 1;
        self.schedule(after, Event::Fault);
    }

    pub(crate) fn checkpoint_due(&mut self) {
        if self.is_over() {
            return;
        }
        let at = self.disks.index(self.nodes.len());
        self.checkpoint(at);
        let after = self.disks.below(self.plan.checkpoint_every) + 1;
        self.schedule(after, Event::Checkpoint);
    }

    pub(crate) fn change_due(&mut self) {
        if self.is_over() {
            return;
        }
        if self.plan.any_change && self.operators.chance(600) {
            self.operate();
        } else if self.faults.chance(700) {
            let at = self.faults.index(self.nodes.len());
            self.add_learner(at);
        } else {
            self.promote();
        }
        let after = self.faults.below(self.plan.change_every) + 1;
        self.schedule(after, Event::Change);
    }

    fn strike(&mut self, fault: Fault, at: usize) {
        let timeout = self.plan.election_timeout;
        match fault {
            Fault::Halves | Fault::OneWay | Fault::IsolateLeader | Fault::Bridge => self.cut(fault, at),
            Fault::Crash => self.crash_for_a_while(at),
            Fault::CrashLeader => {
                if let Some(leader) = self.leader() {
                    self.crash_for_a_while(leader);
                }
            }
            Fault::CrashAll => (0..self.nodes.len()).for_each(|at| self.crash_for_a_while(at)),
            Fault::Stall => self.nodes[at].stalled_until = self.now + self.faults.below(timeout * 4),
            Fault::Pause => self.nodes[at].paused_until = self.now + self.faults.below(timeout * 3),
            Fault::LinkBroke => {
                let to = self.nodes[self.faults.index(self.nodes.len())].id;
                self.feed(at, Input::Unreachable(to));
            }
            Fault::Damage => self.damage(at),
            Fault::LoseTail => self.lose_tail(at),
            Fault::RotUncommitted => self.rot_uncommitted(),
        }
    }

    fn cut(&mut self, fault: Fault, at: usize) {
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        let alone = match fault {
            Fault::IsolateLeader => self.leader().unwrap_or(at),
            _ => at,
        };
        let sides: Vec<u64> = ids.iter().map(|_| self.faults.below(2)).collect();
        let both = self.faults.chance(500);
        for (a, from) in ids.iter().enumerate() {
            for (b, to) in ids.iter().enumerate() {
                let severed = match fault {
                    Fault::Halves => sides[a] != sides[b],
                    Fault::OneWay => sides[a] < sides[b],
                    Fault::Bridge => sides[a] != sides[b] && a != at && b != at,
                    _ => a == alone || (both && b == alone),
                };
                if severed && from != to {
                    self.network.cut(*from, *to);
                }
            }
        }
        let after = self.faults.below(self.plan.election_timeout * 8);
        self.schedule(after, Event::Heal);
    }

    fn crash_for_a_while(&mut self, at: usize) {
        if self.nodes[at].life.is_none() {
            return;
        }
        self.crash(at);
        let away = self.faults.pick(&[MILLI, self.plan.election_timeout, self.plan.election_timeout * 5]);
        let after = self.faults.below(away) + 1;
        self.schedule(after, Event::Restart(self.nodes[at].id));
    }

    /// At most a minority of the founders may be damaged at a time, whoever they are, so that of every entry
    /// that was acknowledged an intact copy stays.
    fn may_damage(&self, at: usize) -> bool {
        let damaged =
            (0..self.nodes.len()).filter(|node| *node != at && self.nodes[*node].is_damaged()).count();
        2 * (damaged + 1) < usize::try_from(self.plan.founders).unwrap()
    }

    fn damage(&mut self, at: usize) {
        if !self.may_damage(at) {
            return;
        }
        for _ in 0..self.faults.between(1, MOST_DAMAGE) {
            let Some(slot) = self.nodes[at].disk.damage(&mut self.faults) else { return };
            self.trace(|| format!("n{} is damaged at {slot}", at + 1));
            if self.faults.chance(500) {
                self.feed(at, Input::Done(Done::Damaged(slot)));
            }
        }
    }

    /// Damages slots that were never committed, and that so few hold that the others can say so. Nobody may be in
    /// doubt about what it held.
    fn rot_uncommitted(&mut self) {
        if self.nodes.iter().any(|node| node.disk.acknowledged.is_some()) {
            return;
        }
        (0..self.nodes.len()).for_each(|at| self.crash_for_a_while(at));
        let founders = usize::try_from(self.plan.founders).unwrap();
        for at in 0..self.nodes.len() {
            let ids: Vec<LogId> =
                self.nodes[at].disk.slots.entries.iter().map(|slot| slot.entry.id).collect();
            for id in ids.into_iter().filter(|id| self.checks.committed_at(id.index) != Some(*id)) {
                let lacks = |node: &&Node| {
                    node.disk.slots.id(id.index) != Some(id) && !node.disk.ghosts.contains_key(&id.index)
                };
                let never = self.nodes[..founders].iter().filter(lacks).count();
                if 2 * never > self.nodes.len() && self.faults.chance(700) {
                    self.nodes[at].disk.damage_at(id.index);
                    self.trace(|| format!("n{} is damaged at {id}, which nobody committed", at + 1));
                }
            }
        }
    }

    fn lose_tail(&mut self, at: usize) {
        if self.may_damage(at) {
            self.crash_for_a_while(at);
            let count = self.faults.between(1, 5);
            self.nodes[at].disk.lose_tail(count);
            self.counts.lost_tails += u64::from(self.nodes[at].disk.acknowledged.is_some());
            self.trace(|| format!("n{} lost its tail after {}", at + 1, self.nodes[at].disk.slots.last()));
        }
    }

    fn checkpoint(&mut self, at: usize) {
        let Some((meta, content)) = self.nodes[at].life.as_ref().and_then(crate::node::Life::checkpoint)
        else {
            return;
        };
        let after = self.disks.below(self.plan.write_time.1) + 1;
        self.schedule_at(at, after, What::Checkpoint(meta, content));
    }

    fn add_learner(&mut self, at: usize) {
        let (Some(leader), id) = (self.leader(), self.nodes[at].id) else { return };
        let kind = self.faults.pick(&[Learner::Joining, Learner::Joining, Learner::Standing]);
        let life = self.nodes[leader].life.as_mut().unwrap();
        let members = life.core.status().members.clone();
        if !members.contains(id) {
            let target = members.with_learner(id, kind, Contact::default());
            let result = life.core.change_members(life.time(self.now), target);
            self.trace(|| format!("n{} adds {id}: {result:?}", leader + 1));
            self.poke(leader);
        }
    }

    /// Any set of voters, with the others as learners or not at all; or somebody leaves, or leads.
    fn operate(&mut self) {
        let Some(leader) = self.leader() else { return };
        let life = self.nodes[leader].life.as_mut().unwrap();
        let (now, current) = (life.time(self.now), life.core.status().members.clone());
        let ids: Vec<NodeId> = current.ids().collect();
        let any = ids[self.operators.index(ids.len())];
        let result = match self.operators.below(10) {
            0..=3 => {
                let mut target = current.target();
                target.learners.clear();
                target.voters.clear();
                for id in &ids {
                    match self.operators.below(4) {
                        0 => drop(target.contacts.remove(id)),
                        1 => drop(target.learners.insert(*id, Learner::Standing)),
                        _ => drop(target.voters.insert(*id)),
                    }
                }
                format!("changes to {target:?}: {:?}", life.core.change_members(now, target.clone()))
            }
            4 | 5 => format!("removes {any}: {:?}", life.core.remove(now, any)),
            6 => format!("hands over: {:?}", life.core.transfer(now, None)),
            _ => format!("hands over to {any}: {:?}", life.core.transfer(now, Some(any))),
        };
        self.trace(|| format!("n{} {result}", leader + 1));
        self.poke(leader);
    }

    fn promote(&mut self) {
        let Some(leader) = self.leader() else { return };
        let life = self.nodes[leader].life.as_mut().unwrap();
        let learner = life.core.status().members.learners.keys().next().copied();
        if let Some(id) = learner {
            let result = life.core.promote(life.time(self.now), id);
            self.trace(|| format!("n{} promotes {id}: {result:?}", leader + 1));
            self.poke(leader);
        }
    }
}
