//! What ten thousand watchers of one node cost: `cargo bench -p quorate-tests --bench watch_fanout`.
//!
//! A cluster of three real nodes; watchers on one of them, in groups of 100 on 100 prefixes, so each write is told to a
//! hundred. Writes go to the leader, spread over the prefixes: first as fast as sixteen writers can, then at fixed
//! rates, where a write that is late counts from when it was due, and so does what is told of it: each in turns without
//! and with one watcher more, of everything, that takes nothing. `-- leader` puts the watchers on the leader,
//! `-- 1000` takes fewer.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::memory::resident_bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const GROUPS: u64 = 100;
const WRITERS: u64 = 16;
const WINDOW: Duration = Duration::from_secs(5);
/// Windows at a rate, each without and with a stuck watcher.
const TURNS: usize = 5;
/// Writes a second; each is told to a hundred watchers.
const RATES: [u64; 3] = [100, 500, 1_000];
/// What precedes the moment of a write in an event.
const MARK: &[u8] = b"\"value\":\"";
/// The moment of a write: microseconds since the start, in so many digits, a multiple of three.
const DIGITS: usize = 15;

/// What the watchers have received.
#[derive(Default)]
struct Received {
    events: AtomicU64,
    latencies_us: Mutex<Vec<u32>>,
}

/// Where watchers note what they are told, and how many are told of one write.
type Told<'a> = (&'a Arc<Received>, u64);

/// What writers did, and what came of it.
#[derive(Default)]
struct Window {
    writes: usize,
    write_us: Vec<u32>,
    seconds: f64,
    told_us: Vec<u32>,
    events: u64,
}

impl Window {
    /// Counts another one to this.
    fn add(&mut self, other: Window) {
        self.writes += other.writes;
        self.write_us.extend(other.write_us);
        self.seconds += other.seconds;
        self.told_us.extend(other.told_us);
        self.events += other.events;
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let watchers = arguments.iter().filter_map(|argument| argument.parse().ok()).next().unwrap_or(10_000_u64);
    let mut cluster = Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "1000000000"]);
    let leader = cluster.leader();
    let watched = if arguments.iter().any(|word| word == "leader") { leader } else { cluster.follower() };
    println!("{watchers} watchers on node {watched}, writes to node {leader}, the leader");
    let start = Instant::now();
    let (leader, node) = (cluster.nodes[leader].http(), cluster.nodes[watched].http());
    let pid = cluster.nodes[watched].process().pid();
    let received = Arc::new(Received::default());

    print("no watchers, as fast as it goes", &run(leader, None, start, (&received, 0)));
    let before = resident_bytes(pid);
    let clients = connect(node, watchers, start, &received);
    let idle = resident_bytes(pid);
    println!("memory: {} bytes a watcher, idle", (idle.saturating_sub(before)) / watchers);
    let told = (&received, watchers / GROUPS);
    for rate in [None].into_iter().chain(RATES.map(Some)) {
        compare(rate, (leader, node), start, told, &clients);
    }
    let busy = resident_bytes(pid);
    println!("memory: {} bytes a watcher, after these", (busy.saturating_sub(before)) / watchers);
}

/// Turns at this rate, without and with one watcher more that takes nothing.
fn compare(
    rate: Option<u64>,
    (leader, node): (SocketAddr, SocketAddr),
    start: Instant,
    told: Told<'_>,
    clients: &tokio::runtime::Runtime,
) {
    let (mut without, mut with) = (Window::default(), Window::default());
    for _ in 0..TURNS {
        fill(leader);
        without.add(run(leader, rate, start, told));
        let stuck = stick(node, clients);
        fill(leader);
        with.add(run(leader, rate, start, told));
        drop(stuck);
    }
    let name = rate.map_or("as fast as it goes".to_owned(), |rate| format!("{rate} writes/s"));
    print(&name, &without);
    print(&format!("{name}, one stuck"), &with);
}

fn print(name: &str, window: &Window) {
    let Window { writes, write_us, seconds, told_us, events } = window;
    let per_second = |count: f64| count / seconds;
    println!(
        "{name}: {:.0} writes/s, p50 {:.2} ms, p99 {:.2} ms; {:.0} events/s, delivered after p50 {:.2} ms, p99 {:.2} ms",
        per_second(f64::from(u32::try_from(*writes).unwrap())),
        percentile_ms(write_us, 50),
        percentile_ms(write_us, 99),
        per_second(f64::from(u32::try_from(*events).unwrap())),
        percentile_ms(told_us, 50),
        percentile_ms(told_us, 99),
    );
}

