//! Clusters that become others while they serve, and nodes that have to go.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::program::Program;
use quorate_tests::verdict::{demand_linearizable, errors, longest_gap};
use quorate_tests::workload::Workload;
use serde_json::{Value, json};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// How long the load between two changes may take. Far more than it needs: a machine may be busy with other tests.
const STRETCH_LIMIT: Duration = Duration::from_secs(60);

fn addresses(nodes: &[Node]) -> Vec<SocketAddr> {
    nodes.iter().map(Node::http).collect()
}

fn ids(nodes: &mut [Node]) -> Vec<String> {
    nodes.iter_mut().map(Node::id).collect()
}

/// The ids of the members, as node `by` sees them.
fn members(cluster: &Cluster, by: usize) -> BTreeSet<String> {
    let answer = cluster.nodes[by].client().get("/raft/members").json();
    let ids = answer["members"].as_array().unwrap().iter().map(|member| member["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

fn cli(arguments: &[&str], endpoint: &str) -> (Option<i32>, String, String) {
    let arguments = [arguments, &["--endpoints", endpoint]].concat();
    let finished = Program::new(QUORATE, &arguments).run();
    (finished.code, finished.stdout, finished.stderr)
}

#[track_caller]
fn succeeds(arguments: &[&str], endpoint: &str) {
    let (code, _, stderr) = cli(arguments, endpoint);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
}

#[test]
fn three_become_five_become_three_become_three_others_under_load() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let workload =
        Workload { addresses: addresses(&cluster.nodes), clients: 32, keys: 50, seed: 5, fails_over: true };
    let working = workload.start();
    let mut times = Vec::new();
    working.wait_for_writes(300, STRETCH_LIMIT);

    let began = working.now();
    for count in [4, 5] {
        cluster.join(0);
        cluster.wait_for_voters(count);
    }
    times.push(("3 to 5 by joins", began, working.now()));
    working.turn_to(addresses(&cluster.nodes));
    working.wait_for_writes(300, STRETCH_LIMIT);

    // The leader is among those who leave.
    let leader = cluster.leader();
    cluster.nodes.swap(0, leader);
    let all = ids(&mut cluster.nodes);
    working.turn_to(addresses(&cluster.nodes[2..]));
    let began = working.now();
    cluster.change(1, "/raft/members", &json!({ "voters": all[2..], "learners": [] }));
    times.push(("5 to 3, one call", began, working.now()));
    working.wait_for_writes(300, STRETCH_LIMIT);
    assert_eq!(members(&cluster, 2), all[2..].iter().cloned().collect());
    cluster.nodes.drain(..2).for_each(|mut node| node.kill());

    let old = ids(&mut cluster.nodes);
    for count in [4, 5, 6] {
        cluster.join(0);
        cluster.wait_for_voters(count);
    }
    let new = ids(&mut cluster.nodes[3..]);
    // As learners first, so that the last step is between two sets without a common node.
    cluster.change(1, "/raft/members", &json!({ "voters": old, "learners": new }));
    working.turn_to(addresses(&cluster.nodes[3..]));
    working.wait_for_writes(300, STRETCH_LIMIT);
    let began = working.now();
    cluster.change(1, "/raft/members", &json!({ "voters": new, "learners": [] }));
    times.push(("3 to 3 others, one call", began, working.now()));
    cluster.nodes.drain(..3).for_each(|mut node| node.kill());
    working.wait_for_writes(300, STRETCH_LIMIT);
    assert_eq!(members(&cluster, 0), new.iter().cloned().collect());

    let last = Workload { addresses: addresses(&cluster.nodes), ..workload };
    let history = working.finish(&last).unwrap();
    demand_linearizable(&history);
    let (refused, unknown) = errors(&history);
    println!("{} operations, {refused} errors, {unknown} unknown", history.len());
    for (what, from, to) in times {
        println!("{what}: longest gap between writes {:?}", longest_gap(&history, from, to));
    }
    assert_eq!(refused, 0);
}

#[test]
fn a_wiped_node_takes_the_place_of_its_former_self() {
    let mut cluster = Cluster::start(QUORATE, 3);
    assert_eq!(cluster.nodes[0].client().post("/key/a", b"1").status, 200);
    // A follower first, then a leader, at once after its end, when it still counts as heard.
    for wiped in [cluster.follower(), cluster.leader()] {
        let former = cluster.nodes[wiped].id();
        let others: Vec<usize> = (0..3).filter(|node| *node != wiped).collect();
        let url = cluster.nodes[others[0]].url();
        cluster.nodes[wiped].kill();
        cluster.nodes[wiped].wipe();
        cluster.nodes[wiped].start(&["--join", &url]);
        cluster.nodes[wiped].wait_until_led();
        cluster.wait_for_voters(3);
        let id = cluster.nodes[wiped].id();
        assert_ne!(id, former);
        let seen = members(&cluster, others[1]);
        assert!(seen.contains(&id) && !seen.contains(&former) && seen.len() == 3, "{seen:?}");
        cluster.wait_until_caught_up(wiped);
        assert_eq!(cluster.nodes[wiped].client().get("/key/a?consistency=stale").text(), "1");

        // The answer may have been lost: asking again changes nothing.
        let index = |node: &Node| node.client().get("/raft/members").json()["index"].clone();
        let before = index(&cluster.nodes[others[0]]);
        let again = json!({ "ID": id, "Address": cluster.nodes[wiped].raft().to_string() });
        cluster.change(others[1], "/raft/add", &again);
        assert_eq!(index(&cluster.nodes[others[0]]), before);
    }
    // It votes: with another node down, writes need it.
    let down = cluster.follower();
    cluster.nodes[down].kill();
    let up = (down + 1) % 3;
    assert_eq!(cluster.nodes[up].client().post("/key/a", b"2").status, 200);
}

#[test]
fn an_address_where_its_owner_answers_is_nobody_else_s() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let owner = cluster.nodes[1].id();
    let stranger = format!("{:032x}", 7);
    let body = json!({ "ID": stranger, "Address": cluster.nodes[1].raft().to_string() }).to_string();
    let answer = cluster.nodes[2].client().post("/raft/add", body.as_bytes());
    assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("address_in_use")));
    let text = answer.text();
    assert!(text.contains(&owner) && text.contains(&stranger), "both are named: {text}");
}

