//! The whole server under simulation: hyper, the leader proxy, peer links, storage; all faults, all checkers.

use quorate_sim::trials::scaled;
use quorate_sim::{Counts, Jury, Options, Plan, Report, Scenario, Stack, Verdict, run_plan};

const FULL: Options = Options { stack: Stack::Full, keep_trace: false, jury: Jury::All };

/// Runs the seeds of `range`, all of which must pass.
fn campaign(scenario: Scenario, range: std::ops::Range<u64>) -> Vec<Report> {
    range
        .map(|seed| {
            let report = run_plan(&Plan::new(scenario, seed), &FULL);
            let name = scenario.name();
            let again = format!("to see it again: cargo sim --stack full --scenario {name} --seed {seed}");
            assert_eq!(report.verdict, Verdict::Passed, "{name}, seed {seed}; {again}");
            report
        })
        .collect()
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[test]
fn forty_seeds_of_the_swarm_break_much_lose_nothing_and_never_lie() {
    let seeds = u64::try_from(scaled(40)).unwrap();
    // Two halves at once: a simulation uses one core.
    let half = seeds / 2;
    let other = std::thread::spawn(move || campaign(Scenario::Swarm, half..seeds));
    let mut reports = campaign(Scenario::Swarm, 0..half);
    reports.extend(other.join().expect("the other half passes too"));
    // In hundreds of clusters it is more than 300; so few have a median that swings.
    assert!(median(reports.iter().map(|report| report.acknowledged).collect()) >= 200);
    assert!(median(reports.iter().map(|report| report.fired.kinds()).collect()) >= 3);
    let (mut fired, mut rare) = (Counts::default(), Counts::default());
    for report in &reports {
        fired.merge(&report.fired);
        rare.merge(&report.rare);
    }
    assert!(fired.kinds() >= 25, "too few kinds of faults had an effect: {fired:?}");
    assert!(rare.of("leader change") > seeds, "too few elections: {rare:?}");
    let audited =
        ["key gone by itself", "answer given again to a repeated request", "past gone that somebody wants"];
    for state in audited {
        assert!(rare.of(state) > 0, "auditors never saw a {state}: {rare:?}");
    }
}

#[test]
fn every_scenario_runs() {
    for scenario in Scenario::ALL {
        for report in campaign(scenario, 0..2) {
            assert!(report.acknowledged >= 50, "{}: {} acknowledged", scenario.name(), report.acknowledged);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let options = Options { keep_trace: true, ..FULL };
    for seed in [3, 7, 11] {
        let plan = Plan::from_seed(seed);
        let beside = plan.clone();
        let other = std::thread::spawn(move || run_plan(&beside, &options));
        let (once, again) = (run_plan(&plan, &options), other.join().expect("a run gives a report"));
        assert!(once.events > 1_000, "seed {seed}: a hash over {} events says little", once.events);
        let differs = once.trace.iter().zip(&again.trace).position(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed} took another course at event {differs:?}");
        assert_eq!(once, again);
    }
    let hash = |seed| run_plan(&Plan::from_seed(seed), &FULL).trace_hash;
    assert_ne!(hash(3), hash(4));
}
