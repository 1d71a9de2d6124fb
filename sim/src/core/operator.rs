//! What operators do: they take servers in, change the members, and have leadership handed over. They speak to the
//! servers directly, so that no fault of the network keeps their orders away.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_node::raft::{Learner, Members, NodeId, Role, Time, TokenHash};
use quorate_node::{Entrance, Input, Reply, Request, RequestId};

use super::CoreStack;
use super::queue::{Answer, What};
use crate::bounds::{OPERATOR, ORDER_PATIENCE};
use crate::identity::{contact, machine_of, node_id};
use crate::observe::Observation;
use crate::plan::{Fault, Host, Order, Scenario};
use crate::tap::wanted;

/// How often an operator tries.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a join token can be used.
const TOKEN_TTL_MS: u64 = 60_000;

/// What an operator waits for.
pub(super) struct Ordered {
    /// The plan's order that it is for, if it is for one.
    order: Option<usize>,
    /// The number under which the judge knows it, if it does.
    judged: Option<u64>,
    /// The join token that it shows, and for whom.
    shows: Option<(TokenHash, NodeId)>,
}

impl CoreStack {
    /// Asks every server there is to take `server` in, until it knows for sure that it is a member.
    pub(super) fn invite(&mut self, server: Host) {
        let host = machine_of(server);
        let member = self.lives.get(&host).is_some_and(|life| {
            let status = life.node.raft().status();
            status.members.contains(node_id(server)) && status.members_at.index <= status.commit
        });
        if !self.world.is_current(server) || self.world.machine(host).gone.is_some() {
            return;
        }
        if member {
            return self.world.took_its_place(server);
        }
        if self.lives.contains_key(&host) {
            for asked in self.lives.keys().copied().filter(|asked| *asked != host).collect::<Vec<Host>>() {
                let request = self.add_by_token(asked, server);
                self.order(asked, request, None);
            }
        }
        self.queue.outside(self.now + PAUSE, What::Invite(server));
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
                let to = to.map(|host| node_id(self.world.server(host)));
                self.order(leader, Request::Transfer(to), Some(number));
            }
            Fault::Change { voters, learners } => {
                let servers = |hosts: &[Host]| hosts.iter().map(|host| self.world.server(*host)).collect();
                let (voters, learners): (Vec<Host>, Vec<Host>) = (servers(&voters), servers(&learners));
                let strangers =
                    voters.iter().chain(&learners).filter(|server| !members.contains(node_id(**server)));
                let strangers: Vec<Host> = strangers.copied().collect();
                if strangers.is_empty() {
                    let ids = |servers: &[Host]| {
                        servers.iter().map(|server| node_id(*server)).collect::<BTreeSet<NodeId>>()
                    };
                    let request = Request::SetMembers { voters: ids(&voters), learners: ids(&learners) };
                    self.order(leader, request, Some(number));
                }
                for server in strangers {
                    let request = self.add(leader, server, Learner::Standing);
                    self.order(leader, request, None);
                }
            }
            Fault::Member { host, order } => {
                let server = self.world.server(host);
                if let Some(request) = self.about_one(leader, &members, server, order) {
                    self.order(leader, request, Some(number));
                }
            }
            _ => {}
        }
    }

    /// What has this done with one member, if there is anything to do.
    fn about_one(&self, leader: Host, members: &Members, server: Host, order: Order) -> Option<Request> {
        let id = node_id(server);
        match order {
            Order::Remove => members.contains(id).then_some(Request::Remove(id)),
            Order::Promote => members.learners.contains_key(&id).then_some(Request::Promote(id)),
            Order::Add => (!members.contains(id)).then(|| self.add(leader, server, Learner::Joining)),
            Order::Demote => members.voters.contains(&id).then(|| {
                let voters = members.voters.iter().copied().filter(|voter| *voter != id).collect();
                let learners = members.learners.keys().copied().chain([id]).collect();
                Request::SetMembers { voters, learners }
            }),
        }
    }

    /// An answer to an operator.
    pub(super) fn operator_hears(&mut self, request: u64, answer: &Answer) {
        let Some(Ordered { order, judged, shows }) = self.ordered.remove(&request) else { return };
        let Answer::Reply(reply) = answer else { return };
        let changed = matches!(**reply, Reply::MembersChanged { .. });
        if let Some((token, node)) = shows.filter(|_| changed) {
            self.world.judge.observe(self.now, Observation::LetIn { token, node });
        }
        if let Some(number) = judged.filter(|_| changed) {
            self.world.judge.observe(self.now, Observation::Told { number });
        }
        let done = changed || matches!(**reply, Reply::Transferred { .. });
        if let Some(order) = order.filter(|_| done)
            && self.carried_out.insert(order)
        {
            let kind = self.plan.faults[order].fault.kind();
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
                let request = self.add(leader, host, Learner::Joining);
                self.order(leader, request, None);
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

    fn order(&mut self, host: Host, request: Request, order: Option<usize>) {
        if self.world.is_paused(host) {
            return;
        }
        let Some(life) = self.lives.get_mut(&host) else { return };
        life.requests += 1;
        let id = RequestId(life.requests);
        // Of a member nothing is changed by that, and its token stays open.
        let is_new = |id: &NodeId| !life.node.raft().members().contains(*id);
        let shows = match &request {
            Request::AddLearner { id, entrance: Entrance::Token(token), .. } if is_new(id) => {
                Some((*token, *id))
            }
            _ => None,
        };
        self.requests_of_operators += 1;
        let number = self.requests_of_operators;
        life.waiting.insert(id, (OPERATOR, number));
        let judged = wanted(&request).map(|wanted| self.world.orders(self.now, wanted));
        self.ordered.insert(number, Ordered { order, judged, shows });
        self.feed(host, Input::Request { id, request });
    }

    /// Has `server` taken in by a join token, where members are what a plan is about. Two servers have one token, so
    /// each is refused once the other is in; then it comes in without.
    fn add_by_token(&self, asked: Host, server: Host) -> Request {
        let plain = self.add(asked, server, Learner::Joining);
        let turn = self.now.0 / u64::try_from(PAUSE.as_micros()).unwrap_or(u64::MAX) % 4;
        let life = self.lives.get(&asked).filter(|_| self.plan.scenario == Scenario::Membership && turn > 0);
        let (Some(life), Request::AddLearner { id, learner, contact, replaces, .. }) = (life, plain.clone())
        else {
            return plain;
        };
        let token = TokenHash([server / 2; 32]);
        if life.node.raft().members().tokens.contains_key(&token) {
            Request::AddLearner { id, learner, contact, replaces, entrance: Entrance::Token(token) }
        } else {
            Request::AddToken { token, ttl_ms: TOKEN_TTL_MS }
        }
    }

    /// Has `server` taken in. Who else is known at its address, to the one that is asked, leaves in the same change:
    /// the disk was wiped there.
    fn add(&self, asked: Host, server: Host, learner: Learner) -> Request {
        let (id, contact) = (node_id(server), contact(server));
        let members = self.lives.get(&asked).map(|life| life.node.raft().status().members);
        let former = members.into_iter().flat_map(|members| &members.contacts);
        let mut former = former.filter(|(of, known)| **of != id && known.address == contact.address);
        let replaces = former.next().map(|(of, _)| *of);
        Request::AddLearner { id, learner, contact, replaces, entrance: Entrance::Open }
    }
}
