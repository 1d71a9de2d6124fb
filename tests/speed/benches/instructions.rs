//! How many instructions the hot paths take: `cargo bench -p quorate-speed --bench instructions`, which needs valgrind
//! and gungraun-runner. They do not depend on the machine's load, so that a tenth more is a regression, and fails.
//!
//! A limit is what was counted when it was written down. Who makes a path cheaper writes down less; who makes one
//! dearer for a reason says so in docs/adr/0017-speed.md. The path of the checkout alone changes a count by up to 2 %.
#![allow(missing_docs, reason = "made by macros")]

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use hyper::{HeaderMap, Method};
use quorate_raft::Entry;
use quorate_server::request::parse_head;
use quorate_speed::{Append, Cores, Log, Map};

/// A tenth more than was counted.
fn counted(instructions: u64) -> LibraryBenchmarkConfig {
    let limit = instructions + instructions / 10;
    LibraryBenchmarkConfig::default().tool(Callgrind::default().hard_limits([(EventKind::Ir, limit)])).clone()
}

// Three nodes: a command is proposed, sent, written, acknowledged, committed and applied.
#[library_benchmark]
#[bench::one_by_one(args = (Cores::start(), 1, 1_000), config = counted(22_200_000))]
#[bench::batches_of_64(args = (Cores::start(), 64, 20), config = counted(4_040_000))]
fn replicate(mut cores: Cores, batch: u64, turns: u64) -> Cores {
    cores.replicate(batch, turns);
    cores
}

fn log_and_entries(count: usize) -> (Log, Vec<Entry>) {
    let log = Log::begin();
    let entries = log.next(count);
    (log, entries)
}

// One batch is made durable.
#[library_benchmark]
#[bench::one(args = (1), setup = log_and_entries, config = counted(6_300))]
#[bench::batch_of_64(args = (64), setup = log_and_entries, config = counted(117_200))]
fn append((mut log, entries): (Log, Vec<Entry>)) -> Log {
    log.append(entries);
    log
}

#[library_benchmark]
#[bench::append_of_64(args = (Append::of(64)), config = counted(21_700))]
fn encode(append: Append) -> (Append, Vec<u8>) {
    let mut out = Vec::with_capacity(1 << 20);
    append.encode(&mut out);
    (append, out)
}

#[library_benchmark]
#[bench::append_of_64(args = (Append::of(64)), config = counted(58_900))]
fn decode(append: Append) -> (Append, quorate_raft::Envelope) {
    let envelope = append.decode();
    (append, envelope)
}

#[library_benchmark]
#[bench::a_thousand_puts(args = (Map::with_commands(1_000)), config = counted(2_290_000))]
fn apply(mut map: Map) -> Map {
    map.apply();
    map
}

#[library_benchmark]
#[bench::a_thousand(args = (Map::with_commands(1_000)), config = counted(180_000))]
fn get(map: Map) -> Map {
    map.get(1_000);
    map
}

// The head of a request, a thousand times.
#[library_benchmark]
#[bench::put(args = (Method::PUT, "/key/key-00000042"), config = counted(2_110_000))]
#[bench::get(args = (Method::GET, "/key/a%2Fb%20c"), config = counted(1_990_000))]
fn parse(method: Method, path: &str) {
    let headers = HeaderMap::new();
    for _ in 0..1_000 {
        assert!(black_box(parse_head(&method, black_box(path), None, &headers)).is_ok());
    }
}

library_benchmark_group!(name = engine, benchmarks = [replicate, append, encode, decode, apply, get]);
library_benchmark_group!(name = server, benchmarks = [parse]);
main!(library_benchmark_groups = [engine, server]);