/// Writes for one window, then waits until what was written is told, each to so many.
fn run(leader: SocketAddr, rate: Option<u64>, start: Instant, (received, per_write): Told<'_>) -> Window {
    received.latencies_us.lock().unwrap().clear();
    let events_before = received.events.load(Ordering::Relaxed);
    let began = Instant::now();
    let writers =
        (0..WRITERS).map(|number| std::thread::spawn(move || write(leader, number, rate, start, began)));
    let writers: Vec<_> = writers.collect();
    let write_us: Vec<u32> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let expected = write_us.len() as u64 * per_write;
    wait_until("every watcher to be told of every write", PATIENCE, || {
        (received.events.load(Ordering::Relaxed) - events_before >= expected).then_some(())
    });
    let ended = Instant::now();
    let told_us = std::mem::take(&mut *received.latencies_us.lock().unwrap());
    let events = received.events.load(Ordering::Relaxed) - events_before;
    Window { writes: write_us.len(), write_us, seconds: (ended - began).as_secs_f64(), told_us, events }
}

fn write(leader: SocketAddr, number: u64, rate: Option<u64>, start: Instant, began: Instant) -> Vec<u32> {
    let mut client = Client::new(leader);
    let mut latencies = Vec::new();
    for count in (number..).step_by(usize::try_from(WRITERS).unwrap()) {
        let due = match rate {
            Some(rate) => {
                began + Duration::from_secs(1) * u32::try_from(count).unwrap() / u32::try_from(rate).unwrap()
            }
            None => Instant::now(),
        };
        if due.duration_since(began) >= WINDOW {
            return latencies;
        }
        while Instant::now() < due {
            std::thread::park_timeout(due - Instant::now());
        }
        let moment = format!("{:0DIGITS$}", (due - start).as_micros());
        let target = format!("/key/{}{}", prefix(count % GROUPS), count % 1_000);
        let answer = client.request("PUT", &target, moment.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        latencies.push(u32::try_from(due.elapsed().as_micros()).unwrap());
    }
    latencies
}

fn prefix(group: u64) -> String {
    format!("group-{group:03}-")
}

/// All watchers, read by one thread of their own for as long as this process lives.
fn connect(
    node: SocketAddr,
    count: u64,
    start: Instant,
    received: &Arc<Received>,
) -> tokio::runtime::Runtime {
    let builder = &mut tokio::runtime::Builder::new_multi_thread();
    let clients = builder.worker_threads(1).enable_all().build().unwrap();
    let connected = Arc::new(AtomicU64::new(0));
    for number in 0..count {
        let (received, connected) = (Arc::clone(received), Arc::clone(&connected));
        clients.block_on(async {
            let stream = open(node, &prefix(number % GROUPS), TcpSocket::new_v4().unwrap()).await;
            tokio::spawn(watch(stream, start, received, connected));
        });
    }
    wait_until("all watchers to be there", PATIENCE, || {
        (connected.load(Ordering::Relaxed) == count).then_some(())
    });
    clients
}

async fn open(node: SocketAddr, prefix: &str, socket: TcpSocket) -> TcpStream {
    let mut stream = socket.connect(node).await.unwrap();
    let request = format!("GET /watch?prefix={prefix} HTTP/1.1\r\nhost: {node}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn watch(mut stream: TcpStream, start: Instant, received: Arc<Received>, connected: Arc<AtomicU64>) {
    let mut text = Vec::new();
    let mut latencies = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let count = stream.read(&mut chunk).await.unwrap();
        assert_ne!(count, 0, "the stream ended");
        if text.is_empty() && chunk.starts_with(b"HTTP/1.1 200 OK") {
            connected.fetch_add(1, Ordering::Relaxed);
        }
        text.extend_from_slice(&chunk[..count]);
        let now_us = start.elapsed().as_micros();
        let coded_bytes = DIGITS / 3 * 4;
        let mut begin = 0;
        while let Some(at) = text[begin..].windows(MARK.len()).position(|part| part == MARK) {
            let from = begin + at + MARK.len();
            let Some(coded) = text.get(from..from + coded_bytes) else { break };
            let moment: u128 = String::from_utf8(STANDARD.decode(coded).unwrap()).unwrap().parse().unwrap();
            latencies.push(u32::try_from(now_us.saturating_sub(moment)).unwrap());
            begin = from + coded_bytes;
        }
        // What may be the beginning of the next event stays.
        text.drain(..begin.max(text.len().saturating_sub(MARK.len() + coded_bytes)));
        if !latencies.is_empty() {
            received.events.fetch_add(latencies.len() as u64, Ordering::Relaxed);
            received.latencies_us.lock().unwrap().append(&mut latencies);
        }
    }
}

/// A watcher of everything that takes nothing.
fn stick(node: SocketAddr, clients: &tokio::runtime::Runtime) -> TcpStream {
    clients.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        open(node, "", socket).await
    })
}

/// Writes more than any buffer of a watcher holds. Both turns begin with it, since the disk has work with it later.
fn fill(leader: SocketAddr) {
    let mut client = Client::new(leader);
    for _ in 0..64 {
        let answer = client.request("PUT", "/key/large", &vec![b'v'; 256 << 10]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn percentile_ms(sorted_or_not: &[u32], percent: usize) -> f64 {
    let mut sorted = sorted_or_not.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
}
