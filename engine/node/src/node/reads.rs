//! Reads: when they are answered, and with what.

use super::Node;
use crate::request::{List, Page, Query, ReadLevel, Refusal, Reply, RequestId};
use quorate_kv::{Entry, Revision};
use quorate_raft::{Index, NodeId, ReadId, ReadMode, Term, Time};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// So many canceled reads the core may keep, and as many as wait.
const CANCELED_READS: usize = 1024;

/// A read that waits for its index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Lookup {
    Query(Query),
    /// What is so already, as long as this node leads in `term`.
    So {
        term: Term,
        so: So,
    },
}

/// What may be so already.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum So {
    MembersChanged { index: Index },
    Transferred { leader: NodeId },
}

impl So {
    fn reply(self) -> Reply {
        match self {
            So::MembersChanged { index } => Reply::MembersChanged { index },
            So::Transferred { leader } => Reply::Transferred { leader },
        }
    }
}

impl Node {
    pub(super) fn read(&mut self, now: Time, id: RequestId, lookup: Lookup, level: ReadLevel) {
        // A store that is being restored has nothing to show yet, not even something stale.
        if level == ReadLevel::Stale && !self.state.is_restoring() {
            let reply = self.look_up(&lookup);
            return self.reply(id, reply);
        }
        let mode = if level == ReadLevel::Lease { ReadMode::Lease } else { ReadMode::Quorum };
        match self.raft.read(now, ReadId(id.0), mode) {
            Ok(()) => drop(self.reads.insert(id, lookup)),
            Err(_) => self.reply(id, Reply::Refused(Refusal::Overloaded)),
        }
    }

    /// Answers that something is so already, once a round has confirmed that this node still leads: one that was
    /// stopped for a while has a successor, which may have undone it.
    pub(super) fn confirm(&mut self, id: RequestId, so: So) {
        let lookup = Lookup::So { term: self.raft.status().term, so };
        self.read(self.now, id, lookup, ReadLevel::Linearizable);
    }

    pub(super) fn serve_read(&mut self, id: RequestId) {
        if let Some(lookup) = self.reads.remove(&id) {
            let reply = self.look_up(&lookup);
            self.reply(id, reply);
        }
    }

    /// The core forgets what was canceled, many at a time: each costs a look at all that wait.
    pub(super) fn cancel_read(&mut self, id: RequestId) {
        if self.reads.remove(&id).is_none() {
            return;
        }
        self.canceled_reads += 1;
        if self.canceled_reads > self.reads.len() + CANCELED_READS {
            self.canceled_reads = 0;
            self.raft.retain_reads(|read| self.reads.contains_key(&RequestId(read.0)));
        }
    }

    fn look_up(&mut self, lookup: &Lookup) -> Reply {
        match lookup {
            Lookup::Query(query) => self.answer(query),
            Lookup::So { term, so } => {
                let status = self.raft.status();
                let leads = (status.leader, status.term) == (Some(status.id), *term);
                if leads { so.reply() } else { Reply::NotLeader { leader: status.leader } }
            }
        }
    }

    fn answer(&mut self, query: &Query) -> Reply {
        let kv = &self.state.kv;
        let newest = kv.revision();
        match query {
            Query::Key { key, revision: None } => {
                Reply::Read { entry: kv.get(key).cloned(), revision: newest }
            }
            Query::Key { key, revision: Some(revision) } if *revision <= newest => {
                match kv.get_at(key, *revision) {
                    Ok(entry) => Reply::Read { entry: entry.cloned(), revision: newest },
                    Err(_) => self.out_of_reach(),
                }
            }
            Query::Key { .. } => self.out_of_reach(),
            Query::List(list) => self.list(list),
            Query::Lease(lease) => {
                let lease = kv.lease(*lease).cloned();
                Reply::Lease { lease, now: self.clock.now().max(kv.time()), revision: newest }
            }
            Query::Lock(name) => Reply::Lock { lock: kv.lock(name).cloned(), revision: newest },
            Query::Changes { from, limit } => self.changes(*from, *limit),
        }
    }

    fn list(&mut self, list: &List) -> Reply {
        let kv = &self.state.kv;
        let revision = list.revision.unwrap_or(kv.revision());
        if revision > kv.revision() {
            return self.out_of_reach();
        }
        let start = list.start.as_ref().map(|key| &**key);
        let Ok(entries) = kv.range_at(start, revision) else { return self.out_of_reach() };
        let within = |key: &Arc<[u8]>| list.end.as_ref().is_none_or(|end| key < end);
        let mut entries = entries.take_while(|(key, _)| within(key)).peekable();
        let (mut bytes, mut page) = (0, Vec::new());
        while let Some((key, entry)) =
            entries.next_if(|_| page.len() < list.limit && (page.is_empty() || bytes < List::PAGE_BYTES))
        {
            bytes += size(key, entry);
            page.push((Arc::clone(key), entry.clone()));
        }
        let more = entries.peek().is_some();
        drop(entries);
        if more {
            self.holds.read_at(revision, self.now, &mut self.state.kv);
        }
        Reply::Listed(Page { revision, entries: page, more })
    }

    fn changes(&self, from: Revision, limit: usize) -> Reply {
        let kv = &self.state.kv;
        let Ok(all) = kv.changes(from) else { return self.out_of_reach() };
        let (mut changes, mut upto, mut bytes) = (Vec::new(), kv.revision(), 0);
        for change in all {
            let last = changes.last().map(|last: &quorate_kv::Change| last.id.revision);
            let is_enough = changes.len() >= limit || bytes >= List::PAGE_BYTES;
            if let Some(last) = last.filter(|last| is_enough && *last != change.id.revision) {
                upto = last;
                break;
            }
            bytes += change.entry.as_ref().map_or(0, |entry| size(&change.key, entry));
            changes.push(change);
        }
        Reply::Changes { changes, upto }
    }

    fn out_of_reach(&self) -> Reply {
        let kv = &self.state.kv;
        Reply::OutOfReach { oldest: kv.oldest_revision(), newest: kv.revision() }
    }
}

fn size(key: &[u8], entry: &Entry) -> usize {
    key.len() + entry.value.len()
}
