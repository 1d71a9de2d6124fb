//! Requests that wait for the log.

use crate::RequestId;
use quorate_raft::{Entry, Index, LogId, Payload, Term};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who waits for which entry, and for which reads.
///
/// The fate of a proposal: *done* when its id is applied; *lost* only when another id is applied, and so was
/// committed, at its index; *unknown* when a snapshot covers the index. That a log was truncated proves nothing:
/// another node may still carry the entry to a commit.
///
/// Invariant: `proposals` and `indices` name the same requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    proposals: BTreeMap<Index, Vec<(Term, RequestId)>>,
    indices: BTreeMap<RequestId, Index>,
    /// Who waits for the end of a joint change.
    pub(crate) joint: Vec<RequestId>,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Lost,
}

impl Pending {
    pub(crate) fn count(&self) -> usize {
        self.indices.len() + self.joint.len()
    }

    pub(crate) fn expect(&mut self, id: LogId, request: RequestId) {
        self.proposals.entry(id.index).or_default().push((id.term, request));
        self.indices.insert(request, id.index);
    }

    /// The entry was applied: the fate of everything that was proposed for its index. A change of members by way of a
    /// joint configuration is done when that has ended, no matter which leader ends it.
    pub(crate) fn applied(&mut self, entry: &Entry) -> Vec<(RequestId, Fate)> {
        let mut fates = Vec::new();
        // Almost every entry on a follower has nobody waiting.
        for (term, request) in self.proposals.remove(&entry.id.index).unwrap_or_default() {
            self.indices.remove(&request);
            fates.push((request, if term == entry.id.term { Fate::Done } else { Fate::Lost }));
        }
        if let Payload::Members(members) = &entry.payload {
            if members.is_joint() {
                self.joint.extend(fates.extract_if(.., |(_, fate)| *fate == Fate::Done).map(|(id, _)| id));
            } else {
                fates.extend(self.joint.drain(..).map(|id| (id, Fate::Done)));
            }
        }
        fates
    }

    /// A snapshot up to `last` took the log's place: whose fate can't be known any more.
    pub(crate) fn covered(&mut self, last: Index) -> Vec<RequestId> {
        let later = self.proposals.split_off(&last.next());
        let covered = core::mem::replace(&mut self.proposals, later);
        let requests: Vec<RequestId> = covered.into_values().flatten().map(|(_, request)| request).collect();
        for request in &requests {
            self.indices.remove(request);
        }
        requests.into_iter().chain(self.joint.drain(..)).collect()
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
        self.joint.retain(|waiting| *waiting != request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_raft::{Members, NodeId};
    use std::collections::BTreeSet;

    fn noop(term: u64, index: u64) -> Entry {
        Entry { id: LogId::new(term, index), payload: Payload::Noop }
    }

    fn members(index: u64, outgoing: &[u128]) -> Entry {
        let outgoing: BTreeSet<NodeId> = outgoing.iter().map(|id| NodeId(*id)).collect();
        let members = Members { outgoing, ..Members::default() };
        Entry { id: LogId::new(1, index), payload: Payload::Members(Box::new(members)) }
    }

    #[test]
    fn a_proposal_is_lost_only_when_another_entry_is_committed_in_its_place() {
        let mut pending = Pending::default();
        pending.expect(LogId::new(1, 5), RequestId(1));
        pending.expect(LogId::new(3, 5), RequestId(2));
        assert_eq!(pending.applied(&noop(1, 4)), vec![]);
        assert_eq!(
            pending.applied(&noop(3, 5)),
            vec![(RequestId(1), Fate::Lost), (RequestId(2), Fate::Done)]
        );
        assert_eq!(pending.count(), 0);
    }

    #[test]
    fn what_a_snapshot_covers_is_unknown() {
        let mut pending = Pending::default();
        pending.expect(LogId::new(1, 5), RequestId(1));
        pending.expect(LogId::new(1, 6), RequestId(2));
        assert_eq!(pending.covered(Index(5)), vec![RequestId(1)]);
        assert_eq!(pending.applied(&noop(1, 6)), vec![(RequestId(2), Fate::Done)]);
    }

    #[test]
    fn a_joint_change_is_done_when_it_has_ended() {
        let mut pending = Pending::default();
        pending.expect(LogId::new(1, 5), RequestId(1));
        pending.expect(LogId::new(2, 5), RequestId(2));
        assert_eq!(pending.applied(&members(5, &[1])), vec![(RequestId(2), Fate::Lost)]);
        assert_eq!(pending.applied(&noop(1, 6)), vec![]);
        assert_eq!(pending.count(), 1);
        assert_eq!(pending.applied(&members(7, &[])), vec![(RequestId(1), Fate::Done)]);
        pending.expect(LogId::new(1, 8), RequestId(3));
        pending.applied(&members(8, &[1]));
        assert_eq!(pending.covered(Index(9)), vec![RequestId(3)]);
        assert_eq!(pending, Pending::default());
    }

    #[test]
    fn a_canceled_request_has_no_fate() {
        let mut pending = Pending::default();
        pending.expect(LogId::new(1, 5), RequestId(1));
        pending.cancel(RequestId(1));
        assert_eq!(pending.applied(&noop(1, 5)), vec![]);
        assert_eq!(pending, Pending::default());
    }
}
