//! What operators do: they take servers in, change the members, and have leadership handed over. They speak to the
//! servers directly, so that no fault of the network keeps their orders away.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_node::raft::{Learner, Members, NodeId, Role, Time};
use quorate_node::{Input, Reply, Request, RequestId};

use super::CoreStack;
use super::queue::{Answer, What};
use crate::bounds::{OPERATOR, ORDER_PATIENCE};
use crate::identity::{contact, node_id};
use crate::plan::{Fault, Host};

/// How often an operator tries.
const PAUSE: Duration = Duration::from_millis(100);

impl CoreStack {
    /// Asks every server there is to take `host` in, until it knows for sure that it is a member.
    pub(super) fn invite(&mut self, host: Host) {
        let member = self.lives.get(&host).is_some_and(|life| {
            let status = life.node.raft().status();
            status.members.contains(node_id(host)) && status.members_at.index <= status.commit
        });
        if member || self.world.machine(host).gone.is_some() {
            return;
        }
        if self.lives.contains_key(&host) {
            for asked in self.lives.keys().copied().filter(|asked| *asked != host).collect::<Vec<Host>>() {
                self.order(asked, add(host, Learner::Joining), None);
            }
        }
        self.queue.outside(self.now + PAUSE, What::Invite(host));
    }

    /// The plan's order of this number goes out.
    pub(super) fn give_order(&mut self, number: usize) {
        self.queue.outside(self.now, What::Order { number, until: self.now + ORDER_PATIENCE });
    }

    /// Tries to have the plan's order carried out, again and again for a while, until the core is healed.
    pub(super) fn try_order(&mut self, number: usize, until: Time) {
        if self.now >= until || self.carried_out.contains(&number) || !self.world.breaks_things() {
            return;
        }
        self.queue.outside(self.now + PAUSE, What::Order { number, until });
        let Some((leader, members)) = self.leading() else { return };
        match self.plan.faults[number].fault.clone() {
            Fault::Transfer { to } => {
                self.order(leader, Request::Transfer(to.map(node_id)), Some(number));
            }
            Fault::Change { voters, learners } => {
                let strangers =
                    voters.iter().chain(&learners).filter(|host| !members.contains(node_id(**host)));
                let strangers: Vec<Host> = strangers.copied().collect();
                if strangers.is_empty() {
                    let ids = |hosts: &[Host]| {
                        hosts.iter().map(|host| node_id(*host)).collect::<BTreeSet<NodeId>>()
                    };
                    let request = Request::SetMembers { voters: ids(&voters), learners: ids(&learners) };
                    self.order(leader, request, Some(number));
                }
                strangers.into_iter().for_each(|host| self.order(leader, add(host, Learner::Standing), None));
            }
            _ => {}
        }
    }

    /// An answer to an operator.
    pub(super) fn operator_hears(&mut self, number: u64, answer: &Answer) {
        let Answer::Reply(reply) = answer else { return };
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let done = matches!(**reply, Reply::MembersChanged { .. } | Reply::Transferred { .. });
        if done && self.carried_out.insert(number) {
            let kind = self.plan.faults[number].fault.kind();
            self.world.fired().note(kind);
        }
    }

    /// Makes all of the healed core voters again, for as long as it takes.
    pub(super) fn restore_members(&mut self) {
        self.queue.outside(self.now + PAUSE, What::RestoreMembers);
        let Some((leader, members)) = self.leading() else { return };
        for host in self.plan.cluster.core.clone() {
            let id = node_id(host);
            if !members.contains(id) {
                self.order(leader, add(host, Learner::Joining), None);
            } else if members.learners.get(&id) == Some(&Learner::Standing) {
                self.order(leader, Request::Promote(id), None);
            }
        }
    }

    /// Who leads, in the highest term, and the members as it sees them.
    fn leading(&self) -> Option<(Host, Members)> {
        let leads = self.lives.iter().filter(|(host, life)| {
            !self.world.is_paused(**host) && life.node.raft().status().role == Role::Leader
        });
        let (host, life) = leads.max_by_key(|(_, life)| life.node.raft().status().term)?;
        Some((*host, life.node.raft().status().members.clone()))
    }

    fn order(&mut self, host: Host, request: Request, number: Option<usize>) {
        if self.world.is_paused(host) {
            return;
        }
        let Some(life) = self.lives.get_mut(&host) else { return };
        life.requests += 1;
        let id = RequestId(life.requests);
        if let Some(number) = number {
            life.waiting.insert(id, (OPERATOR, number as u64));
        }
        self.feed(host, Input::Request { id, request });
    }
}

fn add(host: Host, learner: Learner) -> Request {
    Request::AddLearner { id: node_id(host), learner, contact: contact(host), replaces: None }
}
