//! Linearizable reads without writing to the log: ReadIndex (thesis §6.4).
//!
//! A read may be served from the state machine once that has applied what was committed when the read came, as
//! known by a node that still led *after* the read came. One round of heartbeats confirms that for every read
//! that came before the round started. A leader whose lease holds knows it without a round (§6.4.1); such a read is
//! settled the moment it comes, at the host's time of that moment. A follower asks its leader for the index and serves
//! the read itself.

use super::{Raft, RoleState};
use crate::trace::Step;
use crate::{Index, Message, NodeId, Output, ReadId, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::mem::replace;
use serde::{Deserialize, Serialize};

/// The most reads that may wait, wherever on their way, and the most questions of followers.
const MOST_WAITING: usize = 1 << 16;

/// Reads on their way, in whatever role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Reads {
    /// In no round and no question yet.
    waiting: Vec<(ReadId, ReadMode)>,
    /// The question this follower has put to its leader.
    asked: Option<Asked>,
    /// Names the next question. Begins at random, so that an answer from before a restart fits none.
    next_batch: u64,
    /// Confirmed; served once this index is applied.
    confirmed: BTreeMap<Index, Vec<ReadId>>,
    /// How many were taken and not served yet, here or in a leader's rounds.
    unserved: usize,
    /// Questions of followers that wait for a round.
    followers: Vec<(NodeId, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Asked {
    batch: u64,
    /// A lease is good enough for all of them.
    lease: bool,
    ids: Vec<ReadId>,
    /// When to ask again, in case it was lost.
    again_at: Time,
}

/// A round of heartbeats that confirms reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct ReadRound {
    round: u64,
    /// The commit index when it started.
    index: Index,
    pub(super) ids: Vec<ReadId>,
    followers: Vec<(NodeId, u64)>,
}

/// What confirms that a leader still leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReadMode {
    /// A round of heartbeats: right whatever clocks do.
    Quorum,
    /// Its lease, when it holds; else a round. Right as long as clocks keep to the bound that [`crate::Config`] states.
    Lease,
}

/// Why a read was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Too many wait already: try again later.
    Full,
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{MOST_WAITING} reads wait already: try again later")
    }
}

impl core::error::Error for ReadError {}

impl Reads {
    pub(super) fn new(first_batch: u64) -> Self {
        Reads {
            waiting: Vec::new(),
            asked: None,
            next_batch: first_batch,
            confirmed: BTreeMap::new(),
            unserved: 0,
            followers: Vec::new(),
        }
    }

    pub(super) fn waiting_is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn take_back(&mut self, ids: Vec<ReadId>) {
        self.waiting.extend(ids.into_iter().map(|id| (id, ReadMode::Quorum)));
        self.followers.clear();
    }

    /// The leader that was asked is gone or another: the question is void.
    pub(super) fn ask_again(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.waiting.extend(asked.ids.into_iter().map(|id| (id, ReadMode::Quorum)));
        }
    }
}

impl Raft {
    /// Asks for a linearizable read. [`Output::Read`] names it when it may be served; it waits for as long as
    /// there is no leader, or until the host forgets it ([`Raft::retain_reads`]).
    pub fn read(&mut self, now: Time, id: ReadId, mode: ReadMode) -> Result<(), ReadError> {
        self.now = self.now.max(now);
        if self.reads.unserved >= MOST_WAITING {
            return Err(ReadError::Full);
        }
        self.reads.unserved += 1;
        if mode == ReadMode::Lease && self.is_settled() && self.holds_lease() {
            self.out.note(|| Step::Leases { by: None, index: self.commit.0 });
            self.reads.confirmed.entry(self.commit).or_default().push(id);
        } else {
            self.reads.waiting.push((id, mode));
        }
        Ok(())
    }

    /// Forgets the reads that nobody waits for any more. A node that finds no leader would keep them for ever.
    pub fn retain_reads(&mut self, is_waited_for: impl Fn(ReadId) -> bool) {
        let reads = &mut self.reads;
        reads.waiting.retain(|(id, _)| is_waited_for(*id));
        let mut left = reads.waiting.len();
        let mut sift = |ids: &mut Vec<ReadId>| {
            ids.retain(|id| is_waited_for(*id));
            left += ids.len();
        };
        reads.asked.iter_mut().for_each(|asked| sift(&mut asked.ids));
        reads.confirmed.values_mut().for_each(&mut sift);
        if let RoleState::Leader(leader) = &mut self.role {
            leader.read_rounds.iter_mut().for_each(|round| sift(&mut round.ids));
        }
        reads.unserved = left;
        reads.asked.take_if(|asked| asked.ids.is_empty());
    }

