//! How auditors ask nodes, and what nodes' replies come to.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::kv::{
    Action, Change, Compare, Entry, EventKind, Expiry, LeaseId, Once, Op, OpResult, Operand, Outcome, Put,
    Relation, Revision, Txn,
};
use quorate_node::raft::Time;
use quorate_node::{Input, List, Query, ReadLevel, Reply, Request, RequestId};

use super::CoreStack;
use super::queue::{Answer, What};
use crate::audit::{Account, Auditor, Errand, FIRST_AUDITOR, Found, Habits, MOST_HINTS, PATIENCE, Seen};
use crate::identity::machine_of;
use crate::observe::Observation;
use crate::plan::{FIRST_CLIENT, Host};
use crate::tap::host_of;
use crate::workload::{name_of, value_of};

const HABITS: Habits = Habits { follows: true, longest_pause_ms: 600 };

/// So many changes are asked for at a time.
const PAGE_CHANGES: usize = 20;

/// An auditor, and the request that it waits for.
pub(super) struct Busy {
    pub(super) auditor: Auditor,
    /// Counts every try of every errand, so that a late answer is known as one.
    attempt: u64,
    number: u64,
    errand: Errand,
    hints: u32,
}

impl CoreStack {
    /// The plan's auditors begin.
    pub(super) fn add_auditors(&mut self, until: Time) {
        for number in 0..self.plan.workload.auditors {
            let name = FIRST_AUDITOR + number;
            let auditor = Auditor::new(&self.plan, number, HABITS, until);
            let errand = Errand::Follow { from: 1 };
            self.auditors.insert(name, Busy { auditor, attempt: 0, number: 0, errand, hints: 0 });
            self.queue.outside(self.now, What::Audit { auditor: name });
        }
    }

    /// An auditor has paused for long enough: it makes its request.
    pub(super) fn audits(&mut self, name: u8) {
        let now = self.now;
        let Some(busy) = self.auditors.get_mut(&name) else { return };
        let (number, errand, to) = busy.auditor.asks(now);
        let request = Box::new(request(name, number, &errand));
        busy.attempt += 1;
        (busy.number, busy.errand) = (number, errand.clone());
        let attempt = busy.attempt;
        self.world.judge.observe(now, Observation::Errand { auditor: name, number, errand });
        self.queue.outside(now + PATIENCE, What::GiveUp { client: name, attempt });
        let packet = self.world.net.packet(now, (FIRST_CLIENT + name, to), 100, &mut self.world.judge.fired);
        self.queue.at_host(packet.arrives, to, What::Errand { auditor: name, attempt, request });
    }

    /// An errand arrives.
    pub(super) fn errand(&mut self, host: Host, auditor: u8, attempt: u64, request: Request) {
        let Some(life) = self.lives.get_mut(&host) else {
            return self.answer(host, auditor, attempt, Answer::Refused);
        };
        life.requests += 1;
        let id = RequestId(life.requests);
        life.waiting.insert(id, (auditor, attempt));
        self.feed(host, Input::Request { id, request });
    }

    /// Whether the answer, or the lack of one, is for an auditor, which deals with it then.
    pub(super) fn auditor_hears(&mut self, name: u8, attempt: u64, answer: Option<&Answer>) -> bool {
        let now = self.now;
        let Some(busy) = self.auditors.get_mut(&name) else { return false };
        if busy.attempt != attempt {
            return true;
        }
        busy.attempt += 1;
        let account = match answer {
            Some(Answer::Reply(reply)) => account(&busy.errand, reply),
            Some(Answer::Refused) => Account::Failed,
            Some(Answer::Broken) | None => Account::Unknown,
        };
        let pause = match answer.and_then(leader_of).filter(|_| busy.hints < MOST_HINTS) {
            Some(leader) => {
                busy.hints += 1;
                busy.auditor.is_sent_to(leader);
                Duration::ZERO
            }
            None => {
                busy.hints = 0;
                busy.auditor.hears(&account, now)
            }
        };
        let number = busy.number;
        self.world.judge.observe(now, Observation::Account { auditor: name, number, account });
        self.queue.outside(now + pause, What::Audit { auditor: name });
        true
    }
}

/// Whom an answer names as the leader.
fn leader_of(answer: &Answer) -> Option<Host> {
    let Answer::Reply(reply) = answer else { return None };
    match **reply {
        Reply::NotLeader { leader: Some(leader) } => Some(machine_of(host_of(leader.0))),
        _ => None,
    }
}

