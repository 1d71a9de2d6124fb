//! Clients that keep a rate, read what they wrote, and remember what was acknowledged.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quorate_sim::random::Random;
use quorate_tests::http::{Client, RequestError};
use quorate_tests::load::Ledger;

/// How many there are.
pub(crate) const COUNT: usize = 64;
const KEYS_EACH: usize = 1_000;
const VALUE_BYTES: usize = 256;
const TIMEOUT: Duration = Duration::from_secs(10);
/// After a definite no.
const PAUSE: Duration = Duration::from_millis(20);
/// Who is behind by more than this has met an outage, and does not make up for it.
const MOST_BEHIND: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Shared {
    addresses: Vec<SocketAddr>,
    stop: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// Nanoseconds between two requests of one client; zero for as fast as it goes.
    interval: AtomicU64,
    /// Microseconds since a request was due.
    latencies: Mutex<Histogram<u64>>,
}

#[derive(Debug)]
pub(crate) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Ledger>>,
}

/// What became of all requests.
#[derive(Debug)]
pub(crate) struct Counts {
    answered: u64,
    refused: u64,
    unknown: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, refused, unknown } = self;
        write!(
            formatter,
            "{answered} answered, {refused} refused and sent again, {unknown} of which nobody knows"
        )
    }
}

impl Clients {
    /// Starts them, as fast as it goes.
    pub(crate) fn start(addresses: Vec<SocketAddr>) -> Self {
        let shared = Arc::new(Shared {
            addresses,
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            interval: AtomicU64::new(0),
            latencies: Mutex::new(Histogram::new(3).unwrap()),
        });
        let thread = |number| {
            let worker = Worker::new(number, Arc::clone(&shared));
            std::thread::spawn(move || worker.work())
        };
        Self { threads: (0..COUNT).map(thread).collect(), shared }
    }

    /// From now on all of them together ask so many times in a second.
    pub(crate) fn keep_to(&self, rate: u64) {
        self.shared.interval.store(COUNT as u64 * 1_000_000_000 / rate, Ordering::Relaxed);
    }

    /// How many requests were answered by now.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// How long requests took since this was last asked.
    pub(crate) fn take_latencies(&self) -> Histogram<u64> {
        let mut latencies = self.shared.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut latencies, Histogram::new(3).unwrap())
    }

    pub(crate) fn finish(self) -> (Ledger, Counts) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        self.threads.into_iter().for_each(|thread| all.extend(thread.join().unwrap()));
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { answered, refused, unknown, .. } = &*self.shared;
        (all, Counts { answered: count(answered), refused: count(refused), unknown: count(unknown) })
    }
}

struct Worker {
    number: usize,
    shared: Arc<Shared>,
    connections: Vec<Client>,
    random: Random,
    /// The name of each key, and what it holds.
    keys: Vec<(String, Option<String>)>,
    names: usize,
    writes: u64,
    ledger: Ledger,
}

impl Worker {
    fn new(number: usize, shared: Arc<Shared>) -> Self {
        let connections =
            shared.addresses.iter().map(|&address| Client::with_timeout(address, TIMEOUT)).collect();
        let mut worker = Self {
            number,
            shared,
            connections,
            random: Random::new(number as u64),
            keys: Vec::new(),
            names: 0,
            writes: 0,
            ledger: Ledger::default(),
        };
        worker.keys = (0..KEYS_EACH).map(|_| (worker.new_key(), None)).collect();
        worker
    }

    fn new_key(&mut self) -> String {
        self.names += 1;
        format!("soak-{:02}-{:06}", self.number, self.names)
    }

    fn work(mut self) -> Ledger {
        let mut due = Instant::now();
        while !self.shared.stop.load(Ordering::Relaxed) {
            due = self.wait_for_turn(due);
            let key = self.random.below(self.keys.len());
            let done = if self.random.below(4) == 0 { self.read(key) } else { self.write(key) };
            if done {
                self.shared.answered.fetch_add(1, Ordering::Relaxed);
                let microseconds = u64::try_from(due.elapsed().as_micros()).unwrap();
                let mut latencies = self.shared.latencies.lock().unwrap_or_else(PoisonError::into_inner);
                latencies.record(microseconds).unwrap();
            }
        }
        self.ledger
    }

    /// Waits until the next request is due, and returns when that was.
    fn wait_for_turn(&self, last: Instant) -> Instant {
        let interval = Duration::from_nanos(self.shared.interval.load(Ordering::Relaxed));
        let (due, now) = (last + interval, Instant::now());
        if interval.is_zero() || now.saturating_duration_since(due) > MOST_BEHIND {
            return now;
        }
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        due
    }

    fn write(&mut self, chosen: usize) -> bool {
        self.writes += 1;
        let name = self.keys[chosen].0.clone();
        let mut value = format!("{name}.{}.", self.writes);
        value.extend(std::iter::repeat_n('x', VALUE_BYTES - value.len()));
        match self.ask("POST", &name, value.as_bytes()) {
            Some(answer) => {
                assert_eq!(answer.status, 200, "a write of {name}: {}", answer.text());
                self.keys[chosen].1 = Some(value.clone());
                self.ledger.acknowledge(name, value);
                true
            }
            None => {
                // It may be carried out at any time yet, so this key is not written again.
                self.ledger.attempt(name, value);
                self.keys[chosen] = (self.new_key(), None);
                self.shared.unknown.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    fn read(&mut self, chosen: usize) -> bool {
        let (name, held) = self.keys[chosen].clone();
        let Some(answer) = self.ask("GET", &name, b"") else { return false };
        let read = match answer.status {
            200 => Some(answer.text()),
            404 => None,
            status => panic!("a read of {name}: {status} {}", answer.text()),
        };
        assert_eq!(read, held, "{name} was read, and this was not what was acknowledged last");
        true
    }

    /// Asks nodes at random until one does not refuse; nothing when it may or may not have been done.
    fn ask(&mut self, method: &str, name: &str, body: &[u8]) -> Option<quorate_tests::http::Response> {
        let target = format!("/key/{name}");
        loop {
            let node = self.random.below(self.connections.len());
            match self.connections[node].request(method, &target, body) {
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) if answer.status == 504 => return None,
                Ok(answer) => return Some(answer),
                Err(RequestError::NotSent(_)) => {}
                Err(RequestError::OutcomeUnknown(_)) => return None,
            }
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::park_timeout(PAUSE);
        }
    }
}
