//! What a leader takes for lost, and sends again: what was sent before a heartbeat and left no trace at the answers to
//! that one and the next. Neither what left after the heartbeat, nor what has arrived, nor what its own disk is still
//! reading.

use crate::host::{Host, ME, found, members};
use quorate_raft::{
    Chunk, Config, Digest, Done, Envelope, Index, Input, LogId, Message, NodeId, SnapshotMeta, TermRuns,
};

const PEER: NodeId = NodeId(2);

fn to_peer(sent: &[Envelope], wanted: fn(&Message) -> bool) -> usize {
    sent.iter().filter(|envelope| envelope.to == PEER && wanted(&envelope.message)).count()
}

fn is_append(message: &Message) -> bool {
    matches!(message, Message::Append { .. })
}

fn is_piece(message: &Message) -> bool {
    matches!(message, Message::Snapshot { .. })
}

/// A heartbeat is sent, and nothing else of what is sent arrives. Gives that.
fn beat(host: &mut Host) -> Vec<Envelope> {
    host.advance(50);
    std::mem::take(&mut host.sent)
}

/// The last heartbeat is answered. Gives what is sent then.
fn answer(host: &mut Host, beat: &[Envelope], verified: u64, matched: u64) -> Vec<Envelope> {
    let round = beat.iter().find_map(|envelope| match envelope.message {
        Message::Heartbeat { round, .. } => Some(round),
        _ => None,
    });
    let (round, verified, matched) = (round.unwrap(), Index(verified), Index(matched));
    host.hear(PEER.0, Message::HeartbeatReply { round, verified, matched, full: false });
    std::mem::take(&mut host.sent)
}

#[test]
fn a_probe_is_sent_again_after_two_answers_to_heartbeats_that_left_after_it() {
    let mut host = Host::leader(Config::new(ME, 1), &[1, 2, 3]);
    let mut before = beat(&mut host);
    host.input(Input::Unreachable(PEER));
    assert_eq!(to_peer(&host.sent, is_append), 1, "it probes");
    host.sent.clear();
    for expected in [0, 0, 1] {
        let sent = answer(&mut host, &before, 2, 2);
        assert_eq!(to_peer(&sent, is_append), expected, "{sent:?}");
        before = beat(&mut host);
    }
}

#[test]
fn a_probe_that_has_arrived_is_not_sent_again_while_the_peers_disk_is_at_it() {
    let mut host = Host::open(Config::new(ME, 1), found(&[members(&[1, 2, 3])]));
    host.silent.insert(PEER);
    host.win();
    for _ in 0..6 {
        let beat = beat(&mut host);
        let sent = answer(&mut host, &beat, 2, 0);
        assert_eq!(to_peer(&[beat, sent].concat(), is_append), 0);
    }
}

/// Leads, and has sent the peer nothing but the first question when it learns that the peer lacks what its own log does
/// not have any more.
fn supplier() -> Host {
    let last = LogId::new(1, 5);
    let meta = SnapshotMeta {
        last,
        members: members(&[1, 2, 3]),
        members_at: LogId::new(1, 1),
        bytes: 8,
        digest: Digest::default(),
        state_hash: 0,
    };
    let mut found = found(&[]);
    (found.terms, found.snapshot) = (TermRuns::new(last), Some(meta));
    let mut host =
        Host::open(Config { chunk_bytes: 4, snapshot_bytes_per_second: 400, ..Config::new(ME, 1) }, found);
    host.silent.insert(PEER);
    host.win();
    host
}

fn needs_a_snapshot(host: &mut Host) {
    let (prev, hint) = (LogId::new(1, 5), LogId::ZERO);
    host.hear(PEER.0, Message::Conflict { prev, hint });
}

/// The disk has read the piece that was asked for last.
fn read_piece(host: &mut Host) {
    let load = *host.pieces.last().unwrap();
    let chunk = Chunk { offset: load.offset, data: [0; 4].into(), done: load.offset > 0 };
    host.input(Input::Done(Done::SnapshotLoaded { load, chunk: Some(chunk) }));
}

