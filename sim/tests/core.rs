//! Nodes and storage under simulation: volume, every scenario, every kind of fault.

use quorate_sim::trials::scaled;
use quorate_sim::{Campaign, Jury, Plan, Report, Scenario, Stack, Verdict, run_campaign};

fn campaign(scenario: Scenario, seeds: usize, jobs: usize) -> Campaign {
    let seeds = u64::try_from(seeds).expect("a number of seeds is small");
    Campaign { scenario, stack: Stack::Core, seeds: (0..seeds).collect(), jobs, jury: Jury::All }
}

fn passes(plan: &Plan, report: &Report) {
    let again = format!("cargo sim --stack core --scenario {} --seed {}", plan.scenario.name(), plan.seed);
    assert_eq!(report.verdict, Verdict::Passed, "to see it again: {again}");
}

#[test]
fn swarms_pass_and_everything_that_can_break_does() {
    let totals = run_campaign(&campaign(Scenario::Swarm, scaled(1_000), 2), passes);
    assert_eq!(totals.missing_faults(), Vec::<&str>::new(), "no fault of these kinds had an effect");
    assert_eq!(totals.missing_states(), Vec::<&str>::new(), "these rare states never occurred");
    assert!(totals.median(|seed| seed.acknowledged) >= 200, "{}", totals.median(|seed| seed.acknowledged));
    assert!(totals.median(|seed| seed.fault_kinds) >= 3);
    assert!(totals.median(|seed| seed.leader_changes) >= 1);
}

#[test]
fn every_scenario_passes() {
    for scenario in Scenario::ALL {
        run_campaign(&campaign(scenario, scaled(12), 2), passes);
    }
}

#[test]
fn reports_do_not_depend_on_the_number_of_jobs() {
    let hashes = |jobs: usize| {
        let mut hashes = Vec::new();
        run_campaign(&campaign(Scenario::Swarm, 12, jobs), |plan, report| {
            assert!(report.events > 100, "a hash over {} events says little", report.events);
            hashes.push((plan.seed, report.trace_hash));
        });
        hashes
    };
    let (one, several) = (hashes(1), hashes(4));
    assert_eq!(one, several);
    assert!(one.windows(2).all(|pair| pair[0].1 != pair[1].1), "seeds differ");
}
