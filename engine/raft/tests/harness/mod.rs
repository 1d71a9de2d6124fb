//! A cluster of cores without a runtime: nodes, a network and disks, all under a script's hand.

mod disk;
mod history;
mod network;
mod script;
mod trace;

pub(crate) use script::run;

use disk::{Disk, digest};
use history::History;
use network::Network;
use quorate_raft::{
    Config, Contact, Done, Entry, Envelope, Event, HardState, Index, Input, Job, LogId, Members, NodeId,
    Output, Payload, Raft, ReadId, SnapshotMeta, Term, Time,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A state machine that remembers every command.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) applied: LogId,
    pub(crate) commands: Vec<String>,
}

/// One node: its core while it runs, and what outlives that.
pub(crate) struct Node {
    pub(crate) raft: Option<Raft>,
    pub(crate) disk: Disk,
    pub(crate) machine: Machine,
    /// Each node has a clock of its own, as in life.
    clock: Time,
    starts: u64,
    hold_apply: bool,
    /// Applies and installs that wait.
    to_apply: VecDeque<Output>,
}

/// The cluster.
pub(crate) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    network: Network,
    history: History,
    settings: Config,
    names: trace::Names,
    lines: Vec<String>,
    /// Messages a node has sent since the last line, as kind and receiver.
    sends: Vec<String>,
}

