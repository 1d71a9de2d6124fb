//! Whoever follows what changes is told of all of it that is wanted and of nothing else, and of the same as everybody
//! else, on whatever server and over whatever breaks (etcd's guarantees of watches: reliable, atomic, resumable;
//! `docs/HTTP.md`). What was acknowledged is among it.

use super::{Checker, Evidence};
use crate::audit::{Account, BEHIND_ALL, Errand, Place, Seen, Watched};
use crate::chronicle::Chronicle;
use crate::history::Operation;
use crate::observe::Observation;

/// Looks at each step of those who follow; in the end once more, at what watches of a part have passed over.
#[derive(Debug, Default)]
pub(crate) struct WatchComplete {
    passed: Vec<(Watched, Place, Place)>,
}

impl Checker for WatchComplete {
    fn name(&self) -> &'static str {
        "watch-complete"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((of, asked, account)) = evidence.account(observation) else { return Ok(()) };
        let chronicle = evidence.chronicle;
        match (account, &asked.errand) {
            (Account::Saw(seen), Errand::Watch { watched, .. }) => {
                is_what_others_saw(chronicle, seen)?;
                if !watched.wants(seen) {
                    return Err(format!("{seen:?} is none of {watched:?}"));
                }
                let Some((from, to)) = chronicle.step(of) else { return Ok(()) };
                if watched.is_all() {
                    return goes_on(chronicle, from, to);
                }
                self.passed.push((watched.clone(), from, to));
                Ok(())
            }
            (Account::Followed { changes, upto }, Errand::Follow { from }) => {
                followed(chronicle, *from, changes, *upto)
            }
            (Account::Reset { reason, .. }, _) if reason == "restored" => {
                Err("a watch is told that the history is another, and there is only one".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        let chronicle = evidence.chronicle;
        for (watched, from, to) in &self.passed {
            if let Some(left_out) = chronicle.between(*from, *to).find(|seen| watched.wants(seen)) {
                return Err(format!("{watched:?} went from {from:?} to {to:?} and left out {left_out:?}"));
            }
        }
        for (revision, key, value) in chronicle.acknowledged() {
            let is_it = |seen: &&Seen| {
                seen.key == *key && seen.found.as_ref().is_some_and(|found| found.value == *value)
            };
            let whole = chronicle.whole(*revision);
            if whole.as_ref().is_some_and(|whole| !whole.iter().any(is_it)) {
                return Err(format!(
                    "{value} was written to {key} by revision {revision}, and who follows was told {whole:?}"
                ));
            }
        }
        Ok(())
    }
}

fn is_what_others_saw(chronicle: &Chronicle, seen: &Seen) -> Result<(), String> {
    match chronicle.change(seen.place()) {
        Some(known) if !known.agrees(seen) => {
            Err(format!("a change is told as {seen:?}; another was told {known:?}"))
        }
        _ if chronicle.size(seen.revision).is_some_and(|size| seen.ordinal >= size) => Err(format!(
            "{seen:?} is told; another was told that its revision has {:?} changes",
            chronicle.size(seen.revision)
        )),
        _ => Ok(()),
    }
}

/// Of all changes none is passed over.
fn goes_on(chronicle: &Chronicle, from: Place, to: Place) -> Result<(), String> {
    let is_next_of_revision = to.0 == from.0 && to.1 == from.1 + 1;
    let is_next_revision = to.0 == from.0 + 1 && to.1 == 0;
    if !is_next_of_revision && !is_next_revision {
        return Err(format!("changes between {from:?} and {to:?} are left out"));
    }
    let is_whole = from.1 == BEHIND_ALL || chronicle.size(from.0).is_none_or(|size| size == from.1 + 1);
    if is_next_revision && !is_whole {
        return Err(format!(
            "changes of revision {} behind {from:?} are left out: it has {:?}",
            from.0,
            chronicle.size(from.0)
        ));
    }
    Ok(())
}

fn followed(chronicle: &Chronicle, from: u64, changes: &[Seen], upto: u64) -> Result<(), String> {
    let mut revisions: Vec<u64> = changes.iter().map(|seen| seen.revision).collect();
    revisions.dedup();
    if !revisions.iter().copied().eq(from..=upto) {
        return Err(format!("the changes from {from} to {upto} are those of the revisions {revisions:?}"));
    }
    for seen in changes {
        is_what_others_saw(chronicle, seen)?;
    }
    for of_one in changes.chunk_by(|one, other| one.revision == other.revision) {
        let count = u32::try_from(of_one.len()).unwrap_or(u32::MAX);
        let size = chronicle.size(of_one[0].revision);
        if !of_one.iter().map(|seen| seen.ordinal).eq(0..count) || size.is_some_and(|size| size != count) {
            return Err(format!("changes are left out of {of_one:?}: there are {size:?}"));
        }
    }
    Ok(())
}
