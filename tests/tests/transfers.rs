//! Leadership that is handed over, by request and by nodes that end, under load: a short wait, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

use std::time::Duration;

use quorate_sim::trials::scaled;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::PATIENCE;
use quorate_tests::verdict::{demand_linearizable, errors, longest_gap};
use quorate_tests::workload::Workload;
use serde_json::json;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// How long the load between two hand-overs may take. Far more than it needs: a machine may be busy with other tests.
const STRETCH_LIMIT: Duration = Duration::from_secs(60);

fn workload(cluster: &Cluster, seed: u64) -> Workload {
    let addresses = cluster.nodes.iter().map(|node| node.http()).collect();
    Workload { addresses, clients: 32, keys: 50, seed, fails_over: true }
}

#[test]
fn twenty_transfers_under_load_lose_nothing_and_refuse_nothing() {
    let transfers = scaled(20);
    let mut cluster = Cluster::start(QUORATE, 3);
    let ids: Vec<String> = cluster.nodes.iter_mut().map(|node| node.id()).collect();
    let workload = workload(&cluster, 3);
    let working = workload.start();
    let mut times = Vec::new();
    for number in 0..transfers {
        working.wait_for_writes(200, STRETCH_LIMIT);
        let old = cluster.leader();
        let by = number % 3;
        let began = working.now();
        if number % 2 == 0 {
            cluster.change(by, "/raft/transfer", &json!({}));
            assert_ne!(cluster.leader(), old);
        } else {
            let to = (old + 1) % 3;
            cluster.change(by, "/raft/transfer", &json!({ "ID": ids[to] }));
            assert_eq!(cluster.leader(), to);
        }
        working.wait_for_writes(64, STRETCH_LIMIT);
        times.push((began, working.now()));
    }
    let history = working.finish(&workload).unwrap();
    demand_linearizable(&history);
    let (refused, unknown) = errors(&history);
    let gaps: Vec<Duration> = times.iter().map(|(from, to)| longest_gap(&history, *from, *to)).collect();
    let longest = *gaps.iter().max().unwrap();
    println!(
        "{transfers} transfers: {refused} errors, {unknown} unknown; longest gap between writes {longest:?}"
    );
    assert_eq!((refused, unknown), (0, 0));
    assert!(longest < PATIENCE, "{gaps:?}");
}

#[test]
fn a_rolling_restart_under_load_loses_nothing_and_refuses_nothing() {
    let rounds = scaled(1);
    let mut cluster = Cluster::start(QUORATE, 3);
    let workload = workload(&cluster, 4);
    let working = workload.start();
    let mut times = Vec::new();
    for number in (0..rounds).flat_map(|_| 0..3) {
        working.wait_for_writes(300, STRETCH_LIMIT);
        // The hardest restart is that of a leader: each node is one when its turn comes.
        if cluster.leader() != number {
            let id = cluster.nodes[number].id();
            cluster.change(number, "/raft/transfer", &json!({ "ID": id }));
        }
        let began = working.now();
        assert_eq!(cluster.nodes[number].stop(), Some(0));
        cluster.nodes[number].start(&[]);
        cluster.wait_until_caught_up(number);
        cluster.nodes[number].wait_until_ready();
        times.push((began, working.now()));
    }
    working.wait_for_writes(300, STRETCH_LIMIT);
    let history = working.finish(&workload).unwrap();
    demand_linearizable(&history);
    let (refused, unknown) = errors(&history);
    let longest = times.iter().map(|(from, to)| longest_gap(&history, *from, *to)).max().unwrap();
    println!(
        "{} restarts: {refused} errors, {unknown} unknown; longest gap between writes {longest:?}",
        times.len()
    );
    assert_eq!((refused, unknown), (0, 0));
    assert!(longest < PATIENCE);
}
