//! Replicas of one log write the same checkpoints, whatever else happens to each of them.
//!
//! Each replica is a real node with a real storage that follows the same leader's log. Some are asked for checkpoints
//! in between, some restart in the middle of one, some fall behind and are sent a snapshot. Then the manifests of all
//! boundaries are compared, byte by byte: they name the same runs.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_node::kv::{Command, Settings};
use quorate_node::raft::{
    Config, Contact, Done, Entry, Envelope, Index, LoadSnapshot, LogId, Members, Message, NodeId, Payload,
    Reader, Term, Time,
};
use quorate_node::wire::entry::encode_command;
use quorate_node::{Input, Node, NodeConfig, Output, Request, RequestId};
use quorate_server::checkpoint_job;
use quorate_storage::{Job, MemoryDisk, Options, Storage, checkpoint_files};

const ME: NodeId = NodeId(1);
const LEADER: NodeId = NodeId(9);
const NOW: Time = Time(1_000);

fn options() -> Options {
    Options { segment_bytes: 64 << 10, keep_snapshots: 1_000, ..Options::new(7).in_slices(2_000) }
}

/// The log: who the members are, then commands.
fn log(commands: &[Command]) -> Vec<Entry> {
    let voters = [ME, LEADER].into();
    let contacts = [ME, LEADER].map(|id| (id, Contact::default())).into();
    let members = Members { voters, contacts, ..Members::default() };
    let commands = commands.iter().map(|command| Payload::Command(encode_command(command).unwrap().into()));
    let payloads = std::iter::once(Payload::Members(Box::new(members))).chain(commands);
    (1..).zip(payloads).map(|(index, payload)| Entry { id: LogId::new(1, index), payload }).collect()
}

struct Replica {
    disk: MemoryDisk,
    storage: Storage<MemoryDisk>,
    node: Node,
    jobs: Vec<Job>,
    /// The offset that the last answer to a piece of a snapshot names.
    wanted: Option<u64>,
}

impl Replica {
    fn on(disk: MemoryDisk) -> Replica {
        let (storage, found) = Storage::open(disk.clone(), options()).unwrap();
        let raft = Config { keep_entries: 10, chunk_bytes: 3_000, ..Config::new(ME, 7) };
        let config = NodeConfig {
            raft,
            checkpoint_entries: 16,
            checkpoint_bytes: 3_000,
            pending_requests: 10_000,
            settings: Settings::default(),
        };
        let node = Node::open(config, found, NOW).unwrap();
        let mut replica = Replica { disk, storage, node, jobs: Vec::new(), wanted: None };
        replica.turn();
        replica
    }

    /// The process dies and comes back: what was not written yet is lost with it.
    fn restart(self) -> Replica {
        Replica::on(self.disk)
    }

    fn input(&mut self, input: Input) {
        self.node.handle(NOW, input);
        self.turn();
    }

    /// Does all that the node asks for; checkpoints only begin.
    fn turn(&mut self) {
        loop {
            while let Some(output) = self.node.poll() {
                match output {
                    Output::Job(job) => self.jobs.push(Job::Core(job)),
                    Output::Checkpoint(checkpoint) => self.jobs.push(checkpoint_job(*checkpoint)),
                    Output::Failed(reason) => panic!("{reason}"),
                    Output::Send(Envelope { message: Message::SnapshotReply { next, .. }, .. }) => {
                        self.wanted = Some(next);
                    }
                    Output::Send(_) | Output::Reply { .. } | Output::Changed | Output::Event(_) => {}
                }
            }
            if self.jobs.is_empty() {
                return;
            }
            let jobs = std::mem::take(&mut self.jobs);
            self.done(jobs);
        }
    }

    fn done(&mut self, jobs: Vec<Job>) {
        for done in self.storage.perform(jobs).unwrap() {
            assert!(!matches!(done, Done::SnapshotLost(_)), "nothing was damaged");
            self.node.handle(NOW, Input::Done(done));
        }
    }

    /// The storage goes on with what it does in slices.
    fn work(&mut self, slices: usize) {
        for _ in 0..slices {
            if !self.storage.busy() {
                return;
            }
            self.done(Vec::new());
            self.turn();
        }
    }

    fn says(&mut self, message: Message) {
        self.input(Input::Message(Envelope { from: LEADER, to: ME, term: Term(1), message }));
    }

    /// Takes the log up to this index.
    fn follow(&mut self, log: &[Entry], to: usize) {
        let have = usize::try_from(self.node.view().last.index.0).unwrap();
        let prev = have.checked_sub(1).map_or(LogId::ZERO, |at| log[at].id);
        let entries = log[have.min(to)..to].to_vec();
        self.says(Message::Append { prev, entries, commit: Index(to as u64) });
    }

