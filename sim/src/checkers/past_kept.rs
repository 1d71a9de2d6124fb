//! The past can be read as far back as the settings say (`--history-revisions`): neither reads nor watches are told
//! before that it is gone. A full disk may let go of it (`docs/adr/0008-store.md`).

use super::{Checker, Evidence};
use crate::audit::{Account, Errand};
use crate::observe::Observation;
use crate::plan::{Fault, Plan};

/// Looks at those who are told that something is gone.
#[derive(Debug)]
pub(crate) struct PastKept {
    /// How many revisions back; without it nothing is promised.
    keeps: Option<u64>,
}

impl PastKept {
    pub(crate) fn new(plan: &Plan) -> Self {
        let lets_go = plan.faults.iter().any(|timed| matches!(timed.fault, Fault::FullDisk { .. }));
        let drawn = plan.knobs.history_revisions;
        let keeps = if drawn > 0 { drawn } else { u64::MAX };
        PastKept { keeps: (!lets_go).then_some(keeps) }
    }
}

impl Checker for PastKept {
    fn name(&self) -> &'static str {
        "past-kept"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((of, asked, account)) = evidence.account(observation) else { return Ok(()) };
        match account {
            Account::Gone { oldest, newest } => {
                let wanted = match &asked.errand {
                    Errand::Follow { from } => from.saturating_sub(1),
                    Errand::Past { revision, .. } => *revision,
                    Errand::List { revision, .. } => revision.unwrap_or(u64::MAX),
                    _ => return Ok(()),
                };
                if wanted >= *oldest {
                    return Err(format!("{wanted} is said to be gone, and {oldest} to be there"));
                }
                self.may_be_gone(*oldest, newest.unwrap_or(evidence.chronicle.applied()))
            }
            // All of the revision that the watch stands in is gone, or more.
            Account::Reset { revision, .. } => match evidence.chronicle.step(of) {
                Some((_, at)) => self.may_be_gone(at.0, *revision),
                None => Ok(()),
            },
            Account::Ahead { newest: Some(newest) } => match &asked.errand {
                Errand::Past { revision, .. } | Errand::List { revision: Some(revision), .. }
                    if revision <= newest =>
                {
                    Err(format!("{revision} is said not to be there yet, of {newest}"))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl PastKept {
    fn may_be_gone(&self, oldest: u64, newest: u64) -> Result<(), String> {
        match self.keeps {
            Some(keeps) if newest.saturating_sub(oldest) < keeps => {
                Err(format!("what is before {oldest} is gone at {newest}, though {keeps} revisions are kept"))
            }
            _ => Ok(()),
        }
    }
}
