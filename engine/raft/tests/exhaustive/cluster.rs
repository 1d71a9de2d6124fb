//! A cluster as one state: nodes, what is on its way between them, what may still go wrong, and what must hold.

use crate::host::{Disk, Harm, Host, fingerprint};
use crate::lies::Lie;
use quorate_raft::{
    Contact, Entry, Envelope, HardState, Index, Input, LogId, Members, Message, NodeId, Payload, Role, Term,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) timeouts: u8,
    pub(crate) restarts: u8,
    /// Of the restarts, those at which a disk is harmed.
    pub(crate) harms: u8,
    pub(crate) proposals: u8,
    /// Messages that arrive twice.
    pub(crate) duplicates: u8,
    /// Messages that are heard, and whose answers are still on their way.
    pub(crate) one_way: u8,
    /// A term that is never exceeded.
    pub(crate) highest_term: u64,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A message arrives; it is on its way no longer, unless it will come again.
    Deliver { fingerprint: u64, again: bool },
    /// All that is on its way over a link arrives, in the order sent, and the answers come back.
    Exchange { from: NodeId, to: NodeId },
    /// The same without the answers.
    Hear { from: NodeId, to: NodeId },
    /// A node hears nothing until its timers fire; the others get out of what they had promised.
    Timeout(usize),
    /// What a node has written is durable.
    Sync(usize),
    /// A node loses power and starts again, with so many of its pending writes on disk.
    Restart { at: usize, kept: usize, harm: Harm },
    /// A slot rots under a node that runs.
    Rot { at: usize, index: Index },
    /// A leader gets a command.
    Propose(usize),
}

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) hosts: Vec<(u64, Arc<Host>)>,
    /// What is on its way, in the order sent.
    network: Vec<(u64, Arc<Envelope>)>,
    /// Whether what is on its way over a link arrives in one step and in order, or each message in a step of its own.
    pub(crate) in_order: bool,
    pub(crate) budget: Budget,
    pub(crate) lie: Lie,
    /// Whether every write is durable the moment it is issued.
    at_once: bool,
    /// What leaders committed, by index, and in which term each did so first.
    committed: Vec<(LogId, Term)>,
    leaders: Vec<(Term, NodeId)>,
    /// Names the next command.
    commands: u8,
    /// What does not hold any more.
    pub(crate) broken: Option<&'static str>,
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hosts.iter().for_each(|(fingerprint, _)| fingerprint.hash(hasher));
        // Links are apart, and without an order of their own each message is a link of its own.
        let mut links: BTreeMap<(NodeId, NodeId, u64), u64> = BTreeMap::new();
        for (print, envelope) in &self.network {
            let apart = if self.in_order { 0 } else { *print };
            let link = links.entry((envelope.from, envelope.to, apart)).or_default();
            *link = link.wrapping_mul(31).wrapping_add(*print);
        }
        links.values().for_each(|link| link.hash(hasher));
        (self.budget, &self.committed, &self.leaders, self.broken).hash(hasher);
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        fingerprint(self) == fingerprint(other)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, host) in &self.hosts {
            let (status, log) = (host.core.status(), host.log());
            let ids: Vec<String> = log.entries().iter().map(|entry| entry.id.to_string()).collect();
            writeln!(
                formatter,
                "  {} {:?} term {} commit {} damaged {} log {} [{}]",
                status.id.0,
                status.role,
                status.term,
                status.commit,
                status.damaged,
                log.base(),
                ids.join(" ")
            )?;
        }
        writeln!(formatter, "  committed {:?}, broken {:?}", self.committed, self.broken)
    }
}

impl Cluster {
    /// Nodes 1 to `voters` have the same first entry, which is committed; the others know nothing.
    pub(crate) fn new(voters: u128, nodes: u128, lie: Lie) -> Self {
        let ids = (1..=voters).map(NodeId);
        let members = Members {
            voters: ids.clone().collect(),
            contacts: ids.map(|id| (id, Contact::default())).collect(),
            ..Members::default()
        };
        let first = Entry { id: LogId::new(1, 1), payload: Payload::Members(members) };
        let host = |id| {
            let founder = id <= voters;
            let hard = HardState { term: Term(founder.into()), vote: None };
            Host::new(NodeId(id), hard, founder.then(|| first.clone()))
        };
        Cluster {
            hosts: (1..=nodes).map(|id| (0, Arc::new(host(id)))).collect(),
            network: Vec::new(),
            in_order: true,
            budget: Budget { highest_term: 9, ..Budget::default() },
            lie,
            at_once: true,
            committed: vec![(first.id, first.id.term)],
            leaders: Vec::new(),
            commands: 0,
            broken: None,
        }
    }

    /// From here on writes are durable only when that is an action of its own.
    pub(crate) fn defer_writes(&mut self) {
        self.at_once = false;
    }

    pub(crate) fn host(&mut self, at: usize) -> &mut Host {
        Arc::make_mut(&mut self.hosts[at].1)
    }

