//! Concurrent clients that overwrite each other's keys through all nodes, and record all they did and saw.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::deadline::{pause_between_attempts, wait_until};
use crate::http::{Client, RequestError, Response};
use quorate_sim::history::{Call, Operation, Outcome};
use quorate_sim::random::Random;

/// How long the servers may wait for a leader before they give up on a request; the client waits a little longer.
const SERVER_TIMEOUT: &str = "timeout=3s";
const CLIENT_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a client that knows all nodes goes on trying them while each says that it did nothing.
const FAILOVER_LIMIT: Duration = Duration::from_secs(10);

/// What to do.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The nodes; each request goes to one of them at random.
    pub addresses: Vec<SocketAddr>,
    /// How many clients work at the same time.
    pub clients: usize,
    /// How many keys they share.
    pub keys: usize,
    /// Makes the choices of operations, keys and nodes repeatable.
    pub seed: u64,
    /// Whether a client asks another node when one did nothing, as one does that was given all endpoints.
    pub fails_over: bool,
}

/// Clients at work.
#[derive(Debug)]
pub struct Working {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Result<Vec<Operation>, String>>>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    stop: AtomicBool,
    writes: AtomicUsize,
    reads: AtomicUsize,
    addresses: Mutex<Vec<SocketAddr>>,
}

impl Workload {
    /// The key with this number.
    pub fn key(number: usize) -> String {
        format!("key-{number}")
    }

    /// Starts the clients.
    pub fn start(&self) -> Working {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            stop: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            addresses: Mutex::new(self.addresses.clone()),
        });
        let clients = (0..self.clients)
            .map(|number| {
                let worker = Worker::new(self.clone(), number, Arc::clone(&shared));
                std::thread::spawn(move || worker.work())
            })
            .collect();
        Working { shared, clients }
    }
}

impl Working {
    /// How many writes were acknowledged, and how many reads answered, up to now.
    pub fn progress(&self) -> (usize, usize) {
        (self.shared.writes.load(Ordering::Relaxed), self.shared.reads.load(Ordering::Relaxed))
    }

    /// From now on, each request goes to one of these nodes.
    pub fn turn_to(&self, addresses: Vec<SocketAddr>) {
        *self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Nanoseconds since the start, as in the history.
    pub fn now(&self) -> u64 {
        self.shared.now()
    }

    /// Waits for so many more acknowledged writes.
    ///
    /// # Panics
    /// When they don't come within `limit`.
    #[track_caller]
    pub fn wait_for_writes(&self, count: usize, limit: Duration) {
        let (before, _) = self.progress();
        wait_until(&format!("{count} more writes"), limit, || {
            (self.progress().0 >= before + count).then_some(())
        });
    }

    /// Lets every client finish what it is at, reads every key once more, and returns all that happened.
    ///
    /// # Errors
    /// An answer that no request of this workload may get.
    ///
    /// # Panics
    /// When a client did.
    pub fn finish(self, workload: &Workload) -> Result<Vec<Operation>, String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut history = Vec::new();
        for client in self.clients {
            history.extend(client.join().expect("a client reports errors, it doesn't panic")?);
        }
        let mut last_look = Worker::new(workload.clone(), workload.clients, self.shared);
        for key in 0..workload.keys {
            while !last_look.perform(Workload::key(key), Call::Get)? {}
        }
        history.append(&mut last_look.history);
        Ok(history)
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).expect("tests run for less than 584 years")
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Worker {
    workload: Workload,
    number: usize,
    shared: Arc<Shared>,
    random: Random,
    connections: BTreeMap<SocketAddr, Client>,
    writes: usize,
    history: Vec<Operation>,
}

impl Worker {
    fn new(workload: Workload, number: usize, shared: Arc<Shared>) -> Self {
        let random = Random::new(workload.seed.wrapping_mul(1_000) + number as u64);
        Self {
            workload,
            number,
            shared,
            random,
            connections: BTreeMap::new(),
            writes: 0,
            history: Vec::new(),
        }
    }

