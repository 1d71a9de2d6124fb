//! Nodes that have lost what they must not forget: each comes back by itself, as another one, or says why it can't.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use quorate_storage::data_dir::DataDir;
use quorate_storage::{FileDisk, Options, Storage};
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::harm::contents;
use quorate_tests::verdict::{demand_linearizable, errors};
use quorate_tests::workload::Workload;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const BAD_CONFIGURATION: Option<i32> = Some(78);

/// How long the load between two losses may take. Far more than it needs: a machine may be busy with other tests.
const STRETCH_LIMIT: Duration = Duration::from_secs(60);

/// What a disk does to both copies of term and vote.
fn garble(node: &Node) {
    for (file, byte) in [("stable/a", 0xa5), ("stable/b", 0x5a)] {
        fs::write(node.data_dir().join(file), [byte; 512]).unwrap();
    }
}

fn segments(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.data_dir().join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    segments.sort();
    segments
}

/// The ids of the members, as node `by` sees them.
fn members(cluster: &Cluster, by: usize) -> BTreeSet<String> {
    let answer = cluster.nodes[by].client().get("/raft/members").json();
    let ids = answer["members"].as_array().unwrap().iter().map(|member| member["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// Waits for a node that has lost its state to be a voter under a new id, and for its former self to be gone.
#[track_caller]
fn comes_back(cluster: &mut Cluster, number: usize, former: &str) {
    cluster.nodes[number].wait_until_led();
    cluster.wait_for_voters(3);
    let id = cluster.nodes[number].id();
    assert_ne!(id, former);
    let seen = members(cluster, (number + 1) % 3);
    assert!(seen.contains(&id) && !seen.contains(former), "{seen:?}");
    let lost = cluster.nodes[number].data_dir().join(format!("lost-{former}"));
    for name in ["node.toml", "VERSION"] {
        assert!(lost.join(name).exists(), "{name}");
    }
    cluster.wait_until_caught_up(number);
}

/// Waits until a node has ended by itself, and returns its exit code and what it said.
#[track_caller]
fn ends(node: &mut Node) -> (Option<i32>, String) {
    let code = node.process().wait("the node to end", PATIENCE).code();
    (code, node.process().stderr())
}

#[test]
fn a_follower_and_then_the_leader_lose_term_and_vote_under_load() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let addresses = cluster.nodes.iter().map(Node::http).collect();
    let workload = Workload { addresses, clients: 16, keys: 30, seed: 8, fails_over: true };
    let working = workload.start();
    working.wait_for_writes(300, STRETCH_LIMIT);
    for leads in [false, true] {
        let victim = if leads { cluster.leader() } else { cluster.follower() };
        let former = cluster.nodes[victim].id();
        cluster.nodes[victim].kill();
        garble(&cluster.nodes[victim]);
        cluster.nodes[victim].start(&[]);
        comes_back(&mut cluster, victim, &former);
        let lost = cluster.nodes[victim].data_dir().join(format!("lost-{former}"));
        assert_eq!(fs::read(lost.join("stable/a")).unwrap(), [0xa5; 512]);
        assert!(fs::read_dir(lost.join("log")).unwrap().count() > 0, "nothing is deleted");
        working.wait_for_writes(300, STRETCH_LIMIT);
    }
    let history = working.finish(&workload).unwrap();
    demand_linearizable(&history);
    assert_eq!(errors(&history).0, 0);
}

#[test]
fn every_other_loss_is_come_back_from_as_well() {
    let mut cluster = Cluster::start(QUORATE, 3);
    assert_eq!(cluster.nodes[0].client().post("/key/a", b"1").status, 200);
    type Lose = fn(&Node);
    let losses: [(&str, Lose); 3] = [
        ("log/ is empty", |node| segments(node).iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("stable/ is missing", |node| fs::remove_dir_all(node.data_dir().join("stable")).unwrap()),
        ("stable/ is zeros and log/ is missing", |node| {
            for file in ["stable/a", "stable/b"] {
                fs::write(node.data_dir().join(file), [0; 512]).unwrap();
            }
            fs::remove_dir_all(node.data_dir().join("log")).unwrap();
        }),
    ];
    for (what, lose) in losses {
        let victim = cluster.follower();
        let (former, url) = (cluster.nodes[victim].id(), cluster.nodes[(victim + 1) % 3].url());
        cluster.nodes[victim].kill();
        lose(&cluster.nodes[victim]);
        // Where no configuration is left to be read, the operator says whom to ask.
        let readable = what == "stable/ is missing";
        if !readable {
            let before = contents(&cluster.nodes[victim].data_dir());
            cluster.nodes[victim].start(&[]);
            let (code, said) = ends(&mut cluster.nodes[victim]);
            assert_eq!(code, BAD_CONFIGURATION, "{what}: {said}");
            assert!(said.contains("--join") && said.contains("quorate recover"), "{what}: {said}");
            assert_eq!(contents(&cluster.nodes[victim].data_dir()), before, "{what}");
            cluster.nodes[victim].kill();
        }
        let join = ["--join", url.as_str()];
        cluster.nodes[victim].start(if readable { &[] } else { &join });
        comes_back(&mut cluster, victim, &former);
        assert_eq!(cluster.nodes[victim].client().get("/key/a?consistency=stale").text(), "1", "{what}");
    }
}

/// `kill -9` whenever a step has left its trace, and once more from states in between that pass too fast to be seen.
#[test]
fn a_crash_at_any_step_is_gone_on_from() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let victim = cluster.follower();
    let node_file = cluster.nodes[victim].data_dir().join("node.toml");
    let traces: [fn(&str, bool) -> bool; 3] = [
        |node, _| node.contains("successor"),
        |_, set_aside| set_aside,
        |node, set_aside| set_aside && !node.contains("successor"),
    ];
    let former = cluster.nodes[victim].id();
    cluster.nodes[victim].kill();
    garble(&cluster.nodes[victim]);
    let lost = cluster.nodes[victim].data_dir().join(format!("lost-{former}"));
    for (number, trace) in traces.into_iter().enumerate() {
        cluster.nodes[victim].start(&[]);
        wait_until(&format!("trace {number}"), PATIENCE, || {
            trace(&fs::read_to_string(&node_file).unwrap(), lost.exists()).then_some(())
        });
        cluster.nodes[victim].kill();
    }
    cluster.nodes[victim].start(&[]);
    comes_back(&mut cluster, victim, &former);

    for steps in 1..=3 {
        let former = cluster.nodes[victim].id();
        cluster.nodes[victim].kill();
        garble(&cluster.nodes[victim]);
        let path = cluster.nodes[victim].data_dir();
        let mut dir = DataDir::open(&path).unwrap();
        let successor = format!("{steps:032x}");
        dir.begin_succession(successor.parse().unwrap()).unwrap();
        if steps >= 2 {
            dir.set_former_aside().unwrap();
        }
        if steps >= 3 {
            drop(Storage::open(FileDisk::new(&path), Options::new(1)).unwrap());
        }
        drop(dir);
        cluster.nodes[victim].start(&[]);
        comes_back(&mut cluster, victim, &former);
        assert_eq!(cluster.nodes[victim].id(), successor, "after step {steps}");
    }
}

#[test]
fn the_only_voter_is_not_replaced_by_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(QUORATE, folder.path().to_owned(), "node", &[]);
    node.start(&["--bootstrap"]);
    node.wait_until_led();
    assert_eq!(node.stop(), Some(0));
    garble(&node);
    let before = contents(&node.data_dir());
    for flags in [&[][..], &["--bootstrap"], &["--join", "http://127.0.0.1:1"]] {
        node.start(flags);
        let (code, said) = ends(&mut node);
        assert_eq!(code, BAD_CONFIGURATION, "{flags:?}: {said}");
        for word in ["stable/", "only voter", "quorate recover apply", "restore"] {
            assert!(said.contains(word), "{flags:?}: {word:?} is not named in {said}");
        }
        assert_eq!(contents(&node.data_dir()), before, "{flags:?}");
        node.kill();
    }
}

#[test]
fn two_of_three_lost_at_once_are_not_taken_in_and_name_recover() {
    let mut cluster = Cluster::start(QUORATE, 3);
    assert_eq!(cluster.nodes[0].client().post("/key/a", b"1").status, 200);
    let before = members(&cluster, 0);
    for number in 1..3 {
        cluster.nodes[number].kill();
        garble(&cluster.nodes[number]);
    }
    let left: Vec<_> = (1..3).map(|number| contents(&cluster.nodes[number].data_dir())).collect();
    // As long as the survivor takes itself for the leader, it is worth asking.
    wait_until("the survivor to know that nobody leads", PATIENCE, || {
        cluster.nodes[0].status()?["leader"].is_null().then_some(())
    });
    for number in 1..3 {
        cluster.nodes[number].start(&[]);
    }
    for number in 1..3 {
        let (code, said) = ends(&mut cluster.nodes[number]);
        assert_eq!(code, BAD_CONFIGURATION, "{said}");
        assert!(said.contains("quorate recover plan") && said.contains("no majority"), "{said}");
        assert_eq!(contents(&cluster.nodes[number].data_dir()), left[number - 1]);
    }
    let mut survivor = cluster.nodes[0].client();
    assert_eq!(survivor.post("/key/a?timeout=500ms", b"2").json()["code"], "no_leader");
    assert_eq!(survivor.get("/key/a?consistency=stale").text(), "1");
    // It has no leader to ask, and it knows as many members as before.
    let ready = survivor.get("/readyz?verbose").json();
    let detail = ready["checks"]["membership"]["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, format!("a voter of {} members", before.len()));
}

/// Files that contradict each other are no loss that a node may repair by becoming another one.
#[test]
fn an_old_copy_of_term_and_vote_is_for_a_person_to_look_at() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let victim = cluster.follower();
    let stable = cluster.nodes[victim].data_dir().join("stable");
    let old = ["a", "b"].map(|name| fs::read(stable.join(name)).unwrap());
    // A later term, and an entry of it in the victim's log.
    let (leader, successor) =
        (cluster.leader(), (0..3).find(|n| ![victim, cluster.leader()].contains(n)).unwrap());
    let id = cluster.nodes[successor].id();
    cluster.change(leader, "/raft/transfer", &serde_json::json!({ "ID": id }));
    assert_eq!(cluster.nodes[successor].client().post("/key/a", b"1").status, 200);
    cluster.wait_until_caught_up(victim);
    cluster.nodes[victim].kill();
    for (name, content) in ["a", "b"].into_iter().zip(old) {
        fs::write(stable.join(name), content).unwrap();
    }
    cluster.nodes[victim].start(&[]);
    let (code, said) = ends(&mut cluster.nodes[victim]);
    assert_eq!(code, BAD_CONFIGURATION, "{said}");
    assert!(said.contains("never went beyond term"), "{said}");
    let names = fs::read_dir(cluster.nodes[victim].data_dir()).unwrap();
    let lost =
        names.map(|name| name.unwrap().file_name()).find(|name| name.to_string_lossy().contains("lost"));
    assert_eq!(lost, None);
}

/// What stands beside term and vote says how far the log went, so a shorter one is damage.
#[test]
fn a_deleted_last_segment_is_damage_that_the_peers_repair() {
    let mut cluster = Cluster::start(QUORATE, 3);
    for number in 0..50 {
        assert_eq!(cluster.nodes[0].client().post(&format!("/key/{number}"), b"value").status, 200);
    }
    let victim = cluster.follower();
    cluster.wait_until_caught_up(victim);
    let id = cluster.nodes[victim].id();
    cluster.nodes[victim].kill();
    let files = segments(&cluster.nodes[victim]);
    assert!(files.len() > 1, "a change of members begins a segment: {files:?}");
    fs::remove_file(files.last().unwrap()).unwrap();
    let dir = cluster.nodes[victim].data_dir();
    let disk = quorate_storage::Overlay::new(FileDisk::read_only(&dir));
    let (_, found) = Storage::open(disk, Options::new(1)).unwrap();
    assert_eq!(
        found.unknown,
        Some(found.terms.last().index.next()),
        "the end of the log is lost, and it knows"
    );

    cluster.nodes[victim].start(&[]);
    cluster.nodes[victim].wait_until_led();
    cluster.wait_until_caught_up(victim);
    // Having the entries is not all: it votes once a leader has told how far its log must reach.
    cluster.nodes[victim].wait_until_ready();
    assert_eq!(cluster.nodes[victim].id(), id, "it is the same node");
    for number in 0..50 {
        let target = format!("/key/{number}?consistency=stale");
        assert_eq!(cluster.nodes[victim].client().get(&target).text(), "value");
    }
    // It votes and acknowledges again: with another node down, writes need it.
    let down = (0..3).find(|number| *number != victim).unwrap();
    cluster.nodes[down].kill();
    let up = (0..3).find(|number| ![victim, down].contains(number)).unwrap();
    assert_eq!(cluster.nodes[up].client().post("/key/a?timeout=20s", b"2").status, 200);
}

/// Whoever takes the place of another takes it wherever that one was, and is no more than that one was.
#[test]
fn a_learner_that_moved_is_replaced_by_a_learner() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let victim = cluster.follower();
    let ids: Vec<String> = cluster.nodes.iter_mut().map(Node::id).collect();
    let voters: Vec<&String> = ids.iter().filter(|id| **id != ids[victim]).collect();
    cluster.change(
        (victim + 1) % 3,
        "/raft/members",
        &serde_json::json!({ "voters": voters, "learners": [ids[victim]] }),
    );
    cluster.wait_until_caught_up(victim);
    cluster.nodes[victim].kill();
    garble(&cluster.nodes[victim]);
    let folder = cluster.nodes[victim].data_dir().parent().unwrap().to_owned();
    cluster.nodes[victim] = Node::new(QUORATE, folder, &format!("node-{victim}"), &[]);
    cluster.nodes[victim].start(&[]);
    cluster.nodes[victim].wait_until_led();
    let id = cluster.nodes[victim].id();
    let answer = cluster.nodes[(victim + 1) % 3].client().get("/raft/members").json();
    let members = answer["members"].as_array().unwrap();
    let role =
        |id: &str| members.iter().find(|member| member["id"] == id).map(|member| member["role"].clone());
    assert_eq!((members.len(), role(&ids[victim]), role(&id)), (3, None, Some("learner".into())), "{answer}");
}