    /// Where a message goes.
    fn position(id: NodeId) -> usize {
        usize::try_from(id.0 - 1).unwrap()
    }

    pub(crate) fn actions(&self, actions: &mut Vec<Action>) {
        if self.broken.is_some() {
            return;
        }
        self.network_actions(actions);
        for (at, (_, host)) in self.hosts.iter().enumerate() {
            let leads = host.leads();
            if self.budget.timeouts > 0 && !leads {
                actions.push(Action::Timeout(at));
            }
            if !host.pending.is_empty() {
                actions.push(Action::Sync(at));
            }
            if self.budget.proposals > 0 && leads {
                actions.push(Action::Propose(at));
            }
            if self.budget.harms > 0 {
                let slots = host.disk.entries().iter().map(|entry| entry.id.index);
                actions
                    .extend(slots.filter(|index| *index > Index(1)).map(|index| Action::Rot { at, index }));
            }
            if self.budget.restarts > 0 {
                for kept in 0..=host.pending.len() {
                    actions.push(Action::Restart { at, kept, harm: Harm::None });
                }
                if self.budget.harms > 0 {
                    for entry in host.disk.entries().iter().filter(|entry| entry.id.index > Index(1)) {
                        for harm in [Harm::Damage(entry.id.index), Harm::LoseTail(entry.id.index)] {
                            actions.push(Action::Restart { at, kept: 0, harm });
                        }
                    }
                }
            }
        }
    }

    fn network_actions(&self, actions: &mut Vec<Action>) {
        if self.in_order {
            let links: BTreeSet<(NodeId, NodeId)> =
                self.network.iter().map(|(_, envelope)| (envelope.from, envelope.to)).collect();
            for (from, to) in links {
                actions.push(Action::Exchange { from, to });
                if self.budget.one_way > 0 {
                    actions.push(Action::Hear { from, to });
                }
            }
            return;
        }
        for (fingerprint, _) in &self.network {
            actions.push(Action::Deliver { fingerprint: *fingerprint, again: false });
            if self.budget.duplicates > 0 {
                actions.push(Action::Deliver { fingerprint: *fingerprint, again: true });
            }
        }
    }

    pub(crate) fn step(&mut self, action: Action) {
        self.act(action);
        for (print, host) in self.hosts.iter_mut().filter(|(print, _)| *print == 0) {
            *print = fingerprint(host);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver { fingerprint, again } => {
                let Some(found) = self.network.iter().position(|(of, _)| *of == fingerprint) else {
                    return;
                };
                let envelope = self.network[found].1.clone();
                if again {
                    self.budget.duplicates -= 1;
                } else {
                    self.network.remove(found);
                }
                self.arrive((*envelope).clone());
            }
            Action::Exchange { from, to } => {
                self.hear(from, to);
                self.hear(to, from);
            }
            Action::Hear { from, to } => {
                self.budget.one_way -= 1;
                self.hear(from, to);
            }
            Action::Timeout(at) => {
                self.budget.timeouts -= 1;
                self.timeout(at);
            }
            Action::Sync(at) => {
                let input = self.host(at).sync();
                self.feed(at, input);
            }
            Action::Restart { at, kept, harm } => {
                self.budget.restarts -= 1;
                self.budget.harms -= u8::from(harm != Harm::None);
                self.restart(at, kept, harm);
            }
            Action::Rot { at, index } => {
                self.budget.harms -= 1;
                let input = self.host(at).rot(index);
                self.feed(at, input);
            }
            Action::Propose(at) => {
                self.budget.proposals -= 1;
                self.propose(at);
            }
        }
    }

    /// All that is on its way over a link arrives.
    fn hear(&mut self, from: NodeId, to: NodeId) {
        let over = |envelope: &Envelope| (envelope.from, envelope.to) == (from, to);
        let heard: Vec<_> = self.network.iter().filter(|(_, envelope)| over(envelope)).cloned().collect();
        self.network.retain(|(_, envelope)| !over(envelope));
        heard.into_iter().for_each(|(_, envelope)| self.arrive((*envelope).clone()));
    }

    pub(crate) fn timeout(&mut self, at: usize) {
        (0..self.hosts.len()).filter(|other| *other != at).for_each(|other| self.host(other).wait());
        let input = self.host(at).let_timers_fire();
        self.feed(at, Some(input));
    }

    pub(crate) fn restart(&mut self, at: usize, kept: usize, harm: Harm) {
        let lie = self.lie;
        self.host(at).restart(kept, harm, lie);
        self.feed(at, Some(Input::Timeout));
    }

    pub(crate) fn propose(&mut self, at: usize) {
        self.commands += 1;
        let command = self.commands;
        self.host(at).propose(command);
        self.feed(at, None);
    }

    fn arrive(&mut self, envelope: Envelope) {
        let at = Self::position(envelope.to);
        let envelope = self.lie.twist(envelope, &self.hosts[at].1);
        self.feed(at, Some(Input::Message(envelope)));
    }

