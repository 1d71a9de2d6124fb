//! The hosts: starting, crashing and restarting servers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_node::View;
use quorate_node::raft::{
    Contact, Entry, HardState, Index, Job, LogId, Members, NodeId, Payload, Term, Write, WriteId,
};
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_server::{
    Context, Endpoint, Identity, Inbound, Limits, Local, Net, Parts, Runtime, Server, Timing, join,
    storage_channel,
};
use quorate_storage::{MemoryDisk, Options, Storage};

use crate::client::HTTP_PORT;
use crate::disk::{Speed, own_storage};
use crate::fired::Fired;
use crate::network::{Host, Network, SimNet, address};
use crate::observe::Observer;
use crate::plan::{Fault, Plan};
use crate::random::Random;
use crate::runtime::SimRuntime;

/// The port of peer links on every server.
const RAFT_PORT: u16 = 9080;

/// The host that founds the cluster; the others join it.
const FOUNDER: Host = 1;

/// Everything outside the servers.
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) network: Network,
    pub(crate) observer: Observer,
    machines: BTreeMap<Host, Mutex<Machine>>,
}

/// The running server of a machine, to look into.
type Running = Arc<Mutex<Option<Arc<Context<SimRuntime, SimNet>>>>>;

/// A machine: what outlives its server.
#[derive(Default)]
struct Machine {
    disk: MemoryDisk,
    speed: Speed,
    /// What stands in `node.toml`, which the server writes before it first speaks.
    identity: Arc<Mutex<Option<Identity>>>,
    context: Running,
    process: Option<madsim::runtime::NodeHandle>,
    starts: u64,
    /// How many faults keep it down.
    held_down: u32,
}

impl World {
    pub(crate) fn new(plan: Arc<Plan>, network: Network, observer: Observer) -> Arc<World> {
        let machines: BTreeMap<Host, Mutex<Machine>> =
            (1..=plan.servers).map(|host| (host, Mutex::default())).collect();
        let world = Arc::new(World { plan, network, observer, machines });
        world.found();
        for host in 1..=world.plan.servers {
            world.start(host);
        }
        world
    }

    /// Writes what `quorate bootstrap` writes: a log whose first entry makes the founder the only member.
    fn found(&self) {
        let machine = self.machine(FOUNDER);
        let opened = Storage::open(machine.disk.clone(), options(self.plan.seed));
        let (mut storage, _) = opened.expect("an empty disk opens");
        let members = Members::founder(node_id(FOUNDER), contact(FOUNDER));
        let write = Write {
            id: WriteId(1),
            hard: Some(HardState { term: Term(1), vote: None }),
            commit_hint: Index(0),
            install: None,
            truncate_from: None,
            repair: Vec::new(),
            append: vec![Entry { id: LogId::new(1, 1), payload: Payload::Members(members) }],
            compact_to: None,
        };
        storage.perform(vec![Job::Write(write).into()]).expect("a disk without faults takes a write");
        let identity = Identity { node: node_id(FOUNDER), cluster: ClusterId(1), history: HistoryId(1) };
        *lock(&machine.identity) = Some(identity);
    }

    /// Starts the server of `host` on a fresh simulated process.
    fn start(&self, host: Host) {
        let mut machine = self.machine(host);
        machine.starts += 1;
        let label = format!("host {host} start {}", machine.starts);
        let random = Random::labelled(self.plan.seed, &label);
        let life = Life {
            host,
            founder: format!("http://{}:{HTTP_PORT}", address(FOUNDER)),
            runtime: SimRuntime::new(self.network.runtime.started(), random),
            net: self.network.at(host),
            disk: machine.disk.clone(),
            disk_random: Random::labelled(self.plan.seed, &format!("disk of {label}")),
            speed: machine.speed.clone(),
            fired: self.network.fired.clone(),
            checkpoint_entries: self.plan.checkpoint_entries,
            identity: Arc::clone(&machine.identity),
            context: Arc::clone(&machine.context),
        };
        let process = madsim::runtime::Handle::current().create_node().name(label).build();
        drop(process.spawn(life.live()));
        machine.process = Some(process);
    }

    /// Breaks something, waits, and mends it.
    pub(crate) async fn strike(self: Arc<Self>, fault: Fault) {
        self.note(format!("{fault:?}"));
        let kind = fault.kind();
        match fault {
            Fault::Kill { host, gone } => self.down(&[host], kind, None, gone).await,
            Fault::PowerLoss { host, changes, gone } => {
                let disk = self.machine(host).disk.clone();
                disk.cut_power_at(disk.changes() + changes);
                self.sleep(Duration::from_millis(20)).await;
                self.down(&[host], kind, Some(self.plan.seed ^ disk.changes()), gone).await;
            }
            Fault::KillAll { gone } => {
                let hosts: Vec<Host> = self.machines.keys().copied().collect();
                self.down(&hosts, kind, None, gone).await;
            }
            Fault::Partition { group, lasts } => {
                let inside = |host: &Host| group.contains(host);
                let hosts: Vec<Host> = self.machines.keys().copied().collect();
                let across = |from: Host| {
                    hosts.iter().filter(move |to| inside(&from) != inside(to)).map(move |to| (from, *to))
                };
                let pairs: Vec<(Host, Host)> = hosts.iter().copied().flat_map(across).collect();
                self.cut_for(&pairs, kind, lasts).await;
            }
            Fault::OneWay { from, to, lasts } => self.cut_for(&[(from, to)], kind, lasts).await,
            Fault::Delay { most, lasts } => {
                self.network.delay(most);
                self.sleep(lasts).await;
                self.network.delay(Duration::from_millis(1));
            }
            Fault::DiskStall { host, lasts } => {
                let until = self.network.runtime.now() + lasts;
                self.machine(host).speed.stall(until);
                self.sleep(lasts).await;
            }
        }
    }

