//! What auditors do: they look at the past and at lists, move amounts between keys, write what goes by itself, repeat
//! requests that have names, and, where they don't have a watch for it, follow what changes from one server to
//! another.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_node::raft::Time;

use super::{Account, Errand};
use crate::plan::{Host, Plan};
use crate::random::Random;

/// The number of the first auditor.
pub(crate) const FIRST_AUDITOR: u8 = 120;

/// The number of the first watcher.
pub(crate) const FIRST_WATCHER: u8 = 140;

/// How long an auditor waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_500);

/// How often an auditor follows a server that names another as the leader, for one try.
pub(crate) const MOST_HINTS: u32 = 2;

/// How often a request with a name is made at most, whatever was answered before.
const MOST_TRIES: u32 = 6;

/// So many keys have amounts, and as many are guarded.
const ACCOUNTS: u64 = 3;

/// How auditors of a stack come by what has changed, and how long they pause at most between errands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Habits {
    pub(crate) follows: bool,
    pub(crate) longest_pause_ms: u64,
}

/// An auditor.
pub(crate) struct Auditor {
    name: u8,
    habits: Habits,
    random: Random,
    servers: Vec<Host>,
    /// Nothing is written from then on.
    until: Time,
    errands: u64,
    /// Changes are followed from this revision on: all before it have been seen.
    next: u64,
    /// What the accounts hold, as far as it knows.
    accounts: BTreeMap<String, Option<String>>,
    /// Which revision wrote the guarded keys last, as far as it knows.
    guarded: BTreeMap<String, u64>,
    lease: Option<u64>,
    /// A list that goes on at its revision behind a key.
    listing: Option<(String, u64, String)>,
    current: Option<Current>,
}

struct Current {
    number: u64,
    errand: Errand,
    to: Host,
    tries: u32,
    /// It is asked once more although it was answered.
    repeats: bool,
}

impl Auditor {
    /// The plan's auditor of this number, from 0; it writes nothing from `until` on.
    pub(crate) fn new(plan: &Plan, number: u8, habits: Habits, until: Time) -> Self {
        Auditor {
            name: FIRST_AUDITOR + number,
            habits,
            random: Random::labelled(plan.seed, &format!("auditor {number}")),
            servers: (1..=plan.cluster.servers).collect(),
            until,
            errands: 0,
            next: 1,
            accounts: BTreeMap::new(),
            guarded: BTreeMap::new(),
            lease: None,
            listing: None,
            current: None,
        }
    }

    /// From now on it only follows, and asks nobody but these.
    pub(crate) fn only_follows(&mut self, now: Time, servers: &[Host]) {
        self.until = now;
        self.servers = servers.to_vec();
    }

    /// All changes before this revision have been seen.
    pub(crate) fn seen_before(&self) -> u64 {
        self.next
    }

    /// A watch of everything has come so far.
    pub(crate) fn has_watched(&mut self, upto: u64) {
        self.next = self.next.max(upto + 1);
    }

    /// What it asks now, of whom, and as its errand of which number: another one, or the same again.
    pub(crate) fn asks(&mut self, now: Time) -> (u64, Errand, Host) {
        let current = match self.current.take() {
            Some(current) => current,
            None => self.begin(now),
        };
        let current = self.current.insert(current);
        (current.number, current.errand.clone(), current.to)
    }

    /// Whoever was asked has named another.
    pub(crate) fn is_sent_to(&mut self, host: Host) {
        if let Some(current) = &mut self.current {
            current.to = host;
        }
    }

    fn begin(&mut self, now: Time) -> Current {
        self.errands += 1;
        let (number, to) = (self.errands, self.host());
        let errand = self.draw(number, now);
        Current { number, errand, to, tries: 0, repeats: self.random.one_in(4) }
    }

    fn draw(&mut self, number: u64, now: Time) -> Errand {
        let (name, value) = (self.name, format!("{}.{number}", self.name));
        let least = if self.habits.follows { 1 } else { 36 };
        let writes = now < self.until;
        match self.random.between(least, 100) {
            1..=35 => Errand::Follow { from: self.next },
            _ if !writes && self.habits.follows => Errand::Follow { from: self.next },
            36..=47 => self.looks_back(),
            kind if kind <= 60 || !writes => self.lists(),
            61..=76 => self.transfers(&value),
            77..=83 => self.guards(value),
            84..=90 => {
                let ttl_ms = self.random.between(1_000, 4_000);
                Errand::Fleeting { key: format!("fleeting-{name}"), value, ttl_ms }
            }
            _ => self.leases(value),
        }
    }