#[test]
fn nobody_takes_a_place_that_is_taken_or_was_given_up() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let (leader, victim) = (cluster.leader(), cluster.follower());
    let owners: Vec<String> =
        [(victim + 1) % 3, (victim + 2) % 3].map(|number| cluster.nodes[number].id()).into();
    let former = cluster.nodes[victim].id();
    cluster.nodes[victim].kill();
    garble(&cluster.nodes[victim]);
    cluster.change(leader, "/raft/remove", &serde_json::json!({ "ID": former }));
    cluster.nodes[victim].start(&[]);
    let (code, said) = ends(&mut cluster.nodes[victim]);
    assert_eq!(code, BAD_CONFIGURATION, "{said}");
    assert!(said.contains("no member of its cluster any more") && said.contains(&former), "{said}");
    let lost = cluster.nodes[victim].data_dir().join(format!("lost-{former}"));
    assert!(!lost.exists() && cluster.nodes[victim].data_dir().join("log").exists());
    assert_eq!(members(&cluster, leader).len(), 2);

    // The newcomer answers where it says it is; the member whose place it wants is there as well.
    let joiner = cluster.join(leader);
    let (id, address) = (cluster.nodes[joiner].id(), cluster.nodes[joiner].raft().to_string());
    for owner in owners {
        let body = serde_json::json!({ "ID": id, "Address": address, "Replaces": owner }).to_string();
        let answer = cluster.nodes[leader].client().post("/raft/add?timeout=1s", body.as_bytes());
        assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("address_in_use")));
        assert!(answer.text().contains(&owner), "{}", answer.text());
    }
    assert_eq!(members(&cluster, leader).len(), 3);
}
