//! Messages: what was sent is paired with what arrived.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use crate::observe::{MessageKind, Said};
use crate::plan::Host;

/// All messages as columns, in the order in which they were sent.
#[derive(Default, Serialize)]
pub(super) struct Messages {
    /// The kinds that occurred: name, group, and what the three numbers mean (empty: nothing).
    kinds: Vec<(&'static str, &'static str, [&'static str; 3])>,
    /// When it was sent.
    sent: Vec<u64>,
    /// How long it took; -1 when it never arrived.
    took: Vec<i64>,
    /// A position in `kinds`.
    kind: Vec<usize>,
    from: Vec<Host>,
    to: Vec<Host>,
    term: Vec<u64>,
    numbers: Vec<[u64; 3]>,
    /// 0: arrived or lost; 1: arrived once more; 2: arrived, but nobody saw it being sent.
    odd: Vec<u8>,
    #[serde(skip)]
    under_way: HashMap<(Host, Host, Said), Pairing>,
}

/// Equal messages on one link. They can't be told apart, so the first that was sent counts as the first to arrive.
#[derive(Default)]
struct Pairing {
    waiting: VecDeque<usize>,
    arrived: Option<usize>,
}

impl Messages {
    pub(super) fn sent(&mut self, at: u64, from: Host, to: Host, said: Said) {
        let row = self.push(at, -1, (from, to), said, 0);
        self.under_way.entry((from, to, said)).or_default().waiting.push_back(row);
    }

    pub(super) fn received(&mut self, at: u64, from: Host, to: Host, said: Said) {
        let pairing = self.under_way.entry((from, to, said)).or_default();
        if let Some(row) = pairing.waiting.pop_front() {
            pairing.arrived = Some(row);
            self.took[row] = between(self.sent[row], at);
        } else if let Some(row) = pairing.arrived {
            let sent = self.sent[row];
            self.push(sent, between(sent, at), (from, to), said, 1);
        } else {
            self.push(at, 0, (from, to), said, 2);
        }
    }

    /// Copies have their original's time, so they came too late into the columns.
    pub(super) fn in_order(self) -> Messages {
        let mut order: Vec<usize> = (0..self.sent.len()).collect();
        order.sort_by_key(|row| self.sent[*row]);
        fn pick<T: Copy>(order: &[usize], column: &[T]) -> Vec<T> {
            order.iter().map(|row| column[*row]).collect()
        }
        Messages {
            kinds: self.kinds,
            sent: pick(&order, &self.sent),
            took: pick(&order, &self.took),
            kind: pick(&order, &self.kind),
            from: pick(&order, &self.from),
            to: pick(&order, &self.to),
            term: pick(&order, &self.term),
            numbers: pick(&order, &self.numbers),
            odd: pick(&order, &self.odd),
            under_way: HashMap::new(),
        }
    }

    fn push(&mut self, sent: u64, took: i64, (from, to): (Host, Host), said: Said, odd: u8) -> usize {
        let kind = self.kind_of(said.kind);
        self.sent.push(sent);
        self.took.push(took);
        self.kind.push(kind);
        self.from.push(from);
        self.to.push(to);
        self.term.push(said.term.0);
        self.numbers.push(said.numbers);
        self.odd.push(odd);
        self.sent.len() - 1
    }

    fn kind_of(&mut self, kind: MessageKind) -> usize {
        let described = describe(kind);
        let known = self.kinds.iter().position(|(name, ..)| *name == described.0);
        known.unwrap_or_else(|| {
            self.kinds.push(described);
            self.kinds.len() - 1
        })
    }
}

fn between(earlier: u64, later: u64) -> i64 {
    i64::try_from(later.saturating_sub(earlier)).unwrap_or(i64::MAX)
}

/// Name, group, and what the numbers mean: see [`MessageKind`].
fn describe(kind: MessageKind) -> (&'static str, &'static str, [&'static str; 3]) {
    match kind {
        MessageKind::PreVote => ("pre-vote", "election", ["log ends at index", "log ends in term", ""]),
        MessageKind::PreVoteReply => ("pre-vote reply", "election", ["granted", "", ""]),
        MessageKind::Vote => ("vote", "election", ["log ends at index", "log ends in term", "told to run"]),
        MessageKind::VoteReply => ("vote reply", "election", ["granted", "", ""]),
        MessageKind::Append => ("append", "entries", ["after index", "entries", "commit"]),
        MessageKind::Appended => ("appended", "reply", ["verified and durable to", "", ""]),
        MessageKind::Conflict => ("conflict", "reply", ["wanted", "hint", ""]),
        MessageKind::Heartbeat => ("heartbeat", "heartbeat", ["round", "commit", ""]),
        MessageKind::HeartbeatReply => ("heartbeat reply", "heartbeat", ["round", "verified", "durable"]),
        MessageKind::ReadIndex => ("read index", "read", ["question", "by lease", ""]),
        MessageKind::ReadIndexReply => ("read index reply", "read", ["question", "index", ""]),
        MessageKind::Snapshot => ("snapshot", "snapshot", ["last slot", "offset", "last piece"]),
        MessageKind::SnapshotReply => ("snapshot reply", "snapshot", ["last slot", "offset wanted", ""]),
        MessageKind::Ask => ("ask", "repair", ["first slot", "last slot", "sound to"]),
        MessageKind::Tell => ("tell", "repair", ["entries", "log ends at", ""]),
        MessageKind::TimeoutNow => ("timeout now", "election", ["", "", ""]),
    }
}
