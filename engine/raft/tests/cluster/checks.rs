//! What must hold after every event, over all of history.

use crate::disk::Slots;
use crate::machine::{Machine, hash_of};
use quorate_raft::{Entry, Index, LogId, Members, NodeId, Payload, SnapshotMeta, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug, Hash)]
pub(crate) struct Committed {
    pub(crate) id: LogId,
    /// The term of the leader that committed it.
    pub(crate) by: Term,
}

#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Checks {
    /// Every slot there ever was: what it held and what stood before it.
    chain: BTreeMap<LogId, (u64, LogId)>,
    /// Index 1 first.
    committed: Vec<Committed>,
    /// The state after each index, index 1 first.
    digests: Vec<u64>,
    commands: BTreeSet<Arc<[u8]>>,
    leaders: BTreeMap<Term, (NodeId, u64)>,
    /// The highest write that was acknowledged to a client.
    pub(crate) completed: Index,
}

impl Checks {
    /// What the founders begin with is committed.
    pub(crate) fn found(&mut self, entry: &Entry) {
        self.appended(LogId::ZERO, entry);
        self.committed.push(Committed { id: entry.id, by: entry.id.term });
    }

    pub(crate) fn commit(&self) -> Index {
        Index(self.committed.len() as u64)
    }

    pub(crate) fn committed_at(&self, index: Index) -> Option<LogId> {
        let at = usize::try_from(index.0.checked_sub(1)?).unwrap();
        self.committed.get(at).map(|committed| committed.id)
    }

    /// Log matching (thesis §3.5): one id is one entry after one prefix, in whatever log and at whatever time.
    pub(crate) fn appended(&mut self, prev: LogId, entry: &Entry) {
        let seen = (hash_of(entry), prev);
        let first = *self.chain.entry(entry.id).or_insert(seen);
        assert_eq!(first, seen, "log matching: {} is two entries, or follows two prefixes", entry.id);
    }

    /// Election safety (§3.4), never twice in a stored term (§3.8), and leader completeness (§3.6.3).
    pub(crate) fn elected(&mut self, term: Term, node: NodeId, life: u64, slots: &Slots) {
        if let Some(first) = self.leaders.insert(term, (node, life)) {
            assert_eq!(first, (node, life), "election safety: two leaders of term {term}");
            return;
        }
        for committed in self.committed.iter().rev().filter(|committed| committed.by < term) {
            let index = committed.id.index;
            if index <= slots.base.index {
                break;
            }
            assert_eq!(
                slots.id(index),
                Some(committed.id),
                "leader completeness: {node} leads term {term} without {}",
                committed.id
            );
        }
    }

    /// A leader committed up to `commit`: what a quorum holds durably, of its own term.
    pub(crate) fn leader_commits(
        &mut self,
        term: Term,
        slots: &Slots,
        members: &Members,
        commit: Index,
        holds: impl Fn(NodeId, LogId) -> bool,
    ) {
        if commit <= self.commit() {
            return;
        }
        let id = slots.id(commit).expect("a leader holds what it commits");
        assert_eq!(id.term, term, "an entry of an earlier term is committed by counting (figure 8)");
        for half in [&members.voters, &members.outgoing] {
            let held = half.iter().filter(|node| holds(**node, id)).count();
            assert!(
                half.is_empty() || held * 2 > half.len(),
                "{id} is committed but durable on {held} of {half:?}"
            );
        }
        for index in self.commit().0 + 1..=commit.0 {
            let id = slots.id(Index(index)).expect("a leader holds what it commits");
            self.committed.push(Committed { id, by: term });
        }
    }

    /// A node that knew its log to be committed up to `known` now believes that it is up to `commit`.
    pub(crate) fn knows_commit(&self, slots: &Slots, known: Index, commit: Index) {
        assert!(commit <= self.commit(), "knows of a commit {commit} that no leader made: {}", self.commit());
        for index in known.max(slots.base.index.previous()).0 + 1..=commit.0 {
            let index = Index(index);
            assert_eq!(slots.id(index), self.committed_at(index), "a committed entry has changed");
        }
    }

    /// State machine safety (§3.6.3), and that no command is carried out twice.
    pub(crate) fn applied(&mut self, entry: &Entry, machine: &Machine) {
        assert_eq!(self.committed_at(entry.id.index), Some(entry.id), "applied what is not committed");
        let at = usize::try_from(entry.id.index.0 - 1).unwrap();
        if at == self.digests.len() {
            self.digests.push(machine.digest);
            if let Payload::Command(command) = &entry.payload {
                assert!(self.commands.insert(command.clone()), "a command was carried out twice");
            }
        }
        assert_eq!(self.digests[at], machine.digest, "state machines differ after {}", entry.id);
    }

    pub(crate) fn installed(&self, meta: &SnapshotMeta, machine: &Machine) {
        assert_eq!(self.committed_at(meta.last.index), Some(meta.last), "installed what is not committed");
        assert_eq!(meta.last.index, machine.applied, "a snapshot holds another state than it says");
        let at = usize::try_from(meta.last.index.0 - 1).unwrap();
        assert_eq!(self.digests.get(at), Some(&machine.digest), "a snapshot with another state");
    }

    /// A leader appended a configuration: not before the last one was committed (thesis §4.1), nor before it
    /// committed an entry of its own term (baidu/braft#182).
    pub(crate) fn reconfigures(&self, before: LogId, id: LogId) {
        assert!(
            before.index <= self.commit(),
            "{id} changes the members while the change at {before} is open"
        );
        let settled = self.committed.iter().rev().any(|committed| committed.id.term == id.term);
        assert!(settled, "{id} changes the members before the term's first commit");
    }
}
