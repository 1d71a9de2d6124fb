//! Which survivor to go on with, and what would be lost.
//!
//! **Why the most ahead, by term and then index.** Let its log end at (t, i). It is a prefix of the log of the leader
//! of t, who held every entry that was committed in an earlier term (Leader Completeness, thesis §3.6.3), all of them
//! before its own first. So this log holds every entry committed in a term before t, and those of t up to i. Another
//! survivor whose log ends at a lower (t', i') can hold none beyond these: with t' < t its further entries are of
//! terms before t and would be here were they committed, with t' = t it is a prefix. That is the rule by which voters
//! choose (§3.6.1), applied to those that are left.
//!
//! **What may be lost.** Whatever was committed was on a majority of the voters. If the voters that are not among the
//! survivors are no majority, every committed entry is on a survivor and so, by the above, on the most ahead. Which
//! voters those are is known up to the commit index alone: of a change behind it nobody here can tell whether it came
//! to be, so a majority counts by each configuration from there on. A survivor that has lost the end of its log, or is
//! half-way through a recovery, counts as missing: what it held is not there. So does one that has lost its term and
//! vote, and with them how far it had acknowledged. What its log does show is as good as another's, and of two that
//! show as much the other one is taken.

use std::collections::BTreeSet;
use std::path::Path;

use quorate_node::raft::{Index, LogId, Members, NodeId, Tally, TermRuns, tally};

use super::survivor::{Holdings, Survivor};

/// What another survivor holds and one does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beyond<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) first: Index,
    pub(crate) last: LogId,
}

/// What may be lost of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing, and nothing has to be recovered: the nodes that are named are a majority.
    QuorumIsThere,
    /// Nothing: those that are missing are not enough to have acknowledged anything on their own.
    Nothing,
    /// What the missing voters acknowledged among themselves.
    Unknown,
}

/// What there is to decide about.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The survivor to go on with: the most ahead of those that can.
    pub(crate) best: Option<&'a Survivor>,
    /// One that is ahead of it and can't be gone on with.
    pub(crate) ahead: Option<&'a Survivor>,
    /// Voters of the best one's configuration that are not among the survivors.
    pub(crate) missing: Vec<NodeId>,
    /// What may be lost by going on with the best one.
    pub(crate) loss: Loss,
}

impl<'a> Plan<'a> {
    /// Judges survivors of one history of one cluster. `live` are nodes of it that answer and whose data dirs are not
    /// named.
    pub(crate) fn of(survivors: &'a [Survivor], live: &BTreeSet<NodeId>) -> Plan<'a> {
        let held = |survivor: &&Survivor| {
            let rank = |held: &Holdings| (held.last(), !held.is_term_lost, held.commit);
            survivor.holdings.as_ref().ok().map(rank)
        };
        let sound = survivors.iter().filter(|survivor| survivor.flaw().is_none());
        let best = sound.max_by_key(held);
        let first = survivors.iter().max_by_key(held);
        let last = |survivor: &Survivor| survivor.holdings.as_ref().ok().map(|holdings| holdings.last());
        let ahead = first.filter(|first| best.is_none_or(|best| last(first) > last(best)));
        let none = Members::default();
        let held = best.and_then(|best| best.holdings.as_ref().ok());
        let members = held.map_or(&none, |held| &held.members);
        let found = |id: NodeId| {
            let read = survivors.iter().any(|survivor| survivor.node() == id && survivor.holdings.is_ok());
            read || live.contains(&id)
        };
        let counts = |id: NodeId| {
            let sound = survivors.iter().any(|survivor| survivor.node() == id && survivor.holds_its_log());
            sound || live.contains(&id)
        };
        let missing = members.voters.union(&members.outgoing).copied().filter(|id| !found(*id)).collect();
        // Any of these may have been in force when something was acknowledged last.
        let mut in_force = held.iter().flat_map(|held| &held.in_force);
        let loss = if best.is_none() {
            // Nothing says who the voters are.
            Loss::Unknown
        } else if in_force.clone().all(|members| tally(members, |id| Some(counts(id))) == Tally::Won) {
            Loss::QuorumIsThere
        } else if in_force.any(|members| tally(members, |id| Some(!counts(id))) == Tally::Won)
            || ahead.is_some()
        {
            Loss::Unknown
        } else {
            Loss::Nothing
        };
        Plan { best, ahead, missing, loss }
    }
}

/// What each of the others holds beyond `survivor`.
pub(crate) fn beyond<'a>(survivor: &Survivor, survivors: &'a [Survivor]) -> Vec<Beyond<'a>> {
    let Ok(own) = &survivor.holdings else { return Vec::new() };
    let more = |other: &'a Survivor| {
        let theirs = &other.holdings.as_ref().ok()?.terms;
        let first = first_beyond(&own.terms, theirs)?;
        Some(Beyond { dir: &other.dir, first, last: theirs.last() })
    };
    survivors.iter().filter_map(more).collect()
}

