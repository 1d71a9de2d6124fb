//! Who waits for checkpoints, and what those are told who can't have one.

use quorate_raft::{Done, LoadSnapshot, LogId, NodeId, Reader};
use quorate_storage::Job;

use crate::common::settle;
use crate::replica::Replica;

/// Checkpoints of boundaries have time until another waits behind them; what a user asked for has not.
#[test]
fn somebody_waits_for_a_users_checkpoint_and_for_the_second_of_two_boundaries() {
    let mut replica = Replica::new();
    settle(&mut replica.storage);
    assert!(!replica.storage.is_pressed() && !replica.storage.busy());
    replica.rows.change(0..400, 100);
    let draft = replica.draft(1, false);
    replica.storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    assert!(replica.storage.busy() && !replica.storage.is_pressed(), "it has time");
    replica.rows.change(0..400, 100);
    let draft = replica.draft(2, false);
    let mut done = replica.storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    while !done.iter().any(|done| matches!(done, Done::SnapshotTaken(_))) {
        assert!(replica.storage.is_pressed(), "one waits behind it");
        done = replica.storage.perform(Vec::new()).unwrap();
    }
    assert!(replica.storage.busy() && !replica.storage.is_pressed(), "the other has time again");
    settle(&mut replica.storage);
    assert!(!replica.storage.is_pressed());
    replica.rows.change(0..400, 100);
    let draft = replica.draft(3, true);
    replica.storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    assert!(replica.storage.busy() && replica.storage.is_pressed(), "somebody asked for it");
}

/// Whoever reads the newest checkpoint for a peer finds out that it is bad; the node's own state machine, which can
/// write it anew, is told no such thing, and nothing is lost with one that is not there.
#[test]
fn a_checkpoint_that_can_not_be_sent_is_lost() {
    let mut replica = Replica::new();
    replica.rows.change(0..2_000, 100);
    let older = replica.boundary(10);
    replica.rows.change(0..2_000, 100);
    let newest = replica.boundary(20);
    settle(&mut replica.storage);
    for path in replica.disk.files().into_iter().filter(|path| path.ends_with(".run")) {
        replica.disk.flip_bit(&path, 8 * 1_000);
    }
    let mut load = |reader, last, offset| {
        let load = LoadSnapshot { reader, last, offset, bytes: 30_000 };
        let done = replica.storage.perform(vec![Job::Core(quorate_raft::Job::LoadSnapshot(load))]).unwrap();
        let Some(Done::SnapshotLoaded { chunk, .. }) = done.first() else { panic!("{done:?}") };
        let lost = done.iter().find_map(|done| match done {
            Done::SnapshotLost(last) => Some(*last),
            _ => None,
        });
        (chunk.is_some(), lost)
    };
    let (peer, repair) = (Reader::Peer(NodeId(2)), Reader::Repair(NodeId(2)));
    assert_eq!(load(Reader::Apply, newest.last, 0), (false, None));
    assert_eq!(load(peer, LogId::new(1, 15), 0), (false, None));
    assert_eq!(load(peer, newest.last, newest.bytes + 1), (false, None));
    assert_eq!(load(peer, older.last, 0).1, None);
    assert_eq!(load(peer, newest.last, 0), (false, Some(newest.last)));
    assert_eq!(load(repair, newest.last, 0), (false, Some(newest.last)));
}
