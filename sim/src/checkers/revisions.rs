//! Acknowledged writes have revisions of their own, in an order that agrees with real time.

use super::{Checker, Evidence};
use crate::history::{Operation, check_revisions};

/// Looks at the whole history.
#[derive(Debug)]
pub(crate) struct Revisions;

impl Checker for Revisions {
    fn name(&self) -> &'static str {
        "revisions"
    }

    fn finish(&mut self, _: &Evidence<'_>, history: &[Operation]) -> Result<(), String> {
        check_revisions(history).map(|_| ())
    }
}