#[test]
fn a_removed_node_says_so_and_disturbs_nobody() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let (removed, id) = (cluster.follower(), cluster.follower());
    let id = cluster.nodes[id].id();
    let left: Vec<usize> = (0..3).filter(|node| *node != removed).collect();
    let endpoint = cluster.nodes[left[0]].url();
    assert_eq!(cli(&["remove", &id], &endpoint), (Some(0), String::new(), String::new()));
    let (code, _, stderr) = cli(&["remove", &id], &endpoint);
    assert_eq!(code, Some(3), "{stderr}");
    let term = |cluster: &Cluster| cluster.nodes[left[0]].status().unwrap()["term"].clone();
    let before = term(&cluster);

    for restarted in [false, true] {
        if restarted {
            assert_eq!(cluster.nodes[removed].stop(), Some(0));
            cluster.nodes[removed].start(&[]);
            cluster.nodes[removed].wait_until_up();
        }
        let ready = wait_until("the removed node to know", PATIENCE, || {
            let ready = cluster.nodes[removed].client().get("/readyz?verbose").json();
            (ready["checks"]["membership"]["status"] == "failed").then_some(ready)
        });
        let detail = ready["checks"]["membership"]["detail"].as_str().unwrap();
        assert!(detail.contains("the cluster has 2 others") && detail.contains("--join"), "{detail}");
        assert_eq!(cluster.nodes[removed].status().unwrap()["role"], "learner");
        let log = cluster.nodes[removed].log_tail();
        assert!(log.contains("is no member of its cluster any more"), "{log}");
    }
    // It may pass on what it is asked, or say that it can't.
    let answer = cluster.nodes[removed].client().post("/key/a?timeout=500ms", b"1");
    let expected = answer.status == 200 || (answer.status == 503 && answer.json()["code"] == "no_leader");
    assert!(expected, "{} {}", answer.status, answer.text());
    assert_eq!(cluster.nodes[left[0]].client().post("/key/a", b"2").status, 200);
    assert_eq!(term(&cluster), before, "it called no election");
}

