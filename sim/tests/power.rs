//! Power is lost at every single change that a disk makes in a scripted run, one run a change.
//!
//! A random campaign hits most of them some day. A run in which every one is hit shows, for this script, that there
//! is no moment at which it hurts.

use quorate_sim::{Asks, Fault, Jury, Options, Plan, Scenario, Shape, Stack, Timed, Verdict, run_plan};

const OPTIONS: Options = Options { stack: Stack::Core, keep_trace: false, jury: Jury::All };

/// The leader is cut off with entries that nobody else gets, another one leads, and the first comes back: its log is
/// cut and written anew, over small segments, with checkpoints in between and a snapshot for whom they leave behind.
fn script() -> Plan {
    let mut plan = Plan::new(Scenario::Calm, 1);
    plan.cluster.servers = 3;
    plan.cluster.core = vec![1, 2, 3];
    plan.cluster.faults_ms = 5_000;
    plan.knobs.segment_bytes = 16 << 10;
    plan.knobs.checkpoint_entries = 4;
    plan.knobs.keep_entries = 30;
    plan.workload.clients = vec![1, 2, 3, 4];
    plan.workload.requests = 40;
    plan.workload.put_percent = 80;
    plan.workload.pause_ms = 200;
    plan.workload.gap_ms = 0;
    plan.workload.value_bytes = 600;
    plan.workload.patience_ms = 300;
    plan.workload.asks = Asks::Anyone;
    plan.workload.auditors = 0;
    plan.faults = vec![cut(1, 500, 1_300), cut(2, 2_200, 2_500)];
    plan
}

fn cut(host: u8, at_ms: u64, for_ms: u64) -> Timed {
    let links =
        (1..=3).filter(|other| *other != host).flat_map(|other| [(host, other), (other, host)]).collect();
    Timed { at_ms, fault: Fault::Cut { shape: Shape::Isolated, links, for_ms, flaps: 1 } }
}

#[test]
fn power_may_go_at_any_change_of_a_disk() {
    // The costs that a calm plan is held to are not those of a cluster in trouble.
    let script = Plan { scenario: Scenario::Crash, ..script() };
    let calm = run_plan(&script, &OPTIONS);
    assert_eq!(calm.verdict, Verdict::Passed);
    for state in ["diverged entries are replaced", "leader change", "snapshot installed"] {
        assert!(calm.rare.of(state) > 0, "the script is to bring about: {state}; it brought {:?}", calm.rare);
    }
    let (mut runs, mut lost) = (0, 0);
    for (host, changes) in (1..).zip(&calm.disk_changes) {
        for number in 0..*changes {
            let mut plan = script.clone();
            let power = Fault::PowerLoss { host, changes: number, within_ms: 60_000, for_ms: 300 };
            plan.faults.push(Timed { at_ms: 0, fault: power });
            let report = run_plan(&plan, &OPTIONS);
            assert_eq!(
                report.verdict,
                Verdict::Passed,
                "at change {number} of host {host}; the plan:\n{plan}"
            );
            runs += 1;
            lost += u64::from(report.fired.of("power loss") == 1);
        }
    }
    assert!(runs > 300, "only {runs} changes");
    assert!(lost * 100 >= runs * 95, "only in {lost} of {runs} runs did the power go");
}
