//! What nodes say to each other. `docs/PROTOCOL.md` has the table of senders, receivers and effects.

use crate::{Chunk, Entry, Index, LogId, NodeId, SnapshotMeta, Term};
use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A message with its sender, receiver and term.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's term; in a pre-vote, the term it would run in.
    pub term: Term,
    /// What is said.
    pub message: Message,
}

/// No cluster reaches a larger term, index or round: counting on from one must never overflow.
const MOST: u64 = 1 << 62;

impl Envelope {
    /// Whether every number that will be reckoned with is one that a cluster can reach.
    pub(crate) fn is_in_range(&self) -> bool {
        let id = |id: &LogId| id.term.0 <= MOST && id.index.0 <= MOST;
        let said = match &self.message {
            Message::PreVote { last } | Message::Vote { last, .. } => id(last),
            Message::Append { prev, commit, .. } => id(prev) && commit.0 <= MOST,
            Message::Appended { matched } => matched.0 <= MOST,
            Message::Conflict { prev, hint } => id(prev) && id(hint),
            Message::Heartbeat { round, commit } => *round <= MOST && commit.0 <= MOST,
            Message::HeartbeatReply { round, verified, matched, .. } => {
                *round <= MOST && verified.0 <= MOST && matched.0 <= MOST
            }
            Message::ReadIndexReply { index, .. } => index.0 <= MOST,
            Message::Snapshot { meta, chunk } => {
                id(&meta.last) && id(&meta.members_at) && chunk.offset <= MOST
            }
            Message::SnapshotReply { last, next } => id(last) && *next <= MOST,
            Message::Ask { first, last, sound, doubt, .. } => {
                let indices = first.0 <= MOST && last.0 <= MOST && sound.0 <= MOST;
                indices && doubt.as_ref().is_none_or(id)
            }
            Message::Tell { leads_to, committed, report, .. } => {
                let reported = report.as_ref().is_none_or(|report| id(&report.slot));
                leads_to.as_ref().is_none_or(id) && id(committed) && reported
            }
            Message::PreVoteReply { .. }
            | Message::VoteReply { .. }
            | Message::ReadIndex { .. }
            | Message::TimeoutNow => true,
        };
        self.term.0 <= MOST && said
    }
}

/// What a node says of a slot that another one has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Report {
    /// The slot.
    pub slot: LogId,
    /// What the sender has of it.
    pub held: Held,
    /// The sender leads, or heard a leader or restarted within an election timeout: it wants no new term.
    pub bound: bool,
}

