//! The promise, against real processes: leaders are killed under load, and nothing acknowledged is lost, and no read
//! lies.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

use std::time::{Duration, Instant};

use quorate_sim::history::{Operation, check_revisions, plant_stale_read};
use quorate_sim::linearizability::{Violation, check};
use quorate_sim::trials::scaled;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::workload::{Working, Workload};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// How long the load between two kills may take. Far more than it needs: a machine may be busy with other tests.
const STRETCH_LIMIT: Duration = Duration::from_secs(120);

#[test]
fn ten_killed_leaders_lose_no_acknowledged_write_and_no_read_lies() {
    let (kills, goal) = (scaled(10), scaled(20_000));
    let started = Instant::now();
    let mut cluster = Cluster::start(QUORATE, 3);
    let addresses = cluster.nodes.iter().map(|node| node.http()).collect();
    let workload = Workload { addresses, clients: 32, keys: 50, seed: 1, fails_over: false };
    let working = workload.start();

    let mut outages = Vec::new();
    for kill in 0..kills {
        wait_for_load(&working, goal * (kill + 1) / (kills + 1));
        outages.push(kill_the_leader(&mut cluster, &working));
    }
    wait_for_load(&working, goal);
    let history = working.finish(&workload).unwrap();

    judge(&history, goal);
    let longest = outages.iter().max().unwrap();
    println!("{kills} leaders killed, longest outage {longest:?}, {:?} in all", started.elapsed());
}

fn wait_for_load(working: &Working, goal: usize) {
    wait_until(&format!("{goal} writes and {goal} reads"), STRETCH_LIMIT, || {
        let (writes, reads) = working.progress();
        (writes >= goal && reads >= goal).then_some(())
    });
}

/// Kills the leader, and starts it again once another one acknowledges writes. Returns how long that took.
fn kill_the_leader(cluster: &mut Cluster, working: &Working) -> Duration {
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    let killed = Instant::now();
    let (before, _) = working.progress();
    // A few answers may still have been under way to clients: more than there are clients can only be new ones.
    wait_until("writes without the old leader", PATIENCE, || {
        (working.progress().0 > before + 64).then_some(())
    });
    let outage = killed.elapsed();
    cluster.nodes[leader].start(&[]);
    cluster.nodes[leader].wait_until_up();
    cluster.wait_until_caught_up(leader);
    outage
}

fn judge(history: &[Operation], goal: usize) {
    let writes = history.iter().filter(|operation| operation.is_acknowledged_write()).count();
    let reads = history.iter().filter(|operation| operation.is_answered_read()).count();
    assert!(writes >= goal && reads >= goal, "{writes} writes and {reads} reads");

    check(history).unwrap_or_else(|violation| panic!("{violation}"));
    let with_revision = check_revisions(history).unwrap_or_else(|contradiction| panic!("{contradiction}"));
    assert!(with_revision > writes / 2, "only {with_revision} of {writes} writes named their revision");
    println!("{writes} acknowledged writes, 0 lost; {reads} reads, 0 not linearizable");

    let mut with_a_lie = history.to_vec();
    let planted = plant_stale_read(&mut with_a_lie).expect("so long a history has an overwritten value");
    let caught = check(&with_a_lie);
    assert!(
        matches!(&caught, Err(Violation::NotLinearizable { key, .. }) if *key == history[planted].key),
        "the checker did not see that {:?} is a lie: {caught:?}",
        with_a_lie[planted]
    );
}
