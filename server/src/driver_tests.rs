//! Drivers over real sockets and disks in memory: a cluster without processes and without HTTP.
#![allow(clippy::disallowed_types, reason = "#[tokio::test] makes a runtime")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::kv::{Action, Put, Settings};
use quorate_node::raft::{Config, Contact, Entry, LogId, Members, NodeId, Payload, Role, Time};
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_node::{Node, NodeConfig, ReadLevel, Reply, Request, View};
use quorate_storage::{MemoryDisk, Options, Storage};
use tokio::sync::{mpsc, oneshot};

use crate::context::Identity;
use crate::driver::{Driver, DriverEnd};
use crate::founding::write_first;
use crate::handle::{Answer, Handle};
use crate::net::{Listener, Net};
use crate::peers::{Inbound, Links, Local};
use crate::real::{RealNet, RealRuntime, spawn_storage};
use crate::runtime::{Runtime, timeout_at};
use crate::slow_relay::SlowRelay;
use crate::storage_port::storage_channel;

const PATIENCE: Duration = Duration::from_secs(30);

/// One node of a cluster, and what is needed to start it again.
struct Member {
    id: NodeId,
    address: String,
    disk: MemoryDisk,
    handle: Handle,
    ended: oneshot::Receiver<DriverEnd>,
}

impl Member {
    async fn start(runtime: RealRuntime, id: NodeId, address: String, disk: MemoryDisk) -> Member {
        let listener = soon(async {
            loop {
                // The port is free again as soon as the node that was stopped has let go of it.
                match RealNet.listen(&address).await {
                    Ok(listener) => break listener,
                    Err(_) => runtime.sleep(Duration::from_millis(2)).await,
                }
            }
        })
        .await;
        let local = Local::member(Identity { node: id, cluster: ClusterId(1), history: HistoryId(2) });
        let Inbound { local, deliver, events, counters } =
            Inbound::start::<_, RealNet>(&runtime, listener, local);
        let (storage, found) = Storage::open(disk.clone(), small_segments(runtime.random())).unwrap();
        let config = NodeConfig {
            raft: Config::new(id, runtime.random()),
            checkpoint_entries: 50,
            checkpoint_bytes: NodeConfig::CHECKPOINT_BYTES,
            pending_requests: 1000,
            settings: Settings::default(),
        };
        let election_timeout = config.raft.election_timeout;
        let node = Node::open(config, found, runtime.now()).unwrap();
        let (port, end) = storage_channel("memory", 1 << 20);
        spawn_storage(storage, end, runtime).unwrap();
        let links = Links::new(runtime, RealNet, local, deliver, counters, election_timeout);
        let (driver, handle) =
            Driver::new(runtime, node, port, events, links, (None, None), Default::default());
        let (ended_sender, ended) = oneshot::channel();
        runtime.spawn(async move {
            let _ = ended_sender.send(driver.run().await);
        });
        Member { id, address, disk, handle, ended }
    }

    async fn stop(self) -> (NodeId, String, MemoryDisk) {
        self.handle.stop().await;
        assert_eq!(soon(self.ended).await, Ok(DriverEnd::Stopped));
        (self.id, self.address, self.disk)
    }

    async fn view(&self) -> View {
        soon(self.handle.status()).await.unwrap()
    }
}

struct Cluster {
    runtime: RealRuntime,
    members: Vec<Member>,
}

impl Cluster {
    /// A cluster whose nodes know each other from the start.
    async fn start(size: u128) -> Cluster {
        Self::start_behind(size, |address| address).await
    }

