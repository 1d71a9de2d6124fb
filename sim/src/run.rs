//! One plan, from boot to verdict.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::Time;

use crate::counts::Counts;
use crate::observe::Observation;
use crate::plan::{Fault, Plan};
use crate::verdict::Verdict;
use crate::world::{Machine, World};
use crate::{core, full};

/// What runs under the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Stack {
    /// Nodes and storage, driven by a queue of events.
    Core,
    /// The whole server, on madsim.
    Full,
}

impl Stack {
    /// Whether a fault can have an effect: on a stream nothing arrives twice, and nothing overtakes.
    pub fn has(self, fault: &Fault) -> bool {
        let messages =
            matches!(fault, Fault::Duplicate { .. } | Fault::Replay { .. } | Fault::Reorder { .. });
        self == Stack::Core || !messages
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Stack::Core => "core",
            Stack::Full => "full",
        }
    }
}

/// Which checkers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jury {
    /// All.
    All,
    /// This one, as if there were no other.
    Only(&'static str),
    /// All others, as if there were not this one.
    AllBut(&'static str),
}

impl Jury {
    pub(crate) fn asks(self, checker: &str) -> bool {
        match self {
            Jury::All => true,
            Jury::Only(only) => checker == only,
            Jury::AllBut(other) => checker != other,
        }
    }
}

/// How a plan is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What runs.
    pub stack: Stack,
    /// Keep everything that is observed.
    pub keep_trace: bool,
    /// Which checkers are asked.
    pub jury: Jury,
}

/// The account of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it came to.
    pub verdict: Verdict,
    /// When a broken promise was noticed, in virtual time.
    pub broken_at: Option<Time>,
    /// A hash of everything observed: the same for one source revision and plan, everywhere.
    pub trace_hash: u64,
    /// How many events were handled: on the core stack those of its queue, on the full stack observations.
    pub events: u64,
    /// How much virtual time passed.
    pub virtual_time: Duration,
    /// How many operations were acknowledged: reads answered and writes done.
    pub acknowledged: usize,
    /// How often each kind of fault had an effect.
    pub fired: Counts,
    /// How often each rare state occurred.
    pub rare: Counts,
    /// How many changes the disk of each host saw from when the faults could begin, by host.
    pub disk_changes: Vec<u64>,
    /// What was observed, if it was to be kept.
    pub trace: Vec<(Time, Observation)>,
}

impl Report {
    /// The account of a run whose phases came to `outcome`; with nothing against it the checkers have the last word.
    pub(crate) fn of(world: &mut World, outcome: Result<(), Verdict>, ended: Time, events: u64) -> Self {
        world.count_disk_faults();
        let history = std::mem::take(&mut world.history);
        let judge = &mut world.judge;
        let verdict = outcome.err().unwrap_or_else(|| {
            judge.finish(ended, &history);
            judge.broken().map_or(Verdict::Passed, |(_, verdict)| verdict.clone())
        });
        let acknowledged =
            history.iter().filter(|done| done.is_acknowledged_write() || done.is_answered_read()).count();
        Report {
            verdict,
            broken_at: judge.broken().map(|(at, _)| *at),
            trace_hash: judge.hash(),
            events,
            virtual_time: ended.since(Time(0)),
            acknowledged,
            fired: judge.fired.clone(),
            rare: judge.rare().clone(),
            disk_changes: world.machines.values().map(Machine::changes_under_faults).collect(),
            trace: judge.take_trace(),
        }
    }

    /// Of a run that ended in a panic.
    fn crashed(what: String) -> Self {
        Report {
            verdict: Verdict::Crash(what),
            broken_at: None,
            trace_hash: 0,
            events: 0,
            virtual_time: Duration::ZERO,
            acknowledged: 0,
            fired: Counts::default(),
            rare: Counts::default(),
            disk_changes: Vec::new(),
            trace: Vec::new(),
        }
    }
}

/// Runs a plan.
pub fn run_plan(plan: &Plan, options: &Options) -> Report {
    let plan = Arc::new(plan.clone());
    let run = || match options.stack {
        Stack::Core => core::run(&plan, options),
        Stack::Full => full::run(&plan, options),
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Report::crashed(panic_text(&*panic)))
}

/// What somebody said who panicked.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
