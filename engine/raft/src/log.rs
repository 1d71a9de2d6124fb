//! The log as the core knows it: every term, and the payloads of the tail.

use crate::{Entry, Index, LogId, TermRuns};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Every slot's term, and the payloads of the last ones.
///
/// Invariants: the cache is a gapless tail of the log; what is not yet durable is always in it, since storage
/// could not give it back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Log {
    terms: TermRuns,
    cache: VecDeque<Entry>,
    cached_bytes: usize,
}

impl Log {
    pub(crate) fn new(terms: TermRuns) -> Self {
        Log { terms, cache: VecDeque::new(), cached_bytes: 0 }
    }

    pub(crate) fn terms(&self) -> &TermRuns {
        &self.terms
    }

    pub(crate) fn last(&self) -> LogId {
        self.terms.last()
    }

    /// The payloads in memory, in order.
    pub(crate) fn cache(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.cache.iter()
    }

    /// Takes a cache, which is a gapless tail of the log.
    pub(crate) fn fill(&mut self, cache: Vec<Entry>) {
        self.cached_bytes = cache.iter().map(Entry::weight).sum();
        self.cache = cache.into();
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.terms.push(entry.id);
        self.cached_bytes += entry.weight();
        self.cache.push_back(entry);
    }

    pub(crate) fn truncate(&mut self, from: Index) {
        self.terms.truncate(from);
        while self.cache.back().is_some_and(|entry| entry.id.index >= from) {
            self.cached_bytes -= self.cache.pop_back().map_or(0, |entry| entry.weight());
        }
    }

    /// Drops the slots up to `to`, which a checkpoint covers.
    pub(crate) fn compact(&mut self, to: Index) {
        self.terms.compact(to);
        while self.cache.front().is_some_and(|entry| entry.id.index <= to) {
            self.pop_cached();
        }
    }

    /// Starts again after `base`, empty.
    pub(crate) fn reset(&mut self, base: LogId) {
        *self = Log::new(TermRuns::new(base));
    }

    /// Drops payloads from the front until at most `bytes` are left, but none above `durable`.
    pub(crate) fn evict(&mut self, bytes: usize, durable: Index) {
        while self.cached_bytes > bytes && self.cache.front().is_some_and(|entry| entry.id.index <= durable) {
            self.pop_cached();
        }
    }

    /// The entries from `first` to `last`, as many as `bytes` allow but at least one; `None` when the first is
    /// not in memory.
    pub(crate) fn cached(&self, first: Index, last: Index, bytes: usize) -> Option<Vec<Entry>> {
        let cache_first = self.cache.front()?.id.index;
        let at = usize::try_from(first.0.checked_sub(cache_first.0)?).ok()?;
        let mut room = bytes;
        let wanted = usize::try_from(last.0.saturating_sub(first.0)).unwrap_or(usize::MAX).saturating_add(1);
        let most = (self.cache.len() - at.min(self.cache.len())).min(bytes / Entry::LEAST_WEIGHT + 1);
        let mut entries = Vec::with_capacity(wanted.min(most));
        for entry in self.cache.iter().skip(at).take_while(|entry| entry.id.index <= last) {
            if !entries.is_empty() && entry.weight() > room {
                break;
            }
            room = room.saturating_sub(entry.weight());
            entries.push(entry.clone());
        }
        (!entries.is_empty()).then_some(entries)
    }

    fn pop_cached(&mut self) {
        self.cached_bytes -= self.cache.pop_front().map_or(0, |entry| entry.weight());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;
    use alloc::vec;

    /// Weighs 40 bytes.
    fn entry(index: u64) -> Entry {
        Entry { id: LogId::new(1, index), payload: Payload::Command([0; 8].into()) }
    }

    fn log(entries: u64) -> Log {
        let mut log = Log::new(TermRuns::new(LogId::ZERO));
        (1..=entries).for_each(|index| log.push(entry(index)));
        log
    }

    fn cached(log: &Log) -> (Vec<u64>, usize) {
        (log.cache().map(|entry| entry.id.index.0).collect(), log.cached_bytes)
    }

    #[test]
    fn what_is_cached_is_weighed_however_it_goes() {
        let mut log = log(5);
        assert_eq!(cached(&log), (vec![1, 2, 3, 4, 5], 200));
        log.truncate(Index(5));
        log.compact(Index(1));
        assert_eq!(cached(&log), (vec![2, 3, 4], 120));
        log.evict(80, Index(4));
        assert_eq!(cached(&log), (vec![3, 4], 80), "as many as fit stay");
        log.evict(0, Index(3));
        assert_eq!(cached(&log), (vec![4], 40), "what is not durable stays");
        log.fill(vec![entry(3), entry(4)]);
        assert_eq!(cached(&log), (vec![3, 4], 80));
    }

    #[test]
    fn as_many_entries_are_given_as_fit_and_one_at_least() {
        let mut log = log(5);
        log.evict(160, Index(5));
        let given = |first, last, bytes| {
            let entries = log.cached(Index(first), Index(last), bytes)?;
            Some(entries.into_iter().map(|entry| entry.id.index.0).collect::<Vec<_>>())
        };
        assert_eq!(given(1, 5, 1_000), None, "the first is not in memory");
        assert_eq!(given(2, 4, 1_000), Some(vec![2, 3, 4]));
        assert_eq!(given(2, 5, 80), Some(vec![2, 3]), "they fit exactly");
        assert_eq!(given(2, 5, 79), Some(vec![2]));
        assert_eq!(given(2, 5, 0), Some(vec![2]));
        assert_eq!(given(6, 6, 0), None);
    }
}
