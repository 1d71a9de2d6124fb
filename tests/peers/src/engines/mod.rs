//! The Raft cores alone: three nodes in one thread, with queues for a network and memory for a disk.
//!
//! A turn of the loop proposes a batch of entries to the leader, and carries messages until it has applied it. Some
//! cores tell followers of a commit at once, others with what comes next; at the end, in the time that is measured,
//! all three have applied everything. What an entry's content costs beside the core (a hash map, a codec, a socket) is
//! in none of them.

mod open_raft;
mod ours;
mod raft_rs;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::conditions;
use crate::keys::PAYLOAD_BYTES;
use crate::options::Options;
use crate::results::{EngineSample, Engines};

/// Entries that are proposed at once.
pub(crate) const BATCHES: [usize; 3] = [1, 64, 1024];
const NODES: usize = 3;
/// Nodes keep their logs in memory: a cluster ends before it holds more.
const MOST_ENTRIES: u64 = 1_000_000;
/// Less than an election timeout, and more than a heartbeat interval in so many.
const A_WHILE: Duration = Duration::from_millis(50);
const HEARTBEATS: usize = 20;

/// A node of a library that takes inputs and says what is to be done.
trait Node: Sized {
    type Message;

    /// Three nodes, none of which leads.
    fn cluster() -> Result<Vec<Self>>;
    /// Makes the node run for office.
    fn campaign(&mut self);
    fn is_leader(&self) -> bool;
    /// Time has passed since the beginning.
    fn pass(&mut self, since_start: Duration);
    fn propose(&mut self, payload: &[u8]) -> Result<()>;
    fn receive(&mut self, message: Self::Message) -> Result<()>;
    /// Does all that there is to do, and sends messages to nodes by their number.
    fn work(&mut self, send: &mut dyn FnMut(usize, Self::Message)) -> Result<()>;
    /// How many proposed entries it has applied.
    fn applied(&self) -> u64;
}

/// Nodes, and what is on its way to them.
struct Network<N: Node> {
    nodes: Vec<N>,
    queues: Vec<VecDeque<N::Message>>,
}

impl<N: Node> Network<N> {
    /// Three nodes, the first of which leads.
    fn start() -> Result<Self> {
        let mut network =
            Self { nodes: N::cluster()?, queues: (0..NODES).map(|_| VecDeque::new()).collect() };
        network.nodes[0].campaign();
        network.carry()?;
        ensure!(network.nodes[0].is_leader(), "the first node does not lead");
        Ok(network)
    }

    /// Carries messages until nobody has anything to say.
    fn carry(&mut self) -> Result<()> {
        loop {
            let mut is_idle = true;
            for number in 0..NODES {
                while let Some(message) = self.queues[number].pop_front() {
                    self.nodes[number].receive(message)?;
                    is_idle = false;
                }
                let queues = &mut self.queues;
                self.nodes[number].work(&mut |to, message| {
                    queues[to].push_back(message);
                    is_idle = false;
                })?;
            }
            if is_idle {
                return Ok(());
            }
        }
    }

    /// Entries in a second.
    fn measure(&mut self, batch: usize, time: Duration) -> Result<f64> {
        let payload = [b'x'; PAYLOAD_BYTES];
        let (began, mut done) = (Instant::now(), 0);
        while began.elapsed() < time && done < MOST_ENTRIES {
            let passed = began.elapsed();
            self.nodes.iter_mut().for_each(|node| node.pass(passed));
            for _ in 0..batch {
                self.nodes[0].propose(&payload)?;
            }
            self.carry()?;
            done += batch as u64;
            let applied = self.nodes[0].applied();
            ensure!(applied == done, "the leader has applied {applied} of {done} entries");
        }
        self.let_followers_apply(done, began.elapsed())?;
        Ok(done as f64 / began.elapsed().as_secs_f64())
    }

    /// The next heartbeat tells them what is committed.
    fn let_followers_apply(&mut self, done: u64, mut passed: Duration) -> Result<()> {
        for _ in 0..HEARTBEATS {
            if self.nodes.iter().all(|node| node.applied() == done) {
                return Ok(());
            }
            passed += A_WHILE;
            self.nodes.iter_mut().for_each(|node| node.pass(passed));
            self.carry()?;
        }
        let applied: Vec<u64> = self.nodes.iter().map(Node::applied).collect();
        bail!("of {done} entries the nodes have applied {applied:?}")
    }
}

/// Each engine with each batch, in turn.
pub(crate) fn run(options: &Options) -> Result<Engines> {
    type Measure = fn(usize, Duration) -> Result<f64>;
    let engines: [(&str, Measure); 3] = [
        ("Quorate", |batch, time| Network::<ours::Host>::start()?.measure(batch, time)),
        ("raft-rs", |batch, time| Network::<raft_rs::Host>::start()?.measure(batch, time)),
        ("openraft", open_raft::measure),
    ];
    let conditions = conditions::now(options)?;
    let time = Duration::from_secs(options.seconds.min(2));
    let mut samples = Vec::new();
    for batch in BATCHES {
        for round in 0..options.rounds {
            for (engine, measure) in engines {
                let per_second = measure(batch, time)?;
                eprintln!("batch {batch} round {round}: {engine:10} {per_second:9.0} entries/s");
                samples.push(EngineSample { engine: engine.to_owned(), batch, round, per_second });
            }
        }
    }
    Ok(Engines { conditions, samples })
}
