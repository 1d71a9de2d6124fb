//! Does a cluster stay as it is? `cargo bench -p quorate-tests --bench soak [-- MINUTES]`; an hour if not told.
//!
//! Three real nodes serve 70 % of the most that the same clients got out of them before, three writes to a read.
//! Each minute one node is killed (`kill -9`), in turn the leader and a follower, and started again when the others
//! serve. Node 0 is spared: it lives from beginning to end, so what leaks slowly shows in it. Each read must give the
//! last acknowledged value, and so must every node at the end. `-- 15 100 0` is for other minutes, another share of the
//! most, and no kills. Leaves `target/soak/soak.csv`, and the same drawn as `soak.svg`.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod clients;
mod curve;
mod samples;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clients::Clients;
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use samples::{Sample, Sampler};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const BETWEEN_SAMPLES: Duration = Duration::from_secs(5);
/// Samples in a minute.
const MINUTE: usize = 12;
/// How long the most is sought.
const SEEKING: Duration = Duration::from_secs(30);
/// Until keys, histories and the log are as full as they get.
const SETTLING: Duration = Duration::from_secs(120);

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let given = |place: usize, default| numbers.get(place).copied().unwrap_or(default);
    let (minutes, percent, kills) = (given(0, 60), given(1, 70), given(2, 1) > 0);
    let folder = PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into())).join("soak");
    std::fs::create_dir_all(&folder).unwrap();

    let mut cluster = Cluster::start_named(QUORATE, 3);
    let clients = Clients::start(cluster.nodes.iter().map(|node| node.http()).collect());
    pass(SETTLING);
    let before = clients.answered();
    pass(SEEKING);
    let most = (clients.answered() - before) / SEEKING.as_secs();
    let goal = most * percent / 100;
    println!("the most: {most} requests per second; from now on {goal}; {minutes} minutes");
    clients.keep_to(goal);

    let mut sampler = Sampler::new(&clients);
    let mut samples = Vec::new();
    println!("{}", Sample::HEADER);
    for tick in 1..=usize::try_from(minutes).unwrap() * MINUTE {
        pass(sampler.until(BETWEEN_SAMPLES * u32::try_from(tick).unwrap()));
        if kills && tick % MINUTE == MINUTE / 2 {
            let minute = tick / MINUTE;
            kill_one(&mut cluster, minute, &clients);
        }
        let sample = sampler.take(&mut cluster, &clients);
        samples.push(sample);
        if tick % MINUTE == 0 {
            println!("{}", Sample::worst_of(&samples[tick - MINUTE..]));
        }
    }
    samples::save(&samples, &folder.join("soak.csv"));
    curve::draw(&samples, &folder.join("soak.svg"));
    judge(&mut cluster, clients, &samples);
}

/// In even minutes the leader, in odd ones a follower, and never node 0.
fn kill_one(cluster: &mut Cluster, minute: usize, clients: &Clients) {
    let (chosen, of_leader) = (1 + minute / 2 % 2, minute.is_multiple_of(2));
    let mut leader = cluster.leader();
    if of_leader && leader != chosen {
        let id = cluster.nodes[chosen].id();
        cluster.change(leader, "/raft/transfer", &serde_json::json!({ "ID": id }));
        wait_until("the leader to be the one that is killed", PATIENCE, || {
            leader = cluster.leader_now()?;
            (leader == chosen).then_some(())
        });
    }
    let victim = if of_leader { leader } else { (1..3).find(|&node| node != leader).unwrap() };
    cluster.nodes[victim].kill();
    let before = clients.answered();
    // More than may have been on their way.
    wait_until("the others to serve", PATIENCE, || {
        (clients.answered() > before + 4 * clients::COUNT as u64).then_some(())
    });
    cluster.nodes[victim].start(&[]);
    cluster.nodes[victim].wait_until_ready();
}

fn judge(cluster: &mut Cluster, clients: Clients, samples: &[Sample]) {
    let (ledger, counts) = clients.finish();
    for node in &mut cluster.nodes {
        node.wait_until_ready();
        let export = node.client().get("/data.json").json();
        ledger.check(&export).unwrap();
    }
    println!("{counts}; {} keys, 0 lost", ledger.keys());
    // As long as the quarter in the middle, or the last one, of the spared node's life.
    let quarter = samples.len() / 4;
    let early = &samples[quarter..2 * quarter];
    let late = &samples[samples.len() - quarter..];
    for (what, of) in samples::MEASURES {
        let mean =
            |part: &[Sample]| part.iter().map(|sample| of(&sample.nodes[0])).sum::<f64>() / part.len() as f64;
        let (early, late) = (mean(early), mean(late));
        println!(
            "node 0, {what}: {early:.1} in the second quarter, {late:.1} in the last: {:.3} times",
            late / early
        );
    }
    let rate = |part: &[Sample]| part.iter().map(|sample| sample.per_second).sum::<f64>() / part.len() as f64;
    let (early, late) = (rate(&samples[..quarter]), rate(late));
    println!(
        "requests per second: {early:.0} in the first quarter, {late:.0} in the last: {:.3} times",
        late / early
    );
}

/// Lets time pass.
fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}
