//! Checkpoints taken here, snapshots sent to those who lag, and snapshots received (thesis §5).

use super::follower::Follower;
use super::leader::Leader;
use super::outbox::slot;
use super::progress::{Progress, Supply};
use super::{Raft, RoleState};
use crate::trace::Step;
use crate::{
    Chunk, Index, Job, LoadSnapshot, LogId, Message, NodeId, Output, Reader, SnapshotMeta, StoreSnapshot,
    Time,
};
use alloc::boxed::Box;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The newest durable checkpoint, and the one being received.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Snapshots {
    pub(super) newest: Option<SnapshotMeta>,
    pub(super) incoming: Option<Incoming>,
}

/// A snapshot on its way here. It outlives the leader that sends it: the next one may have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Incoming {
    from: NodeId,
    meta: SnapshotMeta,
    /// What is stored of it, in bytes.
    stored: u64,
}

fn wants_piece(peer: &Progress) -> bool {
    matches!(peer.supply, Supply::Snapshot { waiting: false, .. }) && !peer.loading
}

impl Snapshots {
    pub(super) fn newest_id(&self) -> LogId {
        self.newest.as_ref().map_or(LogId::ZERO, |meta| meta.last)
    }
}

impl Raft {
    /// A checkpoint taken here is durable: the log below it may go, but for a tail that spares followers who
    /// lag a little a whole snapshot.
    pub(super) fn snapshot_taken(&mut self, meta: SnapshotMeta) {
        if meta.last.index > self.applied.index {
            return self.nonsense(None, "a checkpoint of what was not applied");
        }
        let newest = self.snapshots.newest_id();
        if meta.last < newest {
            return;
        }
        if meta.last == newest {
            return self.snapshot_replaced(meta);
        }
        let keep_from = if self.room.is_bounded() {
            // A full disk keeps no tail but for those who would need a snapshot for a handful of entries.
            meta.last.index.min(self.lowest_supplied())
        } else {
            Index(meta.last.index.0.saturating_sub(self.config.keep_entries))
        };
        self.out.note(|| Step::Stores { last: slot(meta.last), own: true });
        self.snapshots.newest = Some(meta);
        self.compact(keep_from.min(self.pinned()));
        self.drop_covered_damage();
    }

    /// The newest checkpoint was written anew at its own place, since a file of it had gone bad: the same state, of
    /// other bytes. Whoever is being sent it gets it from its beginning.
    fn snapshot_replaced(&mut self, meta: SnapshotMeta) {
        if let RoleState::Leader(leader) = &mut self.role {
            for peer in leader.peers.values_mut() {
                if let Supply::Snapshot { meta: sent, offset, waiting } = &mut peer.supply
                    && sent.last == meta.last
                    && *sent != meta
                {
                    (*sent, *offset, *waiting) = (meta.clone(), 0, false);
                }
            }
        }
        self.snapshots.newest = Some(meta);
    }

    /// Damaged slots that the checkpoint covers are needed by nobody here, and would only hold up answers.
    pub(super) fn drop_covered_damage(&mut self) {
        if let Some(end) = self.damage.highest_up_to(self.snapshots.newest_id().index) {
            self.compact(end);
        }
    }

    /// The lowest index that a running transfer will need the log from.
    fn pinned(&self) -> Index {
        let RoleState::Leader(leader) = &self.role else { return Index(u64::MAX) };
        let transfers =
            leader.peers.values().filter(|peer| self.hears(peer)).filter_map(|peer| match &peer.supply {
                Supply::Snapshot { meta, .. } => Some(meta.last.index),
                Supply::Probe { .. } | Supply::Pipeline => None,
            });
        transfers.min().unwrap_or(Index(u64::MAX))
    }

    fn compact(&mut self, to: Index) {
        if to <= self.log.terms().base().index {
            return;
        }
        self.log.compact(to);
        self.damage.compact(to);
        let base = self.log.terms().base();
        self.out.note(|| Step::Compacts { to: slot(base) });
        self.membership.compact(base.index);
        self.writer.compact(base);
    }

    /// A peer needs what was compacted away: it gets the newest checkpoint instead.
    pub(super) fn begin_snapshot(&mut self, to: NodeId) {
        let Some(meta) = self.snapshots.newest.clone() else { return };
        if let Some(peer) = self.peer(to) {
            peer.supply = Supply::Snapshot { meta, offset: 0, waiting: false };
        }
    }

    fn load_piece(&mut self, to: NodeId) {
        let bytes = self.config.chunk_bytes;
        let Some(peer) = self.peer(to).filter(|peer| !peer.loading) else { return };
        let Supply::Snapshot { meta, offset, waiting: false } = &peer.supply else { return };
        let load = LoadSnapshot { reader: Reader::Peer(to), last: meta.last, offset: *offset, bytes };
        peer.loading = true;
        peer.sent_piece();
        self.out.push_back(Output::Job(Job::LoadSnapshot(load)));
    }

    /// Asks for the pieces that peers wait for and that nobody is reading, no faster than the host allows: a cluster
    /// must not stand still because somebody is catching up.
    pub(super) fn supply_snapshots(&mut self) {
        let RoleState::Leader(leader) = &self.role else { return };
        let waiting = leader.peers.iter().filter(|(_, peer)| wants_piece(peer)).map(|(id, _)| *id);
        let mut peers: alloc::vec::Vec<NodeId> = waiting.collect();
        // Round by round from the last one served: by their order the first would take every turn.
        let after = peers.partition_point(|id| leader.last_supplied.is_some_and(|last| *id <= last));
        peers.rotate_left(after);
        for to in peers {
            if !self.piece_is_due() {
                return;
            }
            self.load_piece(to);
            if let RoleState::Leader(leader) = &mut self.role {
                leader.last_supplied = Some(to);
            }
        }
    }

