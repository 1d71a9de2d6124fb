//! What is read at a revision, a key or a list of them, by itself or in a transaction, is what changes say was there
//! then: reads of many keys are of one moment, and the past never changes (multi-version stores; Herlihy and Wing's
//! linearizability over all keys, with the order that the store itself names).

use super::{Checker, Evidence};
use crate::audit::{Account, Errand, Found};
use crate::chronicle::Chronicle;
use crate::history::Operation;
use crate::observe::Observation;

/// Looks at what is read at once, and again in the end, when more is known.
#[derive(Debug, Default)]
pub(crate) struct PastReads {
    keys: Vec<(String, u64, Option<Found>)>,
    lists: Vec<Listed>,
}

/// All keys with a prefix that lie behind one, up to another, where there are more.
#[derive(Debug)]
struct Listed {
    prefix: String,
    after: Option<String>,
    upto: Option<String>,
    revision: u64,
    keys: Vec<String>,
}

impl Checker for PastReads {
    fn name(&self) -> &'static str {
        "past-reads"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((_, asked, account)) = evidence.account(observation) else { return Ok(()) };
        let chronicle = evidence.chronicle;
        match (account, &asked.errand) {
            (Account::Was { found }, Errand::Past { key, revision }) => {
                self.reads(chronicle, key, *revision, found)
            }
            (Account::Differs { revision, found, .. }, Errand::Transfer { expected, .. }) => {
                let mut all = expected.iter().zip(found);
                all.try_for_each(|((key, _), found)| self.reads(chronicle, key, *revision, found))
            }
            (Account::Saw(seen), _) => self.replaces(chronicle, seen),
            (Account::Followed { changes, .. }, _) => {
                changes.iter().try_for_each(|seen| self.replaces(chronicle, seen))
            }
            (Account::Listed { revision, keys, more }, errand @ Errand::List { .. }) => {
                self.lists(chronicle, errand, *revision, keys, *more)
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        let chronicle = evidence.chronicle;
        self.keys.iter().try_for_each(|(key, revision, found)| agrees(chronicle, key, *revision, found))?;
        self.lists.iter().try_for_each(|listed| is_whole(chronicle, listed))
    }
}

impl PastReads {
    fn reads(
        &mut self,
        chronicle: &Chronicle,
        key: &str,
        revision: u64,
        found: &Option<Found>,
    ) -> Result<(), String> {
        self.keys.push((key.to_owned(), revision, found.clone()));
        agrees(chronicle, key, revision, found)
    }

    /// A change may tell what was there before.
    fn replaces(&mut self, chronicle: &Chronicle, seen: &crate::audit::Seen) -> Result<(), String> {
        let Some(previous) = &seen.previous else { return Ok(()) };
        self.reads(chronicle, &seen.key, seen.revision - 1, previous)
    }

    fn lists(
        &mut self,
        chronicle: &Chronicle,
        errand: &Errand,
        revision: u64,
        keys: &[(String, Found)],
        more: bool,
    ) -> Result<(), String> {
        let Errand::List { prefix, after, limit, revision: asked, .. } = errand else { return Ok(()) };
        let is_behind = |key: &String| after.as_ref().is_none_or(|after| key > after);
        let fits = keys.iter().all(|(key, _)| key.starts_with(prefix) && is_behind(key));
        let is_ordered = keys.is_sorted_by(|(one, _), (other, _)| one < other);
        if !fits || !is_ordered || keys.len() > *limit || asked.is_some_and(|asked| asked != revision) {
            return Err(format!("{errand:?} was answered {keys:?} at revision {revision}"));
        }
        for (key, found) in keys {
            self.reads(chronicle, key, revision, &Some(found.clone()))?;
        }
        let upto = keys.last().filter(|_| more).map(|(key, _)| key.clone());
        let keys = keys.iter().map(|(key, _)| key.clone()).collect();
        let listed = Listed { prefix: prefix.clone(), after: after.clone(), upto, revision, keys };
        let whole = is_whole(chronicle, &listed);
        self.lists.push(listed);
        whole
    }
}

/// What was read at a revision is what was there, as far as is known.
fn agrees(chronicle: &Chronicle, key: &str, revision: u64, found: &Option<Found>) -> Result<(), String> {
    let wrong = |known: String| {
        Err(format!("{key} at revision {revision} was read as {found:?}, but changes say {known}"))
    };
    if let Some(was) = chronicle.was(key, revision) {
        return if Found::agree(was, found) { Ok(()) } else { wrong(format!("{was:?}")) };
    }
    // Not all is known; yet some of it may not go together.
    let Some(found) = found else { return Ok(()) };
    if found.written_at > revision {
        return wrong("that this was later".to_owned());
    }
    if let Some((at, was)) = chronicle.latest(key, revision)
        && (at > found.written_at || at == found.written_at && !Found::agree(was, &Some(found.clone())))
    {
        return wrong(format!("{was:?} by {at}"));
    }
    match chronicle.whole(found.written_at) {
        Some(whole) if !whole.iter().any(|seen| seen.key == key) => wrong(format!("{whole:?}")),
        _ => Ok(()),
    }
}

/// No key is missing that is known to have been there.
fn is_whole(chronicle: &Chronicle, listed: &Listed) -> Result<(), String> {
    let Listed { prefix, after, upto, revision, keys } = listed;
    let within = |key: &&str| {
        after.as_ref().is_none_or(|after| *key > &**after) && upto.as_ref().is_none_or(|upto| *key <= &**upto)
    };
    for key in chronicle.keys_with(prefix).filter(within) {
        let was_there = chronicle.was(key, *revision).is_some_and(Option::is_some);
        if was_there && keys.binary_search_by(|listed| (**listed).cmp(key)).is_err() {
            return Err(format!("{key} was there at revision {revision}, and is not in {listed:?}"));
        }
    }
    Ok(())
}
