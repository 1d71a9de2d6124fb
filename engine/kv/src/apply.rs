//! What each command does.
//!
//! An order is carried out in this order, the same on every node: time passes; what has ended by then expires, some of
//! it; the answer to a repeated request is looked up; the action is done; its answer is remembered; the oldest of the
//! past goes, some of it. Each step is bounded, so no command waits long for what is not its own.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::answers::Known;
use crate::bytes::Pair;
use crate::changed_keys::ChangeNumber;
use crate::command::{
    Action, ClusterTime, Command, Compare, Expiry, LeaseId, Once, Op, Operand, Order, Put, Relation,
    Revision, Txn,
};
use crate::expiries::{Due, Until};
use crate::history::{Event, EventId, EventKind};
use crate::locks::Lock;
use crate::outcome::{Applied, OpResult, Outcome};
use crate::settings::Meta;
use crate::store::{Entry, Kv, Row};

/// How many keys and leases one command lets expire at most. What is left goes with the next.
const EXPIRED_AT_ONCE: usize = 256;

/// How many events of the past one command drops at most, beside twice those that it added.
const DROPPED_AT_ONCE: u64 = 16;

/// The changes that are made under one revision, which the first of them makes.
#[derive(Default)]
struct Batch {
    revision: Option<Revision>,
    changes: u32,
}

impl Kv {
    /// Carries out one command. Deterministic: the same commands in the same order give the same outcomes and
    /// the same state on every node.
    pub fn apply(&mut self, command: &Command) -> Applied {
        let events = self.history.count();
        let applied = match command {
            Command::Order(order) if order.forgets_past => self.without_past(|kv| kv.order(order)),
            Command::Order(order) => self.order(order),
            Command::Put { key, value } => self.without_past(|kv| fresh(kv.put_alone(key, value, None))),
            Command::Delete { key } => self.without_past(|kv| fresh(kv.delete_alone(key))),
            Command::Import { entries } => self.without_past(|kv| fresh(kv.import(entries))),
        };
        self.drop_past(self.history.count() - events);
        applied
    }

    /// Lets go of the past, that of this command included. What was proposed before there was a past leaves none, as a
    /// checkpoint of that time has none.
    fn without_past(&mut self, act: impl FnOnce(&mut Kv) -> Applied) -> Applied {
        let applied = act(self);
        while self.history.oldest().is_some() {
            self.drop_oldest();
        }
        applied
    }

    fn order(&mut self, order: &Order) -> Applied {
        self.set_meta(Meta { time: self.meta.time.max(order.time.min(ClusterTime::MAX)), ..self.meta });
        self.expire();
        self.answers.forget_old(self.meta.time, &mut self.ledger);
        let Some(once) = &order.once else { return fresh(self.act(&order.action)) };
        match self.answers.find(once) {
            Known::Answer(outcome) => Applied { outcome: outcome.clone(), is_replay: true },
            Known::Another => fresh(Outcome::AnotherRequest),
            Known::No if !self.answers.has_room(once, &self.meta.settings) => fresh(Outcome::AnswersFull),
            Known::No => {
                let outcome = self.act(&order.action);
                self.remember(once, &outcome);
                fresh(outcome)
            }
        }
    }

    fn remember(&mut self, once: &Once, outcome: &Outcome) {
        // Whoever asked for a lease by a name that is taken asks again by another, with the same key.
        if *outcome != Outcome::LeaseExists {
            self.answers.remember(once, self.meta.time, outcome.clone(), &mut self.ledger);
        }
    }

    fn act(&mut self, action: &Action) -> Outcome {
        match action {
            Action::Tick => Outcome::Done,
            Action::Put(Put { key, value, expiry }) => match self.until(*expiry) {
                Ok(until) => self.put_alone(key, value, until),
                Err(lease) => Outcome::LeaseNotFound { lease },
            },
            Action::Delete { key } => self.delete_alone(key),
            Action::Txn(txn) => self.transact(txn),
            Action::Import { entries } => self.import(entries),
            Action::Grant { lease, ttl_ms } => self.grant(*lease, *ttl_ms),
            Action::KeepAlive { lease } => self.keep_alive(*lease),
            Action::Revoke { lease } => self.revoke(*lease),
            Action::Configure(settings) => {
                self.set_meta(Meta { settings: *settings, ..self.meta });
                Outcome::Done
            }
            Action::Lock { name, holder, info } => {
                let lock = Lock { holder: holder.clone(), info: info.clone() };
                locked(self.locks.take(name, lock, &mut self.ledger))
            }
            Action::Unlock { name, holder } => {
                locked(self.locks.give_back(name, holder.as_deref(), &mut self.ledger))
            }
        }
    }

