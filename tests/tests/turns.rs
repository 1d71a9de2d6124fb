//! `quorate lock` and `quorate elect`: turns that never overlap, whoever is killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::program::{Finished, Program, Running, signal};
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const PRECONDITION_FAILED: i32 = 4;

fn program(cluster: &Cluster, arguments: &[&str]) -> Program {
    let endpoints: Vec<String> = cluster.nodes.iter().map(|node| node.url()).collect();
    Program::new(QUORATE, arguments).with_variable("QUORATE_ENDPOINTS", &endpoints.join(","))
}

fn quorate(cluster: &Cluster, arguments: &[&str]) -> Finished {
    program(cluster, arguments).run()
}

/// A holder that says so, with its token, its key and its process, and then waits to be ended.
fn waits(folder: &Path) -> String {
    let log = folder.join("holders");
    format!("echo $QUORATE_LOCK_TOKEN $QUORATE_LOCK_KEY $$ >> {}; exec sleep 100", log.display())
}

/// The holders so far: token, key, process.
fn holders(folder: &Path) -> Vec<(u64, String, u32)> {
    let text = fs::read_to_string(folder.join("holders")).unwrap_or_default();
    let holder = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0].parse().unwrap(), words[1].to_owned(), words[2].parse().unwrap())
    };
    text.lines().map(holder).collect()
}

fn wait_for_holders(folder: &Path, count: usize) -> Vec<(u64, String, u32)> {
    wait_until(&format!("holder {count}"), PATIENCE, || {
        Some(holders(folder)).filter(|holders| holders.len() >= count)
    })
}

#[test]
fn lockers_take_turns_and_never_overlap() {
    let cluster = Cluster::start(QUORATE, 3);
    let folder = tempfile::tempdir().unwrap();
    // A directory can be made by one only.
    let script =
        "mkdir held || echo overlap >> turns; echo $QUORATE_LOCK_TOKEN >> turns; sleep 0.05; rmdir held";
    let script = format!("cd {}; {script}", folder.path().display());
    let mut lockers: Vec<Running> = (0..8)
        .map(|number| {
            let arguments = ["lock", "a/name", "--ttl", "20s", "--", "sh", "-c", &script];
            program(&cluster, &arguments).start(folder.path(), &format!("locker-{number}"))
        })
        .collect();
    for locker in &mut lockers {
        let code = locker.wait("a locker to end", PATIENCE).code();
        assert_eq!(code, Some(0), "{}", locker.stderr());
    }
    let turns = fs::read_to_string(folder.path().join("turns")).unwrap();
    let tokens: Vec<u64> = turns.lines().map(|line| line.parse().expect(&turns)).collect();
    assert_eq!(tokens.len(), 8, "{turns}");
    assert!(tokens.is_sorted_by(|one, next| one < next), "tokens grow from turn to turn: {tokens:?}");
    let left = quorate(&cluster, &["list", "lock/"]);
    assert_eq!((left.code, left.stdout.as_str()), (Some(0), ""), "nothing is left of them");
}

#[test]
fn when_a_holder_is_killed_the_next_gets_the_lock_after_the_ttl() {
    let cluster = Cluster::start(QUORATE, 3);
    let folder = tempfile::tempdir().unwrap();
    let script = waits(folder.path());
    let arguments = ["lock", "name", "--ttl", "3s", "--", "sh", "-c", &script];
    let mut first = program(&cluster, &arguments).start(folder.path(), "first");
    let (first_token, _, orphan) = wait_for_holders(folder.path(), 1)[0].clone();
    let second = program(&cluster, &arguments).start(folder.path(), "second");
    let waiting = quorate(&cluster, &["lock", "name", "--wait", "0s", "--", "true"]);
    assert_eq!(waiting.code, Some(PRECONDITION_FAILED), "{waiting:?}");
    assert!(waiting.stderr.contains("held by somebody else"), "{waiting:?}");

    first.kill();
    let killed = Instant::now();
    // The holder's command knows nothing of its end: this is what the token is for.
    let (second_token, ..) = wait_for_holders(folder.path(), 2)[1].clone();
    assert!(killed.elapsed() > Duration::from_secs(1), "the lease was still kept for a while");
    assert!(second_token > first_token);
    signal("KILL", orphan);

    // SIGTERM reaches the command, and then the lock is free at once.
    second.terminate();
    let third = quorate(&cluster, &["lock", "name", "--", "sh", "-c", "exit 7"]);
    assert_eq!(third.code, Some(7), "{third:?}");
    let mut second = second;
    assert_eq!(
        second.wait("the second locker to end", PATIENCE).code(),
        Some(128 + 15),
        "{}",
        second.stderr()
    );
    let missing = quorate(&cluster, &["lock", "name", "--", "no-such-command-anywhere"]);
    assert_eq!(missing.code, Some(127), "{missing:?}");
}

