//! What every server has written, what of it is durable, and what was ever committed: the evidence of the checkers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_node::raft::{Event, Index, LogId, Term};

use crate::observe::{FoundLog, LogWrite, Observation};
use crate::plan::Host;

/// The content of a slot that nobody saw being written: the founder's first.
pub(crate) const UNKNOWN: u64 = 0;

/// Whether two contents of one slot can be the same.
pub(crate) fn same(one: u64, other: u64) -> bool {
    one == other || one == UNKNOWN || other == UNKNOWN
}

/// The logs of all servers.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    hosts: BTreeMap<Host, HostLog>,
    /// What was committed, from index 1 on.
    committed: Vec<Committed>,
    /// What each slot was first written with, anywhere.
    contents: BTreeMap<LogId, u64>,
}

/// A slot that was committed somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) id: LogId,
    /// A hash of its content.
    pub(crate) content: u64,
    /// The term in which a server first said so.
    pub(crate) in_term: Term,
    /// That server.
    pub(crate) by: Host,
}

/// One server's log.
#[derive(Debug, Default)]
pub(crate) struct HostLog {
    /// As the server has asked for it.
    pub(crate) written: Log,
    /// As the server was told that it is durable.
    pub(crate) durable: Log,
    /// What was durable when its last life ended; one that ended before its recovery had is passed over. What that
    /// found need not have been durable, and nobody heard of it.
    pub(crate) before: Log,
    /// Whether the recovery of this life has ended.
    recovered: bool,
    /// How many slots it had written then.
    pub(crate) written_before: Index,
    underway: VecDeque<LogWrite>,
    /// The last slot of the newest durable snapshot.
    stored: LogId,
    /// Slots of the log whose content is lost.
    damaged: BTreeSet<Index>,
    /// Committed up to here in this life.
    pub(crate) commit: Index,
}

/// A log: ids and contents after a base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    base: LogId,
    slots: Vec<(Term, u64)>,
}

impl Log {
    /// The slot before the first.
    pub(crate) fn base(&self) -> LogId {
        self.base
    }

    /// The last index.
    pub(crate) fn last(&self) -> Index {
        Index(self.base.index.0 + self.slots.len() as u64)
    }

    /// The slot at `index` and its content, when it is not below the base.
    pub(crate) fn slot(&self, index: Index) -> Option<(LogId, u64)> {
        let at = usize::try_from(index.0.checked_sub(self.base.index.0 + 1)?).ok()?;
        self.slots.get(at).map(|(term, content)| (LogId { term: *term, index }, *content))
    }

    /// Whether it holds this slot, or something has taken its place that covers it.
    pub(crate) fn covers(&self, id: LogId) -> bool {
        id.index <= self.base.index || self.slot(id.index).is_some_and(|(found, _)| found == id)
    }

    /// All slots, from the first on.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (LogId, u64)> + '_ {
        (self.base.index.0 + 1..)
            .zip(&self.slots)
            .map(|(index, (term, content))| (LogId { term: *term, index: Index(index) }, *content))
    }

    fn write(&mut self, write: &LogWrite) {
        if let Some(snapshot) = write.install {
            *self = Log { base: snapshot, slots: Vec::new() };
        }
        let first = write.append.first().map(|(id, _)| id.index);
        if let Some(from) = write.truncate_from.or(first) {
            let keep = from.0.saturating_sub(self.base.index.0 + 1);
            self.slots.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
        self.slots.extend(write.append.iter().map(|(id, content)| (id.term, *content)));
    }
}

impl HostLog {
    /// Whether it has this slot durably, in its log or in a snapshot.
    pub(crate) fn has_durably(&self, id: LogId) -> bool {
        id.index <= self.stored.index || (self.durable.covers(id) && !self.damaged.contains(&id.index))
    }

    /// The last index up to which everything is durable and sound, in its log or in a snapshot.
    pub(crate) fn durable_to(&self) -> Index {
        let lost = self.damaged.iter().find(|index| **index > self.stored.index);
        let sound = lost.map_or(self.durable.last(), |index| self.durable.last().min(Index(index.0 - 1)));
        sound.max(self.stored.index)
    }
}

impl Ledger {
    pub(crate) fn host(&self, host: Host) -> Option<&HostLog> {
        self.hosts.get(&host)
    }

    /// What was committed at `index`, if anything was.
    pub(crate) fn committed_at(&self, index: Index) -> Option<&Committed> {
        self.committed.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
    }