    /// A cluster whose nodes are dialed at what `door` makes of their addresses.
    async fn start_behind(size: u128, mut door: impl FnMut(String) -> String) -> Cluster {
        let runtime = RealRuntime::start();
        let (mut founding, mut addresses) = (Members::default(), Vec::new());
        for id in (1..=size).map(NodeId) {
            // A free port, let go of again: the members must know the addresses before any of them is started.
            let address = RealNet.listen("127.0.0.1:0").await.unwrap().local_address().unwrap().to_string();
            founding.voters.insert(id);
            let contact = Contact { address: door(address.clone()), ..Contact::default() };
            founding.contacts.insert(id, contact);
            addresses.push((id, address));
        }
        let mut members = Vec::new();
        for (id, address) in addresses {
            let disk = MemoryDisk::new();
            let (mut storage, _) = Storage::open(disk.clone(), small_segments(7)).unwrap();
            write_first(&mut storage, true, vec![first_entry(&founding)]).unwrap();
            drop(storage);
            members.push(Member::start(runtime, id, address, disk).await);
        }
        Cluster { runtime, members }
    }

    /// Waits for a leader that can commit.
    async fn leader(&self) -> usize {
        soon(async {
            loop {
                for (at, member) in self.members.iter().enumerate() {
                    if member.view().await.role == Role::Leader && member.view().await.settled {
                        return at;
                    }
                }
                self.runtime.sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }

    async fn ask(&self, at: usize, request: Request, patience: Duration) -> Answer {
        self.members[at].handle.request(request, self.runtime.now() + patience).await
    }

    /// Writes through whoever leads, for as long as it takes.
    async fn put(&self, key: &str) {
        soon(async {
            loop {
                let leader = self.leader().await;
                if let Answer::Reply(Reply::Written { .. }) = self.ask(leader, put(key), PATIENCE).await {
                    return;
                }
            }
        })
        .await;
    }

    async fn read(&self, at: usize, key: &str) -> bool {
        match self.ask(at, read(key, ReadLevel::Linearizable), PATIENCE).await {
            Answer::Reply(Reply::Read { entry, .. }) => entry.is_some(),
            other => panic!("{other:?}"),
        }
    }

    async fn until_all_agree(&self) {
        soon(async {
            loop {
                let mut states = Vec::new();
                for member in &self.members {
                    let view = member.view().await;
                    states.push((view.applied, view.revision, view.state_hash));
                }
                if states.iter().all(|state| *state == states[0]) {
                    return;
                }
                self.runtime.sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = RealRuntime::start();
    timeout_at(&runtime, runtime.now() + PATIENCE, future).await.expect("it should happen soon")
}

fn first_entry(members: &Members) -> Entry {
    Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members.clone())) }
}

fn put(key: &str) -> Request {
    Request::write(Action::Put(Put::for_good(key.as_bytes().into(), Arc::from(vec![7; 100]))))
}

fn read(key: &str, level: ReadLevel) -> Request {
    Request::get(key.as_bytes().into(), level)
}

#[tokio::test]
async fn every_node_reads_what_the_leader_wrote() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let (answer_sender, mut answers) = mpsc::unbounded_channel();
    for number in 0..300 {
        let (handle, answer_sender) = (cluster.members[leader].handle.clone(), answer_sender.clone());
        let deadline = cluster.runtime.now() + PATIENCE;
        cluster.runtime.spawn(async move {
            let _ = answer_sender.send(handle.request(put(&format!("key{number}")), deadline).await);
        });
    }
    for _ in 0..300 {
        let answer = soon(answers.recv()).await;
        assert!(matches!(answer, Some(Answer::Reply(Reply::Written { .. }))), "{answer:?}");
    }
    for at in 0..3 {
        assert!(cluster.read(at, "key299").await);
        assert!(!cluster.read(at, "key300").await);
    }
    let follower = (leader + 1) % 3;
    let refused = cluster.ask(follower, put("key"), PATIENCE).await;
    assert!(matches!(refused, Answer::Reply(Reply::NotLeader { leader: Some(_) })), "{refused:?}");
    cluster.until_all_agree().await;
}

#[tokio::test]
async fn a_leader_that_ends_is_replaced_and_catches_up_when_it_is_back() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("before").await;
    let leader = cluster.leader().await;
    let (id, address, disk) = cluster.members.remove(leader).stop().await;
    // Far more than is kept between checkpoints.
    for number in 0..120 {
        cluster.put(&format!("meanwhile{number}")).await;
    }
    cluster.members.push(Member::start(cluster.runtime, id, address, disk).await);
    cluster.until_all_agree().await;
    assert!(cluster.read(2, "before").await);
    assert!(cluster.read(2, "meanwhile119").await);
}

#[tokio::test]
async fn without_a_majority_only_stale_reads_are_answered_and_deadlines_hold() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("key").await;
    cluster.until_all_agree().await;
    cluster.members.pop().unwrap().stop().await;
    cluster.members.pop().unwrap().stop().await;
    let short = Duration::from_millis(100);
    let answer = cluster.ask(0, read("key", ReadLevel::Linearizable), short).await;
    assert!(matches!(answer, Answer::DeadlinePassed), "{answer:?}");
    let answer = cluster.ask(0, read("key", ReadLevel::Stale), short).await;
    assert!(matches!(answer, Answer::Reply(Reply::Read { entry: Some(_), .. })), "{answer:?}");
    let answer = cluster.ask(0, put("key"), short).await;
    assert!(
        matches!(answer, Answer::DeadlinePassed | Answer::Reply(Reply::NotLeader { .. })),
        "it may not know yet that it can't commit, but it must not say that it did: {answer:?}"
    );

    let member = cluster.members.pop().unwrap();
    let handle = member.handle.clone();
    member.stop().await;
    let answer = handle.request(put("key"), Time::default()).await;
    assert!(matches!(answer, Answer::Stopped), "{answer:?}");
    assert!(handle.status().await.is_none());
}

#[tokio::test]
async fn a_failed_sync_ends_the_driver_and_leaves_the_write_unknown() {
    let cluster = Cluster::start(1).await;
    cluster.put("key").await;
    let member = &cluster.members[0];
    member.disk.fail_syncs(true);
    let answer = cluster.ask(0, put("key"), PATIENCE).await;
    assert!(matches!(answer, Answer::Abandoned), "{answer:?}");
    let ended = cluster.members.into_iter().map(|member| member.ended).next().unwrap();
    assert_eq!(soon(ended).await, Ok(DriverEnd::StorageFailed));
}

/// 1. The leader's links carry 1 MB/s. 2. Values of 1 MiB are written, each of which keeps a link busy for two election
/// timeouts. Heartbeats must get through all the same, and their answers, which know nothing of what is under way yet,
/// must not make the leader send it again and again.
#[tokio::test]
async fn large_values_over_slow_links_cost_no_leader_and_are_sent_once() {
    const COUNT: usize = 3;
    const BYTES: usize = 1 << 20;
    let mut relays = Vec::new();
    let cluster = Cluster::start_behind(3, |address| {
        relays.push(SlowRelay::start(address));
        relays[relays.len() - 1].address.clone()
    })
    .await;
    let leader = cluster.leader().await;
    let term = cluster.members[leader].view().await.term;
    let (answer_sender, mut answers) = mpsc::unbounded_channel();
    // What was repeated in the first round would hold up the second.
    for round in 0..2 {
        for number in 0..COUNT {
            let (handle, answer_sender) = (cluster.members[leader].handle.clone(), answer_sender.clone());
            let deadline = cluster.runtime.now() + PATIENCE;
            let key = format!("key{round}{number}").into_bytes().into();
            let write = Request::write(Action::Put(Put::for_good(key, Arc::from(vec![7; BYTES]))));
            cluster.runtime.spawn(async move {
                let _ = answer_sender.send(handle.request(write, deadline).await);
            });
        }
        for _ in 0..COUNT {
            let answer = soon(answers.recv()).await;
            assert!(matches!(answer, Some(Answer::Reply(Reply::Written { .. }))), "{answer:?}");
        }
    }
    cluster.until_all_agree().await;
    assert_eq!(cluster.members[leader].view().await.term, term, "the leader was heard all the time");
    for relay in relays {
        let carried = relay.carried_bytes();
        assert!(carried < 2 * COUNT * BYTES * 5 / 4, "{carried} bytes for {} of values", 2 * COUNT * BYTES);
    }
}

/// Disks in memory are many, and a node keeps a reserve of segments.
fn small_segments(seed: u64) -> Options {
    Options { segment_bytes: 2 << 20, ..Options::new(seed) }
}
