//! The event loop: virtual time, a queue, and one event after the other.

use crate::checks::Checks;
use crate::machine::{Machine, hash_of};
use crate::network::Network;
use crate::node::{Node, Work};
use crate::plan::Plan;
use crate::random::Random;
use quorate_raft::{
    Contact, Done, Entry, Envelope, Index, Input, Job, LogId, Members, Message, NodeId, Payload,
    SnapshotMeta, Term,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A seed takes some ten thousand; one that takes this many is in a storm.
const MOST_EVENTS: u64 = 1_000_000;

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Event>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) checks: Checks,
    pub(crate) disks: Random,
    pub(crate) faults: Random,
    pub(crate) clients: Random,
    pub(crate) operators: Random,
    clocks: Random,
    pub(crate) tracing: bool,
    pub(crate) sent: u64,
    pub(crate) events: u64,
    /// Guards against a loop without time passing.
    at_once: u64,
    pub(crate) next_name: u64,
    pub(crate) counts: Counts,
}

/// How often what is rare really happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) elections: u64,
    pub(crate) truncations: u64,
    pub(crate) installs: u64,
    pub(crate) compactions: u64,
    pub(crate) repairs: u64,
    pub(crate) given_up: u64,
    pub(crate) lost_tails: u64,
    pub(crate) torn_writes: u64,
    pub(crate) reads: u64,
    pub(crate) commands: u64,
    pub(crate) promotions: u64,
    pub(crate) joint_changes: u64,
    pub(crate) transfers: u64,
    pub(crate) removed_leaders: u64,
}

impl Counts {
    pub(crate) fn all(&self) -> [(&'static str, u64); 14] {
        [
            ("elections", self.elections),
            ("truncations", self.truncations),
            ("snapshots installed", self.installs),
            ("compactions", self.compactions),
            ("slots repaired", self.repairs),
            ("slots given up", self.given_up),
            ("tails lost", self.lost_tails),
            ("writes torn", self.torn_writes),
            ("reads served", self.reads),
            ("commands acknowledged", self.commands),
            ("learners promoted", self.promotions),
            ("joint changes", self.joint_changes),
            ("hand-overs", self.transfers),
            ("leaders removed", self.removed_leaders),
        ]
    }
}

#[derive(Debug)]
pub(crate) enum Event {
    Deliver(Envelope),
    Fault,
    Checkpoint,
    Change,
    Heal,
    Client,
    Restart(NodeId),
    At { node: NodeId, life: u64, what: What },
}

/// Something in one life of one node.
#[derive(Debug)]
pub(crate) enum What {
    Wake,
    Drain,
    WritesDone,
    Job(Job),
    Worked,
    Checkpoint(SnapshotMeta, Arc<[u8]>),
}

impl World {
    pub(crate) fn new(seed: u64, tracing: bool) -> Self {
        let plan = Plan::new(seed);
        let mut world = World {
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            nodes: (1..=plan.nodes).map(|id| Node::new(NodeId(u128::from(id)))).collect(),
            network: Network::new(seed, &plan),
            checks: Checks::default(),
            disks: Random::new(seed, "disks"),
            faults: Random::new(seed, "faults"),
            clients: Random::new(seed, "clients"),
            operators: Random::new(seed, "operators"),
            clocks: Random::new(seed, "clocks"),
            tracing,
            sent: 0,
            events: 0,
            at_once: 0,
            next_name: 1,
            counts: Counts::default(),
            plan,
        };
        world.trace(|| format!("{:?}", Plan::new(seed)));
        world.found();
        world
    }

