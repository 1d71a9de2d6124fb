//! `kill -9` in the middle of things that take a while: checkpoints, a snapshot from the leader, an import, a start.
//!
//! Afterwards nobody cleans up: the nodes start again, serve, and have all that was acknowledged.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use quorate_sim::random::Random;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::harm::{files, replace_directory};
use quorate_tests::http::Client;
use quorate_tests::load::{Ledger, Load, data_json};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");
/// How many entries below a checkpoint a node keeps, for followers that are only a little late.
const KEPT_ENTRIES: u64 = 10_000;
/// Far more than it needs: a machine may be busy with other tests.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

/// How often something is killed: a sample, times the factor in `QUORATE_TRIALS`.
fn rounds(sample: u64) -> u64 {
    let factor = std::env::var("QUORATE_TRIALS").ok().and_then(|factor| factor.parse::<u64>().ok());
    sample * factor.unwrap_or(1)
}

fn load(cluster: &Cluster, seed: u64) -> Load {
    let addresses = cluster.nodes.iter().map(|node| node.http()).collect();
    Load { addresses, writers: 24, value_bytes: 1500, seed }
}

/// Lets so much time pass while others work.
fn let_pass(duration: Duration) {
    let start = Instant::now();
    wait_until("time to pass", PATIENCE, || (start.elapsed() >= duration).then_some(()));
}

/// Starts whoever was killed, and waits until all are ready and have all of the ledger.
fn all_come_back(cluster: &mut Cluster, killed: &[usize], ledger: &Ledger) {
    for &number in killed {
        cluster.nodes[number].start(&[]);
    }
    for number in 0..cluster.nodes.len() {
        let node = &mut cluster.nodes[number];
        wait_until(&format!("node {number} to be ready"), PATIENCE, || {
            assert!(node.ended().is_none(), "node {number} ended:\n{}", node.log_tail());
            node.readiness().filter(|(ready, _)| *ready)
        });
        let export = node.client().get("/data.json");
        assert_eq!(export.status, 200, "node {number}: {}", export.text());
        ledger.check(&export.json()).unwrap_or_else(|lost| panic!("node {number}: {lost}"));
    }
}

/// Whether a checkpoint is on its way to the disk.
fn is_writing_a_checkpoint(data_dir: &Path) -> bool {
    files(data_dir, "snaps", ".tmp").is_ok_and(|files| !files.is_empty())
}

#[test]
fn killed_while_checkpoints_are_written() {
    let mut cluster =
        Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "25", "--max-value-bytes", "16KiB"]);
    let (mut ledger, mut random, mut caught) = (Ledger::default(), Random::new(11), 0);
    let rounds = rounds(6);
    for round in 0..rounds {
        let loading = load(&cluster, round).start();
        loading.wait_for(random.between(50, 400), LOAD_LIMIT);
        let watched = random.below(3);
        let dir = cluster.nodes[watched].data_dir();
        let since = Instant::now();
        wait_until("a checkpoint", PATIENCE, || {
            let writes = is_writing_a_checkpoint(&dir);
            (writes || since.elapsed() > Duration::from_secs(1)).then_some(())
        });
        caught += u64::from(is_writing_a_checkpoint(&dir));
        let killed = if round % 2 == 0 { vec![watched] } else { vec![0, 1, 2] };
        killed.iter().for_each(|number| cluster.nodes[*number].kill());
        ledger.extend(loading.finish());
        all_come_back(&mut cluster, &killed, &ledger);
    }
    println!("killed in {rounds} rounds, {caught} times with half a checkpoint on disk: nothing lost");
}

