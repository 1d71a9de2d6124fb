//! How far a leader knows one peer to be.

use crate::{Index, PeerState, SnapshotMeta, Time};
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// One peer as its leader sees it.
///
/// Invariants: `matched < next`; the bytes in flight are those of the appends in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The peer's log matches up to here, durably.
    pub(super) matched: Index,
    /// The next entry to send.
    pub(super) next: Index,
    pub(super) supply: Supply,
    /// It was removed, and is supplied until then, so that it learns of that.
    pub(super) leaves_at: Option<Time>,
    /// When the peer was last heard in this term; until it has answered, when the term began, which is the grace that
    /// everybody gets.
    pub(super) heard: Time,
    /// It was heard in this term indeed.
    pub(super) answered: bool,
    /// How often it was to take over in this term, and did not.
    pub(super) missed_transfers: u32,
    /// The latest round it answered.
    pub(super) round: u64,
    /// By its last answer its log has no room left but its reserve.
    pub(super) full: bool,
    /// Entries for it are being read from disk.
    pub(super) loading: bool,
    in_flight: VecDeque<(Index, usize)>,
    bytes_in_flight: usize,
    /// What had been sent before a heartbeat that is not answered yet.
    mark: Option<Mark>,
    /// What the last answer showed, when something seemed lost.
    suspect: Option<(Index, u64)>,
    /// Counts what was sent alone (probes and pieces of snapshots), so that a mark can name it.
    sent_alone: u64,
}

/// How a peer is supplied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Supply {
    /// One append at a time until one is answered; `waits_for` is its end and its bytes.
    Probe { waits_for: Option<(Index, usize)> },
    /// Appends one after the other, within the window.
    Pipeline,
    /// This snapshot, one piece at a time from `offset`, also when newer ones are taken meanwhile.
    Snapshot { meta: SnapshotMeta, offset: u64, waiting: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Mark {
    round: u64,
    next: Index,
    sent_alone: u64,
}

impl Progress {
    pub(super) fn new(next: Index, now: Time) -> Self {
        Progress {
            matched: Index(0),
            next,
            supply: Supply::Probe { waits_for: None },
            leaves_at: None,
            heard: now,
            answered: false,
            missed_transfers: 0,
            round: 0,
            full: false,
            loading: false,
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
            mark: None,
            suspect: None,
            sent_alone: 0,
        }
    }

    pub(super) fn state(&self) -> PeerState {
        match self.supply {
            Supply::Probe { .. } => PeerState::Probe,
            Supply::Pipeline => PeerState::Pipeline,
            Supply::Snapshot { .. } => PeerState::Snapshot,
        }
    }

    /// Whether it is sent one append at a time.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.supply, Supply::Probe { .. })
    }

    /// Whether it is sent one append after the other, and takes them.
    pub(super) fn keeps_up(&self) -> bool {
        self.supply == Supply::Pipeline && self.suspect.is_none()
    }

    /// Back to one append at a time, from the first entry that is not known to be there.
    pub(super) fn probe_from(&mut self, next: Index) {
        self.next = next.max(self.matched.next());
        self.supply = Supply::Probe { waits_for: None };
        self.in_flight.clear();
        self.bytes_in_flight = 0;
    }

    pub(super) fn may_send(&self, appends: usize, bytes: usize) -> bool {
        match self.supply {
            Supply::Probe { waits_for } => waits_for.is_none(),
            Supply::Pipeline => self.in_flight.len() < appends && self.bytes_in_flight < bytes,
            Supply::Snapshot { .. } => false,
        }
    }

    /// An append of entries up to `last` was sent.
    pub(super) fn sent(&mut self, last: Index, bytes: usize) {
        assert!(self.matched < self.next, "sends from {} what matches up to {}", self.next, self.matched);
        match &mut self.supply {
            Supply::Probe { waits_for } => {
                *waits_for = Some((last, bytes));
                self.sent_alone += 1;
            }
            Supply::Pipeline => {
                self.in_flight.push_back((last, bytes));
                self.bytes_in_flight += bytes;
                self.next = last.next();
            }
            Supply::Snapshot { .. } => {}
        }
    }

    /// A piece of a snapshot was asked for.
    pub(super) fn sent_piece(&mut self) {
        if let Supply::Snapshot { waiting, .. } = &mut self.supply {
            *waiting = true;
            self.sent_alone += 1;
        }
    }

    /// The peer holds everything up to `matched`. True when that is news.
    pub(super) fn matched_up_to(&mut self, matched: Index) -> bool {
        let news = matched > self.matched;
        self.probe_found(matched);
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched.next());
        while let Some((_, bytes)) = self.in_flight.pop_front_if(|(last, _)| *last <= matched) {
            self.bytes_in_flight -= bytes;
        }
        let done = match &self.supply {
            Supply::Probe { .. } => true,
            Supply::Pipeline => false,
            Supply::Snapshot { meta, .. } => self.matched >= meta.last.index,
        };
        if done {
            self.supply = Supply::Pipeline;
        }
        news
    }

    /// The slot before a probe matches: the probe's own entries then do too, once they are there, and need not
    /// be sent again while the peer's disk is at them.
    fn probe_found(&mut self, matched: Index) {
        if let Supply::Probe { waits_for: Some((last, bytes)) } = self.supply
            && matched.next() >= self.next
            && last > matched
        {
            self.supply = Supply::Pipeline;
            self.sent(last, bytes);
        }
    }

    /// A heartbeat leaves; its answer will show whether what was sent before it arrived.
    pub(super) fn mark(&mut self, round: u64) {
        if self.mark.is_none() {
            self.mark = Some(Mark { round, next: self.next, sent_alone: self.sent_alone });
        }
    }

    /// A heartbeat was answered, with how far the peer's log is verified. What was sent before a mark and left
    /// no trace at two answers running was lost; one would not do, since a heartbeat may overtake megabytes.
    pub(super) fn heartbeat_answered(&mut self, round: u64, verified: Index) {
        self.round = self.round.max(round);
        let Some(mark) = self.mark.take_if(|mark| mark.round <= round) else { return };
        let silent = mark.sent_alone == self.sent_alone;
        let missing = match &self.supply {
            // Below `matched` too: a peer that forgot how far it had verified learns of no commit until told.
            Supply::Pipeline => verified.next() < mark.next,
            Supply::Probe { waits_for } => {
                silent && waits_for.is_some_and(|(last, _)| last > verified || last <= self.matched)
            }
            Supply::Snapshot { waiting, .. } => silent && *waiting && !self.loading,
        };
        let trace = (verified, self.sent_alone);
        let suspected = self.suspect.take() == Some(trace);
        match (missing, suspected) {
            (false, _) => {}
            (true, false) => self.suspect = Some(trace),
            (true, true) => self.resend(verified),
        }
    }

    fn resend(&mut self, verified: Index) {
        match &mut self.supply {
            Supply::Pipeline => self.probe_from(verified.next()),
            Supply::Probe { waits_for } => *waits_for = None,
            Supply::Snapshot { waiting, .. } => *waiting = false,
        }
    }

    /// The peer lost what it had acknowledged.
    pub(super) fn lost_down_to(&mut self, sound: Index) {
        if sound < self.matched {
            self.matched = sound;
            self.probe_from(sound.next());
        }
    }
}
