//! Hears every observation, in order: makes the trace and its hash, and asks the checkers.

use std::hash::{Hash, Hasher};

use quorate_node::raft::Time;

use crate::checkers::{Checkers, Evidence};
use crate::chronicle::Chronicle;
use crate::counts::Counts;
use crate::history::Operation;
use crate::ledger::Ledger;
use crate::observe::{Observation, TraceHasher};
use crate::plan::Plan;
use crate::run::Jury;
use crate::verdict::Verdict;

/// Judges one run.
pub(crate) struct Judge {
    hasher: TraceHasher,
    count: u64,
    /// The trace, when somebody wants to see it.
    trace: Option<Vec<(Time, Observation)>>,
    ledger: Ledger,
    chronicle: Chronicle,
    checkers: Checkers,
    /// The first broken promise, and when it was noticed.
    broken: Option<(Time, Verdict)>,
    /// Which faults had an effect.
    pub(crate) fired: Counts,
}

impl Judge {
    pub(crate) fn new(plan: &Plan, keep_trace: bool) -> Self {
        Judge {
            hasher: TraceHasher::new(),
            count: 0,
            trace: keep_trace.then(Vec::new),
            ledger: Ledger::default(),
            chronicle: Chronicle::default(),
            checkers: Checkers::new(plan),
            broken: None,
            fired: Counts::default(),
        }
    }

    /// Asks no other checkers than these from now on.
    pub(crate) fn ask(&mut self, jury: Jury) {
        self.checkers.keep(jury);
    }

    pub(crate) fn observe(&mut self, at: Time, observation: Observation) {
        self.hasher.write_u64(at.0);
        observation.hash(&mut self.hasher);
        self.count += 1;
        self.ledger.observe(&observation);
        self.chronicle.observe(at, &observation);
        if self.broken.is_none() {
            let evidence = Evidence { at, ledger: &self.ledger, chronicle: &self.chronicle };
            let broken = self.checkers.observe(&evidence, &observation);
            self.broken = broken.map(|verdict| (at, verdict));
        }
        if let Some(trace) = &mut self.trace {
            trace.push((at, observation));
        }
    }

    /// Asks the checkers that need the whole history, at the end.
    pub(crate) fn finish(&mut self, at: Time, history: &[Operation]) {
        if self.broken.is_none() {
            let evidence = Evidence { at, ledger: &self.ledger, chronicle: &self.chronicle };
            self.broken = self.checkers.finish(&evidence, history).map(|verdict| (at, verdict));
        }
    }

    /// The first broken promise, if there is one.
    pub(crate) fn broken(&self) -> Option<&(Time, Verdict)> {
        self.broken.as_ref()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// How much was observed.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Which rare states occurred.
    pub(crate) fn rare(&self) -> &Counts {
        self.checkers.rare()
    }

    pub(crate) fn take_trace(&mut self) -> Vec<(Time, Observation)> {
        self.trace.take().unwrap_or_default()
    }
}
