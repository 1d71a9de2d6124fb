//! A transaction is done whole, by a revision of its own, and only on the terms that it compared; and it is not
//! refused when these hold (serializability in the order of revisions; with `real-time`, strict).

use super::{Checker, Evidence};
use crate::audit::{Account, Errand, Found};
use crate::chronicle::{Chronicle, Of};
use crate::history::Operation;
use crate::observe::Observation;

/// Looks at refusals as they come, and in the end at what was done.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    done: Vec<(Of, u64)>,
    refused: Vec<(Of, u64, Option<u64>)>,
}

impl Checker for Transactions {
    fn name(&self) -> &'static str {
        "transactions"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((of, asked, account)) = evidence.account(observation) else { return Ok(()) };
        match (account, &asked.errand) {
            (Account::Done { revision, .. }, Errand::Transfer { .. } | Errand::Guarded { .. }) => {
                self.done.push((of, *revision));
                Ok(())
            }
            (Account::Differs { found, .. }, Errand::Transfer { expected, .. }) => {
                let is_so = |(wanted, found): (&(String, Option<String>), &Option<Found>)| {
                    wanted.1.as_ref() == found.as_ref().map(|found| &found.value)
                };
                match expected.iter().zip(found).all(is_so) {
                    true => Err(format!("{of:?} was not done, though all is as it expected: {found:?}")),
                    false => Ok(()),
                }
            }
            (Account::Taken { revision, there, .. }, Errand::Guarded { seen, .. }) => {
                self.refused.push((of, *revision, *there));
                match there.unwrap_or(0) == *seen {
                    true => Err(format!("{of:?} was not done, though {seen} wrote the key last")),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        let chronicle = evidence.chronicle;
        for (of, revision) in &self.done {
            let Some(asked) = chronicle.asked(*of) else { continue };
            is_whole(chronicle, &asked.errand, *revision)?;
            had_its_terms(chronicle, &asked.errand, *revision)?;
        }
        for (of, revision, there) in &self.refused {
            let Some(Errand::Guarded { key, .. }) = chronicle.asked(*of).map(|asked| &asked.errand) else {
                continue;
            };
            let was = chronicle.was(key, *revision);
            if was.is_some_and(|was| was.as_ref().map(|was| was.written_at) != *there) {
                return Err(format!("{of:?} was told that {there:?} wrote {key} last, and it was {was:?}"));
            }
        }
        Ok(())
    }
}

/// All that it writes is all that its revision changes.
fn is_whole(chronicle: &Chronicle, errand: &Errand, revision: u64) -> Result<(), String> {
    let Some(whole) = chronicle.whole(revision) else { return Ok(()) };
    let changed = whole.iter().map(|seen| (&*seen.key, seen.found.as_ref().map(|found| &*found.value)));
    if changed.eq(errand.writes().into_iter().map(|(key, value)| (key, Some(value)))) {
        return Ok(());
    }
    Err(format!("{errand:?} was done by revision {revision}, which is {whole:?}"))
}

/// Right before its revision all was as it expected.
fn had_its_terms(chronicle: &Chronicle, errand: &Errand, revision: u64) -> Result<(), String> {
    let wrong = |key: &str, was: &Option<Found>| {
        Err(format!("{errand:?} was done by revision {revision}, and {key} was {was:?}"))
    };
    match errand {
        Errand::Transfer { expected, .. } => expected.iter().try_for_each(|(key, value)| {
            let was = chronicle.was(key, revision - 1);
            match was {
                Some(was) if was.as_ref().map(|was| &was.value) != value.as_ref() => wrong(key, was),
                _ => Ok(()),
            }
        }),
        Errand::Guarded { key, seen, .. } => match chronicle.was(key, revision - 1) {
            Some(was) if was.as_ref().map_or(0, |was| was.written_at) != *seen => wrong(key, was),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}
