//! The whole server under simulation: hyper, the leader proxy, peer links, storage; crashes, restarts, partitions.

use std::collections::BTreeSet;

use quorate_sim::trials::scaled;
use quorate_sim::{Plan, Verdict, run_plan};

/// Runs the seeds of `range` and gives the kinds of faults that had an effect.
fn campaign(range: std::ops::Range<u64>) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    for seed in range {
        let report = run_plan(&Plan::from_seed(seed));
        let again = format!("to see it again: cargo sim --seed {seed} --events");
        assert_eq!(report.verdict, Verdict::Passed, "seed {seed}; {again}");
        assert!(!report.fired.is_empty(), "no fault of seed {seed} had an effect; {again}");
        assert!(report.acknowledged >= 20, "seed {seed} acknowledged only {}; {again}", report.acknowledged);
        kinds.extend(report.fired.into_keys());
    }
    kinds
}

#[test]
fn fifty_seeds_of_the_whole_server_lose_nothing_and_never_lie() {
    let seeds = u64::try_from(scaled(50)).unwrap();
    // Two halves at once: a simulation uses one core.
    let half = seeds / 2;
    let other = std::thread::spawn(move || campaign(half..seeds));
    let mut kinds = campaign(0..half);
    kinds.extend(other.join().expect("the other half passes too"));
    assert_eq!(kinds.len(), 7, "only these kinds of faults ever had an effect: {kinds:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 7, 11] {
        let (once, again) = (run_plan(&Plan::from_seed(seed)), run_plan(&Plan::from_seed(seed)));
        assert!(once.events > 100, "seed {seed}: a hash over {} events says little", once.events);
        let differs = once.trace.iter().zip(&again.trace).position(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed} took another course at event {differs:?}");
        assert_eq!(once, again);
    }
    assert_ne!(run_plan(&Plan::from_seed(3)).trace_hash, run_plan(&Plan::from_seed(4)).trace_hash);
}
