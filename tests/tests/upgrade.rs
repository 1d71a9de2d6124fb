//! A cluster of an older release becomes one of this, a node at a time, while clients write; and what the older one
//! does with files that it does not know.
//!
//! The older program is named by `QUORATE_OLDER`; `tests/upgrade/run` builds one and runs this. Its files are of
//! version 1, and so stays a log that it began; with join tokens this release writes segments of version 2 and
//! manifests of version 3.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use quorate_sim::history::check_revisions;
use quorate_sim::linearizability::check;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::workload::{Working, Workload};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// The older program.
#[allow(clippy::disallowed_methods, reason = "a test is told by its environment")]
fn older() -> String {
    std::env::var("QUORATE_OLDER").expect("QUORATE_OLDER names the older program: see tests/upgrade/run")
}

/// Restarts every node as `program`, the leader last, as docs/how-to/upgrade.md says.
fn roll(cluster: &mut Cluster, program: &str) {
    let leader = cluster.leader();
    for number in (0..cluster.nodes.len()).filter(|number| *number != leader).chain([leader]) {
        let node = &mut cluster.nodes[number];
        assert_eq!(node.stop(), Some(0));
        node.run_as(program);
        node.start(&[]);
        node.wait_until_ready();
    }
}

#[test]
#[ignore = "an older release has to be built: tests/upgrade/run does"]
fn a_cluster_is_upgraded_node_by_node_under_load_and_back_as_long_as_its_files_allow() {
    let older = older();
    let mut cluster = Cluster::start(&older, 3);
    let addresses = cluster.nodes.iter().map(|node| node.http()).collect();
    let workload = Workload { addresses, clients: 16, keys: 40, seed: 3, fails_over: true };
    let working = workload.start();
    let more = |working: &Working, what: &str| {
        let (writes, _) = working.progress();
        wait_until(what, PATIENCE, || (working.progress().0 >= writes + 300).then_some(()));
    };
    more(&working, "load on the older release");
    roll(&mut cluster, QUORATE);
    more(&working, "load on this release");
    roll(&mut cluster, &older);
    more(&working, "load on the older release again");
    roll(&mut cluster, QUORATE);
    more(&working, "load at the end");
    let history = working.finish(&workload).unwrap();
    check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    check_revisions(&history).unwrap_or_else(|contradiction| panic!("{contradiction}"));

    // With a join token there are files that the older one does not know: it refuses them, and changes nothing.
    let leader = cluster.leader();
    let token = cluster.nodes[leader].client().post("/raft/join-tokens", br#"{"ttl":"10m"}"#);
    assert_eq!(token.status, 200, "{}", token.text());
    cluster.nodes[leader].client().must("PUT", "/key/last", b"kept");
    let node = &mut cluster.nodes[leader];
    assert_eq!(node.stop(), Some(0));
    node.run_as(&older);
    node.start(&[]);
    let ended = wait_until("the older release to refuse", PATIENCE, || node.ended());
    assert_eq!(ended.code(), Some(78), "{}", node.log_tail());
    node.put_down();
    node.run_as(QUORATE);
    node.start(&[]);
    node.wait_until_ready();
    assert_eq!(cluster.nodes[leader].client().get("/key/last").text(), "kept");
}
