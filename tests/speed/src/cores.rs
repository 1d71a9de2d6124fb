//! Three cores in one thread: queues for a network, and a vector for a disk.

use std::collections::VecDeque;
use std::sync::Arc;

use quorate_raft::{
    Config, Contact, Done, Entry, Envelope, Found, HardState, Index, Input, Job, Learner, LogId, Members,
    NodeId, Output, Payload, Raft, TermRuns, Time,
};

const NODES: usize = 3;

/// Nobody is bound any more by a leader from before the start, and no node runs for office by itself yet.
const FREE: Time = Time(500_001);

/// A core and its host.
#[derive(Debug)]
pub struct Core {
    raft: Raft,
    now: Time,
    disk: Vec<Entry>,
    commands: u64,
}

impl Core {
    /// As many as there are in a cluster; none of them leads.
    pub fn cluster() -> Vec<Core> {
        let id = |number: usize| NodeId(number as u128 + 1);
        let members = (1..NODES).fold(Members::founder(id(0), Contact::default()), |members, number| {
            members.with_learner(id(number), Learner::Standing, Contact::default()).with_voter(id(number))
        });
        let first = Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) };
        let open = |number: usize| {
            let mut terms = TermRuns::new(LogId::ZERO);
            terms.push(first.id);
            let found = Found {
                hard: HardState { term: first.id.term, vote: None },
                commit_hint: Index(1),
                terms,
                members: vec![first.clone()],
                ..Found::default()
            };
            let raft = Raft::open(Config::new(id(number), number as u64 + 1), found, Time(0)).unwrap();
            Core { raft, now: FREE, disk: vec![first.clone()], commands: 0 }
        };
        (0..NODES).map(open).collect()
    }

    /// Has it run for office.
    pub fn campaign(&mut self) {
        self.pass_until(self.raft.deadline().unwrap_or_default());
    }

    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        self.raft.leads_in().is_some()
    }

    /// What its clock says.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Lets time pass.
    pub fn pass_until(&mut self, now: Time) {
        self.now = self.now.max(now);
        if self.raft.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.raft.handle(self.now, Input::Timeout);
        }
    }

    /// Proposes a command, of a leader.
    pub fn propose(&mut self, command: &[u8]) {
        self.raft.propose(self.now, Arc::from(command)).unwrap();
    }

    /// Takes a message.
    pub fn receive(&mut self, message: Envelope) {
        self.raft.handle(self.now, Input::Message(message));
    }

    /// Does all that there is to do, and sends messages to nodes by their number.
    pub fn work(&mut self, send: &mut dyn FnMut(usize, Envelope)) {
        while let Some(output) = self.raft.poll() {
            match output {
                Output::Send(envelope) => {
                    send(usize::try_from(envelope.to.0 - 1).unwrap(), envelope);
                }
                Output::Job(Job::Write(write)) => {
                    self.disk.extend(write.append);
                    self.raft.handle(self.now, Input::Done(Done::Written(write.id)));
                }
                Output::Job(Job::Load(load)) => {
                    let at = |index: Index| usize::try_from(index.0).unwrap();
                    let entries = self.disk[at(load.first) - 1..at(load.last)].to_vec();
                    self.raft.handle(self.now, Input::Done(Done::Loaded { load, entries }));
                }
                Output::Apply(entries) => {
                    let is_command = |entry: &&Entry| matches!(entry.payload, Payload::Command(_));
                    self.commands += entries.iter().filter(is_command).count() as u64;
                    let last = entries.last().map_or(Index(0), |entry| entry.id.index);
                    self.raft.handle(self.now, Input::Applied(last));
                }
                Output::Read(_) | Output::Event(_) => {}
                other => panic!("no snapshot was taken, and this came: {other:?}"),
            }
        }
    }

    /// How many proposed commands it has applied.
    pub fn applied(&self) -> u64 {
        self.commands
    }
}

/// Three of them, the first of which leads.
#[derive(Debug)]
pub struct Cores {
    cores: Vec<Core>,
    queues: [VecDeque<Envelope>; NODES],
    command: Vec<u8>,
}

impl Cores {
    /// A cluster that has elected its leader.
    pub fn start() -> Cores {
        let command = quorate_wire::entry::encode_command(&crate::puts::put(1)).unwrap();
        let mut cluster = Cores { cores: Core::cluster(), queues: Default::default(), command };
        cluster.cores[0].campaign();
        cluster.carry();
        assert!(cluster.cores[0].is_leader());
        cluster
    }

    /// Proposes so many commands at once, and carries messages until the leader has applied them; over and over.
    pub fn replicate(&mut self, batch: u64, turns: u64) {
        for _ in 0..turns {
            let before = self.cores[0].applied();
            for _ in 0..batch {
                self.cores[0].propose(&self.command);
            }
            self.carry();
            assert_eq!(self.cores[0].applied(), before + batch);
        }
        // Nothing is loaded from these disks, so that they need not grow.
        self.cores.iter_mut().for_each(|core| core.disk.truncate(1));
    }

    fn carry(&mut self) {
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            for number in 0..NODES {
                while let Some(message) = self.queues[number].pop_front() {
                    self.cores[number].receive(message);
                    is_idle = false;
                }
                let queues = &mut self.queues;
                self.cores[number].work(&mut |to, message| {
                    queues[to].push_back(message);
                    is_idle = false;
                });
            }
        }
    }
}