    async fn cut_for(&self, pairs: &[(Host, Host)], kind: &'static str, lasts: Duration) {
        pairs.iter().for_each(|(from, to)| self.network.cut(*from, *to, kind));
        self.sleep(lasts).await;
        pairs.iter().for_each(|(from, to)| self.network.mend(*from, *to));
    }

    /// Ends the servers of `hosts` and starts them again; with a seed for what survives on disk when power fails.
    async fn down(&self, hosts: &[Host], kind: &'static str, power_loss: Option<u64>, gone: Duration) {
        for host in hosts {
            self.network.crash(*host, power_loss.is_some());
            let mut machine = self.machine(*host);
            machine.held_down += 1;
            *lock(&machine.context) = None;
            if let Some(process) = machine.process.take() {
                madsim::runtime::Handle::current().kill(process.id());
                self.network.fired.note(kind);
            }
            if let Some(seed) = power_loss {
                machine.disk.crash(seed);
            }
        }
        self.sleep(gone).await;
        for host in hosts {
            let free = {
                let mut machine = self.machine(*host);
                machine.held_down -= 1;
                machine.held_down == 0
            };
            if free {
                self.note(format!("host {host} starts again"));
                self.network.restart(*host);
                self.start(*host);
            }
        }
    }

    /// How each running server stands.
    pub(crate) async fn views(&self) -> Vec<Option<View>> {
        let mut views = Vec::new();
        for host in self.machines.keys() {
            let context = lock(&self.machine(*host).context).clone();
            views.push(match context {
                Some(context) => context.handle.status().await,
                None => None,
            });
        }
        views
    }

    /// Ends everything, so that nothing of this seed outlives it.
    pub(crate) fn end(&self) {
        for machine in self.machines.values() {
            let mut machine = lock(machine);
            *lock(&machine.context) = None;
            if let Some(process) = machine.process.take() {
                madsim::runtime::Handle::current().kill(process.id());
            }
        }
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.observer.note(self.network.runtime.now(), what);
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.network.runtime.sleep(duration).await;
    }

    fn machine(&self, host: Host) -> MutexGuard<'_, Machine> {
        lock(self.machines.get(&host).expect("a plan names only hosts that it has"))
    }
}

/// What one life of a server needs.
struct Life {
    host: Host,
    founder: String,
    runtime: SimRuntime,
    net: SimNet,
    disk: MemoryDisk,
    disk_random: Random,
    speed: Speed,
    fired: Fired,
    checkpoint_entries: u64,
    identity: Arc<Mutex<Option<Identity>>>,
    context: Running,
}

impl Life {
    /// What `quorate serve` does, with the parts of this world. It ends when the disk fails, or by a crash.
    async fn live(self) {
        let at = |port: u16| format!("{}:{port}", address(self.host));
        let known = *lock(&self.identity);
        let listener = self.net.listen(&at(RAFT_PORT)).await.expect("the port of a dead process is free");
        let local = Local::new(node_id(self.host), known.map(|identity| identity.cluster));
        let inbound = Inbound::start::<_, SimNet>(&self.runtime, listener, local);
        let identity = match known {
            Some(identity) => identity,
            None => self.join().await,
        };
        let http = self.net.listen(&at(HTTP_PORT)).await.expect("the port of a dead process is free");
        let opened = Storage::open(self.disk.clone(), options(self.runtime.random()));
        // A power loss may strike while recovery writes: then this process ends, and the next one recovers.
        let Ok((storage, found)) = opened else { return };
        let (port, end) = storage_channel();
        let owner = own_storage(storage, end, self.runtime.clone(), self.disk_random, self.speed, self.fired);
        self.runtime.spawn(owner);
        let parts = Parts {
            timing: Timing {
                election_timeout: Duration::from_millis(500),
                heartbeat_interval: Duration::from_millis(50),
                checkpoint_entries: self.checkpoint_entries,
            },
            runtime: self.runtime,
            net: self.net,
            storage: port,
            found,
            identity,
            contact: contact(self.host),
            limits: Limits::default(),
            inbound,
            http,
        };
        let server = Server::start(parts).expect("what recovery found opens");
        *lock(&self.context) = Some(Arc::clone(&server.context));
        server.ended().await;
    }

    async fn join(&self) -> Identity {
        let founder: Endpoint = self.founder.parse().expect("an address of this world is an endpoint");
        let (node, contact) = (node_id(self.host), contact(self.host));
        let joined = join(&self.runtime, &self.net, &[founder], node, &contact).await;
        let identity = Identity { node, cluster: joined.cluster, history: joined.history };
        *lock(&self.identity) = Some(identity);
        identity
    }
}

/// Segments so small that the log rolls over and recycles them within a short life.
fn options(seed: u64) -> Options {
    Options { segment_bytes: 64 << 10, ..Options::new(seed) }
}

fn node_id(host: Host) -> NodeId {
    NodeId(host.into())
}

fn contact(host: Host) -> Contact {
    Contact {
        address: format!("{}:{RAFT_PORT}", address(host)),
        url: format!("http://{}:{HTTP_PORT}", address(host)),
        name: format!("host-{host}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
