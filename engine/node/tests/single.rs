//! One node alone, with a disk that does as it is told: what a host sees.

use quorate_node::kv::{Command, Outcome, Revision};
use quorate_node::raft::{
    Config, Contact, Done, Entry, Found, HardState, Index, Job, LogId, Members, NodeId, Payload, Role, Room,
    SnapshotMeta, Term, TermRuns, Time, WriteId,
};
use quorate_node::{Input, Node, NodeConfig, Output, ReadLevel, Reply, Request, RequestId};
use std::sync::Arc;

const ME: NodeId = NodeId(1);

fn founded() -> Found {
    let id = LogId::new(1, 1);
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(id);
    let members = Members::founder(ME, Contact::default());
    Found {
        hard: HardState { term: Term(1), vote: None },
        terms,
        members: vec![Entry { id, payload: Payload::Members(members) }],
        ..Found::default()
    }
}

fn put(key: &str, value: &str) -> Request {
    Request::Write(Command::Put { key: Arc::from(key.as_bytes()), value: Arc::from(value.as_bytes()) })
}

fn get(key: &str, level: ReadLevel) -> Request {
    Request::Read { key: Arc::from(key.as_bytes()), level }
}

/// A host that performs jobs when told to.
struct Host {
    node: Node,
    now: Time,
    last_write: Option<WriteId>,
    loads: Vec<Job>,
    replies: Vec<(u64, Reply)>,
    checkpoints: usize,
}

impl Host {
    fn start(checkpoint_entries: u64) -> Self {
        let config = NodeConfig { raft: Config::new(ME, 7), checkpoint_entries, pending_requests: 100 };
        let node = Node::open(config, founded(), Time(0)).expect("what was founded opens");
        Host { node, now: Time(0), last_write: None, loads: vec![], replies: vec![], checkpoints: 0 }
    }

    fn feed(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll() {
            match output {
                Output::Job(Job::Write(write)) => self.last_write = Some(write.id),
                Output::Job(job) => self.loads.push(job),
                Output::Reply { id, reply } => self.replies.push((id.0, reply)),
                Output::Checkpoint { .. } => self.checkpoints += 1,
                Output::Send(_) | Output::Changed | Output::Event(_) => {}
                Output::Failed(what) => panic!("{what}"),
            }
        }
    }

    fn ask(&mut self, id: u64, request: Request) {
        self.feed(Input::Request { id: RequestId(id), request });
    }

    /// Lets the disk finish what it was given.
    fn sync(&mut self) {
        while let Some(id) = self.last_write.take() {
            self.feed(Input::Done(Done::Written(id)));
        }
        for job in std::mem::take(&mut self.loads) {
            let Job::Load(load) = job else { panic!("an unexpected {job:?}") };
            let entries = founded().members;
            self.feed(Input::Done(Done::Loaded { load, entries }));
        }
    }

    fn elect(&mut self) {
        self.now = self.node.deadline().expect("a voter has a deadline");
        self.feed(Input::Timeout);
        assert_eq!(self.node.view().role, Role::Candidate, "its own vote is not durable yet");
        self.sync();
        assert_eq!(self.node.view().role, Role::Leader);
        self.sync();
    }
}

#[test]
fn a_write_is_answered_when_it_is_durable_and_not_before() {
    let mut host = Host::start(1000);
    host.elect();
    host.ask(1, put("key", "value"));
    assert_eq!(host.replies, vec![]);
    host.sync();
    let outcome = Outcome::Put { revision: Revision(1) };
    assert_eq!(host.replies, vec![(1, Reply::Written { outcome, revision: Revision(1) })]);
}

#[test]
fn a_node_that_does_not_lead_refuses_writes_and_serves_stale_reads() {
    let mut host = Host::start(1000);
    host.ask(1, put("key", "value"));
    host.ask(2, get("key", ReadLevel::Stale));
    assert_eq!(
        host.replies,
        vec![(1, Reply::NotLeader { leader: None }), (2, Reply::Read { entry: None, revision: Revision(0) })]
    );
}

#[test]
fn a_linearizable_read_waits_for_a_leader_until_it_is_canceled() {
    let mut host = Host::start(1000);
    host.ask(1, get("key", ReadLevel::Linearizable));
    host.ask(2, get("key", ReadLevel::Linearizable));
    host.feed(Input::Cancel(RequestId(1)));
    host.elect();
    assert_eq!(host.replies, vec![(2, Reply::Read { entry: None, revision: Revision(0) })]);
}

#[test]
fn a_checkpoint_is_begun_after_so_many_entries_and_one_at_a_time() {
    let mut host = Host::start(4);
    host.elect();
    for id in 0..10 {
        host.ask(id, put("key", "value"));
        host.sync();
    }
    assert_eq!(host.checkpoints, 1);
    assert_eq!(host.node.view().applied, Index(12));
}

/// What a full disk leaves: no spare beyond the reserve, and `rest` bytes of a segment.
fn little_room(rest: u64, newest_segment: u32) -> Input {
    let room = Room {
        rest_bytes: rest,
        spare_segments: 2,
        segment_bytes: 1 << 20,
        newest_segment,
        is_reserved: false,
    };
    Input::Done(Done::Room(Some(room)))
}

#[test]
fn a_full_disk_refuses_what_needs_space_and_takes_what_frees_some() {
    let mut host = Host::start(1000);
    host.elect();
    assert!(!host.node.view().short_of_room);
    host.feed(little_room(100, 1));
    assert!(host.node.view().short_of_room);
    host.ask(1, put("key", "value"));
    assert_eq!(host.replies, vec![(1, Reply::Refused(quorate_node::Refusal::DiskFull))]);
    host.ask(2, Request::Write(Command::Delete { key: Arc::from(&b"key"[..]) }));
    host.ask(3, get("key", ReadLevel::Linearizable));
    host.sync();
    assert!(matches!(host.replies[1..], [(3, Reply::Read { .. }), (2, Reply::Written { .. })]));
    host.feed(Input::Done(Done::Room(None)));
    host.ask(4, put("key", "value"));
    host.sync();
    assert!(matches!(host.replies[3], (4, Reply::Written { .. })));
}

/// A checkpoint is what frees the log; one for each segment that was begun, or a full disk would do nothing else.
#[test]
fn a_full_disk_makes_a_checkpoint_for_each_segment() {
    let mut host = Host::start(1000);
    host.elect();
    host.feed(little_room(100_000, 7));
    assert_eq!(host.checkpoints, 1);
    for id in 1..4 {
        host.ask(id, put("key", "value"));
        host.sync();
        host.feed(little_room(90_000 - id, 7));
    }
    assert_eq!(host.checkpoints, 1, "one is being written, and the segment is the same");
    let meta = |last| SnapshotMeta {
        last,
        members: Members::founder(ME, Contact::default()),
        members_at: LogId::new(1, 1),
        bytes: 1,
        checksum: 0,
    };
    host.feed(Input::Done(Done::SnapshotTaken(meta(LogId::new(2, 2)))));
    assert_eq!(host.checkpoints, 1);
    host.feed(little_room(80_000, 8));
    assert_eq!(host.checkpoints, 2);
}

#[test]
fn too_many_requests_are_refused_at_once() {
    let mut host = Host::start(1000);
    for id in 0..101 {
        host.ask(id, get("key", ReadLevel::Linearizable));
    }
    assert_eq!(host.replies, vec![(100, Reply::Refused(quorate_node::Refusal::Overloaded))]);
}
