//! No request takes effect twice (the tries of one request write the same value, which no other request writes), and
//! a repeated one is answered as the first time (Ongaro's thesis, section 6.3).

use std::collections::BTreeMap;

use quorate_node::raft::LogId;

use super::{Checker, Evidence};
use crate::audit::{Account, Errand, Seen};
use crate::chronicle::{Chronicle, Of};
use crate::observe::Observation;

/// Which requests were committed where.
#[derive(Debug, Default)]
pub(crate) struct ExactlyOnce {
    asked: BTreeMap<u64, (u8, u32)>,
    committed: BTreeMap<u64, LogId>,
    looked_at: usize,
    /// What each errand of a name was answered first.
    answered: BTreeMap<Of, Account>,
}

impl Checker for ExactlyOnce {
    fn name(&self) -> &'static str {
        "exactly-once"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Asks { client, number, content: Some(content), .. } => {
                self.asked.insert(*content, (*client, *number));
                Ok(())
            }
            Observation::Stands { .. } => self.look(evidence),
            Observation::Account { .. } => self.told(evidence, observation),
            _ => Ok(()),
        }
    }
}

impl ExactlyOnce {
    fn look(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        let committed = evidence.ledger.committed();
        for slot in &committed[self.looked_at..] {
            let Some((client, number)) = self.asked.get(&slot.content) else { continue };
            if let Some(first) = self.committed.insert(slot.content, slot.id) {
                return Err(format!(
                    "request {client}.{number} was committed twice: at {first} and at {}",
                    slot.id
                ));
            }
        }
        self.looked_at = committed.len();
        Ok(())
    }

    fn told(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((of, asked, account)) = evidence.account(observation) else { return Ok(()) };
        match account {
            Account::Saw(seen) => was_written_once(evidence.chronicle, seen),
            Account::Followed { changes, .. } => {
                changes.iter().try_for_each(|seen| was_written_once(evidence.chronicle, seen))
            }
            // Each errand names its lease as no other does, and a repetition is not to be carried out.
            Account::LeaseTaken => {
                Err(format!("{of:?}, {:?}, found its own lease: it was carried out twice", asked.errand))
            }
            _ if asked.errand.is_named() => self.repeats(of, &asked.errand, account),
            _ => Ok(()),
        }
    }

    /// What is told of an errand with a name is told again, as a replay, and nothing else is.
    fn repeats(&mut self, of: Of, errand: &Errand, account: &Account) -> Result<(), String> {
        if matches!(account, Account::Failed | Account::Unknown) {
            return Ok(());
        }
        let Some(first) = self.answered.insert(of, account.clone()) else { return Ok(()) };
        if outcome(&first) != outcome(account) || is_replay(account) == Some(false) {
            return Err(format!("{of:?}, {errand:?}, came to {first:?}, and a repetition to {account:?}"));
        }
        Ok(())
    }
}

/// What was answered, whether for the first time or again.
fn outcome(account: &Account) -> Account {
    let mut account = account.clone();
    if let Account::Done { is_replay, .. }
    | Account::Differs { is_replay, .. }
    | Account::Taken { is_replay, .. } = &mut account
    {
        *is_replay = true;
    }
    account
}

fn is_replay(account: &Account) -> Option<bool> {
    match account {
        Account::Done { is_replay, .. }
        | Account::Differs { is_replay, .. }
        | Account::Taken { is_replay, .. } => Some(*is_replay),
        _ => None,
    }
}

fn was_written_once(chronicle: &Chronicle, seen: &Seen) -> Result<(), String> {
    let Some(found) = &seen.found else { return Ok(()) };
    match chronicle.written(&seen.key, &found.value) {
        Some(first) if first != seen.revision => Err(format!(
            "{} was written to {} by revision {first} and by {}",
            found.value, seen.key, seen.revision
        )),
        _ => Ok(()),
    }
}
