//! What clients did and saw: the evidence that the checkers judge.

/// One operation of one client, with the time its request was sent and, where an answer came, the time of that.
///
/// Times are nanoseconds since one common start. Two operations overlap unless one was answered strictly before
/// the other was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub client: usize,
    /// The key asked about.
    pub key: String,
    /// What was asked.
    pub call: Call,
    /// When the request was sent.
    pub invoked_nanoseconds: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Write this value.
    Put(String),
    /// Write a value if the key holds this one, or is not there.
    Swap {
        /// What it must hold; `None` when it must not be there.
        from: Option<String>,
        /// What it holds then.
        to: String,
    },
    /// Remove the key.
    Delete,
    /// Read the key.
    Get,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A write that was acknowledged.
    Written {
        /// When the answer was in.
        at_nanoseconds: u64,
        /// The store's revision that the answer named, when it named one.
        revision: Option<u64>,
    },
    /// A read that was answered.
    Read {
        /// When the answer was in.
        at_nanoseconds: u64,
        /// The value; `None` for a key that was not there.
        value: Option<String>,
    },
    /// A definite failure: the operation never takes effect.
    Failed,
    /// Its condition did not hold: it took no effect, and never will.
    Refused {
        /// When the answer was in.
        at_nanoseconds: u64,
    },
    /// No answer, or one that says so: a write may take effect at any time after it was sent, or never.
    Unknown,
}

impl Operation {
    /// When the answer was in; `None` without a definite one.
    pub fn answered_nanoseconds(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Written { at_nanoseconds, .. }
            | Outcome::Read { at_nanoseconds, .. }
            | Outcome::Refused { at_nanoseconds } => Some(at_nanoseconds),
            Outcome::Failed | Outcome::Unknown => None,
        }
    }

    /// Whether this is a write that was acknowledged.
    pub fn is_acknowledged_write(&self) -> bool {
        matches!(self.outcome, Outcome::Written { .. })
    }

    /// Whether this is a read that was answered.
    pub fn is_answered_read(&self) -> bool {
        matches!(self.outcome, Outcome::Read { .. })
    }
}

/// Checks that acknowledged writes were given revisions in an order that agrees with real time, each its own.
///
/// A cluster that forgets an acknowledged write gives its revision to another one, even where later writes to the
/// same key hide the loss from every read. This catches what a register checker cannot see.
///
/// Returns how many writes had a revision to check.
///
/// # Errors
/// Names the two writes that contradict each other.
pub fn check_revisions(history: &[Operation]) -> Result<usize, String> {
    let mut writes: Vec<(u64, u64, &Operation)> = Vec::new();
    for operation in history {
        if let (Call::Put(_) | Call::Swap { .. }, Outcome::Written { revision: Some(revision), .. }) =
            (&operation.call, &operation.outcome)
        {
            writes.push((operation.invoked_nanoseconds, *revision, operation));
        }
    }
    reject_shared_revisions(&writes)?;
    reject_revisions_against_time(&mut writes)?;
    Ok(writes.len())
}

fn reject_shared_revisions(writes: &[(u64, u64, &Operation)]) -> Result<(), String> {
    let mut by_revision = std::collections::BTreeMap::new();
    for (_, revision, write) in writes {
        if let Some(other) = by_revision.insert(revision, write) {
            return Err(format!(
                "two acknowledged writes share revision {revision}:\n  {other:?}\n  {write:?}"
            ));
        }
    }
    Ok(())
}

fn reject_revisions_against_time(writes: &mut [(u64, u64, &Operation)]) -> Result<(), String> {
    writes.sort_unstable_by_key(|(invoked, ..)| *invoked);
    let mut answered: Vec<(u64, u64, &Operation)> = writes
        .iter()
        .filter_map(|(_, revision, write)| Some((write.answered_nanoseconds()?, *revision, *write)))
        .collect();
    answered.sort_unstable_by_key(|(at, ..)| *at);
    let mut answered = answered.into_iter().peekable();
    let mut newest: Option<(u64, &Operation)> = None;
    for (invoked, revision, write) in writes.iter() {
        while let Some((_, finished_revision, finished)) = answered.next_if(|(at, ..)| at < invoked) {
            if newest.is_none_or(|(highest, _)| finished_revision > highest) {
                newest = Some((finished_revision, finished));
            }
        }
        if let Some((highest, earlier)) = newest
            && *revision < highest
        {
            return Err(format!(
                "revision {revision} was given after {highest} had been acknowledged:\n  {earlier:?}\n  {write:?}"
            ));
        }
    }
    Ok(())
}

