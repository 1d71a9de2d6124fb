//! A request is found by its name in the logs of the nodes that it went through, and in its answer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");
const NAME: &str = "x-request-id";

/// What the log of a node says of the request `name`.
fn said_of(cluster: &mut Cluster, number: usize, name: &str) -> Value {
    wait_until(&format!("{name} in the log of node {number}"), PATIENCE, || {
        let log = cluster.nodes[number].process().stderr();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find(|line| line["request"] == name && line["message"] == "a request was answered")
    })
}

#[test]
fn a_request_is_found_in_the_logs_of_all_nodes_that_it_went_through() {
    let mut cluster = Cluster::start_with(QUORATE, 3, &["--log-level", "info,quorate_server::http=debug"]);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let passed_on_by = cluster.nodes[follower].id();
    let mut client = cluster.nodes[follower].client();

    let given = client.request_with("PUT", "/key/a", &[(NAME, "order-17/a")], b"1").unwrap();
    assert_eq!((given.status, given.header(NAME)), (200, Some("order-17/a")));
    let made = client.must("PUT", "/key/b", b"2");
    let made = made.header(NAME).unwrap().to_owned();
    for name in ["order-17/a", &made] {
        let at_follower = said_of(&mut cluster, follower, name);
        assert_eq!((&at_follower["operation"], &at_follower["status"]), (&"put".into(), &200.into()));
        assert!(at_follower.get("passed_on_by").is_none_or(Value::is_null), "{at_follower}");
        let at_leader = said_of(&mut cluster, leader, name);
        assert_eq!(at_leader["passed_on_by"], passed_on_by.as_str(), "{at_leader}");
    }

    // A name that could forge lines of a log is nobody's; a refusal has one, too.
    let bad = client.request_with("GET", "/nowhere", &[(NAME, "a b")], b"").unwrap();
    assert_eq!(bad.status, 404);
    assert_ne!(bad.header(NAME).unwrap(), "a b");
    assert_eq!(said_of(&mut cluster, follower, bad.header(NAME).unwrap())["status"], 404);
}
