//! Terraform's `http` backend: the requests that it makes, sent by curl to a leader and to a follower.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use quorate_sim::trials::skip;
use quorate_tests::cluster::Cluster;
use quorate_tests::style::repository;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

#[test]
fn terraform_keeps_its_state_and_its_lock() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("terraform_keeps_its_state_and_its_lock", "curl is not installed");
    }
    let mut cluster = Cluster::start(QUORATE, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let script = repository().join("tests/fixtures/terraform/backend.sh");
    for (name, [one, other]) in [("a", [leader, follower]), ("b", [follower, leader])] {
        let address = |node: usize| format!("{}/key/terraform/{name}", cluster.nodes[node].url());
        let ran = Command::new("sh").arg(&script).args([address(one), address(other)]).output().unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{wrong}\nafter {said}");
        assert_eq!(said.lines().count(), 19, "{said}");
    }

    // A lock is replicated as everything else is.
    let info = br#"{"ID":"alice"}"#;
    let mut client = cluster.nodes[follower].client();
    assert_eq!(client.must("LOCK", "/key/terraform/c", info).status, 200);
    cluster.nodes[leader].kill();
    let answer = client.must("LOCK", "/key/terraform/c?timeout=20s", br#"{"ID":"bob"}"#);
    assert_eq!((answer.status, &*answer.text()), (423, r#"{"ID":"alice"}"#));
}
