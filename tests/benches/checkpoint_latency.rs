//! What checkpoints cost the writers, and how long a start takes:
//! `cargo bench -p quorate-tests --bench checkpoint_latency`.
//!
//! Two clusters of three real nodes stand side by side, each with 1,000,000 keys of 256 bytes. One takes a checkpoint
//! after every thousand entries, with all merges that come of it; the other takes none. Both are given the same load in
//! turns, at a fixed rate: a write that is late counts from when it was due. The first turns are shown and not counted:
//! the disk still writes what was imported. Afterwards one node of each is started again.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use quorate_tests::cluster::Cluster;
use quorate_tests::http::Client;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const VALUE_BYTES: usize = 256;
const CLIENTS: u64 = 16;
const WRITES_PER_SECOND: u64 = 1_000;
/// Long beside a merge, which goes on into the other cluster's turn.
const WINDOW: Duration = Duration::from_secs(20);
const WINDOWS: usize = 8;
/// Of those, the first so many are not counted.
const SETTLING: usize = 2;
/// A part of an import has so many keys.
const PART: u64 = 8_000;

fn main() {
    let keys = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1_000_000_u64);
    let mut quiet = Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "1000000000"]);
    let mut busy = Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "1000"]);
    for cluster in [&quiet, &busy] {
        fill(cluster, 0..keys, 1);
        // So much has changed that the oldest run is merged anew soon.
        fill(cluster, 0..keys / 4, 2);
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let checkpoints = |cluster: &Cluster| cluster.nodes[0].status().unwrap()["snapshot"].as_u64().unwrap();
    for window in 0..WINDOWS {
        let taken = [checkpoints(&quiet), checkpoints(&busy)];
        let one = load(&quiet, keys, window as u64);
        let other = load(&busy, keys, window as u64);
        println!(
            "window {window}: p99 {:6.2} ms without, {:6.2} ms with; p50 {:5.2} and {:5.2}; checkpoints cover {} and {} entries more",
            percentile(&one, 99),
            percentile(&other, 99),
            percentile(&one, 50),
            percentile(&other, 50),
            checkpoints(&quiet) - taken[0],
            checkpoints(&busy) - taken[1],
        );
        if window >= SETTLING {
            without.extend(one);
            with.extend(other);
        }
    }
    for percent in [50, 90, 99] {
        let (one, other) = (percentile(&without, percent), percentile(&with, percent));
        println!("p{percent}: {one:.2} ms without checkpoints, {other:.2} ms with: {:.2} times", other / one);
    }
    for (name, cluster) in [("without", &mut quiet), ("with", &mut busy)] {
        let node = &mut cluster.nodes[1];
        node.kill();
        let started = Instant::now();
        node.start(&[]);
        let mut client = None;
        let ready = loop {
            let client = client.get_or_insert_with(|| node.client());
            match client.request("GET", "/readyz", b"") {
                Ok(answer) if answer.status == 200 => break started.elapsed(),
                _ => std::thread::yield_now(),
            }
        };
        println!(
            "a node {name} checkpoints of late, killed and started: ready after {:.2} s",
            ready.as_secs_f64()
        );
    }
}

/// Imports keys in parts.
fn fill(cluster: &Cluster, keys: std::ops::Range<u64>, round: u64) {
    let started = Instant::now();
    let mut client = cluster.nodes[0].client();
    let count = keys.end - keys.start;
    for first in keys.clone().step_by(usize::try_from(PART).unwrap()) {
        let pairs = (first..keys.end.min(first + PART)).map(|key| {
            format!("\"{}\":\"{}\"", URL_SAFE.encode(name(key)), URL_SAFE.encode(value(key, round)))
        });
        let body = format!("{{{}}}", pairs.collect::<Vec<_>>().join(","));
        let answer = client.request("POST", "/data.json?timeout=60s", body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    println!("{count} keys imported in {:.1} s", started.elapsed().as_secs_f64());
}

fn name(key: u64) -> String {
    format!("key-{key:012}")
}

fn value(key: u64, round: u64) -> Vec<u8> {
    let mixed = (key ^ (round << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_le_bytes().repeat(VALUE_BYTES / 8)
}

/// Writes at the fixed rate for one window; how long each took, in milliseconds.
fn load(cluster: &Cluster, keys: u64, seed: u64) -> Vec<f64> {
    let addresses: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.http()).collect();
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|number| {
        let address = addresses[usize::try_from(number).unwrap() % addresses.len()];
        std::thread::spawn(move || write(address, began, number, keys, seed))
    });
    let clients: Vec<_> = clients.collect();
    clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
}

fn write(address: SocketAddr, began: Instant, number: u64, keys: u64, seed: u64) -> Vec<f64> {
    let mut client = Client::new(address);
    let mut latencies = Vec::new();
    let step = Duration::from_secs(1) / u32::try_from(WRITES_PER_SECOND).unwrap();
    for count in (number..).step_by(usize::try_from(CLIENTS).unwrap()) {
        let due = began + step * u32::try_from(count).unwrap();
        if due.duration_since(began) >= WINDOW {
            return latencies;
        }
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        let key = (seed << 32 | count).wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
        let answer = client.post(&format!("/key/{}", name(key)), &value(key, seed + 3));
        assert_eq!(answer.status, 200, "{}", answer.text());
        latencies.push(due.elapsed().as_secs_f64() * 1000.0);
    }
    latencies
}

fn percentile(latencies: &[f64], percent: usize) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}
