//! Revisions keep to real time over all keys: what was asked for after somebody had been told of a revision is done
//! behind it, and reads that are to be fresh see it (Herlihy and Wing, 1990; Lamport's order "happened before").

use super::{Checker, Evidence};
use crate::audit::{Account, Errand};
use crate::observe::Observation;

/// Compares what each is told with what had been told before it was asked.
#[derive(Debug)]
pub(crate) struct RealTime;

impl Checker for RealTime {
    fn name(&self) -> &'static str {
        "real-time"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((of, asked, account)) = evidence.account(observation) else { return Ok(()) };
        let known = asked.known;
        let behind = |revision: u64| {
            Err(format!("{of:?} was told {revision}, and {known} had been told before it was asked"))
        };
        match (account, &asked.errand) {
            (Account::Done { revision, .. }, _) if *revision <= known => behind(*revision),
            (
                Account::Differs { revision, .. }
                | Account::Taken { revision, .. }
                | Account::Revoked { revision },
                _,
            )
            | (Account::Listed { revision, .. }, Errand::List { fresh: true, .. })
                if *revision < known =>
            {
                behind(*revision)
            }
            _ => Ok(()),
        }
    }
}
