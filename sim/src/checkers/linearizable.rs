//! One order of all operations explains every answer (Herlihy and Wing 1990; the search is in `linearizability.rs`).

use super::{Checker, Evidence};
use crate::history::Operation;
use crate::linearizability;

/// Looks at the whole history.
#[derive(Debug)]
pub(crate) struct Linearizable;

impl Checker for Linearizable {
    fn name(&self) -> &'static str {
        "linearizability"
    }

    fn finish(&mut self, _: &Evidence<'_>, history: &[Operation]) -> Result<(), String> {
        linearizability::check(history).map(|_| ()).map_err(|violation| violation.to_string())
    }
}
