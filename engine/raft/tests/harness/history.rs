//! What must hold over all of a run's history, checked after every step. Each check names its source.

use super::Node;
use super::disk::Disk;
use quorate_raft::{
    Entry, Envelope, HardState, Index, LogId, Message, NodeId, Payload, ReadId, Role, Tally, Term, Write,
    tally,
};
use std::collections::BTreeMap;

/// Everything that ever happened, as far as the checks need it.
#[derive(Default)]
pub(crate) struct History {
    /// Election safety: at most one leader a term (thesis figure 3.2).
    leaders: BTreeMap<Term, NodeId>,
    /// One vote a term and node (thesis §3.4).
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// Log matching: an id stands for one payload and one predecessor, on all nodes (thesis figure 3.2).
    entries: BTreeMap<LogId, (LogId, Payload)>,
    /// State machine safety: what is committed at an index never changes (thesis figure 3.2).
    committed: BTreeMap<Index, LogId>,
    /// The commands that the state machine holds after an index, the same on all nodes.
    states: BTreeMap<Index, Vec<String>>,
    /// The last issued term and vote of each node, across restarts.
    hard: BTreeMap<NodeId, HardState>,
    /// What each running node knew to be committed and applied.
    progress: BTreeMap<NodeId, (Term, Index, Index)>,
    /// What was committed anywhere when a read was asked for.
    reads: BTreeMap<ReadId, Index>,
}

impl History {
    /// A node starts, with what its disk holds: what is volatile may go back, what was durable may not.
    pub(crate) fn started(&mut self, id: NodeId, disk: &Disk) {
        self.progress.remove(&id);
        self.hard.insert(id, disk.hard);
        let mut before = disk.log.base;
        for entry in &disk.log.entries {
            self.entry_seen(before, entry);
            before = entry.id;
        }
    }

    pub(crate) fn write_issued(&mut self, id: NodeId, before: LogId, write: &Write) {
        if let Some(new) = write.hard {
            let old = self.hard.insert(id, new).unwrap_or_default();
            let keeps_vote = new.term > old.term || old.vote.is_none() || old.vote == new.vote;
            assert!(new.term >= old.term && keeps_vote, "node {id} goes from {old:?} to {new:?}");
        }
        let mut before = before;
        for entry in &write.append {
            self.entry_seen(before, entry);
            before = entry.id;
        }
    }

    fn entry_seen(&mut self, before: LogId, entry: &Entry) {
        let seen = self.entries.entry(entry.id).or_insert_with(|| (before, entry.payload.clone()));
        assert_eq!(*seen, (before, entry.payload.clone()), "log matching: {} is two entries", entry.id);
    }

    /// "Persist before you reply" (thesis §3.8), seen from the outside.
    pub(crate) fn sent(&mut self, node: &Node, envelope: &Envelope) {
        let Envelope { from, to, term, message } = envelope;
        let disk = &node.disk;
        match message {
            Message::PreVote { .. } | Message::PreVoteReply { granted: true } => return,
            Message::VoteReply { granted: true } => {
                assert_eq!(disk.hard, HardState { term: *term, vote: Some(*to) }, "the vote is not durable");
                let first = *self.votes.entry((*from, *term)).or_insert(*to);
                assert_eq!(first, *to, "node {from} votes twice in term {term}");
            }
            Message::Appended { matched } | Message::HeartbeatReply { matched, .. } => {
                assert!(disk.has_written(*matched), "acknowledges {matched}, which is not durable");
            }
            _ => {}
        }
        assert!(disk.hard.term >= *term, "{message:?} leaves in term {term}, durable is {}", disk.hard.term);
    }

    pub(crate) fn applied(&mut self, index: Index, state: &[String]) {
        let first = self.states.entry(index).or_insert_with(|| state.to_vec());
        assert_eq!(first, state, "two states after {index}");
    }

    pub(crate) fn read_asked(&mut self, id: ReadId) {
        self.reads.insert(id, self.committed.keys().next_back().copied().unwrap_or_default());
    }

    /// A read sees all that was committed when it was asked for (thesis §6.4).
    pub(crate) fn read_served(&self, node: &Node, id: ReadId) {
        let (needed, applied) = (self.reads[&id], node.machine.applied.index);
        assert!(applied >= needed, "read {} is stale: sees {applied}, {needed} was committed", id.0);
    }

    /// After each step of a node: who leads, what is committed, what only grows.
    pub(crate) fn check(&mut self, nodes: &BTreeMap<NodeId, Node>, id: NodeId) {
        let node = &nodes[&id];
        let Some(raft) = &node.raft else { return };
        let status = raft.status();
        let now = (status.term, status.commit, status.applied.index);
        let (term, commit, applied) = self.progress.insert(id, now).unwrap_or_default();
        assert!(term <= now.0 && commit <= now.1 && applied <= now.2, "{id} goes back: {now:?}");
        let leads = status.role == Role::Leader;
        if leads {
            let first = *self.leaders.entry(status.term).or_insert(id);
            assert_eq!(first, id, "two leaders in term {}", status.term);
            self.check_completeness(node, status.term);
        }
        for index in (commit.0 + 1..=now.1.0).map(Index) {
            let Some(held) = node.disk.issued.id(index) else { continue };
            let known = self.committed.contains_key(&index);
            let first = *self.committed.entry(index).or_insert(held);
            assert_eq!(first, held, "two entries are committed at {index}");
            if leads && !known {
                let holds = |voter| Some(nodes[&voter].disk.held_durably(held));
                let verdict = tally(status.members, holds);
                assert_eq!(verdict, Tally::Won, "{held} is committed and not durable on a majority");
            }
        }
    }

    /// A leader holds all that was committed before its term (thesis figure 3.2).
    fn check_completeness(&self, node: &Node, term: Term) {
        let log = &node.disk.issued;
        for (index, id) in self.committed.range(log.base.index.next()..).filter(|(_, id)| id.term < term) {
            assert_eq!(log.id(*index), Some(*id), "the leader of term {term} lacks what is committed");
        }
    }
}