fn bytes(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

fn put(key: &str, value: &str, expiry: Expiry) -> Put {
    Put { key: bytes(key), value: value_of(value, 0), expiry }
}

/// What a server is asked.
fn request(name: u8, number: u64, errand: &Errand) -> Request {
    let stale = |query| Request::Read { query, level: ReadLevel::Stale };
    let action = match errand {
        Errand::Follow { from } => {
            return stale(Query::Changes { from: Revision(*from), limit: PAGE_CHANGES });
        }
        Errand::Past { key, revision } => {
            return stale(Query::Key { key: bytes(key), revision: Some(Revision(*revision)) });
        }
        Errand::List { prefix, after, limit, revision, fresh } => {
            let start = match after {
                Some(after) => Bound::Excluded(bytes(after)),
                None => Bound::Included(bytes(prefix)),
            };
            let (end, revision) = (behind(prefix), revision.map(Revision));
            let query = Query::List(List { start, end, limit: *limit, revision });
            let level = if *fresh { ReadLevel::Linearizable } else { ReadLevel::Stale };
            return Request::Read { query, level };
        }
        Errand::Watch { .. } => unreachable!("nodes have no watches: servers do"),
        Errand::Transfer { expected, writes } => transfer(expected, writes),
        Errand::Guarded { key, value, seen } => guarded(key, value, *seen),
        Errand::Fleeting { key, value, ttl_ms } => {
            Action::Put(put(key, value, Expiry::After { ttl_ms: *ttl_ms }))
        }
        Errand::Grant { ttl_ms } => {
            Action::Grant { lease: LeaseId((u64::from(name) << 32) + number), ttl_ms: *ttl_ms }
        }
        Errand::KeepAlive { lease } => Action::KeepAlive { lease: LeaseId(*lease) },
        Errand::Leased { key, value, lease } => Action::Put(put(key, value, Expiry::With(LeaseId(*lease)))),
        Errand::Revoke { lease } => Action::Revoke { lease: LeaseId(*lease) },
    };
    let once = errand.is_named().then(|| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        Once { principal: bytes("auditors"), key: bytes(&format!("{name}.{number}")), request: hash }
    });
    Request::Write { action, once }
}

/// The first key behind all with a prefix, which is plain text.
fn behind(prefix: &str) -> Option<Arc<[u8]>> {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut()? += 1;
    Some(end.into())
}

fn transfer(expected: &[(String, Option<String>)], writes: &[(String, String)]) -> Action {
    let compare = |(key, value): &(String, Option<String>)| Compare {
        key: bytes(key),
        relation: Relation::Equal,
        operand: match value {
            Some(value) => Operand::Value(value_of(value, 0)),
            None => Operand::ModRevision(Revision::ZERO),
        },
    };
    Action::Txn(Txn {
        compare: expected.iter().map(compare).collect(),
        success: writes.iter().map(|(key, value)| Op::Put(put(key, value, Expiry::Never))).collect(),
        failure: expected.iter().map(|(key, _)| Op::Get { key: bytes(key) }).collect(),
    })
}

fn guarded(key: &str, value: &str, seen: u64) -> Action {
    let operand = Operand::ModRevision(Revision(seen));
    Action::Txn(Txn {
        compare: vec![Compare { key: bytes(key), relation: Relation::Equal, operand }],
        success: vec![Op::Put(put(key, value, Expiry::Never))],
        failure: vec![Op::Get { key: bytes(key) }],
    })
}

/// What a server's reply to an errand comes to.
fn account(errand: &Errand, reply: &Reply) -> Account {
    match (reply, errand) {
        (Reply::Changes { changes, upto }, _) => {
            Account::Followed { changes: changes.iter().map(seen).collect(), upto: upto.0 }
        }
        (Reply::OutOfReach { oldest, newest }, _) => {
            let asked = match errand {
                Errand::Past { revision, .. } => *revision,
                Errand::List { revision, .. } => revision.unwrap_or(0),
                _ => 0,
            };
            match asked > newest.0 {
                true => Account::Ahead { newest: Some(newest.0) },
                false => Account::Gone { oldest: oldest.0, newest: Some(newest.0) },
            }
        }
        (Reply::Read { entry, .. }, _) => Account::Was { found: entry.as_ref().map(found) },
        (Reply::Listed(page), _) => {
            let key = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
            let keys = page.entries.iter().map(|(name, entry)| (key(name), found(entry))).collect();
            Account::Listed { revision: page.revision.0, keys, more: page.more }
        }
        (Reply::Written { outcome, is_replay, .. }, _) => of_write(errand, outcome, *is_replay),
        (Reply::NotLeader { .. } | Reply::Lost | Reply::Refused(_), _) => Account::Failed,
        _ => Account::Unknown,
    }
}

fn of_write(errand: &Errand, outcome: &Outcome, is_replay: bool) -> Account {
    match outcome {
        Outcome::Put { revision } | Outcome::Txn { succeeded: true, revision, .. } => {
            Account::Done { revision: revision.0, is_replay }
        }
        Outcome::Txn { succeeded: false, revision, results } => {
            let got = results.iter().map(|result| match result {
                OpResult::Got(entry) => entry.as_ref().map(found),
                _ => None,
            });
            let (found, revision) = (got.collect::<Vec<_>>(), revision.0);
            if matches!(errand, Errand::Transfer { .. }) {
                return Account::Differs { revision, found, is_replay };
            }
            let there = found.into_iter().next().flatten().map(|found| found.written_at);
            Account::Taken { revision, there, is_replay }
        }
        Outcome::Lease { lease, .. } => Account::Lives { lease: lease.0 },
        Outcome::Revoked { revision, .. } => Account::Revoked { revision: revision.0 },
        Outcome::LeaseNotFound { .. } => Account::NoLease,
        Outcome::LeaseExists => Account::LeaseTaken,
        Outcome::AnswersFull => Account::Failed,
        other => panic!("{errand:?} came to {other:?}"),
    }
}

fn found(entry: &Entry) -> Found {
    Found {
        value: name_of(&entry.value),
        written_at: entry.mod_revision.0,
        since: Some((entry.create_revision.0, entry.version)),
    }
}

fn seen(change: &Change) -> Seen {
    Seen {
        revision: change.id.revision.0,
        ordinal: change.id.ordinal,
        key: String::from_utf8_lossy(&change.key).into_owned(),
        expired: change.kind == EventKind::Expired,
        found: change.entry.as_ref().map(found),
        previous: Some(change.previous.as_ref().map(found)),
    }
}