    /// Is sent the newest checkpoint of another one, if that is ahead.
    fn install(&mut self, other: &mut Replica) {
        let (_, found) = Storage::open(other.disk.duplicate(), options()).unwrap();
        let Some(meta) = found.snapshot.filter(|meta| meta.last > self.node.view().last) else { return };
        let mut offset = 0;
        while self.node.view().applied < meta.last.index {
            let load = LoadSnapshot { reader: Reader::Peer(ME), last: meta.last, offset, bytes: 3_000 };
            let job = Job::Core(quorate_node::raft::Job::LoadSnapshot(load));
            let chunk = other.storage.perform(vec![job]).unwrap().into_iter().find_map(|done| match done {
                Done::SnapshotLoaded { chunk, .. } => chunk,
                _ => None,
            });
            self.wanted = None;
            self.says(Message::Snapshot { meta: Box::new(meta.clone()), chunk: chunk.unwrap() });
            while self.wanted.is_none() && self.node.view().applied < meta.last.index {
                assert!(self.storage.busy(), "nobody answers the piece at {offset}");
                self.work(1);
            }
            offset = self.wanted.unwrap_or(offset);
        }
    }

    /// The manifests of its boundaries, by the index that each covers.
    fn boundaries(&self) -> BTreeMap<Index, Vec<u8>> {
        let listing = checkpoint_files::list(&self.disk, |_| {}).unwrap();
        assert_eq!(listing.flaws, []);
        let boundaries = listing.checkpoints.into_iter().filter(|found| {
            (found.manifest.boundary.term, found.manifest.boundary.index)
                == (found.meta.last.term.0, found.meta.last.index.0)
        });
        boundaries.map(|found| (found.meta.last.index, found.manifest.encode())).collect()
    }
}

/// What happens to one of the replicas while the log goes on.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Follows,
    Asked,
    Restarts,
    Works(u8),
    /// It hears nothing, and is sent the others' newest checkpoint afterwards.
    FallsBehind,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Follows),
        2 => Just(Fate::Asked),
        2 => Just(Fate::Restarts),
        2 => (0..30_u8).prop_map(Fate::Works),
        2 => Just(Fate::FallsBehind),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let key = || (0..40_u8).prop_map(|key| std::sync::Arc::from([key].as_slice()));
    let value = || (any::<u8>(), 0..300_usize).prop_map(|(byte, bytes)| vec![byte; bytes].into());
    prop_oneof![
        6 => (key(), value()).prop_map(|(key, value)| Command::Put { key, value }),
        2 => key().prop_map(|key| Command::Delete { key }),
        1 => prop::collection::vec((key(), value()), 0..6).prop_map(|entries| Command::Import { entries }),
    ]
}

/// How often it is tried: a fixed sample, times the factor in `QUORATE_TRIALS`.
fn config() -> ProptestConfig {
    let factor = std::env::var("QUORATE_TRIALS").ok().and_then(|factor| factor.parse().ok());
    let cases = 24 * factor.unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn replicas_write_identical_manifests(
        commands in prop::collection::vec(command(), 60..250),
        rounds in prop::collection::vec((1..30_usize, fate(), fate()), 8..30),
    ) {
        let log = log(&commands);
        // The first one only ever follows.
        let mut replicas = [(); 3].map(|()| Some(Replica::on(MemoryDisk::new())));
        let mut end = 0;
        for (count, one, other) in rounds {
            end = log.len().min(end + count);
            for (slot, fate) in replicas.iter_mut().zip([Fate::Follows, one, other]) {
                let mut replica = slot.take().unwrap();
                match fate {
                    Fate::FallsBehind => {}
                    Fate::Restarts => {
                        replica.follow(&log, end);
                        replica = replica.restart();
                    }
                    Fate::Works(slices) => {
                        replica.follow(&log, end);
                        replica.work(slices.into());
                    }
                    Fate::Asked => {
                        replica.follow(&log, end);
                        let (id, request) = (RequestId(end as u64), Request::Checkpoint);
                        replica.input(Input::Request { id, request });
                    }
                    Fate::Follows => {
                        replica.follow(&log, end);
                        replica.work(usize::MAX);
                    }
                }
                *slot = Some(replica);
            }
            let [first, others @ ..] = &mut replicas;
            for (slot, fate) in others.iter_mut().zip([one, other]) {
                if let Fate::FallsBehind = fate {
                    slot.as_mut().unwrap().install(first.as_mut().unwrap());
                }
            }
        }
        let boundaries = replicas.map(|replica| {
            let mut replica = replica.unwrap();
            replica.follow(&log, end);
            replica.work(usize::MAX);
            (replica.node.kv().state_hash(), replica.boundaries())
        });
        let [(state_hash, reference), others @ ..] = &boundaries;
        for (hash, manifests) in others {
            prop_assert_eq!(hash, state_hash);
            for (index, manifest) in manifests {
                prop_assert_eq!(Some(manifest), reference.get(index), "at {:?}", index);
            }
            let newest = reference.last_key_value().map(|(index, _)| index);
            prop_assert_eq!(manifests.last_key_value().map(|(index, _)| index), newest);
        }
    }
}
