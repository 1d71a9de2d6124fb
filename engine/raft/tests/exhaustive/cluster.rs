//! A cluster as one state: nodes, what is on its way between them, what may still go wrong, and what must hold.

use crate::host::{Happening, Harm, Host, Letter, Treatment, fingerprint};
use crate::lies::Lie;
use crate::table::{Node, Table};
use quorate_raft::{Entry, Envelope, HardState, Index, LogId, Members, Message, NodeId, Payload, Term};
use std::collections::{BTreeSet, VecDeque};
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
    /// Times that a leader is told to change the members.
    pub(crate) changes: u8,
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
    /// A leader is told to change the members.
    Change(usize),
}

/// What has been so; in most steps nothing is added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Record {
    /// What leaders committed, by index, and in which term each did so first.
    committed: Vec<(LogId, Term)>,
    leaders: Vec<(Term, NodeId)>,
}

/// The voters that a leader is to bring about.
pub(crate) type Wish = fn(NodeId) -> &'static [u128];

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Arc<Node>>,
    /// What is on its way, in the order sent.
    network: Vec<Arc<Letter>>,
    /// Whether what is on its way over a link arrives in one step and in order, or each message in a step of its own.
    pub(crate) in_order: bool,
    pub(crate) budget: Budget,
    treatment: Treatment,
    pub(crate) wish: Wish,
    record: Arc<Record>,
    /// Names the next command.
    commands: u8,
    /// What does not hold any more.
    pub(crate) broken: Option<&'static str>,
    /// How far to look from here. No part of the state: a search meets each first where most are left.
    pub(crate) steps_left: u8,
    table: Arc<Table>,
    print: u64,
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let status = node.host.core.status();
            let ids: Vec<String> = node.slots.iter().map(|(id, _)| id.to_string()).collect();
            writeln!(
                formatter,
                "  {} {:?} term {} commit {} damaged {} log {} [{}]",
                status.id.0,
                status.role,
                status.term,
                status.commit,
                status.damaged,
                node.base,
                ids.join(" ")
            )?;
        }
        writeln!(formatter, "  committed {:?}, broken {:?}", self.record.committed, self.broken)
    }
}

