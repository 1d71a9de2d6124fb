//! Whoever follows what changes is told of it in the order in which it happened, of nothing twice, and of nothing
//! before the place from which it wants to know (etcd's guarantees of watches: ordered, unique; `docs/HTTP.md`).

use super::{Checker, Evidence};
use crate::audit::{Account, Errand, Place};
use crate::observe::Observation;

/// Looks at each step of those who follow.
#[derive(Debug)]
pub(crate) struct WatchOrder;

impl Checker for WatchOrder {
    fn name(&self) -> &'static str {
        "watch-order"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Some((of, asked, account)) = evidence.account(observation) else { return Ok(()) };
        match (account, &asked.errand) {
            (Account::Saw(_), Errand::Watch { .. }) => match evidence.chronicle.step(of) {
                Some((from, to)) if to <= from => Err(behind(from, to)),
                _ => Ok(()),
            },
            (Account::Followed { changes, .. }, Errand::Follow { from }) => {
                let mut last: Option<Place> = None;
                for seen in changes {
                    let place = seen.place();
                    if seen.revision < *from {
                        return Err(behind((*from, 0), place));
                    }
                    if let Some(last) = last.replace(place).filter(|last| place <= *last) {
                        return Err(behind(last, place));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn behind(from: Place, to: Place) -> String {
    format!("the change {to:?} is told when all up to {from:?} have been")
}
