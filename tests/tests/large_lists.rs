//! A list that is larger than the memory it may take, on its way from a node to the command line.
//!
//! `QUORATE_TRIALS=5` lists a million keys.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its figures"
)]

use quorate_sim::trials::scaled;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::load::data_json;
use quorate_tests::memory::{forget_peak, peak_bytes, resident_bytes};
use quorate_tests::program::Program;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const KEYS: usize = 200_000;
const MOST_KEYS: u64 = 1_000_000;
const VALUE_BYTES: usize = 256;
const PART: usize = 8_000;
/// What a list may take beside the state, on either side.
const MOST_BYTES: u64 = 64 << 20;

fn fill(cluster: &Cluster, keys: u64) {
    let mut client = cluster.nodes[0].client();
    for first in (0..keys).step_by(PART) {
        let part = first..keys.min(first + PART as u64);
        let pairs: Vec<_> = part.map(|key| (name(key), "v".repeat(VALUE_BYTES))).collect();
        client.post("/data.json?timeout=60s", &data_json(&pairs));
    }
}

fn name(key: u64) -> String {
    format!("key-{key:012}")
}

#[test]
fn a_list_never_sits_in_memory() {
    let keys = u64::try_from(scaled(KEYS)).unwrap().min(MOST_KEYS);
    let mut cluster = Cluster::start(QUORATE, 1);
    fill(&cluster, keys);
    let (url, node) = (cluster.nodes[0].url(), cluster.nodes[0].process().pid());
    let before = resident_bytes(node);
    forget_peak(node);

    let folder = tempfile::tempdir().unwrap();
    let command = Program::new(QUORATE, &["list", "-o", "json", "--timeout", "60s"]);
    let mut command = command.with_variable("QUORATE_ENDPOINTS", &url).start(folder.path(), "list");
    let mut client_peak = 0;
    let status = wait_until("the list to end", PATIENCE * 4, || {
        client_peak = peak_bytes(command.pid()).unwrap_or(0).max(client_peak);
        command.ended()
    });
    assert!(status.success(), "{}", command.stderr());

    let listed = command.stdout();
    assert!(listed.lines().map(key_of).eq((0..keys).map(name)), "not the keys that are there, in order");
    let list_bytes = listed.len() as u64;
    assert!(list_bytes > MOST_BYTES, "{list_bytes} bytes would fit");
    let node_more = peak_bytes(node).unwrap().saturating_sub(before);
    println!(
        "{keys} keys, {list_bytes} bytes: {node_more} more in the node, {client_peak} in all in the command"
    );
    assert!(node_more < MOST_BYTES, "the node took {node_more} bytes more, for {list_bytes} bytes");
    assert!(client_peak < MOST_BYTES, "the command took {client_peak} bytes, for {list_bytes} bytes");
}

fn key_of(line: &str) -> String {
    let entry: serde_json::Value = serde_json::from_str(line).unwrap();
    entry["key"].as_str().unwrap().to_owned()
}
