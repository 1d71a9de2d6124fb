//! `cargo sim` as its users see it.

use std::path::PathBuf;
use std::process::{Command, Output};

use quorate_node::raft::trace::Line;
use quorate_sim::{Fault, Plan, Scenario, Timed};

/// Runs it in a folder for tests: it saves smaller plans below the one that it runs in.
fn sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.output().expect("the binary that was built runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hash(output: &Output) -> String {
    let text = text(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("trace hash: "));
    line.unwrap_or_else(|| panic!("no hash in {text}")).to_owned()
}

fn saved(name: &str, plan: &Plan) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, plan.to_string()).expect("a folder for tests takes a file");
    path
}

#[test]
fn one_seed_prints_a_plan_that_replays_to_the_same_hash() {
    for stack in ["core", "full"] {
        let first = sim(&["--stack", stack, "--seed", "7"]);
        assert!(first.status.success(), "{}", text(&first.stdout));
        assert_eq!(hash(&first).len(), 16);
        for jobs in ["1", "2"] {
            let again = sim(&["--stack", stack, "--seed", "7", "--jobs", jobs]);
            assert_eq!(hash(&first), hash(&again), "another process, {jobs} jobs");
        }
        let path = saved(&format!("seven-{stack}.plan"), &Plan::from_seed(7));
        let replayed = sim(&["--stack", stack, "--replay", path.to_str().unwrap()]);
        assert_eq!(hash(&first), hash(&replayed));
        assert!(text(&first.stdout).contains(&Plan::from_seed(7).to_string()));
    }
}

#[test]
fn a_campaign_ends_with_the_line_that_sums_it_up() {
    let output = sim(&["--stack", "core", "--scenario", "crash", "--seeds", "5", "--start", "3"]);
    let text = text(&output.stdout);
    assert!(output.status.success(), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("simulated 5 seeds: 5 passed, 0 failed; "), "{last}");
    assert!(
        last.contains(" events, ") && last.contains(" virtual s, ") && last.ends_with(" wall s"),
        "{last}"
    );
}

#[test]
fn json_is_a_line_a_seed_in_their_order() {
    let output = sim(&["--stack", "core", "--seeds", "6", "--start", "40", "--jobs", "3", "-o", "json"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seeds: Vec<u64> = lines.iter().map(|line| line["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [40, 41, 42, 43, 44, 45]);
    assert!(lines.iter().all(|line| line["verdict"] == "passed" && line["trace_hash"].is_string()));
}

#[test]
fn only_clusters_of_the_size_asked_for_are_run() {
    let output = sim(&["--stack", "core", "--seeds", "3", "--servers", "4", "-o", "json"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seeds: Vec<u64> = lines.iter().map(|line| line["seed"].as_u64().unwrap()).collect();
    let of_four = (0..1_000).filter(|seed| Plan::from_seed(*seed).cluster.servers == 4);
    assert_eq!(seeds, of_four.take(3).collect::<Vec<u64>>());
}

/// A cluster whose majority has lost its disks can't go on, and that is not a pass.
#[test]
fn a_failure_has_an_exit_code_a_smaller_plan_and_a_page() {
    let mut plan = Plan::new(Scenario::Calm, 1);
    plan.cluster.servers = 3;
    plan.cluster.core = vec![1, 2];
    plan.faults = [1, 2].map(|host| Timed { at_ms: 2_000, fault: Fault::LoseDisk { host } }).to_vec();
    plan.faults.push(Timed { at_ms: 1_000, fault: Fault::Kill { host: 3, for_ms: 100 } });
    let path = saved("lost.plan", &plan);
    let page = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lost.html");
    let arguments =
        ["--stack", "core", "--replay", path.to_str().unwrap(), "--trace", page.to_str().unwrap()];
    let output = sim(&arguments);
    let text = text(&output.stdout);
    assert_eq!(output.status.code(), Some(11), "{text}");
    assert!(text.contains("UNAVAILABLE: ") && text.contains("its disk is lost"), "{text}");
    assert!(text.contains("a smaller plan that fails too, 1 faults and requests instead of "), "{text}");
    assert!(text.contains("to see it again: cargo sim --stack core --replay "), "{text}");
    assert!(std::fs::read_to_string(page).unwrap().contains("UNAVAILABLE"));
}

#[test]
fn nonsense_is_refused_with_the_value_and_a_way_out() {
    let refused = |arguments: &[&str]| {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    assert!(refused(&["--seeds", "0"]).contains('0'));
    assert!(refused(&["--seed", "1", "--seeds", "2"]).contains("--seeds"));
    assert!(refused(&["--servers", "8"]).contains('8'));
    assert!(
        refused(&["--scenario", "single", "--servers", "3", "--seeds", "2"]).contains("--servers 3: 0 seeds")
    );
    assert!(refused(&["--scenario", "storm"]).contains("storm"));
    assert!(refused(&["--only", "luck"]).contains("luck"));
    assert!(refused(&["--only", "oracle", "--without", "oracle"]).contains("--without"));
    assert!(refused(&["--start", "18446744073709551615", "--seeds", "2"]).contains("18446744073709551615"));
    assert!(refused(&["--replay", "/nowhere.plan"]).contains("/nowhere.plan"));
    let mut plan = Plan::from_seed(1);
    plan.cluster.servers = 9;
    let path = saved("nine.plan", &plan);
    assert!(refused(&["--replay", path.to_str().unwrap()]).contains("1 to 7 servers, not 9"));
}

/// Who is asked changes nothing of what happens, and the steps of a core are printed as a trace has them.
#[test]
fn a_run_is_the_same_whoever_is_asked_about_it() {
    let all = sim(&["--stack", "core", "--seed", "7"]);
    for jury in [["--only", "specification"], ["--without", "specification"]] {
        let some = sim(&[["--stack", "core", "--seed", "7"].as_slice(), &jury].concat());
        assert!(some.status.success(), "{}", text(&some.stdout));
        assert_eq!(hash(&all), hash(&some));
    }
    let events = text(&sim(&["--stack", "core", "--seed", "7", "--events"]).stdout);
    let lines = events.lines().filter_map(|line| line.split_once("s trace ")?.1.parse::<Line>().ok());
    assert!(lines.count() > 1_000);
}

#[test]
fn the_scenarios_are_listed() {
    let listed = text(&sim(&["--list"]).stdout);
    assert!(Scenario::ALL.iter().all(|scenario| listed.contains(scenario.name())), "{listed}");
}