    /// The founders begin with the same first entry; the others with nothing.
    fn found(&mut self) {
        let ids = (1..=self.plan.founders).map(|id| NodeId(u128::from(id)));
        let members = Members {
            voters: ids.clone().collect(),
            contacts: ids.map(|id| (id, Contact::default())).collect(),
            ..Members::default()
        };
        let entry = Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) };
        self.checks.found(&entry);
        let founders = usize::try_from(self.plan.founders).unwrap();
        for node in &mut self.nodes[..founders] {
            node.disk.hard.term = Term(1);
            let slot = crate::disk::Slot { entry: entry.clone(), damaged: false };
            node.disk.slots.entries.push_back(slot);
        }
        for at in 0..self.nodes.len() {
            self.boot(at);
        }
        self.schedule(0, Event::Fault);
        self.schedule(0, Event::Client);
        self.schedule(0, Event::Checkpoint);
        self.schedule(0, Event::Change);
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.tracing {
            println!("{:>10} {}", self.now, line());
        }
    }

    pub(crate) fn schedule(&mut self, after: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), event);
    }

    pub(crate) fn schedule_at(&mut self, at: usize, after: u64, what: What) {
        let (node, life) = (self.nodes[at].id, self.nodes[at].lives);
        self.schedule(after, Event::At { node, life, what });
    }

    pub(crate) fn position(&self, id: NodeId) -> usize {
        usize::try_from(id.0 - 1).unwrap()
    }

    /// Runs what is due until `until`.
    pub(crate) fn run_until(&mut self, until: u64) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= until
        {
            let ((time, _), event) = entry.remove_entry();
            self.at_once = if time > self.now { 0 } else { self.at_once + 1 };
            assert!(self.at_once < 10_000, "spins without time passing: {event:?}");
            self.now = time;
            self.events += 1;
            assert!(self.events < MOST_EVENTS, "a storm: {} messages, now {event:?}", self.sent);
            self.dispatch(event);
        }
        self.now = until;
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Fault => self.fault_due(),
            Event::Checkpoint => self.checkpoint_due(),
            Event::Change => self.change_due(),
            Event::Heal => self.network.join_all(),
            Event::Client => self.client_due(),
            Event::Restart(id) => {
                let at = self.position(id);
                if self.nodes[at].life.is_none() {
                    self.boot(at);
                }
            }
            Event::Deliver(envelope) => self.deliver(envelope),
            Event::At { node, life, what } => {
                let at = self.position(node);
                if self.nodes[at].lives != life || self.nodes[at].life.is_none() {
                    return;
                }
                match self.pause_left(at) {
                    Some(left) => self.schedule(left, Event::At { node, life, what }),
                    None => self.happen(at, what),
                }
            }
        }
    }

    fn pause_left(&self, at: usize) -> Option<u64> {
        self.nodes[at].paused_until.checked_sub(self.now).filter(|left| *left > 0)
    }

    fn deliver(&mut self, envelope: Envelope) {
        let at = self.position(envelope.to);
        if self.nodes[at].life.is_none() || !self.network.still_passes(envelope.from, envelope.to) {
            return;
        }
        if let Some(left) = self.pause_left(at) {
            return self.schedule(left, Event::Deliver(envelope));
        }
        self.trace(|| {
            let Envelope { from, to, term, message } = &envelope;
            format!("n{} < n{} t{term} {message:?}", to.0, from.0)
        });
        self.feed(at, Input::Message(envelope));
    }

    fn happen(&mut self, at: usize, what: What) {
        match what {
            What::Wake => {
                let now = self.now;
                let life = self.nodes[at].life.as_mut().unwrap();
                if life.wake_at.is_some_and(|due| due <= now) {
                    life.wake_at = None;
                    self.feed(at, Input::Timeout);
                }
            }
            What::Drain => self.drain(at),
            What::WritesDone => self.writes_done(at),
            What::Job(job) => self.do_job(at, job),
            What::Worked => self.worked(at),
            What::Checkpoint(meta, content) => {
                let disk = &mut self.nodes[at].disk;
                if disk.newest().is_none_or(|newest| newest.last < meta.last) {
                    disk.keep_snapshot(meta.clone(), content);
                }
                self.trace(|| format!("n{} checkpoint {} is durable", at + 1, meta.last));
                self.feed(at, Input::Done(Done::SnapshotTaken(Box::new(meta))));
            }
        }
    }

    pub(crate) fn boot(&mut self, at: usize) {
        // The fastest and the slowest differ by less than the ninth that leases allow for.
        let rate = if self.plan.leases { self.clocks.between(950, 1_050) } else { 1_000 };
        self.nodes[at].boot(&self.plan.config, rate, self.now, &mut self.disks);
        self.trace(|| {
            let disk = &self.nodes[at].disk;
            format!("n{} boots: {:?}, log {}..{}", at + 1, disk.hard, disk.slots.base, disk.slots.last())
        });
        self.pump(at);
    }

    pub(crate) fn crash(&mut self, at: usize) {
        self.trace(|| format!("n{} crashes", at + 1));
        let torn = self.nodes[at].crash(&mut self.disks);
        self.counts.torn_writes += u64::from(torn);
    }

    /// Hands an input to a node, at once or with what gathers meanwhile.
    pub(crate) fn feed(&mut self, at: usize, input: Input) {
        let Some(life) = self.nodes[at].life.as_mut() else { return };
        life.inbox.push(input);
        self.poke(at);
    }

    /// The host looks after its core soon.
    pub(crate) fn poke(&mut self, at: usize) {
        if self.plan.gather == 0 {
            return self.drain(at);
        }
        let Some(life) = self.nodes[at].life.as_mut() else { return };
        if !std::mem::replace(&mut life.draining, true) {
            let after = self.disks.below(self.plan.gather);
            self.schedule_at(at, after, What::Drain);
        }
    }

    fn drain(&mut self, at: usize) {
        let Some(life) = self.nodes[at].life.as_mut() else { return };
        life.draining = false;
        for input in std::mem::take(&mut life.inbox) {
            let office = self.office(at);
            let life = self.nodes[at].life.as_mut().unwrap();
            life.core.handle(life.time(self.now), input);
            self.observe_leader(at, office);
        }
        self.pump(at);
    }

    /// Polls until there is nothing, performs it all, and looks at the node.
    fn pump(&mut self, at: usize) {
        let mut outputs = 0;
        while let Some(output) = self.nodes[at].life.as_mut().and_then(|life| life.core.poll()) {
            outputs += 1;
            assert!(outputs < 20_000, "the outbox never ends: {output:?}");
            self.perform(at, output);
        }
        self.observe(at);
        let now = self.now;
        let Some(life) = self.nodes[at].life.as_mut() else { return };
        let Some(deadline) = life.deadline() else { return };
        let deadline = deadline.max(now);
        if life.wake_at.is_none_or(|at| at > deadline) {
            life.wake_at = Some(deadline);
            self.schedule_at(at, deadline - now, What::Wake);
        }
    }

    /// The same seed must end here, whatever ran it.
    pub(crate) fn fingerprint(&self) -> u64 {
        let cores: Vec<_> =
            self.nodes.iter().map(|node| node.life.as_ref().map(|life| life.core.clone())).collect();
        let disks: Vec<_> = self.nodes.iter().map(|node| node.disk.clone()).collect();
        hash_of(&(self.now, self.sent, self.events, cores, disks, &self.checks))
    }

    /// The living node that leads the highest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |at: &usize| {
            let core = self.nodes[*at].life.as_ref().map(|life| &life.core);
            core.is_some_and(|core| core.leader() == Some(self.nodes[*at].id))
        };
        (0..self.nodes.len())
            .filter(leads)
            .max_by_key(|at| self.nodes[*at].life.as_ref().unwrap().core.status().term)
    }

    pub(crate) fn applied(&mut self, at: usize, entry: &Entry) {
        let life = self.nodes[at].life.as_mut().unwrap();
        life.machine.apply(entry);
        self.checks.applied(entry, &life.machine);
        if life.proposals.remove(&entry.id) {
            self.checks.completed = self.checks.completed.max(entry.id.index);
            self.counts.commands += 1;
        }
    }

    fn worked(&mut self, at: usize) {
        let life = self.nodes[at].life.as_mut().unwrap();
        life.working = false;
        let Some(work) = life.work.pop_front() else { return };
        let done = match work {
            Work::Apply(entries) => {
                for entry in &entries {
                    self.applied(at, entry);
                }
                entries.last().map_or(Index(0), |entry| entry.id.index)
            }
            Work::Install(meta) => {
                let node = &mut self.nodes[at];
                let (_, content) =
                    node.disk.snapshots.get(&meta.last).expect("an install of a durable snapshot");
                let machine = Machine::from_content(content);
                self.checks.installed(&meta, &machine);
                let life = node.life.as_mut().unwrap();
                assert!(machine.applied > life.machine.applied, "an older snapshot replaces a newer state");
                life.machine = machine;
                self.counts.installs += u64::from(meta.last > node.booted_with);
                meta.last.index
            }
        };
        self.feed(at, Input::Applied(done));
        self.work(at);
    }

    /// Begins the next piece of work of the state machine.
    pub(crate) fn work(&mut self, at: usize) {
        let Some(life) = self.nodes[at].life.as_mut() else { return };
        if !life.working && !life.work.is_empty() {
            life.working = true;
            let after = self.disks.below(self.plan.apply_time) + 1;
            self.schedule_at(at, after, What::Worked);
        }
    }

    /// Whether a message may be said, given what is durable and what is known.
    pub(crate) fn check_message(&self, at: usize, envelope: &Envelope) {
        let Envelope { from, to, term, message } = envelope;
        let disk = &self.nodes[at].disk;
        assert!(*from == self.nodes[at].id && to != from, "a message of somebody else: {envelope:?}");
        if matches!(message, Message::PreVote { .. } | Message::PreVoteReply { granted: true }) {
            return;
        }
        assert!(*term <= disk.hard.term, "speaks in term {term}, durable is {:?}: {message:?}", disk.hard);
        let own = disk.hard.term > *term;
        match message {
            Message::Vote { .. } => {
                assert!(own || disk.hard.vote == Some(*from), "a vote that is not its own");
            }
            Message::VoteReply { granted: true } => {
                assert!(own || disk.hard.vote == Some(*to), "a vote that is not durable: {:?}", disk.hard);
            }
            Message::Appended { matched } | Message::HeartbeatReply { matched, .. } => {
                self.check_acknowledged(at, *to, *term, *matched);
            }
            Message::Append { commit, .. } | Message::Heartbeat { commit, .. } => {
                assert!(*commit <= self.checks.commit(), "tells of a commit that is none: {message:?}");
            }
            _ => {}
        }
    }

    /// What is acknowledged is durable, and is what that leader has.
    fn check_acknowledged(&self, at: usize, to: NodeId, term: Term, matched: Index) {
        let disk = &self.nodes[at].disk;
        assert!(
            matched <= disk.slots.last().index.max(disk.covered()),
            "acknowledges {matched}, which is not durable"
        );
        let Some(leader) = self.nodes[self.position(to)].life.as_ref() else { return };
        // A snapshot that is durable stands for its last slot, even before it takes the log's place.
        if matched <= disk.covered() || leader.core.leader() != Some(to) || leader.core.status().term != term
        {
            return;
        }
        if let (Some(here), Some(there)) = (disk.slots.id(matched), leader.slots.id(matched)) {
            assert_eq!(here, there, "acknowledges {matched} in term {term}, but holds another entry");
        }
    }
}