impl Cluster {
    /// A cluster whose log begins with one committed entry, its configuration.
    fn new(count: u128, settings: Config) -> Self {
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            network: Network::default(),
            history: History::default(),
            settings,
            names: trace::Names::default(),
            lines: Vec::new(),
            sends: Vec::new(),
        };
        for id in (1..=count).map(NodeId) {
            let disk = Disk::with_log(HardState { term: Term(1), vote: None }, vec![first_entry(count)]);
            cluster.add_node(id, disk);
        }
        cluster
    }

    fn add_node(&mut self, id: NodeId, disk: Disk) {
        let machine = Machine::default();
        let (clock, starts, hold_apply) = (Time(0), 0, false);
        self.nodes.insert(
            id,
            Node { raft: None, disk, machine, clock, starts, hold_apply, to_apply: VecDeque::new() },
        );
        self.start(id);
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("there is no node {}", id.0))
    }

    /// The core of a node that must be running.
    fn core(&mut self, id: NodeId) -> (&mut Raft, Time) {
        let node = self.node(id);
        (node.raft.as_mut().unwrap_or_else(|| panic!("node {} is down", id.0)), node.clock)
    }

    fn running(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.raft.is_some()).map(|(id, _)| *id).collect()
    }

    fn start(&mut self, id: NodeId) {
        let settings = self.settings.clone();
        let node = self.node(id);
        assert!(node.raft.is_none(), "node {} runs already", id.0);
        node.starts += 1;
        let seed = u64::try_from(id.0).unwrap() * 1000 + node.starts;
        let raft = Raft::open(Config { id, seed, ..settings }, node.disk.found(), node.clock);
        node.raft = Some(raft.unwrap_or_else(|error| panic!("node {} cannot start: {error}", id.0)));
        node.machine = Machine::default();
        self.history.started(id, &self.nodes[&id].disk);
        self.drain(id);
        self.input(id, Input::Timeout);
    }

    fn crash(&mut self, id: NodeId, keep: usize) {
        let node = self.node(id);
        node.raft = None;
        node.to_apply.clear();
        node.hold_apply = false;
        node.disk.crash(keep);
        node.disk.held = false;
    }

    fn line(&mut self, text: impl Into<String>) {
        self.flush_sends();
        self.lines.push(text.into());
    }

    /// Messages that leave in a row share a line.
    fn flush_sends(&mut self) {
        if !self.sends.is_empty() {
            let sends = std::mem::take(&mut self.sends);
            self.lines.push(format!("    sends {}", sends.join(", ")));
        }
    }

    /// Feeds an input and performs all that follows from it at once.
    fn input(&mut self, id: NodeId, input: Input) {
        let (core, now) = self.core(id);
        core.handle(now, input);
        self.drain(id);
    }

    /// Polls until there is nothing left, then feeds back what was done at once, and so on.
    fn drain(&mut self, id: NodeId) {
        let mut answers = VecDeque::new();
        loop {
            while let Some(output) = self.core(id).0.poll() {
                self.perform(id, output, &mut answers);
            }
            self.history.check(&self.nodes, id);
            let Some(answer) = answers.pop_front() else { break };
            let (core, now) = self.core(id);
            core.handle(now, answer);
        }
        self.flush_sends();
    }

    fn perform(&mut self, id: NodeId, output: Output, answers: &mut VecDeque<Input>) {
        match output {
            Output::Send(envelope) => self.send(envelope),
            Output::Job(job) => self.work(id, job, answers),
            Output::Apply(_) | Output::Install(_) if self.node(id).hold_apply => {
                self.line(format!("    {} waits to apply", id.0));
                self.node(id).to_apply.push_back(output);
            }
            Output::Apply(_) | Output::Install(_) => answers.push_back(self.apply(id, output)),
            Output::Read(ids) => self.serve(id, &ids),
            Output::Event(event) => self.tell(id, &event),
        }
    }

    fn tell(&mut self, id: NodeId, event: &Event) {
        self.line(format!("    {} {}", id.0, trace::event(event)));
    }

    fn send(&mut self, envelope: Envelope) {
        self.history.sent(&self.nodes[&envelope.from], &envelope);
        let lost = if self.network.carries(envelope.from, envelope.to) { "" } else { " (lost)" };
        self.sends.push(format!("{}->{}{lost}", trace::kind(&envelope.message), envelope.to.0));
        if lost.is_empty() {
            self.network.queue.push(envelope);
        }
    }

    fn work(&mut self, id: NodeId, job: Job, answers: &mut VecDeque<Input>) {
        match job {
            Job::Write(write) => {
                let held = if self.node(id).disk.held { " (held)" } else { "" };
                self.line(format!("    {} {}{held}", id.0, trace::write(&write)));
                let before = self.last_before(id, &write);
                self.history.write_issued(id, before, &write);
                let disk = &mut self.node(id).disk;
                disk.issue(write);
                if !disk.held {
                    let done = disk.finish_one().map(|write| Input::Done(Done::Written(write)));
                    answers.extend(done);
                }
            }
            Job::Load(load) => {
                self.line(format!("    {} {}", id.0, trace::load(load)));
                answers.extend(self.node(id).disk.load(load).into_iter().map(Input::Done));
            }
            Job::LoadSnapshot(load) => {
                answers.push_back(Input::Done(self.node(id).disk.load_snapshot(load)));
            }
            Job::StoreSnapshot(store) => {
                let (from, bytes) = (store.chunk.offset, store.chunk.data.len());
                self.line(format!("    {} stores {bytes} bytes of {} at {from}", id.0, store.meta.last));
                answers.push_back(Input::Done(self.node(id).disk.store_snapshot(store)));
            }
        }
    }

    /// The slot that the first appended entry of `write` will follow.
    fn last_before(&self, id: NodeId, write: &quorate_raft::Write) -> LogId {
        let issued = &self.nodes[&id].disk.issued;
        match (&write.install, write.truncate_from) {
            (_, Some(from)) if issued.id(from.previous()).is_some() => {
                issued.id(from.previous()).unwrap_or_default()
            }
            (Some(meta), _) => meta.last,
            (None, _) => issued.last(),
        }
    }

    fn apply(&mut self, id: NodeId, output: Output) -> Input {
        match output {
            Output::Apply(entries) => {
                self.line(format!("    {} applies {}", id.0, trace::list(&entries)));
                for entry in entries {
                    self.apply_entry(id, &entry);
                }
            }
            Output::Install(meta) => {
                self.line(format!("    {} installs the snapshot of {}", id.0, meta.last));
                let node = self.nodes.get_mut(&id).unwrap();
                let content = String::from_utf8(node.disk.snapshot(meta.last).to_vec()).unwrap();
                assert!(meta.last >= node.machine.applied, "the state goes back to {}", meta.last);
                let commands = content.split_whitespace().map(str::to_owned).collect();
                node.machine = Machine { applied: meta.last, commands };
                self.history.applied(meta.last.index, &node.machine.commands);
            }
            _ => unreachable!("only applies and installs wait"),
        }
        Input::Applied(self.nodes[&id].machine.applied.index)
    }

    fn apply_entry(&mut self, id: NodeId, entry: &Entry) {
        let machine = &mut self.nodes.get_mut(&id).unwrap().machine;
        assert_eq!(entry.id.index, machine.applied.index.next(), "node {} applies with a gap", id.0);
        machine.applied = entry.id;
        if let Payload::Command(bytes) = &entry.payload {
            machine.commands.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        self.history.applied(entry.id.index, &machine.commands);
    }

    fn serve(&mut self, id: NodeId, reads: &[ReadId]) {
        for read in reads {
            self.history.read_served(&self.nodes[&id], *read);
        }
        let names: Vec<String> = reads.iter().map(|read| read.0.to_string()).collect();
        let applied = self.nodes[&id].machine.applied.index;
        self.line(format!("    {} serves read {} at {applied}", id.0, names.join(" ")));
    }

    /// A checkpoint of the state machine as it is. Its content is made of the commands with `between` between them: so
    /// it can be taken again at the same place, and be made of other bytes.
    fn checkpoint(&mut self, id: NodeId, between: &str) {
        let last = self.node(id).machine.applied;
        let (members, members_at) = self.core(id).0.checkpoint(last).expect("something is applied");
        let node = self.node(id);
        let content = node.machine.commands.join(between).into_bytes();
        let bytes = content.len() as u64;
        let meta = SnapshotMeta { last, members, members_at, bytes, digest: digest(&content), state_hash: 0 };
        node.disk.keep_snapshot(meta.clone(), content);
        self.line(format!("{} has a checkpoint of {last}, {bytes} bytes", id.0));
        self.input(id, Input::Done(Done::SnapshotTaken(Box::new(meta))));
    }

    fn deliver(&mut self, envelope: Envelope) {
        let (from, to) = (envelope.from, envelope.to);
        let text = self.names.message(&envelope.message);
        let what = format!("{}->{} t{} {text}", from.0, to.0, envelope.term);
        let lost =
            !self.network.carries(from, to) || self.nodes.get(&to).is_none_or(|node| node.raft.is_none());
        if lost {
            return self.line(format!("{what} (lost)"));
        }
        self.line(what);
        self.input(to, Input::Message(envelope));
    }

    /// Delivers until nothing is on its way.
    fn stabilize(&mut self) {
        for _ in 0..10_000 {
            if self.network.queue.is_empty() {
                return;
            }
            let envelope = self.network.queue.remove(0);
            self.deliver(envelope);
        }
        panic!("messages beget messages for ever");
    }

    /// Lets time pass on some nodes; each timer fires when it is due. `between` runs after each that fired.
    fn tick(&mut self, ids: &[NodeId], duration: Duration, between: impl Fn(&mut Self)) {
        let mut left = duration;
        loop {
            let wait = |cluster: &Self, id: &NodeId| {
                let node = &cluster.nodes[id];
                let due = node.raft.as_ref().and_then(Raft::deadline)?;
                Some(due.since(node.clock))
            };
            let step = ids.iter().filter_map(|id| wait(self, id)).min().unwrap_or(left).min(left);
            for id in ids {
                let node = self.node(*id);
                node.clock = node.clock + step;
            }
            left -= step;
            let due: Vec<NodeId> =
                ids.iter().filter(|id| wait(self, id) == Some(Duration::ZERO)).copied().collect();
            for id in &due {
                self.line(format!("{} timer", id.0));
                self.input(*id, Input::Timeout);
                let stuck = wait(self, id) == Some(Duration::ZERO);
                assert!(!stuck, "node {} names a deadline that has passed", id.0);
            }
            if !due.is_empty() {
                between(self);
            }
            if left.is_zero() {
                return;
            }
        }
    }
}

/// The configuration every cluster begins with.
fn first_entry(count: u128) -> Entry {
    let voters = (1..=count).map(NodeId);
    let members = Members {
        voters: voters.clone().collect(),
        contacts: voters.map(|id| (id, Contact::default())).collect(),
        ..Members::default()
    };
    Entry { id: LogId { term: Term(1), index: Index(1) }, payload: Payload::Members(Box::new(members)) }
}
