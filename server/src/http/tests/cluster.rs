//! Servers to ask, and ways to ask them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use quorate_node::raft::{Config, Contact, Done, Entry, LogId, Members, NodeId, Payload, Role, Room};
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_node::{NodeConfig, kv};
use quorate_storage::{MemoryDisk, Options, Storage};

use crate::context::{Identity, Limits};
use crate::founding::write_first;
use crate::metrics::Metrics;
use crate::net::{Listener, Net, read_some, write_all};
use crate::peers::{Inbound, Local};
use crate::real::{RealNet, RealRuntime, spawn_storage};
use crate::runtime::{Runtime, timeout_at};
use crate::server::{Parts, Server};
use crate::storage_port::{StorageEnd, storage_channel};
use crate::telemetry::Telemetry;
use crate::tokens::Guard;

pub(super) const CLUSTER: ClusterId = ClusterId(0xc);
pub(super) const HISTORY: HistoryId = HistoryId(0xd);
pub(super) const LIMITS: Limits = Limits {
    value_bytes: 1 << 20,
    request_bytes: 4 << 20,
    pending_bytes: 256 << 20,
    connections: 10_000,
    watchers: 8_000,
    txn_operations: 128,
    backup_bytes_per_second: 1 << 30,
    flight_recorder_bytes: 1 << 20,
};

/// Longer than anything here may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What servers are told that not all tests want the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    /// What they advertise, if not where they are: whatever is forwarded goes there.
    pub(super) url: Option<&'a str>,
    pub(super) limits: Limits,
    pub(super) pending_requests: usize,
    pub(super) uncommitted_bytes: usize,
    /// Their disks are full once this is set, whatever storage says.
    pub(super) is_full: Option<&'static AtomicBool>,
    /// Their disks do nothing any more once this is set.
    pub(super) stands_still: Option<&'static AtomicBool>,
    /// The limits of their store.
    pub(super) store: kv::Settings,
    pub(super) election_timeout: Duration,
    /// That of the last node, if it has one of its own.
    pub(super) last_election_timeout: Option<Duration>,
    /// Who asks for tokens at each of them.
    pub(super) guard: Option<fn() -> Guard>,
    /// Whether they take in a new node without a join token.
    pub(super) joins_are_open: bool,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Settings {
            url: None,
            limits: LIMITS,
            pending_requests: NodeConfig::PENDING_REQUESTS,
            uncommitted_bytes: 64 << 20,
            is_full: None,
            stands_still: None,
            store: kv::Settings::default(),
            election_timeout: Duration::from_millis(600),
            last_election_timeout: None,
            guard: None,
            joins_are_open: true,
        }
    }
}

/// Running servers that know each other from the start.
pub(super) struct Cluster {
    pub(super) servers: Vec<Server<RealRuntime, RealNet>>,
    /// Where each serves HTTP, whatever it advertises.
    pub(super) addresses: Vec<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code.
    pub(super) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }

    /// The code of an error, after a look at its other parts.
    pub(super) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json; charset=utf-8"));
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let has_oldest = body["oldest"].is_u64();
        assert_eq!(body.as_object().unwrap().len(), 2 + usize::from(has_oldest), "{body}");
        assert!(body["error"].is_string());
        let code = body["code"].as_str().unwrap();
        assert_eq!(self.header("quorate-error"), Some(code));
        code.to_owned()
    }
}

impl Cluster {
    /// `size` servers, each of which advertises where it is.
    pub(super) async fn start(size: usize) -> Cluster {
        Self::start_with(size, Settings::default()).await
    }

    /// `size` servers that advertise `url`, so that whatever is forwarded goes there.
    pub(super) async fn start_advertising(size: usize, url: &str) -> Cluster {
        Self::start_with(size, Settings { url: Some(url), ..Settings::default() }).await
    }

    pub(super) async fn start_with(size: usize, settings: Settings<'_>) -> Cluster {
        let (mut founding, mut listeners, mut addresses) = (Members::default(), Vec::new(), Vec::new());
        for number in 0..size {
            let (peers, address) = listen().await;
            let (http, http_address) = listen().await;
            let id = NodeId(number as u128 + 1);
            let url = settings.url.map_or_else(|| format!("http://{http_address}"), str::to_owned);
            founding.voters.insert(id);
            founding.contacts.insert(id, Contact { address, url, name: format!("node {id}") });
            listeners.push((peers, http));
            addresses.push(http_address);
        }
        let members = founding.contacts.clone().into_iter().zip(listeners);
        let mut servers = Vec::new();
        for (number, ((id, contact), (peers, http))) in members.enumerate() {
            let own_timeout = settings.last_election_timeout.filter(|_| number + 1 == size);
            let election_timeout = own_timeout.unwrap_or(settings.election_timeout);
            let settings = Settings { election_timeout, ..settings };
            servers.push(server(settings, (id, contact), &founding, peers, http));
        }
        let cluster = Cluster { servers, addresses };
        cluster.leader().await;
        cluster
    }