/// Changes one read so that it returns a value that an acknowledged write had already replaced: a lie that the
/// checker must find. Returns its position; `None` when the history has no read that can be made stale for sure.
pub fn plant_stale_read(history: &mut [Operation]) -> Option<usize> {
    let position = (0..history.len()).rev().find(|&read| stale_value_for(history, read).is_some())?;
    let stale = stale_value_for(history, position)?;
    if let Outcome::Read { value, .. } = &mut history[position].outcome {
        *value = Some(stale);
    }
    Some(position)
}

/// A value that was written, and then overwritten, both acknowledged before the read at `position` was sent.
fn stale_value_for(history: &[Operation], position: usize) -> Option<String> {
    let read = &history[position];
    if !read.is_answered_read() {
        return None;
    }
    let acknowledged_puts = || {
        history.iter().filter(|put| put.key == read.key && put.is_acknowledged_write()).filter_map(|put| {
            match &put.call {
                Call::Put(value) => Some((put.invoked_nanoseconds, put.answered_nanoseconds()?, value)),
                Call::Swap { .. } | Call::Delete | Call::Get => None,
            }
        })
    };
    let before_read = acknowledged_puts().filter(|(_, answered, _)| *answered < read.invoked_nanoseconds);
    let (newest_invoked, _, newest) = before_read.max_by_key(|(invoked, ..)| *invoked)?;
    acknowledged_puts()
        .find(|(_, answered, value)| *answered < newest_invoked && *value != newest)
        .map(|(_, _, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(invoked: u64, answered: u64, revision: u64) -> Operation {
        Operation {
            client: 0,
            key: "a".to_owned(),
            call: Call::Put(revision.to_string()),
            invoked_nanoseconds: invoked,
            outcome: Outcome::Written { at_nanoseconds: answered, revision: Some(revision) },
        }
    }

    fn get(invoked: u64, answered: u64, value: &str) -> Operation {
        Operation {
            client: 1,
            key: "a".to_owned(),
            call: Call::Get,
            invoked_nanoseconds: invoked,
            outcome: Outcome::Read { at_nanoseconds: answered, value: Some(value.to_owned()) },
        }
    }

    #[test]
    fn revisions_in_the_order_of_time_are_fine() {
        assert_eq!(check_revisions(&[put(0, 10, 1), put(11, 20, 2), put(15, 25, 4), put(16, 24, 3)]), Ok(4));
    }

    #[test]
    fn a_revision_given_twice_is_found() {
        let error = check_revisions(&[put(0, 10, 1), put(11, 20, 1)]).unwrap_err();
        assert!(error.contains("share revision 1"), "{error}");
    }

    #[test]
    fn a_revision_that_goes_back_in_time_is_found() {
        let error = check_revisions(&[put(0, 10, 7), put(11, 20, 6)]).unwrap_err();
        assert!(error.contains("revision 6 was given after 7"), "{error}");
    }

    #[test]
    fn a_stale_read_is_planted_only_where_it_is_a_lie() {
        let mut history = vec![put(0, 10, 1), put(11, 20, 2), get(15, 30, "2"), get(21, 30, "2")];
        assert_eq!(plant_stale_read(&mut history), Some(3));
        assert_eq!(history[3], get(21, 30, "1"));
        let mut overlapping = vec![put(0, 10, 1), put(5, 20, 2), get(21, 30, "2")];
        assert_eq!(plant_stale_read(&mut overlapping), None, "either write may have been the last");
    }
}
