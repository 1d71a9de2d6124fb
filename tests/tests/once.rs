//! Writes with an idempotency key, through a follower, while their leaders are killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const WRITERS: u64 = 4;
const WRITES: u64 = 150;

/// Four clients write one key each, again and again, through a follower, and in the middle the leader is killed with
/// -9. Each write is answered, for the follower repeats those whose answers were lost; and each was done once, for a
/// key's version is the number of writes that it has seen.
#[test]
fn every_write_is_answered_and_done_once_though_the_leader_is_killed() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let address = cluster.nodes[follower].http();
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let done = &done;
            scope.spawn(move || {
                let mut client = quorate_tests::http::Client::with_timeout(address, PATIENCE);
                for number in 0..WRITES {
                    let (target, name) = (format!("/key/{writer}?timeout=25s"), format!("{writer}/{number}"));
                    let value = number.to_string();
                    let headers = [("idempotency-key", &*name)];
                    let answer = client.request_with("PUT", &target, &headers, value.as_bytes()).unwrap();
                    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("a third of the writes to be done", PATIENCE, || {
            (done.load(Ordering::Relaxed) > WRITERS * WRITES / 3).then_some(())
        });
        cluster.nodes[leader].kill();
    });
    let list = cluster.nodes[follower].client().get("/keys").json();
    let keys = list["keys"].as_array().unwrap();
    assert_eq!(keys.len() as u64, WRITERS);
    for entry in keys {
        assert_eq!(entry["version"], WRITES, "{entry}: a write was done twice, or never");
    }
}
