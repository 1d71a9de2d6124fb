//! A linearizability checker for a key-value store: is there one order of all operations, in which each takes
//! effect between its request and its answer, that explains every answer?
//!
//! Linearizability is local (Herlihy and Wing 1990, theorem 1): a history is linearizable exactly when each key's
//! is, so each key is a register of its own. For a register this is the search of Wing and Gong (1993), with Lowe's
//! memo (2017, "Testing for linearizability"): a set of linearized operations that led to a register value once
//! is never tried again.
//!
//! Five facts keep the search small; each is argued where it is used.
//! - A write of unknown outcome whose value nobody read need not be in the order, and one that was read took
//!   effect before that read was answered. So hardly any operation stays open to the end.
//! - A swap whose condition held is a write that also read; one whose condition did not hold took no effect, and counts
//!   as no evidence.
//! - A pending read that matches the register may always be linearized at once.
//! - Deletes of unknown outcome are alike but for their start: whatever order uses some of them explains as much when
//!   it uses those that started first, in that order, and none where the register is absent already.
//! - Operations are numbered by their start, so all but a short window is "everything below has been linearized";
//!   the memo stores that window only. Where nothing is in flight it is empty, which cuts the search there.

use std::collections::{BTreeMap, HashSet};

use crate::history::{Call, Operation, Outcome};

/// What a linearizable history held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many keys it had.
    pub keys: usize,
    /// How many operations had to be put in order.
    pub operations: usize,
}

/// Why a history was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// No order of a key's operations explains their answers.
    NotLinearizable {
        /// The key.
        key: String,
        /// The operation that no order could explain, in the order that explained the most.
        operation: Box<Operation>,
        /// What the register held just then.
        register: Option<String>,
    },
    /// The search was ended: more than [`CONFIGURATION_LIMIT`] configurations.
    Undecided {
        /// The key.
        key: String,
    },
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotLinearizable { key, operation, register } => write!(
                formatter,
                "key {key:?} is not linearizable: nothing explains {operation:?}; the register held {register:?}"
            ),
            Self::Undecided { key } => write!(
                formatter,
                "key {key:?}: undecided after {CONFIGURATION_LIMIT} configurations: use more keys or fewer clients"
            ),
        }
    }
}

impl std::error::Error for Violation {}

/// How many configurations of one key are tried before the checker says that it can't decide.
pub const CONFIGURATION_LIMIT: usize = 5_000_000;

/// Checks a whole history; every key starts out absent.
///
/// # Errors
/// The first key, in order, whose operations can't be explained.
pub fn check(history: &[Operation]) -> Result<Checked, Violation> {
    let mut by_key: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        by_key.entry(&operation.key).or_default().push(operation);
    }
    let mut operations = 0;
    for (key, of_key) in &by_key {
        let register = Register::new(of_key);
        operations += register.required;
        Search::new(&register).run().map_err(|stuck| match stuck {
            Stuck::At { step, state } => Violation::NotLinearizable {
                key: (*key).to_owned(),
                operation: Box::new(of_key[register.steps[step].source].clone()),
                register: register.values[state].map(str::to_owned),
            },
            Stuck::LimitReached => Violation::Undecided { key: (*key).to_owned() },
        })?;
    }
    Ok(Checked { keys: by_key.len(), operations })
}

/// What a step does to the register; values are numbers, 0 is "absent".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Write(usize),
    Read(usize),
    /// Writes the second where the first is.
    Swap(usize, usize),
}

impl Effect {
    /// The value that is there afterwards, when it writes one.
    fn writes(self) -> Option<usize> {
        match self {
            Effect::Write(value) | Effect::Swap(_, value) => Some(value),
            Effect::Read(_) => None,
        }
    }

    /// The value that must be there before.
    fn needs(self) -> Option<usize> {
        match self {
            Effect::Read(value) | Effect::Swap(value, _) => Some(value),
            Effect::Write(_) => None,
        }
    }
}

