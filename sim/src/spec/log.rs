//! A log: which term each of its slots has.

use quorate_node::raft::trace::Slot;

/// Slots after a base. What they carry is none of the specification's business, but for configurations: an entry is
/// its slot (log matching, thesis §3.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    base: Slot,
    /// The first slot of each run of slots of one term.
    runs: Vec<Slot>,
    last: u64,
}

impl Log {
    /// An empty one.
    pub(super) fn new(base: Slot) -> Self {
        Log { base, runs: Vec::new(), last: base.index }
    }

    pub(super) fn found(base: Slot, runs: Vec<Slot>, last: u64) -> Self {
        Log { base, runs, last }
    }

    pub(super) fn base(&self) -> Slot {
        self.base
    }

    pub(super) fn last(&self) -> Slot {
        Slot { term: self.runs.last().map_or(self.base.term, |run| run.term), index: self.last }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last == self.base.index
    }

    /// The slot at `index`, the base included.
    pub(super) fn slot(&self, index: u64) -> Option<Slot> {
        if index == self.base.index {
            return Some(self.base);
        }
        if index < self.base.index || index > self.last {
            return None;
        }
        let after = self.runs.partition_point(|run| run.index <= index);
        let run = self.runs.get(after.checked_sub(1)?)?;
        Some(Slot { term: run.term, index })
    }

    pub(super) fn holds(&self, slot: Slot) -> bool {
        self.slot(slot.index) == Some(slot)
    }

    /// Adds the slot that follows the last; says whether it does.
    pub(super) fn push(&mut self, slot: Slot) -> bool {
        let last = self.last();
        if slot.index != last.index + 1 || slot.term < last.term {
            return false;
        }
        if self.runs.last().is_none_or(|run| run.term != slot.term) {
            self.runs.push(slot);
        }
        self.last = slot.index;
        true
    }

    pub(super) fn truncate(&mut self, from: u64) {
        self.last = self.last.min(from.saturating_sub(1)).max(self.base.index);
        let last = self.last;
        self.runs.retain(|run| run.index <= last);
    }

    /// Drops the slots up to `to`, if it holds that.
    pub(super) fn compact(&mut self, to: Slot) {
        if !self.holds(to) {
            return;
        }
        let next = self.slot(to.index + 1);
        self.runs.retain(|run| run.index > to.index);
        if let Some(next) = next
            && self.runs.first().is_none_or(|run| run.index > next.index)
        {
            self.runs.insert(0, next);
        }
        self.base = to;
    }

    /// The part from `first` to `last`, both included.
    pub(super) fn part(&self, first: u64, last: u64) -> Part {
        let begin = self.slot(first).filter(|_| last <= self.last && first > self.base.index);
        let later = self.runs.iter().filter(|run| run.index > first && run.index <= last);
        Part { runs: begin.into_iter().chain(later.copied()).collect(), last }
    }

    /// Adds a part behind the last slot, up to `last`; says whether it follows.
    pub(super) fn add(&mut self, part: &Part, last: u64) -> bool {
        let Some(first) = part.runs.first().filter(|first| first.index == self.last + 1) else {
            return false;
        };
        let ascends = first.term >= self.last().term && last >= first.index && last <= part.last;
        if ascends {
            let joins = self.runs.last().is_some_and(|run| run.term == first.term);
            let runs = part.runs.iter().skip(usize::from(joins)).filter(|run| run.index <= last);
            self.runs.extend(runs);
            self.last = last;
        }
        ascends
    }

    /// The first index up to `end`, above both bases, at which the two have not the same slot.
    pub(super) fn difference(&self, other: &Log, end: u64) -> Option<u64> {
        let mut index = self.base.index.max(other.base.index) + 1;
        while index <= end {
            match (self.slot(index), other.slot(index)) {
                (Some(one), Some(two)) if one == two => {
                    index = self.next_run(index).min(other.next_run(index));
                }
                _ => return Some(index),
            }
        }
        None
    }

    /// Where the run that holds `index` is over.
    fn next_run(&self, index: u64) -> u64 {
        let after = self.runs.partition_point(|run| run.index <= index);
        self.runs.get(after).map_or(self.last + 1, |run| run.index)
    }
}

/// Slots in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The first slot of each run; none when there are no such slots.
    runs: Vec<Slot>,
    last: u64,
}

impl Part {
    pub(super) fn first(&self) -> Option<u64> {
        self.runs.first().map(|run| run.index)
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(term: u64, index: u64) -> Slot {
        Slot { term, index }
    }

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::new(Slot::default());
        for term in terms {
            assert!(log.push(slot(*term, log.last().index + 1)), "{term} after {log:?}");
        }
        log
    }

    #[test]
    fn it_knows_each_slot() {
        let log = log(&[1, 1, 3]);
        assert_eq!(log.slot(0), Some(Slot::default()));
        assert_eq!(
            [1, 2, 3].map(|index| log.slot(index)),
            [(1, 1), (1, 2), (3, 3)].map(|(t, i)| Some(slot(t, i)))
        );
        assert_eq!(log.slot(4), None);
        assert!(log.holds(slot(1, 2)) && !log.holds(slot(3, 2)));
    }

    #[test]
    fn slots_follow_each_other_and_terms_do_not_fall() {
        let mut log = log(&[1, 3]);
        assert!(!log.push(slot(3, 4)) && !log.push(slot(2, 3)) && log.push(slot(3, 3)));
    }

    #[test]
    fn what_is_cut_off_is_gone_at_either_end() {
        let full = log(&[1, 1, 3, 3, 4]);
        for cut in 1..=6 {
            let mut short = full.clone();
            short.truncate(cut);
            assert_eq!(short.last().index, cut - 1);
            assert_eq!(short.difference(&full, cut - 1), None);
            for base in 0..cut {
                let mut behind = short.clone();
                behind.compact(full.slot(base).unwrap());
                assert_eq!(behind.base().index, base);
                assert_eq!((behind.last(), behind.difference(&full, cut - 1)), (short.last(), None));
            }
        }
    }

    #[test]
    fn a_part_is_added_where_it_follows() {
        let full = log(&[1, 1, 3, 3, 4]);
        for first in 1..=5 {
            for last in first..=5 {
                let mut short = full.clone();
                short.truncate(first);
                let part = full.part(first, last);
                assert_eq!((part.first(), part.last()), (Some(first), last));
                assert!(short.add(&part, last));
                assert_eq!((short.last().index, short.difference(&full, last)), (last, None));
                assert!(!short.clone().add(&part, last), "twice");
            }
        }
        assert_eq!(full.part(5, 6).first(), None);
    }

    #[test]
    fn a_difference_is_found_where_it_begins() {
        assert_eq!(log(&[1, 1, 2]).difference(&log(&[1, 1, 3]), 3), Some(3));
        assert_eq!(log(&[1, 1, 2]).difference(&log(&[1, 1, 3]), 2), None);
        assert_eq!(log(&[1, 1]).difference(&log(&[1, 1, 3]), 3), Some(3));
    }
}
