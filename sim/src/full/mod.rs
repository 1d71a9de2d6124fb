//! The full stack: the real server (its tasks, hyper, the leader proxy, peer links, the storage behind a task of its
//! own) on madsim's executor and virtual time. Network, disks and clocks are the world's.
//!
//! | module | what it holds |
//! |---|---|
//! | `stage` | what all tasks share, and what the world wants done with it |
//! | `timing` | true time, and waiting for it |
//! | `runtime`, `network` | the server's two seams: time, tasks and randomness; the network |
//! | `wires`, `connection`, `stream` | connections that behave like TCP's |
//! | `lives` | the servers' processes |
//! | `disk` | who owns a server's storage |
//! | `inspector` | tells the judge what goes into a node and comes out of it |
//! | `clients` | clients that speak HTTP |
//! | `auditors`, `watchers` | the same of those who use all that the store can do, and of those who watch |
//! | `operator` | changes the members and has leadership handed over |
//! | `phases` | a run from boot to scan |

mod auditors;
mod clients;
mod connection;
mod disk;
mod inspector;
mod lives;
mod network;
mod operator;
mod phases;
#[cfg(test)]
mod recordings;
mod runtime;
mod stage;
mod stream;
#[cfg(test)]
mod tests;
mod timing;
mod watchers;
mod wires;

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::plan::Plan;
use crate::run::{Options, Report};
use crate::verdict::Verdict;
use stage::{FullStack, Stage};

/// How long the end of a run takes: whatever still holds something of it lets go.
const LETTING_GO: Duration = Duration::from_secs(2);

/// Runs a plan on the full stack.
pub(crate) fn run(plan: &Arc<Plan>, options: &Options) -> Report {
    let mut stage = Stage::new(plan, options.keep_trace);
    stage.world.judge.ask(options.jury);
    let stage = Arc::new(Mutex::new(stage));
    let outcome = simulate(&stage, live).unwrap_or_else(|panic| Err(Verdict::Crash(panic)));
    let crashed = matches!(outcome, Err(Verdict::Crash(_)));
    assert!(
        crashed || Arc::strong_count(&stage) == 1,
        "something of a run outlives it: memory would not stay flat"
    );
    let stage = &mut *stage.lock().unwrap_or_else(PoisonError::into_inner);
    let (world, reached) = (&mut stage.world, stage.reached);
    let events = world.judge.count();
    Report::of(world, outcome, reached, events)
}

/// Has something act on a stage, on a thread of its own: what madsim keeps for a thread must not pass from one run to
/// the next. A panic of any task ends it all, and is the error.
fn simulate<T: Send + 'static>(
    stage: &Arc<Mutex<Stage>>,
    act: impl AsyncFnOnce(FullStack) -> T + Send + 'static,
) -> Result<T, String> {
    let stage = Arc::clone(stage);
    let thread = std::thread::spawn(move || {
        let plan = Arc::clone(&stage.lock().unwrap_or_else(PoisonError::into_inner).world.plan);
        let runtime = madsim::runtime::Runtime::with_seed_and_config(plan.seed, madsim::Config::default());
        runtime.block_on(async move {
            let stack = FullStack::new(plan, stage);
            let result = act(stack.clone()).await;
            stack.clear();
            stack.clock.sleep_until(stack.clock.now() + LETTING_GO).await;
            result
        })
    });
    thread.join().map_err(|panic| words(&*panic).to_owned())
}

async fn live(stack: FullStack) -> Result<(), Verdict> {
    let agenda = madsim::task::spawn(stack.clone().follow_agenda());
    let outcome = stack.phases().await;
    stack.stage().reached = stack.clock.now();
    agenda.abort();
    outcome
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
