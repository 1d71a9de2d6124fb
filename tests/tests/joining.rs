//! Who comes into a cluster that listens beyond loopback: nodes with a join token, each token once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Response;
use quorate_tests::ports::free_port;
use quorate_tests::program::Program;
use serde_json::{Value, json};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");
const BAD_CONFIGURATION: Option<i32> = Some(78);
const STRANGER: &str = "00000000000000000000000000000099";

/// What an open node says at its start.
const OPEN: &str = "any process on this machine may join a node";

fn make_token(cluster: &Cluster, by: usize, ttl: &str) -> String {
    let url = cluster.nodes[by].url();
    let made = Program::new(QUORATE, &["token", "join", "--ttl", ttl, "--endpoints", &url]).run();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let token = made.stdout.strip_suffix('\n').unwrap().to_owned();
    assert!(token.starts_with("qj1.") && !token.contains(char::is_whitespace), "{:?}", made.stdout);
    assert!(made.stderr.contains(&cluster_id(cluster)) && !made.stderr.contains(&token), "{}", made.stderr);
    token
}

fn cluster_id(cluster: &Cluster) -> String {
    cluster.nodes[0].client().get("/raft/members").json()["cluster"].as_str().unwrap().to_owned()
}

/// A file that holds it, for its owner alone.
fn file_of(cluster: &Cluster, name: &str, token: &str) -> PathBuf {
    let path = cluster.folder().join(name);
    fs::write(&path, format!("{token}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

/// Starts a new node that shows a token to node `by`; does not wait for it.
fn start_with(cluster: &mut Cluster, by: usize, token: &str) -> usize {
    let (url, number) = (cluster.nodes[by].url(), cluster.newcomer());
    let file = file_of(cluster, &format!("token-{number}"), token);
    cluster.nodes[number].start(&["--join", &url, "--join-token-file", file.to_str().unwrap()]);
    number
}

/// A new node that is let in by a token of its own.
fn join(cluster: &mut Cluster, by: usize) -> (usize, String) {
    let token = make_token(cluster, by, "1h");
    let number = start_with(cluster, by, &token);
    cluster.nodes[number].wait_until_led();
    cluster.wait_for_voters(number + 1);
    (number, token)
}

/// A new node with this token ends, and says why. It is taken out of the cluster's list.
#[track_caller]
fn is_turned_away(cluster: &mut Cluster, by: usize, token: &str, reasons: &[&str]) {
    let number = start_with(cluster, by, token);
    let node = &mut cluster.nodes[number];
    let code = wait_until("the newcomer to end", PATIENCE, || node.ended()).code();
    let log = node.process().stderr();
    assert_eq!(code, BAD_CONFIGURATION, "{log}");
    for reason in reasons {
        assert!(log.contains(reason), "{reason:?} is not in {log}");
    }
    let secret = token.split('.').nth(2).unwrap_or(token);
    assert!(secret.len() < 20 || !log.contains(secret), "{log}");
    cluster.nodes.pop();
}

fn add(cluster: &Cluster, at: usize, body: &Value, token: Option<&str>) -> Response {
    let headers: Vec<_> = token.map(|token| ("quorate-join-token", token)).into_iter().collect();
    let body = body.to_string();
    cluster.nodes[at]
        .client()
        .request_with("POST", "/raft/add?timeout=15s", &headers, body.as_bytes())
        .unwrap()
}

#[track_caller]
fn is_refused(response: &Response, code: &str) {
    let (status, text) = (response.status, response.text());
    assert_eq!((status, response.header("quorate-error")), (403, Some(code)), "{text}");
}

/// A join of a node that nobody runs.
fn stranger() -> Value {
    json!({ "ID": STRANGER, "Address": format!("127.0.0.1:{}", free_port()) })
}

/// The join that a node has made before.
fn again(cluster: &mut Cluster, number: usize) -> Value {
    let node = &mut cluster.nodes[number];
    json!({ "ID": node.id(), "Address": node.raft().to_string(), "URL": node.url() })
}

/// The node itself need not have it then.
#[test]
fn who_adds_a_node_by_hand_can_show_a_join_token_for_it() {
    let cluster = Cluster::start_exposed(QUORATE);
    let file = file_of(&cluster, "by-hand", &make_token(&cluster, 0, "1h"));
    let (url, nowhere) = (cluster.nodes[0].url(), format!("127.0.0.1:{}", free_port()));
    let add = |more: &[&str]| {
        Program::new(QUORATE, &[&["add", STRANGER, &nowhere, "--endpoints", &url], more].concat()).run()
    };
    let without = add(&[]);
    assert!(without.code == Some(1) && without.stderr.contains("join_token_needed"), "{}", without.stderr);
    // Nobody is there to answer the leader: the token was good.
    let with = ["--join-token-file", file.to_str().unwrap()];
    let refused = add(&with);
    assert!(refused.code == Some(1) && refused.stderr.contains("address_unreachable"), "{}", refused.stderr);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(add(&with).code, BAD_CONFIGURATION, "everybody can read it");
}

#[test]
fn a_cluster_beyond_loopback_takes_nobody_in_without_a_token_and_with_one_it_does() {
    let mut cluster = Cluster::start_exposed(QUORATE);
    is_refused(&add(&cluster, 0, &stranger(), None), "join_token_needed");
    let (url, number) = (cluster.nodes[0].url(), cluster.newcomer());
    cluster.nodes[number].start(&["--join", &url]);
    wait_until("the newcomer to be refused", PATIENCE, || {
        cluster.nodes[number].process().stderr().contains("join_token_needed").then_some(())
    });
    assert!(
        cluster.nodes[number].ended().is_none(),
        "a token may come with the next start only, but a certificate may"
    );
    cluster.nodes[number].put_down();
    let token = make_token(&cluster, 0, "1h");
    let file = file_of(&cluster, "token", &token);
    cluster.nodes[number].start(&["--join", &url, "--join-token-file", file.to_str().unwrap()]);
    cluster.nodes[number].wait_until_led();
    cluster.wait_for_voters(2);
    // It is a member, and needs no token any more.
    fs::remove_file(&file).unwrap();
    assert_eq!(cluster.nodes[number].stop(), Some(0));
    cluster.nodes[number].start(&["--join", &url, "--join-token-file", file.to_str().unwrap()]);
    cluster.nodes[number].wait_until_led();
    for number in 0..2 {
        assert!(!cluster.nodes[number].process().stderr().contains(OPEN), "this one is not");
    }
}

#[test]
fn a_token_lets_one_node_in_whoever_leads_and_whatever_restarts() {
    let mut cluster = Cluster::start_exposed(QUORATE);
    let (number, token) = join(&mut cluster, 0);
    join(&mut cluster, number);
    is_turned_away(&mut cluster, 0, &token, &["was spent by node"]);
    let body = again(&mut cluster, number);
    let holds = |cluster: &Cluster, at: usize| {
        let answer = add(cluster, at, &body, Some(&token));
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"status":"success"}"#));
        is_refused(&add(cluster, at, &stranger(), Some(&token)), "join_token_spent");
    };
    holds(&cluster, 0);
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    let other = (leader + 1) % 3;
    wait_until("another leader", PATIENCE, || cluster.leader_now().filter(|now| *now != leader));
    holds(&cluster, other);
    // From checkpoints, after all were killed.
    cluster.nodes[leader].start(&[]);
    cluster.nodes[leader].wait_until_ready();
    for node in &cluster.nodes {
        assert_eq!(node.client().post("/raft/snapshot", b"").status, 200);
    }
    (0..3).for_each(|number| cluster.nodes[number].kill());
    (0..3).for_each(|number| cluster.nodes[number].start(&[]));
    (0..3).for_each(|number| cluster.nodes[number].wait_until_led());
    holds(&cluster, other);
    is_turned_away(&mut cluster, other, &token, &["was spent by node"]);
    // Who was removed does not come back by its old token.
    let leader = cluster.leader();
    let removed = json!({ "ID": body["ID"] });
    cluster.change(leader, "/raft/remove", &removed);
    let left = (0..3).find(|at| *at != number && *at != leader).unwrap_or(leader);
    wait_until("it to be out", PATIENCE, || {
        let members = cluster.nodes[left].client().get("/raft/members").text();
        (!members.contains(body["ID"].as_str().unwrap())).then_some(())
    });
    is_refused(&add(&cluster, left, &body, Some(&token)), "join_token_spent");
}

#[test]
fn a_token_that_is_none_of_this_cluster_ends_the_node_that_shows_it() {
    let mut cluster = Cluster::start_exposed(QUORATE);
    let token = make_token(&cluster, 0, "1h");
    let other = Cluster::start_exposed(QUORATE);
    let (own, others) = (cluster_id(&cluster), cluster_id(&other));
    let strange = make_token(&other, 0, "1h");
    is_turned_away(&mut cluster, 0, &strange, &[&own, &others]);
    is_turned_away(&mut cluster, 0, &token[..60], &["cut short"]);
    is_turned_away(&mut cluster, 0, "q1.0123456789abcdef.secret", &["no join token"]);
    is_refused(&add(&cluster, 0, &stranger(), Some(&token[..60])), "join_token_invalid");
    is_refused(&add(&cluster, 0, &stranger(), Some(&strange)), "join_token_invalid");
    // What lets nobody in has spent nothing.
    let number = start_with(&mut cluster, 0, &token);
    cluster.nodes[number].wait_until_led();
}

#[test]
fn a_token_expires() {
    let mut cluster = Cluster::start_exposed(QUORATE);
    let token = make_token(&cluster, 0, "1s");
    // While it lives it is found good, and nobody answers at the address.
    let expired = wait_until("the token to expire", PATIENCE, || {
        let answer = add(&cluster, 0, &stranger(), Some(&token));
        (answer.status != 409).then_some(answer)
    });
    is_refused(&expired, "join_token_expired");
    is_turned_away(&mut cluster, 0, &token, &["has expired"]);
}

#[test]
fn the_secret_of_a_token_is_nowhere_but_where_it_was_shown() {
    let mut cluster = Cluster::start_exposed(QUORATE);
    let (number, token) = join(&mut cluster, 0);
    is_refused(&add(&cluster, 0, &stranger(), Some(&token)), "join_token_spent");
    let secret = token.split('.').nth(2).unwrap();
    for at in [0, number] {
        let recording = cluster.nodes[at].client().get("/debug/recording").body;
        assert!(!recording.windows(secret.len()).any(|part| part == secret.as_bytes()));
        for target in ["/raft/members", "/raft/status"] {
            assert!(!cluster.nodes[at].client().get(target).text().contains(secret), "{target}");
        }
        let log = cluster.nodes[at].process().stderr();
        assert!(!log.contains(secret), "{log}");
    }
    let json = ["token", "join", "-o", "json", "--endpoints", &cluster.nodes[0].url()];
    let made: Value = serde_json::from_str(&Program::new(QUORATE, &json).run().stdout).unwrap();
    assert_eq!((&made["cluster"], &made["ttl"]), (&json!(cluster_id(&cluster)), &json!("1h")));
    assert!(made["token"].as_str().unwrap().starts_with("qj1."));
}

#[test]
fn a_cluster_on_loopback_is_open_and_says_so_once() {
    let mut cluster = Cluster::start(QUORATE, 2);
    for number in 0..2 {
        let log = cluster.nodes[number].process().stderr();
        assert_eq!(log.matches(OPEN).count(), 1, "{log}");
    }
    // A token that is shown counts all the same.
    let token = make_token(&cluster, 0, "1h");
    let number = start_with(&mut cluster, 0, &token);
    cluster.nodes[number].wait_until_led();
    is_turned_away(&mut cluster, 0, &token, &["was spent by node"]);
}
