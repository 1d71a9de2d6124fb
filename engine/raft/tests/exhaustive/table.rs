//! What is known already: each state of a node is kept once, and what becomes of it is worked out once, by the real
//! core. A cluster is then a few references, and most steps of a search are looked up.

use crate::host::{Disk, Happening, Host, Letter, Treatment, fingerprint};
use quorate_raft::{Index, LogId, Members, NodeId, Role, Term};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A node in one state, and what the search looks at.
pub(crate) struct Node {
    pub(crate) print: u64,
    pub(crate) host: Host,
    pub(crate) id: NodeId,
    pub(crate) term: Term,
    pub(crate) commit: Index,
    pub(crate) leads: bool,
    /// The last two configurations that it knows; a leader has just counted by one of them.
    pub(crate) counted_by: Vec<Members>,
    /// The voters that it counts by, if it knows that to be committed and it is no joint configuration.
    pub(crate) settled_voters: Vec<u128>,
    /// The slot below its log.
    pub(crate) base: LogId,
    /// Its log once everything issued is durable: each slot, and the fingerprint of the entry there.
    pub(crate) slots: Vec<(LogId, u64)>,
}

impl Node {
    pub(crate) fn new(print: u64, host: Host) -> Self {
        let status = host.core.status();
        let (id, term, commit, leads) = (status.id, status.term, status.commit, status.role == Role::Leader);
        let settled = !status.members.is_joint() && status.members_at.index <= commit;
        let voters = status.members.voters.iter().filter(|_| settled);
        let settled_voters = voters.map(|id| id.0).collect();
        let log: Disk = host.log();
        let slots = log.entries().iter().map(|entry| (entry.id, fingerprint(entry))).collect();
        let counted_by = log.configurations().take(2).cloned().collect();
        Node { print, id, term, commit, leads, counted_by, settled_voters, base: log.base(), slots, host }
    }

    /// The id that stands at an index, if it is known; that of the last slot below the log too.
    pub(crate) fn held(&self, index: Index) -> Option<LogId> {
        if index == self.base.index {
            return Some(self.base).filter(|base| base.index.0 > 0);
        }
        self.slot(index).map(|(id, _)| *id)
    }

    fn slot(&self, index: Index) -> Option<&(LogId, u64)> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.slots.get(usize::try_from(at).unwrap())
    }

    /// Log matching (thesis §3.5): the same id is the same entry with the same prefix.
    pub(crate) fn matches(&self, other: &Node) -> bool {
        let mut below = true;
        for (id, entry) in &self.slots {
            let Some((its_id, its_entry)) = other.slot(id.index) else { continue };
            let same = (its_id, its_entry) == (id, entry);
            if its_id == id && !(same && below) {
                return false;
            }
            below = same;
        }
        true
    }
}

/// What becomes of a node when something happens to it.
pub(crate) struct Turn {
    pub(crate) node: Arc<Node>,
    pub(crate) sent: Vec<Arc<Letter>>,
    /// Whether it issued a write.
    pub(crate) wrote: bool,
}

/// What one search has worked out so far.
#[derive(Default)]
pub(crate) struct Table {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    nodes: BTreeMap<u64, Arc<Node>>,
    turns: BTreeMap<(u64, u64), Arc<Turn>>,
}

impl Table {
    /// This state of a node, as the one copy that there is of it.
    pub(crate) fn node(&self, host: Host) -> Arc<Node> {
        let print = fingerprint(&host);
        Arc::clone(self.known().nodes.entry(print).or_insert_with(|| Arc::new(Node::new(print, host))))
    }

    /// What becomes of `node`.
    pub(crate) fn turn(&self, node: &Node, happening: &Happening, treatment: Treatment) -> Arc<Turn> {
        let key = (node.print, fingerprint(&(happening, treatment)));
        if let Some(turn) = self.known().turns.get(&key) {
            return Arc::clone(turn);
        }
        let mut host = node.host.clone();
        let doings = host.meet(happening, treatment);
        let sent = doings.sent.into_iter().map(Letter::new).collect();
        let turn = Arc::new(Turn { node: self.node(host), sent, wrote: doings.wrote });
        Arc::clone(self.known().turns.entry(key).or_insert(turn))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}
