//! Each write is numbered by what it takes the place of: its revision, the revision that created the key, and how
//! often it was written since (`docs/HTTP.md`). That all are told the same numbers says nothing of whether they are
//! right.

use super::{Checker, Evidence};
use crate::audit::{Account, Found, Seen};
use crate::chronicle::Chronicle;
use crate::history::Operation;
use crate::observe::Observation;

/// Looks at each write that somebody sees, and in the end at all of them, when it is known what was there before.
#[derive(Debug)]
pub(crate) struct Versions;

impl Checker for Versions {
    fn name(&self) -> &'static str {
        "versions"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((_, _, account)) = evidence.account(observation) else { return Ok(()) };
        match account {
            Account::Saw(seen) => follows(evidence.chronicle, seen),
            Account::Followed { changes, .. } => {
                changes.iter().try_for_each(|seen| follows(evidence.chronicle, seen))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        evidence.chronicle.changes().try_for_each(|seen| follows(evidence.chronicle, seen))
    }
}

/// The numbers of a write are those that come after what was there, as far as that is known.
fn follows(chronicle: &Chronicle, seen: &Seen) -> Result<(), String> {
    let Some(found) = &seen.found else { return Ok(()) };
    let wrong = |wanted: String| Err(format!("{seen:?} {wanted}"));
    if found.written_at != seen.revision {
        return wrong("names another revision as the one that wrote it".to_owned());
    }
    let Some(since) = found.since else { return Ok(()) };
    let wanted = match chronicle.was(&seen.key, seen.revision - 1) {
        Some(None) => (seen.revision, 1),
        Some(Some(Found { since: Some((created_at, version)), .. })) => (*created_at, version + 1),
        Some(Some(Found { since: None, .. })) | None => return Ok(()),
    };
    if since == wanted { Ok(()) } else { wrong(format!("is the version {since:?}, and not {wanted:?}")) }
}
