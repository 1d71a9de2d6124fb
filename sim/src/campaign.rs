//! Many seeds, several at once; their reports in the order of the seeds, however many jobs there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::checkers::{RARE_STATES, wanted_by};
use crate::counts::Counts;
use crate::plan::{Plan, Scenario};
use crate::run::{Jury, Options, Report, Stack, run_plan};
use crate::verdict::Verdict;

/// In so many seeds every kind of fault that a scenario promises strikes.
const ENOUGH_SEEDS: u64 = 1_000;

/// A range of seeds to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// What their plans are drawn for.
    pub scenario: Scenario,
    /// What runs.
    pub stack: Stack,
    /// The seeds, ascending.
    pub seeds: Vec<u64>,
    /// How many run at once.
    pub jobs: usize,
    /// Which checkers are asked.
    pub jury: Jury,
}

/// What a campaign came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many did not pass.
    pub failed: u64,
    /// All events together.
    pub events: u64,
    /// All virtual time together.
    pub virtual_time: Duration,
    /// How often each kind of fault had an effect.
    pub fired: Counts,
    /// How often each rare state occurred.
    pub rare: Counts,
    /// The kinds of faults that the plans held and that this stack can have.
    enabled: BTreeSet<&'static str>,
    /// The kinds of faults that the scenario promises, whatever the plans held.
    promised: BTreeSet<&'static str>,
    /// The rare states that some of the plans ask for.
    wanted: BTreeSet<&'static str>,
    each: Vec<Seed>,
}

/// What is kept of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// How many requests were acknowledged.
    pub acknowledged: usize,
    /// How many kinds of faults had an effect.
    pub fault_kinds: usize,
    /// How often the leader changed.
    pub leader_changes: usize,
}

impl Totals {
    fn add(&mut self, plan: &Plan, report: &Report, stack: Stack) {
        self.seeds += 1;
        self.failed += u64::from(report.verdict != Verdict::Passed);
        self.events += report.events;
        self.virtual_time += report.virtual_time;
        self.fired.merge(&report.fired);
        self.rare.merge(&report.rare);
        self.wanted.extend(wanted_by(plan));
        self.promised.extend(plan.scenario.promises());
        self.enabled.extend(
            plan.faults
                .iter()
                .map(|timed| &timed.fault)
                .filter(|fault| stack.has(fault))
                .map(|fault| fault.kind()),
        );
        let fault_kinds = plan.faults.iter().map(|timed| timed.fault.kind()).collect::<BTreeSet<_>>();
        self.each.push(Seed {
            acknowledged: report.acknowledged,
            fault_kinds: fault_kinds.into_iter().filter(|kind| report.fired.of(kind) > 0).count(),
            leader_changes: usize::try_from(report.rare.of("leader change")).unwrap_or(usize::MAX),
        });
    }

    /// The kinds of faults that plans held and that never had an effect.
    pub fn missing_faults(&self) -> Vec<&'static str> {
        self.enabled.iter().copied().filter(|kind| self.fired.of(kind) == 0).collect()
    }

    /// The kinds of faults that the scenario promises and that never struck, in so many seeds that each should have.
    /// Then the campaign has not tested what it is for, and that all seeds passed is worth little.
    pub fn falls_short_of(&self) -> Vec<&'static str> {
        let missing = self.promised.iter().copied().filter(|kind| self.fired.of(kind) == 0);
        if self.seeds < ENOUGH_SEEDS { Vec::new() } else { missing.collect() }
    }

    /// The rare states that never occurred.
    pub fn missing_states(&self) -> Vec<&'static str> {
        RARE_STATES
            .into_iter()
            .chain(self.wanted.iter().copied())
            .filter(|state| self.rare.of(state) == 0)
            .collect()
    }

    /// The median over the seeds.
    pub fn median(&self, of: impl Fn(&Seed) -> usize) -> usize {
        let mut all: Vec<usize> = self.each.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    }
}

/// Runs a campaign; `take` gets each report, in the order of the seeds.
pub fn run_campaign(campaign: &Campaign, mut take: impl FnMut(&Plan, &Report)) -> Totals {
    let options = Options { stack: campaign.stack, keep_trace: false, jury: campaign.jury };
    let mut totals = Totals::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Bounded, so that one slow seed does not let the reports of thousands pile up.
        let (sender, reports) = mpsc::sync_channel(64);
        for _ in 0..campaign.jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let Some(seed) = campaign.seeds.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let plan = Plan::new(campaign.scenario, *seed);
                    let report = run_plan(&plan, &options);
                    if sender.send((plan, report)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut wanted = campaign.seeds.iter();
        let mut next = wanted.next();
        for (plan, report) in reports {
            early.insert(plan.seed, (plan, report));
            while let Some((plan, report)) = next.and_then(|seed| early.remove(seed)) {
                totals.add(&plan, &report, campaign.stack);
                take(&plan, &report);
                next = wanted.next();
            }
        }
    });
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_seeds_without_a_kind_that_was_promised_fall_short() {
        let plan = Plan::new(Scenario::Disk, 1);
        let mut report = run_plan(&plan, &Options { stack: Stack::Core, keep_trace: false, jury: Jury::All });
        assert_eq!(report.verdict, Verdict::Passed);
        Scenario::Disk.promises().iter().for_each(|kind| report.fired.add(kind, 1));
        let mut totals = Totals::default();
        totals.add(&plan, &report, Stack::Core);
        totals.seeds = ENOUGH_SEEDS;
        assert_eq!(totals.falls_short_of(), Vec::<&str>::new());
        let all = Scenario::Disk.promises().iter().copied().collect::<BTreeSet<_>>();
        totals.fired = Counts::default();
        assert_eq!(totals.falls_short_of().into_iter().collect::<BTreeSet<_>>(), all);
        totals.seeds = ENOUGH_SEEDS - 1;
        assert_eq!(totals.falls_short_of(), Vec::<&str>::new(), "so few can't hold all of them");
    }
}
