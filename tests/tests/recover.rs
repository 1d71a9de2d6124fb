//! Lost quorum, with real processes and real data dirs: what `docs/RECOVERY.md` says, done.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use quorate_storage::data_dir::DataDir;
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::program::{Finished, Program};
use quorate_wire::HistoryId;
use serde_json::Value;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const USAGE: i32 = 2;
const PRECONDITION: i32 = 4;
const BAD_CONFIGURATION: i32 = 78;

/// How many writes are acknowledged before the disaster.
const WRITES: usize = 200;

/// Cluster and data dirs after a disaster: nothing runs any more.
struct Ruins {
    cluster: Cluster,
    id: String,
    history: String,
}

impl Ruins {
    /// Three nodes, each with every acknowledged write; then all of them are killed.
    fn new() -> Ruins {
        let mut cluster = Cluster::start(QUORATE, 3);
        let leader = cluster.leader();
        let mut client = cluster.nodes[leader].client();
        for number in 0..WRITES {
            assert_eq!(client.post(&format!("/key/{number}"), number.to_string().as_bytes()).status, 200);
        }
        for number in 0..3 {
            cluster.wait_until_caught_up(number);
        }
        let status = cluster.nodes[leader].status().unwrap();
        let text = |name: &str| status[name].as_str().unwrap().to_owned();
        let (id, history) = (text("cluster"), text("history"));
        cluster.nodes.iter_mut().for_each(Node::kill);
        Ruins { cluster, id, history }
    }

    fn dir(&self, node: usize) -> String {
        self.cluster.nodes[node].data_dir().to_str().unwrap().to_owned()
    }

    /// Where the copy of a data dir goes.
    fn aside(&self, node: usize) -> PathBuf {
        PathBuf::from(format!("{}.before-recovery-{}", self.dir(node), &self.history[..8]))
    }

    fn plan(&self, sources: &[&str]) -> Value {
        let finished = recover(&[&["plan", "-o", "json"], sources].concat());
        assert_eq!(finished.code, Some(0), "{finished:?}");
        serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"))
    }
}

fn recover(arguments: &[&str]) -> Finished {
    Program::new(QUORATE, &[&["recover"], arguments].concat()).run()
}

#[track_caller]
fn refused(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""), "{finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in {finished:?}");
    }
}

