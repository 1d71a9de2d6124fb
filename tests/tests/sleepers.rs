//! A leader that hung and wakes up still thinks that it leads, and that its lease holds. What it thinks must not
//! reach a reader.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

use std::collections::BTreeMap;

use quorate_sim::trials::scaled;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Sent;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const LINEARIZABLE: &str = "/key/a?timeout=5s";
const LEASE: &str = "/key/a?timeout=5s&consistency=lease";

/// How many requests of each level wait for the leader when it wakes up.
const WAITING: usize = 16;

#[test]
fn a_leader_that_hung_serves_neither_kind_of_fresh_read_from_the_past() {
    let rounds = scaled(3);
    let mut cluster = Cluster::start(QUORATE, 3);
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for round in 0..rounds {
        let old = cluster.leader();
        let through_old = cluster.nodes[old].client();
        let before = format!("before {round}");
        assert_eq!(cluster.nodes[old].client().post("/key/a", before.as_bytes()).status, 200);
        assert_eq!(cluster.nodes[old].client().get(LEASE).text(), before, "its lease serves");
        cluster.nodes[old].process().pause();
        let after = format!("after {round}");
        let other = (old + 1 + round % 2) % 3;
        wait_until("a write without the leader that hangs", PATIENCE, || {
            let answer =
                cluster.nodes[other].client().request("POST", "/key/a?timeout=500ms", after.as_bytes());
            (answer.ok()?.status == 200).then_some(())
        });

        // They are in its sockets before it can do anything else.
        let targets = [LINEARIZABLE, LEASE];
        let waiting: Vec<(&str, Sent)> = (0..2 * WAITING)
            .map(|number| (targets[number % 2], through_old.send("GET", targets[number % 2]).unwrap()))
            .collect();
        cluster.nodes[old].process().resume();
        for (target, sent) in waiting {
            let answer = sent.answer().unwrap();
            *answers.entry(answer.status).or_default() += 1;
            assert!(answer.status != 200 || answer.text() == after, "{target} gave {}", answer.text());
        }
        // And then for a while.
        let mut client = cluster.nodes[old].client();
        for number in 0..100 {
            let answer = client.get(targets[number % 2]);
            assert_eq!((answer.status, answer.text()), (200, after.clone()), "{}", targets[number % 2]);
        }
    }
    println!("{rounds} leaders woke up; what waited for them was answered (status, count): {answers:?}");
    assert!(answers.get(&200).is_some_and(|count| *count > 0), "nothing was served: {answers:?}");
}
