//! What a recorder remembers, done again: the same outputs and the same state, from wherever the recording begins.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use quorate_node::kv::{Action, Expiry, LeaseId, Once, Put, Settings};
use quorate_node::raft::{
    Config, Contact, Digest, Done, Entry, Envelope, Found, HardState, Job, LogId, Members, NodeId, Payload,
    SnapshotMeta, Term, TermRuns, Time,
};
use quorate_node::recording::{
    BadRecording, Diverged, End, Head, Rebuild, Recorder, Recording, Replayed, Step, replay,
};
use quorate_node::wire::ClusterId;
use quorate_node::{Input, List, Node, NodeConfig, Output, Query, ReadLevel, Request, RequestId};
use std::ops::Bound;
use std::time::Duration;

const CLUSTER: ClusterId = ClusterId(9);

/// A sequence of numbers that look like chance.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn founded() -> Found {
    let first = LogId::new(1, 1);
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(first);
    let contact = |number: u128| Contact { address: format!("10.0.0.{number}:9"), ..Contact::default() };
    let members = Members {
        voters: (1..=3).map(NodeId).collect(),
        contacts: (1..=3).map(|number| (NodeId(number), contact(number))).collect(),
        ..Members::default()
    };
    let members = vec![Entry { id: first, payload: Payload::Members(Box::new(members)) }];
    Found { hard: HardState { term: Term(1), vote: None }, terms, members, ..Found::default() }
}

/// A node with a recorder and a disk that keeps its whole log.
struct Host {
    node: Node,
    recorder: Recorder,
    ring_bytes: usize,
    log: Vec<Entry>,
    /// What the disk has done and not said yet.
    dones: Vec<Done>,
}

impl Host {
    fn start(number: u128, ring_bytes: usize) -> Host {
        let raft = Config { keep_entries: 20, cache_bytes: 4 << 10, ..Config::new(NodeId(number), 7) };
        let config = NodeConfig {
            raft,
            checkpoint_entries: 50,
            checkpoint_bytes: 1 << 20,
            pending_requests: 100,
            settings: Settings { history_revisions: 30, ..Settings::default() },
        };
        let node = Node::open(config, founded(), Time(0)).unwrap();
        let recorder = Recorder::new(ring_bytes);
        Host { node, recorder, ring_bytes, log: founded().members, dones: Vec::new() }
    }

    fn feed(&mut self, now: Time, input: Input) {
        self.recorder.input(now, &input);
        self.node.handle(now, input);
    }

    /// Polls to the end; gives what is to be sent.
    fn turn(&mut self) -> Vec<Envelope> {
        let mut sent = Vec::new();
        while let Some(output) = self.node.poll() {
            self.recorder.output(&output);
            match output {
                Output::Send(envelope) => sent.push(envelope),
                Output::Job(Job::Write(write)) => {
                    let keep = write.truncate_from.map_or(u64::MAX, |from| from.0);
                    self.log.retain(|entry| entry.id.index.0 < keep);
                    self.log.extend(write.append);
                    self.dones.push(Done::Written(write.id));
                }
                Output::Job(Job::Load(load)) => {
                    let wanted = |entry: &&Entry| (load.first..=load.last).contains(&entry.id.index);
                    let entries = self.log.iter().filter(wanted).cloned().collect();
                    self.dones.push(Done::Loaded { load, entries });
                }
                Output::Checkpoint(checkpoint) => {
                    let (last, members, members_at) =
                        (checkpoint.last, checkpoint.members, checkpoint.members_at);
                    let state_hash = checkpoint.totals.state_hash;
                    let meta = SnapshotMeta {
                        last,
                        members,
                        members_at,
                        bytes: 1,
                        digest: Digest::default(),
                        state_hash,
                    };
                    self.dones.push(Done::SnapshotTaken(Box::new(meta)));
                }
                Output::Job(Job::LoadSnapshot(load)) => {
                    self.dones.push(Done::SnapshotLoaded { load, chunk: None });
                }
                Output::Failed(what) => panic!("{what}"),
                Output::Job(Job::StoreSnapshot(_))
                | Output::Reply { .. }
                | Output::Changed
                | Output::Event(_) => {}
            }
        }
        self.recorder.turned(&self.node);
        sent
    }
}

