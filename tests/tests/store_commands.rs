//! The commands on more than one key, or with conditions: exit codes, what they print, and how they behave in pipes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::load::base64url;
use quorate_tests::program::{Finished, Program};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const NOT_FOUND: i32 = 3;
const PRECONDITION_FAILED: i32 = 4;

fn endpoints(cluster: &Cluster) -> String {
    cluster.nodes.iter().map(|node| node.url()).collect::<Vec<_>>().join(",")
}

fn quorate(cluster: &Cluster, arguments: &[&str]) -> Finished {
    Program::new(QUORATE, arguments).with_variable("QUORATE_ENDPOINTS", &endpoints(cluster)).run()
}

#[track_caller]
fn printed(finished: &Finished, stdout: &str) {
    let seen = (finished.code, finished.stdout.as_str());
    assert_eq!(seen, (Some(0), stdout), "{}", finished.stderr);
}

#[track_caller]
fn refused(finished: &Finished, code: i32) {
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""), "{}", finished.stderr);
}

#[track_caller]
fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"))
}

#[test]
fn conditions_hold_or_say_so_by_their_exit_code() {
    let cluster = Cluster::start(QUORATE, 3);
    printed(&quorate(&cluster, &["put", "k", "one", "--if-absent"]), "");
    refused(&quorate(&cluster, &["put", "k", "two", "--if-absent"]), PRECONDITION_FAILED);
    let seen = json(&quorate(&cluster, &["get", "k", "-o", "json"]));
    let revision = seen["mod_revision"].as_u64().unwrap().to_string();
    assert_eq!((seen["version"].as_u64(), seen["value"].as_str()), (Some(1), Some("b25l")));
    printed(&quorate(&cluster, &["put", "k", "two", "--if-match", &revision]), "");
    refused(&quorate(&cluster, &["put", "k", "three", "--if-match", &revision]), PRECONDITION_FAILED);
    printed(&quorate(&cluster, &["get", "k"]), "two");
    printed(&quorate(&cluster, &["get", "k", "--revision", &revision]), "one");
    let before = json(&quorate(&cluster, &["get", "k", "--revision", &revision, "-o", "json"]));
    assert_eq!(before, seen);
    refused(&quorate(&cluster, &["delete", "k", "--if-match", &revision]), PRECONDITION_FAILED);
    refused(&quorate(&cluster, &["get", "nothing", "-o", "json"]), NOT_FOUND);
}

#[test]
fn a_write_with_a_name_is_done_once() {
    let cluster = Cluster::start(QUORATE, 3);
    for _ in 0..2 {
        printed(&quorate(&cluster, &["put", "k", "v", "--idempotency-key", "order-1"]), "");
    }
    let seen = json(&quorate(&cluster, &["get", "k", "-o", "json"]));
    assert_eq!(seen["version"].as_u64(), Some(1), "{seen}");
    let other = quorate(&cluster, &["put", "k", "w", "--idempotency-key", "order-1"]);
    assert!(other.code == Some(1) && other.stderr.contains("idempotency_mismatch"), "{other:?}");
}

#[test]
fn transactions_are_done_whole_or_told_by_exit_code_4() {
    let cluster = Cluster::start(QUORATE, 3);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("txn.json");
    let text = r#"{"compare":[{"key":"a","target":"version","op":"=","value":0}],
        "success":[{"put":{"key":"a","value":"eA=="}},{"put":{"key":"b","value":"eQ=="}},{"get":{"key":"a"}}],
        "failure":[{"get":{"key":"b"}}]}"#;
    fs::write(&file, text).unwrap();
    let done = quorate(&cluster, &["txn", file.to_str().unwrap()]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = json(&done);
    assert_eq!(
        (done["succeeded"].as_bool(), &done["results"][2]["get"]["value"]),
        (Some(true), &"eA==".into())
    );
    let again = quorate(&cluster, &["txn", file.to_str().unwrap()]);
    assert_eq!(again.code, Some(PRECONDITION_FAILED), "{again:?}");
    let again = json(&again);
    let expected = (Some(false), &Value::from("eQ=="));
    assert_eq!((again["succeeded"].as_bool(), &again["results"][0]["get"]["value"]), expected);
    fs::write(&file, "{\"compare\":1}").unwrap();
    let bad = quorate(&cluster, &["txn", file.to_str().unwrap()]);
    assert!(bad.code == Some(1) && bad.stderr.contains("bad_json"), "{bad:?}");
}

