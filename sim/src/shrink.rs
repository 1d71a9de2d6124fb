//! Making a failing plan smaller: what can be left out without the failure going away is left out.
//!
//! Delta debugging (Zeller and Hildebrandt, TSE 2002) over faults, clients and requests, then shorter faults. Each
//! step is kept only if the smaller plan fails in the same way; what is left is what matters, or close to it.

use crate::plan::Plan;
use crate::run::{Options, run_plan};
use crate::verdict::Verdict;

/// A plan that fails, made smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The smaller plan.
    pub plan: Plan,
    /// How it fails.
    pub verdict: Verdict,
    /// How many plans were run for it.
    pub runs: usize,
}

/// Makes a failing plan smaller, in at most so many runs.
pub fn shrink(plan: &Plan, verdict: &Verdict, options: &Options, most_runs: usize) -> Shrunk {
    let options = Options { keep_trace: false, ..*options };
    let mut search = Search { plan: plan.clone(), verdict: verdict.clone(), options, runs: 0, most_runs };
    loop {
        let before = search.plan.clone();
        search.drop_parts(|plan| &mut plan.faults, 0);
        search.drop_parts(|plan| &mut plan.workload.clients, 1);
        search.fewer_requests();
        search.shorter_faults();
        search.plainer();
        if search.plan == before || search.is_over() {
            return Shrunk { plan: search.plan, verdict: search.verdict, runs: search.runs };
        }
    }
}

struct Search {
    /// The smallest plan so far that fails.
    plan: Plan,
    verdict: Verdict,
    options: Options,
    runs: usize,
    most_runs: usize,
}

impl Search {
    fn is_over(&self) -> bool {
        self.runs >= self.most_runs
    }

    /// Keeps a changed plan if it still fails in the same way.
    fn try_with(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.plan.clone();
        change(&mut plan);
        if self.is_over() || plan == self.plan || plan.check().is_err() {
            return false;
        }
        self.runs += 1;
        let verdict = run_plan(&plan, &self.options).verdict;
        let fails = verdict.resembles(&self.verdict);
        if fails {
            (self.plan, self.verdict) = (plan, verdict);
        }
        fails
    }

    /// Leaves out stretches of a list, long ones first, but keeps at least so many of its items.
    fn drop_parts<T>(&mut self, list: impl Fn(&mut Plan) -> &mut Vec<T>, least: usize) {
        let mut stretch = list(&mut self.plan).len();
        while stretch > 0 {
            let mut from = 0;
            while from < list(&mut self.plan).len() {
                let length = list(&mut self.plan).len();
                let to = (from + stretch).min(length);
                let dropped =
                    length - (to - from) >= least && self.try_with(|plan| drop(list(plan).drain(from..to)));
                if !dropped {
                    from = to;
                }
            }
            stretch /= 2;
        }
    }

    /// Fewer requests a client, from the end and then from the beginning.
    fn fewer_requests(&mut self) {
        let mut step = self.plan.workload.requests / 2;
        while step > 0 {
            let from_end =
                |plan: &mut Plan| plan.workload.requests = plan.workload.requests.saturating_sub(step);
            let skip_more = |plan: &mut Plan| {
                plan.workload.skip = (plan.workload.skip + step).min(plan.workload.requests);
            };
            if !self.try_with(from_end) && !self.try_with(skip_more) {
                step /= 2;
            }
            if self.is_over() {
                return;
            }
        }
    }

    fn shorter_faults(&mut self) {
        for number in 0..self.plan.faults.len() {
            let halve = |plan: &mut Plan| {
                if let Some(for_ms) = plan.faults[number].fault.for_ms_mut() {
                    *for_ms /= 2;
                }
            };
            while self.try_with(halve) {}
        }
        let last = self.plan.faults.iter().map(|timed| timed.at_ms).max().unwrap_or(0);
        self.try_with(|plan| plan.cluster.faults_ms = plan.cluster.faults_ms.min(last + 1_000));
    }

    /// Settings that make trouble of their own.
    fn plainer(&mut self) {
        self.try_with(|plan| plan.knobs.early_timeouts = 0);
        self.try_with(|plan| plan.knobs.false_alarms = 0);
        self.try_with(|plan| plan.knobs.one_job_at_a_time = false);
        self.try_with(|plan| plan.workload.large_per_mille = 0);
        self.try_with(|plan| plan.cluster.clocks_ahead_ms.clear());
    }
}
