//! What a host sees of writes, reads, checkpoints and a full disk.

use crate::host::{Host, ME, get, put};
use quorate_node::kv::{Action, Op, Outcome, Put, Revision, Txn};
use quorate_node::raft::{Contact, Digest, Done, Index, LogId, Members, Room, SnapshotMeta};
use quorate_node::{Checkpoint, Input, ReadLevel, Reply, Request, RequestId};
use std::sync::Arc;

#[test]
fn a_write_is_answered_when_it_is_durable_and_not_before() {
    let mut host = Host::start(1000);
    host.elect();
    host.ask(1, put("key", "value"));
    assert_eq!(host.replies, vec![]);
    host.sync();
    let outcome = Outcome::Put { revision: Revision(1) };
    assert_eq!(host.replies, vec![(1, Reply::Written { outcome, is_replay: false, revision: Revision(1) })]);
}

#[test]
fn a_node_that_does_not_lead_refuses_writes_and_serves_stale_reads() {
    let mut host = Host::start(1000);
    host.ask(1, put("key", "value"));
    host.ask(2, get("key", ReadLevel::Stale));
    assert_eq!(
        host.replies,
        vec![(1, Reply::NotLeader { leader: None }), (2, Reply::Read { entry: None, revision: Revision(0) })]
    );
}

#[test]
fn a_linearizable_read_waits_for_a_leader_until_it_is_canceled() {
    let mut host = Host::start(1000);
    host.ask(1, get("key", ReadLevel::Linearizable));
    host.ask(2, get("key", ReadLevel::Linearizable));
    host.feed(Input::Cancel(RequestId(1)));
    host.elect();
    assert_eq!(host.replies, vec![(2, Reply::Read { entry: None, revision: Revision(0) })]);
}

/// None is left out because one before is still being written: all replicas are to write the same.
#[test]
fn a_checkpoint_is_begun_at_each_boundary() {
    let mut host = Host::start(4);
    host.elect();
    for id in 0..10 {
        host.ask(id, put("key", "value"));
        host.sync();
    }
    assert_eq!(host.node.view().applied, Index(12));
    let places = |host: &Host| -> Vec<(u64, u64, Option<u64>)> {
        let place = |it: &Checkpoint| (it.base.index.0, it.last.index.0, it.tail_bytes);
        host.checkpoints.iter().map(place).collect()
    };
    assert_eq!(places(&host), [(0, 4, None), (4, 8, None), (8, 12, None)]);
    // And where the commands since the last boundary are large.
    host.ask(20, put("large", &"v".repeat(1 << 20)));
    host.sync();
    assert_eq!(places(&host)[3..], [(12, 13, None)]);
    // One that is asked for builds on the last boundary, and moves it nowhere.
    host.ask(21, put("key", "value"));
    host.sync();
    host.ask(22, Request::Checkpoint);
    assert_eq!(host.checkpoints.len(), 4, "those that were begun come first");
    host.taken(13);
    let [.., (base, last, Some(bytes))] = places(&host)[..] else { panic!("{:?}", places(&host)) };
    assert!((base, last) == (13, 14) && (8..100).contains(&bytes), "{bytes} bytes of commands");
    host.ask(23, Request::Checkpoint);
    assert_eq!(host.checkpoints.len(), 5, "it is on its way");
    assert!(!host.replies.iter().any(|(id, _)| *id >= 22));
    host.taken(14);
    assert_eq!(host.replies[host.replies.len() - 2..], [22, 23].map(|id| (id, Reply::Checkpointed)));
    host.ask(24, Request::Checkpoint);
    assert_eq!(host.replies.last(), Some(&(24, Reply::Checkpointed)), "there is one already");
}