    fn piece_is_due(&mut self) -> bool {
        let RoleState::Leader(leader) = &mut self.role else { return false };
        let due = self.now >= leader.next_piece_at;
        if due {
            let micros = self.config.chunk_bytes.saturating_mul(1_000_000)
                / self.config.snapshot_bytes_per_second.max(1);
            leader.next_piece_at = self.now + Duration::from_micros(micros);
        }
        due
    }

    /// When the next piece may leave that somebody waits for.
    pub(super) fn next_piece_due(&self, leader: &Leader) -> Option<Time> {
        leader.peers.values().any(wants_piece).then_some(leader.next_piece_at)
    }

    pub(super) fn snapshot_loaded(&mut self, load: LoadSnapshot, chunk: Option<Chunk>) {
        let Reader::Peer(to) = load.reader else { return };
        let newest = self.snapshots.newest_id();
        let Some(peer) = self.peer(to) else { return };
        peer.loading = false;
        let Supply::Snapshot { meta, offset, .. } = &peer.supply else { return };
        if (meta.last, *offset) != (load.last, load.offset) {
            return;
        }
        match chunk {
            Some(chunk) => {
                let meta = meta.clone();
                self.send(to, Message::Snapshot { meta: Box::new(meta), chunk });
            }
            // Gone or damaged, and a newer one was taken meanwhile: begin again with that.
            None if meta.last < newest => peer.probe_from(peer.matched.next()),
            // There is no other. Heartbeats will show that nothing came, and it is tried again then.
            None => {}
        }
    }

    pub(super) fn snapshot_answered(&mut self, from: NodeId, last: LogId, next: u64) {
        let Some(peer) = self.peer(from) else { return };
        let Supply::Snapshot { meta, offset, waiting } = &mut peer.supply else { return };
        // Of one that stood at the same place before, and was longer.
        let next = if next > meta.bytes { 0 } else { next };
        if meta.last == last && *offset != next {
            *offset = next;
            *waiting = false;
        }
    }

    pub(super) fn snapshot_received(&mut self, from: NodeId, meta: SnapshotMeta, chunk: Chunk) {
        if self.follow(from).is_none() {
            return;
        }
        let contradicts = meta.last.index <= self.settled_end() && !self.log.terms().holds(meta.last);
        let fits = meta.last.term <= self.hard.term && meta.members_at <= meta.last;
        if meta.members.fault().is_some() || !fits || (contradicts && meta.last.index > self.applying) {
            return self.nonsense(Some(from), "a snapshot that is not one or contradicts what is committed");
        }
        let damaged = self.damage.highest_up_to(meta.last.index).is_some();
        if meta.last.index <= self.applying && !damaged {
            // An older snapshot must not replace a newer log; what it covers is committed, so it matches.
            return self.verified_up_to(meta.last.index, meta.last.index);
        }
        let same = |incoming: &&mut Incoming| incoming.meta == meta;
        if let Some(incoming) = self.snapshots.incoming.as_mut().filter(same) {
            incoming.from = from;
            let next = incoming.stored;
            if chunk.offset < next {
                // Another leader begins what an earlier one did not finish, or this one says it again.
                return self.send(from, Message::SnapshotReply { last: meta.last, next });
            }
        } else {
            self.snapshots.incoming = Some(Incoming { from, meta: meta.clone(), stored: 0 });
        }
        self.out.push_back(Output::Job(Job::StoreSnapshot(StoreSnapshot { meta: Box::new(meta), chunk })));
    }

    pub(super) fn snapshot_stored(&mut self, stored: &SnapshotMeta, next: u64, complete: bool) {
        let current = |incoming: &&mut Incoming| incoming.meta == *stored;
        let Some(incoming) = self.snapshots.incoming.as_mut().filter(current) else { return };
        if complete {
            self.snapshots.incoming = None;
            self.out.note(|| Step::Stores { last: slot(stored.last), own: false });
            return self.install(stored.clone());
        }
        incoming.stored = next;
        let (from, last) = (incoming.from, stored.last);
        if self.leader() == Some(from) {
            self.send(from, Message::SnapshotReply { last, next });
        }
    }

    /// The snapshot is whole and durable here. It takes the place of the log, unless the log holds its last
    /// slot: then all above stays, and the snapshot serves where the log below is damaged.
    fn install(&mut self, meta: SnapshotMeta) {
        let last = meta.last.index;
        if last <= self.applying {
            // The state machine has been handed all of it, and must not go back. But as a checkpoint it stands
            // for slots that are damaged here and compacted away everywhere else.
            if meta.last > self.snapshots.newest_id() {
                self.snapshots.newest = Some(meta);
                self.drop_covered_damage();
            }
            return self.verified_up_to(last, last);
        }
        if self.log.terms().holds(meta.last) {
            self.commit = self.commit.max(last);
            self.compact(last);
        } else if last <= self.settled_end() {
            return self
                .nonsense(None, "a snapshot that contradicts what was committed or verified since it began");
        } else {
            assert!(!matches!(self.role, RoleState::Leader(_)), "a leader installs a snapshot up to {last}");
            self.log.reset(meta.last);
            self.writer.install(Box::new(meta.clone()));
            self.damage.reset();
            self.membership = super::Membership::new(Some(&meta), alloc::vec::Vec::new());
            self.commit = last;
            self.members_changed();
        }
        if matches!(self.role, RoleState::Candidate(_)) {
            // It asked with another log, perhaps in another configuration: one that it may have no part in.
            self.role = RoleState::Follower(Follower::default());
        }
        self.snapshots.newest = Some(meta.clone());
        self.applying = last;
        self.loading = false;
        self.out.push_back(Output::Install(Box::new(meta)));
        self.verified_up_to(last, last);
    }
}
