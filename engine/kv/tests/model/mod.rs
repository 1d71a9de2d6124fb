//! A model of the store that is too simple to be wrong: no sums, no sharing, every past state kept whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_kv::{
    Action, Command, Compare, Entry, EventKind, Expiry, Kv, Op, OpResult, Operand, Order, Outcome, Put,
    REMEMBERED_MS, Relation, Revision, Settings, Txn,
};

type Key = Arc<[u8]>;
type Rows = BTreeMap<Key, Entry>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    Time(u64),
    Lease(u64),
}

#[derive(Clone, Debug)]
struct Event {
    revision: u64,
    ordinal: u32,
    kind: EventKind,
    key: Key,
    entry: Option<Entry>,
    previous: Option<Entry>,
}

#[derive(Clone, Debug)]
struct Answer {
    given: u64,
    request: [u8; 32],
    outcome: Outcome,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) revision: u64,
    pub(crate) time: u64,
    pub(crate) floor: u64,
    settings: Settings,
    pub(crate) rows: Rows,
    /// The state at each revision.
    past: Vec<Rows>,
    /// Every event there ever was, and how many of them are no longer there.
    events: Vec<Event>,
    dropped: usize,
    until: BTreeMap<Key, Until>,
    leases: BTreeMap<u64, (u64, u64)>,
    answers: BTreeMap<(Key, Key), Answer>,
    locks: BTreeMap<Key, (Key, Key)>,
}

impl Model {
    pub(crate) fn new() -> Model {
        Model { past: vec![Rows::new()], ..Model::default() }
    }

    /// The outcome, and whether it was a replay.
    pub(crate) fn apply(&mut self, command: &Command) -> (Outcome, bool) {
        let events = self.events.len();
        let (outcome, leaves_no_past) = match command {
            Command::Order(order) => (self.order(order), order.forgets_past),
            Command::Put { key, value } => ((self.put_alone(key, value, None), false), true),
            Command::Delete { key } => ((self.delete_alone(key), false), true),
            Command::Import { entries } => ((self.import(entries), false), true),
        };
        if let Some(last) = self.events[self.dropped..].last().filter(|_| leaves_no_past) {
            self.floor = last.revision;
            self.dropped = self.events.len();
        }
        let added = self.events.len() - events;
        for _ in 0..16 + 2 * added {
            let Some(oldest) = self.events.get(self.dropped) else { break };
            let is_young = self.revision - oldest.revision < self.settings.history_revisions;
            if is_young && self.history_bytes() <= self.settings.history_bytes {
                break;
            }
            self.floor = oldest.revision;
            self.dropped += 1;
        }
        outcome
    }

    fn history_bytes(&self) -> u64 {
        let value = |event: &Event| event.previous.as_ref().map_or(0, |entry| entry.value.len());
        self.events[self.dropped..].iter().map(|event| 200 + (event.key.len() + value(event)) as u64).sum()
    }

    fn order(&mut self, order: &Order) -> (Outcome, bool) {
        self.time = self.time.max(order.time.0.min(u64::MAX / 4));
        self.expire();
        let mut old: Vec<_> = self.answers.iter().map(|(key, answer)| (answer.given, key.clone())).collect();
        old.retain(|(given, _)| given + REMEMBERED_MS <= self.time);
        // In the order of the rows: the shorter principal first.
        old.sort_by_key(|(given, (who, key))| (*given, who.len(), who.clone(), key.clone()));
        old.iter().take(16).for_each(|(_, key)| drop(self.answers.remove(key)));
        let Some(once) = &order.once else { return (self.act(&order.action), false) };
        let name = (once.principal.clone(), once.key.clone());
        if let Some(answer) = self.answers.get(&name) {
            return match answer.request == once.request {
                true => (answer.outcome.clone(), true),
                false => (Outcome::AnotherRequest, false),
            };
        }
        // The limits on bytes that are tried are 0, 1 and one that is never reached.
        let Settings { answers, answer_bytes, .. } = self.settings;
        let count = self.answers.len() as u64;
        if count >= answers || answer_bytes == 0 || (answer_bytes == 1 && count > 0) {
            return (Outcome::AnswersFull, false);
        }
        let outcome = self.act(&order.action);
        if outcome != Outcome::LeaseExists {
            let answer = Answer { given: self.time, request: once.request, outcome: outcome.clone() };
            self.answers.insert(name, answer);
        }
        (outcome, false)
    }

