//! Requests that wait for the log.

use crate::RequestId;
use quorate_raft::{Index, LogId, Term};
use std::collections::BTreeMap;

/// Who waits for which entry, and for which reads.
///
/// The fate of a proposal: *done* when its id is applied; *lost* only when another id is applied, and so was
/// committed, at its index; *unknown* when a snapshot covers the index. That a log was truncated proves nothing:
/// another node may still carry the entry to a commit.
///
/// Invariant: `proposals` and `indices` name the same requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    proposals: BTreeMap<Index, Vec<(Term, RequestId)>>,
    indices: BTreeMap<RequestId, Index>,
    pub(crate) checkpoints: Vec<RequestId>,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Lost,
    Unknown,
}

impl Pending {
    pub(crate) fn count(&self) -> usize {
        self.indices.len() + self.checkpoints.len()
    }

    pub(crate) fn expect(&mut self, id: LogId, request: RequestId) {
        self.proposals.entry(id.index).or_default().push((id.term, request));
        self.indices.insert(request, id.index);
    }

    /// The entry `id` was applied: the fate of everything that was proposed for its index.
    pub(crate) fn applied(&mut self, id: LogId) -> Vec<(RequestId, Fate)> {
        // Almost every entry on a follower has nobody waiting.
        let Some(proposals) = self.proposals.remove(&id.index) else { return Vec::new() };
        let fate = |(term, request)| {
            self.indices.remove(&request);
            (request, if term == id.term { Fate::Done } else { Fate::Lost })
        };
        proposals.into_iter().map(fate).collect()
    }

    /// A snapshot up to `last` took the log's place.
    pub(crate) fn covered(&mut self, last: Index) -> Vec<(RequestId, Fate)> {
        let later = self.proposals.split_off(&last.next());
        let covered = core::mem::replace(&mut self.proposals, later);
        let requests: Vec<RequestId> = covered.into_values().flatten().map(|(_, request)| request).collect();
        for request in &requests {
            self.indices.remove(request);
        }
        requests.into_iter().map(|request| (request, Fate::Unknown)).collect()
    }

    /// Nobody waits for `request` any more.
    pub(crate) fn cancel(&mut self, request: RequestId) {
        if let Some(index) = self.indices.remove(&request)
            && let Some(proposals) = self.proposals.get_mut(&index)
        {
            proposals.retain(|(_, waiting)| *waiting != request);
            if proposals.is_empty() {
                self.proposals.remove(&index);
            }
        }
        self.checkpoints.retain(|waiting| *waiting != request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_lost_only_when_another_entry_is_committed_in_its_place() {
        let mut pending = Pending::default();
        pending.expect(LogId::new(1, 5), RequestId(1));
        pending.expect(LogId::new(3, 5), RequestId(2));
        assert_eq!(pending.applied(LogId::new(1, 4)), vec![]);
        assert_eq!(
            pending.applied(LogId::new(3, 5)),
            vec![(RequestId(1), Fate::Lost), (RequestId(2), Fate::Done)]
        );
        assert_eq!(pending.count(), 0);
    }

    #[test]
    fn what_a_snapshot_covers_is_unknown() {
        let mut pending = Pending::default();
        pending.expect(LogId::new(1, 5), RequestId(1));
        pending.expect(LogId::new(1, 6), RequestId(2));
        assert_eq!(pending.covered(Index(5)), vec![(RequestId(1), Fate::Unknown)]);
        assert_eq!(pending.applied(LogId::new(1, 6)), vec![(RequestId(2), Fate::Done)]);
    }

    #[test]
    fn a_canceled_request_has_no_fate() {
        let mut pending = Pending::default();
        pending.expect(LogId::new(1, 5), RequestId(1));
        pending.cancel(RequestId(1));
        assert_eq!(pending.applied(LogId::new(1, 5)), vec![]);
        assert_eq!(pending, Pending::default());
    }
}
