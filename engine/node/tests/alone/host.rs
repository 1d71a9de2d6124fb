//! A node alone, with a disk that does as it is told.

use quorate_node::kv::{Action, Put, Settings};
use quorate_node::raft::{
    Config, Contact, Digest, Done, Entry, Found, HardState, Job, LogId, Members, NodeId, Payload, Role,
    SnapshotMeta, Term, TermRuns, Time, WriteId,
};
use quorate_node::{Checkpoint, Input, Node, NodeConfig, Output, ReadLevel, Reply, Request, RequestId};
use std::sync::Arc;

pub(crate) const ME: NodeId = NodeId(1);

pub(crate) fn founded() -> Found {
    let id = LogId::new(1, 1);
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(id);
    let members = Members::founder(ME, Contact::default());
    Found {
        hard: HardState { term: Term(1), vote: None },
        terms,
        members: vec![Entry { id, payload: Payload::Members(Box::new(members)) }],
        ..Found::default()
    }
}

pub(crate) fn put(key: &str, value: &str) -> Request {
    Request::write(Action::Put(Put::for_good(Arc::from(key.as_bytes()), Arc::from(value.as_bytes()))))
}

pub(crate) fn get(key: &str, level: ReadLevel) -> Request {
    Request::get(Arc::from(key.as_bytes()), level)
}

/// A host that performs jobs when told to.
pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) now: Time,
    pub(crate) last_write: Option<WriteId>,
    pub(crate) loads: Vec<Job>,
    pub(crate) replies: Vec<(u64, Reply)>,
    pub(crate) checkpoints: Vec<Checkpoint>,
}

impl Host {
    pub(crate) fn start(checkpoint_entries: u64) -> Self {
        Host::start_with(checkpoint_entries, Settings::default())
    }

    pub(crate) fn start_with(checkpoint_entries: u64, settings: Settings) -> Self {
        let config = NodeConfig {
            raft: Config::new(ME, 7),
            checkpoint_entries,
            checkpoint_bytes: 1 << 20,
            pending_requests: 100,
            settings,
        };
        let node = Node::open(config, founded(), Time(0)).expect("what was founded opens");
        Host { node, now: Time(0), last_write: None, loads: vec![], replies: vec![], checkpoints: vec![] }
    }

    pub(crate) fn feed(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll() {
            match output {
                Output::Job(Job::Write(write)) => self.last_write = Some(write.id),
                Output::Job(job) => self.loads.push(job),
                Output::Reply { id, reply } => self.replies.push((id.0, reply)),
                Output::Checkpoint(checkpoint) => self.checkpoints.push(*checkpoint),
                Output::Send(_) | Output::Changed | Output::Event(_) => {}
                Output::Failed(what) => panic!("{what}"),
            }
        }
    }

    pub(crate) fn ask(&mut self, id: u64, request: Request) {
        self.feed(Input::Request { id: RequestId(id), request });
    }

    /// Lets the disk finish what it was given.
    pub(crate) fn sync(&mut self) {
        while let Some(id) = self.last_write.take() {
            self.feed(Input::Done(Done::Written(id)));
        }
        for job in std::mem::take(&mut self.loads) {
            let Job::Load(load) = job else { panic!("an unexpected {job:?}") };
            let entries = founded().members;
            self.feed(Input::Done(Done::Loaded { load, entries }));
        }
    }

    /// The checkpoint that ends there is durable.
    pub(crate) fn taken(&mut self, index: u64) {
        let (last, members_at) = (LogId::new(2, index), LogId::new(1, 1));
        let members = Members::founder(ME, Contact::default());
        let meta =
            SnapshotMeta { last, members, members_at, bytes: 0, digest: Digest::default(), state_hash: 0 };
        self.feed(Input::Done(Done::SnapshotTaken(Box::new(meta))));
    }

    pub(crate) fn elect(&mut self) {
        self.now = self.node.deadline().expect("a voter has a deadline");
        self.feed(Input::Timeout);
        assert_eq!(self.node.view().role, Role::Candidate, "its own vote is not durable yet");
        self.sync();
        assert_eq!(self.node.view().role, Role::Leader);
        self.sync();
    }
}
