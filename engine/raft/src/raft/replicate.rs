//! Supplying peers with entries. Runs when the host polls, so that everything proposed since shares appends.

use super::progress::Progress;
use super::{Raft, RoleState};
use crate::{Entry, Index, Load, LogId, Message, NodeId, Reader};
use alloc::vec::Vec;

/// What to do next for one peer.
enum Step {
    Nothing,
    Append { prev: LogId, entries: Vec<Entry> },
    Load { first: Index, last: Index },
    Snapshot,
}

impl Raft {
    pub(super) fn replicate(&mut self) {
        let RoleState::Leader(leader) = &self.role else { return };
        // Most of the time there is none, and then nothing is allocated.
        let last = self.log.last().index;
        let wants = |(_, peer): &(&NodeId, &Progress)| peer.next <= last || peer.is_probing();
        let peers: Vec<NodeId> = leader.peers.iter().filter(wants).map(|(id, _)| *id).collect();
        for to in peers {
            self.supply(to);
        }
    }

    fn supply(&mut self, to: NodeId) {
        loop {
            match self.next_step(to) {
                Step::Nothing => return,
                Step::Append { prev, entries } => self.send_append(to, prev, entries),
                Step::Load { first, last } => {
                    self.load(Reader::Peer(to), first, last, self.config.append_bytes);
                    if let Some(peer) = self.peer(to) {
                        peer.loading = true;
                    }
                    return;
                }
                Step::Snapshot => return self.begin_snapshot(to),
            }
        }
    }

    fn next_step(&self, to: NodeId) -> Step {
        let RoleState::Leader(leader) = &self.role else { return Step::Nothing };
        let Some(peer) = leader.peers.get(&to) else { return Step::Nothing };
        let last = self.log.last().index.min(self.damage.intact_from(peer.next, self.log.last().index));
        let probing = peer.is_probing();
        let may_send = peer.may_send(self.config.inflight_appends, self.config.inflight_bytes);
        if peer.loading || !may_send || (peer.next > last && !probing) {
            return Step::Nothing;
        }
        let Some(prev) = self.log.terms().id(peer.next.previous()) else { return Step::Snapshot };
        if peer.next > last {
            return Step::Append { prev, entries: Vec::new() };
        }
        match self.log.cached(peer.next, last, self.config.append_bytes) {
            Some(entries) => Step::Append { prev, entries },
            None => Step::Load { first: peer.next, last },
        }
    }

    fn send_append(&mut self, to: NodeId, prev: LogId, entries: Vec<Entry>) {
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        let bytes = entries.iter().map(Entry::weight).sum();
        let commit = self.commit;
        if let Some(peer) = self.peer(to) {
            peer.sent(last, bytes);
            self.send(to, Message::Append { prev, entries, commit });
        }
    }

    /// Entries came from disk. They are sent when they are still what the log says and the peer wants next.
    pub(super) fn loaded_for_peer(&mut self, to: NodeId, load: Load, entries: Vec<Entry>) {
        let still_ours = self.are_ours(load.first, &entries);
        let prev = self.log.terms().id(load.first.previous());
        let window = (self.config.inflight_appends, self.config.inflight_bytes);
        let Some(peer) = self.peer(to) else { return };
        peer.loading = false;
        let wanted = peer.next == load.first && peer.may_send(window.0, window.1);
        if let Some(prev) = prev.filter(|_| wanted && still_ours && !entries.is_empty()) {
            self.send_append(to, prev, entries);
        }
    }

    /// Whether entries that were read are still those of the log, from `first` on.
    pub(super) fn are_ours(&self, first: Index, entries: &[Entry]) -> bool {
        let mut expected = first;
        entries.iter().all(|entry| {
            let ours = entry.id.index == expected && self.log.terms().holds(entry.id);
            expected = Index(expected.0.wrapping_add(1));
            ours
        })
    }

    pub(super) fn peer(&mut self, id: NodeId) -> Option<&mut super::progress::Progress> {
        match &mut self.role {
            RoleState::Leader(leader) => leader.peers.get_mut(&id),
            RoleState::Follower(_) | RoleState::Candidate(_) => None,
        }
    }
}