fn request(numbers: &mut Numbers) -> Request {
    let key = |number: u64| format!("key {number}").into_bytes().into();
    let (at, length) = (numbers.below(20), usize::try_from(numbers.below(300)).unwrap());
    // Some are long enough to be shared with the ring.
    let value = vec![7_u8; if length < 30 { length * 200 } else { length }];
    let put = |expiry| Action::Put(Put { key: key(at), value: value.clone().into(), expiry });
    let level = [ReadLevel::Linearizable, ReadLevel::Lease, ReadLevel::Stale];
    let level = level[usize::try_from(numbers.below(3)).unwrap()];
    match numbers.below(12) {
        0 => Request::write(Action::Delete { key: key(at) }),
        1 => Request::write(put(Expiry::After { ttl_ms: 1000 })),
        2 => Request::write(Action::Grant { lease: LeaseId(at), ttl_ms: 2000 }),
        3 => Request::write(put(Expiry::With(LeaseId(at)))),
        4 => {
            let once = Once { principal: key(1), key: key(at), request: [7; 32] };
            Request::Write { action: put(Expiry::Never), once: Some(once) }
        }
        5 => Request::get(key(at), level),
        6 => {
            let list = List { start: Bound::Included(key(0)), end: None, limit: 3, revision: None };
            Request::Read { query: Query::List(list), level }
        }
        7 if at < 2 => Request::Transfer(None),
        8 if at < 4 => Request::Checkpoint,
        _ => Request::write(put(Expiry::Never)),
    }
}

/// Three nodes over a network that loses and reorders, asked for all sorts of things.
fn life(seed: u64, steps: u64, ring_bytes: usize) -> Vec<Host> {
    let mut numbers = Numbers(seed);
    let mut hosts: Vec<Host> = (1..=3).map(|number| Host::start(number, ring_bytes)).collect();
    let (mut now, mut messages, mut asked) = (Time(0), Vec::<Envelope>::new(), 0);
    for host in &mut hosts {
        messages.extend(host.turn());
    }
    for _ in 0..steps {
        let at = usize::try_from(numbers.below(3)).unwrap();
        match numbers.below(10) {
            0 => now = now + Duration::from_millis(numbers.below(30)),
            1 => {
                asked += 1;
                let request = request(&mut numbers);
                hosts[at].feed(now, Input::Request { id: RequestId(asked), request });
            }
            2 if asked > 0 => hosts[at].feed(now, Input::Cancel(RequestId(1 + numbers.below(asked)))),
            3 if hosts[at].node.deadline().is_some_and(|due| due <= now) => {
                hosts[at].feed(now, Input::Timeout);
            }
            4 | 5 if !hosts[at].dones.is_empty() => {
                let done = hosts[at].dones.remove(0);
                hosts[at].feed(now, Input::Done(done));
            }
            _ if !messages.is_empty() => {
                let far = messages.len().min(4) as u64;
                let message = messages.remove(usize::try_from(numbers.below(far)).unwrap());
                if numbers.below(50) > 0 {
                    let to = usize::try_from(message.to.0).unwrap() - 1;
                    hosts[to].feed(now, Input::Message(message));
                }
            }
            _ => {}
        }
        // Not always: what comes before a turn shares it.
        if numbers.below(3) > 0 {
            for host in &mut hosts {
                messages.extend(host.turn());
            }
        }
    }
    for host in &mut hosts {
        host.turn();
    }
    hosts
}

/// The recorded node as the recording begins in its segment of that number.
fn rebuilt(host: &Host, recording: &Recording, from: usize) -> Result<Node, BadRecording> {
    let head = Head::new(NodeId(1), CLUSTER);
    let mut rebuild = Rebuild::new(&head, &recording.segments[from].base())?;
    for entry in &host.log {
        rebuild.entry(entry)?;
    }
    rebuild.finish()
}