/// One operation as the search sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    effect: Effect,
    start: u64,
    /// `None` for an operation that may take effect at any time, or never.
    end: Option<u64>,
    /// Where it came from, to name it in a violation.
    source: usize,
}

/// The operations of one key.
///
/// Invariant: the first `required` steps have an end and must be linearized; the others have none and may be.
/// Within both, steps are sorted by their start.
struct Register<'a> {
    steps: Vec<Step>,
    required: usize,
    /// The optional steps that delete, by their start.
    deletes: Vec<usize>,
    /// What the numbers in [`Effect`] stand for.
    values: Vec<Option<&'a str>>,
}

impl<'a> Register<'a> {
    fn new(operations: &[&'a Operation]) -> Self {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut values = vec![None];
        let mut number = |value: &'a str| {
            *numbers.entry(value).or_insert_with(|| {
                values.push(Some(value));
                values.len() - 1
            })
        };
        let mut steps = Vec::new();
        for (source, operation) in operations.iter().enumerate() {
            let effect = match (&operation.call, &operation.outcome) {
                (_, Outcome::Failed | Outcome::Refused { .. })
                | (Call::Get, Outcome::Unknown | Outcome::Written { .. }) => continue,
                (Call::Get, Outcome::Read { value, .. }) => {
                    Effect::Read(value.as_deref().map_or(0, &mut number))
                }
                (Call::Put(value), _) => Effect::Write(number(value)),
                (Call::Swap { from, to }, _) => {
                    let from = from.as_deref().map_or(0, &mut number);
                    Effect::Swap(from, number(to))
                }
                (Call::Delete, _) => Effect::Write(0),
            };
            let end = operation.answered_nanoseconds();
            steps.push(Step { effect, start: operation.invoked_nanoseconds, end, source });
        }
        // What is known of one tells of others: a swap that is left out needs no value that another may have written.
        loop {
            let settled = settle_unknown_writes(&steps, values.len());
            let is_done = settled == steps;
            steps = settled;
            if is_done {
                break;
            }
        }
        steps.sort_by_key(|step| (step.end.is_none(), step.start));
        let required = steps.iter().filter(|step| step.end.is_some()).count();
        let deletes =
            (required..steps.len()).filter(|step| steps[*step].effect == Effect::Write(0)).collect();
        Self { steps, required, deletes, values }
    }
}

/// Gives writes of unknown outcome an end where the reads tell one, and leaves out those that no read tells of.
///
/// Leaving out is right: in any order with such a write, nobody reads between it and the next write, so the order
/// without it explains the same answers. So is the end: a value that only one operation wrote must have been
/// written before the first read of it was answered.
fn settle_unknown_writes(steps: &[Step], values: usize) -> Vec<Step> {
    let mut writers = vec![0_usize; values];
    let mut first_read = vec![None::<u64>; values];
    let mut last_read = vec![None::<u64>; values];
    for step in steps {
        if let Some(value) = step.effect.writes() {
            writers[value] += 1;
        }
        let Some(value) = step.effect.needs() else { continue };
        if let Some(end) = step.end {
            first_read[value] = Some(first_read[value].map_or(end, |first| first.min(end)));
            last_read[value] = last_read[value].max(Some(end));
        } else if matches!(step.effect, Effect::Swap(..)) {
            // It may read at any time, and needs what it reads.
            last_read[value] = Some(u64::MAX);
        }
    }
    steps
        .iter()
        .filter_map(|step| {
            let (Some(value), None) = (step.effect.writes(), step.end) else { return Some(*step) };
            if last_read[value].is_none_or(|last| last < step.start) {
                return None;
            }
            let unique = value != 0 && writers[value] == 1;
            let end = first_read[value].filter(|first| unique && *first >= step.start);
            Some(Step { end, ..*step })
        })
        .collect()
}

enum Stuck {
    At { step: usize, state: usize },
    LimitReached,
}

/// Marks both ends of the list, and "no return entry".
const NONE: usize = usize::MAX;