    fn expire(&mut self) {
        let mut is_first = true;
        for _ in 0..256 {
            // What goes at the same time: keys before leases, each in order.
            let keys = self.until.iter().filter_map(|(key, until)| match until {
                Until::Time(time) => Some((*time, 0, Some(key.clone()), 0)),
                Until::Lease(_) => None,
            });
            let leases = self.leases.iter().map(|(id, (_, ends))| (*ends, 1, None, *id));
            let Some((time, _, key, lease)) = keys.chain(leases).min() else { return };
            if time > self.time {
                return;
            }
            match key.or_else(|| self.keys_of(lease).first().cloned()) {
                Some(key) => {
                    self.revision += u64::from(is_first);
                    is_first = false;
                    self.remove(&key, EventKind::Expired);
                }
                None => drop(self.leases.remove(&lease)),
            }
        }
    }

    fn keys_of(&self, lease: u64) -> Vec<Key> {
        let keys = self.until.iter().filter(|(_, until)| **until == Until::Lease(lease));
        keys.map(|(key, _)| key.clone()).collect()
    }

    fn act(&mut self, action: &Action) -> Outcome {
        match action {
            Action::Tick => Outcome::Done,
            Action::Put(Put { key, value, expiry }) => match self.until(*expiry) {
                Ok(until) => self.put_alone(key, value, until),
                Err(outcome) => outcome,
            },
            Action::Delete { key } => self.delete_alone(key),
            Action::Txn(txn) => self.transact(txn),
            Action::Import { entries } => self.import(entries),
            Action::Grant { lease, .. } if self.leases.contains_key(&lease.0) => Outcome::LeaseExists,
            Action::Grant { lease, ttl_ms } => {
                self.leases.insert(lease.0, (*ttl_ms, self.time.saturating_add(*ttl_ms)));
                Outcome::Lease { lease: *lease, ttl_ms: *ttl_ms }
            }
            Action::KeepAlive { lease } | Action::Revoke { lease } if !self.is_alive(lease.0) => {
                Outcome::LeaseNotFound { lease: *lease }
            }
            Action::KeepAlive { lease } => {
                let ttl_ms = self.leases[&lease.0].0;
                self.leases.insert(lease.0, (ttl_ms, self.time.saturating_add(ttl_ms)));
                Outcome::Lease { lease: *lease, ttl_ms }
            }
            Action::Revoke { lease } => {
                let keys = self.keys_of(lease.0);
                self.revision += u64::from(!keys.is_empty());
                keys.iter().for_each(|key| assert!(self.remove(key, EventKind::Deleted)));
                self.leases.remove(&lease.0);
                Outcome::Revoked { count: keys.len() as u64, revision: Revision(self.revision) }
            }
            Action::Configure(settings) => {
                self.settings = *settings;
                Outcome::Done
            }
            Action::Lock { name, holder, info } => match self.locks.get(name) {
                Some((held, info)) if held != holder => Outcome::Locked { info: info.clone() },
                _ => {
                    self.locks.insert(name.clone(), (holder.clone(), info.clone()));
                    Outcome::Done
                }
            },
            Action::Unlock { name, holder } => match (self.locks.get(name), holder) {
                (Some((held, info)), Some(holder)) if held != holder => {
                    Outcome::Locked { info: info.clone() }
                }
                _ => {
                    self.locks.remove(name);
                    Outcome::Done
                }
            },
        }
    }

    fn is_alive(&self, lease: u64) -> bool {
        self.leases.get(&lease).is_some_and(|(_, ends)| *ends > self.time)
    }

    fn until(&self, expiry: Expiry) -> Result<Option<Until>, Outcome> {
        match expiry {
            Expiry::Never => Ok(None),
            Expiry::After { ttl_ms } => Ok(Some(Until::Time(self.time.saturating_add(ttl_ms)))),
            Expiry::With(lease) if self.is_alive(lease.0) => Ok(Some(Until::Lease(lease.0))),
            Expiry::With(lease) => Err(Outcome::LeaseNotFound { lease }),
        }
    }

    fn put_alone(&mut self, key: &Key, value: &Key, until: Option<Until>) -> Outcome {
        self.revision += 1;
        self.put(key, value, until);
        Outcome::Put { revision: Revision(self.revision) }
    }

