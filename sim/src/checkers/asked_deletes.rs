//! Nothing is deleted but what somebody wants to be gone, and what is said to be deleted is gone: a client's key by
//! its request, the keys of a lease by its end (`docs/HTTP.md`; a phantom write that writes nothing).

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Evidence};
use crate::audit::{Account, Errand, Seen};
use crate::chronicle::Chronicle;
use crate::history::{Call, Operation, Outcome};
use crate::observe::Observation;

/// Looks at each deletion that somebody sees, and in the end once more, when more is known.
#[derive(Debug, Default)]
pub(crate) struct AskedDeletes {
    /// Which requests of clients want each key to be gone, without those that failed for sure.
    asked: BTreeMap<String, BTreeSet<(u8, u32)>>,
    /// By which revisions each key was deleted.
    deleted: BTreeMap<String, BTreeMap<u64, Seen>>,
    /// Leases that are ended, and as of which revision.
    ended: Vec<(u64, u64)>,
}

impl Checker for AskedDeletes {
    fn name(&self) -> &'static str {
        "asked-deletes"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Asks { client, number, key, call: Call::Delete, .. } => {
                self.asked.entry(key.clone()).or_default().insert((*client, *number));
            }
            Observation::Hears { client, number, outcome: Outcome::Failed, .. } => {
                for requests in self.asked.values_mut() {
                    requests.remove(&(*client, *number));
                }
            }
            _ => {}
        }
        let Some((_, asked, account)) = evidence.account(observation) else { return Ok(()) };
        match (account, &asked.errand) {
            (Account::Saw(seen), _) => self.goes(evidence.chronicle, seen),
            (Account::Followed { changes, .. }, _) => {
                changes.iter().try_for_each(|seen| self.goes(evidence.chronicle, seen))
            }
            (Account::Revoked { revision }, Errand::Revoke { lease }) => {
                self.ended.push((*lease, *revision));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        let chronicle = evidence.chronicle;
        let mut deleted = self.deleted.values().flat_map(BTreeMap::values);
        deleted.try_for_each(|seen| self.is_wanted(chronicle, seen))?;
        let mut ended = self.ended.iter();
        ended.try_for_each(|(lease, revision)| has_ended(chronicle, *lease, *revision))
    }
}

impl AskedDeletes {
    fn goes(&mut self, chronicle: &Chronicle, seen: &Seen) -> Result<(), String> {
        if seen.found.is_some() || seen.expired {
            return Ok(());
        }
        let of_key = self.deleted.entry(seen.key.clone()).or_default();
        of_key.entry(seen.revision).or_insert_with(|| seen.clone());
        self.is_wanted(chronicle, seen)
    }

    fn is_wanted(&self, chronicle: &Chronicle, seen: &Seen) -> Result<(), String> {
        let Seen { key, revision, .. } = seen;
        let was = chronicle.was(key, revision - 1);
        let lease = was.and_then(Option::as_ref).and_then(|was| chronicle.lease_of(&was.value));
        match lease {
            Some(lease) if chronicle.may_be_revoked(lease) => return Ok(()),
            Some(lease) => {
                return Err(format!(
                    "{key} was deleted by revision {revision}, and nobody has ended its lease {lease}"
                ));
            }
            // Nobody knows with which lease it went, if with any.
            None if was.is_none() && chronicle.goes_with_leases(key) => return Ok(()),
            None => {}
        }
        let asked = self.asked.get(key).map_or(0, BTreeSet::len);
        match self.deleted.get(key) {
            Some(deleted) if deleted.len() > asked => Err(format!(
                "{key} was deleted by the revisions {:?}, and {asked} requests wanted that",
                deleted.keys()
            )),
            _ => Ok(()),
        }
    }
}

/// Nothing of a lease is there when it is ended, nor is it written later.
fn has_ended(chronicle: &Chronicle, lease: u64, revision: u64) -> Result<(), String> {
    for (key, value) in chronicle.values_with(lease) {
        let holds = |found: &crate::audit::Found| found.value == value;
        if chronicle.was(key, revision).is_some_and(|was| was.as_ref().is_some_and(holds)) {
            return Err(format!("{key} is {value} at revision {revision}, and its lease {lease} is ended"));
        }
        if let Some(later) = chronicle.written(key, value).filter(|written| *written > revision) {
            return Err(format!(
                "{value} was written to {key} by revision {later}, and revision {revision} ended its lease"
            ));
        }
    }
    Ok(())
}