    /// Every slot that was ever written with this content, anywhere.
    pub(crate) fn slots_with(&self, content: u64) -> impl Iterator<Item = LogId> + '_ {
        self.contents.iter().filter(move |(_, written)| **written == content).map(|(id, _)| *id)
    }

    /// Everything that was committed, from index 1 on.
    pub(crate) fn committed(&self) -> &[Committed] {
        &self.committed
    }

    /// Takes note. Called before the checkers see the observation.
    pub(crate) fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::Started { host, found } => self.start(*host, found),
            Observation::Recovered { host } => self.hosts.entry(*host).or_default().recovered = true,
            Observation::Writes { host, write } => {
                for (id, content) in &write.append {
                    self.contents.entry(*id).or_insert(*content);
                }
                let log = self.hosts.entry(*host).or_default();
                log.written.write(write);
                log.underway.push_back(write.clone());
            }
            Observation::Durable { host, write } => {
                let log = self.hosts.entry(*host).or_default();
                while let Some(done) = log.underway.pop_front_if(|underway| underway.id <= *write) {
                    log.damaged.retain(|index| !done.replaces(*index));
                    log.durable.write(&done);
                }
            }
            Observation::Event { host, event: Event::Damaged { slot } } => {
                self.hosts.entry(*host).or_default().damaged.insert(slot.index);
            }
            Observation::Event { host, event: Event::Repaired { slot } } => {
                self.hosts.entry(*host).or_default().damaged.remove(&slot.index);
            }
            Observation::Event { host, event: Event::GaveUp { slot } } => {
                self.hosts.entry(*host).or_default().damaged.retain(|index| *index < slot.index);
            }
            Observation::Stored { host, last } => {
                let log = self.hosts.entry(*host).or_default();
                log.stored = log.stored.max(*last);
            }
            Observation::Stands { host, stand } => self.commit(*host, stand.term, stand.commit),
            _ => {}
        }
    }

    /// What recovery found is the log now. What a slot holds is known from when it was written: a slot that was
    /// written twice with different contents is for a checker to find.
    fn start(&mut self, host: Host, found: &FoundLog) {
        let old = self.hosts.remove(&host).unwrap_or_default();
        let mut log = Log { base: found.base, slots: Vec::new() };
        for (term, index) in found.terms.iter().zip(found.base.index.0 + 1..) {
            let id = LogId { term: *term, index: Index(index) };
            log.slots.push((*term, self.contents.get(&id).copied().unwrap_or(UNKNOWN)));
        }
        let HostLog { durable, before, recovered, written, .. } = old;
        let before = if recovered { durable } else { before };
        let fresh = HostLog {
            written: log.clone(),
            durable: log,
            before,
            written_before: written.last(),
            stored: found.snapshot,
            damaged: found.damaged.iter().map(|id| id.index).collect(),
            ..HostLog::default()
        };
        self.hosts.insert(host, fresh);
    }

    fn commit(&mut self, host: Host, term: Term, commit: Index) {
        let log = self.hosts.entry(host).or_default();
        log.commit = commit;
        while (self.committed.len() as u64) < commit.0 {
            let index = Index(self.committed.len() as u64 + 1);
            // A server that commits what it has no slot for has it in a snapshot, so another one came first.
            let Some((id, content)) = log.written.slot(index) else { return };
            self.committed.push(Committed { id, content, in_term: term, by: host });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(id: u64, slots: &[(u64, u64)]) -> LogWrite {
        let append = slots.iter().map(|(term, index)| (LogId::new(*term, *index), *index)).collect();
        LogWrite {
            id,
            hard: None,
            install: None,
            truncate_from: None,
            append,
            repair: Vec::new(),
            members: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_becomes_durable_in_order_and_a_restart_begins_with_what_was_found() {
        let mut ledger = Ledger::default();
        ledger.observe(&Observation::Writes { host: 1, write: append(1, &[(1, 1), (1, 2)]) });
        ledger.observe(&Observation::Writes { host: 1, write: append(2, &[(2, 2)]) });
        assert_eq!(ledger.host(1).unwrap().written.slot(Index(2)), Some((LogId::new(2, 2), 2)));
        assert_eq!(ledger.host(1).unwrap().durable.last(), Index(0));
        ledger.observe(&Observation::Durable { host: 1, write: 1 });
        assert_eq!(ledger.host(1).unwrap().durable.slot(Index(2)), Some((LogId::new(1, 2), 2)));
        let found = FoundLog {
            hard: Default::default(),
            base: LogId::ZERO,
            terms: vec![Term(1)],
            snapshot: LogId::ZERO,
            damaged: Vec::new(),
            unknown: None,
        };
        ledger.observe(&Observation::Started { host: 1, found });
        assert_eq!(ledger.host(1).unwrap().written.last(), Index(1));
        assert!(ledger.host(1).unwrap().durable.covers(LogId::new(1, 1)));
        assert!(!ledger.host(1).unwrap().durable.covers(LogId::new(1, 2)));
    }
}
