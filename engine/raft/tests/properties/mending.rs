//! What becomes of slots that are lost, or being mended, when the log is cut at either end.

use crate::host::{Host, ME, found, members};
use quorate_raft::{
    Config, Digest, Done, Entry, Event, Found, Index, Input, LogId, Members, Message, Payload, SnapshotMeta,
};

fn voters() -> Members {
    members(&[1, 2, 3])
}

/// Five slots, of which these are lost. The first is known to be committed.
fn damaged(lost: &[u64]) -> Found {
    let mut found = found(&[voters(), voters(), voters(), voters(), voters()]);
    found.commit_hint = Index(1);
    found.damaged = lost.iter().map(|index| LogId::new(1, *index)).collect();
    found
}

fn snapshot(last: LogId) -> SnapshotMeta {
    SnapshotMeta {
        last,
        members: voters(),
        members_at: last,
        bytes: 1,
        digest: Digest::default(),
        state_hash: 0,
    }
}

/// The first and the last of the slots that it asks for, when it does so next.
fn asks_for(host: &mut Host) -> Option<(u64, u64)> {
    host.sent.clear();
    host.advance(100);
    host.sent.iter().find_map(|envelope| match envelope.message {
        Message::Ask { first, last, .. } => Some((first.0, last.0)),
        _ => None,
    })
}

/// Its disk stands still, and copies of these slots have come.
fn mending(lost: &[u64]) -> Host {
    let mut host = Host::open(Config::new(ME, 1), damaged(lost));
    host.advance(1);
    let nonce = host.sent.iter().find_map(|envelope| match envelope.message {
        Message::Ask { nonce, .. } => Some(nonce),
        _ => None,
    });
    let copy =
        |index: &u64| Entry { id: LogId::new(1, *index), payload: Payload::Members(Box::new(voters())) };
    let (nonce, entries) = (nonce.unwrap(), lost.iter().map(copy).collect());
    host.holds_disk = true;
    host.hear(2, Message::Tell { nonce, entries, leads_to: None, committed: LogId::ZERO, report: None });
    assert_eq!(host.core.status().damaged, lost.len(), "nothing is durable");
    host
}

/// What it says to have mended once its disk goes on.
fn mended(host: &mut Host) -> Vec<u64> {
    host.release_disk();
    let repaired = host.events.iter().filter_map(|event| match event {
        Event::Repaired { slot } => Some(slot.index.0),
        _ => None,
    });
    repaired.collect()
}

/// The leader of the next term has something else from slot 3 on.
fn truncate(host: &mut Host) {
    let entries = vec![Entry { id: LogId::new(2, 3), payload: Payload::Noop }];
    host.hear_in(2, 2, Message::Append { prev: LogId::new(1, 2), entries, commit: Index(1) });
    assert_eq!(host.core.status().last, LogId::new(2, 3));
}

#[test]
fn what_is_truncated_is_neither_asked_for_nor_mended_any_more() {
    let mut host = Host::open(Config::new(ME, 1), damaged(&[2, 3, 4]));
    host.advance(1);
    assert_eq!(asks_for(&mut host), Some((2, 4)));
    truncate(&mut host);
    assert_eq!((host.core.status().damaged, asks_for(&mut host)), (1, Some((2, 2))));

    let mut host = mending(&[2, 3, 4]);
    truncate(&mut host);
    assert_eq!(host.core.status().damaged, 1);
    assert_eq!(mended(&mut host), [2]);
    assert_eq!(host.core.status().damaged, 0);
}

#[test]
fn what_a_checkpoint_covers_is_neither_asked_for_nor_mended_any_more() {
    let mut found = damaged(&[2, 3, 4]);
    found.snapshot = Some(snapshot(LogId::new(1, 3)));
    let mut host = Host::open(Config::new(ME, 1), found);
    host.advance(1);
    assert_eq!((host.core.status().damaged, asks_for(&mut host)), (1, Some((4, 4))));

    let mut host = mending(&[2, 3, 4]);
    let meta = snapshot(LogId::new(1, 3));
    let chunk = quorate_raft::Chunk { offset: 0, data: [0].into(), done: true };
    host.hear(2, Message::Snapshot { meta: Box::new(meta.clone()), chunk });
    host.input(Input::Done(Done::SnapshotStored { meta: Box::new(meta), next: 1, complete: true }));
    assert_eq!(host.core.status().damaged, 1);
    assert_eq!(mended(&mut host), [4]);
    assert_eq!(host.core.status().damaged, 0);
}

/// Until it has caught up with a leader that was asked after the restart, it does not know what it acknowledged. What
/// that same node said in a term before was of a log that may have been shorter.
#[test]
fn only_the_leader_of_this_term_says_how_far_a_lost_tail_reached() {
    let mut found = found(&[voters()]);
    found.unknown = Some(Index(2));
    let mut host = Host::open(Config::new(ME, 1), found);
    host.advance(1);
    let nonce = host.sent.iter().find_map(|envelope| match envelope.message {
        Message::Ask { nonce, .. } => Some(nonce),
        _ => None,
    });
    let nonce = nonce.unwrap();
    let first = LogId::new(1, 1);
    host.hear_in(2, 3, Message::Append { prev: first, entries: Vec::new(), commit: Index(1) });
    let mut tells = |from, term| {
        let (leads_to, committed) = (Some(first), LogId::ZERO);
        host.hear_in(
            from,
            term,
            Message::Tell { nonce, entries: Vec::new(), leads_to, committed, report: None },
        );
        host.core.status().damaged
    };
    assert_eq!(tells(2, 2), 1, "it led before, too");
    assert_eq!(tells(3, 3), 1, "it does not lead");
    assert_eq!(tells(2, 3), 0);
}
