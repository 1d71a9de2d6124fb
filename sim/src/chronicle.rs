//! What auditors were told of the store, put together: every change that anybody has seen, in its place, and so what
//! each key was at each revision; what was asked when; how far the store was known to have come by then. Checkers
//! hold what somebody is told against it. Where two were told different things, what was told first stands here.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use quorate_node::raft::Time;

use crate::audit::{Account, BEHIND_ALL, Errand, Found, Place, Seen, Watched};
use crate::history::{Call, Outcome};
use crate::observe::Observation;

/// Who asked, and as which of its errands.
pub(crate) type Of = (u8, u64);

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) errand: Errand,
    /// When it was asked first.
    pub(crate) first: Time,
    /// The newest revision that anybody had been told when it was asked first.
    pub(crate) known: u64,
    /// How often it was asked.
    pub(crate) tries: u32,
    /// How often it was told to have failed for sure.
    pub(crate) failures: u32,
    /// It was told that it is not done, and never will be.
    pub(crate) is_refused: bool,
}

impl Asked {
    /// Whether it may be done, or may still be.
    pub(crate) fn may_be_done(&self) -> bool {
        !self.is_refused && self.failures < self.tries
    }
}

/// A lease, as far as it was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseStory {
    pub(crate) ttl_ms: u64,
    /// It lives for its whole time from then on, or a later moment.
    pub(crate) since: Time,
}

/// What is known of the store.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    changes: BTreeMap<Place, Seen>,
    /// How many changes a revision has.
    sizes: BTreeMap<u64, u32>,
    /// Stretches of revisions of which all changes are known: the first and the last of each.
    stretches: BTreeMap<u64, u64>,
    keys: BTreeMap<String, BTreeMap<u64, Option<Found>>>,
    /// By which revision each value was written to a key.
    written: BTreeMap<(String, String), u64>,
    told: u64,
    applied: u64,
    /// When a server had first come to a revision, for each that was the newest then.
    applied_at: BTreeMap<u64, Time>,
    asked: BTreeMap<Of, Asked>,
    /// From where to where the latest step of each watch went.
    steps: BTreeMap<Of, (Place, Place)>,
    /// What each watcher wants, and how far it has come.
    watchers: BTreeMap<u8, (Watched, Place)>,
    leases: BTreeMap<u64, LeaseStory>,
    /// Since when each value that goes by itself may count, and how long it lives.
    fleeting: BTreeMap<String, (Time, u64)>,
    /// The lease that each value goes with, and its key.
    leased: BTreeMap<String, (u64, String)>,
    /// Who wants each lease to be ended.
    revoking: BTreeMap<u64, Vec<Of>>,
    /// What clients asked to be written, until they are answered.
    writing: BTreeMap<(u8, u32), (String, String)>,
    /// What was acknowledged to be written: the revision, the key, the value.
    acknowledged: Vec<(u64, String, String)>,
    /// What clients were told is never written: the client, its number, the key, the value.
    denied: Vec<(u8, u32, String, String)>,
}

impl Chronicle {
    pub(crate) fn observe(&mut self, at: Time, observation: &Observation) {
        match observation {
            Observation::Errand { auditor, number, errand } => self.asks((*auditor, *number), errand, at),
            Observation::Account { auditor, number, account } => self.hears((*auditor, *number), account),
            Observation::Asks {
                client,
                number,
                key,
                call: Call::Put(value) | Call::Swap { to: value, .. },
                ..
            } => {
                self.writing.insert((*client, *number), (key.clone(), value.clone()));
            }
            Observation::Hears { client, number, outcome, revision } => {
                self.told = self.told.max(revision.unwrap_or(0));
                let Some((key, value)) = self.writing.remove(&(*client, *number)) else { return };
                match (outcome, revision) {
                    (Outcome::Written { .. }, Some(revision)) => {
                        self.acknowledged.push((*revision, key, value));
                    }
                    (Outcome::Refused { .. } | Outcome::Failed, _) => {
                        self.denied.push((*client, *number, key, value));
                    }
                    _ => {}
                }
            }
            Observation::Applied { revision, .. } if *revision > self.applied => {
                self.applied = *revision;
                self.applied_at.insert(*revision, at);
            }
            _ => {}
        }
    }

