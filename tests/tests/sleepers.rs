//! A leader that hung, or was cut off, still thinks that it leads, and that its lease holds. What it thinks must not
//! reach a reader.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate_sim::trials::scaled;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::{Client, Sent};
use quorate_tests::relay::Cut;

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

/// What a reader got and when it asked, until it is told to stop.
fn read_on(mut client: Client, target: &str, stop: &AtomicBool) -> Vec<(Instant, u16, String)> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = client.get(target);
        seen.push((asked, answer.status, answer.text()));
    }
    seen
}

#[test]
fn a_leader_that_is_cut_off_serves_neither_kind_of_fresh_read_from_the_past() {
    let (mut cluster, relays) = Cluster::start_behind_relays(QUORATE, 3);
    let mut refused = 0;
    for round in 0..scaled(3) {
        let old = cluster.leader();
        let id = cluster.nodes[old].id();
        let (before, after) = (format!("before {round}"), format!("after {round}"));
        assert_eq!(cluster.nodes[old].client().post("/key/a", before.as_bytes()).status, 200);
        let stop = AtomicBool::new(false);
        let (acknowledged, seen) = thread::scope(|scope| {
            let read = |target: &'static str| {
                let client = cluster.nodes[old].client();
                let stop = &stop;
                scope.spawn(move || read_on(client, target, stop))
            };
            let readers = [read("/key/a?timeout=300ms"), read("/key/a?timeout=300ms&consistency=lease")];
            for (number, relay) in relays.iter().enumerate() {
                relay.cut(if number == old { Cut::Everybody } else { Cut::From(id.clone()) });
            }
            let other = (old + 1 + round % 2) % 3;
            wait_until("a write without the leader that is cut off", PATIENCE, || {
                let mut client = cluster.nodes[other].client();
                let answer = client.request("POST", "/key/a?timeout=500ms", after.as_bytes());
                (answer.ok()?.status == 200).then_some(())
            });
            let acknowledged = Instant::now();
            wait_until("reads after that", PATIENCE, || {
                (acknowledged.elapsed() > Duration::from_secs(1)).then_some(())
            });
            stop.store(true, Ordering::Relaxed);
            (acknowledged, readers.map(|reader| reader.join().unwrap()))
        });
        for (asked, status, text) in seen.into_iter().flatten() {
            match status {
                200 => assert!(text == after || asked < acknowledged, "{text:?} from the past"),
                503 => refused += 1,
                other => panic!("{other} {text}"),
            }
        }
        relays.iter().for_each(|relay| relay.cut(Cut::Nobody));
        wait_until("the old leader to serve again", PATIENCE, || {
            let answer = cluster.nodes[old].client().get("/key/a?timeout=1s");
            (answer.status == 200).then(|| assert_eq!(answer.text(), after))
        });
    }
    println!("{refused} reads were refused by leaders that were cut off");
    assert!(refused > 0, "no leader was cut off");
}