    fn put_alone(&mut self, key: &Arc<[u8]>, value: &Arc<[u8]>, until: Option<Until>) -> Outcome {
        Outcome::Put { revision: self.put(&mut Batch::default(), key, value, until) }
    }

    fn delete_alone(&mut self, key: &[u8]) -> Outcome {
        let count = u64::from(self.remove(&mut Batch::default(), key, EventKind::Deleted));
        Outcome::Deleted { count, revision: self.revision }
    }

    fn import(&mut self, entries: &[Pair]) -> Outcome {
        let mut batch = Batch::default();
        for (key, value) in entries {
            self.put(&mut batch, key, value, None);
        }
        Outcome::Imported { count: u64::from(batch.changes), revision: self.revision }
    }

    fn transact(&mut self, txn: &Txn) -> Outcome {
        if txn.key_written_twice().is_some() {
            return Outcome::KeyWrittenTwice;
        }
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let mut ends = Vec::new();
        for op in ops {
            let Op::Put(put) = op else { continue };
            match self.until(put.expiry) {
                Ok(until) => ends.push(until),
                Err(lease) => return Outcome::LeaseNotFound { lease },
            }
        }
        let (mut batch, mut ends) = (Batch::default(), ends.into_iter());
        let results = ops.iter().map(|op| match op {
            Op::Put(Put { key, value, .. }) => {
                let until = ends.next().expect("there is one for each put");
                OpResult::Put { mod_revision: self.put(&mut batch, key, value, until) }
            }
            Op::Get { key } => OpResult::Got(self.get(key).cloned()),
            Op::Delete { key } => {
                OpResult::Deleted { count: u64::from(self.remove(&mut batch, key, EventKind::Deleted)) }
            }
            Op::Holder { name } => OpResult::Holder(self.lock(name).map(|lock| lock.info.clone())),
        });
        let results = results.collect();
        Outcome::Txn { succeeded, revision: self.revision, results }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let (entry, relation) = (self.get(&compare.key), compare.relation);
        let revision = |of: fn(&Entry) -> Revision| entry.map_or(Revision::ZERO, of);
        match &compare.operand {
            Operand::Value(value) => match entry {
                Some(entry) => relation.holds(&*entry.value, &**value),
                None => relation == Relation::NotEqual,
            },
            Operand::Version(version) => relation.holds(&entry.map_or(0, |entry| entry.version), version),
            Operand::CreateRevision(wanted) => {
                relation.holds(&revision(|entry| entry.create_revision), wanted)
            }
            Operand::ModRevision(wanted) => relation.holds(&revision(|entry| entry.mod_revision), wanted),
            Operand::ModRevisionIn(wanted) => {
                let is_in = entry.is_some_and(|entry| wanted.contains(&entry.mod_revision));
                relation.holds(&is_in, &true)
            }
            Operand::Holder(holder) => {
                let is_held = self.lock(&compare.key).is_some_and(|lock| lock.holder == *holder);
                relation.holds(&is_held, &true)
            }
        }
    }

    /// When a key that is written now goes.
    ///
    /// # Errors
    /// The lease, when there is none of that name.
    fn until(&self, expiry: Expiry) -> Result<Option<Until>, LeaseId> {
        match expiry {
            Expiry::Never => Ok(None),
            Expiry::After { ttl_ms } => Ok(Some(Until::Time(self.meta.time.after(ttl_ms)))),
            Expiry::With(lease) if self.lease(lease).is_some() => Ok(Some(Until::Lease(lease))),
            Expiry::With(lease) => Err(lease),
        }
    }

    fn grant(&mut self, lease: LeaseId, ttl_ms: u64) -> Outcome {
        if self.expiries.lease(lease).is_some() {
            return Outcome::LeaseExists;
        }
        self.expiries.grant(lease, ttl_ms, self.meta.time, &mut self.ledger);
        Outcome::Lease { lease, ttl_ms }
    }

    fn keep_alive(&mut self, lease: LeaseId) -> Outcome {
        // One that has ended may still have keys that wait to be deleted: it can't be brought back.
        if self.lease(lease).is_none() {
            return Outcome::LeaseNotFound { lease };
        }
        match self.expiries.keep_alive(lease, self.meta.time, &mut self.ledger) {
            Some(ttl_ms) => Outcome::Lease { lease, ttl_ms },
            None => Outcome::LeaseNotFound { lease },
        }
    }

    fn revoke(&mut self, id: LeaseId) -> Outcome {
        let Some(lease) = self.lease(id) else { return Outcome::LeaseNotFound { lease: id } };
        let (keys, mut batch) = (lease.keys.clone(), Batch::default());
        for key in &keys {
            self.remove(&mut batch, key, EventKind::Deleted);
        }
        self.expiries.end(id, &mut self.ledger);
        Outcome::Revoked { count: keys.len() as u64, revision: self.revision }
    }

