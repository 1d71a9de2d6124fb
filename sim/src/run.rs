//! One plan, from boot to verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_node::View;
use quorate_node::raft::Role;
use quorate_server::Runtime;

use crate::client::Client;
use crate::history::{Call, Operation, check_revisions};
use crate::linearizability;
use crate::network::Network;
use crate::observe::Observer;
use crate::plan::{Plan, Timed};
use crate::random::Random;
use crate::runtime::SimRuntime;
use crate::world::World;

/// How long a cluster may take to form, and to come together once everything is mended. Sixty election timeouts:
/// joining, catching up and a few lost elections fit in many times over.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was lost, no read lied, and the cluster came together.
    Passed,
    /// An acknowledged write is gone, a read lied, or replicas differ.
    Safety(String),
    /// The cluster did not form, or did not come together once everything was mended.
    Liveness(String),
    /// Something panicked.
    Crash(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => write!(formatter, "passed"),
            Verdict::Safety(what) => write!(formatter, "SAFETY: {what}"),
            Verdict::Liveness(what) => write!(formatter, "LIVENESS: {what}"),
            Verdict::Crash(what) => write!(formatter, "CRASH: {what}"),
        }
    }
}

/// The account of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it came to.
    pub verdict: Verdict,
    /// A hash of everything observed: the same for one source revision and plan, everywhere.
    pub trace_hash: u64,
    /// How many events were observed.
    pub events: u64,
    /// How much virtual time passed.
    pub virtual_time: Duration,
    /// How many operations were acknowledged: reads answered and writes done.
    pub acknowledged: usize,
    /// How often each kind of fault had an effect: a process killed, bytes held back, a packet late, a write stalled.
    pub fired: BTreeMap<&'static str, u64>,
    /// What was observed, a line an event.
    pub trace: Vec<String>,
}

/// Runs a plan on a thread of its own: what madsim keeps for a thread must not pass from one seed to the next.
pub fn run_plan(plan: &Plan) -> Report {
    let plan = Arc::new(plan.clone());
    let observer = Observer::default();
    let inside = (Arc::clone(&plan), observer.clone());
    let thread = std::thread::spawn(move || {
        let runtime =
            madsim::runtime::Runtime::with_seed_and_config(inside.0.seed, madsim::Config::default());
        runtime.block_on(live(inside.0, inside.1))
    });
    let life = thread.join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        Life {
            verdict: Verdict::Crash(text.to_owned()),
            acknowledged: 0,
            fired: BTreeMap::new(),
            lasted: Duration::ZERO,
        }
    });
    Report {
        verdict: life.verdict,
        trace_hash: observer.hash(),
        events: observer.count(),
        virtual_time: life.lasted,
        acknowledged: life.acknowledged,
        fired: life.fired,
        trace: observer.lines(),
    }
}

struct Life {
    verdict: Verdict,
    acknowledged: usize,
    fired: BTreeMap<&'static str, u64>,
    lasted: Duration,
}

async fn live(plan: Arc<Plan>, observer: Observer) -> Life {
    let started = madsim::time::Instant::now();
    let runtime = SimRuntime::new(started, Random::labelled(plan.seed, "world"));
    let network = Network::new(runtime, Random::labelled(plan.seed, "link"));
    let world = World::new(Arc::clone(&plan), network, observer);
    let history = Arc::new(Mutex::new(Vec::new()));
    let outcome = phases(&world, &history).await;
    world.end();
    // Whatever still holds something of this seed lets go of it.
    world.sleep(Duration::from_secs(5)).await;
    let history = history.lock().unwrap_or_else(PoisonError::into_inner);
    let acknowledged =
        history.iter().filter(|done| done.is_acknowledged_write() || done.is_answered_read()).count();
    let verdict = outcome.err().unwrap_or_else(|| judge(&history));
    Life { verdict, acknowledged, fired: world.network.fired.counts(), lasted: started.elapsed() }
}

async fn phases(world: &Arc<World>, history: &Arc<Mutex<Vec<Operation>>>) -> Result<(), Verdict> {
    until(world, "the cluster did not form", formed).await?;
    let mut tasks = Vec::new();
    for number in 1..=world.plan.clients {
        let client = client(world, history, number);
        tasks.push(madsim::task::spawn(client.work(Arc::clone(&world.plan))));
    }
    let mut waited = Duration::ZERO;
    for Timed { after, fault } in world.plan.faults.clone() {
        world.sleep(after - waited).await;
        waited = after;
        tasks.push(madsim::task::spawn(Arc::clone(world).strike(fault)));
    }
    for task in tasks {
        task.await.map_err(|error| Verdict::Crash(format!("a client or a fault panicked: {error}")))?;
    }
    world.network.heal();
    world.note("everything is mended");
    until(world, "the cluster did not come together", together).await?;
    let reader = client(world, history, world.plan.clients + 1);
    for key in 1..=world.plan.keys {
        for host in 1..=world.plan.servers {
            reader.ask(host, format!("key-{key}"), Call::Get).await;
        }
    }
    Ok(())
}

fn client(world: &Arc<World>, history: &Arc<Mutex<Vec<Operation>>>, number: u8) -> Client {
    Client {
        number,
        network: world.network.clone(),
        observer: world.observer.clone(),
        history: Arc::clone(history),
    }
}

/// Waits until the servers stand as `wanted`; else a liveness failure that says how they stand.
async fn until(world: &World, what: &str, wanted: fn(&World, &[View]) -> bool) -> Result<(), Verdict> {
    let deadline = world.network.runtime.now() + PATIENCE;
    loop {
        let views = world.views().await;
        let all: Option<Vec<View>> = views.iter().cloned().collect();
        if all.as_ref().is_some_and(|views| wanted(world, views)) {
            let stand = all.iter().flatten().map(|view| format!("{} {}", view.applied, view.state_hash));
            world.note(format!("{:?}", stand.collect::<Vec<_>>()));
            return Ok(());
        }
        if world.network.runtime.now() >= deadline {
            let seconds = PATIENCE.as_secs();
            return Err(Verdict::Liveness(format!("{what} within {seconds} s: {views:#?}")));
        }
        world.sleep(Duration::from_millis(50)).await;
    }
}

fn formed(world: &World, views: &[View]) -> bool {
    views.iter().all(|view| view.members.voters.len() == usize::from(world.plan.servers))
        && views.iter().any(|view| view.role == Role::Leader && view.settled)
}

fn together(world: &World, views: &[View]) -> bool {
    let level = |view: &View| (view.applied, view.commit, view.last, view.state_hash);
    formed(world, views)
        && views.iter().all(|view| level(view) == level(&views[0]) && view.applied == view.last.index)
}

fn judge(history: &[Operation]) -> Verdict {
    if let Err(violation) = linearizability::check(history) {
        return Verdict::Safety(violation.to_string());
    }
    match check_revisions(history) {
        Ok(_) => Verdict::Passed,
        Err(what) => Verdict::Safety(what),
    }
}
