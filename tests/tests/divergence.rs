//! A node whose state is another one than that of the others finds out, stops, and says in what.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use quorate_raft::{Done, Entry, Index, Load, Payload, Reader, Write, WriteId};
use quorate_storage::{FileDisk, Job, Options, Storage};
use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::PATIENCE;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const BAD_CONFIGURATION: Option<i32> = Some(78);

/// Replaces bytes of a command that is in a node's log, and has not been applied since the last checkpoint: as memory
/// that rots between the network and the disk's checksums does. Nothing in the log gives it away.
fn falsify(data_dir: &Path, from: &[u8], to: &[u8]) {
    let (mut storage, found) = Storage::open(FileDisk::new(data_dir), Options::new(1)).unwrap();
    let (first, last) = (found.terms.base().index.next(), found.terms.last().index);
    let load = Load { reader: Reader::Apply, first, last, bytes: 1 << 24 };
    let done = storage.perform(vec![Job::Core(quorate_raft::Job::Load(load))]).unwrap().remove(0);
    let Done::Loaded { mut entries, .. } = done else { panic!("{done:?}") };
    assert_eq!(entries.last().map(|entry| entry.id.index), Some(last), "the log is small");
    let holds = |entry: &Entry| match &entry.payload {
        Payload::Command(bytes) => bytes.windows(from.len()).position(|window| window == from),
        _ => None,
    };
    let (at, offset) = entries.iter().enumerate().find_map(|(at, entry)| Some((at, holds(entry)?))).unwrap();
    let Payload::Command(bytes) = &entries[at].payload else { panic!("it was a command") };
    let mut falsified = bytes.to_vec();
    falsified[offset..offset + to.len()].copy_from_slice(to);
    entries[at].payload = Payload::Command(falsified.into());
    let append = entries.split_off(at);
    let write = Write {
        id: WriteId(1),
        hard: None,
        commit_hint: Index(0),
        install: None,
        truncate_from: Some(append[0].id.index),
        repair: Vec::new(),
        append,
        compact_to: None,
    };
    storage.perform(vec![Job::Core(quorate_raft::Job::Write(write))]).unwrap();
}

#[test]
fn a_node_that_applied_something_else_stops_and_names_the_rows() {
    let mut cluster = Cluster::start_with(QUORATE, 3, &["--snapshot-entries", "300"]);
    let mut client = cluster.nodes[0].client();
    for number in 0..40 {
        assert_eq!(
            client.post(&format!("/key/k{number}"), format!("right-{number}.").as_bytes()).status,
            200
        );
    }
    let odd = cluster.follower();
    cluster.wait_until_caught_up(odd);
    cluster.nodes[odd].kill();
    falsify(&cluster.nodes[odd].data_dir(), b"right-17.", b"wrong-17.");
    cluster.nodes[odd].start(&[]);
    cluster.nodes[odd].wait_until_led();
    cluster.wait_until_caught_up(odd);
    let lie = cluster.nodes[odd].client().get("/key/k17?consistency=stale");
    assert_eq!(lie.text(), "wrong-17.", "nobody notices before states are compared");
    // Up to a slot at which all of them take a checkpoint.
    let mut client = cluster.nodes[(odd + 1) % 3].client();
    for number in 0..300 {
        assert_eq!(client.post(&format!("/key/more-{number}"), b"1").status, 200);
    }
    let node = &mut cluster.nodes[odd];
    let code = node.process().wait("the odd node to end", PATIENCE).code();
    let said = node.process().stderr();
    assert_eq!(code, BAD_CONFIGURATION, "{said}");
    let row = r#"1 rows differ: "k17" (table 1): another value or revision here"#;
    assert!(said.contains(row), "{said}");
    // It does not serve its state again.
    node.put_down();
    node.start(&[]);
    let code = node.process().wait("the odd node to end", PATIENCE).code();
    let said = node.process().stderr();
    assert_eq!(code, BAD_CONFIGURATION, "{said}");
    assert_eq!(said.matches(row).count(), 2, "{said}");
    let others = [(odd + 1) % 3, (odd + 2) % 3];
    for number in others {
        let node = &cluster.nodes[number];
        assert_eq!(node.client().get("/key/k17").text(), "right-17.");
        assert!(!node.log_tail().contains("this node's state is not"), "{}", node.log_tail());
    }
}
