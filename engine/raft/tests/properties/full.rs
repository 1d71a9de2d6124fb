//! What a core does when the disk, or those of the others, are full.

use crate::host::{Host, ME, members};
use quorate_raft::{
    Config, Digest, Done, Entry, Index, Input, LogId, Message, NodeId, Payload, Room, SnapshotMeta, TermRuns,
};

const LAGS: NodeId = NodeId(3);

fn room(spare_segments: u32) -> Input {
    Input::Done(Done::Room(Some(Room {
        rest_bytes: 0,
        spare_segments,
        segment_bytes: 100_000,
        newest_segment: 1,
        is_reserved: false,
    })))
}

fn checkpoint(host: &mut Host, last: LogId) {
    let (members, members_at) = host.core.checkpoint(last).unwrap();
    let digest = Digest::default();
    let meta = SnapshotMeta { last, members, members_at, bytes: 0, digest, state_hash: 0 };
    host.input(Input::Done(Done::SnapshotTaken(Box::new(meta))));
}

/// A snapshot would cost more than a few entries. For one that is gone nothing is kept: it may never come back.
#[test]
fn a_full_disk_keeps_what_those_lack_who_keep_up_and_no_more() {
    for is_heard in [true, false] {
        let mut host = Host::leader(Config::new(ME, 1), &[1, 2, 3]);
        host.input(room(9));
        host.silent.insert(LAGS);
        let first = host.propose(1);
        host.answer();
        if !is_heard {
            for _ in 0..12 {
                host.advance(50);
                host.answer();
            }
        }
        let last = host.core.applied();
        assert_eq!(last, first);
        checkpoint(&mut host, last);
        let kept_from = if is_heard { first.index.previous() } else { last.index };
        assert_eq!(host.compacted, Some(kept_from));
        host.input(Input::Unreachable(LAGS));
        assert_eq!(host.pieces.is_empty(), is_heard, "it gets entries, or a snapshot");
    }
}

#[test]
fn an_older_checkpoint_does_not_take_the_place_of_a_newer_one() {
    let mut host = Host::leader(Config { keep_entries: 9, ..Config::new(ME, 1) }, &[1]);
    let (older, newer) = (host.propose(1), host.propose(1));
    for last in [newer, older] {
        checkpoint(&mut host, last);
        assert_eq!(host.core.status().snapshot, newer);
    }
}

/// Its own disk and those of the others count each for itself.
#[test]
fn what_needs_room_is_refused_when_there_is_none_here_or_at_most_of_the_others() {
    let mut host = Host::leader(Config::new(ME, 1), &[1, 2, 3]);
    let answer = |host: &mut Host, full| {
        host.sent.clear();
        host.advance(50);
        let sent = std::mem::take(&mut host.sent);
        let beat = sent.iter().find_map(|envelope| match envelope.message {
            Message::Heartbeat { round, .. } => Some(round),
            _ => None,
        });
        let last = host.core.status().last.index;
        for from in [2, 3] {
            let round = beat.unwrap();
            host.hear(from, Message::HeartbeatReply { round, verified: last, matched: last, full });
        }
        host.core.refuses_what_needs_room()
    };
    assert!(!answer(&mut host, false));
    assert!(answer(&mut host, true), "the others are full");
    assert!(!answer(&mut host, false));
    host.input(room(2));
    assert_eq!(host.core.room().map(|room| room.spare_segments), Some(2));
    assert!(answer(&mut host, false), "only the reserve is left");
    assert!(answer(&mut host, true));
    host.input(room(3));
    assert!(!answer(&mut host, false), "one more than the reserve");
}

/// What a checkpoint covers takes no room, whoever sends it.
#[test]
fn a_full_follower_takes_what_its_checkpoint_covers() {
    let base = LogId::new(1, 5);
    let mut found = crate::host::found(&[]);
    found.terms = TermRuns::new(base);
    found.snapshot = Some(SnapshotMeta {
        last: base,
        members: members(&[1, 2, 3]),
        members_at: LogId::new(1, 1),
        bytes: 0,
        digest: Digest::default(),
        state_hash: 0,
    });
    let mut host = Host::open(Config::new(ME, 1), found);
    host.input(room(0));
    assert_eq!(acknowledges(&mut host, 3, 6), Some(Index(5)), "all but what is new");
    assert_eq!(host.core.status().last, base);
}

/// What it is sent again takes no room either.
#[test]
fn a_full_follower_takes_what_it_has() {
    let mut host = Host::open(Config::new(ME, 1), crate::host::found(&[members(&[1, 2, 3])]));
    assert_eq!(acknowledges(&mut host, 2, 4), Some(Index(4)));
    host.input(room(0));
    assert_eq!(acknowledges(&mut host, 2, 5), Some(Index(4)), "all but what is new");
}

/// What it says to be durable when it is sent these entries.
fn acknowledges(host: &mut Host, first: u64, last: u64) -> Option<Index> {
    let entries = (first..=last).map(|index| Entry { id: LogId::new(1, index), payload: Payload::Noop });
    let (prev, entries) = (LogId::new(1, first - 1), entries.collect());
    host.sent.clear();
    host.hear(2, Message::Append { prev, entries, commit: Index(1) });
    host.sent.iter().rev().find_map(|envelope| match envelope.message {
        Message::Appended { matched } => Some(matched),
        _ => None,
    })
}