impl Cluster {
    /// Nodes 1 to `voters` have the same first entry, which is committed; the others know nothing.
    pub(crate) fn new(voters: u128, nodes: u128, lie: Lie) -> Self {
        let members = members((1..=voters).map(NodeId), &Members::default());
        let first = Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) };
        let table = Arc::<Table>::default();
        let node = |id| {
            let founder = id <= voters;
            let hard = HardState { term: Term(founder.into()), vote: None };
            table.node(Host::new(NodeId(id), hard, founder.then(|| first.clone())))
        };
        Cluster {
            nodes: (1..=nodes).map(node).collect(),
            network: Vec::new(),
            in_order: true,
            budget: Budget { highest_term: 9, ..Budget::default() },
            treatment: Treatment { lie, at_once: true },
            wish: |_| &[],
            record: Arc::new(Record { committed: vec![(first.id, first.id.term)], leaders: Vec::new() }),
            commands: 0,
            broken: None,
            steps_left: 0,
            table,
            print: 0,
        }
    }

    /// From here on writes are durable only when that is an action of its own.
    pub(crate) fn defer_writes(&mut self) {
        self.treatment.at_once = false;
    }

    /// Where a message goes.
    fn position(id: NodeId) -> usize {
        usize::try_from(id.0 - 1).unwrap()
    }

    pub(crate) fn actions(&self, actions: &mut Vec<Action>) {
        if self.broken.is_some() || self.steps_left == 0 {
            return;
        }
        self.network_actions(actions);
        for (at, node) in self.nodes.iter().enumerate() {
            let (leads, pending) = (node.leads, node.host.pending.len());
            if self.budget.timeouts > 0 && !leads {
                actions.push(Action::Timeout(at));
            }
            if pending > 0 {
                actions.push(Action::Sync(at));
            }
            if self.budget.proposals > 0 && leads {
                actions.push(Action::Propose(at));
            }
            if self.budget.changes > 0 && leads {
                actions.push(Action::Change(at));
            }
            let slots =
                || node.host.disk.entries().iter().map(|entry| entry.id.index).filter(|index| index.0 > 1);
            if self.budget.harms > 0 {
                actions.extend(slots().map(|index| Action::Rot { at, index }));
            }
            if self.budget.restarts > 0 {
                actions.extend((0..=pending).map(|kept| Action::Restart { at, kept, harm: Harm::None }));
                if self.budget.harms > 0 {
                    let harms = slots().flat_map(|index| [Harm::Damage(index), Harm::LoseTail(index)]);
                    actions.extend(harms.map(|harm| Action::Restart { at, kept: 0, harm }));
                }
            }
        }
    }

    fn network_actions(&self, actions: &mut Vec<Action>) {
        if self.in_order {
            let links: BTreeSet<(NodeId, NodeId)> =
                self.network.iter().map(|letter| (letter.envelope.from, letter.envelope.to)).collect();
            for (from, to) in links {
                actions.push(Action::Exchange { from, to });
                if self.budget.one_way > 0 {
                    actions.push(Action::Hear { from, to });
                }
            }
            return;
        }
        for letter in &self.network {
            actions.push(Action::Deliver { fingerprint: letter.print, again: false });
            if self.budget.duplicates > 0 {
                actions.push(Action::Deliver { fingerprint: letter.print, again: true });
            }
        }
    }

    pub(crate) fn step(&mut self, action: Action) {
        self.act(action);
        self.steps_left = self.steps_left.saturating_sub(1);
        self.note_print();
    }

    /// Something does not hold any more: that makes it a state of its own.
    pub(crate) fn breaks(&mut self, what: &'static str) {
        self.broken = Some(what);
        self.note_print();
    }

    /// What tells this state from others.
    pub(crate) fn note_print(&mut self) {
        let nodes: Vec<u64> = self.nodes.iter().map(|node| node.print).collect();
        // Links are apart, and without an order of their own each message is a link of its own.
        let mut links: Vec<(NodeId, NodeId, u64)> = Vec::with_capacity(self.network.len());
        for letter in &self.network {
            let (from, to) = (letter.envelope.from, letter.envelope.to);
            match links.iter_mut().find(|link| self.in_order && (link.0, link.1) == (from, to)) {
                Some(link) => link.2 = link.2.wrapping_mul(31).wrapping_add(letter.print),
                None => links.push((from, to, letter.print)),
            }
        }
        links.sort_unstable();
        let rest = (self.budget, &self.record, self.broken);
        self.print = fingerprint(&(nodes, links, rest));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver { fingerprint, again } => {
                let Some(found) = self.network.iter().position(|letter| letter.print == fingerprint) else {
                    return;
                };
                let letter = Arc::clone(&self.network[found]);
                if again {
                    self.budget.duplicates -= 1;
                } else {
                    self.network.remove(found);
                }
                self.arrive(letter);
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
            Action::Sync(at) => self.happens(at, Happening::Syncs),
            Action::Restart { at, kept, harm } => {
                self.budget.restarts -= 1;
                self.budget.harms -= u8::from(harm != Harm::None);
                self.happens(at, Happening::Restarts { kept, harm });
            }
            Action::Rot { at, index } => {
                self.budget.harms -= 1;
                self.happens(at, Happening::Rots(index));
            }
            Action::Propose(at) => {
                self.budget.proposals -= 1;
                self.propose(at);
            }
            Action::Change(at) => {
                self.budget.changes -= 1;
                self.change(at);
            }
        }
    }

    /// All that is on its way over a link arrives.
    fn hear(&mut self, from: NodeId, to: NodeId) {
        let over = |letter: &Letter| (letter.envelope.from, letter.envelope.to) == (from, to);
        let (heard, rest) = std::mem::take(&mut self.network).into_iter().partition(|letter| over(letter));
        self.network = rest;
        let heard: Vec<Arc<Letter>> = heard;
        heard.into_iter().for_each(|letter| self.arrive(letter));
    }

    pub(crate) fn timeout(&mut self, at: usize) {
        (0..self.nodes.len()).filter(|other| *other != at).for_each(|other| {
            let turn = self.table.turn(&self.nodes[other], &Happening::Waits, self.treatment);
            self.nodes[other] = Arc::clone(&turn.node);
        });
        self.happens(at, Happening::TimesOut);
    }

    pub(crate) fn restart(&mut self, at: usize, harm: Harm) {
        self.happens(at, Happening::Restarts { kept: 0, harm });
    }

    pub(crate) fn propose(&mut self, at: usize) {
        self.commands += 1;
        self.happens(at, Happening::Proposes(self.commands));
    }

    /// The leader is told to bring about the voters that are wished of it.
    pub(crate) fn change(&mut self, at: usize) {
        let node = &self.nodes[at];
        let target =
            members((self.wish)(node.id).iter().copied().map(NodeId), node.host.core.status().members);
        self.happens(at, Happening::Changes(target));
    }

    fn arrive(&mut self, letter: Arc<Letter>) {
        let at = Self::position(letter.envelope.to);
        let letter = match self.treatment.lie {
            Lie::None => letter,
            lie => Letter::new(lie.twist(letter.envelope.clone(), &self.nodes[at].host)),
        };
        self.happens(at, Happening::Hears(letter));
    }

    /// Something happens to a node. Whether it should run for office a node asks and is told at once: that changes
    /// nothing at those who answer. Heartbeats are left out, as if they were lost: what is acknowledged with them is
    /// also acknowledged without.
    pub(crate) fn happens(&mut self, at: usize, happening: Happening) {
        let mut happenings = VecDeque::from([(at, happening)]);
        while let Some((at, happening)) = happenings.pop_front() {
            let turn = self.table.turn(&self.nodes[at], &happening, self.treatment);
            let committed_before = self.nodes[at].commit;
            self.nodes[at] = Arc::clone(&turn.node);
            self.check(at, committed_before, turn.wrote);
            for letter in &turn.sent {
                match letter.envelope.message {
                    Message::PreVote { .. } | Message::PreVoteReply { .. } => {
                        let to = Self::position(letter.envelope.to);
                        happenings.push_back((to, Happening::Hears(Arc::clone(letter))));
                    }
                    Message::Heartbeat { .. }
                    | Message::HeartbeatReply { .. }
                    | Message::ReadIndex { .. }
                    | Message::ReadIndexReply { .. }
                    | Message::TimeoutNow => {}
                    _ if self.network.contains(letter) => {}
                    _ => self.network.push(Arc::clone(letter)),
                }
            }
        }
        let highest = self.budget.highest_term;
        let Treatment { lie, at_once } = self.treatment;
        // What is of a past term is not heard any more: at most it is answered, with what says nothing new.
        let nodes = &self.nodes;
        let past = |envelope: &Envelope| {
            let forgets = !at_once || lie == Lie::TermIsNotDurable;
            let lasts = matches!(envelope.message, Message::Ask { .. } | Message::Tell { .. }) || forgets;
            let term = nodes[Self::position(envelope.to)].term;
            envelope.term.0 > highest || (envelope.term < term && !lasts)
        };
        self.network.retain(|letter| !past(&letter.envelope));
    }

    /// Delivers what goes between these nodes, and what that brings, until there is nothing more; of the kinds that
    /// `wanted` says, and of the others nothing.
    pub(crate) fn deliver(&mut self, among: &[usize], wanted: impl Fn(&Envelope) -> bool) {
        let within = |envelope: &Envelope| {
            let inside = |id| among.contains(&Self::position(id));
            inside(envelope.from) && inside(envelope.to) && wanted(envelope)
        };
        while let Some(place) = self.network.iter().position(|letter| within(&letter.envelope)) {
            let letter = self.network.remove(place);
            self.arrive(letter);
        }
    }

    /// Loses all that is on its way, but for what is wanted.
    pub(crate) fn lose(&mut self, kept: impl Fn(&Envelope) -> bool) {
        self.network.retain(|letter| kept(&letter.envelope));
    }

    /// Whether the members that a leader was to bring about are those that count, and are known to be committed.
    pub(crate) fn has_changed(&self) -> bool {
        self.nodes.iter().any(|node| {
            let wished = (self.wish)(node.id);
            !wished.is_empty() && node.settled_voters.iter().eq(wished)
        })
    }

    /// Whether what a leader has just committed is durable, by the voters that it counts by or by those before, if it
    /// has appended a configuration because of that.
    fn is_on_a_majority(&self, leader: &Node) -> bool {
        let Some(slot) = leader.held(leader.commit) else { return false };
        let had = |id: &&NodeId| self.nodes[Self::position(**id)].host.disk.had(slot);
        let most_had =
            |half: &BTreeSet<NodeId>| half.is_empty() || half.iter().filter(had).count() * 2 > half.len();
        leader.counted_by.iter().any(|members| most_had(&members.voters) && most_had(&members.outgoing))
    }

    fn check(&mut self, at: usize, committed_before: Index, has_written: bool) {
        let node = Arc::clone(&self.nodes[at]);
        let mut broken = None;
        if node.leads {
            match self.record.leaders.iter().find(|(term, _)| *term == node.term) {
                Some((_, leader)) if *leader != node.id => broken = Some("election safety"),
                Some(_) => {}
                None => Arc::make_mut(&mut self.record).leaders.push((node.term, node.id)),
            }
        }
        // Leader completeness (thesis §3.6.3).
        for (id, by) in &self.record.committed {
            let covered = id.index < node.base.index;
            if node.leads && *by < node.term && !covered && node.held(id.index) != Some(*id) {
                broken = broken.or(Some("leader completeness"));
            }
        }
        // What is committed at an index never changes.
        for index in (node.base.index.0.max(1)..=node.commit.0).map(Index) {
            let place = usize::try_from(index.0 - 1).unwrap();
            match (node.held(index), self.record.committed.get(place)) {
                (Some(id), Some((committed, _))) if id != *committed => {
                    broken = broken.or(Some("a committed entry changes"));
                }
                (Some(id), None) if place == self.record.committed.len() => {
                    Arc::make_mut(&mut self.record).committed.push((id, node.term));
                }
                _ => {}
            }
        }
        if node.leads && node.commit > committed_before && !self.is_on_a_majority(&node) {
            broken = broken.or(Some("what is committed is durable on a majority"));
        }
        if has_written && self.nodes.iter().any(|other| !node.matches(other)) {
            broken = broken.or(Some("log matching"));
        }
        self.broken = self.broken.or(broken);
    }
}

/// A configuration of these voters and no learners. Only names of members count here: each is reached in the same way.
fn members(voters: impl Iterator<Item = NodeId> + Clone, before: &Members) -> Members {
    let contacts =
        voters.clone().map(|id| (id, before.contacts.get(&id).cloned().unwrap_or_default())).collect();
    Members { voters: voters.collect(), contacts, ..Members::default() }
}