    fn asks(&mut self, of: Of, errand: &Errand, at: Time) {
        match errand {
            Errand::Fleeting { value, ttl_ms, .. } => {
                self.fleeting.entry(value.clone()).or_insert((at, *ttl_ms));
            }
            Errand::Leased { key, value, lease } => {
                self.leased.insert(value.clone(), (*lease, key.clone()));
            }
            Errand::Revoke { lease } => self.revoking.entry(*lease).or_default().push(of),
            Errand::Watch { after, watched } => {
                self.steps.insert(of, (*after, *after));
                self.watchers.insert(of.0, (watched.clone(), *after));
            }
            _ => {}
        }
        let (known, errand) = (self.told, errand.clone());
        let asked = Asked { errand, first: at, known, tries: 0, failures: 0, is_refused: false };
        self.asked.entry(of).or_insert(asked).tries += 1;
    }

    fn hears(&mut self, of: Of, account: &Account) {
        let Some(asked) = self.asked.get_mut(&of) else { return };
        asked.is_refused |=
            matches!(account, Account::Differs { .. } | Account::Taken { .. } | Account::NoLease);
        match (account, &asked.errand) {
            (Account::Followed { changes, upto }, Errand::Follow { from }) => {
                let from = *from;
                changes.iter().for_each(|seen| self.learn(seen));
                for revision in from..=*upto {
                    let last = changes.iter().rev().find(|seen| seen.revision == revision);
                    if let Some(last) = last {
                        self.close(last.place());
                    }
                }
                self.told = self.told.max(*upto);
            }
            (Account::Saw(seen), Errand::Watch { watched, .. }) => {
                let is_all = watched.is_all();
                self.learn(seen);
                self.told = self.told.max(seen.revision);
                let from = self.steps.get(&of).map_or((0, BEHIND_ALL), |(_, to)| *to);
                self.steps.insert(of, (from, seen.place()));
                self.watchers.entry(of.0).and_modify(|(_, place)| *place = seen.place());
                if is_all && from.0 + 1 == seen.revision && seen.ordinal == 0 && from.1 != BEHIND_ALL {
                    self.close(from);
                }
            }
            (Account::Done { revision, .. }, errand) => {
                if let [(key, value)] = errand.writes()[..] {
                    self.acknowledged.push((*revision, key.to_owned(), value.to_owned()));
                }
                self.told = self.told.max(*revision);
            }
            (
                Account::Differs { revision, .. }
                | Account::Taken { revision, .. }
                | Account::Listed { revision, .. }
                | Account::Revoked { revision }
                | Account::Reset { revision, .. },
                _,
            ) => self.told = self.told.max(*revision),
            (Account::Lives { lease }, Errand::Grant { ttl_ms }) => {
                let (ttl_ms, since) = (*ttl_ms, asked.first);
                self.leases.entry(*lease).or_insert(LeaseStory { ttl_ms, since });
            }
            (Account::Lives { lease }, Errand::KeepAlive { .. }) => {
                let first = asked.first;
                self.leases.entry(*lease).and_modify(|lease| lease.since = lease.since.max(first));
            }
            (Account::Failed, _) => asked.failures += 1,
            _ => {}
        }
    }

    fn learn(&mut self, seen: &Seen) {
        if self.changes.contains_key(&seen.place()) {
            return;
        }
        self.changes.insert(seen.place(), seen.clone());
        if let Some(found) = &seen.found {
            self.written.entry((seen.key.clone(), found.value.clone())).or_insert(seen.revision);
        }
        self.keys.entry(seen.key.clone()).or_default().insert(seen.revision, seen.found.clone());
    }

    /// Nothing of this revision comes behind this place.
    fn close(&mut self, (revision, ordinal): Place) {
        if self.sizes.contains_key(&revision)
            || !(0..=ordinal).all(|ordinal| self.changes.contains_key(&(revision, ordinal)))
        {
            return;
        }
        self.sizes.insert(revision, ordinal + 1);
        let before = self.stretches.range(..revision).next_back();
        let first = before.filter(|(_, last)| **last + 1 == revision).map_or(revision, |(first, _)| *first);
        let last = self.stretches.remove(&(revision + 1)).unwrap_or(revision);
        self.stretches.insert(first, last);
    }

    /// What was asked.
    pub(crate) fn asked(&self, of: Of) -> Option<&Asked> {
        self.asked.get(&of)
    }

    /// All that was ever asked.
    pub(crate) fn all_asked(&self) -> impl Iterator<Item = (&Of, &Asked)> {
        self.asked.iter()
    }

    /// The newest revision that anybody was told to be there.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// The newest revision that any server has come to.
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// When it was first seen that a server had come to a revision.
    pub(crate) fn first_applied(&self, revision: u64) -> Option<Time> {
        self.applied_at.range(revision..).next().map(|(_, at)| *at)
    }

    /// From where to where a watch has just gone.
    pub(crate) fn step(&self, of: Of) -> Option<(Place, Place)> {
        self.steps.get(&of).copied()
    }