    fn delete_alone(&mut self, key: &[u8]) -> Outcome {
        let count = u64::from(self.rows.contains_key(key));
        self.revision += count;
        self.remove(key, EventKind::Deleted);
        Outcome::Deleted { count, revision: Revision(self.revision) }
    }

    fn import(&mut self, entries: &[(Key, Key)]) -> Outcome {
        let last: BTreeMap<_, _> = entries.iter().cloned().collect();
        let mut left = last.clone();
        self.revision += u64::from(!entries.is_empty());
        for (key, _) in entries {
            if let Some(value) = left.remove(key) {
                self.put(key, &value, None);
            }
        }
        Outcome::Imported { count: last.len() as u64, revision: Revision(self.revision) }
    }

    fn transact(&mut self, txn: &Txn) -> Outcome {
        let written = |op: &Op| match op {
            Op::Put(Put { key, .. }) | Op::Delete { key } => Some(key.clone()),
            Op::Get { .. } | Op::Holder { .. } => None,
        };
        for ops in [&txn.success, &txn.failure] {
            let keys: Vec<_> = ops.iter().filter_map(written).collect();
            if (1..keys.len()).any(|at| keys[..at].contains(&keys[at])) {
                return Outcome::KeyWrittenTwice;
            }
        }
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let before = self.clone();
        let mut writes = ops.iter().any(|op| matches!(op, Op::Put(_)));
        writes |= ops.iter().any(|op| matches!(op, Op::Delete { key } if self.rows.contains_key(key)));
        self.revision += u64::from(writes);
        let mut results = Vec::new();
        for op in ops {
            results.push(match op {
                Op::Put(Put { key, value, expiry }) => match self.until(*expiry) {
                    Ok(until) => {
                        self.put(key, value, until);
                        OpResult::Put { mod_revision: Revision(self.revision) }
                    }
                    Err(outcome) => {
                        *self = before;
                        return outcome;
                    }
                },
                Op::Get { key } => OpResult::Got(self.rows.get(key).cloned()),
                Op::Delete { key } => {
                    OpResult::Deleted { count: u64::from(self.remove(key, EventKind::Deleted)) }
                }
                Op::Holder { name } => OpResult::Holder(self.locks.get(name).map(|lock| lock.1.clone())),
            });
        }
        Outcome::Txn { succeeded, revision: Revision(self.revision), results }
    }

    fn holds(&self, Compare { key, relation, operand }: &Compare) -> bool {
        let entry = self.rows.get(key);
        let number = |of: fn(&Entry) -> u64, wanted: u64| {
            let found = entry.map_or(0, of);
            match relation {
                Relation::Equal => found == wanted,
                Relation::NotEqual => found != wanted,
                Relation::Less => found < wanted,
                Relation::Greater => found > wanted,
            }
        };
        let truth = |found: bool| match relation {
            Relation::Equal => found,
            Relation::NotEqual | Relation::Less => !found,
            Relation::Greater => false,
        };
        match operand {
            Operand::Value(value) => match (entry.map(|entry| &entry.value), relation) {
                (found, Relation::Equal) => found == Some(value),
                (found, Relation::NotEqual) => found != Some(value),
                (found, Relation::Less) => found.is_some_and(|found| found < value),
                (found, Relation::Greater) => found.is_some_and(|found| found > value),
            },
            Operand::Version(wanted) => number(|entry| entry.version, *wanted),
            Operand::CreateRevision(wanted) => number(|entry| entry.create_revision.0, wanted.0),
            Operand::ModRevision(wanted) => number(|entry| entry.mod_revision.0, wanted.0),
            Operand::ModRevisionIn(any) => {
                truth(entry.is_some_and(|entry| any.contains(&entry.mod_revision)))
            }
            Operand::Holder(holder) => truth(self.locks.get(key).is_some_and(|lock| lock.0 == *holder)),
        }
    }

    fn put(&mut self, key: &Key, value: &Key, until: Option<Until>) {
        let (now, previous) = (Revision(self.revision), self.rows.get(key).cloned());
        let entry = Entry {
            value: value.clone(),
            create_revision: previous.as_ref().map_or(now, |entry| entry.create_revision),
            mod_revision: now,
            version: previous.as_ref().map_or(0, |entry| entry.version) + 1,
        };
        self.rows.insert(key.clone(), entry.clone());
        self.until.remove(key);
        if let Some(until) = until {
            self.until.insert(key.clone(), until);
        }
        self.happened(EventKind::Put, key, Some(entry), previous);
    }