    fn host(&mut self) -> Host {
        self.servers[self.random.below(self.servers.len())]
    }

    /// A revision that all changes before have been seen of, often a late one.
    fn revision(&mut self) -> u64 {
        let newest = self.next.saturating_sub(1);
        let oldest = if self.random.one_in(2) { newest.saturating_sub(20) } else { 0 };
        self.random.between(oldest, newest)
    }

    fn looks_back(&mut self) -> Errand {
        let number = self.random.between(1, ACCOUNTS);
        let key = match self.random.below(4) {
            0 => format!("key-{number}"),
            1 => format!("account-{number}"),
            2 => format!("guarded-{number}"),
            _ => format!("fleeting-{}", self.name),
        };
        Errand::Past { key, revision: self.revision() }
    }

    /// A list that was begun goes on, or another one begins.
    fn lists(&mut self) -> Errand {
        let limit = 1 + self.random.below(4);
        if let Some((prefix, revision, after)) = self.listing.take() {
            return Errand::List {
                prefix,
                after: Some(after),
                limit,
                revision: Some(revision),
                fresh: false,
            };
        }
        let prefix = ["", "account-", "key-", "leased-", "guarded-"][self.random.below(5)].to_owned();
        let fresh = self.random.one_in(2);
        let revision = (!fresh && self.random.one_in(2)).then(|| self.revision());
        Errand::List { prefix, after: None, limit, revision, fresh }
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

    fn guards(&mut self, value: String) -> Errand {
        let key = format!("guarded-{}", self.random.between(1, ACCOUNTS));
        let seen = self.guarded.get(&key).copied().unwrap_or(0);
        Errand::Guarded { key, value, seen }
    }

    fn leases(&mut self, value: String) -> Errand {
        let Some(lease) = self.lease else {
            return Errand::Grant { ttl_ms: self.random.between(1_000, 8_000) };
        };
        match self.random.below(9) {
            0..3 => Errand::Leased { key: format!("leased-{}", self.name), value, lease },
            3 => Errand::Revoke { lease },
            _ => Errand::KeepAlive { lease },
        }
    }

    /// What it makes of an answer; how long it pauses then.
    pub(crate) fn hears(&mut self, account: &Account, now: Time) -> Duration {
        let Some(mut current) = self.current.take() else { return Duration::ZERO };
        let is_open = matches!(account, Account::Failed | Account::Unknown);
        let again = current.errand.is_named() && (is_open || std::mem::take(&mut current.repeats));
        if again && current.tries < MOST_TRIES && now < self.until {
            let (tries, to) = (current.tries + 1, self.host());
            self.current = Some(Current { tries, to, ..current });
            return Duration::from_millis(self.random.between(1, 300));
        }
        self.learns(&current.errand, account);
        Duration::from_millis(self.random.between(20, self.habits.longest_pause_ms))
    }

    fn learns(&mut self, errand: &Errand, account: &Account) {
        match (errand, account) {
            (Errand::Follow { .. }, Account::Followed { upto, .. }) => self.has_watched(*upto),
            (Errand::Follow { .. }, Account::Gone { oldest, .. }) => self.has_watched(*oldest),
            (Errand::List { prefix, .. }, Account::Listed { revision, keys, more: true }) => {
                self.listing = keys.last().map(|(last, _)| (prefix.clone(), *revision, last.clone()));
            }
            (Errand::Transfer { writes, .. }, Account::Done { .. }) => {
                self.accounts.extend(writes.iter().map(|(key, value)| (key.clone(), Some(value.clone()))));
            }
            (Errand::Transfer { expected, .. }, Account::Differs { found, .. }) => {
                let values = found.iter().map(|found| found.as_ref().map(|found| found.value.clone()));
                self.accounts.extend(expected.iter().map(|(key, _)| key.clone()).zip(values));
            }
            (Errand::Guarded { key, .. }, Account::Done { revision, .. }) => {
                self.guarded.insert(key.clone(), *revision);
            }
            (Errand::Guarded { key, .. }, Account::Taken { there, .. }) => {
                self.guarded.insert(key.clone(), there.unwrap_or(0));
            }
            (Errand::Grant { .. }, Account::Lives { lease }) => self.lease = Some(*lease),
            (_, Account::NoLease) | (Errand::Revoke { .. }, _) => self.lease = None,
            _ => {}
        }
    }
}

fn amount(value: &str) -> u64 {
    value.split_once('=').and_then(|(_, amount)| amount.parse().ok()).unwrap_or(100)
}
