//! The flight recorder, against real processes: what the survivors of a killed leader remember is replayed, and ends
//! in the same state.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use quorate_sim::{Recorded, Rerun, Verdict, replay_recording};
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::program::{Finished, Program};
use quorate_tests::workload::{Working, Workload};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// How long a part of the load may take. Far more than it needs: a machine may be busy with other tests.
const LOAD_LIMIT: Duration = Duration::from_secs(120);

fn record(node: &Node, file: &Path, more: &[&str]) -> Finished {
    let endpoint = format!("http://{}", node.http());
    let mut arguments =
        vec!["debug", "record", file.to_str().unwrap(), "--endpoint", &endpoint, "-o", "json"];
    arguments.extend(more);
    Program::new(QUORATE, &arguments).run()
}

/// Saves a recording of `node` and replays it: the same to the end. Also what the command printed.
fn replayed(node: &Node, file: &Path) -> (Value, Recorded, Rerun) {
    let finished = record(node, file, &[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("holds keys and values"), "{}", finished.stderr);
    let printed: Value = serde_json::from_str(&finished.stdout).unwrap();
    let recorded = Recorded::read(&std::fs::read(file).unwrap()).unwrap();
    let rerun = replay_recording(&recorded, true).unwrap();
    assert_eq!(rerun.verdict, Verdict::Passed);
    let hash = format!("{:016x}", rerun.state_hash);
    assert_eq!(
        (printed["state_hash"].as_str(), printed["inputs"].as_u64()),
        (Some(hash.as_str()), Some(rerun.replayed.inputs))
    );
    (printed, recorded, rerun)
}

fn wait_for_writes(working: &Working, goal: usize) {
    wait_until(&format!("{goal} writes"), LOAD_LIMIT, || (working.progress().0 >= goal).then_some(()));
}

#[test]
fn what_the_survivors_of_a_killed_leader_did_they_do_again() {
    let mut cluster = Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "1500"]);
    let addresses = cluster.nodes.iter().map(Node::http).collect();
    let workload = Workload { addresses, clients: 16, keys: 50, seed: 1, fails_over: true };
    let working = workload.start();
    wait_for_writes(&working, 3000);
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    let before = working.progress().0;
    wait_for_writes(&working, before + 500);

    let folder = tempfile::tempdir().unwrap();
    let survivors: Vec<usize> = (0..3).filter(|number| *number != leader).collect();
    let mut elections = 0;
    for number in &survivors {
        let file = folder.path().join(format!("under-load-{number}"));
        let (_, recorded, rerun) = replayed(&cluster.nodes[*number], &file);
        assert!(rerun.replayed.inputs > 500, "{} inputs", rerun.replayed.inputs);
        assert!(recorded.end().applied > rerun.begins_after);
        let shown: Vec<String> = rerun.trace.iter().map(|(_, seen)| format!("{seen:?}")).collect();
        elections += shown.iter().filter(|seen| seen.contains("BecameLeader")).count();
    }
    assert!(elections > 0, "the election after the kill is in a recording");

    // Once nothing more comes, the two that are left are in the same state, and say so.
    working.finish(&workload).unwrap();
    let states = wait_until("the survivors to be in the same state", PATIENCE, || {
        let mut states = Vec::new();
        for number in &survivors {
            let file = folder.path().join("quiet");
            let finished = record(&cluster.nodes[*number], &file, &["--overwrite"]);
            let printed: Value = serde_json::from_str(&finished.stdout).ok()?;
            states.push((printed["state_hash"].clone(), printed["revision"].clone()));
        }
        (states[0] == states[1]).then_some(states)
    });
    let (printed, _, rerun) = replayed(&cluster.nodes[survivors[0]], &folder.path().join("last"));
    assert_eq!((printed["state_hash"].clone(), printed["revision"].clone()), states[0]);
    assert_eq!(printed["state_hash"], format!("{:016x}", rerun.state_hash));
}

#[test]
fn a_recording_is_refused_where_there_is_none_and_never_takes_another_files_place() {
    let cluster = Cluster::start_with(QUORATE, 1, &["--flight-recorder-bytes", "0"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let finished = record(&cluster.nodes[0], &file, &[]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("--flight-recorder-bytes"), "{}", finished.stderr);
    assert!(!file.exists());

    std::fs::write(&file, "something else").unwrap();
    let finished = record(&cluster.nodes[0], &file, &[]);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"something else");
    let bad = Recorded::read(&std::fs::read(&file).unwrap()).unwrap_err();
    assert!(bad.to_string().contains("no recording"), "{bad}");
}
