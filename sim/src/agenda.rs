//! What the plan does when.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_node::raft::Time;

use crate::plan::{Fault, Host, Plan};

/// Something that is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The plan's fault of this number begins.
    Begin(usize),
    /// It ends.
    End(usize),
    /// A cut that flaps is mended, or cut again.
    Flap { number: usize, mended: bool },
    /// A power loss that no change on the disk has brought about comes now.
    PowerOff(usize),
    /// A supervisor starts a server that ended by itself.
    Restart(Host),
}

/// Steps by time; those of one time in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    steps: BTreeMap<(Time, u64), Step>,
    added: u64,
}

impl Agenda {
    /// The plan's faults, counted from `start`.
    pub(crate) fn of(plan: &Plan, start: Time) -> Self {
        let mut agenda = Agenda::default();
        for (number, timed) in plan.faults.iter().enumerate() {
            let begins = start + Duration::from_millis(timed.at_ms);
            agenda.add(begins, Step::Begin(number));
            let Some(lasts) = timed.fault.lasts() else { continue };
            if let Fault::Cut { flaps, .. } = timed.fault {
                let stretch = lasts / (2 * flaps.max(1));
                for half in 1..2 * flaps {
                    agenda.add(begins + stretch * half, Step::Flap { number, mended: half % 2 == 1 });
                }
            }
            agenda.add(begins + lasts, Step::End(number));
        }
        agenda
    }

    pub(crate) fn add(&mut self, at: Time, step: Step) {
        self.added += 1;
        self.steps.insert((at, self.added), step);
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.steps.keys().next().map(|(at, _)| *at)
    }

    /// The next step that is due by `now`.
    pub(crate) fn pop(&mut self, now: Time) -> Option<Step> {
        let first = self.steps.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}