/// The search's state: the order so far, as a stack, and the entries (starts and ends by time) not yet in it, as a
/// doubly linked list out of which a linearized step is lifted, and into which it is put back.
struct Search<'r> {
    register: &'r Register<'r>,
    /// Which step an entry belongs to, and whether it is the end of it.
    entries: Vec<(usize, bool)>,
    end_entry: Vec<usize>,
    next: Vec<usize>,
    previous: Vec<usize>,
    first: usize,
    state: usize,
    stack: Vec<(usize, usize)>,
    linearized: Window,
    seen: HashSet<Box<[u64]>>,
    required_left: usize,
    /// How many of the optional deletes are in the order: the first so many.
    deletes_used: usize,
    deepest: (usize, usize, usize),
}

impl<'r> Search<'r> {
    fn new(register: &'r Register<'r>) -> Self {
        let mut timed: Vec<(u64, bool, usize)> = Vec::new();
        for (number, step) in register.steps.iter().enumerate() {
            timed.push((step.start, false, number));
            timed.extend(step.end.map(|end| (end, true, number)));
        }
        // Starts go before ends of the same instant: what can't be told apart counts as concurrent.
        timed.sort_unstable();
        let entries: Vec<(usize, bool)> = timed.iter().map(|(_, is_end, step)| (*step, *is_end)).collect();
        let mut end_entry = vec![NONE; register.steps.len()];
        for (entry, (step, is_end)) in entries.iter().enumerate() {
            if *is_end {
                end_entry[*step] = entry;
            }
        }
        let count = entries.len();
        Self {
            register,
            entries,
            end_entry,
            next: (0..count).map(|entry| if entry + 1 < count { entry + 1 } else { NONE }).collect(),
            previous: (0..count).map(|entry| entry.checked_sub(1).unwrap_or(NONE)).collect(),
            first: if count > 0 { 0 } else { NONE },
            state: 0,
            stack: Vec::new(),
            linearized: Window::new(register.required, register.steps.len()),
            seen: HashSet::new(),
            required_left: register.required,
            deletes_used: 0,
            deepest: (0, 0, 0),
        }
    }

    fn run(mut self) -> Result<(), Stuck> {
        let mut entry = self.first;
        while self.required_left > 0 {
            // Every required step that is left has an end in the list, so its end is met before the list's.
            let (step, is_end) = self.entries[entry];
            entry = if is_end {
                if self.stack.len() >= self.deepest.0 {
                    self.deepest = (self.stack.len(), step, self.state);
                }
                self.backtrack()?
            } else {
                match self.attempt(entry, step) {
                    Attempt::Linearized => self.first,
                    Attempt::NotNow => self.next[entry],
                    Attempt::Hopeless => self.backtrack()?,
                }
            };
            if self.seen.len() > CONFIGURATION_LIMIT {
                return Err(Stuck::LimitReached);
            }
        }
        Ok(())
    }

    /// Puts a step next in the order, if the register allows it and it leads somewhere new.
    fn attempt(&mut self, entry: usize, step: usize) -> Attempt {
        let (after, is_read) = match self.register.steps[step].effect {
            Effect::Read(value) if value != self.state => return Attempt::NotNow,
            Effect::Read(value) => (value, true),
            Effect::Write(0) if self.is_optional(step) => {
                if self.state == 0 || self.register.deletes.get(self.deletes_used) != Some(&step) {
                    return Attempt::NotNow;
                }
                (0, false)
            }
            Effect::Write(value) => (value, false),
            Effect::Swap(from, _) if from != self.state => return Attempt::NotNow,
            Effect::Swap(_, to) => (to, false),
        };
        self.linearized.insert(step);
        if !self.seen.insert(self.linearized.key(after)) {
            self.linearized.remove(step);
            // A read that matches can go first in any order that explains the rest (it changes nothing, and all
            // that had to come before it has), so where that was tried and failed, nothing else is left to try.
            return if is_read { Attempt::Hopeless } else { Attempt::NotNow };
        }
        self.stack.push((entry, self.state));
        self.state = after;
        self.required_left -= usize::from(!self.is_optional(step));
        self.deletes_used += usize::from(self.is_optional_delete(step));
        self.lift(entry);
        let end = self.end_entry[step];
        if end != NONE {
            self.lift(end);
        }
        Attempt::Linearized
    }