    fn remove(&mut self, key: &[u8], kind: EventKind) -> bool {
        let Some((key, previous)) = self.rows.remove_entry(key) else { return false };
        self.until.remove(&key);
        self.happened(kind, &key, None, Some(previous));
        true
    }

    fn happened(&mut self, kind: EventKind, key: &Key, entry: Option<Entry>, previous: Option<Entry>) {
        let revision = self.revision;
        let same = self.events.iter().rev().take_while(|event| event.revision == revision).count();
        let (key, ordinal) = (key.clone(), u32::try_from(same).unwrap());
        self.events.push(Event { revision, ordinal, kind, key, entry, previous });
        self.past.truncate(usize::try_from(revision).unwrap());
        self.past.push(self.rows.clone());
    }

    /// Everything that can be read is as it is here.
    pub(crate) fn assert_is(&self, kv: &Kv) {
        assert_eq!((kv.revision(), kv.oldest_revision()), (Revision(self.revision), Revision(self.floor)));
        assert_eq!((kv.time().0, kv.settings()), (self.time, self.settings));
        assert_eq!((kv.answers(), kv.leases()), (self.answers.len(), self.leases.len()));
        assert_eq!(kv.history_bytes().0, self.history_bytes());
        for id in 0..6 {
            let mine = self.leases.get(&id).filter(|_| self.is_alive(id));
            let mine = mine.map(|(ttl, ends)| (*ttl, *ends, self.keys_of(id)));
            let theirs = kv.lease(quorate_kv::LeaseId(id));
            let theirs = theirs.map(|it| (it.ttl_ms, it.ends.0, it.keys.iter().cloned().collect::<Vec<_>>()));
            assert_eq!(mine, theirs);
        }
        let times = self.until.values().filter_map(|until| match until {
            Until::Time(time) => Some(*time),
            Until::Lease(_) => None,
        });
        let next = times.chain(self.leases.values().map(|(_, ends)| *ends)).min();
        assert_eq!(kv.next_end().map(|time| time.0), next);
        for name in self.locks.keys().map(|name| &**name).chain([b"a".as_slice(), b"b"]) {
            let held = kv.lock(name).map(|lock| (lock.holder.clone(), lock.info.clone()));
            assert_eq!(self.locks.get(name).cloned(), held);
        }
        self.assert_past_is(kv, self.floor);
    }

    /// What can be read at `oldest` and since then.
    pub(crate) fn assert_past_is(&self, kv: &Kv, oldest: u64) {
        for revision in 0..=self.revision {
            let from = Revision(revision + 1);
            if revision < oldest {
                assert_eq!(kv.get_at(b"a", Revision(revision)).unwrap_err().oldest.0, self.floor);
                assert!(kv.range_at(std::ops::Bound::Unbounded, Revision(revision)).is_err());
                assert!(kv.changes(from).is_err());
                continue;
            }
            self.assert_range_is(kv, revision);
            let mine = self.events.iter().filter(|event| event.revision > revision);
            let mine: Vec<_> = mine
                .map(|event| {
                    (
                        event.revision,
                        event.ordinal,
                        event.kind,
                        event.key.clone(),
                        event.entry.clone(),
                        event.previous.clone(),
                    )
                })
                .collect();
            let theirs: Vec<_> = kv
                .changes(from)
                .unwrap()
                .map(|it| (it.id.revision.0, it.id.ordinal, it.kind, it.key, it.entry, it.previous))
                .collect();
            assert_eq!(mine, theirs, "changes from {from}");
        }
    }

    fn assert_range_is(&self, kv: &Kv, revision: u64) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let rows = &self.past[usize::try_from(revision).unwrap()];
        for start in [Unbounded, Included(b"".as_slice()), Excluded(b"a"), Included(b"a"), Included(b"aa")] {
            let mine: Vec<_> = rows.range::<[u8], _>((start, Unbounded)).collect();
            let theirs: Vec<_> = kv.range_at(start, Revision(revision)).unwrap().collect();
            assert_eq!(mine, theirs, "at {revision} from {start:?}");
        }
        for key in self.past.iter().flat_map(BTreeMap::keys) {
            assert_eq!(kv.get_at(key, Revision(revision)).unwrap(), rows.get(key));
        }
    }
}
