//! Whole clusters that stop, and nodes that come back late.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quorate_sim::history::{check_revisions, plant_stale_read};
use quorate_sim::linearizability::check;
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::workload::Workload;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// How many entries below a checkpoint a node keeps, for followers that are only a little late.
const KEPT_ENTRIES: u64 = 10_000;
/// The size of a value where the log has to grow.
const VALUE_BYTES: usize = 4 << 10;
/// How many entries a follower may have got after the leader was looked at, and far more, to be sure.
const SENT_AHEAD: u64 = 500;
/// How long it may take to write all that. Far more than it needs: a machine may be busy with other tests.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

fn workload(cluster: &Cluster, keys: usize) -> Workload {
    let addresses = cluster.nodes.iter().map(|node| node.http()).collect();
    Workload { addresses, clients: 32, keys, seed: 2, fails_over: false }
}

#[test]
fn all_three_killed_at_once_come_back_with_every_acknowledged_write() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let workload = workload(&cluster, 40);
    let working = workload.start();
    for round in 1..=3 {
        wait_until("load", PATIENCE, || (working.progress().0 >= round * 1_000).then_some(()));
        for node in &mut cluster.nodes {
            node.kill();
        }
        for node in &mut cluster.nodes {
            node.start(&[]);
        }
        for node in &mut cluster.nodes {
            node.wait_until_led();
        }
    }
    let (writes, _) = working.progress();
    wait_until("load after the restart", PATIENCE, || (working.progress().0 >= writes + 500).then_some(()));
    let mut history = working.finish(&workload).unwrap();
    check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    check_revisions(&history).unwrap_or_else(|contradiction| panic!("{contradiction}"));
    plant_stale_read(&mut history).expect("some value was overwritten");
    assert!(check(&history).is_err(), "the checker does not see a stale read");
}

#[test]
fn a_cluster_that_was_ended_in_order_comes_back() {
    let mut cluster = Cluster::start(QUORATE, 3);
    assert_eq!(cluster.nodes[0].client().post("/key/a", b"1").status, 200);
    for node in &mut cluster.nodes {
        assert_eq!(node.stop(), Some(0));
    }
    for node in &mut cluster.nodes {
        node.start(&[]);
    }
    for node in &mut cluster.nodes {
        node.wait_until_led();
        assert_eq!(node.client().get("/key/a").text(), "1");
    }
}

#[test]
fn a_leader_that_is_ended_in_order_leaves_the_others_serving() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let leader = cluster.leader();
    let follower = cluster.follower();
    assert_eq!(cluster.nodes[leader].stop(), Some(0));
    assert_eq!(cluster.nodes[follower].client().post("/key/a", b"1").status, 200);
    assert_eq!(cluster.nodes[follower].client().get("/key/a").text(), "1");
}

/// A leader that hung and wakes up still thinks that it leads. What it thinks must not reach a reader.
#[test]
fn a_leader_that_hung_does_not_lie_when_it_wakes_up() {
    let mut cluster = Cluster::start(QUORATE, 3);
    for round in 0..5 {
        let old = cluster.leader();
        let mut through_old = cluster.nodes[old].client();
        let value = format!("before {round}");
        assert_eq!(through_old.post("/key/a", value.as_bytes()).status, 200);
        cluster.nodes[old].process().pause();
        let others: Vec<usize> = (0..3).filter(|node| *node != old).collect();
        let value = format!("after {round}");
        wait_until("a write without the leader that hangs", PATIENCE, || {
            let mut client = cluster.nodes[others[round % 2]].client();
            let answer = client.request("POST", "/key/a?timeout=3s", value.as_bytes()).ok()?;
            (answer.status == 200).then_some(())
        });
        cluster.nodes[old].process().resume();
        assert_eq!(through_old.get("/key/a").text(), value, "the old leader's first answer");
    }
}

/// The names of a node's checkpoints, which tell the log's index and term that each reaches to. Runs are shared by
/// several.
fn checkpoints(node: &Node) -> BTreeSet<OsString> {
    let folder = std::fs::read_dir(node.data_dir().join("snaps")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".snap")).collect()
}

/// Writes through one node, with 16 clients that have a key each, until `done` gives something. Returns each client's
/// last value.
fn write_until(address: SocketAddr, done: impl FnMut() -> Option<()>) -> Vec<String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let write = |client: usize| {
            let mut connection = Client::new(address);
            let mut number = 0;
            loop {
                number += 1;
                let value = format!("{number:VALUE_BYTES$}");
                assert_eq!(connection.post(&format!("/key/large-{client}"), value.as_bytes()).status, 200);
                if stop.load(Ordering::Relaxed) {
                    return value;
                }
            }
        };
        let writers: Vec<_> = (0..16).map(|client| scope.spawn(move || write(client))).collect();
        wait_until("enough writes", LOAD_LIMIT, done);
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

/// The follower's log ends where the others' begins, so only a checkpoint can bring it back.
#[test]
fn a_follower_that_missed_a_compacted_log_is_brought_back_by_a_checkpoint() {
    // All checkpoints are kept, so that the one that was handed over can be recognised.
    let flags = ["--snapshot-entries", "200", "--keep-snapshots", "1000"];
    let mut cluster = Cluster::start_with(QUORATE, 3, &flags);
    let late = cluster.follower();
    assert_eq!(cluster.nodes[late].client().post("/key/before", b"kept").status, 200);
    cluster.nodes[late].kill();

    let leader = cluster.leader();
    let last = cluster.nodes[leader].status().unwrap()["last"].as_u64().unwrap();
    let written = write_until(cluster.nodes[leader].http(), || {
        let checkpoint = cluster.nodes[leader].status()?["snapshot"].as_u64()?;
        (checkpoint > last + KEPT_ENTRIES + SENT_AHEAD).then_some(())
    });

    cluster.nodes[late].start(&[]);
    cluster.nodes[late].wait_until_led();
    cluster.wait_until_caught_up(late);
    let shared = checkpoints(&cluster.nodes[late]).intersection(&checkpoints(&cluster.nodes[leader])).count();
    assert!(
        shared > 0,
        "it has no checkpoint of the leader's, so it must have read the log that should be gone"
    );
    let mut client = cluster.nodes[late].client();
    assert_eq!(client.get("/key/before?consistency=stale").text(), "kept");
    for (number, value) in written.iter().enumerate() {
        assert_eq!(client.get(&format!("/key/large-{number}?consistency=stale")).text(), *value);
    }

    // It counts again: with another node down, writes need it.
    let other = (0..3).find(|node| *node != late && *node != leader).unwrap();
    cluster.nodes[other].kill();
    assert_eq!(client.post("/key/after", b"1").status, 200);
}