#[test]
fn when_the_runs_are_lost_the_whole_state_is_given_once() {
    let mut host = Host::start(4);
    host.elect();
    for id in 0..10 {
        host.ask(id, put(&format!("key{id}"), "value"));
        host.sync();
    }
    let at =
        |host: &Host, number: usize| (host.checkpoints[number].base, host.checkpoints[number].last.index.0);
    let lost = |index| Input::Done(Done::SnapshotLost(LogId::new(2, index)));
    host.feed(lost(8));
    assert_eq!(at(&host, 3), (LogId::ZERO, 12));
    let whole: Vec<u8> = host.checkpoints[3].rows.clone().flatten().collect();
    // Ten keys, and in the past ten times that one was created.
    assert_eq!(
        (host.checkpoints[3].tail_bytes, whole.len()),
        (Some(0), 10 * (10 + 4 + 24 + 5) + 10 * (10 + 12 + 6 + 4))
    );
    assert_eq!(host.checkpoints[3].totals, host.node.kv().totals());
    // What was on its way then is lost as well, and nothing new.
    host.feed(lost(12));
    assert_eq!(host.checkpoints.len(), 4);
    for id in 20..24 {
        host.ask(id, put("key", "value"));
        host.sync();
    }
    assert_eq!(at(&host, 4), (LogId::ZERO, 16), "the next boundary builds on none");
    host.feed(lost(16));
    assert_eq!(at(&host, 5), (LogId::ZERO, 16));
}

/// A draft holds rows, and the storage writes one after the other: asked for in a loop they would pile up.
#[test]
fn who_asks_while_a_checkpoint_is_being_made_shares_the_next() {
    let mut host = Host::start(1000);
    host.elect();
    let answered = |host: &Host| -> Vec<u64> {
        let done = host.replies.iter().filter(|(_, reply)| *reply == Reply::Checkpointed);
        done.map(|(id, _)| *id).collect()
    };
    for id in 1..=5 {
        host.ask(100 + id, put("key", "value"));
        host.sync();
        host.ask(id, Request::Checkpoint);
    }
    assert_eq!(host.checkpoints.len(), 1, "one is being made, and those who came later wait");
    let first = host.checkpoints[0].last.index.0;
    host.taken(first);
    assert_eq!((answered(&host), host.checkpoints.len()), (vec![1], 2));
    assert_eq!(host.checkpoints[1].last.index.0, first + 4, "the next holds all that any of them waits for");
    host.ask(6, Request::Checkpoint);
    host.taken(first + 4);
    assert_eq!((answered(&host), host.checkpoints.len()), (vec![1, 2, 3, 4, 5, 6], 2));

    // Whoever gave up is nobody to make one for.
    for id in 7..=8 {
        host.ask(100 + id, put("key", "value"));
        host.sync();
        host.ask(id, Request::Checkpoint);
    }
    host.feed(Input::Cancel(RequestId(8)));
    host.taken(first + 5);
    assert_eq!((answered(&host).last(), host.checkpoints.len()), (Some(&7), 3));
}

/// Nothing is written any more, so there would never be another one; and what is in memory is sound.
#[test]
fn a_checkpoint_that_is_lost_on_an_idle_node_is_written_anew_at_its_own_place() {
    let mut host = Host::start(4);
    host.elect();
    for id in 0..6 {
        host.ask(id, put(&format!("key{id}"), "value"));
        host.sync();
    }
    host.taken(8);
    assert_eq!(host.node.view().applied, Index(8));
    let lost = Input::Done(Done::SnapshotLost(LogId::new(2, 8)));
    host.feed(lost.clone());
    let [.., anew] = &host.checkpoints[..] else { panic!("none") };
    assert_eq!((host.checkpoints.len(), anew.base, anew.last), (3, LogId::ZERO, LogId::new(2, 8)));
    assert_eq!(anew.totals, host.node.kv().totals());
    host.feed(lost);
    assert_eq!(host.checkpoints.len(), 3, "once");
    // What is there is not what somebody can use who asks for one.
    host.ask(10, Request::Checkpoint);
    assert!(!host.replies.contains(&(10, Reply::Checkpointed)));
    host.taken(8);
    assert_eq!((host.replies.last(), host.checkpoints.len()), (Some(&(10, Reply::Checkpointed)), 3));
    // Nor is the new one safe from its disk.
    host.feed(Input::Done(Done::SnapshotLost(LogId::new(2, 8))));
    let [.., again] = &host.checkpoints[..] else { panic!("none") };
    assert_eq!((host.checkpoints.len(), again.base, again.last), (4, LogId::ZERO, LogId::new(2, 8)));
}

