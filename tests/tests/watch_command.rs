//! `quorate watch` while the node that it watches through is killed: no event is missed, none comes twice.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::program::{Finished, Program};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

fn program(cluster: &Cluster, first: usize, arguments: &[&str]) -> Program {
    let mut endpoints: Vec<String> = cluster.nodes.iter().map(|node| node.url()).collect();
    endpoints.rotate_left(first);
    Program::new(QUORATE, arguments)
        .with_variable("QUORATE_ENDPOINTS", &endpoints.join(","))
        .with_variable("QUORATE_TIMEOUT", "20s")
}

fn quorate(cluster: &Cluster, arguments: &[&str]) -> Finished {
    let finished = program(cluster, 0, arguments).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished
}

#[test]
fn a_watch_outlives_every_node_once() {
    const ROUNDS: usize = 3;
    const WRITES: usize = 10;
    let mut cluster = Cluster::start(QUORATE, 3);
    quorate(&cluster, &["put", "w/before", "x"]);
    let folder = tempfile::tempdir().unwrap();
    let count = (ROUNDS * WRITES).to_string();
    let arguments = ["watch", "--prefix", "w/", "--from", "2", "--count", &count, "-o", "json"];
    let mut watch = program(&cluster, 0, &arguments).start(folder.path(), "watch");
    for round in 0..ROUNDS {
        for write in 0..WRITES {
            let number = (round * WRITES + write).to_string();
            quorate(&cluster, &["put", "w/key", &number]);
            quorate(&cluster, &["put", "another", &number]);
            if write == WRITES / 2 {
                cluster.nodes[round].kill();
            }
        }
        cluster.nodes[round].start(&[]);
        cluster.nodes[round].wait_until_led();
        let seen = (round + 1) * WRITES;
        wait_until("the events", PATIENCE, || (watch.stdout().lines().count() >= seen).then_some(()));
    }
    assert_eq!(watch.wait("the watch to end", PATIENCE).code(), Some(0), "{}", watch.stderr());
    let events: Vec<Value> = watch.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let versions: Vec<u64> = events.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (1..=(ROUNDS * WRITES) as u64).collect();
    assert_eq!(versions, expected, "every write once, in order");
    assert!(events.iter().all(|event| event["event"] == "put" && event["key"] == "w/key"), "{events:?}");
}

#[test]
fn events_are_lines() {
    let cluster = Cluster::start(QUORATE, 1);
    for arguments in [&["put", "k", "a\tb"][..], &["put", "k", "c"], &["put", "l", "d"], &["delete", "k"]] {
        quorate(&cluster, arguments);
    }
    let watched = quorate(&cluster, &["watch", "k", "--from", "1", "--count", "3", "--previous"]);
    assert_eq!(watched.stdout, "put\t1\tk\ta\\tb\nput\t2\tk\tc\ta\\tb\ndelete\t4\tk\tdeleted\tc\n");
}