#[test]
fn when_the_lock_is_lost_the_command_is_ended() {
    let cluster = Cluster::start(QUORATE, 1);
    let folder = tempfile::tempdir().unwrap();
    // It does not listen to SIGTERM, and what it starts neither.
    let script = format!("trap '' TERM; {}", waits(folder.path()));
    let arguments = ["lock", "name", "--ttl", "4s", "--", "sh", "-c", &script];
    let mut holder = program(&cluster, &arguments).start(folder.path(), "holder");
    let (token, key, process) = wait_for_holders(folder.path(), 1)[0].clone();
    let entry = quorate(&cluster, &["get", &key, "-o", "json"]);
    let entry: Value = serde_json::from_str(&entry.stdout).unwrap_or_else(|_| panic!("{entry:?}"));
    assert_eq!(entry["create_revision"].as_u64(), Some(token), "the token can be checked: {entry}");
    let lease = key.rsplit('/').next().unwrap();
    let revoked = quorate(&cluster, &["lease", "revoke", lease]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(holder.wait("the holder to end", PATIENCE).code(), Some(1));
    assert!(holder.stderr().contains("was lost, and the command was ended"), "{}", holder.stderr());
    wait_until("the command to be gone", PATIENCE, || {
        (!quorate_tests::program::is_running(process)).then_some(())
    });
}

#[test]
fn a_cluster_that_can_not_be_heard_ends_the_command_in_time() {
    let mut cluster = Cluster::start(QUORATE, 1);
    let folder = tempfile::tempdir().unwrap();
    let script = waits(folder.path());
    let arguments = ["lock", "name", "--ttl", "2s", "--", "sh", "-c", &script];
    let mut holder = program(&cluster, &arguments).start(folder.path(), "holder");
    let (.., process) = wait_for_holders(folder.path(), 1)[0].clone();
    cluster.nodes[0].process().pause();
    assert_eq!(holder.wait("the holder to end", PATIENCE).code(), Some(1));
    assert!(!quorate_tests::program::is_running(process));
    assert!(holder.stderr().contains("could not be kept alive"), "{}", holder.stderr());
    cluster.nodes[0].process().resume();
}

fn events(candidate: &Running) -> Vec<(String, String, u64)> {
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        Some((text("event"), text("value"), event["token"].as_u64().unwrap()))
    };
    candidate.stdout().lines().filter_map(event).collect()
}

#[test]
fn leaders_follow_one_another() {
    let cluster = Cluster::start(QUORATE, 3);
    let folder = tempfile::tempdir().unwrap();
    let stand = |value: &str| {
        let arguments = ["elect", "president", value, "--ttl", "3s", "-o", "json"];
        program(&cluster, &arguments).start(folder.path(), value)
    };
    let wait_for = |candidate: &Running, event: &str, value: &str| {
        wait_until(&format!("{event} {value}"), PATIENCE, || {
            let found = events(candidate).into_iter().find(|(name, who, _)| name == event && who == value);
            found.map(|(_, _, token)| token)
        })
    };
    let mut ann = stand("ann");
    let first = wait_for(&ann, "elected", "ann");
    let mut ben = stand("ben");
    assert_eq!(wait_for(&ben, "leader", "ann"), first);
    let cleo = stand("cleo");
    wait_for(&cleo, "leader", "ann");

    ann.terminate();
    assert_eq!(ann.wait("ann to end", PATIENCE).code(), Some(0), "{}", ann.stderr());
    let second = wait_for(&ben, "elected", "ben");
    assert_eq!(wait_for(&cleo, "leader", "ben"), second);
    ben.kill();
    let third = wait_for(&cleo, "elected", "cleo");
    assert!(first < second && second < third, "tokens grow: {first} {second} {third}");
    let names: Vec<String> = events(&cleo).into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(names, ["ann", "ben", "cleo"], "each leader once, in order");
}