#[test]
fn keys_go_with_their_lease_or_their_time() {
    let cluster = Cluster::start(QUORATE, 3);
    let granted = quorate(&cluster, &["lease", "grant", "1h"]);
    let lease = granted.stdout.trim();
    assert_eq!(lease.len(), 16, "{granted:?}");
    printed(&quorate(&cluster, &["put", "s/1", "x", "--lease", lease]), "");
    printed(&quorate(&cluster, &["put", "s/2", "y", "--lease", lease]), "");
    printed(&quorate(&cluster, &["put", "s/3", "z", "--ttl", "1s"]), "");
    let state = json(&quorate(&cluster, &["lease", "get", lease, "-o", "json"]));
    assert_eq!(
        (&state["ttl"], &state["keys"]),
        (&"1h".into(), &serde_json::json!(["s/1", "s/2"])),
        "{state}"
    );
    printed(&quorate(&cluster, &["lease", "keepalive", lease]), &format!("{lease}\n"));
    wait_until("the key to expire", PATIENCE, || {
        (quorate(&cluster, &["get", "s/3"]).code == Some(NOT_FOUND)).then_some(())
    });
    printed(&quorate(&cluster, &["list", "s/"]), "s/1\tx\ns/2\ty\n");
    printed(&quorate(&cluster, &["lease", "revoke", lease]), "");
    printed(&quorate(&cluster, &["list", "s/"]), "");
    refused(&quorate(&cluster, &["lease", "keepalive", lease]), NOT_FOUND);
    refused(&quorate(&cluster, &["put", "s/1", "x", "--lease", lease]), NOT_FOUND);
}

#[test]
fn many_keys_are_imported_and_listed_and_a_reader_may_have_enough() {
    const KEYS: usize = 100_000;
    let cluster = Cluster::start(QUORATE, 3);
    let folder = tempfile::tempdir().unwrap();
    let key = |number: usize| format!("many/{number:06}");
    let entries: Vec<String> = (0..KEYS)
        .map(|number| format!("\"{}\":\"{}\"", base64url(&key(number)), base64url("value")))
        .collect();
    let file = folder.path().join("data.json");
    fs::write(&file, format!("{{{}}}", entries.join(","))).unwrap();
    printed(&quorate(&cluster, &["import", file.to_str().unwrap()]), "");

    let listed = quorate(&cluster, &["list", "many/"]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), KEYS), "{}", listed.stderr);
    for (number, line) in listed.stdout.lines().enumerate() {
        assert_eq!(line, format!("{}\tvalue", key(number)));
    }
    let some = quorate(
        &cluster,
        &["list", "--start", &key(7), "--end", &key(20), "--after", &key(8), "--limit", "2", "--keys-only"],
    );
    printed(&some, &format!("{}\n{}\n", key(9), key(10)));
    let one = json(&quorate(&cluster, &["list", "many/", "--limit", "1", "-o", "json"]));
    assert_eq!((&one["key"], &one["value"]), (&key(0).into(), &STANDARD.encode("value").into()));

    let script = format!("{{ {QUORATE} list; echo $? > code; }} | head -n 2");
    let head = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("QUORATE_ENDPOINTS", endpoints(&cluster))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&head.stdout), format!("{}\tvalue\n{}\tvalue\n", key(0), key(1)));
    assert_eq!(
        (head.stderr.as_slice(), fs::read_to_string(folder.path().join("code")).unwrap().as_str()),
        (&b""[..], "0\n")
    );

    let out = folder.path().join("out.json");
    printed(&quorate(&cluster, &["export", out.to_str().unwrap()]), "");
    let exported: Value = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    assert_eq!(exported.as_object().unwrap().len(), KEYS);
}