    /// A watcher that has not come to the last that it wants: who wants everything to the newest revision that anybody
    /// was told, others to the last such change that anybody has seen.
    pub(crate) fn late_watcher(&self) -> Option<u8> {
        let lacks = |watched: &Watched, place: Place| match watched.is_all() {
            true => place.0 < self.told,
            false => self.changes.range((Excluded(place), Unbounded)).any(|(_, seen)| watched.wants(seen)),
        };
        let late = self.watchers.iter().find(|(_, (watched, place))| lacks(watched, *place));
        late.map(|(watcher, _)| *watcher)
    }

    /// The change in this place.
    pub(crate) fn change(&self, place: Place) -> Option<&Seen> {
        self.changes.get(&place)
    }

    /// All changes that are known, in order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Seen> {
        self.changes.values()
    }

    /// The changes that are known between two places, without these.
    pub(crate) fn between(&self, from: Place, to: Place) -> impl Iterator<Item = &Seen> {
        let inside = (Excluded(from), Excluded(to));
        let range = (from < to).then(|| self.changes.range(inside));
        range.into_iter().flatten().map(|(_, seen)| seen)
    }

    /// How many changes a revision has, where that is known.
    pub(crate) fn size(&self, revision: u64) -> Option<u32> {
        self.sizes.get(&revision).copied()
    }

    /// All changes of a revision, where they are known.
    pub(crate) fn whole(&self, revision: u64) -> Option<Vec<&Seen>> {
        let size = self.size(revision)?;
        Some(self.changes.range((revision, 0)..(revision, size)).map(|(_, seen)| seen).collect())
    }

    /// Whether all changes of these revisions are known.
    pub(crate) fn knows(&self, from: u64, to: u64) -> bool {
        from > to || self.stretches.range(..=from).next_back().is_some_and(|(_, last)| *last >= to)
    }

    /// What a key became last, up to a revision and as far as is known.
    pub(crate) fn latest(&self, key: &str, revision: u64) -> Option<(u64, &Option<Found>)> {
        let (at, found) = self.keys.get(key)?.range(..=revision).next_back()?;
        Some((*at, found))
    }

    /// What a key was at a revision, where that is known.
    pub(crate) fn was(&self, key: &str, revision: u64) -> Option<&Option<Found>> {
        let (since, found) = self.latest(key, revision).unwrap_or((0, &None));
        self.knows(since + 1, revision).then_some(found)
    }

    /// The keys that somebody has seen, with a prefix, in order.
    pub(crate) fn keys_with(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let keys = self.keys.range(prefix.to_owned()..).map(|(key, _)| &**key);
        keys.take_while(move |key| key.starts_with(prefix))
    }

    /// Which revision wrote this value to this key, if that was seen.
    pub(crate) fn written(&self, key: &str, value: &str) -> Option<u64> {
        self.written.get(&(key.to_owned(), value.to_owned())).copied()
    }

    /// A lease that was told of.
    pub(crate) fn lease(&self, lease: u64) -> Option<LeaseStory> {
        self.leases.get(&lease).copied()
    }

    /// The lease that a value goes with.
    pub(crate) fn lease_of(&self, value: &str) -> Option<u64> {
        self.leased.get(value).map(|(lease, _)| *lease)
    }

    /// Key and value of everything that was to go with a lease.
    pub(crate) fn values_with(&self, lease: u64) -> impl Iterator<Item = (&str, &str)> {
        let of_lease = self.leased.iter().filter(move |(_, (of, _))| *of == lease);
        of_lease.map(|(value, (_, key))| (&**key, &**value))
    }

    /// Whether anything that was to be written to a key was to go with a lease.
    pub(crate) fn goes_with_leases(&self, key: &str) -> bool {
        self.leased.values().any(|(_, of)| of == key)
    }

    /// Whether somebody may have ended a lease.
    pub(crate) fn may_be_revoked(&self, lease: u64) -> bool {
        let may_be_done = |of: &Of| self.asked(*of).is_some_and(Asked::may_be_done);
        self.revoking.get(&lease).is_some_and(|errands| errands.iter().any(may_be_done))
    }

    /// Since when a value that goes by itself may count, and how long it lives.
    pub(crate) fn life_of(&self, value: &str) -> Option<(Time, u64)> {
        self.fleeting.get(value).copied()
    }

    /// Every single write that was acknowledged with its revision: that, the key, the value.
    pub(crate) fn acknowledged(&self) -> &[(u64, String, String)] {
        &self.acknowledged
    }

    /// Every write of which a client was told that it is not done and never will be: who asked, the key, the value.
    pub(crate) fn denied(&self) -> &[(u8, u32, String, String)] {
        &self.denied
    }
}
