//! What auditors do: they follow what changes, on one server after the other, over restarts and compaction; they look
//! at the past, move amounts between keys, write what goes by itself, and repeat requests that have names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::kv::{Action, Compare, Expiry, LeaseId, Once, Op, Operand, Put, Relation, Revision, Txn};
use quorate_node::raft::Time;
use quorate_node::{Input, Query, ReadLevel, Reply, Request, RequestId};

use super::CoreStack;
use super::queue::{Answer, What};
use crate::audit::{Account, Errand, Found};
use crate::identity::machine_of;
use crate::observe::Observation;
use crate::plan::{FIRST_CLIENT, Host};
use crate::random::Random;
use crate::tap::host_of;
use crate::workload::value_of;

/// The number of the first auditor.
const FIRST_AUDITOR: u8 = 120;

const PATIENCE: Duration = Duration::from_millis(1_500);

/// How often a request with a name is made at most, whatever was answered before.
const MOST_TRIES: u32 = 6;

/// How often an auditor follows a server that names another as the leader, for one try.
const MOST_HINTS: u32 = 2;

const ACCOUNTS: u64 = 3;

/// An auditor.
pub(super) struct Auditor {
    random: Random,
    /// Nothing is written from then on.
    until: Time,
    /// Counts every try of every errand.
    attempt: u64,
    errands: u64,
    /// Changes are followed from this revision on.
    next: u64,
    /// What the accounts hold, as far as it knows.
    accounts: BTreeMap<String, Option<String>>,
    lease: Option<u64>,
    current: Option<Current>,
}

struct Current {
    number: u64,
    errand: Errand,
    to: Host,
    tries: u32,
    hints: u32,
    /// It is asked once more although it was answered.
    repeats: bool,
}

impl CoreStack {
    /// The plan's auditors begin.
    pub(super) fn add_auditors(&mut self, until: Time) {
        for number in 0..self.plan.workload.auditors {
            let name = FIRST_AUDITOR + number;
            let random = Random::labelled(self.plan.seed, &format!("auditor {number}"));
            let auditor = Auditor {
                random,
                until,
                attempt: 0,
                errands: 0,
                next: 1,
                accounts: BTreeMap::new(),
                lease: None,
                current: None,
            };
            self.auditors.insert(name, auditor);
            self.queue.outside(self.now, What::Audit { auditor: name });
        }
    }

    /// An auditor has paused for long enough: it makes its request, or begins another errand.
    pub(super) fn audits(&mut self, name: u8) {
        let (now, servers) = (self.now, self.plan.cluster.servers);
        let Some(auditor) = self.auditors.get_mut(&name) else { return };
        if auditor.current.is_none() {
            auditor.begin(name, servers, now);
        }
        auditor.attempt += 1;
        let attempt = auditor.attempt;
        let Some(current) = &auditor.current else { return };
        let (to, number, errand) = (current.to, current.number, current.errand.clone());
        let request = Box::new(request(name, number, &errand));
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
        let (now, servers) = (self.now, self.plan.cluster.servers);
        let Some(auditor) = self.auditors.get_mut(&name) else { return false };
        if auditor.attempt != attempt {
            return true;
        }
        auditor.attempt += 1;
        let Some(current) = &mut auditor.current else { return true };
        let account = match answer {
            Some(Answer::Reply(reply)) => Account::of(reply),
            Some(Answer::Refused) => Account::Failed,
            Some(Answer::Broken) | None => Account::Unknown,
        };
        let number = current.number;
        if let Some(Answer::Reply(reply)) = answer
            && let Reply::NotLeader { leader: Some(leader) } = **reply
            && current.hints < MOST_HINTS
        {
            current.hints += 1;
            current.to = machine_of(host_of(leader.0));
            self.queue.outside(now, What::Audit { auditor: name });
            return true;
        }
        let pause = auditor.hears(&account, servers, now);
        self.world.judge.observe(now, Observation::Account { auditor: name, number, account });
        self.queue.outside(now + pause, What::Audit { auditor: name });
        true
    }
}

impl Auditor {
    fn begin(&mut self, name: u8, servers: u8, now: Time) {
        self.errands += 1;
        let (number, to) = (self.errands, host(&mut self.random, servers));
        let value = format!("{name}.{number}");
        let kind = self.random.between(1, 100);
        let errand = match kind {
            1..=45 => Errand::Follow { from: self.next },
            46..=60 => self.looks_back(name),
            _ if now >= self.until => Errand::Follow { from: self.next },
            61..=80 => self.transfers(&value),
            81..=90 => {
                let ttl_ms = self.random.between(1_000, 4_000);
                Errand::Fleeting { key: format!("fleeting-{name}"), value, ttl_ms }
            }
            _ => self.leases(name, value),
        };
        let repeats = self.random.one_in(4);
        self.current = Some(Current { number, errand, to, tries: 0, hints: 0, repeats });
    }

    /// At a revision that all changes before have been seen of, often a late one.
    fn looks_back(&mut self, name: u8) -> Errand {
        let newest = self.next.saturating_sub(1);
        let oldest = if self.random.one_in(2) { newest.saturating_sub(20) } else { 0 };
        let key = match self.random.below(3) {
            0 => format!("key-{}", self.random.between(1, 3)),
            1 => account(&mut self.random),
            _ => format!("fleeting-{name}"),
        };
        Errand::Past { key, revision: self.random.between(oldest, newest) }
    }

