//! The three nodes, and how they are asked.

use quorate_node::kv::Settings;
use quorate_node::raft::{
    Config, Contact, Done, Entry, Found, HardState, Job, LogId, Members, NodeId, Payload, Role, Term,
    TermRuns, Time,
};
use quorate_node::{Input, Node, NodeConfig, Output, Reply, Request, RequestId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) fn id(number: u128) -> NodeId {
    NodeId(number)
}

pub(crate) fn contact(number: u128) -> Contact {
    Contact { address: format!("10.0.0.{number}:9080"), ..Contact::default() }
}

pub(crate) fn founded() -> Found {
    let first = LogId::new(1, 1);
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(first);
    let members = Members {
        voters: (1..=3).map(id).collect(),
        contacts: (1..=3).map(|number| (id(number), contact(number))).collect(),
        ..Members::default()
    };
    Found {
        hard: HardState { term: Term(1), vote: None },
        terms,
        members: vec![Entry { id: first, payload: Payload::Members(Box::new(members)) }],
        ..Found::default()
    }
}

/// The nodes and what was said on their behalf.
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) now: Time,
    /// Nothing gets to or from these.
    pub(crate) cut: BTreeSet<NodeId>,
    pub(crate) replies: Vec<(u64, Reply)>,
    pub(crate) sent: usize,
}

impl Cluster {
    /// Node 1 leads.
    pub(crate) fn led_by_one() -> Self {
        Self::with_room(64 << 20)
    }

    /// Node 1 leads, and at most so many bytes of commands may wait to be committed.
    pub(crate) fn with_room(uncommitted_bytes: usize) -> Self {
        let start = |number: u128| {
            let seed = u64::try_from(number).unwrap();
            let raft = Config { uncommitted_bytes, ..Config::new(id(number), seed) };
            let config = NodeConfig {
                raft,
                checkpoint_entries: 1_000,
                checkpoint_bytes: 1 << 20,
                pending_requests: 100,
                settings: Settings::default(),
            };
            (id(number), Node::open(config, founded(), Time(0)).unwrap())
        };
        let nodes = (1..=3).map(start).collect();
        let mut cluster = Cluster { nodes, now: Time(0), cut: BTreeSet::new(), replies: Vec::new(), sent: 0 };
        cluster.now = Time(1_000_000);
        cluster.feed(id(1), Input::Timeout);
        assert_eq!(cluster.nodes[&id(1)].view().role, Role::Leader);
        cluster.pass(Duration::from_millis(200));
        cluster
    }

    pub(crate) fn feed(&mut self, at: NodeId, input: Input) {
        let mut waiting = vec![(at, input)];
        while !waiting.is_empty() {
            let (at, input) = waiting.remove(0);
            let Some(node) = self.nodes.get_mut(&at) else { continue };
            node.handle(self.now, input);
            while let Some(output) = node.poll() {
                match output {
                    Output::Send(envelope) => {
                        self.sent += 1;
                        if !self.cut.contains(&at) && !self.cut.contains(&envelope.to) {
                            waiting.push((envelope.to, Input::Message(envelope)));
                        }
                    }
                    Output::Job(Job::Write(write)) => {
                        node.handle(self.now, Input::Done(Done::Written(write.id)));
                    }
                    Output::Job(Job::Load(load)) => {
                        let mut entries = founded().members;
                        entries.retain(|entry| entry.id.index >= load.first);
                        node.handle(self.now, Input::Done(Done::Loaded { load, entries }));
                    }
                    Output::Reply { id, reply } => self.replies.push((id.0, reply)),
                    Output::Job(_) | Output::Failed(_) => panic!("{output:?}"),
                    // On a full disk one is begun; it takes as long as the test.
                    Output::Checkpoint(_) | Output::Changed | Output::Event(_) => {}
                }
            }
        }
    }

    /// Time passes; timers fire when they are due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.now < until {
            self.now = self.now + Duration::from_millis(10);
            for at in self.nodes.keys().copied().collect::<Vec<_>>() {
                if self.nodes[&at].deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.feed(at, Input::Timeout);
                }
            }
        }
    }

    pub(crate) fn ask(&mut self, at: u128, number: u64, request: Request) {
        self.feed(id(at), Input::Request { id: RequestId(number), request });
    }

    pub(crate) fn replies_to(&mut self, number: u64) -> Vec<Reply> {
        let (wanted, others) =
            std::mem::take(&mut self.replies).into_iter().partition(|(of, _)| *of == number);
        self.replies = others;
        let wanted: Vec<(u64, Reply)> = wanted;
        wanted.into_iter().map(|(_, reply)| reply).collect()
    }
}

pub(crate) fn set(voters: &[u128], learners: &[u128]) -> Request {
    let ids = |numbers: &[u128]| numbers.iter().map(|number| id(*number)).collect();
    Request::SetMembers { voters: ids(voters), learners: ids(learners) }
}