    /// Waits for a leader that every node knows and that can commit.
    pub(super) async fn leader(&self) -> usize {
        soon(async {
            loop {
                let mut views = Vec::new();
                for server in &self.servers {
                    views.extend(server.context.handle.status().await);
                }
                let leads = |view: &quorate_node::View| view.role == Role::Leader && view.settled;
                if let Some(leader) = views.iter().find(|view| leads(view))
                    && views.iter().all(|view| view.leader == Some(leader.id))
                {
                    return self.servers.iter().position(|server| server.context.identity.node == leader.id);
                }
                RealRuntime::start().sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap()
    }

    /// A node that follows.
    pub(super) async fn follower(&self) -> usize {
        (self.leader().await + 1) % self.servers.len()
    }

    /// A node that leads, and one that follows.
    pub(super) async fn both(&self) -> [usize; 2] {
        [self.leader().await, self.follower().await]
    }

    /// Asks again until the answer has this status.
    pub(super) async fn ask_until(&self, at: usize, target: &str, status: u16) -> Answer {
        soon(async {
            loop {
                let answer = self.ask(at, Method::GET, target, b"").await;
                if answer.status.as_u16() == status {
                    return answer;
                }
                RealRuntime::start().sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    pub(super) async fn ask(&self, at: usize, method: Method, target: &str, body: &[u8]) -> Answer {
        self.ask_with(at, method, target, &[], body).await
    }

    pub(super) async fn ask_with(
        &self,
        at: usize,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut line = self.open(at).await;
        self.ask_on(&mut line, at, method, target, headers, body).await
    }

    /// A connection to a node.
    pub(super) async fn open(&self, at: usize) -> SendRequest<Full<Bytes>> {
        soon(async {
            let stream = RealNet.dial(&self.addresses[at]).await.unwrap();
            let (line, connection) = http1::handshake(stream).await.unwrap();
            RealRuntime::start().spawn(async move {
                let _ = connection.await;
            });
            line
        })
        .await
    }

    /// Asks on a connection to the node at this place.
    pub(super) async fn ask_on(
        &self,
        line: &mut SendRequest<Full<Bytes>>,
        at: usize,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let request = self.request(at, method, target, headers, body);
        soon(async {
            let (head, body) = line.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { status: head.status, headers: head.headers, body }
        })
        .await
    }

    /// Asks for a stream, and reads until an event of it has come.
    pub(super) async fn ask_for_event(&self, at: usize, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut line = self.open(at).await;
        let request = self.request(at, Method::GET, target, headers, b"");
        soon(async {
            let (head, mut body) = line.send_request(request).await.unwrap().into_parts();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\n\n") {
                let frame = body.frame().await.expect("an event comes first").unwrap();
                seen.extend_from_slice(&frame.into_data().unwrap());
            }
            Answer { status: head.status, headers: head.headers, body: seen.into() }
        })
        .await
    }

    fn request(
        &self,
        at: usize,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", &self.addresses[at]);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }
}

/// Sends bytes as they are, and reads to the end of the connection.
pub(super) async fn ask_raw(address: &str, bytes: &[u8]) -> String {
    soon(async {
        let mut stream = RealNet.dial(address).await.unwrap();
        write_all(&mut stream, bytes).await.unwrap();
        read_to_end(&mut stream).await
    })
    .await
}

/// What arrives until the other side closes.
pub(super) async fn read_to_end(stream: &mut <RealNet as Net>::Stream) -> String {
    let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match read_some(stream, &mut chunk).await.unwrap() {
            0 => return String::from_utf8(text).unwrap(),
            count => text.extend_from_slice(&chunk[..count]),
        }
    }
}

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = RealRuntime::start();
    timeout_at(&runtime, runtime.now() + PATIENCE, future).await.expect("it should happen soon")
}

/// A listener at a port that the system chose, and its address.
pub(super) async fn listen() -> (<RealNet as Net>::Listener, String) {
    let listener = RealNet.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().unwrap().to_string();
    (listener, address)
}

fn server(
    settings: Settings<'_>,
    (id, contact): (NodeId, Contact),
    founding: &Members,
    peers: <RealNet as Net>::Listener,
    http: <RealNet as Net>::Listener,
) -> Server<RealRuntime, RealNet> {
    let runtime = RealRuntime::start();
    let disk = MemoryDisk::new();
    let (mut storage, _) = Storage::open(disk.clone(), small_segments(7)).unwrap();
    write_first(&mut storage, true, vec![first_entry(founding)]).unwrap();
    drop(storage);
    let (storage, found) = Storage::open(disk, small_segments(8)).unwrap();
    let (port, end) = storage_channel("memory", 1 << 20);
    if settings.is_full.is_some() || settings.stands_still.is_some() {
        runtime.spawn(own_bad_storage(storage, end, settings.is_full, settings.stands_still));
    } else {
        spawn_storage(storage, end, runtime).unwrap();
    }
    let identity = Identity { node: id, cluster: CLUSTER, history: HISTORY };
    let inbound = Inbound::start::<_, RealNet>(&runtime, peers, Local::member(identity));
    Server::start(Parts {
        config: NodeConfig {
            raft: Config {
                election_timeout: settings.election_timeout,
                heartbeat_interval: Duration::from_millis(60),
                uncommitted_bytes: settings.uncommitted_bytes,
                ..Config::new(id, runtime.random())
            },
            checkpoint_entries: 10_000,
            checkpoint_bytes: NodeConfig::CHECKPOINT_BYTES,
            pending_requests: settings.pending_requests,
            settings: settings.store,
        },
        runtime,
        net: RealNet,
        storage: port,
        found,
        identity,
        contact,
        limits: settings.limits,
        inbound,
        http,
        guard: settings.guard.map(|guard| Arc::new(guard())),
        joins_are_open: settings.joins_are_open,
        inspector: None,
        metrics: Metrics::default(),
        telemetry: Telemetry::default(),
    })
    .unwrap()
}

/// A storage that has no room for what needs space, or that stands still, from some time on.
async fn own_bad_storage(
    mut storage: Storage<MemoryDisk>,
    mut end: StorageEnd,
    is_full: Option<&'static AtomicBool>,
    stands_still: Option<&'static AtomicBool>,
) {
    let room = Room {
        rest_bytes: 100,
        spare_segments: 2,
        segment_bytes: 1 << 20,
        newest_segment: 1,
        is_reserved: false,
    };
    while let Some(jobs) = end.jobs.recv().await {
        if stands_still.is_some_and(|stands_still| stands_still.load(Ordering::SeqCst)) {
            continue;
        }
        let mut dones = storage.perform(jobs).unwrap();
        while storage.busy() {
            dones.extend(storage.perform(Vec::new()).unwrap());
        }
        if is_full.is_some_and(|is_full| is_full.load(Ordering::SeqCst)) {
            dones.retain(|done| !matches!(done, Done::Room(_)));
            dones.push(Done::Room(Some(room)));
        }
        if end.dones.send(dones).is_err() {
            return;
        }
    }
}

fn first_entry(members: &Members) -> Entry {
    Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members.clone())) }
}

/// One connection, for what depends on its being the same.
pub(super) struct Line {
    stream: <RealNet as Net>::Stream,
    received: Vec<u8>,
}

impl Line {
    pub(super) async fn open(address: &str) -> Line {
        Line { stream: soon(RealNet.dial(address)).await.unwrap(), received: Vec::new() }
    }

    /// Sends a request and reads one answer that declares its length: its status and body.
    pub(super) async fn ask(&mut self, request: &str) -> (u16, String) {
        soon(async {
            write_all(&mut self.stream, request.as_bytes()).await.unwrap();
            loop {
                if let Some(answer) = self.take_answer() {
                    return answer;
                }
                let mut chunk = [0; 4096];
                let count = read_some(&mut self.stream, &mut chunk).await.unwrap();
                assert_ne!(count, 0, "the connection was closed before the answer");
                self.received.extend_from_slice(&chunk[..count]);
            }
        })
        .await
    }

    /// Waits until the other side closes, without another word.
    pub(super) async fn closes(&mut self) {
        assert_eq!(soon(read_to_end(&mut self.stream)).await, "");
    }

    fn take_answer(&mut self) -> Option<(u16, String)> {
        let text = String::from_utf8(self.received.clone()).unwrap();
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().unwrap();
        let body = rest.get(..length)?.to_owned();
        self.received.drain(..head.len() + 4 + length);
        Some((head[9..12].parse().unwrap(), body))
    }
}

/// Disks in memory are many, and a node keeps a reserve of segments.
fn small_segments(seed: u64) -> Options {
    Options { segment_bytes: 2 << 20, ..Options::new(seed) }
}