    /// An amount goes from one account to another; one that is not there begins with a hundred.
    fn transfers(&mut self, value: &str) -> Errand {
        let from = self.random.between(1, ACCOUNTS);
        let to = from % ACCOUNTS + 1;
        let keys = [from, to].map(|number| format!("account-{number}"));
        let expected = keys.clone().map(|key| self.accounts.get(&key).cloned().flatten());
        let held = expected.clone().map(|held| held.as_deref().map_or(100, amount));
        let moved = self.random.between(0, held[0]);
        let after = [held[0] - moved, held[1] + moved];
        let writes = after.map(|amount| format!("{value}={amount}"));
        Errand::Transfer {
            expected: keys.clone().into_iter().zip(expected).collect(),
            writes: keys.into_iter().zip(writes).collect(),
        }
    }

    fn leases(&mut self, name: u8, value: String) -> Errand {
        match self.lease {
            None => {
                let lease = (u64::from(name) << 32) + self.errands;
                self.lease = Some(lease);
                Errand::Grant { lease, ttl_ms: self.random.between(1_000, 8_000) }
            }
            Some(lease) if self.random.one_in(3) => {
                Errand::Leased { key: format!("leased-{name}"), value, lease }
            }
            Some(lease) => Errand::KeepAlive { lease },
        }
    }

    /// What it makes of an answer; how long it pauses then.
    fn hears(&mut self, account: &Account, servers: u8, now: Time) -> Duration {
        let Some(current) = &mut self.current else { return Duration::ZERO };
        let is_transfer = matches!(current.errand, Errand::Transfer { .. });
        let is_open = matches!(account, Account::Failed | Account::Unknown);
        let again = is_transfer && (is_open || std::mem::take(&mut current.repeats));
        if again && current.tries < MOST_TRIES && now < self.until {
            current.tries += 1;
            (current.to, current.hints) = (host(&mut self.random, servers), 0);
            return Duration::from_millis(self.random.between(1, 300));
        }
        match (account, &current.errand) {
            (Account::Followed { upto, .. }, _) => self.next = self.next.max(upto + 1),
            (Account::Gone { oldest, .. }, Errand::Follow { .. }) => self.next = self.next.max(oldest + 1),
            (Account::Done { .. }, Errand::Transfer { writes, .. }) => {
                self.accounts.extend(writes.iter().map(|(key, value)| (key.clone(), Some(value.clone()))));
            }
            (Account::Differs { found, .. }, Errand::Transfer { expected, .. }) => {
                let value = |found: &Option<Found>| found.as_ref().map(|found| found.value.clone());
                self.accounts
                    .extend(expected.iter().map(|(key, _)| key.clone()).zip(found.iter().map(value)));
            }
            (Account::NoLease, _) | (Account::Failed, Errand::Grant { .. }) => self.lease = None,
            _ => {}
        }
        self.current = None;
        Duration::from_millis(self.random.between(20, 600))
    }
}

fn host(random: &mut Random, servers: u8) -> Host {
    Host::try_from(random.between(1, servers.into())).unwrap_or(1)
}

fn account(random: &mut Random) -> String {
    format!("account-{}", random.between(1, ACCOUNTS))
}

fn amount(value: &str) -> u64 {
    value.split_once('=').and_then(|(_, amount)| amount.parse().ok()).unwrap_or(100)
}

/// What a server is asked.
fn request(name: u8, number: u64, errand: &Errand) -> Request {
    let bytes = |text: &str| -> Arc<[u8]> { Arc::from(text.as_bytes()) };
    let put = |key: &str, value: &str, expiry| Put { key: bytes(key), value: value_of(value, 0), expiry };
    let read = |query| Request::Read { query, level: ReadLevel::Stale };
    match errand {
        Errand::Follow { from } => read(Query::Changes { from: Revision(*from), limit: 20 }),
        Errand::Past { key, revision } => {
            read(Query::Key { key: bytes(key), revision: Some(Revision(*revision)) })
        }
        Errand::Transfer { expected, writes } => {
            let compare = |(key, value): &(String, Option<String>)| Compare {
                key: bytes(key),
                relation: Relation::Equal,
                operand: match value {
                    Some(value) => Operand::Value(value_of(value, 0)),
                    None => Operand::ModRevision(Revision::ZERO),
                },
            };
            let action = Action::Txn(Txn {
                compare: expected.iter().map(compare).collect(),
                success: writes.iter().map(|(key, value)| Op::Put(put(key, value, Expiry::Never))).collect(),
                failure: expected.iter().map(|(key, _)| Op::Get { key: bytes(key) }).collect(),
            });
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            let once =
                Once { principal: bytes("auditors"), key: bytes(&format!("{name}.{number}")), request: hash };
            Request::Write { action, once: Some(once) }
        }
        Errand::Fleeting { key, value, ttl_ms } => {
            Request::write(Action::Put(put(key, value, Expiry::After { ttl_ms: *ttl_ms })))
        }
        Errand::Grant { lease, ttl_ms } => {
            Request::write(Action::Grant { lease: LeaseId(*lease), ttl_ms: *ttl_ms })
        }
        Errand::KeepAlive { lease } => Request::write(Action::KeepAlive { lease: LeaseId(*lease) }),
        Errand::Leased { key, value, lease } => {
            Request::write(Action::Put(put(key, value, Expiry::With(LeaseId(*lease)))))
        }
    }
}
