//! How long the hot paths take: `cargo bench -p quorate-speed --bench times`.
#![allow(missing_docs, reason = "benchmarks are not called")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use hyper::{HeaderMap, Method};
use quorate_server::request::parse_head;
use quorate_speed::{Append, Cores, Log, Map};

fn main() {
    divan::main();
}

/// Three nodes in one thread: entries proposed, sent, written, acknowledged, committed and applied.
#[divan::bench(args = [1, 64, 1024])]
fn replicate(bencher: Bencher, batch: u64) {
    let mut cores = Cores::start();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| cores.replicate(batch, 1));
}

/// Batches made durable; most of the time is the disk's.
#[divan::bench(args = [1, 64, 1024], max_time = 3)]
fn append(bencher: Bencher, count: usize) {
    let log = std::cell::RefCell::new(Log::begin());
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| log.borrow().next(count))
        .bench_local_values(|entries| log.borrow_mut().append(entries));
}

#[divan::bench(args = [1, 64])]
fn encode(bencher: Bencher, count: usize) {
    let (append, mut out) = (Append::of(count), Vec::new());
    bencher.counter(ItemsCount::new(count)).bench_local(|| append.encode(black_box(&mut out)));
}

#[divan::bench(args = [1, 64])]
fn decode(bencher: Bencher, count: usize) {
    let append = Append::of(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| append.decode());
}

#[divan::bench(args = [10_000])]
fn apply(bencher: Bencher, count: usize) {
    let mut map = Map::with_commands(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| map.apply());
}

#[divan::bench(args = [10_000])]
fn get(bencher: Bencher, count: usize) {
    let map = Map::with_commands(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| map.get(count));
}

#[divan::bench(args = ["/key/key-00000042", "/key/a%2Fb%20c"])]
fn parse(bencher: Bencher, path: &str) {
    let headers = HeaderMap::new();
    bencher.bench_local(|| parse_head(black_box(&Method::PUT), black_box(path), None, &headers).is_ok());
}
