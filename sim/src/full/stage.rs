//! What all tasks of a run share, and what the world wants done with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle};
use madsim::task::JoinHandle;
use quorate_node::raft::Time;
use quorate_server::{Context, Either, Identity, Server, race};
use tokio::sync::{Notify, oneshot};

use super::lives;
use super::network::HostNet;
use super::operator::Operator;
use super::runtime::HostRuntime;
use super::timing::TrueClock;
use super::watchers::Watcher;
use super::wires::Wires;
use crate::observe::Observation;
use crate::outlook::{Outlook, Standing};
use crate::plan::{Host, Plan};
use crate::workload::Ask;
use crate::world::{Effect, World};

/// What all tasks share. Whoever locks it awaits nothing meanwhile.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) wires: Wires,
    pub(super) lives: BTreeMap<Host, Life>,
    /// What stands in the `node.toml` of each server, which it writes before it first speaks as a member.
    pub(super) identities: BTreeMap<Host, Identity>,
    /// Operators at work.
    operators: Vec<JoinHandle<()>>,
    /// What each client asks for at present, and since when.
    pub(super) open: BTreeMap<u8, (Time, Ask)>,
    /// Watchers, and who of them has a connection that it keeps to the end.
    watchers: Vec<JoinHandle<()>>,
    pub(super) holding: BTreeSet<u8>,
    /// How far the run has come.
    pub(super) reached: Time,
}

/// A running server, from outside.
pub(super) struct Life {
    process: NodeHandle,
    /// To look into it, once it has started.
    context: Option<Arc<Context<HostRuntime, HostNet>>>,
    /// To ask it to end, by the plan's fault of a number, likewise.
    stop: Option<oneshot::Sender<usize>>,
}

/// How long a server is waited for that is asked how it stands.
const LOOK_PATIENCE: Duration = Duration::from_millis(200);

impl Stage {
    pub(super) fn new(plan: &Arc<Plan>, keep_trace: bool) -> Self {
        Stage {
            world: World::new(Arc::clone(plan), keep_trace),
            wires: Wires::new(plan),
            lives: BTreeMap::new(),
            identities: BTreeMap::new(),
            operators: Vec::new(),
            open: BTreeMap::new(),
            watchers: Vec::new(),
            holding: BTreeSet::new(),
            reached: Time(0),
        }
    }

    /// The server of `host` has started, can be looked into, and be asked to end: then the receiver gives the number of
    /// the fault that does so.
    pub(super) fn introduce(
        &mut self,
        host: Host,
        server: &Server<HostRuntime, HostNet>,
    ) -> oneshot::Receiver<usize> {
        let (stop, asked) = oneshot::channel();
        if let Some(life) = self.lives.get_mut(&host) {
            life.context = Some(Arc::clone(&server.context));
            life.stop = Some(stop);
        }
        asked
    }
}

/// One run on the full stack. Clones stand for the same run.
#[derive(Clone)]
pub(super) struct FullStack {
    pub(super) plan: Arc<Plan>,
    pub(super) clock: TrueClock,
    /// Somebody may have put something on the world's agenda.
    agenda: Arc<Notify>,
    stage: Arc<Mutex<Stage>>,
}

impl FullStack {
    pub(super) fn new(plan: Arc<Plan>, stage: Arc<Mutex<Stage>>) -> Self {
        FullStack { plan, clock: TrueClock::current(), agenda: Arc::default(), stage }
    }

    pub(super) fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observe(&self, observation: Observation) {
        let now = self.clock.now();
        self.stage().world.judge.observe(now, observation);
    }

    /// Has the world change at this moment, and does what that takes.
    pub(super) fn change(&self, change: impl FnOnce(&mut World, Time) -> Vec<Effect>) {
        let effects = change(&mut self.stage().world, self.clock.now());
        for effect in effects {
            self.apply(effect);
        }
        self.agenda.notify_one();
    }