fn events(recording: &Recording, from: usize) -> Vec<u8> {
    recording.segments[from..].iter().flat_map(|segment| segment.events().flatten().copied()).collect()
}

fn replayed(node: &mut Node, events: &[u8], end: &End) -> Result<Replayed, Diverged> {
    replay(node, events, end, |_, _: Step<'_>| {})
}

#[test]
fn a_replay_from_any_segment_ends_in_the_same_state() {
    let (mut segments, mut applied) = (0, 0);
    for seed in 0..12 {
        let ring_bytes = if seed % 2 == 0 { 64 << 10 } else { 1 << 20 };
        for host in life(seed, 6000, ring_bytes) {
            assert!(host.recorder.bytes() <= ring_bytes);
            let recording = host.recorder.recording(&host.node).unwrap();
            assert_eq!(recording.end.state_hash, host.node.kv().state_hash());
            for from in 0..recording.segments.len() {
                let mut node = rebuilt(&host, &recording, from).unwrap();
                let events = events(&recording, from);
                let replayed = replayed(&mut node, &events, &recording.end).unwrap();
                let inputs = recording.segments[from..].iter().map(|segment| segment.inputs()).sum();
                assert_eq!(replayed.inputs, inputs);
                assert_eq!(node.view(), host.node.view());
                assert_eq!(node.deadline(), host.node.deadline());
            }
            segments += recording.segments.len();
            applied += recording.end.applied.index.0;
        }
    }
    // Else little of what can happen was recorded.
    assert!(segments > 60, "{segments} segments");
    assert!(applied > 2000, "{applied} entries");
}

/// The node at which most was applied; its ring has more than one segment.
fn busiest() -> (Host, Recording) {
    let hosts = life(3, 6000, 64 << 10);
    let host = hosts.into_iter().max_by_key(|host| host.node.raft().applied()).unwrap();
    let recording = host.recorder.recording(&host.node).unwrap();
    (host, recording)
}

#[test]
fn a_replay_that_misses_an_input_says_where_it_differs() {
    let (host, recording) = busiest();
    let whole = events(&recording, 0);
    // An input at the beginning: kind, length, and what follows.
    assert_eq!(whole[0], 0, "an input");
    let mut left = whole.as_slice();
    let mut noticed = 0;
    for skipped in 0..200_usize {
        let length = match left[0] {
            0 => 5 + u32::from_le_bytes(left[1..5].try_into().unwrap()) as usize,
            _ => 9,
        };
        let start = whole.len() - left.len();
        let without = [&whole[..start], &whole[start + length..]].concat();
        let mut node = rebuilt(&host, &recording, 0).unwrap();
        let result = replayed(&mut node, &without, &recording.end);
        if left[0] == 0 && result.is_err() {
            noticed += 1;
            if let Err(Diverged::Turn { input, .. }) = result {
                assert!(input + 1 >= skipped as u64 / 2, "input {input} of those before event {skipped}");
            }
        }
        left = &left[length..];
    }
    assert!(noticed > 20, "{noticed} of 200 events were missed");
}

#[test]
fn another_store_than_the_recorded_one_is_refused() {
    let (host, recording) = busiest();
    let mut other = Host { log: host.log.clone(), ..host };
    let at = other.log.iter().position(|entry| matches!(entry.payload, Payload::Command(_))).unwrap();
    other.log[at].payload = Payload::Noop;
    let last = recording.segments.len() - 1;
    assert!(matches!(rebuilt(&other, &recording, last), Err(BadRecording::Mismatch(_))));
    other.log.remove(at);
    let missing = rebuilt(&other, &recording, last).unwrap_err();
    assert!(matches!(missing, BadRecording::Malformed { part: "its entries", .. }), "{missing}");
}

#[test]
fn a_damaged_base_and_damaged_inputs_are_refused() {
    let (host, recording) = busiest();
    let head = Head::new(NodeId(1), CLUSTER);
    let base = recording.segments[0].base();
    for length in (0..base.len()).step_by(97) {
        assert!(Rebuild::new(&head, &base[..length]).is_err(), "{length} of {} bytes", base.len());
    }
    let mut node = rebuilt(&host, &recording, 0).unwrap();
    let mut events = events(&recording, 0);
    events[0] = 9;
    let refused = replayed(&mut node, &events, &recording.end).unwrap_err();
    assert!(matches!(refused, Diverged::Unreadable(_)), "{refused}");
}

/// A node on its own, whose disk is instant, is given a put.
fn put(host: &mut Host, number: u64, length: usize) {
    let key = format!("key {}", number % 50).into_bytes().into();
    let value = vec![7; length].into();
    let request = Request::write(Action::Put(Put { key, value, expiry: Expiry::Never }));
    host.feed(Time(number), Input::Request { id: RequestId(number), request });
    assert!(host.recorder.bytes() <= host.ring_bytes, "input {number}");
    host.turn();
    assert!(host.recorder.bytes() <= host.ring_bytes, "turn {number}");
}

/// What is shared is counted, and so is memory that waits: short values fill the ring's own, and long ones take its
/// place, and the other way round.
#[test]
fn the_bound_holds_for_short_and_for_long_values_and_for_both_in_turns() {
    let mut host = Host::start(1, 1 << 20);
    host.turn();
    let (mut number, mut least, mut most) = (0, usize::MAX, 0);
    for phase in 0..12 {
        let length = [100, 5000, 2047, 20_000][phase % 4];
        for _ in 0..(2 << 20) / (length + 150) {
            number += 1;
            put(&mut host, number, length);
        }
        let bytes = host.recorder.bytes();
        (least, most) = (least.min(bytes), most.max(bytes));
        let recording = host.recorder.recording(&host.node).unwrap();
        let said: usize =
            recording.segments.iter().flat_map(|segment| segment.events()).map(<[u8]>::len).sum();
        assert!(said > 400 << 10, "{said} bytes of events in phase {phase}");
    }
    assert!(least > 700 << 10 && most <= 1 << 20, "{least} to {most}");
}

#[test]
fn what_does_not_fit_into_the_ring_is_forgotten_as_a_whole() {
    let mut host = Host::start(1, 40 << 10);
    host.turn();
    assert!(host.recorder.recording(&host.node).is_some());
    let put = Put { key: b"k".as_slice().into(), value: vec![1; 50 << 10].into(), expiry: Expiry::Never };
    host.feed(Time(1), Input::Request { id: RequestId(1), request: Request::write(Action::Put(put)) });
    assert!(host.recorder.recording(&host.node).is_none());
    assert_eq!(host.recorder.bytes(), 0);
    host.turn();
    let recording = host.recorder.recording(&host.node).unwrap();
    assert_eq!(recording.end.inputs, 0, "it begins anew behind that");
}

/// When this fails, a base or an input has another layout: raise `LAYOUT` in `recorder.rs`, and say the new sum here.
#[test]
fn another_layout_is_another_number() {
    let mut host = Host::start(1, 1 << 20);
    host.turn();
    let put = Put { key: b"k".as_slice().into(), value: b"v".as_slice().into(), expiry: Expiry::Never };
    let request = Request::write(Action::Put(put));
    host.recorder.input(Time(1), &Input::Request { id: RequestId(1), request });
    host.recorder.input(Time(2), &Input::Done(Done::Room(None)));
    let recording = host.recorder.recording(&host.node).unwrap();
    let mut sum = 0_u64;
    for byte in recording.segments[0].base().iter().chain(recording.segments[0].events().flatten()) {
        sum = (sum.rotate_left(7) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    let release = Head::new(NodeId(1), CLUSTER).release();
    assert!(release.ends_with("layout 2)"), "{release}");
    assert_eq!(sum, 3_445_028_669_696_883_063, "of layout 2");
}
