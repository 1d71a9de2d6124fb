//! What auditors see of the store is one story, in which every revision has its place.
//!
//! What changed is the same whoever follows it, on whatever server: in order, nothing twice, nothing left out. From
//! that it is known what every key was at every revision; each answer names its revision, and so it can be held against
//! what was so then: a transaction's changes are all there are of its revision, and what it compared and read is what
//! was there before. That revisions agree with real time makes it an order of all operations, over all keys (Herlihy
//! and Wing: linearizability asks for a total order that explains the answers and keeps to real time; here the store
//! names the order itself, so that none has to be searched for).

use std::collections::{BTreeMap, BTreeSet};

use quorate_node::raft::Time;

use super::{Checker, Evidence};
use crate::audit::{Account, Errand, Found, Seen};
use crate::history::Operation;
use crate::observe::Observation;
use crate::plan::{DRIFT, Fault, Plan};

/// Stamps are whole milliseconds, and so are lives.
const ROUNDED_MS: u64 = 2;

/// What auditors saw, and what they were told.
#[derive(Debug)]
pub(crate) struct Store {
    /// How far back the past must be readable; nothing when a full disk may let go of it.
    keeps: Option<u64>,
    /// Whether clocks keep to their bound.
    binding: bool,
    /// All changes of each revision that somebody has seen.
    changes: BTreeMap<u64, Vec<Seen>>,
    /// The same by key.
    keys: BTreeMap<String, BTreeMap<u64, Option<Found>>>,
    /// Where each value was written.
    written: BTreeMap<(String, String), u64>,
    /// The newest revision that anybody was told to be there.
    told: u64,
    asked: BTreeMap<(u8, u64), Asked>,
    /// By which revision what was done.
    done: BTreeMap<(u8, u64), u64>,
    /// What was read of the past: the key, the revision, what was there.
    reads: Vec<(String, u64, Option<Found>)>,
    /// When each value that goes by itself was first asked to be written, and how long it lives.
    fleeting: BTreeMap<String, (Time, u64)>,
    /// The lease that each value goes with.
    leased: BTreeMap<String, u64>,
    /// How long each lease lives, and since when at least.
    leases: BTreeMap<u64, (Time, u64)>,
}

#[derive(Debug)]
struct Asked {
    errand: Errand,
    /// When it was asked first.
    first: Time,
    /// The newest revision that anybody had been told when it was asked first.
    known: u64,
}

impl Store {
    pub(crate) fn new(plan: &Plan) -> Self {
        let lets_go = |fault: &Fault| matches!(fault, Fault::FullDisk { .. });
        let drawn = plan.knobs.history_revisions;
        let keeps = if drawn > 0 { drawn } else { u64::MAX };
        Store {
            keeps: (!plan.faults.iter().any(|timed| lets_go(&timed.fault))).then_some(keeps),
            binding: plan.keeps_leases(),
            changes: BTreeMap::new(),
            keys: BTreeMap::new(),
            written: BTreeMap::new(),
            told: 0,
            asked: BTreeMap::new(),
            done: BTreeMap::new(),
            reads: Vec::new(),
            fleeting: BTreeMap::new(),
            leased: BTreeMap::new(),
            leases: BTreeMap::new(),
        }
    }
}

impl Checker for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Errand { auditor, number, errand } => {
                self.asks((*auditor, *number), errand, evidence.at);
                Ok(())
            }
            Observation::Account { auditor, number, account } => {
                self.hears((*auditor, *number), account, evidence.at)
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        for (key, revision, found) in &self.reads {
            self.agrees(key, *revision, found.as_ref())?;
        }
        for (of, revision) in &self.done {
            if let Some(Asked { errand: Errand::Transfer { expected, writes }, .. }) = self.asked.get(of) {
                self.was_carried_out(*of, *revision, expected, writes)?;
            }
        }
        Ok(())
    }
}

impl Store {
    fn asks(&mut self, of: (u8, u64), errand: &Errand, at: Time) {
        match errand {
            Errand::Fleeting { value, ttl_ms, .. } => {
                self.fleeting.entry(value.clone()).or_insert((at, *ttl_ms));
            }
            Errand::Leased { value, lease, .. } => drop(self.leased.insert(value.clone(), *lease)),
            Errand::Grant { lease, ttl_ms } => drop(self.leases.entry(*lease).or_insert((at, *ttl_ms))),
            _ => {}
        }
        let asked = Asked { errand: errand.clone(), first: at, known: self.told };
        self.asked.entry(of).or_insert(asked);
    }