#[test]
fn a_piece_is_sent_again_after_two_answers_to_heartbeats_that_left_after_it() {
    let mut host = supplier();
    let mut before = beat(&mut host);
    needs_a_snapshot(&mut host);
    read_piece(&mut host);
    assert_eq!((to_peer(&host.sent, is_piece), host.pieces.len()), (1, 1));
    for expected in [1, 1, 2] {
        answer(&mut host, &before, 0, 0);
        before = beat(&mut host);
        assert_eq!(host.pieces.len(), expected);
    }
}

#[test]
fn a_piece_that_is_still_being_read_is_not_read_again() {
    let mut host = supplier();
    needs_a_snapshot(&mut host);
    for _ in 0..6 {
        let beat = beat(&mut host);
        answer(&mut host, &beat, 0, 0);
    }
    read_piece(&mut host);
    let beat = beat(&mut host);
    answer(&mut host, &beat, 0, 0);
    assert_eq!(host.pieces.len(), 1);
}

/// It asks for what it lost, and says up to where it is sound. What the leader's log still has it gets from there.
#[test]
fn a_peer_gets_a_snapshot_when_it_lost_what_is_compacted_and_not_before() {
    let mut host = supplier();
    host.sent.clear();
    for (sound, pieces) in [(5, 0), (4, 1)] {
        let (first, last) = (Index(sound + 1), Index(6));
        host.hear(PEER.0, Message::Ask { nonce: 9, first, last, sound: Index(sound), doubt: None });
        assert_eq!((to_peer(&host.sent, is_append), host.pieces.len()), (0, pieces));
    }
}

/// A file of the checkpoint is gone or damaged. If there is a newer one the peer gets that at once; if not, there is
/// nothing to be had before it is written anew, and it is tried again as if the piece had been lost.
#[test]
fn a_piece_that_can_not_be_read_is_replaced_by_a_newer_checkpoint_or_tried_again() {
    for is_newer in [false, true] {
        let mut host = supplier();
        needs_a_snapshot(&mut host);
        let load = *host.pieces.last().unwrap();
        let last = host.core.applied();
        if is_newer {
            let (members, members_at) = host.core.checkpoint(last).unwrap();
            let digest = Digest::default();
            let meta = SnapshotMeta { last, members, members_at, bytes: 8, digest, state_hash: 0 };
            host.input(Input::Done(Done::SnapshotTaken(Box::new(meta))));
        }
        host.input(Input::Done(Done::SnapshotLoaded { load, chunk: None }));
        host.advance(10);
        assert_eq!(host.pieces.len(), if is_newer { 2 } else { 1 });
        for _ in 0..3 {
            let beat = beat(&mut host);
            answer(&mut host, &beat, 0, 0);
        }
        let expected = if is_newer { last } else { load.last };
        assert_eq!(host.pieces.last().map(|piece| (piece.last, piece.offset)), Some((expected, 0)));
        assert!(host.pieces.len() > 1, "it is tried again");
    }
}

/// Pieces of four bytes at 400 bytes a second: one every ten milliseconds, whenever heartbeats are.
#[test]
fn the_next_piece_is_due_when_the_pace_allows_it() {
    let mut host = supplier();
    needs_a_snapshot(&mut host);
    read_piece(&mut host);
    let due = host.now + std::time::Duration::from_millis(10);
    host.hear(PEER.0, Message::SnapshotReply { last: LogId::new(1, 5), next: 4 });
    assert_eq!((host.pieces.len(), host.core.deadline()), (1, Some(due)));
    host.advance(10);
    assert_eq!(host.pieces.len(), 2);
}

/// It may have begun with one that stood at the same place and was longer.
#[test]
fn a_peer_goes_on_from_what_it_has_unless_that_is_more_than_there_is() {
    let mut host = supplier();
    for (next, offset) in [(8, 8), (9, 0)] {
        needs_a_snapshot(&mut host);
        read_piece(&mut host);
        host.hear(PEER.0, Message::SnapshotReply { last: LogId::new(1, 5), next });
        host.advance(10);
        assert_eq!(host.pieces.last().map(|piece| piece.offset), Some(offset));
        read_piece(&mut host);
        host.hear(PEER.0, Message::SnapshotReply { last: LogId::new(1, 5), next: 4 });
        host.advance(10);
        assert_eq!(host.pieces.last().map(|piece| piece.offset), Some(4));
    }
}
