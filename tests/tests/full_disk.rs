//! Volumes of 64 MiB, filled to the end under load and freed again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use quorate_sim::trials::skip;
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use serde_json::Value;

/// The program, started in a namespace of its own, in which its data dir (the third argument) is a volume of 64 MiB;
/// but not when that directory has the name that is put in place of `SPARED`.
const ON_A_VOLUME: &str = concat!(
    "#!/bin/sh\n",
    "mkdir -p \"$3\"\n",
    "if [ \"${3##*/}\" = SPARED ]; then exec ",
    env!("CARGO_BIN_EXE_quorate-under-test"),
    " \"$@\"; fi\n",
    "exec unshare -rm sh -c 'mount -t tmpfs -o size=64m tmpfs \"$3\" && exec ",
    env!("CARGO_BIN_EXE_quorate-under-test"),
    " \"$@\"' sh \"$@\"\n",
);

/// Small files of the log, so that there are many on such a volume, and checkpoints now and then.
const FLAGS: [&str; 8] = [
    "--segment-bytes",
    "1MiB",
    "--max-value-bytes",
    "256KiB",
    "--snapshot-entries",
    "500",
    "--keep-snapshots",
    "1",
];

const VALUE_BYTES: usize = 32 << 10;

fn namespaces_work() -> bool {
    let mount = "mount -t tmpfs -o size=1m tmpfs /mnt";
    Command::new("unshare").args(["-rm", "sh", "-c", mount]).output().is_ok_and(|done| done.status.success())
}

fn value(number: usize) -> Vec<u8> {
    let mut value = format!("value {number} ").into_bytes();
    value.resize(VALUE_BYTES, b'.');
    value
}

/// Through each node in turn.
fn put(cluster: &Cluster, number: usize) -> (u16, String) {
    let at = number % cluster.nodes.len();
    let target = format!("/key/{number}?timeout=20s");
    let answer = cluster.nodes[at].client().request("PUT", &target, &value(number));
    answer.map_or((0, "no answer".to_owned()), |answer| (answer.status, answer.text()))
}

fn delete(cluster: &Cluster, number: usize) -> u16 {
    let at = number % cluster.nodes.len();
    let target = format!("/key/{number}?timeout=20s");
    cluster.nodes[at].client().request("DELETE", &target, b"").map_or(0, |answer| answer.status)
}

fn pids(cluster: &mut Cluster) -> Vec<u32> {
    cluster.nodes.iter_mut().map(|node| node.process().pid()).collect()
}

fn is_alive(node: &mut Node) -> bool {
    node.process().ended().is_none()
}

/// Writes until the disk is full, for good; what was acknowledged. A leader that has no room hands over, so that each
/// node has to say so.
fn fill(cluster: &Cluster) -> Vec<usize> {
    let (mut written, mut refused) = (Vec::new(), 0);
    for number in 0..4000 {
        match put(cluster, number) {
            (200, _) => {
                written.push(number);
                refused = 0;
            }
            (507, text) => {
                let body: Value = serde_json::from_str(&text).expect("an error is JSON");
                assert_eq!(body["code"], "disk_full", "{text}");
                refused += 1;
                if refused == 20 {
                    return written;
                }
                std::thread::yield_now();
            }
            (503 | 504, _) => {}
            (status, text) => panic!("write {number} was answered with {status}: {text}"),
        }
    }
    panic!("{} writes of {VALUE_BYTES} bytes did not fill a volume of 64 MiB", written.len());
}

/// Each node's data dir is a volume, but that of the node whose directory is named.
fn on_a_volume(folder: &Path, spared: &str) -> String {
    let path = folder.join("on-a-volume");
    fs::write(&path, ON_A_VOLUME.replace("SPARED", spared)).expect("a temporary folder is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    path.to_str().expect("temporary folders have UTF-8 names").to_owned()
}

fn fill_and_free(size: usize, kept_of_ten: usize) {
    let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
    let mut cluster = Cluster::start_with(&on_a_volume(folder.path(), "none"), size, &FLAGS);
    let before = pids(&mut cluster);
    let written = fill(&cluster);
    assert!(written.len() > 150, "only {} values fitted", written.len());

    let check = |kept: &[usize]| {
        for number in kept {
            let answer = cluster.nodes[0].client().get(&format!("/key/{number}"));
            assert_eq!((answer.status, answer.body), (200, value(*number)), "value {number}");
        }
    };
    check(&written);
    let (kept, freed) = written.split_at(written.len() * kept_of_ten / 10);
    for number in freed {
        wait_until("a delete to be taken", PATIENCE, || (delete(&cluster, *number) == 200).then_some(()));
    }
    check(kept);
    let mut next = 10_000;
    for _ in 0..30 {
        wait_until("room again", Duration::from_secs(60), || {
            next += 1;
            (put(&cluster, next).0 == 200).then_some(())
        });
    }
    check(kept);
    for node in &mut cluster.nodes {
        assert!(is_alive(node), "{}", node.log_tail());
    }
    assert_eq!(pids(&mut cluster), before, "nobody was started again");
}

#[test]
fn a_full_volume_refuses_writes_and_comes_back_by_itself() {
    if !namespaces_work() {
        return skip(
            "a_full_volume_refuses_writes_and_comes_back_by_itself",
            "mounts need root, or user namespaces",
        );
    }
    fill_and_free(1, 1);
    fill_and_free(1, 5);
    fill_and_free(3, 5);
}

/// The leader has a disk as large as any, its followers have volumes. It knows that they are full, so writes are
/// refused, certainly, instead of waiting for nobody.
#[test]
fn a_majority_of_full_followers_is_a_507() {
    if !namespaces_work() {
        return skip("a_majority_of_full_followers_is_a_507", "mounts need root, or user namespaces");
    }
    let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
    let mut cluster = Cluster::start_with(&on_a_volume(folder.path(), "node-0"), 3, &FLAGS);
    let id = cluster.nodes[0].id();
    let lead = |cluster: &Cluster| {
        wait_until("node 0 to lead", PATIENCE, || {
            let leader = cluster.leader_now()?;
            if leader != 0 {
                cluster.change(leader, "/raft/transfer", &serde_json::json!({ "ID": id }));
            }
            (leader == 0).then_some(())
        });
    };
    lead(&cluster);
    let written = fill(&cluster);
    assert!(written.len() > 150, "only {} values fitted", written.len());
    lead(&cluster);
    // What was on its way when they filled up has come to an end, and from now on all is certain.
    for number in 5_000..5_030 {
        let (status, text) = put(&cluster, number);
        let tails = || cluster.nodes.iter().map(Node::log_tail).collect::<Vec<_>>().join("\n");
        assert!(status == 507 && text.contains("disk_full"), "put {number}: {status}: {text}\n{}", tails());
    }
    let (kept, freed) = written.split_at(written.len() / 10);
    for number in freed {
        assert_eq!(delete(&cluster, *number), 200, "deletes go on");
    }
    let mut next = 10_000;
    for _ in 0..30 {
        wait_until("room again", Duration::from_secs(60), || {
            next += 1;
            (put(&cluster, next).0 == 200).then_some(())
        });
    }
    for number in kept {
        let answer = cluster.nodes[1].client().get(&format!("/key/{number}"));
        assert_eq!((answer.status, answer.body), (200, value(*number)), "value {number}");
    }
    for node in &mut cluster.nodes {
        assert!(is_alive(node), "{}", node.log_tail());
    }
}