    fn hears(&mut self, of: (u8, u64), account: &Account, at: Time) -> Result<(), String> {
        let Some(asked) = self.asked.get(&of) else { return Ok(()) };
        let (known, first) = (asked.known, asked.first);
        let errand = asked.errand.clone();
        match (account, &errand) {
            (Account::Followed { changes, upto }, Errand::Follow { from }) => {
                self.followed(*from, changes, *upto, at)
            }
            (Account::Gone { oldest, newest }, Errand::Follow { from }) => {
                self.may_be_gone(from.saturating_sub(1), *oldest, *newest)
            }
            (Account::Gone { oldest, newest }, Errand::Past { revision, .. }) => {
                self.may_be_gone(*revision, *oldest, *newest)
            }
            (Account::Was { found }, Errand::Past { key, revision }) => {
                self.reads.push((key.clone(), *revision, found.clone()));
                self.agrees(key, *revision, found.as_ref())
            }
            (Account::Done { revision, is_replay }, _) => self.did(of, *revision, *is_replay, known),
            (Account::Differs { revision, found, .. }, Errand::Transfer { expected, .. }) => {
                if *revision < known {
                    return Err(behind(of, *revision, known));
                }
                if self.done.contains_key(&of) {
                    return Err(format!("errand {of:?} was done, and a repetition says that it was not"));
                }
                self.told = self.told.max(*revision);
                let is_so = expected
                    .iter()
                    .zip(found)
                    .all(|((_, value), found)| value.as_ref() == found.as_ref().map(|found| &found.value));
                if is_so {
                    return Err(format!(
                        "errand {of:?} was not done, though all is as it expected: {found:?}"
                    ));
                }
                let keys = expected.iter().map(|(key, _)| key.clone());
                self.reads.extend(keys.zip(found).map(|(key, found)| (key, *revision, found.clone())));
                Ok(())
            }
            (Account::Lives, Errand::KeepAlive { lease } | Errand::Grant { lease, .. }) => {
                self.leases.entry(*lease).and_modify(|(since, _)| *since = first.max(*since));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A write was acknowledged.
    fn did(&mut self, of: (u8, u64), revision: u64, is_replay: bool, known: u64) -> Result<(), String> {
        match self.done.get(&of) {
            Some(before) if *before != revision || !is_replay => {
                return Err(format!(
                    "errand {of:?} was done by revision {before}, and a repetition says by {revision}{}",
                    if is_replay { "" } else { ", anew" }
                ));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        if revision <= known {
            return Err(behind(of, revision, known));
        }
        self.told = self.told.max(revision);
        self.done.insert(of, revision);
        Ok(())
    }

    /// Changes that were seen go on from where they were asked for, leave nothing out, and are those that others saw.
    fn followed(&mut self, from: u64, changes: &[Seen], upto: u64, at: Time) -> Result<(), String> {
        let mut revisions: BTreeMap<u64, Vec<Seen>> = BTreeMap::new();
        let mut last = None;
        for seen in changes {
            let place = (seen.revision, seen.ordinal);
            if last.replace(place).is_some_and(|last| place <= last) {
                return Err(format!("changes from {from} on come out of order: {last:?} after {place:?}"));
            }
            revisions.entry(seen.revision).or_default().push(seen.clone());
        }
        if !revisions.keys().copied().eq(from..=upto) {
            let seen: Vec<u64> = revisions.into_keys().collect();
            return Err(format!("the changes from {from} to {upto} are those of the revisions {seen:?}"));
        }
        for (revision, seen) in revisions {
            let ordinals = seen.iter().map(|seen| seen.ordinal);
            if !ordinals.eq(0..u32::try_from(seen.len()).unwrap_or(u32::MAX)) {
                return Err(format!("changes of revision {revision} are left out: {seen:?}"));
            }
            match self.changes.get(&revision) {
                Some(known) if *known != seen => {
                    return Err(format!("revision {revision} is {seen:?}; another was told {known:?}"));
                }
                Some(_) => {}
                None => self.learn(revision, seen, at)?,
            }
        }
        Ok(())
    }

    /// A revision is seen for the first time.
    fn learn(&mut self, revision: u64, changes: Vec<Seen>, at: Time) -> Result<(), String> {
        let mut touched = BTreeSet::new();
        for seen in &changes {
            if !touched.insert(&seen.key) {
                return Err(format!("revision {revision} changes {} twice", seen.key));
            }
            if let Some(found) = &seen.found {
                if found.written_at() != revision {
                    return Err(format!("revision {revision} wrote {found:?}"));
                }
                let value = (seen.key.clone(), found.value.clone());
                if let Some(before) = self.written.insert(value, revision) {
                    return Err(format!(
                        "{} was written to {} twice, by the revisions {before} and {revision}",
                        found.value, seen.key
                    ));
                }
            }
            if seen.expired {
                self.may_expire(&seen.key, revision, at)?;
            }
            self.keys.entry(seen.key.clone()).or_default().insert(revision, seen.found.clone());
        }
        self.changes.insert(revision, changes);
        Ok(())
    }

    /// What went by itself had lived for as long as its holder was promised.
    fn may_expire(&self, key: &str, revision: u64, at: Time) -> Result<(), String> {
        if !self.is_known_from(revision) {
            return Ok(());
        }
        let Some(value) = self.before(key, revision) else {
            return Err(format!("revision {revision} lets {key} expire, which was not there"));
        };
        let (since, ttl_ms) = match (self.fleeting.get(&value.value), self.leased.get(&value.value)) {
            (Some(life), _) => *life,
            (None, Some(lease)) => self.leases.get(lease).copied().unwrap_or_default(),
            (None, None) => {
                return Err(format!("revision {revision} lets {key} expire, which was to stay: {value:?}"));
            }
        };
        let lived_ms = at.since(since).as_millis();
        let fastest = u128::from(1_000 + DRIFT.unsigned_abs());
        if self.binding && (lived_ms + u128::from(ROUNDED_MS)) * fastest < u128::from(ttl_ms) * 1_000 {
            return Err(format!("{key} has expired after {lived_ms} ms of {ttl_ms} (revision {revision})"));
        }
        Ok(())
    }

    /// What `key` was right before `revision`, as far as is known.
    fn before(&self, key: &str, revision: u64) -> Option<&Found> {
        self.keys.get(key)?.range(..revision).next_back()?.1.as_ref()
    }

    /// Whether all changes before `revision` have been seen.
    fn is_known_from(&self, revision: u64) -> bool {
        self.changes.range(..revision).count() as u64 == revision - 1
    }

    /// Of the past only what is too old may be gone; the future is not there yet.
    fn may_be_gone(&self, revision: u64, oldest: u64, newest: u64) -> Result<(), String> {
        let is_told = if revision > newest { newest < revision } else { revision < oldest };
        let is_old = self.keeps.is_none_or(|keeps| newest.saturating_sub(oldest) >= keeps);
        if !is_told || (revision <= newest && !is_old) {
            return Err(format!(
                "revision {revision} can't be read, of {oldest} to {newest}, though {:?} are kept",
                self.keeps
            ));
        }
        Ok(())
    }

    /// What was read at a revision is what was there, as far as is known.
    fn agrees(&self, key: &str, revision: u64, found: Option<&Found>) -> Result<(), String> {
        let wrong = |known: String| {
            Err(format!("{key} at revision {revision} was read as {found:?}, but changes say {known}"))
        };
        let written_at = found.map_or(0, Found::written_at);
        if written_at > revision {
            return wrong("that this was later".to_owned());
        }
        let known = self.keys.get(key).and_then(|key| key.range(..=revision).next_back());
        // A removal that nobody saw explains that nothing is there.
        let all_seen = |at: u64| self.changes.range(at..=revision).count() as u64 == revision + 1 - at;
        match (known, found) {
            (Some((at, Some(was))), None) if all_seen(*at) => wrong(format!("{was:?} by {at}")),
            (Some((at, was)), Some(_)) if *at > written_at => wrong(format!("{was:?} by {at}")),
            (Some((at, was)), Some(_)) if *at == written_at && was.as_ref() != found => {
                wrong(format!("{was:?}"))
            }
            (known, Some(_)) if self.changes.contains_key(&written_at) => {
                let is_there = known.is_some_and(|(at, _)| *at == written_at);
                if is_there { Ok(()) } else { wrong(format!("{:?}", self.changes[&written_at])) }
            }
            _ => Ok(()),
        }
    }

    /// All of a transaction is there, at its revision and nothing else, and what it compared was so.
    fn was_carried_out(
        &self,
        of: (u8, u64),
        revision: u64,
        expected: &[(String, Option<String>)],
        writes: &[(String, String)],
    ) -> Result<(), String> {
        let Some(changes) = self.changes.get(&revision) else { return Ok(()) };
        let written = changes.iter().map(|seen| (&seen.key, seen.found.as_ref().map(|found| &found.value)));
        if !written.eq(writes.iter().map(|(key, value)| (key, Some(value)))) {
            return Err(format!(
                "errand {of:?} wrote {writes:?} by revision {revision}, which is {changes:?}"
            ));
        }
        if self.is_known_from(revision) {
            for (key, value) in expected {
                let was = self.before(key, revision);
                if was.map(|was| &was.value) != value.as_ref() {
                    return Err(format!("errand {of:?} took {key} for {value:?}, and it was {was:?}"));
                }
            }
        }
        Ok(())
    }
}

fn behind(of: (u8, u64), revision: u64, known: u64) -> String {
    format!("errand {of:?} was told revision {revision}, though {known} had been told before it was asked")
}
