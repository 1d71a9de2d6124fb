//! What clients are told is judged as they hear it: no phantoms, no revision with two values, no read behind what was
//! acknowledged before it was asked (openraft's turmoil tests do likewise; the order of everything is for the
//! linearizability checker, which needs the whole history).

use std::collections::BTreeMap;

use super::{Checker, Evidence};
use crate::history::{Call, Outcome};
use crate::observe::Observation;

/// What was written and told so far.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Every value that was ever asked to be written, by key.
    written: BTreeMap<(String, String), ()>,
    /// The value at each revision.
    revisions: BTreeMap<u64, String>,
    /// The newest revision of each key that somebody was told.
    newest: BTreeMap<String, u64>,
    asked: BTreeMap<(u8, u32), Asked>,
}

#[derive(Debug)]
struct Asked {
    key: String,
    call: Call,
    stale: bool,
    /// The newest revision of the key that anybody had been told by then.
    known: u64,
}

impl Checker for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Asks { client, number, key, call, stale, .. } => {
                if let Call::Put(value) | Call::Swap { to: value, .. } = call {
                    self.written.insert((key.clone(), value.clone()), ());
                }
                let known = self.newest.get(key).copied().unwrap_or(0);
                let asked = Asked { key: key.clone(), call: call.clone(), stale: *stale, known };
                // A second try counts from when it was first asked.
                self.asked.entry((*client, *number)).or_insert(asked);
                Ok(())
            }
            Observation::Hears { client, number, outcome, revision } => {
                let Some(asked) = self.asked.remove(&(*client, *number)) else { return Ok(()) };
                let heard = Heard { client: *client, number: *number, revision: *revision };
                self.hears(&asked, &heard, outcome)
            }
            _ => Ok(()),
        }
    }
}

struct Heard {
    client: u8,
    number: u32,
    revision: Option<u64>,
}

impl Oracle {
    fn hears(&mut self, asked: &Asked, heard: &Heard, outcome: &Outcome) -> Result<(), String> {
        let who = format!("request {}.{} on {}", heard.client, heard.number, asked.key);
        let value = match (outcome, &asked.call) {
            (Outcome::Read { value: Some(value), .. }, _) => {
                if !self.written.contains_key(&(asked.key.clone(), value.clone())) {
                    return Err(format!("{who} read {value:?}, which nobody ever wrote there"));
                }
                value
            }
            (Outcome::Written { .. }, Call::Put(value) | Call::Swap { to: value, .. }) => value,
            _ => return Ok(()),
        };
        let Some(revision) = heard.revision else { return Ok(()) };
        let known = self.revisions.entry(revision).or_insert_with(|| value.clone());
        if known != value {
            return Err(format!(
                "{who} was told that revision {revision} is {value:?}; another was told {known:?}"
            ));
        }
        if revision < asked.known && !asked.stale {
            return Err(format!(
                "{who} was told revision {revision}, though {} had been told before it was asked",
                asked.known
            ));
        }
        let newest = self.newest.entry(asked.key.clone()).or_default();
        *newest = revision.max(*newest);
        Ok(())
    }
}
