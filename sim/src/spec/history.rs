//! What no server holds alone: all that was ever said, promised and committed. Messages may be lost, late and come
//! twice, so what was said once can be heard at any later time, and the set of it only grows (`messages` in the TLA+
//! specification, where it is a bag that copies are taken from and put back).

use std::collections::{BTreeMap, BTreeSet};

use quorate_node::raft::trace::{Configuration, Slot};

use super::log::Log;
use super::{Guard, must};

/// The history of a cluster.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) terms: BTreeMap<u64, Term>,
    /// All that any leader has committed.
    pub(super) committed: Log,
    /// Each configuration that was ever in a log, by its entry.
    pub(super) configurations: BTreeMap<Slot, Configuration>,
    /// One server has begun with entries that no leader gave it.
    pub(super) founded: bool,
}

/// What was said and done in a term.
#[derive(Debug, Default)]
pub(super) struct Term {
    /// Somebody has entered it of its own accord.
    pub(super) begun: bool,
    /// Who ran, with the end of its log.
    pub(super) candidates: BTreeMap<u128, Slot>,
    /// Who asked whether it should run, with the end of its log.
    pub(super) askers: BTreeMap<u128, Slot>,
    /// Who said yes to such a question, and to whose.
    pub(super) would: BTreeSet<(u128, u128)>,
    /// Who said that its vote is given, and to whom.
    pub(super) granted: BTreeSet<(u128, u128)>,
    /// Who said that it never had a slot.
    pub(super) never: BTreeSet<(u128, Slot)>,
    pub(super) reign: Option<Reign>,
}

/// What a leader has done, and what was said to it.
#[derive(Debug)]
pub(super) struct Reign {
    pub(super) leader: u128,
    /// All that was ever in its log as a leader: what it sends may arrive when it has long lost it in a crash.
    pub(super) log: Log,
    /// The entry that it began with.
    pub(super) first_own: u64,
    pub(super) commit: u64,
    /// The newest round of heartbeats.
    pub(super) round: u64,
    /// How far each has said that its log matches, durably.
    pub(super) acked: BTreeMap<u128, u64>,
    /// The newest round that each has answered.
    pub(super) answered: BTreeMap<u128, u64>,
    /// Whom it told to run.
    pub(super) handed_to: BTreeSet<u128>,
}

impl History {
    pub(super) fn term(&mut self, term: u64) -> &mut Term {
        self.terms.entry(term).or_default()
    }

    pub(super) fn reign(&self, term: u64) -> Option<&Reign> {
        self.terms.get(&term)?.reign.as_ref()
    }

    pub(super) fn reign_mut(&mut self, term: u64) -> Option<&mut Reign> {
        self.terms.get_mut(&term)?.reign.as_mut()
    }

    /// The log of `term`'s leader up to `index` is committed.
    pub(super) fn commit(&mut self, term: u64, index: u64) -> Guard {
        let Some(reign) = self.terms.get_mut(&term).and_then(|term| term.reign.as_mut()) else {
            return Err(format!("nobody leads term {term}"));
        };
        reign.commit = reign.commit.max(index);
        let (log, end) = (&reign.log, self.committed.last());
        let contradiction = log.difference(&self.committed, index.min(end.index));
        must(contradiction.is_none(), || {
            format!("another slot is committed at index {}", contradiction.unwrap_or_default())
        })?;
        if index > end.index {
            let part = log.part(end.index + 1, index);
            must(self.committed.add(&part, index), || format!("the leader's log ends before {index}"))?;
        }
        Ok(())
    }

    /// The entries that set the configurations of `log` up to its end: those in it, and those that are committed below
    /// its base.
    pub(super) fn configured(&self, log: &Log) -> Vec<Slot> {
        let base = log.base().index;
        let is_there = |at: &&Slot| {
            if at.index > base { log.holds(**at) } else { self.committed.holds(**at) || log.holds(**at) }
        };
        let mut configured: Vec<Slot> = self.configurations.keys().filter(is_there).copied().collect();
        configured.sort_by_key(|at| at.index);
        configured
    }
}
