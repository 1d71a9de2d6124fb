//! Which requests ended in a certain way, by what they write: what two checkers compare with what was committed.

use std::collections::BTreeMap;

use crate::history::Outcome;
use crate::observe::Observation;

/// Requests with an outcome of one kind, by their content in the log.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    asked: BTreeMap<(u8, u32), u64>,
    requests: BTreeMap<u64, (u8, u32)>,
}

impl Settled {
    /// Takes note of requests, and of those whose outcome is `wanted`: says the content of such a one.
    pub(crate) fn observe(&mut self, observation: &Observation, wanted: fn(&Outcome) -> bool) -> Option<u64> {
        match observation {
            Observation::Asks { client, number, content: Some(content), .. } => {
                self.asked.insert((*client, *number), *content);
            }
            Observation::Hears { client, number, outcome, .. } if wanted(outcome) => {
                let content = self.asked.remove(&(*client, *number))?;
                self.requests.insert(content, (*client, *number));
                return Some(content);
            }
            _ => {}
        }
        None
    }

    /// Client and number of each, by content.
    pub(crate) fn requests(&self) -> &BTreeMap<u64, (u8, u32)> {
        &self.requests
    }
}
