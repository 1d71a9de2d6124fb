//! The terms of all log slots, run-length coded.

use crate::{Index, LogId, Term};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Which term each slot of the log has. A log of millions of entries has a few runs, one an election, so the
/// core can always know every term without holding every payload.
///
/// Invariants: runs start at rising indices with rising terms, the first after `base`; the last index is not
/// below the base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TermRuns {
    /// The slot before the first: the end of what was compacted away.
    base: LogId,
    /// The first index of each run, and its term.
    runs: Vec<(Index, Term)>,
    last: Index,
}

impl TermRuns {
    /// An empty log that begins after `base`.
    pub fn new(base: LogId) -> Self {
        TermRuns { base, runs: Vec::new(), last: base.index }
    }

    /// The slot before the first.
    pub fn base(&self) -> LogId {
        self.base
    }

    /// The last slot; the base when there is none.
    pub fn last(&self) -> LogId {
        LogId { term: self.runs.last().map_or(self.base.term, |run| run.1), index: self.last }
    }

    /// The first slot of each run, in order.
    pub(crate) fn first_slots(&self) -> impl Iterator<Item = LogId> + '_ {
        self.runs.iter().map(|(index, term)| LogId { term: *term, index: *index })
    }

    /// The term of the slot at `index`; of the base too. `None` outside.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index > self.last {
            return None;
        }
        // No run begins at the base or below it.
        let after = self.runs.partition_point(|run| run.0 <= index);
        self.runs[..after].last().map(|run| run.1)
    }

    /// The id of the slot at `index`.
    pub fn id(&self, index: Index) -> Option<LogId> {
        self.term(index).map(|term| LogId { term, index })
    }

    /// Whether the log holds exactly this slot (or has it as its base).
    pub fn holds(&self, id: LogId) -> bool {
        self.term(id.index) == Some(id.term)
    }

    /// Adds the next slot.
    ///
    /// # Panics
    /// When `id` does not follow the last slot, or its term is lower: such a log was never any leader's.
    pub fn push(&mut self, id: LogId) {
        let last = self.last();
        assert!(id.index == last.index.next() && id.term >= last.term, "slot {id} does not follow {last}");
        if self.runs.last().is_none_or(|run| run.1 != id.term) {
            self.runs.push((id.index, id.term));
        }
        self.last = id.index;
    }

    /// Drops the slots from `from` on.
    ///
    /// # Panics
    /// When `from` is at or below the base.
    pub fn truncate(&mut self, from: Index) {
        assert!(from > self.base.index, "cannot truncate from {from}: the log begins after {}", self.base);
        self.last = self.last.min(from.previous());
        let last = self.last;
        self.runs.retain(|run| run.0 <= last);
    }

    /// Drops the slots up to and with `to`, which becomes the base. Nothing happens when it is below the base.
    pub fn compact(&mut self, to: Index) {
        let Some(id) = self.id(to) else { return };
        let before = self.runs.partition_point(|run| run.0 <= to.next());
        self.runs.drain(..before.saturating_sub(1));
        if let Some(first) = self.runs.first_mut().filter(|run| run.0 <= to) {
            first.0 = to.next();
        }
        if to == self.last {
            self.runs.clear();
        }
        self.base = id;
    }

    /// The highest slot at or below `index` whose term is not above `term`; the base when there is none.
    pub fn last_not_above(&self, index: Index, term: Term) -> LogId {
        let end = self.last.min(index);
        let within = self.runs.partition_point(|run| run.0 <= end && run.1 <= term);
        let bound = self.runs.get(within).map_or(end, |next| end.min(next.0.previous()));
        if within == 0 { self.base } else { self.id(bound).unwrap_or(self.base) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use alloc::vec;

    fn runs(base: LogId, terms: &[u64]) -> TermRuns {
        let mut runs = TermRuns::new(base);
        for term in terms {
            runs.push(LogId { term: Term(*term), index: runs.last().index.next() });
        }
        runs
    }

    /// Every operation against a plain list of terms.
    #[test]
    fn it_agrees_with_a_plain_list_of_terms() {
        let terms = vec![1, 1, 2, 2, 2, 5, 7, 7];
        let full = runs(LogId::ZERO, &terms);
        for cut in 1..=9 {
            for compacted in 0..cut {
                let mut log = full.clone();
                log.truncate(Index(cut));
                log.compact(Index(compacted));
                let expected = runs(
                    full.id(Index(compacted)).unwrap_or_default(),
                    &terms[compacted as usize..cut as usize - 1],
                );
                assert_eq!(log, expected, "cut {cut} compacted {compacted}");
                for index in 0..10 {
                    let inside = index >= compacted && index < cut;
                    let plain = if index == 0 { Some(&0) } else { terms.get(index as usize - 1) };
                    let wanted = plain.filter(|_| inside).map(|term| Term(*term));
                    assert_eq!(log.term(Index(index)), wanted);
                }
            }
        }
    }

    #[test]
    fn backtracking_finds_the_last_slot_not_above_a_term() {
        let log = runs(LogId::ZERO, &[1, 1, 2, 2, 5]);
        assert_eq!(log.last_not_above(Index(9), Term(9)), LogId::new(5, 5));
        assert_eq!(log.last_not_above(Index(9), Term(4)), LogId::new(2, 4));
        assert_eq!(log.last_not_above(Index(3), Term(4)), LogId::new(2, 3));
        assert_eq!(log.last_not_above(Index(9), Term(0)), LogId::ZERO);
    }
}