    /// Takes steps back off the order until one of them leaves something else to try; returns the entry to go on at.
    fn backtrack(&mut self) -> Result<usize, Stuck> {
        while let Some((entry, state)) = self.stack.pop() {
            let (step, _) = self.entries[entry];
            let end = self.end_entry[step];
            if end != NONE {
                self.put_back(end);
            }
            self.put_back(entry);
            self.linearized.remove(step);
            self.state = state;
            self.required_left += usize::from(!self.is_optional(step));
            self.deletes_used -= usize::from(self.is_optional_delete(step));
            let forced = matches!(self.register.steps[step].effect, Effect::Read(_));
            if !forced && self.next[entry] != NONE {
                return Ok(self.next[entry]);
            }
        }
        let (_, step, state) = self.deepest;
        Err(Stuck::At { step, state })
    }

    /// Whether the step may be left out of the order.
    fn is_optional(&self, step: usize) -> bool {
        step >= self.register.required
    }

    fn is_optional_delete(&self, step: usize) -> bool {
        self.is_optional(step) && self.register.steps[step].effect == Effect::Write(0)
    }

    fn lift(&mut self, entry: usize) {
        let (previous, next) = (self.previous[entry], self.next[entry]);
        match previous {
            NONE => self.first = next,
            _ => self.next[previous] = next,
        }
        if next != NONE {
            self.previous[next] = previous;
        }
    }

    /// The reverse of [`Self::lift`]; right only in the reverse order of the lifts.
    fn put_back(&mut self, entry: usize) {
        let (previous, next) = (self.previous[entry], self.next[entry]);
        match previous {
            NONE => self.first = entry,
            _ => self.next[previous] = entry,
        }
        if next != NONE {
            self.previous[next] = entry;
        }
    }
}

enum Attempt {
    Linearized,
    NotNow,
    Hopeless,
}

/// The set of linearized steps: a bit each, of which a key holds only those that tell it from others.
struct Window {
    bits: Vec<u64>,
    /// All words below are full.
    low: usize,
    /// All required words from here on are empty.
    high: usize,
    /// Where the optional steps' words begin. They are few, and in every key.
    optional: usize,
    required: usize,
}

impl Window {
    fn new(required: usize, steps: usize) -> Self {
        let optional = required.div_ceil(64);
        let words = optional + (steps - required).div_ceil(64);
        Self { bits: vec![0; words], low: 0, high: 0, optional, required }
    }

    fn place(&self, step: usize) -> (usize, u64) {
        match step.checked_sub(self.required) {
            None => (step / 64, 1 << (step % 64)),
            Some(number) => (self.optional + number / 64, 1 << (number % 64)),
        }
    }

    fn insert(&mut self, step: usize) {
        let (word, bit) = self.place(step);
        self.bits[word] |= bit;
        if word < self.optional {
            self.high = self.high.max(word + 1);
            while self.low < self.high && self.bits[self.low] == u64::MAX {
                self.low += 1;
            }
        }
    }

    fn remove(&mut self, step: usize) {
        let (word, bit) = self.place(step);
        self.bits[word] &= !bit;
        if word < self.optional {
            self.low = self.low.min(word);
            while self.high > self.low && self.bits[self.high - 1] == 0 {
                self.high -= 1;
            }
        }
    }

    /// Equal exactly for equal sets that led to the same register.
    fn key(&self, state: usize) -> Box<[u64]> {
        let window = &self.bits[self.low..self.high];
        let mut key = Vec::with_capacity(2 + window.len() + self.bits.len() - self.optional);
        key.push(state as u64);
        key.push(self.low as u64);
        key.extend_from_slice(&self.bits[self.optional..]);
        key.extend_from_slice(window);
        key.into_boxed_slice()
    }
}

#[cfg(test)]
#[path = "linearizability_tests.rs"]
mod tests;