/// The first slot of `theirs` that `own` does not hold. Two logs that agree on a slot agree on all before it (log
/// matching, thesis §3.5), so the end of what they share is found by bisection. What a log compacted was committed.
fn first_beyond(own: &TermRuns, theirs: &TermRuns) -> Option<Index> {
    let mut shared = own.base().index.max(theirs.base().index);
    let mut end = own.last().index.min(theirs.last().index).next();
    while shared.next() < end {
        let middle = Index(shared.0.midpoint(end.0));
        if own.term(middle) == theirs.term(middle) { shared = middle } else { end = middle }
    }
    let first = end.max(theirs.base().index.next());
    (first <= theirs.last().index && first > own.base().index).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_node::raft::Term;

    fn runs(base: LogId, terms: &[u64]) -> TermRuns {
        let mut runs = TermRuns::new(base);
        for term in terms {
            runs.push(LogId { term: Term(*term), index: runs.last().index.next() });
        }
        runs
    }

    #[test]
    fn what_another_log_holds_beyond_one_begins_where_they_part() {
        let zero = LogId::ZERO;
        let log = |terms: &[u64]| runs(zero, terms);
        let table = [
            // own, theirs, the first that is theirs alone
            (log(&[1, 1, 2]), log(&[1, 1, 2]), None),
            (log(&[1, 1, 2]), log(&[1, 1]), None),
            (log(&[1, 1]), log(&[1, 1, 2]), Some(3)),
            (log(&[1, 1, 3]), log(&[1, 1, 2, 2]), Some(3)),
            (log(&[2, 2]), log(&[1, 1]), Some(1)),
            (log(&[]), log(&[1, 1]), Some(1)),
            (log(&[1]), log(&[]), None),
            // Compacted: what is below a base is known to be the same.
            (runs(LogId::new(1, 10), &[1, 2]), log(&[1; 12]), Some(12)),
            (runs(LogId::new(1, 10), &[1, 2]), log(&[1; 9]), None),
            (log(&[1; 5]), runs(LogId::new(1, 10), &[1, 2]), Some(11)),
            (log(&[1; 5]), runs(LogId::new(1, 5), &[1, 2]), Some(6)),
        ];
        for (own, theirs, expected) in table {
            assert_eq!(first_beyond(&own, &theirs), expected.map(Index), "{own:?} {theirs:?}");
        }
    }

    /// Against looking at every slot.
    #[test]
    fn bisection_agrees_with_looking_at_every_slot() {
        for own_length in 0..7 {
            for shared in 0..=own_length {
                for their_length in shared..7 {
                    let own: Vec<u64> = (0..own_length).map(|at| if at < shared { 1 } else { 2 }).collect();
                    let theirs: Vec<u64> =
                        (0..their_length).map(|at| if at < shared { 1 } else { 3 }).collect();
                    let expected = (their_length > shared).then_some(Index(shared + 1));
                    let (own, theirs) = (runs(LogId::ZERO, &own), runs(LogId::ZERO, &theirs));
                    assert_eq!(first_beyond(&own, &theirs), expected, "{own:?} {theirs:?}");
                }
            }
        }
    }
}
