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
            if let Fault::Cut { flaps: flaps @ 2.., .. } = timed.fault {
                let stretch = lasts / (2 * flaps);
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

#[cfg(test)]
mod tests {
    use crate::plan::{Scenario, Shape, Timed};

    use super::*;

    fn steps_of(flaps: u32) -> Vec<Step> {
        let mut plan = Plan::new(Scenario::Calm, 1);
        let fault = Fault::Cut { shape: Shape::OneWay, links: vec![(1, 2)], for_ms: 1_000, flaps };
        plan.faults = vec![Timed { at_ms: 5, fault }];
        let mut agenda = Agenda::of(&plan, Time(0));
        assert_eq!((agenda.next(), agenda.pop(Time(4_999))), (Some(Time(5_000)), None));
        std::iter::from_fn(|| agenda.pop(Time(1_005_000))).collect()
    }

    #[test]
    fn a_cut_lasts_unless_it_flaps() {
        let flap = |mended| Step::Flap { number: 0, mended };
        assert_eq!(steps_of(1), [Step::Begin(0), Step::End(0)]);
        let flaps = [Step::Begin(0), flap(true), flap(false), flap(true), Step::End(0)];
        assert_eq!(steps_of(2), flaps);
    }
}
