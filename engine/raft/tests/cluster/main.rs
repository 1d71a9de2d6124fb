//! An in-memory cluster without a runtime: cores, disks that lose what was not finished, a network that loses,
//! doubles, delays and cuts, and virtual time. A seed becomes a plan; every event is followed by checks; in the
//! end all is healed and the cluster must come to rest.
//!
//! `QUORATE_TRIALS=<factor>` runs more seeds, `QUORATE_SEED=<seed>` one, with its trace.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod checks;
mod disk;
mod faults;
mod host;
mod liveness;
mod machine;
mod network;
mod node;
mod plan;
mod random;
mod stale;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// Seeds a shard runs when not told otherwise.
const SEEDS_A_SHARD: u64 = 200;
const SHARDS: u64 = 4;
/// Seeds that found something, and what that was.
const NOTABLE: [(u64, &str); 5] = [
    (11, "reads that waited for a former leader's answer were forgotten by the node that became leader"),
    (13, "entries were loaded that were not durable yet, and applied went back during an install"),
    (472, "a node that lost its tail asked the members it knew, and never the leader"),
    (655, "a snapshot of what was applied was refused, though it alone could stand for damaged slots"),
    (935, "a peer that lost acknowledged slots and its leader refused and probed each other without a pause"),
];
/// A shard gives up after so many failing seeds.
const MOST_FAILURES: usize = 10;

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment how much to run")]
fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("the variable holds a number"))
}

/// Runs a seed to its end: the world as it is then, or what went wrong.
fn run(seed: u64, tracing: bool) -> Result<World, String> {
    let mut world = World::new(seed, tracing);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let said = outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        format!(
            "QUORATE_SEED={seed} cargo test -p quorate-raft --test cluster -- --nocapture # at {} us: {}",
            world.now,
            text.unwrap_or_default()
        )
    });
    said.map(|()| world)
}

fn shard(number: u64) {
    if let Some(seed) = number_from_environment("QUORATE_SEED") {
        let failure = (seed % SHARDS == number).then(|| run(seed, true).err()).flatten();
        return assert!(failure.is_none(), "\n{}", failure.unwrap_or_default());
    }
    let first = number_from_environment("QUORATE_FIRST_SEED").unwrap_or(0);
    let trials = number_from_environment("QUORATE_TRIALS").unwrap_or(1);
    let seeds = (0..SEEDS_A_SHARD * trials).map(|nth| first + nth * SHARDS + number);
    let mut happened: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failures = Vec::new();
    for seed in seeds {
        match run(seed, false) {
            Ok(world) => world.counts.all().into_iter().for_each(|(what, times)| {
                *happened.entry(what).or_default() += times;
            }),
            Err(line) => failures.push(line),
        }
        if failures.len() == MOST_FAILURES {
            break;
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    println!("{happened:?}");
    assert!(happened.values().all(|times| *times >= 3), "something never came up: {happened:?}");
}

#[test]
fn seeds_of_the_first_shard_hold() {
    shard(0);
}

#[test]
fn seeds_of_the_second_shard_hold() {
    shard(1);
}

#[test]
fn seeds_of_the_third_shard_hold() {
    shard(2);
}

#[test]
fn seeds_of_the_fourth_shard_hold() {
    shard(3);
}

#[test]
fn the_same_seed_ends_in_the_same_place() {
    for seed in 1_000_000..1_000_010 {
        let end = || run(seed, false).map(|world| world.fingerprint());
        assert_eq!(end(), end(), "seed {seed}");
    }
}

#[test]
fn what_was_found_once_stays_found() {
    for (seed, story) in NOTABLE {
        let failure = run(seed, false).err();
        assert!(failure.is_none(), "{story}:\n{}", failure.unwrap_or_default());
    }
}