    /// Feeds an input to a node. Whether it should run for office a node asks and is told at once: that changes
    /// nothing at those who answer. Heartbeats are left out, as if they were lost: what is acknowledged with them is
    /// also acknowledged without.
    pub(crate) fn feed(&mut self, at: usize, input: Option<Input>) {
        let mut inputs = VecDeque::from([(at, input)]);
        while let Some((at, input)) = inputs.pop_front() {
            let (lie, at_once) = (self.lie, self.at_once);
            let writes = self.hosts[at].1.writes;
            let sent = self.host(at).handle(input, at_once, lie);
            self.hosts[at].0 = 0;
            self.check(at, self.hosts[at].1.writes > writes);
            for envelope in sent {
                match &envelope.message {
                    Message::PreVote { .. } | Message::PreVoteReply { .. } => {
                        inputs.push_back((Self::position(envelope.to), Some(Input::Message(envelope))));
                    }
                    Message::Heartbeat { .. }
                    | Message::HeartbeatReply { .. }
                    | Message::ReadIndex { .. }
                    | Message::ReadIndexReply { .. }
                    | Message::TimeoutNow => {}
                    _ => self.post(envelope),
                }
            }
        }
        let highest = self.budget.highest_term;
        let durable = |node: NodeId| self.hosts[Self::position(node)].1.core.status().term;
        // What is of a past term is not heard any more: at most it is answered, with what says nothing new.
        let past = |envelope: &Envelope| {
            let forgets = !self.at_once || self.lie == Lie::TermIsNotDurable;
            let lasts = matches!(envelope.message, Message::Ask { .. } | Message::Tell { .. }) || forgets;
            envelope.term.0 > highest || (envelope.term < durable(envelope.to) && !lasts)
        };
        let kept: Vec<_> = self.network.iter().filter(|(_, envelope)| !past(envelope)).cloned().collect();
        self.network = kept;
    }

    fn post(&mut self, envelope: Envelope) {
        let fingerprint = fingerprint(&envelope);
        if self.network.iter().all(|(of, _)| *of != fingerprint) {
            self.network.push((fingerprint, Arc::new(envelope)));
        }
    }

    /// Delivers what goes between these nodes, and what that brings, until there is nothing more; of the kinds that
    /// `wanted` says, and of the others nothing.
    pub(crate) fn deliver(&mut self, among: &[usize], wanted: impl Fn(&Envelope) -> bool) {
        let within = |envelope: &Envelope| {
            let inside = |id| among.contains(&Self::position(id));
            inside(envelope.from) && inside(envelope.to) && wanted(envelope)
        };
        while let Some(place) = self.network.iter().position(|(_, envelope)| within(envelope)) {
            let (_, envelope) = self.network.remove(place);
            self.arrive((*envelope).clone());
        }
    }

    /// Loses all that is on its way, but for what is wanted.
    pub(crate) fn lose(&mut self, kept: impl Fn(&Envelope) -> bool) {
        self.network.retain(|(_, envelope)| kept(envelope));
    }

    fn check(&mut self, at: usize, has_written: bool) {
        let host = self.hosts[at].1.clone();
        let (status, log) = (host.core.status(), host.log());
        let mut broken = None;
        if status.role == Role::Leader {
            match self.leaders.iter().find(|(term, _)| *term == status.term) {
                Some((_, leader)) if *leader != status.id => broken = Some("election safety"),
                Some(_) => {}
                None => self.leaders.push((status.term, status.id)),
            }
        }
        let held = |index: Index| {
            let known = index == log.base().index && index.0 > 0;
            if known { Some(log.base()) } else { log.entry(index).map(|entry| entry.id) }
        };
        // Leader completeness (thesis §3.6.3).
        for (id, by) in &self.committed {
            let covered = id.index < log.base().index;
            if status.role == Role::Leader && *by < status.term && !covered && held(id.index) != Some(*id) {
                broken = broken.or(Some("leader completeness"));
            }
        }
        // What is committed at an index never changes.
        for index in (log.base().index.0.max(1)..=status.commit.0).map(Index) {
            let place = usize::try_from(index.0 - 1).unwrap();
            match (held(index), self.committed.get(place)) {
                (Some(id), Some((committed, _))) if id != *committed => {
                    broken = broken.or(Some("a committed entry changes"));
                }
                (Some(id), None) if place == self.committed.len() => self.committed.push((id, status.term)),
                _ => {}
            }
        }
        if has_written && self.hosts.iter().any(|(_, other)| !match_each_other(&log, &other.log())) {
            broken = broken.or(Some("log matching"));
        }
        self.broken = self.broken.or(broken);
    }
}

/// Log matching (thesis §3.5): the same id is the same entry with the same prefix.
fn match_each_other(one: &Disk, other: &Disk) -> bool {
    let mut below = true;
    for entry in one.entries() {
        let Some(its) = other.entry(entry.id.index) else { continue };
        let same = its == entry;
        if its.id == entry.id && !(same && below) {
            return false;
        }
        below = same;
    }
    true
}
