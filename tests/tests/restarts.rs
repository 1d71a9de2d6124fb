//! Whole clusters that stop, and nodes that come back late.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::history::{check_revisions, plant_stale_read};
use quorate_tests::linearizability::check;
use quorate_tests::workload::Workload;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// How many entries below a checkpoint a node keeps, for followers that are only a little late.
const KEPT_ENTRIES: u64 = 10_000;
/// How long it may take to write that many. Far more than it needs: a machine may be busy with other tests.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

fn workload(cluster: &Cluster, keys: usize) -> Workload {
    Workload { addresses: cluster.nodes.iter().map(|node| node.http()).collect(), clients: 32, keys, seed: 2 }
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

/// The follower's log ends where the others' begins, so only a checkpoint can bring it back.
#[test]
fn a_follower_that_missed_a_compacted_log_is_brought_back_by_a_checkpoint() {
    let mut cluster = Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "200"]);
    let late = cluster.follower();
    assert_eq!(cluster.nodes[late].client().post("/key/before", b"kept").status, 200);
    cluster.nodes[late].kill();

    let leader = cluster.leader();
    let last = cluster.nodes[leader].status().unwrap()["last"].as_u64().unwrap();
    let workload = Workload { addresses: vec![cluster.nodes[leader].http()], clients: 16, keys: 30, seed: 3 };
    let working = workload.start();
    wait_until("the log to be compacted", LOAD_LIMIT, || {
        let checkpoint = cluster.nodes[leader].status()?["snapshot"].as_u64()?;
        (checkpoint > last + KEPT_ENTRIES).then_some(())
    });
    let history = working.finish(&workload).unwrap();

    cluster.nodes[late].start(&[]);
    cluster.nodes[late].wait_until_led();
    cluster.wait_until_caught_up(late);
    let mut client = cluster.nodes[late].client();
    assert_eq!(client.get("/key/before?consistency=stale").text(), "kept");
    for key in 0..workload.keys {
        let target = format!("/key/{}", Workload::key(key));
        let mut from_leader = cluster.nodes[leader].client();
        assert_eq!(client.get(&format!("{target}?consistency=stale")).body, from_leader.get(&target).body);
    }
    check(&history).unwrap_or_else(|violation| panic!("{violation}"));

    // It counts again: with another node down, writes need it.
    let other = (0..3).find(|node| *node != late && *node != leader).unwrap();
    cluster.nodes[other].kill();
    assert_eq!(client.post("/key/after", b"1").status, 200);
}