/// The follower has missed so much that only a snapshot brings it back; it is killed again and again on the way.
#[test]
fn killed_while_a_snapshot_is_installed() {
    let flags = ["--snapshot-entries", "1000", "--max-value-bytes", "16KiB", "--segment-bytes", "1MiB"];
    let mut cluster = Cluster::start_with(QUORATE, 3, &flags);
    let late = cluster.follower();
    cluster.nodes[late].kill();
    let leader = cluster.leader();
    let addresses = vec![cluster.nodes[leader].http()];
    let loading = Load { addresses, writers: 48, value_bytes: 1500, seed: 1 }.start();
    wait_until("the log to be compacted", LOAD_LIMIT, || {
        let checkpoint = cluster.nodes[leader].status()?["snapshot"].as_u64()?;
        (checkpoint > KEPT_ENTRIES + 1000).then_some(())
    });
    let ledger = loading.finish();
    let kept = tempfile::tempdir().unwrap();
    let (dir, old) = (cluster.nodes[late].data_dir(), kept.path().join("old"));
    replace_directory(&dir, &old).unwrap();
    let (mut random, rounds, mut caught) = (Random::new(12), rounds(6), 0);
    for _ in 0..rounds {
        // It is late again. Nothing was written since, so the others have all that it has acknowledged; and they start
        // again, because a leader remembers how far each follower has come.
        cluster.nodes.iter_mut().for_each(|node| node.put_down());
        replace_directory(&old, &dir).unwrap();
        for other in (0..3).filter(|other| *other != late) {
            cluster.nodes[other].start(&[]);
        }
        cluster.leader();
        for _ in 0..2 {
            cluster.nodes[late].start(&[]);
            let since = Instant::now();
            wait_until("a piece of a snapshot", PATIENCE, || {
                (is_writing_a_checkpoint(&dir) || since.elapsed() > Duration::from_secs(2)).then_some(())
            });
            caught += u64::from(is_writing_a_checkpoint(&dir));
            let_pass(Duration::from_millis(random.between(0, 60)));
            cluster.nodes[late].kill();
        }
        all_come_back(&mut cluster, &[late], &ledger);
    }
    println!("killed {} times, {caught} times with a part of a snapshot on disk: nothing lost", rounds * 2);
}

#[test]
fn killed_while_data_is_imported() {
    const KEYS: usize = 1500;
    let flags = ["--max-value-bytes", "16KiB", "--segment-bytes", "256KiB", "--snapshot-entries", "30"];
    let mut cluster = Cluster::start_with(QUORATE, 3, &flags);
    let (mut ledger, mut random) = (Ledger::default(), Random::new(13));
    let (mut answered, rounds) = (0, rounds(6));
    for round in 0..rounds {
        let value = |key: usize| format!("{round}.{key}.{}", "y".repeat(key % 700));
        let pairs: Vec<_> = (0..KEYS).map(|key| (format!("import-{key:04}"), value(key))).collect();
        let (body, by) = (data_json(&pairs), cluster.nodes[random.below(3)].http());
        let importing = std::thread::spawn(move || {
            Client::new(by).request("POST", "/data.json", &body).is_ok_and(|answer| answer.status == 200)
        });
        let_pass(Duration::from_millis(random.between(0, 250)));
        let killed = if round % 2 == 0 { vec![cluster.leader()] } else { vec![0, 1, 2] };
        killed.iter().for_each(|number| cluster.nodes[*number].kill());
        let whole = importing.join().unwrap();
        answered += u64::from(whole);
        for (key, value) in pairs.clone() {
            if whole { ledger.acknowledge(key, value) } else { ledger.attempt(key, value) }
        }
        all_come_back(&mut cluster, &killed, &ledger);
        // What was cut off is done again, and then all of it is there.
        let again = cluster.nodes[0].client().post("/data.json", &data_json(&pairs));
        assert_eq!(again.status, 200, "{}", again.text());
        pairs.into_iter().for_each(|(key, value)| ledger.acknowledge(key, value));
        all_come_back(&mut cluster, &[], &ledger);
    }
    println!("{rounds} imports, of which {answered} were answered before the kill: nothing lost");
}

/// Every node is killed several times while it finds out what it has, and while it is elected or hears who was.
#[test]
fn killed_while_it_recovers() {
    let flags = ["--snapshot-entries", "200", "--max-value-bytes", "16KiB", "--segment-bytes", "128KiB"];
    let mut cluster = Cluster::start_with(QUORATE, 3, &flags);
    let (mut ledger, mut random, mut kills) = (Ledger::default(), Random::new(14), 0);
    let rounds = rounds(4);
    for round in 0..rounds {
        let loading = load(&cluster, round).start();
        loading.wait_for(600, LOAD_LIMIT);
        cluster.nodes.iter_mut().for_each(|node| node.kill());
        ledger.extend(loading.finish());
        for _ in 0..5 {
            for node in &mut cluster.nodes {
                node.start(&[]);
            }
            let mut left = vec![0, 1, 2];
            while !left.is_empty() {
                let_pass(Duration::from_millis(random.between(0, 120)));
                cluster.nodes[left.swap_remove(random.below(left.len()))].kill();
                kills += 1;
            }
        }
        all_come_back(&mut cluster, &[0, 1, 2], &ledger);
    }
    println!("killed {kills} times during a start: nothing lost");
}
