//! A request is found by its name in the logs of the nodes that it went through, and in its answer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::ports::free_port;
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");
const NAME: &str = "x-request-id";

const VERBOSE: [&str; 2] = ["--log-level", "info,quorate_server::http=debug"];
const REFUSED: &str = "a request was refused";
const ANSWERED: &str = "a request was answered";

/// A line of a node's log that says this of the request `name`.
fn said_of(node: &mut Node, name: &str, message: &str) -> Value {
    wait_until(&format!("{name} in the log: {message}"), PATIENCE, || {
        let log = node.process().stderr();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find(|line| line["request"] == name && line["message"] == message)
    })
}

#[test]
fn a_request_is_found_in_the_logs_of_all_nodes_that_it_went_through() {
    let mut cluster = Cluster::start_with(QUORATE, 3, &VERBOSE);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let passed_on_by = cluster.nodes[follower].id();
    let mut client = cluster.nodes[follower].client();

    let given = client.request_with("PUT", "/key/a", &[(NAME, "order-17/a")], b"1").unwrap();
    assert_eq!((given.status, given.header(NAME)), (200, Some("order-17/a")));
    let made = client.must("PUT", "/key/b", b"2");
    let made = made.header(NAME).unwrap().to_owned();
    for name in ["order-17/a", &made] {
        let at_follower = said_of(&mut cluster.nodes[follower], name, ANSWERED);
        assert_eq!((&at_follower["operation"], &at_follower["status"]), (&"put".into(), &200.into()));
        assert!(at_follower.get("passed_on_by").is_none_or(Value::is_null), "{at_follower}");
        let at_leader = said_of(&mut cluster.nodes[leader], name, ANSWERED);
        assert_eq!(at_leader["passed_on_by"], passed_on_by.as_str(), "{at_leader}");
    }

    // A name that could forge lines of a log is nobody's; a refusal has one, too.
    let bad = client.request_with("GET", "/nowhere", &[(NAME, "a b")], b"").unwrap();
    assert_eq!(bad.status, 404);
    assert_ne!(bad.header(NAME).unwrap(), "a b");
    let (bad, node) = (bad.header(NAME).unwrap(), &mut cluster.nodes[follower]);
    assert_eq!(said_of(node, bad, ANSWERED)["status"], 404);
    assert_eq!(said_of(node, bad, REFUSED)["code"], "route_not_found");
}

#[test]
fn a_node_that_is_no_member_yet_names_what_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(QUORATE, folder.path().to_owned(), "newcomer", &VERBOSE);
    node.start(&["--join", &format!("http://127.0.0.1:{}", free_port())]);
    let mut client = node.client();
    let refused = wait_until("the node to answer", PATIENCE, || {
        client.request_with("PUT", "/key/a", &[(NAME, "order-18")], b"1").ok()
    });
    assert_eq!((refused.status, refused.header(NAME)), (503, Some("order-18")));
    assert_eq!(said_of(&mut node, "order-18", REFUSED)["code"], "no_leader");
    let answered = said_of(&mut node, "order-18", ANSWERED);
    assert_eq!((&answered["operation"], &answered["status"]), (&"put".into(), &503.into()));
}
