//! The servers' processes: what `quorate serve` does, with the parts of this world.

use quorate_node::raft::Found;
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_server::{
    DriverEnd, Either, Endpoint, Identity, Inbound, Joined, Limits, Local, Metrics, Net, Parts, Server,
    Telemetry, join, race, storage_channel,
};
use quorate_storage::{MemoryDisk, OpenError, Storage};

use super::disk::own_storage;
use super::inspector::Witness;
use super::network::HostNet;
use super::runtime::HostRuntime;
use super::stage::FullStack;
use crate::identity::{
    FOUNDER, HTTP_PORT, RAFT_PORT, SCRUB_BYTES_PER_SECOND, address, contact, found, node_config, node_id,
    storage_options,
};
use crate::observe::{Observation, Wanted};
use crate::plan::Host;
use crate::random::Random;
use crate::tap::found_log;

/// How much a server remembers of its inputs, in bytes: little, so that it also forgets.
const RECORDER_BYTES: usize = 256 << 10;

/// One life of a server, from its start until it has to stop itself; everything else ends it from outside.
pub(super) async fn live(stack: FullStack, host: Host) {
    let (disk, number, server, first) = {
        let mut stage = stack.stage();
        let server = stage.world.server(host);
        let machine = stage.world.machine(host);
        (machine.disk.clone(), machine.lives, server, machine.is_newborn())
    };
    if first && server == FOUNDER {
        disk.begin(stack.clock.now());
        found(&disk, &stack.plan);
        let identity = Identity { node: node_id(server), cluster: ClusterId(1), history: HistoryId(1) };
        stack.stage().identities.insert(server, identity);
    }
    let random = Random::labelled(stack.plan.seed, &format!("host {host} life {number}"));
    Process { stack, host, server, disk, random }.run().await;
}

struct Process {
    stack: FullStack,
    host: Host,
    /// Its number among the servers, which is not the host's own once a disk was wiped.
    server: Host,
    disk: MemoryDisk,
    random: Random,
}

impl Process {
    async fn run(mut self) {
        match self.start().await {
            Ok(server) => {
                let asked = self.stack.stage().introduce(self.host, &server);
                let stopped = match race(server.ended(), asked).await {
                    Either::Left(_) => {
                        assert_eq!(server.divergence(), None, "replicas that applied the same differ");
                        None
                    }
                    Either::Right(number) => {
                        let number = number.expect("whoever may ask outlives the process");
                        (server.stop().await == DriverEnd::Stopped).then_some(number)
                    }
                };
                self.stack.change(|world, now| match stopped {
                    Some(number) => world.stopped(now, self.host, number),
                    None => world.storage_failed(now, self.host),
                });
            }
            Err(error) => {
                self.stack.change(|world, now| world.refused(now, self.host, &error));
                // A process that refuses to start is gone all the same.
                self.stack.end(self.host, false);
            }
        }
    }

    async fn start(&mut self) -> Result<Server<HostRuntime, HostNet>, OpenError> {
        let net = HostNet::new(self.stack.clone(), self.host);
        let numbers = Random::new(self.random.bits());
        let runtime = HostRuntime::new(self.stack.clone(), self.host, numbers);
        let host = self.host;
        let at = |port: u16| format!("{}:{port}", address(host));
        let known = self.stack.stage().identities.get(&self.server).copied();
        let peers = net.listen(&at(RAFT_PORT)).await.expect("the port of a dead process is free");
        let local = known.map_or_else(|| Local::joining(node_id(self.server)), Local::member);
        // Also before it has joined: the leader calls back before it takes anybody in.
        let inbound = Inbound::start::<_, HostNet>(&runtime, peers, local);
        let identity = match known {
            Some(identity) => identity,
            None => self.join(&runtime, &net).await,
        };
        let http = net.listen(&at(HTTP_PORT)).await.expect("the port of a dead process is free");
        let (storage, recovered) = self.open().await?;
        {
            let mut stage = self.stack.stage();
            stage.identities.insert(self.server, identity);
            stage.world.took_its_place(self.server);
        }
        let (port, end) = storage_channel(&address(host), SCRUB_BYTES_PER_SECOND);
        let owner = own_storage(self.stack.clone(), self.server, storage, self.disk.clone(), end);
        drop(madsim::task::spawn(owner));
        let parts = Parts {
            config: node_config(&self.stack.plan, self.server, self.random.bits()),
            runtime,
            net,
            storage: port,
            found: recovered,
            identity,
            contact: contact(self.server),
            limits: Limits { flight_recorder_bytes: RECORDER_BYTES, ..Limits::default() },
            inbound,
            http,
            guard: None,
            joins_are_open: true,
            inspector: Some(Box::new(Witness::new(self.stack.clone(), self.server))),
            metrics: Metrics::default(),
            telemetry: Telemetry::default(),
        };
        Ok(Server::start(parts).expect("what recovery found opens"))
    }

    /// Asks the servers of the core in turn, and the founder, which is there from the start.
    async fn join(&mut self, runtime: &HostRuntime, net: &HostNet) -> Identity {
        let core = self.stack.plan.cluster.core.iter().copied().filter(|host| *host != FOUNDER);
        let mut hosts: Vec<Host> = core.chain([FOUNDER]).filter(|host| *host != self.host).collect();
        let first = self.random.below(hosts.len());
        hosts.rotate_left(first);
        let urls = hosts.into_iter().map(|host| contact(host).url);
        let endpoints: Vec<Endpoint> =
            urls.map(|url| url.parse().expect("a URL of this world is an endpoint")).collect();
        let (node, contact) = (node_id(self.server), contact(self.server));
        let number = self.stack.stage().world.orders(self.stack.clock.now(), Wanted::Member(node));
        let Joined { cluster, history } = join(runtime, net, &endpoints, (node, &contact), None)
            .await
            .expect("without a join token none is refused");
        self.stack.observe(Observation::Told { number });
        Identity { node, cluster, history }
    }

    /// Recovery takes the time that the disk takes.
    async fn open(&mut self) -> Result<(Storage<MemoryDisk>, Found), OpenError> {
        self.disk.begin(self.stack.clock.now());
        let opened = Storage::open(self.disk.clone(), storage_options(&self.stack.plan, self.random.bits()));
        if let Ok((_, recovered)) = &opened {
            self.stack.observe(Observation::Started { host: self.server, found: found_log(recovered) });
        }
        self.stack.clock.sleep_until(self.disk.clock()).await;
        if opened.is_ok() {
            self.stack.observe(Observation::Recovered { host: self.server });
        }
        opened
    }
}