/// What a full disk leaves: no spare beyond the reserve, and `rest` bytes of a segment.
fn little_room(rest: u64, newest_segment: u32) -> Input {
    let room = Room {
        rest_bytes: rest,
        spare_segments: 2,
        segment_bytes: 1 << 20,
        newest_segment,
        is_reserved: false,
    };
    Input::Done(Done::Room(Some(room)))
}

#[test]
fn a_full_disk_refuses_what_needs_space_and_takes_what_frees_some() {
    let mut host = Host::start(1000);
    host.elect();
    assert!(!host.node.view().short_of_room);
    host.feed(little_room(100, 1));
    assert!(host.node.view().short_of_room);
    host.ask(1, put("key", "value"));
    assert_eq!(host.replies, vec![(1, Reply::Refused(quorate_node::Refusal::DiskFull))]);
    host.ask(2, Request::write(Action::Delete { key: Arc::from(&b"key"[..]) }));
    host.ask(3, get("key", ReadLevel::Linearizable));
    host.sync();
    assert!(matches!(host.replies[1..], [(3, Reply::Read { .. }), (2, Reply::Written { .. })]));
    host.feed(Input::Done(Done::Room(None)));
    host.ask(4, put("key", "value"));
    host.sync();
    assert!(matches!(host.replies[3], (4, Reply::Written { .. })));
}

/// A delete with a condition is such a transaction.
#[test]
fn on_a_full_disk_a_transaction_that_only_deletes_is_done() {
    let mut host = Host::start(1000);
    host.elect();
    host.feed(little_room(100, 1));
    let key: Arc<[u8]> = Arc::from(&b"key"[..]);
    let delete = || Op::Delete { key: Arc::clone(&key) };
    let read = || Op::Get { key: Arc::clone(&key) };
    let write = || Op::Put(Put::for_good(Arc::clone(&key), Arc::clone(&key)));
    let txn = |success, failure| Request::write(Action::Txn(Txn { compare: Vec::new(), success, failure }));
    host.ask(1, txn(vec![delete()], vec![read()]));
    host.ask(2, txn(vec![delete()], vec![write()]));
    host.ask(3, txn(vec![read()], Vec::new()));
    let full = Reply::Refused(quorate_node::Refusal::DiskFull);
    assert_eq!(host.replies, vec![(2, full.clone()), (3, full)]);
    host.sync();
    assert!(matches!(host.replies[2], (1, Reply::Written { .. })));
}

/// A checkpoint is what frees the log; one for each segment that was begun, or a full disk would do nothing else.
#[test]
fn a_full_disk_makes_a_checkpoint_for_each_segment() {
    let mut host = Host::start(1000);
    host.elect();
    host.feed(little_room(100_000, 7));
    assert_eq!(host.checkpoints.len(), 1);
    for id in 1..4 {
        host.ask(id, put("key", "value"));
        host.sync();
        host.feed(little_room(90_000 - id, 7));
    }
    assert_eq!(host.checkpoints.len(), 1, "one is being written, and the segment is the same");
    let meta = |last| SnapshotMeta {
        last,
        members: Members::founder(ME, Contact::default()),
        members_at: LogId::new(1, 1),
        bytes: 1,
        digest: Digest([0; 32]),
        state_hash: 0,
    };
    host.feed(Input::Done(Done::SnapshotTaken(Box::new(meta(LogId::new(2, 2))))));
    assert_eq!(host.checkpoints.len(), 1);
    host.feed(little_room(80_000, 8));
    assert_eq!(host.checkpoints.len(), 2);
}

#[test]
fn too_many_requests_are_refused_at_once() {
    let mut host = Host::start(1000);
    for id in 0..101 {
        host.ask(id, get("key", ReadLevel::Linearizable));
    }
    assert_eq!(host.replies, vec![(100, Reply::Refused(quorate_node::Refusal::Overloaded))]);
}