    fn work(mut self) -> Result<Vec<Operation>, String> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let key = Workload::key(self.random.below(self.workload.keys));
            let call = match self.random.below(100) {
                0..50 => Call::Get,
                50..96 => {
                    self.writes += 1;
                    // No value is ever written twice, so a read tells which write it saw.
                    Call::Put(format!("{}.{}", self.number, self.writes))
                }
                _ => Call::Delete,
            };
            self.perform(key, call)?;
        }
        Ok(self.history)
    }

    /// Carries out one operation and records it; false when there was no definite answer.
    fn perform(&mut self, key: String, call: Call) -> Result<bool, String> {
        let target = format!("/key/{key}?{SERVER_TIMEOUT}");
        let gives_up = Instant::now() + FAILOVER_LIMIT;
        let (invoked_nanoseconds, outcome) = loop {
            let invoked = self.shared.now();
            let outcome = self.attempt(&target, &call)?;
            // Nothing was done, or nothing could be: another node may do better.
            let again = match outcome {
                None | Some(Outcome::Failed) => true,
                Some(Outcome::Unknown) => call == Call::Get,
                Some(_) => false,
            };
            if self.workload.fails_over && again && Instant::now() < gives_up {
                continue;
            }
            match outcome {
                Some(outcome) => break (invoked, outcome),
                // A client that was given all endpoints and could ask none of them for so long has seen an error.
                None if self.workload.fails_over => break (invoked, Outcome::Failed),
                None => return Ok(false),
            }
        };
        let counter = match outcome {
            Outcome::Written { .. } => Some(&self.shared.writes),
            Outcome::Read { .. } => Some(&self.shared.reads),
            Outcome::Failed | Outcome::Refused { .. } | Outcome::Unknown => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.history.push(Operation { client: self.number, key, call, invoked_nanoseconds, outcome });
        Ok(counter.is_some())
    }

    /// Asks a random node; nothing when it could not even be asked.
    fn attempt(&mut self, target: &str, call: &Call) -> Result<Option<Outcome>, String> {
        let (method, body) = match call {
            Call::Get => ("GET", ""),
            Call::Put(value) => ("POST", value.as_str()),
            Call::Delete => ("DELETE", ""),
            Call::Swap { .. } => return Err("this workload has no swaps".to_owned()),
        };
        let addresses = self.shared.addresses();
        let address = addresses[self.random.below(addresses.len())];
        let client =
            self.connections.entry(address).or_insert_with(|| Client::with_timeout(address, CLIENT_TIMEOUT));
        match client.request(method, target, body.as_bytes()) {
            Err(RequestError::NotSent(_)) => {
                // The node is down. Thirty clients that knock without a pause would only delay its return.
                pause_between_attempts();
                Ok(None)
            }
            Err(RequestError::OutcomeUnknown(_)) => Ok(Some(Outcome::Unknown)),
            Ok(answer) => outcome_of(call, &answer, self.shared.now())
                .map(Some)
                .ok_or_else(|| format!("{method} {target}: {} {}", answer.status, answer.text())),
        }
    }
}

/// What an answer means for the history; `None` for one that the contract doesn't allow here.
fn outcome_of(call: &Call, answer: &Response, at_nanoseconds: u64) -> Option<Outcome> {
    match (answer.status, call) {
        (200, Call::Get) => Some(Outcome::Read { at_nanoseconds, value: Some(answer.text()) }),
        (404, Call::Get) if answer.body.is_empty() => Some(Outcome::Read { at_nanoseconds, value: None }),
        (200, Call::Put(_) | Call::Delete) => {
            let revision = answer.header("etag").and_then(|tag| tag.trim_matches('"').parse().ok());
            Some(Outcome::Written { at_nanoseconds, revision })
        }
        // A definite no: nothing was proposed, or what was is known to be lost.
        (503, _) => Some(Outcome::Failed),
        (504, _) => Some(Outcome::Unknown),
        _ => None,
    }
}