    fn apply(&self, effect: Effect) {
        match effect {
            Effect::End { host, power } => self.end(host, power),
            Effect::Start(host) => self.start(host),
            Effect::Stop { host, number } => {
                let mut stage = self.stage();
                if let Some(stop) = stage.lives.get_mut(&host).and_then(|life| life.stop.take()) {
                    // One that ends at this very moment doesn't hear it.
                    let _ = stop.send(number);
                }
            }
            Effect::Pause(host) => self.with_process(host, Handle::pause),
            Effect::Resume(host) => self.with_process(host, Handle::resume),
            Effect::Links => {
                let stage = &mut *self.stage();
                stage.wires.look_again(&stage.world, self.clock.now());
            }
            Effect::Reset(links) => {
                let stage = &mut *self.stage();
                let resets = stage.wires.reset(self.clock.now(), &links);
                (0..resets).for_each(|_| stage.world.fired().note("reset"));
            }
            // Whoever sleeps looks at its clock again by itself.
            Effect::Clock(_) => {}
            Effect::Order(number) => {
                self.operate(|operator| operator.give_order(number));
            }
        }
    }

    fn with_process(&self, host: Host, act: impl FnOnce(&Handle, madsim::task::NodeId)) {
        let process = self.stage().lives.get(&host).map(|life| life.process.id());
        if let Some(process) = process {
            act(&Handle::current(), process);
        }
    }

    /// The process of `host` is no more. With its power gone it says nothing to anybody; otherwise the system closes
    /// its connections, which here is what dropping them does.
    pub(super) fn end(&self, host: Host, power: bool) {
        let ended = {
            let mut stage = self.stage();
            stage.wires.unplug(host, power);
            stage.lives.remove(&host)
        };
        if let Some(life) = ended {
            // Tasks that stand still are to be dropped by the executor, like all others.
            Handle::current().resume(life.process.id());
            Handle::current().kill(life.process.id());
        }
    }

    fn start(&self, host: Host) {
        let process = Handle::current().create_node().name(format!("host {host}")).build();
        let paused = {
            let stage = &mut *self.stage();
            stage.wires.plug_in(&mut stage.world, &self.clock, host);
            stage.lives.insert(host, Life { process: process.clone(), context: None, stop: None });
            stage.world.is_paused(host)
        };
        drop(process.spawn(lives::live(self.clone(), host)));
        if paused {
            Handle::current().pause(process.id());
        }
    }

    /// Does what the plan says, when it says so.
    pub(super) async fn follow_agenda(self) {
        loop {
            let now = self.clock.now();
            let next = self.stage().world.next_step();
            match next {
                Some(next) if next <= now => self.change(|world, now| world.steps(now)),
                Some(next) => {
                    race(self.agenda.notified(), self.clock.sleep_until(next)).await;
                }
                None => self.agenda.notified().await,
            }
        }
    }

    /// How the running servers stand.
    pub(super) async fn outlook(&self) -> Outlook {
        let running: Vec<_> = {
            let stage = self.stage();
            let awake = stage.lives.iter().filter(|(host, _)| !stage.world.is_paused(**host));
            awake.filter_map(|(host, life)| Some((*host, life.context.clone()?))).collect()
        };
        let mut standings = BTreeMap::new();
        for (host, context) in running {
            let patience = self.clock.sleep_until(self.clock.now() + LOOK_PATIENCE);
            if let Either::Left(Some(view)) = race(context.handle.status(), patience).await {
                standings.insert(host, Standing::from(view));
            }
        }
        Outlook::new(&self.plan, standings)
    }

    /// Lets an operator do something.
    pub(super) fn operate<F: Future<Output = ()> + Send + 'static>(&self, act: impl FnOnce(Operator) -> F) {
        let task = madsim::task::spawn(act(Operator::new(self.clone())));
        self.stage().operators.push(task);
    }

    /// Has all operators go home.
    pub(super) fn dismiss_operators(&self) {
        let operators = std::mem::take(&mut self.stage().operators);
        operators.iter().for_each(JoinHandle::abort);
    }

    /// Lets somebody watch, to the end of the run.
    pub(super) fn watch(&self, number: u8, seen: &Arc<AtomicU64>) {
        let task = madsim::task::spawn(Watcher::new(self, number, seen).work());
        self.stage().watchers.push(task);
    }

    /// Ends everything, so that nothing of this run outlives it.
    pub(super) fn clear(&self) {
        self.dismiss_operators();
        let watchers = std::mem::take(&mut self.stage().watchers);
        watchers.iter().for_each(JoinHandle::abort);
        let hosts: Vec<Host> = self.stage().lives.keys().copied().collect();
        hosts.into_iter().for_each(|host| self.end(host, true));
    }
}