/// What a node has of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Held {
    /// A copy of it.
    Intact,
    /// It held the slot, and has lost the payload.
    Damaged,
    /// Nothing; and what it may have held it gave up to a leader, or because it was never committed. It acknowledges
    /// this slot in no term before the one it says so in.
    Never,
    /// Its log begins above the slot: what stands there is committed.
    InSnapshot,
    /// It has lost the end of its log and does not know.
    Unknown,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// "Would you vote for me?" Changes nothing at the receiver (thesis §9.6).
    PreVote {
        /// The end of the sender's log.
        last: LogId,
    },
    /// The answer to a pre-vote, in the term asked about when granted, in the sender's own when not.
    PreVoteReply {
        /// Whether it would.
        granted: bool,
    },
    /// "Vote for me" (thesis §3.4).
    Vote {
        /// The end of the sender's log.
        last: LogId,
        /// The leader itself asked the sender to run, so that no promise to that leader stands against it (thesis
        /// §4.2.3, the end).
        transfer: bool,
    },
    /// The answer to a vote.
    VoteReply {
        /// Whether the vote was given. It is durable.
        granted: bool,
    },
    /// "These entries follow `prev`" (thesis §3.5).
    Append {
        /// The slot before the first entry.
        prev: LogId,
        /// The entries, without a gap.
        entries: Vec<Entry>,
        /// The sender's commit index.
        commit: Index,
    },
    /// The log matches the leader's up to `matched`, durably. Covers only what that append verified.
    Appended {
        /// The last slot verified.
        matched: Index,
    },
    /// The log does not hold `prev`.
    Conflict {
        /// The slot the append wanted.
        prev: LogId,
        /// The last slot at or below it that could be shared: its term is not above `prev`'s.
        hint: LogId,
    },
    /// "I lead." Never waits for a disk, neither here nor at the receiver.
    Heartbeat {
        /// Counts this leader's rounds; a read is confirmed by a majority that answered a later one.
        round: u64,
        /// The sender's commit index.
        commit: Index,
    },
    /// The answer to a heartbeat.
    HeartbeatReply {
        /// The round answered.
        round: u64,
        /// How far the log is verified against this leader's, durable or not: less than what was sent before
        /// the round shows a lost append.
        verified: Index,
        /// How far it matches durably, in case an `Appended` was lost.
        matched: Index,
        /// The log has no room left but its reserve, which is for what frees space.
        full: bool,
    },
    /// "At which index may I serve a linearizable read?" Follower to leader (thesis §6.4).
    ReadIndex {
        /// Names the question.
        batch: u64,
        /// Whether the leader's lease is confirmation enough (thesis §6.4.1).
        lease: bool,
    },
    /// "At this one; a majority confirmed that I led after you asked."
    ReadIndexReply {
        /// The question answered.
        batch: u64,
        /// The index that must be applied before the read is served.
        index: Index,
    },
    /// A piece of a snapshot (thesis §5).
    Snapshot {
        /// The whole.
        meta: Box<SnapshotMeta>,
        /// The piece.
        chunk: Chunk,
    },
    /// A piece was stored.
    SnapshotReply {
        /// The last slot of the snapshot.
        last: LogId,
        /// The offset wanted next, in bytes.
        next: u64,
    },
    /// "I lost these slots; who has them?" To any peer, in any role.
    Ask {
        /// Names the question; never the same again after a restart.
        nonce: u64,
        /// The lowest slot wanted.
        first: Index,
        /// The highest slot wanted; below `first` when only the end of the leader's log is asked for.
        last: Index,
        /// The end of the prefix that the sender holds intact, and may acknowledge.
        sound: Index,
        /// The lowest lost slot that the sender does not know to be committed: does anybody hold it at all?
        doubt: Option<LogId>,
    },
    /// Copies for one who asked.
    Tell {
        /// The question answered.
        nonce: u64,
        /// Entries, any of those asked for.
        entries: Vec<Entry>,
        /// How far the sender's log reaches, when it leads its term.
        leads_to: Option<LogId>,
        /// The last slot that the sender knows to be committed.
        committed: LogId,
        /// What the sender holds of the slot in doubt.
        report: Option<Report>,
    },
    /// "Run for leader now": how a leader hands over (thesis §3.10).
    TimeoutNow,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Members};
    use alloc::vec;

    const TOO_MUCH: u64 = MOST + 1;

    fn envelope(term: u64, message: Message) -> Envelope {
        Envelope { from: NodeId(1), to: NodeId(2), term: Term(term), message }
    }

    fn slots(term: u64, index: u64) -> LogId {
        LogId::new(term, index)
    }

    /// Every message that carries numbers, made of so many of them.
    fn messages(of: &dyn Fn(usize) -> u64) -> Vec<(usize, Message)> {
        let id = |at: usize| slots(of(at), of(at + 1));
        let index = |at: usize| Index(of(at));
        let meta = SnapshotMeta {
            last: id(0),
            members: Members::default(),
            members_at: id(2),
            bytes: 0,
            digest: Digest::default(),
            state_hash: 0,
        };
        let chunk = Chunk { offset: of(4), data: [].into(), done: true };
        let asks = |doubt| Message::Ask { nonce: 0, first: index(0), last: index(1), sound: index(2), doubt };
        vec![
            (2, Message::PreVote { last: id(0) }),
            (2, Message::Vote { last: id(0), transfer: false }),
            (3, Message::Append { prev: id(0), entries: Vec::new(), commit: index(2) }),
            (1, Message::Appended { matched: index(0) }),
            (4, Message::Conflict { prev: id(0), hint: id(2) }),
            (2, Message::Heartbeat { round: of(0), commit: index(1) }),
            (3, Message::HeartbeatReply { round: of(0), verified: index(1), matched: index(2), full: false }),
            (1, Message::ReadIndexReply { batch: 0, index: index(0) }),
            (5, Message::Snapshot { meta: Box::new(meta), chunk }),
            (3, Message::SnapshotReply { last: id(0), next: of(2) }),
            (3, asks(None)),
            (5, asks(Some(id(3)))),
        ]
    }

    #[test]
    fn one_number_that_no_cluster_reaches_is_enough() {
        for kind in 0..messages(&|_| 0).len() {
            let whole = |of: &dyn Fn(usize) -> u64| messages(of).swap_remove(kind);
            let (numbers, largest) = whole(&|_| MOST);
            assert!(envelope(MOST, largest.clone()).is_in_range(), "{largest:?}");
            assert!(!envelope(TOO_MUCH, largest).is_in_range());
            for at in 0..numbers {
                let (_, message) = whole(&|number| if number == at { TOO_MUCH } else { 0 });
                assert!(!envelope(0, message.clone()).is_in_range(), "number {at} of {message:?}");
            }
        }
    }

    #[test]
    fn what_is_told_of_slots_is_looked_at_as_well() {
        let tells = |leads_to, committed, slot| {
            let report = Report { slot, held: Held::Intact, bound: false };
            let message =
                Message::Tell { nonce: 0, entries: Vec::new(), leads_to, committed, report: Some(report) };
            envelope(0, message).is_in_range()
        };
        let (sound, wrong) = (slots(MOST, MOST), [slots(TOO_MUCH, 0), slots(0, TOO_MUCH)]);
        assert!(tells(Some(sound), sound, sound));
        for id in wrong {
            assert!(!tells(Some(id), sound, sound) && !tells(None, id, sound) && !tells(None, sound, id));
        }
    }
}
