//! Nothing goes before its holder could have kept it alive: a key with a time to live, a lease, and the keys of a
//! lease (Gray and Cheriton, 1989: a lease binds whoever granted it until its term is over). Clocks must keep to the
//! bound that leases reckon with.

use quorate_node::raft::Time;

use super::{Checker, Evidence};
use crate::audit::{Account, Errand, Seen};
use crate::chronicle::Chronicle;
use crate::observe::Observation;
use crate::plan::{DRIFT, Plan};

/// Stamps are whole milliseconds, and so are lives.
const ROUNDED_MS: u64 = 2;

/// Looks at what goes, whenever somebody sees it.
#[derive(Debug)]
pub(crate) struct EarlyExpiry {
    /// Whether clocks keep to their bound.
    binding: bool,
}

impl EarlyExpiry {
    pub(crate) fn new(plan: &Plan) -> Self {
        EarlyExpiry { binding: plan.keeps_leases() }
    }
}

impl Checker for EarlyExpiry {
    fn name(&self) -> &'static str {
        "early-expiry"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((_, asked, account)) = evidence.account(observation) else { return Ok(()) };
        let (chronicle, at) = (evidence.chronicle, evidence.at);
        match (account, &asked.errand) {
            (Account::Saw(seen), _) => self.goes(chronicle, seen, at),
            (Account::Followed { changes, .. }, _) => {
                changes.iter().try_for_each(|seen| self.goes(chronicle, seen, at))
            }
            (
                Account::NoLease,
                Errand::KeepAlive { lease } | Errand::Leased { lease, .. } | Errand::Revoke { lease },
            ) => self.lease_may_be_over(chronicle, *lease, at),
            _ => Ok(()),
        }
    }
}

impl EarlyExpiry {
    fn goes(&self, chronicle: &Chronicle, seen: &Seen, at: Time) -> Result<(), String> {
        if seen.found.is_some() {
            return Ok(());
        }
        let Some(before) = chronicle.was(&seen.key, seen.revision - 1) else { return Ok(()) };
        let Some(before) = before else { return Err(format!("{seen:?} was not there before")) };
        if !seen.expired {
            return Ok(());
        }
        // Whoever sees it may see it late.
        let at = chronicle.first_applied(seen.revision).map_or(at, |applied| applied.min(at));
        let lease = chronicle.lease_of(&before.value).map(|lease| chronicle.lease(lease));
        let wrong =
            |error: String| Err(format!("{} has gone by revision {}: {error}", seen.key, seen.revision));
        match (chronicle.life_of(&before.value), lease) {
            (Some((since, ttl_ms)), _) => self.is_over(since, ttl_ms, at).or_else(wrong),
            (None, Some(Some(lease))) => self.is_over(lease.since, lease.ttl_ms, at).or_else(wrong),
            (None, Some(None)) => Ok(()),
            (None, None) => wrong(format!("it was to stay: {before:?}")),
        }
    }

    fn lease_may_be_over(&self, chronicle: &Chronicle, lease: u64, at: Time) -> Result<(), String> {
        match chronicle.lease(lease) {
            Some(story) if !chronicle.may_be_revoked(lease) => self.is_over(story.since, story.ttl_ms, at),
            _ => Ok(()),
        }
    }

    /// What began at `since`, or later, may be over.
    fn is_over(&self, since: Time, ttl_ms: u64, at: Time) -> Result<(), String> {
        let lived_ms = at.since(since).as_millis();
        let fastest = u128::from(1_000 + DRIFT.unsigned_abs());
        if self.binding && (lived_ms + u128::from(ROUNDED_MS)) * fastest < u128::from(ttl_ms) * 1_000 {
            return Err(format!("it is over after {lived_ms} ms of {ttl_ms}"));
        }
        Ok(())
    }
}