    /// Starts a round, or asks the leader, for everything that waits. One at a time: what comes meanwhile
    /// shares the next.
    pub(super) fn begin_read_round(&mut self) {
        let is_settled = self.is_settled();
        match &mut self.role {
            RoleState::Leader(leader) => {
                let nothing = self.reads.waiting.is_empty() && self.reads.followers.is_empty();
                if nothing || !leader.read_rounds.is_empty() || !is_settled {
                    return;
                }
                // Reads that keep coming must not keep a leader that is removed.
                if leader.leave.as_mut().is_some_and(|leave| replace(&mut leave.last_round, true)) {
                    return;
                }
            }
            RoleState::Follower(follower) => {
                if let Some(leader) = follower.leader {
                    self.ask_leader(leader);
                }
                return;
            }
            RoleState::Candidate(_) => return,
        }
        self.broadcast_heartbeat();
        let ids = core::mem::take(&mut self.reads.waiting).into_iter().map(|(id, _)| id).collect();
        let followers = core::mem::take(&mut self.reads.followers);
        if let RoleState::Leader(leader) = &mut self.role {
            leader.read_rounds.push_back(ReadRound {
                round: leader.round,
                index: self.commit,
                ids,
                followers,
            });
            self.out.note(|| Step::Rounds { round: leader.round, index: self.commit.0 });
        }
        self.confirm_reads();
    }

    fn ask_leader(&mut self, leader: NodeId) {
        if self.reads.asked.is_some() || self.reads.waiting.is_empty() {
            return;
        }
        let batch = self.reads.next_batch;
        self.reads.next_batch = batch.wrapping_add(1);
        let waiting = core::mem::take(&mut self.reads.waiting);
        let lease = waiting.iter().all(|(_, mode)| *mode == ReadMode::Lease);
        let ids = waiting.into_iter().map(|(id, _)| id).collect();
        let again_at = self.now + self.config.heartbeat_interval * 2;
        self.reads.asked = Some(Asked { batch, lease, ids, again_at });
        self.send(leader, Message::ReadIndex { batch, lease });
    }

    /// Serves the rounds that a majority has answered: it led when the round started, since each of them was in
    /// its term afterwards.
    pub(super) fn confirm_reads(&mut self) {
        if matches!(&self.role, RoleState::Leader(leader) if leader.read_rounds.is_empty()) {
            return;
        }
        let confirmed = self.confirmed_round();
        loop {
            let RoleState::Leader(leader) = &mut self.role else { return };
            let done = leader.read_rounds.pop_front_if(|round| round.round <= confirmed);
            let Some(done) = done else { break };
            self.out.note(|| Step::Confirms { round: done.round, index: done.index.0 });
            self.reads.confirmed.entry(done.index).or_default().extend(done.ids);
            for (to, batch) in done.followers {
                self.send(to, Message::ReadIndexReply { batch, index: done.index });
            }
        }
        if matches!(&self.role, RoleState::Leader(leader) if leader.leave.is_some()) {
            self.leave();
        }
    }

    pub(super) fn read_index_asked(&mut self, from: NodeId, batch: u64, lease: bool) {
        if lease && self.is_settled() && self.holds_lease() {
            self.out.note(|| Step::Leases { by: Some(from.0), index: self.commit.0 });
            return self.send(from, Message::ReadIndexReply { batch, index: self.commit });
        }
        let leads = matches!(self.role, RoleState::Leader(_));
        let again = self.reads.followers.contains(&(from, batch));
        if leads && !again && self.reads.followers.len() < MOST_WAITING {
            self.out.note(|| Step::Asked { by: from.0, batch });
            self.reads.followers.push((from, batch));
        }
    }

    pub(super) fn read_index_answered(&mut self, from: NodeId, batch: u64, index: Index) {
        if self.leader() != Some(from) {
            return;
        }
        let Some(asked) = self.reads.asked.take_if(|asked| asked.batch == batch) else { return };
        // The index is committed, so a log verified that far may apply it without waiting for a heartbeat.
        self.leader_committed(index);
        self.reads.confirmed.entry(index).or_default().extend(asked.ids);
    }

    /// Names the reads whose index is applied.
    pub(super) fn serve_reads(&mut self) {
        let mut ready = Vec::new();
        let applied = self.applied.index;
        while let Some(first) = self.reads.confirmed.first_entry().filter(|first| *first.key() <= applied) {
            ready.append(&mut first.remove());
        }
        self.reads.unserved -= ready.len();
        if !ready.is_empty() {
            self.out.push_back(Output::Read(ready));
        }
    }

    pub(super) fn read_tick(&mut self) {
        let again_at = self.now + self.config.heartbeat_interval * 2;
        let (now, leader) = (self.now, self.leader());
        let Some(asked) = self.reads.asked.as_mut().filter(|asked| asked.again_at <= now) else { return };
        asked.again_at = again_at;
        let (batch, lease) = (asked.batch, asked.lease);
        if let Some(leader) = leader {
            self.send(leader, Message::ReadIndex { batch, lease });
        }
    }

    pub(super) fn read_deadline(&self) -> Option<Time> {
        self.reads.asked.as_ref().map(|asked| asked.again_at)
    }
}
