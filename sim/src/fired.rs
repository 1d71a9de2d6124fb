//! Which faults really had an effect, and how often: a fault that hits nothing tests nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts effects by the kind of fault; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fired {
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Fired {
    pub(crate) fn note(&self, kind: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
