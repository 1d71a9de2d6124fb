//! The full stack: the real server (its tasks, hyper, the leader proxy, peer links, the storage behind a task of its own)
//! on madsim's executor and virtual time. Network, disks and clocks are the world's.
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
//! | `phases` | a run from boot to scan |

mod clients;
mod connection;
mod disk;
mod inspector;
mod lives;
mod network;
mod phases;
mod runtime;
mod stage;
mod stream;
#[cfg(test)]
mod tests;
mod timing;
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

/// Runs a plan on the full stack, on a thread of its own: what madsim keeps for a thread must not pass from one run to
/// the next.
pub(crate) fn run(plan: &Arc<Plan>, options: &Options) -> Report {
    let shared = Arc::new(Mutex::new(Stage::new(plan, options.keep_trace)));
    let inside = (Arc::clone(plan), Arc::clone(&shared));
    let thread = std::thread::spawn(move || {
        let (plan, stage) = inside;
        let runtime = madsim::runtime::Runtime::with_seed_and_config(plan.seed, madsim::Config::default());
        runtime.block_on(live(plan, stage))
    });
    let outcome = thread.join().unwrap_or_else(|panic| Err(Verdict::Crash(words(&*panic).to_owned())));
    let stage = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
    let (world, reached) = (&mut stage.world, stage.reached);
    world.count_disk_faults();
    let history = std::mem::take(&mut world.history);
    let verdict = match outcome {
        Err(verdict) => verdict,
        Ok(()) => {
            world.judge.finish(reached, &history);
            world.judge.broken().map_or(Verdict::Passed, |(_, verdict)| verdict.clone())
        }
    };
    let events = world.judge.count();
    Report::new(verdict, &mut world.judge, &history, reached, events)
}

async fn live(plan: Arc<Plan>, stage: Arc<Mutex<Stage>>) -> Result<(), Verdict> {
    let stack = FullStack::new(plan, stage);
    let agenda = madsim::task::spawn(stack.clone().follow_agenda());
    let outcome = stack.phases().await;
    let ended = stack.clock.now();
    stack.stage().reached = ended;
    agenda.abort();
    stack.clear();
    stack.clock.sleep_until(ended + LETTING_GO).await;
    outcome
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