/// All files of a data dir but its lock, with what they hold.
fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("LOCK") {
                files.push((path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The one with the longest story: everything from the disaster to a cluster of two that nobody disturbs.
#[test]
fn a_cluster_that_lost_its_quorum_serves_again_and_its_old_members_stay_out() {
    let mut ruins = Ruins::new();
    let (one, id) = (ruins.dir(1), ruins.id.clone());
    let before = content(Path::new(&one));
    let plan = ruins.plan(&[&one]);
    assert_eq!(content(Path::new(&one)), before, "a plan changes nothing");
    assert_eq!((&plan["cluster"], &plan["history"]), (&id.as_str().into(), &ruins.history.as_str().into()));
    assert_eq!((&plan["loss"], &plan["apply_to"]), (&"unknown".into(), &one.as_str().into()), "{plan}");
    let missing =
        plan["members"].as_array().unwrap().iter().filter(|member| member["found"] == false).count();
    assert_eq!(missing, 2, "{plan}");

    let applied = recover(&["apply", &one, "--confirm", &id]);
    assert!(applied.code == Some(0) && !applied.stderr.contains("warning"), "{applied:?}");
    assert_eq!(content(&ruins.aside(1)), before, "the copy is of the data dir as it was");
    let again = recover(&["apply", &one, "--confirm", &id]);
    assert!(again.code == Some(0) && again.stderr.contains("nothing to do"), "{again:?}");

    let history = serves_alone(&mut ruins);
    old_members_stay_out(&mut ruins);

    // Wiped, one is welcome.
    for old in [0, 2] {
        ruins.cluster.nodes[old].stop();
        fs::remove_dir_all(ruins.cluster.nodes[old].data_dir()).unwrap();
    }
    let url = ruins.cluster.nodes[1].url();
    ruins.cluster.nodes[0].start(&["--join", &url]);
    ruins.cluster.nodes[0].wait_until_led();
    ruins.cluster.wait_for_voters(2);
    ruins.cluster.wait_until_caught_up(0);
    let status = ruins.cluster.nodes[0].status().unwrap();
    assert_eq!(status["history"].as_str(), Some(&*history), "{status}");
    assert_eq!(ruins.cluster.nodes[0].client().get("/key/after").text(), "recovered");
}

/// Node 1, which was recovered, serves all that was acknowledged, under the history that is returned.
fn serves_alone(ruins: &mut Ruins) -> String {
    let node = &mut ruins.cluster.nodes[1];
    node.start(&[]);
    node.wait_until_led();
    let status = node.status().unwrap();
    let history = status["history"].as_str().unwrap().to_owned();
    assert_eq!(
        (&status["cluster"], &status["role"]),
        (&ruins.id.as_str().into(), &"leader".into()),
        "{status}"
    );
    assert_ne!(history, ruins.history);
    let mut client = node.client();
    for number in 0..WRITES {
        let answer = client.get(&format!("/key/{number}"));
        assert_eq!((answer.text(), answer.header("quorate-history")), (number.to_string(), Some(&*history)));
    }
    assert_eq!(client.post("/key/after", b"recovered").status, 200);
    history
}

/// The old members come back, are two of three to each other, and nothing of it reaches the recovered one.
fn old_members_stay_out(ruins: &mut Ruins) {
    let nodes = &mut ruins.cluster.nodes;
    let term = nodes[1].status().unwrap()["term"].clone();
    for old in [0, 2] {
        nodes[old].start(&[]);
    }
    for old in [0, 2] {
        nodes[old].wait_until_led();
        let answer = nodes[old].client().get("/key/after");
        assert_eq!((answer.status, answer.header("quorate-history")), (404, Some(&*ruins.history)));
    }
    wait_until("an old member to be refused", PATIENCE, || {
        let log = nodes[1].process().stderr();
        (log.contains("another history") && log.contains("refused a peer's connection")).then_some(())
    });
    wait_until("an old member to say why", PATIENCE, || {
        let logs = [nodes[0].process().stderr(), nodes[2].process().stderr()];
        logs.iter().any(|log| log.contains("another history")).then_some(())
    });
    let status = nodes[1].status().unwrap();
    assert_eq!(
        (&status["term"], &status["role"]),
        (&term, &"leader".into()),
        "nobody disturbed it: {status}"
    );
    assert_eq!(nodes[1].client().get("/key/after").text(), "recovered");

    let (old, raft) = (nodes[0].status().unwrap(), nodes[0].raft().to_string());
    let (id, url) = (old["id"].as_str().unwrap(), nodes[1].url());
    let added = Program::new(QUORATE, &["add", id, &raft, "--endpoints", &url]).run();
    assert!(added.code != Some(0) && added.stderr.contains("another history"), "{added:?}");
}

#[test]
fn what_is_not_meant_or_not_safe_is_refused() {
    let mut ruins = Ruins::new();
    // One node writes on, without the third: what two of three acknowledged, the third does not have.
    for node in [0, 1] {
        ruins.cluster.nodes[node].start(&[]);
    }
    ruins.cluster.nodes[0].wait_until_led();
    assert_eq!(ruins.cluster.nodes[0].client().post("/key/more", b"1").status, 200);
    let url = ruins.cluster.nodes[0].url();
    let (dirs, id) = ([ruins.dir(0), ruins.dir(1), ruins.dir(2)], ruins.id.clone());
    let [zero, one, two] = &dirs;

    // Live nodes.
    let plan = ruins.plan(&[two, &url]);
    assert!(plan["apply_to"].is_null() && plan["survivors"][1]["state"] == "live", "{plan}");
    let live = ruins.plan(&[zero]);
    assert_eq!(live["survivors"][0]["state"], "in-use", "{live}");
    refused(&recover(&["apply", zero, "--confirm", &id]), PRECONDITION, &["answers at"]);
    refused(&recover(&["apply", two, "--confirm", &id]), PRECONDITION, &["answers at"]);
    refused(&recover(&["apply", two, "--confirm", &id, "--survivor", &url]), PRECONDITION, &["live", &url]);
    refused(&recover(&["apply", &url, "--confirm", &id]), USAGE, &["URL"]);
    ruins.cluster.nodes[0].kill();
    ruins.cluster.nodes[1].process().pause();
    let pid = ruins.cluster.nodes[1].process().pid().to_string();
    refused(&recover(&["apply", one, "--confirm", &id]), PRECONDITION, &["in use", &pid]);
    refused(&recover(&["apply", zero, "--confirm", &id, "--survivor", one]), PRECONDITION, &["in use", &pid]);
    ruins.cluster.nodes[1].kill();

    // One that is behind.
    let plan = ruins.plan(&[two, zero]);
    assert_eq!(plan["loss"], "quorum-is-there", "two of three: {plan}");
    let lacks = &plan["survivors"][0]["lacks"][0];
    assert!(lacks["source"] == zero.as_str() && lacks["last_index"].is_u64(), "{plan}");
    refused(&recover(&["apply", two, "--confirm", &id, "--survivor", zero]), PRECONDITION, &["ahead", zero]);

    // Not the one that was meant.
    let other = "0".repeat(31) + "1";
    refused(&recover(&["apply", two, "--confirm", &other]), PRECONDITION, &[&id, &other]);
    refused(&recover(&["apply", two, "--confirm", "yes"]), USAGE, &["--confirm"]);
    refused(&recover(&["apply", two]), USAGE, &["--confirm"]);
    refused(&recover(&["plan"]), USAGE, &["DIR"]);
    let nowhere = format!("{two}-nowhere");
    let planned = recover(&["plan", two, &nowhere, "-o", "json"]);
    assert!(planned.code == Some(1) && planned.stdout.contains(two) && planned.stderr.contains(&nowhere));
    refused(&recover(&["apply", two, "--confirm", &id, "--survivor", &nowhere]), PRECONDITION, &[&nowhere]);
    assert!(!Path::new(&nowhere).exists());
    assert!(content(Path::new(two)).iter().all(|(path, _)| !path.ends_with("node.toml.tmp")));

    // One that nobody may read: it is not lost, and may be ahead.
    for name in ["a", "b"] {
        let path = Path::new(two).join("stable").join(name);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(name, path).unwrap();
    }
    let planned = recover(&["plan", zero, two, "-o", "json"]);
    assert!(planned.code == Some(1) && planned.stderr.contains("stable/a"), "{planned:?}");
    let plan: Value = serde_json::from_str(&planned.stdout).unwrap();
    assert!(plan["survivors"][1]["state"] == "unreadable" && plan["apply_to"].is_null(), "{plan}");
    refused(
        &recover(&["apply", zero, "--confirm", &id, "--survivor", two]),
        PRECONDITION,
        &["stable/a", two],
    );
}

/// Whoever is told to stop a node of a majority loses it.
#[test]
fn where_somebody_leads_there_is_nothing_to_recover() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.wait_until_caught_up(follower);
    cluster.nodes[follower].kill();
    let (url, dir) = (cluster.nodes[leader].url(), cluster.nodes[follower].data_dir());
    for sources in [&[&*url][..], &[&url, dir.to_str().unwrap()]] {
        let finished = recover(&[&["plan", "-o", "json"], sources].concat());
        let plan: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
        let notes = plan["notes"].to_string();
        assert!(notes.contains("nothing to recover") && !notes.contains("stop what is live"), "{plan}");
        assert_eq!(plan["loss"], "quorum-is-there", "{plan}");
    }
}

/// The process is killed at different moments, and run again.
#[test]
fn an_apply_that_is_killed_is_finished_by_another_one() {
    for moment in ["at once", "copying", "copied", "begun"] {
        let mut ruins = Ruins::new();
        let (dir, id) = (ruins.dir(0), ruins.id.clone());
        let node_file = Path::new(&dir).join("node.toml");
        let (before, aside) = (fs::read(&node_file).unwrap(), ruins.aside(0));
        let partial = PathBuf::from(format!("{}.partial", aside.display()));
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["recover", "apply", &dir, "--confirm", &id];
        let mut apply = Program::new(QUORATE, &arguments).start(folder.path(), "apply");
        wait_until(moment, PATIENCE, || {
            let come = match moment {
                "copying" => partial.exists() || aside.exists(),
                "copied" => aside.exists(),
                "begun" => fs::read(&node_file).unwrap() != before,
                _ => true,
            };
            come.then_some(())
        });
        apply.kill();
        // What is left can be served as it was, or not at all, or is recovered.
        let again = recover(&arguments[1..]);
        assert_eq!(again.code, Some(0), "{moment}: {again:?}");
        assert!(aside.join("node.toml").exists() && !partial.exists(), "{moment}");
        let node = &mut ruins.cluster.nodes[0];
        node.start(&[]);
        node.wait_until_led();
        assert_ne!(node.status().unwrap()["history"].as_str(), Some(&*ruins.history), "{moment}");
        let last = WRITES - 1;
        assert_eq!(node.client().get(&format!("/key/{last}")).text(), last.to_string(), "{moment}");
    }
}

/// A crash in the middle of a recovery must not let a node be served that is alone already and bears the old history.
#[test]
fn a_recovery_that_was_begun_is_finished_before_anything_is_served() {
    let mut ruins = Ruins::new();
    let (dir, id) = (ruins.dir(0), ruins.id.clone());
    let node_file = Path::new(&dir).join("node.toml");
    let mut begun = DataDir::open_for_recovery(&dir).unwrap();
    let new = HistoryId(7);
    begun.begin_recovery(new).unwrap();
    drop(begun);
    let serve = Program::new(QUORATE, &["serve", "--data-dir", &dir, "--listen", "127.0.0.1:0"]).run();
    refused(&serve, BAD_CONFIGURATION, &["quorate recover apply", &id]);
    assert!(fs::read_to_string(&node_file).unwrap().contains("recovering"));
    assert_eq!(ruins.plan(&[&dir])["survivors"][0]["state"], "recovering");
    let applied = recover(&["apply", &dir, "--confirm", &id]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let node = &mut ruins.cluster.nodes[0];
    node.start(&[]);
    node.wait_until_led();
    assert_eq!(node.status().unwrap()["history"].as_str(), Some(&*new.to_string()));
}

/// What a disk does to both files of term and vote.
fn lose_term(directory: &str) {
    for name in ["stable/a", "stable/b"] {
        fs::write(Path::new(directory).join(name), [0xa5; 512]).unwrap();
    }
}

/// Waits until a node has ended by itself, because only a recovery helps.
#[track_caller]
fn names_recover(node: &mut Node) {
    let code = node.process().wait("the node to end", PATIENCE).code();
    let said = node.process().stderr();
    assert!(code == Some(BAD_CONFIGURATION) && said.contains("quorate recover plan"), "{code:?}: {said}");
    node.kill();
}

/// Neither may vote, and nobody is left to let them in under new ids. Their logs are whole.
#[test]
fn two_that_lost_their_term_and_vote_are_recovered_from_when_the_third_is_gone() {
    let mut ruins = Ruins::new();
    let (zero, one, id) = (ruins.dir(0), ruins.dir(1), ruins.id.clone());
    ruins.cluster.nodes[2].wipe();
    [&zero, &one].iter().for_each(|dir| lose_term(dir));
    let before = content(Path::new(&one));
    for node in [0, 1] {
        ruins.cluster.nodes[node].start(&[]);
    }
    for node in [0, 1] {
        names_recover(&mut ruins.cluster.nodes[node]);
    }

    let plan = ruins.plan(&[&zero, &one]);
    assert_eq!(content(Path::new(&one)), before, "nothing has changed it yet");
    for survivor in plan["survivors"].as_array().unwrap() {
        assert_eq!((&survivor["state"], &survivor["term"]), (&"term-and-vote-lost".into(), &Value::Null));
        assert!(survivor["last_index"].as_u64().unwrap() > WRITES as u64, "{plan}");
    }
    let notes: Vec<&str> =
        plan["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    assert!(notes.iter().any(|note| note.contains("the end of its log may be missing")), "{plan}");
    let command = plan["command"].as_str().unwrap();
    assert!(
        plan["loss"] == "unknown" && command.contains("--survivor"),
        "two are there, and none counts: {plan}"
    );

    let applied = recover(&["apply", &one, "--confirm", &id, "--survivor", &zero]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let warns =
        applied.stderr.lines().any(|line| line.starts_with("warning") && line.contains("change of members"));
    assert!(warns, "{applied:?}");
    assert_eq!(content(&ruins.aside(1)), before, "the copy is of the data dir as it was");
    serves_alone(&mut ruins);
    ruins.cluster.nodes[0].wipe();
    let url = ruins.cluster.nodes[1].url();
    ruins.cluster.nodes[0].start(&["--join", &url]);
    ruins.cluster.nodes[0].wait_until_led();
    ruins.cluster.wait_for_voters(2);
}

#[test]
fn an_only_voter_that_lost_its_term_and_vote_serves_again() {
    let mut cluster = Cluster::start(QUORATE, 1);
    let node = &mut cluster.nodes[0];
    assert_eq!(node.client().post("/key/a", b"1").status, 200);
    let status = node.status().unwrap();
    node.kill();
    let dir = node.data_dir().to_str().unwrap().to_owned();
    lose_term(&dir);
    node.start(&[]);
    names_recover(node);
    let applied = recover(&["apply", &dir, "--confirm", status["cluster"].as_str().unwrap()]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    node.start(&[]);
    node.wait_until_led();
    assert_eq!(node.client().get("/key/a").text(), "1");
    let after = node.status().unwrap();
    assert!(after["history"] != status["history"] && after["cluster"] == status["cluster"], "{after}");
}