    /// Lets go what has ended, the earliest first, all under one revision.
    fn expire(&mut self) {
        let mut batch = Batch::default();
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(due) = self.expiries.first_due(self.meta.time) else { return };
            let (key, lease) = match due {
                Due::Key(key) => (Some(key), None),
                Due::Lease(id) => {
                    let lease = self.expiries.lease(id);
                    (lease.and_then(|lease| lease.keys.first()).cloned(), Some(id))
                }
            };
            match (key, lease) {
                (Some(key), _) => drop(self.remove(&mut batch, &key, EventKind::Expired)),
                (None, Some(id)) => self.expiries.end(id, &mut self.ledger),
                (None, None) => {}
            }
        }
    }

    fn put(
        &mut self,
        batch: &mut Batch,
        key: &Arc<[u8]>,
        value: &Arc<[u8]>,
        until: Option<Until>,
    ) -> Revision {
        let (value, mod_revision) = (value.clone(), batch.revision(&mut self.revision));
        let (changes, next) = (&mut self.ledger.changes.keys, self.history.next_number());
        let (key, previous) = if let Some((key, row)) = self.rows.get_mut(key) {
            let key = key.clone();
            let Entry { create_revision, mod_revision: written, version, .. } = row.entry;
            // Written before in this very revision, by the same import: the later value takes the place of the
            // earlier.
            let is_again = written == mod_revision;
            let version = if is_again { version } else { version + 1 };
            let entry = Entry { value, create_revision, mod_revision, version };
            let last = if is_again { row.last } else { next };
            let changed = changes.set(&key, row.changed, Some(entry.clone()));
            let before = core::mem::replace(row, Row { last, changed, ..Row::new(&key, entry) });
            let (hash, bytes) = (row.hash, key.len() + row.entry.value.len());
            self.forget(&key, &before);
            self.ledger.enter(hash);
            self.live_bytes += bytes as u64;
            (key, if is_again { None } else { Some(Some(before)) })
        } else {
            let entry = Entry { value, create_revision: mod_revision, mod_revision, version: 1 };
            let changed = changes.set(key, ChangeNumber::NONE, Some(entry.clone()));
            self.insert(key.clone(), Row { last: next, changed, ..Row::new(key, entry) });
            (key.clone(), Some(None))
        };
        if let Some(previous) = previous {
            self.happened(batch, EventKind::Put, key.clone(), previous);
        }
        self.expiries.set(&key, until, &mut self.ledger);
        mod_revision
    }

    /// Takes a key out; false when it is not there.
    fn remove(&mut self, batch: &mut Batch, key: &[u8], kind: EventKind) -> bool {
        let Some((key, row)) = self.rows.remove_entry(key) else { return false };
        batch.revision(&mut self.revision);
        self.forget(&key, &row);
        self.ledger.changes.keys.set(&key, row.changed, None);
        self.expiries.set(&key, None, &mut self.ledger);
        self.happened(batch, kind, key, Some(row));
        true
    }

    fn happened(&mut self, batch: &mut Batch, kind: EventKind, key: Arc<[u8]>, previous: Option<Row>) {
        let id = EventId { revision: self.revision, ordinal: batch.changes };
        batch.changes += 1;
        let event = Event::new(id, kind, key, previous);
        self.ledger.enter(event.hash());
        self.ledger.changes.add_event(event.clone());
        self.history.push(event);
    }

    /// Drops the oldest events while there are too many, so many that the past shrinks when `added` were added.
    fn drop_past(&mut self, added: u64) {
        let settings = self.meta.settings;
        for _ in 0..DROPPED_AT_ONCE + 2 * added {
            let Some(oldest) = self.history.oldest().map(|event| event.id.revision) else { break };
            let age = self.revision.0 - oldest.0;
            if age < settings.history_revisions && self.history.bytes() <= settings.history_bytes {
                break;
            }
            self.drop_oldest();
        }
        self.trim();
    }

    fn drop_oldest(&mut self) {
        if let Some(id) = self.history.drop_oldest(&mut self.ledger) {
            self.set_meta(Meta { floor: id.revision, ..self.meta });
        }
    }
}

impl Batch {
    /// The revision of these changes. The first call makes it.
    fn revision(&mut self, of: &mut Revision) -> Revision {
        *self.revision.get_or_insert_with(|| {
            *of = of.next();
            *of
        })
    }
}

impl Relation {
    fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Less => left < right,
            Relation::Greater => left > right,
        }
    }
}

fn fresh(outcome: Outcome) -> Applied {
    Applied { outcome, is_replay: false }
}

fn locked(taken: Result<(), &Lock>) -> Outcome {
    match taken {
        Ok(()) => Outcome::Done,
        Err(lock) => Outcome::Locked { info: lock.info.clone() },
    }
}
