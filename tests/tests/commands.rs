//! The client commands, with their exit codes and what they write where.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::ports::free_port;
use quorate_tests::program::{Finished, Program, Running};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const NOT_FOUND: i32 = 3;
const UNAVAILABLE: i32 = 5;

fn quorate(cluster: &Cluster, arguments: &[&str]) -> Finished {
    // The node that is not there shows that the next one is asked.
    let endpoints: Vec<String> = std::iter::once(format!("http://127.0.0.1:{}", free_port()))
        .chain(cluster.nodes.iter().map(|node| node.url()))
        .collect();
    Program::new(QUORATE, arguments).with_variable("QUORATE_ENDPOINTS", &endpoints.join(",")).run()
}

#[track_caller]
fn printed(finished: &Finished, stdout: &str) {
    let seen = (finished.code, finished.stdout.as_str());
    assert_eq!(seen, (Some(0), stdout), "{}", finished.stderr);
}

#[test]
fn values_are_written_read_and_deleted() {
    let cluster = Cluster::start(QUORATE, 3);
    printed(&quorate(&cluster, &["put", "greeting", "hello"]), "");
    printed(&quorate(&cluster, &["get", "greeting"]), "hello");
    printed(&quorate(&cluster, &["put", "a key/with?odd%bytes", "x"]), "");
    printed(&quorate(&cluster, &["get", "a key/with?odd%bytes"]), "x");
    printed(&quorate(&cluster, &["delete", "greeting"]), "");
    printed(&quorate(&cluster, &["delete", "greeting"]), "");
    let missing = quorate(&cluster, &["get", "greeting"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(NOT_FOUND), ""), "{missing:?}");
    assert!(missing.stderr.contains("greeting"), "{missing:?}");
}

#[test]
fn a_cluster_that_does_not_answer_is_unavailable() {
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    for arguments in [&["get", "a"][..], &["put", "a", "b"], &["delete", "a"], &["members"]] {
        let arguments = [arguments, &["--endpoints", &nowhere, "--timeout", "1s"]].concat();
        let finished = Program::new(QUORATE, &arguments).run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(UNAVAILABLE), ""), "{finished:?}");
        assert!(finished.stderr.contains(&nowhere), "{finished:?}");
    }
}

#[test]
fn the_cluster_is_shown_as_a_table_and_as_json() {
    let cluster = Cluster::start(QUORATE, 3);
    let members = quorate(&cluster, &["members", "-o", "json"]);
    let members: Value = serde_json::from_str(&members.stdout).unwrap_or_else(|_| panic!("{members:?}"));
    assert_eq!(members["members"].as_array().map(Vec::len), Some(3), "{members}");
    let table = quorate(&cluster, &["members"]);
    for node in &cluster.nodes {
        assert!(table.stdout.contains(&node.raft().to_string()), "{table:?}");
    }
    let first = cluster.nodes[0].url();
    let status = Program::new(QUORATE, &["status", "--endpoints", &first, "-o", "json"]).run();
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.contains("\"commit\""), "{status:?}");
    let version = Program::new(QUORATE, &["version"]).run();
    assert!(version.code == Some(0) && version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
}

#[test]
fn a_status_that_is_watched_goes_on_while_nodes_come_and_go() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let victim = cluster.follower();
    let folder = tempfile::tempdir().unwrap();
    let endpoints: Vec<String> = cluster.nodes.iter().map(Node::url).collect();
    let arguments = ["status", "--watch=20ms", "-o", "json", "--timeout", "500ms", "--endpoints"];
    let mut watching = Program::new(QUORATE, &[&arguments[..], &[&endpoints.join(",")]].concat())
        .start(folder.path(), "watch");
    let rounds = |watching: &Running| {
        let lines = watching.stdout();
        let whole = lines.rsplit_once('\n').map_or("", |(whole, _)| whole).to_owned();
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Vec<Value>>>()
    };
    let wait_for = |watching: &Running, nodes: usize, what: &str| {
        let behind = rounds(watching).len();
        wait_until(what, PATIENCE, || {
            rounds(watching)[behind..].iter().any(|round| round.len() == nodes).then_some(())
        });
    };
    wait_for(&watching, 3, "all nodes");
    cluster.nodes[victim].kill();
    wait_for(&watching, 2, "a node to be gone");
    assert!(watching.stderr().contains(&endpoints[victim]), "{}", watching.stderr());
    cluster.nodes[victim].start(&[]);
    wait_for(&watching, 3, "all nodes again");
    watching.terminate();
    assert!(!watching.wait("the watch to end", PATIENCE).success());
}

/// The format of the seed's file, byte for byte as Go's `json.Marshal` writes it.
#[test]
fn everything_is_exported_and_imported_in_the_seeds_format() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(QUORATE, 1);
    printed(&quorate(&cluster, &["export", "-"]), "{}");
    let data = r#"{"a2V5":"dmFsdWU=","a2V5MQ==":"dmFsdWUx","w7w_":"_-8="}"#;
    let file = folder.path().join("data.json");
    fs::write(&file, data).unwrap();
    let path = file.to_str().unwrap();
    let imported = quorate(&cluster, &["import", path]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    printed(&quorate(&cluster, &["get", "key"]), "value");
    printed(&quorate(&cluster, &["export", "-"]), data);
    let out = folder.path().join("out.json");
    printed(&quorate(&cluster, &["export", out.to_str().unwrap()]), "");
    assert_eq!(fs::read_to_string(out).unwrap(), data);

    fs::write(&file, r#"{"a2V5":"bmV3","***":"x"}"#).unwrap();
    let refused = quorate(&cluster, &["import", path]);
    assert!(refused.code.is_some_and(|code| code != 0) && refused.stderr.contains("***"), "{refused:?}");
    printed(&quorate(&cluster, &["get", "key"]), "value");
}