#[test]
fn a_node_that_was_removed_while_it_was_down_is_not_ready_and_disturbs_nobody() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let removed = cluster.follower();
    let left = (removed + 1) % 3;
    let id = cluster.nodes[removed].id();
    cluster.nodes[removed].kill();
    cluster.change(left, "/raft/remove", &json!({ "ID": id }));
    cluster.nodes[removed].start(&[]);
    let term = |cluster: &Cluster| cluster.nodes[left].status().unwrap()["term"].clone();
    let before = term(&cluster);
    cluster.nodes[removed].wait_until_up();
    // When it is back soon its leader tells it; later nobody answers it.
    wait_until("the removed node to see that it is out, or alone", PATIENCE, || {
        let checks = cluster.nodes[removed].client().get("/readyz?verbose").json()["checks"].clone();
        let is_told = checks["membership"]["status"] == "failed";
        let is_alone = checks["leader"]["detail"].as_str()?.contains("is this node still a member?");
        (is_told || is_alone).then_some(())
    });
    // Longer than it takes to run for office.
    cluster.nodes[removed].client().get("/key/a?timeout=3s");
    assert_eq!(cluster.nodes[removed].client().get("/readyz").status, 503);
    assert_eq!(cluster.nodes[left].client().post("/key/a", b"1").status, 200);
    assert_eq!(term(&cluster), before, "it was elected by nobody");
}

#[test]
fn dead_voters_are_removed_when_asked_for_and_never_below_the_least() {
    let flags = ["--remove-dead-voters-after", "1s", "--min-voters", "3"];
    let mut cluster = Cluster::start_with(QUORATE, 4, &flags);
    let dead = cluster.follower();
    cluster.nodes[dead].kill();
    cluster.wait_for_voters(3);
    // Of three one more may die, and stays.
    let leader = cluster.leader();
    let next = (0..4).find(|node| *node != dead && *node != leader).unwrap();
    let id = cluster.nodes[next].id();
    cluster.nodes[next].kill();
    let killed = Instant::now();
    let long_enough = Duration::from_secs(3);
    wait_until("its time to be over", PATIENCE, || (killed.elapsed() > long_enough).then_some(()));
    assert!(members(&cluster, leader).contains(&id));
    assert_eq!(cluster.nodes[leader].client().post("/key/a", b"1").status, 200);
}

#[test]
fn the_command_line_changes_members_by_id_and_by_name() {
    let mut cluster = Cluster::start_named(QUORATE, 3);
    let ids = ids(&mut cluster.nodes);
    let endpoint = cluster.nodes[0].url();
    let leader_is = |cluster: &Cluster, number| assert_eq!(cluster.leader(), number);
    succeeds(&["transfer", "node-1"], &endpoint);
    leader_is(&cluster, 1);
    succeeds(&["transfer", &ids[2]], &endpoint);
    leader_is(&cluster, 2);
    succeeds(&["transfer"], &endpoint);
    assert_ne!(cluster.leader(), 2);

    let set = ["members", "set", "--voters", "node-0", "--learners", "node-1,node-2"];
    succeeds(&set, &endpoint);
    let (_, shown, _) = cli(&["members", "-o", "json"], &endpoint);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let role =
        |number: usize| shown["members"].as_array().unwrap().iter().find(|m| m["id"] == ids[number].as_str());
    let roles: Vec<&Value> = (0..3).map(|number| &role(number).unwrap()["role"]).collect();
    assert_eq!(roles, [&json!("voter"), &json!("learner"), &json!("learner")]);

    succeeds(&["promote", "node-1"], &endpoint);
    let (code, _, stderr) = cli(&["remove", "nobody"], &endpoint);
    assert!(code == Some(3) && stderr.contains("\"nobody\""), "{stderr}");
    succeeds(&["remove", "node-2"], &endpoint);
    assert_eq!(members(&cluster, 0).len(), 2);
    succeeds(&["put", "k", "v"], &endpoint);
    for level in ["linearizable", "lease", "stale"] {
        assert_eq!(
            cli(&["get", "k", "--consistency", level], &endpoint),
            (Some(0), "v".into(), String::new())
        );
    }
}
