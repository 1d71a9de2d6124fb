//! A request of which a client was told that it failed, or was refused, never takes effect (Jepsen's analysis of
//! Redis-Raft: a definite error for a write that was committed later).

use quorate_node::raft::LogId;

use super::settled::Settled;
use super::{Checker, Evidence};
use crate::history::Outcome;
use crate::observe::Observation;

/// The writes that failed for sure.
#[derive(Debug, Default)]
pub(crate) struct HonestErrors {
    failed: Settled,
}

impl Checker for HonestErrors {
    fn name(&self) -> &'static str {
        "honest-errors"
    }

    /// Sure of a failure is who knows that something else is committed in the place of each entry that was made for
    /// the request. Whether one of them was committed in the end is a matter of luck.
    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed);
        let Some(content) = self.failed.observe(observation, failed) else { return Ok(()) };
        let open = |slot: &LogId| evidence.ledger.committed_at(slot.index).is_none();
        match evidence.ledger.slots_with(content).find(open) {
            Some(slot) => Err(format!(
                "a request was answered as failed for sure, and its entry {slot} may still be committed: nothing else is"
            )),
            None => Ok(()),
        }
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[crate::history::Operation]) -> Result<(), String> {
        for slot in evidence.ledger.committed() {
            if let Some((client, number)) = self.failed.requests().get(&slot.content) {
                return Err(format!(
                    "request {client}.{number} was answered as failed for sure, and was committed at {}",
                    slot.id
                ));
            }
        }
        for (of, asked) in evidence.chronicle.all_asked() {
            // Of another try nobody knows, or nobody has told yet.
            if asked.may_be_done() {
                continue;
            }
            let written = |(key, value): (&str, &str)| evidence.chronicle.written(key, value);
            if let Some(revision) = asked.errand.writes().into_iter().find_map(written) {
                let how = if asked.is_refused { "refused" } else { "answered as failed for sure each time" };
                return Err(format!("errand {of:?} was {how}, and done by revision {revision}"));
            }
        }
        for (client, number, key, value) in evidence.chronicle.denied() {
            if let Some(revision) = evidence.chronicle.written(key, value) {
                return Err(format!(
                    "request {client}.{number} was answered as not done, and done by revision {revision}"
                ));
            }
        }
        Ok(())
    }
}
