//! What a recorder costs the node that it listens to: rounds with and without one, in turns, in one process.
//!
//! A node alone is given puts, 64 a turn, with a disk that is instant: nothing but the node itself takes time. A server
//! does a lot more for each put, so the share of its throughput is smaller. Each put comes with a key and a value of
//! its own, as it does out of a request: what a ring keeps of them is memory that the next ones can't have.
//!
//! On a busy machine count instructions instead: with a size and `with` or `without` it runs one round only, of which
//! `--toggle-collect='*::puts*'` counts what matters.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*::puts*' target/release/deps/recorder-… 1024 with
//! ```
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads files and prints"
)]

use quorate_node::kv::{Action, Put, Settings};
use quorate_node::raft::{
    Config, Contact, Done, Entry, Found, HardState, Job, LogId, Members, NodeId, Payload, Term, TermRuns,
    Time, WriteId,
};
use quorate_node::recording::Recorder;
use quorate_node::{Input, Node, NodeConfig, Output, Request, RequestId};
use std::ops::Range;
use std::time::Duration;

const ROUNDS: usize = 9;
const TURNS: u64 = 4000;
const PUTS_PER_TURN: u64 = 64;
const KEYS: u64 = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [size, mode] = arguments.as_slice() {
        let size = size.parse().expect("a number of bytes");
        println!("{:.0} ns a put", round(size, turns(size), (mode == "with").then(recorder)));
        return;
    }
    for value_bytes in [100, 1 << 10, 16 << 10] {
        let turns = turns(value_bytes);
        let (mut without, mut with): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(round(value_bytes, turns, None));
            with.push(round(value_bytes, turns, Some(recorder())));
        }
        let ratios: Vec<f64> = without.iter().zip(&with).map(|(without, with)| with / without).collect();
        println!(
            "values of {value_bytes} bytes: {:.0} ns a put without, {:.0} ns with a recorder; ratio {:.3}",
            median(without),
            median(with),
            median(ratios)
        );
    }
}

fn recorder() -> Recorder {
    Recorder::new(32 << 20)
}

/// Fewer of the large ones, so that each size takes about as long.
fn turns(value_bytes: usize) -> u64 {
    (TURNS * 200 / (100 + value_bytes as u64)).max(60)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// How many nanoseconds a put takes.
fn round(value_bytes: usize, turns: u64, recorder: Option<Recorder>) -> f64 {
    let mut host = Host { node: node(), recorder, now: Time(0), written: None };
    host.elect();
    // Until the ring is full: to fill it the first time brings fresh memory in.
    puts(&mut host, value_bytes, 0..turns);
    let begun = busy();
    puts(&mut host, value_bytes, turns..2 * turns);
    (busy() - begun) as f64 / (turns * PUTS_PER_TURN) as f64
}

/// For how many nanoseconds this thread has had a processor. That others had it in between does not count, though what
/// they did to its caches does.
fn busy() -> u64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts that");
    statistics.split(' ').next().and_then(|busy| busy.parse().ok()).expect("it is the first number")
}

#[inline(never)]
fn puts(host: &mut Host, value_bytes: usize, turns: Range<u64>) {
    let value = vec![7; value_bytes];
    let mut key = *b"key-00000000";
    for turn in turns {
        for put in 0..PUTS_PER_TURN {
            let number = turn * PUTS_PER_TURN + put;
            key[4..].copy_from_slice(&(number * 7919 % KEYS).to_le_bytes());
            let action = Action::Put(Put::for_good(key.as_slice().into(), value.as_slice().into()));
            host.feed(Input::Request { id: RequestId(number + 1), request: Request::write(action) });
        }
        host.turn();
        host.sync();
        host.now = host.now + Duration::from_micros(500);
    }
}

fn node() -> Node {
    let (me, first) = (NodeId(1), LogId::new(1, 1));
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(first);
    let members = Members::founder(me, Contact::default());
    let members = vec![Entry { id: first, payload: Payload::Members(Box::new(members)) }];
    let found = Found { hard: HardState { term: Term(1), vote: None }, terms, members, ..Found::default() };
    let config = NodeConfig {
        raft: Config::new(me, 7),
        checkpoint_entries: 100_000,
        checkpoint_bytes: NodeConfig::CHECKPOINT_BYTES,
        pending_requests: NodeConfig::PENDING_REQUESTS,
        settings: Settings::default(),
    };
    Node::open(config, found, Time(0)).expect("what was founded opens")
}

struct Host {
    node: Node,
    recorder: Option<Recorder>,
    now: Time,
    written: Option<WriteId>,
}

impl Host {
    fn feed(&mut self, input: Input) {
        if let Some(recorder) = &mut self.recorder {
            recorder.input(self.now, &input);
        }
        self.node.handle(self.now, input);
    }

    fn turn(&mut self) {
        while let Some(output) = self.node.poll() {
            if let Some(recorder) = &mut self.recorder {
                recorder.output(&output);
            }
            match output {
                Output::Job(Job::Write(write)) => self.written = Some(write.id),
                Output::Job(Job::Load(load)) => {
                    // The first entry, which was there from the beginning.
                    let members = Members::founder(NodeId(1), Contact::default());
                    let entries =
                        vec![Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) }];
                    self.feed(Input::Done(Done::Loaded { load, entries }));
                }
                _ => {}
            }
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.turned(&self.node);
        }
    }

    /// The disk is done.
    fn sync(&mut self) {
        while let Some(written) = self.written.take() {
            self.feed(Input::Done(Done::Written(written)));
            self.turn();
        }
    }

    fn elect(&mut self) {
        self.now = self.node.deadline().expect("a voter has a deadline");
        self.feed(Input::Timeout);
        self.turn();
        self.sync();
    }
}
